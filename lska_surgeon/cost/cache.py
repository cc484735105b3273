"""What models and operators cost, each counted once: from what is known, from the cache, or by fvcore; no torch.

It knows no variants. The cache is a folder with one file for each count: `$LSKA_SURGEON_CACHE`, else `lska-surgeon` in
`$XDG_CACHE_HOME` or `~/.cache`.

1. A file's name is the hash of all that a count depends on: the model's bytes and name, what was asked, the releases
   here, and the source text of what builds and counts, for people edit that. So nothing in it goes stale. Where a
   class may have been changed in memory, it is neither read nor written.
2. A file has the hash of its name and its content. One that is damaged or was renamed counts for nothing.
3. What a custom module costs changes with its source and with all that this imports, so a model with one is not kept.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from ..core.blocks import BlockTable
from ..core.operators import TIMM, AnyOperator, OtherOperator
from ..errors import SurgeonError, needs
from ..files import cache_folder, for_a_while, open_to_read, read_within, sha256_of, write_whole
from ..modelfile.sources import Source, find_source, scale_in_name
from ..modelfile.text import LARGEST
from ..yolo.environment import importing, is_own_process
from .cost import Cost

_SCHEMA = 2
#: Who builds and who counts. A count depends on torch and torchvision, too, and on timm where it is installed.
_COUNTERS = ("ultralytics", "fvcore")
_NEEDED = (*_COUNTERS, "torch", "torchvision")
#: Whose source text a count depends on: package -> files.
_SOURCES = {
    "ultralytics": ("nn/**/*.py", "utils/torch_utils.py"),
    __package__.partition(".")[0]: ("nn/*.py", "yolo/build.py", "cost/count.py", "cost/shapes_only.py"),
}
#: Parameters or multiply-accumulates, where a file says them.
Amount = Annotated[int, msgspec.Meta(ge=0, lt=LARGEST)]
Kind = TypeVar("Kind")


class _SealedCount(msgspec.Struct):
    """What a file of the cache holds: a count, and the hash of the file's name and of that."""

    seal: str
    count: msgspec.Raw


@dataclass(frozen=True)
class Counted:
    """What fvcore counted, in eval mode, fused, for one image.

    Attributes:
        params: parameters.
        macs: multiply-accumulates.
        counted_with: release of ultralytics and of fvcore.
    """

    params: int
    macs: int
    counted_with: Mapping[str, str]


@dataclass(frozen=True)
class ModelText:
    """A model YAML as it will be counted.

    Attributes:
        name: file name, which Ultralytics reads.
        text: content.
        scale: scale, or None.
    """

    name: str
    text: str
    scale: str | None

    @property
    def sha256(self) -> str:
        """Of the text's bytes."""
        return sha256(self.text)


def cost_of(
    name: str,
    imgsz: tuple[int, int],
    batch: int = 1,
    fuse: bool = True,
    *,
    blocks: BlockTable,
    scale: str | None = None,
    trust: bool = False,
) -> Cost:
    """What a model YAML or a checkpoint costs; torch is imported where that was not counted before.

    Args:
        name: path of a `.yaml` or `.pt` file, or a stock name with its scale ("yolov8s.yaml").
        imgsz: input height and width, pixels.
        batch: images in the input.
        fuse: fuse Conv and BatchNorm first.
        blocks: the table of blocks that it is built with.
        scale: scale of a YAML; None takes the one of its name.
        trust: read a checkpoint that names what is not on the allow-list, or build a YAML that runs more than layers.

    Raises:
        SurgeonError: there is no such file, it does not build or load, or it can't be counted.
    """
    source = find_source(name, "either")
    digest = None if trust else _digest_of_file(source, blocks)
    path = _file(source.name, digest, scale, *imgsz, batch, fuse) if digest else None
    kept = _read(path, Cost)
    if kept is not None:
        return replace(kept, name=name)
    with importing():
        from .count import count_source, load

        load()
    cost = count_source(name, imgsz, batch, fuse, scale=scale, trust=trust)
    _keep(path, replace(cost, name=source.name))
    return cost


