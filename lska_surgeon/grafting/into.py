"""Finding a trained network inside any other: what goes where in `graft --into`; it changes no tensor of either.

Rows are matched by where they stand and by what they are, never by their number (`matching`). Then, row by row:

1. A layer moves as it is into a row that builds what the layer is: the same tensors by name and shape, in parts of the
   same class with the same settings (kernel sizes, strides, shortcuts); a host row may have its operator besides.
2. Of other layers, parts are carried where the row computes alike (`units`), and columns to where their sources now
   stand (`columns`). All of a layer in a row of another class has to give, for what the layer took, what it gave, bit
   for bit; or nothing is carried.
3. The output layer's branches go by the stride that they read.

What a layer is, its row says too: both networks are built, so that two releases' ways to build one row make no
difference. Where the installed release does not build the checkpoint's rows, its layers stand for themselves, as far as
the two releases give them the same settings; where it does not build the variant, a row fits that says the same.

A state dict alone, tensors by name, is put into the network that it belongs to: the variant without its operators.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.contents import Checkpoint
from ..core.alignment import is_width
from ..core.blocks import STOCK, BlockTable
from ..core.graph import IMAGE, Graph, Layer, built_scaling, graph_of, scaling_of, yaml_of
from ..core.operators import read_attention
from ..core.parts import Site
from ..core.shapes import channels_in, shapes_of
from ..core.surgery import Edit, Rewrite, remove
from ..errors import BuildError, CheckpointError, SurgeonError
from ..modelfile.document import Document
from ..modelfile.model import read_source, stem_at
from ..modelfile.remove import rows_of_operators
from ..modelfile.rewriting import edits_in, pinned_scale
from ..modelfile.sources import Source
from ..nn.first_run import evaluated, on_the_smallest
from ..wording import numbers, plural
from ..yolo.build import build, layers_of, refuse_code, refuse_sizes
from ..yolo.environment import quiet
from .columns import Moves, Sources, moves_of, readers, takes_columns
from .matching import Likeness, match, places_of, twins
from .plan import GraftPlan, model_in
from .recording import Call, called_on_a_large_map, gives, recorded, strides_of, tensors_in
from .starts import PastRow, expected, lead_past
from .transplant import Carry, moved_rows
from .units import Fit, Make, fit, fit_output, plain_class, same_levels, shares_forward

#: What a checkpoint's architecture keeps whatever the variant's file says.
_OF_THE_CHECKPOINT = ("nc", "ch", "channels", "kpt_shape", "names", "reg_max", "end2end", "activation",
                      "yaml_file", "lska_surgeon")  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A variant's rows at the scale that fits a network, and what of it goes into them.

    Attributes:
        yaml: the model dictionary of the grafted model.
        rewrite: base -> variant; rows that nothing of a base layer goes into have no origin.
        lost: base layers that no row is, by index; of some of them, parts are carried.
        carry: what goes into rows that are built anew.
        notes: what the user should know.
        past: the rows that lead past what is new.
        into: the variant's file, and what its records say was done in it.
    """

    yaml: dict[str, Any]
    rewrite: Rewrite
    lost: tuple[int, ...]
    carry: Carry
    notes: tuple[str, ...] = ()
    past: tuple[PastRow, ...] = ()
    into: Mapping[str, Any] | None = None


