"""From a recipe's variants to what a report shows of them; what is not there is said to be missing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...architecture.kernel import OP_BLOCKS
from ...costs.curves import SIZES, curve_points
from ...errors import SurgeonError
from ...files import planned_target, write_text
from ...model_yaml.document import Document
from ...model_yaml.find import FoundModel
from ...model_yaml.load import OpenModel
from ...recipes.index import base_name, edits_in_words
from ...recipes.plan import Variant, VariantCost
from ...recipes.result import Variants
from ...tables import Part, Shown
from ..comparison import Comparison
from ..content import Content
from ..curves import Curves
from ..drawing import Drawing
from ..figures import plotting
from .content import Report, ReportRow
from .render import render


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
        missing = [what for what, _ in self.content.missing]
        gaps = f", without {' and '.join(missing)}" if missing else ""
        return f"{self.output}: {len(self.content.rows)} networks of {self.content.title}{gaps}"

    def parts(self) -> tuple[Part, ...]:
        """One line."""
        return (self.line,)

    def to_dict(self) -> dict[str, object]:
        """What the page has, as plain data."""
        return {
            "schema": self.schema,
            "output": str(self.output),
            "networks": [
                {"name": row.name, "base": row.base, "params": row.params, "macs": row.macs}
                for row in self.content.rows
            ],
            "curves": list(self.content.curves),
            "missing": [{"what": what, "command": command} for what, command in self.content.missing],
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


def report_of(variants: Variants, *, language: str, output: Path) -> ReportPage:
    """The report of a recipe that was worked out."""
    recipe = variants.recipe
    rows = list(_rows(variants))
    missing = []
    if any(row.params is None for row in rows):
        missing.append(("costs of the bases", f"lska-surgeon variants {recipe.path} --costs"))
    curves = dict(_curves(variants))
    command = f"lska-surgeon report {recipe.path}"
    report = Report(recipe.path.name, command, recipe.imgsz, rows, curves, {}, missing)
    return ReportPage(report, language, output)


def _rows(variants: Variants) -> Iterator[ReportRow]:
    seen: set[str] = set()
    for variant, cost in variants.index.variants:
        base = base_name(variant)
        if base not in seen:
            seen.add(base)
            counted = cost.base
            yield ReportRow(base, "", base, counted.params if counted else None, counted.macs if counted else None)
        yield _row(variant, cost, base, variants.recipe.imgsz)


def _row(variant: Variant, cost: VariantCost, base: str, imgsz: tuple[int, int]) -> ReportRow:
    return ReportRow(
        variant.file,
        edits_in_words(variant),
        base,
        cost.params,
        cost.macs,
        cost.params_added,
        cost.macs_added,
        drawing=_drawing(variant, imgsz),
        notes=variant.plan.notes,
    )


def _drawing(variant: Variant, imgsz: tuple[int, int]) -> str:
    """What sets a variant apart from its base."""
    after = OpenModel(
        FoundModel(Path(variant.file), PurePosixPath(variant.file).name, variant.base.scaling.letter),
        Document(variant.text, PurePosixPath(variant.file).name),
        variant.base.scaling,
    )
    figure = Comparison(Content(variant.base, imgsz), Content(after, imgsz)).figure()
    return Drawing(figure, None, ()).svg


def _curves(variants: Variants) -> Iterator[tuple[str, str]]:
    """For each base and each set of positions, what its operators cost against their kernel size."""
    done: set[tuple[str, tuple[str, ...]]] = set()
    for variant, _ in variants.index.variants:
        at = tuple(dict.fromkeys(position.split("@")[0] for position in variant.wanted.at))
        base = base_name(variant)
        if (base, at) in done or variant.wanted.op not in OP_BLOCKS:
            continue
        done.add((base, at))
        try:
            points = curve_points(variant.base, at, variants.recipe.imgsz, sizes=SIZES)
        except SurgeonError:  # a width or a stride that nobody knows
            continue
        yield f"{base}: {', '.join(at)}", _svg(Curves(base, at, variants.recipe.imgsz, points))


def _svg(curves: Curves) -> str:
    text = io.StringIO()
    with plotting() as figure:
        curves.drawn(figure).savefig(text, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    return text.getvalue()
