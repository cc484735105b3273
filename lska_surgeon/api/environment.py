"""The verbs on the environment: blocks that are known, Ultralytics' own command, autoload, and known traps."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..checks.blocks import Inventory, inventory
from ..declarations.find import VARIABLE, building_with, find_blocks, telling_children
from ..errors import BuildError, SurgeonError, missing_package
from ..yolo import command
from ..yolo.autoload import AutoloadStatus, disable, enable, status
from ..yolo.doctor import Diagnosis, diagnose
from ..yolo.trial import TriedStep, attempts, subjects
from .verb import Blocks, PathLike, as_name, listed, log_warning, name_or_none, table_of, verb


@verb
def blocks(source: PathLike | None = None, *, trust: bool = False, blocks: Blocks = None) -> Inventory:
    """The blocks that are known here; of a file, those that are not, each with a declaration to start from.

    >>> import lska_surgeon as ls
    >>> sorted(ls.blocks("yolov8s.yaml").guessed)
    []

    Args:
        source: a model YAML, a Python file with classes, or the folder of a fork of Ultralytics, whose files are parsed
            and not run; None for no file.
        trust: import the Python file, and build and run its classes to see what they take and give; it may do anything.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the file is not there, or is none of them.
        DeclarationError: the declaration or the fork can't be read.
    """
    return inventory(name_or_none(source), table_of(blocks), trust=trust)


@verb
def run_yolo(words: Sequence[str] = (), *, warn: Callable[[str], object] | None = None) -> int:
    """Run Ultralytics' own command with the LSKA blocks registered, as `lska-surgeon yolo` does.

    Custom modules are known by the nearest lska-surgeon.toml, or by the file that $LSKA_SURGEON_BLOCKS names. Weights
    that would be lost, for the rows of the model moved, are warned of first.

    Args:
        words: what stands behind `yolo`: ["detect", "train", "model=variant.yaml", "data=my.yaml"].
        warn: is called with a warning; by default it goes to the log, which is standard error.

    Returns:
        The exit code.

    Raises:
        SurgeonError: Ultralytics refuses a word, a model or data.
    """
    models, starts = _values_of("model", words), _values_of("pretrained", words)
    table = find_blocks(near=models)
    warning = command.moved_rows_note(models[-1], starts[-1], table) if models and starts else None
    if warning:
        (warn or log_warning)(warning)
    try:
        with building_with(table), telling_children(table):
            if table.declarations:
                _import_custom_modules(models)
            return command.run_yolo(list(words))
    except SurgeonError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and missing_package(error):
            raise  # before Ultralytics was
        reason = command.user_error(error)
        if reason is None:
            raise  # a bug is not ours to hide
        raise SurgeonError(f"ultralytics: {reason}") from error


def _values_of(key: str, words: Sequence[str]) -> list[str]:
    return [value for name, _, value in (word.partition("=") for word in words) if name == key]


def _import_custom_modules(models: Sequence[str]) -> None:
    """Before Ultralytics reads the models: it would look in a package index for what it can't import."""
    for file in models:
        if file.endswith(".pt") and Path(file).is_file():
            from ..checkpoints.checkpoint import import_custom_modules

            import_custom_modules(file)


@verb
def autoload(action: Literal["on", "off", "status"] = "status") -> AutoloadStatus:
    """Let plain `yolo`, and every fresh Python process of this environment, find the LSKA blocks.

    Args:
        action: "on" puts one small file into this environment's site-packages, "off" removes it.

    Returns:
        How it is then.

    Raises:
        TargetError: site-packages can't be written, or a fresh Python does not find this package.
    """
    if action == "on":
        return enable()
    if action == "off":
        disable()
    return status()


@verb
def doctor(
    models: PathLike | Sequence[PathLike] = (),
    *,
    try_: bool = False,
    tell: Callable[[TriedStep], object] | None = None,
) -> Diagnosis:
    """Look for the known traps of this environment, each with its remedy; nothing is repaired.

    Imports torch and Ultralytics where they are installed, for nothing else tells whether they work together.

    Args:
        models: what to try every step with: model YAMLs, stock names, or folders with some; none for a few of those
            that the imported Ultralytics has, a fork's own first.
        try_: try every step from `positions` to `ungraft`, in a temporary folder with images made for it.
        tell: is called with each step that was tried.

    Raises:
        DocumentError: a model is not there, or is none.
        DeclarationError: a declaration of custom modules can't be read.
        SurgeonError: there are models, and nothing is to be tried.
    """
    names = [as_name(model) for model in listed(models)]
    if not try_:
        if names:
            typed = f"lska-surgeon doctor --try {shlex.join(names)}"
            raise SurgeonError(f"doctor takes models only to try every step with them: {typed}")
        return diagnose()
    chosen = subjects(names)
    table = find_blocks(near=names)
    return replace(diagnose(), attempts=attempts(chosen, tell or (lambda attempt: None), table))


@verb
def register(*, blocks: PathLike | None = None) -> None:
    """Make the LSKA blocks known to Ultralytics in this process, so that `YOLO("variant.yaml")` builds them.

    A second call changes nothing, and every other verb that needs it does it by itself. A declaration that is named
    holds from then on for this process and those that it starts, as if $LSKA_SURGEON_BLOCKS named it.

    Args:
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        BuildError: the environment can't import torch or Ultralytics; the message says why and what to do.
    """
    try:
        from ..nn.parsing import register as in_this_process
    except ImportError as error:
        from ..yolo.environment import environment_problem

        raise BuildError(environment_problem() or str(error)) from error
    table = find_blocks(name_or_none(blocks))
    with building_with(table):
        in_this_process()
    if blocks is not None:
        os.environ[VARIABLE] = str(table.declarations.path)
