"""Finding a trained network inside a variant that somebody wrote: the index map of `graft --into`; it moves no tensor.

Rows are matched by what they are and by what they read, never by their number:

1. Base layers are taken in order; each looks for the first row behind the last match that fits.
2. A row fits when it builds what the layer is: the same tensors by name and shape, in parts of the same class with the
   same settings (kernel sizes, strides, shortcuts); a host row may have its operator besides. A row of another class
   fits when the tensors do: it is built anew, and the certificate tells whether it computes the same.
3. It must also read what stands for the layer's sources, through inserted rows or not.
4. A layer that no row fits is not aligned; its consumers then have to read a row that is no layer's either.

What a layer is, its row says too: both networks are built, so that two releases' ways to build one row make no
difference. Where the installed release does not build the checkpoint's rows, its layers stand for themselves, as far as
the two releases give them the same settings; where it does not build the variant, a row fits that says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ..core.attention import read_attention
from ..core.graph import IMAGE, Graph, Layer, graph_of
from ..core.other_operators import AnyOperator
from ..core.positions import Site
from ..core.scaling import scaling_of
from ..core.surgery import Edit, Rewrite
from ..declarations.find import active_blocks
from ..errors import BuildError, CheckpointError, SurgeonError
from ..modelfile.document import Document
from ..modelfile.find import FoundModel, find_model, with_scale
from ..modelfile.scale_pin import pinned_scale
from ..nn import named_operators
from ..yolo.build import layers_of, refuse_code

#: Attributes of a built layer that belong to its place, not to what it computes.
_OF_THE_PLACE = ("i", "f", "np", "type", "training")
#: Settings that a whole model gives its layers when it is built, so that layers alone have others.
_OF_THE_MODEL = frozenset({"eps", "momentum", "inplace"})


@dataclass(frozen=True)
class Make:
    """What a built layer is.

    Attributes:
        shapes: of its tensors, by name.
        parts: part name -> its class, and its settings by name; parts of operators are left out.
        stored: true for a layer as some other release left it, whose settings may be fewer or more.
    """

    shapes: Mapping[str, tuple[int, ...]]
    parts: Mapping[str, tuple[type, Mapping[str, Any]]]
    stored: bool = False

    def same_parts(self, there: Make) -> bool:
        """True when a row that builds `there` has the same parts, with the same settings."""
        if not self.stored:
            return self.parts == there.parts
        if self.parts.keys() != there.parts.keys():
            return False
        pairs = [(part, there.parts[name]) for name, part in self.parts.items()]
        return all(
            mine is theirs and all(own[key] == others[key] for key in (own.keys() & others.keys()) - _OF_THE_MODEL)
            for (mine, own), (theirs, others) in pairs
        )

    @classmethod
    def of(cls, layer: nn.Module, stored: bool = False) -> Make:
        operators = tuple(name for name, _ in named_operators(layer))
        parts = {
            name: (_plain_class(part), {key: value for key, value in vars(part).items() if _is_setting(key, value)})
            for name, part in layer.named_modules()
            if not any(name == inside or name.startswith(f"{inside}.") for inside in operators if inside)
        }
        return cls({name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}, parts, stored)


def _plain_class(part: nn.Module) -> type:
    """The part's class; of a host, the class that it extends."""
    plain = getattr(type(part), "plain_block", None)
    return type(part) if plain is None else plain()


def _is_setting(name: str, value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_setting(name, item) for item in value)
    return not name.startswith("_") and name not in _OF_THE_PLACE and isinstance(value, (bool, int, float, str))


#: What a checkpoint's architecture keeps whatever the variant's file says.
_OF_THE_CHECKPOINT = ("nc", "ch", "channels", "kpt_shape", "names", "reg_max", "end2end", "activation")


@dataclass(frozen=True)
class Target:
    """A variant's rows at the scale that fits a checkpoint, and how they align with it.

    Attributes:
        yaml: the model dictionary of the grafted model.
        rewrite: base -> variant; rows that no base layer stands behind have no origin.
        lost: base layers that have no row, by index.
        notes: what the user should be told.
    """

    yaml: dict[str, Any]
    rewrite: Rewrite
    lost: tuple[int, ...]
    notes: tuple[str, ...] = ()


def find_target(name: str, base: Graph, base_yaml: Mapping[str, Any], layers: Sequence[nn.Module]) -> Target:
    """Align a checkpoint's network with a variant YAML, at the scale of it that fits best.

    Args:
        name: the variant, a path or a stock name.
        base: the checkpoint's graph.
        base_yaml: the model dictionary that it stores.
        layers: its built layers.

    Raises:
        SurgeonError: the variant can't be read or built, nothing of the network is in it, or nothing else is.
    """
    found = find_model(name)
    document = Document.read(found.path, blocks=active_blocks())
    graph = document.graph
    refuse_code(_yaml_at(graph, document.settings, {}, None), document.name)
    best: Target | None = None
    problem: SurgeonError | None = None
    makes = _makes_of(base, base_yaml, layers)
    for letter in _letters(found.scale, base_yaml, document.settings):
        yaml = _yaml_at(graph, document.settings, base_yaml, letter)
        try:
            target = _align(base, makes, graph_of(yaml, document.name, graph.blocks), yaml)
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
    if not best.lost and not _news(best.rewrite):
        raise CheckpointError(
            f"{name} has nothing that {base.name} has not: there is no operator to graft; give a variant that "
            f"lska-surgeon insert wrote, or put one in with lska-surgeon graft {base.name} --at neck"
        )
    return replace(best, notes=_scale_notes(found, document, best.yaml, base.name))


