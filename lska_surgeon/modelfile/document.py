"""A model YAML as text with known places: read it into a Graph, write a Rewrite back with the smallest diff.

It knows where things stand in the text and nothing about positions, operators or Ultralytics' parsing.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..core.blocks import STOCK, BlockTable
from ..core.graph import SECTIONS, Graph, Layer, as_from, counted_layers
from ..core.parts import packed_problem, unsaid_backbone
from ..errors import DocumentError, EndlessError, GraphError, NotAModelError
from ..files import no_file
from .text import (
    BREAKS,
    MOST_BYTES,
    UNPRINTABLE,
    EndlessYaml,
    HugeNumber,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    Span,
    UnreadableYaml,
    compose_usual,
    content_of,
    decoded,
    line_end,
    line_start,
    line_starts,
    newline_at,
    read_plain,
    span_of,
    value_of,
)

_NAMES = {
    "\u00a0": ("a no-break space", "a plain space"),
    "\u202f": ("a narrow no-break space", "a plain space"),
    "\u3000": ("a full-width space", "a plain space"),
    "\u200b": ("a zero-width space", "nothing"),
    "\uff0c": ("a full-width comma", "a plain ,"),
    "\u3001": ("an ideographic comma", "a plain ,"),
    "\uff1a": ("a full-width colon", "a plain :"),
    "\uff3b": ("a full-width bracket", "a plain ["),
    "\uff3d": ("a full-width bracket", "a plain ]"),
    "\u3010": ("a full-width bracket", "a plain ["),
    "\u3011": ("a full-width bracket", "a plain ]"),
    "\u2212": ("a minus sign that is no hyphen", "a plain -"),
    "\uff0d": ("a full-width minus", "a plain -"),
    "\u2013": ("a dash", "a plain -"),
    "\u2018": ("a curly quote", "a plain '"),
    "\u2019": ("a curly quote", "a plain '"),
    "\u201c": ("a curly quote", 'a plain "'),
    "\u201d": ("a curly quote", 'a plain "'),
}
_ANY = f"[{''.join(_NAMES)}]"
#: Where any character may stand.
_FREE = re.compile(r"""'[^'\n]*'|"[^"\n]*"|#[^\n]*""")


def look_alike(text: str) -> str | None:
    """`has a full-width comma (U+FF0C): write a plain ,` of the first such character outside of quotes and comments."""
    found = re.search(_ANY, _FREE.sub("", text))
    if not found:
        return None
    name, plain = _NAMES[found.group()]
    return f"has {name} (U+{ord(found.group()):04X}): write {plain}"


def first_look_alike(text: str) -> tuple[int, str] | None:
    """The first line, from 1, that has such a character, and what `look_alike` says of it."""
    if text.isascii() or not re.search(_ANY, text):
        return None
    found = ((number, look_alike(line)) for number, line in enumerate(text.splitlines(), start=1))
    return next(((number, problem) for number, problem in found if problem), None)


# `# 12`, `# 15 (P3/8-small)`, `# 0-P1/2`, `# 10 input_proj.2`, and rt-detr's `# X3 (21), fpn_blocks.1`.
_INDEX_COMMENT = re.compile(r"#\s*(?:[A-Z]\d \()?(\d+)(?=$|[\s,():;-])")
#: What a value begins with that is an anchor, an alias or has a tag.
MARKS = "&*!"
#: What a row does that can be read, but has no text of its own to be changed.
IS_ALIAS = "uses a YAML alias"
#: The block of the layer that stands in for a row that can't be read.
BAD_ROW = "?"
AFTER_ROW = re.compile(rf"[ \t]*(,?)[ \t]*(#[^{BREAKS}]*)?")


def compose(text: str) -> Node | None:
    """The root node of a text; None for an empty one.

    Raises:
        UnreadableYaml: it is not YAML.
        EndlessYaml: its aliases stand for too much.
        RecursionError: it is nested too deep, or contains itself.
    """
    root = compose_usual(text)
    if root is not None:
        return root
    from .any_yaml import compose_any  # here, for few files need ruamel.yaml

    return compose_any(text)


