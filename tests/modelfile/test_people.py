"""Files as people have them, read by commands other than `check`; the inputs are those of `cases/check/people_*`."""

from __future__ import annotations

from pathlib import Path

import pytest

import lska_surgeon as ls
from lska_surgeon.errors import GraphError
from lska_surgeon.yolo.build import build

CASES = Path(__file__).parents[1] / "cases" / "check"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def case(name: str) -> str:
    """A case's input as a file of its own name."""
    command, _, rest = (CASES / f"people_{name}.yaml").read_text(encoding="utf-8").partition("\n")
    file = command.split()[3]
    Path(file).write_text(rest.partition("# ===== output =====")[0], encoding="utf-8")
    return file


@pytest.mark.parametrize(("name", "row"), [("list_backbone", 0), ("silence_backbone", 1)])
def test_a_row_that_is_a_whole_backbone_is_one_sentence_everywhere(name: str, row: int) -> None:
    file = case(name)
    (finding,) = ls.check(file).findings
    for ask in (lambda: ls.positions(file), lambda: ls.insert(file, "neck"), lambda: ls.remove(file)):
        with pytest.raises(GraphError) as told:
            ask().to_dict()
        assert str(told.value) == f"{file}: {finding.message}"
    assert finding.message.startswith(f"row {row} (mobilenetv2_035) is a whole backbone")


def test_all_say_which_scale_a_name_leaves_open() -> None:
    file = case("custom_no_scale")
    for notes in (ls.check(file).notes, ls.positions(file).notes, ls.insert(file, "neck").notes):
        assert f"{file} names no scale, so this is n, the first of n, s" in notes[0]


def test_words_that_differ_for_layers_that_look_alike() -> None:
    """The output layer keeps a number at which another block of the same name stands now."""
    text = Path(case("custom_no_scale")).read_text(encoding="utf-8")
    Path("one.yaml").write_text(text, encoding="utf-8")
    old = "  - [[-1, 12], 1, Concat, [1]]\n"
    other = text.replace(old, f"{old}  - [-1, 1, C2f, [640]]\n").replace("[15, 18, 21]", "[15, 18, 22]")
    Path("other.yaml").write_text(other, encoding="utf-8")
    assert "source 1: 18 (C2f), now 19 -> 18 (C2f), which is new" in str(ls.diff("one.yaml", "other.yaml"))


def test_depth_and_width_multiples_build_under_a_name_with_a_letter() -> None:
    file = case("depth_multiple")
    assert ls.check(file, build=True).ok
    assert sum(p.numel() for p in build(file).parameters()) == 11_166_560
    resolved = ls.insert(file, "neck", resolve=True, output="yolov8s-resolved.yaml").write()
    assert ls.check(resolved, build=True).ok


def test_a_stock_block_that_the_parser_does_not_know_builds() -> None:
    file = case("cbam")
    Path(file).write_text(
        Path(file).read_text(encoding="utf-8").replace("CBAM, [7]", "CBAM, [c2, 7]"), encoding="utf-8"
    )
    assert ls.check(file, build=True).ok
    assert type(build(file).model[22]).__name__ == "CBAM"


@pytest.mark.parametrize("name", ["c3k2_lska", "c2f_lska_k", "neck_omits_host", "lskattention"])
def test_hosts_by_other_peoples_names_build_and_give_a_base_that_builds(name: str) -> None:
    file = case(name)
    assert ls.check(file, build=True).ok
    assert ls.check(ls.remove(file).write(), build=True).ok
