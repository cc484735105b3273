"""Importing torch and what stands on it without the garbage collector looking on."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..yolo.environment import IMPORTING


@contextmanager
def own_process() -> Iterator[None]:
    """Let a verb's imports go `unwatched`: a command's process ends with it, so its collector is ours to set."""
    before = IMPORTING.set(unwatched)
    try:
        yield
    finally:
        IMPORTING.reset(before)


@contextmanager
def unwatched() -> Iterator[None]:
    """Keep the garbage collector from ever looking through what is imported here.

    These imports make a great many objects that live until the end; looking through them takes a fifth of a command.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield  # in somebody else's process, whose collector is not ours to set
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
