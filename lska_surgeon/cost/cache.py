"""What models and operators cost, each counted once: from what is known, from the cache, or by fvcore.

It knows no variants. The cache is a folder with one small file per model, and per operator, width and map size:
`$LSKA_SURGEON_CACHE`, else `lska-surgeon` in `$XDG_CACHE_HOME` or `~/.cache`. A file's name is the hash of all that a
count depends on, so nothing in it goes stale.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec

from ..core.operators import TIMM, AnyOperator, OtherOperator
from ..declarations.find import active_declarations
from ..errors import DamagedError, SurgeonError, needs
from ..files import for_a_while, read_json, write_text
from ..modelfile.sources import scale_in_name
from ..modelfile.text import LARGEST

_CACHE_SCHEMA = 1
#: Who builds and who counts; torch runs what they trace, and goes into the cache's key alone.
_COUNTERS = ("ultralytics", "fvcore")
_KEY = (*_COUNTERS, "torch")
#: Parameters or multiply-accumulates, where a file says them.
Amount = Annotated[int, msgspec.Meta(ge=0, lt=LARGEST)]


class _Kept(TypedDict):
    """What a file of the cache holds."""

    params: Amount
    macs: Amount


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


@dataclass
class CostCache:
    """Counts at one image size.

    Attributes:
        imgsz: height and width, pixels.
        may_count: take what is not known from the cache, or count it, which imports torch. Without it nothing depends
            on what this machine has done before.
        renew: count also what other releases of ultralytics or fvcore than those here counted.
        known: counts that somebody kept, by `key`.
        used: those that were asked for, in that order.
    """

    imgsz: tuple[int, int]
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
            found = self._find(model, sums_up)
            if found is None:
                return None
            self.used[key] = (model, found)
        return self.used[key][1]

    def of_operator(self, operator: AnyOperator, channels: int, sides: tuple[int, int]) -> tuple[int, int] | None:
        """Parameters and multiply-accumulates of one operator: in closed form, else counted once.

        Args:
            operator: which.
            channels: its width.
            sides: height and width of the map that it reads.

        Raises:
            SurgeonError: it can't be built or counted.
        """
        params, macs = operator.params(channels), operator.macs(channels, *sides)
        if params is not None and macs is not None:
            return params, macs
        if not self.may_count:
            return None
        key = (operator, channels, sides)
        if key not in self._operators:
            path = _file_of_operator(operator, channels, sides)
            found = _read(path) or _counted_operator(operator, channels, sides)
            _write(path, found)
            self._operators[key] = found
        return self._operators[key]

    def _find(self, model: ModelText, sums_up: Callable[[], tuple[int, int] | None] | None) -> Counted | None:
        kept = self.known.get((model.sha256, model.scale))
        if kept and not (self.renew and _is_outdated(kept)):
            return kept
        if not self.may_count:
            return None
        path = _cache_file(model, self.imgsz)
        found = _read(path) or (sums_up() if sums_up else None) or _count(model, self.imgsz)
        _write(path, found)
        return Counted(*found, counted_with())


def sha256(text: str) -> str:
    """SHA-256 of a text as it is written to a file, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()


def _is_outdated(kept: Counted) -> bool:
    return any(kept.counted_with.get(name) != release for name, release in counted_with().items())


def _count(model: ModelText, imgsz: tuple[int, int]) -> tuple[int, int]:
    with _what_counts(model.name):
        from .count import count_source
    with for_a_while(model.name, model.text) as path:
        cost = count_source(str(path), imgsz, scale=model.scale, name=model.name)
    return cost.params, cost.macs


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
    return {name: version for name, version in _versions().items() if name in _COUNTERS}


@cache
def _versions() -> Mapping[str, str]:
    found = {}
    for name in (*_KEY, "timm"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _cache_file(model: ModelText, imgsz: tuple[int, int]) -> Path | None:
    if any(block in model.text for block in active_declarations().blocks):
        return None  # what a class of the user's costs changes with its source
    versions = _versions()
    if any(name not in versions for name in _KEY):  # what a release that is not here would count, nobody knows
        return None
    identity = [model.sha256, model.scale, scale_in_name(model.name), *imgsz, *(versions[name] for name in _KEY)]
    identity += [versions.get("timm")] if TIMM in model.text or "Timm" in model.text else []
    return _named(identity)


def _file_of_operator(operator: AnyOperator, channels: int, sides: tuple[int, int]) -> Path | None:
    versions = _versions()
    if not operator.op.startswith(TIMM) or len(versions) < len(_KEY) + 1:
        return None  # what a class of the user's costs changes with its source
    gated = isinstance(operator, OtherOperator) and operator.gated
    return _named([operator.op, gated, channels, *sides, *versions.values()])


def _named(identity: list[Any]) -> Path | None:
    folder = cache_folder()
    return folder / "costs" / f"{sha256(json.dumps([_CACHE_SCHEMA, *identity]))}.json" if folder else None


def cache_folder() -> Path | None:
    """Where this package keeps what it can find out again; None for a user without a home."""
    given = os.environ.get("LSKA_SURGEON_CACHE")
    if given:
        return Path(given)
    with suppress(RuntimeError):
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lska-surgeon")
    return None


def _read(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        kept = read_json(path, _Kept)
    except (FileNotFoundError, DamagedError):  # then it is counted
        return None
    return kept["params"], kept["macs"]


def _write(path: Path | None, found: tuple[int, int]) -> None:
    if path is not None and _read(path) != found:
        with suppress(OSError, SurgeonError):  # a cache that can't be written costs time, and nothing else
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(_Kept(params=found[0], macs=found[1])), force=True)
