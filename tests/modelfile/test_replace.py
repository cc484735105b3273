"""Rows replaced and taken out, levels added and dropped, another backbone: what comes of it, and how it is undone."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from support import builds
from support import yaml_oracle as oracle
from support.forks import make_fork

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.core.graph import Graph
from lska_surgeon.core.parts import SLOTS
from lska_surgeon.errors import MisfitError, PositionError, SurgeonError
from lska_surgeon.modelfile.model import load
from lska_surgeon.modelfile.remove import plan_remove
from lska_surgeon.modelfile.replace import EditedModel, GraphEdit, plan_changes

BLOCKS = [block.name for block in STOCK if block.new_args and not block.is_attention]


def edited(model: str, *changes: GraphEdit) -> EditedModel:
    return plan_changes(load(model), changes, "-")


def undone(edit: EditedModel, folder: Path) -> str:
    path = folder / "variant.yaml"
    path.write_bytes(edit.text.encode("utf-8", "surrogateescape"))
    return plan_remove(str(path), "-").text


def rows(graph: Graph, width: tuple[Any, Any] = (None, None)) -> list[tuple[Any, ...]]:
    """What a graph says, one width read as another."""
    return [
        (x.sources, x.repeats, x.block, tuple(width[1] if one == width[0] else one for one in x.args)) for x in graph
    ]


@pytest.mark.parametrize("base", ["yolov8s", "yolov8s-ghost", "yolo26s"])
def test_a_finer_level_is_what_ultralytics_ships(base: str) -> None:
    ours, theirs = ls.levels(f"{base}.yaml", add="p2").variant.graph, load(f"{base}-p2.yaml").graph
    assert rows(ours) == rows(theirs)


def test_ghost_blocks_are_what_ultralytics_ships() -> None:
    changes = [GraphEdit("replace", "down", "GhostConv"), GraphEdit("replace", "block", "C3Ghost")]
    assert rows(edited("yolov8s.yaml", *changes).variant.graph) == rows(load("yolov8s-ghost.yaml").graph)


@pytest.mark.parametrize(
    ("base", "changes"),
    [("yolov5n", []), ("yolov8s", [GraphEdit("replace", "neck", "C2", "w,False")])],
    ids=["yolov5n", "yolov8s"],
)
def test_a_coarser_level_is_what_ultralytics_ships_with_the_old_rows_as_wide_as_they_were(
    base: str, changes: list[GraphEdit]
) -> None:
    """Ultralytics narrows P5 to 768 there, of which no trained weight would be left."""
    ours = edited(f"{base}.yaml", GraphEdit("add", "p6"), *changes)
    assert rows(ours.variant.graph) == rows(load(f"{base}-p6.yaml").graph, (768, 1024))


@pytest.mark.parametrize("model", builds.SOME)
@pytest.mark.parametrize("level", ["p2", "p6"])
def test_levels_come_and_go(model: str, level: str, tmp_path: Path) -> None:
    """A level more is one source more of the output layer, of the level's stride; without it again, less."""
    try:
        more = edited(model, GraphEdit("add", level))
    except (MisfitError, PositionError):
        pytest.skip(f"{model} has no place for it")
    base = load(model)
    shapes, output = more.variant.shapes, more.variant.graph.output
    assert len(output.sources) == len(base.graph.output.sources) + 1
    assert level in {shapes[source].level for source in output.sources}
    assert undone(more, tmp_path) == base.text
    oracle.wiring(oracle.load(more.text.encode("utf-8", "surrogateescape")))
    if model.startswith("yolov3"):  # there a level is nothing but a way up, which nobody needs without it
        with pytest.raises(MisfitError, match="nothing would change"):
            edited(model, GraphEdit("add", level), GraphEdit("drop", level))
        return
    less = edited(model, GraphEdit("add", level), GraphEdit("drop", level))
    levels = [less.variant.shapes[source].level for source in less.variant.graph.output.sources]
    assert levels == [base.shapes[source].level for source in base.graph.output.sources]


