"""Checkpoints: all that Ultralytics writes loads as it was stored, and every other kind of file is named."""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.hostile import build, call, create, mapping, name, pickle_of, tensor, text, write_zip
from support.saved import YAMLS, finished, outputs, refusal, trained, variant_yaml
from support.trained import equal, save
from torch import nn

from lska_surgeon.checkpoints.allowlist import lookup
from lska_surgeon.checkpoints.checkpoint import globals_of, read_checkpoint
from lska_surgeon.errors import CheckpointError, UnsafeCheckpointError
from lska_surgeon.nn import TimmFeatures
from lska_surgeon.yolo.build import build as build_model
from lska_surgeon.yolo.environment import import_offline, quiet


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    return {task: trained(task) for task in YAMLS}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever starts a process or opens a connection fails the test."""

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a process or a connection")

    import_offline()
    monkeypatch.setattr(subprocess.Popen, "__init__", forbidden)
    monkeypatch.setattr("socket.socket.connect", forbidden)


# What it should be


@pytest.mark.parametrize("task", YAMLS)
def test_reads_what_ultralytics_writes(task: str, models: dict[str, nn.Module], tmp_path: Path) -> None:
    model = models[task]
    path = save(tmp_path / "best.pt", finished(model))
    found = read_checkpoint(path)
    assert (found.kind, found.key, found.version, found.refused) == ("checkpoint", "model", "8.3.0", ())
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.data.keys() == finished(model).keys()
    assert (found.names, found.yaml, type(found.model)) == (model.names, model.yaml, type(model))
    assert found.train_args == {"imgsz": 64, "save_dir": Path("runs") / "detect"}
    assert list(found.state_dict) == list(model.state_dict())
    for key, value in model.state_dict().items():
        assert found.state_dict[key].dtype == value.dtype
        assert torch.equal(found.state_dict[key], value)
    plain = torch.serialization.load(path, weights_only=False)["model"]
    assert equal(outputs(found.float_model()), outputs(plain.float().eval()))
    assert next(found.model.parameters()).dtype == torch.float16  # the stored one stays as it is


def test_reads_a_checkpoint_from_the_middle_of_a_training(tmp_path: Path) -> None:
    model = build_model("yolov8n.yaml")
    model.args = vars(sys.modules["ultralytics.utils"])["IterableSimpleNamespace"](box=7.5, cls=0.5, dfl=1.5, imgsz=64)
    model.criterion = model.init_criterion()  # 8.3 leaves it on the model
    data = {
        **finished(model.half()),
        "best_fitness": np.float64(0.25),
        "model": None,
        "ema": model,
        "updates": 12,
        "optimizer": torch.optim.AdamW(model.parameters()).state_dict(),
        "train_metrics": {"fitness": np.float32(0.5), "map": np.bool_(True), "n": np.int64(4)},
        "train_args": {"device": torch.device("cpu"), "shape": torch.Size([64, 64]), "half": torch.float16},
    }
    found = read_checkpoint(save(tmp_path / "last.pt", data))
    assert (found.key, found.data["model"]) == ("ema", None)
    assert "ultralytics.utils.loss.v8DetectionLoss" in globals_of(found.path).allowed
    for key in ("best_fitness", "train_metrics", "optimizer", "train_args"):
        assert found.data[key] == data[key], key
    assert type(found.data["train_metrics"]["n"]) is np.int64
    assert found.model.args.box == 7.5


def test_refuses_a_number_that_no_network_has(tmp_path: Path) -> None:
    model = build_model("yolov8n.yaml")
    model.yaml["head"][-1][3] = [10**400]
    assert "holds a YAML with a number of more than 18 digits" in str(refusal(save(tmp_path / "x.pt", finished(model))))


def test_takes_the_ema_before_the_model(models: dict[str, nn.Module], tmp_path: Path) -> None:
    path = save(tmp_path / "last.pt", {"model": models["detect"], "ema": models["segment"]})
    assert type(read_checkpoint(path).model).__name__ == "SegmentationModel"


def test_reads_a_fused_model(tmp_path: Path) -> None:
    fused = build_model("yolov8n.yaml").eval()
    with quiet():
        fused.fuse(verbose=False)
    path = save(tmp_path / "fused.pt", finished(fused))
    assert "builtins.getattr" in globals_of(path).allowed  # `forward` is `forward_fuse` in it
    assert equal(outputs(read_checkpoint(path).float_model()), outputs(fused))


def test_reads_a_function_of_a_layer(models: dict[str, nn.Module], tmp_path: Path) -> None:
    head = type(models["detect"].model[-1])
    model = trained("segment")
    model.model[-1].detect = head.forward  # as the first releases had it
    path = save(tmp_path / "seg.pt", finished(model))
    assert "builtins.getattr" in globals_of(path).allowed
    assert read_checkpoint(path).model.model[-1].detect is head.forward


def test_reads_the_transforms_of_a_classifier(tmp_path: Path) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    mode = transforms.InterpolationMode.BILINEAR
    model = trained("classify")
    model.transforms = transforms.Compose([transforms.Resize(64, interpolation=mode), transforms.ToTensor()])
    found = read_checkpoint(save(tmp_path / "cls.pt", finished(model)))
    assert found.model.transforms.transforms[0].interpolation is mode


def test_reads_the_layers_of_torchvision(tmp_path: Path) -> None:
    """Rows may name its operators, and a backbone may be one of its models; its functions stay refused, but for one."""
    ops, models = pytest.importorskip("torchvision.ops"), pytest.importorskip("torchvision.models")
    model = trained("detect")
    model.layers = torch.nn.ModuleList([ops.DeformConv2d(4, 4, 3), *models.mobilenet_v3_small().features[:3]])
    path = save(tmp_path / "best.pt", finished(model))
    assert [type(one) for one in read_checkpoint(path).model.layers] == [type(one) for one in model.layers]
    model.builds = models.resnet18
    with pytest.raises(UnsafeCheckpointError, match=r"torchvision\.models\.resnet\.resnet18"):
        read_checkpoint(save(tmp_path / "worse.pt", finished(model)))


def test_reads_the_backbones_of_timm(tmp_path: Path) -> None:
    """And computes with them what they did when they were saved; its functions stay refused, but for one."""
    timm = pytest.importorskip("timm")
    model = trained("detect")
    model.features = TimmFeatures("mobilenetv3_small_050").eval()
    image = torch.rand(1, 3, 64, 64)
    found = read_checkpoint(save(tmp_path / "best.pt", finished(model))).float_model().features
    assert len(found(image)) == 5
    assert all(map(torch.equal, found(image), model.features.float()(image)))
    gelu = timm.models.nfnet.act_with_gamma("gelu")()  # of DeepMind's NFNets: it keeps a function of timm's
    model.features = gelu
    found = read_checkpoint(save(tmp_path / "nfnet.pt", finished(model))).float_model().features
    assert torch.equal(found(image.clone()), gelu(image.clone()))
    model.builds = timm.models.resnet.resnet18
    with pytest.raises(UnsafeCheckpointError, match=r"timm\.models\.resnet\.resnet18"):
        read_checkpoint(save(tmp_path / "worse.pt", finished(model)))


def test_reads_the_plain_data_that_files_hold(models: dict[str, nn.Module], tmp_path: Path) -> None:
    extra = {
        "args": argparse.Namespace(lr=0.1),
        "space": SimpleNamespace(a=[1, 2]),
        "ordered": OrderedDict([("b", 1), ("a", 2)]),
        "set": {1, 2},
        "dtype": np.dtype("<f4"),
        "nested": [(1, None, True), {"x": 1.5}, "Größe"],
    }
    found = read_checkpoint(save(tmp_path / "x.pt", {**finished(models["detect"]), **extra})).data
    for key, value in extra.items():
        assert found[key] == value
        assert type(found[key]) is type(value)


@pytest.mark.parametrize("cls", ["PosixPath", "WindowsPath"])
@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"])
def test_reads_paths_of_either_system(module: str, cls: str, tmp_path: Path) -> None:
    path = call(name(f"{module}.{cls}"), text("runs"), text("x"))
    file = write_zip(tmp_path / "x.pt", pickle_of(mapping(state_dict=mapping(w=tensor()), path=path)))
    assert read_checkpoint(file).data["path"] == Path("runs", "x")


OLD_NAMES = {
    "ultralytics.nn.modules.Conv": "ultralytics.nn.modules.conv.Conv",
    "ultralytics.nn.modules.C2f": "ultralytics.nn.modules.block.C2f",
    "ultralytics.nn.modules.Detect": "ultralytics.nn.modules.head.Detect",
    "ultralytics.nn.modules.block.Silence": "torch.nn.modules.linear.Identity",
    "ultralytics.nn.tasks.YOLOv10DetectionModel": "ultralytics.nn.tasks.DetectionModel",
    "ultralytics.utils.loss.v10DetectLoss": "ultralytics.utils.loss.E2EDetectLoss",
    "ultralytics.yolo.utils.IterableSimpleNamespace": "ultralytics.utils.IterableSimpleNamespace",
    "ultralytics.yolo.utils.loss.BboxLoss": "ultralytics.utils.loss.BboxLoss",
    "ultralytics.yolo.utils.tal.TaskAlignedAssigner": "ultralytics.utils.tal.TaskAlignedAssigner",
    "ultralytics.yolo.data.augment.ToTensor": "ultralytics.data.augment.ToTensor",
}


@pytest.mark.parametrize("trust", [False, True], ids=["safe", "trusted"])
@pytest.mark.parametrize("old", OLD_NAMES)
def test_maps_old_names_as_ultralytics_does(old: str, trust: bool, tmp_path: Path) -> None:
    item = build(create(name(old)), mapping(training=b"\x89"))
    path = write_zip(tmp_path / "old.pt", pickle_of(mapping(state_dict=mapping(w=tensor()), item=item)))
    found = read_checkpoint(path, trust=trust).data["item"]
    assert f"{type(found).__module__}.{type(found).__qualname__}" == OLD_NAMES[old]
    assert found.training is False


def test_reads_the_blocks_of_a_graft(tmp_path: Path) -> None:
    from lska_surgeon.nn import BLOCK_CLASSES

    assert all(lookup(f"lska_surgeon.nn.{cls.__name__}") for cls in BLOCK_CLASSES)
    model = build_model(variant_yaml())
    found = read_checkpoint(save(tmp_path / "variant.pt", finished(model)))
    assert "lska_surgeon.nn.LSKA" in globals_of(found.path).allowed
    assert equal(outputs(found.float_model()), outputs(model.eval()))


def test_a_graft_loads_where_ultralytics_itself_is_restricted(tmp_path: Path) -> None:
    if not hasattr(import_offline(), "_SafeLoad"):
        pytest.skip("this ultralytics has no restricted loading")
    path = save(tmp_path / "variant.pt", finished(build_model(variant_yaml())))
    code = f"""if True:
        import lska_surgeon.nn
        from ultralytics import YOLO
        from ultralytics.nn.tasks import _SafeLoad
        assert _SafeLoad.restricted()
        print(type(YOLO({str(path)!r}).model.model[1]).__name__)
    """
    env = {**os.environ, "ULTRALYTICS_SAFE_LOAD": "1", "YOLO_OFFLINE": "true"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split()[-1:] == ["LSKA"], done.stderr


def test_leaves_torchs_own_list_as_it_was(models: dict[str, nn.Module], tmp_path: Path) -> None:
    torch.serialization.add_safe_globals([SimpleNamespace])
    before = list(torch.serialization.get_safe_globals())
    read_checkpoint(save(tmp_path / "best.pt", finished(models["detect"])))
    assert set(torch.serialization.get_safe_globals()) == set(before)
    with pytest.raises(Exception, match="Unsupported global"):
        torch.serialization.load(tmp_path / "best.pt", weights_only=True)


# Other things that torch.save writes


@pytest.mark.parametrize(
    "wrap",
    [dict, OrderedDict, lambda weights: {"state_dict": weights, "epoch": 1}, lambda weights: {"model": weights}],
    ids=["dict", "OrderedDict", "under state_dict", "under model"],
)
def test_reads_a_state_dict(wrap: Callable[[Any], Any], tmp_path: Path) -> None:
    weights = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).state_dict()
    found = read_checkpoint(save(tmp_path / "weights.pt", wrap(weights)))
    assert (found.kind, found.key, found.model, found.yaml, found.names) == ("state_dict", None, None, None, None)
    assert found.state_dict.keys() == weights.keys()
    assert all(torch.equal(found.state_dict[key], weights[key]) for key in weights)
    with pytest.raises(CheckpointError, match="--into YAML"):
        found.float_model()


def test_reads_a_model_saved_alone(models: dict[str, nn.Module], tmp_path: Path) -> None:
    found = read_checkpoint(save(tmp_path / "model.pt", models["detect"]))
    assert (found.kind, found.key, found.data) == ("model", "model", {"model": found.model})
    assert (found.version, found.train_args) == (None, {})


@pytest.mark.parametrize(
    ("data", "held"),
    [
        ({}, "an empty dictionary"),
        ({"epoch": 3, "model": None}, "a dictionary of epoch, model"),
        ([1, 2], "a list"),
        (torch.zeros(2), "a Tensor"),
        (nn.Conv2d(1, 1, 1), "a Conv2d"),
        ({"model": nn.Sequential(nn.Conv2d(1, 1, 1))}, "a Sequential"),
    ],
    ids=["empty", "no model", "list", "tensor", "layer", "dictionary with a layer"],
)
def test_names_what_holds_no_model(data: Any, held: str, tmp_path: Path) -> None:
    assert f"holds {held}, neither" in str(refusal(save(tmp_path / "x.pt", data)))


def test_a_class_that_this_release_lacks_is_not_called_unsafe(tmp_path: Path) -> None:
    item = build(create(name("ultralytics.nn.modules.block.FromTheFuture")), mapping())
    path = write_zip(tmp_path / "new.pt", pickle_of(mapping(model=item)))
    assert globals_of(path).missing == ("ultralytics.nn.modules.block.FromTheFuture",)
    for trust in (False, True):
        message = str(refusal(path, trust=trust))
        assert "needs ultralytics.nn.modules.block.FromTheFuture, which the installed release" in message
        assert "pip install -U ultralytics; if a fork of ultralytics made it, try lska-surgeon adopt" in message


# Other files


def zip_of(member: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(member, b"x")
    return content.getvalue()


SAFETENSORS = (2).to_bytes(8, "little") + b"{}"
FILES = {
    "empty": (b"", "is empty (0 bytes)"),
    "JPEG": (
        b"\xff\xd8\xff\xe0" + bytes(40),
        "not a checkpoint but a JPEG image: give a .pt that Ultralytics or torch.save wrote",
    ),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(40), "not a checkpoint but a PNG image"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "a gzip archive: unpack it first"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
    "ONNX": (b"\x08\x08\x12\x07pytorch\x1a\x052.4.1", "an ONNX model: use the .pt"),
    "safetensors": (SAFETENSORS, "a safetensors file"),
    "text": (b"nc: 80\n", "not a checkpoint but a text file"),
    "long text": ("é".encode() * 5000, "a text file"),
    "web page": (b"\n<!DOCTYPE html><html>", "a web page"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    "noise": (bytes(range(256)), "a file of another kind: give a .pt"),
    "plain pickle": (pickle.dumps({"a": 1}, protocol=4), "a plain pickle, not written by torch.save"),
    "legacy": (
        lambda path: save(path, {"weight": torch.zeros(2)}, _use_new_zipfile_serialization=False),
        "the format of torch before 1.6",
    ),
    "TorchScript": (
        lambda path: torch.jit.trace(nn.Conv2d(3, 1, 1), torch.zeros(1, 3, 4, 4)).save(str(path)),
        "a TorchScript export",
    ),
    "NumPy archive": (zip_of("a.npy"), "a zip archive that torch.save did not write (with a.npy): give a .pt"),
    "foreign zip": (zip_of("folder/a.txt"), "a zip archive that torch.save did not write"),
    "protocol 4": (lambda path: save(path, {"a": torch.zeros(1)}, pickle_protocol=4), "has pickle protocol 4"),
}


@pytest.mark.parametrize("kind", FILES)
def test_names_other_files(kind: str, tmp_path: Path) -> None:
    content, said = FILES[kind]
    path = tmp_path / "x.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    assert said in str(refusal(path))


def test_names_a_missing_file_and_fetches_nothing(
    offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no file yolov8n.pt" in str(refusal(Path("yolov8n.pt")))
    assert not list(tmp_path.iterdir())


def test_names_a_directory_and_the_checkpoint_in_it(tmp_path: Path) -> None:
    (tmp_path / "best.pt").touch()
    assert f"is a directory: give the checkpoint in it, such as {tmp_path / 'best.pt'}" in str(refusal(tmp_path))


@pytest.mark.parametrize("trust", [False, True], ids=["safe", "trusted"])
def test_names_a_file_that_is_cut_short_anywhere(trust: bool, models: dict[str, nn.Module], tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.pt", finished(models["detect"])).read_bytes()
    for part in (0.01, 0.3, 0.99, 1 - 1 / len(whole)):
        path = tmp_path / "cut.pt"
        path.write_bytes(whole[: int(len(whole) * part)])
        assert "is cut short or damaged" in str(refusal(path, trust=trust))


def test_names_a_file_with_damaged_bytes(models: dict[str, nn.Module], tmp_path: Path) -> None:
    path = save(tmp_path / "x.pt", finished(models["detect"]))
    whole = bytearray(path.read_bytes())
    start = whole.index(b"\x80\x02}")
    messages = []
    for offset in range(start, start + 4000, 97):  # in the pickle, one byte at a time
        damaged = bytearray(whole)
        damaged[offset] ^= 0x55
        path.write_bytes(damaged)
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("cls", ["models.yolo.DetectionModel", "models.yolo.Model", "models.common.Conv"])
@pytest.mark.parametrize("trust", [False, True], ids=["safe", "trusted"])
def test_names_a_checkpoint_of_the_yolov5_repository(offline: None, trust: bool, cls: str, tmp_path: Path) -> None:
    model = build(create(name(cls)), mapping(training=b"\x89"))
    path = write_zip(tmp_path / "yolov5s.pt", pickle_of(mapping(model=model, ema=b"N")))
    assert "is a checkpoint of the YOLOv5 repository" in str(refusal(path, trust=trust))


def test_names_a_class_of_a_script(offline: None, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", pickle_of(mapping(model=build(create(name("__main__.Net")), mapping()))))
    assert "needs __main__.Net, defined in the script that saved it" in str(refusal(path))
    assert "Net" in str(refusal(path, trust=True))


def test_a_trusted_file_gets_nothing_installed(offline: None, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.pt", pickle_of(mapping(model=call(name("no_such_package.nets.Net")))))
    message = str(refusal(path, trust=True))
    assert "needs the module no_such_package" in message
