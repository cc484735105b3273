"""`-` reads a model YAML from standard input, where that makes sense, and what comes of it goes to standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lska_surgeon.cli.main import main
from lska_surgeon.errors import DocumentError
from lska_surgeon.modelfile.model import read_source
from lska_surgeon.modelfile.sources import stock_models

BASE = stock_models()["yolov8.yaml"].read_bytes()
VARIANT = BASE.replace(b"  - [-1, 1, SPPF, [1024, 5]]", b"  - [-1, 1, LSKA, [1024, 7]]")


def given(content: bytes, words: str) -> Result:
    return CliRunner().invoke(main, words.split(), input=content, prog_name="lska-surgeon")


def test_insert_gives_the_bytes_that_a_file_would_give_and_remove_gives_them_back() -> None:
    gbk = BASE.replace(b"# Ultralytics", b"# \xb8\xbd").replace(b"\n", b"\r\n")
    Path("yolov8.yaml").write_bytes(gbk)
    inserted = given(gbk, "insert - --at neck --k 35 --scale s")
    assert inserted.exit_code == 0
    assert inserted.stdout_bytes == given(b"", "insert yolov8.yaml --at neck --k 35 --scale s -o -").stdout_bytes
    removed = given(inserted.stdout_bytes, "remove -")
    assert (removed.exit_code, removed.stdout_bytes) == (0, gbk)
    assert [path.name for path in Path().iterdir()] == ["yolov8.yaml"]


def test_with_a_name_it_goes_there() -> None:
    done = given(BASE, "insert - --at neck -o yolov8s-mine.yaml")
    assert done.stdout.startswith("Wrote yolov8s-mine.yaml: standard input at scale n with lska k23 at neck")
    assert done.stderr.startswith("Note: standard input names no scale, so this is n, the first of n, s, m, l, x\n")
    assert given(Path("yolov8s-mine.yaml").read_bytes(), "remove - -o back.yaml").exit_code == 0
    assert Path("back.yaml").read_bytes() == BASE


def test_a_pipe_of_two_processes() -> None:
    surgeon = f"{sys.executable} -m lska_surgeon"
    pipe = f"{surgeon} insert - --at sppf | {surgeon} remove - | {surgeon} check -"
    done = subprocess.run(["sh", "-c", pipe], input=BASE, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"1 file: no errors found\n"), done.stderr


def test_check_tells_lines_and_a_patch() -> None:
    wrong = BASE.replace(b"[[15, 18, 21], 1", b"[[15, 18, 20], 1")
    found = given(wrong, "check -")
    assert found.exit_code == 1
    line = wrong.splitlines().index(b"  - [[15, 18, 20], 1, Detect, [nc]] # Detect(P3, P4, P5)") + 1
    assert found.stdout.startswith(f"-:{line}: error[source]: ")
    assert "+  - [[15, 18, 21], 1, Detect, [nc]]" in given(wrong, "check - --fix").stdout
    assert json.loads(given(wrong, "check - --json").stdout)["files"][0]["file"] == "-"


def test_positions_and_diff() -> None:
    assert given(BASE, "positions - --scale s").stdout == given(b"", "positions yolov8s.yaml").stdout
    told = given(BASE, "diff yolov8n.yaml -")
    assert (told.exit_code, told.stdout.count("standard input")) == (0, 1)
    assert given(BASE.replace(b"SPPF, [1024, 5]", b"SPPF, [1024, 7]"), "diff - yolov8n.yaml --exit-code").exit_code == 1


ONE_LINE = {
    "insert - --at neck --json": "the file and --format json both go to standard output: give -o a file name",
    "remove - --json": "the file and --format json both go to standard output: give -o a file name",
    "check - -": "- is standard input, which can be read once",
    "diff - -": "- is standard input, which can be read once",
    "check - --build": "--build needs files: save standard input to one",
    "diff - yolov8n.yaml --costs": "--costs needs files",
    "diff --textconv -": "- is standard input, which this can't read a model from: save it to a file",
    "flops -": "- is standard input, which this can't read a model from: save it to a file",
    "train - data=x.yaml": "- is standard input, which this can't read a model from: save it to a file",
    "variants recipe.yaml": "- is standard input, which this can't read a model from: save it to a file",
}


@pytest.mark.parametrize("words", ONE_LINE)
def test_what_makes_no_sense_is_one_line(words: str) -> None:
    Path("recipe.yaml").write_text("base: '-'\nmatrix: {at: neck}\n", encoding="utf-8")
    refused = given(VARIANT if words.startswith("remove") else BASE, words)
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert ONE_LINE[words] in refused.stderr
    assert [path.name for path in Path().iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize("content", [b"", b"names: [a]\n"])
@pytest.mark.parametrize("command", ["insert - --at neck", "remove -", "positions -", "check -", "diff - yolov8n.yaml"])
def test_what_is_no_model_is_told_as_standard_input(command: str, content: bytes) -> None:
    told = "Error: standard input is not a model YAML: it needs the keys backbone and head\n"
    assert given(content, command).stderr == told
    assert given("a: b".encode("utf-16"), command).stderr.startswith("Error: standard input is UTF-16")


# Standard streams that can't take or give everything: another encoding, closed, or full.


MODEL = "nc: 1\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, Δ注😀, []]\nhead:\n  - [[-1], 1, Detect, [nc]]\n"


def exit_code(*words: str) -> Any:
    """What the process would end with; unlike click's runner it leaves the streams as they are."""
    with pytest.raises(SystemExit) as ended:
        main.main(list(words))
    return ended.value.code