@dataclass
class CostCache:
    """Counts at one image size.

    Attributes:
        imgsz: height and width, pixels.
        blocks: the table of blocks that models are built with.
        may_count: take what is not known from the cache, or count it, which imports torch. Without it nothing depends
            on what this machine has done before.
        renew: count also what other releases of ultralytics or fvcore than those here counted.
        known: counts that somebody kept, by `key`.
        used: those that were asked for, in that order.
    """

    imgsz: tuple[int, int]
    blocks: BlockTable
    may_count: bool = False
    renew: bool = False
    known: Mapping[tuple[str, str | None], Counted] = field(default_factory=dict)
    used: dict[tuple[str, str | None], tuple[ModelText, Counted]] = field(default_factory=dict)
    _operators: dict[tuple[AnyOperator, int, tuple[int, int]], tuple[int, int]] = field(default_factory=dict)

    def of(self, model: ModelText, sums_up: Callable[[], tuple[int, int] | None] | None = None) -> Counted | None:
        """What a model costs; None when that is not known and may not be counted.

        Args:
            model: the model.
            sums_up: parameters and multiply-accumulates from those of its parts, which then is not built and counted
                as a whole; None where they are not known.

        Raises:
            SurgeonError: it can't be built or counted.
        """
        key = (model.sha256, model.scale)
        if key not in self.used:
            counted = self._known(model) or self._counted(model, sums_up)
            if counted is None:
                return None
            self.used[key] = (model, counted)
        return self.used[key][1]

    def of_operator(self, operator: AnyOperator, channels: int, sides: tuple[int, int]) -> tuple[int, int] | None:
        """Parameters and MACs of an operator on a map of `sides` (height, width): in closed form, else counted once.

        Raises:
            SurgeonError: it can't be built or counted.
        """
        params, macs = operator.params(channels), operator.macs(channels, *sides)
        if params is not None and macs is not None:
            return params, macs
        key = (operator, channels, sides)
        if self.may_count and key not in self._operators:
            gated = isinstance(operator, OtherOperator) and operator.gated
            path = _file(operator.op, gated, channels, *sides) if operator.op.startswith(TIMM) else None
            amounts = _read(path, tuple[int, int])
            if amounts is None:
                amounts = _counted_operator(operator, channels, sides)
                _keep(path, amounts)
            self._operators[key] = amounts
        return self._operators.get(key)

    def _known(self, model: ModelText) -> Counted | None:
        known = self.known.get((model.sha256, model.scale))
        if known and self.renew and any(known.counted_with.get(name) != here for name, here in counted_with().items()):
            return None
        return known

    def _counted(self, model: ModelText, sums_up: Callable[[], tuple[int, int] | None] | None) -> Counted | None:
        if not self.may_count:
            return None
        scale = None if model.scale == scale_in_name(model.name) else model.scale  # as whoever gives the name asks
        digest = _digest(model.text.encode("utf-8", errors="surrogateescape"), self.blocks)
        cost = _read(_file(model.name, digest, scale, *self.imgsz, 1, True) if digest else None, Cost)
        sums = sums_up() if cost is None and sums_up else None
        if sums is not None:
            return Counted(*sums, counted_with())
        if cost is None:
            with _what_counts(model.name):
                from . import count  # noqa: F401
            with for_a_while(model.name, model.text) as path:
                cost = cost_of(os.fspath(path), self.imgsz, scale=scale, blocks=self.blocks)
        return Counted(cost.params, cost.macs, counted_with())


def sha256(text: str) -> str:
    """SHA-256 of a text as it is written to a file, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()


def _counted_operator(operator: AnyOperator, channels: int, sides: tuple[int, int]) -> tuple[int, int]:
    with _what_counts(operator.op):
        from .count import count_operator
    return count_operator(operator, channels, sides)


@contextmanager
def _what_counts(name: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise needs(str(error.name), what=f"what {name} costs is not known, and to count it") from error


def counted_with() -> dict[str, str]:
    """The releases here of those that a count depends on, as far as they are installed."""
    return {name: release for name, release in _releases().items() if name in _COUNTERS}


@cache
def _releases() -> Mapping[str, str]:
    releases = {}
    for name in (*_NEEDED, "timm"):
        with suppress(importlib.metadata.PackageNotFoundError):
            releases[name] = importlib.metadata.version(name)
    return releases


@cache
def _sources() -> str:
    """The hash of the source text that a count depends on."""
    digest = hashlib.sha256()
    for package, patterns in _SOURCES.items():
        spec = importlib.util.find_spec(package)
        for root in spec.submodule_search_locations or () if spec else ():
            for file in sorted(file for pattern in patterns for file in Path(root).glob(pattern)):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _digest_of_file(source: Source, blocks: BlockTable) -> str | None:
    """The hash of a file; None where it can't be read, or may hold a custom module."""
    try:
        if not source.is_checkpoint:
            return _digest(read_within(source.path), blocks)
        if blocks.declarations.blocks:
            return None
        with open_to_read(source.path) as file:
            return sha256_of(file)
    except OSError:  # whoever counts says what is wrong
        return None


def _digest(yaml: bytes, blocks: BlockTable) -> str | None:
    """The hash of a model YAML; None where it names a custom module."""
    if any(block.encode() in yaml for block in blocks.declarations.blocks):
        return None
    return hashlib.sha256(yaml).hexdigest()


def _file(*identity: Any) -> Path | None:
    """Where a count is kept; None where there is no folder, or what is here may count otherwise.

    Who has no release of what counts can't tell what it would count. And whoever imported Ultralytics before us may
    have changed a class of it since.
    """
    folder, releases = cache_folder(), _releases()
    changeable = "ultralytics.nn.tasks" in sys.modules and not is_own_process()
    if folder is None or changeable or any(name not in releases for name in _NEEDED):
        return None
    return folder / "costs" / f"{sha256(json.dumps([_SCHEMA, *identity, releases, _sources()]))}.json"


def _read(path: Path | None, kind: type[Kind]) -> Kind | None:
    """What a file of the cache holds; None where there is none, or it is damaged."""
    if path is None or path.is_symlink():  # this package makes none
        return None
    with suppress(OSError, RecursionError, msgspec.MsgspecError):
        file = msgspec.json.decode(read_within(path), type=_SealedCount)
        if file.seal == _seal(path, file.count):
            return msgspec.json.decode(file.count, type=kind)
    return None


def _keep(path: Path | None, value: object) -> None:
    """Write a count where it is read from the next time."""
    if path is not None:
        with suppress(OSError, OverflowError, SurgeonError):  # a cache that can't be written costs time alone
            count = msgspec.Raw(msgspec.json.encode(value))
            content = msgspec.json.encode(_SealedCount(_seal(path, count), count))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, lambda file: file.write(content), force=True)


def _seal(path: Path, count: msgspec.Raw) -> str:
    return hashlib.sha256(path.name.encode() + bytes(count)).hexdigest()
