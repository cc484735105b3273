"""Finding a trained network inside a variant that somebody wrote: the index map of `graft --into`; it moves no tensor.

Rows are matched by what they are and by what they read, never by their number:

1. Base layers are taken in order; each looks for the first row behind the last match that fits.
2. A row fits when it builds what the layer is: the same tensors by name and shape, in parts of the same class with the
   same settings (kernel sizes, strides, shortcuts); a host row may have its operator besides. A row of another class
   fits when the tensors do: it is built anew, and the certificate tells whether it computes the same.
3. It must also read what stands for the layer's sources, through inserted rows or not.
4. A layer that no row fits is not aligned; its readers then have to read a row that is no layer's either.

What a layer is, its row says too: both networks are built, so that two releases' ways to build one row make no
difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..architecture.attention import OPERATOR_ROWS, read_attention
from ..architecture.graph import IMAGE, Graph, Layer, graph_of
from ..architecture.other_operators import AnyOperator
from ..architecture.positions import Site
from ..architecture.surgery import Edit, Rewrite
from ..errors import BuildError, CheckpointError, SurgeonError
from ..model_yaml.document import Document
from ..model_yaml.find import find_model
from ..nn import named_operators
from ..yolo.build import layers_of, refuse_code

#: What a checkpoint's architecture keeps whatever the variant's file says.
_OF_THE_CHECKPOINT = ("nc", "ch", "channels", "kpt_shape", "names", "reg_max", "end2end", "activation")


#: Attributes of a built layer that belong to its place, not to what it computes.
_OF_THE_PLACE = ("i", "f", "np", "type", "training")


@dataclass(frozen=True)
class _Make:
    """What a built layer is.

    Attributes:
        shapes: of its tensors, by name.
        parts: part name -> its class, and its settings by name; parts of operators are left out.
    """

    shapes: Mapping[str, tuple[int, ...]]
    parts: Mapping[str, tuple[type, Mapping[str, Any]]]

    @classmethod
    def of(cls, layer: nn.Module) -> _Make:
        operators = tuple(name for name, _ in named_operators(layer))
        parts = {
            name: (_plain_class(part), {key: value for key, value in vars(part).items() if _is_setting(key, value)})
            for name, part in layer.named_modules()
            if not any(name == inside or name.startswith(f"{inside}.") for inside in operators if inside)
        }
        return cls({name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}, parts)


def _plain_class(part: nn.Module) -> type:
    """The part's class; of a host, the class that it extends."""
    plain = getattr(type(part), "plain_block", None)
    return type(part) if plain is None else plain()


def _is_setting(name: str, value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_setting(name, item) for item in value)
    return not name.startswith("_") and name not in _OF_THE_PLACE and isinstance(value, (bool, int, float, str))


@dataclass(frozen=True)
class Target:
    """A variant's rows at the scale that fits a checkpoint, and how they align with it.

    Attributes:
        yaml: the model dictionary of the grafted model.
        rewrite: base -> variant; rows that no base layer stands behind have no origin.
        lost: base layers that have no row, by index.
    """

    yaml: dict[str, Any]
    rewrite: Rewrite
    lost: tuple[int, ...]


def find_target(name: str, base: Graph, base_yaml: Mapping[str, Any], layers: Sequence[nn.Module]) -> Target:
    """Align a checkpoint's network with a variant YAML, at the scale of it that fits best.

    Args:
        name: the variant, a path or a stock name.
        base: the checkpoint's graph.
        base_yaml: the model dictionary that it stores.
        layers: its built layers.

    Raises:
        SurgeonError: the variant can't be read or built, or nothing of the network is in it.
    """
    found = find_model(name)
    document = Document.read(found.path)
    graph = document.graph
    refuse_code(_yaml_at(graph, document.settings, {}, None), document.name)
    best: Target | None = None
    problem: SurgeonError | None = None
    makes = [_Make.of(layer) for layer in _as_its_rows_say(base, base_yaml, layers)]
    for letter in _letters(found.scale, base_yaml, document.settings):
        yaml = _yaml_at(graph, document.settings, base_yaml, letter)
        try:
            target = _align(base, makes, graph_of(yaml, document.name), yaml)
        except SurgeonError as error:
            problem = problem or error
            continue
        if best is None or _aligned(target, makes) > _aligned(best, makes):
            best = target
        if not best.lost:
            break
    if best is None:
        raise problem or BuildError(f"{name} does not build")
    if _aligned(best, makes) == 0:
        raise CheckpointError(f"nothing of {base.name} fits into {name}: it is another network; give a variant of it")
    return best


