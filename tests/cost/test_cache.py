"""The cache of counts: what was counted before needs no torch, and no file of it ever gives a wrong answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import shapes

from lska_surgeon.core.blocks import STOCK, CustomModule, Declarations
from lska_surgeon.cost import cache, count
from lska_surgeon.cost.cache import CostCache, ModelText, cost_of
from lska_surgeon.cost.cost import Cost
from lska_surgeon.modelfile.sources import stock_models

SIZE = (64, 64)


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is counted in this process, which is taken for one of our own."""
    names: list[str] = []
    original = count.count_source

    def noted(name: str, *rest: Any, **more: Any) -> Cost:
        names.append(name)
        return original(name, *rest, **more)

    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "is_own_process", lambda: True)
    monkeypatch.setattr(count, "count_source", noted)
    return names


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "costs").iterdir())


def test_what_was_counted_before_is_the_same_value(counted: list[str], tmp_path: Path) -> None:
    checkpoint = shapes.write_checkpoint(tmp_path)
    for name in ("yolov8n.yaml", str(checkpoint), "yolov8.yaml"):
        first = cost_of(name, SIZE, blocks=STOCK)
        assert cost_of(name, SIZE, blocks=STOCK) == first
        assert counted.pop() == name
        assert not counted
    copy = tmp_path / "elsewhere" / "yolov8n.yaml"
    copy.parent.mkdir()
    copy.write_bytes(stock_models()["yolov8.yaml"].read_bytes())
    assert cost_of(str(copy), SIZE, blocks=STOCK).name == str(copy)
    assert not counted  # the same file under the same name, wherever it lies


def test_whatever_a_count_depends_on_is_another_file(
    counted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shapes.write_network(tmp_path)

    def again(**more: object) -> int:
        cost_of(str(path), **{"imgsz": SIZE, "blocks": STOCK, **more})  # type: ignore[arg-type]
        return len(counted)

    assert again() == again() == 1
    assert again(imgsz=(64, 96)) == 2
    assert again(batch=2) == 3
    assert again(fuse=False) == 4
    small, large = (cost_of("yolov8.yaml", SIZE, blocks=STOCK, scale=letter).params for letter in "ns")
    assert small < large
    del counted[4:]
    path.write_bytes(path.read_bytes().replace(b"16, True", b"24, True"))
    assert again() == again() == 5
    releases = dict(cache._releases())
    for name in ("ultralytics", "torch", "torchvision", "fvcore", "timm"):
        monkeypatch.setattr(cache, "_releases", lambda name=name: {**releases, name: "0"})
        before = len(counted)
        assert again() == again() == before + 1
    monkeypatch.setattr(cache, "_sources", lambda: "an edited block.py")
    assert again() == again() == 11
    monkeypatch.setattr(cache, "_releases", lambda: {"ultralytics": "8"})  # what others would count, nobody knows
    assert again() + 1 == again()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-20],
        lambda content: content.replace(b'"macs":', b'"macs":1'),
        lambda content: content.replace(b'{"seal":', b'{"was":'),
        lambda content: b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_counted_anew(damage: Callable[[bytes], bytes], counted: list[str], tmp_path: Path) -> None:
    path = str(shapes.write_network(tmp_path))
    cost = cost_of(path, SIZE, blocks=STOCK)
    (file,) = kept(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert cost_of(path, SIZE, blocks=STOCK) == cost
    assert len(counted) == 2
    assert cost_of(path, SIZE, blocks=STOCK) == cost
    assert len(counted) == 2


def test_a_file_of_another_count_is_none_of_this_one(counted: list[str], tmp_path: Path) -> None:
    path = str(shapes.write_network(tmp_path))
    cost_of(path, SIZE, blocks=STOCK)
    (first,) = kept(tmp_path)
    wide = cost_of(path, (64, 96), blocks=STOCK)
    (second,) = {*kept(tmp_path)} - {first}
    second.write_bytes(first.read_bytes())
    assert cost_of(path, (64, 96), blocks=STOCK) == wide
    second.unlink()
    second.symlink_to(first)
    assert cost_of(path, (64, 96), blocks=STOCK) == wide


def test_what_may_have_been_changed_is_not_kept(
    counted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, checkpoint = str(shapes.write_network(tmp_path)), str(shapes.write_checkpoint(tmp_path))
    mine = STOCK.with_blocks(Declarations({"C2f": CustomModule("C2f", "mine:C2f", "C2f")}))
    for name, blocks, trust in ((path, mine, False), (checkpoint, mine, False), (checkpoint, STOCK, True)):
        for _ in range(2):
            cost_of(name, SIZE, blocks=blocks, trust=trust)
    monkeypatch.setattr(cache, "is_own_process", lambda: False)  # whoever imported it may patch it
    for _ in range(2):
        cost_of(path, SIZE, blocks=STOCK)
    assert len(counted) == 8
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cant_be_written_costs_time_alone(counted: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    for _ in range(2):
        cost_of(str(shapes.write_network(tmp_path)), SIZE, blocks=STOCK)
    assert len(counted) == 2


def test_variants_and_flops_share_what_they_counted(counted: list[str], tmp_path: Path) -> None:
    text = stock_models()["yolov8.yaml"].read_text(encoding="utf-8")
    costs = CostCache(SIZE, STOCK, may_count=True)
    base = costs.of(ModelText("yolov8n.yaml", text, "n"))
    assert (base.params, base.macs) == ((cost := cost_of("yolov8n.yaml", SIZE, blocks=STOCK)).params, cost.macs)
    assert len(counted) == 1
    assert CostCache(SIZE, STOCK).of(ModelText("yolov8n.yaml", text, "n")) is None  # nothing depends on the machine


def test_flops_of_what_was_counted_before_imports_no_torch(tmp_path: Path) -> None:
    shapes.write_network(tmp_path)
    environment = {**os.environ, "LSKA_SURGEON_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-X", "importtime", "-m", "lska_surgeon", "flops", "tiny.yaml", "--imgsz", "64", "--json"]
    first, second = (
        subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert json.loads(first.stdout) == json.loads(second.stdout)
    imported = [{line.split()[-1] for line in done.stderr.splitlines()} for done in (first, second)]
    assert {"torch", "ultralytics"} <= imported[0]
    assert not {"torch", "ultralytics", "fvcore", "numpy"} & imported[1]
