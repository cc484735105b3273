"""Adopting checkpoints that were made after a tutorial: classes pasted into a module that no other installation has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from support import shapes
from torch import Tensor, nn
from ultralytics.nn.modules import block as plain
from ultralytics.nn.modules.conv import Conv

import lska_surgeon
from lska_surgeon.checkpoints.allowlist import adopting
from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.cli.main import main
from lska_surgeon.errors import CheckpointError, UnsafeCheckpointError
from lska_surgeon.grafting.certificate import image_from
from lska_surgeon.yolo.build import build

PAPER = {7: (3, 3, 2), 11: (3, 5, 2), 23: (5, 7, 3), 35: (5, 11, 3)}


class LSKA(nn.Module):
    """As the paper's public code has it: every length spelt out for each kernel size."""

    def __init__(self, dim: int, k_size: int) -> None:
        super().__init__()
        a, b, d = PAPER[k_size]
        self.k_size = k_size
        self.conv0h = nn.Conv2d(dim, dim, (1, a), (1, 1), (0, (a - 1) // 2), groups=dim)
        self.conv0v = nn.Conv2d(dim, dim, (a, 1), (1, 1), ((a - 1) // 2, 0), groups=dim)
        self.conv_spatial_h = nn.Conv2d(dim, dim, (1, b), 1, (0, b // 2 * d), d, groups=dim)
        self.conv_spatial_v = nn.Conv2d(dim, dim, (b, 1), 1, (b // 2 * d, 0), d, groups=dim)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        u = x.clone()
        attn = self.conv_spatial_v(self.conv_spatial_h(self.conv0v(self.conv0h(x))))
        found: Tensor = u * self.conv1(attn)
        return found


class LSKAttention(nn.Module):
    """The paper's attention block, by the name of a well-known tutorial."""

    def __init__(self, dim: int, k_size: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(dim, dim, 1)
        self.activation = nn.GELU()
        self.spatial_gating_unit = LSKA(dim, k_size)
        self.proj_2 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x)))) + x
        return found


class SPPF_LSKA(nn.Module):
    """SPPF with LSKA on the concatenated features."""

    def __init__(self, c1: int, c2: int, k: int = 5) -> None:
        super().__init__()
        half = c1 // 2
        self.cv1 = Conv(c1, half, 1, 1)
        self.cv2 = Conv(half * 4, c2, 1, 1)
        self.m = nn.MaxPool2d(k, 1, k // 2)
        self.lska = LSKA(half * 4, 11)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cv1(x)
        y1 = self.m(x)
        y2 = self.m(y1)
        found: Tensor = self.cv2(self.lska(torch.cat((x, y1, y2, self.m(y2)), 1)))
        return found


class Bottleneck_LSKA(plain.Bottleneck):
    """A bottleneck with LSKA in its residual branch, under another attribute name."""

    def __init__(self, c1: int, c2: int, shortcut: bool, k_size: int) -> None:
        super().__init__(c1, c2, shortcut, e=1.0)
        self.attention = LSKA(c2, k_size)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(self.cv2(self.cv1(x)))
        return x + y if self.add else y


class C2f_LSKA(plain.C2f):
    """C2f of these."""

    def __init__(self, c1: int, c2: int, k_size: int) -> None:
        super().__init__(c1, c2, 1, True)
        self.m = nn.ModuleList([Bottleneck_LSKA(self.c, self.c, True, k_size)])


class C2f_LSKA_Attention(plain.C2f):
    """C2f of attention blocks."""

    def __init__(self, c1: int, c2: int, k_size: int = 7) -> None:
        super().__init__(c1, c2, 1, False)
        self.m = nn.ModuleList([LSKAttention(self.c, k_size)])


class Other(nn.Module):
    """Something else under a familiar name."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv1(x)
        return found


class LSKBlock(LSKAttention):
    """The paper's attention block, by another name that people give it."""


OURS = (LSKA, LSKAttention, LSKBlock, SPPF_LSKA, Bottleneck_LSKA, C2f_LSKA, C2f_LSKA_Attention, Other)


@pytest.fixture(params=["ultralytics.nn.LSKA", "ultralytics.nn.modules.LSKA", "models.common", "__main__"])
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that is there while a file is saved, and gone afterwards."""
    name = str(request.param)
    yield from _home(name, monkeypatch)


def _home(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    module = sys.modules[name] if name == "__main__" else types.ModuleType(name)
    for cls in OURS:
        monkeypatch.setattr(module, cls.__name__, cls, raising=False)
        monkeypatch.setattr(cls, "__module__", name)
    if name != "__main__":
        monkeypatch.setitem(sys.modules, name, module)
    if name.startswith("models."):
        monkeypatch.setitem(sys.modules, "models", types.ModuleType("models"))
    yield name


def tutorial(
    folder: Path, monkeypatch: pytest.MonkeyPatch, replace: dict[int, tuple[nn.Module, str, list[Any]]]
) -> Path:
    """The small network with layers replaced by pasted classes, trained enough to have a say, saved; classes gone."""
    torch.manual_seed(1)
    model = build(shapes.write_network(folder)).train()
    split = len(model.yaml["backbone"])
    for index, (layer, block, args) in replace.items():
        old = model.model[index]
        layer.i, layer.f, layer.np = old.i, old.f, sum(p.numel() for p in layer.parameters())
        layer.type = f"{type(layer).__module__}.{type(layer).__name__}"
        model.model[index] = layer
        row = model.yaml["backbone"][index] if index < split else model.yaml["head"][index - split]
        row[1:] = [1, block, args]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    model(torch.rand(4, 3, 64, 64))
    for norm in norms:
        norm.momentum = 0.03
    model.names = {0: "square", 1: "circle"}
    model.eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.save(x, folder / "input.pt")
        torch.save(model(x)[0], folder / "outputs.pt")
    path = folder / "tutorial.pt"
    torch.serialization.save({"epoch": -1, "model": model, "ema": None, "train_args": {"imgsz": 64}}, path)
    homes = {cls.__module__ for cls in OURS}
    monkeypatch.undo()
    assert not homes & set(sys.modules) - {"__main__", __name__}
    return path


def every_case(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return tutorial(
        folder,
        monkeypatch,
        {
            2: (C2f_LSKA(16, 16, 7), "C2f_LSKA", [16, True]),
            4: (LSKA(16, 23), "LSKA", [16, 23]),
            5: (SPPF_LSKA(16, 16), "SPPF_LSKA", [16, 5]),
            8: (C2f_LSKA_Attention(32, 16), "C2f_LSKA_Attention", [16]),
        },
    )


def test_every_case_is_adopted_and_computes_the_same(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = every_case(tmp_path, monkeypatch)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    done = lska_surgeon.adopt(path)
    found = {one.origin.rpartition(".")[2]: (one.block, one.kernel.op, one.kernel.k) for one in done.adopted}
    assert found["C2f_LSKA"] == ("C2fLSKA", "lska", 7)
    assert found["SPPF_LSKA"] == ("SPPFLSKA", "lska", 11)
    assert found["C2f_LSKA_Attention"] == ("C2f_LSKA_Attention", "lska-attention", 7)
    assert {one.origin.rpartition(".")[0] for one in done.adopted} == {home}
    assert done.notes == ()
    written = done.write()
    again = read_checkpoint(written)
    model = again.float_model()
    with torch.no_grad():
        found = model(torch.load(tmp_path / "input.pt"))[0]
    # Padding by hand, as ours do on a CPU, gives the same but for rounding.
    assert torch.allclose(found, torch.load(tmp_path / "outputs.pt"), rtol=1e-5, atol=1e-4)
    rows = [row[2] for row in [*model.yaml["backbone"], *model.yaml["head"]]]
    assert [rows[2], rows[4], rows[5], rows[8]] == ["C2f_LSKA", "LSKA", "SPPF_LSKA", "C2f_LSKA_Attention"]


@pytest.fixture
def pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for _ in _home("ultralytics.nn.LSKA", monkeypatch):
        return every_case(tmp_path, monkeypatch)
    raise AssertionError


FROM_THEN_ON = """
import os, torch
from ultralytics import YOLO

def stop(trainer):
    if trainer.epoch == 1:
        raise KeyboardInterrupt

network = YOLO("tutorial-adopted.pt")
network.add_callback("on_train_batch_end", stop)
try:
    network.train(data=DATA, epochs=2, imgsz=64, batch=2, workers=0, device="cpu", plots=False,
                  project=os.getcwd(), name="run")
except KeyboardInterrupt:
    pass
YOLO("run/weights/last.pt").train(resume=True, workers=0, device="cpu", plots=False)
trained = YOLO("run/weights/last.pt")
print([type(layer).__name__ for layer in trained.model.model])
exported = torch.jit.load(YOLO("tutorial-adopted.pt").export(format="torchscript", imgsz=64, device="cpu"))
with torch.no_grad():
    print("same:", float((exported(torch.load("input.pt"))[0] - torch.load("outputs.pt")[0]).abs().max()) < 1e-3)
"""


def test_from_then_on_it_opens_trains_resumes_and_exports_anywhere(pasted: Path) -> None:
    lska_surgeon.adopt(pasted).write()
    code = FROM_THEN_ON.replace("DATA", repr(str(shapes.write_data(pasted.parent))))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=pasted.parent)
    assert done.returncode == 0, done.stderr
    assert "same: True" in done.stdout
    assert "'C2fLSKA', 'Conv', 'LSKA', 'SPPFLSKA'" in done.stdout
    assert len((pasted.parent / "run" / "results.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_what_is_grafted_onto_it_comes_off_again(pasted: Path) -> None:
    adopted = lska_surgeon.adopt(pasted).write()
    grafted = lska_surgeon.graft(adopted, "after:1", k=7, output=pasted.with_name("grafted.pt"))
    assert grafted.certificate.max_delta == 0.0
    back = read_checkpoint(lska_surgeon.ungraft(grafted.write()).write(pasted.with_name("back.pt")))
    assert all(
        torch.equal(back.state_dict[name], tensor) for name, tensor in read_checkpoint(adopted).state_dict.items()
    )


def test_a_block_of_another_name_is_adopted_by_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in _home("models.common", monkeypatch):
        path = tutorial(tmp_path, monkeypatch, {4: (LSKBlock(16, 11), "LSKBlock", [16, 11])})
    found = {one.origin: (one.kernel.op, one.kernel.k) for one in lska_surgeon.adopt(path).adopted}
    assert found["models.common.LSKBlock"] == ("lska-attention", 11)


def test_the_command_compares_with_the_originals_outputs(pasted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pasted.parent)
    words = ["adopt", "tutorial.pt", "--image", "input.pt", "--against", "outputs.pt"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "ultralytics.nn.LSKA.C2f_LSKA -> C2fLSKA, lska k7 (layer 2); assumed: x + operator" in result.stdout
    same = r"max \|Δ\| to the original's outputs: (0|[1-9][\d.]*e-0[5-9])\n$"
    assert re.search(same, result.stdout)
    cv2.imwrite("image.png", np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8))
    model = lska_surgeon.adopt("tutorial.pt").checkpoint().float_model()
    with torch.no_grad():
        torch.save(model(image_from(Path("image.png"), model))[0], "of-image.pt")
    words = ["adopt", "tutorial.pt", "--image", "image.png", "--against", "of-image.pt", "--force"]
    assert re.search(same, CliRunner().invoke(main, words).stdout)
    torch.save(torch.load("outputs.pt") + 1, "other.pt")
    result = CliRunner().invoke(
        main, ["adopt", "tutorial.pt", "--image", "input.pt", "--against", "other.pt", "-o", "b.pt"]
    )
    assert result.exit_code == 1
    assert re.search(r"the outputs differ by up to 1(\.0000\d*)?, so nothing was written", result.stderr)  # of float32
    assert not Path("b.pt").exists()


def test_json_and_dry_run(pasted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pasted.parent)
    result = CliRunner().invoke(main, ["adopt", "tutorial.pt", "--dry-run", "--json"])
    found = json.loads(result.stdout)
    assert (found["output"], found["max_delta"], found["schema"]) == ("tutorial-adopted.pt", None, 1)
    assert {one["class"] for one in found["adopted"]} >= {"ultralytics.nn.LSKA.SPPF_LSKA"}
    assert not Path("tutorial-adopted.pt").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "conv1", nn.Conv2d(16, 16, 1, bias=False)),
        lambda m: setattr(m, "extra", nn.BatchNorm2d(16)),
        lambda m: setattr(m.conv_spatial_h, "dilation", (2, 2)),
        lambda m: setattr(m.conv0h, "padding", (0, 1)),
    ],
    ids=["no bias", "a norm besides", "another dilation", "another padding"],
)
def test_what_does_not_fit_exactly_is_refused(change: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in _home("ultralytics.nn.LSKA", monkeypatch):
        layer = LSKA(16, 23)
        path = tutorial(tmp_path, monkeypatch, {4: (layer, "LSKA", [16, 23])})
    data = read_checkpoint(path, stand_ins=True).data
    from lska_surgeon.checkpoints.contents import Checkpoint
    from lska_surgeon.grafting.adopt import adopt

    change(data["model"].model[4])
    with pytest.raises(
        CheckpointError, match=r"tutorial.pt: no block known here is LSKA of ultralytics.nn.LSKA; nothing was written"
    ):
        adopt(Checkpoint(path, "", "checkpoint", data, "model"))


def test_another_class_of_a_familiar_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in _home("ultralytics.nn.modules.LSKA", monkeypatch):
        path = tutorial(tmp_path, monkeypatch, {4: (Other(16), "LSKBlock", [])})
    result = CliRunner().invoke(main, ["adopt", str(path)])
    assert result.exit_code == 2
    assert "no block known here is Other of ultralytics.nn.modules.LSKA; nothing was written" in result.stderr
    assert result.stderr.count("\n") == 1


def test_nothing_to_adopt_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["adopt", str(shapes.write_checkpoint(tmp_path)), "-o", str(tmp_path / "b.pt")])
    assert result.exit_code == 2
    assert "there is nothing to adopt" in result.stderr


def test_nothing_of_the_file_runs(tmp_path: Path) -> None:
    """A stand-in is for classes, in the places where people put theirs; functions and other modules stay refused."""
    from support.hostile import call, mapping, name, pickle_of, text, write_zip

    for evil in ("os.system", "ultralytics.utils.checks.check_requirements", "subprocess.Popen", "__main__.run"):
        path = write_zip(tmp_path / "evil.pt", pickle_of(mapping(model=call(name(evil), text("touch here")))))
        with pytest.raises((UnsafeCheckpointError, CheckpointError)):
            lska_surgeon.adopt(path)
    assert not Path("here").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--image", "input.pt"], "--image and --against go together"),
        (["--image", "no.pt", "--against", "outputs.pt"], "no file no.pt: give one that is here"),
        (["--image", "input.pt", "--against", "input.pt"], "outputs of shape (1, 3, 64, 64), the model gives"),
        (["-o", "no/out.pt"], "can't write no/out.pt: there is no directory no"),
    ],
)
def test_errors_are_one_line(words: list[str], message: str, pasted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pasted.parent)
    result = CliRunner().invoke(main, ["adopt", "tutorial.pt", *words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["inspect"], ["graft", "--at", "sppf"], ["inspect", "--trust"]])
def test_adopt_is_named_where_such_a_file_is_refused(words: list[str], pasted: Path) -> None:
    result = CliRunner().invoke(main, [words[0], str(pasted), *words[1:]])
    assert result.exit_code == 2
    assert f"if it was made after a tutorial, try lska-surgeon adopt {pasted}" in result.stderr


def test_adopt_is_named_for_classes_of_the_papers_alone() -> None:
    assert "try lska-surgeon adopt a.pt" in adopting("a.pt", ["ultralytics.nn.modules.block.SPPF_LSKA"])
    assert "if a fork of ultralytics made it, try lska-surgeon adopt a.pt" in adopting(
        "a.pt", ["ultralytics.nn.EMA.EMA"]
    )
    assert adopting("a.pt", ["my_blocks.EMA", "os.system", "torch.hub.LSKA"]) == ""


FORKS = """
import torch
from torch import nn
from ultralytics.nn.modules.block import C2f
from ultralytics.nn.modules.conv import Conv as StockConv, autopad


class Conv(nn.Module):
    default_act = nn.SiLU()

    def __init__(self, c1, c2, k=1, s=1, p=None, g=1, d=1, act=True):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, autopad(k, p, d), groups=g, dilation=d, bias=False)
        self.bn = nn.BatchNorm2d(c2)
        self.act = self.default_act if act is True else act if isinstance(act, nn.Module) else nn.Identity()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class h_swish(nn.Module):
    def forward(self, x):
        return x * nn.functional.relu6(x + 3) / 6


class Partial(nn.Module):
    def __init__(self, dim, part, forward="slicing"):
        super().__init__()
        self.untouched = dim - part
        self.conv = nn.Conv2d(part, part, 3, 1, 1, bias=False)
        self.forward = self.forward_slicing if forward == "slicing" else self.forward_split

    def forward_slicing(self, x):
        raise NotImplementedError

    def forward_split(self, x):
        one, two = torch.split(x, [x.shape[1] - self.untouched, self.untouched], 1)
        return torch.cat((self.conv(one), two), 1)


class Coordinates(nn.Module):
    def __init__(self, dim, ratio=4):
        super().__init__()
        self.ratio = ratio
        self.squeeze = nn.Conv2d(dim, dim // ratio, 1)
        self.act = h_swish()
        self.part = Partial(dim, dim // 2, "split")
        self.excite = nn.Conv2d(dim // ratio, dim, 1)

    def forward(self, x):
        return self.part(x) * self.excite(self.act(self.squeeze(x))).sigmoid()
"""


def of_a_fork(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint with an attention of a fork's own, and with a convolution pasted again, both in its block.py."""
    home = types.ModuleType("fork_of_the_test")
    exec(FORKS, home.__dict__)
    attention = home.__dict__["Coordinates"](16)
    stock = plain.C2f(16, 16, 1, True)
    stock.cv1 = home.__dict__["Conv"](16, 16)
    for name in ("Conv", "h_swish", "Partial", "Coordinates"):
        home.__dict__[name].__module__ = plain.__name__
        monkeypatch.setattr(plain, name, home.__dict__[name], raising=False)
    return tutorial(folder, monkeypatch, {4: (attention, "Coordinates", []), 2: (stock, "C2f", [16, True])})


DECLARED = """[blocks.Coordinates]
class = "my_blocks:Coordinates"
like = "attention"
channels = "first"
"""


def test_all_classes_that_are_not_here_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = of_a_fork(tmp_path, monkeypatch)
    result = CliRunner().invoke(main, ["adopt", str(path)])
    assert result.exit_code == 2
    assert (
        f"{path}: no block known here is Conv, Coordinates, h_swish, Partial of ultralytics.nn.modules.block; nothing "
        "was written (tutorial.pt does not build: layer 4 (Coordinates): ultralytics has no module Coordinates). "
        "Declare them, and adopt again: lska-surgeon blocks FORK --write, "
    ) in result.stderr
    assert result.stderr.count("\n") == 1


def test_declared_classes_and_stock_ones_that_were_pasted_again_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_a_fork(tmp_path, monkeypatch)
    (tmp_path / "my_blocks.py").write_text(FORKS)
    (tmp_path / "lska-surgeon.toml").write_text(DECLARED)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["adopt", "tutorial.pt", "--image", "input.pt", "--against", "outputs.pt"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "Wrote tutorial-adopted.pt: 140 tensors, each the original's",
        "  ultralytics.nn.modules.block.Conv -> ultralytics.nn.modules.conv.Conv (layers 2, 5, 8); assumed: that "
        "class's code is the same",
        "  ultralytics.nn.modules.block.h_swish -> my_blocks.h_swish (layer 4); assumed: that class's code is the same",
        "  ultralytics.nn.modules.block.Partial -> my_blocks.Partial (layer 4); assumed: that class's code is the same",
        "  ultralytics.nn.modules.block.Coordinates -> my_blocks.Coordinates (layer 4); assumed: that class's code is "
        "the same",
        "  max |Δ| to the original's outputs: 0",
    ]
    found = json.loads(CliRunner().invoke(main, ["adopt", "tutorial.pt", "-o", "b.pt", "--dry-run", "--json"]).stdout)[
        "adopted"
    ]
    assert found[0] == {
        "class": "ultralytics.nn.modules.block.Conv",
        "block": "ultralytics.nn.modules.conv.Conv",
        "op": None,
        "k": None,
        "d": None,
        "layers": [2, 5, 8],
        "assumed": "that class's code is the same",
    }
    model = lska_surgeon.load_checkpoint("tutorial-adopted.pt").float_model()  # its own allow-list has them
    with torch.no_grad():
        assert torch.equal(model(torch.load("input.pt"))[0], torch.load("outputs.pt"))


def test_a_stock_class_becomes_the_one_that_is_declared_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a fork that edited it: what the file names is here, and is not what the file was made with."""
    path = shapes.write_checkpoint(tmp_path)
    (tmp_path / "edited.py").write_text(
        "from ultralytics.nn.modules.block import SPPF as Stock\nclass SPPF(Stock):\n"
        "    def forward(self, x):\n        return 2 * super().forward(x)\n"
    )
    (tmp_path / "lska-surgeon.toml").write_text('[blocks.SPPF]\nclass = "edited:SPPF"\nlike = "SPPF"\n')
    monkeypatch.chdir(tmp_path)
    (adopted,) = lska_surgeon.adopt(path).adopted
    assert (adopted.origin, adopted.block) == ("ultralytics.nn.modules.block.SPPF", "edited.SPPF")


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        (
            "dim // ratio, 1",
            "dim // ratio, 3",
            "its squeeze.weight is 4x16x1x1 and not 4x16x3x3, as my_blocks.Coordinates is here",
        ),
        (
            "self.ratio = ratio",
            "self.ratio = str(ratio)",
            "its ratio is 4 and not '4', as my_blocks.Coordinates is here",
        ),
        ('"split")', '"slicing")', "its forward is not its forward_slicing, as my_blocks.Partial is here"),
        (
            "h_swish()",
            "nn.Identity()",
            "it holds act (h_swish) and not act (Identity), as my_blocks.Coordinates is here",
        ),
        (
            "self.act = h_swish",
            "self.swish = h_swish",
            "it holds act (h_swish) and not swish (h_swish), as my_blocks.Coordinates is here",
        ),
    ],
)
def test_a_declared_class_that_is_another_is_refused(
    before: str, after: str, differs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = of_a_fork(tmp_path, monkeypatch)
    assert FORKS.count(before) == 1
    (tmp_path / "my_blocks.py").write_text(FORKS.replace(before, after))
    (tmp_path / "lska-surgeon.toml").write_text(DECLARED)
    monkeypatch.chdir(tmp_path)
    for module in [name for name in sys.modules if name == "my_blocks"]:
        monkeypatch.delitem(sys.modules, module)
    result = CliRunner().invoke(main, ["adopt", str(path)])
    assert result.exit_code == 2
    assert differs in result.stderr.splitlines()[-1]


def test_what_is_advised_for_another_class_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class stands in a file of one's own, and is declared."""
    for _ in _home("ultralytics.nn.LSKA", monkeypatch):
        path = tutorial(tmp_path, monkeypatch, {4: (Other(16), "Other", [])})
    advice = CliRunner().invoke(main, ["adopt", str(path)]).stderr
    assert "or lska-surgeon blocks FILE.py --write, with the file that has the classes" in advice
    monkeypatch.chdir(tmp_path)
    Path("others.py").write_text(
        "from torch import nn\nclass Other(nn.Module):\n    def __init__(self, dim):\n        super().__init__()\n"
        "        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)\n"
        "    def forward(self, x):\n        return self.conv1(x)\n"
    )
    assert CliRunner().invoke(main, ["blocks", "others.py", "--write"]).exit_code == 0
    assert CliRunner().invoke(main, ["adopt", str(path), "-o", "new.pt"]).exit_code == 0
    found = lska_surgeon.load_checkpoint("new.pt").model
    assert found is not None
    assert type(found.model[4]).__module__ == "others"
