"""`lska-surgeon flops`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ...api import flops as api
from ...api.latency import latency
from ...api.sources import look_at
from ...cost.breakdown import Detail, Line
from ...cost.cost import FROZEN, Cost, ModuleCost
from ...cost.folder import FolderModels, models_in
from ...cost.limits import parse_amount
from ...errors import DocumentError, SurgeonError
from ...reports import Table, annotation, bullets, csv, drawn, dump, markdown, markdown_line
from ...wording import message, printable
from .. import completion, say
from ..options import FiniteRange, formats
from ..options import blocks as with_blocks
from ..options import imgsz as size_option
from ..quick_imports import own_process
from ..reports.latency import with_latency

FORMATS = ("table", "json", "csv", "md", "github")
_TOTALS_HEADER = ("model", "params", "GMACs", "GFLOPs", "layers")
_LINES_HEADER = ("layer", "block", "params", "GMACs", "share")
_IN_SHORT = "GFLOPs = 2 x GMACs; --notes says what is counted."
_UNIT = "GFLOPs = 2 x GMACs: one multiply-accumulate is two floating-point operations (fvcore counts it as one)."
_LAYERS = "layers counts modules that hold no other, as Ultralytics does."


def render(costs: Sequence[Cost], form: str, detail: Detail, *, notes: bool = False) -> str:
    """Costs in one of `FORMATS`, without a newline at the end.

    Args:
        costs: at least one; differences are to the first.
        form: one of `FORMATS`.
        detail: which modules to show below the totals; in CSV, instead of the totals.
        notes: say below a table, in full, how to read it, which ops are not counted, and what the models' own notes
            are; without, one line says the unit.
    """
    report = {"table": _table, "json": _json, "csv": _csv, "md": _markdown, "github": _github}[form](costs, detail)
    if form not in ("table", "md"):
        return report
    if not notes:
        return f"{report}\n\n{_IN_SHORT}"
    lines = _footnotes(costs)
    return f"{report}\n\n{bullets(lines) if form == 'md' else chr(10).join(map(message, lines))}"


def model_notes(costs: Sequence[Cost]) -> list[str]:
    """What one has to know of single models to read a table of them; what several share is one line."""
    by_note: dict[str, list[str]] = {}
    for cost in costs:
        for note in (note for note in cost.notes if note != FROZEN):  # tables have no gradients
            by_note.setdefault(note, []).append(cost.name)
    return [f"{', '.join(names)}: {note}" for note, names in by_note.items()]


def above_limits(costs: Sequence[Cost], max_gflops: float | None, max_params: int | None) -> list[tuple[Cost, str]]:
    """For each limit that a model is above, the model and a line that says so."""
    lines = []
    for cost in costs:
        if max_gflops is not None and cost.gflops > max_gflops:
            lines.append((cost, f"{cost.name} has {cost.gflops:.3f} GFLOPs, above the limit of {max_gflops:g}"))
        if max_params is not None and cost.params > max_params:
            lines.append((cost, f"{cost.name} has {cost.params:,} parameters, above the limit of {max_params:,}"))
    return lines


def _table(costs: Sequence[Cost], detail: Detail) -> str:
    parts: list[str | Table] = [costs[0].setting, _totals_table(costs)]
    for cost in costs:
        lines = detail.lines(cost)
        if lines:
            cells = [("  " * line.depth + line.label, *_line(cost, line)) for line in lines]
            parts += [printable(f"{cost.name}: {_what_is_shown(cost, detail)}"), _lines_table(cells)]
    return drawn(parts)


def _markdown(costs: Sequence[Cost], detail: Detail) -> str:
    parts = [costs[0].setting, markdown(_totals_table(costs))]
    for cost in costs:
        lines = detail.lines(cost)
        if lines:
            # Markdown drops leading blanks, so the full path stands in for the indent.
            cells = [(line.path, *_line(cost, line)) for line in lines]
            parts += [markdown_line(f"{cost.name}: {_what_is_shown(cost, detail)}"), markdown(_lines_table(cells))]
    return "\n\n".join(parts)


def _totals_table(costs: Sequence[Cost]) -> Table:
    totals = [cells for cost in costs for cells in (_totals(cost), *_difference(cost, costs[0]))]
    return Table(_TOTALS_HEADER, totals, range(1, len(_TOTALS_HEADER)))


def _lines_table(cells: Sequence[Sequence[str]]) -> Table:
    return Table(_LINES_HEADER, cells, range(2, len(_LINES_HEADER)))


def _github(costs: Sequence[Cost], detail: Detail) -> str:
    """One notice for each model; what `detail` asks for are its lines."""
    notices = []
    for cost in costs:
        cells = [(line.path, *_line(cost, line)) for line in detail.lines(cost)]
        lines = [
            f"{path} ({block}): {params} params, {macs} GMACs, {share}" for path, block, params, macs, share in cells
        ]
        title = f"{cost.name}: {_in_words(cost, costs[0])}"
        notices.append(annotation("notice", "\n".join([cost.setting, *lines]), file=cost.name, title=title))
    return "\n".join(notices)


def _in_words(cost: Cost, first: Cost) -> str:
    cells = [_totals(cost), *_difference(cost, first)]
    return "; difference ".join(
        f"{params} params, {gmacs} GMACs, {gflops} GFLOPs" for _, params, gmacs, gflops, *_ in cells
    )


def _json(costs: Sequence[Cost], detail: Detail) -> str:
    first = costs[0]
    models = []
    for cost in costs:
        more = {key: value - first.numbers[key] for key, value in cost.numbers.items()}
        model = cost.entry(None if cost is first else more)
        if detail:
            model["modules"] = [_module(cost, row, detail.per_layer) for row in detail.rows(cost)]
        models.append(model)
    return dump(first.as_report(models))


def _csv(costs: Sequence[Cost], detail: Detail) -> str:
    if detail:
        rows = [
            (cost.name, line.path, line.block, line.params, line.macs, 2 * line.macs, f"{cost.share(line.macs):.6f}")
            for cost in costs
            for line in detail.lines(cost)
        ]
        return csv(("model", "layer", "block", "params", "macs", "flops", "share"), rows)
    keys, before = list(costs[0].numbers), costs[0].numbers
    header = ["model", *keys, *(f"{key}_difference" for key in keys)]
    header += ["height", "width", "batch", "fused", "uncounted"]
    return csv(header, [_csv_row(cost, before) for cost in costs])


def _csv_row(cost: Cost, before: Mapping[str, int]) -> list[object]:
    differences = [value - before[key] for key, value in cost.numbers.items()]
    setting = [*cost.imgsz, cost.batch, str(cost.fused).lower(), cost.uncounted_in_words]
    return [cost.name, *cost.numbers.values(), *differences, *setting]


def _module(cost: Cost, module: ModuleCost, deep: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": module.name,
        "block": module.block,
        "params": module.params,
        "macs": module.macs,
        "share": round(cost.share(module.macs), 6),
    }
    if deep:
        found["own"] = dict(module.own)
        found["children"] = [_module(cost, child, deep) for child in module.children]
    return found


def _totals(cost: Cost) -> Sequence[str]:
    return (
        cost.name,
        f"{cost.params:,}",
        f"{cost.gmacs:.3f}",
        f"{cost.gflops:.3f}",
        f"{cost.layers:,}",
    )


def _difference(cost: Cost, first: Cost) -> list[Sequence[str]]:
    """The row below a model's own; none for the first model."""
    if cost is first:
        return []
    params, macs = cost.params - first.params, cost.macs - first.macs
    cells = (
        "  difference",
        f"{params:+,} ({_percent(params, first.params)})",
        f"{macs / 1e9:+.3f}",
        f"{2 * macs / 1e9:+.3f} ({_percent(macs, first.macs)})",
        f"{cost.layers - first.layers:+,}",
    )
    return [cells]


