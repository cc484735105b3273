"""Plots by matplotlib: points in series, as files and as SVG whose points are links; heat maps, side by side.

The same plot gives the same bytes. It knows nothing of what plots show.
"""

from __future__ import annotations

import importlib.util
import io
import re
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..errors import SurgeonError, TargetError, needs
from ..files import check_target, write_whole
from ..wording import visible
from .style import SERIES

FORMATS = (".png", ".svg", ".pdf")
COLOURS = tuple(on_paper for on_paper, _ in SERIES)
MARKERS = "osD^vPX"
LINES = ("-", "--", "-.", ":")
_HEAT = "viridis"
_HEAT_SIDE = 2.1  # inches
_HEAT_LETTERS = 26  # above a heat map
_HEAT_PIXELS = 160  # along a side of a heat map that stands alone
_MOST_IMAGES = 4  # of each network's
# Text stays text, ids do not depend on the run, and no user's matplotlibrc changes what a figure looks like.
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "lska-surgeon",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a dollar in a name is one
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "figure.dpi": 150,
}
_SIZES = (
    *("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize"),
    *("legend.fontsize", "legend.title_fontsize"),
)
#: Ending -> what keeps the day and the release out of a file.
UNDATED: dict[str, Any] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": "lska-surgeon", "Producer": None},
}


