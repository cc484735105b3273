"""Hypothesis strategies: small networks, and the ways in which people lay a model YAML out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Row = list[Any]
#: Blocks by how many sources they read, with arguments as the stock files give them.
_ONE_SOURCE: list[tuple[int, str, list[Any]]] = [
    (1, "Conv", [64, 3, 2]),
    (1, "Conv", [128]),
    (3, "C2f", [128, True]),
    (6, "C3", [64]),
    (2, "C3k2", [256, False, 0.25]),
    (1, "SPPF", [512, 5]),
    (1, "nn.Upsample", ["None", 2, "nearest"]),
    (1, "GhostConv", [32, 1]),
    (1, "MyBlock", []),
    (1, "nn.Identity", []),
]
_NOTES = [
    "",
    "{index}",
    "{index} (P3/8-small)",
    "{index}-P1/2",
    "{stale}",
    "cat backbone P4",
    "中文 {index}",
    " 层 {index}: [1, 2], # x",
]


@dataclass(frozen=True)
class Network:
    """Rows and what stands beside them; the last row is the output layer."""

    rows: list[Row]
    split: int
    scales: dict[str, list[float]]


@dataclass(frozen=True)
class Layout:
    """One way to write a network down."""

    section: str
    indent: int
    newline: str
    bom: bool
    final_newline: bool
    quote: str
    tight: bool
    trailing_comma: bool
    notes: tuple[str, ...]
    blank_every: int
    scales_style: str
    foreign: str


@st.composite
def networks(draw: st.DrawFn, smallest: int = 4, largest: int = 12) -> Network:
    """A network: random blocks, each source a layer before, written relative or absolute."""
    count = draw(st.integers(smallest, largest))
    rows: list[Row] = []
    for index in range(count - 1):
        if index > 1 and draw(st.integers(0, 3)) == 0:
            rows.append([_taps(draw, index, draw(st.integers(2, 3))), 1, "Concat", [1]])
            continue
        repeats, block, args = draw(st.sampled_from(_ONE_SOURCE))
        rows.append([_tap(draw, index), repeats, block, list(args)])
    rows.append([_taps(draw, count - 1, draw(st.integers(1, 3))), 1, "Detect", ["nc"]])
    scales = draw(st.sampled_from([{}, {"n": [0.33, 0.25, 1024], "s": [0.33, 0.5, 1024], "m": [0.67, 0.75, 768]}]))
    return Network(rows, draw(st.integers(1, count - 1)), scales)


def _tap(draw: st.DrawFn, index: int) -> int:
    if index == 0 or draw(st.booleans()):
        return -1
    source = draw(st.integers(0, index - 1))
    return source - index if draw(st.booleans()) else source


def _taps(draw: st.DrawFn, index: int, count: int) -> list[int]:
    return [_tap(draw, index) for _ in range(count)]


layouts = st.builds(
    Layout,
    section=st.sampled_from(["rows", "rows", "block", "line", "lines", "lines-comma", "bracket", "pairs", "spread"]),
    indent=st.sampled_from([0, 1, 2, 4, 7]),
    newline=st.sampled_from(["\n", "\n", "\r\n", "\r"]),
    bom=st.booleans(),
    final_newline=st.booleans(),
    quote=st.sampled_from(["", "", "'", '"']),
    tight=st.booleans(),
    trailing_comma=st.booleans(),
    notes=st.lists(st.sampled_from(_NOTES), min_size=1, max_size=4).map(tuple),
    blank_every=st.integers(0, 3),
    scales_style=st.sampled_from(["block", "flow", "flow-lines", "first", "block-comments", "nested"]),
    foreign=st.sampled_from(["", "", "# 中文注释", "# \udcd6\udcd0\udcce\udcc4", "# caf\u00e9 \ufffd"]),
)


def write(network: Network, layout: Layout) -> str:
    """The network as text; undecodable bytes are lone surrogates."""
    lines = [layout.foreign] if layout.foreign else []
    settings = ["nc: 80  # classes"]
    if network.scales:
        at = 0 if layout.scales_style == "first" else len(settings)
        settings[at:at] = _scales(network.scales, layout.scales_style)
    lines = [*settings, *lines] if layout.scales_style == "first" else [*lines, *settings]
    lines += ["", *_section("backbone", network.rows[: network.split], 0, layout)]
    lines += ["", *_section("head", network.rows[network.split :], network.split, layout)]
    text = layout.newline.join(lines) + (layout.newline if layout.final_newline else "")
    return ("\ufeff" if layout.bom else "") + text


def _scales(scales: dict[str, list[float]], style: str) -> list[str]:
    entries = [f"{letter}: {values}" for letter, values in scales.items()]
    if style == "flow":
        return ["scales: {" + ", ".join(entries) + "} # [depth, width, max_channels]"]
    if style == "flow-lines":
        return ["scales: {", *(f"  {entry}," for entry in entries[:-1]), f"  {entries[-1]} # the last", "}"]
    if style == "nested":
        return ["scales:", *(line for k, v in scales.items() for line in [f"  {k}:", *(f"    - {x}" for x in v)])]
    if style == "block-comments":
        return ["scales: # compound", *(f"    {entry} # {entry[0]}: summary, 3 GFLOPs" for entry in entries)]
    return ["scales:", *(f"  {entry}" for entry in entries)]


def _section(name: str, rows: list[Row], first: int, layout: Layout) -> list[str]:
    pad = " " * layout.indent
    notes = [_note(layout, first + n) for n in range(len(rows))]
    flow = [_flow(row, layout) for row in rows]
    if layout.section == "rows":
        lines = [f"{pad}- {row}{note}" for row, note in zip(flow, notes)]
        return [f"{name}:", *_with_gaps(lines, layout)]
    if layout.section == "block":
        return [f"{name}:", *(line for row, note in zip(rows, notes) for line in _block(row, note, layout))]
    if layout.section == "line":
        return [f"{name}: [{', '.join(flow)}]{notes[-1]}"]
    pad = pad or " "
    if layout.section == "pairs":
        pairs = [", ".join(flow[n : n + 2]) for n in range(0, len(flow), 2)]
        return [f"{name}: [", *(f"{pad}{pair}," for pair in pairs), f"{pad}]"]
    if layout.section == "spread":
        return [
            f"{name}:",
            f"{pad}[{flow[0]}",
            *(f"{pad}, {row}{note}" for row, note in zip(flow[1:], notes[1:])),
            f"{pad}]",
        ]
    comma = "," if layout.section == "lines-comma" else ""
    lines = [f"{pad}{row},{note}" for row, note in zip(flow[:-1], notes)]
    if layout.section == "bracket":
        return [f"{name}: [", *lines, f"{pad}{flow[-1]}]"]
    return [f"{name}: [", *lines, f"{pad}{flow[-1]}{comma}{notes[-1]}", f"{pad}]"]


def _note(layout: Layout, index: int) -> str:
    note = layout.notes[index % len(layout.notes)].format(index=index, stale=index + 1)
    return f" # {note}" if note else ""


def _with_gaps(lines: list[str], layout: Layout) -> list[str]:
    if not layout.blank_every:
        return lines
    spaced: list[str] = []
    for n, line in enumerate(lines):
        spaced += ["", f"{' ' * layout.indent}# part {n}"] if n % (2 * layout.blank_every) == 1 else []
        spaced.append(line)
    return spaced


def _flow(value: Any, layout: Layout, quoted: bool = False) -> str:
    if isinstance(value, list):
        parts = [_flow(part, layout, layout.quote != "" and n == 2 and len(value) == 4) for n, part in enumerate(value)]
        comma = "," if layout.trailing_comma and value else ""
        return f"[{','.join(parts)}{comma}]" if layout.tight else f"[{', '.join(parts)}{comma}]"
    return f"{layout.quote}{value}{layout.quote}" if quoted else str(value)


def _block(row: Row, note: str, layout: Layout) -> list[str]:
    pad = " " * layout.indent
    frm, repeats, block, args = row
    name = f"{layout.quote}{block}{layout.quote}"
    lines = [f"{pad}- - {_flow(frm, layout)}", f"{pad}  - {repeats}", f"{pad}  - {name}"]
    if not args or layout.tight:
        return [*lines, f"{pad}  - {_flow(args, layout)}{note}"]
    head, *rest = args
    return [
        *lines,
        f"{pad}  - - {head}",
        *(f"{pad}    - {value}" for value in rest[:-1]),
        *(f"{pad}    - {value}{note}" for value in rest[-1:]),
    ]
