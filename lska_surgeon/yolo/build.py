"""Building a network with Ultralytics, from a YAML or its content, and what is refused before; it knows no positions.

Sizes are looked at before a build, for an absurd one keeps it busy for hours. Sources only behind a build that failed:
a block or a parser of the user's own may make sense of what our own reader does not.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..core.blocks import STOCK, BlockTable
from ..core.graph import NO_HEAD, AbsurdScaleError, Graph, Layer, Scaling, as_from, graph_of, scaling_of, yolov5_problem
from ..core.shapes import channels_in, numbers_in, settings_problems, shapes_of, size_problem, width_problem
from ..declarations.find import active_blocks
from ..errors import BuildError, EncodingError, EndlessError, GraphError, SurgeonError, UnsafeModelError, telling
from ..modelfile.document import Document, RowError
from ..modelfile.sources import Source, find_source
from .environment import import_offline, in_one_line, quiet

if TYPE_CHECKING:
    from torch import nn

#: Parameters of a network, at most: 4 GB in float32; the largest backbone of torchvision has two thirds of it.
MOST_PARAMETERS = 1_000_000_000
#: Of a row: its width times its repeats times its largest other argument.
_MUCH = 2**15


def build(
    source: str | Path | dict[str, Any],
    *,
    scale: str | None = None,
    named: str | None = None,
    called: str | None = None,
    verbose: bool = False,
    trust: bool = False,
) -> nn.Module:
    """Build a model from a YAML file or its content, as the task model that its output layer belongs to.

    Args:
        source: a path, a name that Ultralytics finds by itself ("yolov8s.yaml"), or a model dict (not changed).
        scale: scale; None takes the one of the file name, or of the dict.
        named: the scale of the name that the file was asked for by, where that is not its own; as for Ultralytics, it
            says nothing of a model without `scales`.
        called: what errors call it; None for the path.
        verbose: let Ultralytics log its table of layers.
        trust: build also what runs more than layers, for a file that is trusted.

    Returns:
        The model, randomly initialised (also where its YAML asks for downloaded weights), in training mode.

    Raises:
        BuildError: the file is missing, the scale does not exist, the YAML would run more than layers, or Ultralytics
            refuses; the message names the layer.
        GraphError: a row is too large to be built, or a source does not exist.
        KernelError: a row asks for an operator that does not exist.
    """
    name = called or ("the model" if isinstance(source, dict) else str(source))
    if "://" in name:
        raise BuildError(f"{name} is not a local file: download it first")
    blocks = active_blocks()
    if not isinstance(source, dict):
        refuse_sizes(source, blocks, scale or named)
    with _telling(name), nullcontext() if verbose else quiet():
        tasks = import_offline()
        try:
            content = deepcopy(source) if isinstance(source, dict) else tasks.yaml_model_load(source)
            if not content.get("head"):
                raise BuildError(f"{name} {NO_HEAD}")
            problem = yolov5_problem(str(content["head"][-1][2]), content["head"][-1][3])
            if problem:  # its rows build up to the output layer, whose error says nothing of what the file is
                raise BuildError(f"{name}: {problem}")
            _set_scale(content, scale, named)
            forbid_downloads(content)
            with open_parser(name, trust=trust):
                model: nn.Module = _task_model(tasks, content, blocks)(content, verbose=verbose)
        except Exception as error:
            if not isinstance(source, dict) and not isinstance(error, SurgeonError):
                _refuse_sources(source, blocks)
            raise
    return model


def _telling(name: str) -> AbstractContextManager[None]:
    return telling(BuildError, f"{name} does not build", in_one_line)


def task_of(yaml: Mapping[str, Any]) -> str:
    """The task of a model dictionary by its output layer, as Ultralytics names it: detect, segment, ..."""
    with quiet():
        return str(import_offline().guess_model_task(dict(yaml)))


def layers_of(yaml: Mapping[str, Any], name: str, device: str = "meta", *, trust: bool = False) -> nn.Sequential:
    """The layers alone that Ultralytics builds from a model dictionary, which is not changed.

    Args:
        yaml: the model dictionary.
        name: what to call it in an error.
        device: where the tensors live; on "meta" they are shapes without numbers, at no cost.
        trust: build also what runs more than layers, for a file that is trusted.

    Raises:
        BuildError: the dictionary would run more than layers, or Ultralytics refuses; the message names the layer.
        GraphError: a row is far too large to be built.
        KernelError: a row asks for an operator that does not exist.
    """
    content = deepcopy(dict(yaml))
    with _telling(name), quiet(), open_parser(name, trust=trust) as tasks, _on(device):
        forbid_downloads(content)
        layers: nn.Sequential = tasks.parse_model(content, ch=channels_in(yaml), verbose=False)[0]
    return layers


@contextmanager
def _on(device: str) -> Iterator[None]:
    """Make tensors on a device; ranges on the CPU: for one on "meta", torch would import its compiler, for a second."""
    torch = importlib.import_module("torch")

    class Ranges(importlib.import_module("torch.overrides").TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function is torch.arange:
                kwargs = {"device": "cpu", **(kwargs or {})}
            return function(*args, **(kwargs or {}))

    with torch.device(device), Ranges():
        yield


@contextmanager
def open_parser(name: str, *, trust: bool = False) -> Iterator[ModuleType]:
    """The one door to Ultralytics' parser: its `tasks`, which parses nothing that runs more than layers, or never ends.

    It holds for all that comes to the parser while the door is open, by whatever way: a YAML, what a checkpoint stores,
    what a trainer builds anew. Whoever opens it sees to it that nothing is downloaded, for a row may ask for weights.

    Args:
        name: what to call the model in the error.
        trust: parse whatever comes.

    Raises:
        UnsafeModelError: a model dictionary would run more than layers; see `refuse_code`.
        GraphError: a row of it is far too large to be built.
    """
    tasks = import_offline()
    from ..nn.parsing import SCREEN

    def screen(yaml: Mapping[str, Any], blocks: BlockTable) -> None:
        refuse_code(yaml, name, blocks)
        _refuse_sizes_in(yaml, name, blocks)
        _refuse_weight(yaml, name, blocks)

    activation = tasks.Conv.default_act
    before = SCREEN.set(None if trust else screen)
    try:
        yield tasks
    finally:
        tasks.Conv.default_act = activation  # Ultralytics sets a YAML's for every model that is built later
        SCREEN.reset(before)


def refuse_code(yaml: Mapping[str, Any], name: str, blocks: BlockTable = STOCK) -> None:
    """Refuse a model dictionary that would run more than layers when it is built; see `unsafe_architecture`.

    The parser's door does so by itself; this is for whoever keeps a dictionary without building it.

    Args:
        yaml: the model dictionary.
        name: what to call it in the error.
        blocks: the table that says which custom modules there are.

    Raises:
        UnsafeModelError: it would.
    """
    from .code_guard import unsafe_architecture

    unsafe = unsafe_architecture(yaml, blocks)
    if unsafe:
        raise UnsafeModelError(f"{name} would run more than layers: {', '.join(unsafe)}; nothing of it was run")


def refuse_sizes(name: str | Path, blocks: BlockTable, scale: str | None = None) -> None:
    """Refuse a model YAML with a row that is far too large to be built; it needs neither torch nor Ultralytics.

    Args:
        name: a path, or a stock name.
        blocks: the table that says what the rows' blocks are.
        scale: scale; None takes that of the name.

    Raises:
        EncodingError: the file is not UTF-8.
        EndlessError: the file contains itself, or its aliases stand for too much.
        GraphError: a row has too many repeats, or is too wide, or another number is absurd.
        RowError: a number is too large to be one.
    """
    bad_rows: list[RowError] = []
    try:
        source = find_source(name)
        document = _document(source, blocks, bad_rows)
    except (EncodingError, EndlessError):
        raise
    except SurgeonError:  # Ultralytics will say what is wrong with it
        return
    for error in bad_rows:
        if error.is_huge:
            raise error
    if document is not None:
        scale = scale or (source.scale if document.scales else None)
        _refuse_absurd(source.name, document.settings, scale, document.layers, lambda: document.graph)


def _refuse_sizes_in(yaml: Mapping[str, Any], name: str, blocks: BlockTable) -> None:
    """The same of a model dictionary, as far as its rows can be read: a checkpoint stores one that nobody has seen."""
    scale = yaml.get("scale")
    layers = _rows_in(yaml, blocks)
    _refuse_absurd(name, yaml, str(scale) if scale else None, layers, lambda: graph_of(yaml, name, blocks))


def _rows_in(yaml: Mapping[str, Any], blocks: BlockTable) -> list[Layer]:
    layers: list[Layer] = []
    rows = [(section, row) for section in ("backbone", "head") for row in yaml.get(section) or ()]
    for index, (section, row) in enumerate(rows):
        with suppress(TypeError, ValueError, OverflowError, IndexError):  # Ultralytics will say what is wrong with it
            frm = as_from(row[0]) or -1
            layers.append(Layer(index, section, frm, int(row[1]), str(row[2]), tuple(row[3]), blocks))
    return layers


def _refuse_weight(yaml: Mapping[str, Any], name: str, blocks: BlockTable) -> None:
    """Refuse a model dictionary that would take gigabytes; where numbers in it are large, it is counted without any.

    Raises:
        GraphError: it has too many parameters; the message names the row with the most.
    """
    torch = importlib.import_module("torch")
    rows = _rows_in(yaml, blocks)
    if torch.empty(0).device.type == "meta" or not any(map(_may_be_heavy, rows)):
        return
    try:
        layers = layers_of(yaml, name)
    except BuildError:  # which the build will tell
        return
    counts = [sum(one.numel() for one in layer.parameters()) for layer in layers]
    if sum(counts) > MOST_PARAMETERS:
        worst = counts.index(max(counts))
        row = f" ({rows[worst].block} {list(rows[worst].args)})" if worst < len(rows) else ""
        raise GraphError(
            f"{name}: row {worst}{row} would have {counts[worst]:,} parameters: a network may have "
            f"{MOST_PARAMETERS:,} in all; is one of its arguments a number of another kind?"
        )


def _may_be_heavy(row: Layer) -> bool:
    """Whether its width, times its repeats, times what an expansion may be, is far from what networks have."""
    width, *others = [abs(one) for one in numbers_in(row.plain_args)] or [0]
    return width * max(row.repeats, 1) * max([1, *others]) > _MUCH


def _refuse_absurd(
    name: str, settings: Mapping[str, Any], scale: str | None, layers: Sequence[Layer], graph: Callable[[], Graph]
) -> None:
    for _, problem in settings_problems(settings):
        raise GraphError(f"{name}: {problem}")
    try:
        scaling = scaling_of(settings, scale)
    except AbsurdScaleError as error:
        raise GraphError(f"{name}: {error}") from error
    except GraphError:
        return
    _refuse_rows(name, ((layer, _size_problem(layer, scaling)) for layer in layers))
    try:
        shapes = shapes_of(graph(), scaling)
    except (SurgeonError, TypeError, ValueError, OverflowError):
        return
    _refuse_rows(name, ((layer, width_problem(layer, shapes)) for layer in layers))


def _size_problem(layer: Layer, scaling: Scaling) -> str | None:
    try:
        return size_problem(layer, scaling) if layer.repeats > 0 else None
    except SurgeonError:  # a block that has the name of one of ours, or a row that the build will refuse
        return None


def _refuse_sources(name: str | Path, blocks: BlockTable) -> None:
    """Refuse a model YAML that can't be read, or with a source that does not exist."""
    try:
        source = find_source(name)
    except SurgeonError:  # Ultralytics said it
        return
    document = _document(source, blocks, bad_rows=[])
    if document is not None:
        _refuse_rows(source.name, ((layer, layer.problem()) for layer in document.layers))


