"""What variants have in common that differ in kernel size alone; it knows no files and no numbers."""

from __future__ import annotations

from dataclasses import dataclass

from .index import base_name
from .plan import Variant


@dataclass(frozen=True)
class Kind:
    """What a network has that others have in other sizes: one operator of one kernel size, at these positions."""

    base: str
    at: tuple[str, ...]
    op: str
    k: int

    @property
    def family(self) -> str:
        """What it is without its size: `lska, neck`."""
        return ", ".join(filter(None, (self.op, *self.at)))


def kind_of(variant: Variant) -> Kind | None:
    """What a variant has; None where its kernels are several, or none of the closed forms'."""
    kernels = {site.kernel for site in variant.plan.sites}
    kernel = next(iter(kernels))
    if len(kernels) > 1 or kernel.k is None or kernel.explicit_dilation:
        return None
    return Kind(base_name(variant), places_of(variant), kernel.op, kernel.k)


def places_of(variant: Variant) -> tuple[str, ...]:
    """A variant's positions without their sizes."""
    return tuple(dict.fromkeys(position.split("@")[0] for position in variant.wanted.at))
