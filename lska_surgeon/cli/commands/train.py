"""`lska-surgeon train`."""

from __future__ import annotations

from pathlib import Path

import click

from ...checkpoints.find import check_checkpoint
from ...errors import NO_DATA, TrainingError
from ...model_yaml.find import find_model
from ...yolo.environment import import_offline
from ...yolo.precheck import refuse_sizes
from .. import completion
from ..options import blocks as with_blocks
from ..options import trust as trust_option

#: Arguments that say what to train on, or where that is said.
_NAMES_DATA = ("data", "cfg", "resume")


@click.command()
@click.argument("model", shell_complete=completion.files)
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--stage", type=click.Choice(["all", "attention", "both"]), default="all", show_default=True,
              help="What to train: every layer, the operators alone, or first these and then every layer.")  # fmt: skip
@click.option(
    "--warm", type=click.IntRange(1), metavar="N", help="Epochs of the first run of --stage both.  [default: 1]"
)
@trust_option
@with_blocks
def train(model: str, words: tuple[str, ...], stage: str, warm: int | None, trust: bool) -> None:
    """Train MODEL, a grafted checkpoint or a variant YAML, as Ultralytics trains any model.

    KEY=VALUE are Ultralytics' own arguments, as `yolo train` takes them. Before anything runs, the checkpoint is
    looked through, and arguments and data are checked. Nothing is downloaded or installed.

    With --stage attention all other layers stay as they are, the running statistics of their norms included. Each
    stage is a run of its own; the first one of --stage both has "-warm" at the end of its name.

    \b
    Examples:
      lska-surgeon train yolov8s-lska-neck-k35.pt data=my-data.yaml epochs=100 imgsz=640
      lska-surgeon train yolov8s-lska-neck-k35.pt --stage both --warm 3 data=my-data.yaml epochs=100
      lska-surgeon train runs/detect/train/weights/last.pt resume=True
    """
    if warm is not None and stage != "both":
        raise click.UsageError("--warm is for --stage both, whose first run it sets the length of")
    _check(model, words)
    # Imported here, for torch takes seconds and a mistake above should not wait for it.

    import_offline()  # first of all, for `training` imports Ultralytics as well
    from ...grafting import train as training

    plan = training.plan_training(model, words, stage=stage, warm=warm or 1, trust=trust)
    for stage_done, folder in zip(plan.stages, training.train(plan)):
        click.echo(f"Trained {stage_done.name}: {folder}")


def _check(model: str, words: tuple[str, ...]) -> None:
    """What can be told without torch; `plan_training` looks at all of it again, and at the rest."""
    if Path(model).suffix.lower() in (".yaml", ".yml"):
        find_model(model)
        refuse_sizes(model)
    else:
        check_checkpoint(Path(model))
    if not any(word.split("=")[0].strip() in _NAMES_DATA for word in words):
        raise TrainingError(NO_DATA)
