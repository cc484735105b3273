"""Images of networks: whatever the network, all of it stands there once, legible, and nothing runs over anything."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import builds, images

from lska_surgeon.core.graph import Scaling
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.surgery import Placement
from lska_surgeon.drawing.content import Content
from lska_surgeon.drawing.drawing import ComparedContent
from lska_surgeon.drawing.images import scene_of, svg_of
from lska_surgeon.drawing.style import TYPES
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.insert import plan_insert
from lska_surgeon.modelfile.model import Model, load, model_of
from lska_surgeon.modelfile.sources import stock_models

#: One of each sort: straight, with three and with six levels, two backbones, text, classes alone, other tasks' outputs.
SOME = (
    "rtdetr-l.yaml", "yolo11-cls-resnet18.yaml", "yolo11.yaml", "yolo12.yaml", "yolo26-p6.yaml", "yoloe-v8-seg.yaml",
    "yolov10x.yaml", "yolov3-tiny.yaml", "yolov8-cls.yaml", "yolov8-world.yaml", "yolov9e.yaml",
)  # fmt: skip
#: Of these every position; that more networks are drawn soundly, with operators in them, is held below.
WITH_VARIANTS = ("rtdetr-l.yaml", "yolo12.yaml", "yolov8-world.yaml", "yolov9e.yaml")
POSITIONS = [(model, position) for model in WITH_VARIANTS for position in builds.positions_of(model)]
PAGE = (480, 690)  # points, as A4 and letter paper leave them between their margins


@cache
def stock(model: str, letter: str | None) -> Model:
    return load(str(stock_models()[model]), letter)


def image_of(model: Model, positions: bool = False, imgsz: tuple[int, int] = (640, 640)) -> images.Image:
    return images.read(svg_of(scene_of(Content(model, imgsz).figure(positions))))


@pytest.mark.parametrize("model", sorted({*SOME, *builds.SOME}))
def test_stock_models_are_drawn_soundly_and_fits_a_page_with_text_that_can_be_read(model: str) -> None:
    for scaling in {builds.scalings_of(model)[0], builds.scalings_of(model)[-1]}:
        network = stock(model, scaling.letter)
        image = image_of(network)
        images.assert_sound(image, network.graph)
        assert TYPES["detail"].size * min(PAGE[0] / image.page.right, PAGE[1] / image.page.bottom) >= 5


@pytest.mark.slow
@pytest.mark.parametrize(("model", "position"), POSITIONS)
def test_every_variant_is_drawn_soundly_alone_and_beside_its_base(model: str, position: str) -> None:
    letter = builds.scalings_of(model)[0].letter
    base = stock(model, letter)
    plan = plan_insert(base, Placement((position,), k=7), output="-")
    variant = model_of(Document(plan.text, model), base.scaling)
    graph = variant.graph
    images.assert_sound(image_of(variant), graph)
    difference = ComparedContent(Content(base, (640, 640)), Content(variant, (640, 640)))
    beside = images.read(svg_of(scene_of(difference.figure())))
    images.assert_sound(beside, graph)
    new = {f"row-{new}" for new, edit in plan.rewrite.edits.items()}
    assert {name for name, style in beside.styles.items() if style == "operator"} == new
    assert {style for name, style in beside.styles.items() if name in beside.boxes} == {"operator", "kept"}
    inserted = plan.rewrite.inserted
    dashed = {name.rpartition("-")[0] for name, style in beside.styles.items() if style == "rewired"}
    consumers = [(source, row.index) for row in graph for source in row.sources if source in inserted]
    assert dashed == {f"edge-{source}-{consumer}" for source, consumer in consumers if consumer not in inserted}


@pytest.mark.parametrize("model", SOME)
def test_every_position_is_marked_by_name(model: str) -> None:
    letter = builds.scalings_of(model)[0].letter
    network = stock(model, letter)
    image = image_of(network, positions=True)
    images.assert_sound(image, network.graph)
    sites = named_sites(network.graph, network.shapes)
    expected = {f"mark-{name}-{site.layer}" for name, here in sites.items() for site in here}
    assert set(image.marks) == expected
    assert sum(count for name, count in image.names.items() if name.startswith("mark-")) == len(expected)
    for name, sites_here in sites.items():
        for site in sites_here:
            mark = f"mark-{name}-{site.layer}"
            assert image.lines(mark) == [name]
            where = f"row-{site.layer if site.consumer is None else site.consumer}"
            assert image.boxes[where].holds(image.marks[mark])
            at = image.titles[mark].removeprefix("--at ")
            chosen = plan_insert(network, Placement((at,), k=7), output="-", verify=False).sites
            assert [(one.site.layer, one.site.consumer, one.site.inside) for one in chosen] == [
                (site.layer, site.consumer, site.inside)
            ]


@pytest.mark.parametrize("model", SOME)
def test_widths_and_map_sizes_are_those_of_the_built_model(model: str) -> None:
    size = 64
    scaling = builds.scalings_of(model)[-1]
    image = image_of(stock(model, scaling.letter), imgsz=(size, size))
    if model == "yolo11-cls-resnet18.yaml":
        assert image.lines("row-0")[1] == "a model's features"
        return
    layers = builds.parse(stock_models()[model], scaling.letter)
    maps = builds.maps_of(layers, size)
    for index, built in enumerate(maps):
        line = image.lines(f"row-{index}")[1]
        if built is None and type(layers[index]).__name__ == "CBLinear":  # gives several maps of its input's size
            _, side = maps[layers[index].f] or (0, 0)
            widths = list(map(str, layers[index].c2s))
            assert " ".join(image.lines(f"row-{index}")[1:]) == (
                f"{', '.join(widths)} each {side} × {side}" if widths[1:] else f"{widths[0]} × {side} × {side}"
            )
        elif built is None:
            assert "×" not in line
        else:
            assert line == f"{built[0]} × {built[1]} × {built[1]}"


LONG = "W" * 60
ARGS = {
    "Conv": [64, 3, 2],
    "C2f": [1024, True],
    "nn.Upsample": [None, 2, "nearest"],
    "LSKA": ["c2", 53],
    "C2fLSKA": [64, True, {"k": 7}],
    "CBLinear": [[64, 64]],
    "MyOwnBlock": [64],
    LONG: [],
    "注意力": [],
}


@st.composite
def networks(draw: st.DrawFn) -> str:
    """YAML of rows that read whatever comes before them, several times over too, at strides that go up and down."""
    count = draw(st.integers(1, 24))
    rows = []
    for index in range(count):
        chosen = st.lists(st.integers(max(0, index - 9), index - 1), min_size=1, max_size=5)
        sources = draw(st.one_of(st.just([-1]), chosen)) if index else [-1]
        block = draw(st.sampled_from(sorted(ARGS))) if len(sources) == 1 else draw(st.sampled_from(("Concat", LONG)))
        rows.append([sources if len(sources) > 1 else sources[0], draw(st.integers(1, 3)), block, ARGS.get(block, [1])])
    middle = draw(st.integers(0, count - 1))
    return json.dumps({"nc": 3, "backbone": rows[:middle], "head": rows[middle:]})


TWO_OUTPUTS = json.dumps({"backbone": [[-1, 1, "C2f", [64]]], "head": [[0, 1, LONG, []], [0, 1, LONG, []]]})


@given(text=networks(), positions=st.booleans(), side=st.sampled_from((64, 640, 1000)))
@example(text=TWO_OUTPUTS, positions=True, side=64)
def test_any_network_is_drawn_soundly(text: str, positions: bool, side: int) -> None:
    document = Document(text, "any.yaml")
    model = model_of(document, Scaling())
    images.assert_sound(image_of(model, positions, (side, 2 * side)), document.graph)
