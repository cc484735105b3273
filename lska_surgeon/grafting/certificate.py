"""Proof that two states of a model give the same outputs: runs it before and after, compares every number.

So too outputs that an original has saved, beside those of a model. It knows neither checkpoints nor what was done in
between.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.shapes import channels_in
from ..errors import CheckpointError
from ..files import open_to_read
from ..nn.first_run import evaluated, on_the_smallest
from ..wording import error_in_one_line, plural
from ..yolo.environment import quiet
from .input_files import pixels_of
from .proof import Proof
from .recording import Call, recorded, tensors_in

#: Seed of the random images.
SEED = 0
#: Numbers in images for which waking further threads takes longer than it saves.
_SMALL = 2**18
Calls = Mapping[str, Call]
#: What is compared: outputs by their number, or the maps that the output layer reads by stride and number.
Tensors = Mapping[tuple[int, ...], Tensor]


@dataclass(frozen=True)
class Certificate:
    """The largest |Δ| of all outputs, for each run.

    Attributes:
        runs: run ("eval 64x96", "train 96x64", "eval bus.jpg") -> max |Δ| over every tensor that the model gave.
        skipped: mode -> why the model would not run in it, before the surgery as after.
        strides: where the output layer is another one: those of the maps that both read, which were compared in place
            of outputs; none where these have no shape in common.
        proof: what is known of each row.
    """

    runs: Mapping[str, float]
    skipped: Mapping[str, str] = field(default_factory=dict)
    strides: tuple[int, ...] | None = None
    proof: Proof | None = None

    @property
    def max_delta(self) -> float:
        """The largest of all; NaN where the outputs' shapes or NaNs differ; infinite where nothing can be compared."""
        deltas = list(self.runs.values())
        return math.nan if any(map(math.isnan, deltas)) else max(deltas, default=math.nan)

    @property
    def exact(self) -> bool:
        """True when every output of every run is equal, bit for bit in value."""
        return self.strides is None and bool(self.runs) and self.max_delta == 0.0

    @property
    def what(self) -> str:
        """What was compared."""
        if self.strides is None:
            return "all outputs"
        if not self.strides:
            return "the output layers read no map of the same stride and width"
        strides = " and ".join(filter(None, [", ".join(map(str, self.strides[:-1])), str(self.strides[-1])]))
        return f"the map{plural(self.strides)} at stride{plural(self.strides)} {strides} that the output layer reads"

    @property
    def problem(self) -> str | None:
        """Why it is no number; None where it is one."""
        if not self.runs:
            return "no certificate: the model does not run, before the surgery as after"
        if math.isnan(self.max_delta):
            return "no certificate: the outputs have other shapes or are no numbers, so none is compared"
        return None

    @property
    def line(self) -> str:
        """`certificate: max |Δ| 0.0 of all outputs in float32 (eval 64x96, ...)`, or why there is none."""
        skipped = "".join(f"; {mode} mode not run: {why}" for mode, why in self.skipped.items())
        if self.problem:
            return f"{self.problem}{skipped}"
        if self.strides == ():
            runs = ", ".join(self.runs)
            return f"certificate: the product gives numbers ({runs}){skipped}; nothing can be compared: {self.what}"
        delta = f"{self.max_delta:g}" if self.max_delta else "0.0"
        return f"certificate: max |Δ| {delta} of {self.what} in float32 ({', '.join(self.runs)}){skipped}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, to be stored; None where outputs can't be compared, for JSON has no NaN."""
        return {
            "runs": {name: _number(delta) for name, delta in self.runs.items()},
            "skipped": dict(self.skipped),
            "max_delta": _number(self.max_delta),
            "of": self.what,
            "dtype": "float32",
            "torch": str(torch.__version__),
            **(self.proof.as_dict() if self.proof else {}),
        }


def _number(delta: float) -> float | None:
    return delta if math.isfinite(delta) else None