@pytest.mark.parametrize("model", builds.SOME)
def test_whatever_fits_can_be_undone(model: str, tmp_path: Path) -> None:
    """Of all slots and blocks: what is not refused leaves all other sizes as they were, and gives the base back."""
    base = load(model)
    pairs = [(slot, block) for slot in SLOTS for block in BLOCKS]
    fits = 0
    for slot, block in random.Random(model).sample(pairs, 40):
        try:
            edit = edited(model, GraphEdit("replace", slot, block))
        except SurgeonError:
            continue
        fits += 1
        assert [x.stride for x in edit.variant.shapes] == [x.stride for x in base.shapes]
        assert {edit.variant.graph[index].block for index in edit.new_rows} <= {block}
        assert undone(edit, tmp_path) == base.text
    assert fits or model == "yolov8-cls.yaml"


BUILT = [
    ("yolov8n.yaml", GraphEdit("replace", "neck", "C3k2")),
    ("yolov8n.yaml", GraphEdit("replace", "down", "SCDown")),
    ("yolov8n.yaml", GraphEdit("replace", "down:p4,p5", "ADown")),
    ("yolov8n.yaml", GraphEdit("replace", "0-1", "HGStem")),
    ("yolov8n.yaml", GraphEdit("replace", "pool", "SPPELAN")),
    ("yolov8n.yaml", GraphEdit("replace", "up", "nn.ConvTranspose2d")),
    ("yolov8n.yaml", GraphEdit("replace", "head", "Pose")),
    ("yolov8n-seg.yaml", GraphEdit("replace", "head", "Detect")),
    ("yolov8n.yaml", GraphEdit("replace", "backbone", "yolo11n.yaml")),
    ("yolov8n.yaml", GraphEdit("replace", "backbone", "yolov10n.yaml")),
    ("yolov9t.yaml", GraphEdit("replace", "block", "HGBlock")),
    ("yolo12n.yaml", GraphEdit("replace", "neck", "RepNCSPELAN4")),
    ("yolo11n.yaml", GraphEdit("replace", "pool", "SPP")),
    ("rtdetr-l.yaml", GraphEdit("replace", "backbone", "yolov9c.yaml")),
    ("yolov5n.yaml", GraphEdit("add", "p2")),
    ("yolo11n.yaml", GraphEdit("add", "p6")),
    ("yolov6n.yaml", GraphEdit("add", "p6")),  # some of whose rows stand several times
    ("yolo12n.yaml", GraphEdit("add", "p2")),  # whose blocks can't be as narrow as that level would be
    ("yolo26n.yaml", GraphEdit("drop", "p5")),
    ("yolov8n.yaml", GraphEdit("drop", "p3")),
    ("yolov8n.yaml", GraphEdit("remove", "SPPF")),
]


@pytest.mark.parametrize(("model", "change"), BUILT, ids=[f"{model}: {change.in_words}" for model, change in BUILT])
def test_ultralytics_builds_it(model: str, change: GraphEdit, tmp_path: Path) -> None:
    """With the widths and strides that are said here."""
    edit = edited(model, change)
    letter = edit.base.scaling.letter
    layers = builds.parse_text(edit.text, tmp_path, f"yolo99{letter or ''}.yaml")
    said = [(shape.channels, 256 / shape.stride) for shape in edit.variant.shapes[:-1] if shape.stride]
    assert builds.maps_of(layers, 256) == said


def test_what_was_put_in_behind_goes_first() -> None:
    """An edit that was recorded, then operators: both go, and the base comes back byte for byte."""
    base = load("yolov8s.yaml")
    Path("my.yaml").write_bytes(base.text.replace("\n", "\r\n").encode())
    wider = ls.levels("my.yaml", add="p2", scale="s", output="wider.yaml").write()
    both = ls.insert(wider, ["neck", "residual:2"], k=7, output="both.yaml").write()
    assert ls.remove(both, output="-").text.encode() == Path("my.yaml").read_bytes()


def test_edits_follow_one_another(tmp_path: Path) -> None:
    edit = edited("yolov8s.yaml", GraphEdit("add", "p2"), GraphEdit("replace", "neck", "C3"), GraphEdit("drop", "p5"))
    assert [x.block for x in edit.variant.graph if x.section == "head"].count("C3") == 5
    assert undone(edit, tmp_path) == load("yolov8s.yaml").text
    again = load("yolov8s.yaml")
    assert edit.gone_rows == (19, 20, 21)
    assert len(edit.variant.graph) == len(again.graph) + 6 - 3