class RowError(DocumentError):
    """A row that is not `[from, repeats, module, args]`, or a setting beside the rows that can't be read.

    Attributes:
        line: line number, from 1.
        index: the row's index; None for a setting.
        problem: what is wrong with it, without the place.
        is_huge: whether that is a number too large to be anything.
    """

    def __init__(self, name: str, line: int, index: int | None, problem: str, is_huge: bool = False) -> None:
        where = f"line {line}" if index is None else f"line {line} (row {index})"
        super().__init__(f"{name}, {where} {problem}")
        self.line, self.index, self.problem, self.is_huge = line, index, problem, is_huge


class Row(NamedTuple):
    """Where one row and its pieces stand in the text.

    Attributes:
        whole: the row's value.
        raw_sources: each source scalar.
        repeats: the second column.
        block: the module name, quotes included.
        args: the argument list.
        each_arg: each argument.
        dash: column of the dash before the row, or None in a flow section (`head: [[...], [...]]`).
        args_column: column of the dashes before the arguments, or None when the list is in flow style.
    """

    whole: Span
    raw_sources: tuple[Span, ...]
    repeats: Span
    block: Span
    args: Span
    each_arg: tuple[Span, ...]
    dash: int | None
    args_column: int | None


class Scale(NamedTuple):
    """Where one entry of `scales` stands: its key and its value; `on_lines` when each entry has lines of its own."""

    key: Span
    value: Span
    on_lines: bool