def plan_graft_into(
    checkpoint: Checkpoint, variant: str, blocks: BlockTable = STOCK, *, scale: str | None = None, past: bool = False
) -> GraftPlan:
    """Plan a graft into a variant that somebody wrote; a state dict alone will do, when its base is the variant
    without its operators.

    Args:
        checkpoint: what is grafted.
        variant: a path or a stock name.
        blocks: the table.
        scale: that of the variant; None takes the one that its name says, else the checkpoint's.
        past: put a bypass behind each new row in whose place another was read that is still there.

    Raises:
        SurgeonError: the variant can't be read or built, the checkpoint's network is not in it, or there is nothing to
            lead past.
    """
    refuse_sizes(variant, blocks, scale)
    if checkpoint.model is None:
        checkpoint = _with_model(checkpoint, variant, blocks)
    model = model_in(checkpoint, blocks)
    trained = checkpoint.float_model()
    known = (model.graph, checkpoint.yaml or {}, trained)
    target = find_target(variant, *known, scale=scale, trust=checkpoint.trusted, past=past)
    return GraftPlan(
        checkpoint, target.rewrite, target.yaml, target.lost, target.carry, target.notes, target.past, target.into
    )


def find_target(
    name: str,
    base: Graph,
    base_yaml: Mapping[str, Any],
    model: nn.Module,
    *,
    scale: str | None = None,
    trust: bool = False,
    past: bool = False,
) -> Target:
    """Align a network with a variant YAML.

    Args:
        name: the variant, a path or a stock name.
        base: the network's graph.
        base_yaml: the model dictionary that it was built from.
        model: the network itself, in float32, evaluating.
        scale: that of the variant; None takes the one that its name says, else the network's, else what fits best.
        trust: build what runs more than layers.
        past: put a bypass behind each new row in whose place another was read that is still there.

    Raises:
        SurgeonError: the variant can't be read or built, nothing of the network is in it, or nothing else is.
    """
    source, document = read_source(name, blocks=base.blocks)
    if not trust:
        refuse_code(_yaml_at(document, {}, None), document.name, document.blocks)
    yaml = _yaml_that_fits(document, base_yaml, scale or source.scale, model, trust)
    if "yaml_file" in yaml and not built_scaling(base_yaml).is_like(built_scaling(yaml)):
        yaml["yaml_file"] = f"{stem_at(source.name, yaml.get('scale'))}.yaml"  # by which Ultralytics calls it
    alignment = _Alignment(base, base_yaml, model, graph_of(yaml, document.name, base.blocks), yaml, trust)
    target = alignment.target()
    if not _has_tensors(model, target):
        raise CheckpointError(f"nothing of {base.name} fits into {name}: it is another network; give a variant of it")
    notes = tuple(_scale_notes(source, document, yaml, base))
    if not target.lost and not _is_changed(target):
        at = f", at scale {yaml['scale']} as {base.name} is," if notes else ""
        raise CheckpointError(
            f"{name}{at} has nothing that {base.name} has not: there is no operator to graft; give a variant that "
            f"lska-surgeon insert wrote, or put one in with lska-surgeon graft {base.name} --at neck"
        )
    notes = (*notes, *_untrained(target.rewrite), *target.notes)  # which speak of the file's rows
    into = {"file": source.name, "edits": edits_in(document.text)}
    return replace(alignment.led_past(target) if past else target, notes=notes, into=into)


def _untrained(rewrite: Rewrite) -> Iterator[str]:
    """What to say of new rows that Ultralytics would download weights for."""
    for row, origin in zip(rewrite.after, rewrite.origin):
        if origin is None and "fetches" in row.kind.traits:
            yield f"row {row.index} ({row.block}) starts untrained: Ultralytics downloads its weights, graft does not"


def _has_tensors(model: nn.Module, target: Target) -> bool:
    """Whether anything that was trained stands in the variant; what decodes boxes never is, and fits everything."""
    moved = moved_rows(target.rewrite, target.carry)
    return any(any(True for _ in model.model[index].parameters()) for index in moved) or any(
        ".dfl." not in name and not name.endswith(".num_batches_tracked") for name in target.carry.tensors
    )


def _is_changed(target: Target) -> bool:
    """True where the variant has a row, an operator, a class or a source of its own."""
    rewrite = target.rewrite
    if rewrite.inserted or rewrite.edits or target.carry.tensors:
        return True
    where = {**rewrite.index_map, IMAGE: IMAGE}
    pairs = [(row, rewrite.before[old]) for row, old in zip(rewrite.after, rewrite.origin) if old is not None]
    return any(
        row.block != layer.block or list(row.sources) != [where.get(source) for source in layer.sources]
        for row, layer in pairs
    )


