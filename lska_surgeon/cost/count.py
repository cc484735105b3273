"""Counting parameters, multiply-accumulates and FLOPs through fvcore; it words nothing and writes nothing.

Numbers are fvcore's own: a multiply-add is one; a bias, an activation and an addition are nothing; a BatchNorm that is
left in eval mode is two per element, a nearest upsampling one per output element. FLOPs are twice that.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

import torch
from torch import nn

from ..core.operators import AnyOperator, OtherOperator
from ..errors import telling
from ..modelfile.sources import find_source, is_checkpoint
from ..wording import error_in_one_line, plural
from ..yolo.build import build
from ..yolo.environment import import_offline, importing, quiet
from .cost import FROZEN, Cost, CostError, ModuleCost
from .limits import DEFAULT_SIZE, size_of
from .shapes_only import ShapesOnly, images, input_channels, stride_of

_DEFAULT_IMGSZ = size_of(DEFAULT_SIZE)
#: Multiply-accumulates by module and op; how often each op that is not counted was seen.
_Counts = tuple[Mapping[str, Mapping[str, float]], Mapping[str, int]]


def load() -> None:
    """Import now what counting imports on its first call, Ultralytics and fvcore.

    Raises:
        BuildError: the environment can't import it; the message says why and what to do.
    """
    with importing(), quiet():
        import_offline()
        import fvcore.nn  # noqa: F401


def count(
    model: nn.Module, imgsz: tuple[int, int] = _DEFAULT_IMGSZ, batch: int = 1, fuse: bool = True, *, name: str = "model"
) -> Cost:
    """Count one forward pass in eval mode; the model itself is left as it is.

    Args:
        model: a YOLO of Ultralytics, or any module that takes one (N, C, H, W) tensor.
        imgsz: input height and width, pixels.
        batch: N.
        fuse: fuse Conv and BatchNorm first, where the model knows how, as Ultralytics does before it predicts.
        name: what the result calls the model.

    Raises:
        CostError: `imgsz` does not fit the model's strides, or the forward pass fails.
    """
    with quiet(), torch.random.fork_rng(devices=[]):
        return _measure(copy.deepcopy(model), imgsz, batch, fuse, name)


def count_source(
    source: str,
    imgsz: tuple[int, int] = _DEFAULT_IMGSZ,
    batch: int = 1,
    fuse: bool = True,
    *,
    scale: str | None = None,
    trust: bool = False,
) -> Cost:
    """Build a model YAML with random weights, or read a checkpoint, and count it.

    Args:
        source: path of a `.yaml` or `.pt` file, or a stock name with its scale ("yolov8s.yaml").
        imgsz, batch, fuse: as for `count`.
        scale: scale of a YAML; None takes the one of its name.
        trust: read a checkpoint that names what is not on the allow-list, or build a YAML that runs more than layers.

    Raises:
        SurgeonError: there is no such file, it does not build or load, or it can't be counted.
    """
    if is_checkpoint(source):
        from ..checkpoints.checkpoint import read_checkpoint

        with quiet():
            import_offline()
            model = read_checkpoint(source, trust=trust).float_model()
            return _measure(model, imgsz, batch, fuse, source)
    model, notes = _build(source, scale, trust)
    with quiet():
        return _measure(model, imgsz, batch, fuse, source, notes)


def count_operator(operator: AnyOperator, channels: int, sides: tuple[int, int]) -> tuple[int, int]:
    """Parameters and multiply-accumulates of one operator alone, as they count in a network that it is put into.

    It reads a map of so many channels, of `sides` (height, width).

    Raises:
        BuildError: it can't be built.
        CostError: it can't be counted.
    """
    from ultralytics.nn.tasks import BaseModel

    from ..nn import build_operator

    # A gate multiplies and adds, which fvcore does not count; without it nothing looks for an identity among shapes.
    plain = operator.plain if isinstance(operator, OtherOperator) else operator
    gates = channels if plain != operator else 0
    with quiet(), torch.random.fork_rng(devices=[]):
        module = build_operator(plain, channels).eval()
        alone = BaseModel()
        alone.model, alone.is_fused = nn.Sequential(module), lambda *_: False  # it never has many norms

        def analyze() -> _Counts:
            with ShapesOnly():
                alone.fuse(verbose=False)
                return _analyze(alone.model, torch.zeros(1, channels, *sides))

        where = f"{channels} channels of {sides[0]}x{sides[1]}"
        with telling(CostError, f"{operator.op} can't be counted on {where}"):
            counted, _ = _in_a_thread(analyze)
    params = sum(parameter.numel() for parameter in module.parameters())
    return params + gates, sum(round(macs) for macs in counted[""].values())


def _build(source: str, scale: str | None, trust: bool) -> tuple[nn.Module, tuple[str, ...]]:
    file = find_source(source)
    # The name of the file itself is read by Ultralytics; a stock name such as yolov8s.yaml is no file of its own.
    named = None if file.path.name == file.name else file.scale
    with ShapesOnly():
        model = build(os.fspath(file.path), scale=scale, named=named, trust=trust)
    scales = list(model.yaml.get("scales") or ())
    if len(scales) > 1 and not model.yaml.get("scale"):
        return model, (f"its name says no scale, so this is {scales[0]}, the first of {', '.join(scales)}",)
    return model, ()


def _measure(
    model: nn.Module, imgsz: tuple[int, int], batch: int, fuse: bool, name: str, notes: tuple[str, ...] = ()
) -> Cost:
    """Count a model that is ours to change."""
    model.eval()
    _check_imgsz(model, imgsz, name)
    _forget_anchors(model)
    gradients = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    merging = _notes_on_merging(model) if fuse else []

    def analyze() -> _Counts:
        with ShapesOnly():
            if fuse and hasattr(model, "fuse"):
                model.fuse(verbose=False)
            return _analyze(model, torch.zeros(batch, input_channels(model), *imgsz))

    try:
        counted, uncounted = _in_a_thread(analyze)
    except Exception as error:
        if "allocate memory" in str(error):
            raise CostError(
                f"{name} can't be counted at {imgsz[0]}x{imgsz[1]} with batch {batch}, for there is not enough memory: "
                "give a smaller imgsz or batch"
            ) from error
        raise CostError(f"{name} can't be counted at {imgsz[0]}x{imgsz[1]}: {error_in_one_line(error)}") from error
    ops = {op: round(macs) for op, macs in counted[""].items()}
    return Cost(
        name=name,
        imgsz=imgsz,
        batch=batch,
        fused=fuse,
        params=sum(parameter.numel() for parameter in model.parameters()),
        macs=sum(ops.values()),
        layers=sum(1 for module in model.modules() if not module._modules),
        gradients=gradients,
        uncounted=_named(uncounted),
        ops=ops,
        tree=_tree("", "", model, counted),
        notes=(*notes, *merging, *_notes(model, imgsz, gradients)),
    )


def _in_a_thread(analyze: Callable[[], _Counts]) -> _Counts:
    """In a thread of its own: what torch.jit has begun to note when a trace fails stays in its thread for good."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, analyze).result()


