"""Files as people have them, read by commands other than `check`; the inputs are those of `cases/`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cases import CASES, read_case

import lska_surgeon as ls
from lska_surgeon.errors import GraphError
from lska_surgeon.modelfile.sources import stock_models


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


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
