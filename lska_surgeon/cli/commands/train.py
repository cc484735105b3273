"""`lska-surgeon train`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

import click

from ...api import train as api
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import not_empty
from ..options import trust as trust_option


@click.command()
@click.argument("model", shell_complete=completion.models)
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--stage", type=click.Choice(api.STAGES), default="all", show_default=True,
              help="What to train: every layer, the operators alone, or first these and then every layer.")  # fmt: skip
@click.option(
    "--warm", type=click.IntRange(1), metavar="N", help="Epochs of the first run of --stage both.  [default: 1]"
)
@click.option("--graft", callback=not_empty, metavar="FILE", shell_complete=completion.files,
              help="A trained checkpoint to start from, grafted into MODEL, a variant YAML.")  # fmt: skip
@trust_option
@with_blocks
def train(model: str, words: tuple[str, ...], stage: str, warm: int | None, graft: str | None, trust: bool) -> None:
    """Train MODEL, a grafted checkpoint or a variant YAML, as Ultralytics trains any model.

    KEY=VALUE are Ultralytics' own arguments, as `yolo train` takes them. Before anything runs, the checkpoint is
    looked through, and arguments and data are checked. Nothing is downloaded or installed.

    With --stage attention all other layers stay as they are, the running statistics of their norms included; only what
    could not be carried over, such as the classifier for data with other classes, trains too, and is named. Each stage
    is a run of its own; the first one of --stage both has "-warm" at the end of its name.

    \b
    Examples:
      lska-surgeon train yolov8s-lska-neck-k35.pt data=my-data.yaml epochs=100 imgsz=640
      lska-surgeon train my-variant.yaml --graft best.pt data=my-data.yaml epochs=100
      lska-surgeon train yolov8s-lska-neck-k35.pt --stage both --warm 3 data=my-data.yaml epochs=100
      lska-surgeon train runs/detect/train/weights/last.pt resume=True
    """
    if warm is not None and stage != "both":
        raise click.UsageError("--warm is for --stage both, whose first run it sets the length of")
    with redirect_stdout(sys.stderr):  # where Ultralytics logs and draws its progress
        folders = api.train_with(model, words, stage=stage, warm=warm or 1, graft=graft, trust=trust)
    for name, folder in zip(("attention", "all") if stage == "both" else (stage,), folders):
        say.line(f"Trained {name}: {folder}")
