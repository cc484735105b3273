"""Model YAMLs as text: what is read as PyYAML would read it, what is refused, and where rows come and go."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support import yaml_oracle as oracle

import lska_surgeon as ls
from lska_surgeon.core.graph import Layer
from lska_surgeon.errors import DocumentError, EndlessError
from lska_surgeon.modelfile.document import Document, format_row, format_value
from lska_surgeon.modelfile.remove import plan_remove
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.modelfile.text import read_plain

BASE = """\
nc: 80
backbone:
  - [-1, 1, Conv, [64, 3, 2]] # 0
  - [-1, 3, C2f, [128, True]] # 1
head:
  - [[0, 1], 1, Concat, [1]] # 2
  - [[2], 1, Detect, [nc]] # 3
"""


@pytest.mark.parametrize("name", sorted(stock_models()))
def test_stock_models_read_as_ultralytics_reads_them(name: str) -> None:
    document = Document.read(stock_models()[name])
    expected = oracle.load(stock_models()[name].read_bytes())
    assert [(layer.repeats, layer.block, list(layer.args)) for layer in document.layers] == [
        (repeats, block, args) for _, repeats, block, args in oracle.rows_of(expected)
    ]
    assert [list(layer.raw_sources) for layer in document.layers] == [
        frm if isinstance(frm, list) else [frm] for frm, *_ in oracle.rows_of(expected)
    ]
    assert document.settings == {key: value for key, value in expected.items() if key not in ("backbone", "head")}


SCALARS = (
    "0 1 -1 +3 017 0o17 08 0129 0b101 0x1F 1_000 1e5 1.5e+3 1.5e3 .5 5. . -.inf .INF .NaN nan inf ~ null "
    "NULL Null none None yes Yes YES yEs no n N y Y true TRUE tRue on On off OFF nc c2 nearest "
    "torch.nn.SiLU() 3.8.1 1.2.3 - _ 1__0 -0"
).split()
PLAIN = st.sampled_from(SCALARS) | st.from_regex(r"[-+.0-9_eExXbaAoO]{1,8}", fullmatch=True)


def test_each_kind_of_plain_scalar_reads_as_pyyaml_reads_it() -> None:
    for text in SCALARS:
        expect_as_pyyaml(text)


@given(PLAIN)
def test_plain_scalars_read_as_pyyaml_reads_them(text: str) -> None:
    expect_as_pyyaml(text)


def expect_as_pyyaml(text: str) -> None:
    try:
        expected = yaml.safe_load(f"[{text}]")
    except (yaml.YAMLError, ValueError):
        return
    if isinstance(expected, list) and len(expected) == 1 and not isinstance(expected[0], (list, dict)):
        found = read_plain(text)
        assert repr(found) == repr(expected[0])


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" "), max_size=8) | PLAIN
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["op", "k", "d"]), inner, max_size=2),
    max_leaves=6,
)


@given(VALUES)
def test_formatted_values_read_back_the_same(value: object) -> None:
    assert yaml.safe_load(f"[{format_value(value)}]")[0] == value


def test_rows_are_written_as_the_stock_files_write_them() -> None:
    assert format_row(Layer(5, "head", (-1, 6), 1, "Concat", (1,))) == "[[-1, 6], 1, Concat, [1]]"
    assert format_row(Layer(5, "head", -1, 1, "nn.Upsample", ("None", 2, "nearest"))) == (
        "[-1, 1, nn.Upsample, [None, 2, nearest]]"
    )
    assert format_value({"op": "lka", "k": 9, "d": 2}) == "{op: lka, k: 9, d: 2}"
    assert format_value(["a b", "no", "3", float("inf")]) == '["a b", "no", "3", .inf]'


CONV, C2F, FROM = "[-1, 1, Conv, [64, 3, 2]]", "[-1, 3, C2f, [128, True]]", "[0, 1], 1"
NO_MODEL = "bad.yaml is not a model YAML: it needs the keys backbone and head"
NO_ROW = "bad.yaml, line 4 (row 1) is not [from, repeats, module, args], such as [-1, 3, C2f, [128, True]]"
COLUMNS = "a row is [from, repeats, module, args]"
FROM_IS = "from is a number or a list of them"
ALIAS = "uses a YAML alias: write the row out"
NESTED = "bad.yaml is nested too deep, or contains itself: write it out plainly"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", NO_MODEL, id="empty"),
        pytest.param("# only\n", NO_MODEL, id="comment"),
        pytest.param("- 1\n", NO_MODEL, id="list"),
        pytest.param("hello", NO_MODEL, id="word"),
        pytest.param("backbone: []\n", NO_MODEL, id="no head"),
        pytest.param(
            f"{BASE}---\n{BASE}", "bad.yaml, line 8 is not YAML: but found another document", id="two documents"
        ),
        pytest.param(
            BASE.replace(f"  - {C2F}", f"\t- {C2F}"),
            "bad.yaml, line 4 is not YAML: found character '\\t' that cannot start any token",
            id="tab",
        ),
        pytest.param(
            BASE.replace("[nc]]", "[nc]"),
            "bad.yaml, line 8 is not YAML: expected ',' or ']', but got '<stream end>'",
            id="unclosed",
        ),
        pytest.param(f"{BASE}nc: 3\n", "bad.yaml has the key nc twice: keep one", id="twice"),
        pytest.param("backbone:\nhead:\n", f"bad.yaml: backbone is not a list of rows {COLUMNS[9:]}", id="no rows"),
        pytest.param(
            BASE.replace(C2F, "[-1, 3, C2f]"), f"bad.yaml, line 4 (row 1) has 3 columns: {COLUMNS}", id="short"
        ),
        pytest.param(BASE.replace(C2F, "C2f"), f"bad.yaml, line 4 (row 1) has no list: {COLUMNS}", id="no row"),
        pytest.param(
            BASE.replace(FROM, "[0, b], 1"), f"bad.yaml, line 6 (row 2) reads from [0, b]: {FROM_IS}", id="word as from"
        ),
        pytest.param(
            BASE.replace(FROM, "True, 1"), f"bad.yaml, line 6 (row 2) reads from True: {FROM_IS}", id="bool as from"
        ),
        pytest.param(BASE.replace("-1, 3, C2f", "-1, 3.0, C2f"), NO_ROW, id="float as repeats"),
        pytest.param(BASE.replace("C2f", "7"), NO_ROW, id="number as block"),
        pytest.param(BASE.replace("[128, True]", "128"), NO_ROW, id="no list as args"),
        pytest.param(
            BASE.replace(CONV, f"&a {CONV}\n  - *a"), f"bad.yaml, line 3 (row 1) {ALIAS}", id="alias of a row"
        ),
        pytest.param(BASE.replace("nc: 80", "nc: &a [*a]"), NESTED, id="contains itself"),
        pytest.param(BASE.replace("nc: 80", "scales: &a {n: [*a]}"), NESTED, id="scales contain themselves"),
        pytest.param(BASE.replace("[128, True]", "&a [*a]"), NESTED, id="arguments contain themselves"),
        pytest.param(BASE.replace("[-1, 3", "[&a [*a], 3"), NESTED, id="from contains itself"),
        pytest.param("backbone: &a\n  - *a\nhead:\n  - *a\n", NESTED, id="rows contain themselves"),
        pytest.param(
            BASE.replace(
                "nc: 80", "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
            ),
            "bad.yaml has YAML aliases that stand for too much: write it out plainly",
            id="aliases of aliases",
        ),
        pytest.param(BASE.replace("[128, True]", "[" * 5000 + "]" * 5000), NESTED, id="nested deep"),
        pytest.param(
            BASE.replace("nc: 80", "names: {[a]: b}"),
            "line 1: a key is a list or a mapping, and has to be a word",
            id="list as key",
        ),
    ],
)
def test_what_is_no_model_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DocumentError) as refused:
        Document(text, "bad.yaml")
    assert str(refused.value) == message


@pytest.mark.parametrize("row", ["*a", "[*a, 1, Conv, [8]]", "[-1, 1, Conv, *a]"])
def test_what_contains_itself_is_refused_where_all_bad_rows_are_wanted_too(row: str) -> None:
    with pytest.raises(EndlessError) as refused:
        Document(f"nc: 80\nbackbone: &a\n  - {row}\nhead:\n  - {row}\n", "bad.yaml", bad_rows=[])
    assert str(refused.value) == NESTED


def test_binary_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.yaml"
    path.write_bytes(bytes(range(256)) * 9)
    with pytest.raises(DocumentError, match=r"^weights\.yaml(, line \d+)? is not (a model )?YAML: [^\n]+$"):
        Document.read(path)


def test_a_folder_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"^can't read .*: it is a directory$"):
        Document.read(tmp_path)


@pytest.mark.parametrize(
    ("comment", "number"),
    [
        ("# 1", 1), ("#1", 1), ("# 15 (P3/8-small)", 15), ("# 0-P1/2", 0), ("# 10 input_proj.2", 10), ("# 12, Y5", 12),
        ("# X3 (21), fpn_blocks.1", 21), ("# stage 1", None), ("# cat backbone P4", None), ("", None), ("# 3x3", None),
        ("# 1.5", None), ("# P4/16", None), ("# 中文 7", None),
    ],
)  # fmt: skip
def test_index_comments_are_told_from_others(comment: str, number: int | None) -> None:
    document = Document(BASE.replace("# 1", comment))
    found = document.comment_index(1)
    assert (found and found[0]) == number
    if found:
        assert document.text[found[1].start : found[1].end] == str(number)


def test_a_comment_behind_several_rows_is_nobodys() -> None:
    document = Document(
        "backbone: [\n [-1, 1, Conv, [8]], [-1, 1, Conv, [8]], # 1\n]\nhead: [[[1], 1, Detect, [nc]]] # 2\n"
    )
    assert [document.comment_index(index) for index in range(2)] == [None, None]


ALIASES = """\
n: &n 2
width: &wide [C2f, 8]
backbone:
  - [-1, 1, Own, &own [*wide, True]]
  - [-1, 1, Own, *own]
  - [-1, 3, C2f, [8]]
