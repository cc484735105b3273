"""What a fork of Ultralytics has to declare, so that a released one builds its models; nothing of it is run.

The rows of every model that the fork has are read by the fork's own parser, at every scale. A block that the release
lacks, or has otherwise, is declared like that which the release's parser reads in the same way: the same arguments, the
same width. Its class is copied with all that it needs (`declarations.copied`).
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from ..core.blocks import ADD, ATTENTION, STOCK, VERBATIM, CustomModule
from ..core.graph import SECTIONS
from ..declarations.copied import Copies
from ..declarations.find import LIKES, name_problem
from ..declarations.guess import guess_blocks, like_by_name
from ..errors import DeclarationError, SurgeonError, needs
from ..files import read_within
from ..installed.package import installed_package
from ..installed.parse_model import ParsedRow, ParserSource, Reading
from ..installed.values import UNKNOWN, UnreadableParser
from ..modelfile.document import Document

_TASKS, _HEADS = "ultralytics.nn.tasks", "ultralytics.nn.modules.head"
_LEGACY = "legacy"  # what a release's parser sets on an output layer: whether it is built as before YOLO11
_IMAGE = 3  # channels
#: What becomes of the stride where pixels become channels, or channels pixels.
_FOLDED = {"4*c": 2.0, "c/4": 0.5}
#: A block that no parser knows: it keeps its source's width, and its arguments are passed on.
_UNKNOWN_BLOCK = "ABlockThatNobodyHas"
_JOINS = "CBFuse"  # whose arguments are passed on, and whose width is that of its last source


#: The usual ones first of those that are read alike: convolutions, then blocks that may hold an operator.
_USUAL_FIRST = sorted(
    (block.name for block in STOCK if block.name in LIKES),
    key=lambda name: (STOCK[name].role != "conv", STOCK[name].host is None),
)


class Migration(NamedTuple):
    """What is declared of a fork, and what comes of it.

    Attributes:
        guessed: a declaration for each block that can have one.
        left_out: the blocks that can't, and why.
        files: the copies, by their path from the declaration's folder on.
        models: each model of the fork that names a block of its own, and why a release does not build it as the fork
            does; nothing where it does.
        notes: what the user should know.
    """

    guessed: Mapping[str, CustomModule]
    left_out: Mapping[str, str]
    files: Mapping[str, str]
    models: Mapping[Path, str]
    notes: tuple[str, ...]


def package_in(folder: Path) -> Path | None:
    """The `ultralytics` of a fork: the folder, or in it; None where it has none."""
    places = (folder, folder / "ultralytics")
    return next((place for place in places if (place / "nn" / "tasks.py").is_file()), None)


def migration_of(folder: Path) -> Migration:
    """What to declare of a fork.

    Args:
        folder: its root, or its `ultralytics`.

    Raises:
        DeclarationError: it is no fork, can't be read, or is what is imported here.
    """
    package, release = package_in(folder), installed_package()
    if package is None:
        raise DeclarationError(
            f"{folder} is a directory without ultralytics/nn/tasks.py: give a file, or the folder of a fork of "
            "ultralytics"
        )
    if release is None:
        raise needs("ultralytics", what="to hold a fork against a release, this")
    if release.is_fork or release.root.resolve() == package.resolve():
        raise DeclarationError(
            f"ultralytics is imported from {release.root} here, a fork: type this in an environment with a released "
            "one, which is to build the fork's models"
        )
    try:
        return _Fork(package, release.root, release.tasks).migration()
    except UnreadableParser as error:
        raise DeclarationError(f"{package / 'nn' / 'tasks.py'} can't be understood: {error}") from error


@dataclass(frozen=True)
class _Case:
    """One row of one model at one scale, and what the fork makes of it."""

    model: Path
    letter: str | None
    block: str
    frm: Any
    repeats: int
    args: tuple[Any, ...]
    widths: tuple[int, ...]
    release: Reading
    made: ParsedRow

    @property
    def key(self) -> str:
        """What tells it from other rows of its block."""
        made = self.made.width, self.made.arguments, self.made.modules
        return repr((self.block, self.letter, self.frm, self.repeats, self.args, self.widths[-1:], self.read, made))

    @property
    def read(self) -> list[int]:
        """The widths of what it reads."""
        return [self.widths[at] for at in (self.frm if isinstance(self.frm, list) else [self.frm])]

    def ratio(self, like: str, channels_first: bool = False) -> Fraction | None:
        """The fork's width over a release's, where that makes the same of a row of a block that is declared so."""
        stock = {ATTENTION: _UNKNOWN_BLOCK, ADD: _JOINS}.get(like, like)
        made, theirs = self.made_of(stock), self.made
        if made is None or theirs.doubtful or UNKNOWN in (made.width, theirs.width, *theirs.arguments):
            return None
        own = list(made.arguments)
        if channels_first:
            own.insert(0, self.read if isinstance(self.frm, list) else self.read[0])
        if (own, made.keywords, made.modules) != ([*theirs.arguments], theirs.keywords, theirs.modules):
            return None
        if theirs.width == made.width:
            return Fraction(1)
        is_width = type(theirs.width) is int and type(made.width) is int and made.width > 0
        return Fraction(theirs.width, made.width) if is_width else None

    def made_of(self, block: str) -> ParsedRow | None:
        """What the release's parser makes of the row with another block in it; None where it refuses it."""
        with suppress(Exception):  # as the parser refuses such a row
            return self.release.row(self.frm, self.repeats, block, self.args, self.widths)
        return None


