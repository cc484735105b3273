"""`draw` as a user meets it: files of each format, of YAMLs and checkpoints, errors in one line, the same bytes."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from PIL import Image
from support import images, trained
from support.fresh import fresh
from support.insertions import plan_insert
from support.shapes import surgeon

import lska_surgeon as ls
from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.core.graph import graph_of
from lska_surgeon.core.surgery import Placement
from lska_surgeon.drawing import images as formats
from lska_surgeon.drawing.drawing import Drawing
from lska_surgeon.errors import SurgeonError
from lska_surgeon.modelfile.model import load

VARIANT = "yolov8s-lska-neck-k35.yaml"


def run(words: str) -> Result:
    return surgeon(*shlex.split(words))


def variant() -> None:
    assert run("insert yolov8s.yaml --at neck --k 35").exit_code == 0


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("yolov8s.yaml", "yolov8s.svg"),
        ("yolov8s", "yolov8s.svg"),
        ("yolov8s.yaml --positions", "yolov8s-positions.svg"),
        ("yolov8s.yaml --format md", "yolov8s.md"),
        (f"yolov8s.yaml {VARIANT}", "yolov8s-lska-neck-k35.svg"),
        ("yolov8s.yaml -o x.DOT", "x.DOT"),
    ],
)
def test_file_is_named_after_what_is_drawn(words: str, written: str) -> None:
    variant()
    result = run(f"draw {words}")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Wrote {written}: yolov8s")
    assert {path.name for path in Path().iterdir()} == {VARIANT, written}


def test_standard_output_gets_the_image_alone() -> None:
    shown = run("draw yolov8s.yaml -o -")
    assert shown.stdout == ls.draw("yolov8s.yaml").svg
    assert run("draw yolov8s.yaml -o - --format md").stdout == ls.draw("yolov8s.yaml").mermaid
    assert run("draw yolov8s.yaml -o - --format dot").stdout == ls.draw("yolov8s.yaml").dot
    assert not list(Path().iterdir())


def test_a_file_that_is_there_is_kept_unless_forced() -> None:
    Path("yolov8s.svg").write_text("mine", encoding="utf-8")
    refused = run("draw yolov8s.yaml")
    assert refused.exit_code == 2
    assert "yolov8s.svg is already there" in refused.stderr
    assert Path("yolov8s.svg").read_text(encoding="utf-8") == "mine"
    assert run("draw yolov8s.yaml --force --quiet").output == ""
    assert Path("yolov8s.svg").read_text(encoding="utf-8") == ls.draw("yolov8s.yaml").svg


def test_a_size_that_does_not_fit_the_strides_is_told() -> None:
    result = run("draw yolov8s.yaml --imgsz 650 -o -")
    assert result.exit_code == 0
    assert result.stderr.startswith("Note: an image of 650 × 650 is no multiple of stride 32: the size of such maps")
    image = images.read(result.stdout)
    assert image.lines("row-0")[1] == "32 × 325 × 325"
    assert image.lines("row-9")[1] == "512 × ? × ?"


DIGESTS = """
import hashlib, lska_surgeon as ls
for model, variant in (("yolov9e.yaml", None), ("yolo11s.yaml", None), ("yolov5s.yaml", "yolov8s.yaml")):
    image = ls.draw(model, variant, positions=model == "yolo11s.yaml")
    for form in ("svg", "md", "dot", "png", "pdf"):
        print(model, form, hashlib.sha256(image.content(form)).hexdigest())
"""


def test_every_format_is_the_same_bytes_in_every_process() -> None:
    """Whatever the hashes, the day and the user's own settings of matplotlib."""
    first = fresh(DIGESTS, PYTHONHASHSEED="0", TZ="UTC", SOURCE_DATE_EPOCH="1")
    Path("matplotlibrc").write_text("savefig.bbox: tight\nfont.size: 20\n", encoding="utf-8")
    again = fresh(DIGESTS, PYTHONHASHSEED="7", TZ="Asia/Tokyo", SOURCE_DATE_EPOCH="1700000000")
    assert (again, len(first.splitlines())) == (first, 15)


def test_where_a_screen_is_dark_every_box_line_and_text_has_a_colour_of_its_own() -> None:
    variant()
    for svg in (ls.draw("yolov8s.yaml", positions=True).svg, ls.draw("yolov8s.yaml", VARIANT).svg):
        light, at, dark = svg.partition("@media screen and (prefers-color-scheme: dark)")
        assert at
        used = set(re.findall(r'class="(lsd-[\w-]+)"', dark))
        assert used
        for name in used:
            coloured = rf"\.{name} {{ ((?:fill|stroke): #[^}}]*)}}"
            (day,), (night,) = re.findall(coloured, light), re.findall(coloured, dark)
            assert day != night or name.startswith(("lsd-b-mark", "lsd-t-mark")), (
                name
            )  # which stand on their own colour


