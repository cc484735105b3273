"""`lska-surgeon yolo`."""

from __future__ import annotations

from pathlib import Path

import click

from ...declarations.find import active_blocks, building_with, find_blocks, telling_children
from ...errors import SurgeonError, missing_package
from ...yolo.command import moved_rows_note, run_yolo, user_error
from .. import say


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def yolo(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Run Ultralytics' own command, `yolo WORDS`, with the LSKA blocks registered.

    Everything after `yolo` is Ultralytics' to read; `lska-surgeon yolo` alone shows its help. Blocks of your own are
    known by the nearest lska-surgeon.toml, or by the file that $LSKA_SURGEON_BLOCKS names.

    \b
    Example:
      lska-surgeon yolo detect train model=yolov8s-lska-neck-k35.yaml data=coco8.yaml epochs=1
    """
    if words in (("-h",), ("--help",)):
        say.report(ctx.get_help())
        return
    models = [word.partition("=")[2] for word in words if word.startswith("model=")]
    starts = [word.partition("=")[2] for word in words if word.startswith("pretrained=")]
    try:
        blocks = find_blocks(near=models)
        note = moved_rows_note(models[-1], starts[-1], blocks) if models and starts else None
        if note:
            say.note(note)
        with building_with(blocks), telling_children(blocks):
            _import_own_blocks(models)
            code = run_yolo(list(words))
    except SurgeonError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and missing_package(error):
            raise  # before Ultralytics was
        told = user_error(error)
        if told is None:
            raise  # a bug is not ours to hide
        raise click.UsageError(f"ultralytics: {told}") from error
    ctx.exit(code)


def _import_own_blocks(models: list[str]) -> None:
    """Before Ultralytics reads them: it would look in a package index for what it can't import."""
    files = [model for model in models if model.endswith(".pt") and Path(model).is_file()]
    if files and active_blocks().declarations:
        from ...checkpoints.checkpoint import import_own_blocks

        for file in files:
            import_own_blocks(file)
