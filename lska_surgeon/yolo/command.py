"""What of Ultralytics runs as it stands: its command, its downloader, and what their exceptions say to the user."""

from __future__ import annotations

import linecache
import pickle
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

from ..core.blocks import BlockTable
from ..core.operators import read_row_of_users
from ..declarations.find import VARIABLE
from ..errors import CheckpointError, SurgeonError, extra_of, needs
from ..modelfile.model import read_source
from ..modelfile.sources import is_checkpoint
from ..wording import clean, did_you_mean, numbers
from .environment import environment_problem, first_paragraph, import_offline, in_one_line, quiet

_RAISED = re.compile(r"\s*(raise|assert)\b")
_OURS = ("lska_surgeon", "ultralytics")
#: How torch refuses a checkpoint of old releases of Ultralytics, which don't tell it that they mean more than weights.
_WEIGHTS_ALONE = "Weights only load failed"


def run_yolo(args: list[str]) -> int:
    """Run Ultralytics' own command (`yolo ARGS`) with the names registered; returns its exit code.

    Errors in `args` are Ultralytics' to report, by its own exceptions; see `user_error`.
    """
    lists = [sys.argv]
    saved = [list(sys.argv)]
    sys.argv[:] = ["yolo", *args]
    try:
        from ..nn.parsing import register

        register()
        cfg = import_module("ultralytics.cfg")
        for module in (cfg, import_module("ultralytics.utils")):
            # Ultralytics keeps the argument list of its import; that is ours, unless it was imported long before.
            kept = getattr(module, "ARGV", sys.argv)  # old releases keep none
            if not any(kept is known for known in lists):
                lists.append(kept)
                saved.append(list(kept))
                kept[:] = sys.argv
        cfg.entrypoint()
    except SystemExit as stop:
        if isinstance(stop.code, str):
            raise
        return stop.code or 0
    finally:
        for arguments, content in zip(lists, saved):
            arguments[:] = content
    return 0


def user_error(error: Exception) -> str | None:
    """The user's error that an exception of Ultralytics reports, in one line; None for a bug.

    Ultralytics has no class of its own for errors. What tells them from bugs:

    1. The system refused something: a file that is not there, a download that failed.
    2. Ultralytics wrote the message itself: the exception comes from a `raise` or an `assert` in its own code, and was
       not made of another one that is a bug.
    3. A row of the model names a block that nobody knows, or a package is missing.
    """
    if isinstance(error, pickle.UnpicklingError) and str(error).startswith(_WEIGHTS_ALONE):
        from .doctor import problem_of  # here, for it asks for the versions of all packages

        return problem_of("torch") or first_paragraph(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "ultralytics").split(".")[0] not in _OURS:
        if extra_of(str(error.name)):
            return str(needs(str(error.name)))
        return environment_problem() or (
            f"this needs the module {clean(str(error.name))}, which is not here: if it is yours, name the file that "
            f"declares its blocks in ${VARIABLE}; install a package of that name only if you know it to be the one"
        )
    if isinstance(error, KeyError) and _innermost(error)[1] == "parse_model":
        return in_one_line(error)
    return first_paragraph(error) if _is_reported(error) else None


def _is_reported(error: BaseException) -> bool:
    """Cases 1 and 2."""
    if isinstance(error, (OSError, SyntaxError, pickle.UnpicklingError)):
        return not isinstance(error, BrokenPipeError)
    module, _, line = _innermost(error)
    if module.split(".")[0] != "ultralytics" or not _RAISED.match(line):
        return False
    return error.__cause__ is None or _is_reported(error.__cause__)


def _innermost(error: BaseException) -> tuple[str, str, str]:
    """Module, function and source line that an exception comes from."""
    step = error.__traceback__
    if step is None:
        return "", "", ""
    while step.tb_next is not None:
        step = step.tb_next
    code = step.tb_frame.f_code
    module = str(step.tb_frame.f_globals.get("__name__", ""))
    return module, code.co_name, linecache.getline(code.co_filename, step.tb_lineno)


def moved_rows_note(model: str, weights: str, blocks: BlockTable) -> str | None:
    """A warning of a YAML with inserted rows that is to start from weights; None where there is nothing to warn of.

    Ultralytics matches tensors by their row's number, and says of the rest no more than how many there are.
    """
    if not is_checkpoint(weights) or is_checkpoint(model):
        return None
    try:
        _, document = read_source(model, blocks=blocks)
    except SurgeonError:
        return None  # Ultralytics says what is wrong
    rows = [layer.index for layer in document.layers if layer.kind.is_operator or read_row_of_users(layer)]
    if not rows:
        return None
    return (
        f"Ultralytics matches the tensors of {weights} by row number, and {model} has inserted rows ({numbers(rows)}): "
        f"unless {weights} has them too, the weights behind row {rows[0]} are lost; to keep all: "
        f"lska-surgeon train {shlex.quote(model)} --graft {shlex.quote(weights)}"
    )


def fetch_weights(name: str) -> Path:
    """Download a checkpoint that Ultralytics publishes into the working folder; how far it is goes to stderr.

    Args:
        name: as in the list of Ultralytics' release files, "yolov8s.pt".

    Returns:
        Where it is: in the working folder, or in the folder of weights of Ultralytics' settings, if it was there.

    Raises:
        CheckpointError: no such weights, or they can't be had.
    """
    import_offline()
    downloads = import_module("ultralytics.utils.downloads")
    published = sorted(asset for asset in downloads.GITHUB_ASSETS_NAMES if asset.endswith(".pt"))
    if name not in published:
        raise CheckpointError(
            f"the installed ultralytics publishes no {name}{did_you_mean(name, published)}: give one of its "
            f"{len(published)} weights by its bare name, such as yolov8s.pt, or the path of a .pt that is here"
        )
    target = Path(name)
    try:
        with quiet():
            fetched = Path(downloads.attempt_download_asset(name))
        if not fetched.is_file():
            raise FileNotFoundError(f"there is no file {fetched} after the download")
    except BaseException as error:
        target.unlink(missing_ok=True)  # what older releases leave of a download that was stopped
        if not isinstance(error, (OSError, MemoryError)):
            raise
        why = first_paragraph(error).lstrip("❌ ").rstrip(".")
        raise CheckpointError(
            f"{name} can't be downloaded ({why}): try again with a network, or copy it here from a machine that has "
            f"one (yolo predict model={name})"
        ) from error
    return fetched
