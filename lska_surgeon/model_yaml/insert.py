"""Plan an insertion: from a file and what was asked to the text to be; it writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..architecture.operators import Operators, operators_in
from ..architecture.other_operators import AnyOperator
from ..architecture.placement import Placement, edits_for
from ..architecture.positions import Site
from ..architecture.resolve import kept_letter, resolve_scale
from ..architecture.scaling import Scaling
from ..architecture.shapes import Shape, shapes_of
from ..architecture.surgery import Edit, Rewrite, insert
from ..errors import TargetError
from ..files import target_path
from .document import Document
from .file_names import default_name, family_notes
from .find import FoundModel, scale_in_name
from .lines import unified_diff
from .load import OpenModel, open_model
from .rewriting import reread, rewrite_text
from .scale_pin import names_scale, pin_scale, without_scaling


@dataclass(frozen=True)
class SitePlan:
    """One edit as it will be done.

    Attributes:
        edit: the edit.
        index: the inserted (or changed) row's index in the variant.
        readers: who reads it there.
        level: pyramid level, or None.
        stride: pixels of the picture per cell of the operator's map, or None when not known for sure.
        operators: width and number of the operators; None when a width is not known.
    """

    edit: Edit
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


@dataclass(frozen=True)
class Plan:
    """An insertion, worked out: executing it means writing `text` to `output`."""

    base: FoundModel
    before: str
    text: str
    rewrite: Rewrite
    scaling: Scaling
    sites: tuple[SitePlan, ...]
    output: Path | None
    notes: tuple[str, ...]

    @property
    def params_added(self) -> int | None:
        """Parameters of the new operators; None when a width is not known."""
        found = [site.operators.params if site.operators else None for site in self.sites]
        return None if None in found else sum(params for params in found if params)

    def macs_added(self, height: int, width: int) -> int | None:
        """Multiply-accumulates of the new operators for a picture of height x width pixels; None when not known."""
        total = 0
        for site in self.sites:
            stride = site.stride
            if site.operators is None or not stride or height % stride or width % stride:
                return None
            macs = site.operators.macs(int(height / stride), int(width / stride))
            if macs is None:
                return None
            total += macs
        return total

    @property
    def diff(self) -> str:
        """The unified diff from the base to the variant."""
        return unified_diff(self.before, self.text, self.base.path.name, self.output.name if self.output else "variant")


def plan_insert(
    base: str, placement: Placement, *, scale: str | None = None, resolve: bool = False, output: str | None = None
) -> Plan:
    """Work out an insertion.

    Args:
        base: a path, or a stock name with its scale letter.
        placement: which operators go where.
        scale: scale letter, where the base's name does not say it.
        resolve: write the scale's real widths and repeats into every row.
        output: the file to be; None takes a name that tells what was done, "-" none.

    Raises:
        SurgeonError: the base can't be read, a position matches nothing, a kernel does not exist, ...
    """
    return plan_insert_into(open_model(base, scale), placement, resolve=resolve, output=output)


def plan_insert_into(
    base: OpenModel, placement: Placement, *, resolve: bool = False, output: str | None = None, verify: bool = True
) -> Plan:
    """Work out an insertion into a base that is read already, as one does that plans many.

    Args:
        base: the base, read.
        placement, resolve, output: as for `plan_insert`.
        verify: read the text again before it is trusted; only who compares it with a file that was written after such
            a reading may go without, which saves nine tenths of the time.

    Raises:
        SurgeonError: as `plan_insert`.
    """
    found, document, scaling, notes = base.found, base.document, base.scaling, list(base.notes)
    edits = edits_for(placement, document.graph, base.shapes)
    rewrite = insert(document.graph, edits)
    after = shapes_of(rewrite.after, scaling)
    site_plans = tuple(_site_plan(rewrite, index, after, scaling) for index in sorted(rewrite.edits))
    name = output or default_name(base, placement, edits, resolve=resolve)
    target = None if output == "-" else target_path(name, ".yaml")
    notes += [*family_notes(document.graph, target), *stacking_notes(rewrite)]
    label = _labels(rewrite, after)
    if resolve:
        text = _resolved_text(document, rewrite, after, scaling, label, target)
    else:
        text = rewrite_text(document, rewrite, label)
        file_name = target.name if target else None
        if verify or not names_scale(document, scaling.letter, file_name):
            pinned = pin_scale(reread(text, rewrite.after), scaling.letter, file_name)
            text = pinned.text
            notes += [pinned.note] if pinned.note else []
            if pinned.note:
                reread(text, rewrite.after)
    return Plan(found, document.text, text, rewrite, scaling, site_plans, target, tuple(notes))


def stacking_notes(rewrite: Rewrite) -> list[str]:
    """What to say where an operator comes to stand right before or behind one that was there."""
    pairs = ", ".join(f"{first} and {second}" for first, second in rewrite.stacked)
    had = f"{rewrite.before.name} had an operator in this place already, so that two follow each other"
    return [f"{had}: rows {pairs}"] if pairs else []


def _site_plan(rewrite: Rewrite, index: int, shapes: tuple[Shape, ...], scaling: Scaling) -> SitePlan:
    edit = rewrite.edits[index]
    readers = () if edit.site.inside else rewrite.rewired(index)
    operators = operators_in(rewrite.after, index, shapes, scaling, edit.kernel)
    shape = shapes[index]
    return SitePlan(edit, index, readers, shape.level, None if shape.guessed else shape.stride, operators)


def _labels(rewrite: Rewrite, shapes: tuple[Shape, ...]) -> dict[int, str]:
    labels = {}
    for index in rewrite.inserted:
        edit, shape = rewrite.edits[index], shapes[index]
        level = f" ({shape.level.upper()}/{shape.stride:g})" if shape.level and shape.stride else ""
        labels[index] = f"{edit.kernel.in_words}, {edit.site.name}{level}"
    return labels


def _resolved_text(
    document: Document,
    rewrite: Rewrite,
    shapes: tuple[Shape, ...],
    scaling: Scaling,
    labels: dict[int, str],
    output: Path | None,
) -> str:
    resolved = replace(rewrite, after=resolve_scale(rewrite.after, shapes, scaling))
    letter = kept_letter(rewrite.after, scaling)
    said = scale_in_name(output.name) if output else None
    if letter and said and said != letter:
        raise TargetError(
            f"the name {output} says scale {said}, and Ultralytics builds C3k2 and A2C2f by that letter: choose a name "
            f"with {letter} in that place, or with no scale letter"
        )
    variant = reread(rewrite_text(document, resolved, labels), resolved.after)
    text = without_scaling(variant, letter)
    reread(text, resolved.after)
    return text
