"""Exported networks: written by Ultralytics' exporter, and run by its AutoBackend in the runtimes that it knows.

Nothing is installed, downloaded or sent for that: what is missing is named. TorchScript and TensorRT engines are
programs, and are opened only where they are trusted; the other files are data, whose parsers run nothing of them.

What runs computes in single precision, with as many threads as were asked for, whatever a runtime takes by itself.
"""

from __future__ import annotations

import ast
import copy
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

from ..errors import SurgeonError, UnsafeModelError, needs
from ..files import no_file
from ..wording import clean, did_you_mean, error_in_one_line, one_line
from .build import task_of
from .environment import import_offline, in_one_line, quiet

#: What reports to its makers that it is used: of OpenVINO each import and conversion; of MNN's converter each
#: conversion, and it runs pip on its own.
_INFORMERS = ("openvino_telemetry", "MNN.tools.utils.log")
#: An object, an attribute of it, and what is to stand there.
_Patch = tuple[Any, str, Any]
_ABSENT = object()


@dataclass(frozen=True)
class Runtime:
    """What runs networks.

    Attributes:
        name: as users type it.
        format: what Ultralytics' exporter calls its format.
        suffix: how the names of its files end.
        runs: packages that run them.
        exports: packages that only an export needs.
        on_gpu: whether it runs on a GPU.
        program: what such a file is, where it is a program; "" for data.
    """

    name: str
    format: str
    suffix: str
    runs: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    on_gpu: bool = False
    program: str = ""

    def problem(self, *, on_gpu: bool = False, export: bool = False, what: str = "") -> str | None:
        """Why it can't run on this machine, or can't be exported for, in one line that says what to type; or None.

        Args:
            on_gpu: whether it is to run on a GPU.
            export: whether it is to be exported for too.
            what: what asks for it, for the message; "" for its name.
        """
        what = what or self.name
        if self is COREML and sys.platform != "darwin":
            return f"{what} runs on macOS alone"
        if self is TENSORRT and not import_module("torch").cuda.is_available():
            return f"{what} needs an NVIDIA GPU, and torch finds none here"
        if self is TENSORRT and not on_gpu:
            return f"{what} runs on a GPU alone: add --device 0"
        if on_gpu and not self.on_gpu:
            return f"{what} is run on the CPU: leave --device out"
        packages = dict.fromkeys((*self.runs, *(self.exports if export else ())))
        missing = [package for package in packages if util.find_spec(package) is None]
        return str(needs(*missing, what=what)) if missing else None


TORCH = Runtime("torch", "", ".pt", on_gpu=True)
NCNN = Runtime("ncnn", "ncnn", "_ncnn_model", ("ncnn",), ("pnnx",))
TENSORRT = Runtime(
    "tensorrt", "engine", ".engine", ("tensorrt",), ("onnx", "onnxslim"), on_gpu=True, program="a TensorRT engine"
)
COREML = Runtime("coreml", "coreml", ".mlpackage", ("coremltools",))
#: All that can be asked for, by name; torch runs what is not exported.
RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        TORCH,
        Runtime("torchscript", "torchscript", ".torchscript", on_gpu=True, program="TorchScript"),
        Runtime("onnx", "onnx", ".onnx", ("onnxruntime", "onnx"), ("onnxslim",)),
        Runtime("openvino", "openvino", "_openvino_model", ("openvino",)),
        NCNN,
        Runtime("mnn", "mnn", ".mnn", ("MNN",), ("onnx", "onnxslim")),
        TENSORRT,
        COREML,
    )
}


def runtime_named(name: str) -> Runtime:
    """The runtime of that name.

    Raises:
        SurgeonError: there is none.
    """
    if name not in RUNTIMES:
        known = ", ".join(RUNTIMES)
        raise SurgeonError(f"no runtime {name!r}{did_you_mean(name, list(RUNTIMES))}: there are {known}")
    return RUNTIMES[name]


def runtime_of(path: str | os.PathLike[str]) -> Runtime | None:
    """The runtime whose exported files are named so; None for what is none."""
    name = os.path.basename(os.fspath(path).rstrip("/\\")).lower()
    return next((one for one in RUNTIMES.values() if one is not TORCH and name.endswith(one.suffix)), None)


