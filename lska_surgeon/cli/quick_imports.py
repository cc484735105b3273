"""Importing torch and what stands on it without the garbage collector looking on."""

from contextlib import nullcontext

from ..yolo.environment import importing

#: Kept for commands that wrap all of their work; whoever imports torch does so within `importing` by itself.
own_process, unwatched = nullcontext, importing
