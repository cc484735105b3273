"""Ultralytics' own training of a grafted checkpoint or a variant, in stages; it knows no optimizer and no epoch.

`run_trainer` is the one door to Ultralytics' trainer. What is trained, and every file that an argument names, is looked
through before Ultralytics reads it, and so is what a checkpoint that is resumed says of data and arguments.

A stage is one run of Ultralytics' trainer. `attention` freezes all but the operators, through Ultralytics' own `freeze`
argument, so that the run's files say what was frozen and `resume=True` freezes it again; `all` freezes nothing. What
the data keep from being carried over (`freezing.not_carried`) trains in every stage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..checkpoints.checkpoint import open_network, read_checkpoint
from ..checkpoints.contents import Checkpoint
from ..errors import BuildError, CheckpointError, SurgeonError, TrainingError
from ..modelfile.sources import find_source, is_checkpoint, means_yaml
from ..nn import named_operators
from ..yolo.build import build, layers_of
from ..yolo.command import user_error
from ..yolo.doctor import problem_of
from ..yolo.environment import first_paragraph, import_offline, quiet
from .input_files import CHECKPOINTS, file_arguments, with_settings

#: `--stage` value -> the runs that it stands for.
STAGES = {"all": ("all",), "attention": ("attention",), "both": ("attention", "all")}
#: Arguments of Ultralytics that the command line has a place of its own for.
_ELSEWHERE = ("model", "mode", "task")
#: What a training that is resumed takes from the checkpoint, where no argument says it, of all that names a file.
_OF_RESUMED = ("data", "distill_model")
#: How Ultralytics refuses an argument.
_REFUSALS = (AssertionError, OSError, SyntaxError, TypeError, ValueError)


@dataclass(frozen=True)
class Stage:
    """One run of Ultralytics' trainer.

    Attributes:
        name: "attention" or "all".
        options: the arguments of `YOLO.train`.
    """

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Training:
    """What is to be trained, checked as far as it can be without a start.

    Attributes:
        source: the checkpoint or model YAML, as Ultralytics takes it.
        stages: the runs; each one after the first goes on from the weights that the one before has left.
        trust: let the files run what they say.
    """

    source: str
    stages: tuple[Stage, ...]
    trust: bool = False


def plan_training(
    source: str, given: Mapping[str, Any] | Sequence[str], *, stage: str = "all", warm: int = 1, trust: bool = False
) -> Training:
    """Check everything that can be checked before training begins; nothing is written.

    Args:
        source: a checkpoint (.pt), or a model YAML.
        given: Ultralytics' arguments, by name or as words `key=value`.
        stage: one of `STAGES`.
        warm: epochs of the first run of "both".
        trust: load a checkpoint even if it names code that is not on the allow-list.

    Raises:
        SurgeonError: the source can't be read or built, an argument is wrong, or the data are not here.
    """
    import_offline()
    problem = problem_of("numpy")
    if problem:
        raise TrainingError(problem)
    options = check_options(given if isinstance(given, Mapping) else _options_in(given))
    refuse_unsafe_files(options, trust=trust)
    if means_yaml(source):
        source = str(Path(source).with_name(find_source(source).name))  # by a bare name Ultralytics means a checkpoint
        model = _check_yaml(source, stage, options, trust)
    else:
        checkpoint = read_checkpoint(source, trust=trust)
        model = _check_checkpoint(checkpoint, stage, options)
        if options.get("resume"):
            resumed = {**checkpoint.train_args, **options}
            refuse_unsafe_files({key: resumed.get(key) for key in _OF_RESUMED}, trust=trust)
            options["data"] = resumed.get("data")
    _check_data(model, options)
    return Training(source, tuple(_stages(model, stage, warm, options)), trust)


def train(training: Training) -> list[Path]:
    """Train, stage after stage.

    Returns:
        The folder of each run.

    Raises:
        TrainingError: Ultralytics refuses the device or an argument, or misses a package.
    """
    folders: list[Path] = []
    source = training.source
    for stage in training.stages:
        trainer = run_trainer(source, stage.options, trust=training.trust)
        folders.append(Path(trainer.save_dir))
        source = str(trainer.last)
    return folders


def run_trainer(
    source: str,
    options: Mapping[str, Any],
    *,
    trust: bool = False,
    prepare: Callable[[Any], object] = lambda network: None,
    adapt: Callable[[Any], Any] = lambda trainer: trainer,
) -> Any:
    """Train with Ultralytics' trainer, sealed off; returns that trainer.

    Args:
        source: a checkpoint, or a model YAML, as Ultralytics takes it.
        options: Ultralytics' arguments, by name.
        trust: let the files run what they say; the data never may.
        prepare: is given the `YOLO` object before it trains.
        adapt: is given one of `TRAINERS`, and returns that or a class that extends it.

    Raises:
        SurgeonError: a file would run something, the data are not here, or Ultralytics refuses.
    """
    from .trainers import TRAINERS, sealed

    try:
        with sealed(), open_network(source, trust=trust) as network:
            if network.task not in TRAINERS:
                raise TrainingError(f"no training for {network.task} models here, only for {', '.join(TRAINERS)}")
            prepare(network)
            network.train(trainer=adapt(TRAINERS[network.task]), **with_settings(options))
    except Exception as error:
        reason = None if isinstance(error, SurgeonError) else user_error(error)
        if reason is None:
            raise
        raise TrainingError(f"ultralytics: {reason}") from error
    return network.trainer


def refuse_unsafe_files(options: Mapping[str, Any], folder: Path = Path(), *, trust: bool = False) -> None:
    """Refuse arguments that name a checkpoint which can't be read, or would run something; a `cfg` file is opened.

    Args:
        options: Ultralytics' arguments, by name.
        folder: where a relative path begins.
        trust: let the checkpoints run what they say.

    Raises:
        CheckpointError: one of the checkpoints is such.
        TrainingError: the `cfg` file can't be read.
    """
    for key, path in file_arguments(options, folder).items():
        if key in CHECKPOINTS or is_checkpoint(path):
            read_checkpoint(path, trust=trust)


def _options_in(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as Ultralytics reads them: a bare word switches a flag on.

    Raises:
        TrainingError: a word is no argument of Ultralytics; the message is Ultralytics'.
    """
    from ultralytics import cfg

    options: dict[str, Any] = {}
    try:
        with quiet():
            for word in cfg.merge_equals_args(list(words)):
                key, value = cfg.parse_key_value_pair(word) if "=" in word else (word, True)
                if value is True and "=" not in word and not isinstance(cfg.DEFAULT_CFG_DICT.get(key), bool):
                    raise TrainingError(f"{word!r} is no argument: give Ultralytics' as key=value, such as epochs=100")
                options[key] = value
    except _REFUSALS as error:
        raise TrainingError(f"ultralytics: {first_paragraph(error)}") from error
    return options


