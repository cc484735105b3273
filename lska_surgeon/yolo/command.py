"""Ultralytics' own command, with the blocks known to it."""

from __future__ import annotations

import importlib
import shlex
import sys

from ..core.blocks import BlockTable
from ..core.other_operators import read_row_of_users
from ..errors import SurgeonError
from ..modelfile.model import read_source
from ..modelfile.sources import is_checkpoint
from ..wording import numbers


def run_yolo(args: list[str]) -> int:
    """Run Ultralytics' own command (`yolo ARGS`) with the names registered; returns its exit code.

    Errors in `args` are Ultralytics' to report, by its own exceptions.
    """
    lists = [sys.argv]
    saved = [list(sys.argv)]
    sys.argv[:] = ["yolo", *args]
    try:
        from ..nn.registration import register

        register()
        cfg = importlib.import_module("ultralytics.cfg")
        for module in (cfg, importlib.import_module("ultralytics.utils")):
            # Ultralytics keeps the argument list of its import; that is ours, unless it was imported long before.
            if not any(module.ARGV is known for known in lists):
                lists.append(module.ARGV)
                saved.append(list(module.ARGV))
                module.ARGV[:] = sys.argv
        cfg.entrypoint()
    except SystemExit as stop:
        if isinstance(stop.code, str):
            raise
        return stop.code or 0
    finally:
        for arguments, content in zip(lists, saved):
            arguments[:] = content
    return 0


def moved_rows_note(model: str, weights: str, blocks: BlockTable) -> str | None:
    """What to tell of a YAML with inserted rows that is to start from weights; None where there is nothing.

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
