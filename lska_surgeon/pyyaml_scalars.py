"""Plain YAML scalars read as PyYAML reads them, since Ultralytics loads its YAMLs with PyYAML; it knows no documents.

ruamel.yaml follows YAML 1.2 (`no` is a string) or all of 1.1 (the scale key `n` becomes False). PyYAML does neither.
"""

from __future__ import annotations

import re

_BOOLS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
_NULLS = {"", "~", "null", "Null", "NULL"}
_INT = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


def read_plain(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar."""
    if text in _NULLS:
        return None
    if text.lower() in _BOOLS and text in (text.lower(), text.capitalize(), text.upper()):
        return _BOOLS[text.lower()]
    if _INT.match(text):
        try:
            return _int(text.replace("_", ""))
        except ValueError:  # `0x_`, or more digits than Python converts: PyYAML refuses the whole file
            return text
    if _FLOAT.match(text):
        number = text.replace("_", "").lower()
        return float(number.replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _int(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    if digits.startswith("0b"):
        return sign * int(digits[2:], 2)
    if digits.startswith("0x"):
        return sign * int(digits[2:], 16)
    if digits.startswith("0") and len(digits) > 1:
        return sign * int(digits, 8)
    return sign * int(digits)
