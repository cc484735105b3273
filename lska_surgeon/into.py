"""Finding a trained network inside a variant that somebody wrote: the index map of `graft --into`; it moves no tensor.

Rows are matched by what they are and by what they read, never by their number:

1. Base layers are taken in order; each looks for the first row behind the last match that fits.
2. A row fits when its tensors have the names and shapes of the layer's (a host row may have its operator's besides),
   and when it reads what stands for the layer's sources, through inserted rows or not.
3. A layer that no row fits is not aligned; its readers then have to read a row that is no layer's either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from . import host
from .blocks import BLOCK_OPS, read_attention
from .document import Document
from .errors import BuildError, CheckpointError, SurgeonError
from .graph import IMAGE, Graph, Layer
from .kernel import Kernel
from .positions import Site
from .stock import find_model
from .surgery import Edit, Rewrite
from .transplant import channels_in, graph_of

Shapes = dict[str, tuple[int, ...]]
#: What a checkpoint's architecture keeps whatever the variant's file says.
_OF_THE_CHECKPOINT = ("nc", "ch", "channels", "kpt_shape", "names", "reg_max", "end2end", "activation")


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
    best: Target | None = None
    problem: SurgeonError | None = None
    tensors = [_shapes(layer) for layer in layers]
    for letter in _letters(found.scale, base_yaml, document.settings):
        yaml = _yaml_at(graph, document.settings, base_yaml, letter)
        try:
            target = _align(base, tensors, graph_of(yaml, document.name), yaml)
        except SurgeonError as error:
            problem = problem or error
            continue
        if best is None or _aligned(target, tensors) > _aligned(best, tensors):
            best = target
        if not best.lost:
            break
    if best is None:
        raise problem or BuildError(f"{name} does not build")
    if _aligned(best, tensors) == 0:
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


def _align(base: Graph, tensors: Sequence[Shapes], variant: Graph, yaml: dict[str, Any]) -> Target:
    built = [_shapes(layer) for layer in _built(yaml)]
    match: dict[int, int] = {}
    taken: dict[int, int] = {}
    start = 0
    for layer in base:
        for row in variant.layers[start:]:
            if _holds(built[row.index], tensors[layer.index], layer, row) and _reads_alike(
                layer, row, match, taken, variant
            ):
                match[layer.index], taken[row.index] = row.index, layer.index
                start = row.index + 1
                break
    origin = tuple(taken.get(row.index) for row in variant)
    lost = tuple(layer.index for layer in base if layer.index not in match)
    return Target(yaml, Rewrite(base, variant, origin, _edits(base, variant, taken)), lost)


def _built(yaml: Mapping[str, Any]) -> nn.Sequential:
    tasks = host.import_offline()
    try:
        with host.quiet(), torch.device("meta"):
            layers, _ = tasks.parse_model(deepcopy(dict(yaml)), ch=channels_in(yaml), verbose=False)
    except SurgeonError:
        raise
    except KeyError as error:
        raise BuildError(
            f"the variant names {error.args[0]}, which ultralytics does not know: register its class"
        ) from error
    except Exception as error:
        raise BuildError(
            f"the variant does not build: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    assert isinstance(layers, nn.Sequential)
    return layers


def _holds(there: Shapes, here: Shapes, layer: Layer, row: Layer) -> bool:
    """Case 2, the tensors."""
    if layer.block == row.block or (here and there == here):
        return there == here
    attention = None if row.block in BLOCK_OPS else read_attention(row.block, row.args)
    if attention is None or attention.host != layer.block:
        return False
    return all(there.get(name) == shape for name, shape in here.items())


def _reads_alike(layer: Layer, row: Layer, match: Mapping[int, int], taken: Mapping[int, int], variant: Graph) -> bool:
    """Case 2, the sources."""
    if len(layer.taps) != len(row.taps):
        return False
    for wanted, source in zip(layer.sources, row.sources):
        while source != IMAGE and source not in taken and len(variant[source].taps) == 1:
            if wanted != IMAGE and wanted not in match:
                break  # case 3: the source is a row that replaces it
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


def _new_kernel(base: Graph, row: Layer, taken: Mapping[int, int]) -> Kernel | None:
    attention = read_attention(row.block, row.args)
    if attention is None or (row.index in taken and base[taken[row.index]].block == row.block):
        return None
    return attention.kernel


def _aligned(target: Target, tensors: Sequence[Shapes]) -> int:
    return sum(len(found) for index, found in enumerate(tensors) if index not in target.lost)


def _shapes(layer: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}