def test_lines_that_were_changed_since(tmp_path: Path) -> None:
    """Other lines may change and move; one that the edit wrote may not."""
    text = edited("yolov8s.yaml", GraphEdit("replace", "neck", "C3k2")).text
    moved = text.replace("nc: 80", "# mine\nnc: 3")
    path = tmp_path / "v.yaml"
    path.write_text(moved)
    assert plan_remove(str(path), "-").text == load("yolov8s.yaml").text.replace("nc: 80", "# mine\nnc: 3")
    path.write_text(text.replace("- [-1, 3, C3k2, [512, False]] # 12", "- [-1, 3, C3k2, [512, True]] # 12", 1))
    with pytest.raises(SurgeonError, match=r"line \d+, '- \[-1, 3, C3k2, \[512, False\]\] # 12', was changed since"):
        plan_remove(str(path), "-")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" (23 rows);", f" ({'9' * 5000} rows);", "has no LSKA to remove"),  # no record of ours
        ("C3k2, [512, False]] # 12", "C3k2, [512, True]] # 12", "was changed since"),
        ("# +  - [-1, 3, C2f, [512]] # 12\n", "# +  - [-1, 3, C2f\n", "is not YAML"),
        ("gives back:\n", "gives back:\n# @ 5\n# \\\n# @ 900\n", "line 900, '', was changed since"),  # of nothing
    ],
)
def test_records_that_somebody_edited(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = edited("yolov8s.yaml", GraphEdit("replace", "neck", "C3k2")).text
    assert old in text
    path = tmp_path / "v.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SurgeonError, match=message):
        plan_remove(str(path), "-")


ERRORS = [
    ("replace yolov8s.yaml --at neck --by C3k", "no block 'C3k' is known (did you mean C3k2?)"),
    ("replace yolov8s.yaml --at nekc --by C3k2", "no slot or block 'nekc' (did you mean neck?) in yolov8s.yaml"),
    (
        "replace yolov8s.yaml --at neck --by SCDown --args w,3,2",
        "row 12 (C2f) gives 256 channels at stride 16, and SCDown",
    ),
    ("replace yolov8s.yaml --at neck --by C3 --args w,(", "can't read '(' in --args: write numbers, words and lists"),
    ("replace yolov8s.yaml --at neck --by C3 --args w,os.system(1)", "can't read 'os.system(1)' in --args"),
    (
        "replace yolov8s.yaml --at 4 --by ConvTranspose",
        "row 4 (C2f) gives 128 channels at stride 8, as it gets, and ConvTranspose is there to change the size",
    ),
    (
        "replace rtdetr-l.yaml --at stem --by GhostBottleneck",
        "at stride 4 where it gets stride 1, and GhostBottleneck takes strides up to 2",
    ),
    ("replace yolov8s.yaml --at neck --by C3 --args w/0", "can't read 'w/0' in --args"),
    (
        "replace yolov8s.yaml --at pool --by SPPF --args w,5,3,True,1",
        "--args gives a row that check refuses: SPPF takes at most [width, k, n, shortcut], and is given [1024, 5, 3,",
    ),
    ("replace yolov8s.yaml --at neck --by C3 --repeats 0", "--repeats 0 is out of range: a row has 1 to 1000"),
    (
        "replace yolov8s.yaml --at 1 --by Conv --repeats 6",
        "row 1 (Conv) would stand 2 times in a row, and gets 32 channels",
    ),
    ("replace yolov8s.yaml --at head --by C2f", "C2f does not fit row 22 (Detect), which is the output layer"),
    ("replace yolov8s.yaml --at 12 --by Segment", "Segment does not fit row 12 (C2f), which is no output layer"),
    ("replace yolov8s.yaml --at neck --by Concat", "Concat joins several layers, and row 12 (C2f) reads one"),
    ("replace yolov8s.yaml --at neck --by LSKA", "LSKA is an operator, or holds one: lska-surgeon insert puts it in"),
    (
        "replace yolov8n.yaml --at 2 --by C2PSA",
        "row 2 (C2f) gives 32 channels at stride 4, and C2PSA takes multiples of 128",
    ),
    ("replace yolov8s.yaml --at stem --by ADown", "row 0 (Conv) gets 3 channels, and ADown takes multiples of 2"),
    ("replace yolov8s.yaml --at 3-6 --by C2f", "rows 3-6 can't become one: row 14 reads row 4 (C2f) too"),
    ("replace yolov8s.yaml --at 20-30 --by C2f", "no rows 20-30: yolov8s.yaml has 0-22"),
    ("replace yolov8s.yaml --at neck --at up --at down --by C3 --by C2f", "there are 3 --at and 2 --by"),
    ("replace yolov8s.yaml --at neck --by yolo11s.yaml", "yolo11s.yaml is a model, whose backbone can be taken"),
    ("replace yolov8s.yaml --at backbone --by nothing.yaml", "no file nothing.yaml, and no stock model of that name"),
    ("replace yolov8s.yaml --at backbone --by rtdetr-l.yaml", "gives 1024 channels, which no number makes at scale s"),
    ("replace yolov8s.yaml --at neck --by C2f", "yolov8s.yaml is so already (C2f at neck): nothing would change"),
    ("replace yolov8s-cls.yaml --at head --by Detect", "Detect reads a list of levels, and row 9 (Classify) reads one"),
    ("levels yolov8s.yaml", "say which level: --add p2, or --drop p5"),
    ("levels yolov8s.yaml --add p4", "yolov8s.yaml has p4 already: its output layer reads p3, p4, p5"),
    ("levels yolov8s.yaml --add p7", "p7 is not next to p3, p4, p5: add p2 or p6"),
    ("levels yolov8s.yaml --drop p2", "yolov8s.yaml has no p2: its output layer reads p3, p4, p5"),
    ("levels yolov8s.yaml --add four", "no pyramid level 'four': write p2, p3, ... p7"),
    ("levels yoloe-11s.yaml --drop p3", "row 23 (YOLOEDetect) would read 2 levels, and takes 3 and no other"),
    ("levels yolov8s-cls.yaml --add p2", "are no pyramid levels of known, different strides"),
    ("replace yolo11-cls-resnet18.yaml --at stem --by C2PSA", "row 0 (TorchVision) gives a model's features, not one"),
    ("remove yolov8s.yaml --at 7", "row 7 (Conv) makes 512 channels at stride 32 of 256 channels at stride 16"),
    ("remove yolov8s.yaml --at head", "row 22 (Detect) is the output layer: only a row that keeps"),
]


@pytest.mark.parametrize(("line", "message"), ERRORS, ids=[line for line, _ in ERRORS])
def test_errors_are_one_line(line: str, message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, line.split())
    assert (result.exit_code, result.stdout, list(tmp_path.iterdir())) == (2, "", [])
    (only,) = [text for text in result.stderr.splitlines() if text.startswith("Error: ")]
    assert message in only


def test_a_block_of_a_fork(tmp_path: Path) -> None:
    """Its parser says how wide it is; what else it needs only building tells, which a note says."""
    fork = make_fork(tmp_path / "fork", "set")
    done = fork.run("replace", "yolov8n.yaml", "--at", "neck", "--by", "Twice", "-o", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Note: what Twice needs and gives is its fork's to say" in done.stderr
    assert fork.run("check", "mine.yaml", "--build", cwd=tmp_path).returncode == 0
    done = fork.run("replace", "yolov8n.yaml", "--at", "neck", "--by", "Twise", "-o", "other.yaml", cwd=tmp_path)
    assert (done.returncode, "no block 'Twise' is known" in done.stderr) == (2, True)


OWN = """
import torch
from torch import nn


class Stem(nn.Module):
    def __init__(self, c1, c2, k=3):
        super().__init__()
        self.a, self.b = nn.Conv2d(c1, c2, k, 2, k // 2), nn.Conv2d(c2, c2, k, 2, k // 2)

    def forward(self, x):
        return self.b(self.a(x))


class Sum(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.w = nn.Parameter(torch.ones(len(widths)))
        self.reduce = nn.ModuleList(nn.Conv2d(width, sum(widths) // 2, 1) for width in widths)

    def forward(self, x):
        return sum(self.w[at] * reduce(one) for at, (reduce, one) in enumerate(zip(self.reduce, x)))


class Mine(nn.Module):
    def __init__(self, c1, c2, n=1):
        super().__init__()
        self.m = nn.Conv2d(c1, c2, 1)

    def forward(self, x):
        return self.m(x)
"""
DECLARED = """
[blocks.Stem]
class = "own.py:Stem"
like = "Conv"
stride = 4

[blocks.Sum]
class = "own.py:Sum"
like = "Concat"
channels = "first"
width = "c/2"

[blocks.Mine]
class = "own.py:Mine"
like = "C2f"
"""


@pytest.mark.parametrize(
    ("at", "by", "rows"),
    [
        ("0-1", "Stem", {0: (128,)}),  # neither kernel size nor stride
        ("fusion", "Sum", {11: (), 14: (), 17: (), 20: ()}),  # not Concat's dimension
        ("block:p3", "Mine", {4: (256,), 15: (256,)}),  # not C2f's shortcut
    ],
)
def test_a_block_of_ones_own_gets_what_its_class_takes(at: str, by: str, rows: dict[int, Any], tmp_path: Path) -> None:
    Path("own.py").write_text(OWN, encoding="utf-8")
    Path("lska-surgeon.toml").write_text(DECLARED, encoding="utf-8")
    edit = ls.replace("yolov8n.yaml", at, by=by, output="own-yolov8n.yaml")
    assert {index: edit.variant.graph[index].args for index in edit.new_rows} == rows
    assert ls.check(edit.write(), build=True).findings == ()


needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("torchvision:resnet18", ("TorchVision", (512, "resnet18", "DEFAULT", True, 2, True))),
        ("torchvision:mobilenet_v3_small", None),
        pytest.param("timm:resnet18", ("TimmFeatures", ("resnet18",)), marks=needs_timm),
        pytest.param("timm:mobilenetv3_small_050", None, marks=needs_timm),  # whose maps timm gives in another way
    ],
)
def test_a_backbone_of_a_library(name: str, first: tuple[str, tuple[Any, ...]] | None, tmp_path: Path) -> None:
    edit = ls.replace("yolov8n.yaml", "backbone", by=name, output="-")
    rows = edit.variant.graph.layers[:4]
    assert first in (None, (rows[0].block, rows[0].args))
    assert [row.block for row in rows[1:]] == ["Index", "Index", "Index"]
    assert [row.frm for row in rows] == [-1, -1, 0, 0]
    said = [(shape.channels, 256 / shape.stride) for shape in edit.variant.shapes[1:-1] if shape.stride]
    assert builds.maps_of(builds.parse_text(edit.text, tmp_path, "yolo99n.yaml"), 256)[1:] == said
    assert undone(edit, tmp_path) == load("yolov8n.yaml").text
    path = edit.write(tmp_path / "own-yolov8n.yaml")
    assert ls.check(path).findings == ()