def _analyze(model: nn.Module, inputs: torch.Tensor) -> _Counts:
    """fvcore's counts, by module and op, and the ops that it does not count."""
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import conv_flop_count, get_shape

    def convolution(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        x, weight, out = get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])
        x = [images(inputs[0]), *x[1:]]
        return Counter({"conv": conv_flop_count(x, weight, out, transposed=inputs[6].toIValue())})

    analysis = FlopCountAnalysis(model, inputs).set_op_handle("aten::_convolution", convolution)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with _no_hooks_left(model):
        return analysis.by_module_and_operator(), analysis.unsupported_ops()


@contextmanager
def _no_hooks_left(model: nn.Module) -> Iterator[None]:
    """Take away the hooks that fvcore leaves where a trace fails: all models of a process share an activation."""
    kinds = ("_forward_hooks", "_forward_pre_hooks")
    before = [(vars(module)[kind], dict(vars(module)[kind])) for module in model.modules() for kind in kinds]
    try:
        yield
    finally:
        for hooks, were in before:
            hooks.clear()
            hooks.update(were)


def _tree(path: str, name: str, module: nn.Module, counted: Mapping[str, Mapping[str, float]]) -> ModuleCost:
    children = tuple(
        _tree(f"{path}.{child_name}" if path else child_name, child_name, child, counted)
        for child_name, child in module.named_children()
    )
    # A module that is reached by two paths is counted under the first.
    here = {op: round(macs) for op, macs in counted.get(path, {}).items()}
    own = Counter(here)
    for child in module._modules:
        own.subtract({op: round(macs) for op, macs in counted.get(f"{path}.{child}" if path else child, {}).items()})
    return ModuleCost(
        name=name,
        block=type(module).__name__,
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=sum(here.values()),
        own={op: macs for op, macs in own.items() if macs > 0},
        children=tuple(child for child in children if child.params or child.macs),
    )


def _check_imgsz(model: nn.Module, imgsz: tuple[int, int], name: str) -> None:
    stride = stride_of(model)
    fitting = [max(stride, round(side / stride) * stride) for side in imgsz]
    if tuple(fitting) != imgsz:
        raise CostError(
            f"{name} can't take {imgsz[0]}x{imgsz[1]} pixels: its largest stride is {stride}, "
            f"so sides are multiples of that; try --imgsz {fitting[0]},{fitting[1]}"
        )


def _forget_anchors(model: nn.Module) -> None:
    """Drop the anchors that output layers keep of their last input: a model that has run counts as a new one."""
    for module in model.modules():
        for kept in ("shape", "shapes"):
            if kept in vars(module) and hasattr(module, "anchors"):
                setattr(module, kept, None)


def _notes_on_merging(model: nn.Module) -> list[str]:
    from ..nn.operators import mergeable

    found = mergeable(model)
    what = f"fuse() has merged the kernels of {len(found)} operator{plural(found)}"
    return [f"{what}: --no-fuse counts them as they train"] if found else []


def _notes(model: nn.Module, imgsz: tuple[int, int], gradients: int) -> tuple[str, ...]:
    notes = []
    kind = type(model).__name__
    if kind == "WorldModel" or kind.startswith("YOLOE"):
        notes.append("it reads text features of its classes; the encoder that makes them is no part of it, nor counted")
    if kind == "ClassificationModel" and imgsz == _DEFAULT_IMGSZ:
        notes.append("published figures of classifiers are for 224 pixels: --imgsz 224")
    if gradients == 0:
        notes.append(FROZEN)
    return tuple(notes)


def _named(uncounted: Mapping[str, int]) -> dict[str, int]:
    """Ops by plain name, in-place ones under the name of the others, the most frequent first."""
    names: Counter[str] = Counter()
    for op, times in uncounted.items():
        names[op.removeprefix("aten::").rstrip("_")] += times
    return dict(sorted(names.items(), key=lambda item: (-item[1], item[0])))
