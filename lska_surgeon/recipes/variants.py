"""From a recipe to its variants, each with its text and its cost; it reads no index and writes no file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import NamedTuple

from ..core.surgery import Placement, edits_for
from ..cost.cache import CostCache, Counted, ModelText, sha256
from ..errors import RecipeError, SurgeonError
from ..modelfile.document import Document
from ..modelfile.insert import Insertion, plan_insert
from ..modelfile.model import Model, load, name_fields, variant_stem
from ..modelfile.replace import EditedModel, GraphEdit, edited_stem, plan_changes
from ..modelfile.sources import STDIN
from .recipe import Recipe, Wanted

DEFAULT_FOLDER = "variants"


@dataclass(frozen=True)
class Kind:
    """What a network has that others have in other sizes: one operator of one kernel size, at these positions."""

    base: str
    at: tuple[str, ...]
    op: str
    k: int

    @property
    def family(self) -> str:
        """What it is without its size: `lska, neck`."""
        return ", ".join(filter(None, (self.op, *self.at)))


class Shown(NamedTuple):
    """A network that figures show.

    Attributes:
        name: by which it is asked for.
        base: the name of its base; its own of a base.
        kind: what it has, where that is one kernel size throughout.
        title: what it is called where the user calls it nothing.
    """

    name: str
    base: str
    kind: Kind | None
    title: str


@dataclass(frozen=True)
class Looks:
    """How networks look, which is decided here for every figure and page: by what stands in a recipe, in its order.

    What differs in kernel size alone looks alike: one number, for colour, marker and line, and one name.

    Attributes:
        networks: all of them, those last that are no variants.
        labels: title, or family of networks -> what the user calls it.
    """

    networks: tuple[Shown, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def groups(self) -> dict[str, tuple[str, str]]:
        """Name of a network that is no base -> its base, and what has one look with it."""
        others = [one for one in self.networks if one.name != one.base]
        return {one.name: (one.base, one.kind.family if one.kind else one.name) for one in others}

    @cached_property
    def numbers(self) -> dict[tuple[str, str], int]:
        """What has one look -> its number."""
        return {group: number for number, group in enumerate(dict.fromkeys(self.groups.values()))}

    def number(self, name: str) -> int:
        """The number of a network's look."""
        return self.numbers[self.groups[name]]

    @cached_property
    def _titles(self) -> dict[str, str]:
        return {one.name: one.title for one in self.networks}

    def own(self, name: str) -> str | None:
        """What the user calls a network."""
        return self.labels.get(self._titles[name])

    def legend(self, name: str) -> str:
        """What stands for a network in a legend: its name, or what several have in common that look alike."""
        base, family = group = self.groups[name]
        alone = list(self.groups.values()).count(group) == 1
        if alone and (own := self.own(name) or (family not in self.labels and self._titles[name])):
            return own
        several = len({base for base, _ in self.numbers}) > 1
        called = f"{self.own(base) or self._titles[base]}: " if several else ""
        return called + self.labels.get(family, family)

    def of_operators(self, base: str, at: tuple[str, ...], ops: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Operator at positions -> number and name: of what is shown its own, of others the next that are free."""
        others, found = count(len(self.numbers)), {}
        for op in ops:
            family = Kind(base, at, op, 0).family
            number = self.numbers.get((base, family))
            found[op] = next(others) if number is None else number, self.labels.get(family, op)
        return found


@dataclass(frozen=True)
class VariantCost:
    """What a variant costs.

    Attributes:
        params, macs: the whole variant's, for one image, fused; None when not known.
        params_added, macs_added: what it has more than its base; None when not known.
        base: the base's count; None when not known.
    """

    params: int | None
    macs: int | None
    params_added: int | None
    macs_added: int | None
    base: Counted | None


@dataclass(frozen=True)
class Variant:
    """One variant of a recipe, worked out.

    Attributes:
        wanted: what the recipe asks for.
        base: the base, read.
        plan: the insertion, or the other edits where there is none; `plan.text` is the file's text to be.
        file: where it goes, relative to the recipe's folder, with forward slashes.
    """

    wanted: Wanted
    base: Model
    plan: Insertion | EditedModel
    file: str

    @property
    def text(self) -> str:
        return self.plan.text

    @cached_property
    def sha256(self) -> str:
        """Of the file to be."""
        return sha256(self.text)

    @property
    def base_name(self) -> str:
        """`yolov8s.yaml`, or `yolov8.yaml at scale s`."""
        name, letter = self.base.name, self.base.scaling.letter
        return name if self.base.source.scale or not letter else f"{name} at scale {letter}"

    @property
    def base_text(self) -> ModelText:
        """The base, for counting."""
        return ModelText(self.base.name, self.base.text, self.base.scaling.letter)

    @property
    def places(self) -> tuple[str, ...]:
        """Its positions without their sizes."""
        return tuple(dict.fromkeys(position.split("@")[0] for position in self.wanted.at))

    @property
    def kind(self) -> Kind | None:
        """What it has; None where its kernels are several, or none of the closed forms', or its base was edited."""
        kernels = {site.kernel for site in self.plan.sites}
        if self.wanted.edits:
            return None
        kernel = next(iter(kernels))
        if len(kernels) > 1 or kernel.k is None or kernel.explicit_dilation:
            return None
        return Kind(self.base_name, self.places, kernel.op, kernel.k)

    @property
    def edits(self) -> str:
        """`lska k35 at neck`; several sizes each with its positions."""
        groups: dict[str, dict[str, None]] = {}
        for site in self.plan.sites:
            groups.setdefault(site.kernel.in_words, {})[site.position] = None
        return ", ".join([*self.wanted.edits, *(f"{what} at {' and '.join(at)}" for what, at in groups.items())])

    @property
    def params_added(self) -> int | None:
        """Parameters of its operators, where these are all that its base has not; None where that is not known."""
        insertion = None if self.wanted.edits else self.plan
        return insertion.params_added if isinstance(insertion, Insertion) else None

    def cost(self, costs: CostCache) -> VariantCost:
        """The base's count plus the operators', in closed form or counted; where a width is not known, the whole's."""
        base = costs.of(self.base_text)
        params, macs = self.params_added, None
        if isinstance(self.plan, Insertion) and not self.wanted.edits:
            macs = self.plan.macs_added(*costs.imgsz)
        if params is not None and macs is not None:
            if base is None:
                return VariantCost(None, None, params, macs, None)
            return VariantCost(base.params + params, base.macs + macs, params, macs, base)
        # Rows with real widths have no scales, or one that stands for nothing.
        scale = self.base.scaling.letter if Document(self.text).scales else None
        whole = costs.of(ModelText(Path(self.file).name, self.text, scale), lambda: self._sum(costs, base))
        if whole is None or base is None:
            return VariantCost(whole.params if whole else None, whole.macs if whole else None, params, macs, base)
        return VariantCost(whole.params, whole.macs, whole.params - base.params, whole.macs - base.macs, base)

    def _sum(self, costs: CostCache, base: Counted | None) -> tuple[int, int] | None:
        """The base's count plus that of each operator; None where a width or a map's size is not known."""
        if base is None or self.wanted.edits:
            return None
        params, macs = base.params, base.macs
        for site in self.plan.sites:
            sides = site.sides(costs.imgsz)
            each = costs.of_operator(site.kernel, site.operators.channels, sides) if site.operators and sides else None
            if site.operators is None or each is None:
                return None
            params, macs = params + site.operators.count * each[0], macs + site.operators.count * each[1]
        return params, macs


def looks_of(recipe: Recipe) -> Looks:
    """How the variants of a recipe look.

    Raises:
        RecipeError: as for `plan_variants`.
    """
    variants = plan_variants(recipe)
    bases = list(dict.fromkeys(one.base_name for one in variants))
    ordered = sorted(variants, key=lambda one: bases.index(one.base_name))
    shown = (Shown(one.file, one.base_name, one.kind, one.file) for one in ordered)
    return Looks(tuple(shown), recipe.experiment.labels if recipe.experiment else {})


def plan_variants(recipe: Recipe, *, unchecked: bool = False) -> tuple[Variant, ...]:
    """Every variant that a recipe asks for, in its order, without costs; `unchecked`, on bases with errors too.

    The texts are not read again: that is for `read_again`, once it is known which of them will be written.

    Raises:
        RecipeError: a base can't be read or is wrong, a position matches nothing, two variants want one file; with
            file and line.
    """
    bases: dict[tuple[str, str | None], Model] = {}
    files: dict[str, Variant] = {}
    for wanted in recipe.wanted:
        if (wanted.base, wanted.scale) not in bases:
            bases[wanted.base, wanted.scale] = _load(recipe, wanted, unchecked)
        try:
            variant = _plan(recipe, wanted, bases[wanted.base, wanted.scale])
        except RecipeError:
            raise
        except SurgeonError as error:
            raise recipe.error(wanted, error) from error
        other = files.setdefault(variant.file, variant)
        if other is not variant and other.text != variant.text:
            raise recipe.error(wanted, f"two variants want the file {variant.file}: {_apart(other.wanted, wanted)}")
    return tuple(files.values())


def read_again(recipe: Recipe, variants: Iterable[Variant]) -> None:
    """Read the texts of variants again, to be sure that they say what was planned.

    Raises:
        RecipeError: one does not.
    """
    for variant in variants:
        try:
            again = _insert(recipe, variant.base, variant.wanted, variant.file)
        except SurgeonError as error:
            raise recipe.error(variant.wanted, error) from error
        assert again.text == variant.text


def _load(recipe: Recipe, wanted: Wanted, unchecked: bool) -> Model:
    place = "base"
    try:
        base = load(wanted.base, None, recipe.folder, blocks=recipe.blocks)
        if not unchecked:
            from ..checks.refusal import refuse_broken

            refuse_broken(base.source, base.written)
        if wanted.scale is None:
            return base
        place = "scale"
        return load(wanted.base, wanted.scale, recipe.folder, blocks=recipe.blocks)
    except SurgeonError as error:
        raise recipe.error(wanted, error, place) from error


def _plan(recipe: Recipe, wanted: Wanted, base: Model) -> Variant:
    file = _file(recipe, wanted, base)
    if os.path.realpath(recipe.folder / file) in (os.path.realpath(recipe.path), os.path.realpath(base.path)):
        raise recipe.error(wanted, f"its file would be {file}, which the recipe itself reads: change `out`")
    return Variant(wanted, base, _insert(recipe, base, wanted, file, verify=False), file)


def _file(recipe: Recipe, wanted: Wanted, base: Model) -> str:
    placement, changes = _placement(wanted), list(map(GraphEdit.parse, wanted.edits))
    if wanted.out is None:
        end = "-resolved.yaml" if recipe.resolve else ".yaml"
        stem = variant_stem(edited_stem(base, changes), placement) if wanted.at else edited_stem(base, changes)
        return f"{DEFAULT_FOLDER}/{stem}{end}"
    edited = _edited(recipe, wanted, base, STDIN).variant if changes else base
    edits = edits_for(placement, edited.graph, edited.shapes)
    fields = name_fields(base, placement, edits)
    return _named(wanted.out, {**fields, "edits": "-".join(change.in_a_name for change in changes)})


def _named(out: str, fields: dict[str, str]) -> str:
    """A file's name from its template; a number that the operator has not goes with what joins it to the rest."""
    for name in ("k", "d", "op", "at", "edits"):
        if not fields[name]:
            out = re.sub(rf"[-_.][A-Za-z]?\{{{name}\}}", "", out)
    return out.format(**fields)


def _placement(wanted: Wanted) -> Placement:
    return Placement(wanted.at, wanted.op, wanted.k, wanted.dilation, wanted.gated)


def _insert(recipe: Recipe, base: Model, wanted: Wanted, file: str, *, verify: bool = True) -> Insertion | EditedModel:
    output = str(recipe.folder / file)
    if wanted.edits:
        edited = _edited(recipe, wanted, base, output)
        if not wanted.at:
            return edited
        base = replace(base, graph=edited.variant.graph, document=edited.variant.document)
    return plan_insert(base, _placement(wanted), resolve=recipe.resolve, output=output, verify=verify)


def _edited(recipe: Recipe, wanted: Wanted, base: Model, output: str) -> EditedModel:
    try:
        return plan_changes(base, list(map(GraphEdit.parse, wanted.edits)), output)
    except SurgeonError as error:
        raise recipe.error(wanted, error, "edits") from error


def _apart(one: Wanted, other: Wanted) -> str:
    """How to tell two variants apart by their files."""
    names = {"base": "base", "scale": "scale", "op": "op", "gated": "op", "at": "at", "k": "k", "dilation": "d"}
    names["edits"] = "edits"
    fields = dict.fromkeys(short for name, short in names.items() if getattr(one, name) != getattr(other, name))
    differing = [f"{{{short}}}" for short in fields]
    missing = [name for name in differing if name not in (other.out or "")]
    if missing:
        return f"tell them apart in `out`, with {', '.join(missing)}"
    return f"their {', '.join(differing)} read alike in a name; give one of them an `out` of its own, under include"
