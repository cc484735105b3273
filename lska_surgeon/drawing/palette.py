"""Colours and type of all images, light and dark; it draws nothing."""

from __future__ import annotations

from typing import NamedTuple

#: The first that a viewer has; `text_width` bounds all of them.
FONTS = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"


class Fill(NamedTuple):
    """How boxes of a style look: (light, dark) colours of their inside and border, and the border's width."""

    inside: tuple[str, str]
    border: tuple[str, str]
    width: float = 1.0


class Type(NamedTuple):
    """How texts of a style look."""

    colour: tuple[str, str]
    size: float
    bold: bool = False


class Stroke(NamedTuple):
    """How lines of a style look."""

    colour: tuple[str, str]
    width: float
    dashes: tuple[float, float] | None = None


NOTHING = ("none", "none")
FILLS = {
    "page": Fill(("#ffffff", "#0d1117"), NOTHING),
    "band": Fill(("#f5f6f8", "#161b22"), NOTHING),
    "conv": Fill(("#e3e9f2", "#1d2836"), ("#6d83a6", "#7f98c0")),
    "block": Fill(("#cfe2fa", "#12314f"), ("#2f6cb8", "#63a6f0")),
    "pool": Fill(("#e9dcf8", "#2c2042"), ("#7d52b5", "#ad86e4")),
    "psa": Fill(("#f9dcec", "#3d1b2f"), ("#b5447f", "#e383b4")),
    "fuse": Fill(("#ffffff", "#0d1117"), ("#57606a", "#8b949e")),
    "up": Fill(("#d8f0e3", "#12331f"), ("#2e8b60", "#4fbb86")),
    "other": Fill(("#fafafa", "#1b1f24"), ("#8c959f", "#8b949e")),
    "output": Fill(("#fff6d6", "#2f290c"), ("#a07800", "#d9b441")),
    "operator": Fill(("#ffd9bd", "#52290a"), ("#c8500a", "#ff9248"), 2.0),
    "kept": Fill(("#f2f3f5", "#1b1f24"), ("#a3abb4", "#5c656f")),
    "changed": Fill(("#fdf0bd", "#3a3109"), ("#a07800", "#d9b441"), 2.0),
    "new": Fill(("#d3f1da", "#12361c"), ("#1a7f37", "#4cc265"), 2.0),
    "mark-backbone": Fill(("#0b62a8", "#0b62a8"), ("#0b62a8", "#4a9ce0")),
    "mark-sppf": Fill(("#00735a", "#00735a"), ("#00735a", "#2eb795")),
    "mark-neck": Fill(("#b34700", "#b34700"), ("#b34700", "#f08a45")),
    "mark-head": Fill(("#932b6b", "#932b6b"), ("#932b6b", "#dc73b4")),
    "mark-residual": Fill(("#ffffff", "#0d1117"), ("#5546b0", "#a297f2"), 1.2),
    "mark-sppf-inner": Fill(("#ffffff", "#0d1117"), ("#4c7300", "#98c53a"), 1.2),
}
TYPES = {
    "title": Type(("#1f2328", "#e6edf3"), 14, bold=True),
    "subtitle": Type(("#57606a", "#9aa4af"), 11),
    "part": Type(("#57606a", "#9aa4af"), 11, bold=True),
    "level": Type(("#57606a", "#9aa4af"), 11, bold=True),
    "name": Type(("#1f2328", "#e6edf3"), 11, bold=True),
    "detail": Type(("#3d444d", "#c3ccd5"), 10),
    "note": Type(("#57606a", "#9aa4af"), 10),
    "mark": Type(("#ffffff", "#ffffff"), 9, bold=True),
    "mark-residual": Type(("#5546b0", "#a297f2"), 9, bold=True),
    "mark-sppf-inner": Type(("#4c7300", "#98c53a"), 9, bold=True),
}
STROKES = {
    "plain": Stroke(("#6a737d", "#8b949e"), 1.1),
    "new": Stroke(("#c8500a", "#ff9248"), 1.6),
    "rewired": Stroke(("#c8500a", "#ff9248"), 1.6, (5, 3)),
}
#: Colours of series in plots, on paper and on dark screens: colour-blind people tell them apart, neighbours differ in
#: grey as well, and each is seen on its ground (3:1 at least).
SERIES = (
    ("#0072b2", "#56b4e9"),
    ("#c98700", "#f0c04a"),
    ("#00674b", "#2fc79b"),
    ("#4a98c9", "#8fd3ff"),
    ("#a63d00", "#ff8a3c"),
    ("#c26d9b", "#e59cc6"),
)
#: A border of boxes whose block is not known.
UNKNOWN_DASHES = (4, 2.5)
