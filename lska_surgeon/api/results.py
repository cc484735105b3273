"""`results`: the table of an ablation, or of runs that are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Union

from ..errors import AblationError
from .arguments import PathLike
from .own_blocks import with_own_blocks

if TYPE_CHECKING:
    from ..ablation.results import Results

Source = Union[str, Path]


@with_own_blocks
def results(
    source: Source | Sequence[Source],
    *,
    metric: str | None = None,
    epoch: str = "best",
    resolve: float | None = None,
    base: str | None = None,
    folder: str | Path | None = None,
    costs: bool = True,
    columns: str | Sequence[str] = (),
    blocks: PathLike | None = None,
) -> Results:
    """The table of an ablation, or of plain runs of Ultralytics.

    Args:
        source: a recipe, or folders with runs that no ablation made.
        metric: what is compared, such as "mAP50"; None for what the task is measured by.
        epoch: "best", the one with the highest mAP50-95, as best.pt has it; or "last".
        resolve: a difference, for which the seeds that it takes are told.
        base: of plain runs, the network that the others are compared with.
        folder: of a recipe, where its cells lie; None for `ablation/RECIPE` beside it.
        costs: count parameters and GFLOPs of a recipe's networks where they are not known yet, and of plain runs' own.
        columns: those that are shown, by name; none for all.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Returns:
        The table; it prints itself, and `write` writes it or its figure.

    Raises:
        SurgeonError: there is nothing to tabulate, or no such metric or column.
    """
    if resolve is not None and resolve <= 0:
        raise AblationError(
            f"resolve {resolve:g} is no difference that seeds could show: give one above 0, such as 0.005"
        )
    sources = [Path(source)] if isinstance(source, (str, Path)) else [Path(one) for one in source]
    if not sources:
        raise AblationError("give a recipe, or folders with runs")
    if len(sources) == 1 and not sources[0].exists():  # before anything heavy is imported
        raise AblationError(
            f"neither a recipe nor a folder is at {sources[0]}: give a recipe that was ablated, such as recipe.yaml, "
            "or folders of runs, such as runs/detect"
        )
    from ..ablation.cells import plan_ablation
    from ..ablation.latencies import known_latencies
    from ..ablation.plain import plain_runs
    from ..ablation.plain_costs import costs_of_plain
    from ..ablation.results import tabulate
    from ..ablation.runs import costs_of, counting_notes, runs_of

    if len(sources) > 1 or sources[0].is_dir():
        missing = [str(path) for path in sources if not path.is_dir()]
        if missing:
            raise AblationError(f"{missing[0]} is no folder: give one recipe, or folders with runs")
        plain = plain_runs(sources, epoch, base)
        known, notes = costs_of_plain(plain.runs, plain.sizes) if costs else ({}, ())
        name, notes = ", ".join(map(str, sources)), (*plain.notes, *notes)
        return _shown(tabulate(name, plain.runs, known, metric=metric, resolve=resolve, notes=notes), columns)
    if base is not None:
        raise AblationError("the bases stand in the recipe: leave base out, or give folders with runs")
    ablation = plan_ablation(sources[0], None if folder is None else Path(folder))
    found = runs_of(ablation, epoch)
    table = tabulate(
        sources[0].name,
        found,
        costs_of(ablation, count=costs),
        metric=metric,
        resolve=resolve,
        latency=known_latencies(ablation),
        larger=ablation.larger,
        notes=counting_notes(ablation),
        advice=f": see lska-surgeon ablate {ablation.words} --dry-run",
    )
    return replace(_shown(table, columns), labels=ablation.experiment.labels, kinds=ablation.kinds)


def _shown(table: Results, columns: str | Sequence[str]) -> Results:
    """The table with the columns that were chosen, each of which there is."""
    from ..ablation.formats import table_of

    chosen = replace(table, columns=(columns,) if isinstance(columns, str) else tuple(columns))
    table_of(chosen)
    return chosen