def certify(
    surgery: Callable[[], tuple[nn.Module, Callable[[nn.Module], nn.Module | None]]],
    more: Mapping[str, Tensor] | None = None,
    *,
    stride: int = 0,
    by_level: bool = False,
    proving: Callable[[nn.Module, Calls, Calls], Proof] | None = None,
) -> Certificate:
    """Run a model, operate on it, run it again; on larger images where it does not run on small ones.

    Args:
        surgery: gives a fresh float32 model, and what operates on it, in place; that gives the model to go on with,
            where it is another one. Running statistics stay as they were.
        more: run name -> input of shape (N, C, H, W), values 0 to 1, beside the random images.
        stride: the coarsest of what comes out of it.
        by_level: the output layer is another one: compare what it reads.
        proving: proves each row of what comes out of it, from what the layers took and gave before and after.

    Raises:
        CheckpointError: the model does not run any more.
    """

    def run(side: int) -> Certificate:
        model, operate = surgery()
        return _certify(model, operate, {**_random_images(model, side, stride), **(more or {})}, by_level, proving)

    return on_the_smallest(run, ran=lambda certificate: "eval" not in certificate.skipped)


def _certify(
    model: nn.Module,
    operate: Callable[[nn.Module], nn.Module | None],
    images: Mapping[str, Tensor],
    by_level: bool,
    proving: Callable[[nn.Module, Calls, Calls], Proof] | None,
) -> Certificate:
    with recorded(model) as calls:
        before, skipped = _runs(model, images)
    product = operate(model) or model
    with recorded(product) as calls_after:
        after, skipped_after = _runs(product, images)
    for name in set(skipped_after) - set(skipped):
        raise CheckpointError(f"after the surgery the model does not run ({name}): {skipped_after[name]}")
    proof = None
    if proving is not None:
        first = next(iter(images.values()))
        with quiet(), evaluated(product), as_many_threads_as_pay(first):  # as when it was recorded, for the last bit
            proof = proving(product, calls, calls_after)
    if not by_level:
        deltas = {name: _delta(run.outputs, after[name].outputs) for name, run in before.items()}
        return Certificate(deltas, skipped, proof=proof)
    if any(run.is_finite and not after[name].is_finite for name, run in before.items()):
        return Certificate(dict.fromkeys(before, math.nan), skipped, proof=proof)
    both = {
        key
        for name, run in before.items()
        for key, one in run.maps.items()
        if key in after[name].maps and after[name].maps[key].shape == one.shape
    }
    strides = tuple(sorted({stride for stride, _ in both}))
    maps = [{name: {key: of[name].maps[key] for key in both} for name in before} for of in (before, after)]
    deltas = {name: _delta(maps[0][name], maps[1][name]) if both else math.inf for name in before}
    return Certificate(deltas, skipped, strides, proof)


def _random_images(model: nn.Module, side: int, stride: int) -> dict[str, Tensor]:
    """Seeded images at two sizes, one wide and one high, with no side smaller than that, for a stride too."""
    generator = torch.Generator().manual_seed(SEED)
    stride = max(_stride(model), stride)
    least = max(side // stride, 2)
    sizes = ((least * stride, (least + 1) * stride), ((least + 2) * stride, least * stride))
    return {f"{h}x{w}": torch.rand(2, channels_in(model.yaml), h, w, generator=generator) for h, w in sizes}


def _stride(model: nn.Module) -> int:
    return int(max(float(torch.as_tensor(getattr(model, "stride", 32)).max()), 32))


def image_from(path: Path, model: nn.Module, stride: int = 0, longest: int = 640) -> Tensor:
    """A real image as the model would see it: longest side `longest`, padded to the stride; shape (1, 3, H, W).

    Raises:
        CheckpointError: the file can't be read as an image, or the model does not read 3 channels.
    """
    channels, stride = channels_in(model.yaml), max(_stride(model), stride)
    if channels != 3:
        raise CheckpointError(f"an image has 3 channels, and this model reads {channels}: drop --image {path}")
    import cv2
    import numpy

    pixels = pixels_of(path)
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    pixels = cv2.resize(pixels, (max(round(width * scale), 1), max(round(height * scale), 1)))
    bottom, right = -pixels.shape[0] % stride, -pixels.shape[1] % stride
    pixels = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    rgb = numpy.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1))
    return torch.from_numpy(rgb).float().div(255)[None]


class _Run(NamedTuple):
    """What a model gave for an image, and what its output layer read."""

    outputs: Tensors
    maps: Tensors

    @property
    def is_finite(self) -> bool:
        """Whether all that it gave are numbers."""
        return all(bool(one.isfinite().all()) for one in self.outputs.values())