@dataclass(frozen=True)
class Point:
    """One point.

    Attributes:
        x, y: where it stands.
        label: what is shown of it.
        link: the id that it leads to on a page; None where it stands for nothing there.
        spread: half the length of its error bar, or None.
    """

    x: float
    y: float
    label: str = ""
    link: str | None = None
    spread: float | None = None


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        name: for the legend.
        points: in their order.
        number: which colour, marker and line it has; none of a base counts.
        joined: whether a line joins them.
        base: whether they are what the others are compared with: stars, each with a line across.
    """

    name: str
    points: Sequence[Point]
    number: int = 0
    joined: bool = False
    base: bool = False


@dataclass(frozen=True)
class Plot:
    """What stands between two axes.

    Attributes:
        title: what it shows.
        series: those that have points.
        x, y: what the axes are called.
        ticks: what is marked below; none for round numbers.
        zero: whether the upright axis begins at 0.
    """

    title: str
    series: Sequence[Series]
    x: str
    y: str
    ticks: Sequence[float] = ()
    zero: bool = False


#: Colours of the page that shows a plot: its variable -> what stands for it until then, a colour of no series.
_THEME = {"ink": "#010203", "line": "#010204", "paper": "#010205"}
_PAGE_STYLE: dict[str, Any] = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), _THEME["ink"]),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 0),  # the grid marks them
    **dict.fromkeys(("axes.spines.left", "axes.spines.bottom"), False),
    "axes.grid": True,
    "figure.dpi": 72,  # as SVG has it, where the room for a legend is measured
    "grid.color": _THEME["line"],
    "lines.linewidth": 1.3,
}
_SVG, _HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_PAGE_SIZE = (5.0, 3.2)  # inches; small, for its text of 10 points has to be read where a telephone shows all of it
_LEGEND_LINE = 0.22  # inches
_LEGEND_LETTERS = 48


def draw_plot(
    axes: Any,
    plot: Plot,
    *,
    log: bool = False,
    ink: str = "black",
    paper: str | None = None,
    marker: float = 6.0,
    named: bool = False,
) -> list[Any]:
    """Draw a plot into axes of matplotlib, inside of `plotting`, and give what stands in its legend.

    The group of each point has the id `SERIES-POINT`, that of its error bar `bar-SERIES-POINT`.

    Args:
        axes: where.
        plot: what.
        log: whether the upright axis is logarithmic.
        ink: the colour of what belongs to no series.
        paper: what fills markers of points that lead nowhere, but for bases; None for the colour of their series.
        marker: how large markers are, in points.
        named: write the label of each point beside it, and that of a base at the end of its line.
    """
    from matplotlib import ticker
    from matplotlib.lines import Line2D

    handles = []
    for number, series in enumerate(plot.series):
        colour = ink if series.base else COLOURS[series.number % len(COLOURS)]
        shape = "*" if series.base else MARKERS[series.number % len(MARKERS)]
        line = LINES[series.number % len(LINES)] if series.joined else ""
        axes.plot([p.x for p in series.points], [p.y for p in series.points], color=colour, linestyle=line)
        for at, point in enumerate(series.points):
            if series.base:
                axes.axhline(point.y, color=colour, linewidth=0.8, linestyle=(0, (6, 4)), zorder=1.5)
            if point.spread:
                low, high = point.y - point.spread, point.y + point.spread
                axes.vlines(point.x, low, high, color=colour, gid=f"bar-{number}-{at}")
            axes.scatter(
                [point.x], [point.y], s=marker**2 * (2.5 if series.base else 1), marker=shape, edgecolors=colour,
                facecolors=colour if series.base or point.link else paper or colour, gid=f"{number}-{at}", zorder=3,
            )  # fmt: skip
            if named and point.label:
                axes.annotate(
                    legible(point.label), (1 if series.base else point.x, point.y), textcoords="offset points",
                    xycoords=("axes fraction", "data") if series.base else "data", va="bottom",
                    xytext=(-2 if series.base else 4, 2), ha="right" if series.base else "left",
                )  # fmt: skip
        fill = colour if series.base or any(point.link for point in series.points) else paper or colour
        look: dict[str, Any] = {
            "color": colour,
            "marker": shape,
            "markersize": marker,
            "markerfacecolor": fill,
            "linestyle": line,
        }
        handles.append(Line2D([], [], **look, label=legible(series.name)))
    heights = [p.y + (p.spread or 0) for series in plot.series for p in series.points]
    axes.set(xlabel=plot.x, ylabel="\n".join(map(legible, plot.y.split("\n"))))
    if plot.ticks:
        axes.xaxis.set_major_locator(ticker.FixedLocator(plot.ticks, nbins=9))
        axes.xaxis.set_major_formatter("{x:g}")
    if log:  # ticks at 1, 2 and 5 of each decade, in plain numbers
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    elif plot.zero or not any(heights):  # nothing is below zero where all is nothing
        axes.set_ylim(bottom=0, top=None if any(heights) else 1)
    return handles


def page_svg(plot: Plot) -> str:
    """A plot as SVG for a page whose variables `--ink`, `--line`, `--paper` and `--s0` to `--s5` give the colours.

    Points are links, or groups where they lead nowhere, with a title for the mouse and a name for screen readers.
    """
    content = io.BytesIO()
    with plotting(10, _PAGE_STYLE) as figure, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a browser has the characters that matplotlib's font lacks
        lines = [line for series in plot.series for line in textwrap.wrap(legible(series.name), _LEGEND_LETTERS)]
        drawn = figure.Figure((_PAGE_SIZE[0], _PAGE_SIZE[1] + _LEGEND_LINE * len(lines)), layout="constrained")
        axes = drawn.subplots()
        axes.locator_params(nbins=6)
        handles = draw_plot(axes, plot, ink=_THEME["ink"], paper=_THEME["paper"])
        for handle in handles:
            handle.set_label(textwrap.fill(handle.get_label(), _LEGEND_LETTERS))
        drawn.legend(handles=handles, loc="outside lower left", frameon=False)
        for artist in drawn.findobj():
            artist.set_clip_on(False)
        drawn.savefig(content, format="svg", transparent=True, metadata=UNDATED[".svg"])
    root = ElementTree.fromstring(content.getvalue())
    _as_part_of_a_page(root, plot)
    return ElementTree.tostring(root, encoding="unicode")


def _as_part_of_a_page(root: Any, plot: Plot) -> None:
    """Of matplotlib's SVG what a page needs: colours as its variables, points as links, and no ids."""
    box = root.get("viewBox")
    colours = {**_THEME, **{f"s{at}": colour for at, colour in enumerate(COLOURS)}}
    points = {f"{number}-{at}": p for number, series in enumerate(plot.series) for at, p in enumerate(series.points)}
    shapes = {f"#{path.get('id')}": path.get("d", "") for path in root.iter(f"{_SVG}path") if path.get("id")}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}defs", f"{_SVG}metadata"):
                parent.remove(child)
    for element in root.iter():
        style = re.sub(r"font-family: [^;]*(; )?", "", element.get("style", ""))
        for name, colour in colours.items():
            style = style.replace(colour, f"var(--{name})")
        kept = {key: value for key, value in element.items() if key in ("d", "x", "y", "transform")}
        if element.tag == f"{_SVG}use":
            element.tag = f"{_SVG}path"
            kept = {"d": shapes[element.get(_HREF)], "transform": f"translate({kept['x']} {kept['y']})"}
        point, is_bar = points.get(element.get("id", "")), element.get("id", "").startswith("bar-")
        element.tag, element.attrib = element.tag.removeprefix(_SVG), {**kept, **({"style": style} if style else {})}
        if is_bar:
            element.set("class", "bar")
        if point is not None:
            label = visible(point.label)
            if point.link is not None:
                element.tag = "a"
                element.attrib.update({"href": f"#{point.link}", "aria-label": label})
            title = ElementTree.Element("title")
            title.text = label
            element.insert(0, title)
    root.attrib = {"class": "plot", "viewBox": box, "role": "group", "aria-label": visible(plot.title)}