NO_BACKBONES = [
    ("torchvision:vit_b_16", "torchvision:vit_b_16 gives maps of the strides 1, 16: a backbone gives 8, 16 and 32"),
    ("torchvision:resnet5", "torchvision has no model 'resnet5' (did you mean resnet50?)"),
    ("timm:resnet5", "timm has no model 'resnet5' (did you mean resnet50?)"),
    ("timm:resnet18.a1_in1k", "timm has no model 'resnet18.a1_in1k' (did you mean resnet18?)"),
    ("timm:hf-hub:owner/name", "timm has no model 'hf-hub:owner/name'"),  # which timm would fetch
    ("timm:vit_tiny_patch16_224", "timm:vit_tiny_patch16_224 gives no maps of 320x448 pixels: Input height (320)"),
    ("timm:xception41", "timm:xception41 gives its maps by hooks, which no checkpoint can keep"),
]


@pytest.mark.parametrize(("name", "message"), NO_BACKBONES, ids=[name for name, _ in NO_BACKBONES])
def test_what_is_no_backbone_of_a_library(name: str, message: str) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    with pytest.raises(MisfitError) as caught:
        ls.replace("yolov8n.yaml", "backbone", by=name)
    assert message in str(caught.value)


def test_without_timm_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    result = CliRunner().invoke(main, "replace yolov8n.yaml --at backbone --by timm:resnet18".split())
    assert (result.exit_code, result.stderr) == (
        2,
        'Error: timm:resnet18 needs timm, which is not installed: pip install "lska-surgeon[timm]"\n',
    )


