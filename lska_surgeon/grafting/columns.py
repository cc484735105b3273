"""Columns by provenance: what reads several joined maps keeps each map's columns wherever that map now stands.

A convolution behind a Concat has, for each source, the columns that read it. Where the sources are others, or in
another order, the tensors still fit, or almost, and mean something else: here each source's columns go to where the
row that stands for it is read; those of new sources are zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..core.graph import IMAGE
from .matching import Coordinates
from .recording import Call, copied, equal, tensors_in

#: Columns of the old weight -> columns of the new one: where they begin in both, and how many they are.
Moves = tuple[tuple[int, int, int], ...]


class Sources:
    """Which rows' maps a network's rows read, joined ones told apart.

    Args:
        places: its rows.
        calls: what they took and gave.
        known: the rows that have a counterpart in the other network.
    """

    def __init__(self, places: Sequence[Coordinates], calls: Mapping[str, Call], known: set[int]) -> None:
        self.places, self.calls, self.known = places, calls, known

    def of(self, index: int) -> list[tuple[int, int]]:
        """The rows whose maps a row reads, in order, and how many channels each has."""
        found: list[tuple[int, int]] = []
        call = self.calls.get(str(index))
        maps = [] if call is None else list(tensors_in(call.inputs))
        for source, one in zip(self.places[index].sources, maps):
            if source != IMAGE and self._joins(source):
                found += self.of(source)
            else:
                found.append((self._stands_for(source, one.shape[1]), one.shape[1]))
        return found

    def _joins(self, index: int) -> bool:
        call = self.calls.get(str(index))
        if call is None or len(self.places[index].sources) < 2 or not isinstance(call.output, Tensor):
            return False
        maps = list(tensors_in(call.inputs))
        if len({one.shape[2:] for one in maps}) != 1 or sum(one.shape[1] for one in maps) != call.output.shape[1]:
            return False
        return bool(torch.equal(torch.cat(maps, 1), call.output))

    def _stands_for(self, index: int, width: int) -> int:
        """A row that nothing is known of stands for what it reads, where it keeps the stride and the width.

        So does one that gives the first of its maps, bit for bit.
        """
        while index != IMAGE and index not in self.known:
            call = self.calls.get(str(index))
            maps = [] if call is None else list(tensors_in(call.inputs))
            is_block = self.places[index].role == "block" and len(maps) == 1 and maps[0].shape[1] == width
            if not is_block and not (call is not None and maps and equal(maps[0], call.output)):
                break
            index = self.places[index].sources[0]
        return index


def moves_of(before: Sequence[tuple[int, int]], after: Sequence[tuple[int, int]]) -> Moves | None:
    """Where the columns of each source go; None where they stay as they are, or none has a place.

    Args:
        before: the sources of the layer, as rows of the variant that stand for them, with their channels.
        after: those of the row.
    """
    if list(before) == list(after) or max(len(before), len(after)) < 2:
        return None
    starts, offset = [], 0
    for _, width in after:
        starts.append(offset)
        offset += width
    moves, taken, offset = [], set(), 0
    for source in before:
        place = next((n for n, other in enumerate(after) if other == source and n not in taken), None)
        if place is not None:
            taken.add(place)
            moves.append((offset, starts[place], source[1]))
        offset += source[1]
    return tuple(moves) or None


def readers(layer: nn.Module, call: Call) -> list[str]:
    """The convolutions in a layer that read what the layer reads, as it is."""
    given = copied(call.inputs)
    pointers = {(one.data_ptr(), one.shape) for one in tensors_in(given)}
    found: list[str] = []
    hooks = [
        part.register_forward_pre_hook(partial(_note, found, name, pointers))
        for name, part in layer.named_modules()
        if isinstance(part, nn.Conv2d)
    ]
    try:
        with torch.no_grad():
            layer(*given)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _note(found: list[str], name: str, pointers: set[Any], part: nn.Module, inputs: tuple[Any, ...]) -> None:
    if any((one.data_ptr(), one.shape) in pointers for one in tensors_in(inputs)):
        found.append(name)


def takes_columns(here: nn.Module, there: nn.Module | None) -> bool:
    """Whether two convolutions differ in how many columns they have alone."""
    if not isinstance(here, nn.Conv2d) or not isinstance(there, nn.Conv2d):
        return False
    settings = [
        (part.kernel_size, part.stride, part.padding, part.dilation, part.groups, part.out_channels, part.bias is None)
        for part in (here, there)
    ]
    return here.groups == 1 and settings[0] == settings[1]


def with_columns(new: Tensor, old: Tensor, moves: Moves) -> Tensor:
    """The old weight's columns where they belong now, in the shape of the new one; all others zero."""
    found = torch.zeros_like(new)
    for start, place, count in moves:
        found[:, place : place + count] = old[:, start : start + count]
    return found