def check_figure(path: Path, *, force: bool) -> None:
    """Refuse a file that no figure can be written to; call it before any work.

    Raises:
        TargetError: another ending than `FORMATS`, or the file is in the way.
        MissingPackageError: matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise TargetError(f"{path} does not end in {', '.join(FORMATS)}: give such a name")
    check_target(path, force=force)
    check_matplotlib(f"a {path.suffix.lower()}")


def check_matplotlib(what: str) -> None:
    """Refuse an environment without matplotlib, before any work.

    Raises:
        MissingPackageError: it is not installed; `what` needs it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise needs("matplotlib", what=what)


def inline(write: Callable[[Path], Any]) -> str:
    """The figure that a result writes, as a notebook shows it; nothing where there is none, or no matplotlib."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "figure.svg")
        try:
            with warnings.catch_warnings():  # a notebook shows them on red, above the figure
                warnings.simplefilter("ignore")
                write(path)
        except SurgeonError:
            return ""
        text = path.read_text(encoding="utf-8")
    return f'<div style="overflow-x: auto">{text[text.index("<svg") :]}</div>'


def legible(text: str) -> str:
    """Text of somebody else's choice for a figure; matplotlib takes a name that begins with `_` for none."""
    text = visible(text)
    return f"\u200b{text}" if text.startswith("_") else text


@contextmanager
def plotting(points: float = 9, style: Mapping[str, Any] = {}) -> Iterator[Any]:
    """matplotlib.figure, with our style and more, text of so many points, and without any window."""
    check_matplotlib("a figure")
    import matplotlib
    from matplotlib import figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, **dict.fromkeys(_SIZES, points), **style})
        yield figure


def save(drawn: Any, path: Path, *, force: bool = False) -> None:
    """Write a figure, whole or not at all; inside of `plotting`.

    Raises:
        TargetError: see `check_figure`, or the system refuses.
    """
    check_figure(path, force=force)
    suffix = path.suffix.lower()
    content = io.BytesIO()
    drawn.savefig(content, format=suffix[1:], metadata=UNDATED[suffix])
    write_whole(path, lambda file: file.write(content.getvalue()), force=force)


