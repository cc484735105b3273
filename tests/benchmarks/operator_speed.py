"""Operators, form by form, in one process: `python tests/benchmarks/operator_speed.py`, or with `--device 0` on a GPU.

Of each operator, at each kernel size, memory format, batch and shape, these take turns on one input:

- paper: the public code of the LSKA and VAN papers, as it stands there;
- plain: the operator, nothing padded by hand;
- padded: the width padded by hand for each convolution whose padding there is above 6;
- ours: the operator itself, which chooses between the two;
- compiled: ours in `torch.compile`, on a GPU or with `--compile`.

A ratio is that of the first quartiles of the times, for what else the machine does can only add to them; a row has the
geometric mean and the worst over its shapes. With `--train` a turn is a forward and a backward pass. One thread, unless
`--threads` says otherwise; `taskset -c 1 python ...` keeps it on one core.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from collections.abc import Callable, Iterator
from statistics import geometric_mean
from typing import Any

import torch
from torch import Tensor, nn

from lska_surgeon.core.operators import resolve_kernel
from lska_surgeon.errors import KernelError
from lska_surgeon.nn import Operator, build_operator, operators

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
OPS = ("lska", "lka", "lska-trivial", "lka-trivial", "strip", "dilated-reparam", "lska-attention")
ABOVE = 6  # of padding, from which "padded" pads by hand
RUNS_ON_A_GPU = 10  # in a turn, for one is shorter than its launch
MIB_32 = 2**25
SHOWN = (("padded", "plain"), ("ours", "plain"), ("ours", "paper"), ("compiled", "plain"))
HEADER = ("operator", "k", "precision", "format", "batch", "shapes", *(f"{form} / {to}" for form, to in SHOWN))


def paper_lska(part: Any, x: Tensor) -> Tensor:
    """`LSKA.forward` of github.com/StevenLauHKHK/Large-Separable-Kernel-Attention."""
    u = x.clone()
    attn = part.conv0h(x)
    attn = part.conv0v(attn)
    attn = part.conv_spatial_h(attn)
    attn = part.conv_spatial_v(attn)
    attn = part.conv1(attn)
    return u * attn


def paper_lka(part: Any, x: Tensor) -> Tensor:
    """`LKA.forward` of github.com/Visual-Attention-Network/VAN-Classification."""
    u = x.clone()
    attn = part.conv0(x)
    attn = part.conv_spatial(attn)
    attn = part.conv1(attn)
    return u * attn


PAPERS: dict[str, Callable[[Any, Tensor], Tensor]] = {"lska": paper_lska, "lka": paper_lka}
NAME = "_padding_pays"
OURS = vars(operators)[NAME]
#: Form -> for which convolutions the operator pads by hand.
RULES: dict[str, Callable[[Tensor, nn.Conv2d], bool]] = {
    "plain": lambda x, of: False,
    "padded": lambda x, of: bool(of.padding[1] > ABOVE),
}


class Form(nn.Module):
    """An operator, run in another way; a module, for the operator is one and pays for it."""

    def __init__(self, part: Operator, run: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.part, self.run = part, run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.part, x)


def by(rule: Callable[[Tensor, nn.Conv2d], bool], part: Operator) -> Callable[[Tensor], Tensor]:
    """The operator, by a rule that is not its own."""

    def form(x: Tensor) -> Tensor:
        vars(operators)[NAME] = rule
        try:
            y: Tensor = part(x)
        finally:
            vars(operators)[NAME] = OURS
        return y

    return form


def forms(op: str, part: Operator, compiled: bool) -> dict[str, Callable[[Tensor], Tensor]]:
    """What takes turns."""
    found: dict[str, Callable[[Tensor], Tensor]] = {form: by(rule, part) for form, rule in RULES.items()}
    if op in PAPERS:
        found["paper"] = Form(part, PAPERS[op])
    found["ours"] = part
    if compiled:
        found["compiled"] = torch.compile(part)
    return found


def turns(
    runs: dict[str, Callable[[], object]], device: torch.device, seconds: float, most: float
) -> dict[str, list[float]]:
    """Times of each, at least three; none where one run takes longer than `most`."""
    for run in runs.values():
        run()  # what is compiled is compiled now
        if took(run, device) > most:
            return {}
    times: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["plain"]) < 3:
        for name in order:
            times[name].append(took(runs[name], device))
        order.append(order.pop(0))  # or one form would always run behind the same other, in the caches that it leaves
    return times


def took(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of a run; on a GPU, of several. Those of one thread are the processor's, as if the machine were free."""
    if device.type != "cuda":
        clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
        start = clock()
        run()
        return clock() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(RUNS_ON_A_GPU):
        run()
    end.record()
    torch.cuda.synchronize(device)
    return float(begin.elapsed_time(end)) / 1e3


