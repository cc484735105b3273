"""Recipes: which variants of which bases one wants, and how they are trained, as a YAML file; it opens no model.

What a recipe may say stands in the structs below, and for editors in `templates/recipe.schema.json`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Union

from msgspec import Meta, Struct

from ..core.blocks import STOCK, BlockTable
from ..core.operators import DEFAULT_KERNEL, OP_BLOCKS, resolve_operator
from ..core.positions import meant_by, parse_at
from ..cost.limits import LARGEST_SIDE, Budget, parse_limit
from ..errors import RecipeError, SurgeonError, without_trust
from ..modelfile.typed_yaml import Fields, UnusableYaml, read_mapping

DEFAULT_IMGSZ = (640, 640)
#: To write one takes some hundredths of a second, to train one takes hours.
MOST_VARIANTS = 10_000
OUT_FIELDS = ("base", "scale", "op", "at", "k", "d", "edits")
#: In the place of edits: none.
NO_EDIT = "none"
SCRATCH = "scratch"
#: How operators start in a checkpoint.
IDENTITY, DEFAULT = "identity", "default"
#: Fields of a start's name: the base with its scale, and that letter.
START_FIELDS = ("base", "scale")
#: Ultralytics' arguments that a recipe says elsewhere, and where.
ELSEWHERE = {
    "seed": "the seeds stand in `seeds`, beside `train`",
    "model": "the models are what the recipe's matrix asks for",
    "pretrained": "what a training starts from stands in `start`",
    "device": "the devices are given when it is started: lska-surgeon ablate --devices 0,1",
    **dict.fromkeys(("task", "mode"), "the model says it"),
    **dict.fromkeys(("project", "name", "save_dir", "exist_ok"), "each run has a folder of its own"),
    **dict.fromkeys(("resume", "save"), "every training goes on where it stopped"),
}

# What a file may say.

_Word = Annotated[str, Meta(min_length=1)]
_Words = Union[_Word, Annotated[list[_Word], Meta(min_length=1)]]
_Numbers = Union[int, Annotated[list[int], Meta(min_length=1)]]
_Booleans = Union[bool, Annotated[list[bool], Meta(min_length=1)]]
_Positions = Annotated[_Words, Meta(description="positions, such as at: [neck:p3@11, neck:p5@35]")]
_Sites = Annotated[
    Union[_Word, Annotated[list[_Words], Meta(min_length=1)]], Meta(description="positions, such as at: [sppf, neck]")
]
_Edits = Annotated[_Words, Meta(description="edits of the base before that, such as edits: C3k2 at neck")]
_AllEdits = Annotated[
    Union[_Word, Annotated[list[_Words], Meta(min_length=1)]],
    Meta(description="edits of the base before that, such as edits: [none, C3k2 at neck, [add p2, drop p5]]"),
]
_Control = Literal["base", "larger"]
_Controls = Union[_Control, Annotated[list[_Control], Meta(min_length=1)]]
_Limit = Annotated[Union[int, float, str], Meta(description="a number, one such as 40M, or a multiple such as 1.10x")]
_Plain = Union[str, int, float, bool, None]
_Values = Union[_Plain, list[Any]]
_Argument = Annotated[Union[bool, int, float, str], Meta(description="a number, a word, true or false")]
_Arguments = Annotated[
    Union[bool, int, float, str, list[_Argument]],
    Meta(description="a number, a word, true or false, or a list of those"),
]
_NONE: Any = None  # of a field that is left out; in a file, no field is empty


class _Matrix(Struct, frozen=True, forbid_unknown_fields=True):
    at: _Sites = _NONE
    k: _Numbers = DEFAULT_KERNEL
    op: _Words = "lska"
    scale: _Words = _NONE
    dilation: _Numbers = _NONE
    gated: _Booleans = _NONE
    edits: _AllEdits = _NONE


class _Include(Struct, frozen=True, forbid_unknown_fields=True):
    at: _Positions = _NONE
    base: _Words = _NONE
    scale: _Word = _NONE
    op: _Word = "lska"
    k: int = _NONE
    dilation: int = _NONE
    gated: bool = _NONE
    edits: _Edits = _NONE
    out: _Word = _NONE


class _Exclude(Struct, frozen=True, forbid_unknown_fields=True):
    base: _Values = _NONE
    scale: _Values = _NONE
    op: _Values = _NONE
    at: _Values = _NONE
    k: _Values = _NONE
    dilation: _Values = _NONE
    gated: _Values = _NONE
    edits: _Values = _NONE


class _Limits(Struct, frozen=True, forbid_unknown_fields=True):
    max_gflops: _Limit = _NONE
    max_params: _Limit = _NONE


class _Train(Struct, frozen=True):
    """What `train` says beside Ultralytics' own arguments."""

    data: Annotated[_Words, Meta(description="data, such as data: my-data.yaml")]
    start: _Word = SCRATCH
    init: Literal["identity", "default"] = "identity"