def heat_png(values: Any) -> bytes:
    """A heat map alone, as PNG, in the colours of `draw_fields`; large ones are pooled by their maximum.

    Args:
        values: shape (H, W), 0 to 1.
    """
    step = max(1, -(-max(values.shape) // _HEAT_PIXELS))
    height, width = (side // step for side in values.shape)
    pooled = values[: height * step, : width * step].reshape(height, step, width, step).max((1, 3))
    content = io.BytesIO()
    with plotting():
        from matplotlib.image import imsave

        imsave(content, pooled, vmin=0, vmax=1, cmap=_HEAT, format="png", metadata=UNDATED[".png"])
    return content.getvalue()


def draw_fields(fields: Sequence[Any], path: Path, *, force: bool = False) -> None:
    """Effective receptive fields: a row a network, a column a layer; the same colours mean the same everywhere.

    Args:
        fields: with `model`, `at` and `readable()`, shape (H, W), the largest of them 1.
        path: PNG, SVG or PDF.
        force: replace a file that is there.
    """
    models = list(dict.fromkeys(field.model for field in fields))
    places = list(dict.fromkeys(field.at for field in fields))
    cells = {
        (models.index(field.model), places.index(field.at)): (field.readable(), f"{_title(field.model)}\n{field.at}")
        for field in fields
    }
    _draw_heat(cells, {}, _HEAT, 1.0, "contribution (log, relative)", path, force)


def draw_gates(changes: Mapping[str, Sequence[Any]], images: Sequence[Any], path: Path, *, force: bool = False) -> None:
    """A row for each image: the image, then what each operator does to it, on one scale.

    Args:
        changes: network -> its operators, with `layer`, `op` and `maps`.
        images: those of all networks, with `name` and `tensor`, shape (1, C, H, W).
        path: PNG, SVG or PDF.
        force: replace a file that is there.
    """
    operators = [(model, operator) for model, here in changes.items() for operator in here]
    seen = {name for _, operator in operators for name in [*operator.maps][:_MOST_IMAGES]}
    shown = [image for image in images if image.name in seen]
    pixels = [image.tensor[0].numpy() for image in shown]
    cells = {
        (row, column): (operator.maps[image.name], f"{_title(model)}\n{operator.op}, layer {operator.layer}")
        for row, image in enumerate(shown)
        for column, (model, operator) in enumerate(operators, 1)
        if image.name in operator.maps  # a network that can't read images looks through noise
    }
    photographs = {
        (row, 0): (one.transpose(1, 2, 0) if len(one) == 3 else one.mean(0), _title(image.name))
        for row, (one, image) in enumerate(zip(pixels, shown))
    }
    top = max((float(values.max()) for values, _ in cells.values()), default=0.0) or 1.0
    _draw_heat(cells, photographs, "magma", top, "|out - in| / mean |in|", path, force)


def _title(name: str) -> str:
    """A name in lines as wide as a heat map."""
    return textwrap.fill(legible(name), _HEAT_LETTERS)


#: (row, column) -> pixels and title.
_Cells = Mapping[tuple[int, int], tuple[Any, str]]


def _draw_heat(
    maps: _Cells, photographs: _Cells, colours: str, top: float, label: str, path: Path, force: bool
) -> None:
    """Heat maps from 0 to `top` with one colour bar, and photographs beside them."""
    rows, columns = (1 + max(place[side] for place in (*maps, *photographs)) for side in (0, 1))
    with plotting() as figure:
        drawn = figure.Figure(figsize=(_HEAT_SIDE * columns + 1, _HEAT_SIDE * rows + 0.5), layout="constrained")
        axes = drawn.subplots(rows, columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        image = None
        for place, (pixels, title) in (*photographs.items(), *maps.items()):
            look = {"vmax": 1} if place in photographs else {"vmax": top, "cmap": colours, "interpolation": "nearest"}
            image = axes[place].imshow(pixels, vmin=0, **look)
            axes[place].set_title(title, fontsize=8)
        drawn.colorbar(image, ax=axes, shrink=0.8, label=label)
        save(drawn, path, force=force)
