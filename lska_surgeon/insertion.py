"""Plan an insertion or a removal: from a file and what was asked to the text to be; it writes nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from .channels import Scaling, Shape, scaling_of, shapes_of, size_problem
from .closed_form import Operators, operators_in
from .document import Document
from .errors import DocumentError, GraphError, TargetError
from .family import family_notes
from .graph import Graph
from .kernel import DEFAULT_KERNEL, Kernel, resolve_kernel
from .output import target_path
from .positions import Site, parse_at, resolve_at
from .resolve import kept_letter, resolve
from .rewriting import rewrite_text
from .scale_pin import names_scale, pin_scale, unpin_scale, without_scaling
from .stock import FoundModel, find_model, scale_in_name
from .surgery import Edit, Rewrite, insert, remove


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `lska-surgeon insert --help`."""

    base: str
    at: tuple[str, ...]
    op: str = "lska"
    k: int = DEFAULT_KERNEL
    dilation: int | None = None
    scale: str | None = None
    resolve: bool = False
    output: str | None = None


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
    def kernel(self) -> Kernel:
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
        found = [site.operators for site in self.sites]
        return None if None in found else sum(operators.params for operators in found if operators)

    def macs_added(self, height: int, width: int) -> int | None:
        """Multiply-accumulates of the new operators for a picture of height x width pixels; None when not known."""
        total = 0
        for site in self.sites:
            stride = site.stride
            if site.operators is None or not stride or height % stride or width % stride:
                return None
            total += site.operators.macs(int(height / stride), int(width / stride))
        return total

    @property
    def diff(self) -> str:
        """The unified diff from the base to the variant."""
        return unified_diff(self.before, self.text, self.base.path.name, self.output.name if self.output else "variant")


@dataclass(frozen=True)
class OpenModel:
    """A model YAML, read, at a scale.

    Attributes:
        found: where it is.
        document: its text and rows.
        scaling: its scale.
        notes: what the user should be told.
    """

    found: FoundModel
    document: Document
    scaling: Scaling
    notes: tuple[str, ...] = ()

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """What each layer gives."""
        return shapes_of(self.document.graph, self.scaling)


def plan_insert(request: Request) -> Plan:
    """Work out an insertion.

    Raises:
        SurgeonError: the base can't be read, a position matches nothing, a kernel does not exist, ...
    """
    return plan_insert_into(open_model(request.base, request.scale), request)


def plan_insert_into(base: OpenModel, request: Request, *, reread: bool = True) -> Plan:
    """Work out an insertion into a base that is read already, as one does that plans many.

    Args:
        base: the base, read.
        request: what is asked for; its `base` and `scale` are those of `base`.
        reread: read the text again before it is trusted; only who compares it with a file that was written after such
            a reading may go without, which saves nine tenths of the time.

    Raises:
        SurgeonError: as `plan_insert`.
    """
    found, document, scaling, notes = base.found, base.document, base.scaling, list(base.notes)
    edits = edits_for(request, document.graph, base.shapes)
    rewrite = insert(document.graph, edits)
    after = shapes_of(rewrite.after, scaling)
    site_plans = tuple(_site_plan(rewrite, index, after, scaling) for index in sorted(rewrite.edits))
    output = (
        None if request.output == "-" else target_path(request.output or default_name(found, request, edits), ".yaml")
    )
    notes += [*family_notes(document.graph, output), *stacking_notes(rewrite)]
    label = _labels(rewrite, after)
    name = output.name if output else None
    if request.resolve:
        text = _resolved_text(document, rewrite, after, scaling, label, output)
    else:
        text = rewrite_text(document, rewrite, label)
        if reread or not names_scale(document, scaling.letter, name):
            pinned = pin_scale(_reread(text, rewrite.after), scaling.letter, name)
            text = pinned.text
            notes += [pinned.note] if pinned.note else []
            if pinned.note:
                _reread(text, rewrite.after)
    return Plan(found, document.text, text, rewrite, scaling, site_plans, output, tuple(notes))