def _news(rewrite: Rewrite) -> bool:
    """True where the variant has a row, an operator or a class of its own."""
    pairs = [(row, rewrite.before[old]) for row, old in zip(rewrite.after, rewrite.origin) if old is not None]
    return bool(rewrite.inserted or rewrite.edits) or any(row.block != layer.block for row, layer in pairs)


def _scale_notes(found: FoundModel, document: Document, yaml: Mapping[str, Any], checkpoint: str) -> tuple[str, ...]:
    """What to say where the file asks, by its name or by what `insert` wrote in it, for another scale than the
    checkpoint has.
    """
    taken, pinned = yaml.get("scale"), pinned_scale(document)
    asks = found.scale or pinned
    if not asks or not isinstance(yaml.get("scales"), Mapping) or taken == asks:
        return ()
    so = f"and {checkpoint} has scale {taken}, so the graft has scale {taken}"
    if not found.scale:
        return (f"{found.asked} was written for scale {asks}, which stands first in its scales, {so}",)
    fitting = with_scale(found.asked, str(taken))
    return (
        f"{found.asked} asks by its name for scale {found.scale}, {so}"
        + (f": as {fitting} the file would build it" if fitting else ""),
    )


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


def _makes_of(base: Graph, yaml: Mapping[str, Any], layers: Sequence[nn.Module]) -> list[Make]:
    """What the base's layers are as this release builds them; as stored, where it does not."""
    try:
        built = layers_of(yaml, base.name)
    except SurgeonError:
        built = nn.Sequential()
    if len(built) != len(layers):
        return [Make.of(layer, stored=True) for layer in layers]
    return [Make.of(layer) for layer in built]


def _rows_of(base: Graph, variant: Graph, yaml: Mapping[str, Any]) -> list[Make] | None:
    """What the variant's rows build; None where they do not build, and have to be the base's own, at its own scale.

    Raises:
        BuildError: they do not build, and are at another scale.
    """
    try:
        return [Make.of(layer) for layer in layers_of(yaml, variant.name)]
    except BuildError:
        if _factors(base) != _factors(variant):
            raise
        return None


def _factors(graph: Graph) -> tuple[float, float, float]:
    scaling = scaling_of(graph.settings, graph.settings.get("scale") or None)
    return scaling.depth, scaling.width, scaling.max_channels


def _align(base: Graph, makes: Sequence[Make], variant: Graph, yaml: dict[str, Any]) -> Target:
    rows = _rows_of(base, variant, yaml)
    match: dict[int, int] = {}
    taken: dict[int, int] = {}
    start = 0
    for layer in base:
        for row in variant.layers[start:]:
            here = makes[layer.index]
            fits = _says_the_same(layer, row) if rows is None else _holds(rows[row.index], here, layer, row)
            if fits and _reads_alike(layer, row, match, taken, variant):
                match[layer.index], taken[row.index] = row.index, layer.index
                start = row.index + 1
                break
    origin = tuple(taken.get(row.index) for row in variant)
    lost = tuple(layer.index for layer in base if layer.index not in match)
    return Target(yaml, Rewrite(base, variant, origin, _edits(base, variant, taken)), lost)


def _holds(there: Make, here: Make, layer: Layer, row: Layer) -> bool:
    """Case 2."""
    if layer.block == row.block:
        return there.shapes == here.shapes and here.same_parts(there)
    attention = None if row.kind.is_operator else read_attention(row)
    if attention is not None and attention.host == layer.block:
        return here.same_parts(there) and here.shapes.items() <= there.shapes.items()
    return bool(here.shapes) and there.shapes == here.shapes


def _says_the_same(layer: Layer, row: Layer) -> bool:
    """Case 2 where nothing is built: the same row, or its host's."""
    attention = None if row.kind.is_operator else read_attention(row)
    block, args = row.block, row.args
    if attention is not None and attention.host == layer.block:
        block, args = attention.host, attention.host_args
    return (layer.block, layer.args, layer.repeats) == (block, args, row.repeats)


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
    attention = read_attention(row)
    if attention is None or (row.index in taken and base[taken[row.index]].block == row.block):
        return None
    return attention.kernel


def _aligned(target: Target, makes: Sequence[Make]) -> int:
    return sum(len(make.shapes) for index, make in enumerate(makes) if index not in target.lost)
