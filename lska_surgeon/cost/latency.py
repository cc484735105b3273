"""How long models take, side by side, on this machine; what they would take elsewhere it does not know.

GFLOPs do not tell the time of large depth-wise kernels, and what they take differs from one runtime to the next. So:
models as Ultralytics runs them (fused, in eval mode, in the memory format that the installed release takes) or exports
them, one fixed input, warm-up until the times are stable, then round after round of all models in all runtimes
(A B C A B C), so that what drifts drifts for all. In each runtime the first model runs twice under two names: if it
differs from itself by more than 1%, the machine is too noisy, and the result says so.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from torch import nn

from ..errors import SurgeonError
from ..reports import Report, Result, Table
from ..wording import counted, number_in
from ..yolo.environment import in_one_line, quiet
from ..yolo.exported import NCNN, TORCH, Running, Runtime, export, opened, runtime_named, runtime_of
from .limits import DEFAULT_SIZE, size_of

_NOISY, _WIDE = 0.01, 0.03  # how far from 1 the first model against itself may be, and the ends of its interval
_STABLE, _WINDOW, _MOST = 0.05, 5, 60  # change between two windows of runs at which warm-up ends; runs at most
_TOO_NOISY = "too noisy to tell differences of a few percent"
_RESAMPLES = 2000
_SECONDS = 10.0  # for each image, after which Ultralytics' non-maximum suppression would give up
_HEADER = ("model", "median ms", "p95 ms", "ratio", "95% interval")
_TASKS = ("detect", "segment", "pose", "obb")  # that have boxes to suppress
#: A network, or the path of an exported one.
Measurable = Union[nn.Module, Path]


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Attributes:
        imgsz: input height and width, pixels; None for those of the first exported file, or 640.
        batch: images in the input.
        device: as torch names it; "cpu", "0".
        half: half precision.
        threads: on the CPU, the same for every runtime; None for torch's own choice.
        runtimes: where networks run; an exported file runs in its own.
        nms: non-maximum suppression included.
        rounds: how often each model runs.
        trust: run exported files that are programs.
    """

    imgsz: tuple[int, int] | None = None
    batch: int = 1
    device: str = "cpu"
    half: bool = False
    threads: int | None = None
    runtimes: tuple[str, ...] = (TORCH.name,)
    nms: bool = False
    rounds: int = 50
    trust: bool = False


@dataclass(frozen=True)
class Latency:
    """One model's times.

    Attributes:
        name: as the user gave it.
        median, p95: seconds.
        ratio: of the medians, to the first model.
        low, high: its 95% interval.
    """

    name: str
    median: float
    p95: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, repr=False)
