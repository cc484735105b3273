"""Standard streams that can't take or give everything: another encoding, closed, or full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import main
from lska_surgeon.errors import DocumentError
from lska_surgeon.modelfile.model import read_source

MODEL = "nc: 1\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, Δ注😀, []]\nhead:\n  - [[-1], 1, Detect, [nc]]\n"


def exit_code(*words: str) -> Any:
    """What the process would end with; unlike click's runner it leaves the streams as they are."""
    with pytest.raises(SystemExit) as ended:
        main.main(list(words))
    return ended.value.code


@pytest.mark.parametrize("charset", ["cp1252", "latin-1"])
@pytest.mark.parametrize("words", ["positions Δ.yaml", "check Δ.yaml", "draw Δ.yaml --format md", "blocks Δ.yaml"])
def test_no_character_is_a_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, charset: str, words: str) -> None:
    monkeypatch.chdir(tmp_path)
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