head:
  - [[-1, 2], 1, Concat, [1]]
  - [[3], 1, Detect, [nc]]
"""


def test_rows_with_an_alias_stay_where_nothing_in_them_changes(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(ALIASES, encoding="utf-8")
    inserted = ls.insert(path, "after:2", op="cbam", unchecked=True).text
    assert [line for line in inserted.splitlines() if line not in ALIASES.splitlines()] == [
        "  - [-1, 1, CBAM, [c2]] # 3 cbam, after",
        "  - [[-1, 3], 1, Concat, [1]]",
        "  - [[4], 1, Detect, [nc]]",
    ]


def test_an_alias_that_would_have_to_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(ALIASES.replace("[-1, 2], 1", "[-1, *n], 1"), encoding="utf-8")
    message = r"line 8 \(row 3\) uses a YAML alias where it would have to change: write the row out$"
    with pytest.raises(DocumentError, match=message):
        ls.insert(path, "after:2", op="cbam", unchecked=True)


def test_an_anchor_that_would_change_what_an_alias_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(ALIASES.replace("[-1, 2], 1, Concat, [1]", "[-1, &m 2], 1, Concat, [*m]"), encoding="utf-8")
    with pytest.raises(DocumentError, match="can't be edited safely"):
        ls.insert(path, "after:2", op="cbam", unchecked=True)


def test_a_section_that_would_be_left_empty_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "written.yaml"
    path.write_text("backbone:\n- [-1, 1, LSKA, [3, 11]]\nhead:\n- [-1, 1, Conv, [8]]\n- [[1], 1, Detect, [nc]]\n")
    with pytest.raises(DocumentError, match=r"^written\.yaml is laid out in a way that can't be edited safely"):
        plan_remove(str(path))