def other_suffix(path: Path, runtime: Runtime) -> str | None:
    """The ending of another runtime's files in a name; releases differ in which counts, and one is a pickle's."""
    name = path.name.lower()
    return next((one.suffix for one in RUNTIMES.values() if one is not runtime and one.suffix in name), None)


def exporter_formats() -> dict[str, str]:
    """Format that the installed Ultralytics exports to -> how the names of its files end."""
    import_offline()
    known = import_module("ultralytics.engine.exporter").export_formats()
    if hasattr(known, "columns"):  # a table of pandas, in releases before 8.3
        known = {name: list(known[name]) for name in known.columns}
    return dict(zip(known["Argument"][1:], known["Suffix"][1:]))


def exported_file(source: Any) -> Path | None:
    """The path of an exported model, by its name; None for what is named otherwise, and for what is no path.

    Raises:
        SurgeonError: it is not there, or a file where it has to be a folder, or the other way round.
    """
    runtime = runtime_of(source) if isinstance(source, (str, os.PathLike)) else None
    if runtime is None:
        return None
    path, folder = Path(source), not runtime.suffix.startswith(".") or runtime is COREML
    found = no_file(path)
    if found is None and not path.exists():
        raise SurgeonError(f"no {'folder' if folder else 'file'} {path}")
    if found != ("a directory" if folder else None):
        raise SurgeonError(
            f"{path} is {found or 'a file'}: give the {'folder' if folder else 'file'} that was exported"
        )
    return path


def export(
    model: Any,
    format: str,
    folder: Path,
    name: str,
    *,
    imgsz: tuple[int, int],
    batch: int = 1,
    record: Mapping[str, str] | None = None,
    called: str = "",
    **asked: Any,
) -> Path:
    """Export a network by Ultralytics' exporter, which fuses a copy of it first.

    Args:
        model: the network; it is not changed.
        format: what the exporter calls the format, "onnx", "engine"; see `Runtime.format`.
        folder: where the product goes; it is there.
        name: of the product, without an ending.
        imgsz: height and width, pixels.
        batch: images in the input.
        record: what the product says of itself, beside what Ultralytics has it say.
        called: what errors call the network; "" for its name.
        **asked: other arguments of the exporter, as releases call them today: device, half, int8, data, dynamic, nms.

    Returns:
        The file, or the folder.

    Raises:
        SurgeonError: the exporter refuses, or gives nothing.
    """
    import_offline()
    import torch
    from ultralytics.cfg import DEFAULT_CFG_DICT
    from ultralytics.engine.exporter import Exporter

    network = copy.deepcopy(model).float()
    network.task = getattr(network, "task", None) or task_of(network.yaml)
    network.pt_path = str(folder / f"{name}.pt")
    trained = getattr(network, "args", None)
    network.args = {**DEFAULT_CFG_DICT, **(trained if isinstance(trained, dict) else {})}
    words = {"device": "cpu", **asked, "format": format, "imgsz": list(imgsz), "batch": batch, "mode": "export"}
    if "quantize" in DEFAULT_CFG_DICT:
        half, int8 = words.pop("half", False), words.pop("int8", False)
        words |= {"quantize": 8 if int8 else 16} if half or int8 else {}

    class Recording(Exporter):  # type: ignore[misc]
        def __setattr__(self, key: str, value: Any) -> None:
            super().__setattr__(key, {**value, **(record or {})} if key == "metadata" else value)

    with tempfile.TemporaryFile() as told:
        try:
            with quiet(), nothing_installed(), _natives_into(told, 1, 2), torch.inference_mode(False):
                made = Path(Recording(overrides=words)(model=network))
        except SurgeonError:
            raise
        except Exception as error:
            raise SurgeonError(f"{called or name} can't be exported to {format}: {in_one_line(error)}") from error
        if not (any(made.iterdir()) if made.is_dir() else made.is_file()):
            told.seek(0)
            lines = told.read().decode(errors="replace").strip().splitlines()
            why = one_line(lines[-1]) if lines else "there is no file"
            raise SurgeonError(f"{called or name} can't be exported to {format}: {why}")
    return made


@dataclass(frozen=True)
class Running:
    """A network in a runtime; called with images, it gives what the network gives.

    Attributes:
        runtime: the runtime.
        backend: Ultralytics' AutoBackend.
        version: the runtime's release.
        precision: in which it computes.
        by_itself: in which it would have, had it not been asked for single precision; "" where that is not known.
    """

    runtime: Runtime
    backend: Any
    version: str
    precision: str
    by_itself: str = ""

    def __call__(self, images: Any) -> Any:
        return self.backend(images.contiguous())  # some read it by its address


