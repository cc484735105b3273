"""The networks of an ablation: bases, their variants, and the larger bases that stand for plain scaling."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..cost.cache import CostCache, Counted, ModelText
from ..modelfile.model import Model, load, stem_with_scale
from ..modelfile.rewriting import pin_scale
from ..recipes.recipe import Recipe
from ..recipes.variants import DEFAULT_FOLDER, Variant, plan_variants

VARIANT, BASE, LARGER = "variant", "base", "larger"


@dataclass(frozen=True)
class Network:
    """One row of the table to be: a variant, a base, or a larger base.

    Attributes:
        name: what it is called.
        role: "variant", "base" or "larger".
        base: name of the base that it is compared with; its own, for a base.
        file: the file that is trained, as the recipe names it.
        text: its content.
        scale: scale, or None.
        base_text: the content of the base that it is compared with; its own, for a base.
        variant: the recipe's variant, where it is one.
    """

    name: str
    role: str
    base: str
    file: str
    text: str
    scale: str | None
    base_text: str
    variant: Variant | None = None

    def cost(self, costs: CostCache) -> Counted | None:
        """What it costs; None when that is not known and may not be counted."""
        if self.variant is None:
            return costs.of(ModelText(self.file, self.text, self.scale))
        found = self.variant.cost(costs)
        if found.params is None or found.macs is None:
            return None
        return Counted(found.params, found.macs, found.base.counted_with if found.base else {})


def networks_of(recipe: Recipe) -> tuple[tuple[Network, ...], dict[str, str]]:
    """Every base with its variants, then the larger bases; and which is the larger one of which."""
    assert recipe.experiment is not None
    variants = plan_variants(recipe)
    bases: dict[str, Variant] = {}
    for variant in variants:
        name = stem_with_scale(variant.base)
        if bases.setdefault(name, variant).base.text != variant.base.text:
            raise recipe.error(variant.wanted, f"another base is called {name}, too: rename one", "base")
    found, controls, larger = [], [], {}
    for name, variant in bases.items():
        base = _base(variant.base, BASE, name)
        found.append(base)
        found += [
            Network(_name(one.file), VARIANT, name, one.file, one.text, one.base.scaling.letter, base.text, one)
            for one in variants
            if stem_with_scale(one.base) == name
        ]
        if recipe.experiment.larger:
            bigger = _larger(recipe, variant)
            larger[name] = stem_with_scale(bigger)
            if larger[name] not in bases:
                controls.append(_base(bigger, LARGER, name))
    return (*found, *controls), larger


def _name(file: str) -> str:
    short = file[len(DEFAULT_FOLDER) + 1 :] if file.startswith(f"{DEFAULT_FOLDER}/") else file
    return str(Path(short).with_suffix("")).replace("/", "--")


def _base(base: Model, role: str, of: str) -> Network:
    name = stem_with_scale(base)
    letter = base.scaling.letter if base.written.scales else None
    text = pin_scale(base.written, letter, f"{name}.yaml").text
    return Network(name, role, of, f"{name}.yaml", text, base.scaling.letter, text)


def _larger(recipe: Recipe, variant: Variant) -> Model:
    base, letters = variant.base, list(variant.base.written.scales)
    letter = base.scaling.letter
    place = letters.index(letter) + 1 if letter in letters else len(letters)
    if place == len(letters):
        raise recipe.bad("controls", f"{base.name} has no scale that is larger: drop larger")
    return load(variant.wanted.base, letters[place], recipe.folder, blocks=base.blocks)
