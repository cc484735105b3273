"""A backbone in one row, which the numbers count as several layers: where a declaration says so, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from support.damages import damages

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.core.parts import unsaid_backbone
from lska_surgeon.errors import SurgeonError
from lska_surgeon.modelfile.document import Document

DECLARED = '[blocks.tinynet_s]\nclass = "nets:tinynet_s"\nlike = "whole-backbone"\n'
FIVE = """\
nc: 4
scales: {n: [0.33, 0.25, 1024], s: [0.33, 0.50, 1024]}
backbone:
  - [-1, 1, tinynet_s, []] # 4
  - [-1, 1, SPPF, [1024, 5]] # 5
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 3], 1, Concat, [1]]
  - [-1, 3, C2f, [512]] # 8
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 2], 1, Concat, [1]]
  - [-1, 3, C2f, [256]] # 11
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 8], 1, Concat, [1]]
  - [-1, 3, C2f, [512]] # 14
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 5], 1, Concat, [1]]
  - [-1, 3, C2f, [1024]] # 17
  - [[11, 14, 17], 1, Detect, [nc]]
"""
#: The same, counted as three layers: its maps have strides 8, 16 and 32.
THREE = """\
nc: 4
backbone:
  - [-1, 1, tinynet_s, []]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 1], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 0], 1, Concat, [1]]
  - [-1, 3, C2f, [256]]
  - [[8, 5, 2], 1, Detect, [nc]]
"""


def declare(more: str = "") -> None:
    Path("lska-surgeon.toml").write_text(DECLARED + more, encoding="utf-8")


def said(*words: str) -> str:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 2
    return str(result.stderr).splitlines()[-1]


def test_what_is_declared_is_read_and_edited() -> None:
    declare("widths = [40, 80, 160, 320]\n")
    Path("my.yaml").write_text(FIVE, encoding="utf-8")
    assert ls.check("my.yaml").findings == ()
    positions = ls.positions("my.yaml")
    maps = [(shape.channels, shape.stride) for shape in positions.shapes[:5]]
    assert maps == [(None, 2), (40, 4), (80, 8), (160, 16), (320, 32)]
    sites = {name: [site.layer for site in found] for name, found in positions.named.items()}
    assert sites == {"sppf": [5], "neck": [8, 11, 14, 17], "head": [11, 14, 17], "sppf-inner": [5]}
    assert "backbone leaves out 0 (tinynet_s): its maps are one row, with no row between them" in positions.notes
    variant = ls.insert("my.yaml", ["sppf", "neck"], k=7)
    assert "[[14, 18, 22], 1, Detect, [nc]]" in variant.text
    path = variant.write()
    assert ls.check(path).findings == ()
    assert ls.remove(path).text == FIVE
    assert len(ls.diff("my.yaml", path).added) == 5
    assert "tinynet_s" in ls.draw("my.yaml").write().read_text(encoding="utf-8")


def test_a_wrong_number_behind_it_is_found() -> None:
    declare()
    Path("my.yaml").write_text(FIVE.replace("11, 14, 17]", "11, 14, 16]"), encoding="utf-8")
    assert ls.check("my.yaml").fixed_text == FIVE
    text = FIVE.replace("head:", "  - [-1, 1, MyAttention, []]\nhead:")
    Path("my.yaml").write_text(text, encoding="utf-8")
    fixed = ls.check("my.yaml").fixed_text
    assert "[[-1, 9], 1, Concat, [1]]" in fixed
    assert "[[12, 15, 18], 1, Detect, [nc]]" in fixed
    assert "[-1, 1, tinynet_s, []] # 4" in fixed


def test_it_may_count_as_any_number_of_layers() -> None:
    declare("layers = 3\nstrides = [8, 16, 32]\n")
    Path("my.yaml").write_text(THREE, encoding="utf-8")
    assert ls.check("my.yaml").findings == ()
    assert [shape.stride for shape in ls.positions("my.yaml").shapes] == [8, 16, 32, 16, 16, 16, 8, 8, 8, None]


def test_no_row_stands_between_its_maps() -> None:
    declare()
    Path("my.yaml").write_text(FIVE, encoding="utf-8")
    for at in ("after:2", "after:4", "edge:3->7"):
        assert said("insert", "my.yaml", "--at", at).endswith("gives a list of maps, not one feature map")
    assert "backbone leaves out 0 (tinynet_s)" in said("insert", "my.yaml", "--at", "backbone")
    assert not list(Path().glob("*lska-[ab]*.yaml"))


@pytest.mark.parametrize("text", [FIVE, FIVE.replace("11, 14, 17]", "11, 14, 16]")], ids=["right", "a number wrong"])
def test_what_nothing_declares_is_named_and_not_edited(text: str) -> None:
    Path("my.yaml").write_text(text, encoding="utf-8")
    checked = ls.check("my.yaml")
    assert checked.fixed_text == FIVE
    assert checked.findings[0].message.startswith("row 0 (tinynet_s) is a whole backbone that gives a list of maps")
    assert checked.findings[0].message.endswith('declare tinynet_s with like = "whole-backbone" to work with it')
    for words in (("positions", "my.yaml"), ("insert", "my.yaml", "--at", "neck"), ("remove", "my.yaml")):
        assert said(*words).startswith("Error: my.yaml")


def test_no_damage_passes_for_one() -> None:
    """Own first rows, one for one, and numbers that look forward for another reason."""
    forward = 0
    for net in damages(("yolov8.yaml", "yolov8-p2.yaml", "yolo11.yaml", "rtdetr-l.yaml"), seed=3):
        name = net.rows[0].block
        layers = Document(net.text.replace(f"[-1, 1, {name},", "[-1, 1, MyStem,", 1), "net.yaml", []).layers
        forward += any(layer.problem() for layer in layers)
        assert unsaid_backbone(layers) is None, net.kind
    assert forward > 10


def test_ultralytics_itself_does_not_build_it() -> None:
    declare()
    Path("nets.py").write_text("from torch import nn\n\n\nclass tinynet_s(nn.Module):\n    pass\n", encoding="utf-8")
    Path("my.yaml").write_text(FIVE, encoding="utf-8")
    (finding,) = ls.check("my.yaml", build=True).findings
    assert "a whole backbone in one row, which the parser of Ultralytics does not build" in finding.message
    with pytest.raises(SurgeonError, match="a whole backbone in one row"):
        ls.flops("my.yaml").report()
