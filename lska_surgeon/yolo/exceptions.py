"""What an exception of Ultralytics says, in one line."""

from __future__ import annotations

import re
from types import TracebackType

from ..wording import clean, one_line


def in_one_line(error: BaseException) -> str:
    """The error, with the layer at which Ultralytics was when it happened."""
    where, block = _layer_of(error.__traceback__)
    text = one_line(error)
    if isinstance(error, KeyError):
        missing = error.args[0]
        text = f"ultralytics has no module {missing}" if missing == block else f"the model has no {missing!r}"
    elif not isinstance(error, FileNotFoundError):
        text = f"{type(error).__name__}: {text}"
    return where + text


def _layer_of(traceback: TracebackType | None) -> tuple[str, str]:
    """Where in the model an error came from, "layer 3 (C2f): ", and the block's name; both empty if from nowhere."""
    index, block = None, ""
    while traceback is not None:
        name, values = traceback.tb_frame.f_code.co_name, traceback.tb_frame.f_locals
        if name == "parse_model" and "layers" in values and "i" in values:
            index, module = values["i"], values["m"]
            block = getattr(module, "__name__", None) or clean(str(module), 40)  # a row may name anything
        elif name == "_predict_once" and hasattr(values.get("m"), "type"):
            index, block = values["m"].i, values["m"].type.rpartition(".")[2]
        traceback = traceback.tb_next
    return ("" if index is None else f"layer {index} ({block}): "), block


_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def first_paragraph(error: BaseException) -> str:
    """What Ultralytics says is wrong, in one line: its first paragraph, without colours."""
    text = str(error).strip().split("\n\n")[0]
    return one_line(_COLOUR.sub("", text))
