"""Pickles put together by hand, and files that carry them; for the tests alone."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path


def text(value: str) -> bytes:
    """A string on the stack."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(full: str) -> bytes:
    """A global on the stack."""
    module, _, attribute = full.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *args: bytes) -> bytes:
    """The result of a call on the stack."""
    return function + b"(" + b"".join(args) + b"tR"


def create(cls: bytes, *args: bytes) -> bytes:
    """An object made by its class's `__new__`."""
    return cls + b"(" + b"".join(args) + b"t\x81"


def mapping(**items: bytes) -> bytes:
    """A dictionary on the stack."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def build(instance: bytes, state: bytes) -> bytes:
    """An object with its state set."""
    return instance + state + b"b"


def pickle_of(body: bytes, start: bytes = b"\x80\x02") -> bytes:
    return start + body + b"."


def tensor() -> bytes:
    """A tensor of one number, whose bytes `write_zip` adds."""
    storage = b"(" + text("storage") + name("torch.HalfStorage") + text("0") + text("cpu") + b"K\x01tQ"
    hooks = call(name("collections.OrderedDict"))
    return call(name("torch._utils._rebuild_tensor_v2"), storage, b"K\x00", b"(K\x01t", b"(K\x01t", b"\x89", hooks)


def write_zip(path: Path, *pickles: bytes) -> Path:
    """A file as `torch.save` lays it out; several pickles of the same name, when more than one is given."""
    with zipfile.ZipFile(path, "w") as archive:
        for data in pickles:
            archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/data/0", struct.pack("<e", 1))
        archive.writestr("archive/version", b"3\n")
    return path


def write_tar(path: Path, data: bytes) -> Path:
    """The oldest format of torch."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for member, content in (("sys_info", pickle_of(b"}")), ("pickle", data), ("storages", pickle_of(b"K\x00"))):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path