class Latencies(Result):
    """Models measured side by side in one runtime.

    Attributes:
        rows: the models.
        again: the first model against itself: ratio and interval.
        how: device, versions and all else that the numbers depend on.
    """

    rows: tuple[Latency, ...]
    again: tuple[float, float, float]
    how: Mapping[str, Any]

    @property
    def notes(self) -> tuple[str, str]:
        """What one has to know to read the numbers."""
        return self.where(f", {self.runtime}, {self.precision}"), self.noise

    def where(self, runtime: str = "") -> str:
        """On what, in what, and how much."""
        how = self.how
        clock = f", {how['clock_mhz']} MHz" if how["clock_mhz"] else ""
        threads = f", {counted(how['threads'], 'thread')}" if how["threads"] else ""
        size = "x".join(map(str, how["imgsz"])) + (", with NMS" if how["nms"] else "")
        return (
            f"{how['device']}{clock}{threads}{runtime}, batch {how['batch']}, {size}, {how['rounds']} rounds, "
            f"torch {how['torch']}, ultralytics {how['ultralytics']}"
        )

    @property
    def runtime(self) -> str:
        """The runtime with its release; torch's stands beside Ultralytics'."""
        return TORCH.name if self.how["runtime"] == TORCH.name else f"{self.how['runtime']} {self.how['release']}"

    @property
    def precision(self) -> str:
        """In which precision it computed, and that it was asked to, where it would have computed in another."""
        precision, by_itself = self.how["precision"], self.how["by_itself"]
        return f"{precision} as asked ({by_itself} by itself)" if by_itself not in ("", precision) else str(precision)

    @property
    def noise(self) -> str:
        """How far the first model was from itself, and what follows from that."""
        noise = "" if self.quiet else f": this machine is {_TOO_NOISY}"
        return f"the first model against itself: {self.against_itself}{noise}"

    @property
    def against_itself(self) -> str:
        """The ratio of the first model to itself, with its interval."""
        return " ".join(_ratio_cells(*self.again))

    @property
    def quiet(self) -> bool:
        """Whether the first model takes as long as itself, within 1%, and not by chance: its interval within 3%."""
        ratio, low, high = self.again
        return abs(ratio - 1) <= _NOISY and max(abs(low - 1), abs(high - 1)) <= _WIDE

    def cells(self) -> list[tuple[str, ...]]:
        """The rows of the table."""
        return [
            (row.name, f"{row.median * 1e3:.2f}", f"{row.p95 * 1e3:.2f}", *_ratio_cells(row.ratio, row.low, row.high))
            for row in self.rows
        ]

    def report(self) -> Report:
        """The table, and what one has to know to read it; in data, times are seconds."""
        rows = self.cells()
        ratio, low, high = self.again
        data = {
            "schema": self.schema,
            "rows": [vars(row) for row in self.rows],
            "again": {"ratio": ratio, "low": low, "high": high, "quiet": self.quiet},
            "how": dict(self.how),
            "notes": list(self.notes),
        }
        summary = "; ".join(f"{name}: {median} ms" for name, median, *_ in rows)
        return Report(summary, (Table(_HEADER, rows, range(1, 5)), *self.notes), data=data)


@dataclass(frozen=True, repr=False)
class Measurements(Result):
    """Models measured side by side in several runtimes, or with one number of images after the other.

    Attributes:
        all: one for each number of images and runtime.
        left_out: runtimes that are not here, each with what to type.
    """

    all: tuple[Latencies, ...]
    left_out: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Latencies]:
        return iter(self.all)

    def report(self) -> Report:
        """For each number of images a table of all runtimes, their ratios side by side, and how to read them."""
        parts: list[Any] = []
        for batch in dict.fromkeys(one.how["batch"] for one in self.all):
            parts += _parts([one for one in self.all if one.how["batch"] == batch])
        data = {
            "schema": self.schema,
            "measurements": [one.report().data for one in self.all],
            "left_out": list(self.left_out),
        }
        summary = "; ".join(f"{one.how['runtime']}: {one.report().summary}" for one in self.all)
        return Report(summary, parts, [f"left out: {why}" for why in self.left_out], data)


def _ratio_cells(ratio: float, low: float, high: float) -> tuple[str, str]:
    return f"{ratio:.3f}", f"[{low:.3f}, {high:.3f}]"


def _parts(measured: Sequence[Latencies]) -> list[Any]:
    """What is shown of one number of images."""
    if len(measured) == 1:
        return [*measured[0].report().parts]
    names = [one.how["runtime"] for one in measured]
    rows = [(name, *cells) for name, one in zip(names, measured) for cells in one.cells()]
    groups = np.cumsum([len(one.rows) for one in measured])[:-1].tolist()
    parts: list[Any] = [Table(("runtime", *_HEADER), rows, range(2, 6), groups)]
    models = list(dict.fromkeys(row.name for one in measured for row in one.rows))
    ratios = [{row.name: f"{row.ratio:.3f}" for row in one.rows} for one in measured]
    if len(models) > 1 and any(len(one.rows) > 1 for one in measured):
        side_by_side = [(model, *(known.get(model, "") for known in ratios)) for model in models]
        parts.append(Table(("ratio", *names), side_by_side, range(1, len(names) + 1)))
    told = [(one.runtime, one.precision, one.against_itself, "" if one.quiet else _TOO_NOISY) for one in measured]
    return [*parts, Table(("runtime", "precision", "the first model against itself", ""), told), measured[0].where()]


@dataclass(frozen=True)
class _Started:
    """A model that runs in a runtime; `run` is what is timed."""

    name: str
    running: Running
    run: Callable[[], Any]


