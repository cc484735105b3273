"""The grammar of `--at`, and the sites that each name stands for."""

from __future__ import annotations

import pytest
from support import builds

from lska_surgeon.core.graph import Graph, scaling_of
from lska_surgeon.core.operators import resolve_kernel
from lska_surgeon.core.positions import Site, named_sites, parse_at, resolve_at
from lska_surgeon.core.shapes import Shape, shapes_of
from lska_surgeon.core.surgery import Edit, insert
from lska_surgeon.errors import PositionError
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.wording import message as quoted


def open_text(text: str) -> tuple[Graph, tuple[Shape, ...]]:
    document = Document(text, "my.yaml")
    return document.graph, shapes_of(document.graph, scaling_of(document.settings))


def open_stock(name: str) -> tuple[Graph, tuple[Shape, ...]]:
    document = Document.read(stock_models()[name])
    return document.graph, shapes_of(document.graph, scaling_of(document.settings))


def layers(named: dict[str, tuple[Site, ...]]) -> dict[str, list[int]]:
    return {name: [site.layer for site in sites] for name, sites in named.items()}


@pytest.mark.parametrize(
    ("model", "expected"),
    {
        "yolov8.yaml": {
            "backbone": [2, 4, 6, 8], "sppf": [9], "neck": [12, 15, 18, 21], "head": [15, 18, 21],
            "residual": [2, 4, 6, 8], "sppf-inner": [9],
        },
        "yolov8-cls.yaml": {"backbone": [2, 4, 6, 8], "head": [8], "residual": [2, 4, 6, 8]},
        "yolov8-p6.yaml": {
            "backbone": [2, 4, 6, 8, 10], "sppf": [11], "neck": [14, 17, 20, 23, 26, 29], "head": [20, 23, 26, 29],
            "residual": [2, 4, 6, 8, 10], "sppf-inner": [11],
        },
        "yolov3-spp.yaml": {
            "backbone": [2, 4, 6, 8, 10], "sppf": [12], "neck": [19, 26], "head": [15, 22, 27],
            "residual": [2, 4, 6, 8, 10], "sppf-inner": [12],
        },
        "yolov5.yaml": {
            "backbone": [2, 4, 6, 8], "sppf": [9], "neck": [13, 17, 20, 23], "head": [17, 20, 23],
            "residual": [2, 4, 6, 8], "sppf-inner": [9],
        },
        "yolov9t.yaml": {
            "backbone": [2, 4, 6, 8], "sppf": [9], "neck": [12, 15, 18, 21], "head": [15, 18, 21],
            "residual": [4, 6, 8, 12, 15, 18, 21], "sppf-inner": [9],
        },
        "yolov9e.yaml": {
            "backbone": [3, 5, 7, 9, 19, 22, 25, 28], "sppf": [29], "neck": [32, 35, 38, 41], "head": [35, 38, 41],
            "residual": [3, 5, 7, 9, 19, 22, 25, 28, 32, 35, 38, 41], "sppf-inner": [29],
        },
        "yolov10n.yaml": {
            "backbone": [2, 4, 6, 8], "sppf": [9], "neck": [13, 16, 19, 22], "head": [16, 19, 22],
            "residual": [2, 4, 6, 8], "sppf-inner": [9],
        },
        "yolo11.yaml": {
            "backbone": [2, 4, 6, 8], "sppf": [9], "neck": [13, 16, 19, 22], "head": [16, 19, 22],
            "residual": [2, 4, 6, 8, 13, 16, 19, 22], "sppf-inner": [9],
        },
        "rtdetr-l.yaml": {"backbone": [1, 3, 7, 9], "neck": [16, 21, 24, 27], "head": [21, 24, 27]},
        "yolov8-cls-resnet50.yaml": {"backbone": [1, 2, 3, 4], "head": [4]},
        "yolov8-ghost.yaml": {
            "backbone": [2, 4, 6, 8], "sppf": [9], "neck": [12, 15, 18, 21], "head": [15, 18, 21], "sppf-inner": [9],
        },
    }.items(),
)  # fmt: skip
def test_names_find_the_parts_of_a_model(model: str, expected: dict[str, list[int]]) -> None:
    assert layers(named_sites(*open_stock(model))) == expected


