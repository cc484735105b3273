"""Which blocks are known here, and which of a file's are not, with a declaration to start from; it builds nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.blocks import STOCK, VERBATIM, Block, BlockTable, CustomModule, Declarations
from ..core.graph import Graph
from ..declarations.find import FILE_NAME, LIKES, PROJECT_FILE, TOOL, name_problem, parse_declarations
from ..declarations.guess import guess_blocks, scan
from ..errors import TargetError
from ..files import as_path, check_target, write_text
from ..modelfile.document import Document
from ..modelfile.sources import find_source
from ..reports import Part, Shown, Table
from ..wording import clean
from .known_blocks import is_unknown, known_blocks

_SAYS = dict(zip(VERBATIM, ("keeps its source's width", "joins maps of one width", "joins maps, widths added up")))


def toml_of(blocks: Iterable[CustomModule], prefix: str = "") -> str:
    """Tables to paste, each with what its guess means; empty for no blocks. Each name has to be declarable."""
    return "\n".join(_table(block, prefix) for block in blocks)


def _table(block: CustomModule, prefix: str) -> str:
    says = _SAYS.get(block.like, f"built and scaled as {block.like} is")
    lines = [
        f"[{prefix}blocks.{block.name}]",
        f"class = {json.dumps(block.target)}",
        f"like = {json.dumps(block.like)} # {says}",
    ]
    if block.channels_first:
        lines.append(
            'channels = "first" # the input\'s width comes before the arguments; drop it if the class wants none'
        )
    if block.stride is not None:
        lines.append(f"stride = {block.stride:g} # {'doubles' if block.stride < 1 else 'halves'} the map")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, repr=False)
class Inventory(Shown):
    """The blocks that are known, and those that are guessed.

    Attributes:
        declarations: what holds here.
        source: the file that was looked at; None for none.
        guessed: for each block of it that is neither stock nor declared, a declaration to be checked.
        left_out: blocks of it that no declaration can name, and why.
        notes: what the user should be told.
    """

    declarations: Declarations
    source: Path | None = None
    guessed: Mapping[str, CustomModule] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The guesses as TOML, to paste or to write."""
        return toml_of(self.guessed.values())

    @property
    def line(self) -> str:
        """What was found, in one line."""
        if self.source is None:
            return f"{len(self.rows())} blocks are known"
        return f"{self.source}: {', '.join(self.guessed) or self.nothing}"

    @property
    def nothing(self) -> str:
        """Why no block is guessed, where none is."""
        return "no block that can be declared" if self.left_out else "every block is known"

    def parts(self) -> tuple[Part, ...]:
        """The guesses as TOML; without a file, a table of the blocks that are known."""
        if self.source is None:
            return (Table(("block", "from", "like", "where"), self.rows()),)
        return (self.text.rstrip("\n"),)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Block, who has it, what it is like, and where it comes from."""
        return [
            *((one.name, "declared", _like(one), one.target) for one in self.declarations.blocks.values()),
            *((one.name, "lska-surgeon", "attention", "lska_surgeon.nn") for one in STOCK if one.is_operator),
            *((one.name, "lska-surgeon", one.plain, "lska_surgeon.nn") for one in STOCK if _is_host_of_ours(one)),
            *((name, "stock", name, "ultralytics") for name in stock_blocks()),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "schema": self.schema,
            "declarations": str(self.declarations.path) if self.declarations.path else None,
            "trusted": self.declarations.trusted,
            "source": str(self.source) if self.source else None,
            "blocks": [dict(zip(("block", "from", "like", "where"), row)) for row in self.rows()],
            "guessed": [
                {
                    "block": one.name,
                    "class": one.target,
                    "like": one.like,
                    "channels": "first" if one.channels_first else "none",
                    "stride": one.stride,
                }
                for one in self.guessed.values()
            ],
            "notes": list(self.notes),
        }

    def write(self, path: Path | str | None = None, *, force: bool = False) -> Path:
        """Write the guesses as a declaration file.

        Raises:
            TargetError: there is nothing to write, or a file is there and `force` is off.
            DeclarationError: what would be written could not be read there.
        """
        target = as_path(path or FILE_NAME)
        if not self.guessed:
            raise TargetError(f"{self.nothing}, so {target} has nothing to say")
        check_target(target, force=force)
        prefix = TOOL if target.name == PROJECT_FILE else ""
        tables = toml_of(self.guessed.values(), prefix)
        text = f"# Guessed by lska-surgeon: check each like, channels and stride.\n\n{tables}"
        parse_declarations(target, text)
        write_text(target, text, force=force)
        return target


def inventory(source: str | None = None, blocks: BlockTable = STOCK) -> Inventory:
    """The blocks of a table; of a model YAML, or of a Python file with classes, those that are not known yet.

    Raises:
        SurgeonError: the file can't be read.
    """
    declarations = blocks.declarations
    if source is None:
        return Inventory(declarations)
    if source.endswith(".py"):
        found = {name: one for name, one in scan(Path(source)).items() if name not in declarations.blocks}
        return _found(Path(source), found, _outside(Path(source)), declarations)
    model = find_source(source)
    document = Document.read(model.path, model.name, blocks=blocks)
    unknown = list(dict.fromkeys(layer.block for layer in document.layers if is_unknown(layer.kind)))
    graph: Graph = document.graph
    notes = ("ultralytics is not installed, so its blocks are not known",) if known_blocks() is None else ()
    return _found(model.path, guess_blocks(graph, unknown) if unknown else {}, notes, declarations)


def _found(
    source: Path, guessed: Mapping[str, CustomModule], notes: tuple[str, ...], declarations: Declarations
) -> Inventory:
    """What a file has that is not known, without the blocks that no declaration can name."""
    left_out = {name: problem for name in guessed if (problem := name_problem(name))}
    told = tuple(f"block {clean(name)!r} can't be declared: {problem}" for name, problem in left_out.items())
    kept = {name: one for name, one in guessed.items() if name not in left_out}
    return Inventory(declarations, source, kept, left_out, (*notes, *told))


def stock_blocks() -> list[str]:
    """The blocks of the installed Ultralytics that a declaration may be like; all that are known without it."""
    known = known_blocks()
    return [name for name in LIKES if name not in ("attention", "add") and (known is None or name in known)]


def _outside(path: Path) -> tuple[str, ...]:
    inside = Path.cwd().resolve() in path.resolve().parents
    return () if inside else (f"{path} is not in the working folder: a declaration names files in its own folder",)


def _is_host_of_ours(block: Block) -> bool:
    return block.is_host and not block.handwritten


def _like(block: CustomModule) -> str:
    return block.like + (f", stride {block.stride:g}" if block.stride else "")
