"""One edit as it will be done, with all that is known of it; it plans nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..architecture.graph import Layer
from ..architecture.operators import Operators
from ..architecture.other_operators import AnyOperator
from ..architecture.positions import Site
from ..architecture.surgery import Edit
from ..wording import numbers, plural

#: The columns of `SitePlan.cells`.
COLUMNS = ("position", "layer", "block", "level", "operator", "channels", "row", "read by", "params")


@dataclass(frozen=True)
class SitePlan:
    """One edit as it will be done.

    Attributes:
        edit: the edit.
        layer: the base's row that it names.
        index: the inserted (or changed) row's index in the variant.
        readers: who reads it there.
        level: pyramid level, or None.
        stride: pixels of the picture per cell of the operator's map, or None when not known for sure.
        operators: width and number of the operators; None when a width is not known.
    """

    edit: Edit
    layer: Layer
    index: int
    readers: tuple[int, ...]
    level: str | None
    stride: float | None
    operators: Operators | None

    @property
    def site(self) -> Site:
        return self.edit.site

    @property
    def kernel(self) -> AnyOperator:
        return self.edit.kernel

    @property
    def position(self) -> str:
        """The position as it was asked for, without its kernel size."""
        return self.site.asked.split("@")[0]

    def sides(self, imgsz: tuple[int, int]) -> tuple[int, int] | None:
        """Height and width of the operator's map for a picture of imgsz = (height, width) pixels; None if not known."""
        stride = self.stride
        if not stride or any(side % stride for side in imgsz):
            return None
        return int(imgsz[0] / stride), int(imgsz[1] / stride)

    def cells(self) -> tuple[str, ...]:
        """The edit as a row of a table, by `COLUMNS`."""
        inside, found, kernel = self.site.inside, self.operators, self.kernel
        return (
            self.site.asked,
            str(self.layer.index),
            f"{'in' if inside else 'after'} {self.layer.block}",
            self.level or "-",
            kernel.in_words + (f" d{kernel.d}" if kernel.explicit_dilation else ""),
            f"{found.count} x {found.channels}" if found else "not known",
            str(self.index),
            "itself" if inside else numbers(self.readers),
            f"{found.params:,}" if found and found.params is not None else "not known",
        )

    def to_dict(self) -> dict[str, Any]:
        """The edit as plain data."""
        edit, found = self.edit.to_dict(), self.operators
        return {
            "at": edit["at"],
            "position": edit["position"],
            "layer": edit["layer"],
            "block": self.layer.block,
            "inside": edit["inside"],
            "level": self.level,
            "op": edit["op"],
            "k": edit["k"],
            "d": edit["d"],
            **({"gated": True} if edit.get("gated") else {}),
            "channels": found.channels if found else None,
            "count": found.count if found else None,
            "params": found.params if found else None,
            "row": self.index,
            "readers": list(self.readers),
        }


def in_words(sites: Sequence[SitePlan]) -> str:
    """`lska k35 at neck (rows 13, 17), ...`."""
    groups: dict[tuple[str, str], list[int]] = {}
    for site in sites:
        groups.setdefault((site.kernel.in_words, site.position), []).append(site.index)
    return ", ".join(f"{what} at {at} (row{plural(r)} {numbers(r)})" for (what, at), r in groups.items())
