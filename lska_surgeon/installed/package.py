"""Which Ultralytics is imported here: where it lies, its own version, and whether it is a fork; nothing of it is run.

It is a fork where the files that say what blocks there are and how rows are read (`nn/tasks.py`, `nn/modules/`) are not
those of a release: by the checksums of the releases that are known here, else by the list that pip left beside them.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .released import MODELS, SOURCES

NAME = "ultralytics"
_VERSION = re.compile(r"^__version__\s*(?::[^=\n]+)?=\s*[\"']([^\"']+)", re.MULTILINE)
#: A row of a model in flow style, as all of the releases are; it begins with the end of the line before.
_ROW = re.compile(r"\n[ \t]*- (\[.*\])[ \t]*(?:#.*)?$", re.MULTILINE)


class Package(NamedTuple):
    """The Ultralytics that is imported here.

    Attributes:
        root: its folder, `.../ultralytics`.
        version: what its own `__init__.py` says; None where that says none.
        is_fork: whether its parser or its blocks are not those of a release.
        passed_over: the `ultralytics` of the working folder, where another one is imported.
    """

    root: Path
    version: str | None
    is_fork: bool
    passed_over: Path | None = None

    @property
    def tasks(self) -> Path:
        """Where its parser is."""
        return self.root / "nn" / "tasks.py"

    def is_released_model(self, text: str) -> bool:
        """Whether a model YAML of its `cfg/models` is one of a release, whatever else this package has there."""
        return not self.is_fork or model_digest(text) in MODELS.split()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should be told of it, each in one line."""
        said = f"{NAME} {self.version or 'of no version'} at {self.root}"
        notes = [f"{said}, a fork: its blocks are yours"] if self.is_fork else []
        if self.passed_over:
            notes.append(f"./{NAME} is not what is imported, that is {said}: type {to_import_it()}")
        return tuple(notes)


def installed_package() -> Package | None:
    """That which Python would import now; None where there is none."""
    root = root_of(NAME)
    if root is None:
        return None
    is_other = _is_package(NAME) and not (root.is_dir() and root.samefile(NAME))
    return Package(root, *_look(root, _stamps(str(root))), Path.cwd() / NAME if is_other else None)


def notes_of_package() -> tuple[str, ...]:
    """What a user should be told of it before his model is read; nothing of a release."""
    package = installed_package()
    return package.notes if package else ()


def root_of(name: str) -> Path | None:
    """The folder of a package that Python would import; None where there is none."""
    return _root_of(name, tuple(sys.path), sys.modules.get(name), os.getcwd() if "" in sys.path else None)


@cache
def _root_of(name: str, path: tuple[str, ...], module: object, folder: str | None) -> Path | None:
    """The same, while these are what it depends on."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # somebody put a module without a specification there
        return None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]).absolute() if places else None


def to_import_it() -> str:
    """What makes Python import the one of the working folder."""
    if any(Path(name).is_file() for name in ("pyproject.toml", "setup.py")):
        return "pip install --no-deps -e ."
    return "python -m lska_surgeon in the place of lska-surgeon"


def _is_package(folder: str) -> bool:
    return all(os.path.isfile(f"{folder}/{name}") for name in ("__init__.py", "nn/tasks.py"))


def _sources(root: Path) -> list[Path]:
    """The files that say what blocks there are, and how rows are read."""
    return [root / "nn" / "tasks.py", *sorted((root / "nn" / "modules").glob("*.py"))]


def _stamps(root: str) -> tuple[tuple[str, int, int], ...]:
    """By what it is known that a package's files are the same as before; plain calls, for each command asks often."""
    names = ["__init__.py", "nn/tasks.py"]
    with suppress(OSError):
        names += sorted(f"nn/modules/{name}" for name in os.listdir(f"{root}/nn/modules") if name.endswith(".py"))
    stamps = []
    for name in names:
        with suppress(OSError):
            found = os.stat(f"{root}/{name}")
            stamps.append((name, found.st_size, found.st_mtime_ns))
    return tuple(stamps)


@cache
def _look(root: Path, stamps: tuple[tuple[str, int, int], ...]) -> tuple[str | None, bool]:
    """Version, and whether it is a fork, while its files are these."""
    text = _content(root / "__init__.py").decode("utf-8", errors="replace")
    version = _VERSION.search(text)
    return version[1] if version else None, not _is_released(root)


def _is_released(root: Path) -> bool:
    if digest_of(root) in SOURCES.split():
        return True
    listed = listed_files(root, of_index=True)
    return bool(listed) and all(
        listed.get(file.relative_to(root).as_posix()) == digest(_content(file)) for file in _sources(root)
    )


def digest_of(root: Path) -> str:
    """The checksum of those files of a package, however their lines end; `released` has those of the releases."""
    size = found = 0
    for file in _sources(root):
        content = _content(file).replace(b"\r\n", b"\n")
        size += len(content)
        found = zlib.crc32(content, zlib.crc32(file.name.encode(), found))
    return f"{size:x}-{found:08x}"


def listed_files(root: Path, *, of_index: bool = False) -> dict[str, str]:
    """What pip has installed there: file, from the package's folder -> digest; nothing where it has not.

    Args:
        root: the package's folder.
        of_index: leave out what came from a folder or a repository, as a fork does.
    """
    for record in root.resolve().parent.glob(f"{NAME}-*.dist-info/RECORD"):
        if of_index and record.with_name("direct_url.json").exists():
            continue
        lines = [line.rsplit(",", 2) for line in _content(record).decode("utf-8", errors="replace").splitlines()]
        known = (line for line in lines if len(line) == 3 and line[0].startswith(f"{NAME}/"))
        found = {file[len(NAME) + 1 :]: value[len("sha256=") :] for file, value, _ in known}
        if "nn/tasks.py" in found:
            return found
    return {}


def digest(content: bytes) -> str:
    """As RECORD has it."""
    import base64  # here, for only a release that is not known needs it
    import hashlib

    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _content(file: Path) -> bytes:
    with suppress(OSError):
        return file.read_bytes()
    return b""


def model_digest(text: str) -> str:
    """The digest of a model YAML's rows, without comments and spaces; `released` has those of the releases' models."""
    rows = "\n".join("".join(row.split()) for row in _ROW.findall(f"\n{text}")).encode()
    return f"{len(rows):x}-{zlib.crc32(rows):08x}" if rows else ""
