"""A scene as PNG or PDF through matplotlib, which comes with Ultralytics; imported only when one is asked for.

The text is in DejaVu Sans, which matplotlib brings along, so that an image does not depend on the machine's fonts, but
for characters that it lacks; no date is written, so the same scene and release give the same bytes.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from ..wording import printable
from .fonts import fonts_for
from .matplotlib_plots import check_matplotlib
from .palette import FILLS, STROKES, TYPES, UNKNOWN_DASHES
from .scene import Box, Line, Scene, Shape, Text
from .svg import head_of, rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PER_INCH = 96.0  # pixels of the scene
_POINT = 72.0 / _PER_INCH
_SHARPNESS = 2  # pixels of a PNG per pixel of the scene
_LIGHT = 0
_NO_DATES = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": "lska-surgeon", "Producer": None}}


def image_of(scene: Scene, form: str) -> bytes:
    """The scene in its light colours.

    Args:
        scene: the image.
        form: "png", at two pixels for one, or "pdf", with text that can be selected.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    check_matplotlib(f"a .{form}")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fonts, _ = fonts_for(scene)
    kind = 42 if len(fonts) == 1 else 3  # 42 can't hold fonts with PostScript outlines, as those for Chinese mostly are
    settings: Any = {"pdf.fonttype": kind, "font.family": fonts, "path.simplify": False}
    out = io.BytesIO()
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that the font does not have is drawn as a box
        figure = Figure(figsize=(scene.width / _PER_INCH, scene.height / _PER_INCH))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_xlim(0, scene.width)
        axes.set_ylim(scene.height, 0)
        axes.axis("off")
        for order, shape in enumerate(shape for group in scene.groups for shape in group.shapes):
            _draw(axes, shape, order)
        metadata: Any = _NO_DATES[form]
        figure.savefig(out, format=form, dpi=_PER_INCH * _SHARPNESS, metadata=metadata)
    return out.getvalue()


def _draw(axes: Axes, shape: Shape, order: int) -> None:
    if isinstance(shape, Box):
        _draw_box(axes, shape, order)
    elif isinstance(shape, Line):
        _draw_line(axes, shape, order)
    else:
        _write(axes, shape, order)


def _draw_box(axes: Axes, box: Box, order: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    fill = FILLS[box.style]
    border = fill.border[_LIGHT]
    width = 0.0 if border == "none" else fill.width * _POINT
    axes.add_patch(
        FancyBboxPatch(
            (box.x, box.y),
            box.width,
            box.height,
            boxstyle=f"round,pad=0,rounding_size={box.radius}",
            facecolor=fill.inside[_LIGHT],
            edgecolor=border,
            linewidth=width,
            linestyle=(0, UNKNOWN_DASHES) if box.dashed else "solid",
            zorder=order,
        )
    )


def _draw_line(axes: Axes, line: Line, order: int) -> None:
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    stroke = STROKES[line.style]
    corners, codes = [line.points[0]], [Path.MOVETO]
    for begin, corner, end in rounded(line):
        corners += [begin, corner, end]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    path = Path([*corners, line.points[-1]], [*codes, Path.LINETO])
    style = (0, tuple(dash / stroke.width for dash in stroke.dashes)) if stroke.dashes else "solid"
    axes.add_patch(
        PathPatch(
            path,
            fill=False,
            edgecolor=stroke.colour[_LIGHT],
            linewidth=stroke.width * _POINT,
            linestyle=style,
            capstyle="butt",
            zorder=order,
        )
    )
    if line.head:
        axes.add_patch(Polygon(head_of(line.points), closed=True, facecolor=stroke.colour[_LIGHT], zorder=order))


def _write(axes: Axes, text: Text, order: int) -> None:
    kind = TYPES[text.style]
    axes.text(
        text.x,
        text.y,
        printable(text.text),
        fontsize=kind.size * _POINT,
        fontweight="bold" if kind.bold else "normal",
        color=kind.colour[_LIGHT],
        ha={"start": "left", "middle": "center", "end": "right"}[text.anchor],
        va="baseline",
        parse_math=False,
        zorder=order,
    )