class _Latency(Struct, frozen=True, forbid_unknown_fields=True):
    runtimes: Annotated[_Words, Meta(description="runtimes, such as runtimes: [torch, openvino]")]


_WhetherOrWhere = Union[bool, _Latency]


class Sequential(Struct, frozen=True, forbid_unknown_fields=True):
    """What is decided in rounds, one seed after the other: what is worth training.

    Attributes:
        most: trainings of each network at most; None for as many as its variants take.
        question: "better" than the base, the "best" of all, or "gate": what may pass.
        strict: whether by the test that is proven with dropping, too.
        drop: a variant is dropped when its chance of a gain by the end is below that.
        margin: of a gate, how much lower than the base may pass.
    """

    most: Annotated[int, Meta(ge=1, le=500, description="a whole number from 1 to 500, such as 24")] = _NONE
    question: Literal["better", "best", "gate"] = "better"
    strict: bool = False
    drop: Annotated[float, Meta(ge=0, lt=0.5, description="a chance from 0 to below 0.5, such as 0.1")] = 0.1
    margin: Annotated[float, Meta(ge=0, le=1e9, description="a number from 0, such as 0.005")] = 0.0


_InRounds = Annotated[
    Union[bool, dict[str, Any]], Meta(description="true, or a mapping with keys such as most: 24, question: better")
]


class _RecipeFile(Struct, frozen=True, forbid_unknown_fields=True):
    base: _Words = _NONE
    matrix: _Matrix = _NONE
    include: list[_Include] = []
    exclude: list[_Exclude] = []
    budget: _Limits = _Limits()
    imgsz: _Numbers = DEFAULT_IMGSZ[0]
    resolve: bool = False
    out: _Word = _NONE
    index: _Word = _NONE
    train: Annotated[dict[str, Any], Meta(description="a mapping with keys such as data, epochs, imgsz")] = _NONE
    seeds: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        Meta(min_length=1, description="a list of whole numbers, such as [0, 1, 2]"),
    ] = _NONE
    sequential: _InRounds = False
    controls: _Controls = _NONE
    latency: _WhetherOrWhere = False
    labels: Annotated[dict[str, Any], Meta(description="a mapping with keys such as yolov8s-lska-neck-k7: neck, 7")] = (
        _NONE
    )


#: Fields that belong to a training, and the dimensions of a combination.
_OF_A_TRAINING = ("seeds", "sequential", "controls", "latency", "labels")
_DIMENSIONS = _Exclude.__struct_fields__
_DEFAULT_SEEDS = (0, 1, 2)
#: Trainings of each network in rounds, at most: of few variants, and of more.
_FEW_VARIANTS, _MOST_OF_FEW, _MOST_OF_MANY = 6, 16, 24

# What it asks for.


@dataclass(frozen=True)
class Wanted:
    """One variant that a recipe asks for.

    Attributes:
        base: a model YAML, as written.
        scale: scale, or None for what the base's name says.
        op, at, k, dilation, gated: as for `lska-surgeon insert`; no k for an operator that has none.
        edits: what else is done to the base before that, in the words of `GraphEdit.parse`.
        places: where the recipe says so: dimension -> field, "matrix.at".
        out: the file to be, with fields in braces; None for the name that `insert` would give.
    """

    base: str
    scale: str | None
    op: str
    at: tuple[str, ...]
    k: int | None
    dilation: int | None
    gated: bool
    edits: tuple[str, ...]
    places: Mapping[str, str]
    out: str | None


