"""Ultralytics' `parse_model`, taught the rows of this project by translation; it changes no installed file.

`parse_model` looks block names up in the globals of `ultralytics.nn.tasks`, and treats a class that it does not know as
one that keeps its input's width and takes its arguments verbatim. So, before the original runs, a row becomes:

1. `[-1, 1, LSKA, [c2, 35]]`: itself; such a row builds on an untouched `parse_model`, too, once the name is there.
2. `[-1, 1, LSKA, [11]]`, `[-1, 1, LSKA, [256, 35]]`: case 1, for the width is the source's and nothing else.
3. `[4, 1, LSKA, [256, 35]]`: an `OperatorOfSource`, for `c2` is the width of the row before only.
4. a host row: its plain block's row. The operator is put into the built block after the original has run.
5. a row of a block that the user declares: that of the stock block that it is like (see `declared`).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from copy import deepcopy
from typing import Any

from torch import nn
from ultralytics.nn import modules

from ..core.attention import Attention, host_spec, read_attention
from ..core.blocks import STOCK, BlockTable
from ..core.graph import Layer, as_from
from ..core.other_operators import AnyOperator
from ..declarations.find import active_blocks
from ..errors import BuildError, DeclarationError, SurgeonError
from .blocks import HOST_CLASSES, attach
from .declared import RowOfOne, declared_classes, marked_row, refuse_untrusted, stand_ins
from .operators import OPERATORS, Operator, named_operators
from .others import OTHER_CLASSES, build_operator

_MARK = "_lska_surgeon"
#: Looks a model dictionary through before anything of it is parsed, and raises for one that must not be; None in what
#: is Ultralytics' own. See `yolo.build.open_parser`, which alone sets it.
SCREEN: ContextVar[Callable[[Mapping[str, Any]], None] | None] = ContextVar("screen", default=None)

#: Block name in a row -> the class that it stands for.
BLOCKS: dict[str, type[nn.Module]] = {
    **{block.name: OPERATORS[block.op] for block in STOCK if block.op in OPERATORS},
    **HOST_CLASSES,
    **OTHER_CLASSES,
}


_PARSING = threading.RLock()  # the names in `tasks` belong to the whole process
#: Declared classes that were put into `tasks`, by name.
_placed: dict[str, type[nn.Module]] = {}


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
    place_declared(tasks)
    if not getattr(tasks.parse_model, _MARK, False):
        tasks.parse_model = _wrap(tasks.parse_model, tasks)


def place_declared(tasks: Any, wanted: Collection[str] = ()) -> dict[str, type[nn.Module]]:
    """Put the declared classes of these names into `tasks`, those of other declarations out of it; classes by name.

    Raises:
        DeclarationError: a class can't be imported, or its name is that of a stock block.
    """
    classes = declared_classes(wanted)
    for name in [name for name, cls in _placed.items() if classes.get(name) is not cls]:
        if vars(tasks).get(name) is _placed.pop(name):
            del vars(tasks)[name]
    for name, cls in classes.items():
        if vars(tasks).setdefault(name, cls) is not cls:
            problem = "the installed ultralytics has a block of that name: give yours another"
            raise DeclarationError(f"{active_blocks().declarations.path}, blocks.{name}: {problem}")
        _placed[name] = cls
    return classes


def owned_names(tasks: Any) -> frozenset[str]:
    """The block names that mean our classes in `tasks`; the others somebody had defined before."""
    return frozenset(name for name, cls in BLOCKS.items() if vars(tasks).get(name) is cls)


def _wrap(original: Callable[..., Any], tasks: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    def parse_model(d: Any, ch: Any, verbose: Any = True, *args: Any, **kwargs: Any) -> Any:
        screen = SCREEN.get()
        if screen is not None:
            screen(d)
        blocks = active_blocks()
        with _PARSING:
            classes = place_declared(tasks, _declared_in(d, blocks))
            translated, hosts = _translate(d, owned_names(tasks), blocks)
            translated, stocks = _translate_declared(translated, classes, blocks)
            with stand_ins(tasks, set(stocks.values())):
                built = original(translated, ch, verbose, *args, **kwargs)
        for index in stocks:
            built[0][index].type = _type_name(_class_of(built[0][index]))
        for index, (block, attention) in hosts.items():
            _convert(built[0], index, block, attention)
        if verbose and hosts:
            _log(tasks, built[0], hosts)
        if translated is not d:
            _restore_types(built[0])
        return built

    setattr(parse_model, _MARK, True)
    return parse_model


def _translate(d: Any, owned: frozenset[str], blocks: BlockTable) -> tuple[Any, dict[int, tuple[str, Attention]]]:
    """`d` with every row of ours in the form that the original builds, and what to put into which layer afterwards.

    `d` itself is returned where it has no row of ours; it is never changed.
    """
    sections = {name: d[name] for name in ("backbone", "head")}
    rows = [row for section in sections.values() for row in section]
    if not any(_names_one_of(row, owned) and STOCK[row[2]].is_attention for row in rows):
        return d, {}
    translated, hosts = [list(row) for row in deepcopy(rows)], {}
    for index, row in enumerate(translated):
        if not (_names_one_of(row, owned) and STOCK[row[2]].is_attention):
            continue
        attention = _read(index, row, blocks)
        if attention.host is None:
            _translate_operator(index, row, attention)
        else:
            hosts[index] = (row[2], attention)
            row[2:] = [attention.host, list(attention.host_args)]
    split = len(sections["backbone"])
    return {**d, "backbone": translated[:split], "head": translated[split:]}, hosts


def _translate_declared(
    d: Any, classes: Mapping[str, type[nn.Module]], table: BlockTable
) -> tuple[Any, dict[int, str]]:
    """`d` with every row of a declared block as one of the block that it is like, and these blocks by layer.

    `d` itself is returned where it has no such row; it is never changed.
    """
    blocks = table.declarations.blocks
    sections = {name: d[name] for name in ("backbone", "head")}
    rows = [row for section in sections.values() for row in section]
    if not any(_names_one_of(row, blocks) for row in rows):
        return d, {}
    translated, stocks = [list(row) for row in rows], {}
    for index, row in enumerate(translated):
        if not _names_one_of(row, blocks):
            continue
        refuse_untrusted(row[2])
        name, frm = row[2], as_from(row[0])
        if frm is None:
            raise BuildError(f"layer {index}: {name} reads {row[0]}: from is a number or a list of them")
        section = "backbone" if index < len(sections["backbone"]) else "head"
        layer = Layer(index, section, frm, row[1], name, tuple(deepcopy(row[3])), table)
        stocks[index], row[3] = marked_row(layer, blocks[name], classes[name])
        row[2] = stocks[index]
    split = len(sections["backbone"])
    return {**d, "backbone": translated[:split], "head": translated[split:]}, stocks


def _declared_in(d: Any, blocks: BlockTable) -> set[str]:
    """Names of declared blocks that a model dictionary says, in a row or as its activation."""
    rows = [row for section in ("backbone", "head") for row in d[section]]
    activation = str(d.get("activation", ""))
    names = blocks.declarations.blocks
    return {name for name in names if name in activation or any(_names_one_of(row, (name,)) for row in rows)}


def _names_one_of(row: Any, blocks: Collection[str]) -> bool:
    return isinstance(row, (list, tuple)) and len(row) == 4 and isinstance(row[2], str) and row[2] in blocks


def _class_of(layer: nn.Module) -> type[nn.Module]:
    """The class that a row names; a row with repeats builds a chain of them."""
    return type(layer[0]) if type(layer) is nn.Sequential else type(layer)


def _read(index: int, row: list[Any], blocks: BlockTable) -> Attention:
    try:
        attention = read_attention(Layer(index, "head", -1, 1, row[2], tuple(row[3]), blocks))
    except SurgeonError as error:
        raise type(error)(f"layer {index}: {error}") from error
    assert attention is not None
    return attention


def _translate_operator(index: int, row: list[Any], attention: Attention) -> None:
    source = row[0]
    if not isinstance(source, int):
        raise BuildError(f"layer {index}: {row[2]} reads one source, found {source}; give a single index")
    if source != -1:
        row[2:] = [OperatorOfSource.__name__, ["ch", source, attention.kernel]]
    elif attention.channels != "c2":
        row[3] = list(attention.kernel.row_args)


def _convert(layers: nn.Sequential, index: int, block: str, attention: Attention) -> None:
    try:
        layer = attach(layers[index], attention.kernel, block)
    except SurgeonError as error:
        raise type(error)(f"layer {index} ({block}): {error}") from error
    layer.np = sum(parameter.numel() for parameter in layer.parameters())
    layer.type = _type_name(HOST_CLASSES[block])


def _restore_types(layers: nn.Sequential) -> None:
    for layer in layers:
        if layer.type.endswith(OperatorOfSource.__name__):
            first = next(operator for _, operator in named_operators(layer))
            layer.type = _type_name(type(first))


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
