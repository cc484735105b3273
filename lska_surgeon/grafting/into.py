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

A state dict alone, tensors by name, is put into the network that it belongs to: the variant without its operators.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ..checkpoints.contents import Checkpoint
from ..core.attention import read_attention
from ..core.blocks import STOCK, BlockTable
from ..core.graph import IMAGE, Graph, Layer, graph_of, scaling_of, yaml_of
from ..core.parts import Site
from ..core.surgery import Edit, Rewrite, remove
from ..errors import BuildError, CheckpointError, SurgeonError
from ..modelfile.document import Document
from ..modelfile.model import read_source
from ..modelfile.remove import rows_of_operators
from ..modelfile.rewriting import pinned_scale
from ..modelfile.sources import Source, with_scale
from ..nn import named_operators
from ..yolo.build import build, layers_of, refuse_code, refuse_sizes
from .plan import GraftPlan, model_in

#: Attributes of a built layer that belong to its place, not to what it computes.
_OF_THE_PLACE = ("i", "f", "np", "type", "training")
#: Settings that a whole model gives its layers when it is built, so that layers alone have others.
_OF_THE_MODEL = frozenset({"eps", "momentum", "inplace"})
#: What a checkpoint's architecture keeps whatever the variant's file says.
_OF_THE_CHECKPOINT = ("nc", "ch", "channels", "kpt_shape", "names", "reg_max", "end2end", "activation",
                      "yaml_file", "lska_surgeon")  # fmt: skip


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


@dataclass(frozen=True)
class Target:
    """A variant's rows at the scale that fits a network, and how they align with it.

    Attributes:
        yaml: the model dictionary of the grafted model.
        rewrite: base -> variant; rows that no base layer stands behind have no origin.
        lost: base layers that have no row, by index.
        notes: what the user should know.
    """

    yaml: dict[str, Any]
    rewrite: Rewrite
    lost: tuple[int, ...]
    notes: tuple[str, ...] = ()


def plan_graft_into(checkpoint: Checkpoint, variant: str, blocks: BlockTable = STOCK) -> GraftPlan:
    """Plan a graft into a variant that somebody wrote; a state dict alone will do, when its base is the variant
    without its operators.

    Raises:
        SurgeonError: the variant can't be read or built, or the checkpoint's network is not in it.
    """
    refuse_sizes(variant, blocks)
    if checkpoint.model is None:
        checkpoint = _with_model(checkpoint, variant, blocks)
    model = model_in(checkpoint, blocks)
    layers = list(checkpoint.needed_model().model)
    target = find_target(variant, model.graph, checkpoint.yaml or {}, layers, trust=checkpoint.trusted)
    return GraftPlan(checkpoint, target.rewrite, target.yaml, target.lost, target.notes)


def find_target(
    name: str, base: Graph, base_yaml: Mapping[str, Any], layers: Sequence[nn.Module], *, trust: bool = False
) -> Target:
    """Align a network with a variant YAML, at the scale of it that fits best.

    Args:
        name: the variant, a path or a stock name.
        base: the network's graph.
        base_yaml: the model dictionary that it was built from.
        layers: its built layers.
        trust: build what runs more than layers.

    Raises:
        SurgeonError: the variant can't be read or built, nothing of the network is in it, or nothing else is.
    """
    source, document = read_source(name, blocks=base.blocks)
    if not trust:
        refuse_code(_yaml_at(document, {}, None), document.name, document.blocks)
    makes = _makes_of(base, base_yaml, layers, trust)
    targets: list[Target] = []
    problem: SurgeonError | None = None
    for scale in _scales(source.scale, base_yaml, document.settings):
        yaml = _yaml_at(document, base_yaml, scale)
        try:
            variant = graph_of(yaml, document.name, base.blocks)
            targets.append(_align(base, makes, variant, yaml, _rows_of(base, variant, yaml, trust)))
        except SurgeonError as error:
            problem = problem or error
            continue
        if not targets[-1].lost:
            break
    if not targets:
        raise problem or BuildError(f"{name} does not build")

    def aligned(target: Target) -> int:
        return sum(len(make.shapes) for index, make in enumerate(makes) if index not in target.lost)

    best = max(targets, key=aligned)
    if aligned(best) == 0:
        raise CheckpointError(f"nothing of {base.name} fits into {name}: it is another network; give a variant of it")
    if not best.lost and not _is_changed(best.rewrite):
        raise CheckpointError(
            f"{name} has nothing that {base.name} has not: there is no operator to graft; give a variant that "
            f"lska-surgeon insert wrote, or put one in with lska-surgeon graft {base.name} --at neck"
        )
    return replace(best, notes=_scale_notes(source, document, best.yaml, base.name))


def _is_changed(rewrite: Rewrite) -> bool:
    """True where the variant has a row, an operator or a class of its own."""
    pairs = [(row, rewrite.before[old]) for row, old in zip(rewrite.after, rewrite.origin) if old is not None]
    return bool(rewrite.inserted or rewrite.edits) or any(row.block != layer.block for row, layer in pairs)


