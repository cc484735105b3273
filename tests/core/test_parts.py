"""Networks whose blocks are their author's own: their parts, found from strides and places, not from names; strides."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cases import written_to

import lska_surgeon as ls
from lska_surgeon.core.graph import Scaling
from lska_surgeon.core.parts import Parts
from lska_surgeon.core.positions import NAMES, named_sites, parse_at, resolve_at
from lska_surgeon.core.shapes import Shape, shapes_of
from lska_surgeon.core.surgery import Placement
from lska_surgeon.errors import PositionError
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.insert import plan_insert
from lska_surgeon.modelfile.model import model_of
from lska_surgeon.modelfile.positions import Positions
from lska_surgeon.modelfile.remove import plan_remove
from lska_surgeon.modelfile.sources import stock_models

BACKBONE = """\
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 3, C2f, [128, True]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 6, C2f, [256, True]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 6, C2f, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 3, C2f, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]
"""
HEAD = """\
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 3, C2f, [256]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 12], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 9], 1, Concat, [1]]
  - [-1, 3, C2f, [1024]]
  - [[15, 18, 21], 1, Detect, [nc]]
"""
YOLOV8 = f"nc: 80\n{BACKBONE}{HEAD}"
UPSAMPLE = "nn.Upsample, [None, 2, nearest]"


def parts(text: str) -> dict[str, list[int]]:
    graph = Document(text, "my.yaml").graph
    named = named_sites(graph, shapes_of(graph, Scaling()))
    return {name: [site.layer for site in named.get(name, ())] for name in ("backbone", "sppf", "neck")}


def changed(*pairs: tuple[str, str]) -> str:
    text = YOLOV8
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def notes(text: str, *at: str) -> list[str]:
    """What is said of parts: of all by `positions`, of those asked for by an insertion."""
    model = model_of(Document(text, "my.yaml"), Scaling())
    said = plan_insert(model, Placement(at), output="my-variant.yaml").notes if at else Positions(model).notes
    return [note for note in said if note.startswith(tuple(NAMES))]


MIXERS = ("C2f", "Mixer")
PARTS = {"backbone": [2, 4, 6, 8], "sppf": [9], "neck": [12, 15, 18, 21]}


@pytest.mark.parametrize(
    "pairs",
    [
        [("SPPF, [1024, 5]", "SPPFCSPC, [1024]")],
        [("SPPF, [1024, 5]", "Pyramid, [1024, 5]")],
        [MIXERS, ("SPPF, [1024, 5]", "Pyramid, [1024, 5]"), ("Concat, [1]", "Zoom_cat, []")],
        [MIXERS, ("Concat, [1]", "Zoom_cat, []")],
        [MIXERS, ("Concat, [1]", "Zoom_cat, []"), (UPSAMPLE, "DySample, []")],
        [("Conv, [", "SPDConv, ["), (", 3, 2]", "]"), ("Concat, [1]", "Zoom_cat, []")],
    ],
    ids=["pool-by-name", "pool-by-place", "all-own", "own-fusions", "own-upsample", "own-downsample"],
)
def test_parts_of_own_blocks_are_those_of_the_stock_model(pairs: list[tuple[str, str]]) -> None:
    assert parts(changed(*pairs)) == PARTS


def test_fusions_of_three_inputs_are_fusions_behind_blocks_of_unknown_size() -> None:
    """BiFPN, whose middle level reads the backbone too."""
    text = changed(MIXERS, ("Concat, [1]", "Weigh, []"), ("[-1, 12], 1", "[-1, 12, 6], 1"))
    assert parts(text) == PARTS


def test_an_upsampling_row_is_no_block_that_refines() -> None:
    text = f"{BACKBONE}head:\n  - [-1, 1, {UPSAMPLE}]\n  - [[-1, 6], 1, Concat, [1]]\n  - [-1, 1, {UPSAMPLE}]\n"
    text += "  - [[-1, 4], 1, Concat, [1]]\n  - [[13, 11, 9], 1, Detect, [nc]]\n"
    assert parts(text)["neck"] == [11, 13]
    assert parts(text.replace(UPSAMPLE, "Upper, [512]"))["neck"] == [11, 13]


def test_of_fusions_in_a_row_the_last_counts() -> None:
    text = changed(("  - [-1, 3, C2f, [1024]]\n", "  - [[-1, 8], 1, Concat, [1]]\n  - [-1, 3, C2f, [1024]]\n"))
    assert parts(text.replace("18, 21]", "18, 22]"))["neck"] == [12, 15, 18, 22]


def test_attention_between_a_fusion_and_its_block_hides_no_site() -> None:
    text = changed(("  - [-1, 3, C2f, [1024]]\n", "  - [-1, 1, LSKA, [c2, 23]]\n  - [-1, 3, C2f, [1024]]\n"))
    assert parts(text.replace("18, 21]", "18, 22]"))["neck"] == [12, 15, 18, 22]


def test_a_block_that_reads_another_level_beside_the_fusion_refines_it() -> None:
    text = changed(("  - [-1, 3, C2f, [512]]\n  - [-1, 1, nn", "  - [[-1, 9], 1, Cross, [512]]\n  - [-1, 1, nn"))
    assert parts(text)["neck"] == [12, 15, 18, 21]


def test_a_layer_that_gives_a_list_is_no_fusion() -> None:
    head = "head:\n  - [[8, 9], 1, Gather, []]\n  - [10, 1, Pick, [0]]\n  - [10, 1, Pick, [1]]\n"
    head += "  - [[11, 9], 1, Add, []]\n  - [[12, 9], 1, Add, []]\n  - [[13, 14], 1, Detect, [nc]]\n"
    assert 10 not in parts(BACKBONE + head)["neck"]


def test_attention_behind_the_backbone_is_no_pool_stage() -> None:
    assert parts(changed(("SPPF, [1024, 5]", "Gate, []")))["sppf"] == []
    several = changed(("SPPF, [1024, 5]", "Gate, [1024]"), ("C2f, [512, True]", "Gate, [512]"))
    assert parts(several)["sppf"] == []
    assert parts(changed(("  - [-1, 1, SPPF", "  - [-1, 1, Gate, [1024]]\n  - [-1, 1, SPPF")))["sppf"] == [10]


def test_rows_that_make_maps_smaller_under_an_own_name_belong_to_no_stage_before() -> None:
    """Convolution and rearrangement together are the down-sampling."""
    text = changed(*((f"Conv, [{c}, 3, 2]]", f"Conv, [{c}, 3, 1]]\n  - [-1, 1, Fold, [2]]") for c in (256, 512)))
    text = text.split("head:")[0] + "head:\n  - [[8, 11], 1, Detect, [nc]]\n"
    strides = [2.0, 4.0, 4.0, 4.0, 8.0, 8.0, 8.0, 16.0, 16.0, 32.0, 32.0, 32.0]
    graph = Document(text, "my.yaml").graph
    shapes = [one._replace(stride=stride) for one, stride in zip(shapes_of(graph, Scaling()), [*strides, None])]
    assert [site.layer for site in named_sites(graph, shapes)["backbone"]] == [2, 5, 8, 10]


def test_guesses_that_contradict_each_other_are_not_believed() -> None:
    """`Fold` halves each side: where it is taken for a row that keeps it, a Concat has inputs of two sizes."""
    text = changed(*((f"Conv, [{c}, 3, 2]]", f"Conv, [{c}, 3, 1]]\n  - [-1, 1, Fold, [1]]") for c in (256, 512, 1024)))
    text = text.split("head:")[0] + "head:\n  - [-1, 1, DySample, []]\n  - [[-1, 8], 1, Concat, [1]]\n"
    assert parts(text + "  - [-1, 1, C2f, [512]]\n  - [[15, 8], 1, Detect, [nc]]\n")["backbone"] == [5, 8, 11]


def test_a_row_that_joins_several_sizes_gives_the_one_that_fits_what_follows() -> None:
    head = f"head:\n  - [[9, 6, 4], 1, Gather, []]\n  - [-1, 1, {UPSAMPLE}]\n  - [[-1, 4], 1, Join, []]\n"
    head += "  - [-1, 3, C2f, [256]]\n  - [-1, 1, Conv, [256, 3, 2]]\n  - [[-1, 10], 1, Join, []]\n"
    assert parts(f"{BACKBONE}{head}  - [-1, 3, C2f, [512]]\n  - [[13, 16], 1, Detect, [nc]]\n")["neck"] == [13, 16]


PICKS = "".join(f"  - [10, 1, Pick, [{n}]]\n" for n in range(3))


def test_maps_picked_from_a_list_have_no_guessed_size() -> None:
    head = f"head:\n  - [[4, 6, 9], 1, Gather, []]\n{PICKS}  - [[11, 12, 13], 1, Spread, []]\n"
    assert parts(f"{BACKBONE}{head}  - [[14, 9], 1, Detect, [nc]]\n")["neck"] == []


def test_rows_that_pick_from_a_list_are_no_stage_of_the_backbone() -> None:
    text = "backbone:\n  - [-1, 1, Load, [3]]\n  - [0, 1, Pick, [1]]\n  - [0, 1, Pick, [0]]\n"
    text += "  - [-1, 1, Conv, [64, 3, 2]]\n  - [-1, 3, C2f, [64]]\nhead:\n  - [[4], 1, Detect, [nc]]\n"
    assert parts(text)["backbone"] == [4]


RESIZING = changed(("[[-1, 4], 1, Concat, [1]]", "[[4, 6, 9], 1, Gather, []]"))


def test_what_joins_maps_of_several_sizes_is_left_out_and_said() -> None:
    assert parts(RESIZING)["neck"] == [12, 18, 21]
    left_out = (
        "neck leaves out 14 (Gather: strides 8, 16, 32): a fusion has inputs of one stride; "
        "--at after:SEL takes another place"
    )
    assert notes(RESIZING) == [left_out]
    assert notes(RESIZING, "neck") == [left_out]
    assert notes(RESIZING, "sppf") == []


def test_what_a_name_is_taken_for_by_its_place_is_said() -> None:
    text = changed(("SPPF, [1024, 5]", "Pyramid, [1024, 5]"))
    taken = (
        "sppf takes 9 (Pyramid), a block that is not known here, for the pool stage: "
        "it stands between the last stage of the backbone and the neck"
    )
    assert notes(text) == [taken]
    assert notes(text, "sppf") == [taken]
    assert notes(text, "neck") == []


def test_a_neck_under_backbone_is_refused_with_the_reason() -> None:
    graph = Document(YOLOV8.replace("head:\n", "").replace("  - [[15", "head:\n  - [[15"), "my.yaml").graph
    with pytest.raises(PositionError) as refused:
        resolve_at(parse_at("neck"), graph, shapes_of(graph, Scaling()))
    assert str(refused.value).endswith(
        "; neck leaves out 11 (Concat), 14 (Concat), 17 (Concat), 20 (Concat): a neck stands under head, and this "
        "stands under backbone"
    )


def test_stock_models_leave_nothing_out() -> None:
    graphs = [Document.read(path).graph for path in stock_models().values()]
    assert [Parts(graph, shapes_of(graph, Scaling())).left_out(NAMES) for graph in graphs] == [[]] * len(graphs)


@pytest.mark.parametrize("at", [("neck",), ("sppf", "backbone"), ("neck:p4", "sppf")])
def test_removing_gives_networks_of_own_blocks_back(at: tuple[str, ...], tmp_path: Path) -> None:
    text = changed(MIXERS, ("Concat, [1]", "Zoom_cat, []"), ("SPPF, [1024, 5]", "Pyramid, [1024, 5]"))
    variant = plan_insert(model_of(Document(text, "my.yaml"), Scaling()), Placement(at), output="my-variant.yaml").text
    assert variant != text
    path = tmp_path / "my-variant.yaml"
    path.write_text(variant, encoding="utf-8")
    assert plan_remove(str(path)).text == text


SEVERAL_OUTPUTS = """\
nc: 4
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 3, C2f, [256]]
head:
  - [-1, 1, nn.Upsample, [None, 2, nearest]]
  - [[-1, 1], 1, Concat, [1]]
  - [-1, 3, C2f, [128]]
  - [[6, 3], 1, Detect, [nc]]
  - [[6], 1, Segment, [nc, 32, 256]]
