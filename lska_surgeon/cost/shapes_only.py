"""Running a model for its shapes alone, many times faster than for its values; it knows neither fvcore nor Ultralytics.

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
from typing import Any

import torch
from torch.nn import functional, init
from torch.overrides import TorchFunctionMode

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
    found: int = value.type().sizes()[0]
    if found == 0 and value.node().kind() == "aten::slice":
        found = next(value.node().inputs()).type().sizes()[0]
    return found


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