@dataclass(frozen=True)
class Experiment:
    """How the variants of a recipe are trained and compared.

    Attributes:
        data: data YAMLs (for classifiers folders), as written; with several, every variant is trained on each.
        start: "scratch", or the checkpoint that each variant is grafted into; {base} and {scale} are fields.
        init: how operators start in that checkpoint, "identity" or "default", at their random weights.
        arguments: Ultralytics' own arguments, by name.
        seeds: one training of each variant for each.
        sequential: how it is decided in rounds what is worth training; None where all seeds are.
        larger: whether the next larger scale of each base is trained too.
        latency: runtimes in which latency is to be measured, as the results say where it was not; none for nowhere.
        labels: network, data or family of networks -> what tables and figures call it.
    """

    data: tuple[str, ...]
    start: str
    init: str
    arguments: Mapping[str, Any]
    seeds: tuple[int, ...] = _DEFAULT_SEEDS
    sequential: Sequential | None = None
    larger: bool = False
    latency: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_identity(self) -> bool:
        """Whether operators have to start as the identity, which those that are not the paper's do behind a gate."""
        return self.start != SCRATCH and self.init == IDENTITY


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
        lines: field -> line, from 1.
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
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.path.parent

    def error(self, wanted: Wanted, problem: object, dimension: str = "at") -> RecipeError:
        """An error in a variant that it asks for, with its place."""
        return self.bad(wanted.places.get(dimension) or wanted.places["edits"], problem)

    def bad(self, field: str, problem: object) -> RecipeError:
        """An error in a field, with its line, or that of the field around it."""
        known = next((name for name in (field, field.rpartition(".")[0]) if name in self.lines), "")
        return RecipeError(f"{self.path}, line {self.lines[known]}, {field}: {without_trust(problem)}")


def read_recipe(path: Path, blocks: BlockTable = STOCK) -> Recipe:
    """Read and expand a recipe, whose operators are those of a table of blocks.

    Raises:
        RecipeError: it can't be opened, is no YAML, or asks for something that does not exist; the message names file,
            line and field.
    """
    return _RecipeReader(open_recipe(path), blocks).recipe()


def open_recipe(path: Path) -> Fields:
    """Open a recipe, before its fields are looked at.

    Raises:
        RecipeError: it is no file or no YAML, or something else than a recipe.
    """
    try:
        fields = Fields(path, read_mapping(path), RecipeError)
    except UnusableYaml as error:
        has_remedy = error.line or "save it as" in error.problem
        remedy = "" if has_remedy else ": give a recipe, such as one of `lska-surgeon templates`"
        raise RecipeError(f"{error.of(path)}{remedy}") from error
    if {"backbone", "head"} <= fields.values.keys():
        raise RecipeError(
            f"{path} is a model YAML, and this takes a recipe, which names models to start from (base: "
            f"{path.name}): lska-surgeon templates copy recommended writes one"
        )
    return fields


def bases_of(recipe: str | Path) -> list[str]:
    """Paths of the bases in a recipe, beside which blocks may be declared; nothing where it can't be read."""
    try:
        said = open_recipe(Path(recipe)).values
    except SurgeonError:
        return []
    parts = [said, *(part for part in _many(said.get("include")) if isinstance(part, dict))]
    named = dict.fromkeys(base for part in parts for base in _many(part.get("base")) if isinstance(base, str))
    return [str(Path(recipe).parent / base) for base in named]


