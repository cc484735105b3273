"""Custom modules: imported as they are declared, and built in rows as the stock blocks that they are like.

`parse_model` decides by a row's class what the class is built from, and looks both the class and those that it compares
with up among the globals of its module. So, for as long as it runs, a stand-in takes the place of a stock block there.
In a row of a custom module the stand-in's name is written, and a `Mark` behind the arguments: `parse_model` works the
arguments out as for the stock block, and calls the stand-in, which builds the declared class where it finds a mark and
the stock block where it finds none. No source is rewritten, and afterwards everything is as it was.

The first time that a class is built from certain arguments it runs once, on a map of zeros: a class that does not give
the width and stride that its declaration promises is named then, and not somewhere in a training.
"""

from __future__ import annotations

import importlib
import inspect
import math
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout, suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..core.blocks import ADD, ATTENTION, STOCK, VERBATIM, BlockTable, CustomModule, Declarations, SourceWidth
from ..core.graph import Layer
from ..core.shapes import custom_row_problem, stride_ratio
from ..declarations.find import announce, split_target, untrusted
from ..errors import BuildError, DeclarationError
from ..wording import a_value, clean, first_line
from .first_run import MAP_SIDES, evaluated, on_the_smallest

if TYPE_CHECKING:
    from ..installed.parse_model import ParsedRow

#: The stock block whose treatment by the parser is that of "add": the width is that of one source.
_LIKE_ADD = "CBFuse"
#: That whose width is one of its arguments, whatever the scale: `[c1, width, stride, True]`.
_OF_GIVEN_WIDTH, _ITS_ARGUMENTS = next(block.name for block in STOCK if block.width == "resnet"), 4
_MOST_NAMED = 8  # parameters of a class, in an error
_tried: set[tuple[type[nn.Module], str]] = set()
#: Classes that were imported, by declaration and what it says under class.
_imported: dict[tuple[Path, str], type[nn.Module]] = {}
_LOCK = threading.RLock()


def declared_classes(declarations: Declarations, wanted: Collection[str] = ()) -> dict[str, type[nn.Module]]:
    """The declared classes that have been imported, by the name that rows call them.

    Args:
        declarations: what declares them.
        wanted: names of blocks; those that are declared are imported now, unless they are, or are not to be.

    Raises:
        DeclarationError: a wanted class can't be imported, or is none that a row can build.
    """
    path, blocks = declarations.path, declarations.blocks
    if not declarations or not declarations.trusted or path is None:
        return {}
    with _LOCK:
        new = [blocks[name] for name in blocks if name in wanted and (path, blocks[name].target) not in _imported]
        announce(new, path)
        _let_import_from(path.parent)
        for block in new:
            _imported[path, block.target] = _import_class(block, path.parent, f"{path}, blocks.{block.name}.class")
        places = {name: (path, block.target) for name, block in blocks.items()}
        return {name: _imported[place] for name, place in places.items() if place in _imported}


def refuse_untrusted(block: str, declarations: Declarations) -> None:
    """Refuse to build a custom module whose declaration the user has not vouched for.

    Raises:
        DeclarationError: it is such a one.
    """
    if block in declarations.blocks and not declarations.trusted:
        raise DeclarationError(f"{block} is declared in {untrusted(declarations)}")


def project_class(module: str, name: str, declarations: Declarations) -> type[nn.Module] | None:
    """The project's own layer of that name, for a checkpoint that names it; None when the project has no such one.

    It is a declared class, or one defined beside those in the project's folder. The declared class of that name is
    imported, or those of that module, or else those of its package, of which one may import that module; nothing else
    is: a file that is read makes no module be imported that no declaration names.

    Raises:
        DeclarationError: one of them can't be imported.
    """
    targets = {name: split_target(block.target) for name, block in declarations.blocks.items()}
    wanted = [block for block, target in targets.items() if target == (module, name)]
    if not wanted and module not in sys.modules:
        wanted = [block for block, target in targets.items() if target[0] == module]
    classes = declared_classes(declarations, wanted)
    package = module.rpartition(".")[0]
    beside = [block for block, target in targets.items() if package and target[0].rpartition(".")[0] == package]
    for block in beside if not wanted else ():
        if module not in sys.modules:
            with suppress(DeclarationError):  # it is not that one which is asked for
                classes = declared_classes(declarations, [block])
    cls = getattr(sys.modules.get(module), name, None)
    if not classes or not isinstance(cls, type) or not issubclass(cls, nn.Module) or cls.__module__ != module:
        return None
    assert declarations.path is not None
    return cls if cls in classes.values() or _lies_in(sys.modules[module], declarations.path.parent) else None


