"""A variant builds the scale that was asked for, whatever its file is called."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support import builds
from support import yaml_oracle as oracle
from support.forks import STYLES, edited, make_fork
from support.insertions import plan_insert

import lska_surgeon as ls
from lska_surgeon.core.surgery import Placement
from lska_surgeon.errors import SurgeonError, TargetError
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.model import check_family, load
from lska_surgeon.modelfile.remove import plan_remove
from lska_surgeon.modelfile.rewriting import pin_scale, pinned_scale, unpin_scale
from lska_surgeon.modelfile.sources import scale_in_name, stock_models, without_scale
from lska_surgeon.yolo.environment import import_offline, quiet

SCALED = [m for m in builds.MODELS if builds.positions_of(m) and len(builds.scalings_of(m)) > 1]
#: Letters that Ultralytics treats alike when it builds a block.
ALIKE = {"C3k2": ("ns", "mlx"), "A2C2f": ("nsm", "lx")}


def refusing_block(model: str, said: str, scale: str) -> str | None:
    """The block, if any, for whose sake a file whose name says one letter can't be another scale."""
    blocks = {layer.block for layer in builds.document_of(model).layers} & set(ALIKE)
    split = [block for block in sorted(blocks) if not any({said, scale} <= set(group) for group in ALIKE[block])]
    return split[0] if split else None


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in SCALED if builds.has_its_own_body(model)])
def test_any_name_builds_the_scale_that_was_asked_for_or_is_refused(model: str, variants: Path) -> None:
    letters = [str(scaling.letter) for scaling in builds.scalings_of(model)]
    for scaling in builds.scalings_of(model)[1::2]:
        expected = builds.full_variant(model, scaling, variants).tensors
        said = letters[letters.index(str(scaling.letter)) - 1]
        for name in (builds.in_family(model, name) for name in ("mine.yaml", f"yolov8{said}-mine.yaml")):
            if scale_in_name(name) and refusing_block(model, said, str(scaling.letter)):
                continue
            text = builds.full_plan(model, scaling, name).text
            assert builds.tensor_shapes(builds.parse_text(text, variants, name)) == expected, (scaling.letter, name)


@pytest.mark.parametrize("model", [x for x in ("yolov8.yaml", "yolo11.yaml", "yolo12.yaml") if x in stock_models()])
def test_a_letter_that_blocks_are_built_by_is_refused_for_another_scale(model: str) -> None:
    for said, scaling in itertools.product("nslmx", builds.scalings_of(model)):
        name = f"yolov8{said}-mine.yaml"
        block = refusing_block(model, said, str(scaling.letter))
        if block is None or said == scaling.letter:
            content = oracle.load(builds.full_plan(model, scaling, name).text.encode())
            assert oracle.scale_built(content, name) == (said, [scaling.depth, scaling.width, scaling.max_channels])
            continue
        with pytest.raises(TargetError) as refused:
            builds.full_plan(model, scaling, name)
        assert str(refused.value) == (
            f"the name {name} says scale {said}, and Ultralytics builds {block} by that letter, so the file can't be "
            f"{scaling.letter}: choose a name with {scaling.letter} in that place, or with no scale"
        )


SCALES = "scales:\n  n: [0.33, 0.25, 1024] # nano\n  s: [0.33, 0.50, 1024]\n  m: [0.67, 0.75, 768] # medium\n"
REST = "backbone:\n- [-1, 1, Conv, [64, 3, 2]]\nhead:\n- [-1, 1, Detect, [nc]]\n"
FRONT = "# lska-surgeon: m stands first, so that a name without a scale builds it (was n, s, m)\n"
MOVED = "scales:\n  m: [0.67, 0.75, 768] # medium\n  n: [0.33, 0.25, 1024] # nano\n  s: [0.33, 0.50, 1024]\n"
ALIAS = "# lska-surgeon: n holds the values of m, the scale of this file; its name says n (was [0.33, 0.25, 1024])\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mine.yaml", FRONT + MOVED),
        (None, FRONT + MOVED),
        ("yolov8n.yaml", ALIAS + SCALES.replace("n: [0.33, 0.25, 1024]", "n: [0.67, 0.75, 768]")),
        ("yolov8m.yaml", SCALES),
        ("yolo11m-lska.yaml", SCALES),
    ],
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_pin_is_one_line_and_comes_off_without_a_trace(name: str | None, expected: str, newline: str) -> None:
    base = f"# first\n{SCALES}{REST}".replace("\n", newline)
    pinned = pin_scale(Document(base), "m", name)
    assert pinned.text == f"# first\n{expected}{REST}".replace("\n", newline)
    assert (pinned.note is None) == (pinned.text == base)
    assert unpin_scale(Document(pinned.text)) == base
    again = pin_scale(Document(pinned.text), "m", name)
    assert again.text == pinned.text


