"""Declarations in the light half: read, with errors told by place; found; trusted or not; and never imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.custom import using
from support.insertions import plan_insert

from lska_surgeon.core.blocks import Declarations
from lska_surgeon.core.surgery import Placement
from lska_surgeon.declarations.find import (
    LIKES,
    VARIABLE,
    active_blocks,
    find_blocks,
    find_declarations,
    read_declarations,
)
from lska_surgeon.errors import DeclarationError
from lska_surgeon.modelfile.model import load
from lska_surgeon.modelfile.remove import plan_remove

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
SCHEMA = Path(__file__).parents[2] / "templates" / "blocks.schema.json"
PACKED = '[blocks.Tiny]\nclass = "nets:Tiny"\nlike = "whole-backbone"\n'
ONE = '[blocks.EMA]\nclass = "my_blocks:EMA"\nlike = "attention"\n'


@pytest.fixture(autouse=True)
def no_declarations_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def written(folder: Path, text: str = ONE, name: str = "lska-surgeon.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_project_is_read_whole() -> None:
    found = read_declarations(PROJECT / "lska-surgeon.toml", trusted=True)
    assert list(found.blocks) == ["EMA", "SimAM", "C2f_Faster", "BiFPN", "DySample", "SPDDown"]
    assert found.blocks["EMA"].channels_first
    assert found.blocks["EMA"].keeps_shape
    assert not found.blocks["DySample"].keeps_shape
    assert found.blocks["SPDDown"].stride == 2


@pytest.mark.parametrize(
    ("text", "line", "field", "problem"),
    [
        ('[blocks.EMA]\nlike = "attention"\n', 1, "blocks.EMA", "it needs class"),
        ('[blocks.EMA]\nclass = "a:B"\n', 1, "blocks.EMA", "it needs like"),
        (ONE + 'chanels = "first"\n', 4, "blocks.EMA.chanels", "did you mean channels?"),
        (ONE + 'channels = "last"\n', 4, "blocks.EMA.channels", "neither 'first' nor 'none'"),
        (ONE + "stride = 3\n", 4, "blocks.EMA.stride", "power of two"),
        (ONE + "# stride = 3\nstride = 3 # stride = 4\n", 5, "blocks.EMA.stride", "power of two"),
        (ONE + "stride = true\n", 4, "blocks.EMA.stride", "power of two"),
        (ONE + "layers = 5\n", 4, "blocks.EMA.layers", "it counts as one layer, being like attention: drop layers"),
        (PACKED + "layers = 1\n", 4, "blocks.Tiny.layers", "1 is not how many layers it counts as: 2 to 12"),
        (PACKED + "strides = [4, 6]\n", 4, "blocks.Tiny.strides", "powers of two, such as [4, 8, 16, 32]"),
        (PACKED + "strides = [8, 4]\n", 4, "blocks.Tiny.strides", "powers of two, such as [4, 8, 16, 32]"),
        (PACKED + "layers = 2\nwidths = [8, 8, 8]\n", 5, "blocks.Tiny.widths", "3 numbers for what counts as 2 layers"),
        (PACKED + 'widths = "wide"\n', 4, "blocks.Tiny.widths", "no list of whole numbers, one for each map"),
        (PACKED + "stride = 2\n", 4, "blocks.Tiny.stride", "write strides = [4, 8, 16, 32]"),
        (ONE.replace('"attention"', '"atention"'), 3, "blocks.EMA.like", "did you mean attention?"),
        (ONE.replace('"attention"', "7"), 3, "blocks.EMA.like", "not a word in quotes"),
        (ONE.replace("my_blocks:EMA", "my_blocks"), 2, "blocks.EMA.class", "neither module:Class"),
        (ONE.replace("my_blocks:EMA", "../evil.py:EMA"), 2, "blocks.EMA.class", "leaves the folder"),
        (ONE.replace("my_blocks:EMA", "/tmp/evil.py:EMA"), 2, "blocks.EMA.class", "leaves the folder"),
        (ONE.replace("my_blocks:EMA", "my-blocks.py:EMA"), 2, "blocks.EMA.class", "can't be imported"),
        (
            ONE + '\n[blocks.X]\nclass = "a:B"\nlike = "C2f"\nchannels = "first"\n',
            8,
            "blocks.X.channels",
            "drop channels",
        ),
        ('[blocks.LSKA]\nclass = "a:B"\nlike = "attention"\n', 1, "blocks.LSKA", "a block of lska-surgeon"),
        *(
            (f'[blocks.{name}]\nclass = "a:B"\nlike = "attention"\n', 1, f"blocks.{name}", problem)
            for name, problem in (
                ("cbam", "that is an operator of --op"),
                ("lska", "that is an operator of --op"),
                ("Gated", "a block of lska-surgeon"),
                ("c2", "a word of Python's or of Ultralytics' parser"),
                ("lambda", "a word of Python's or of Ultralytics' parser"),
                ("C2f", "the installed ultralytics has a block of that name: give yours another"),
                ("CBAM", "the installed ultralytics has a block of that name: give yours another"),
            )
        ),
        (ONE + 'width = "2c"\n', 4, "blocks.EMA.width", "'2c' is no width: it is c, the width that comes in, such as"),
        (ONE.replace("attention", "Conv") + 'width = "c"\n', 4, "blocks.EMA.width", "says its width in its rows"),
        (ONE + "args = 20\n", 4, "blocks.EMA.args", "20 is not a list of arguments"),
        (ONE.replace("attention", "C2f") + "args = [20]\n", 4, "blocks.EMA.args", "has its arguments in its rows"),
        (ONE + "drop = [0, 0]\n", 4, "blocks.EMA.drop", "not a list of places of arguments"),
        (ONE + "drop = 0\n", 4, "blocks.EMA.drop", "not a list of places of arguments"),
        (ONE + 'replace = { a = "c2" }\n', 4, "blocks.EMA.replace", "is not a table from places of arguments"),
        (ONE.replace("attention", "Conv") + 'replace = { 0 = "c2" }\n', 4, "blocks.EMA.replace", "from the parser"),
        ('[blocks]\nEMA = "my_blocks:EMA"\n', 2, "blocks.EMA", "it is a table"),
        ('[block.EMA]\nclass = "a:B"\n', 1, "block", "did you mean blocks?"),
    ],
)
def test_errors_are_told_with_their_place(tmp_path: Path, text: str, line: int, field: str, problem: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DeclarationError) as told:
        read_declarations(path, trusted=True)
    assert f"{path}, line {line}, {field}: " in str(told.value)
    assert problem in str(told.value)
    assert "\n" not in str(told.value)


def test_what_is_no_toml_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"is not TOML: .*line 1"):
        read_declarations(written(tmp_path, "[blocks.EMA\n"), trusted=True)


def test_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "elsewhere", "", "evil.py")
    path = written(tmp_path / "project", ONE.replace("my_blocks:EMA", "evil.py:EMA"))
    (path.parent / "evil.py").symlink_to(tmp_path / "elsewhere" / "evil.py")
    with pytest.raises(DeclarationError, match="leaves the folder"):
        read_declarations(path, trusted=True)


def test_pyproject_has_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[project]\nname = "x"\n\n' + ONE.replace("[blocks", "[tool.lska-surgeon.blocks")
    path = written(tmp_path, text, "pyproject.toml")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    found = find_declarations()
    assert (found.path, found.trusted, list(found.blocks)) == (path, True, ["EMA"])
    written(tmp_path, text.replace('"attention"', '"?"'), "pyproject.toml")
    with pytest.raises(DeclarationError, match=r"line 6, tool\.lska-surgeon\.blocks\.EMA\.like"):
        find_declarations()


def test_a_pyproject_of_another_tool_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    written(tmp_path / "inner", "[tool.ruff]\n", "pyproject.toml")
    monkeypatch.chdir(tmp_path / "inner")
    assert find_declarations().path == tmp_path / "lska-surgeon.toml"


def test_what_lies_beside_the_file_is_read_and_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = written(tmp_path / "downloaded")
    model = written(tmp_path / "downloaded", "nothing", "best.pt")
    for folder in (tmp_path / "work", tmp_path):  # also where the download lies below the working folder
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        found = find_declarations(near=["yolov8n.yaml", model])
        assert (found.path, found.trusted) == (beside, False)
    assert find_declarations(beside, near=[model]).trusted
    assert find_declarations(near=["yolov8n.yaml"]) == Declarations()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner here")
def test_what_belongs_to_another_user_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    found = find_declarations()
    assert found.trusted is (tmp_path.stat().st_uid == 0)


def test_the_environment_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, name="any.toml")
    monkeypatch.setenv(VARIABLE, str(path))
    assert (find_declarations().path, find_declarations().trusted) == (path, True)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.toml"))
    with pytest.raises(DeclarationError, match=rf"\${VARIABLE}: no file"):
        find_declarations()


def test_they_hold_for_a_while_only() -> None:
    with using(read_declarations(PROJECT / "lska-surgeon.toml", trusted=True)):
        assert active_blocks().custom("EMA") is not None
    assert active_blocks().custom("EMA") is None


def test_widths_and_strides_are_known_from_the_declaration() -> None:
    blocks = find_blocks(PROJECT / "lska-surgeon.toml")
    shapes = load(str(PROJECT / "yolov8n-own.yaml"), blocks=blocks).shapes
    assert not any(shape.guessed for shape in shapes)
    assert [(shape.channels, shape.stride) for shape in shapes[:-1]] == [
        (8, 2), (16, 4), (16, 4), (32, 8), (32, 8), (32, 8), (64, 16), (64, 16), (64, 16),
        (32, 16), (32, 8), (32, 8), (32, 8), (32, 8), (32, 16), (96, 16), (64, 16),
    ]  # fmt: skip


def test_insert_and_remove_are_inverse_in_a_project(tmp_path: Path) -> None:
    base = PROJECT / "yolov8n-own.yaml"
    blocks = find_blocks(PROJECT / "lska-surgeon.toml")
    plan = plan_insert(str(base), Placement(("neck", "backbone", "head", "after:EMA")), blocks=blocks)
    variant = tmp_path / "yolov8n-variant.yaml"
    variant.write_text(plan.text, encoding="utf-8")
    assert plan.params_added is not None
    assert plan_remove(str(variant), "-", blocks).text == base.read_text(encoding="utf-8")


def test_the_light_half_imports_nothing_of_the_project(tmp_path: Path) -> None:
    """A class file that leaves a trace when it is imported, and every light command in a fresh process."""
    trace = tmp_path / "trace"
    text = (PROJECT / "lska-surgeon.toml").read_text(encoding="utf-8")
    written(tmp_path, text)
    for file in ("my_blocks.py", "nets/sampling.py"):
        written((tmp_path / file).parent, f"open({str(trace)!r}, 'w')\n", Path(file).name)
    written(tmp_path, (PROJECT / "yolov8n-own.yaml").read_text(encoding="utf-8"), "yolov8n-own.yaml")
    code = (
        "import sys\nfrom lska_surgeon.cli.main import main\n"
        "for words in (['positions', 'yolov8n-own.yaml'], ['check', 'yolov8n-own.yaml'],"
        " ['insert', 'yolov8n-own.yaml', '--at', 'neck'],"
        " ['remove', 'yolov8n-own-lska-neck-k23.yaml', '-o', 'back.yaml'],"
        " ['diff', 'yolov8n-own.yaml', 'yolov8n-own-lska-neck-k23.yaml']):\n"
        "    main(words, standalone_mode=False)\n"
        "assert not {'torch', 'my_blocks', 'nets'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not trace.exists()


def test_the_schema_allows_what_is_read() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    fields = schema["properties"]["blocks"]["additionalProperties"]["properties"]
    assert tuple(fields["like"]["anyOf"][0]["enum"]) == LIKES
    project = tomllib.loads((PROJECT / "lska-surgeon.toml").read_text(encoding="utf-8"))
    project["blocks"]["Tiny"] = {
        "class": "nets:Tiny", "like": "whole-backbone", "layers": 5, "strides": [4, 8], "widths": [8, 16]
    }  # fmt: skip
    project["blocks"]["SimAM"]["like"] = "nets/parser.py"
    jsonschema.validate(project, schema)
    project["blocks"]["EMA"]["like"] = "nothing"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(project, schema)
