"""What classes are built from and what they give, found by building and running them; for a file that the user trusts.

A class is built on the meta device, where tensors have shapes and no numbers, and on the CPU where it does not run
there: first as its declaration was guessed, then from other arguments. The first that give a map, in a ratio that is
the same for two widths and two sizes, are right.
"""

from __future__ import annotations

import inspect
import math
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ..core.blocks import ADD, ATTENTION, SOURCE_WIDTH, STOCK, VERBATIM, CustomModule, SourceWidth
from ..declarations.guess import WIDTH, WIDTH_OUT
from ..declarations.scan import REPEATS, UNCLEAR, likely_values
from ..wording import a_value
from .declared import class_of, raised, users_code
from .first_run import MAP_SIDES, evaluated, on_the_smallest

_WIDTHS = (64, 128)  # that a class is tried on
_OUT = 192  # the width that a convolution is to give; some blocks only give the one that they get
_MAPS = (2, 3)  # that a fusion is given
_WIDER = (512, 256)  # where a class runs on one width alone, it is mostly one of these
_MOST_TRIES, _MOST_FURTHER = 48, 6
_PATIENCE = 10.0  # seconds for one class: some are whole networks
#: Sizes that may not fit.
_SIZES = re.compile(r"(patch|window|win|grid|region|local)_?(size)?s?|ws|ps|n_?win|wind", re.I)
_SIDES_OF_PARTS = (4, 8, 2)
_LIKE_CONVOLUTION = "Conv"
_LIKE_BLOCK = "C2f"
#: The block whose width is the sum of those that it reads.
_SUM = next(name for name in VERBATIM if STOCK[name].width == "sum")


@dataclass(frozen=True)
class Tried:
    """What came of it.

    Attributes:
        block: the declaration that holds; the guess where none does.
        problem: why none does, in one line.
    """

    block: CustomModule
    problem: str | None = None


def try_class(block: CustomModule, folder: Path) -> Tried:
    """Find a declaration that a class keeps.

    Args:
        block: the guess.
        folder: that of the declaration file that it is to stand in.

    Raises:
        DeclarationError: its module can't be imported.
    """
    trial = _Trial(block, class_of(block, folder))
    until = time.monotonic() + _PATIENCE
    for candidate in islice(trial.candidates(), _MOST_TRIES):
        found = trial.outcome(candidate) if time.monotonic() < until else None
        if isinstance(found, CustomModule):
            return Tried(found)
    return Tried(block, trial.problem_on_one_width() or trial.problem)


class _Given(NamedTuple):
    """Width and side of what a class gave, for maps of a side."""

    width: int
    side: int
    read: int


