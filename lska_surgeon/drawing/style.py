"""Colours and type of all images, light and dark, and how wide a text is at most; it draws nothing and asks no font.

The advance widths are, for each character, the larger of DejaVu Sans' and of Liberation Sans', whose widths are those
of Helvetica and Arial. A viewer shows one of these four where the image asks for Helvetica, so no text is wider.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import NamedTuple

#: The first that a viewer has; `width_of` bounds all of them.
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

_CHARACTERS = "".join(map(chr, range(32, 127))) + "×·…–→"
# In thousandths of the font's size.
_REGULAR = """
318 401 460 838 637 951 780 275 391 391 500 838 318 361 318 337 637 637 637 637 637 637 637 637 637 637 337 337 838
838 838 557 1016 685 687 723 771 667 611 778 752 295 500 667 558 863 749 788 667 788 723 667 611 732 685 989 686
667 686 391 337 391 838 557 500 613 635 550 635 616 353 635 634 278 278 580 278 975 634 612 635 635 412 521 393 634
592 818 592 592 525 637 337 637 838 838 318 1000 557 1000
"""
_BOLD = """
349 457 521 838 696 1002 873 307 458 458 523 838 380 416 380 366 696 696 696 696 696 696 696 696 696 696 400 400
838 838 838 611 1000 774 763 734 831 684 684 821 837 373 557 775 638 996 837 851 733 851 771 721 683 813 774 1104
771 725 726 458 366 458 838 557 500 675 716 593 716 679 436 716 712 343 343 666 343 1042 712 688 716 716 494 596
479 712 652 924 646 652 583 712 366 712 838 838 380 1000 557 1000
"""
_WIDEST = 1100  # of a character that the tables do not have: wide ones fill the font's square, few letters exceed it


@cache
def _widths(bold: bool) -> dict[str, int]:
    return dict(zip(_CHARACTERS, map(int, (_BOLD if bold else _REGULAR).split())))


def width_of(text: str, size: float, bold: bool = False) -> float:
    """An upper bound of a text's width, in the unit of the font's size."""
    widths = _widths(bold)
    total = sum(widths.get(char, 0 if unicodedata.combining(char) else _WIDEST) for char in text)
    return total * size / 1000


def fitted(text: str, most: float, size: float, bold: bool = False) -> str:
    """A text that is at most so wide, its end replaced by an ellipsis where it has to be."""
    if width_of(text, size, bold) <= most:
        return text
    while text and width_of(f"{text}…", size, bold) > most:
        text = text[:-1]
    return f"{text}…"


def wrapped(words: list[str], most: float, size: float) -> list[str]:
    """Words in lines that are at most so wide; a word that is wider has its line to itself, and is cut."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size) <= most:
            lines[-1] = longer
        else:
            lines.append(fitted(word, most, size))
    return lines
