"""The index of a recipe's variants: what each is, its hash and its cost, as JSON and as Markdown; it touches no file.

The index also says which files the recipe owns. It carries no date, no path of a machine and no machine's name, so the
same recipe, bases and releases of those that count give the same bytes anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Optional, TypedDict

from ..cost.cache import Amount, CostCache, Counted, sha256
from ..errors import RecipeError
from ..files import parse_json
from ..reports import Table, csv, drawn, markdown, markdown_text
from ..wording import clean, printable
from .plan import Variant, VariantCost
from .recipe import Recipe

#: Version of the JSON; it changes when a key changes its meaning or goes.
SCHEMA = 1
FORMATS = ("table", "md", "csv", "json")
_UNIT = "flops = 2 x macs; macs are multiply-accumulates as fvcore counts them, fused, eval mode, one image"
_HEADER = ("variant", "edits", "params", "GMACs", "GFLOPs", "added parameters", "added GFLOPs")
_UNKNOWN = "not known"
#: What the index says of an edit.
_EDIT = ("at", "layer", "row", "level", "op", "k", "d", "gated", "channels", "count")


@dataclass(frozen=True)
class Owned:
    """What an index that was written before says.

    Attributes:
        recipe: name of the recipe that wrote it.
        imgsz: image size of its counts.
        counts: counts of whole models, by hash of the text and scale.
        files: hash by file, of all that the recipe owns.
        edited: whether somebody changed the index by hand.
    """

    recipe: str
    imgsz: tuple[int, int]
    counts: Mapping[tuple[str, str | None], Counted]
    files: Mapping[str, str]
    edited: bool


@dataclass(frozen=True)
class Index:
    """The index to be.

    Attributes:
        recipe: the recipe.
        name: the index's own file, relative to the recipe's folder.
        variants: all variants, with their costs.
        costs: where the costs come from.
        left_over: hash by file, of those that the recipe owns and no longer asks for.
    """

    recipe: Recipe
    name: str
    variants: Sequence[tuple[Variant, VariantCost]]
    costs: CostCache
    left_over: Mapping[str, str] = field(default_factory=dict)

    @property
    def markdown_name(self) -> str:
        """The file of the table for people, beside the index."""
        return str(PurePosixPath(self.name).with_suffix(".md"))

    @property
    def heading(self) -> str:
        """How that file begins."""
        name = self.recipe.path.name
        command = printable(f"lska-surgeon variants {name}").replace("`", "")
        return f"# Variants of {markdown_text(name)}\n\nWritten by `{command}`"

    def json(self) -> str:
        """The index itself, a newline at its end."""
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "recipe": self.recipe.path.name,
            "imgsz": list(self.costs.imgsz),
            "unit": _UNIT,
            "counted": [_counted(*used) for used in self.costs.used.values()],
            "variants": [_variant(variant, cost) for variant, cost in self.variants],
            "left_over": [{"file": file, "sha256": digest} for file, digest in sorted(self.left_over.items())],
            "table": {"file": self.markdown_name, "sha256": sha256(self.markdown())},
        }
        return _dump({**content, "digest": _digest(content)})

    def markdown(self) -> str:
        """The table for people, a newline at its end."""
        height, width = self.costs.imgsz
        return (
            f"{self.heading}. One image of {height}x{width} (height x width), fused, eval "
            f"mode; GFLOPs = 2 x GMACs as fvcore counts them.\n\n{markdown(self.table())}\n"
        )

    def render(self, form: str) -> str:
        """The costs in one of `FORMATS`, without a newline at the end."""
        if form == "json":
            return self.json().rstrip("\n")
        if form == "csv":
            return self._csv()
        if form == "md":
            return markdown(self.table())
        return drawn([self.table()])

    def table(self) -> Table:
        """The costs as a table."""
        return Table(_HEADER, self._rows(), range(2, len(_HEADER)))

    def _rows(self) -> list[Sequence[str]]:
        rows: list[Sequence[str]] = []
        base = None
        for variant, cost in self.variants:
            if variant.base is not base:
                base = variant.base
                rows.append((base_name(variant), "the base", *_amounts(cost.base), "", ""))
            rows.append((variant.file, edits_in_words(variant), *_amounts(cost), *_differences(cost)))
        return rows

    def _csv(self) -> str:
        header = ("file", "base", "scale", "edits", "params", "macs", "flops", "params_added", "macs_added")
        rows = []
        for variant, cost in self.variants:
            flops = None if cost.macs is None else 2 * cost.macs
            amounts = (cost.params, cost.macs, flops, cost.params_added, cost.macs_added)
            base = (variant.base.name, variant.base.scaling.letter)
            rows.append((variant.file, *base, edits_in_words(variant), *amounts))
        return csv(header, rows)


#: So many characters say whether a file is an index.
INDEX_HEAD = 100


def is_index(text: str) -> bool:
    """Whether a text begins as every index does."""
    return text.startswith('{\n "schema": ') and '\n "recipe": ' in text[:INDEX_HEAD]


_Scale = Optional[str]


class _File(TypedDict):
    file: str
    sha256: str


class _Counted(TypedDict):
    sha256: str
    scale: _Scale
    params: Amount
    macs: Amount
    counted_with: dict[str, str]


class _AnySchema(TypedDict):
    schema: int


class _Content(_AnySchema):
    """What of an index is read again."""

    recipe: str
    imgsz: tuple[int, int]
    variants: list[_File]
    left_over: list[_File]
    table: _File
    counted: list[_Counted]


def read_index(text: str, name: str) -> Owned:
    """Read an index that `Index.json` wrote.

    Raises:
        RecipeError: it is something else.
    """
    conflict = next((number for number, line in enumerate(text.splitlines(), 1) if line.startswith("<<<<<<< ")), None)
    if conflict:
        raise RecipeError(f"{name}, line {conflict} has a merge conflict: {_ANEW}")
    try:
        schema = parse_json(text, _AnySchema)["schema"]
        if schema != SCHEMA:
            raise RecipeError(f"{name} has schema {schema}, and this lska-surgeon writes schema {SCHEMA}: {_ANEW}")
        content = parse_json(text, _Content)
        digest = _digest({key: value for key, value in content.items() if key != "digest"})
    except ValueError as error:
        raise RecipeError(f"{name} is not an index that lska-surgeon wrote ({clean(str(error))}): {_ANEW}") from error
    files = {one["file"]: one["sha256"] for one in (*content["variants"], *content["left_over"], content["table"])}
    counts = {
        (one["sha256"], one["scale"]): Counted(one["params"], one["macs"], one["counted_with"])
        for one in content["counted"]
    }
    height, width = content["imgsz"]
    return Owned(content["recipe"], (height, width), counts, files, content.get("digest") != digest)


_ANEW = "take it back from version control, or delete it, and run `lska-surgeon variants` again"


def _variant(variant: Variant, cost: VariantCost) -> dict[str, Any]:
    return {
        "file": variant.file,
        "sha256": variant.sha256,
        "base": variant.base.name,
        "base_sha256": variant.base_text.sha256,
        "scale": variant.base.scaling.letter,
        "edits": [
            {key: edit[key] for key in _EDIT if key in edit} for edit in (site.to_dict() for site in variant.plan.sites)
        ],
        **_numbers(cost.params, cost.macs),
        "difference": _numbers(cost.params_added, cost.macs_added),
    }


def _counted(model: Any, counted: Counted) -> dict[str, Any]:
    return {
        "model": model.name,
        "scale": model.scale,
        "sha256": model.sha256,
        **_numbers(counted.params, counted.macs),
        "counted_with": dict(counted.counted_with),
    }


def _numbers(params: int | None, macs: int | None) -> dict[str, int | None]:
    return {"params": params, "macs": macs, "flops": None if macs is None else 2 * macs}


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(_dump(content))


def _dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def edits_in_words(variant: Variant) -> str:
    """`lska k35 at neck`; several sizes each with its positions."""
    groups: dict[str, list[str]] = {}
    for site in variant.plan.sites:
        at = groups.setdefault(site.kernel.in_words, [])
        at += [] if site.position in at else [site.position]
    return ", ".join(f"{what} at {' and '.join(at)}" for what, at in groups.items())


def base_name(variant: Variant) -> str:
    asked, letter = variant.base.name, variant.base.scaling.letter
    return asked if variant.base.source.scale or not letter else f"{asked} at scale {letter}"


def _amounts(cost: VariantCost | Counted | None) -> tuple[str, str, str]:
    if cost is None or cost.params is None or cost.macs is None:
        return _UNKNOWN, _UNKNOWN, _UNKNOWN
    return f"{cost.params:,}", f"{cost.macs / 1e9:.3f}", f"{2 * cost.macs / 1e9:.3f}"


def _differences(cost: VariantCost) -> tuple[str, str]:
    params, macs = cost.params_added, cost.macs_added
    base = cost.base
    return (
        _UNKNOWN if params is None else f"{params:+,}{_percent(params, base.params if base else 0)}",
        _UNKNOWN if macs is None else f"{2 * macs / 1e9:+.3f}{_percent(macs, base.macs if base else 0)}",
    )


def _percent(difference: int, base: int) -> str:
    return f" ({100 * difference / base:+.1f}%)" if base else ""
