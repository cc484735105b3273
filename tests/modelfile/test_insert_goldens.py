"""`cases/{insert,replace,levels,remove}/*.yaml`: a command line, the file it is run on, and how what it writes differs.

The first line is the command; its output goes to standard output, and a diff without context is held. A second line
`# bytes: ...` may name what the text of the case can't show: `crlf`, `no-final-newline`, `byte-order-mark`.
`--update-goldens` rewrites the diffs.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Collection
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import yaml_oracle as oracle
from support.cases import CASES, OUTPUT, read_case

from lska_surgeon.cli.main import main

BYTES = "# bytes: "


def encoded(text: str, traits: Collection[str]) -> bytes:
    text = text.removesuffix("\n") if "no-final-newline" in traits else text
    text = text.replace("\n", "\r\n") if "crlf" in traits else text
    return text.encode("utf-8-sig" if "byte-order-mark" in traits else "utf-8")


def decoded(data: bytes, traits: Collection[str]) -> str:
    text = data.decode("utf-8-sig" if "byte-order-mark" in traits else "utf-8")
    text = text.replace("\r\n", "\n") if "crlf" in traits else text
    text = text + "\n" if "no-final-newline" in traits else text
    assert encoded(text, traits) == data
    return text


def edits(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), n=0)
    return "".join([*lines][2:])


@pytest.mark.parametrize(
    "name",
    sorted(
        path.relative_to(CASES).with_suffix("").as_posix()
        for where in ("insert", "replace", "levels", "remove")
        for path in (CASES / where).iterdir()
    ),
)
def test_golden(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(tmp_path)
    first, given, expected = read_case(name)
    traits = ""
    if given.startswith(BYTES):
        traits, _, given = given.removeprefix(BYTES).partition("\n")
    program, command, file, *options = shlex.split(first.lstrip("# "))
    assert (program, command) == ("lska-surgeon", name.partition("/")[0])
    Path(file).write_bytes(encoded(given, traits))
    result = CliRunner().invoke(main, [command, file, *options, "-o", "-"])
    assert result.exit_code == 0, result.output
    found = edits(given, decoded(result.stdout_bytes, traits))
    if request.config.getoption("--update-goldens"):
        path = CASES / f"{name}.yaml"
        path.write_text(f"{path.read_text(encoding='utf-8').partition(OUTPUT)[0]}{OUTPUT}{found}", encoding="utf-8")
    assert found == expected
    oracle.wiring(oracle.load(result.stdout_bytes))
    if (command != "remove" or "--at" in options) and "--resolve" not in options:
        Path("variant.yaml").write_bytes(result.stdout_bytes)
        back = CliRunner().invoke(main, ["remove", "variant.yaml", "-o", "-"])
        assert back.stdout_bytes == encoded(given, traits)
