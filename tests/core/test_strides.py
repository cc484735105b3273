"""Strides behind blocks that are not known: they follow from neighbours, or stay unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cases import written_to
from support.insertions import plan_insert

from lska_surgeon.core.graph import Scaling
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.shapes import Shape, shapes_of
from lska_surgeon.core.surgery import Placement
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.sources import stock_models

STOCK = [f"{name}.yaml" for name in ("yolov5", "yolov8", "yolov8-p2", "yolov8-p6", "yolov9t", "yolo11", "yolo12")]
STOCK = [name for name in STOCK if name in stock_models()]


PLAIN = [(12, "p4"), (15, "p3"), (18, "p4"), (21, "p5")]


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("dysample-levels", PLAIN),
        ("spdconv-levels", PLAIN),
        ("bifpn-right-no-neck", [(14, "p4"), (16, "p3"), (18, "p4"), (20, "p5")]),  # a fusion of any name is one
        ("neck-omits-host", PLAIN),
    ],
)
def test_levels_follow_from_the_concats_and_the_output_layer(
    name: str, right: list[tuple[int, str]], tmp_path: Path
) -> None:
    path = written_to(tmp_path, f"positions/yolov8n-{name}")
    graph = Document.read(path).graph
    shapes = shapes_of(graph, Scaling())
    assert [(site.layer, shapes[site.layer].level) for site in named_sites(graph, shapes)["neck"]] == right
    plan = plan_insert(str(path), Placement(("neck:p3",)), output="-")
    assert f"# {right[1][0] + 1} lska k23, neck (P3/8)" in plan.text


@pytest.mark.parametrize("old", ['nn.Upsample, [None, 2, "nearest"]', "Conv, ["])
@pytest.mark.parametrize("name", STOCK)
def test_unknown_blocks_in_the_place_of_stock_ones_change_no_level(name: str, old: str) -> None:
    """Whatever is up- or down-sampled by a block of another name, the neck's levels are those of the stock model."""
    text = stock_models()[name].read_text(encoding="utf-8").replace("yolov8-p6", "")
    text = text.replace("'nearest'", '"nearest"')
    assert old in text
    new = "Enlarge, []" if old.startswith("nn.") else "Shrink, ["
    before, after = (Document(one).graph for one in (text, text.replace(old, new)))
    right, found = (named_sites(graph, shapes_of(graph, Scaling())) for graph in (before, after))
    shapes = shapes_of(after, Scaling())
    assert [s.layer for s in found["neck"]] == [s.layer for s in right["neck"]]
    for site, stock in zip(found["neck"], right["neck"]):
        level = shapes_of(before, Scaling())[stock.layer].level
        # Four outputs of which nothing at all is known may be those of p2 to p5 or of p3 to p6.
        assert shapes[site.layer].level in ((level, None) if len(after.output.raw_sources) == 4 else (level,))


def shapes(*rows: str) -> tuple[Shape, ...]:
    text = "backbone:\n" + "".join(f" - {row}\n" for row in rows[:-1]) + f"head:\n - {rows[-1]}\n"
    return shapes_of(Document(text).graph, Scaling())


def test_what_nothing_fixes_is_not_known() -> None:
    _, mixer, behind, _ = shapes(
        "[-1, 1, Conv, [16, 3, 2]]", "[-1, 1, Downmixer, [16]]", "[-1, 1, C2f, [16]]", "[[2], 1, Detect, [nc]]"
    )
    assert [(x.stride, x.level, x.guessed) for x in (mixer, behind)] == [(None, None, True)] * 2


def test_a_fusion_that_scales_has_no_stride_of_its_inputs() -> None:
    found = shapes(
        "[-1, 1, Conv, [16, 3, 2]]",
        "[-1, 1, Conv, [16, 3, 2]]",
        "[[0, 1], 1, Mixer, [16]]",
        "[[2, 1], 1, Detect, [nc]]",
    )
    assert found[2].stride is None


def test_inputs_of_the_output_layer_double() -> None:
    found = shapes(
        "[-1, 1, Conv, [16, 3, 2]]",
        "[-1, 1, Conv, [16, 3, 2]]",
        "[0, 1, X, []]",
        "[0, 1, Y, []]",
        "[[1, 2, 3], 1, Detect, [nc]]",
    )
    assert [(x.stride, x.guessed) for x in found[1:4]] == [(4, False), (8, True), (16, True)]
