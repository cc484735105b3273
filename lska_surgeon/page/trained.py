"""What the trainings of a recipe left: results, latency, receptive fields; what is not there is said to be missing.

Its imports are those of the ablation, so it is imported for recipes that train alone.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..ablation.cells import Ablation, plan_ablation
from ..ablation.formats import as_latex, as_markdown, table_of
from ..ablation.latencies import known_latencies
from ..ablation.networks import LARGER
from ..ablation.results import Results as Table
from ..ablation.results import left_out, tabulate
from ..ablation.runs import Costs, Run, counting_notes, runs_of
from ..cost.cache import CostCache
from ..errors import AblationError, SurgeonError
from ..recipes.recipe import Recipe
from ..reports import Strong
from .content import FieldImage, Missing, ReportRow, Results, Score, Trained

if TYPE_CHECKING:
    from ..insight.receptive_field import ReceptiveField

_BEST = Path("weights", "best.pt")


def with_trainings(rows: Sequence[ReportRow], recipe: Recipe, costs: CostCache, images: Path | None) -> Trained:
    """The rows of a recipe with all that its trainings left.

    Args:
        rows: bases and variants.
        recipe: one that says how to train.
        costs: where the costs of larger bases come from.
        images: a folder of images to measure receptive fields with; None for none.

    Raises:
        SurgeonError: receptive fields are asked for, and there is no image or no trained network.
    """
    path = shlex.quote(str(recipe.path))
    train, measure = f"lska-surgeon ablate {path}", f"lska-surgeon latency --recipe {path}"
    try:
        ablation = plan_ablation(recipe.path)
        runs = runs_of(ablation, "best")
    except SurgeonError as error:
        if images is not None:
            raise
        commands = {"results": train, "latency": measure, "fields": train}
        return Trained(rows, missing=[Missing(what, command, str(error)) for what, command in commands.items()])
    names = _names(ablation)
    rows = [*rows, *_larger(ablation, costs, names)]
    missing: list[Missing] = []
    results = None
    try:
        table = _table(ablation, runs, rows, names)
        results = _results(table, names)
        rows = [replace(row, scores=_scores(table, row.name, names)) for row in rows]
    except AblationError as error:
        missing.append(Missing("results", train, str(error)))
    known = known_latencies(ablation)
    missing += [] if known.seconds else [Missing("latency", measure, known.damaged)]
    seconds = {names[name]: one for name, one in known.seconds.items()}
    rows = [replace(row, latency=seconds.get(row.name)) for row in rows]
    measured = known.notes if seconds else ()
    checkpoints = _checkpoints(runs, results.metric, names) if results else {}
    if images is not None:
        return Trained(rows, results, measured, *_fields(ablation, checkpoints, images), missing)
    missing.append(Missing("fields", f"lska-surgeon report {path} --images FOLDER" if checkpoints else train))
    return Trained(rows, results, measured, missing=missing)


def _table(ablation: Ablation, runs: Sequence[Run], rows: Sequence[ReportRow], names: Mapping[str, str]) -> Table:
    own = {row.name: Costs(row.params, row.gflops) for row in rows}
    costs = {name: own[row] for name, row in names.items()}
    table = tabulate(ablation.recipe.path.name, runs, costs, larger=ablation.larger, notes=counting_notes(ablation))
    return replace(table, labels=ablation.experiment.labels, kinds=ablation.kinds)


def _names(ablation: Ablation) -> dict[str, str]:
    """The ablation's name of a network -> the report's."""
    names: dict[str, str] = {network.name: network.name for network in ablation.networks if network.role == LARGER}
    for network in ablation.networks:
        if network.variant:
            names[network.name] = network.variant.file
            names[network.base] = network.variant.base_name
    return names


def _larger(ablation: Ablation, costs: CostCache, names: Mapping[str, str]) -> Iterator[ReportRow]:
    for network in ablation.networks:
        if network.role == LARGER:
            counted = network.cost(costs)
            params, macs = (counted.params, counted.macs) if counted else (None, None)
            yield ReportRow(network.name, "", names[network.base], params, macs)


def _results(table: Table, names: Mapping[str, str]) -> Results:
    shown = table_of(table)
    best = {
        (at, column) for at, row in enumerate(shown.rows) for column, cell in enumerate(row) if isinstance(cell, Strong)
    }
    rows = [(names[row.network], line) for row, line in zip(table.rows, shown.rows)]
    texts = as_markdown(table), as_latex(table)
    return Results(table.metric, shown.header, rows, frozenset(best), *texts, table.notes, table.labels)


def _scores(table: Table, name: str, names: Mapping[str, str]) -> dict[str, Score]:
    found = {row.data: row.metrics.get(table.metric) for row in table.rows if names[row.network] == name}
    return {data: Score(one.mean, one.sd, one.n) for data, one in found.items() if one}


def _checkpoints(runs: Sequence[Run], metric: str, names: Mapping[str, str]) -> dict[str, Run]:
    """The first training of each network that left its weights."""
    found: dict[str, Run] = {}
    for run in runs:
        if left_out(run, metric) is None and (run.folder / _BEST).is_file():
            found.setdefault(names[run.network], run)
    return found


def _fields(ablation: Ablation, checkpoints: Mapping[str, Run], images: Path) -> tuple[tuple[FieldImage, ...], str]:
    """What the output layer's inputs see, in one trained network of each kind; and what they were measured with."""
    if not checkpoints:
        train = f"lska-surgeon ablate {ablation.recipe.path}"
        raise AblationError(f"no trained network here to look through images with: {train} trains them")
    from ..yolo.environment import import_offline

    import_offline()
    from ..checkpoints.checkpoint import read_checkpoint
    from ..insight.look import look, stride_of

    asked = ablation.experiment.arguments.get("imgsz", 640)
    read = {name: read_checkpoint(run.folder / _BEST) for name, run in checkpoints.items()}
    step = max(32, *(stride_of(one.needed_model()) for one in read.values()))
    side = step * -(-int(max(asked) if isinstance(asked, list) else asked) // step)
    found: list[FieldImage] = []
    count = 0
    for name, checkpoint in read.items():
        seen = look([checkpoint], images=images, imgsz=side)
        found += [_image(name, one) for one in seen.fields]
        count = len(seen.images)
    seeds = sorted({run.seed for run in checkpoints.values()})
    return tuple(found), f"{count} × {side}×{side}, seed {', '.join(map(str, seeds))}"


def _image(name: str, field: ReceptiveField) -> FieldImage:
    from ..drawing.heat_maps import heat_png
    from ..insight.receptive_field import SHARES

    squares = {share: field.square(share) for share in SHARES}
    url = f"data:image/png;base64,{base64.b64encode(heat_png(field.readable())).decode()}"
    return FieldImage(name, field.at, url, {share: one.area if one else None for share, one in squares.items()})