def _let_import_from(folder: Path) -> None:
    """Let this process and those that it starts import from the project's folder, as a script in it can."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(folder) not in places:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), *places]))


def class_of(block: CustomModule, folder: Path) -> type[nn.Module]:
    """The class of a declaration that may come to stand in a folder; it is imported.

    Raises:
        DeclarationError: that fails, or it is none that a row can build.
    """
    with _LOCK:
        _let_import_from(folder)
        return _import_class(block, folder, block.target.rpartition(":")[0])


def _import_class(block: CustomModule, folder: Path, where: str) -> type[nn.Module]:
    module, name = split_target(block.target)
    _refuse_another(module, folder, where)  # before, lest a module of another project be run
    try:
        with users_code():
            cls = getattr(importlib.import_module(module), name, None)
    except (Exception, SystemExit) as error:  # a module of the user's may raise anything
        from ..installed.imports import problem_behind  # here, for only an error needs it

        text = folder.joinpath(*module.split(".")).with_suffix(".py")
        hint = problem_behind(error, text) if isinstance(error, (ImportError, NameError)) else None
        because = f" ({hint})" if hint else ""
        raise DeclarationError(f"{where}: importing {module} fails: {raised(error)}{because}") from error
    _refuse_another(module, folder, where)
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        problem = "has no such class" if cls is None else "has something of that name that is no nn.Module"
        file = _file_of(module)
        searched = f" (in {file})" if file else ""
        raise DeclarationError(f"{where}: {module} {problem}: {clean(name)}{searched}")
    return cls


def _refuse_another(module: str, folder: Path, where: str) -> None:
    """Refuse a module that this process has from elsewhere, where the project has one of that name.

    Python has one module of a name in a process: the standard library's, or that of another project.
    """
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        name, place = ".".join(parts[:count]), folder.joinpath(*parts[:count])
        wanted = next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)
        if wanted is None or name not in sys.modules:
            continue
        imported = _file_of(name)
        if imported is None or imported.resolve() != wanted.resolve():
            raise DeclarationError(
                f"{where}: the name {name} stands for {imported or 'a module of Python itself'} here, "
                f"not for {wanted}: rename {(wanted.parent if wanted.name == '__init__.py' else wanted).name}, "
                "or, where both are projects of yours, use one process for each"
            )


def _file_of(module: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file else None


def users_code() -> AbstractContextManager[Any]:
    """What code of the user's prints goes to standard error: standard output is the command's own."""
    return redirect_stdout(sys.stderr)


def raised(error: BaseException) -> str:
    """What code of the user's raised, in one line."""
    if isinstance(error, SystemExit):
        return f"it ends the process, with {error.code!r}: keep what is to run as a script below `if __name__ == ...`"
    return f"{type(error).__name__}: {first_line(error)}"


def _lies_in(module: Any, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    if file is None:
        return False
    place = Path(file).resolve()
    return folder in place.parents and not {"site-packages", "dist-packages"} & set(place.parts)


@dataclass(frozen=True, eq=False)
class Mark:
    """Stands behind the arguments of a row, and says which class they are for.

    Attributes:
        row: the row as the user wrote it, of a custom module.
        cls: the class.
        parsed: what a fork's parser makes of the row, where that is to hold.
    """

    row: Layer
    cls: type[nn.Module]
    parsed: ParsedRow | None = None

    @property
    def block(self) -> CustomModule:
        """The declaration of the row's block."""
        assert self.row.kind.custom is not None
        return self.row.kind.custom

    def __repr__(self) -> str:  # `parse_model` logs the arguments
        return f"for {self.row.block}"


def marked_row(row: Layer, cls: type[nn.Module], width: Callable[[], int | None]) -> tuple[str, list[Any]]:
    """Module and arguments of a row that `parse_model` is to build as what its custom module is like.

    Two marks, for a scale may put a value in the place of the first argument behind the width (C3k2). In a row, "ch"
    is `parse_model`'s own list of the widths so far.

    Args:
        row: the row.
        cls: the class of its block.
        width: gives the width that the row has by its declaration; None where that of its source is not known.

    Raises:
        BuildError: the row can't be built so.
    """
    problem = custom_row_problem(row)
    if row.kind.packed:
        problem = f"{row.block} is a whole backbone in one row, which the parser of Ultralytics does not build"
    if problem:
        raise BuildError(f"layer {row.index}: {problem}")
    mark = Mark(row, cls)
    behind = [*row.plain_args, mark, mark, "ch"]
    if mark.block.width:
        given = width()
        if given is None:
            raise BuildError(
                f"layer {row.index}: {row.block} is declared with the width {mark.block.width}, and that of what it "
                "reads is not known here: declare the blocks before it"
            )
        return _OF_GIVEN_WIDTH, [0, given, 0, True, *behind]
    return {ATTENTION: RowOfOne.__name__, ADD: _LIKE_ADD}.get(mark.block.like, mark.block.like), behind


def row_as_parsed(row: Layer, cls: type[nn.Module], made: ParsedRow) -> tuple[str, list[Any]]:
    """The same for a row of which a fork's parser says what it is.

    Raises:
        BuildError: that parser does not say it.
    """
    given = (*made.arguments, *made.keywords.values())
    if type(made.width) is not int or not all(map(_is_told, given)):
        raise BuildError(f"layer {row.index} ({row.block}): {row.blocks.declarations.parser} does not say what it is")
    mark = Mark(row, cls, made)
    return _OF_GIVEN_WIDTH, [0, made.width, 0, True, mark, mark, "ch"]


def _is_told(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_told, value))
    return value is None or isinstance(value, (bool, int, float, str))


