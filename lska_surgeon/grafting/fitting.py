"""New rows taught to give what the layers in their place gave, on images without labels; it reads no file.

Row by row along the path: what a row sees in the product, the rows before it fitted already, goes in, and what its
layer gave in the original has to come out. Rows that no layer stands behind are learned with the row that they feed;
of an output layer, each branch on its own. The norms learn from batches, and at the end take the statistics of all
images. Images that were held out tell the error, in the precision that is stored.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.graph import IMAGE
from ..core.shapes import channels_in
from ..errors import CheckpointError, telling
from ..files import MOST_IMAGE_BYTES, read_within
from ..nn.first_run import evaluated
from ..wording import shown
from ..yolo.environment import quiet
from .certificate import as_many_threads_as_pay
from .images import READABLE, images_from
from .plan import GraftPlan, coarsest_stride
from .proof import RowFit
from .recording import Call, copied, parts_of_output, recorded, tensors_in
from .starts import expected, groups

Track = Callable[[Iterator[Any], str, int], Iterator[Any]]
#: Of AdamW: the rate falls to 0 along a cosine.
_RATE = 1e-2
_BATCH = 16
#: A row that is as near as this has nothing to learn.
_SAME = 1e-4
#: Bytes of maps that are kept for one row.
_MOST_BYTES = 2**31
#: Images that are used of those that there are: as many as have so many pixels, within bounds; and the share held out.
_PIXELS, _MOST_IMAGES, _HELD_OUT = 64 * 640**2, (64, 128), 5
_SIDE, _MOST_SIDE = 640, 4096


@dataclass(frozen=True, eq=False)
class Lesson:
    """What rows are fitted on.

    Attributes:
        images: shape (N, C, H, W), to learn from.
        held_out: to tell the error.
        steps: of each row.
        seed: of the order of the images.
        digest: SHA-256 of the images' files.
    """

    images: Tensor
    held_out: Tensor
    steps: int
    seed: int
    digest: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data, without the images."""
        side = self.images.shape[-1]
        counts = {"images": len(self.images), "held_out": len(self.held_out), "imgsz": side, "sha256": self.digest}
        return {"steps": self.steps, "seed": self.seed, **counts}


