"""The verb `train`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..declarations.find import active_blocks, telling_children
from ..errors import ChangedOutputsError, TrainingError
from ..grafting.input_files import check_words
from ..modelfile.sources import means_yaml
from ..yolo.environment import import_offline
from .arguments import PathLike, as_name, one_of
from .own_blocks import with_own_blocks
from .sources import look_at

#: What to train: every layer, the operators alone, or first these and then every layer.
STAGES = ("all", "attention", "both")


@with_own_blocks
def train(
    model: PathLike,
    *,
    stage: str = "all",
    warm: int = 1,
    graft: PathLike | None = None,
    trust: bool = False,
    blocks: PathLike | None = None,
    **ultralytics: Any,
) -> list[Path]:
    """Train a grafted checkpoint or a variant, as Ultralytics trains any model; nothing is downloaded or installed.

    Args:
        model: path of a .pt, or of a model YAML.
        stage: "all" trains every layer, "attention" the operators alone, "both" first these and then every layer.
        warm: epochs of the first run of "both".
        graft: a trained checkpoint to start from; it is grafted into `model`, a variant YAML, so that every weight is
            kept (Ultralytics' own `pretrained` matches tensors by row number, and the rows of a variant moved).
        trust: load a file even if it names code that is not on the allow-list; it may then run anything.
        ultralytics: Ultralytics' own arguments, as `YOLO(...).train` takes them: data="my.yaml", epochs=100, ...
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Returns:
        The folder of each run.

    Raises:
        TrainingError: an argument, the data or the device is wrong.
        SurgeonError: the model can't be read or built.
    """
    return train_with(model, ultralytics, stage=stage, warm=warm, graft=graft, trust=trust)


def train_with(
    model: PathLike,
    options: Mapping[str, Any] | Sequence[str],
    *,
    stage: str = "all",
    warm: int = 1,
    graft: PathLike | None = None,
    trust: bool = False,
) -> list[Path]:
    """The same with Ultralytics' arguments by name, or as the words `key=value` that `yolo train` takes."""
    one_of(stage, STAGES, "stage")
    if warm < 1:
        raise TrainingError(f"warm {warm} is no number of epochs: give 1 or more")
    look_at(model, "yaml" if means_yaml(str(model)) else "checkpoint", built=True)
    words = [f"{key}={value}" for key, value in options.items()] if isinstance(options, Mapping) else options
    check_words(words, model=str(as_name(model)))
    if graft is not None:
        _look_at_graft(str(as_name(model)), Path(graft), words)
    import_offline()  # here, for it takes seconds, and before all else, for what follows imports Ultralytics as well
    from ..grafting import train as training

    with (
        _start(str(as_name(model)), None if graft is None else Path(graft), trust) as source,
        telling_children(active_blocks()),
    ):
        plan = training.plan_training(source, options, stage=stage, warm=warm, trust=trust)
        return training.train(plan)


def _look_at_graft(model: str, checkpoint: Path, words: Sequence[str]) -> None:
    if not means_yaml(model):
        raise TrainingError(
            f"--graft puts a checkpoint into a variant YAML, and {model} is none: drop it, or give a YAML"
        )
    for word in words:
        if word.partition("=")[0].strip() in ("pretrained", "resume"):
            raise TrainingError(f"--graft {checkpoint} and {word} both say where to start: give one of them")
    look_at(checkpoint, "checkpoint")


@contextmanager
def _start(model: str, checkpoint: Path | None, trust: bool) -> Iterator[str]:
    """What Ultralytics is given: the model, or while it trains a file of the checkpoint grafted into it."""
    if checkpoint is None:
        yield model
        return
    from ultralytics.utils import LOGGER

    from .graft import graft

    with tempfile.TemporaryDirectory() as folder:
        try:
            done = graft(checkpoint, into=model, trust=trust, output=Path(folder, f"{Path(model).stem}.pt"))
        except ChangedOutputsError as error:
            gate = f", or write {', '.join(error.bare)} as insert --gated does" if error.bare else ""
            remedy = f"graft it with lska-surgeon graft {checkpoint} --into {model} --init default, and train that"
            raise TrainingError(f"{error.problem}: {remedy}{gate}") from error
        LOGGER.info(f"lska-surgeon: {checkpoint} grafted into {model}: {done.certificate.line}")
        yield str(done.write())
