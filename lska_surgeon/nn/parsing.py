"""Ultralytics' `parse_model`, taught the rows of this project by translation; it changes no installed file.

`parse_model` looks block names up in the globals of `ultralytics.nn.tasks`, and treats a class that it does not know as
one that keeps its input's width and takes its arguments verbatim. So, before the original runs, a row becomes:

1. `[-1, 1, LSKA, [c2, 35]]`: itself; such a row builds on an untouched `parse_model`, too, once the name is there.
2. `[-1, 1, LSKA, [11]]`, `[-1, 1, LSKA, [256, 35]]`: case 1, for the width is the source's and nothing else.
3. `[4, 1, LSKA, [256, 35]]`: an `OperatorOfSource`, for `c2` is the width of the row before only. So are rows of our
   private names, `SurgeonLSKA`, and those of a graft that was made where LSKA was ours: a parser that knows a block of
   that name may have changed what it does with others.
4. a host row: its plain block's row. The operator is put into the built block after the original has run.
5. a row of a custom module: that of the stock block that it is declared like (see `declared`); a `Bypass` is built as
   one that adds maps.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from copy import deepcopy
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from ultralytics.nn import modules

from ..core.blocks import ADD, BYPASS, STOCK, BlockTable, CustomModule, Declarations
from ..core.graph import SECTIONS, Layer, as_from, graph_of, scaling_of
from ..core.operators import AnyOperator, Attention, host_spec, read_attention
from ..core.shapes import shapes_of
from ..core.surgery import RECORD
from ..declarations.find import active_blocks
from ..errors import BuildError, DeclarationError, SurgeonError
from .blocks import BLOCK_CLASSES, HOST_CLASSES, attach
from .declared import RowOfOne, declared_classes, marked_row, refuse_untrusted, row_as_parsed, stand_ins
from .operators import OPERATORS, OTHER_CLASSES, Operator, build_operator, named_operators
from .rows import Bypass, TimmFeatures

if TYPE_CHECKING:
    from ..installed.parse_model import ParsedRow

_TASKS = "ultralytics.nn.tasks"
_MARK = "_lska_surgeon"
#: Screens a model dictionary before anything of it is parsed, by the table of blocks, and raises for one that must not
#: be; None in what is Ultralytics' own. See `yolo.build.open_parser`, which alone sets it.
SCREEN: ContextVar[Callable[[Mapping[str, Any], BlockTable], None] | None] = ContextVar("screen", default=None)

#: Block name in a row -> the class that it stands for.
BLOCKS: dict[str, type[nn.Module]] = {
    **{block.name: OPERATORS[block.op] for block in STOCK if block.op in OPERATORS},
    **HOST_CLASSES,
    **{block.name: OTHER_CLASSES[block.plain] for block in STOCK if block.other},
    TimmFeatures.__name__: TimmFeatures,
    BYPASS: Bypass,
}
#: A bypass as the parser builds it: as any module that adds maps.
_LIKE_CUSTOM = STOCK.with_blocks(
    Declarations({BYPASS: CustomModule(BYPASS, f"{__name__}:{BYPASS}", ADD, channels_first=True)}, trusted=True)
)

_PARSING = threading.RLock()  # the names in `tasks` belong to the whole process
#: Custom modules that were put into `tasks`, by name.
_placed: dict[str, type[nn.Module]] = {}


def register() -> None:
    """Make the block names known to Ultralytics in this process; a second call changes nothing.

    A name that `ultralytics.nn.tasks` has already (a class that somebody pasted into the installed package) stays as
    it is; `conflicts` lists those.
    """
    install(importlib.import_module(_TASKS))
    # So that checkpoints with our classes pass torch's weights_only loading, which Ultralytics' restricted mode uses.
    torch.serialization.add_safe_globals(list(BLOCK_CLASSES))


def conflicts() -> dict[str, str]:
    """Block names of ours that somebody else had defined in `ultralytics.nn.tasks` -> where theirs comes from."""
    names = vars(importlib.import_module(_TASKS))
    foreign = {name: names[name] for name in sorted(BLOCKS) if names.get(name) not in (BLOCKS[name], None)}
    owners = {name: theirs if hasattr(theirs, "__qualname__") else type(theirs) for name, theirs in foreign.items()}
    return {name: _type_name(owner) for name, owner in owners.items()}


class OperatorOfSource(nn.Module):
    """Builds an operator as wide as any layer before it; a class, since a restricted `parse_model` takes nothing else.

    In a row, the argument "ch" is `parse_model`'s own list of the widths so far.
    """

    def __new__(cls, widths: Sequence[int], source: int, kernel: AnyOperator) -> Operator:
        return build_operator(kernel, widths[source])


def install(tasks: Any) -> None:
    """Put the names into `tasks` (`ultralytics.nn.tasks`), where they are free, and wrap its `parse_model`, once.

    So too the names of Ultralytics' own blocks that its parser does not know.
    """
    for name, cls in (*BLOCKS.items(), *((cls.__name__, cls) for cls in (OperatorOfSource, RowOfOne))):
        vars(tasks).setdefault(name, cls)
    for name in getattr(modules, "__all__", ()):  # the parser imports not all of them: CBAM, say
        vars(tasks).setdefault(name, getattr(modules, name))
    _place(tasks, active_blocks().declarations)
    if not getattr(tasks.parse_model, _MARK, False):
        tasks.parse_model = _wrap(tasks.parse_model, tasks)


@functools.cache
def evaluates_rows() -> bool:
    """Whether the parser that is imported evaluates more as Python than `activation`, as those of some forks do."""
    try:
        source = inspect.getsource(importlib.import_module(_TASKS).parse_model)
    except OSError:  # without its source nobody knows
        return True
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    evaluated = (call.args for call in calls if getattr(call.func, "id", "") in ("eval", "exec"))
    return any(not (args and getattr(args[0], "id", "") == "act") for args in evaluated)


def owned_names(tasks: Any) -> frozenset[str]:
    """The block names that mean our classes in `tasks`; the others somebody had defined before."""
    return frozenset(name for name, cls in BLOCKS.items() if vars(tasks).get(name) is cls)


def _place(tasks: Any, declarations: Declarations, wanted: Collection[str] = ()) -> dict[str, type[nn.Module]]:
    """Put the custom modules of these names into `tasks`, those of other declarations out of it; classes by name.

    Raises:
        DeclarationError: a class can't be imported, or its name is that of a stock block.
    """
    classes = declared_classes(declarations, wanted)
    for name in [name for name, cls in _placed.items() if classes.get(name) is not cls]:
        if vars(tasks).get(name) is _placed.pop(name):
            del vars(tasks)[name]
    for name, cls in classes.items():
        if declarations.blocks[name].like == name or declarations.blocks[name].has_parser:  # their rows are marked
            continue
        if vars(tasks).setdefault(name, cls) is not cls:
            problem = "the installed ultralytics has a block of that name: give yours another"
            raise DeclarationError(f"{declarations.path}, blocks.{name}: {problem}")
        _placed[name] = cls
    return classes


def _wrap(original: Callable[..., Any], tasks: Any) -> Callable[..., Any]:
    @wraps(original)
    def parse_model(d: Any, ch: Any, verbose: Any = True, *args: Any, **kwargs: Any) -> Any:
        blocks, screen = active_blocks(), SCREEN.get()
        if screen is not None:
            screen(d, blocks)
        with _PARSING:
            classes = _place(tasks, blocks.declarations, _custom_modules_in(d, blocks))
            translated = _Translation(d, owned_names(tasks), classes, blocks)
            with stand_ins(tasks, translated.stand_ins):
                built = original(translated.yaml, ch, verbose, *args, **kwargs)
        layers = built[0]
        for index in translated.renamed:
            layers[index].type = _type_name(_class_of(layers[index]))
        for index, (block, attention) in translated.hosts.items():
            _convert(layers, index, block, attention)
        if verbose and translated.hosts:
            _log(tasks, layers, translated.hosts)
        return built

    setattr(parse_model, _MARK, True)
    return parse_model


class _Translation:
    """A model dictionary in the form that the original parses, and what is to be done afterwards.

    Attributes:
        yaml: the dictionary; the one that was given, which is never changed, where it has no row of ours.
        hosts: index of a layer -> its host block, and what to put into it.
        renamed: indices of the layers whose row names another class than the one that is built.
        stand_ins: stock blocks that custom modules stand behind.
    """

    def __init__(
        self, d: Any, owned: Collection[str], classes: Mapping[str, type[nn.Module]], blocks: BlockTable
    ) -> None:
        self.yaml = self._given = d
        self.hosts: dict[int, tuple[str, Attention]] = {}
        self.renamed: set[int] = set()
        self.stand_ins: set[str] = set()
        ours = {name for name in owned if STOCK[name].is_attention}
        if RECORD in d:
            ours |= {name for name in map(_block_written_by_us, (row for _, row in _rows(d))) if name}
            blocks = blocks.with_parser(None)
        joins = {BYPASS} if BYPASS in owned or RECORD in d else set()
        self._owned, self._blocks = owned, blocks
        if not any(_block_of(row) in ours | joins or blocks.custom(_block_of(row)) for _, row in _rows(d)):
            return
        self.yaml = {**d, **{section: [] for section in SECTIONS}}
        for index, (section, given) in enumerate(_rows(d)):
            row, block = deepcopy(list(given)), _block_of(given)
            if block in ours:
                self._translate_ours(index, row)
            elif blocks.custom(block):
                refuse_untrusted(block, blocks.declarations)
                self._translate_custom(index, section, row, blocks, classes[block])
            elif block in joins:
                self._translate_custom(index, section, row, _LIKE_CUSTOM, Bypass)
            self.yaml[section].append(row)

    def _translate_ours(self, index: int, row: list[Any]) -> None:
        source, _, block, args = row
        try:
            attention = read_attention(Layer(index, "head", -1, 1, block, tuple(args), self._blocks))
        except SurgeonError as error:
            raise type(error)(f"layer {index}: {error}") from error
        assert attention is not None
        if attention.host is not None:
            self.hosts[index] = (block, attention)
            row[2:] = [attention.host, list(attention.host_args)]
        elif not isinstance(source, int):
            raise BuildError(f"layer {index}: {block} reads one source, found {source}; give a single index")
        elif source != -1 or block not in self._owned or self._blocks[block].is_private:
            self.renamed.add(index)
            row[2:] = [OperatorOfSource.__name__, ["ch", source, attention.kernel]]
        elif attention.channels != "c2":
            row[3] = list(attention.kernel.row_args)

    def _translate_custom(
        self, index: int, section: str, row: list[Any], blocks: BlockTable, cls: type[nn.Module]
    ) -> None:
        source, repeats, block, args = row
        frm = as_from(source)
        if frm is None:
            raise BuildError(f"layer {index}: {block} reads {source}: from is a number or a list of them")
        layer = Layer(index, section, frm, repeats, block, tuple(args), blocks)
        if blocks.declarations.blocks[block].has_parser:
            made = self._parsed_row(index, block)
            row[1:] = [1 if made.modules == 1 else repeats, *row_as_parsed(layer, cls, made)]
        else:
            row[2:] = marked_row(layer, cls, partial(self._width_of, index))
        self.renamed.add(index)
        self.stand_ins.add(row[2])

    def _width_of(self, index: int) -> int | None:
        """The width of a layer, by the rows up to there."""
        graph = graph_of(self._given, "the model", self._blocks)
        return shapes_of(graph, scaling_of(self._given, self._given.get("scale")))[index].channels

    def _parsed_row(self, index: int, block: str) -> ParsedRow:
        """What the parser that a declaration names makes of a row."""
        from ..core.parsed import parsed_row  # here, for few declarations name one

        graph = graph_of(self._given, "the model", self._blocks)
        scaling = scaling_of(self._given, self._given.get("scale"))
        row = parsed_row(index, graph.layers, graph.settings, scaling)
        problem = f"layer {index}: {self._blocks.declarations.parser}, by which {block} is declared,"
        if row is None:
            raise BuildError(f"{problem} is no parser that can be read")
        if row.refused:
            raise BuildError(f"{problem} refuses it: {row.refused}")
        return row


def _custom_modules_in(d: Any, blocks: BlockTable) -> set[str]:
    """Names of custom modules that a model dictionary has, in a row or as its activation."""
    activation = str(d.get("activation", ""))
    named = {_block_of(row) for _, row in _rows(d)}
    return {name for name in blocks.declarations.blocks if name in activation or name in named}


def _rows(d: Any) -> Iterator[tuple[str, Any]]:
    return ((section, row) for section in SECTIONS for row in d[section])


def _block_written_by_us(row: Any) -> str:
    """The block of a row that is an operator as we write it, whoever has a block of that name here; nothing else."""
    block = _block_of(row)
    return block if block and STOCK[block].is_operator and row[3][:1] == ["c2"] else ""


def _block_of(row: Any) -> str:
    """The block that a row names; nothing for what is no row."""
    is_row = isinstance(row, (list, tuple)) and len(row) == 4 and isinstance(row[2], str)
    return row[2] if is_row else ""


def _class_of(layer: nn.Module) -> type[nn.Module]:
    """The class that a row names; a row with repeats builds a chain of them."""
    return type(layer[0]) if type(layer) is nn.Sequential else type(layer)


def _convert(layers: nn.Sequential, index: int, block: str, attention: Attention) -> None:
    try:
        layer = attach(layers[index], attention.kernel, block)
    except SurgeonError as error:
        raise type(error)(f"layer {index} ({block}): {error}") from error
    layer.np = sum(parameter.numel() for parameter in layer.parameters())
    layer.type = _type_name(HOST_CLASSES[block])


def _type_name(cls: type) -> str:
    """As `parse_model` writes it."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _log(tasks: Any, layers: nn.Sequential, hosts: Mapping[int, tuple[str, Attention]]) -> None:
    """The rows above show plain blocks; say in the same columns what became of them (n: operators inside)."""
    tasks.LOGGER.info("with the operators inside:")
    for index, (_, attention) in hosts.items():
        layer = layers[index]
        count = sum(1 for _ in named_operators(layer))
        spec = str(host_spec(attention.kernel))
        tasks.LOGGER.info(f"{index:>3}{layer.f!s:>20}{count:>3}{layer.np:10.0f}  {layer.type:<45}{spec:<30}")
