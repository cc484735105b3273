"""Plan an insertion: from a file and what was asked to the text to be; nothing is written before it is told to."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from ..core.graph import Layer, Scaling
from ..core.operators import AnyOperator, Operators, operators_in
from ..core.parts import Parts, Site
from ..core.shapes import Shape, shapes_of
from ..core.surgery import (
    Edit,
    Placement,
    Rewrite,
    edits_for,
    insert,
    kept_letter,
    naming_notes,
    resolve_scale,
    stacking_notes,
)
from ..errors import TargetError
from ..files import as_path, planned_target, target_path, write_text
from ..reports import Report, Result, Table
from ..wording import numbers, plural, printable
from .document import Document
from .model import Model, default_name, family_notes, model_of
from .rewriting import names_scale, pin_scale, reread, rewrite_text, without_scaling
from .sources import STDIN, scale_in_name
from .text import unified_diff

#: The columns of `SitePlan.cells`.
COLUMNS = ("position", "layer", "block", "level", "operator", "channels", "row", "read by", "params")


@dataclass(frozen=True)
class SitePlan:
    """One edit as it will be done.

    Attributes:
        edit: the edit.
        layer: the base's row that it names.
        index: the inserted (or changed) row's index in the variant.
        consumers: who reads it there.
        level: pyramid level, or None.
        stride: pixels of the image per cell of the operator's map, or None when not known for sure.
        operators: width and number of the operators; None when a width is not known.
    """

    edit: Edit
    layer: Layer
    index: int
    consumers: tuple[int, ...]
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
        """Height and width of the operator's map for an image of imgsz = (height, width) pixels; None if not known."""
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
            "itself" if inside else numbers(self.consumers),
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
            "consumers": list(self.consumers),
        }


def in_words(sites: Sequence[SitePlan]) -> str:
    """`lska k35 at neck (rows 13, 17), ...`."""
    groups: dict[tuple[str, str], list[int]] = {}
    for site in sites:
        groups.setdefault((site.kernel.in_words, site.position), []).append(site.index)
    return ", ".join(f"{what} at {at} (row{plural(r)} {numbers(r)})" for (what, at), r in groups.items())