class _RecipeReader:
    """A recipe's fields, looked at one by one."""

    def __init__(self, fields: Fields, blocks: BlockTable) -> None:
        self.fields, self.blocks = fields, blocks
        self.file = fields.read(_RecipeFile)
        self.bases = _many(self.file.base)

    def recipe(self) -> Recipe:
        if not self._has("matrix") and not self._has("include"):
            raise self.fields.bad("", "it asks for nothing: give it a matrix, such as {at: [neck], k: [7, 35]}")
        self.out = self._out("out")
        self.experiment = self._experiment()
        self.gated = self.experiment is not None and self.experiment.needs_identity
        wanted = self._from_matrix() if self._has("matrix") else []
        wanted += self._included()
        if not wanted:
            raise self.fields.bad("", "it asks for nothing: all of its matrix is excluded")
        return Recipe(
            path=self.fields.path,
            wanted=tuple(wanted),
            budget=self._budget(),
            imgsz=self._imgsz(),
            resolve=self.file.resolve,
            out=self.out,
            index=self._index(),
            experiment=self._in_rounds(len(wanted)),
            blocks=self.blocks,
            lines=self.fields.lines,
        )

    def _has(self, field: str) -> bool:
        return field in self.fields.lines

    # Its variants.

    def _from_matrix(self) -> list[Wanted]:
        if not self.bases:
            example = "the matrix needs a base, such as base: [yolov8n.yaml, yolov8s.yaml]"
            raise self.fields.bad("", example, inside="base")
        matrix = self.file.matrix
        ops = self._ops(matrix.op, "matrix.op")
        for name in ("k", "dilation"):
            if self._has(f"matrix.{name}") and not OP_BLOCKS.keys() & set(ops):
                problem = f"of the operators here ({', '.join(ops)}) none has one: drop {name}"
                raise self.fields.bad(f"matrix.{name}", problem)
        sides: tuple[list[Any], ...] = (
            self.bases,
            _many(matrix.scale) or [None],
            ops,
            [self._positions(item, place) for item, place in _each(matrix.at, "matrix.at") if item is not None] or [()],
            _many(matrix.k),
            _many(matrix.dilation) or [None],
            self._gates("matrix.gated", matrix.gated, ops),
            [self._edits(item, place) for item, place in _each(matrix.edits, "matrix.edits") if item is not None]
            or [()],
        )
        if matrix.at is None and matrix.edits is None:
            raise self.fields.bad("matrix", "it needs positions, such as at: [sppf, neck], or edits: [C3k2 at neck]")
        self._refuse_many("matrix", math.prod(map(len, sides)))
        places = self._places("matrix")
        every = _once([Wanted(**dict(zip(_DIMENSIONS, side)), places=places, out=self.out) for side in product(*sides)])
        return [self._checked(wanted, "matrix") for wanted in self._without_excluded(every)]

    def _included(self) -> list[Wanted]:
        wanted: list[Wanted] = []
        for number, asked in enumerate(self.file.include):
            field = f"include[{number}]"
            bases = _many(asked.base) or self.bases
            if not bases:
                raise self.fields.bad(field, "it needs a base, such as base: yolov8m-seg.yaml")
            if asked.at is None and asked.edits is None:
                raise self.fields.bad(field, "it needs positions, such as at: neck, or edits: C3k2 at neck")
            at = self._positions(asked.at, f"{field}.at") if asked.at is not None else ()
            edits = self._edits(asked.edits, f"{field}.edits") if asked.edits is not None else ()
            self._refuse_many(field, len(wanted) + len(bases))
            (op,) = self._ops(asked.op, f"{field}.op")
            (gate,) = self._gates(f"{field}.gated", asked.gated, [op])
            one = Wanted(
                "", asked.scale, op, at, asked.k, asked.dilation, gate and op not in OP_BLOCKS, edits,
                self._places(field), self._out(f"{field}.out") or self.out,
            )  # fmt: skip
            wanted += [self._checked(_without_operator(replace(one, base=base)), field) for base in bases]
        return wanted

    def _refuse_many(self, field: str, count: int) -> None:
        if count > MOST_VARIANTS:
            problem = (
                f"it asks for {count:,} variants, and a recipe may ask for {MOST_VARIANTS:,}: give it fewer values"
            )
            raise self.fields.bad(field, problem)

    def _without_excluded(self, wanted: list[Wanted]) -> list[Wanted]:
        for number in range(len(self.file.exclude)):
            field = f"exclude[{number}]"
            rule = {name: _many(values) for name, values in self.fields.values["exclude"][number].items()}
            if not rule:
                raise self.fields.bad(field, "it names nothing: write for instance {at: residual, k: 53}")
            left = [one for one in wanted if not all(_matches(one, name, values) for name, values in rule.items())]
            if len(left) == len(wanted):
                told = ", ".join(f"{name} {' or '.join(map(str, values))}" for name, values in rule.items())
                raise self.fields.bad(field, f"it matches nothing in the matrix: {told}")
            wanted = left
        return wanted

    def _checked(self, wanted: Wanted, field: str) -> Wanted:
        """The combination, its kernels known to exist."""
        for at in wanted.at:
            own = parse_at(at).k
            try:
                resolve_operator(wanted.op, wanted.k if own is None else own, wanted.dilation, blocks=self.blocks)
            except SurgeonError as error:
                name = "k" if own is None and self._has(f"{field}.k") else "at"
                if self._has(f"{field}.dilation") and "dilation" in str(error).partition(":")[0]:
                    name = "dilation"
                raise self.fields.bad(f"{field}.{name}", error) from error
        return wanted

    def _places(self, field: str) -> dict[str, str]:
        given = {name: f"{field}.{name}" for name in _DIMENSIONS if self._has(f"{field}.{name}")}
        return {"base": "base", **given}

    def _positions(self, words: str | list[str], field: str) -> tuple[str, ...]:
        return tuple(self._position(word, place) for word, place in _each(words, field))

    def _edits(self, words: str | list[str], field: str) -> tuple[str, ...]:
        from ..modelfile.replace import GraphEdit  # here, for most recipes have none

        if words == NO_EDIT:
            return ()
        try:
            return tuple(GraphEdit.parse(word).in_words for word in _many(words))
        except SurgeonError as error:
            raise self.fields.bad(field, error) from error

    def _position(self, text: str, field: str) -> str:
        several = ", ".join(meant_by(text))
        if len(meant_by(text)) > 1:
            problem = f"{text!r} is several positions: write [{several}] for a variant each, [[{several}]] for one"
            raise self.fields.bad(field, problem)
        try:
            return parse_at(text).asked
        except SurgeonError as error:
            raise self.fields.bad(field, error) from error

    def _ops(self, words: str | list[str], field: str) -> list[str]:
        for op, place in _each(words, field):
            try:
                resolve_operator(op, blocks=self.blocks)
            except SurgeonError as error:
                raise self.fields.bad(place, str(error).replace("--op takes", "there are")) from error
        return _many(words)

    def _gates(self, field: str, asked: bool | list[bool] | None, ops: list[str]) -> list[bool]:
        """Behind a gate or not, as it is written, or else as the training needs it."""
        if asked is None:
            return [self.gated]
        if OP_BLOCKS.keys() >= set(ops):
            problem = f"{', '.join(ops)} can start as the identity without a gate: drop gated"
            raise self.fields.bad(field, problem)
        return _many(asked)

    # Single fields.

    def _budget(self) -> Budget:
        limits = []
        for name in _Limits.__struct_fields__:
            try:
                given = self._has(f"budget.{name}")
                limits.append(parse_limit(self.fields.text(f"budget.{name}")) if given else None)
            except SurgeonError as error:
                raise self.fields.bad(f"budget.{name}", error) from error
        return Budget(*limits)

    def _imgsz(self) -> tuple[int, int]:
        sides = _many(self.file.imgsz)
        if len(sides) > 2 or min(sides) < 1 or max(sides) > LARGEST_SIDE:
            raise self.fields.bad("imgsz", f"it is one number of pixels, 1 to {LARGEST_SIDE}, or [height, width]")
        return sides[0], sides[-1]

    def _out(self, field: str) -> str | None:
        if not self._has(field):
            return None
        text = self.fields.text(field)
        if not self._filled(field, text, OUT_FIELDS).endswith((".yaml", ".yml")):
            raise self.fields.bad(field, f"{text!r} does not end in .yaml")
        return self._relative(field, text)

    def _index(self) -> str | None:
        if self.file.index and not self.file.index.endswith(".json"):
            raise self.fields.bad("index", f"{self.file.index!r} does not end in .json")
        return self._relative("index", self.file.index) if self.file.index else None

    def _relative(self, field: str, text: str) -> str:
        if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:|\\", text) or ".." in re.split(r"[/\\]", text):
            raise self.fields.bad(field, f"{text!r} leaves the recipe's folder: name a place below it")
        return text

    def _filled(self, field: str, text: str, names: Collection[str]) -> str:
        """A text with something in place of its braces, which may ask for these names and for no great width."""
        allowed = ", ".join(f"{{{name}}}" for name in names)
        try:
            asked = [(name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name is not None]
            unknown = next((name for name, _ in asked if name not in names), None)
            if any(re.search(r"\d{3}", spec) for _, spec in asked) or (unknown and not unknown.isidentifier()):
                raise ValueError(text)
            if unknown is None:
                return text.format(**dict.fromkeys(names, "x"))
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            raise self.fields.bad(field, f"{text!r} has braces that can't be read: fields are {allowed}") from error
        raise self.fields.bad(field, f"no field {{{unknown}}} in {text!r}: there are {allowed}")

    # How they are trained.

    def _experiment(self) -> Experiment | None:
        if not self._has("train"):
            for name in filter(self._has, _OF_A_TRAINING):
                raise self.fields.bad(name, "it belongs to a training: add train: {data: FILE.yaml}")
            return None
        for name in self.file.train:
            if name in ELSEWHERE:
                raise self.fields.bad(f"train.{name}", f"it has no place here: {ELSEWHERE[name]}")
            if not name.isidentifier():
                raise self.fields.bad(f"train.{name}", f"{name!r} is no argument of Ultralytics", inside="train")
        train = self.fields.read(_Train, "train")
        own = _Train.__struct_fields__
        arguments: dict[str, Any] = {
            name: self.fields.read(_Arguments, f"train.{name}") for name in self.file.train if name not in own
        }
        return Experiment(
            data=self._distinct("train.data", train.data),
            start=self._start(train),
            init=train.init,
            arguments=arguments,
            seeds=self._distinct("seeds", self.file.seeds or list(_DEFAULT_SEEDS)),
            sequential=self._sequential(),
            larger="larger" in self._distinct("controls", self.file.controls),
            latency=self._runtimes(),
            labels={name: self.fields.read(_Word, f"labels.{name}") for name in self.file.labels or ()},
        )

    def _runtimes(self) -> tuple[str, ...]:
        """Where latency is to be measured; `true` says torch."""
        from ..yolo.exported import TORCH, runtime_named  # here, for most recipes ask for none

        asked = self.file.latency
        if isinstance(asked, bool):
            return (TORCH.name,) if asked else ()
        for name, place in _each(asked.runtimes, "latency.runtimes"):
            try:
                runtime_named(name)
            except SurgeonError as error:
                raise self.fields.bad(place, error) from error
        return self._distinct("latency.runtimes", asked.runtimes)

    def _sequential(self) -> Sequential | None:
        if self.file.sequential is False:
            return None
        asked = Sequential() if self.file.sequential is True else self.fields.read(Sequential, "sequential")
        for name, question in (("strict", "better"), ("drop", "better"), ("margin", "gate")):
            if self._has(f"sequential.{name}") and asked.question != question:
                problem = f"it belongs to question: {question}, and the question is {asked.question}: drop {name}"
                raise self.fields.bad(f"sequential.{name}", problem)
        if self._has("sequential.most") and self._has("seeds"):
            problem = f"the seeds are listed, {len(self.file.seeds)} of them: drop most, or seeds"
            raise self.fields.bad("sequential.most", problem)
        return asked

    def _in_rounds(self, variants: int) -> Experiment | None:
        """The experiment; in rounds with as many seeds as its variants take, where it lists none."""
        one = self.experiment
        if one is None or one.sequential is None or self._has("seeds"):
            return one
        most = one.sequential.most or (_MOST_OF_FEW if variants <= _FEW_VARIANTS else _MOST_OF_MANY)
        return replace(one, seeds=tuple(range(-(-most // len(one.data)))))

    def _start(self, train: _Train) -> str:
        filled = self._filled("train.start", train.start, START_FIELDS)
        if train.start != SCRATCH and not filled.endswith(".pt"):
            raise self.fields.bad("train.start", f"{train.start!r} is neither scratch nor a checkpoint, FILE.pt")
        if train.start == SCRATCH and self._has("train.init"):
            problem = "it says how operators start in a checkpoint: write start: FILE.pt, or drop it"
            raise self.fields.bad("train.init", problem)
        return train.start

    def _distinct(self, field: str, values: Any) -> tuple[Any, ...]:
        for value, place in _each(_many(values), field):
            if _many(values).count(value) > 1:
                raise self.fields.bad(place, f"it has {value} twice: keep one")
        return tuple(_many(values))


def _many(value: Any) -> list[Any]:
    """A list, or the one thing that stands in place of one; nothing for what is left out."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _each(value: Any, field: str) -> Iterator[tuple[Any, str]]:
    """The same, each with its field."""
    if isinstance(value, list):
        yield from ((item, f"{field}[{number}]") for number, item in enumerate(value))
    else:
        yield value, field


def _once(wanted: list[Wanted]) -> list[Wanted]:
    """Each combination once: the paper's operators have no gate, others no kernel size, whatever the matrix has."""
    asked = [_without_operator(one) for one in wanted if one.at or one.edits]
    plain = [replace(one, gated=False) if one.op in OP_BLOCKS else replace(one, k=None, dilation=None) for one in asked]
    kept: dict[tuple[Any, ...], Wanted] = {}
    for one in plain:
        kept.setdefault(tuple(getattr(one, name) for name in _DIMENSIONS), one)
    return list(kept.values())


def _without_operator(wanted: Wanted) -> Wanted:
    """The same, without an operator where it has no position for one."""
    return wanted if wanted.at else replace(wanted, op="", k=None, dilation=None, gated=False)


def _matches(wanted: Wanted, name: str, values: Collection[Any]) -> bool:
    """Whether a combination has one of the values; `residual` also stands for `residual:2`."""
    if name == "edits":
        return any(edit in values for edit in wanted.edits or (NO_EDIT,))
    if name != "at":
        return getattr(wanted, name) in values
    return any(at in values or parse_at(at).name in values for at in wanted.at)
