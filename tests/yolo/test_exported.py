"""Exported networks: written by Ultralytics' exporter, run in each runtime that is here, as they are told."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.shapes import write_network

from lska_surgeon.errors import SurgeonError, UnsafeModelError
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.exported import RUNTIMES, as_asked, export, nothing_installed, opened, runtime_named, runtime_of

SIZE = 64
EXPORTED = [name for name in RUNTIMES if name != "torch"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(write_network(tmp_path_factory.mktemp("network"))).eval()


def first(output: Any) -> Any:
    return output[0] if isinstance(output, (list, tuple)) else output


@pytest.mark.parametrize("name", EXPORTED)
def test_what_is_exported_gives_what_torch_gives(
    name: str, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    runtime, here, elsewhere = runtime_named(name), tmp_path / "here", tmp_path / "elsewhere"
    if problem := runtime.problem(export=True):
        pytest.skip(problem)
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    path = export(network, runtime.format, here, "tiny", imgsz=(SIZE, SIZE))
    assert runtime_of(path) is runtime
    running = opened(path, threads=1, trust=True)
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, expected = first(running(image)), first(opened(network)(image))
    assert running.precision == "fp32"
    assert float((found - expected).abs().max()) < 1e-3
    assert all(bool((value == before[key]).all()) for key, value in network.state_dict().items())
    assert not list(elsewhere.iterdir())
    for file in [path] if path.is_file() else [file for file in path.iterdir() if file.suffix == ".bin"]:
        os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(SurgeonError, match=f"can't be opened by {name}: it is damaged, or made for another release"):
        opened(path, trust=True)
    assert capfd.readouterr() == ("", "")


def test_programs_need_trust_and_two_formats_are_none(network: Any, tmp_path: Path) -> None:
    path = export(network, "torchscript", tmp_path, "tiny", imgsz=(SIZE, SIZE))
    with pytest.raises(UnsafeModelError) as error:
        opened(path)
    assert str(error.value) == (
        f"{path} is TorchScript, a program: nothing of it was run; if you trust whoever made it, add --trust"
    )
    assert opened(path, trust=True).runtime.name == "torchscript"
    double = tmp_path / "tiny.pt.torchscript"
    shutil.copy(path, double)
    with pytest.raises(SurgeonError, match=r"named as two formats, \.pt and \.torchscript: rename it"):
        opened(double, trust=True)
    (tmp_path / "empty.onnx").write_bytes(b"")
    if RUNTIMES["onnx"].problem() is None:
        with pytest.raises(SurgeonError, match=r"empty\.onnx can't be opened by onnx: it is damaged, or "):
            opened(tmp_path / "empty.onnx")


def test_nothing_is_installed_or_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from ultralytics.utils import checks, downloads

    ran: list[Any] = []
    monkeypatch.setattr(checks, "AUTOINSTALL", True)
    monkeypatch.setattr(checks, "ONLINE", True)
    monkeypatch.setattr(subprocess, "check_output", lambda *words, **more: ran.append(words) or "")
    with nothing_installed():
        assert not checks.check_requirements("a-package-of-nobody")
        with pytest.raises(
            SurgeonError, match=r"this would download pnnx\.zip: have it here first, since nothing is downloaded"
        ):
            downloads.safe_download("https://localhost/pnnx.zip")
        for informer in ("openvino_telemetry", "MNN.tools.utils.log"):
            with pytest.raises(ImportError):
                importlib.import_module(informer)
    assert not ran
    assert checks.AUTOINSTALL


def test_a_runtime_that_is_not_here_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    monkeypatch.setattr(util, "find_spec", lambda name, *rest: None)
    monkeypatch.setattr(sys, "platform", "linux")
    assert RUNTIMES["onnx"].problem(export=True) == (
        'onnx needs onnxruntime, onnx and onnxslim, which are not installed: pip install "lska-surgeon[onnx]"'
    )
    assert RUNTIMES["coreml"].problem() == "coreml runs on macOS alone"
    assert RUNTIMES["torch"].problem(on_gpu=True) is None
    with pytest.raises(SurgeonError, match=r"no runtime 'openvin' \(did you mean openvino\?\): there are torch"):
        runtime_named("openvin")
    with pytest.raises(SurgeonError, match="is no exported model"), as_asked(tmp_path / "a.tflite"):
        pass