@pytest.mark.parametrize(
    ("scale", "name"), [("n", "mine.yaml"), ("n", None), ("n", "yolov8n.yaml"), (None, "yolov8s.yaml")]
)
def test_a_file_that_builds_its_scale_is_left_alone(scale: str | None, name: str | None) -> None:
    assert pin_scale(Document(SCALES + REST), scale, name).text == SCALES + REST
    assert unpin_scale(Document(SCALES + REST)) == SCALES + REST


def test_a_pin_that_was_edited_is_left_alone() -> None:
    edited = FRONT + SCALES.replace("  s: [0.33, 0.50, 1024]\n", "") + REST
    assert unpin_scale(Document(edited)) == edited


def test_a_letter_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(TargetError) as refused:
        pin_scale(Document(SCALES + REST, "my.yaml"), "m", "yolov8x-a.yaml")
    assert str(refused.value) == (
        "the name yolov8x-a.yaml says scale x, and my.yaml has n, s, m: choose a name with m in that place"
    )


def plan(tmp_path: Path, name: str, text: str, **asked: str | None) -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return plan_insert(str(path), Placement(("after:0",)), output="-", **asked).text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "scale", "message"),
    [
        (SCALES + REST, "x", "no scale x: this model has n, s, m"),
        (REST, "s", "my.yaml has no scales, so there is no scale s: leave it out"),
        ("scales: {n: [1, 2]}\n" + REST, None, "scale n is [1, 2]: it needs [depth, width, max_channels]"),
        ("scales: {n: [a, 1, 2]}\n" + REST, None, "scale n is ['a', 1, 2]: it needs [depth, width, max_channels]"),
        ("scales: {n: [.nan, 1, 2]}\n" + REST, None, "scale n is [nan, 1, 2]: it needs [depth, width, max_channels]"),
    ],
)
def test_scales_that_are_not_there_are_refused(tmp_path: Path, text: str, scale: str | None, message: str) -> None:
    with pytest.raises(SurgeonError) as refused:
        plan(tmp_path, "my.yaml", text, scale=scale)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "row", ["[-1, 0, Conv, [64, 3, 2]]", "[-1, 2999, C2f, [64]]", "[-1, 1, Conv, [9999999, 3, 2]]"]
)
def test_sizes_that_ultralytics_builds_are_taken(tmp_path: Path, row: str) -> None:
    assert f"- {row}\n" in plan(tmp_path, "my.yaml", SCALES + REST.replace("[-1, 1, Conv, [64, 3, 2]]", row), scale="n")


def test_a_name_that_asks_for_a_missing_scale_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SurgeonError, match=r"^no scale x: this model has n, s, m$"):
        plan(tmp_path, "yolov8x.yaml", SCALES + REST)
    assert plan(tmp_path, "yolov8x.yaml", SCALES + REST, scale="s")


@pytest.mark.parametrize("keys", ["1 2", "no yes", "tiny big"])
def test_scales_may_have_any_names(tmp_path: Path, keys: str) -> None:
    first, second = keys.split()
    text = f"scales:\n  {first}: [0.33, 0.25, 1024]\n  {second}: [0.33, 0.50, 1024]\n{REST}"
    variant = plan(tmp_path, "my.yaml", text)
    assert "# lska-surgeon" not in variant
    second = {"yes": "True"}.get(second, second)
    pinned = plan(tmp_path, "my.yaml", text, scale=second)
    assert re.search(r"scales:\n  \w+: \[0\.33, 0\.50, 1024\]\n", pinned)
    (tmp_path / "pinned.yaml").write_text(pinned, encoding="utf-8")
    assert plan_remove(str(tmp_path / "pinned.yaml")).text == text


@pytest.mark.parametrize(
    ("name", "letter", "unified"),
    [
        ("yolov8s.yaml", "s", "yolov8.yaml"),
        ("yolov8m-seg.yaml", "m", "yolov8-seg.yaml"),
        ("yolo11n.yaml", "n", "yolo11.yaml"),
        ("yolov8-p2.yaml", None, "yolov8-p2.yaml"),
        ("yolov8x-p6.yaml", "x", "yolov8-p6.yaml"),
        ("my-yolov8l-lska.yaml", "l", "my-yolov8-lska.yaml"),
        ("yolov10b.yaml", None, "yolov10b.yaml"),
        ("mine.yaml", None, "mine.yaml"),
    ],
)
def test_names_are_read_as_ultralytics_reads_them(name: str, letter: str | None, unified: str) -> None:
    tasks = import_offline()
    assert scale_in_name(name) == letter == (tasks.guess_model_scale(name) or None)
    assert without_scale(name) == unified


