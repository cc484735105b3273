"""Rows of custom modules that do not fit what the modules are declared like: reported by `check` and by the build."""

from __future__ import annotations

from pathlib import Path

import pytest

from lska_surgeon.checks.check import check_file
from lska_surgeon.core.blocks import STOCK, CustomModule, Declarations
from lska_surgeon.core.graph import Layer
from lska_surgeon.errors import BuildError
from lska_surgeon.nn.declared import marked_row

BLOCKS = {
    name: CustomModule(name, f"a:{name}", like)
    for name, like in (("Att", "attention"), ("Sum", "add"), ("Cat", "Concat"), ("Csp", "C2f"), ("Out", "Detect"))
}
TEXT = """nc: 1
backbone:
- [-1, 1, Conv, [16, 3, 2]]
- [-1, 1, Conv, [16, 3, 2]]
- [-1, 1, Conv, [16, 3, 1]]
- ROW
head:
- [-1, 1, Conv, [16, 3, 2]]
- [[3, 4], 1, Detect, [nc]]
"""
BAD = {
    "[-1, 1, Csp, []]": "Csp is declared like C2f, whose arguments begin with a width, and has []: write such as [256]",
    "[-1, 1, Csp, [True]]": "and has [True]",
    "[[-1, 1], 1, Csp, [16]]": "Csp is declared like C2f and reads -1, 1: give one source",
    "[-1, 1, Sum, []]": "Sum is declared like add, which joins sources, and reads -1: give a list of two or more",
    "[-1, 1, Cat, [1]]": "Cat is declared like Concat, which joins sources, and reads -1: give a list",
    "[[-1, 1], 1, Att, []]": "Att is declared like attention and reads -1, 1: give one source",
    "[[-1], 1, Out, [nc]]": "Out is declared like Detect, an output layer, which is the last row",
}
GOOD = [
    "[-1, 1, Csp, [16]]",
    "[[-1, 1], 1, Sum, []]",
    "[[-1, 1], 1, Cat, [1]]",
    "[-1, 1, Att, []]",
    "[-1, 1, C2f, [16]]",
]


def reported(folder: Path, row: str) -> list[str]:
    path = folder / "net.yaml"
    path.write_text(TEXT.replace("ROW", row), encoding="utf-8")
    table = STOCK.with_blocks(Declarations(BLOCKS, folder / "lska-surgeon.toml", trusted=True))
    return [one.message for one in check_file(str(path), table).findings if one.rule == "row"]


@pytest.mark.parametrize("row", [*BAD, *GOOD])
def test_only_a_row_that_does_not_fit_is_reported(row: str, tmp_path: Path) -> None:
    messages = reported(tmp_path, row)
    assert len(messages) == (row in BAD)
    assert all(BAD[row] in message for message in messages)


@pytest.mark.parametrize(
    ("frm", "block", "args"), [(-1, "Csp", ()), (-1, "Sum", ()), (-1, "Cat", (1,)), ((-1, 1), "Att", ())]
)
def test_the_build_says_the_same(frm: int | tuple[int, ...], block: str, args: tuple[int, ...]) -> None:
    table = STOCK.with_blocks(Declarations(BLOCKS, Path("any.toml"), trusted=True))
    with pytest.raises(BuildError) as refused:
        marked_row(Layer(3, "backbone", frm, 1, block, args, table), object, int)  # type: ignore[arg-type]
    assert str(refused.value).startswith(f"layer 3: {block} is declared like {BLOCKS[block].like}")


def test_a_class_whose_file_is_gone_is_warned_of_once(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(TEXT.replace("ROW", "[-1, 1, Att, []]\n- [-1, 1, Att, []]").replace("[3, 4]", "[4, 5]"))
    table = STOCK.with_blocks(
        Declarations({"Att": CustomModule("Att", "nets/att.py:Att", "attention")}, tmp_path / "its.toml", trusted=True)
    )
    (warned,) = check_file(str(path), table).findings
    assert (warned.rule, warned.severity, warned.line) == ("module", "warning", 6)
    assert warned.text == (
        "its.toml declares Att as nets/att.py:Att; there is no nets/att.py beside it: "
        "put it there, or mend blocks.Att.class"
    )
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "att.py").touch()
    assert not check_file(str(path), table).findings