def test_costs_are_those_that_are_counted() -> None:
    edit = ls.replace("yolov8n.yaml", "neck", by="C3", costs=True, imgsz=64, output="v.yaml")
    before, after = edit.to_dict()["costs"]["before"], edit.to_dict()["costs"]["after"]
    assert ls.flops("yolov8n.yaml", imgsz=64).params == before["params"]
    assert ls.flops(edit.write(), imgsz=64, scale="n").macs == after["macs"]
    back = ls.remove("v.yaml", costs=True, imgsz=64, output="-")
    assert back.to_dict()["costs"]["after"] == before
    assert f"{after['params']:,} -> {before['params']:,} params, " in str(back)
    assert ls.levels("yolov8n.yaml", drop="p5").to_dict()["costs"] is None


@pytest.mark.parametrize(
    ("change", "of_json"),
    [({"add": "p2"}, False), ({"drop": ["p4", "p5"]}, False), ({"add": "p6"}, True)],
    ids=["p2", "p3 alone", "p6 in JSON"],
)
def test_sources_on_lines_of_their_own_stay_there(change: dict[str, Any], of_json: bool) -> None:
    """Those of a block list; what JSON has in brackets over lines comes in one."""
    document = load("yolov8n.yaml").written
    rows = {section: yaml.safe_load(document.text)[section] for section in ("backbone", "head")}
    model = {**document.settings, **rows}
    text = json.dumps(model, indent=1) if of_json else yaml.safe_dump(model, sort_keys=False, default_flow_style=False)
    Path("lines-n.yaml").write_text(text)
    done = ls.levels("lines-n.yaml", **change, scale="n", output="more-n.yaml")
    theirs = ls.levels("yolov8n.yaml", **change)
    assert [(x.sources, x.block, x.args) for x in done.variant.graph] == [
        (x.sources, x.block, x.args) for x in theirs.variant.graph
    ]
    if of_json:
        assert re.search(r"^   \[\d+(, \d+)+\],\n   1,\n   \"Detect\"", done.text, re.M)
    elif len(done.variant.graph.output.sources) > 1:
        assert re.search(r"^- - - \d+\n    - \d+\n(    - \d+\n)+  - 1\n  - Detect$", done.text, re.M)
    assert ls.remove(done.write(), output="-").text == text


