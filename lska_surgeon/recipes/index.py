"""The index of a recipe's variants: what each is, its hash and its cost, and by it which files belong to which recipe.

It carries no date, no path of a machine and no machine's name, so the same recipe, bases and releases of those that
count give the same bytes anywhere. Nothing is written here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Optional, TypedDict

from ..cost.cache import Amount, CostCache, Counted, sha256
from ..cost.cost import amounts
from ..errors import RecipeError
from ..files import open_to_read, parse_json, read_within
from ..reports import Sheet, Table, markdown, markdown_text
from ..wording import clean, printable
from .recipe import Recipe
from .variants import DEFAULT_FOLDER, Variant, VariantCost

#: Version of the JSON; it changes when a key changes its meaning or goes.
SCHEMA = 1
_UNIT = "flops = 2 x macs; macs are multiply-accumulates as fvcore counts them, fused, eval mode, one image"
_HEADER = ("variant", "edits", "params", "GMACs", "GFLOPs", "added parameters", "added GFLOPs")
_COLUMNS = ("file", "base", "scale", "edits", "params", "macs", "flops", "params_added", "macs_added")
_UNKNOWN = "not known"
#: What the index says of an edit.
_EDIT = ("edit", "at", "layer", "row", "level", "op", "k", "d", "gated", "channels", "count")
#: So many bytes say whether a file is an index.
_HEAD = 100
_ANEW = "take it back from version control, or delete it, and run `lska-surgeon variants` again"


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
        variants: all variants, with their costs.
        costs: where the costs come from.
        left_over: hash by file, of those that the recipe owns and no longer asks for.
    """

    recipe: Recipe
    variants: Sequence[tuple[Variant, VariantCost]]
    costs: CostCache
    left_over: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The index's own file, relative to the recipe's folder."""
        return index_name(self.recipe)

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

    def to_dict(self) -> dict[str, Any]:
        """The index as plain data."""
        content = {
            "schema": SCHEMA,
            "recipe": self.recipe.path.name,
            "imgsz": list(self.costs.imgsz),
            "unit": _UNIT,
            "counted": [
                {
                    "model": model.name,
                    "scale": model.scale,
                    "sha256": model.sha256,
                    **_numbers(counted.params, counted.macs),
                    "counted_with": dict(counted.counted_with),
                }
                for model, counted in self.costs.used.values()
            ],
            "variants": [_as_dict(variant, cost) for variant, cost in self.variants],
            "left_over": [{"file": file, "sha256": digest} for file, digest in sorted(self.left_over.items())],
            "table": {"file": self.markdown_name, "sha256": sha256(self.markdown())},
        }
        return {**content, "digest": _digest(content)}

    def json(self) -> str:
        """The index itself, a newline at its end."""
        return _dump(self.to_dict())

    def markdown(self) -> str:
        """The table for people, a newline at its end."""
        height, width = self.costs.imgsz
        return (
            f"{self.heading}. One image of {height}x{width} (height x width), fused, eval "
            f"mode; GFLOPs = 2 x GMACs as fvcore counts them.\n\n{markdown(self.table())}\n"
        )

    def table(self) -> Table:
        """The costs as a table, each base before its variants."""
        rows: list[Sequence[str]] = []
        base = None
        for variant, cost in self.variants:
            if variant.base is not base:
                base = variant.base
                rows.append((variant.base_name, "the base", *_amounts(cost.base), "", ""))
            rows.append((variant.file, variant.edits, *_amounts(cost), *_differences(cost)))
        return Table(_HEADER, rows, range(2, len(_HEADER)))

    def sheet(self) -> Sheet:
        """The costs as numbers."""
        rows = []
        for variant, cost in self.variants:
            amounts = (*_numbers(cost.params, cost.macs).values(), cost.params_added, cost.macs_added)
            rows.append((variant.file, variant.base.name, variant.base.scaling.letter, variant.edits, *amounts))
        return Sheet(_COLUMNS, rows)


def index_name(recipe: Recipe) -> str:
    """The index's file, relative to the recipe's folder: beside the variants, where `index` does not say it."""
    if recipe.index:
        return recipe.index
    if recipe.out is None:
        return f"{DEFAULT_FOLDER}/index.json"
    folder = recipe.out.partition("{")[0].rpartition("/")[0]
    return f"{folder}/index.json" if folder else "index.json"


def _as_dict(variant: Variant, cost: VariantCost) -> dict[str, Any]:
    edits: list[dict[str, Any]] = [{"edit": edit} for edit in variant.wanted.edits]
    edits += [site.to_dict() for site in variant.plan.sites]
    return {
        "file": variant.file,
        "sha256": variant.sha256,
        "base": variant.base.name,
        "base_sha256": variant.base_text.sha256,
        "scale": variant.base.scaling.letter,
        "edits": [{key: edit[key] for key in _EDIT if key in edit} for edit in edits],
        **_numbers(cost.params, cost.macs),
        "difference": _numbers(cost.params_added, cost.macs_added),
    }


def _numbers(params: int | None, macs: int | None) -> dict[str, int | None]:
    return {"params": params, "macs": macs, "flops": None if macs is None else 2 * macs}


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(_dump(content))


def _dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _amounts(cost: VariantCost | Counted | None) -> tuple[str, str, str]:
    if cost is None or cost.params is None or cost.macs is None:
        return _UNKNOWN, _UNKNOWN, _UNKNOWN
    return amounts(cost.params, cost.macs)


def _differences(cost: VariantCost) -> tuple[str, str]:
    params, macs = cost.params_added, cost.macs_added
    base = cost.base
    return (
        _UNKNOWN if params is None else f"{params:+,}{_percent(params, base.params if base else 0)}",
        _UNKNOWN if macs is None else f"{2 * macs / 1e9:+.3f}{_percent(macs, base.macs if base else 0)}",
    )


def _percent(difference: int, base: int) -> str:
    return f" ({100 * difference / base:+.1f}%)" if base else ""


# What lies on the disk.

_Scale = Optional[str]


class _HashedFile(TypedDict):
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
    variants: list[_HashedFile]
    left_over: list[_HashedFile]
    table: _HashedFile
    counted: list[_Counted]


def read_owned(recipe: Recipe, wanted: Collection[str]) -> Owned | None:
    """What the recipe's index on disk says; None when there is none.

    An index that the recipe wrote under another name counts too, and is a file of the recipe's itself. `wanted` are the
    files that it asks for, relative to its folder.

    Raises:
        RecipeError: the index can't be read, or it, or a file that is asked for, is another recipe's.
    """
    name = index_name(recipe)
    text = _read(recipe, name)
    owned = None if text is None else _parse(recipe, name, text)
    if owned is not None and owned.recipe != recipe.path.name:
        raise RecipeError(
            f"{recipe.folder / name} is the index of {owned.recipe}: give {recipe.path.name} another folder (out:) or "
            "an index of its own (index: NAME.json)"
        )
    for other_name, other_text, other in _others(recipe, {name, *wanted}):
        if other_name == name:
            continue
        if other.recipe != recipe.path.name:
            shared = sorted(set(wanted) & set(other.files))
            if shared:
                raise RecipeError(
                    f"{recipe.path} asks for {shared[0]}, which is a file of {other.recipe} (by {other_name}): "
                    "give one of the two recipes another `out`"
                )
            continue
        moved = {**other.files, other_name: sha256(other_text)}
        owned = replace(owned, files={**moved, **owned.files}) if owned else replace(other, files=moved)
    return owned


def _others(recipe: Recipe, files: Collection[str]) -> Iterator[tuple[str, str, Owned]]:
    """Every index in the recipe's folder and beside the files: its name, text and content."""
    folders = {".", *(str(PurePosixPath(file).parent) for file in files)}
    for path in sorted(path for folder in folders for path in (recipe.folder / folder).glob("*.json")):
        try:
            with open_to_read(path) as file:  # what lies beside the variants may be large, or no text
                head = file.read(_HEAD).decode("utf-8", errors="replace")
            if not (head.startswith('{\n "schema": ') and '\n "recipe": ' in head):
                continue
            name = path.relative_to(recipe.folder).as_posix()
            text = _read(recipe, name)
            if text is not None:
                yield name, text, _parse(recipe, name, text)
        except (OSError, RecipeError):  # of another release, or damaged: the recipe that owns it will say so
            continue


