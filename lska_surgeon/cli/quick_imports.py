"""Importing torch and what stands on it without the garbage collector looking on."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