def measure(models: Sequence[tuple[str, Measurable]], settings: Sequence[Setting]) -> Measurements:
    """Measure models side by side, in every runtime that was asked for and is here.

    Args:
        models: name, and module or exported file; they are not changed.
        settings: how, one after the other; they differ in the number of images.

    Raises:
        SurgeonError: the device is not here, can't do what was asked, none of the runtimes is here, or a forward pass
            fails.
    """
    device = _device(settings[0])
    for name, model in models if settings[0].nms else ():
        if not isinstance(model, Path):
            _check_suppression(name, model)
    here = [_runtimes_here(models, setting, device) for setting in settings]
    measured = [
        one
        for setting, (runtimes, _) in zip(settings, here)
        for one in _measured(list(_pairs(models, runtimes)), setting, device)
    ]
    return Measurements(tuple(measured), here[0][1])


def _measured(
    models: Sequence[tuple[str, Measurable, Runtime]], setting: Setting, device: torch.device
) -> Iterator[Latencies]:
    """Models in their runtimes, with one number of images."""
    threads = setting.threads or torch.get_num_threads()
    groups: dict[str, list[_Started]] = {}
    with _threads(threads), tempfile.TemporaryDirectory() as folder, quiet(), torch.inference_mode():
        start = _Starter(setting, device, threads, Path(folder))
        files = {name: start(name, model) for name, model, _ in models if isinstance(model, Path)}
        size = setting.imgsz or next(filter(None, map(_size_of, files.values())), size_of(DEFAULT_SIZE))
        for name, running in files.items():
            _check_input(name, running, size, setting.batch)
        image = torch.rand(setting.batch, 3, *size, generator=torch.Generator().manual_seed(0)).to(
            device, torch.half if setting.half else torch.float
        )
        for name, model, runtime in models:
            source = start.exported(name, model, runtime, size)
            group = groups.setdefault(runtime.name, [])
            for _ in range(1 if group else 2):  # the first one again, from the same file
                running = start(name, source)
                group.append(_Started(name, running, _runner(running, model, image, setting)))
                _warm_up(group[-1], device)
        lines = [one for group in groups.values() for one in (*group[:1], *group[2:], group[1])]
        found = np.array([[_time(one.run, device) for one in lines] for _ in range(setting.rounds)])
    times = dict(zip(map(id, lines), found.T))
    for first, again, *others in groups.values():
        own = times[id(first)]
        rows = tuple(_row(one.name, times[id(one)], own) for one in (first, *others))
        yield Latencies(rows, _ratio(times[id(again)], own), _how(setting, size, device, threads, first.running))


def _pairs(
    models: Sequence[tuple[str, Measurable]], runtimes: Sequence[Runtime]
) -> Iterator[tuple[str, Measurable, Runtime]]:
    """Each network in each runtime, and each file in its own."""
    for name, model in models:
        own = runtime_of(model) if isinstance(model, Path) else None
        for runtime in [own] if own else runtimes:
            yield name, model, runtime


def _runtimes_here(
    models: Sequence[tuple[str, Measurable]], setting: Setting, device: torch.device
) -> tuple[list[Runtime], tuple[str, ...]]:
    """The runtimes for networks that are here, and of the others why they are not."""
    networks = any(not isinstance(model, Path) for _, model in models)
    asked = [runtime_named(name) for name in setting.runtimes] if networks else []
    files = [runtime_of(model) for _, model in models if isinstance(model, Path)]
    if setting.batch > 1 and NCNN in (*asked, *files):
        raise SurgeonError(
            f"ncnn takes one image at a time: exported for {setting.batch}, it crashes or answers wrongly; "
            "measure it with --batch 1, or leave it out"
        )
    on_gpu = device.type != "cpu"
    problems = {one: one.problem(on_gpu=on_gpu, export=True, what=f"runtime {one.name}") for one in asked}
    left_out = tuple(problem for problem in problems.values() if problem)
    here = [one for one, problem in problems.items() if problem is None]
    if networks and not here:
        raise SurgeonError("; ".join(left_out))
    return here, left_out


