"""A report as one HTML file; text of the user's is escaped, drawings of ours are not."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib import resources

from ..drawing.style import SERIES
from ..wording import printable_lines
from .charts import Charts
from .content import FieldImage, Report, ReportRow
from .grids import fields_grid, networks_grid, results_grid
from .words import WORDS


def render(report: Report, language: str = "en") -> str:
    """The page.

    Args:
        report: what it shows.
        language: one of `LANGUAGES`.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    words = WORDS[language]
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,
    )
    folder = resources.files(__package__)
    style, script = ((folder / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    places = anchors(report.rows)
    charts = Charts(report, words, places)
    return environment.from_string((folder / "report.html").read_text(encoding="utf-8")).render(
        report=report,
        words=words,
        anchors=places,
        networks=networks_grid(report, words),
        results=results_grid(report, words),
        areas=fields_grid(report, words),
        charts=charts.networks(),
        curves=charts.curves(),
        fields=list(_by_network(report.fields)),
        svg=Markup,
        style=Markup(f"{style}{_series_colours()}"),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def anchors(rows: Sequence[ReportRow]) -> dict[str, str]:
    """Name of each network -> its id on the page, which no other has."""
    found: dict[str, str] = {}
    for row in rows:
        word = re.sub(r"[^a-z0-9]+", "-", row.name.lower()).strip("-") or "network"
        number = sum(other == word or other.startswith(f"{word}--") for other in found.values())
        found[row.name] = f"{word}--{number}" if number else word
    return {name: f"n-{word}" for name, word in found.items()}


def _series_colours() -> str:
    """The classes of plots' series, light and dark."""
    themes = ([f".s{at} {{ --colour: {colours[theme]}; }}" for at, colours in enumerate(SERIES)] for theme in (0, 1))
    light, dark = map(" ".join, themes)
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n"


def _by_network(fields: Sequence[FieldImage]) -> Iterator[tuple[str, list[FieldImage]]]:
    for name in dict.fromkeys(one.network for one in fields):
        yield name, [one for one in fields if one.network == name]
