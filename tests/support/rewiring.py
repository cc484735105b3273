"""Edits of a model dictionary that are no insertions of operators, each with the truth of which layer became what."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

Row = list[Any]


@dataclass
class Rows:
    """The rows of a network, each with the layer of the base that it is; None for one that is new.

    Sources are rows themselves, so that rows may come, go and change places without a number.
    """

    rows: list[Row]
    layer: list[int | None]
    sources: list[list[Any]] = field(default_factory=list)
    twins: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, yaml: dict[str, Any]) -> Rows:
        rows = deepcopy([*yaml["backbone"], *yaml["head"]])
        found = cls(rows, [*range(len(rows))])
        for index, row in enumerate(rows):
            raw = row[0] if isinstance(row[0], list) else [row[0]]
            numbers = [index + one if one < 0 else one for one in raw]
            found.sources.append([rows[number] if number >= 0 else None for number in numbers])
        return found

    def yaml(self, base: dict[str, Any]) -> dict[str, Any]:
        """The model dictionary, all rows under `head` but the first."""
        where = {id(row): index for index, row in enumerate(self.rows)}
        written = []
        for row, sources in zip(self.rows, self.sources):
            numbers = [-1 if source is None else where[id(source)] for source in sources]
            written.append([numbers if len(numbers) > 1 else numbers[0], *row[1:]])
        return {**base, "backbone": written[:1], "head": written[1:]}

    def index(self, row: Row) -> int:
        return next(index for index, other in enumerate(self.rows) if other is row)

    def insert_behind(self, row: Row, new: Row) -> None:
        """A row behind another one, whose consumers read it."""
        at = self.index(row)
        for sources in self.sources:
            sources[:] = [new if source is row else source for source in sources]
        self.rows.insert(at + 1, new)
        self.layer.insert(at + 1, None)
        self.sources.insert(at + 1, [row])

    def delete(self, row: Row) -> None:
        """A row that keeps its shape; its consumers read its source."""
        at = self.index(row)
        (source,) = self.sources[at]
        for sources in self.sources:
            sources[:] = [source if other is row else other for other in sources]
        del self.rows[at], self.layer[at], self.sources[at]

    def shuffle(self, rng: random.Random) -> None:
        """Another order in which each row comes behind its sources; the output layer stays last."""
        order: list[int] = []
        placed: set[int] = set()
        left = [*range(len(self.rows) - 1)]
        while left:
            ready = [n for n in left if all(source is None or id(source) in placed for source in self.sources[n])]
            chosen = rng.choice(ready)
            left.remove(chosen)
            placed.add(id(self.rows[chosen]))
            order.append(chosen)
        order.append(len(self.rows) - 1)
        for name in ("rows", "layer", "sources"):
            values = getattr(self, name)
            setattr(self, name, [values[n] for n in order])


#: Blocks that keep the width and the stride of what they read: block, arguments behind the width.
_BLOCKS = (
    ("C2f", [True]),
    ("C2f", [False]),
    ("C3", []),
    ("C2PSA", []),
    ("Conv", [3, 1]),
    ("SPPF", [5]),
    ("LSKA", None),
)
#: Blocks for which another one stands, and what stands for them.
_SWAPS = {
    "C2f": (("C3", []), ("C3k2", [False])),
    "Conv": (("GhostConv", [3, 2]), ("DWConv", [3, 2])),
    "SPPF": (("SPP", []), ("C2PSA", [])),
}


def edited(yaml: dict[str, Any], rng: random.Random) -> tuple[dict[str, Any], dict[int, int]]:
    """A random edit of a YOLOv8 or YOLO11: rows inserted, deleted, replaced, sources swapped, lines in another order.

    Returns:
        The model dictionary, and row -> the layer that it is, for rows that are still what they were.
    """
    found = Rows.of(yaml)
    inner = [row for row in found.rows[1:-1] if row[2] != "Concat"]
    for _ in range(rng.randint(1, 4)):
        kind = rng.choice(("insert", "insert", "delete", "replace", "swap"))
        if kind == "insert":
            row = rng.choice([row for row in inner if row[3] and isinstance(row[3][0], int)])
            block, args = rng.choice(_BLOCKS)
            found.insert_behind(row, [-1, 1, block, ["c2", 7] if args is None else [row[3][0], *args]])
        elif kind == "delete":
            keeping = [
                row for row in found.rows if row[2] == "SPPF" or (row[2] in ("C2f", "C3k2") and found.index(row) < 9)
            ]
            if keeping:
                row = rng.choice(keeping)
                found.delete(row)
                inner = [one for one in inner if one is not row]
        elif kind == "replace":
            row = rng.choice([row for row in inner if row[2] in _SWAPS and any(one is row for one in found.rows)])
            if row[2] == "Conv" and row[3][1:] != [3, 2]:
                continue
            block, args = rng.choice(_SWAPS[row[2]])
            row[2], row[3] = block, [row[3][0], *args]
            found.layer[found.index(row)] = None
        else:
            fusion = rng.choice([n for n, row in enumerate(found.rows) if row[2] == "Concat"])
            found.sources[fusion].reverse()
    if rng.random() < 0.5:
        found.shuffle(rng)
    truth = {row: layer for row, layer in enumerate(found.layer) if layer is not None}
    return found.yaml(yaml), truth