@dataclass(frozen=True, repr=False)
class Insertion(Result):
    """An insertion, worked out; nothing is written before `write`.

    Attributes:
        base: the base, read.
        placement: which operators were asked for, and where.
        resolved: whether the scale's real widths and repeats stand in every row.
        text: the variant's text.
        rewrite: the base's rows and the variant's.
        sites: the edits, by row of the variant.
        output: the file to be; None for standard output.
        notes: what the user should be told.
        drawn: draws base and variant as HTML, where a notebook is to show it.
    """

    schema: ClassVar[int] = 2
    base: Model
    placement: Placement
    resolved: bool
    text: str
    rewrite: Rewrite
    sites: tuple[SitePlan, ...]
    output: Path | None
    notes: tuple[str, ...]
    drawn: Callable[[Model, Model], str] | None = field(default=None, compare=False)

    @property
    def before(self) -> str:
        """The base's text."""
        return self.base.text

    @property
    def scaling(self) -> Scaling:
        """The scale that the base was read at."""
        return self.base.scaling

    @cached_property
    def variant(self) -> Model:
        """The variant as a model, written or not."""
        name = self.output.name if self.output else "model"
        return model_of(Document(self.text, name, blocks=self.base.blocks), self.scaling)

    @property
    def index_map(self) -> dict[int, int]:
        """Index in the base -> index in the variant."""
        return self.rewrite.index_map

    @property
    def params_added(self) -> int | None:
        """Parameters of the new operators; None when a width is not known."""
        found = [site.operators.params if site.operators else None for site in self.sites]
        return None if None in found else sum(params for params in found if params)

    def macs_added(self, height: int, width: int) -> int | None:
        """Multiply-accumulates of the new operators for an image of height x width pixels; None when not known."""
        total = 0
        for site in self.sites:
            sides = site.sides((height, width))
            macs = site.operators.macs(*sides) if site.operators and sides else None
            if macs is None:
                return None
            total += macs
        return total

    @property
    def diff(self) -> str:
        """The unified diff from the base to the variant."""
        name = self.output.name if self.output else "variant"
        return unified_diff(self.before, self.text, self.base.path.name, name)

    def report(self) -> Report:
        """What is done, in one line; a table of the edits; the diff."""
        scale = f" at scale {self.scaling.letter}" if self.scaling.letter else ""
        params = "" if self.params_added is None else f", {self.params_added:,} added parameters"
        where = self.output or "standard output"
        done = printable(f"{where}: {self.base.name}{scale} with {in_words(self.sites)}{params}")
        data = {
            "schema": self.schema,
            "base": str(self.base.path),
            "scale": self.scaling.letter,
            "output": str(self.output) if self.output else None,
            "params_added": self.params_added,
            "sites": [site.to_dict() for site in self.sites],
            "index_map": self.rewrite.index_map_by_name,
            "notes": list(self.notes),
            "diff": self.diff,
        }
        return Report(done, (done, Table(COLUMNS, [site.cells() for site in self.sites]), self.diff), self.notes, data)

    def _repr_html_(self) -> str:
        drawing = f"{self.drawn(self.base, self.variant)}\n" if self.drawn else ""
        return drawing + super()._repr_html_()

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write the variant; under another name than `output` it is worked out anew, for a name may say the scale.

        Args:
            path: the file; None for `output`.
            force: overwrite a file that is there.

        Returns:
            The file.

        Raises:
            TargetError: the file is there and `force` is off, its name does not fit the model, or the system refuses.
        """
        if path is not None:
            named = plan_insert(self.base, self.placement, resolve=self.resolved, output=os.fspath(as_path(path)))
            return named.write(force=force)
        target = planned_target(None, self.output, ".yaml")
        write_text(target, self.text, force=force)
        return target


def plan_insert(
    base: Model, placement: Placement, *, resolve: bool = False, output: str | None = None, verify: bool = True
) -> Insertion:
    """Work out an insertion into a base that is read already, as one does that plans many.

    Args:
        base: the base, read.
        placement: which operators go where.
        resolve: write the scale's real widths and repeats into every row.
        output: the file to be; None takes a name that tells what was done, "-" none, and so does None for standard
            input.
        verify: read the text again before it is trusted; only who compares it with a file that was written after such
            a reading may go without, which saves nine tenths of the time.

    Raises:
        SurgeonError: a position matches nothing, a kernel does not exist, ...
    """
    document, scaling, notes = base.written, base.scaling, list(base.notes)
    edits = edits_for(placement, base.graph, base.shapes)
    rewrite = insert(base.graph, edits)
    after = shapes_of(rewrite.after, scaling)
    site_plans = tuple(_site_plan(rewrite, index, after, scaling) for index in sorted(rewrite.edits))
    name = output or (STDIN if base.source.is_stdin else default_name(base, placement, resolve=resolve))
    target = None if name == STDIN else target_path(name, ".yaml")
    notes += [*family_notes(base.graph, target), *stacking_notes(rewrite), *naming_notes(rewrite)]
    notes += Parts(base.graph, base.shapes).left_out({edit.site.name for edit in edits})
    notes += _notes_on_merging(site_plans)
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
    if verify:
        notes += _notes_on_removal(text, rewrite)
    return Insertion(base, placement, resolve, text, rewrite, site_plans, target, tuple(notes))


def _notes_on_removal(text: str, rewrite: Rewrite) -> list[str]:
    """What to say where the text has no room for the comments by which `remove` knows rows such as CBAM's."""
    theirs = [row for row in rewrite.inserted if not rewrite.after[row].kind.is_attention]
    if not theirs:
        return []
    from .remove import tells_its_own  # here, for LSKA's own rows need no telling

    if tells_its_own(Document(text, rewrite.after.name, blocks=rewrite.after.blocks), theirs):
        return []
    blocks = ", ".join(sorted({rewrite.after[row].block for row in theirs}))
    return [
        f"its lists leave no room for comments, so lska-surgeon remove will not tell the inserted rows ({blocks}) from "
        "the network's own: write a row on each line"
    ]


def _notes_on_merging(sites: Sequence[SitePlan]) -> list[str]:
    """What to say where operators have more parameters while they train than afterwards."""
    merged = sum(site.operators.merged(1, 1)[0] for site in sites if site.operators)
    ops = ", ".join(sorted({site.kernel.op for site in sites if site.operators and site.operators.merged(1, 1)[0]}))
    return [f"{ops} has {merged:,} parameters more while it trains: fuse() and exports merge them"] if merged else []


def _site_plan(rewrite: Rewrite, index: int, shapes: tuple[Shape, ...], scaling: Scaling) -> SitePlan:
    edit = rewrite.edits[index]
    layer = rewrite.before[edit.site.layer]
    consumers = () if edit.site.inside else rewrite.rewired(index)
    operators = operators_in(rewrite.after, index, shapes, scaling)
    shape = shapes[index]
    return SitePlan(edit, layer, index, consumers, shape.level, None if shape.guessed else shape.stride, operators)


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
        blocks = " and ".join(sorted({layer.kind.plain for layer in rewrite.after if layer.kind.letters}))
        raise TargetError(
            f"the name {output} says scale {said}, and Ultralytics builds {blocks} by that letter: choose a name with "
            f"{letter} in that place, or with no scale"
        )
    variant = reread(rewrite_text(document, resolved, labels), resolved.after)
    text = without_scaling(variant, letter)
    reread(text, resolved.after)
    return text