def measured(asked: argparse.Namespace, op: str, k: int, memory: str, dtype: str, shape: tuple[int, int, int]) -> Any:
    """Form -> its times, at one shape: channels, side of the map, batch."""
    channels, side, batch = shape
    torch.manual_seed(0)
    part = build_operator(resolve_kernel(op, k), channels).train(asked.train)
    for merged in [] if asked.train else operators.mergeable(part):  # as fuse() does
        merged.fuse_convs()
        merged.forward = merged.forward_fuse
    x = torch.randn(batch, channels, side, side)
    part.to(asked.device, DTYPES[dtype], memory_format=FORMATS[memory])
    x = x.to(asked.device, DTYPES[dtype], memory_format=FORMATS[memory]).requires_grad_(asked.train)
    gradient = torch.randn_like(x)

    def step(form: Callable[[Tensor], Tensor]) -> None:
        with torch.set_grad_enabled(asked.train), torch.inference_mode(not asked.train):
            y = form(x)
            if asked.train:
                y.backward(gradient)
        x.grad = None
        part.zero_grad()

    compiled = asked.compile or asked.device.type == "cuda"
    runs = {name: (lambda form=form: step(form)) for name, form in forms(op, part, compiled).items()}
    return turns(runs, asked.device, asked.seconds, asked.most)


def rows(asked: argparse.Namespace) -> Iterator[str]:
    """One row for each operator, kernel size, precision, format and batch."""
    every = itertools.product(asked.op, asked.k, asked.dtype, asked.format, asked.batch)
    for op, k, dtype, memory, batch in every:
        if not exists(op, k):
            continue
        ratios: dict[tuple[str, str], list[float]] = {}
        left_out = 0
        for channels, side in itertools.product(asked.channels, asked.maps):
            times = measured(asked, op, k, memory, dtype, (channels, side, batch))
            left_out += not times
            for form, to in itertools.product(times, ("plain", "paper")):
                if to in times:
                    ratios.setdefault((form, to), []).append(quartile(times[form]) / quartile(times[to]))
            if asked.each and times:
                line = ", ".join(f"{form} {ratios[form, 'plain'][-1]:.3f}" for form in times)
                print(f"  {op} k {k} {dtype} {memory} {batch}x{channels}x{side}x{side}: {line}", flush=True)
        cells = [cell(ratios.get(pair)) for pair in SHOWN]
        count = len(ratios.get(("ours", "plain"), ()))
        shapes = f"{count}" + (f" of {count + left_out}" if left_out else "")
        yield f"| {op} | {k} | {dtype} | {memory} | {batch} | {shapes} | {' | '.join(cells)} |"


def exists(op: str, k: int) -> bool:
    """Whether the operator has this kernel size."""
    try:
        resolve_kernel(op, k)
    except KernelError:
        return False
    return True


def quartile(times: list[float]) -> float:
    """The first."""
    return sorted(times)[len(times) // 4]


def cell(ratios: list[float] | None) -> str:
    """Geometric mean, and the worst."""
    return f"{geometric_mean(ratios):.2f} ({max(ratios):.2f})" if ratios else "-"


def main() -> None:
    """Measure, and print one Markdown table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cpu", help="cpu, or the number of a GPU")
    options.add_argument("--threads", type=int, default=1, help="of torch on a CPU")
    options.add_argument("--op", nargs="+", choices=OPS, default=OPS)
    options.add_argument("--k", nargs="+", type=int, default=[7, 11, 23, 35, 41, 53])
    options.add_argument("--dtype", nargs="+", choices=DTYPES, help="fp32; on a GPU all three")
    options.add_argument("--format", nargs="+", choices=FORMATS, default=list(FORMATS))
    options.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    options.add_argument("--channels", nargs="+", type=int, default=[64, 128, 256, 512])
    options.add_argument("--maps", nargs="+", type=int, default=[80, 40, 20])
    options.add_argument("--train", action="store_true", help="forward and backward")
    options.add_argument("--compile", action="store_true", help="torch.compile on a CPU too")
    options.add_argument("--seconds", type=float, default=0.3, help="for each shape, once warm")
    options.add_argument("--most", type=float, default=1.0, help="seconds of a run; longer ones are left out")
    options.add_argument("--each", action="store_true", help="print every shape")
    asked = options.parse_args()
    asked.device = torch.device(f"cuda:{asked.device}" if asked.device.isdigit() else asked.device)
    asked.dtype = asked.dtype or (list(DTYPES) if asked.device.type == "cuda" else ["fp32"])
    torch.set_num_threads(asked.threads)
    # As in any whole network: once a large tensor has been freed, the C library keeps the memory of smaller ones.
    torch.empty(MIB_32 - 2**16, dtype=torch.uint8)
    name = torch.cuda.get_device_name(asked.device) if asked.device.type == "cuda" else platform.processor()
    what = "forward and backward" if asked.train else "forward"
    print(f"{what}; {name or platform.machine()}, threads {asked.threads}, torch {torch.__version__}\n")
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for row in rows(asked):
        print(row, flush=True)


if __name__ == "__main__":
    main()