@pytest.mark.parametrize("model", [model for model in SCALED if model in builds.SOME])
def test_stock_names_lead_to_the_scale_that_ultralytics_takes(model: str) -> None:
    tasks = import_offline()
    for scaling in builds.scalings_of(model):
        name = re.sub(r"^(yolo(?:e-)?v?\d+)", rf"\g<1>{scaling.letter}", model)
        with quiet():
            content = tasks.yaml_model_load(name)
        opened = load(name)
        said = (opened.scaling.letter, opened.name, opened.notes)
        assert said == (content["scale"], name, ()) == (scaling.letter, name, ())
        assert opened.path.samefile(stock_models()[model])


@pytest.mark.parametrize("name", ["mine.yaml", "mine-world.yaml", "yoloexp.yaml", "yoloe-world.yaml", "myworld.yaml"])
def test_families_are_refused_where_ultralytics_would_build_another(name: str, tmp_path: Path) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    path = tmp_path / name
    path.write_text("nc: 1\n" + REST.replace("- [-1, 1, Detect", "- [[-1], 1, Detect"), encoding="utf-8")
    import_offline()
    if "yoloe" in name and not hasattr(ultralytics, "YOLOE"):
        pytest.skip("a release before YOLOE")
    with quiet():
        built = type(ultralytics.YOLO(path)).__name__
    if built == "YOLO":
        check_family(Document.read(path).graph, name)
    else:
        with pytest.raises(TargetError, match="would build"):
            check_family(Document.read(path).graph, name)


@pytest.mark.parametrize(
    ("block", "name", "wanted"),
    [
        ("YOLOEDetect", "my-world.yaml", "with yoloe in it and without -world"),
        ("YOLOESegment26", "mine.yaml", "with yoloe in it"),
        ("WorldDetect", "yoloe.yaml", "with -world in it and without yoloe"),
        ("Segment", "yoloexp.yaml", "without yoloe"),
        ("WorldDetect", "yoloe-world.yaml", None),
        ("YOLOESegment", "my-yoloe.yaml", None),
        ("MyWorldDetect", "mine.yaml", None),
    ],
)
def test_a_wrong_family_says_what_the_name_needs(block: str, name: str, wanted: str | None) -> None:
    graph = Document(REST.replace("Detect", block)).graph
    if wanted is None:
        check_family(graph, name)
        return
    with pytest.raises(TargetError) as refused:
        check_family(graph, name)
    assert str(refused.value).endswith(f"and its output layer is {block}: give a name {wanted} with -o")


def test_which_scale_stands_first_on_purpose() -> None:
    document = load("yolov8s.yaml").written
    assert pinned_scale(document) is None
    pinned = Document(pin_scale(document, "s", "mine.yaml").text)
    assert pinned_scale(pinned) == "s"
    reordered = pinned.text.replace("  s: [", "  t: [").replace("  n: [", "  s: [")
    assert pinned_scale(Document(reordered)) is None  # somebody has written others since


def test_four_numbers_are_right_where_the_parser_takes_four(tmp_path: Path) -> None:
    three = "depth, width, max_channels"
    of_four = edited((f"{three} = scales[scale]", f"{three}, ratio = scales[scale]"))
    fork = make_fork(tmp_path / "fork", replace(STYLES["set"], edit=of_four))
    text = stock_models()["yolov8.yaml"].read_text(encoding="utf-8")
    (tmp_path / "three.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "four.yaml").write_text(re.sub(r"(?m)^(  \w: \[.*?)\]", r"\1, 2]", text), encoding="utf-8")
    (warning,) = ls.check(tmp_path / "four.yaml").findings
    assert warning.text.startswith(f"scale n is [0.33, 0.25, 1024, 2]: the installed ultralytics takes [{three}], and")
    told = fork.run("check", "four.yaml", "three.yaml", cwd=tmp_path)
    (line,) = [line for line in told.stdout.splitlines() if "warning[" in line]
    assert line.startswith("three.yaml:9: warning[scale]: scale n is [0.33, 0.25, 1024]: ")
    assert line.endswith(f"takes [{three}, ratio], and needs all")