def _scale_notes(source: Source, document: Document, yaml: Mapping[str, Any], base: Graph) -> Iterator[str]:
    """What to say where the product has another scale than the checkpoint, or than the file was written for."""
    taken, pinned = yaml.get("scale"), pinned_scale(document)
    if taken not in document.scales:
        return
    own = built_scaling(base.settings)
    here = f"{base.name} has scale {own.letter}" if own.letter else f"{base.name} has another scale"
    if not own.is_like(scaling_of(yaml, taken)):
        yield f"{source.name} is taken at scale {taken}, and {here}: what has the same shapes in both is carried"
    elif pinned not in (None, taken) and not source.scale:
        yield (
            f"{source.name} was written for scale {pinned}, which stands first in its scales, and {here}, so the graft "
            f"has scale {taken}; --scale {pinned} takes the file's"
        )


def _yaml_that_fits(
    document: Document, base_yaml: Mapping[str, Any], asked: str | None, model: nn.Module, trust: bool
) -> dict[str, Any]:
    """The variant at the scale that is asked for; else at the network's own, where the file has that; else at the one
    whose tensors are most like the network's.

    Raises:
        SurgeonError: the variant does not build at any.
    """
    own = built_scaling(base_yaml)
    if asked in document.scales:
        return _yaml_at(document, base_yaml, asked)
    yamls = [_yaml_at(document, base_yaml, scale) for scale in _scales(own.letter, document.settings)]
    for yaml in yamls:
        if len(yamls) == 1 or own.is_like(scaling_of(yaml, yaml.get("scale"))):
            return yaml
    here = Counter(tensor.shape for tensor in model.state_dict().values())
    found: list[tuple[float, dict[str, Any]]] = []
    problem: SurgeonError | None = None
    for yaml in yamls:
        try:
            layers = layers_of(yaml, document.name, trust=trust)
        except SurgeonError as error:
            problem = problem or error
            continue
        there = Counter(tensor.shape for tensor in layers.state_dict().values())
        found.append((_numbers_in(here & there) / (_numbers_in(here) + _numbers_in(there)), yaml))
    if not found:
        raise problem or BuildError(f"{document.name} does not build")
    return max(found, key=lambda pair: pair[0])[1]


def _numbers_in(shapes: Counter[torch.Size]) -> int:
    return sum(shape.numel() * count for shape, count in shapes.items())


def _scales(own: str | None, settings: Mapping[str, Any]) -> list[str | None]:
    """Scales to try: the checkpoint's, then every other of the file."""
    scales = settings.get("scales")
    if not isinstance(scales, Mapping):
        return [None]
    return [scale for scale in dict.fromkeys([own, *scales]) if scale in scales]


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


@dataclass
class _Row:
    """What goes into a row of the variant."""

    layer: int
    fit: Fit
    columns: dict[str, Moves] = field(default_factory=dict)