def opened(
    model: Any, *, device: Any = "cpu", half: bool = False, threads: int | None = None, trust: bool = False
) -> Running:
    """Open an exported file, or start a network in torch.

    Args:
        model: path of the file or folder, or a network, which is not changed.
        device: where, as torch names it.
        half: half precision, of torch on a GPU.
        threads: threads on the CPU; None for torch's number.
        trust: open what is a program too.

    Raises:
        SurgeonError: the runtime is not here, or refuses the file.
        UnsafeModelError: the file is a program.
    """
    import_offline()
    import torch
    from ultralytics.nn.autobackend import AutoBackend

    device = torch.device(device)
    if isinstance(model, torch.nn.Module):
        started = AutoBackend(copy.deepcopy(model).float(), device=device, fp16=half, verbose=False).eval()
        return Running(TORCH, started, str(torch.__version__), "fp16" if half else "fp32")
    with as_asked(model, threads=threads, on_gpu=device.type != "cpu", trust=trust) as runtime:
        try:
            with open(os.devnull, "wb") as nowhere, _natives_into(nowhere, 2):
                started = AutoBackend(str(model), device=device, fp16=half, verbose=False).eval()
        except Exception as error:
            why = error_in_one_line(error.__cause__ or error)
            problem = f"{model} can't be opened by {runtime.name}: it is damaged, or made for another release"
            raise SurgeonError(f"{problem} ({why}); export it again") from error
        return Running(runtime, started, _version(runtime), *_precisions(runtime, started))


@contextmanager
def as_asked(
    path: str | os.PathLike[str], *, threads: int | None = None, on_gpu: bool = False, trust: bool = False
) -> Iterator[Runtime]:
    """The runtime of an exported file, which for as long as this lasts starts as it is told, in single precision.

    For whatever opens the file, Ultralytics' `YOLO(path).predict(...)` as well.

    Args:
        path: the file or folder.
        threads: threads on the CPU; None for torch's number.
        on_gpu: whether it is to run on a GPU.
        trust: let a program run.

    Raises:
        SurgeonError: there is no such file, or its runtime is not here.
        UnsafeModelError: the file is a program.
    """
    runtime = _runtime_for(Path(path), on_gpu, trust)
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(nothing_installed())
        # older releases run what a file says of itself as a program, where newer ones read it
        stack.enter_context(_patched((import_module("ultralytics.nn.autobackend"), "eval", ast.literal_eval)))
        stack.enter_context(_natives_into(stack.enter_context(open(os.devnull, "wb")), 1))
        configure = _CONFIGURED.get(runtime.name)
        if configure is not None:
            threads = threads or import_module("torch").get_num_threads()
            stack.enter_context(_patched(configure(threads)))
        yield runtime


def _runtime_for(path: Path, on_gpu: bool, trust: bool) -> Runtime:
    """What opens a file, where that is allowed and here."""
    runtime = runtime_of(path)
    if runtime is None:
        known = ", ".join(one.suffix for one in RUNTIMES.values() if one is not TORCH)
        raise SurgeonError(f"{path} is no exported model: those end in {known}")
    exported_file(path)
    other = other_suffix(path, runtime)
    if other:
        raise SurgeonError(f"{path} is named as two formats, {other} and {runtime.suffix}: rename it")
    if runtime.program and not trust:
        raise UnsafeModelError(f"{path} is {runtime.program}, a program: nothing of it was run")
    problem = runtime.problem(on_gpu=on_gpu, what=str(path))
    if problem:
        raise SurgeonError(problem)
    return runtime


@contextmanager
def nothing_installed() -> Iterator[None]:
    """Keep everybody from installing, downloading and reporting, for as long as this lasts.

    Ultralytics was told so if it was imported by us; it may have been here before.
    """
    checks, downloads = import_module("ultralytics.utils.checks"), import_module("ultralytics.utils.downloads")

    def refuse(what: Any = "", *args: Any, **kwargs: Any) -> Any:
        name = clean(os.path.basename(str(what or kwargs.get("url", "a file"))), 60)
        raise SurgeonError(f"this would download {name}: have it here first, since nothing is downloaded for you")

    patches: list[_Patch] = [(checks, "AUTOINSTALL", False)]
    for name in ("safe_download", "attempt_download_asset"):
        holders = (downloads, sys.modules.get("ultralytics.engine.exporter"))
        patches += [(holder, name, refuse) for holder in holders if hasattr(holder, name)]
    absent = [name for name in _INFORMERS if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment] # which says that it can't be imported
    try:
        with ExitStack() as stack:
            for patch in patches:
                stack.enter_context(_patched(patch))
            yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


