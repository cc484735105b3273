"""Declarations guessed from a network's rows and from a Python file, and the command that shows and writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lska_surgeon
from lska_surgeon.checks.blocks import inventory
from lska_surgeon.cli.main import main
from lska_surgeon.declarations.find import VARIABLE, read_declarations
from lska_surgeon.declarations.guess import like_by_name
from lska_surgeon.declarations.scan import scan
from lska_surgeon.errors import DeclarationError

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project without its declaration, as the working folder."""
    monkeypatch.delenv(VARIABLE, raising=False)
    folder = tmp_path / "own"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__", "*.toml"))
    monkeypatch.chdir(folder)
    return folder


def run(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == code, done.output
    return done


def test_the_rows_of_the_project_tell_all_but_the_module() -> None:
    wanted = read_declarations(PROJECT / "lska-surgeon.toml", trusted=True).blocks
    guessed = inventory(str(PROJECT / "yolov8n-own.yaml")).guessed
    assert set(guessed) == set(wanted)
    for name, block in guessed.items():
        assert (block.like, block.stride) == (wanted[name].like, wanted[name].stride), name


def test_the_files_of_the_project_tell_all(bare: Path) -> None:
    wanted = read_declarations(PROJECT / "lska-surgeon.toml", trusted=True).blocks
    mine = scan(Path("my_blocks.py"))
    assert mine.parts == {"FasterBlock": ("C2fFaster",)}
    found = {**mine.blocks, **scan(Path("nets/sampling.py")).blocks}
    found["C2f_Faster"] = found.pop("C2fFaster")
    del found["FasterBlock"]
    assert set(found) == set(wanted)
    for name, block in found.items():
        same = wanted[name]
        assert (block.like, block.channels_first, block.stride) == (same.like, same.channels_first, same.stride), name


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("C2f_Faster", "C2f"),
        ("C3k2_X", "C3k2"),
        ("SPPF_LSKA", "SPPF"),
        ("MyC2f", "C2f"),
        ("EMA", None),
        ("A2C2fX", "A2C2f"),
    ],
)
def test_a_name_tells_its_stock_block(name: str, like: str | None) -> None:
    assert like_by_name(name) == like


def test_a_scan_runs_nothing(tmp_path: Path) -> None:
    file, trace = tmp_path / "evil.py", tmp_path / "trace"
    file.write_text(f"from torch import nn\nopen({str(trace)!r}, 'w')\nclass A(nn.Module):\n    pass\n")
    assert list(scan(file).blocks) == ["A"]
    assert not trace.exists()


OLD_STYLE = """class EMA(nn.Module):
    def __init__(self, channels, factor=8):
        super(EMA, self).__init__()
"""
BOTH_WAYS = """class Down(nn.Module):
    def __init__(self, dim):
        self.twin = Up if dim else Down
class Up(nn.Module):
    def __init__(self, dim):
        self.twin = Down
"""
PARTS = """class Whole(nn.Module):
    def __init__(self, dim):
        self.part = Part(dim)
class Part(nn.Module):
    def __init__(self, dim):
        super(Part, self).__init__()
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [(OLD_STYLE, ["EMA"]), (BOTH_WAYS, ["Down", "Up"]), (PARTS, ["Whole", "Part"])],
    ids=["old", "both", "part"],
)
def test_a_class_that_names_itself_is_no_part_of_another(tmp_path: Path, text: str, names: list[str]) -> None:
    (tmp_path / "a.py").write_text(text)
    found = scan(tmp_path / "a.py")
    assert list(found.blocks) == names
    assert found.parts == ({"Part": ("Whole",)} if "Part" in names else {})
    assert all(block.channels_first for block in found.blocks.values())


ATTENTION_ROWS = """nc: 80
scales: {{n: [0.33, 0.25, 1024]}}
backbone:
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 1, {row}]
head:
  - [[-1], 1, Detect, [nc]]
