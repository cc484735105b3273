"""From a recipe's variants to what a report shows of them; what is not there is said to be missing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.operators import OP_BLOCKS
from ..cost.curves import DESIGNS, SIZES, curve_points
from ..drawing.content import Content
from ..drawing.drawing import Drawing, drawing_of
from ..errors import SurgeonError
from ..files import planned_target, write_text
from ..grafting.input_files import classes_in
from ..recipes.recipe import Recipe
from ..recipes.sync import Variants
from ..recipes.variants import Variant, VariantCost
from ..reports import Part, Shown
from .content import CostCurves, Missing, Report, ReportRow, Trained
from .render import render
from .words import WORDS

_TRAINS = "lska-surgeon templates show ablation"
_UNTRAINED = "the recipe does not train, as the one that this shows does"


@dataclass(frozen=True, repr=False)
class ReportPage(Shown):
    """A report, ready to be written.

    Attributes:
        content: what it shows.
        language: "en" or "zh".
        output: the file to be.
        notes: what the user should be told.
    """

    content: Report
    language: str
    output: Path
    notes: tuple[str, ...] = ()

    @property
    def html(self) -> str:
        """The page."""
        return render(self.content, self.language)

    @property
    def line(self) -> str:
        """All in one line."""
        return f"{self.output}: {self._what}"

    @property
    def _what(self) -> str:
        missing = [_missing(one) for one in self.content.missing]
        gaps = f"; not there: {', '.join(missing)}" if missing else ""
        return f"{len(self.content.rows)} networks of {self.content.title}{gaps}"

    def parts(self) -> tuple[Part, ...]:
        """One line, which speaks of no file: this is shown before one is written."""
        return (f"{self._what}; write() writes it to {self.output}",)

    def to_dict(self) -> dict[str, object]:
        """What the page has, as plain data."""
        content = self.content
        return {
            "schema": self.schema,
            "output": str(self.output),
            "networks": [
                {"name": row.name, "base": row.base, "params": row.params, "macs": row.macs, "latency": row.latency}
                for row in content.rows
            ],
            "results": content.results.metric if content.results else None,
            "curves": [f"{one.base}: {', '.join(one.at)}" for one in content.curves],
            "fields": [{"network": one.network, "at": one.at} for one in content.fields],
            "missing": [
                {"what": _missing(one), "command": one.command, "reason": one.reason} for one in content.missing
            ],
            "notes": list(self.notes),
        }

    def write(self, path: str | Path | None = None, force: bool = False) -> Path:
        """Write the page.

        Raises:
            TargetError: the file is there and `force` is off, or it can't be written.
        """
        target = planned_target(path, self.output, ".html")
        write_text(target, self.html, force=force)
        return target


def report_of(variants: Variants, *, language: str, output: Path, images: Path | None = None) -> ReportPage:
    """The report of a recipe that was worked out.

    Args:
        variants: the recipe's.
        language: of the page.
        output: the file to be.
        images: a folder of images to measure receptive fields of trained networks with; None for none.

    Raises:
        SurgeonError: receptive fields are asked for, and there is no image or no trained network.
    """
    recipe = variants.recipe
    rows, path = tuple(_rows(variants, _classes(recipe))), shlex.quote(str(recipe.path))
    missing = [Missing("costs", f"lska-surgeon variants {path} --costs")]
    missing = missing if any(row.params is None for row in rows) else []
    if recipe.experiment is not None:
        from .trained import with_trainings

        found = with_trainings(rows, recipe, variants.index.costs, images)
    elif images is not None:
        raise SurgeonError(f"{recipe.path} does not train, so no trained network is there to look through images with")
    else:
        found = Trained(rows, missing=[Missing(what, _TRAINS, _UNTRAINED) for what in ("results", "latency", "fields")])
    report = Report(
        title=recipe.path.name,
        command=f"lska-surgeon report {path}",
        imgsz=recipe.imgsz,
        rows=found.rows,
        results=found.results,
        measured=found.measured,
        curves=tuple(_curves(variants)),
        fields=found.fields,
        seen=found.seen,
        missing=(*missing, *found.missing),
    )
    return ReportPage(report, language, output)


def _missing(one: Missing) -> str:
    words = WORDS["en"][f"missing {one.what}"]
    return words[0].lower() + words[1:]


def _classes(recipe: Recipe) -> int | None:
    """How many classes a recipe trains for; None where that is not known, or not one number."""
    data = recipe.experiment.data if recipe.experiment else ()
    found = {classes_in(recipe.folder / name) for name in data}
    return found.pop() if len(found) == 1 else None


def _rows(variants: Variants, classes: int | None) -> Iterator[ReportRow]:
    seen: set[str] = set()
    for variant, cost in variants.index.variants:
        base = variant.base_name
        if base not in seen:
            seen.add(base)
            counted = cost.base
            params, macs = (counted.params, counted.macs) if counted else (None, None)
            drawing = Drawing(Content(variant.base, variants.recipe.imgsz, classes).figure()).svg
            yield ReportRow(base, "", base, params, macs, drawing=drawing)
        drawing = drawing_of(variant.plan, variants.recipe.imgsz, classes).svg
        yield _row(variant, cost, base, drawing)


def _row(variant: Variant, cost: VariantCost, base: str, drawing: str) -> ReportRow:
    return ReportRow(
        variant.file,
        variant.edits,
        base,
        cost.params,
        cost.macs,
        cost.params_added,
        cost.macs_added,
        kind=variant.kind,
        drawing=drawing,
        notes=variant.plan.notes,
    )


def _curves(variants: Variants) -> Iterator[CostCurves]:
    """For each base and each set of positions, what operators cost there against their kernel size."""
    wanted: dict[tuple[str, tuple[str, ...]], list[Variant]] = {}
    for variant, _ in variants.index.variants:
        wanted.setdefault((variant.base_name, variant.places), []).append(variant)
    for (base, at), found in wanted.items():
        ops = dict.fromkeys([*DESIGNS, *(one.wanted.op for one in found if one.wanted.op in OP_BLOCKS)])
        try:
            points = curve_points(found[0].base, at, variants.recipe.imgsz, tuple(ops), SIZES)
        except SurgeonError:  # a width or a stride that nobody knows
            continue
        yield CostCurves(base, at, points)
