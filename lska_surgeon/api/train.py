"""The verb `train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.find import check_checkpoint, means_yaml
from ..declarations.find import active_blocks, telling_children
from ..errors import TrainingError
from ..grafting.input_files import check_words
from ..model_yaml.find import find_model
from ..yolo.environment import import_offline
from ..yolo.precheck import refuse_sizes
from .arguments import PathLike, as_name, one_of
from .own_blocks import with_own_blocks

#: What to train: every layer, the operators alone, or first these and then every layer.
STAGES = ("all", "attention", "both")


@with_own_blocks
def train(
    model: PathLike,
    *,
    stage: str = "all",
    warm: int = 1,
    trust: bool = False,
    blocks: PathLike | None = None,
    **ultralytics: Any,
) -> list[Path]:
    """Train a grafted checkpoint or a variant, as Ultralytics trains any model; nothing is downloaded or installed.

    Args:
        model: path of a .pt, or of a model YAML.
        stage: "all" trains every layer, "attention" the operators alone, "both" first these and then every layer.
        warm: epochs of the first run of "both".
        trust: load a file even if it names code that is not on the allow-list; it may then run anything.
        ultralytics: Ultralytics' own arguments, as `YOLO(...).train` takes them: data="my.yaml", epochs=100, ...
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Returns:
        The folder of each run.

    Raises:
        TrainingError: an argument, the data or the device is wrong.
        SurgeonError: the model can't be read or built.
    """
    return train_with(model, ultralytics, stage=stage, warm=warm, trust=trust)


def train_with(
    model: PathLike,
    options: Mapping[str, Any] | Sequence[str],
    *,
    stage: str = "all",
    warm: int = 1,
    trust: bool = False,
) -> list[Path]:
    """The same with Ultralytics' arguments by name, or as the words `key=value` that `yolo train` takes."""
    one_of(stage, STAGES, "stage")
    if warm < 1:
        raise TrainingError(f"warm {warm} is no number of epochs: give 1 or more")
    _look_at(Path(model))
    words = [f"{key}={value}" for key, value in options.items()] if isinstance(options, Mapping) else options
    check_words(words, model=str(as_name(model)))
    import_offline()  # here, for it takes seconds, and before all else, for what follows imports Ultralytics as well
    from ..grafting import train as training

    plan = training.plan_training(str(as_name(model)), options, stage=stage, warm=warm, trust=trust)
    with telling_children(active_blocks()):
        return training.train(plan)


def _look_at(path: Path) -> None:
    """What can be told without torch; the plan looks at all of it again, and at the rest."""
    if means_yaml(str(path)):
        find_model(str(path))
        refuse_sizes(path)
    else:
        check_checkpoint(path)