@pytest.mark.parametrize("charset", ["cp1252", "latin-1"])
@pytest.mark.parametrize("words", ["positions Δ.yaml", "check Δ.yaml", "draw Δ.yaml --format md", "blocks Δ.yaml"])
def test_no_character_is_a_error(charset: str, words: str) -> None:
    Path("Δ.yaml").write_text(MODEL, encoding="utf-8")
    done = CliRunner(charset=charset).invoke(main, words.split())
    assert done.exit_code == 0, done.stderr
    assert "\\u" in done.output


def test_json_says_the_same_in_every_encoding(tmp_path: Path) -> None:
    file = tmp_path / "é😀.yaml"
    file.write_text(MODEL, encoding="utf-8")
    narrow, wide = (
        CliRunner(charset=charset).invoke(main, ["check", str(file), "--json"]) for charset in ("latin-1", "utf-8")
    )
    assert json.loads(narrow.stdout) == json.loads(wide.stdout)
    assert narrow.stdout != wide.stdout


@pytest.mark.parametrize(
    "words", ["insert - --at sppf", "remove -", "positions -", "check -", "diff - -", "draw -", "curves - --at sppf"]
)
def test_a_closed_standard_input_is_told(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert exit_code(*words.replace("diff - -", "diff - yolov8n.yaml").split()) == 2
    wanted = "Error: standard input is closed: pipe a model YAML into it, or give a file in place of -\n"
    assert capsys.readouterr().err == wanted


def test_a_standard_input_that_can_not_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/null", "a") as file:
        monkeypatch.setattr(sys, "stdin", file)
        with pytest.raises(DocumentError, match="can't read standard input: "):
            read_source("-")


def test_a_closed_standard_output_is_a_error_once_something_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert exit_code("positions", "yolov8n.yaml") == 2
    assert capsys.readouterr().err == "Error: Bad file descriptor: the output can't be written\n"
    monkeypatch.setattr(sys, "stdout", None)
    assert exit_code("check", "yolov8n.yaml", "--quiet") == 0


def test_without_standard_error_the_rest_is_as_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert exit_code("positions", "yolov8.yaml") == 0
    assert "--at neck" in capsys.readouterr().out
    assert exit_code("positions", "nope.yaml") == 2


def test_a_process_takes_no_file_for_a_closed_stream(tmp_path: Path) -> None:
    prepare = "import sys; from lska_surgeon.cli.say import prepare_streams; prepare_streams()"
    code = f"{prepare}; file = open({str(tmp_path / 'x')!r}, 'w'); sys.exit(file.fileno() < 3)"
    done = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, code], check=False)
    assert done.returncode == 0
