"""A page as one HTML file, that opens from disk; text of the user's is escaped, drawings of ours are not."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import groupby
from typing import NamedTuple

from ..drawing.plots import page_svg
from ..drawing.style import SERIES
from ..reports import Strong, Table, latex, markdown
from ..wording import decimals, printable_lines
from .content import Charts, Page, PageNetwork, latency_columns
from .sentences import WORDS, html_of

_VERDICT = "verdict"  # the column of results that says what they come to


class PageTable(NamedTuple):
    """One table of a page.

    Attributes:
        name: its id.
        table: its cells.
        networks: name of the network of each row.
        markdown, latex: the table to copy.
    """

    name: str
    table: Table
    networks: Sequence[str]
    markdown: str
    latex: str


def render(page: Page, language: str = "en") -> str:
    """The HTML.

    Args:
        page: what it shows.
        language: "en" or "zh".

    Raises:
        MissingPackageError: there is something to plot, and matplotlib is not installed.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    words = WORDS[language]
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            value if isinstance(value, Markup) or not isinstance(value, str) else printable_lines(value)
        ),
    )
    template, style, script = (
        (resources.files(__package__) / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    places = anchors(page.networks)
    charts = Charts(page, words, places)
    return environment.from_string(template).render(
        page=page,
        words=words,
        anchors=places,
        tables=[networks_table(page, words), results_table(page, words), areas_table(page, words)],
        said=lambda text: Markup(html_of(text, language)),
        strong=lambda cell: isinstance(cell, Strong),
        plots=[[(plot, page_svg(plot)) for plot in plots] for plots in (charts.networks(), charts.curves())],
        fields=[(name, list(fields)) for name, fields in groupby(page.fields, lambda field: field.network)],
        svg=Markup,
        style=Markup(f"{style}{_series_colours()}"),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def anchors(networks: Sequence[PageNetwork]) -> dict[str, str]:
    """Name of each network -> its id on the page, which no other has."""
    ids: dict[str, str] = {}
    for network in networks:
        word = re.sub(r"[^a-z0-9]+", "-", network.name.lower()).strip("-") or "network"
        number = sum(other == word or other.startswith(f"{word}--") for other in ids.values())
        ids[network.name] = f"{word}--{number}" if number else word
    return {name: f"n-{word}" for name, word in ids.items()}


def _series_colours() -> str:
    """The variables of plots' colours, light and dark."""
    light, dark = (" ".join(f"--s{at}: {colours[theme]};" for at, colours in enumerate(SERIES)) for theme in (0, 1))
    return f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def networks_table(page: Page, words: Mapping[str, str]) -> PageTable:
    """All networks and what they cost."""
    times = latency_columns(page, words)
    header = [words[name] for name in ("network", "edits", "params", "params_more", "gflops", "gflops_more")]
    header += [name for _, name in times]
    metric = page.results.metric if page.results else ""
    header += [metric if len(page.data) == 1 else f"{metric}, {name}" for name in page.data]
    costs = zip(*((one.gflops, one.gflops_added) for one in page.networks))
    whole, added = (decimals(values, 3, least=3) for values in costs)

    def known(value: float | None, form: str) -> str:
        return words["unknown"] if value is None else f"{value:{form}}"

    rows = []
    for network in page.networks:
        params_added, gflops_added = (0, 0) if network.is_base else (network.params_added, network.gflops_added)
        seconds = [network.latency.get(runtime) for runtime, _ in times]
        row = [network.name, network.edits or words["base_row"]]
        row += [known(network.params, ","), known(params_added, "+,")]
        row += [known(network.gflops, f".{whole}f"), known(gflops_added, f"+.{added}f")]
        row += ["" if one is None else f"{1000 * one:.2f}" for one in seconds]
        rows.append([*row, *(_score(network, data) for data in page.data)])
    table = Table(header, rows, range(2, len(header)))
    return _page_table("table", table, [network.name for network in page.networks])


def _score(network: PageNetwork, data: str) -> str:
    score = network.scores.get(data)
    if score is None:
        return ""
    return f"{score.mean:.4f}" if score.sd is None else f"{score.mean:.4f} ± {score.sd:.4f}"


def results_table(page: Page, words: Mapping[str, str]) -> PageTable | None:
    """What trainings came to, with the verdict before the numbers, where it is seen at once."""
    if page.results is None:
        return None
    source = page.results.table
    columns = [*range(len(source.header))]
    columns.insert(min(source.right), columns.pop(source.header.index(_VERDICT)))
    source = source.part(columns)

    def named(column: str) -> str:  # that of a difference begins with its metric, which has no other name
        other = column.replace(" - base", words["minus_base"]).replace(" at stopping", words["at_stopping"])
        return words.get(f"column {column}", other)

    rows = [[_cell(name, cell, words) for name, cell in zip(source.header, cells)] for cells in source.rows]
    table = source._replace(header=[*map(named, source.header)], rows=rows)
    return PageTable("results", table, page.results.networks, page.results.markdown, page.results.latex)


def _cell(column: str, cell: str, words: Mapping[str, str]) -> str:
    """A cell of the results in the page's words; names and numbers are as they are."""
    if column == _VERDICT:
        return ", ".join(words.get(f"verdict {part}", part) for part in cell.split(", "))
    if column == "warnings":
        kinds = (part.rpartition(" ") for part in cell.split(", "))
        return ", ".join(f"{words.get(f'warning {kind}', kind)}{space}{number}" for kind, space, number in kinds)
    if column == "seeds":
        return cell.replace(" of ", words["of"])
    if column == "network":
        for role in ("base", "larger"):
            cell = re.sub(rf" \({role}\)$", words[f"role {role}"], cell)
    return cell


def areas_table(page: Page, words: Mapping[str, str]) -> PageTable | None:
    """How much of the image layers see."""
    if not page.fields:
        return None
    header = [words["network"], words["at"], *(f"{share:.0%}" for share in page.fields[0].areas)]
    whole = f"100% ({words['all_of_it']})"
    rows = [
        [field.network, field.at, *(whole if area is None else f"{area:.1%}" for area in field.areas.values())]
        for field in page.fields
    ]
    table = Table(header, rows, range(2, len(header)))
    return _page_table("areas", table, [field.network for field in page.fields])


def _page_table(name: str, table: Table, networks: Sequence[str]) -> PageTable:
    return PageTable(name, table, networks, markdown(table), latex(table))
