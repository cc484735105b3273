"""A report as one HTML file; text of the user's is escaped, drawings of ours are not."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from importlib import resources

from ...tables import pipes
from .content import Report, ReportRow
from .scatter import Point, scatter
from .words import WORDS

_LATEX = {"\\": r"\textbackslash{}", "_": r"\_", "&": r"\&", "%": r"\%", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}  # fmt: skip


def render(report: Report, language: str = "en") -> str:
    """The page.

    Args:
        report: what it shows.
        language: one of `LANGUAGES`.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    words = WORDS[language]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    folder = resources.files(__package__)
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    header, rows = _header(report, words), [_cells(report, row, words) for row in report.rows]
    return template.render(
        report=report,
        words=words,
        header=header,
        rows=list(zip(report.rows, rows)),
        anchor=anchor,
        plot=Markup(_plot(report, words)),
        markdown=pipes(header, [[text for text, _ in cells] for cells in rows], left=2),
        latex=_latex(header, [[text for text, _ in cells] for cells in rows]),
        url=_url,
        raw=lambda text: Markup(_without_prologue(text)),
        css=Markup((folder / "report.css").read_text(encoding="utf-8")),
        script=Markup((folder / "report.js").read_text(encoding="utf-8")),
    )


def anchor(name: str) -> str:
    """The id of a network on the page."""
    return "n-" + re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()


def _header(report: Report, words: dict[str, str]) -> list[str]:
    names = ["network", "edits", "params", "params_more", "gflops", "gflops_more"]
    header = [words[name] for name in names]
    if any(row.latency is not None for row in report.rows):
        header.append(words["latency"])
    for metric in report.metrics:
        header += [metric, f"{metric} {words['difference']}"]
    return header


def _cells(report: Report, row: ReportRow, words: dict[str, str]) -> list[tuple[str, str]]:
    """(text, what it sorts by) of each column."""
    unknown = (words["unknown"], "")
    gflops, more = row.gflops, None if row.macs_added is None else 2 * row.macs_added / 1e9
    is_base = row.name == row.base
    cells = [
        (row.name, row.name),
        (row.edits or words["base_row"], row.edits),
        unknown if row.params is None else (f"{row.params:,}", str(row.params)),
        ("", "0")
        if is_base
        else unknown
        if row.params_added is None
        else (f"{row.params_added:+,}", str(row.params_added)),
        unknown if gflops is None else (f"{gflops:.3f}", f"{gflops}"),
        ("", "0") if is_base else unknown if more is None else (f"{more:+.3f}", f"{more}"),
    ]
    if any(one.latency is not None for one in report.rows):
        cells.append(("", "") if row.latency is None else (f"{1000 * row.latency:.2f}", f"{row.latency}"))
    for metric in report.metrics:
        score = row.scores.get(metric)
        if score is None:
            cells += [("", ""), ("", "")]
            continue
        spread = "" if score.deviation is None else f" ± {score.deviation:.3f}"
        cells.append((f"{score.mean:.3f}{spread} (n = {score.seeds})", f"{score.mean}"))
        cells.append((score.difference or "", (score.difference or "").split(" ")[0]))
    return cells


def _plot(report: Report, words: dict[str, str]) -> str:
    """Accuracy against GFLOPs where anything was trained, else parameters against GFLOPs."""
    metrics = report.metrics
    points = []
    for row in report.rows:
        if row.gflops is None:
            continue
        is_base = row.name == row.base
        if metrics and metrics[0] in row.scores:
            score = row.scores[metrics[0]]
            label = f"{row.name}: {metrics[0]} {score.mean:.3f}, {row.gflops:.3f} GFLOPs"
            points.append(Point(row.gflops, score.mean, label, anchor(row.name), score.deviation, is_base))
        elif not metrics and row.params is not None:
            label = f"{row.name}: {row.params:,}, {row.gflops:.3f} GFLOPs"
            points.append(Point(row.gflops, row.params / 1e6, label, anchor(row.name), None, is_base))
    return scatter(points, words["gflops"], metrics[0] if metrics else f"{words['params']} (M)")


def _latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A booktabs table."""
    columns = "ll" + "r" * (len(header) - 2)
    lines = [" & ".join(map(_escaped, line)) + r" \\" for line in (header, *rows)]
    body = "\n".join(lines[1:])
    return f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{lines[0]}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}"


def _escaped(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return escaped.replace("±", r"$\pm$")


def _url(svg: str) -> str:
    """A drawing as an address of its own, so that its style stays its own among others."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _without_prologue(svg: str) -> str:
    return re.sub(r"^\s*(<\?xml[^>]*\?>)?\s*(<!DOCTYPE[^>]*>)?\s*", "", svg)
