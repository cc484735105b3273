"""Numbers, settings and rows that no network has, wherever a file or an option may hold one: one line, no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.shapes import NETWORK, surgeon

from lska_surgeon.core.blocks import STOCK
from lska_surgeon.core.graph import Graph, Layer, Scaling, scaling_of
from lska_surgeon.core.operators import operators_in
from lska_surgeon.core.shapes import MOST_CHANNELS, shapes_of
from lska_surgeon.core.surgery import resolve_scale
from lska_surgeon.errors import SurgeonError
from lska_surgeon.modelfile.document import Document
from lska_surgeon.yolo.build import refuse_sizes

ODD = "yolov8s-odd.yaml"
COMMANDS = {
    "positions": ["positions", ODD],
    "insert": ["insert", ODD, *"--at head --at residual --at sppf-inner --k 7 --unchecked --dry-run".split()],
    "insert --resolve": ["insert", ODD, *"--at head --unchecked --resolve -o -".split()],
    "remove": ["remove", ODD, "--dry-run"],
    "diff": ["diff", "yolov8s.yaml", ODD],
    "draw": ["draw", ODD, "-o", "odd.svg", "--force"],
    "blocks": ["blocks", ODD],
    "curves": ["curves", ODD, "--at", "neck"],
    "flops": ["flops", ODD, "--imgsz", "64"],
    "variants": ["variants", "recipe.yaml", "--dry-run"],
}


@pytest.fixture(autouse=True)
def recipe() -> None:
    Path("recipe.yaml").write_text(f"base: {ODD}\nmatrix: {{at: [neck], k: [7]}}\n", encoding="utf-8")


def refused(*words: str) -> str:
    """What a command says on one line, with exit code 2."""
    done = surgeon(*words)
    assert done.exit_code == 2, (words, done.exception, done.output[:200])
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert len(line) < 500
    return str(line)


# Numbers.

#: One of each kind: more digits than a float has, more than Python writes, a float, and one that is just too large.
NUMBERS = {"309 digits": "9" * 309, "hex": "0x" + "f" * 5000, "5000 digits": "9" * 5000, "15 digits": "9" * 15}
HUGE = "and no number here has more than 18 digits"
YAML = """nc: {nc}
scales:
  s: [{depth}, {width}, {most}]
backbone:
  - [-1, 1, Conv, [{c}, 3, 2]]
  - [-1, 1, Conv, [128, {k}, {s}]]
  - [-1, {n}, C2f, [128, True]]
  - [{source}, 1, Conv, [256, 3, 2]]
  - [-1, 1, SPPF, [256, {pool}]]
head:
  - [-1, 1, nn.Upsample, [None, {up}, nearest]]
  - [[-1, {slot}], 1, Concat, [{dim}]]
  - [-1, 3, C2f, [128]]
  - [[7], 1, Detect, [nc]]