@dataclass(frozen=True)
class _Starter:
    """What exports and opens models."""

    setting: Setting
    device: torch.device
    threads: int
    folder: Path

    def exported(self, name: str, model: Measurable, runtime: Runtime, size: tuple[int, int]) -> Measurable:
        """A network exported for a runtime, in a folder of its own, where it is not torch."""
        if isinstance(model, Path) or runtime is TORCH:
            return model
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        on_gpu = self.device.type == "cuda"
        where: dict[str, Any] = {"device": self.device.index or 0, "half": self.setting.half} if on_gpu else {}
        batch = self.setting.batch
        return export(model, runtime.format, folder, "model", imgsz=size, batch=batch, called=name, **where)

    def __call__(self, name: str, model: Measurable) -> Running:
        """A network in torch, or an exported file in its runtime."""
        trust = self.setting.trust or (isinstance(model, Path) and self.folder in model.parents)  # written here
        try:
            return opened(model, device=self.device, half=self.setting.half, threads=self.threads, trust=trust)
        except SurgeonError:
            raise
        except Exception as error:
            raise _cant_run(name, self.device, error) from error


def _cant_run(name: str, where: object, error: Exception) -> SurgeonError:
    return SurgeonError(f"{name} can't be run on {where}: {in_one_line(error)}")


def _runner(running: Running, model: Measurable, image: torch.Tensor, setting: Setting) -> Callable[[], Any]:
    """What is timed: a forward pass, with non-maximum suppression where that is asked for."""
    if not setting.nms:
        return lambda: running(image)
    suppress = _suppression_of_file(model, running.backend) if isinstance(model, Path) else _suppression(model)
    return lambda: suppress(running(image))


def _size_of(running: Running) -> tuple[int, int] | None:
    """Height and width that a file was exported for, where it says so."""
    size = getattr(running.backend, "imgsz", None)
    known = isinstance(size, (list, tuple)) and len(size) == 2 and all(type(side) is int for side in size)
    return size_of((size[0], size[1])) if known and size else None


def _check_input(name: str, running: Running, size: tuple[int, int], batch: int) -> None:
    """Refuse a file that was exported for another input."""
    own = _size_of(running)
    if getattr(running.backend, "dynamic", False) or own is None:
        return
    if own != size:
        shown, asked = ("x".join(map(str, pair)) for pair in (own, size))
        raise SurgeonError(f"{name} was exported for {shown}, not {asked}: add --imgsz {own[0]},{own[1]}")
    images = getattr(running.backend, "batch", batch)
    if images != batch:
        raise SurgeonError(f"{name} was exported for {counted(images, 'image')} at once: add --batch {images}")


def _device(setting: Setting) -> torch.device:
    name = setting.device if number_in(setting.device) is None else f"cuda:{setting.device}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        count = torch.cuda.device_count()
        there = ", ".join([*map(str, range(count)), "cpu"])
        raise SurgeonError(f"no device {setting.device!r} here: there are {there}") from error
    if setting.half and device.type == "cpu":
        raise SurgeonError("half precision is for GPUs, and Ultralytics runs single precision on a CPU: drop half")
    return device


def _check_suppression(name: str, model: nn.Module) -> None:
    """Refuse a classifier, an RT-DETR, and a module without an output layer of Ultralytics."""
    from ultralytics.nn.modules.head import Detect

    head = _head(model)
    if not isinstance(head, Detect):
        ends = f"{name} ends in {type(head).__name__}"
        raise SurgeonError(f"{ends}, which has no non-maximum suppression: drop nms, or leave this model out")


def _suppression(model: nn.Module) -> Callable[[Any], Any]:
    """What takes a network's output and leaves the boxes that stay."""
    from ultralytics.nn.modules.head import OBB

    head: Any = _head(model)
    return _suppressing(head.nc, isinstance(head, OBB), bool(getattr(head, "end2end", False)))


def _suppression_of_file(path: Path, backend: Any) -> Callable[[Any], Any]:
    """The same of an exported file, by what it says of itself."""
    task = getattr(backend, "task", None)
    if task not in _TASKS:
        raise SurgeonError(
            f"{path} is exported for {task or 'a task that it does not tell'}, which has no non-maximum suppression: "
            "drop nms, or leave this model out"
        )
    return _suppressing(len(backend.names), task == "obb", bool(getattr(backend, "end2end", False)))