def _line(cost: Cost, line: Line) -> Sequence[str]:
    return (line.block, f"{line.params:,}", f"{line.macs / 1e9:.4f}", f"{100 * cost.share(line.macs):.1f}%")


def _percent(difference: int, base: int) -> str:
    return f"{100 * difference / base:+.1f}%" if base else "-"


def _what_is_shown(cost: Cost, detail: Detail) -> str:
    shown = len(detail.rows(cost))
    return f"the {shown} costliest of {len(cost.rows)} layers that cost anything" if detail.top else "layer by layer"


def _footnotes(costs: Sequence[Cost]) -> list[str]:
    lines = [_UNIT, _LAYERS]
    if costs[0].fused:
        lines.append("params, GMACs, GFLOPs and layers are those of the fused model; --no-fuse counts it as it trains.")
    by_list: dict[str, list[str]] = {}
    for cost in costs:
        by_list.setdefault(cost.uncounted_in_words, []).append(cost.name)
    for listed, names in by_list.items():
        lines.append(f"Not counted by fvcore in {', '.join(names)}: {listed or 'nothing'}.")
    return lines + [f"{line}." for line in model_notes(costs)]


def _amount(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A number, `40M`, `1.5k`."""
    if value is None:
        return None
    found = parse_amount(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no amount: give a number, or one with k, M or G (40M)")
    return int(found)


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...", shell_complete=completion.models)
@size_option
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Images in the input.")
@click.option("--no-fuse", is_flag=True, help="Keep Conv and BatchNorm apart, as in training.")
@click.option("--per-layer", is_flag=True, help="Show every layer, down to its convolutions, with its share.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show the N costliest layers; with --per-layer, only those.",
)
@click.option("--notes", is_flag=True, help="Say below the table how to read it, and what is not counted.")
@formats("table", "json", "csv", "md", "github")
@click.option("--max-gflops", type=FiniteRange(min=0), metavar="X", help="Exit 1 if a model has more GFLOPs.")
@click.option("--max-params", callback=_amount, metavar="X", help="Exit 1 if a model has more parameters (40M, 1.5k).")
@click.option("--latency", "timed", is_flag=True, help="Also measure how long each takes on this machine's CPU.")
@click.option("--trust", is_flag=True, help="Load a .pt although it names code that is not on the allow-list.")
@with_blocks
@click.pass_context
def flops(
    ctx: click.Context,
    models: tuple[str, ...],
    imgsz: tuple[int, int],
    batch: int,
    no_fuse: bool,
    per_layer: bool,
    top: int | None,
    notes: bool,
    form: str,
    max_gflops: float | None,
    max_params: int | None,
    timed: bool,
    trust: bool,
) -> None:
    """Count parameters, GMACs and GFLOPs of each MODEL, and how they differ from the first.

    MODEL is the path of a YAML or of a .pt, or a stock Ultralytics name with its scale; without any, all models
    of this folder are counted, the bases of the variants first. GMACs are billions of multiply-accumulates of one
    forward pass in eval mode, as fvcore counts them; GFLOPs are twice that, the unit in which Ultralytics publishes
    its models. --notes lists the ops that fvcore does not count.

    With --per-layer or --top, --format csv has layers instead of totals.

    \b
    Examples:
      lska-surgeon flops yolov8n.yaml yolov8s.yaml
      lska-surgeon flops yolov8s.yaml --imgsz 480,640 --top 5
      lska-surgeon flops yolov8s.yaml --max-gflops 30 --max-params 12M --format json
    """
    if timed and form in ("csv", "github"):
        raise click.UsageError(f"--latency has no place in --format {form}: take table, md or json")
    here = None if models else models_in(Path())
    for model in models:  # before one of them is counted
        look_at(model, built=True)

    def count(model: str) -> Cost:
        return api.flops(model, imgsz=imgsz, batch=batch, fuse=not no_fuse, trust=trust)

    with own_process():
        costs, told = _count_here(here, count) if here else (list(map(count, models)), [])
        text = render(costs, form, Detail(per_layer, top), notes=notes)
        if timed:
            names = [cost.name for cost in costs]
            text = with_latency(text, latency(names, imgsz=imgsz, batch=batch, trust=trust), form)
    say.report(text)
    for note in (*told, *(model_notes(costs) if form != "json" and not notes else ())):
        say.note(note)
    above = above_limits(costs, max_gflops, max_params)
    for cost, line in above:
        if form == "github":
            say.report(annotation("error", line, file=cost.name, title="lska-surgeon flops: above the limit"))
        else:
            say.line(line, err=True)
    if above:
        ctx.exit(1)


def _count_here(here: FolderModels, count: Callable[[str], Cost]) -> tuple[list[Cost], list[str]]:
    """What can be counted of a folder's models, and what to tell of the rest; nobody asked for each of them by name."""
    costs, problems = [], dict(here.unread)
    for model in here.models:
        try:
            look_at(model, built=True)
            costs.append(count(model))
        except SurgeonError as error:
            problems[model] = error.as_typed
    if not costs:
        raise DocumentError(f"no model in this folder can be counted: {next(iter(problems.values()))}")
    told = [f"{name} is passed over: {problem}" for name, problem in problems.items()]
    return costs, told + ([f"no models, so passed over: {', '.join(here.others)}"] if here.others else [])
