"""What the layers of a network take and give in a run: every layer's first call, copied; it knows no second network."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

#: Pixels of a map that is larger than what any pooling of a block sees.
_LARGE = (64, 80)


@dataclass(frozen=True)
class Call:
    """One call of a layer, or of a part of the output layer.

    Attributes:
        inputs: its arguments, copied.
        output: what it gave, copied.
        direct: which of the maps that its layer reads it was given as they are, by their number.
    """

    inputs: tuple[Any, ...]
    output: Any
    direct: tuple[int, ...] = ()


@contextmanager
def recorded(model: nn.Module, only: Collection[str] | None = None) -> Iterator[dict[str, Call]]:
    """The first call of every layer of a network, by its number, and of every part of the output layer, by its path.

    Args:
        model: the network.
        only: note those of these numbers and paths alone.
    """
    calls: dict[str, Call] = {}
    read: list[Tensor] = []
    hooks = []
    last = model.model[-1]
    hooks.append(last.register_forward_pre_hook(partial(_note_reads, read)))
    layers = {str(index): layer for index, layer in enumerate(model.model)}
    parts = {f"{len(model.model) - 1}.{path}": part for path, part in parts_of_output(last).items()}
    for path, part in {**layers, **parts}.items():
        if only is None or path in only:
            hooks.append(part.register_forward_hook(partial(_note, calls, path, read if path in parts else ())))
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def parts_of_output(layer: nn.Module) -> dict[str, nn.Module]:
    """The parts of an output layer that are called one by one: what its lists hold, and what else it has."""
    found = {}
    for name, part in layer.named_children():
        found.update({f"{name}.{n}": one for n, one in part.named_children()} if _is_list(part) else {name: part})
    return found


def _is_list(part: nn.Module) -> bool:
    return isinstance(part, nn.ModuleList)


def _note_reads(read: list[Tensor], layer: nn.Module, inputs: Any) -> None:
    read[:] = tensors_in(inputs)


def _note(
    calls: dict[str, Call], path: str, read: Sequence[Tensor], part: nn.Module, inputs: tuple[Any, ...], output: Any
) -> None:
    if path in calls:
        return
    given = {(one.data_ptr(), one.shape) for one in tensors_in(inputs)}
    direct = tuple(n for n, one in enumerate(read) if (one.data_ptr(), one.shape) in given)
    calls[path] = Call(copied(inputs), copied(output), direct)


def copied(value: Any) -> Any:
    """A copy of all tensors in a value; mappings, lists and tuples keep their kind, as far as it is a plain one."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: copied(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [copied(one) for one in value] if isinstance(value, list) else tuple(map(copied, value))
    return value


def tensors_in(output: Any) -> Iterator[Tensor]:
    """Every tensor in what a model gave, in order; mappings by their sorted keys."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for key in sorted(output, key=str):
            yield from tensors_in(output[key])
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for part in output:
            yield from tensors_in(part)


def equal(one: Any, other: Any) -> bool:
    """Whether two values hold the same tensors, bit for bit in value; none is none to compare."""
    mine, theirs = list(tensors_in(one)), list(tensors_in(other))
    return len(mine) == len(theirs) > 0 and all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(mine, theirs))


def gives(part: nn.Module, call: Call) -> bool:
    """Whether a part gives for the inputs of a call what was given then, bit for bit."""
    try:
        with torch.no_grad():
            return equal(part(*copied(call.inputs)), call.output)
    except Exception:  # of whatever kind: it takes something else
        return False


def called_on_a_large_map(part: nn.Module, call: Call) -> Call:
    """What a part that takes one map gives for one of many more pixels than it was recorded with."""
    (one,) = tensors_in(call.inputs)
    large = torch.randn(1, one.shape[1], *_LARGE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return Call((large,), part(large.clone()))


def strides_of(calls: Mapping[str, Call], image: Tensor, count: int) -> list[float | None]:
    """Pixels of the image per cell of each layer's map; None where a layer gives no single map, or was not called."""
    return [_stride(calls.get(str(index)), image) for index in range(count)]


def _stride(call: Call | None, image: Tensor) -> float | None:
    if call is None or not isinstance(call.output, Tensor) or call.output.dim() != 4 or not call.output.shape[-1]:
        return None
    return float(image.shape[-1] / call.output.shape[-1])