def named(block: str) -> None:
    rows = f"  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, {block}, [8]]\nhead:\n  - [[1], 1, Detect, [nc]]\n"
    Path("own.yaml").write_text(f"nc: 2\nbackbone:\n{rows}", encoding="utf-8")


def test_a_name_that_no_font_here_has_is_told_where_boxes_would_stand_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "OTHER_FONTS", ())
    named("注意")
    done = run("draw own.yaml -o own.png")
    assert done.exit_code == 0
    assert done.stderr == "Note: no font here has 意注, so boxes stand for it in a .png; an .svg keeps the text\n"
    assert run("draw own.yaml -o own.svg").stderr == ""


def test_a_font_that_is_here_lends_what_our_own_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A character of STIX, which matplotlib brings along, that DejaVu Sans does not have."""
    named("Own\U0001d400")
    boxes = []
    for others in ((), ("no such font", "STIXGeneral")):
        monkeypatch.setattr(formats, "OTHER_FONTS", others)
        drawing = ls.draw("own.yaml")
        assert bool(drawing.notes_on("png")) == (not others)
        boxes.append((drawing.content("png"), drawing.content("pdf")))
    assert boxes[0][0] != boxes[1][0]
    assert b"STIXGeneral" in boxes[1][1]
    assert formats.fonts_for(ls.draw("yolov8n.yaml").scene) == (["DejaVu Sans"], "")


def test_png_and_pdf_have_the_images_size() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing = ls.draw("yolov8s.yaml", positions=True)
        png, pdf = drawing.write("x.png"), drawing.write("x.pdf")
    with Image.open(png) as image:
        assert image.size == (int(drawing.scene.width * 2), int(drawing.scene.height * 2))
        assert image.convert("RGB").getcolors(1 << 24) is not None
        assert len(image.convert("RGB").getcolors(1 << 24)) > 50
        assert not {"Software", "Creation Time"} & set(image.info)
    content = pdf.read_bytes()
    box = re.search(rb"/MediaBox \[ ?([\d. ]+) ?\]", content)
    assert box
    assert [float(one) for one in box[1].split()] == pytest.approx(
        [0, 0, drawing.scene.width * 0.75, drawing.scene.height * 0.75], abs=0.01
    )
    assert b"CreationDate" not in content


def test_python_result_shows_and_writes_itself() -> None:
    drawing = ls.draw("yolov8n-seg.yaml", imgsz=(320, 640), output="there.svg")
    assert isinstance(drawing, Drawing)
    assert str(drawing) == "there.svg: yolov8n-seg.yaml, scale n, 320 × 640; 23 rows and 29 connections"
    assert repr(drawing) == f"<Drawing {drawing}>"
    assert drawing._repr_svg_() == drawing.svg
    assert drawing.svg in drawing._repr_html_()
    assert drawing.write() == Path("there.svg")
    assert Path("there.svg").read_text(encoding="utf-8") == drawing.svg
    with pytest.raises(SurgeonError, match="already there"):
        drawing.write("there.svg")
    plain = drawing.to_dict()
    assert plain["schema"] == 2
    assert [row["index"] for row in plain["rows"]] == list(range(-1, 23))
    graph = load("yolov8n-seg.yaml").graph
    assert [(one["source"], one["consumer"]) for one in plain["connections"]] == [
        (source, layer.index) for layer in graph for source in layer.sources
    ]


def test_positions_as_data_are_what_at_takes() -> None:
    marks = ls.draw("yolov8s.yaml", positions=True).to_dict()["positions"]
    neck = [mark["at"] for mark in marks if mark["position"] == "neck"]
    assert neck == ["neck:12", "neck:15", "neck:18", "neck:21"]


def test_note_of_a_missing_scale_is_told_once() -> None:
    drawing = ls.draw("yolov8.yaml", "yolov8-p2.yaml")
    assert len(drawing.notes) == len(set(drawing.notes)) == 2
    assert str(drawing).startswith("Note: yolov8.yaml names no scale")


def test_a_chart_beyond_the_sites_limits_is_refused() -> None:
    rows = "".join("  - [-1, 1, Conv, [64, 3, 1]]\n" for _ in range(500))
    text = f"nc: 3\nbackbone:\n{rows}head:\n  - [-1, 1, Detect, [nc]]\n"
    Path("long.yaml").write_text(text, encoding="utf-8")
    result = run("draw long.yaml -o long.md")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: long.yaml makes a Mermaid chart of 501 arrows and ")
    assert "GitHub shows at most 500 and 50,000: draw it as SVG, with -o FILE.svg" in result.stderr
    assert not Path("long.md").exists()
    assert run("draw long.yaml").exit_code == 0


# Checkpoints drawn.


def widths(model: Any) -> dict[str, str]:
    """What each layer really gives for an image of 64 pixels, as an image says it."""
    found: dict[str, str] = {}
    for layer in list(model.model)[:-1]:
        layer.register_forward_hook(
            lambda module, inputs, out: found.update({f"row-{module.i}": " × ".join(map(str, out.shape[1:]))})
        )
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 64, 64))
    return found


def test_checkpoint_is_drawn_with_the_widths_that_it_has(tmp_path: Path) -> None:
    model = trained.trained()
    model.yaml["nc"] = 80  # as a YAML says that nobody edited
    path = trained.finished(tmp_path / "best.pt", model)
    drawing = ls.draw(path, imgsz=64)
    image = images.read(drawing.svg)
    images.assert_sound(image, graph_of(model.yaml, "best.pt"))
    real = widths(trained.load(path)["model"].float())
    assert {name: image.lines(name)[1] for name in real} == real
    assert drawing.output == Path("best.svg")
    assert image.lines("row-22")[1] == "3 classes"  # those that it was trained for


def test_widths_that_no_rule_knows_are_measured(tmp_path: Path) -> None:
    yaml = trained.yaml_of("yolov8n", scales={"n": [0.33, 0.125, 1024]})
    yaml["backbone"][9] = [-1, 1, "nn.Conv2d", [128, 128, 2, 2]]  # a block that the rules do not know, halving the map
    yaml["head"][0] = [-1, 1, "nn.Upsample", [None, 4, "nearest"]]
    yaml["head"][10] = [[-1, 8], 1, "Concat", [1]]
    model = trained.trained_model(yaml)
    path = trained.finished(tmp_path / "own.pt", model)
    image = images.read(ls.draw(path, imgsz=64).svg)
    real = widths(trained.load(path)["model"].float())
    assert real["row-9"] == "128 × 1 × 1"
    assert {name: image.lines(name)[1] for name in real} == real


def test_graft_beside_its_base(tmp_path: Path) -> None:
    base = trained.finished(tmp_path / "base.pt", trained.trained())
    graft = tmp_path / "graft.pt"
    done = surgeon("graft", base, "--at", "neck", "--k", 7, "-o", graft)
    assert done.exit_code == 0, done.output
    image = images.read(ls.draw(base, graft, imgsz=64).svg)
    operators = [name for name, style in image.styles.items() if style == "operator"]
    assert operators == ["row-13", "row-17", "row-21", "row-25"]
    dashed = {name.rpartition("-")[0] for name, style in image.styles.items() if style == "rewired"}
    assert dashed == {
        "edge-13-14", "edge-13-19", "edge-17-18", "edge-17-26", "edge-21-22", "edge-21-26", "edge-25-26"
    }  # fmt: skip


def test_read_checkpoints_and_insertions_are_drawn_too(tmp_path: Path) -> None:
    path = trained.finished(tmp_path / "best.pt", trained.trained())
    assert ls.draw(read_checkpoint(path)).svg == ls.draw(path).svg
    insertion = plan_insert("yolov8s.yaml", Placement(("neck",), k=35))
    Path("yolov8s-lska-neck-k35.yaml").write_text(insertion.text, encoding="utf-8")
    drawing = ls.draw("yolov8s.yaml", insertion)
    assert drawing.svg == ls.draw("yolov8s.yaml", "yolov8s-lska-neck-k35.yaml").svg
    assert drawing.output == Path("yolov8s-lska-neck-k35.svg")


def test_what_holds_no_network_is_told(tmp_path: Path) -> None:
    tensors = trained.save(tmp_path / "tensors.pt", trained.trained().state_dict())
    with pytest.raises(SurgeonError, match="holds tensors without a model, so it has no rows"):
        ls.draw(tensors)
    path = trained.finished(tmp_path / "best.pt", trained.trained())
    with pytest.raises(SurgeonError, match="scale 's' is for a model YAML"):
        ls.draw(path, scale="s")
    with pytest.raises(SurgeonError, match="int can't be drawn"):
        ls.draw(3)
    with pytest.raises(SurgeonError, match="is not a size"):
        ls.draw("yolov8s.yaml", imgsz=(64, 0))
