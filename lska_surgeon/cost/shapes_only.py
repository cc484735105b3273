"""Running a model for its shapes alone, many times faster than for its values; it knows neither fvcore nor Ultralytics.

Costs depend on shapes, and nearly all of a forward pass goes into convolutions and SiLUs. Under `ShapesOnly`:

1. A convolution or SiLU of 4-D maps runs on none of the images, `x[:0]`, which gives the right channels, height and
   width at no cost; the result then grows to all images, its values whatever the memory held.
2. `torch.nn.init.kaiming_uniform_`, the bulk of building a model, fills nothing.
3. There is one thread: to wake others for the little that is left takes longer than doing it.

All else runs as it is. torch.jit traces case 1 as `aten::slice` and the op itself; `images` says for such an op how
many images it stood for. The meta device would be the natural way to do this, but torch.jit does not trace
convolutions there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional, init
from torch.overrides import TorchFunctionMode

_PER_IMAGE = frozenset({torch.conv2d, torch.conv_transpose2d, functional.silu})


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
        if func in _PER_IMAGE and args and args[0].dim() == 4:
            return _on_no_image(func, args, kwargs)
        if func is init.kaiming_uniform_:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
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


def _on_no_image(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    out = func(args[0][:0], *args[1:], **kwargs)
    with _untraced() as tracing:
        out.resize_((args[0].shape[0], *out.shape[1:]))
    if tracing:
        torch._C._get_value_trace(out).inferTypeFrom(out)
    return out


@contextmanager
def _untraced() -> Iterator[bool]:
    """Keep torch.jit from recording looks at shapes, which cost it more than the op; yields whether it is tracing."""
    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)
    try:
        yield state is not None
    finally:
        torch._C._set_tracing_state(state)
