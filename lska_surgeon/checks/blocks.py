"""The blocks that are known, and a declaration to start from for each of a file's that is not; nothing is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path

from ..core.blocks import (
    ADD,
    ATTENTION,
    BACKBONE,
    PRIVATE,
    STOCK,
    VERBATIM,
    Block,
    BlockTable,
    CustomModule,
    Declarations,
    SourceWidth,
    blocks_here,
)
from ..declarations.find import (
    FILE_NAME,
    LIKES,
    PROJECT_FILE,
    TOOL,
    declares_blocks,
    name_problem,
    parse_declarations,
    read_declarations,
)
from ..declarations.guess import guess_blocks
from ..errors import DeclarationError, TargetError
from ..files import as_path, check_target, read_within, replace_all, write_text
from ..modelfile.document import Document
from ..modelfile.sources import find_source
from ..reports import Report, Result, Table
from ..wording import clean, counted, few, printable
from .known import blocks_of_fork, is_unknown, known_blocks

_MOST_USERS = 3
_SAYS = dict(zip(VERBATIM, ("keeps its source's width", "joins maps of one width", "joins maps, widths added up")))


@dataclass(frozen=True, repr=False)
class Inventory(Result):
    """The blocks that are known, and those that are guessed.

    Attributes:
        declarations: the custom modules that are declared here.
        source: the file that was looked at; None for none.
        guessed: for each block of it that is neither stock nor declared, a declaration to be checked.
        left_out: blocks of it that no declaration can name, or no row, and why.
        parts: of those that look like helpers, the classes of the file that are made of them.
        wants: of those whose class wants arguments that nothing tells, what it calls them.
        tried: those that were built and run, and gave what their declaration says.
        notes: what the user should know.
        asked: the name by which the file was asked for.
        files: of a fork, the files that its declarations name, by their path from the declaration's folder on.
        models: of a fork, each of its models that names a block of its own, and why a release does not build it as the
            fork does; nothing where it does.
    """

    declarations: Declarations
    source: Path | None = None
    guessed: Mapping[str, CustomModule] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tried: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    asked: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[Path, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The guesses as TOML, to paste or to write."""
        return self._toml()

    def _toml(self, prefix: str = "") -> str:
        tables = []
        for block in self.guessed.values():
            users, wants = self.parts.get(block.name), self.wants.get(block.name, ())
            head = f"# Looks like a helper: {few(users, _MOST_USERS)} is made of it.\n" if users else ""
            head += "# Built and run.\n" if block.name in self.tried else ""
            if wants and block.like in VERBATIM:
                tail = f"# {_example(wants)} # it wants {', '.join(wants)}: say it here\n"
            else:
                tail = f"# Its rows give {', '.join(wants)} behind the width.\n" if wants else ""
            tables.append(f"{head}{toml_of([block], prefix)}{tail}")
        return "\n".join(tables)

    def report(self) -> Report:
        """The guesses as TOML; without a file, a table of the blocks that are known."""
        header, rows = ("block", "from", "like", "where"), self._rows()
        if self.source is None:
            summary, part = f"{len(rows)} blocks are known", Table(header, rows)
        else:
            summary = f"{self.asked}: {', '.join(self.guessed) or self._none_guessed}"
            part = self.text.rstrip("\n") or printable(summary)  # type: ignore[assignment]
        data = {
            "schema": self.schema,
            "declarations": str(self.declarations.path) if self.declarations.path else None,
            "trusted": self.declarations.trusted,
            "source": str(self.source) if self.source else None,
            "blocks": [dict(zip(header, row)) for row in rows],
            "guessed": [
                {
                    "block": block.name,
                    "class": block.target,
                    "like": block.like,
                    "channels": "first" if block.channels_first else "none",
                    "stride": block.stride,
                    "width": block.width,
                    "args": [_plain(value) for value in block.args],
                    "drop": list(block.drop),
                    "replace": {str(at): _plain(value) for at, value in block.replace},
                    "part_of": list(self.parts.get(block.name, ())),
                    "wants": list(self.wants.get(block.name, ())),
                    "tried": block.name in self.tried,
                }
                for block in self.guessed.values()
            ],
            **({"models": {str(path): problem or None for path, problem in self.models.items()}} if self.files else {}),
            "notes": list(self.notes),
        }
        return Report(summary, (part,), self.notes, data)

    @property
    def _none_guessed(self) -> str:
        return "no block that can be declared" if self.left_out else "every block is known"

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """Block, who has it, what it is like, and where it comes from."""
        here = blocks_here()
        ours = [block for block in STOCK if block.is_operator or (block.is_host and not block.handwritten)]
        ours = [block for block in ours if here.called(block.name.removeprefix(PRIVATE)) == block.name]
        ours.sort(key=lambda block: not block.is_operator)
        return [
            *((block.name, "declared", _like(block), block.target) for block in self.declarations.blocks.values()),
            *(
                (block.name, "lska-surgeon", "attention" if block.is_operator else block.plain, "lska_surgeon.nn")
                for block in ours
            ),
            *(
                (block.name, whose, _like_of_fork(block), where)
                for block, whose, where in sorted(blocks_of_fork(), key=itemgetter(1))
            ),
            *((name, "stock", name, "ultralytics") for name in stock_likes()),
        ]

    def write(self, path: Path | str | None = None, *, force: bool = False) -> Path:
        """Write the guesses as a declaration file; to one that is there those are added that it lacks.

        Args:
            path: the file; None for the one of the working folder.
            force: write a file that is there anew.

        Raises:
            TargetError: there is nothing to write, or a file is there that is no declaration's and `force` is off.
            DeclarationError: what would be written could not be read there.
        """
        target = as_path(path or FILE_NAME)
        if not self.guessed:
            raise TargetError(f"{self._none_guessed}, so there is nothing to write into {target}")
        there = {} if force else _declared_in(target)
        missing = {name: block for name, block in self.guessed.items() if name not in there}
        if not missing:
            raise TargetError(f"{target} declares {few([*self.guessed])} already: --force writes it anew")
        check_target(target, force=True)
        copies = {target.parent / path: text for path, text in self.files.items()}
        kept = next((path for path, text in copies.items() if path.exists() and _text_of(path) != text), None)
        if kept and not force:
            raise TargetError(f"{kept} exists: use --force to overwrite it")
        tables = replace(self, guessed=missing)._toml(TOOL if target.name == PROJECT_FILE else "")
        before = "" if force or not target.exists() else _text_of(target)
        text = f"# Guessed by lska-surgeon: check each like, channels and stride.\n\n{tables}"
        if before:
            gap = "" if before.endswith("\n") else "\n"
            newline = "\r\n" if "\r\n" in before else "\n"
            text = before + f"{gap}\n{text}".replace("\n", newline)
        parse_declarations(target, text.removeprefix("\ufeff").replace("\r\n", "\n"))
        if copies:
            replace_all({**copies, target: text})
        else:
            write_text(target, text, force=True)
        return target

    def kept(self, path: Path | str | None = None) -> str:
        """What to tell of guesses that a file which is there declares in another way; nothing for none."""
        target = as_path(path or FILE_NAME)
        there = _declared_in(target)
        others = [name for name, block in self.guessed.items() if name in there and there[name] != block]
        return f"{target} declares {few(others)} otherwise, and keeps that: --force writes it anew" if others else ""

    @property
    def copied(self) -> str:
        """What is written beside the declaration; nothing for none."""
        folder = next(iter(self.files), "").partition("/")[0]
        return f", and {counted(len(self.files), 'file')} of the fork's classes into {folder}" if folder else ""


