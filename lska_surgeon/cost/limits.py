"""What may be asked of a count: sizes, numbers of images, the models of a folder; and what it may come to.

It counts nothing, builds nothing, and imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.blocks import BlockTable
from ..core.operators import PAPER_DILATIONS
from ..errors import ArgumentError, DocumentError, NotAModelError, SurgeonError
from ..modelfile.document import Document
from ..modelfile.model import base_stem
from ..modelfile.sources import YAML_SUFFIXES, find_source, is_checkpoint
from ..wording import shown

if TYPE_CHECKING:
    from fractions import Fraction

#: Of a square, in pixels, where nobody says another one.
DEFAULT_SIZE = 640
#: The longest side of an image, in pixels; what a network keeps of a larger one fits into no memory.
LARGEST_SIDE = 16384
#: The most images in an input; a GPU takes some hundreds.
LARGEST_BATCH = 65536
#: The most threads of a CPU; each takes memory before it does anything.
LARGEST_THREADS = 4096
#: What a cost curve shows where nobody says otherwise: the four designs and the kernel sizes that the paper compares.
DESIGNS = ("lska", "lska-trivial", "lka", "lka-trivial")
SIZES = tuple(PAPER_DILATIONS)
_AMOUNT = re.compile(r"(\d{1,18}(?:\.\d{1,18})?|\.\d{1,18})([kmgb]?)", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


def batch_of(batch: int) -> int:
    """How many images an input has.

    Raises:
        ArgumentError: it is no whole number of 1 to `LARGEST_BATCH`.
    """
    if not isinstance(batch, int) or not 1 <= batch <= LARGEST_BATCH:
        raise ArgumentError(f"batch {batch!r} is out of range: give 1 to {LARGEST_BATCH} images")
    return batch


def size_of(imgsz: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width in pixels, of a square where one number is given.

    Raises:
        ArgumentError: a side is no whole number of 1 to `LARGEST_SIDE` pixels.
    """
    sides = (imgsz, imgsz) if isinstance(imgsz, int) else tuple(imgsz)
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= LARGEST_SIDE for side in sides):
        raise ArgumentError(
            f"imgsz {imgsz!r} is not a size: give one number of pixels or (height, width), 1 to {LARGEST_SIDE}"
        )
    return sides[0], sides[1]


@dataclass(frozen=True)
class Limit:
    """The most that something may be.

    Attributes:
        text: as it was written, "1.10x".
        value: a number, or, when `relative`, a multiple of the base's.
        relative: whether it is a multiple.
    """

    text: str
    value: Fraction
    relative: bool

    def most(self, base: Fraction | int) -> Fraction:
        """The limit in numbers, for a base that has `base`."""
        return self.value * base if self.relative else self.value


def parse_amount(text: str) -> Fraction | None:
    """Read `30`, `11,000`, `40M`, `1.5k`; None where it is none of these."""
    from fractions import Fraction  # here and below, for most commands count nothing

    amount = _AMOUNT.fullmatch(text.strip().replace(",", ""))
    return Fraction(amount[1]) * _UNITS[amount[2].lower()] if amount else None


def parse_limit(text: str) -> Limit:
    """Read an amount, or a multiple of the base's, `1.10x`.

    Raises:
        SurgeonError: it is neither.
    """
    text = text.strip()
    relative = text.endswith("x")
    value = parse_amount(text.rstrip("x") if relative else text)
    if not value or (relative and not text[-2:-1].isdigit()):
        raise SurgeonError(
            f"{text!r} is no limit: write a number (30), one with k, M or G (40M), or a multiple (1.10x)"
        )
    return Limit(text, value, relative)


@dataclass(frozen=True)
class Budget:
    """What a variant may cost.

    Attributes:
        gflops: limit on its GFLOPs (2 x GMACs).
        params: limit on its parameters.
    """

    gflops: Limit | None = None
    params: Limit | None = None

    def __bool__(self) -> bool:
        return bool(self.gflops or self.params)

    def with_limits(self, words: Iterable[str]) -> Budget:
        """The same with other limits, each as `max_gflops=1.15x` or `max_params=40M`.

        Raises:
            ArgumentError: one is neither.
        """
        found = {}
        for word in words:
            name, _, text = word.partition("=")
            try:
                if name not in ("max_gflops", "max_params"):
                    raise SurgeonError("a limit is max_gflops=X or max_params=X")
                found[name.partition("_")[2]] = parse_limit(text)
            except SurgeonError as error:
                raise ArgumentError(f"--budget {shown(word)}: {error}") from error
        return replace(self, **found)

    def excess(self, params: int, macs: int, base_params: int, base_macs: int) -> list[str]:
        """One text for each limit that a variant of a base is above."""
        from fractions import Fraction

        texts = []
        if self.gflops:
            gflops, most = Fraction(2 * macs, 10**9), self.gflops.most(Fraction(2 * base_macs, 10**9))
            if gflops > most:
                texts.append(f"{float(gflops):.3f} GFLOPs are above {_limit(self.gflops, f'{float(most):.3f}')}")
        if self.params and params > (most := self.params.most(base_params)):
            texts.append(f"{params:,} parameters are above {_limit(self.params, f'{int(most):,}')}")
        return texts


def _limit(limit: Limit, most: str) -> str:
    return f"{most}, {limit.text} of the base" if limit.relative else f"the limit of {limit.text}"


@dataclass(frozen=True)
class FolderModels:
    """What lies in a folder.

    Attributes:
        models: names to count: first the bases that others are named after, then models without operators, then
            variants. A base that is not here is the stock model of its name, where there is one.
        others: YAML files that are no models.
        unread: file -> why it can't be read as a model.
    """

    models: tuple[str, ...]
    others: tuple[str, ...]
    unread: Mapping[str, str]


def models_in(folder: Path, blocks: BlockTable) -> FolderModels:
    """The model YAMLs and checkpoints of a folder; what lies in folders below it, and hidden files, do not count.

    Raises:
        DocumentError: there is none; the message says what to give.
    """
    plain: list[Path] = []
    variants: list[Path] = []
    others, unread = [], {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        if is_checkpoint(path):
            (variants if base_stem(path.stem, blocks) else plain).append(path)
        elif path.suffix.lower() in YAML_SUFFIXES:
            try:
                layers = Document.read(path, blocks=blocks).layers
            except NotAModelError:
                others.append(path.name)
            except SurgeonError as error:
                unread[path.name] = str(error)
            else:
                (variants if any(layer.kind.is_attention for layer in layers) else plain).append(path)
    bases = list(dict.fromkeys(filter(None, (_base_of(variant, blocks) for variant in variants))))
    models = [*bases, *(str(path) for path in (*plain, *variants) if str(path) not in bases)]
    if not models:
        seen = f" ({', '.join([*others, *unread])} can't be read as one)" if others or unread else ""
        raise DocumentError(f"no model YAML and no checkpoint in this folder{seen}: give models, such as yolov8s.yaml")
    return FolderModels(tuple(models), tuple(others), unread)


def _base_of(variant: Path, blocks: BlockTable) -> str | None:
    """The model that a variant is named after, the file beside it or else the stock model; None where there is none."""
    stem = base_stem(variant.stem, blocks)
    if stem is None:
        return None
    beside = variant.with_name(f"{stem}{variant.suffix}")
    if beside.is_file():
        return str(beside)
    try:
        return None if is_checkpoint(variant) else find_source(f"{stem}.yaml").name
    except DocumentError:
        return None
