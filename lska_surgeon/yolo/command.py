"""Ultralytics' own command, with the blocks known to it."""

from __future__ import annotations

import importlib
import sys


def run_yolo(args: list[str]) -> int:
    """Run Ultralytics' own command (`yolo ARGS`) with the names registered; returns its exit code.

    Mistakes in `args` are Ultralytics' to report, by its own exceptions.
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
