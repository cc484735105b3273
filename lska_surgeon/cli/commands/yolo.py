"""`lska-surgeon yolo`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ...architecture.attention import OPERATOR_ROWS
from ...architecture.declared import in_force
from ...architecture.other_operators import read_row_of_users
from ...declarations.find import using_declarations
from ...errors import SurgeonError, missing_package
from ...model_yaml.find import is_checkpoint
from ...model_yaml.load import read_model
from ...wording import numbers
from ...yolo.command import run_yolo
from ...yolo.user_mistakes import mistake
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
    if models and starts:
        _tell_of_moved_rows(models[-1], starts[-1])
    try:
        with using_declarations(near=models):
            _import_own_blocks(models)
            code = run_yolo(list(words))
    except SurgeonError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and missing_package(error):
            raise  # before Ultralytics was
        told = mistake(error)
        if told is None:
            raise  # a bug is not ours to hide
        raise click.UsageError(f"ultralytics: {told}") from error
    ctx.exit(code)


def _tell_of_moved_rows(model: str, weights: str) -> None:
    """Ultralytics matches tensors by their row's number, and says of the rest no more than how many there are."""
    if not is_checkpoint(Path(weights)) or is_checkpoint(Path(model)):
        return
    try:
        _, document = read_model(model)
    except SurgeonError:
        return  # Ultralytics says what is wrong
    rows = [
        layer.index
        for layer in document.layers
        if layer.block in OPERATOR_ROWS or read_row_of_users(layer.block, layer.args)
    ]
    if rows:
        file, checkpoint = shlex.quote(model), shlex.quote(weights)
        say.note(
            f"Ultralytics matches the tensors of {weights} by row number, and {model} has inserted rows "
            f"({numbers(rows)}): unless {weights} has them too, the weights behind row {rows[0]} are lost; "
            f"to keep all: lska-surgeon train {file} --graft {checkpoint}"
        )


def _import_own_blocks(models: list[str]) -> None:
    """Before Ultralytics reads them: it would look in a package index for what it can't import."""
    files = [model for model in models if model.endswith(".pt") and Path(model).is_file()]
    if files and in_force():
        from ...checkpoints.checkpoint import import_own_blocks

        for file in files:
            import_own_blocks(file)
