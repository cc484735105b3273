"""Which fonts of the machine show what DejaVu Sans, which matplotlib brings along, does not have; it draws nothing.

An image without such characters is the same on every machine, whatever fonts are there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .scene import Scene, Text

OWN = "DejaVu Sans"
#: Fonts that have Chinese, Japanese and Korean, the first that is there.
OTHERS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC",
    "Noto Sans CJK JP", "Noto Serif CJK SC", "Arial Unicode MS", "Unifont",
)  # fmt: skip


def fonts_for(scene: Scene) -> tuple[list[str], str]:
    """The fonts that a scene needs, `OWN` first, and the characters of it that none of them has."""
    from matplotlib import font_manager

    fonts, missing = [OWN], _without({*_characters(scene)}, _characters_of(OWN))
    there = {font.name for font in font_manager.fontManager.ttflist} if missing else set()
    for name in OTHERS:
        if missing and name in there:
            rest = _without(missing, _characters_of(name))
            fonts += [name] if rest < missing else []
            missing = rest
    return fonts, "".join(sorted(missing))


def _without(characters: set[str], there: Collection[int]) -> set[str]:
    return {one for one in characters if ord(one) not in there}


def _characters(scene: Scene) -> Iterable[str]:
    return (one for group in scene.groups for shape in group.shapes if isinstance(shape, Text) for one in shape.text)


def _characters_of(name: str) -> Collection[int]:
    """What a font has in both weights that images use."""
    from matplotlib import font_manager

    weights = (font_manager.FontProperties(family=name, weight=weight) for weight in ("normal", "bold"))
    plain, bold = (font_manager.get_font(font_manager.findfont(one)).get_charmap() for one in weights)
    return plain.keys() & bold.keys()
