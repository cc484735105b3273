"""From a recipe's variants to a page: costs, drawings, what trainings left, and what is not there."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..ablation.outcomes import KnownCosts, Outcome, counting_notes, known_latencies, left_out, outcomes_of
from ..ablation.results import Results, tabulate
from ..ablation.rounds import rounds_of
from ..ablation.runs import LARGER, Ablation, plan_ablation
from ..ablation.table import Summary
from ..core.operators import OP_BLOCKS
from ..cost.cache import CostCache
from ..cost.closed_form import curve_points
from ..cost.limits import DESIGNS, SIZES
from ..drawing.content import Content
from ..drawing.curves import Curves
from ..drawing.drawing import Drawing, drawing_of
from ..errors import AblationError, SurgeonError
from ..files import planned_target, write_text
from ..grafting.input_files import classes_in
from ..recipes.recipe import Recipe
from ..recipes.sync import Variants
from ..recipes.variants import Variant
from ..reports import Report, Result
from ..reports import render as render_report
from ..wording import Said
from .content import FieldImage, Missing, Page, PageNetwork, Trainings
from .render import render
from .sentences import WORDS, text_of

if TYPE_CHECKING:
    from ..insight.measure import ReceptiveField

_TRAINS = "lska-surgeon templates show ablation"
_UNTRAINED = Said("the recipe does not train, as the one that this shows does")
_BEST = Path("weights", "best.pt")


@dataclass(frozen=True, repr=False)
class ReportPage(Result):
    """A page, ready to be written.

    Attributes:
        content: what it shows.
        language: "en" or "zh".
        output: the file to be.
        notes: what the user should know.
    """

    content: Page
    language: str
    output: Path
    notes: tuple[str, ...] = ()

    @property
    def html(self) -> str:
        """The page."""
        return render(self.content, self.language)

    def report(self) -> Report:
        """What the page has, and what is not there."""
        page = self.content
        names = [_in_words(gap) for gap in page.missing]
        gaps = f"; not there: {', '.join(names)}" if names else ""
        data = {
            "schema": self.schema,
            "output": str(self.output),
            "networks": [
                {
                    "name": one.name,
                    "base": one.base,
                    "params": one.params,
                    "macs": one.macs,
                    "latency": dict(one.latency),
                }
                for one in page.networks
            ],
            "results": page.results.metric if page.results else None,
            "curves": [f"{curves.model}: {', '.join(curves.at)}" for curves in page.curves],
            "fields": [{"network": field.network, "at": field.at} for field in page.fields],
            "missing": [
                {"what": name, "command": gap.command, "reason": gap.reason} for name, gap in zip(names, page.missing)
            ],
            "notes": list(self.notes),
        }
        summary = f"{self.output}: {len(page.networks)} networks of {page.title}{gaps}"
        return Report(summary, (), self.notes, data)

    def write(self, path: str | Path | None = None, force: bool = False) -> Path:
        """Write the page.

        Raises:
            TargetError: the file is there and `force` is off, or it can't be written.
        """
        target = planned_target(path, self.output, ".html")
        write_text(target, self.html, force=force)
        return target


def _in_words(gap: Missing) -> str:
    words = WORDS["en"][f"missing {gap.what}"]
    return words[0].lower() + words[1:]


def report_of(variants: Variants, *, language: str, output: Path, images: Path | None = None) -> ReportPage:
    """The page on a recipe that was worked out.

    Args:
        variants: the recipe's.
        language: of the page.
        output: the file to be.
        images: a folder of images to measure receptive fields of trained networks with; None for none.

    Raises:
        SurgeonError: receptive fields are asked for, and there is no image or no trained network.
    """
    recipe = variants.recipe
    if recipe.experiment is None and images is not None:
        raise SurgeonError(f"{recipe.path} does not train, so no trained network is there to look through images with")
    networks, path = tuple(_networks(variants, _classes(recipe), language)), shlex.quote(str(recipe.path))
    missing = [Missing("costs", f"lska-surgeon variants {path} --costs")]
    missing = missing if any(network.params is None for network in networks) else []
    curves, command = tuple(_curves(variants)), f"lska-surgeon report {path}"
    page = Page(recipe.path.name, command, recipe.imgsz, networks, curves=curves, missing=missing)
    if recipe.experiment is not None:
        page = _with_trainings(page, recipe, variants.index.costs, images)
    else:
        untrained = [Missing(what, _TRAINS, _UNTRAINED) for what in ("results", "latency", "fields")]
        page = replace(page, missing=[*missing, *untrained])
    return ReportPage(page, language, output)


def _classes(recipe: Recipe) -> int | None:
    """How many classes a recipe trains for; None where that is not known, or not one number."""
    data = recipe.experiment.data if recipe.experiment else ()
    numbers = {classes_in(recipe.folder / name) for name in data}
    return numbers.pop() if len(numbers) == 1 else None


def _networks(variants: Variants, classes: int | None, language: str) -> Iterator[PageNetwork]:
    def svg(drawing: Drawing) -> str:
        return drawing.svg if language == "en" else drawing.svg_in(text_of)

    seen: set[str] = set()
    imgsz = variants.recipe.imgsz
    for variant, cost in variants.index.variants:
        base = variant.base_name
        if base not in seen:
            seen.add(base)
            params, macs = (cost.base.params, cost.base.macs) if cost.base else (None, None)
            drawing = svg(Drawing(Content(variant.base, imgsz, classes).figure()))
            yield PageNetwork(base, "", base, params, macs, drawing=drawing)
        drawing = svg(drawing_of(variant.base, variant.plan.variant, imgsz, classes))
        costs = (cost.params, cost.macs, cost.params_added, cost.macs_added)
        notes = variant.plan.notes
        yield PageNetwork(variant.file, variant.edits, base, *costs, kind=variant.kind, drawing=drawing, notes=notes)


def _curves(variants: Variants) -> Iterator[Curves]:
    """For each base and each set of positions, what operators cost there against their kernel size."""
    wanted: dict[tuple[str, tuple[str, ...]], list[Variant]] = {}
    for variant, _ in variants.index.variants:
        wanted.setdefault((variant.base_name, variant.places), []).append(variant)
    imgsz = variants.recipe.imgsz
    for (base, at), here in wanted.items():
        ops = dict.fromkeys([*DESIGNS, *(one.wanted.op for one in here if one.wanted.op in OP_BLOCKS)])
        try:
            yield Curves(base, at, imgsz, curve_points(here[0].base, at, imgsz, tuple(ops), SIZES))
        except SurgeonError:  # a width or a stride that nobody knows
            continue


def _with_trainings(page: Page, recipe: Recipe, costs: CostCache, images: Path | None) -> Page:
    """A page with all that the trainings of its recipe left: results, latency, receptive fields."""
    path = shlex.quote(str(recipe.path))
    train, measure = f"lska-surgeon ablate {path}", f"lska-surgeon latency --recipe {path}"
    try:
        ablation = plan_ablation(recipe.path, blocks=recipe.blocks)
        runs = outcomes_of(ablation, "best")
    except SurgeonError as error:
        if images is not None:
            raise
        commands = {"results": train, "latency": measure, "fields": train}
        untrained = [Missing(what, command, _reason(error)) for what, command in commands.items()]
        return replace(page, missing=[*page.missing, *untrained])
    names, missing = _names(ablation), list(page.missing)
    networks, trainings = [*page.networks, *_larger(ablation, costs, names)], None
    try:
        results = _results(ablation, runs, networks, names)
        trainings = _trainings(results, names)
        networks = [replace(network, scores=_scores(results, network.name, names)) for network in networks]
    except AblationError as error:
        missing.append(Missing("results", train, _reason(error)))
    known = known_latencies(ablation)
    missing += [] if known.seconds else [Missing("latency", measure, known.damaged)]
    seconds = {names[name]: measured for name, measured in known.seconds.items()}
    titles = {name: title for title, name in names.items()}
    networks = [replace(one, latency=seconds.get(one.name, {}), title=titles.get(one.name, "")) for one in networks]
    checkpoints = _checkpoints(runs, trainings.metric, names) if trainings else {}
    fields: tuple[FieldImage, ...] = ()
    seen = ""
    if images is not None:
        fields, seen = _fields(ablation, checkpoints, images)
    else:
        missing.append(Missing("fields", f"lska-surgeon report {path} --images FOLDER" if checkpoints else train))
    measured = known.notes if seconds else ()
    return replace(
        page, networks=networks, results=trainings, measured=measured, fields=fields, seen=seen, missing=missing
    )


def _reason(error: SurgeonError) -> str:
    """What an error says, as a sentence for any language where it is one."""
    said = error.args[0]
    return said if isinstance(said, Said) else str(error)


def _names(ablation: Ablation) -> dict[str, str]:
    """The ablation's name of a network -> the page's."""
    names: dict[str, str] = {network.name: network.name for network in ablation.networks if network.role == LARGER}
    for network in ablation.networks:
        if network.variant:
            names[network.name] = network.variant.file
            names[network.base] = network.variant.base_name
    return names


def _larger(ablation: Ablation, costs: CostCache, names: Mapping[str, str]) -> Iterator[PageNetwork]:
    for network in ablation.networks:
        if network.role == LARGER:
            counted = network.cost(costs)
            params, macs = (counted.params, counted.macs) if counted else (None, None)
            yield PageNetwork(network.name, "", names[network.base], params, macs)


def _results(
    ablation: Ablation, runs: Sequence[Outcome], networks: Sequence[PageNetwork], names: Mapping[str, str]
) -> Results:
    own = {network.name: KnownCosts(network.params, network.gflops) for network in networks}
    costs = {name: own[network] for name, network in names.items()}
    name, notes, rounds = ablation.recipe.path.name, counting_notes(ablation), rounds_of(ablation, runs)
    results = tabulate(name, runs, costs, larger=ablation.larger, notes=notes, rounds=rounds)
    return replace(results, labels=ablation.experiment.labels, kinds=ablation.kinds)


def _trainings(results: Results, names: Mapping[str, str]) -> Trainings:
    networks = [names[row.network] for row in results.rows]
    report = results.report()
    texts = render_report(report, "md"), render_report(report, "latex")
    return Trainings(results.metric, results.table(), networks, *texts, results.notes, results.labels)


def _scores(results: Results, name: str, names: Mapping[str, str]) -> dict[str, Summary]:
    scores = {row.data: row.metrics.get(results.metric) for row in results.rows if names[row.network] == name}
    return {data: score for data, score in scores.items() if score}


def _checkpoints(runs: Sequence[Outcome], metric: str, names: Mapping[str, str]) -> dict[str, Outcome]:
    """The first training of each network that left its weights."""
    first: dict[str, Outcome] = {}
    for run in runs:
        if left_out(run, metric) is None and (run.folder / _BEST).is_file():
            first.setdefault(names[run.network], run)
    return first


def _fields(ablation: Ablation, checkpoints: Mapping[str, Outcome], images: Path) -> tuple[tuple[FieldImage, ...], str]:
    """What the output layer's inputs see, in one trained network of each kind; and what they were measured with."""
    if not checkpoints:
        train = f"lska-surgeon ablate {ablation.recipe.path}"
        raise AblationError(f"no trained network here to look through images with: {train} trains them")
    from ..yolo.environment import import_offline

    import_offline()
    from ..checkpoints.checkpoint import read_checkpoint
    from ..cost.shapes_only import stride_of
    from ..insight.look import look

    asked = ablation.experiment.arguments.get("imgsz", 640)
    read = {name: read_checkpoint(run.folder / _BEST) for name, run in checkpoints.items()}
    step = max(32, *(stride_of(checkpoint.needed_model()) for checkpoint in read.values()))
    side = step * -(-int(max(asked) if isinstance(asked, list) else asked) // step)
    blocks = ablation.recipe.blocks
    insights = {name: look([checkpoint], blocks=blocks, images=images, imgsz=side) for name, checkpoint in read.items()}
    fields = tuple(_image(name, field) for name, insight in insights.items() for field in insight.fields)
    count = max(len(insight.images) for insight in insights.values())
    seeds = sorted({run.seed for run in checkpoints.values()})
    form = "{count} × {side}×{side}, seed {seeds}"
    return fields, Said(form, count=count, side=side, seeds=", ".join(map(str, seeds)))


def _image(name: str, field: ReceptiveField) -> FieldImage:
    from ..drawing.plots import heat_png
    from ..insight.measure import SHARES

    squares = {share: field.square(share) for share in SHARES}
    url = f"data:image/png;base64,{base64.b64encode(heat_png(field.readable())).decode()}"
    return FieldImage(name, field.at, url, {share: one.area if one else None for share, one in squares.items()})