def stacking_notes(rewrite: Rewrite) -> list[str]:
    """What to say where an operator comes to stand right before or behind one that was there."""
    pairs = ", ".join(f"{first} and {second}" for first, second in rewrite.stacked)
    had = f"{rewrite.before.name} had an operator in this place already, so that two follow each other"
    return [f"{had}: rows {pairs}"] if pairs else []


def edits_for(request: Request, graph: Graph, shapes: tuple[Shape, ...]) -> list[Edit]:
    """The edits that a request asks for in a graph, in the order asked.

    Raises:
        PositionError: a position is misspelt or matches nothing.
        KernelError: a kernel does not exist.
    """
    ats = [parse_at(text) for text in request.at]
    sites = [site for at in ats for site in resolve_at(at, graph, shapes)]
    sizes = [request.k if site.k is None else site.k for site in sites]
    return [Edit(site, resolve_kernel(request.op, k, request.dilation)) for site, k in zip(sites, sizes)]


@dataclass(frozen=True)
class Removal:
    """A removal, worked out: the base's text and which rows went."""

    before: str
    text: str
    rewrite: Rewrite
    output: Path | None
    source: Path

    @property
    def diff(self) -> str:
        """The unified diff from the variant to the base."""
        return unified_diff(self.before, self.text, self.source.name, self.output.name if self.output else "base")


def plan_remove(variant: str, output: str | None = None) -> Removal:
    """Work out a removal: byte for byte what `insert` started from, or the plain network for a file that people wrote.

    Raises:
        SurgeonError: the file can't be read, or there is nothing to remove.
    """
    found = find_model(variant)
    document = Document.read(found.path, found.asked)
    rewrite = remove(document.graph)
    text = unpin_scale(_reread(rewrite_text(document, rewrite), rewrite.after))
    target = None if output == "-" else target_path(output or _base_name(found), ".yaml")
    family_notes(document.graph, target)
    return Removal(document.text, text, rewrite, target, found.path)


def unified_diff(before: str, after: str, old_name: str, new_name: str) -> str:
    """A unified diff of two texts, one newline style and no undecodable bytes, so that it prints well."""
    old, new = (text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in (before, after))
    lines = (old.splitlines(), new.splitlines())
    return "\n".join(difflib.unified_diff(*lines, f"a/{old_name}", f"b/{new_name}", lineterm=""))


def default_name(found: FoundModel, request: Request, edits: Sequence[Edit]) -> str:
    """`yolov8s-lska-neck-k35.yaml`: base, scale, operator, positions and kernel sizes."""
    resolved = "-resolved" if request.resolve else ""
    return f"{variant_stem(_stem_with_scale(found, request.scale), request, edits)}{resolved}.yaml"


def name_fields(base: OpenModel, request: Request, edits: Sequence[Edit]) -> dict[str, str]:
    """What a file name may be made of: base (with its scale letter), scale, op, at, k and d."""
    kernels = [edit.kernel for edit in edits]
    return {
        "base": _stem_with_scale(base.found, request.scale),
        "scale": base.scaling.letter or "",
        "op": request.op,
        "at": "-".join(map(_in_a_name, request.at)),
        "k": "-".join(dict.fromkeys(str(kernel.k) for kernel in kernels)),
        "d": "-".join(dict.fromkeys(str(kernel.d) for kernel in kernels)),
    }


def variant_stem(stem: str, request: Request, edits: Sequence[Edit]) -> str:
    """The base's name with what was done to it: `yolov8s-lska-neck-k35`."""
    sizes = {edit.kernel.k for edit in edits}
    positions = []
    for text in request.at:
        at = parse_at(text)
        positions.append(_in_a_name(text))
        if len(sizes) > 1:
            positions[-1] += f"-k{request.k if at.k is None else at.k}"
    k = [] if len(sizes) > 1 else [f"k{sizes.pop()}"]
    d = [f"d{request.dilation}"] if request.dilation else []
    return "-".join([stem, request.op, *positions, *k, *d])


def _in_a_name(at: str) -> str:
    """An `--at` value as a part of a file name, its kernel size left out."""
    return re.sub(r"[^\w.]+", "-", at.split("@")[0]).strip("-")