@pytest.mark.parametrize("model", builds.SOME)
def test_sites_follow_the_structure_and_not_the_numbers(model: str) -> None:
    graph, shapes = open_stock(model)
    first = next((i for i in range(len(graph)) if graph.consumers(i) and graph[i].block != "TorchVision"), None)
    if first is None:
        assert named_sites(graph, shapes) == {}
        return
    moved = insert(graph, [Edit(Site("after", "after", first), resolve_kernel("lska", 23))])
    document = Document.read(stock_models()[model])
    after = named_sites(moved.after, shapes_of(moved.after, scaling_of(document.settings)))
    before = {n: [moved.index_map[i] for i in found] for n, found in layers(named_sites(graph, shapes)).items()}
    assert layers(after) == before


YOLOV8 = "yolov8.yaml"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("neck:p3", [(15, None, False)]),
        ("neck:P4", [(12, None, False), (18, None, False)]),
        ("neck: p5, 15", [(15, None, False), (21, None, False)]),
        ("neck:15,15,p3", [(15, None, False)]),
        ("head:p4,p5", [(18, 22, False), (21, 22, False)]),
        ("backbone:p5", [(8, None, False)]),
        ("residual:2,4", [(2, None, True), (4, None, True)]),
        ("sppf-inner", [(9, None, True)]),
        (" sppf ", [(9, None, False)]),
        ("after:9", [(9, None, False)]),
        ("after:-2", [(21, None, False)]),
        ("after:SPPF", [(9, None, False)]),
        ("after:C2f#0", [(2, None, False)]),
        ("after:C2f#7", [(21, None, False)]),
        ("after:nn.Upsample#1", [(13, None, False)]),
        ("before:9", [(8, 9, False)]),
        ("before:SPPF", [(8, 9, False)]),
        ("before:-2", [(20, 21, False)]),
        ("edge:15->22", [(15, 22, False)]),
        ("edge:15 -> Detect", [(15, 22, False)]),
        ("edge:SPPF->-3", [(9, 20, False)]),
    ],
)
def test_selections_resolve(at: str, expected: list[tuple[int, int | None, bool]]) -> None:
    graph, shapes = open_stock(YOLOV8)
    found = resolve_at(parse_at(at), graph, shapes)
    assert [(site.layer, site.consumer, site.inside) for site in found] == expected
    assert {site.asked for site in found} == {at.strip()}


@pytest.mark.parametrize("at", ["neck", "neck:p3", "after:9", "before:9", "edge:15->22", "residual", "sppf-inner:9"])
def test_every_form_takes_a_kernel_size(at: str) -> None:
    graph, shapes = open_stock(YOLOV8)
    assert {site.k for site in resolve_at(parse_at(f"{at}@11"), graph, shapes)} == {11}
    assert {site.k for site in resolve_at(parse_at(f"{at}@0"), graph, shapes)} == {0}
    assert {site.k for site in resolve_at(parse_at(at), graph, shapes)} == {None}


GRAMMAR = "write a name such as neck, neck:p3,p4@11, after:9 or 'edge:15->22'"
ALL_NAMES = "there are backbone, sppf, neck, head, residual, sppf-inner, after:SEL, before:SEL, edge:A->B"


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("", f"can't read --at '': {GRAMMAR}"),
        ("neck:", f"can't read --at 'neck:': {GRAMMAR}"),
        ("neck@", f"can't read --at 'neck@': {GRAMMAR}"),
        ("neck@3x", f"can't read --at 'neck@3x': {GRAMMAR}"),
        ("neck@-3", f"can't read --at 'neck@-3': {GRAMMAR}"),
        ("neck@7@9", f"can't read --at 'neck@7@9': {GRAMMAR}"),
        ("NECK", f"no position 'NECK' (did you mean neck?): {ALL_NAMES}"),
        ("nekc,sppf", f"can't read --at 'nekc,sppf': {GRAMMAR}"),
        ("neck,p3,p4", "can't read --at 'neck,p3,p4': write --at neck:p3,p4"),
        ("neck : p3", "can't read --at 'neck : p3': write --at neck:p3"),
        (f"neck@{'1' * 5000}", quoted(f"can't read --at 'neck@{'1' * 5000}': {GRAMMAR}")),
        ("nek", f"no position 'nek' (did you mean neck?): {ALL_NAMES}"),
        ("tail", f"no position 'tail': {ALL_NAMES}"),
        ("after", "--at after needs a layer: write --at 'after:9' or --at 'after:SPPF'"),
        ("edge@7", "--at edge needs a layer: write --at 'edge:15->22' or --at 'edge:SPPF->20'"),
    ],
    ids=lambda text: text[:20],
)
def test_misspelt_positions_are_refused(at: str, message: str) -> None:
    with pytest.raises(PositionError) as refused:
        parse_at(at)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("at", "repeated"),
    {
        "sppf,neck": "--at sppf --at neck",
        "neck sppf": "--at neck --at sppf",
        "neck\nsppf": "--at neck --at sppf",
        "SPPF; Neck": "--at sppf --at neck",
        "sppf、neck": "--at sppf --at neck",
        "neck:p3,neck:p4": "--at neck:p3 --at neck:p4",
        "neck:p3，p4，sppf": "--at neck:p3,p4 --at sppf",  # noqa: RUF001
        "neck@11,sppf@35": "--at neck@11 --at sppf@35",
        "neck:p3@11,p4": "--at neck:p3@11 --at neck:p4",
        "after:9,12": "--at after:9 --at after:12",
        "edge:15 -> 22, 18 -> 22": "--at 'edge:15->22' --at 'edge:18->22'",
    }.items(),
)
def test_several_positions_in_one_say_how_to_repeat_at(at: str, repeated: str) -> None:
    with pytest.raises(PositionError) as refused:
        parse_at(at)
    assert str(refused.value) == f"--at {at!r} is several positions: give each its own, as {repeated}"
    for one in repeated.replace("'", "").split("--at ")[1:]:
        assert parse_at(one.strip())