"""


@pytest.mark.parametrize(
    ("row", "like"),
    [
        ("MyAttention, [512]", "attention"),
        ("CoordAtt, [512, 512]", "attention"),
        ("EMA, [512]", "attention"),
        ("Attentive, [512]", "Conv"),
        ("MyStage, [512]", "Conv"),
        ("MyAttention, [1024]", "Conv"),
        ("C2f_Attention, [512]", "C2f"),
        ("MyAttention, [8]", "Conv"),
    ],
)
def test_attention_that_spells_out_its_sources_width_is_attention(bare: Path, row: str, like: str) -> None:
    Path("mine.yaml").write_text(ATTENTION_ROWS.format(row=row), encoding="utf-8")
    (block,) = inventory("mine.yaml").guessed.values()
    assert (block.like, block.channels_first) == (like, False)


def test_a_declared_attention_is_told_of_a_width_that_its_class_gets_as_it_stands(bare: Path) -> None:
    Path("mine.yaml").write_text(ATTENTION_ROWS.format(row="EMA, [512]"), encoding="utf-8")
    before = run("check", "mine.yaml").output
    run("blocks", "mine.yaml", "--write")
    after = run("check", "mine.yaml").output
    assert "EMA says 512 channels, but layer 0 (Conv) gives 128 at scale n; write c2 in place of the number" in before
    assert "EMA says [512], written for another parser; write [c2], as its declaration reads it" in after
    assert "channels" not in after
    Path("mine.yaml").write_text(ATTENTION_ROWS.format(row="EMA, [c2]"), encoding="utf-8")
    assert (
        run("check", "mine.yaml").output
        == "1 file: no errors found (like no stock model, so compared with none: mine.yaml)\n"
    )


@pytest.mark.parametrize(
    ("text", "said"), [("class A(:", "line 1 is not Python"), ("x = 1", "defines no layers"), ("\0", "is not Python")]
)
def test_a_file_without_layers_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(DeclarationError, match=said) as told:
        scan(tmp_path / "a.py")
    assert "\n" not in str(told.value)


def test_what_is_written_is_read_and_holds(bare: Path) -> None:
    assert "SPDDown" in run("blocks", "yolov8n-own.yaml").output
    assert run("blocks", "yolov8n-own.yaml", "--write").output == "Wrote lska-surgeon.toml\n"
    assert run("blocks", "yolov8n-own.yaml").output == "yolov8n-own.yaml: every block is known\n"
    assert "?" not in run("positions", "yolov8n-own.yaml").output
    run("blocks", "my_blocks.py", "-o", "more.toml")
    assert list(read_declarations(Path("more.toml"), trusted=True).blocks) == ["C2fFaster", "FasterBlock"]
    assert "# Looks like a helper: C2fFaster is made of it.\n[blocks.FasterBlock]\n" in Path("more.toml").read_text()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(("file", "tool"), [("mine.toml", ""), ("pyproject.toml", "tool.lska-surgeon.")])
def test_what_is_new_is_added_to_what_is_there(file: str, tool: str, newline: str, bare: Path) -> None:
    there = f'# mine\n[{tool}blocks.EMA]\nclass = "my_blocks:EMA"\nlike = "C2f"  # by hand'.replace("\n", newline)
    Path(file).write_bytes(there.encode())
    told = run("blocks", "my_blocks.py", "-o", file)
    assert told.stdout == f"Wrote {file}\n"
    is_nearest = file == "pyproject.toml"  # then what it declares is no guess
    assert [line for line in told.stderr.splitlines() if "otherwise" in line] == (
        [] if is_nearest else [f"Note: {file} declares EMA otherwise, and keeps that: --force writes it anew"]
    )
    after = Path(file).read_bytes()
    assert after.startswith(there.encode() + newline.encode() * 2)
    assert after.count(b"\r\n") == (after.count(b"\n") if newline == "\r\n" else 0)
    declared = read_declarations(Path(file), trusted=True).blocks
    assert (declared["EMA"].like, declared["SimAM"].target) == ("C2f", "my_blocks.py:SimAM")
    again = run("blocks", "my_blocks.py", "-o", file, code=2)
    assert Path(file).read_bytes() == after
    assert len([line for line in again.stderr.splitlines() if line.startswith("Error: ")]) == 1


def test_the_list_names_stock_ours_and_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    told = json.loads(run("blocks", "--json").output)
    assert told["schema"] == 1
    assert told["trusted"] is True
    origins = {one["block"]: one["from"] for one in told["blocks"]}
    assert (origins["EMA"], origins["LSKA"], origins["C2fLSKA"], origins["C2f"]) == (
        "declared", "lska-surgeon", "lska-surgeon", "stock",
    )  # fmt: skip
    found = lska_surgeon.blocks()
    assert str(found) in run("blocks").output


def test_stock_models_have_no_unknown_block(bare: Path) -> None:
    assert run("blocks", "yolov8n.yaml").output == "yolov8n.yaml: every block is known\n"
    assert "needs a FILE" in run("blocks", "--write", code=2).output


MODEL = """nc: 80
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, EMA, []]
  - [-1, 1, {name}, []]
head:
  - [[-1], 1, Detect, [nc]]
"""


@pytest.mark.parametrize(
    "name", ["注意力", "my block", "C2f-EMA", "5x", 'a"b', "a#b", "a]b", "", "a\tb", "a]\nlike = 1"]
)
def test_a_name_that_no_declaration_can_have_is_left_out(bare: Path, name: str) -> None:
    Path("odd.yaml").write_text(MODEL.format(name=json.dumps(name)), encoding="utf-8")
    told = run("blocks", "odd.yaml", "--write")
    shown = name if name.isprintable() else ascii(name)[1:-1]
    assert f"Note: block {shown!r} can't be declared: that is no name of a class" in told.stderr
    assert list(read_declarations(Path("lska-surgeon.toml"), trusted=True).blocks) == ["EMA"]


def test_what_could_not_be_read_is_not_written(bare: Path) -> None:
    Path("my-blocks.py").write_text("class A(nn.Module): ...\nclass LSKA(nn.Module): ...\n")
    told = run("blocks", "my-blocks.py", "--write", code=2).stderr
    assert "Note: LSKA is declared as MyLSKA, for its own name can't be: that is a block of lska-surgeon\n" in told
    assert "'my-blocks.py:A' can't be imported: name its folders and file as Python names modules" in told
    assert not Path("lska-surgeon.toml").exists()
    Path("lska.py").write_text("class LSKA(nn.Module): ...\n")
    assert run("blocks", "lska.py").stdout.startswith('[blocks.MyLSKA]\nclass = "lska.py:LSKA"\n')
