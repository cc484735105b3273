"""Planning a graft: which operators go where in a checkpoint's own network, or in a variant's; no tensor is touched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.checkpoint import Checkpoint
from ..core.attention import read_attention
from ..core.graph import IMAGE, Graph, Layer, graph_of, scaling_of, yaml_of
from ..core.operators import OP_BLOCKS, AnyOperator
from ..core.positions import Site
from ..core.surgery import Edit, Placement, Rewrite, edits_for, insert, remove
from ..declarations.find import active_blocks
from ..errors import BuildError, CheckpointError, SurgeonError
from ..modelfile.document import Document
from ..modelfile.model import stored_model
from ..modelfile.remove import rows_of_operators
from ..modelfile.rewriting import pinned_scale
from ..modelfile.sources import Source, find_source, with_scale
from ..nn import named_operators
from ..reports import Table
from ..wording import number_in, numbers
from ..yolo.build import build, layers_of, refuse_code, refuse_sizes


@dataclass(frozen=True)
class GraftPlan:
    """What a graft will do.

    Attributes:
        checkpoint: the original.
        rewrite: old rows -> new rows.
        yaml: the model dictionary to be.
        lost: base layers that the target has no row for, by index.
        notes: what the user should be told.
    """

    checkpoint: Checkpoint
    rewrite: Rewrite
    yaml: dict[str, Any]
    lost: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def table(self) -> Table:
        """The rows that come, and those that are changed in place."""
        before, after, origin, edits = self.rewrite.before, self.rewrite.after, self.rewrite.origin, self.rewrite.edits
        cells = []
        for row in after:
            old, edit = origin[row.index], edits.get(row.index)
            if old is None or edit is not None:
                where = f"in layer {old} ({before[old].block})" if old is not None else "new row"
                reads, consumers = numbers(row.sources), numbers(after.consumers(row.index))
                asked = edit.site.asked if edit and edit.site.asked != "--into" else "as in the variant"
                cells.append((asked, str(row.index), row.block, where, reads, consumers))
        return Table(("position", "row", "block", "where", "reads", "read by"), cells)


def plan_graft(checkpoint: Checkpoint, placement: Placement) -> GraftPlan:
    """Plan operators at positions of a checkpoint's own architecture; no tensor is touched.

    Raises:
        SurgeonError: the checkpoint holds no model, a position matches nothing, a kernel does not exist, ...
    """
    placement = replace(placement, gated=placement.op not in OP_BLOCKS)  # the plain one has no identity
    stored_graph(checkpoint)
    model = stored_model(checkpoint.yaml or {}, checkpoint.path, active_blocks())
    rewrite = insert(model.graph, edits_for(placement, model.graph, model.shapes))
    return GraftPlan(checkpoint, rewrite, yaml_of(rewrite.after, checkpoint.yaml or {}))


def plan_graft_into(checkpoint: Checkpoint, variant: str) -> GraftPlan:
    """Plan a graft into a variant that somebody wrote; a state dict alone will do, when its base is the variant
    without its operators.

    Raises:
        SurgeonError: the variant can't be read or built, or the checkpoint's network is not in it.
    """
    refuse_sizes(variant, active_blocks())
    if checkpoint.model is None:
        checkpoint = with_model(checkpoint, variant)
    graph = stored_graph(checkpoint)
    assert checkpoint.model is not None
    target = find_target(variant, graph, checkpoint.yaml or {}, list(checkpoint.model.model))
    return GraftPlan(checkpoint, target.rewrite, target.yaml, target.lost, target.notes)


def stored_graph(checkpoint: Checkpoint) -> Graph:
    """The graph of the architecture stored in a checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    model, yaml = checkpoint.needed_model(), checkpoint.yaml
    if not isinstance(yaml, dict) or not isinstance(getattr(model, "model", None), nn.Sequential):
        kind = type(model).__name__
        raise CheckpointError(f"{checkpoint.path} holds a {kind}, which is not built from an Ultralytics YAML")
    return graph_of(yaml, checkpoint.path.name, active_blocks())


def layer_of(name: str) -> int:
    """The layer that a name of a tensor or a module belongs to, 13 of `model.13.m.0`; -1 for none."""
    root, _, rest = name.partition(".")
    index = number_in(rest.partition(".")[0]) if root == "model" else None
    return -1 if index is None else index


def with_model(checkpoint: Checkpoint, variant: str) -> Checkpoint:
    """A state dict as a checkpoint: its model is the variant without operators, with these tensors.

    Raises:
        CheckpointError: the tensors are not those of that network.
    """
    source = find_source(variant)
    document = Document.read(source.path, blocks=active_blocks())
    graph = document.graph
    rows = rows_of_operators(document)
    base = remove(graph, rows).after if rows or any(layer.kind.is_attention for layer in graph) else graph
    yaml = yaml_of(base, dict(document.settings))
    tensors = _as_in_a_model(checkpoint.state_dict)
    problems = []
    for letter in [source.scale, *document.scales] if document.scales else [None]:
        classes = _classes_in(tensors)
        model = build({**yaml, **({"nc": classes} if classes else {}), **({"scale": letter} if letter else {})})
        wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
        wrong = [name for name in wanted.keys() | tensors.keys() if wanted.get(name) != _shape(tensors.get(name))]
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


def _as_in_a_model(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """`YOLO("x.pt").state_dict()` puts one more `model.` before the names of the model inside."""
    wrapped = all(name.startswith("model.model.") for name in tensors)
    return {name[len("model.") :]: tensor for name, tensor in tensors.items()} if wrapped else tensors


def _classes_in(tensors: Mapping[str, Tensor]) -> int | None:
    """The number of classes, from the class branch of a detection head or the last layer of a classifier."""
    found = [tensor for name, tensor in tensors.items() if re.search(r"\.cv3\.0\.2\.bias$|\.linear\.bias$", name)]
    return int(found[0].shape[0]) if found else None


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape


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
    source = find_source(name)
    document = Document.read(source.path, blocks=active_blocks())
    graph = document.graph
    refuse_code(_yaml_at(graph, document.settings, {}, None), document.name, document.blocks)
    best: Target | None = None
    problem: SurgeonError | None = None
    makes = _makes_of(base, base_yaml, layers)
    for letter in _letters(source.scale, base_yaml, document.settings):
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
    return replace(best, notes=_scale_notes(source, document, best.yaml, base.name))


def _news(rewrite: Rewrite) -> bool:
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
    return (
        f"{source.name} asks by its name for scale {source.scale}, {so}"
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
    if len(layer.raw_sources) != len(row.raw_sources):
        return False
    for wanted, source in zip(layer.sources, row.sources):
        while source != IMAGE and source not in taken and len(variant[source].raw_sources) == 1:
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