def _suppressing(classes: int, rotated: bool, no_duplicates: bool) -> Callable[[Any], Any]:
    """What stands behind the scores of the classes (masks' coefficients, keypoints, angles) is no score."""
    non_max_suppression = _function()
    options = {"nc": classes, "rotated": rotated, "max_time_img": _SECONDS}

    def suppress(output: Any) -> Any:
        while isinstance(output, (list, tuple)):  # beside the boxes: prototypes of masks, and what the loss takes
            output = output[0]
        boxes = torch.as_tensor(output)
        # releases that know no such option tell these outputs by their six columns
        more = {"end2end": True} if no_duplicates and boxes.shape[-1] != 6 else {}
        return non_max_suppression(boxes, **options, **more)

    return suppress


def _function() -> Callable[..., Any]:
    try:
        from ultralytics.utils.nms import non_max_suppression
    except ImportError:  # where it is in releases before 8.3.200
        from ultralytics.utils.ops import non_max_suppression
    function: Callable[..., Any] = non_max_suppression
    return function


def _head(model: nn.Module) -> nn.Module:
    layers = getattr(model, "model", None)
    return layers[-1] if isinstance(layers, nn.Sequential) and len(layers) else model


def _warm_up(one: _Started, device: torch.device) -> None:
    """Run until a window of runs takes as long as the one before."""
    times: list[float] = []
    while len(times) < _MOST:
        try:
            times.append(_time(one.run, device))
        except Exception as error:
            where = device if one.running.runtime is TORCH else one.running.runtime.name
            raise _cant_run(one.name, where, error) from error
        if len(times) >= 2 * _WINDOW:
            before, now = np.median(times[-2 * _WINDOW : -_WINDOW]), np.median(times[-_WINDOW:])
            if abs(now - before) <= _STABLE * before:
                return


def _time(run: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one run: by the GPU's own events, else by a clock that never goes back."""
    if device.type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize(device)
        return float(begin.elapsed_time(end)) / 1e3
    start = time.perf_counter()
    run()
    if device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter() - start


def _row(name: str, times: np.ndarray, first: np.ndarray) -> Latency:
    ratio, low, high = _ratio(times, first)
    return Latency(name, float(np.median(times)), float(np.percentile(times, 95)), ratio, low, high)


def _ratio(times: np.ndarray, first: np.ndarray) -> tuple[float, float, float]:
    """The ratio of medians, and its 95% interval, by resampling rounds."""
    ratio = float(np.median(times) / np.median(first))
    if times is first or np.array_equal(times, first):
        return ratio, ratio, ratio
    rng = np.random.default_rng(0)
    rounds = rng.integers(0, len(times), (_RESAMPLES, len(times)))
    ratios = np.median(times[rounds], axis=1) / np.median(first[rounds], axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return ratio, float(low), float(high)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _how(
    setting: Setting, size: tuple[int, int], device: torch.device, threads: int, running: Running
) -> dict[str, Any]:
    """All that the numbers depend on, as far as it can be read."""
    import ultralytics

    cuda = device.type == "cuda"
    return {
        "device": str(torch.cuda.get_device_name(device)) if cuda else _cpu_name(),
        "clock_mhz": _clock(device),
        "threads": None if cuda else threads,
        "imgsz": list(size),
        "batch": setting.batch,
        "precision": running.precision,
        "by_itself": running.by_itself,
        "runtime": running.runtime.name,
        "release": running.version,
        "nms": setting.nms,
        "rounds": setting.rounds,
        "torch": str(torch.__version__),
        "ultralytics": str(ultralytics.__version__),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _clock(device: torch.device) -> int | None:
    """The clock now, MHz, where it can be read."""
    try:
        if device.type == "cuda":
            return int(torch.cuda.clock_rate(device))
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return round(float(next(line.partition(":")[2] for line in lines if line.startswith("cpu MHz"))))
    except Exception:  # no permission, no such file, no NVML: then it is left out
        return None
