"""Running a model for its shapes alone, many times faster than for its values, and what that tells of a checkpoint.

It knows neither fvcore nor Ultralytics.

Costs depend on shapes, and nearly all of a forward pass goes into a few operations on maps, 4-D tensors. Under
`ShapesOnly`:

1. A convolution, activation, pooling, concatenation, sum or product of maps runs on none of the images, `x[:0]`, which
   gives the right channels, height and width at no cost; the result then grows to all images, its values whatever the
   memory held.
2. Outside of a trace, a sum or product that keeps the shape of a 4-D tensor, and a batch norm, is that tensor; so is
   what `torch.nn.init.kaiming_uniform_` fills, the bulk of building a model.
3. There is one thread: to wake others for the little that is left takes longer than doing it.

All else runs as it is. torch.jit traces case 1 as `aten::slice` and the op itself; `images` says for such an op how
many images it stood for. The meta device would be the natural way to do this, but torch.jit does not trace
convolutions there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional, init
from torch.overrides import TorchFunctionMode

from ..core.blocks import BlockTable
from ..core.shapes import Shape, channels_in
from ..errors import CheckpointError
from ..modelfile.model import Model, stored_model

if TYPE_CHECKING:  # for it imports Ultralytics, of which a count says first what it lacks
    from ..checkpoints.contents import Checkpoint

_SIDE = 256  # of the image that widths are measured on: any stride up to 256 leaves a map
_OF_TWO = frozenset({torch.Tensor.add, torch.Tensor.mul})
_PER_IMAGE = _OF_TWO | {torch.conv2d, torch.conv_transpose2d, functional.silu, functional.max_pool2d}
_KEEP_SHAPE = _OF_TWO | {functional.silu, functional.batch_norm}


class ShapesOnly(TorchFunctionMode):
    """Within this context a model's outputs have the right shapes and meaningless values, and no gradients."""

    def __enter__(self) -> ShapesOnly:
        self._threads, self._gradients = torch.get_num_threads(), torch.is_grad_enabled()
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.set_num_threads(self._threads)
        torch.set_grad_enabled(self._gradients)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is init.kaiming_uniform_:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        if func is torch.cat and _are_maps(args[0]) and (args[1:], kwargs) in (((1,), {}), ((), {"dim": 1})):
            return _on_no_image(func, ([x[:0] for x in args[0]], *args[1:]), kwargs, args[0][0])
        if func not in _PER_IMAGE | _KEEP_SHAPE or not args or args[0].dim() != 4:
            return func(*args, **kwargs)
        maps = [x for x in args[: 2 if func in _OF_TWO else 1] if isinstance(x, torch.Tensor)]
        if func in _KEEP_SHAPE and torch._C._get_tracing_state() is None and _covers(*maps):
            return maps[0]
        if func in _PER_IMAGE and _are_maps(maps):
            return _on_no_image(func, (*(x[:0] for x in maps), *args[len(maps) :]), kwargs, maps[0])
        return func(*args, **kwargs)


def images(value: Any) -> int:
    """How many images a traced input of an op from case 1 stands for.

    Args:
        value: a `torch._C.Value` with a complete 4-D tensor type, (N, C, H, W).
    """
    count: int = value.type().sizes()[0]
    if count == 0 and value.node().kind() == "aten::slice":
        count = next(value.node().inputs()).type().sizes()[0]
    return count


def _on_no_image(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], first: torch.Tensor) -> Any:
    """The result of a function for as many images as the first of its maps has."""
    out = func(*args, **kwargs)
    with _untraced() as tracing:
        out.resize_((first.shape[0], *out.shape[1:]))
    if tracing:
        torch._C._get_value_trace(out).inferTypeFrom(out)
    return out


def _are_maps(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether they are 4-D and of equally many images."""
    with _untraced():
        return all(x.dim() == 4 and x.shape[0] == tensors[0].shape[0] for x in tensors)


def _covers(tensor: torch.Tensor, *others: torch.Tensor) -> bool:
    """Whether an elementwise operation with the others keeps the shape of the first, which is 4-D."""
    return all(
        other.dim() <= 4 and all(side in (1, mine) for side, mine in zip(other.shape[::-1], tensor.shape[::-1]))
        for other in others
    )


@contextmanager
def _untraced() -> Iterator[bool]:
    """Keep torch.jit from recording looks at shapes, which cost it more than the op; yields whether it is tracing."""
    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)
    try:
        yield state is not None
    finally:
        torch._C._set_tracing_state(state)


def input_channels(model: nn.Module) -> int:
    """Channels of the image that a network reads: by its YAML, else as its first convolution has them."""
    first = next((module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)), 3)
    return channels_in(getattr(model, "yaml", None) or {}, first) or first


def stride_of(model: nn.Module) -> int:
    """The largest stride of a network, of which the sides of its images have to be multiples."""
    strides = getattr(model, "stride", None)
    return max(int(strides.max()), 1) if isinstance(strides, torch.Tensor) else 1


def trained_model(checkpoint: Checkpoint, blocks: BlockTable) -> Model:
    """The architecture of a checkpoint that was read, with as many classes as its output layer is trained for.

    Raises:
        CheckpointError: it holds no model that was built from a YAML.
    """
    module, yaml = checkpoint.model, checkpoint.yaml
    if module is None or not isinstance(yaml, dict):
        raise CheckpointError(f"{checkpoint.path} holds tensors without a model, so it has no rows")
    model = stored_model(yaml, checkpoint.path, blocks)
    rows: Any = module.model
    classes = getattr(rows[-1], "nc", None)
    return replace(
        model,
        classes=classes if isinstance(classes, int) else model.classes,
        measure=lambda: _measured(checkpoint.float_model(), len(model.graph)),
    )


def _measured(model: nn.Module, rows: int) -> list[Shape | None]:
    """What each layer of a model gives for one image; None where that is no map, or where the model does not run."""
    shapes: list[Shape | None] = [None] * rows

    def note(index: int) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.dim() == 4:
                shapes[index] = Shape(output.shape[1], _SIDE / output.shape[2])

        return hook

    hooks = [layer.register_forward_hook(note(index)) for index, layer in enumerate(list(model.model)[: rows - 1])]
    try:
        with ShapesOnly():
            model(torch.zeros(1, input_channels(model), _SIDE, _SIDE))
    except Exception:  # whatever a block of somebody else's raises; what was noted up to there holds
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return shapes