def _document(source: Source, blocks: BlockTable, bad_rows: list[RowError]) -> Document | None:
    """The file, its rows however bad; None for stock models, which are sound, and reading one takes time."""
    return None if source.is_stock else Document.read(source.path, source.name, bad_rows, blocks=blocks)


def _refuse_rows(name: str, problems: Iterator[tuple[Layer, str | None]]) -> None:
    for layer, problem in problems:
        if problem:
            raise GraphError(f"{name}: row {layer.index} ({layer.block}) {problem}")


def _set_scale(content: dict[str, Any], scale: str | None, named: str | None) -> None:
    if scale or named:
        content["scale"] = scale or named
    scales, chosen = content.get("scales"), content.get("scale")
    if chosen and scales and chosen not in scales:
        raise BuildError(f"no scale {chosen!r}: the model has {', '.join(map(str, scales))}")
    if scale and not scales:
        raise BuildError(f"no scale {scale!r}: the model has no scales; build it without one")


def forbid_downloads(content: dict[str, Any]) -> None:
    """Let the rows of a model dictionary ask for no weights: TorchVision's, `[width, name, weights, ...]`, do."""
    for row in (*content["backbone"], *content["head"]):
        if "fetches" in STOCK[str(row[2])].traits:
            row[3] = [*row[3][:2], None, *row[3][3:]]


def _task_model(tasks: ModuleType, content: dict[str, Any], blocks: BlockTable) -> Any:
    output_layer = getattr(tasks, blocks[content["head"][-1][2]].plain, None)
    ancestors = getattr(output_layer, "__mro__", ())
    models = filter(None, (STOCK[cls.__name__].model for cls in ancestors))
    return getattr(tasks, next(models, "DetectionModel"))