@pytest.mark.parametrize(
    ("at", "signs", "plain"),
    [
        ("neck：p3，p4", "： ，", "neck:p3,p4"),  # noqa: RUF001
        ("neck＠11", "＠", "neck@11"),  # noqa: RUF001
        ("neck@１１", "１", "neck@11"),  # noqa: RUF001
        ("after：９", "： ９", "after:9"),  # noqa: RUF001
        ("after：C2f＃2", "： ＃", "'after:C2f#2'"),  # noqa: RUF001
        ("edge：15－＞22", "： － ＞", "'edge:15->22'"),  # noqa: RUF001
        ("edge:15→22", "→", "'edge:15->22'"),
        ("ｎｅｃｋ", "ｎ ｅ ｃ ｋ", "neck"),  # noqa: RUF001
    ],
)
def test_signs_of_another_keyboard_are_named_with_the_plain_ones(at: str, signs: str, plain: str) -> None:
    with pytest.raises(PositionError) as refused:
        parse_at(at)
    assert str(refused.value) == f"can't read --at {at!r}, for it has {signs}: write --at {plain}"


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("after:31", "no layer 31: yolov8.yaml has 0-22; try --at after:21"),
        ("before:-24", "no layer -24: yolov8.yaml has 0-22; try --at before:21"),
        ("edge:31->2", "no layer 31: yolov8.yaml has 0-22; try --at 'edge:15->22'"),
        ("after:22", "--at after:22: layer 22 (Detect) gives the model's output, not one feature map"),
        ("before:0", "--at before:0: layer 0 reads the image; an operator needs a layer before it"),
        ("before:22", "--at before:22: layer 22 (Detect) reads 3 layers; "
         "name one with --at 'edge:15->22', 'edge:18->22', 'edge:21->22'"),
        ("edge:9->22", "--at edge:9->22: layer 22 (Detect) does not read 9; it reads 15, 18, 21"),
        ("edge:9", "can't read --at 'edge:9': an edge is 'edge:A->B', such as 'edge:15->22' (in quotes)"),
        ("edge:9->", "can't read layer '' in --at edge:9->: write 9, -2, SPPF or C2f#2"),
        ("after:9/12", "can't read layer '9/12' in --at after:9/12: write 9, -2, SPPF or C2f#2"),
        ("after:C2f#", "can't read layer 'C2f#' in --at after:C2f#: write 9, -2, SPPF or C2f#2"),
        ("after:sppf", "--at after:sppf: yolov8.yaml has no sppf; it has Conv, C2f, SPPF, nn.Upsample, Concat, Detect"),
        ("after:SPPF#1", "--at after:SPPF#1: yolov8.yaml has SPPF#0 to #0"),
        ("after:nn.Upsample", "--at after:nn.Upsample: yolov8.yaml has 2 nn.Upsample; "
         "name one: nn.Upsample#0 (10), nn.Upsample#1 (13)"),
        ("neck:p6", "--at neck:p6: neck has no 'p6' in yolov8.yaml; it has 12 (p4), 15 (p3), 18 (p4), 21 (p5)"),
        ("residual:12", "--at residual:12: residual has no '12' in yolov8.yaml; it has 2 (p2), 4 (p3), 6 (p4), 8 (p5)"),
    ],
)  # fmt: skip
def test_what_a_model_lacks_is_refused_with_what_it_has(at: str, message: str) -> None:
    graph, shapes = open_stock(YOLOV8)
    with pytest.raises(PositionError) as refused:
        resolve_at(parse_at(at), graph, shapes)
    assert str(refused.value) == message


