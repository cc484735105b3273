"""Tables on a terminal: whatever the window, every number and name is whole, and what is left out is told."""

from __future__ import annotations

import os
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lska_surgeon.reports import Annotation, Report, Table, drawn, latex_text, render
from lska_surgeon.wording import printable

HEADER = ("model", "params", "GMACs", "GFLOPs", "layers")
ROWS = [
    ("yolov8s-lska-neck-k35.yaml", "11,618,944", "14.913", "29.826", "183"),
    ("  difference", "+452,224 (+4.1%)", "+0.594", "+1.188 (+4.1%)", "+20"),
]
WINDOWS = (20, 40, 60, 80, 120)


class Terminal:
    """What stands in for `sys.stdout`."""

    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_, **__: os.terminal_size((window, 24)))


def shown(header: tuple[str, ...], rows: list[tuple[str, ...]], right: range) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", drawn([Table(header, rows, right)]))


@pytest.mark.parametrize("window", WINDOWS)
def test_numbers_and_names_stay_whole(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch, window)
    text = shown(HEADER, ROWS, range(1, 5))
    body, _, note = text.partition("\n\nLeft out, for the window is too narrow: ")
    left_out = note.partition(" (")[0].split(", ") if note else []
    assert "…" not in text
    assert left_out == list(HEADER[len(HEADER) - len(left_out) :])
    words = body.split()
    for row in ROWS:
        assert all(word in words for cell in row[: len(HEADER) - len(left_out)] for word in cell.split())
    if window > 20:  # where not even two columns fit, the terminal folds the lines
        assert max(map(len, body.splitlines())) <= window


def test_columns_go_from_the_right_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch, 45)
    assert shown(HEADER, ROWS, range(1, 5)).splitlines()[-1] == (
        "Left out, for the window is too narrow: GFLOPs, layers (`| cat` shows all)."
    )
    on_a_terminal(monkeypatch, 60)
    assert "Left out" not in shown(HEADER, ROWS, range(1, 5))


WORDS = st.text("ab,.:-漢 ", max_size=25)  # wide characters take two columns


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.tuples(*[WORDS] * n), max_size=4)), st.sampled_from(WINDOWS))
def test_any_words_stay_whole_in_any_window(rows: list[tuple[str, ...]], window: int) -> None:
    header = tuple(f"column{index}" for index in range(len(rows[0]) if rows else 3))
    with pytest.MonkeyPatch.context() as patch:
        on_a_terminal(patch, window)
        text = shown(header, rows, range(0))
    body, _, note = text.partition("\n\nLeft out, for the window is too narrow: ")
    words = body.split()
    for row in (header, *rows):
        cells = row[: len(header) - len(re.findall("column", note))]
        assert all(word in words for cell in cells for word in printable(cell).split())


@pytest.mark.parametrize(
    ("annotation", "line"),
    [
        (Annotation("notice", "all well"), "::notice::all well"),
        (
            Annotation("error", "no layer 31", "source", "a/b.yaml", 3),
            "::error file=a/b.yaml,line=3,title=source::no layer 31",
        ),
        (Annotation("error", "50%: a, b\nc\n"), "::error::50%25: a, b%0Ac%0A"),
        (Annotation("error", "a\r\x1b[2J\n::error::b", "a\nb"), r"::error title=a\nb::a\r\x1b[2J%0A\x3a:error::b"),
        (Annotation("error", "m", "a", "c:\\x,y%.yaml"), r"::error file=c%3A\x%2Cy%25.yaml,title=a::m"),
        (Annotation("notice", "%0A"), "::notice::%250A"),
    ],
)
def test_an_annotation_for_github_is_one_line(annotation: Annotation, line: str) -> None:
    assert render(Report("", annotations=[annotation]), "github") == line


def test_latex_has_minus_signs_and_no_ligatures() -> None:
    texts = {"50%_a&b": r"50\%\_a\&b", "-0.5": "$-0.5$", "a--b": "a-{}-b"}
    assert {text: latex_text(text) for text in texts} == texts


def test_notes_stand_in_every_document() -> None:
    report = Report("all", notes=["a <b>", "c_d"])
    assert render(report, "text") == "all"
    assert render(report, "md") == "all\n\n- a &lt;b>\n- c_d"
    assert "% a <b>\n% c_d\n" in render(report, "latex")
    assert "<li>a &lt;b&gt;</li>" in render(report, "html")
    assert render(Report("a & b"), "github") == "::notice title=lska-surgeon::a & b"