"""


def test_each_output_layer_has_heads_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(SEVERAL_OUTPUTS, encoding="utf-8")
    positions = ls.positions(path)
    assert [(site.layer, site.consumer) for site in positions.named["head"]] == [(3, 7), (6, 7), (6, 8)]
    assert positions.to_dict()["positions"]["head"] == [3, 6]
    variant = ls.insert(path, "head:p2", k=7)
    assert "[[7, 3], 1, Detect, [nc]]" in variant.text
    assert "[[8], 1, Segment, [nc, 32, 256]]" in variant.text
    assert ls.remove(variant.write(tmp_path / "variant.yaml")).text == SEVERAL_OUTPUTS
    with pytest.raises(PositionError, match="layer 7 \\(Detect\\) gives the model's output, not one feature map"):
        ls.insert(path, "after:7")


def test_nothing_goes_between_a_list_of_maps_and_the_rows_that_pick_from_it(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(
        "nc: 4\nbackbone:\n  - [-1, 1, MyBackbone, []]\nhead:\n  - [0, 1, GetLayer, [1]]\n  - [0, 1, GetLayer, [2]]\n"
        "  - [[1, 2], 1, Detect, [nc]]\n",
        encoding="utf-8",
    )
    for at in ("after:0", "before:1", "edge:0->2"):
        with pytest.raises(PositionError, match="a list of maps, from which 1, 2 take one each"):
            ls.insert(path, at)
    assert [site.layer for site in ls.positions(path).named["head"]] == [1, 2]


def test_a_neck_in_one_row_is_said_to_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    rows = ["- [[4, 6, 9], 1, MyNeck, [256]]", *(f"- [10, 1, GetLayer, [{n}]]" for n in range(3))]
    rows += [f"- [{11 + n}, 3, C2f, [256]]" for n in range(3)] + ["- [[14, 15, 16], 1, Detect, [nc]]"]
    path.write_text(f"nc: 80\n{BACKBONE}head:\n" + "".join(f"  {row}\n" for row in rows), encoding="utf-8")
    (note,) = (note for note in ls.positions(path).notes if "neck" in note)
    assert note.startswith("neck leaves out 10 (MyNeck: strides 8, 16, 32): a fusion has inputs of one stride")
    with pytest.raises(PositionError, match="neck leaves out 10"):
        ls.insert(path, "neck")


# Strides behind blocks that are not known: they follow from neighbours, or stay unknown.

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
    assert f"# {right[1][0] + 1} lska k23, neck (P3/8)" in ls.insert(path, "neck:p3", unchecked=True, output="-").text


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


def shapes_in(*rows: str) -> tuple[Shape, ...]:
    text = "backbone:\n" + "".join(f" - {row}\n" for row in rows[:-1]) + f"head:\n - {rows[-1]}\n"
    return shapes_of(Document(text).graph, Scaling())


def test_what_nothing_fixes_is_not_known() -> None:
    _, mixer, behind, _ = shapes_in(
        "[-1, 1, Conv, [16, 3, 2]]", "[-1, 1, Downmixer, [16]]", "[-1, 1, C2f, [16]]", "[[2], 1, Detect, [nc]]"
    )
    assert [(x.stride, x.level, x.guessed) for x in (mixer, behind)] == [(None, None, True)] * 2


def test_a_fusion_that_scales_has_no_stride_of_its_inputs() -> None:
    found = shapes_in(
        "[-1, 1, Conv, [16, 3, 2]]",
        "[-1, 1, Conv, [16, 3, 2]]",
        "[[0, 1], 1, Mixer, [16]]",
        "[[2, 1], 1, Detect, [nc]]",
    )
    assert found[2].stride is None


def test_inputs_of_the_output_layer_double() -> None:
    found = shapes_in(
        "[-1, 1, Conv, [16, 3, 2]]",
        "[-1, 1, Conv, [16, 3, 2]]",
        "[0, 1, X, []]",
        "[0, 1, Y, []]",
        "[[1, 2, 3], 1, Detect, [nc]]",
    )
    assert [(x.stride, x.guessed) for x in found[1:4]] == [(4, False), (8, True), (16, True)]