class RowOfOne(nn.Module):
    """Builds a custom module that keeps its source's width, as `parse_model` takes any class that is unknown to it."""

    def __new__(cls, *args: Any) -> nn.Module:
        return _build_marked(args)


@contextmanager
def stand_ins(tasks: Any, blocks: Collection[str]) -> Iterator[None]:
    """Put stand-ins in the place of the stock blocks of these names in `tasks`, for as long as this lasts."""
    names = {name for name in blocks if name != RowOfOne.__name__}
    missing = sorted(name for name in names if not isinstance(vars(tasks).get(name), type))
    if missing:
        raise BuildError(f"a block is declared like {missing[0]}, which the installed ultralytics does not have")
    before = {name: vars(tasks)[name] for name in names}
    vars(tasks).update({name: _stand_in(stock) for name, stock in before.items()})
    try:
        yield
    finally:
        vars(tasks).update(before)


def _stand_in(stock: type[nn.Module]) -> type[nn.Module]:
    """A class that is called as `stock` is, looks like it, and passes on to it what is set on it."""

    class Passing(type(stock)):  # type: ignore[misc]  # the metaclass is the stock block's own
        def __setattr__(cls, name: str, value: Any) -> None:
            setattr(stock, name, value)

    def build(_: type, *args: Any, **kwargs: Any) -> nn.Module:
        return _build_marked(args) if any(isinstance(arg, Mark) for arg in args) else stock(*args, **kwargs)

    names = {"__module__": stock.__module__, "__qualname__": stock.__qualname__, "__new__": build}
    stand_in: type[nn.Module] = Passing(stock.__name__, (stock,), names)
    return stand_in


def _build_marked(args: Sequence[Any]) -> nn.Module:
    """The declared class, built from the arguments that `parse_model` worked out."""
    last = max(place for place, arg in enumerate(args) if isinstance(arg, Mark))
    mark, widths = args[last], args[last + 1]
    own = [arg for place, arg in enumerate(args) if place != last + 1 and not isinstance(arg, Mark)]
    own = own[_ITS_ARGUMENTS:] if mark.block.width else own
    read = [widths[slot] for slot in mark.row.raw_sources]
    if mark.parsed is not None:
        named = deepcopy(dict(mark.parsed.keywords))
        return _made(mark, deepcopy([*mark.parsed.arguments]), named, f"layer {mark.row.index} ({mark.block.name})")
    return _build(mark, own, read, f"layer {mark.row.index} ({mark.block.name})")


def declared_attention(name: str, channels: int, blocks: BlockTable) -> nn.Module:
    """A custom module that is like attention, on its own, as a row without arguments builds it.

    Raises:
        BuildError: nothing declares it, or it can't be built on so many channels.
        DeclarationError: it is not to be imported, or does not do what its declaration says.
    """
    refuse_untrusted(name, blocks.declarations)
    cls = declared_classes(blocks.declarations, [name]).get(name)
    if cls is None:
        raise BuildError(f"{name} is a block that nothing declares here: add --blocks with the file that does")
    row = Layer(0, "head", -1, 1, name, (), blocks)
    return _build(Mark(row, cls), list(row.plain_args), [channels], name)


def _build(mark: Mark, own: list[Any], read: Sequence[int], where: str) -> nn.Module:
    """A declared class from the arguments of its own and the widths that it reads, tried out."""
    own = [read[0] if isinstance(arg, SourceWidth) else deepcopy(arg) for arg in own]
    if mark.block.channels_first:
        own = [list(read) if len(mark.row.raw_sources) > 1 else read[0], *own]
    module = _made(mark, own, {}, where)
    if not mark.row.kind.is_output:
        _try(module, mark, read, _width_to_be(mark, own, read), where)
    return module