@contextmanager
def _patched(patch: _Patch) -> Iterator[None]:
    owner, name, value = patch
    before = getattr(owner, name, _ABSENT)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def _configured_onnx(threads: int) -> _Patch:
    runtime = import_module("onnxruntime")
    original = runtime.InferenceSession

    def start(path: Any, sess_options: Any = None, *args: Any, **kwargs: Any) -> Any:
        options = sess_options or runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        return original(path, options, *args, **kwargs)

    return runtime, "InferenceSession", start


def _configured_openvino(threads: int) -> _Patch:
    """By itself it takes bf16 where the processor has it."""
    core = import_module("openvino").Core
    original = core.compile_model
    asked = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}

    def compile_model(self: Any, model: Any, device_name: Any = None, config: Any = None, **kwargs: Any) -> Any:
        return original(self, model, "CPU", {**(config or {}), **asked}, **kwargs)

    return core, "compile_model", compile_model


def _configured_ncnn(threads: int) -> _Patch:
    """By itself it keeps weights and maps in fp16 or bf16 where it can, and only prints that it can't read a file."""
    ncnn = import_module("ncnn")

    class Net(ncnn.Net):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.opt.num_threads = threads
            for kind in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
                if hasattr(self.opt, f"use_{kind}"):
                    setattr(self.opt, f"use_{kind}", False)

        def load_param(self, path: str) -> None:
            self._loaded(path, super().load_param(path))

        def load_model(self, path: str) -> None:
            self._loaded(path, super().load_model(path))

        def _loaded(self, path: str, failed: int) -> None:
            if failed:
                raise ValueError(f"{os.path.basename(path)} can't be read")

    return ncnn, "Net", Net


def _configured_mnn(threads: int) -> _Patch:
    """By itself, and as Ultralytics asks, it takes fp16 or bf16 where the processor has them."""
    module = _mnn()
    original = module.nn.create_runtime_manager

    def create(configs: Any) -> Any:
        return original(tuple({**config, "precision": "high", "numThread": threads} for config in configs))

    return module.nn, "create_runtime_manager", create


def _mnn() -> Any:
    """Newer systems refuse its wheel until Ultralytics has mended a flag in it."""
    files = import_module("ultralytics.utils.files")
    if hasattr(files, "import_execstack"):
        return files.import_execstack("MNN", "_mnncengine*.so", "_tools*.so")
    return import_module("MNN")


#: Where a runtime is told about threads and precision: runtime -> a patch of what starts it, for a number of threads.
_CONFIGURED: dict[str, Callable[[int], _Patch]] = {
    "onnx": _configured_onnx,
    "openvino": _configured_openvino,
    "ncnn": _configured_ncnn,
    "mnn": _configured_mnn,
}


def _version(runtime: Runtime) -> str:
    return metadata.version(runtime.runs[0] if runtime.runs else "torch")


def _precisions(runtime: Runtime, backend: Any) -> tuple[str, str]:
    """In which precision it computes, and in which it would by itself, as far as it tells."""
    if runtime.name == "openvino":
        hint = "INFERENCE_PRECISION_HINT"
        of_processor = import_module("openvino").Core().get_property("CPU", hint)
        return _floats(backend.ov_compiled_model.get_property(hint)), _floats(of_processor)
    if runtime is COREML:
        return "a precision of its own choice", ""
    return "fp16" if getattr(backend, "fp16", False) else "fp32", ""


def _floats(kind: Any) -> str:
    name = str(kind.get_type_name())
    return {"f32": "fp32", "f16": "fp16"}.get(name, name)


@contextmanager
def _natives_into(file: Any, *outputs: int) -> Iterator[None]:
    """Take what code that is no Python prints to standard output (1) or error (2), which are the command's own."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [(number, os.dup(number)) for number in outputs]
    try:
        for number, _ in kept:
            os.dup2(file.fileno(), number)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, before in kept:
            os.dup2(before, number)
            os.close(before)