def test_masks_that_ultralytics_does_not_validate_are_told() -> None:
    said = "masks come from the first source of row {}, and Ultralytics' validation stops where that is {}: {}"
    two = said.format(
        "28 (Segment)", "P2", "to train it, write [21, 18, 24, 27], P3 first, with # lska-surgeon: ignore[source]"
    )
    assert two in ls.levels("yolov8n-seg.yaml", add="p2", output="two-n.yaml").notes
    assert said.format("22 (Segment)", "P4", "keep P3") in ls.levels("yolov8n-seg.yaml", drop="p3").notes
    assert not any(note.startswith("masks") for note in ls.levels("yolov8n-seg.yaml", drop="p5").notes)


def test_a_file_says_of_itself_what_was_done() -> None:
    one = ls.replace("yolov8n.yaml", "backbone", by="torchvision:mobilenet_v3_small", output="one.yaml").write()
    two = ls.levels(one, drop="p5", scale="n", output="two.yaml").write()
    words = ["torchvision:mobilenet_v3_small at backbone, from yolov8n.yaml", "drop p5, from one.yaml"]
    told = ls.diff("yolov8n.yaml", two)
    assert (told.to_dict()["before"]["edits"], told.to_dict()["after"]["edits"]) == ([], words)
    assert all(f"two.yaml says of itself: {word}" in str(told) for word in words)
    assert ls.remove(ls.remove(two, output="back.yaml").write(), output="-").text == load("yolov8n.yaml").text