def test_a_name_that_matches_nothing_lists_the_positions_of_the_model() -> None:
    graph, shapes = open_stock("yolov8-cls.yaml")
    with pytest.raises(PositionError) as refused:
        resolve_at(parse_at("sppf"), graph, shapes)
    assert str(refused.value) == (
        "--at sppf matches nothing in yolov8-cls.yaml: it has backbone (2, 4, 6, 8), head (8), residual (2, 4, 6, 8); "
        "or name a layer with after:0-8"
    )


@pytest.mark.parametrize("name", ["after:CBLinear#0", "edge:10->16"])
def test_layers_that_give_no_single_map_take_no_operator(name: str) -> None:
    graph, shapes = open_stock("yolov9e.yaml")
    with pytest.raises(PositionError, match=r"layer 10 \(CBLinear\) gives a list of maps, not one feature map$"):
        resolve_at(parse_at(name), graph, shapes)


def test_a_layer_that_nobody_reads_takes_no_operator() -> None:
    graph, shapes = open_text(
        "backbone:\n - [-1, 1, Conv, [64, 3, 2]]\n - [0, 1, Conv, [64]]\nhead:\n - [[0], 1, Detect, [nc]]\n"
    )
    with pytest.raises(PositionError) as refused:
        resolve_at(parse_at("after:1"), graph, shapes)
    assert str(refused.value) == "--at after:1: nobody reads layer 1 (Conv), so nothing would change"


@pytest.mark.parametrize(
    ("row", "shortcut"),
    [
        ("C2f, [128, True]", True),
        ("C2f, [128]", False),
        ("C2f, [128, False]", False),
        ("C3, [128]", True),
        ("C3, [128, False]", False),
        ("C3k2, [128, False, 0.25]", True),
        ("C3k2, [128, True, 0.5, 1, False]", False),
        ("C3k2, [128, True, 0.5, False, 1, False]", False),
        ("A2C2f, [128, False, -1]", True),
        ("A2C2f, [128, True, 4]", False),
        ("RepNCSPELAN4, [128, 64, 32, 1]", True),
        ("Bottleneck, [64]", True),
        ("Bottleneck, [64, False]", False),
        ("Bottleneck, [128]", False),
        ("C2fCIB, [128, True]", False),
        ("C3Ghost, [128]", False),
    ],
)
def test_residual_wants_a_bottleneck_with_a_shortcut(row: str, shortcut: bool) -> None:
    graph, shapes = open_text(
        f"backbone:\n - [-1, 1, Conv, [64, 3, 2]]\n - [-1, 1, {row}]\nhead:\n - [[1], 1, Detect, [nc]]\n"
    )
    assert ("residual" in named_sites(graph, shapes)) == shortcut


def test_backbone_is_one_block_per_stage_even_after_plain_convolutions() -> None:
    rows = [
        "Conv, [16, 3, 2]",
        "Conv, [16, 3, 1]",
        "C2f, [16]",
        "MyMixer, [16]",
        "Conv, [32, 3, 2]",
        "Conv, [64, 3, 2]",
    ]
    text = "backbone:\n" + "".join(f" - [-1, 1, {row}]\n" for row in rows) + "head:\n - [[5], 1, Detect, [nc]]\n"
    assert layers(named_sites(*open_text(text)))["backbone"] == [3]


def test_a_source_that_the_output_layer_reads_twice_is_one_site() -> None:
    graph, shapes = open_text("backbone:\n - [-1, 1, Conv, [64, 3, 2]]\nhead:\n - [[0, -1], 1, Detect, [nc]]\n")
    assert layers(named_sites(graph, shapes))["head"] == [0]