def _made(mark: Mark, own: Sequence[Any], named: Mapping[str, Any], where: str) -> nn.Module:
    """What the class makes of these arguments."""
    try:
        with users_code():
            return mark.cls(*own, **named)
    except (Exception, SystemExit) as error:  # a class of the user's may raise anything
        given = ", ".join([*map(repr, own), *(f"{name}={value!r}" for name, value in named.items())])
        problem = f"{where}: {mark.cls.__name__}({clean(given)}) fails: {raised(error)}"
        raise BuildError(problem + _what_else(mark)) from error


def _width_to_be(mark: Mark, args: Sequence[Any], read: Sequence[int]) -> int:
    if mark.block.like not in VERBATIM:
        return int(args[1])
    width = mark.block.width_from(sum(read) if mark.row.kind.width == "sum" else read[0])
    assert width is not None
    return width


def _try(module: nn.Module, mark: Mark, read: Sequence[int], width: int, where: str) -> None:
    """Run a class once for each set of arguments, and compare what it gives with its declaration."""
    tensor = next(iter((*module.parameters(), *module.buffers())), None)
    key = (mark.cls, repr((mark.block, mark.row.args, tuple(read), width)))
    if key in _tried or (tensor is not None and tensor.is_meta):
        return

    def run(side: int) -> tuple[int, Any]:
        maps = [torch.zeros(1, channels, side, side, device="cpu") for channels in read]
        return side, module(maps if len(mark.row.raw_sources) > 1 else maps[0])

    try:
        with evaluated(module), users_code():
            side, given = on_the_smallest(run, MAP_SIDES)
    except (Exception, SystemExit) as error:
        took = f"{' and '.join(map(str, read))} channels, {' or '.join(f'{side}x{side}' for side in MAP_SIDES)}"
        problem = f"{where} does not run on a map of {took}: {raised(error)}"
        raise DeclarationError(problem + _what_else(mark)) from error
    took = " and ".join(f"1x{channels}x{side}x{side}" for channels in read)
    on, side = side, round(side / (stride_ratio(mark.row) or 1))
    wanted, shape = [1, width, side, side], list(given.shape) if isinstance(given, torch.Tensor) else None
    if shape != wanted:
        stride = f" with stride {mark.block.stride:g}" if mark.block.stride else ""
        stride += f" with width {mark.block.width}" if mark.block.width else ""
        gave = a_value(given) if shape is None else "x".join(map(str, shape))
        raise DeclarationError(
            f"{where} does not do what its declaration says: declared like {mark.block.like}{stride} it makes "
            f"{'x'.join(map(str, wanted))} of {took}, and it gave {gave}: "
            f"{_as_it_gave(mark, shape, read[0], on)} blocks.{mark.block.name} in {mark.row.blocks.declarations.path}"
        )
    _tried.add(key)


def _as_it_gave(mark: Mark, shape: list[int] | None, channels: int, side: int) -> str:
    """What to write into a declaration whose class gives another width or stride than it says, where that is a map."""
    if mark.block.like != ATTENTION or shape is None or len(shape) != 4 or shape[2] != shape[3]:
        return "correct"
    stride, times = side / shape[2], shape[1] / channels
    if math.log2(stride) % 1:
        return "correct"
    rule = f'"{times:g}*c"' if not times % 1 else f'"c/{1 / times:g}"' if not 1 / times % 1 else f"{shape[1]}"
    fields = [f"width = {rule}"] if times != 1 else []
    fields += [f"stride = {stride:g}"] if stride != 1 else []
    return f"write {' and '.join(fields)} into" if fields else "drop width and stride from"


def _what_else(mark: Mark) -> str:
    """What a class that fails takes beside the widths, and where to say it."""
    block = mark.block
    if block.like not in VERBATIM:
        return ""
    try:
        taken = list(inspect.signature(mark.cls).parameters.values())
    except (TypeError, ValueError):
        return ""
    from ..declarations.scan import forgotten_width  # here, for only an error needs it

    names = [one.name if one.default is one.empty else f"{one.name}={one.default!r}" for one in taken]
    file = block.target.rpartition(":")[0]
    folder = mark.row.blocks.declarations.path
    forgotten = forgotten_width(folder.parent / file, mark.cls.__name__) if folder and file.endswith(".py") else None
    if forgotten:
        return f"; {forgotten}"
    if len(names) <= block.channels_first:
        return ""
    finds = f", or let lska-surgeon blocks {file} --trust look for them" if file.endswith(".py") else ""
    listed = clean(", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else ""))
    return f"; it takes {listed}: give args in blocks.{block.name}{finds}"
