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

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.errors import GraphError
from lska_surgeon.modelfile.sources import stock_models

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
def test_golden(name: str, request: pytest.FixtureRequest) -> None:
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


# Files as people have them, read by commands other than `check`; the inputs are those of `cases/`.


def case(name: str) -> str:
    """A case's input as a file of its own name."""
    command, given, _ = read_case(name)
    file = command.split()[3]
    Path(file).write_text(given, encoding="utf-8")
    return file


@pytest.mark.parametrize(("name", "row"), [("packed_backbone", 0), ("people_silence_backbone", 1)])
def test_a_row_that_is_a_whole_backbone_is_one_sentence_everywhere(name: str, row: int) -> None:
    file = case(f"check/{name}")
    (finding,) = ls.check(file).findings
    for ask in (lambda: ls.positions(file), lambda: ls.insert(file, "neck"), lambda: ls.remove(file)):
        with pytest.raises(GraphError) as told:
            ask().to_dict()
        assert str(told.value) == f"{file}: {finding.message}"
    assert finding.message.startswith(f"row {row} (")


def test_all_say_which_scale_a_name_leaves_open_and_which_layers_look_alike() -> None:
    """In the second file the output layer keeps a number at which another block of the same name stands."""
    text = stock_models()["yolov8.yaml"].read_text(encoding="utf-8")
    Path("one.yaml").write_text(text, encoding="utf-8")
    for notes in (ls.check("one.yaml").notes, ls.positions("one.yaml").notes, ls.insert("one.yaml", "neck").notes):
        assert "one.yaml names no scale, so this is n, the first of n, s" in notes[0]
    old = "  - [[-1, 12], 1, Concat, [1]]"
    other = text.replace(old, "  - [[-1, 12], 1, Concat, [1]]\n  - [-1, 1, C2f, [640]]").replace("18, 21]", "18, 22]")
    Path("other.yaml").write_text(other, encoding="utf-8")
    assert "source 1: 18 (C2f), now 19 -> 18 (C2f), which is new" in str(ls.diff("one.yaml", "other.yaml"))


def test_depth_and_width_multiples_build_under_a_name_with_a_letter() -> None:
    file = "yolov8s-depth-multiple.yaml"
    Path(file).write_bytes((CASES / "scales" / file).read_bytes())
    assert ls.check(file, build=True).ok
    resolved = ls.insert(file, "neck", resolve=True, output="yolov8s-resolved.yaml").write()
    assert ls.check(resolved, build=True).ok


@pytest.mark.parametrize("name", ["remove/people_c3k2_lska", "remove/people_c2f_lska_k", "remove/people_lskattention"])
def test_hosts_by_other_peoples_names_build_and_give_a_base_that_builds(name: str) -> None:
    file = case(name)
    assert ls.check(file, build=True).ok
    assert ls.check(ls.remove(file).write(), build=True).ok