def _parse(recipe: Recipe, name: str, text: str) -> Owned:
    """What an index says that `Index.json` wrote.

    Raises:
        RecipeError: it is something else, or names a file outside of the recipe's folder.
    """
    path = recipe.folder / name
    conflict = next((number for number, line in enumerate(text.splitlines(), 1) if line.startswith("<<<<<<< ")), None)
    if conflict:
        raise RecipeError(f"{path}, line {conflict} has a merge conflict: {_ANEW}")
    try:
        schema = parse_json(text, _AnySchema)["schema"]
        if schema != SCHEMA:
            raise RecipeError(f"{path} has schema {schema}, and this lska-surgeon writes schema {SCHEMA}: {_ANEW}")
        content = parse_json(text, _Content)
        digest = _digest({key: value for key, value in content.items() if key != "digest"})
    except ValueError as error:
        raise RecipeError(f"{path} is not an index that lska-surgeon wrote ({clean(str(error))}): {_ANEW}") from error
    files = {one["file"]: one["sha256"] for one in (*content["variants"], *content["left_over"], content["table"])}
    for file in files:
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts or "\\" in file:
            raise RecipeError(f"{path} names {file}, which is outside of the recipe's folder: correct the index")
    counts = {
        (one["sha256"], one["scale"]): Counted(one["params"], one["macs"], one["counted_with"])
        for one in content["counted"]
    }
    height, width = content["imgsz"]
    return Owned(content["recipe"], (height, width), counts, files, content.get("digest") != digest)


def _read(recipe: Recipe, name: str) -> str | None:
    path = recipe.folder / name
    try:
        return read_within(path).decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise RecipeError(f"can't read the index {path}: {why}: move it away, and write the variants anew") from error