class Document:
    """A parsed model YAML.

    Args:
        text: the file's text, newlines untouched.
        name: what messages call it.
        bad_rows: takes the rows that can't be read, where the caller wants them all; each leaves a layer of the block
            `BAD_ROW` that reads the row before, so that the other rows keep their indices; a setting that can't be read
            is left out. A row that is a YAML alias as a whole passes then; parts of a row that are may be read, and
            not changed.
        blocks: the table that says what the rows' blocks are.

    Raises:
        DocumentError: not YAML; the message names the line.
        EndlessError: it contains itself, or its aliases stand for too much.
        NotAModelError: not a model YAML.
        RowError: a row or a setting that can't be read, unless `bad_rows` is given.
    """

    def __init__(
        self,
        text: str,
        name: str = "the file",
        bad_rows: list[RowError] | None = None,
        *,
        blocks: BlockTable = STOCK,
    ) -> None:
        self.text = text
        self.name = name
        self.blocks = blocks
        self._bad_rows = bad_rows
        #: A row for each layer; further maps of a backbone in one row stand where it does.
        self.rows: tuple[Row, ...] = ()
        self._layers: list[Layer] = []
        try:
            self._read()
        except RecursionError as error:
            raise EndlessError(f"{name} is nested too deep, or contains itself: write it out plainly") from error

    @classmethod
    def read(
        cls,
        path: Path,
        name: str | None = None,
        bad_rows: list[RowError] | None = None,
        *,
        blocks: BlockTable = STOCK,
    ) -> Document:
        """Read a file.

        Raises:
            DocumentError: it can't be opened, or it is not a model YAML.
        """
        found = no_file(path)
        if found:
            raise DocumentError(f"can't read {path}: it is {found}")
        try:
            content = content_of(path)
        except OSError as error:
            raise DocumentError(f"can't read {path}: {error.strerror}") from error
        if len(content) > MOST_BYTES and not all(section.encode() in content for section in SECTIONS):
            raise NotAModelError(f"{path} is not a model YAML: none has more than {MOST_BYTES:,} bytes")
        return cls(decoded(content, name or path.name), name or path.name, bad_rows, blocks=blocks)

    @property
    def bad_rows(self) -> Sequence[RowError]:
        """Rows and settings that can't be read."""
        return self._bad_rows or ()

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The rows as layers, their sources unchecked."""
        return tuple(self._layers)

    @cached_property
    def graph(self) -> Graph:
        """The rows as a graph.

        Raises:
            GraphError: the sources do not make one.
        """
        unsaid = unsaid_backbone(self.layers)
        if unsaid is not None:
            raise GraphError(f"{self.name}: {packed_problem(unsaid)}")
        return Graph(self.layers, self.settings, self.name)

    @cached_property
    def scales(self) -> dict[str, Scale]:
        """Where each entry of `scales` stands; empty when the file has none."""
        node = self._sections.get("scales")
        if not isinstance(node, MappingNode) or "scales" not in self.settings:
            return {}
        on_lines = node.style is None
        keys = [(k, v) for k, v in node.value if isinstance(k, ScalarNode)]
        return {str(value_of(k)): Scale(span_of(k), span_of(v), on_lines) for k, v in keys}

    @property
    def scales_at(self) -> int:
        """Where the key `scales` starts."""
        return self.setting_span("scales").start

    def setting_span(self, key: str) -> Span:
        """Where a top-level entry stands, from its key to the end of its value."""
        return Span(self._key_starts[key], span_of(self._sections[key]).end)

    def value_span(self, key: str) -> Span | None:
        """Where the value of a top-level entry stands, without quotes; None where an alias or an anchor is there."""
        value = span_of(self._sections[key])
        between = self.text[self._key_starts[key] : value.start]
        if not re.fullmatch(rf"""["']?{re.escape(key)}["']?\s*:\s*""", between):
            return None
        if self.text[value.start] in MARKS:
            return None
        quoted = self.text[value.start] in "'\""
        return Span(value.start + quoted, value.end - quoted)

    def whole_lines(self, span: Span) -> Span:
        """The span widened to whole lines, newline included."""
        end = line_end(self.text, span.end)
        newline = newline_at(self.text, end) if end < len(self.text) else ""
        return Span(line_start(self.text, span.start), end + len(newline))

    def line_of(self, index: int) -> int:
        """Line number, from 1, of row `index`."""
        return bisect_right(self._line_starts, self.rows[index].whole.start)

    @cached_property
    def _line_starts(self) -> list[int]:
        return line_starts(self.text)

    def comment_index(self, index: int) -> tuple[int, Span] | None:
        """The number in row `index`'s index comment and where it stands; None when it has no such comment.

        A comment behind several rows on one line is nobody's.
        """
        tail = AFTER_ROW.match(self.text, self.rows[index].whole.end)
        if tail is None or tail.group(2) is None or self.shares_line(index):
            return None
        found = _INDEX_COMMENT.match(self.text, tail.start(2), tail.end(2))
        return (int(found.group(1)), Span(found.start(1), found.end(1))) if found else None

    def shares_line(self, index: int) -> bool:
        """Whether a row stands on the line on which the row before it ends."""
        return index > 0 and self.rows[index - 1].whole.end > line_start(self.text, self.rows[index].whole.start)

    def _read(self) -> None:
        keys = [(key, value) for key, value in self._compose().value if isinstance(key, ScalarNode)]
        self._key_starts: dict[str, int] = {key.value: key.start for key, _ in keys}
        self._sections = {key.value: value for key, value in keys}
        for section in SECTIONS:
            self._read_section(section)
        #: The top-level keys beside backbone and head.
        self.settings: dict[str, Any] = {}
        for key, node in self._sections.items():
            if key not in SECTIONS:
                self._read_setting(key, node)

    def _read_setting(self, key: str, node: Node) -> None:
        try:
            self.settings[key] = value_of(node)
        except HugeNumber as error:
            found = RowError(self.name, error.line, None, f"{key} {error.problem}", is_huge=True)
            if self._bad_rows is None:
                raise found from error
            self._bad_rows.append(found)

    def _compose(self) -> MappingNode:
        try:
            root = compose(UNPRINTABLE.sub("?", self.text))  # Ultralytics drops them, so such files do load
        except EndlessYaml as error:
            raise EndlessError(f"{self.name} has YAML aliases that stand for too much: write it out plainly") from error
        except UnreadableYaml as error:
            line, problem = first_look_alike(self.text) or (error.line, f"is not YAML: {error}")
            where = f", line {line}" if line else ""
            raise self._unreadable(f"{self.name}{where} {problem}") from error
        mapping = root if isinstance(root, MappingNode) else MappingNode([], Span(0, 0), 1, 0)
        keys = [k.value for k, _ in mapping.value if isinstance(k, ScalarNode)]
        strange = None if set(keys).issuperset(SECTIONS) else first_look_alike(self.text)
        if strange and all(section in self.text for section in SECTIONS):
            raise DocumentError(f"{self.name}, line {strange[0]} {strange[1]}")
        if not set(keys).issuperset(SECTIONS):
            raise NotAModelError(f"{self.name} is not a model YAML: it needs the keys backbone and head")
        twice = sorted(key for key, count in Counter(keys).items() if count > 1)
        if twice:
            raise DocumentError(f"{self.name} has the key {twice[0]} twice: keep one")
        return mapping

    def _unreadable(self, problem: str) -> DocumentError:
        return DocumentError(problem) if all(key in self.text for key in SECTIONS) else NotAModelError(problem)

    def _read_section(self, section: str) -> None:
        node = self._sections[section]
        if not isinstance(node, SequenceNode):
            raise DocumentError(f"{self.name}: {section} is not a list of rows [from, repeats, module, args]")
        seen: set[int] = set()
        rows = []
        for row in node.value:
            dash = None if node.style else node.column
            before = len(self._layers)
            try:
                first = self._read_row(section, row, dash, seen)
                further = first._replace(raw_sources=(Span(first.whole.end, first.whole.end),), each_arg=())
                rows += [first, *[further] * (len(self._layers) - before - 1)]
            except RowError as error:
                if self._bad_rows is None:
                    raise
                self._bad_rows.append(error)
                rows.append(self._stand_in(section, row, dash))
        self.rows += tuple(rows)

    def _read_row(self, section: str, node: Node, dash: int | None, seen: set[int]) -> Row:
        index = len(self._layers)

        def bad(problem: str, is_huge: bool = False) -> RowError:
            return RowError(self.name, node.line, index, problem, is_huge)

        strange = look_alike(_source(node, self.text))
        if strange:
            raise bad(strange)
        if not isinstance(node, SequenceNode) or len(node.value) != 4:
            found = f"{len(node.value)} columns" if isinstance(node, SequenceNode) else "no list"
            raise bad(f"has {found}: a row is [from, repeats, module, args]")
        if id(node) in seen and self._bad_rows is None:
            raise bad(f"{IS_ALIAS}: write the row out")  # what stands here stands there
        seen.add(id(node))
        frm_node, repeats_node, block_node, args_node = node.value
        try:
            first, repeats, block, args = map(value_of, node.value)
        except HugeNumber as error:
            raise bad(error.problem, is_huge=True) from error
        frm = as_from(first)
        if frm is None:
            raise bad(f"reads from {_source(frm_node, self.text)}: from is a number or a list of them")
        is_list, is_mapping = isinstance(args_node, SequenceNode), isinstance(args_node, MappingNode)
        if not isinstance(repeats, int) or not isinstance(block, str) or not (is_list or is_mapping):
            raise bad("is not [from, repeats, module, args], such as [-1, 3, C2f, [128, True]]")
        if is_mapping and self.blocks[block].is_known:
            raise bad(f"has a mapping for its arguments: {block} takes a list, such as [128, True]")
        given = tuple(args) if is_list else (args,)  # a block of its author's own may take one
        self._layers += counted_layers(Layer(index, section, frm, repeats, block, given, self.blocks))
        source_nodes = frm_node.value if isinstance(frm_node, SequenceNode) else [frm_node]
        return Row(
            whole=span_of(node),
            raw_sources=tuple(map(span_of, source_nodes)),
            repeats=span_of(repeats_node),
            block=span_of(block_node),
            args=span_of(args_node),
            each_arg=tuple(map(span_of, args_node.value if isinstance(args_node, SequenceNode) else [args_node])),
            dash=dash,
            args_column=None if args_node.style or is_mapping else args_node.column,
        )

    def _stand_in(self, section: str, node: Node, dash: int | None) -> Row:
        self._layers.append(Layer(len(self._layers), section, -1, 1, BAD_ROW, (), self.blocks))
        nothing = Span(span_of(node).end, span_of(node).end)
        return Row(span_of(node), (nothing,), nothing, nothing, nothing, (), dash, None)


def format_value(value: Any) -> str:
    """A value as flow YAML that PyYAML reads back the same."""
    if value is None:
        return "null"
    if isinstance(value, str):
        plain = read_plain(value) == value and re.fullmatch(r"[\w.]+", value)
        if plain:
            return value
        import json  # here, for few rows have such texts

        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {format_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(format_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if value != value else f"{'-' if value < 0 else ''}.inf"
    return re.sub(r"^(-?\d+)e", r"\1.0e", str(value))  # PyYAML takes `1e-05` for a word


def format_row(layer: Layer) -> str:
    """A layer as a flow row: `[-1, 1, LSKA, [c2, 35]]`."""
    return f"[{format_value(layer.frm)}, {layer.repeats}, {layer.block}, {format_value(layer.args)}]"


def _source(node: Node, text: str) -> str:
    span = span_of(node)
    return text[span.start : span.end]