def test_check_and_draw_know_what_the_file_says_of_itself() -> None:
    """One level alone is unusual; who asked for it is not asked whether it was meant, and what came is named."""
    path = ls.levels("yolo26n.yaml", drop=["p4", "p5"], output="one-level-n.yaml").write()
    assert ls.check(path).findings == ()
    Path("by-hand-n.yaml").write_text(path.read_text().partition("# lska-surgeon: ")[0])
    assert [finding.rule for finding in ls.check("by-hand-n.yaml").findings] == ["inputs"]
    ls.insert("yolov8n.yaml", "sppf", k=11, output="own-n.yaml").write()
    ls.levels("own-n.yaml", add="p2", output="two-n.yaml").write()
    three = ls.replace("two-n.yaml", "pool", by="SPPELAN", output="three-n.yaml").write()
    said = "The file says of itself “add p2, from own-n.yaml”, “SPPELAN at pool, from two-n.yaml”"
    figure = ls.draw(three).figure
    assert figure.captions[0] == f"{said}: rows 9, 17, 18, 19, 20, 21, 22 came or changed."
    told = {node.index: node.title.splitlines()[-1] for node in figure.nodes}
    assert (told[9], told[22]) == tuple(f"{how} with an edit that the file tells of" for how in ("changed", "came"))
    text = three.read_text()
    three.write_text(text.replace("  - [-1, 1, SPPELAN, ", "  - [-1, 1, SPPELAN,  ", 1))
    assert ls.draw(three).figure.captions[0] == f"{said}."  # what was changed since can't be undone


def test_blocks_by_which_ultralytics_builds_the_output_layer_otherwise_are_told() -> None:
    source = Path(importlib.util.find_spec("ultralytics").origin).parent.joinpath("nn", "tasks.py").read_text("utf-8")  # type: ignore[union-attr, arg-type]
    newer = set(re.findall(r"if m is (\w+):[^\n]*\n\s+legacy = False", source))
    assert newer <= {block.name for block in STOCK if "newer" in block.traits}
    either = next(re.finditer(r"if m in \{([^}]*)\}:\n\s+m\.legacy = legacy", source), None)
    assert either is None or set(either[1].split(", ")) == {block.name for block in STOCK if "either" in block.traits}
    note = "Ultralytics builds the class branches of row 2{} of {}: trained ones do not fit"
    came = ls.replace("yolov8n.yaml", "neck:p5", by="C3k2")
    assert came.notes == (note.format("2 (Detect)", "depth-wise convolutions with C3k2"),)
    went = ls.replace("yolo11n-pose.yaml", "block", by="C2f")
    assert went.notes == (note.format("3 (Pose)", "plain convolutions without C3k2"),)
    for model, at, by in (("yolo11n", "neck", "C2f"), ("yolov10s", "neck", "C2f"), ("yolov8n", "head", "v10Detect")):
        assert ls.replace(f"{model}.yaml", at, by=by).notes == ()
    assert edited("yolov8n.yaml", *(GraphEdit("replace", "neck", by) for by in ("C3k2", "C2"))).notes == ()


def test_json_and_names() -> None:
    edit = ls.replace("yolov8s.yaml", ["neck:p3", "pool"], by=["C3k2", "SPPELAN"])
    data = edit.report().data
    assert edit.write() == Path("yolov8s-c3k2-neck-p3-sppelan-pool.yaml")
    assert [(row["index"], row["block"], row["was"], row["channels"]) for row in data["rows"]] == [
        (9, "SPPELAN", 9, 512),
        (15, "C3k2", 15, 128),
    ]
    assert data["edits"][0] == {"kind": "replace", "at": "neck:p3", "by": "C3k2", "args": None, "repeats": None}
    assert ls.check("yolov8s-c3k2-neck-p3-sppelan-pool.yaml").ok
    assert ls.remove("yolov8s-c3k2-neck-p3-sppelan-pool.yaml").output == Path("yolov8s.yaml")
