"""What kind of file stands where a checkpoint should be, and where its pickles are; it reads none of them."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch

from ..errors import CheckpointError
from ..modelfile.sources import find_source
from ..wording import clean
from .pickle_audit import MOST_PICKLE_BYTES, TooLarge

#: Kinds of file that hold pickles; only "zip", what `torch.save` writes since torch 1.6, can be read safely.
ZIP, LEGACY, TAR, PICKLE = "zip", "legacy", "tar", "pickle"

MOST_RECORDS = 100_000
MOST_DIRECTORY_BYTES = 16 * 2**20
#: `torch.save` compresses nothing; a file that was packed again may unfold to so much more than it has bytes.
UNFOLDS, UNFOLDS_ANYWAY = 4, 64 * 2**20

_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch before 1.6 began its files with
_LEGACY_PICKLES = 5  # that number, a protocol, the machine, the object, the names of its storages
_HEAD = 4096
_MOST_MEMBERS = 100  # of a tar file; torch wrote four
_REMEDY = "give a .pt that Ultralytics or torch.save wrote"
#: How a file begins -> what it is, and what to do.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"\x89HDF", "an HDF5 file, as Keras writes"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run git lfs pull"),
)


def most_unfolded_bytes(size: int) -> int:
    """What the records of a file of so many bytes may have together, and its tensors elements."""
    return max(UNFOLDS * size, UNFOLDS_ANYWAY)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, open for reading.

    Raises:
        CheckpointError: there is no such file, it is a folder, or the system refuses.
    """
    find_source(path, "checkpoint")
    try:
        file = path.open("rb")
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {error.strerror}") from error
    with file:
        yield file


def kind_of(path: Path, file: IO[bytes]) -> str:
    """Which kind of pickle container a file is.

    Raises:
        CheckpointError: it is none; the message says what it is instead.
    """
    head = file.read(_HEAD)
    if not head:
        raise CheckpointError(f"{path} is empty (0 bytes): copy or download it again")
    if head.startswith(b"PK"):
        _check_zip(path, file)
        return ZIP
    if head.startswith(_LEGACY_MAGIC):
        return LEGACY
    if head[257:262] == b"ustar":
        return TAR
    if head.startswith(b"\x80") and 2 <= head[1] <= 5:
        return PICKLE
    what = _description(path, head)
    remedy = "" if ":" in what else f": {_REMEDY}"
    raise CheckpointError(f"{path} is not a checkpoint but {what}{remedy}")


