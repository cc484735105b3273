"""Which of Ultralytics' exceptions tell the user of an error, in one line; anything else is a bug, and stays whole.

Ultralytics has no class of its own for errors. What tells them from bugs:

1. The system refused something: a file that is not there, a download that failed.
2. Ultralytics wrote the message itself: the exception comes from a `raise` or an `assert` in its own code, and was not
   made of another one that is a bug.
3. A row of the model names a block that nobody knows, or a package is missing.
"""

from __future__ import annotations

import linecache
import pickle
import re

from ..declarations.find import VARIABLE
from ..errors import extra_of, needs
from ..wording import clean
from .environment import environment_problem
from .exceptions import first_paragraph, in_one_line

_SAID_SO = re.compile(r"\s*(raise|assert)\b")


_OURS = ("lska_surgeon", "ultralytics")


def user_error(error: Exception) -> str | None:
    """What the user did wrong, in one line; None for a bug."""
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] not in _OURS:
        if extra_of(error.name):
            return str(needs(error.name))
        return environment_problem() or (
            f"this needs the module {clean(error.name)}, which is not here: if it is yours, name the file that "
            f"declares its blocks in ${VARIABLE}; install a package of that name only if you know it to be the one"
        )
    if isinstance(error, KeyError) and _innermost(error)[1] == "parse_model":
        return in_one_line(error)
    return first_paragraph(error) if _is_told(error) else None


def _is_told(error: BaseException) -> bool:
    """Cases 1 and 2."""
    if isinstance(error, (OSError, SyntaxError, pickle.UnpicklingError)):
        return not isinstance(error, BrokenPipeError)
    module, _, line = _innermost(error)
    if module.split(".")[0] != "ultralytics" or not _SAID_SO.match(line):
        return False
    return error.__cause__ is None or _is_told(error.__cause__)


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
