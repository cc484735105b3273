"""The stock models' rows, read fast: they stand one to a line, so that takes no YAML parser; it judges nothing."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from ..architecture.graph import Graph, Layer, as_from
from ..errors import GraphError
from ..model_yaml.find import stock_models
from ..yaml_nodes import read_plain

_ROW = re.compile(r"^[ \t]*- (\[.*\])[ \t]*(?:#.*)?$", re.MULTILINE)
_BLOCK = re.compile(r"^[ \t]*- \[(?:\[[^\]]*\]|[^,\[]+),[ \t]*\d+,[ \t]*([\w.]+)", re.MULTILINE)
_SECTION = re.compile(r"^(backbone|head):", re.MULTILINE)
_TOKEN = re.compile(r"""[ \t]*(\[|\]|,|"[^"]*"|'[^']*'|[^\[\],]+)""")


@cache
def stock_blocks() -> dict[str, tuple[str, ...]]:
    """Stock file name -> its blocks in order."""
    return {name: tuple(_BLOCK.findall(_text(path))) for name, path in stock_models().items()}


@cache
def stock_graph(name: str) -> Graph | None:
    """A stock model's graph without its settings; None when its file is not written one row to a line."""
    text = _text(stock_models()[name])
    starts = {found.group(1): found.start() for found in _SECTION.finditer(text)}
    layers: list[Layer] = []
    for found in _ROW.finditer(text):
        row = _flow(found.group(1))
        frm = as_from(row[0]) if len(row) == 4 else None
        if frm is None or not isinstance(row[2], str) or not isinstance(row[3], list):
            return None
        section = "head" if found.start() > starts.get("head", len(text)) else "backbone"
        layers.append(Layer(len(layers), section, frm, row[1], row[2], tuple(row[3])))
    try:
        return Graph(tuple(layers), name=name)
    except GraphError:
        return None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _flow(text: str) -> list[Any]:
    """The value of a list in flow style."""
    stack: list[list[Any]] = [[]]
    for token in _TOKEN.findall(text):
        if token == "[":
            stack.append([])
        elif token == "]":
            done = stack.pop()
            stack[-1].append(done)
        elif token != ",":
            stack[-1].append(token[1:-1] if token[0] in "'\"" else read_plain(token.strip()))
    value = stack[0][0]
    return value if isinstance(value, list) else []
