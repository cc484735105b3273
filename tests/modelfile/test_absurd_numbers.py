"""Numbers that no network has, wherever a model YAML, a recipe or an option may hold one: one line, no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.shapes import surgeon

from lska_surgeon.core.blocks import STOCK
from lska_surgeon.core.graph import Graph, Layer, Scaling
from lska_surgeon.core.shapes import MOST_CHANNELS, shapes_of
from lska_surgeon.errors import SurgeonError
from lska_surgeon.modelfile.document import Document
from lska_surgeon.yolo.build import refuse_sizes

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
COMMANDS = {
    "positions": ["positions", "yolov8s-odd.yaml"],
    "insert": ["insert", "yolov8s-odd.yaml", "--at", "head", "--unchecked", "--dry-run"],
    "insert --resolve": ["insert", "yolov8s-odd.yaml", "--at", "head", "--unchecked", "--resolve", "-o", "-"],
    "remove": ["remove", "yolov8s-odd.yaml", "--dry-run"],
    "diff": ["diff", "yolov8s.yaml", "yolov8s-odd.yaml"],
    "draw": ["draw", "yolov8s-odd.yaml", "-o", "odd.svg", "--force"],
    "blocks": ["blocks", "yolov8s-odd.yaml"],
    "curves": ["curves", "yolov8s-odd.yaml", "--at", "neck"],
    "variants": ["variants", "recipe.yaml", "--dry-run"],
}


@pytest.fixture(autouse=True)
def folder() -> None:
    Path("recipe.yaml").write_text("base: yolov8s-odd.yaml\nmatrix: {at: [neck], k: [7]}\n", encoding="utf-8")


def odd(**numbers: str) -> str:
    Path("yolov8s-odd.yaml").write_text(YAML.format(**{**USUAL, **numbers}), encoding="utf-8")
    return "yolov8s-odd.yaml"


def refused(*words: str) -> str:
    """What a command says on one line, with exit code 2."""
    done = surgeon(*words)
    assert done.exit_code == 2, (words, done.exception, done.output[:200])
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert len(line) < 500
    return str(line)


def test_the_file_with_usual_numbers_is_a_model() -> None:
    odd()
    assert surgeon("check", "yolov8s-odd.yaml").exit_code == 0
    for command, words in COMMANDS.items():
        assert surgeon(*words).exit_code == (2 if command == "remove" else 0), words  # there is nothing to remove


@pytest.mark.parametrize("number", ["309 digits", "hex", "5000 digits"])
@pytest.mark.parametrize("field", USUAL)
def test_huge_numbers(field: str, number: str) -> None:
    name = odd(**{field: NUMBERS[number]})
    assert HUGE in refused("positions", name)
    with pytest.raises(SurgeonError, match=HUGE):
        refuse_sizes(name, STOCK)
    done = surgeon("check", name)
    assert done.exit_code == 1, done.exception
    assert HUGE in done.stdout


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("field", ["c", "source", "n", "nc", "width"])
def test_in_every_command(words: list[str], field: str) -> None:
    odd(**{field: NUMBERS["hex"]})
    assert HUGE in refused(*words)


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
    name = odd(**{field: number})
    assert said in refused("positions", name)
    assert said.partition(") ")[2] in surgeon("check", name).stdout
    assert surgeon("check", name).exit_code == 1
    if field != "source":
        with pytest.raises(SurgeonError) as told:
            refuse_sizes(name, STOCK)
        assert said in str(told.value)


def concats(rows: int, inputs: int) -> Graph:
    """A network whose every row joins the one before with itself."""
    layers = [Layer(0, "backbone", -1, 1, "Conv", (64, 3, 2))]
    layers += [Layer(1 + row, "head", (-1,) * inputs, 1, "Concat", (1,)) for row in range(rows)]
    return Graph((*layers, Layer(rows + 1, "head", (rows,), 1, "Detect", ("nc",))), {"nc": 80})


def test_widths_that_grow_through_concats() -> None:
    shapes = shapes_of(concats(3100, 30), Scaling())
    assert max(shape.channels or 0 for shape in shapes) == MOST_CHANNELS + 1


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
        ("budget: {max_params: LONG}\nmatrix: {at: [neck], k: [7]}", "no number here has more than 18 digits"),
        ("matrix: {at: [neck], k: [7]}\ntrain: {data: x.yaml, epochs: HEX}", "train.epochs: it has the number"),
        ("matrix: {at: [neck], k: [7]}\nout: '{k:>999999999999}.yaml'", "has braces that can't be read"),
    ],
)
def test_in_recipes(recipe: str, said: str) -> None:
    text = f"base: yolov8n.yaml\n{recipe}\n".replace("HEX", NUMBERS["hex"]).replace("LONG", NUMBERS["5000 digits"])
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    done = surgeon("variants", "recipe.yaml", "--dry-run")
    assert done.exit_code == 2, done.exception
    assert said in done.stderr


@pytest.mark.parametrize("field", ["class", "like", "channels", "stride"])
def test_in_declarations(field: str) -> None:
    pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    fields = {"class": '"a:EMA"', "like": '"attention"', "channels": '"first"', "stride": "1", field: NUMBERS["hex"]}
    Path("own.toml").write_text("[blocks.EMA]\n" + "".join(f"{key} = {value}\n" for key, value in fields.items()))
    said = refused("positions", "yolov8n.yaml", "--blocks", "own.toml")
    assert f"blocks.EMA.{field}: a number of thousands of digits is n" in said


@pytest.mark.parametrize(
    "words",
    [
        ["diff", "yolov8n.yaml", "yolov8s.yaml", "--imgsz"],
        ["curves", "yolov8n.yaml", "--at", "neck", "--imgsz"],
        ["draw", "yolov8n.yaml", "--imgsz"],
        ["flops", "yolov8n.yaml", "--imgsz"],
        ["flops", "yolov8n.yaml", "--max-params"],
        ["latency", "yolov8n.yaml", "--batch"],
    ],
    ids=" ".join,
)
def test_in_options(words: list[str]) -> None:
    done = surgeon(*words, NUMBERS["5000 digits"])
    assert done.exit_code == 2, done.exception
    assert done.stderr.startswith("Error: Invalid value for")
