"""What may stand beside the rows of a model YAML: the number of classes, scales, ...; it knows nothing of the rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..wording import clean, shown
from .shapes import MOST_CHANNELS, numbers_in

#: Settings that a size is made of.
_SIZES = ("nc", "channels", "ch", "kpt_shape", "reg_max")
#: A value with words behind it, as it is left by a comment that lost its #.
_WORDS_BEHIND = re.compile(r"(-?[\d.]+|True|true|False|false|\[.*\]) +\w.*")


def settings_problems(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every setting that has a wrong type, with what to write, or that makes no size, such as a million classes.

    Keys that Ultralytics does not read are their author's own.
    """
    for key, (is_right, what, example) in _SETTINGS.items():
        if key in settings and not is_right(settings[key]):
            value = settings[key]
            found = "empty" if value is None else clean(shown(value), 40)
            yield key, f"{key} is {found}, and has to be {what}{_remedy(key, value, example)}"
    for key in _SIZES:
        absurd = next((one for one in numbers_in([settings.get(key)]) if not abs(one) <= MOST_CHANNELS), None)
        if absurd is not None:
            yield key, f"{key} is {absurd}: it may be at most {MOST_CHANNELS}"


def _remedy(key: str, value: Any, example: str) -> str:
    """What to write: where a # was lost what was meant, else an example."""
    meant = _WORDS_BEHIND.fullmatch(value) if isinstance(value, str) else None
    if meant is None:
        return f", such as {key}: {example}"
    return f": write {key}: {clean(meant[1], 20)} # {clean(value[meant.end(1) :].strip(), 20)}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_factor(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_scales(value: Any) -> bool:
    return not value or isinstance(value, Mapping)


def _is_keypoints(value: Any) -> bool:
    return value is None or (isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_whole, value)))


def _is_switch(value: Any) -> bool:
    return value is None or value in (False, True)


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _or_empty(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: not value or test(value)


#: What Ultralytics reads -> whether it is that, what it is, and an example.
_SETTINGS: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "nc": (_is_whole, "the number of classes", "80"),
    "scales": (_is_scales, "a mapping of letters", "{n: [0.33, 0.25, 1024]}"),
    "scale": (_or_empty(lambda value: isinstance(value, str)), "one letter of scales", "n"),
    "depth_multiple": (_is_factor, "a number", "0.33"),
    "width_multiple": (_is_factor, "a number", "0.25"),
    "max_channels": (_is_factor, "a number", "1024"),
    "ch": (_or_empty(_is_whole), "the number of the image's channels", "3"),
    "channels": (_or_empty(_is_whole), "the number of the image's channels", "3"),
    "kpt_shape": (_is_keypoints, "the number of keypoints, and 2 or 3 numbers for each", "[17, 3]"),
    "activation": (_is_word, "a module of torch", "nn.ReLU()"),
    "reg_max": (_is_whole, "a whole number from 1 on", "16"),
    "end2end": (_is_switch, "true or false", "true"),
    "text_model": (_is_word, "the name of a text encoder", "mobileclip:blt"),
    "inplace": (_is_switch, "true or false", "true"),
}