def _declared_in(path: Path) -> Mapping[str, CustomModule]:
    """What a file declares; nothing where there is none, or where a pyproject.toml has no part for this tool."""
    if not path.exists() or (path.name == PROJECT_FILE and not declares_blocks(path)):
        return {}
    return read_declarations(path, trusted=False).blocks


def _text_of(path: Path) -> str:
    return read_within(path).decode("utf-8", errors="surrogateescape")


def inventory(source: str | None = None, blocks: BlockTable = STOCK, *, trust: bool = False) -> Inventory:
    """The blocks of a table; of a model YAML, a Python file with classes or a fork, those that are not known yet.

    Args:
        source: the file; None for none.
        blocks: the table.
        trust: import a Python file, and build and run its classes.

    Raises:
        SurgeonError: the file can't be read; or imported, where it is trusted.
    """
    if trust and not (source or "").endswith(".py"):
        raise DeclarationError("only a Python file is run to see what its classes are built from: drop --trust")
    declarations = blocks.declarations
    if source is None:
        return Inventory(declarations)
    if Path(source).is_dir():
        return _of_fork(source, blocks)
    parts: Mapping[str, tuple[str, ...]] = {}
    wants: Mapping[str, tuple[str, ...]] = {}
    misfits: Mapping[str, str] = {}
    if source.endswith(".py"):
        from ..declarations.scan import scan  # here, for only a Python file needs it

        path = Path(source)
        scanned = scan(path)
        parts, wants, misfits = scanned.parts, scanned.wants, scanned.left_out
        guessed = {name: block for name, block in scanned.blocks.items() if trust or name not in declarations.blocks}
        inside = Path.cwd().resolve() in path.resolve().parents
        outside = f"{path} is not in the working folder: a declaration names files in its own folder"
        if trust and not inside:
            raise DeclarationError(outside)
        notes = [*scanned.notes, *([] if inside else [outside])]
    else:
        model = find_source(source)
        path, document = model.path, Document.read(model.path, model.name, blocks=blocks)
        unknown = list(dict.fromkeys(layer.block for layer in document.layers if is_unknown(layer.kind)))
        guessed = guess_blocks(document.graph, unknown) if unknown else {}
        notes = ["ultralytics is not installed, so its blocks are not known"] if known_blocks() is None else []
    left_out = {name: problem for name in guessed if (problem := name_problem(name))}
    notes += [f"block {clean(name)!r} can't be declared: {problem}" for name, problem in left_out.items()]
    kept = {name: block for name, block in guessed.items() if name not in left_out}
    left_out |= misfits
    found = Inventory(declarations, path, kept, left_out, parts, wants, notes=tuple(notes), asked=source)
    found = _tried(found) if trust else found
    asks = [
        f"{name} wants {', '.join(wanted)}, which nothing here tells: write such as {_example(wanted)} into its table"
        for name, wanted in found.wants.items()
        if name in found.guessed and name not in found.parts and found.guessed[name].like in VERBATIM
    ]
    return replace(found, notes=(*found.notes, *asks))


