"""Recipes: which variants of which bases one wants, as a YAML file; it opens no model and knows no costs.

Documented for people in README, and for editors by `templates/recipe.schema.json`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from ..core.blocks import STOCK, BlockTable
from ..core.kernel import DEFAULT_KERNEL, OP_BLOCKS
from ..core.other_operators import resolve_operator
from ..core.positions import meant_by, parse_at
from ..cost.image_size import LARGEST_SIDE
from ..cost.limits import Budget, Limit, parse_limit
from ..errors import EncodingError, EndlessError, RecipeError, SurgeonError
from ..files import no_file
from ..modelfile.encoding import content_of, decoded
from ..yaml_nodes import Node
from . import experiment
from .experiment import Experiment, read_experiment
from .fields import YamlFields, names_in_braces

FIELDS = ("base", "matrix", "include", "exclude", "budget", "imgsz", "resolve", "out", "index", *experiment.FIELDS)
#: What a combination is made of; `at` is a tuple of positions that go into one variant together.
DIMENSIONS = ("base", "scale", "op", "at", "k", "dilation", "gated")
OUT_FIELDS = ("base", "scale", "op", "at", "k", "d")
DEFAULT_IMGSZ = (640, 640)
#: To write one takes some hundredths of a second, to train one takes hours.
MOST_VARIANTS = 10_000
_BUDGET = ("max_gflops", "max_params")


@dataclass(frozen=True)
class Wanted:
    """One variant that a recipe asks for.

    Attributes:
        base: a model YAML, as written.
        scale: scale, or None for what the base's name says.
        op, at, k, dilation, gated: as for `lska-surgeon insert`; no k for an operator that has none.
        places: where the recipe says so: dimension -> line, from 1, and field, "matrix.at".
        out: the file to be, with fields in braces; None for the name that `insert` would give.
    """

    base: str
    scale: str | None
    op: str
    at: tuple[str, ...]
    k: int | None
    dilation: int | None
    gated: bool
    places: Mapping[str, tuple[int, str]]
    out: str | None


@dataclass(frozen=True)
class Recipe:
    """A recipe, read and expanded.

    Attributes:
        path: the recipe's file; what it names lies relative to its folder.
        wanted: every variant, in the order in which the recipe asks for it.
        budget: what each may cost.
        imgsz: height and width in pixels at which costs are counted.
        resolve: whether to write real widths and repeats, as `insert --resolve`.
        out: name of the files to be, as written, or None.
        index: name of the index, as written, or None.
        experiment: how the variants are trained and compared; None where the recipe does not say.
        blocks: the table of blocks that it is read by.
    """

    path: Path
    wanted: tuple[Wanted, ...]
    budget: Budget
    imgsz: tuple[int, int]
    resolve: bool
    out: str | None
    index: str | None
    experiment: Experiment | None = None
    blocks: BlockTable = STOCK

    @property
    def folder(self) -> Path:
        return self.path.parent

    def error(self, wanted: Wanted, problem: object, dimension: str = "at") -> RecipeError:
        """An error in what a recipe asks for, with its place."""
        line, field = wanted.places[dimension]
        return RecipeError(f"{self.path}, line {line}, {field}: {problem}")


def check_recipe(path: Path) -> None:
    """Refuse what is no file, before anything else is looked at.

    Raises:
        RecipeError: there is none, or it is a folder.
    """
    found = no_file(path)
    if found:
        raise RecipeError(f"{path} is {found}: give a recipe, such as one of `lska-surgeon templates`")
    try:
        path.stat()
    except OSError as error:
        raise RecipeError(f"can't read the recipe {path}: {error.strerror}") from error


def read_recipe(path: Path, blocks: BlockTable = STOCK) -> Recipe:
    """Read and expand a recipe, whose operators are those of a table of blocks.

    Raises:
        RecipeError: it can't be opened, is no YAML, or asks for something that does not exist; the message names file,
            line and field.
    """
    check_recipe(path)
    try:
        content = content_of(path)
        decoded(content, str(path))  # for its word on UTF-16
        text = content.decode("utf-8-sig")
    except (EncodingError, EndlessError) as error:
        raise RecipeError(str(error)) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not a recipe: it is not UTF-8 text") from error
    except OSError as error:
        raise RecipeError(f"can't read the recipe {path}: {error.strerror}") from error
    return _Reader(path, blocks).recipe(text)


class _Reader(YamlFields):
    """A recipe's fields, checked one by one."""

    def __init__(self, path: Path, blocks: BlockTable) -> None:
        super().__init__(path)
        self.blocks = blocks

    out: str | None = None
    gated = False  # whether operators go behind a gate where the recipe does not say

    def recipe(self, text: str) -> Recipe:
        root = self.compose(text)
        if {"backbone", "head"} <= {str(key.value) for key, _ in root.value}:
            raise RecipeError(
                f"{self.path} is a model YAML, and this takes a recipe, which names models to start from (base: "
                f"{self.path.name}): lska-surgeon templates copy recommended writes one"
            )
        fields = self.mapping(root, "", FIELDS)
        if "matrix" not in fields and "include" not in fields:
            raise self.bad(root, "", "it asks for nothing: give it a matrix, such as {at: [neck], k: [7, 35]}")
        self.out = self._out(fields["out"], "out") if "out" in fields else None
        experiment = read_experiment(self, root, fields)
        self.gated = experiment is not None and experiment.needs_identity
        bases = self.words(fields["base"], "base") if "base" in fields else []
        wanted = self._from_matrix(root, fields, bases) if "matrix" in fields else []
        wanted += self._included(fields, bases)
        if not wanted:
            raise self.bad(root, "", "it asks for nothing: all of its matrix is excluded")
        return Recipe(
            path=self.path,
            wanted=tuple(wanted),
            budget=self._budget(fields["budget"]) if "budget" in fields else Budget(),
            imgsz=self._imgsz(fields["imgsz"]) if "imgsz" in fields else DEFAULT_IMGSZ,
            resolve=self.boolean(fields["resolve"], "resolve") if "resolve" in fields else False,
            out=self.out,
            index=self._index(fields["index"]) if "index" in fields else None,
            experiment=experiment,
            blocks=self.blocks,
        )

    # What it asks for.

    def _from_matrix(self, root: Node, fields: Mapping[str, Node], bases: list[str]) -> list[Wanted]:
        if not bases:
            raise self.bad(root, "base", "the matrix needs a base, such as base: [yolov8n.yaml, yolov8s.yaml]")
        matrix = self.mapping(fields["matrix"], "matrix", DIMENSIONS[1:])
        if "at" not in matrix:
            raise self.bad(fields["matrix"], "matrix", "it needs positions, such as at: [sppf, neck]")
        places = {"base": (_line(fields["base"]), "base"), **_places(matrix, "matrix")}
        ops = self._ops(matrix, "matrix")
        for name in ("k", "dilation"):
            if name in matrix and not OP_BLOCKS.keys() & set(ops):
                problem = f"of the operators here ({', '.join(ops)}) none has one: drop {name}"
                raise self.bad(matrix[name], f"matrix.{name}", problem)
        sides = (
            bases,
            self.words(matrix["scale"], "matrix.scale") if "scale" in matrix else [None],
            ops,
            self._ats(matrix["at"], "matrix.at"),
            self.numbers(matrix["k"], "matrix.k") if "k" in matrix else [DEFAULT_KERNEL],
            self.numbers(matrix["dilation"], "matrix.dilation") if "dilation" in matrix else [None],
            self._gates(self.filled(matrix["gated"], "matrix.gated"), "matrix.gated", ops)
            if "gated" in matrix
            else [self.gated],
        )
        self._refuse_many(fields["matrix"], "matrix", math.prod(map(len, sides)))
        every = _once([Wanted(*side, places, self.out) for side in product(*sides)])
        left = self._without_excluded(fields.get("exclude"), every)
        return [self._checked(wanted, matrix, "matrix") for wanted in left]

    def _included(self, fields: Mapping[str, Node], bases: list[str]) -> list[Wanted]:
        found: list[Wanted] = []
        node = fields.get("include")
        general = {"base": (_line(fields["base"]), "base")} if "base" in fields else {}
        for number, item in enumerate(self.sequence(node, "include") if node else ()):
            field = f"include[{number}]"
            given = self.mapping(item, field, (*DIMENSIONS, "out"))
            if "at" not in given:
                raise self.bad(item, field, "it needs positions, such as at: [neck:p3@11, neck:p5@35]")
            here = self.words(given["base"], f"{field}.base") if "base" in given else bases
            if not here:
                raise self.bad(item, field, "it needs a base, such as base: yolov8m-seg.yaml")
            at = tuple(self._position(word, f"{field}.at") for word in self.items(given["at"]))
            self._refuse_many(item, field, len(found) + len(here))
            op = self._ops(given, field)[0]
            gate = self._gates([given["gated"]], f"{field}.gated", [op])[0] if "gated" in given else self.gated
            for base in here:
                wanted = Wanted(
                    base,
                    self.word(given["scale"], f"{field}.scale") if "scale" in given else None,
                    op,
                    at,
                    self.number(given["k"], f"{field}.k") if "k" in given else None,
                    self.number(given["dilation"], f"{field}.dilation") if "dilation" in given else None,
                    gate and op not in OP_BLOCKS,
                    {**general, **_places(given, field)},
                    self._out(given["out"], f"{field}.out") if "out" in given else self.out,
                )
                found.append(self._checked(wanted, given, field))
        return found

    def _refuse_many(self, node: Node, field: str, count: int) -> None:
        if count > MOST_VARIANTS:
            problem = (
                f"it asks for {count:,} variants, and a recipe may ask for {MOST_VARIANTS:,}: give it fewer values"
            )
            raise self.bad(node, field, problem)

    def _without_excluded(self, node: Node | None, wanted: list[Wanted]) -> list[Wanted]:
        for number, item in enumerate(self.sequence(node, "exclude") if node else ()):
            field = f"exclude[{number}]"
            given = self.mapping(item, field, DIMENSIONS)
            if not given:
                raise self.bad(item, field, "it names nothing: write for instance {at: residual, k: 53}")
            rule = {name: {self.plain(word) for word in self.items(part)} for name, part in given.items()}
            left = [one for one in wanted if not all(_matches(one, name, values) for name, values in rule.items())]
            if len(left) == len(wanted):
                raise self.bad(item, field, f"it matches nothing in the matrix: {_shown(rule)}")
            wanted = left
        return wanted

    def _checked(self, wanted: Wanted, given: Mapping[str, Node], field: str) -> Wanted:
        """The combination, its kernels known to exist."""
        for at in wanted.at:
            own = parse_at(at).k
            try:
                resolve_operator(wanted.op, wanted.k if own is None else own, wanted.dilation, blocks=self.blocks)
            except SurgeonError as error:
                name = "k" if own is None and "k" in given else "at"
                if "dilation" in given and "dilation" in str(error).partition(":")[0]:
                    name = "dilation"
                raise self.bad(given[name], f"{field}.{name}", error) from error
        return wanted

    # Single fields.

    def _ats(self, node: Node, field: str) -> list[tuple[str, ...]]:
        """Positions; several that go into one variant stand in a list of their own."""
        return [tuple(self._position(word, field) for word in self.items(item)) for item in self.items(node)]

    def _position(self, node: Node, field: str) -> str:
        text = self.word(node, field)
        several = ", ".join(meant_by(text))
        if len(meant_by(text)) > 1:
            problem = f"{text!r} is several positions: write [{several}] for a variant each, [[{several}]] for one"
            raise self.bad(node, field, problem)
        try:
            return parse_at(text).asked
        except SurgeonError as error:
            raise self.bad(node, field, error) from error

    def _ops(self, given: Mapping[str, Node], field: str) -> list[str]:
        if "op" not in given:
            return ["lska"]
        ops = self.words(given["op"], f"{field}.op")
        for op, node in zip(ops, self.items(given["op"])):
            try:
                resolve_operator(op, blocks=self.blocks)
            except SurgeonError as error:
                raise self.bad(node, f"{field}.op", str(error).replace("--op takes", "there are")) from error
        return ops

    def _gates(self, nodes: list[Node], field: str, ops: list[str]) -> list[bool]:
        """Behind a gate or not, as it is written."""
        for node in nodes:
            if OP_BLOCKS.keys() >= set(ops):
                problem = f"{', '.join(ops)} can start as the identity without a gate: drop gated"
                raise self.bad(node, field, problem)
        return [self.boolean(node, field) for node in nodes]

    def _budget(self, node: Node) -> Budget:
        given = self.mapping(node, "budget", _BUDGET)
        limits: list[Limit | None] = []
        for name in _BUDGET:
            try:
                limits.append(parse_limit(self.scalar(given[name], f"budget.{name}")) if name in given else None)
            except RecipeError:
                raise
            except SurgeonError as error:
                raise self.bad(given[name], f"budget.{name}", error) from error
        return Budget(*limits)

    def _imgsz(self, node: Node) -> tuple[int, int]:
        sides = self.numbers(node, "imgsz")
        if len(sides) > 2 or min(sides) < 1 or max(sides) > LARGEST_SIDE:
            raise self.bad(node, "imgsz", f"it is one number of pixels, 1 to {LARGEST_SIDE}, or [height, width]")
        return sides[0], sides[-1]

    def _out(self, node: Node, field: str) -> str:
        text = self.scalar(node, field)
        try:
            names = names_in_braces(text)
            plain = text.format(**dict.fromkeys(OUT_FIELDS, "x"))
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            problem = f"{text!r} has braces that can't be read: fields are {_braced(OUT_FIELDS)}"
            raise self.bad(node, field, problem) from error
        unknown = [name for name in names if name not in OUT_FIELDS]
        if unknown:
            raise self.bad(node, field, f"no field {{{unknown[0]}}}: there are {_braced(OUT_FIELDS)}")
        if not plain.endswith((".yaml", ".yml")):
            raise self.bad(node, field, f"{text!r} does not end in .yaml")
        return self._relative(node, field, text)

    def _index(self, node: Node) -> str:
        text = self.scalar(node, "index")
        if not text.endswith(".json"):
            raise self.bad(node, "index", f"{text!r} does not end in .json")
        return self._relative(node, "index", text)

    def _relative(self, node: Node, field: str, text: str) -> str:
        if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:|\\", text) or ".." in re.split(r"[/\\]", text):
            raise self.bad(node, field, f"{text!r} leaves the recipe's folder: name a place below it")
        return text


def _once(wanted: list[Wanted]) -> list[Wanted]:
    """Each combination once: the paper's operators have no gate, others no kernel size, whatever the matrix has."""
    plain = [
        replace(one, gated=False) if one.op in OP_BLOCKS else replace(one, k=None, dilation=None) for one in wanted
    ]
    found: dict[tuple[Any, ...], Wanted] = {}
    for one in plain:
        found.setdefault((one.base, one.scale, one.op, one.at, one.k, one.dilation, one.gated), one)
    return list(found.values())


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _places(given: Mapping[str, Node], field: str) -> dict[str, tuple[int, str]]:
    return {name: (_line(node), f"{field}.{name}") for name, node in given.items()}


def _matches(wanted: Wanted, name: str, values: set[Any]) -> bool:
    """Whether a combination has one of the values; `residual` also stands for `residual:2`."""
    if name != "at":
        return getattr(wanted, name) in values
    return any(at in values or parse_at(at).name in values for at in wanted.at)


def _shown(rule: Mapping[str, set[Any]]) -> str:
    return ", ".join(f"{name} {' or '.join(map(str, sorted(values, key=str)))}" for name, values in rule.items())


def _braced(names: Collection[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
