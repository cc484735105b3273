"""GitHub workflow commands: what is escaped where, and what is left out."""

from __future__ import annotations

import pytest

from lska_surgeon.reports import annotation


def test_message_alone() -> None:
    assert annotation("notice", "all well") == "::notice::all well"


def test_properties_stand_in_one_order_and_only_where_given() -> None:
    full = annotation("error", "no layer 31", file="a/b.yaml", line=3, title="source")
    assert full == "::error file=a/b.yaml,line=3,title=source::no layer 31"
    assert annotation("warning", "m", title="t") == "::warning title=t::m"


def test_message_keeps_colons_and_commas_but_no_line_break_or_percent_sign() -> None:
    assert annotation("error", "50%: a, b\nc\n") == "::error::50%25: a, b%0Ac%0A"


def test_what_is_not_to_be_seen_is_written_out() -> None:
    assert annotation("error", "a\r\x1b[2J\n::error::b", title="a\nb") == (
        r"::error title=a\nb::a\r\x1b[2J%0A\x3a:error::b"
    )


def test_property_escapes_what_would_end_it() -> None:
    found = annotation("error", "m", file="c:\\x,y%.yaml", title="a")
    assert found == "::error file=c%3A\\x%2Cy%25.yaml,title=a::m"


@pytest.mark.parametrize("text", ["%0A", "%25"])
def test_text_that_looks_escaped_comes_back_as_written(text: str) -> None:
    assert annotation("notice", text) == "::notice::" + text.replace("%", "%25")
