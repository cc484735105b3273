"""How much of anything a checkpoint may hold before it is loaded; it knows nothing of what a pickle means.

Measured on the stock models, half precision, as a training leaves them, the largest of each: 0.45 MB of pickle and
191,000 opcodes (yolov9e), 1,800 records, 44 levels. In the middle of a training, with AdamW and an averaged copy:
1.3 MB, 489,000 opcodes, 6,400 records. Tensors lie outside of the pickle, and are as large as they like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from ..errors import CheckpointError

MOST_PICKLE_BYTES = 32 * 2**20
#: An opcode is one step; what takes memory or copies something is several. About 64 bytes each.
MOST_STEPS = 12_000_000
MOST_DEPTH = 200
#: Of a content that names one part many times, when it is written out in full.
MOST_UNFOLDED = 1_000_000
MOST_RECORDS = 100_000
MOST_DIRECTORY_BYTES = 16 * 2**20
#: `torch.save` compresses nothing; a file that was packed again may unfold to so much more than it has bytes.
UNFOLDS, UNFOLDS_ANYWAY = 4, 64 * 2**20

_PLAIN = (dict, list, tuple, set, frozenset)


class TooLarge(CheckpointError):
    """A pickle that has more of something than any checkpoint; it says of what, to stand behind `holds`."""


def most_unfolded_bytes(size: int) -> int:
    """What the records of a file of so many bytes may have together, and its tensors elements."""
    return max(UNFOLDS * size, UNFOLDS_ANYWAY)


class Budget:
    """What the pickles of one file may still cost.

    Args:
        numbers: how many elements all their tensors may have: one that repeats its elements takes no bytes in the file.
    """

    def __init__(self, numbers: int) -> None:
        self.bytes, self._steps = MOST_PICKLE_BYTES, MOST_STEPS
        self._numbers = self._most_numbers = numbers

    def spend(self, steps: int) -> None:
        """Raises TooLarge when no steps are left."""
        self._steps -= steps
        if self._steps < 0:
            raise TooLarge(f"a pickle of more than {MOST_STEPS:,} steps")

    def take_numbers(self, count: int) -> None:
        """Raises TooLarge when tensors have more elements than the file has room for."""
        self._numbers -= max(count, 0)
        if self._numbers < 0:
            raise TooLarge(f"tensors of more than {self._most_numbers:,} elements, for which the file has no room")


class Bounded:
    """A stream of which no more is read than the budget has bytes, whatever length the pickle claims."""

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
        self._stream, self._budget = stream, budget

    def read(self, size: int) -> bytes:
        return self._counted(self._stream.read(min(size, self._budget.bytes + 1)))

    def readline(self) -> bytes:
        return self._counted(self._stream.readline(self._budget.bytes + 1))

    def _counted(self, data: bytes) -> bytes:
        self._budget.bytes -= len(data)
        if self._budget.bytes < 0:
            raise TooLarge(f"a pickle of more than {MOST_PICKLE_BYTES:,} bytes")
        return data


def walk(root: Any, parts: Callable[[Any], Iterable[Any] | None]) -> Iterator[Any]:
    """Everything in `root` that has parts, each once, depth first; what reads it later may do so by recursion.

    Args:
        root: where to begin.
        parts: what something holds; None for what holds nothing.

    Raises:
        TooLarge: it is nested too deep, contains itself, or names its parts so often that it has no end in practice.
    """
    sizes: dict[int, int] = {}  # written out in full; 0 while it is open
    path: list[Any] = [[None, iter([root]), 0]]
    while path:
        top = path[-1]
        for part in top[1]:
            inside = parts(part)
            size = 1 if inside is None else sizes.get(id(part))
            if size is None:
                sizes[id(part)] = 0
                path.append([part, iter(inside or ()), 1])
                if len(path) > MOST_DEPTH:
                    raise TooLarge(f"a pickle whose content is nested {MOST_DEPTH:,} levels deep")
                yield part
                break
            if size == 0 and isinstance(part, _PLAIN):
                raise TooLarge("a pickle whose content contains itself")
            top[2] += size or 1
        else:
            path.pop()
            size = top[2] if isinstance(top[0], _PLAIN) else 1  # objects are read by attribute, each once
            if size > MOST_UNFOLDED:
                raise TooLarge(f"a pickle whose content unfolds to more than {MOST_UNFOLDED:,} entries")
            sizes[id(top[0])] = size
            if path:
                path[-1][2] += size