def _letters(named: str | None, base_yaml: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str | None]:
    """Scales to try: the checkpoint's, the file name's, then every other of the file."""
    scales = settings.get("scales")
    if not isinstance(scales, Mapping):
        return [None]
    wanted = [base_yaml.get("scale"), named, *scales]
    return [letter for letter in dict.fromkeys(wanted) if letter in scales]


def _yaml_at(
    graph: Graph, settings: Mapping[str, Any], base_yaml: Mapping[str, Any], letter: str | None
) -> dict[str, Any]:
    yaml = {**settings, **{key: base_yaml[key] for key in _OF_THE_CHECKPOINT if key in base_yaml}}
    for section in ("backbone", "head"):
        yaml[section] = [
            [list(x.frm) if isinstance(x.frm, tuple) else x.frm, x.repeats, x.block, deepcopy(list(x.args))]
            for x in graph
            if x.section == section
        ]
    if letter is not None:
        yaml["scale"] = letter
    for key in ("yaml_file", "lska_surgeon"):
        if key in base_yaml:
            yaml[key] = base_yaml[key]
    return yaml


def _as_its_rows_say(base: Graph, yaml: Mapping[str, Any], layers: Sequence[nn.Module]) -> Sequence[nn.Module]:
    """The base's layers as this release builds them; as stored, where it does not."""
    try:
        built = layers_of(yaml, base.name)
    except SurgeonError:
        return layers
    return built if len(built) == len(layers) else layers


def _align(base: Graph, makes: Sequence[_Make], variant: Graph, yaml: dict[str, Any]) -> Target:
    built = [_Make.of(layer) for layer in layers_of(yaml, variant.name)]
    match: dict[int, int] = {}
    taken: dict[int, int] = {}
    start = 0
    for layer in base:
        for row in variant.layers[start:]:
            if _holds(built[row.index], makes[layer.index], layer, row) and _reads_alike(
                layer, row, match, taken, variant
            ):
                match[layer.index], taken[row.index] = row.index, layer.index
                start = row.index + 1
                break
    origin = tuple(taken.get(row.index) for row in variant)
    lost = tuple(layer.index for layer in base if layer.index not in match)
    return Target(yaml, Rewrite(base, variant, origin, _edits(base, variant, taken)), lost)


def _holds(there: _Make, here: _Make, layer: Layer, row: Layer) -> bool:
    """Case 2."""
    if layer.block == row.block:
        return there == here
    attention = None if row.block in OPERATOR_ROWS else read_attention(row.block, row.args)
    if attention is not None and attention.host == layer.block:
        return there.parts == here.parts and here.shapes.items() <= there.shapes.items()
    return bool(here.shapes) and there.shapes == here.shapes


def _reads_alike(layer: Layer, row: Layer, match: Mapping[int, int], taken: Mapping[int, int], variant: Graph) -> bool:
    """Case 3."""
    if len(layer.taps) != len(row.taps):
        return False
    for wanted, source in zip(layer.sources, row.sources):
        while source != IMAGE and source not in taken and len(variant[source].taps) == 1:
            if wanted != IMAGE and wanted not in match:
                break  # case 4: the source is a row that replaces it
            source = variant[source].sources[0]
        stands = IMAGE if wanted == IMAGE else match.get(wanted)
        if stands is None and source in taken:
            return False
        if stands is not None and source != stands:
            return False
    return True


def _edits(base: Graph, variant: Graph, taken: Mapping[int, int]) -> dict[int, Edit]:
    """The operators of ours in the variant that the base has not."""
    edits = {}
    for row in variant:
        kernel = _new_kernel(base, row, taken)
        if kernel is not None:
            source = taken.get(row.index, -1)
            edits[row.index] = Edit(Site("--into", "into", source, inside=row.index in taken), kernel)
    return edits


def _new_kernel(base: Graph, row: Layer, taken: Mapping[int, int]) -> AnyOperator | None:
    attention = read_attention(row.block, row.args)
    if attention is None or (row.index in taken and base[taken[row.index]].block == row.block):
        return None
    return attention.kernel


def _aligned(target: Target, makes: Sequence[_Make]) -> int:
    return sum(len(make.shapes) for index, make in enumerate(makes) if index not in target.lost)