def check_options(given: Mapping[str, Any], folder: Path = Path()) -> dict[str, Any]:
    """Ultralytics' arguments by name, those of a `cfg` file among them, once Ultralytics has looked at them.

    Args:
        given: the arguments.
        folder: where a relative path begins.

    Raises:
        TrainingError: one is no argument of Ultralytics, or has a wrong value; the message is Ultralytics'.
    """
    from ultralytics import cfg

    named = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in given.items()}
    options = with_settings(named, folder)
    misplaced = [key for key in _ELSEWHERE if options.get(key) is not None]
    if misplaced:
        raise TrainingError(f"{misplaced[0]}= has no place here: lska-surgeon train MODEL data=FILE epochs=N")
    try:
        with quiet():
            cfg.get_cfg(cfg.DEFAULT_CFG, options)
    except _REFUSALS as error:
        raise TrainingError(f"ultralytics: {first_paragraph(error)}") from error
    return options


def _stages(model: nn.Module, stage: str, warm: int, options: Mapping[str, Any]) -> Iterator[Stage]:
    from .trainers import frozen_parts

    for name in STAGES[stage]:
        chosen = dict(options)
        if name == "attention":
            chosen["freeze"] = frozen_parts(model)
        if name == "attention" and stage == "both":
            chosen["epochs"] = warm
            chosen["name"] = f"{options.get('name') or 'train'}-warm"
        yield Stage(name, chosen)