def _width_rule(ratio: Fraction) -> str | None:
    """As a declaration writes it."""
    times, by = ("" if part == 1 else str(part) for part in (ratio.numerator, ratio.denominator))
    return None if ratio == 1 else f"{times and f'{times}*'}c{by and f'/{by}'}"


class _Fork:
    """A fork's files, and its models."""

    def __init__(self, package: Path, release: Path, tasks: Path) -> None:
        self.package = package
        self.parser, self.released = ParserSource(package / "nn" / "tasks.py"), ParserSource(tasks)
        root = package.parent if package.name == "ultralytics" else package
        self.name = re.sub(r"\W+", "_", root.resolve().name, flags=re.ASCII).strip("_").lower() or "fork"
        self.name = f"fork_{self.name}" if self.name[0].isdigit() else self.name
        self.root = root
        self.copies = Copies(package, release, f"{self.name}_blocks")
        self.cases: dict[str, list[_Case]] = {}
        self.documents: dict[Path, Document] = {}
        self.refused: dict[Path, str] = {}
        self.alike: dict[str, bool] = {}

    def migration(self) -> Migration:
        """Read the models, and find what each block is like."""
        self._read_models()
        own = [name for name in self.cases if self._is_own(name)]
        guessed, left_out = {}, {}
        for name in own:
            found = self._declared(name)
            if isinstance(found, CustomModule):
                guessed[name] = found
            else:
                left_out[name] = found
        guessed.update(self._read_otherwise(own))
        guessed.update(self._heads(guessed))
        if any(module.has_parser for module in guessed.values()):
            self.copies.add_parser([name for name in self.cases if "." not in name])
        files = self.copies.texts()
        models = {path: self._verdict(path, guessed, left_out) for path in self.documents}
        return Migration(guessed, left_out, files, models, tuple(self._notes(files, left_out)))

    def _read_otherwise(self, own: Sequence[str]) -> Iterator[tuple[str, CustomModule]]:
        """Blocks of the release's that the fork's parser reads otherwise, at some scale at least."""
        for name in self.cases:
            is_open = name not in own and "." not in name and not STOCK[name].is_output
            if is_open and not all(self._is_alike(path, name) for path in self.documents):
                yield name, CustomModule(name, self.copies.home(_TASKS, name), self.copies.parser)

    def _read_models(self) -> None:
        for path in sorted(self.root.rglob("*.y*ml")):
            with suppress(SurgeonError, OSError):  # it is no model, or one that nobody can read
                if all(section.encode() in read_within(path) for section in SECTIONS):
                    self._read_model(path)

    def _read_model(self, path: Path) -> None:
        document = Document.read(path)
        if not any(self._is_own(block) for block in {layer.block for layer in document.layers}):
            return
        rows: dict[str, list[list[Any]]] = {section: [] for section in SECTIONS}
        for layer in document.layers:
            frm = [*layer.frm] if isinstance(layer.frm, tuple) else layer.frm
            rows[layer.section].append([frm, layer.repeats, layer.block, [*layer.args]])
        scales = document.settings.get("scales")
        for letter in scales if isinstance(scales, Mapping) and scales else [None]:
            content = {**document.settings, **({"scale": letter} if letter else {})}
            try:
                made = self.parser.rows({**content, **rows}, _IMAGE)
            except UnreadableParser:
                raise
            except Exception as error:  # whatever the fork's parser makes of it
                self.refused[path] = str(error)
                continue
            release = Reading(self.released, {**content, "backbone": [], "head": []}, _IMAGE)
            widths = tuple(row.width for row in made)
            for at, (row, parsed) in enumerate(zip([*rows["backbone"], *rows["head"]], made)):
                frm, repeats, block, args = row
                before = widths[:at] or (_IMAGE,)
                case = _Case(path, letter, block, frm, repeats, tuple(args), before, release, parsed)
                self.cases.setdefault(block, []).append(case)
            self.documents[path] = document

    def _is_head(self, name: str) -> bool:
        return any(document.layers[-1].block == name for document in self.documents.values())

    def _is_own(self, block: str) -> bool:
        return "." not in block and not self.copies.is_released(_TASKS, block)

    def _declared(self, name: str) -> CustomModule | str:
        """The declaration of a block, or why it has none."""
        if self.copies.node(_TASKS, name) is None:
            return "it is no class of the fork's"
        like, channels_first, width = self._like(name) or (self.copies.parser, False, None)
        problem = name_problem(name, like)
        if problem:
            return problem
        if self._is_head(name) and not any(STOCK[base].is_output for base in self.copies.bases(_TASKS, name)):
            return "it extends no output layer of a release, which would not know its strides"
        if self._is_head(name) and like not in LIKES:
            return "its rows are not read as those of an output layer of a release"
        target = self.copies.target(_TASKS, name)
        stride = None if like not in LIKES else _FOLDED.get(width or "") or self._stride(name, like)
        return CustomModule(name, target, like, channels_first, stride, width=width)

    def _like(self, name: str) -> tuple[str, bool, str | None] | None:
        """What a block is like, whether its widths come first, and the width out by that which comes in."""
        cases = [*{case.key: case for case in self.cases[name]}.values()]
        likes = [name] if name in LIKES else [*filter(None, [like_by_name(name)]), *VERBATIM, *_USUAL_FIRST]
        for like in dict.fromkeys(likes):
            for first in (False, True) if like in VERBATIM else (False,):
                if all(case.ratio(like, first) == 1 for case in cases):
                    return like, first, None
        for first in (False, True):
            ratios = {case.ratio(ATTENTION, first) for case in cases}
            if len(ratios) == 1 and None not in ratios:
                return ATTENTION, first, _width_rule(*ratios)  # type: ignore[arg-type]
        return None

    def _heads(self, guessed: Mapping[str, CustomModule]) -> Iterator[tuple[str, CustomModule]]:
        """The output layers that a release builds in the other of two ways than the fork, by an attribute of theirs."""
        for name in {document.layers[-1].block: None for document in self.documents.values()}:
            if self._is_own(name) or self.copies.class_of(_HEADS, name) is None:
                continue
            kin = (name, *self.copies.bases(_HEADS, name))
            base = next((one for one in kin if _LEGACY in self.copies.uses(_HEADS, one, of_release=True)), None)
            if base is None or _LEGACY in self.copies.uses(_HEADS, base):
                continue
            newer = self.copies.uses(_HEADS, base, of_release=True) - self.copies.uses(_HEADS, base)
            legacy = any(STOCK[one].is_known for one in newer)
            if any(self._is_legacy(path, guessed) is not legacy for path in self.documents):
                assignment = f"{_LEGACY} = {legacy}  # as that fork builds it, whatever the rows are"
                yield name, CustomModule(name, self.copies.extended(_HEADS, name, assignment), name)

    def _is_legacy(self, path: Path, guessed: Mapping[str, CustomModule]) -> bool:
        """How a release builds the output layer of a model."""
        for block in {layer.block for layer in self.documents[path].layers}:
            like = guessed[block].like if block in guessed else block
            made = self.cases[block][0].made_of(like)
            if made is not None and made.variables.get(_LEGACY) is False:
                return False
        return True

    def _stride(self, name: str, like: str) -> float | None:
        """Stride out over stride in, as most of the models suggest."""
        found: Counter[float | None] = Counter()
        for path in dict.fromkeys(case.model for case in self.cases[name]):
            document = self.documents[path]
            own = [block for block in dict.fromkeys(layer.block for layer in document.layers) if self._is_own(block)]
            with suppress(SurgeonError):
                guess = guess_blocks(document.graph, own)[name]
                found[guess.stride] += 1
        most = found.most_common(1)
        fixed = like not in VERBATIM and STOCK[like].role != "conv"
        return None if fixed or not most else most[0][0]

    def _verdict(self, path: Path, guessed: Mapping[str, CustomModule], left_out: Mapping[str, str]) -> str:
        """Why a release does not build a model as the fork does; nothing where it does."""
        if path in self.refused:
            return f"the fork does not build it either: {self.refused[path]}"
        for at, layer in enumerate(self.documents[path].layers):
            if layer.block in left_out and not STOCK[layer.block].is_attention:
                return f"row {at} ({layer.block}): {left_out[layer.block]}"
            is_open = layer.block not in guessed and not STOCK[layer.block].is_output
            if is_open and not STOCK[layer.block].is_attention and not self._is_alike(path, layer.block):
                return f"row {at} ({layer.block}): the fork's parser makes something else of it than a release's"
        return ""

    def _is_alike(self, path: Path, block: str) -> bool:
        """Whether a release makes the same of all rows of a block that it has too."""
        for case in self.cases[block]:
            if case.model == path:
                if case.key not in self.alike:
                    self.alike[case.key] = case.ratio(block) == 1
                if not self.alike[case.key]:
                    return False
        return True

    def _notes(self, files: Mapping[str, str], left_out: Mapping[str, str]) -> Iterator[str]:
        for name in left_out:
            if STOCK[name].is_attention:
                yield f"rows of {name} build that of lska-surgeon, which need not be the fork's: compare their outputs"
        missing = [pip for name, pip in sorted(self.copies.packages.items()) if importlib.util.find_spec(name) is None]
        if files and missing:
            yield f"{self.name}_blocks imports what is not installed here: pip install {' '.join(missing)}"
