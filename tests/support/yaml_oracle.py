"""Model YAMLs read as Ultralytics reads them, and what a variant's wiring must be; nothing here uses the package's own
reading, layout or index map.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

OPERATORS = {"LSKA", "LSKATrivial", "LKA", "LKATrivial", "LSKAAttention"}
IMAGE = "image"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")

Row = list[Any]


def load(data: bytes) -> dict[str, Any]:
    """The content of a YAML file, by the steps of Ultralytics' loader."""
    text = re.sub("\r\n?", "\n", data.decode("utf-8", errors="ignore"))
    if not text.isprintable():
        text = _UNPRINTABLE.sub("", text)
    content = yaml.load(text, _LOADER)
    assert isinstance(content, dict)
    return content


def rows_of(content: dict[str, Any]) -> list[Row]:
    return [*content["backbone"], *content["head"]]


def sources(rows: list[Row], index: int) -> list[int | str]:
    """What a row reads, as Ultralytics' forward pass resolves it."""
    frm = rows[index][0]
    found: list[int | str] = []
    for raw in frm if isinstance(frm, list) else [frm]:
        source = index + raw if raw < 0 else raw
        assert 0 <= source < index or (index == 0 and source == -1), f"row {index} reads {raw}"
        found.append(IMAGE if source == -1 else source)
    return found


def wiring(content: dict[str, Any]) -> list[list[tuple[int | str, tuple[Any, ...]]]]:
    """For each layer, without the operator rows and counted without them: each of its sources, as the layer that it
    comes from in the end and the operators, (block, *arguments), that stand between."""
    rows = rows_of(content)
    kept = [index for index, row in enumerate(rows) if row[2] not in OPERATORS]
    number = {index: n for n, index in enumerate(kept)}

    def trace(source: int | str) -> tuple[int | str, tuple[Any, ...]]:
        chain: list[tuple[Any, ...]] = []
        while isinstance(source, int) and source not in number:
            _, repeats, block, args = rows[source]
            assert repeats == 1
            chain.insert(0, (block, *args))
            (source,) = sources(rows, source)
        return (number[source] if isinstance(source, int) else source), tuple(chain)

    return [[trace(source) for source in sources(rows, index)] for index in kept]


def scale_built(content: dict[str, Any], name: str) -> tuple[str | None, list[float] | None]:
    """The scale that Ultralytics takes for a file of this name, and its [depth, width, max_channels]."""
    scales = content.get("scales")
    if not scales:
        return None, None
    found = re.search(r"yolo(?:e-)?v?\d+([nslmx])", name.rpartition(".")[0])
    letter = found.group(1) if found else next(iter(scales))
    return letter, scales[letter]
