"""Plots by matplotlib, the same bytes for the same figure; it knows nothing of what they show."""

from __future__ import annotations

import importlib.util
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import SurgeonError, TargetError, needs
from ..files import check_target, write_whole
from ..wording import visible
from .style import SERIES

FORMATS = (".png", ".svg", ".pdf")
COLOURS = tuple(on_paper for on_paper, _ in SERIES)
MARKERS = "osD^vPX"
LINES = ("-", "--", "-.", ":")
# Text stays text, ids do not depend on the run, and no user's matplotlibrc changes what a figure looks like.
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "lska-surgeon",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a dollar in a name is one
    "axes.spines.top": False,
    "axes.spines.right": False,
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
    ".pdf": {"CreationDate": None},
}


def check_figure(path: Path, *, force: bool) -> None:
    """Refuse a file that no figure can be written to; call it before any work.

    Raises:
        TargetError: another ending than `FORMATS`, or the file is in the way.
        MissingPackageError: matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise TargetError(f"{path} is no image by its ending: give -o a name with {', '.join(FORMATS)}")
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


def logarithmic(axes: Any) -> None:
    """Make the upright axis logarithmic, with ticks at 1, 2 and 5 of each decade, in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


@contextmanager
def plotting(points: float = 9) -> Iterator[Any]:
    """matplotlib.figure, with our style, text of so many points, and without any window."""
    check_matplotlib("a figure")
    import matplotlib
    from matplotlib import figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        matplotlib.rcParams.update(dict.fromkeys(_SIZES, points))
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