def lesson_from(images: Sequence[Path], plan: GraftPlan, steps: int, seed: int) -> Lesson:
    """What to fit the rows of a graft on, of these images: as large as those that the checkpoint was trained on.

    Raises:
        ImageError: one of them can't be read.
        CheckpointError: the checkpoint reads no images of colour or grey.
    """
    checkpoint, stride = plan.checkpoint, coarsest_stride(plan.rewrite.after)
    channels = channels_in(checkpoint.needed_model().yaml) or 3
    if channels not in READABLE:
        raise CheckpointError(f"{checkpoint.path} reads {channels} channels, which no image has: drop --start fit")
    asked = checkpoint.train_args.get("imgsz") or _SIDE
    sides = asked if isinstance(asked, (list, tuple)) else [asked]
    if not all(isinstance(one, int) and 1 <= one <= _MOST_SIDE for one in sides):
        problem = f"trained on images of {shown(asked)}, which is no size of 1 to {_MOST_SIDE}: drop --start fit"
        raise CheckpointError(f"{checkpoint.path} says: {problem}")
    side = -(-max(sides) // stride) * stride
    least, most = _MOST_IMAGES
    chosen = [*images]
    random.Random(seed).shuffle(chosen)
    chosen = chosen[: min(max(_PIXELS // side**2, least), most)]
    digest = hashlib.sha256()
    for path in chosen:
        digest.update(read_within(path, MOST_IMAGE_BYTES))
    tensors = torch.cat([image.tensor for image in images_from(chosen, side, len(chosen), channels)])
    held_out = max(len(tensors) // _HELD_OUT, 2)
    return Lesson(tensors[held_out:], tensors[:held_out], steps, seed, digest.hexdigest())


@dataclass(frozen=True, eq=False)
class FitResult:
    """What fitting has come to.

    Attributes:
        rows: what was fitted.
        tensors: state-dict name in the product -> what it learned; of every tensor of what was fitted.
        paths: rows and branches that were changed, those that were learned along included.
        refused: row or branch -> why it was not fitted.
    """

    rows: list[RowFit] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def fill_(self, model: nn.Module) -> None:
        """Put it into a product."""
        there = model.state_dict()
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                there[name].copy_(tensor)


@dataclass(frozen=True)
class _FitUnit:
    """What learns one output.

    Attributes:
        path: the row or branch.
        of: that of the original.
        modules: its modules by path, in order; the last gives the output.
        reads: what goes in: rows whose outputs are read, by number.
        sources: of each module of several, the rows that it reads.
    """

    path: str
    of: str
    modules: Mapping[str, nn.Module]
    reads: tuple[int, ...] = ()
    sources: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def wanted(self) -> set[str]:
        """The calls in the product that tell what goes in."""
        return {str(row) for row in self.reads if row != IMAGE} if self.sources else {self.path}

    def inputs(self, image: Tensor, calls: Mapping[str, Call]) -> Any:
        """What goes in for an image."""
        if self.sources:
            return [image if row == IMAGE else calls[str(row)].output for row in self.reads]
        return calls[self.path].inputs

    def __call__(self, inputs: Any) -> Any:
        if not self.sources:
            return self.modules[self.path](*inputs)
        maps = dict(zip(map(str, self.reads), inputs))
        for path, module in self.modules.items():
            given = [maps[str(source)] for source in self.sources[path]]
            maps[path] = module(given[0] if isinstance(module.f, int) else given)
        return maps[self.path]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What learns."""
        return [one for module in self.modules.values() for one in module.parameters()]

    @property
    def parts(self) -> Iterator[nn.Module]:
        """All modules in its modules."""
        return (part for module in self.modules.values() for part in module.modules())


class _NotFitted(Exception):
    """Why something can't be fitted."""


def fit(plan: GraftPlan, base: nn.Module, product: nn.Module, lesson: Lesson, track: Track) -> FitResult:
    """Fit the rows of a product that are not layers of the original, in place.

    Args:
        plan: what was done.
        base: the original, in float32, evaluating.
        product: what a graft has made of a copy of it.
        lesson: the images.
        track: shows how far it is: gets what is iterated, what is done, and how many; gives the same items.

    Raises:
        CheckpointError: one of the two can't be run on such images.
    """
    at = "x".join(map(str, lesson.images.shape[2:]))
    problem = f"{plan.checkpoint.path} can't be fitted on images of {at}"
    with telling(CheckpointError, problem), as_many_threads_as_pay(lesson.images[:1]):
        return _fit(plan, base, product, lesson, track)


def _fit(plan: GraftPlan, base: nn.Module, product: nn.Module, lesson: Lesson, track: Track) -> FitResult:
    stored = next(plan.checkpoint.needed_model().parameters()).dtype
    found = FitResult()
    frozen = {one: one.requires_grad for one in product.parameters()}
    with quiet(), torch.random.fork_rng(devices=[]), evaluated(product):
        for unit in _units(plan, product, found.refused):
            torch.manual_seed(lesson.seed)
            try:
                result = _fit_one(unit, base, product, lesson, track, stored)
            except _NotFitted as reason:
                found.refused[unit.path] = str(reason)
                continue
            found.paths.update(unit.modules)
            found.rows.append(result)
            for path, module in unit.modules.items():
                found.tensors.update({f"model.{path}.{name}": one.clone() for name, one in module.state_dict().items()})
    for parameter, requires_grad in frozen.items():
        parameter.requires_grad_(requires_grad)
    return found


def _units(plan: GraftPlan, product: nn.Module, refused: dict[str, str]) -> Iterator[_FitUnit]:
    """What there is to fit, along the path; why the rest of what is new is not."""
    before, after = plan.rewrite.before, plan.rewrite.after
    carry, modules = plan.carry, list(product.model)
    if carry is None:
        return
    carried = plan.carried(plan.checkpoint.state_dict)
    layers = {row: layer for layer, row in carry.stands.items()}
    same = {row.index for row in after if _is_carried(str(row.index), modules[row.index], carried)}
    whole = {row for row in same if row in layers or modules[row].state_dict()}
    left = {row.index for row in after} - whole - set(plan.rewrite.edits) - {after.output.index}
    goals = {**expected(before, after, carry.stands, carry.levels), **layers}
    learning = {row for row in left if any(True for _ in modules[row].parameters())}
    targets = {row: layer for row, layer in goals.items() if row in learning}
    taken: set[int] = set()
    for group in groups(after, targets, left - set(goals)):
        taken.update(group.rows)
        sources = {str(row): after[row].sources for row in group.rows}
        inside = {str(row): modules[row] for row in group.rows}
        yield _FitUnit(str(group.rows[-1]), str(group.layer), inside, group.reads, sources)
    refused.update((str(row), "the original has no output for it to learn from") for row in learning - taken)
    last = after.output.index
    if last in whole:
        return
    for name, part in parts_of_output(modules[last]).items():
        path = f"{last}.{name}"
        if _is_carried(path, part, carried) or not any(True for _ in part.parameters()):
            continue
        if path in carry.branches:
            yield _FitUnit(path, carry.branches[path], {path: part})
        else:
            refused[path] = "the original's output layer has no such part"


def _is_carried(path: str, module: nn.Module, carried: Collection[str]) -> bool:
    """Whether all tensors of a row, or of a part of one, are the original's."""
    return all(f"model.{path}.{name}" in carried for name in module.state_dict())


def _fit_one(
    unit: _FitUnit, base: nn.Module, product: nn.Module, lesson: Lesson, track: Track, stored: torch.dtype
) -> RowFit:
    """Fit one unit, in place.

    Raises:
        _NotFitted: there is nothing to learn from, or nothing to learn.
    """
    held_out = _examples(unit, base, product, lesson.held_out)
    before = _error(unit, held_out)
    if before < _SAME:
        raise _NotFitted(f"it gives what {_called(unit.of)} gave already")
    examples = _examples(unit, base, product, lesson.images)
    start = [deepcopy(module.state_dict()) for module in unit.modules.values()]
    _learn(unit, examples, lesson, track)
    for tensor in (one for module in unit.modules.values() for one in module.state_dict().values()):
        tensor.copy_(tensor.to(stored))
    after = _error(unit, held_out)
    if not after < before:
        for module, state in zip(unit.modules.values(), start):
            module.load_state_dict(state)
        raise _NotFitted(f"its error stayed at {before:.3g}")
    return RowFit(unit.path, unit.of, before, after)


class _Examples(NamedTuple):
    """What goes in and what has to come out, of all images."""

    inputs: Any
    outputs: Tensor


def _examples(unit: _FitUnit, base: nn.Module, product: nn.Module, images: Tensor) -> _Examples:
    """Run both networks on images, as many as there is memory for.

    Raises:
        _NotFitted: what comes out of the unit has another shape than what the original gave.
    """
    inputs: list[Any] = []
    outputs: list[Tensor] = []
    room = _MOST_BYTES
    for some in images.split(min(max(_SIDE**2 // images[0, 0].numel(), 1), _BATCH)):
        with recorded(base, {unit.of}) as here:
            base(some.clone())
        with recorded(product, unit.wanted()) as there:
            product(some.clone())
        if unit.of not in here or not unit.wanted() <= there.keys():
            raise _NotFitted("it is not used when the network predicts")
        given, target = unit.inputs(some, there), here[unit.of].output
        if not outputs:
            _refuse_shapes(unit, given, target)
        inputs.append(given)
        outputs.append(target)
        room -= sum(one.numel() * one.element_size() for one in tensors_in([given, target]))
        if room < 0:
            break
    return _Examples(_joined(inputs), torch.cat(outputs))


def _refuse_shapes(unit: _FitUnit, given: Any, target: Any) -> None:
    found = unit(copied(given))
    shapes = [tuple(one.shape[1:]) if isinstance(one, Tensor) else None for one in (found, target)]
    if None in shapes:
        raise _NotFitted(f"it, or {_called(unit.of)}, gives no single map")
    if shapes[0] != shapes[1]:
        mine, theirs = ("x".join(map(str, shape or ())) for shape in shapes)
        raise _NotFitted(f"it gives {mine}, and {_called(unit.of)} gave {theirs}")


def _called(path: str) -> str:
    """`layer 9`, `22.cv3.0 of the original`."""
    return f"{path} of the original" if "." in path else f"layer {path}"


def _joined(values: Sequence[Any]) -> Any:
    """Values of several images as one of them all."""
    first = values[0]
    if isinstance(first, Tensor):
        return torch.cat(list(values))
    if isinstance(first, (list, tuple)):
        return [_joined(column) for column in zip(*values)]
    return first


def _some(value: Any, chosen: Tensor) -> Any:
    """A joined value of some of the images."""
    if isinstance(value, Tensor):
        return value[chosen]
    return [_some(one, chosen) for one in value] if isinstance(value, list) else value


def _batches(count: int) -> Iterator[Tensor]:
    """All images in batches of like size: a norm can't train on a single number."""
    yield from torch.arange(count).chunk(-(-count // _BATCH))


def _error(unit: _FitUnit, examples: _Examples) -> float:
    """The size of what is wrong over that of what has to come out."""
    wrong = right = 0.0
    for chosen in _batches(len(examples.outputs)):
        target = examples.outputs[chosen].double()
        wrong += float((unit(_some(examples.inputs, chosen)).double() - target).square().sum())
        right += float(target.square().sum())
    return math.sqrt(wrong / right) if right else math.inf


def _learn(unit: _FitUnit, examples: _Examples, lesson: Lesson, track: Track) -> None:
    """Some hundred steps on batches, then the statistics of all images for the norms."""
    parameters, outputs = unit.parameters, examples.outputs
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=0.0)
    scale = outputs.square().mean()
    generator = torch.Generator().manual_seed(lesson.seed)
    with torch.enable_grad(), _training(unit):
        for step in track(iter(range(lesson.steps)), f"fitting {unit.path}", lesson.steps):
            for group in optimizer.param_groups:
                group["lr"] = _RATE * (1 + math.cos(math.pi * step / lesson.steps)) / 2
            chosen = torch.randint(len(outputs), (min(_BATCH, len(outputs)),), generator=generator)
            loss = (unit(_some(examples.inputs, chosen)) - outputs[chosen]).square().mean() / scale
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with _training(unit):
        _settle_norms(unit, examples)
    optimizer.zero_grad()


@contextmanager
def _training(unit: _FitUnit) -> Iterator[None]:
    """Let the unit's modules train; an output layer's parts give the same either way."""
    for module in unit.modules.values():
        module.train()
    yield
    for module in unit.modules.values():
        module.eval()


def _settle_norms(unit: _FitUnit, examples: _Examples) -> None:
    """Give the norms the statistics of all images, under the weights that were learned."""
    norms = [part for part in unit.parts if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of all batches
    for chosen in _batches(len(examples.outputs)):
        unit(_some(examples.inputs, chosen))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
