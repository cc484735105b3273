"""What the networks of plain runs cost, counted in their own checkpoints; it compares nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..cost.cache import cost_of
from ..cost.limits import size_of
from ..declarations.find import active_blocks
from ..errors import SurgeonError
from .runs import OTHER_NETWORK, Costs, Run, weights_of


def costs_of_plain(runs: Sequence[Run], sizes: Mapping[str, int]) -> tuple[dict[str, Costs], tuple[str, ...]]:
    """Network -> its costs at the size that it was trained at, by its first checkpoint; and a note of what is unknown.

    Args:
        runs: plain runs.
        sizes: network -> pixels of a side.
    """
    found: dict[str, Costs] = {}
    for run in runs:
        if run.network not in found and OTHER_NETWORK not in run.notes:
            counted = _counted(run, sizes[run.network])
            if counted is not None:
                found[run.network] = counted
    unknown = [name for name in dict.fromkeys(run.network for run in runs) if name not in found]
    notes = [f"params and GFLOPs are not known of {', '.join(unknown)}: no checkpoint that can be counted"]
    at = " and ".join(str(size) for size in sorted({sizes[name] for name in found}))
    return found, (*([f"GFLOPs are at {at} pixels, as it was trained"] if at else []), *(notes if unknown else []))


def _counted(run: Run, size: int) -> Costs | None:
    checkpoint = weights_of(run.folder)
    if checkpoint is None:
        return None
    try:
        cost = cost_of(str(checkpoint), size_of(size), blocks=active_blocks())
    except SurgeonError:
        return None
    return Costs(cost.params, cost.gflops)