def _scale_notes(source: Source, document: Document, yaml: Mapping[str, Any], checkpoint: str) -> tuple[str, ...]:
    """What to say where the file asks, by its name or by what `insert` wrote in it, for another scale than the
    checkpoint has.
    """
    taken, pinned = yaml.get("scale"), pinned_scale(document)
    asks = source.scale or pinned
    if not asks or not isinstance(yaml.get("scales"), Mapping) or taken == asks:
        return ()
    so = f"and {checkpoint} has scale {taken}, so the graft has scale {taken}"
    if not source.scale:
        return (f"{source.name} was written for scale {asks}, which stands first in its scales, {so}",)
    fitting = with_scale(source.name, str(taken))
    advice = f": as {fitting} the file would build it" if fitting else ""
    return (f"{source.name} asks by its name for scale {source.scale}, {so}{advice}",)


def _scales(named: str | None, base_yaml: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str | None]:
    """Scales to try: the checkpoint's, the file name's, then every other of the file."""
    scales = settings.get("scales")
    if not isinstance(scales, Mapping):
        return [None]
    return [scale for scale in dict.fromkeys([base_yaml.get("scale"), named, *scales]) if scale in scales]


def _yaml_at(document: Document, base_yaml: Mapping[str, Any], scale: str | None) -> dict[str, Any]:
    kept = {key: base_yaml[key] for key in _OF_THE_CHECKPOINT if key in base_yaml}
    return {**yaml_of(document.graph, {**document.settings, **kept}), **({"scale": scale} if scale else {})}


def _makes_of(base: Graph, yaml: Mapping[str, Any], layers: Sequence[nn.Module], trust: bool) -> list[Make]:
    """What the base's layers are as this release builds them; as stored, where it does not."""
    try:
        built = layers_of(yaml, base.name, trust=trust)
    except SurgeonError:
        built = nn.Sequential()
    if len(built) != len(layers):
        return [Make.of(layer, stored=True) for layer in layers]
    return [Make.of(layer) for layer in built]


def _rows_of(base: Graph, variant: Graph, yaml: Mapping[str, Any], trust: bool) -> list[Make] | None:
    """What the variant's rows build; None where they do not build, and have to be the base's own, at its own scale.

    Raises:
        BuildError: they do not build, and are at another scale.
    """
    try:
        return [Make.of(layer) for layer in layers_of(yaml, variant.name, trust=trust)]
    except BuildError:
        scales = [scaling_of(graph.settings, graph.settings.get("scale") or None) for graph in (base, variant)]
        if len({(scaling.depth, scaling.width, scaling.max_channels) for scaling in scales}) > 1:
            raise
        return None


def _align(
    base: Graph, makes: Sequence[Make], variant: Graph, yaml: dict[str, Any], rows: Sequence[Make] | None
) -> Target:
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
    if len(layer.raw_sources) != len(row.raw_sources):
        return False
    for wanted, source in zip(layer.sources, row.sources):
        while source != IMAGE and source not in taken and len(variant[source].raw_sources) == 1:
            if wanted != IMAGE and wanted not in match:
                break  # case 4: the source is a row that replaces it
            source = variant[source].sources[0]
        stands = IMAGE if wanted == IMAGE else match.get(wanted)
        if source in taken if stands is None else source != stands:
            return False
    return True


def _edits(base: Graph, variant: Graph, taken: Mapping[int, int]) -> dict[int, Edit]:
    """The operators of ours in the variant that the base has not."""
    edits = {}
    for row in variant:
        attention, source = read_attention(row), taken.get(row.index)
        if attention is not None and (source is None or base[source].block != row.block):
            site = Site("--into", "into", -1 if source is None else source, inside=source is not None)
            edits[row.index] = Edit(site, attention.kernel)
    return edits


def _with_model(checkpoint: Checkpoint, variant: str, blocks: BlockTable) -> Checkpoint:
    """A state dict as a checkpoint: its model is the variant without operators, with these tensors.

    Raises:
        CheckpointError: the tensors are not those of that network.
    """
    source, document = read_source(variant, blocks=blocks)
    graph, rows = document.graph, rows_of_operators(document)
    base = remove(graph, rows).after if rows or any(layer.kind.is_attention for layer in graph) else graph
    tensors: Mapping[str, Tensor] = checkpoint.state_dict
    if all(name.startswith("model.model.") for name in tensors):  # as `YOLO("x.pt").state_dict()` names them
        tensors = {name[len("model.") :]: tensor for name, tensor in tensors.items()}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    # The class branch of a detection head, or the last layer of a classifier.
    classes = [shapes[name][0] for name in tensors if re.search(r"\.cv3\.0\.2\.bias$|\.linear\.bias$", name)]
    problems = []
    for scale in [source.scale, *document.scales] if document.scales else [None]:
        changed = {**({"nc": classes[0]} if classes else {}), **({"scale": scale} if scale else {})}
        model = build({**yaml_of(base, document.settings), **changed})
        wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
        wrong = [name for name in wanted.keys() | shapes.keys() if wanted.get(name) != shapes.get(name)]
        if not wrong:
            model.load_state_dict(dict(tensors))
            model.to(next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()))
            data = {"model": model.eval(), "ema": None, "train_args": {}}
            return replace(checkpoint, kind="checkpoint", data=data, key="model")
        problems.append((len(wrong), min(wrong)))
    count, first = min(problems)
    raise CheckpointError(
        f"the tensors in {checkpoint.path} are not those of {variant} without its operators: {count} differ, {first} "
        "among them; give the variant of the network that they belong to"
    )