def _tried(guesses: Inventory) -> Inventory:
    """The same with what its classes are really built from, and without the helpers that give no map."""
    from ..nn.signatures import try_class  # here, for it imports torch

    tried = {name: try_class(block, Path.cwd()) for name, block in guesses.guessed.items()}
    unfit = [name for name, result in tried.items() if result.problem and name in guesses.parts]
    failed = [
        f"{result.problem}, so it stays a guess"
        for name, result in tried.items()
        if result.problem and name not in unfit
    ]
    helpers = [f"these helpers can't stand in a row: {few(unfit, 2 * _MOST_USERS)}"] if unfit else []
    wanted = {
        name: names
        for name, names in guesses.wants.items()
        if name in tried and (tried[name].problem or tried[name].block.like not in VERBATIM)
    }
    return replace(
        guesses,
        guessed={name: result.block for name, result in tried.items() if name not in unfit},
        wants=wanted,
        notes=(*guesses.notes, *failed, *helpers),
        tried=frozenset(name for name, result in tried.items() if not result.problem),
    )


def _of_fork(source: str, blocks: BlockTable) -> Inventory:
    from .forks import migration_of  # here, for only a fork needs it

    found = migration_of(Path(source))
    notes = list(found.notes)
    for path, problem in found.models.items():
        notes += [f"{path.name} does not build as in the fork: {problem}"] if problem else []
    built = sum(not problem for problem in found.models.values())
    said = f"a release builds {built} of the {len(found.models)} models of the fork that have blocks of its own"
    return Inventory(
        *(blocks.declarations, Path(source), found.guessed, found.left_out),
        notes=(said, *notes),
        asked=source,
        files=found.files,
        models=found.models,
    )


def stock_likes() -> list[str]:
    """The blocks of the installed Ultralytics that a declaration may be like; all that are known without it."""
    known = known_blocks()
    return [name for name in LIKES if name not in (ATTENTION, ADD, BACKBONE) and (known is None or name in known)]


def toml_of(blocks: Iterable[CustomModule], prefix: str = "") -> str:
    """Tables to paste, each with what its guess means; empty for no blocks. Each name has to be declarable."""
    return "\n".join(_table(block, prefix) for block in blocks)


def _table(block: CustomModule, prefix: str) -> str:
    import json  # here, for only a draft needs it

    means = (
        "as the parser in that file reads its rows; it is never run"
        if block.has_parser
        else "built and scaled as {} is"
    )
    means = _SAYS.get(block.like, means.format(block.like))
    lines = [
        f"[{prefix}blocks.{block.name}]",
        f"class = {json.dumps(block.target)}",
        f"like = {json.dumps(block.like)} # {means}",
    ]
    if block.channels_first:
        lines.append(
            'channels = "first" # the input\'s width comes before the arguments; drop it if the class wants none'
        )
    if block.stride is not None:
        lines.append(f"stride = {block.stride:g} # {'doubles' if block.stride < 1 else 'halves'} the map")
    if block.width is not None:
        lines.append(f"width = {json.dumps(block.width)} # c is the width that comes in")
    if block.args:
        lines.append(f"args = {_in_toml(block.args)} # of rows that have none")
    if block.drop:
        lines.append(f"drop = {_in_toml(block.drop)} # arguments that rows have for another parser")
    if block.replace:
        values = ", ".join(f"{at} = {_in_toml(value)}" for at, value in block.replace)
        lines.append(f"replace = {{ {values} }} # in rows that were written for another parser")
    return "\n".join(lines) + "\n"


def _example(parameters: Sequence[str]) -> str:
    from ..declarations.scan import example_of  # here, for only a Python file needs it

    return example_of(parameters)


def _in_toml(value: object) -> str:
    import json  # here, for only a draft needs it

    return json.dumps([*map(_plain, value)] if isinstance(value, tuple) else _plain(value))


def _plain(value: object) -> object:
    return str(value) if isinstance(value, SourceWidth) else value


def _like_of_fork(block: Block) -> str:
    return BACKBONE if block.packed else ATTENTION if block.role == "operator" else "-"


def _like(block: CustomModule) -> str:
    return block.like + (f", stride {block.stride:g}" if block.stride else "")
