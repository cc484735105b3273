"""Blocks that want more than a small map: they are run on larger images before anything is held against them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shapes import surgeon, write_checkpoint

from lska_surgeon.declarations.find import VARIABLE

#: A border that mirrors more pixels than the map has refuses the map.
BLOCK = """from torch import nn


class Mirrored(nn.Module):
    def __init__(self, channels, k=19):
        super().__init__()
        self.pad = nn.ReflectionPad2d(k // 2)
        self.conv = nn.Conv2d(channels, channels, k, groups=channels)

    def forward(self, x):
        return x * self.conv(self.pad(x)).sigmoid()
"""
DECLARED = """[blocks.Mirrored]
class = "mirrored.py:Mirrored"
like = "attention"
channels = "first"
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirrored.py").write_text(BLOCK, encoding="utf-8")
    (tmp_path / "lska-surgeon.toml").write_text(DECLARED, encoding="utf-8")
    return write_checkpoint(tmp_path)


def test_a_graft_is_certified_on_images_that_its_blocks_take(base: Path) -> None:
    done = surgeon("graft", base, "--at", "sppf", "--op", "Mirrored", "-o", "grafted.pt")
    assert done.exit_code == 0, done.output
    assert "certificate: max |Δ| 0.0 of all outputs in float32 (eval 160x192, eval 224x160" in done.stdout
    again = surgeon("graft", "grafted.pt", "--at", "backbone:p3", "-o", "again.pt")
    assert "certificate: max |Δ| 0.0 of all outputs in float32 (eval 160x192" in again.stdout, again.output
    back = surgeon("ungraft", "again.pt", "-o", "back.pt")
    assert "certificate: max |Δ| 0.0 of all outputs" in back.stdout, back.output


def test_a_variant_is_verified_on_an_image_that_its_blocks_take(base: Path) -> None:
    Path("recipe.yaml").write_text("base: [tiny.yaml]\nmatrix: {at: [sppf], op: [Mirrored]}\n", encoding="utf-8")
    done = surgeon("variants", "recipe.yaml", "--verify=build")
    assert done.exit_code == 0, done.output
