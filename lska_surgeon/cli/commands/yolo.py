"""`lska-surgeon yolo`."""

from __future__ import annotations

import click

from ...errors import SurgeonError
from ...yolo.command import run_yolo
from ...yolo.user_mistakes import mistake
from .. import say


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def yolo(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Run Ultralytics' own command, `yolo WORDS`, with the LSKA blocks registered.

    Everything after `yolo` is Ultralytics' to read; `lska-surgeon yolo` alone shows its help.

    \b
    Example:
      lska-surgeon yolo detect train model=yolov8s-lska-neck-k35.yaml data=coco8.yaml epochs=1
    """
    if words in (("-h",), ("--help",)):
        say.report(ctx.get_help())
        return
    try:
        code = run_yolo(list(words))
    except SurgeonError:
        raise
    except Exception as error:
        told = mistake(error)
        if told is None:
            raise  # a bug is not ours to hide
        raise click.UsageError(f"ultralytics: {told}") from error
    ctx.exit(code)