def _stem_with_scale(found: FoundModel, scale: str | None) -> str:
    stem = Path(found.asked).stem
    if scale is None or found.scale == scale:
        return stem
    if found.scale:
        return re.sub(rf"(yolo(?:e-)?v?\d+){found.scale}", rf"\g<1>{scale}", stem, count=1)
    with_letter = re.sub(r"(yolo(?:e-)?v?\d+)", rf"\g<1>{scale}", stem, count=1)
    return with_letter if scale_in_name(f"{with_letter}.yaml") == scale else f"{stem}-{scale}"


def _base_name(found: FoundModel) -> str:
    stem = Path(found.asked).stem
    base = re.sub(r"-(?:lska|lka)(?:-trivial|-attention)?-.+$", "", stem)
    return f"{base if base != stem else stem + '-base'}.yaml"


def open_model(name: str, scale: str | None = None, folder: Path | None = None) -> OpenModel:
    """Find and read a model YAML and settle its scale.

    Args:
        name: a path, or a stock name with its scale letter.
        scale: scale letter, where the name does not say it.
        folder: where a relative path starts; None for the working folder.

    Raises:
        SurgeonError: no such file, not a model YAML, no such scale, or a row whose repeats or width make no layer.
    """
    found = find_model(name, folder)
    document = Document.read(found.path, found.asked)
    if scale and not document.scales:
        raise GraphError(f"{found.asked} has no scales, so there is no scale {scale}: drop --scale")
    letter = scale or (found.scale if document.scales else None)
    scaling = scaling_of(document.settings, letter)
    for layer in document.graph:
        problem = size_problem(layer, scaling)
        if problem:
            raise GraphError(f"{found.asked}: row {layer.index} ({layer.block}) {problem}")
    if letter is None and len(document.scales) > 1:
        others = ", ".join(document.scales)
        note = f"{found.asked} names no scale, so this is {scaling.letter}; --scale takes {others}"
        return OpenModel(found, document, scaling, (note,))
    return OpenModel(found, document, scaling)


def _site_plan(rewrite: Rewrite, index: int, shapes: tuple[Shape, ...], scaling: Scaling) -> SitePlan:
    edit = rewrite.edits[index]
    readers = () if edit.site.inside else rewrite.rewired(index)
    operators = operators_in(rewrite.after, index, shapes, scaling)
    shape = shapes[index]
    return SitePlan(edit, index, readers, shape.level, None if shape.guessed else shape.stride, operators)


def _labels(rewrite: Rewrite, shapes: tuple[Shape, ...]) -> dict[int, str]:
    labels = {}
    for index in rewrite.inserted:
        edit, shape = rewrite.edits[index], shapes[index]
        level = f" ({shape.level.upper()}/{shape.stride:g})" if shape.level and shape.stride else ""
        labels[index] = f"{edit.kernel.op} k{edit.kernel.k}, {edit.site.name}{level}"
    return labels


def _resolved_text(
    document: Document,
    rewrite: Rewrite,
    shapes: tuple[Shape, ...],
    scaling: Scaling,
    labels: dict[int, str],
    output: Path | None,
) -> str:
    resolved = replace(rewrite, after=resolve(rewrite.after, shapes, scaling))
    letter = kept_letter(rewrite.after, scaling)
    said = scale_in_name(output.name) if output else None
    if letter and said and said != letter:
        raise TargetError(
            f"the name {output} says scale {said}, and Ultralytics builds C3k2 and A2C2f by that letter: choose a name "
            f"with {letter} in that place, or with no scale letter"
        )
    variant = _reread(rewrite_text(document, resolved, labels), resolved.after)
    text = without_scaling(variant, letter)
    _reread(text, resolved.after)
    return text


def _reread(text: str, graph: Graph) -> Document:
    """The text as a document again, which has to hold the graph that was to be written: nothing is written wrong."""
    try:
        document = Document(text, graph.name)
        right = document.layers == graph.layers
    except DocumentError:
        right = False
    if not right:
        raise DocumentError(
            f"{graph.name} is laid out in a way that can't be edited safely (aliases?): write its rows and scales out"
        )
    return document
