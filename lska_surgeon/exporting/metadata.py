"""What an exported file says of itself, read without its runtime, and without parsing its network.

Ultralytics keeps it as text: in an ONNX file as entries of `metadata_props`, in a TorchScript archive as JSON, before
a TensorRT engine as JSON, in an MNN file as JSON in its `bizCode`, and in folders as `metadata.yaml`. Assumed hostile:
every byte. What is read is bounded.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Any

from ..core.surgery import RECORD
from ..errors import SurgeonError
from ..files import open_to_read
from ..modelfile.text import value_of
from ..modelfile.typed_yaml import UnusableYaml, read_mapping
from ..reports import Report, Result
from ..wording import few, printable
from ..yolo.exported import COREML, Runtime

#: The key of our record among what Ultralytics keeps.
KEY = "lska_surgeon"
_MOST_BYTES = 2**24  # of what a file says of itself
_MOST_FIELDS = 10_000
_METADATA_PROPS = 14  # of ONNX's ModelProto
_SHOWN = ("description", "task", "imgsz", "batch", "stride", "args", "version", "date")


class DamagedExportError(SurgeonError):
    """A file that is no export, or that is damaged."""


@dataclass(frozen=True, eq=False, repr=False)
class ExportedFile(Result):
    """What an exported file says of itself.

    Attributes:
        path: the file or folder.
        runtime: what runs it.
        metadata: what Ultralytics wrote, by key.
        record: ours: the checkpoint that it comes from, what was folded, and the record of its graft; empty without.
    """

    path: Path
    runtime: str
    metadata: Mapping[str, Any]
    record: Mapping[str, Any]

    @property
    def surgery(self) -> dict[str, Any] | None:
        """The record of the graft; None without one."""
        surgery: dict[str, Any] | None = self.record.get(RECORD)
        return surgery

    def report(self) -> Report:
        """What it says, and the record of its surgery."""
        from ..checkpoints.contents import surgery_in_words  # here, for it imports torch

        told = {key: self.metadata[key] for key in _SHOWN if key in self.metadata}
        folds = self.record.get("folds")
        told |= {key: self.record[key] for key in ("source", "sha256") if key in self.record}
        told |= {"folds": few([str(fold) for fold in folds])} if isinstance(folds, list) and folds else {}
        lines = {"file": str(self.path), "runtime": self.runtime, **told}
        text = [f"{key:<12} {printable(str(value))}" for key, value in lines.items()]
        data = {"schema": self.schema, **lines, "folds": folds or [], "surgery": self.surgery}
        text.append(f"{'surgery':<12} {surgery_in_words(self.surgery)}")
        return Report(f"{self.path}: exported for {self.runtime}", ("\n".join(text),), data=data)


def read_export(path: Path, runtime: Runtime) -> ExportedFile:
    """Read what an exported file or folder, which is for a runtime by its name, says of itself.

    Raises:
        DamagedExportError: it can't be read, or is damaged.
        SurgeonError: nothing here reads such files.
    """
    if runtime is COREML:
        raise SurgeonError(f"what exports for {runtime.name} say of themselves is not read here: {path}")
    try:
        metadata = _READERS.get(runtime.name, _in_folder)(path)
    except OSError as error:
        raise DamagedExportError(f"can't read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError) as error:
        exports = f"Ultralytics' exports for {runtime.name}"
        raise DamagedExportError(
            f"{path} says nothing of itself as {exports} do: it is damaged, or none of them"
        ) from error
    return ExportedFile(path, runtime.name, metadata, _record(metadata.get(KEY)))


def _record(text: Any) -> dict[str, Any]:
    """Our record; nothing where it is none that we write."""
    from ..checkpoints.contents import is_record  # here, for it imports torch

    try:
        record = json.loads(text) if isinstance(text, str) else None
        return record if isinstance(record, dict) and is_record(record.get(RECORD)) else {}
    except (ValueError, RecursionError):
        return {}


def _in_folder(path: Path) -> dict[str, Any]:
    file = path / "metadata.yaml"
    if not path.is_dir() or not os.path.lexists(file):
        raise ValueError("no folder, or no metadata in it")
    try:
        return {str(key): value for key, value in value_of(read_mapping(file)).items()}
    except (UnusableYaml, SurgeonError) as error:
        raise ValueError(str(error)) from error


def _in_onnx(path: Path) -> dict[str, Any]:
    """The entries of `metadata_props`; all else is passed over unread."""
    told = {}
    with open_to_read(path) as file:
        for start, size in list(_fields(file, os.fstat(file.fileno()).st_size, _METADATA_PROPS)):
            file.seek(start)
            entry = _entry(_bounded(file, size))
            told[entry.get(1, "")] = entry.get(2, "")
    if not told:
        raise ValueError("no metadata")
    return told


def _fields(file: IO[bytes], end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Where the fields of one number lie in a message of protobuf, and how long they are."""
    for _ in range(_MOST_FIELDS):
        if file.tell() >= end:
            return
        tag = _varint(file)
        if tag & 7 == 0:
            _varint(file)
            continue
        size = {1: 8, 5: 4}.get(tag & 7)
        if tag & 7 == 2:
            size = _varint(file)
        if size is None or file.tell() + size > end:
            raise ValueError("no protobuf")
        if tag >> 3 == wanted:
            yield file.tell(), size
        file.seek(size, os.SEEK_CUR)
    raise ValueError("too many fields")


def _varint(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no number")


def _entry(content: bytes) -> dict[int, str]:
    """The texts in a message, by the number of their field."""
    file, told = io.BytesIO(content), {}
    for number in (1, 2):
        file.seek(0)
        for start, size in list(_fields(file, len(content), number)):
            told[number] = content[start : start + size].decode("utf-8", errors="replace")
    return told


def _in_torchscript(path: Path) -> dict[str, Any]:
    with open_to_read(path) as file, zipfile.ZipFile(file) as archive:
        name = next((one for one in archive.namelist() if one.endswith("extra/config.txt")), None)
        if name is None:
            raise ValueError("no metadata")
        with archive.open(name) as entry:
            return _json(_bounded(entry, _MOST_BYTES))


def _in_engine(path: Path) -> dict[str, Any]:
    with open_to_read(path) as file:
        return _json(_bounded(file, int.from_bytes(file.read(4), "little")))


def _in_mnn(path: Path) -> dict[str, Any]:
    """The text of JSON that Ultralytics hands over; in a flatbuffer its length stands before it."""
    start = b'{"description": '
    with open_to_read(path) as file:
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            begin = content.find(start)
        if begin < 4:
            raise ValueError("no metadata")
        file.seek(begin - 4)
        return _json(_bounded(file, int.from_bytes(file.read(4), "little")))


def _bounded(file: IO[bytes], size: int) -> bytes:
    """So many bytes from here on."""
    content = file.read(min(size, _MOST_BYTES) + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError("too long")
    return content[:size]


def _json(content: bytes) -> dict[str, Any]:
    told = json.loads(content)
    if not isinstance(told, dict):
        raise ValueError("no metadata")
    return told


_READERS = {"onnx": _in_onnx, "torchscript": _in_torchscript, "tensorrt": _in_engine, "mnn": _in_mnn}