class _Alignment:
    """A network and a variant at one scale, both built and run.

    Raises:
        BuildError: the variant does not build, and is at another scale than the network.
    """

    def __init__(
        self,
        base: Graph,
        base_yaml: Mapping[str, Any],
        model: nn.Module,
        variant: Graph,
        yaml: dict[str, Any],
        trust: bool,
    ) -> None:
        self.base, self.variant, self.yaml, self.model, self.trust = base, variant, yaml, model, trust
        self.base_yaml = base_yaml
        self.makes = _makes_of(base, base_yaml, list(model.model), trust)
        self.built = _built(base, variant, yaml, trust, own_release=any(make.stored for make in self.makes))
        self.rows = None if self.built is None else [Make.of(layer) for layer in self.built.model]
        self.calls: tuple[dict[str, Call], dict[str, Call]] = ({}, {})
        self.strides = [_strides_by_rules(graph) for graph in (base, variant)]
        if self.built is not None:
            self._run(self.built)
        self.places = [places_of(graph, strides) for graph, strides in zip((base, variant), self.strides)]
        self.fits: dict[tuple[int, int], Fit] = {}

    def _run(self, built: nn.Module) -> None:
        """Run both networks on one image; where one of them does not run, the rules of the blocks have to do."""
        unit = max(32, *(int(max(torch.as_tensor(one.stride).max(), 1)) for one in (self.model, built)))
        channels = channels_in(self.yaml)

        def run(side: int) -> tuple[Tensor, list[dict[str, Call]]]:
            least = max(side // unit, 2) * unit
            image = torch.rand(1, channels, least, least + unit, generator=torch.Generator().manual_seed(0))
            found = []
            for model in (self.model, built):
                with recorded(model) as calls, evaluated(model):
                    model(image.clone())
                found.append(calls)
            return image, found

        try:
            with quiet(), torch.random.fork_rng(devices=[]):
                image, (here, there) = on_the_smallest(run)
        except Exception:  # of whatever kind; the certificate says that it does not run
            return
        self.calls = (here, there)
        self.strides = [strides_of(calls, image, len(g)) for calls, g in ((here, self.base), (there, self.variant))]

    def target(self) -> Target:
        """What goes where."""
        stands = match(self.places[0], self.places[1], self._likeness)
        notes = self._settle_twins(stands)
        rows = {row: _Row(layer, self._fit(layer, row)) for layer, row in stands.items()}
        for row in rows.values():
            row.fit = replace(row.fit, tensors=dict(row.fit.tensors))
        self._move_columns(stands, rows)
        self._prove(rows)
        taken = {index: row.layer for index, row in rows.items() if _carries(row.fit)}
        origin = tuple(taken.get(row.index) for row in self.variant)
        rewrite = Rewrite(self.base, self.variant, origin, _edits(self.base, self.variant, taken))
        kept = {row.layer for row in rows.values() if self._is_kept(row)}
        lost = tuple(layer.index for layer in self.base if layer.index not in kept)
        carry = replace(_carry(stands, rows, len(self.base) - 1), levels=same_levels(self._reads(0), self._reads(1)))
        return Target(self.yaml, rewrite, lost, carry, (*notes, *self._advice(rows)))

    def led_past(self, target: Target) -> Target:
        """The same, with a bypass behind each new row in whose place its readers read a map that is still there.

        Raises:
            CheckpointError: there is no such row.
        """
        stands = target.carry.stands
        wanted = expected(self.base, self.variant, stands, target.carry.levels)
        olds = {row: stands[layer] for row, layer in wanted.items() if self._is_in_reach(row, layer, target)}
        if not olds:
            raise CheckpointError(
                f"--start past: no new row of {self.variant.name} stands in the place of a map of its width and stride "
                "that is still there before it; use --start fit"
            )
        graph, where = lead_past(self.variant, olds)
        again = _Alignment(self.base, self.base_yaml, self.model, graph, yaml_of(graph, self.yaml), self.trust).target()
        past = tuple(PastRow(where[new] + 1, where[new], where[old], wanted[new]) for new, old in olds.items())
        return replace(again, past=past)

    def _is_in_reach(self, row: int, layer: int, target: Target) -> bool:
        """Whether what was read in a row's place is carried, stands before it, and has its width and stride."""
        old = target.carry.stands.get(layer)
        if old is None or old >= row or target.rewrite.origin[old] != layer or self.variant[row].map is not None:
            return False
        calls = [self.calls[1].get(str(index)) for index in (old, row)]
        maps = [call.output for call in calls if call is not None and isinstance(call.output, Tensor)]
        return len(maps) == 2 and maps[0].dim() == 4 and maps[0].shape == maps[1].shape

    def _advice(self, rows: Mapping[int, _Row]) -> list[str]:
        """What to declare so that more of the output layer fits: the width of its finest level sets those of all."""
        last = self.variant.output
        row = rows.get(last.index)
        if row is None or row.fit.whole or self.built is None or not all(self.calls):
            return []
        (width, _), (other, slot) = (self._finest(side) for side in (0, 1))
        source = self.variant[last.sources[slot]]
        if width == other or not source.args or not is_width(source.args[0]):
            return []
        declared = source.args[0] * width // other
        layers = [replace(one, args=(declared, *one.args[1:])) if one is source else one for one in self.variant]
        changed = replace(self.variant, layers=tuple(layers))
        try:
            built = layers_of(yaml_of(changed, self.yaml), changed.name, trust=self.trust)[last.index]
        except SurgeonError:
            return []
        reads, direct = (self._reads(0), self._reads(1)), (self._direct(0), self._direct(1))
        more = len(fit_output(self.model.model[row.layer], built, reads, direct).tensors) - len(row.fit.tensors)
        if more <= 0:
            return []
        return [
            f"declare row {source.index} ({source.block}) with {declared} in place of {source.args[0]}, and {more} "
            "more tensors of the output layer fit: the width of its finest level sets that of all its branches"
        ]

    def _finest(self, side: int) -> tuple[int, int]:
        """The width of the finest map that an output layer reads, and which of its sources that is."""
        reads = self._reads(side)
        slot = min(range(len(reads)), key=lambda n: reads[n] or 0.0)
        maps = list(tensors_in(self.calls[side][str(len(self.places[side]) - 1)].inputs))
        return int(maps[slot].shape[1]), slot

    def _is_kept(self, row: _Row) -> bool:
        """Whether all of a layer is in the row, and computes what it did."""
        if row.fit.branches or row.columns:
            return False
        return row.fit.whole or (bool(row.fit.tensors) and row.fit.why is None and self._is_full(row))

    def _is_full(self, row: _Row) -> bool:
        return len(row.fit.tensors) == len(self.makes[row.layer].shapes)

    def _fit(self, layer: int, row: int) -> Fit:
        if (layer, row) not in self.fits:
            self.fits[layer, row] = self._new_fit(layer, row)
        return self.fits[layer, row]

    def _new_fit(self, layer: int, row: int) -> Fit:
        one, other = self.base[layer], self.variant[row]
        if self.built is None or self.rows is None:
            return Fit(whole=_says_the_same(one, other))
        here, there = self.makes[layer], self.rows[row]
        is_output = one is self.base.output
        if _holds(there, here, one, other) and (not is_output or self._reads(0) == self._reads(1)):
            return Fit(whole=True)
        module, built = self.model.model[layer], self.built.model[row]
        if not is_output:
            return fit(module, built)
        return fit_output(module, built, (self._reads(0), self._reads(1)), (self._direct(0), self._direct(1)))

    def _reads(self, side: int) -> tuple[float | None, ...]:
        """The strides that an output layer reads."""
        return self.places[side][-1].reads

    def _direct(self, side: int) -> dict[str, tuple[float | None, ...]]:
        """The strides that each part of an output layer reads as they are."""
        last, reads = f"{len(self.places[side]) - 1}.", self._reads(side)
        found = {path[len(last) :]: call for path, call in self.calls[side].items() if path.startswith(last)}
        return {path: tuple(reads[n] for n in call.direct if n < len(reads)) for path, call in found.items()}

    def _likeness(self, layer: int, row: int) -> Likeness:
        one, other = self.base[layer], self.variant[row]
        found = self._fit(layer, row)
        if found.whole:
            return Likeness(1.0, True, True)
        if self.built is None:
            return Likeness(0.0, one.block == other.block, False)
        module, built = self.model.model[layer], self.built.model[row]
        sizes = {name: tensor.numel() for name, tensor in module.state_dict().items()}
        there = sum(tensor.numel() for tensor in built.state_dict().values())
        fits = 2 * sum(sizes[name] for name in found.tensors.values()) / max(sum(sizes.values()) + there, 1)
        same = plain_class(module) is plain_class(built)
        return Likeness(min(fits, 1.0), same, shares_forward(module, built))

    def _move_columns(self, stands: Mapping[int, int], rows: Mapping[int, _Row]) -> None:
        """Find the rows that read other sources, or in another order, and what of their columns goes where."""
        if self.built is None or not all(self.calls):
            return
        before = Sources(self.places[0], self.calls[0], {*stands})
        after = Sources(self.places[1], self.calls[1], {*stands.values()})
        where = {**stands, IMAGE: IMAGE}
        for index, row in rows.items():
            if self.places[1][index].role in ("output", "fuse") or not _carries(row.fit):
                continue
            moves = moves_of([(where.get(one, -2), width) for one, width in before.of(row.layer)], after.of(index))
            if moves is not None:
                self._columns_of(index, row, moves)

    def _columns_of(self, index: int, row: _Row, moves: Moves) -> None:
        assert self.built is not None
        layer, built = self.model.model[row.layer], self.built.model[index]
        here, there = dict(layer.named_modules()), dict(built.named_modules())
        mine, theirs = layer.state_dict(), built.state_dict()
        if row.fit.whole:  # it is built anew, so that its columns can move
            row.fit = Fit(tensors={name: name for name in mine if name in theirs})
        for path in readers(layer, self.calls[0][str(row.layer)]):
            if not takes_columns(here[path], there.get(path)):
                continue
            name = f"{path}.weight" if path else "weight"
            unit = f"{path.rpartition('.')[0]}." if "." in path else ""
            beside = [key for key in mine if key.startswith(unit) and key != name]
            if any(key not in theirs or theirs[key].shape != mine[key].shape for key in beside if unit):
                continue
            row.columns[name] = moves
            row.fit.why = row.fit.why or "its columns follow their sources"
            row.fit.tensors.update({key: key for key in (name, *(beside if unit else [f"{path}.bias"])) if key in mine})

    def _prove(self, rows: Mapping[int, _Row]) -> None:
        """Take back what was carried whole into a row that gives something else for what the layer took."""
        if self.built is None:
            return
        for index, row in rows.items():
            fitted, built = row.fit, self.built.model[index]
            if fitted.whole or fitted.branches or row.columns or not fitted.tensors:
                continue
            if not len(self.makes[row.layer].shapes) == len(built.state_dict()) == len(fitted.tensors):
                continue  # a part of it, which gives something else whatever it is
            layer, call = self.model.model[row.layer], self.calls[0].get(str(row.layer))
            if call is None and not fitted.proof:
                continue
            fill(built, layer, fitted.tensors)
            with evaluated(built):
                proven = call is not None and gives(built, call)
                if proven and fitted.proof and call is not None:  # on a map that no pooling covers
                    proven = gives(built, called_on_a_large_map(layer, call))
            if not proven:
                name, other = type(layer).__name__, type(built).__name__
                row.fit = Fit(why=f"{other} has the tensors of {name}, and computes otherwise")

    def _settle_twins(self, stands: dict[int, int]) -> tuple[str, ...]:
        """Let the first of each group of twins be taken, and say so."""
        if self.rows is None:
            return ()
        notes = []
        taken = {layer: row for layer, row in stands.items() if _carries(self._fit(layer, row))}
        for group in twins(self.places[1], taken.values(), partial(_built_alike, self.rows)):
            holders = sorted((one for one, row in taken.items() if row in group), key=self._order(0))
            for layer in [layer for layer, row in stands.items() if row in group]:
                del stands[layer]
            stands.update(zip(holders, group))
            notes.append(
                f"rows {numbers(group)} ({self.variant[group[0]].block}) are built alike, one behind the other: which "
                f"of them layer{plural(holders)} {numbers(holders)} became can't be told, and the first along the path "
                "get the weights"
            )
        taken = {layer: row for layer, row in stands.items() if _carries(self._fit(layer, row))}
        for group in twins(self.places[0], taken, partial(_built_alike, self.makes)):
            rows = sorted((row for layer, row in taken.items() if layer in group), key=self._order(1))
            for layer in group:
                stands.pop(layer, None)
            stands.update(zip(group, rows))
            notes.append(
                f"layers {numbers(group)} ({self.base[group[0]].block}) are built alike, one behind the other: which "
                f"of them row{plural(rows)} {numbers(rows)} kept can't be told, and the first along the path are taken"
            )
        return tuple(notes)

    def _order(self, side: int) -> Callable[[int], tuple[float, ...]]:
        return lambda index: self.places[side][index].order


def _carries(fitted: Fit) -> bool:
    return fitted.whole or bool(fitted.tensors)


def _built_alike(makes: Sequence[Make], one: int, other: int) -> bool:
    mine, theirs = makes[one], makes[other]
    return bool(mine.shapes) and mine.shapes == theirs.shapes and mine.same_parts(theirs)


def fill(row: nn.Module, layer: nn.Module, tensors: Mapping[str, str]) -> None:
    """Copy tensors of a layer into a row, by their names in both."""
    there, here = row.state_dict(), layer.state_dict()
    with torch.no_grad():
        for name, old in tensors.items():
            there[name].copy_(here[old])


def _carry(stands: Mapping[int, int], rows: Mapping[int, _Row], last: int) -> Carry:
    """All that goes into rows, under names of the whole network."""
    tensors: dict[str, str] = {}
    columns: dict[str, Moves] = {}
    branches: dict[str, str] = {}
    why = {}
    for index, row in rows.items():
        for name, old in row.fit.tensors.items():
            tensors[f"model.{index}.{name}"] = f"model.{row.layer}.{old}"
        columns.update({f"model.{index}.{name}": moves for name, moves in row.columns.items()})
        branches.update({f"{index}.{path}": f"{last}.{old}" for path, old in row.fit.branches.items()})
        if row.fit.why is not None:
            why[index] = row.fit.why
    return Carry(stands, tensors, columns, branches, why=why)


def _built(base: Graph, variant: Graph, yaml: Mapping[str, Any], trust: bool, own_release: bool) -> nn.Module | None:
    """The variant; None where neither it nor the base builds, and its rows have to be the base's, at the base's scale.

    Raises:
        BuildError: it does not build, and the base does, or is at another scale.
    """
    try:
        return build(dict(yaml), called=variant.name, trust=trust)
    except BuildError:
        scales = [built_scaling(graph.settings) for graph in (base, variant)]
        if not own_release or len({(scaling.depth, scaling.width, scaling.max_channels) for scaling in scales}) > 1:
            raise
        return None


def _strides_by_rules(graph: Graph) -> list[float | None]:
    scaling = built_scaling(graph.settings)
    return [shape.stride for shape in shapes_of(graph, scaling)]


def _holds(there: Make, here: Make, layer: Layer, row: Layer) -> bool:
    """Case 1."""
    if layer.block == row.block:
        return there.shapes == here.shapes and here.same_parts(there)
    attention = None if row.kind.is_operator else read_attention(row)
    if attention is not None and attention.host == layer.block:
        return here.same_parts(there) and here.shapes.items() <= there.shapes.items()
    return False


def _says_the_same(layer: Layer, row: Layer) -> bool:
    """Case 1 where nothing is built: the same row, or its host's."""
    attention = None if row.kind.is_operator else read_attention(row)
    block, args = row.block, row.args
    if attention is not None and attention.host == layer.block:
        block, args = attention.host, attention.host_args
    return (layer.block, layer.args, layer.repeats) == (block, args, row.repeats)


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
