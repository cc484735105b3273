"""How wide a text is at most, without asking any font; it knows no image.

The advance widths are, for each character, the larger of DejaVu Sans' and of Liberation Sans', whose widths are those
of Helvetica and Arial. A viewer shows one of these four where the image asks for Helvetica, so no text is wider.
"""

from __future__ import annotations

import unicodedata
from functools import cache

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
    total = sum(widths.get(one, 0 if unicodedata.combining(one) else _WIDEST) for one in text)
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