def _runs(model: nn.Module, images: Mapping[str, Tensor]) -> tuple[dict[str, _Run], dict[str, str]]:
    runs: dict[str, _Run] = {}
    read: list[Tensor] = []

    def note(layer: nn.Module, inputs: Any) -> None:
        read[:] = tensors_in(inputs)

    hook = model.model[-1].register_forward_pre_hook(note)
    skipped: dict[str, str] = {}
    mode_before = {module: module.training for module in model.modules()}
    with quiet(), torch.no_grad(), _same_statistics(model), torch.random.fork_rng(devices=[]):
        for mode in ("eval", "train"):
            model.train(mode == "train")
            for name, image in images.items():
                torch.manual_seed(SEED)
                try:
                    with as_many_threads_as_pay(image):
                        given = list(tensors_in(model(image.clone())))
                    outputs: Tensors = {(n,): tensor.clone() for n, tensor in enumerate(given)}
                    maps = {key: tensor.clone() for key, tensor in _by_stride(read, image).items()}
                    runs[f"{mode} {name}"] = _Run(outputs, maps)
                except Exception as error:
                    skipped[mode] = error_in_one_line(error)
    hook.remove()
    for module, training in mode_before.items():
        module.training = training
    return runs, skipped


@contextmanager
def as_many_threads_as_pay(image: Tensor) -> Iterator[None]:
    """Run on one thread what is small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if image.numel() < _SMALL else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _by_stride(maps: Sequence[Tensor], image: Tensor) -> Tensors:
    found: dict[tuple[int, ...], Tensor] = {}
    for one in maps:
        stride = round(image.shape[-1] / one.shape[-1])
        found[stride, sum(stride == other for other, _ in found)] = one
    return found


@contextmanager
def _same_statistics(model: nn.Module) -> Iterator[None]:
    """Put the buffers back that a forward in training mode changes (running means)."""
    saved = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        yield
    finally:
        for name, buffer in model.named_buffers():
            if name in saved and saved[name].shape == buffer.shape:
                buffer.copy_(saved[name])


def _delta(before: Tensors, after: Tensors) -> float:
    if {key: tensor.shape for key, tensor in before.items()} != {key: tensor.shape for key, tensor in after.items()}:
        return math.nan
    worst = 0.0
    for key, a in before.items():
        b = after[key]
        if torch.equal(a, b) or a.numel() == 0:
            continue
        difference = (a.double() - b.double()).abs()
        difference[a.isnan() & b.isnan() | (a == b)] = 0.0
        largest = float(difference.max())
        if math.isnan(largest):
            return largest  # which `max` below would pass over
        worst = max(worst, largest)
    return worst


def saved_tensors(path: Path) -> list[Tensor]:
    """The tensors in a file that `torch.save` or `numpy.save` wrote; nothing of it runs.

    Raises:
        CheckpointError: it can't be read, or holds no tensors.
    """
    import numpy

    try:
        with open_to_read(path) as file:
            content = file.read()
        if path.suffix.lower() == ".npy":
            return [torch.from_numpy(numpy.load(io.BytesIO(content), allow_pickle=False))]
        tensors = list(tensors_in(torch.serialization.load(io.BytesIO(content), map_location="cpu", weights_only=True)))
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {error.strerror}") from error
    except Exception as error:  # whatever bytes that are no tensors make of the readers
        raise CheckpointError(f"{path} holds no tensors: save them with torch.save or numpy.save") from error
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors: save what the model gave with torch.save")
    return tensors


def largest_difference(model: nn.Module, image: Path, outputs: Path) -> float:
    """max |Δ| between what a model gives for an image and what an original gave.

    Args:
        model: in float32 and eval mode.
        image: a JPEG or PNG; or the very input, shape (N, C, H, W), as .pt or .npy.
        outputs: the tensors that the original gave for it, as .pt or .npy, in their order.

    Raises:
        CheckpointError: a file can't be read, or the outputs have other shapes.
    """
    is_input = image.suffix.lower() in (".pt", ".npy")
    x = saved_tensors(image)[0].float() if is_input else image_from(image, model)
    with quiet(), torch.no_grad():
        ours = list(tensors_in(model(x)))
    theirs = saved_tensors(outputs)
    shapes = [tuple(tensor.shape) for tensor in ours[: len(theirs)]]
    if shapes != [tuple(tensor.shape) for tensor in theirs]:
        raise CheckpointError(
            f"{outputs} has outputs of shape {', '.join(str(tuple(t.shape)) for t in theirs)}, the model gives "
            f"{', '.join(map(str, shapes))}: save what the original's model(input) gave for the same input"
        )
    return max(float((one.double() - two.double()).abs().max()) for one, two in zip(ours, theirs))