def _check_yaml(source: str, stage: str, options: Mapping[str, Any], trust: bool) -> nn.Module:
    """The model of a YAML, built to see that it does."""
    if stage != "all":
        raise TrainingError(
            f"--stage {stage} keeps trained layers as they are, and {source} has none: give a grafted checkpoint"
        )
    if options.get("resume"):
        raise TrainingError(f"{source} has no training to resume: give the run's weights/last.pt")
    model = find_source(source)
    return build(model.path, named=model.scale, trust=trust)


def _check_checkpoint(checkpoint: Checkpoint, stage: str, options: Mapping[str, Any]) -> nn.Module:
    path, model = checkpoint.path, checkpoint.needed_model()
    if checkpoint.kind != "checkpoint" or path.suffix.lower() != ".pt":
        raise CheckpointError(f"ultralytics trains .pt files that model.save(FILE) wrote: save {path} that way")
    if path.suffix != ".pt":
        raise CheckpointError(f"ultralytics knows a checkpoint by .pt: rename {path} to {path.with_suffix('.pt')}")
    if options.get("resume"):
        _check_resume(checkpoint, stage, options)
    elif stage != "all" and not any(True for _ in named_operators(model)):
        raise TrainingError(f"{path} has no operator to train: put one in with lska-surgeon graft {path} --at neck")
    if stage != "all" and options.get("pretrained") is False:
        raise TrainingError(f"--stage {stage} keeps trained layers as they are, and pretrained=False drops them")
    try:
        layers_of(checkpoint.yaml or {}, f"the YAML in {path}", trust=checkpoint.trusted)
    except BuildError as error:
        raise TrainingError(
            f"training rebuilds the model, and {error}: train it with a release of ultralytics that builds it"
        ) from error
    if stage == "attention" and options.get("freeze") is not None:
        raise TrainingError("--stage attention says what is frozen: drop freeze=, or take --stage all")
    return model


def _check_resume(checkpoint: Checkpoint, stage: str, options: Mapping[str, Any]) -> None:
    path = checkpoint.path
    if stage != "all":
        raise TrainingError(f"resume=True goes on with the stage that {path} is in: drop --stage {stage}")
    if options["resume"] is not True:
        raise TrainingError(f"give the file to resume as the model: lska-surgeon train {options['resume']} resume=True")
    if checkpoint.data.get("optimizer") is None:
        raise TrainingError(f"{path} has no interrupted training to resume: drop resume=True to start a new one")
    _refuse_links(path)


def _refuse_links(checkpoint: Path) -> None:
    """Raise for links in the run's folder, through which a training that goes on in it would write elsewhere."""
    from .trainers import run_of

    folder = run_of(checkpoint)
    parts = () if folder is None else (folder, folder / "weights")
    link = next((path for part in parts for path in sorted(part.iterdir()) if path.is_symlink()), None)
    if link:
        raise TrainingError(f"{link} is a symbolic link, and no training leaves one: move it away")


def _check_data(model: nn.Module, options: Mapping[str, Any]) -> None:
    """Raise where Ultralytics would not find the data, or would fetch them."""
    from ultralytics.data.utils import check_det_dataset
    from ultralytics.nn.tasks import guess_model_task

    from .trainers import TRAINERS, refuse_fetching, sealed

    with quiet():
        task = guess_model_task(model)
    if task not in TRAINERS:
        raise TrainingError(f"no training for {task} models here, only for {', '.join(TRAINERS)}: use yolo train")
    data = options.get("data")
    refuse_fetching(data, task)
    if task == "classify":
        return
    try:
        with quiet(), sealed():
            check_det_dataset(data, autodownload=False)
    except Exception as error:  # it does nothing but read files of the user's, and fails on what it did not foresee
        raise TrainingError(f"ultralytics: {first_paragraph(error) or type(error).__name__}") from error
