"""How long models take, side by side, on this machine; what they would take elsewhere it does not know.

GFLOPs do not tell the time of large depth-wise kernels. So: models as Ultralytics runs them (fused, in eval mode, in
the memory format that the installed release takes), one fixed input, warm-up until the times are stable, then round
after round of all models (A B C A B C), so that what drifts drifts for all. The first model runs twice under two names:
if it differs from itself by more than 1%, the machine is too noisy, and the result says so.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..checkpoints.checkpoint import open_network
from ..errors import SurgeonError, needs
from ..reports import Report, Result, Table
from ..wording import counted, number_in
from ..yolo.environment import import_offline, in_one_line, quiet

_NOISY, _WIDE = 0.01, 0.03  # how far from 1 the first model against itself may be, and the ends of its interval
_STABLE, _WINDOW, _MOST = 0.05, 5, 60  # change between two windows of runs at which warm-up ends; runs at most
_RESAMPLES = 2000
_SECONDS = 10.0  # for each image, after which Ultralytics' non-maximum suppression would give up
_AGAIN = "the first again"
_HEADER = ("model", "median ms", "p95 ms", "ratio", "95% interval")


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Attributes:
        imgsz: input height and width, pixels.
        batch: images in the input.
        device: as torch names it; "cpu", "0".
        half: half precision.
        threads: of torch or onnxruntime on the CPU; None for their own choice.
        onnx: export first, and run in onnxruntime.
        nms: non-maximum suppression included.
        rounds: how often each model runs.
    """

    imgsz: tuple[int, int] = (640, 640)
    batch: int = 1
    device: str = "cpu"
    half: bool = False
    threads: int | None = None
    onnx: bool = False
    nms: bool = False
    rounds: int = 50


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
    """Models measured side by side.

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
        how, (ratio, low, high) = self.how, self.again
        clock = f", {how['clock_mhz']} MHz" if how["clock_mhz"] else ""
        threads = f", {counted(how['threads'], 'thread')}" if how["threads"] else ""
        size = "x".join(map(str, how["imgsz"])) + (", with NMS" if how["nms"] else "")
        measured = (
            f"{how['device']}{clock}{threads}, {how['runtime']}, {how['precision']}, batch {how['batch']}, {size}, "
            f"{how['rounds']} rounds, torch {how['torch']}, ultralytics {how['ultralytics']}"
        )
        noise = "" if self.quiet else ": this machine is too noisy to tell differences of a few percent"
        return measured, f"the first model against itself: {ratio:.3f} [{low:.3f}, {high:.3f}]{noise}"

    @property
    def quiet(self) -> bool:
        """Whether the first model takes as long as itself, within 1%, and not by chance: its interval within 3%."""
        ratio, low, high = self.again
        return abs(ratio - 1) <= _NOISY and max(abs(low - 1), abs(high - 1)) <= _WIDE

    def report(self) -> Report:
        """The table, and what one has to know to read it; in data, times are seconds."""
        rows = [
            (row.name, f"{row.median * 1e3:.2f}", f"{row.p95 * 1e3:.2f}", f"{row.ratio:.3f}", _interval(row))
            for row in self.rows
        ]
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
    """Models measured side by side, with one number of images after the other.

    Attributes:
        all: one for each number of images.
    """

    all: tuple[Latencies, ...]

    def __iter__(self) -> Iterator[Latencies]:
        return iter(self.all)

    def report(self) -> Report:
        """One table for each number of images, with what one has to know to read it."""
        reports = [one.report() for one in self.all]
        data = {"schema": self.schema, "measurements": [report.data for report in reports]}
        parts = [part for report in reports for part in report.parts]
        return Report("; ".join(report.summary for report in reports), parts, data=data)


def _interval(row: Latency) -> str:
    return f"[{row.low:.3f}, {row.high:.3f}]"


def measure(models: Sequence[tuple[str, nn.Module]], setting: Setting) -> Latencies:
    """Measure models side by side.

    Args:
        models: name and module; they are not changed.
        setting: how.

    Raises:
        SurgeonError: the device is not here, can't do what was asked, or a forward pass fails.
    """
    device = _device(setting)
    for name, model in models if setting.nms else ():
        _check_suppression(name, model)
    with _threads(setting.threads), tempfile.TemporaryDirectory() as folder, quiet(), torch.inference_mode():
        image = torch.rand(setting.batch, 3, *setting.imgsz, generator=torch.Generator().manual_seed(0)).to(
            device, torch.half if setting.half else torch.float
        )
        runners: list[Callable[[], Any]] = []
        for name, model in [*models, (_AGAIN, models[0][1])]:
            try:
                run = _runner(model, image, setting, device, Path(folder, str(len(runners))))
                _warm_up(run, device)
            except SurgeonError:
                raise
            except Exception as error:
                raise SurgeonError(f"{name} can't be run on {device}: {in_one_line(error)}") from error
            runners.append(run)
        times = np.array([[_time(run, device) for run in runners] for _ in range(setting.rounds)])
    rows = [_row(name, times[:, index], times[:, 0]) for index, (name, _) in enumerate(models)]
    return Latencies(tuple(rows), _ratio(times[:, -1], times[:, 0]), _how(setting, device))


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
    if setting.onnx and device.type != "cpu":
        raise SurgeonError("onnxruntime is measured on the CPU: drop device, or onnx")
    missing = [name for name in ("onnx", "onnxruntime") if setting.onnx and importlib.util.find_spec(name) is None]
    if missing:
        raise needs(*missing, what="--onnx")
    return device


def _runner(
    model: nn.Module, image: torch.Tensor, setting: Setting, device: torch.device, folder: Path
) -> Callable[[], Any]:
    """What is timed: a forward pass, with non-maximum suppression where that is asked for."""
    forward = _onnx(model, image, setting, folder) if setting.onnx else _torch(model, image, setting, device)
    if not setting.nms:
        return forward
    suppress = _suppression(model)
    return lambda: suppress(forward())


def _torch(model: nn.Module, image: torch.Tensor, setting: Setting, device: torch.device) -> Callable[[], Any]:
    from ultralytics.nn.autobackend import AutoBackend

    import_offline()
    backend = AutoBackend(copy.deepcopy(model).float(), device=device, fp16=setting.half, verbose=False).eval()
    return lambda: backend(image)


def _onnx(model: nn.Module, image: torch.Tensor, setting: Setting, folder: Path) -> Callable[[], Any]:
    import onnxruntime

    folder.mkdir()
    path = folder / "model.pt"
    with torch.inference_mode(False):
        torch.save({"model": copy.deepcopy(model).float(), "epoch": -1, "train_args": {}}, path)
        with open_network(str(path), trust=True) as network:  # it was written here
            exported = network.export(format="onnx", imgsz=list(setting.imgsz), batch=setting.batch, device="cpu")
    options = onnxruntime.SessionOptions()
    if setting.threads:
        options.intra_op_num_threads = setting.threads
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: image.numpy()}
    return lambda: session.run(None, given)


def _check_suppression(name: str, model: nn.Module) -> None:
    """Refuse a classifier, an RT-DETR, and a module without an output layer of Ultralytics."""
    from ultralytics.nn.modules.head import Detect

    head = _head(model)
    if not isinstance(head, Detect):
        ends = f"{name} ends in {type(head).__name__}"
        raise SurgeonError(f"{ends}, which has no non-maximum suppression: drop nms, or leave this model out")


def _suppression(model: nn.Module) -> Callable[[Any], Any]:
    """What takes a network's output and leaves the boxes that stay.

    What stands behind the scores of the classes (masks' coefficients, keypoints, angles) is no score.
    """
    from ultralytics.nn.modules.head import OBB

    non_max_suppression = _function()
    head: Any = _head(model)
    options = {"nc": head.nc, "rotated": isinstance(head, OBB), "max_time_img": _SECONDS}
    no_duplicates = bool(getattr(head, "end2end", False))

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


def _warm_up(run: Callable[[], Any], device: torch.device) -> None:
    """Run until a window of runs takes as long as the one before."""
    times: list[float] = []
    while len(times) < _MOST:
        times.append(_time(run, device))
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
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _how(setting: Setting, device: torch.device) -> dict[str, Any]:
    """All that the numbers depend on, as far as it can be read."""
    import ultralytics

    cuda = device.type == "cuda"
    return {
        "device": str(torch.cuda.get_device_name(device)) if cuda else _cpu_name(),
        "clock_mhz": _clock(device),
        "threads": None if cuda else setting.threads or torch.get_num_threads(),
        "imgsz": list(setting.imgsz),
        "batch": setting.batch,
        "precision": "fp16" if setting.half else "fp32",
        "runtime": "onnxruntime" if setting.onnx else "torch",
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