def pickles(kind: str, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The pickles in a file, each as a stream; of a legacy file the same stream several times."""
    file.seek(0)
    if kind == ZIP:
        # torch's own reader, so that the bytes looked at are those that torch loads.
        yield io.BytesIO(torch._C.PyTorchFileReader(file).get_record("data.pkl"))
    elif kind == TAR:
        with tarfile.open(fileobj=_Tar(file), mode="r:") as archive:  # type: ignore[call-overload]
            for number, member in enumerate(archive):
                if number > _MOST_MEMBERS:
                    raise TooLarge(f"more than {_MOST_MEMBERS} files in one")
                stream = archive.extractfile(member)
                if stream is not None:
                    yield stream
    else:
        for _ in range(_LEGACY_PICKLES if kind == LEGACY else 1):
            yield file


class _Tar:
    """A file as `tarfile` sees it, who reads a header at once, however long it claims to be."""

    def __init__(self, file: IO[bytes]) -> None:
        self.tell, self.seek, self._read = file.tell, file.seek, file.read

    def read(self, size: int) -> bytes:
        if size > MOST_PICKLE_BYTES:
            raise TooLarge(f"a header of {size:,} bytes")
        return self._read(size)


def _check_zip(path: Path, file: IO[bytes]) -> None:
    """Refuse a zip archive that `torch.save` did not write, or did not finish, or that unfolds to too much."""
    size = file.seek(0, os.SEEK_END)
    try:
        _check_directory(path, file, size)
        file.seek(0)
        reader = torch._C.PyTorchFileReader(file)
    except CheckpointError:
        raise
    except Exception as error:  # torch raises what its archive code, or the seek before it, happens to raise
        file.seek(0)
        if zipfile.is_zipfile(file):
            raise CheckpointError(
                f"{path} is a zip archive that torch.save did not write{_inside(file)}: {_REMEDY}"
            ) from error
        raise CheckpointError(f"{path} is cut short or damaged: copy or download it again") from error
    if reader.has_record("constants.pkl"):
        raise CheckpointError(f"{path} is a TorchScript export: use the .pt that it was exported from")
    if not reader.has_record("data.pkl"):
        raise CheckpointError(f"{path} is a zip archive that torch.save did not write (without data.pkl): {_REMEDY}")


def _inside(file: IO[bytes]) -> str:
    """` (with a, b, c)`, the first files in an archive, where its directory can be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            return f" (with {clean(', '.join(archive.namelist()[:3]))})"
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return ""


def _check_directory(path: Path, file: IO[bytes], size: int) -> None:
    """Refuse an archive that unfolds to more than a checkpoint may, by what its directory says; nothing is unfolded."""
    length = _directory_length(file, size)
    if length > MOST_DIRECTORY_BYTES:
        raise CheckpointError(
            f"{path} has a directory of {length:,} bytes, of which at most {MOST_DIRECTORY_BYTES:,} are read: {_REMEDY}"
        )
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
    if len(records) > MOST_RECORDS:
        raise CheckpointError(
            f"{path} has {len(records):,} records, and a checkpoint has at most {MOST_RECORDS:,}: {_REMEDY}"
        )
    for record in records:
        if record.filename.lower().endswith("data.pkl") and record.file_size > MOST_PICKLE_BYTES:  # as torch finds it
            raise CheckpointError(
                f"{path} has a pickle of {record.file_size:,} bytes, of which at most {MOST_PICKLE_BYTES:,} are read: "
                f"{_REMEDY}"
            )
    unfolded = sum(record.file_size for record in records)
    if unfolded > most_unfolded_bytes(size):
        raise CheckpointError(
            f"{path} has {size:,} bytes and unfolds to {unfolded:,}, as none does that torch.save wrote: {_REMEDY}"
        )


def _directory_length(file: IO[bytes], size: int) -> int:
    """The bytes of a zip archive's directory, which has to lie where its end says, right before that end.

    Python's reader looks for a directory that lies elsewhere, torch's does not: each would see another archive.

    Raises:
        ValueError: it does not, or the file does not end as an archive without a comment does.
    """
    file.seek(max(0, size - 98))
    tail = file.read()
    end = len(tail) - 22
    if end < 0 or tail[end : end + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
        raise ValueError("no end of a directory at the end of the file")
    length, offset = struct.unpack_from("<II", tail, end + 12)
    start = size - 22
    if tail[end - 20 : end - 16] == b"PK\x06\x07" and end >= 76:  # the end of large archives lies before the usual one
        if tail[end - 76 : end - 72] != b"PK\x06\x06":
            raise ValueError("no end of a large archive's directory where it belongs")
        length, offset = struct.unpack_from("<QQ", tail, end - 76 + 40)
        start = size - 98
    if offset + length != start:
        raise ValueError("a directory that lies elsewhere")
    return int(length)


def _description(path: Path, head: bytes) -> str:
    known = [what for start, what in _SIGNATURES if head.startswith(start)]
    if known:
        return known[0]
    if head[:1] == b"\x08" and head[2:3] == b"\x12":
        return "an ONNX model: use the .pt that it was exported from"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < os.path.getsize(path):
        return "a safetensors file: load its tensors and torch.save them as a state dict"
    if not _is_text(head):
        return "a file of another kind"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page: the download gave a page instead of the file"
    return "a text file"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8")
        if len(head) < _HEAD or error.start < len(head) - 4:  # a character may be cut in two at the end of the head
            return False
    return "\x00" not in text
