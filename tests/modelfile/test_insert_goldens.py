"""`cases/insert/*.yaml`, `cases/remove/*.yaml`: a command line, the file it is run on, and exactly what it writes.

The first line is the command; its output goes to standard output. A second line `# bytes: ...` may name what the text
of the case can't show: `crlf`, `no-final-newline`, `byte-order-mark`. `--update-goldens` rewrites the outputs.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import yaml_oracle as oracle

from lska_surgeon.cli.main import main

CASES = Path(__file__).parents[1] / "cases"
OUTPUT = "# ===== output =====\n"
BYTES = "# bytes: "


@dataclass(frozen=True)
class Case:
    """One file of `cases`."""

    words: list[str]
    traits: frozenset[str]
    head: str
    given: str
    expected: str

    @classmethod
    def read(cls, path: Path) -> Case:
        before, _, expected = path.read_text(encoding="utf-8").partition(OUTPUT)
        command, _, given = before.partition("\n")
        traits = ""
        if given.startswith(BYTES):
            traits, _, given = given.partition("\n")
            command = f"{command}\n{traits}"
        words = shlex.split(command.splitlines()[0].lstrip("# "))
        return cls(words, frozenset(traits[len(BYTES) :].split(", ")) - {""}, command, given, expected)

    def encode(self, text: str) -> bytes:
        if "no-final-newline" in self.traits:
            text = text.removesuffix("\n")
        if "crlf" in self.traits:
            text = text.replace("\n", "\r\n")
        return text.encode("utf-8-sig" if "byte-order-mark" in self.traits else "utf-8")

    def decode(self, data: bytes) -> str:
        text = data.decode("utf-8-sig" if "byte-order-mark" in self.traits else "utf-8")
        text = text.replace("\r\n", "\n") if "crlf" in self.traits else text
        return text + "\n" if "no-final-newline" in self.traits else text


@pytest.mark.parametrize(
    "path",
    sorted([*CASES.glob("insert/*.yaml"), *CASES.glob("remove/*.yaml")]),
    ids=lambda p: p.relative_to(CASES).with_suffix("").as_posix(),
)
def test_golden(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(tmp_path)
    case = Case.read(path)
    program, command, name, *options = case.words
    assert (program, command) == ("lska-surgeon", path.parent.name)
    Path(name).write_bytes(case.encode(case.given))
    result = CliRunner().invoke(main, [command, name, *options, "-o", "-"])
    assert result.exit_code == 0, result.output
    if request.config.getoption("--update-goldens"):
        path.write_text(f"{case.head}\n{case.given}{OUTPUT}{case.decode(result.stdout_bytes)}", encoding="utf-8")
    assert result.stdout_bytes == case.encode(case.expected)
    oracle.wiring(oracle.load(result.stdout_bytes))
    if command == "insert" and "--resolve" not in options:
        Path("variant.yaml").write_bytes(result.stdout_bytes)
        back = CliRunner().invoke(main, ["remove", "variant.yaml", "-o", "-"])
        assert back.stdout_bytes == case.encode(case.given)