class _Trial:
    def __init__(self, guess: CustomModule, cls: type[nn.Module]) -> None:
        self.guess, self.cls = guess, cls
        self.problem = ""
        try:
            parameters = list(inspect.signature(cls).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        self.parameters = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]

    def candidates(self) -> Iterator[CustomModule]:
        """Declarations, the likeliest first."""
        yield self.guess
        plain = CustomModule(self.guess.name, self.guess.target, ATTENTION)
        like = [self.guess.like] if self.guess.like in VERBATIM else []
        likes = list(dict.fromkeys([*like, ATTENTION, ADD]))
        required = [one for one in self.parameters if one.default is one.empty]
        choices = [self._values(one.name, at) for at, one in enumerate(required)]
        given = list(islice(product(*choices), _MOST_TRIES // 4))
        if not required and self.parameters:
            given.insert(0, (SOURCE_WIDTH,))
        for values, kind in product(given, likes):
            yield _built_from(replace(plain, like=kind), values)
        for values in self._with_other_sizes(given):
            yield _built_from(plain, values)
        if len(required) < 2 <= len(self.parameters):
            yield _built_from(plain, (SOURCE_WIDTH, SOURCE_WIDTH))
        if len(self.parameters) > 1:
            yield replace(plain, like=_LIKE_BLOCK if self._repeats else _LIKE_CONVOLUTION)

    @property
    def _repeats(self) -> bool:
        """Whether the class takes a number of repeats behind its two widths."""
        return len(self.parameters) > 2 and bool(REPEATS.fullmatch(self.parameters[2].name))

    def _values(self, name: str, at: int) -> tuple[Any, ...]:
        if WIDTH.fullmatch(name) or WIDTH_OUT.fullmatch(name):
            return (SOURCE_WIDTH,)
        values = likely_values(name)
        return (SOURCE_WIDTH, *values) if at == 0 and values is UNCLEAR else (*values, SOURCE_WIDTH)

    def _with_other_sizes(self, given: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Arguments that change the size of windows or patches, which may not divide a map as it is."""
        for at, one in enumerate(self.parameters):
            if one.default is one.empty or not _SIZES.fullmatch(one.name):
                continue
            between = [other.default for other in self.parameters[:at]]
            for values, side in product(given[:1], _SIDES_OF_PARTS):
                filled = [*values, *between[len(values) :]]
                size = [side] * len(one.default) if isinstance(one.default, (list, tuple)) else side
                if inspect.Parameter.empty not in filled and all(map(_is_plain, filled)):
                    yield (*filled, size)

    def outcome(self, block: CustomModule) -> CustomModule | None:
        """The declaration with the width and stride that its class really gives; None where it does not give a map."""
        if STOCK[block.like].is_output:
            return None
        ways = self._ways(block)
        return next(filter(None, (self._outcome(block, *way) for way in ways)), None)

    def _ways(self, block: CustomModule) -> Iterator[tuple[int, Any, tuple[Any, ...]]]:
        """How a row may be of such a block: how many maps it reads, its width, and further arguments."""
        if block.like in VERBATIM:
            yield from ((count, None, ()) for count in (_MAPS if STOCK[block.like].is_fusion else (1,)))
            return
        known = 3 if self._repeats else 2
        further = [self._values(one.name, 1) for one in self.parameters[known:] if one.default is one.empty]
        yield from ((1, out, values) for values in islice(product(*further), _MOST_FURTHER) for out in (_OUT, None))

    def _outcome(self, block: CustomModule, count: int, out: Any, further: tuple[Any, ...]) -> CustomModule | None:
        rows = [self._row(block, [width] * count, out, further) for width in _WIDTHS]
        narrow = self._given(rows[0], [_WIDTHS[0]] * count)
        wide = self._given(rows[1], [_WIDTHS[1]] * count) if narrow else None
        if not narrow or not wide:
            return None
        strides = {one.read / one.side for one in narrow}
        stride = strides.pop()
        if strides or math.log2(stride) % 1:
            sides, given = (" and ".join(str(side) for side in sides) for sides in zip(*(one[1:] for one in narrow)))
            self._say(rows[0], f"gives maps of {sides} pixels for those of {given}")
            return None
        changed = None if stride == 1 else stride
        widths = (narrow[0].width, wide[0].width)
        if block.like not in VERBATIM:
            if widths == ((_OUT, _OUT) if out else _WIDTHS):
                return replace(block, stride=changed)
            self._say(rows[0], f"gives {widths[0]} channels")
            return None
        if count > 1 and widths == (count * _WIDTHS[0], count * _WIDTHS[1]):
            return replace(block, like=_SUM, stride=changed, width=None)
        rule = _rule(*widths)
        like = ADD if count > 1 else ATTENTION
        return replace(block, like=like, stride=changed, width=None if rule == "c" else rule) if rule else None

    def _row(self, block: CustomModule, read: list[int], out: Any, further: tuple[Any, ...]) -> list[Any]:
        """What a class is built from."""
        if block.like in VERBATIM:
            own = list(block.args)
            first = [list(read) if len(read) > 1 else read[0]] if block.channels_first else []
        else:
            own, first = list(further), [read[0], out or read[0], *([1] if self._repeats else [])]
        return [*first, *(read[0] if isinstance(value, SourceWidth) else value for value in own)]

    def _given(self, row: list[Any], read: list[int]) -> list[_Given] | None:
        """What comes of maps of each size; None where the class fails, or gives no map."""
        ends = MAP_SIDES[:1]  # on the CPU, where attention of all pixels to all takes memory
        for device in ("meta", "cpu"):
            try:
                with _quietly(), torch.device(device):
                    module = self.cls(*row)
                    with evaluated(module):
                        shapes = on_the_smallest(
                            partial(_shapes, module, read), MAP_SIDES if device == "meta" else ends
                        )
            except (Exception, SystemExit) as error:  # a class of the user's may raise anything
                problem = raised(error)
                if device == "meta" and (isinstance(error, NotImplementedError) or "meta" in str(error)):
                    continue
                self._say(row, f"fails: {problem}")
                return None
            given = [shape for shape in shapes if isinstance(shape, _Given)]
            if len(given) < len(shapes):
                self._say(row, f"gives {shapes[0]}, which is no map")
            return given if len(given) == len(shapes) else None
        return None

    def _say(self, row: Sequence[Any], problem: str) -> None:
        """Keep the problem of the guess, which is the likeliest."""
        self.problem = self.problem or f"{self.cls.__name__}({', '.join(map(repr, row))}) {problem}"

    def problem_on_one_width(self) -> str | None:
        """Said of a class that runs on a single width, whatever it is given."""
        for width in _WIDER:
            if self.guess.like == ATTENTION and self._given(self._row(self.guess, [width], None, ()), [width]):
                return (
                    f"{self.cls.__name__} runs on {width} channels, and not on {_WIDTHS[0]}: a part of it keeps a "
                    "width of its own, which its constructor has to hand on"
                )
        return None


def _built_from(block: CustomModule, values: Sequence[Any]) -> CustomModule:
    """A declaration by which the class is built from these arguments."""
    first = bool(values) and isinstance(values[0], SourceWidth) and block.like == ATTENTION
    return replace(block, channels_first=first, args=tuple(values[first:]))


def _rule(narrow: int, wide: int) -> str | None:
    """The width that comes out, by that which goes in."""
    if narrow == wide:
        return str(narrow)
    if narrow * _WIDTHS[1] != wide * _WIDTHS[0]:
        return None
    times, rest = divmod(narrow, _WIDTHS[0])
    if not rest:
        return "c" if times == 1 else f"{times}*c"
    return None if _WIDTHS[0] % narrow else f"c/{_WIDTHS[0] // narrow}"


def _maps(read: Sequence[int], side: int) -> Any:
    maps = [torch.zeros(2, width, side, side) for width in read]
    return maps if len(maps) > 1 else maps[0]


def _shapes(module: nn.Module, read: Sequence[int], side: int) -> list[_Given | str]:
    """What comes of maps of a side, and of twice as large ones."""
    return [_shape(module(_maps(read, one)), one) for one in (side, 2 * side)]


def _shape(given: Any, read: int) -> _Given | str:
    """Width and side of a map; any other value in words."""
    if not isinstance(given, torch.Tensor):
        return a_value(given)
    shape = list(given.shape)
    if len(shape) == 4 and shape[0] == 2 and shape[2] == shape[3]:
        return _Given(shape[1], shape[2], read)
    return "x".join(map(str, shape))


def _is_plain(value: Any) -> bool:
    """Whether a declaration can say it."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str, SourceWidth))


@contextmanager
def _quietly() -> Iterator[None]:
    """What code of the user's prints is nobody's, and the random numbers that it takes are given back."""
    with users_code(), warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        yield