"""
USUAL = {
    **{"nc": "80", "depth": "0.33", "width": "0.5", "most": "1024"},
    **{"c": "64", "k": "3", "s": "2", "n": "3", "source": "-1", "pool": "5", "up": "2", "slot": "2", "dim": "1"},
}


def with_numbers(**numbers: str) -> None:
    Path(ODD).write_text(YAML.format(**{**USUAL, **numbers}), encoding="utf-8")


def test_the_file_with_usual_numbers_is_a_model() -> None:
    with_numbers()
    assert surgeon("check", ODD).exit_code == 0
    for command, words in COMMANDS.items():
        assert surgeon(*words).exit_code == (2 if command == "remove" else 0), words  # there is nothing to remove


@pytest.mark.parametrize(
    ("field", "number"), [*((field, "hex") for field in USUAL), ("nc", "309 digits"), ("k", "5000 digits")]
)
def test_huge_numbers(field: str, number: str) -> None:
    with_numbers(**{field: NUMBERS[number]})
    assert HUGE in refused("positions", ODD)
    with pytest.raises(SurgeonError, match=HUGE):
        refuse_sizes(ODD, STOCK)
    done = surgeon("check", ODD)
    assert done.exit_code == 1, done.exception
    assert HUGE in done.stdout


@pytest.mark.parametrize(
    ("field", "number", "said"),
    [
        ("nc", NUMBERS["15 digits"], "nc is 999999999999999: it may be at most 65536"),
        ("depth", "1.0e+300", "scale s multiplies by 1e+300: depth and width may be multiplied by 0 to 1000"),
        ("width", NUMBERS["15 digits"], "scale s multiplies by 999999999999999"),
        ("c", ".nan", "row 0 (Conv) is nan channels wide: it may be 1 to 65536"),
        ("c", "-1.0e+300", "row 0 (Conv) is -1e+300 channels wide"),
        ("k", NUMBERS["15 digits"], "row 1 (Conv) has the argument 999999999999999: it may be at most 65536"),
        ("s", ".inf", "row 1 (Conv) has the argument inf"),
        ("n", NUMBERS["15 digits"], "row 2 (C2f) has 999999999999999 repeats: it may have 1 to 1000"),
        ("source", NUMBERS["15 digits"], "row 3 (Conv) reads layer 999999999999999, which looks forward"),
        ("pool", "1.0e+300", "row 4 (SPPF) has the argument 1e+300"),
        ("up", ".inf", "row 5 (nn.Upsample) has the argument inf"),
    ],
)
def test_what_is_said_of_numbers_that_are_merely_absurd(field: str, number: str, said: str) -> None:
    with_numbers(**{field: number})
    assert said in refused("positions", ODD)
    done = surgeon("check", ODD)
    assert done.exit_code == 1
    assert said.partition(") ")[2] in done.stdout
    if field != "source":
        with pytest.raises(SurgeonError) as told:
            refuse_sizes(ODD, STOCK)
        assert said in str(told.value)


def test_widths_that_grow_through_concats() -> None:
    layers = [Layer(0, "backbone", -1, 1, "Conv", (64, 3, 2))]
    layers += [Layer(1 + row, "head", (-1,) * 30, 1, "Concat", (1,)) for row in range(3100)]
    graph = Graph((*layers, Layer(3101, "head", (3100,), 1, "Detect", ("nc",))), {"nc": 80})
    assert max(shape.channels or 0 for shape in shapes_of(graph, Scaling())) == MOST_CHANNELS + 1


def test_a_concat_that_is_too_wide_is_told_once() -> None:
    rows = "".join("  - [[-1, -1], 1, Concat, [1]]\n" for _ in range(40))
    Path("wide.yaml").write_text(YAML.format(**USUAL).replace("head:\n", f"{rows}head:\n"), encoding="utf-8")
    assert "(Concat) is more than 65536 channels wide: it may be 1 to 65536" in refused("positions", "wide.yaml")
    with pytest.raises(SurgeonError, match="more than 65536 channels wide"):
        refuse_sizes("wide.yaml", STOCK)
    assert surgeon("check", "wide.yaml").stdout.count("is more than 65536 channels wide") == 1


def test_a_setting_that_can_not_be_read_is_left_out_where_all_errors_are_wanted() -> None:
    bad: list[object] = []
    document = Document(YAML.format(**{**USUAL, "nc": NUMBERS["hex"]}), "x.yaml", bad)  # type: ignore[arg-type]
    assert "nc" not in document.settings
    assert [str(one) for one in bad] == [f"x.yaml, line 1 nc has the number 0x{'f' * 21}…, {HUGE}"]


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("matrix: {at: [neck], k: [HEX]}", f"line 2, matrix.k: it has the number 0x{'f' * 21}…, {HUGE}"),
        ("matrix: {at: [neck], k: [LONG]}", "line 2, matrix.k: it has the number 9999"),
        ("matrix: {at: [neck], k: [7], dilation: [HEX]}", "line 2, matrix.dilation: it has the number"),
        ("imgsz: HEX\nmatrix: {at: [neck], k: [7]}", "line 2, imgsz: it has the number"),
        ("budget: {max_params: LONG}\nmatrix: {at: [neck], k: [7]}", HUGE),
        ("matrix: {at: [neck], k: [7]}\ntrain: {data: x.yaml, epochs: HEX}", "train.epochs: it has the number"),
        ("matrix: {at: [neck], k: [7]}\nout: '{k:>999999999999}.yaml'", "has braces that can't be read"),
    ],
)
def test_numbers_in_recipes(recipe: str, said: str) -> None:
    text = f"base: yolov8n.yaml\n{recipe}\n".replace("HEX", NUMBERS["hex"]).replace("LONG", NUMBERS["5000 digits"])
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    done = surgeon("variants", "recipe.yaml", "--dry-run")
    assert done.exit_code == 2, done.exception
    assert said in done.stderr


@pytest.mark.parametrize("field", ["class", "like", "channels", "stride"])
def test_numbers_in_declarations(field: str) -> None:
    pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    fields = {"class": '"a:EMA"', "like": '"attention"', "channels": '"first"', "stride": "1", field: NUMBERS["hex"]}
    Path("own.toml").write_text("[blocks.EMA]\n" + "".join(f"{key} = {value}\n" for key, value in fields.items()))
    said = refused("positions", "yolov8n.yaml", "--blocks", "own.toml")
    assert f"blocks.EMA.{field}: a number of thousands of digits is n" in said


@pytest.mark.parametrize(
    "words",
    [
        "diff yolov8n.yaml yolov8s.yaml --imgsz",
        "curves yolov8n.yaml --at neck --imgsz",
        "draw yolov8n.yaml --imgsz",
        "flops yolov8n.yaml --imgsz",
        "flops yolov8n.yaml --max-params",
        "latency yolov8n.yaml --batch",
    ],
)
def test_numbers_in_options(words: str) -> None:
    done = surgeon(*words.split(), NUMBERS["5000 digits"])
    assert done.exit_code == 2, done.exception
    assert done.stderr.startswith("Error: Invalid value for")


# Settings.

#: A setting as it is written -> what is expected of it.
WRONG = {
    "nc: 1000 classes": "nc is '1000 classes', and has to be the number of classes: write nc: 1000 # classes",
    "nc: '80'": "nc is '80', and has to be the number of classes, such as nc: 80",
    "nc:": "nc is empty, and has to be the number of classes, such as nc: 80",
    "nc: [2, 3]": "nc is [2, 3], and has to be the number of classes, such as nc: 80",
    "nc: true": "nc is True, and has to be the number of classes, such as nc: 80",
    "nc: 0": "nc is 0, and has to be the number of classes, such as nc: 80",
    "scales: n": "scales is 'n', and has to be a mapping of letters, such as scales: {n: [0.33, 0.25, 1024]}",
    "depth_multiple: -1": "depth_multiple is -1, and has to be a number, such as depth_multiple: 0.33",
    "width_multiple: [1]": "width_multiple is [1], and has to be a number, such as width_multiple: 0.25",
    "max_channels: 1k": "max_channels is '1k', and has to be a number, such as max_channels: 1024",
    "ch: three": "ch is 'three', and has to be the number of the image's channels, such as ch: 3",
    "channels: 4 bands": (
        "channels is '4 bands', and has to be the number of the image's channels: write channels: 4 # bands"
    ),
    "kpt_shape: 17": (
        "kpt_shape is 17, and has to be the number of keypoints, and 2 or 3 numbers for each, "
        "such as kpt_shape: [17, 3]"
    ),
    "activation: [x]": "activation is ['x'], and has to be a module of torch, such as activation: nn.ReLU()",
    "reg_max: none": "reg_max is 'none', and has to be a whole number from 1 on, such as reg_max: 16",
    "end2end: maybe": "end2end is 'maybe', and has to be true or false, such as end2end: true",
    "text_model: 7": "text_model is 7, and has to be the name of a text encoder, such as text_model: mobileclip:blt",
}


def with_setting(setting: str) -> None:
    text = NETWORK.replace("nc: 2\n", f"{setting}\n") if setting.startswith("nc:") else f"{setting}\n{NETWORK}"
    Path(ODD).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("setting", WRONG)
def test_check_says_what_to_write(setting: str) -> None:
    with_setting(setting)
    done = surgeon("check", ODD)
    assert done.exit_code == 1
    assert f"{ODD}:1: error[setting]: {WRONG[setting]}\n" in done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_it_in_one_line(command: str) -> None:
    for field in ("c", "source", "width"):
        with_numbers(**{field: NUMBERS["hex"]})
        assert HUGE in refused(*COMMANDS[command])
    if command in ("remove", "blocks"):  # which read the rows alone
        return
    for setting in ("nc: 1000 classes", "scales: n", "depth_multiple: -1", "kpt_shape: 17", "reg_max: none"):
        with_setting(setting)
        assert WRONG[setting] in refused(*COMMANDS[command])


def test_settings_that_are_right() -> None:
    with_setting("nc: 1000 # classes")
    assert surgeon("check", ODD).exit_code == 0
    for fine in ("scales:", "activation:", "end2end: false", "kpt_shape: [17, 2]", "names: 1000 classes", "mine: [x]"):
        with_setting(fine)
        assert "error[" not in surgeon("check", ODD).output, fine


# Rows.


def test_a_model_without_an_output_layer() -> None:
    Path("odd.yaml").write_text(f"{NETWORK.partition('head:')[0]}head: []\n", encoding="utf-8")
    expected = "has no rows under head: its last row is the output layer, such as [[15, 18, 21], 1, Detect, [nc]]"
    done = surgeon("check", "odd.yaml")
    assert done.exit_code == 1
    assert f"odd.yaml:9: error[row]: the file {expected}\n" in done.output
    assert refused("flops", "odd.yaml", "--imgsz", "64") == f"Error: odd.yaml {expected}"


@pytest.mark.parametrize("block", ["5", "null", "[Conv]", "2001-01-01"])
def test_a_row_whose_module_is_no_word(block: str) -> None:
    text = NETWORK.replace("[-1, 1, SPPF, [16, 5]]", f"[-1, 1, {block}, [16, 5]]")
    Path(ODD).write_text(text, encoding="utf-8")
    assert refused("flops", ODD, "--imgsz", "64").startswith(f"Error: {ODD}")


CASE = Path(__file__).parents[1] / "cases" / "scales" / "yolov8s-depth-multiple.yaml"


def with_row(row: str, at: int) -> None:
    """YOLOv8s with another row in the place of one of its own."""
    lines = CASE.read_text().splitlines()
    lines[1:3] = ["scales: {s: [0.33, 0.5, 1024]}"]
    rows = [number for number, line in enumerate(lines) if line.startswith("  - [")]
    lines[rows[at]] = f"  - {row}"
    Path(ODD).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("row", "at"),
    [
        ("[-1, 3, C2fAttn, [512]]", 12),
        ("[-1, 3, C2fAttn, [512, 256]]", 12),
        ("[-1, 3, C2fAttn, [512, wide, many]]", 12),
        ("[[15, 18, 21], 1, Segment, []]", 22),
        ("[[15, 18, 21], 1, Segment, [nc]]", 22),
        ("[[15, 18, 21], 1, Segment, [nc, 32, [256]]]", 22),
        ("[[15, 18, 21], 1, Segment, [nc, 32, .nan]]", 22),
        ("[-1, 1, RepNCSPELAN4, [256]]", 12),
        ("[-1, 1, RepNCSPELAN4, [256, 128, 64, three]]", 12),
        ("[-1, 1, SPPELAN, [512]]", 9),
        ("[-1, 1, SPPELAN, [512, x]]", 9),
        ("[-1, 2, A2C2f, [512]]", 12),
        ("[-1, 6, HGBlock, [48]]", 4),
        ("[-1, 2, C2PSA, []]", 9),
        ("[-1, 1, Classify, []]", 22),
        ("[-1, 3, C2fLSKA, [512, True, {k: 7, op: [lka]}]]", 12),
        ("[-1, 3, C2fLSKA, [512, True, {k: [7]}]]", 12),
    ],
)
def test_rows_with_fewer_and_odd_arguments(row: str, at: int) -> None:
    """One line, or a result, and never a traceback."""
    with_row(row, at)
    for command in ("insert", "insert --resolve", "remove", "diff"):
        done = surgeon(*COMMANDS[command])
        assert done.exception is None or isinstance(done.exception, SystemExit), (command, done.exception)
        assert done.exit_code != 2 or (done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1), done.stderr
    for words in (["check", "--fix", ODD], ["positions", ODD]):
        assert isinstance(surgeon(*words).exception or SystemExit(), SystemExit)


def test_resolve_says_which_argument_is_missing() -> None:
    with_row("[-1, 3, C2fAttn, [512]]", 12)
    assert "argument 2 of row 12 (C2fAttn), the embedding width, is missing" in refused(*COMMANDS["insert --resolve"])
    with_row("[-1, 3, C2fAttn, [512, 256, 8]]", 12)
    assert "C2fAttn, [256, 128, 4]" in surgeon(*COMMANDS["insert --resolve"]).stdout


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["nc", "c2", "x", "512", "nearest"])
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["k", "d", "op", "e"]), inner),
    max_leaves=4,
)


@settings(max_examples=400)
@given(
    block=st.sampled_from(sorted(block.name for block in STOCK if block.name not in ("attention", "add"))),
    args=st.lists(values, max_size=6).map(tuple),
    repeats=st.integers(0, 9),
    width=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_any_arguments_make_a_result_or_a_error(
    block: str, args: tuple[object, ...], repeats: int, width: float
) -> None:
    stem, row = Layer(0, "backbone", -1, 1, "Conv", (64, 3, 2)), Layer(1, "backbone", -1, repeats, block, args)
    graph = Graph((stem, row, Layer(2, "head", -1, 1, "Detect", ("nc",))), {"nc": 80})
    scaling = scaling_of({"scales": {"s": [0.33, width, 1024]}}, "s")
    for attempt in (
        lambda: operators_in(graph, 1, shapes_of(graph, scaling), scaling),
        lambda: resolve_scale(graph, shapes_of(graph, scaling), scaling),
    ):
        try:
            found = attempt()
        except SurgeonError:
            continue
        if hasattr(found, "params"):
            assert isinstance(found.params, int)
            assert found.params > 0 or not repeats
