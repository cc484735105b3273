"""Checkpoints made to use up memory or time: refused by what they say of themselves, before anything is unfolded."""

from __future__ import annotations

import io
import pickletools
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from support import shapes
from support.hostile import build, call, create, mapping, name, pickle_of, tensor, text, write_zip

from lska_surgeon.checkpoints import container, pickle_audit
from lska_surgeon.checkpoints.checkpoint import globals_of, read_checkpoint
from lska_surgeon.cli.main import main
from lska_surgeon.errors import CheckpointError
from lska_surgeon.yolo.build import layers_of
from lska_surgeon.yolo.environment import import_offline

COMMANDS = (
    "inspect {}", "graft {} --at neck -o out.pt", "ungraft {} -o out.pt", "flops {}", "train {} data=data.yaml epochs=1"
)  # fmt: skip


def packed(path: Path, records: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip archive as torch lays it out, compressed."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in {"version": b"3\n", "byteorder": b"little", **records}.items():
            archive.writestr(f"archive/{name}", content)
    return path


def large_pickle(path: Path) -> Path:
    """40 kB that unfold to a pickle of 40 MB: a list of Nones."""
    return packed(path, {"data.pkl": b"\x80\x02]q\x00(" + b"N" * 40_000_000 + b"e."})


def many_records(path: Path) -> Path:
    """More records than any checkpoint."""
    return packed(path, {"data.pkl": b"\x80\x02N.", **{f"data/{n}": b"" for n in range(100_001)}}, zipfile.ZIP_STORED)


def large_tensors(path: Path) -> Path:
    """300 MB of zeros in 300 kB."""
    return packed(path, {"data.pkl": b"\x80\x02N.", "data/0": bytes(300_000_000)})


def hidden_pickle(path: Path) -> Path:
    """As `large_pickle`, under a name that torch finds as well."""
    return packed(path, {"DATA.PKL": b"\x80\x02]q\x00(" + b"N" * 40_000_000 + b"e."})


def second_directory(path: Path) -> Path:
    """Two archives in one file: Python's reader sees the small one, and torch's the one that unfolds to 40 MB."""
    evil, good = (
        packed(path, {"data.pkl": content}).read_bytes()
        for content in (b"\x80\x02]q\x00(" + b"N" * 40_000_000 + b"e.", pickle_of(b"N"))
    )
    (evil_end, evil_start), (good_end, good_start) = (
        (data.rindex(b"PK\5\6"), struct.unpack_from("<I", data, data.rindex(b"PK\5\6") + 16)[0])
        for data in (evil, good)
    )
    # Python takes the directory that lies before the end, and corrects every place by how far it was moved.
    end = bytearray(good[good_end:])
    end[16:20] = struct.pack("<I", evil_start)
    assert good_end - good_start == evil_end - evil_start
    path.write_bytes(evil[:evil_end] + good[:good_end] + bytes(end))
    with zipfile.ZipFile(path) as archive:
        assert sum(record.file_size for record in archive.infolist()) < 100
    return path


def many_steps(path: Path) -> Path:
    """A small pickle, stored as it is, of twelve million steps: what is put on the stack is taken off again."""
    return write_zip(path, b"\x80\x02" + b"N0" * 6_100_000 + b"N.")


def steps_in_a_frame(path: Path) -> Path:
    """Protocol 4 puts many opcodes into one read."""
    return write_zip(path, b"\x80\x04\x95" + struct.pack("<Q", 5_000_002) + b"(" + b"]" * 5_000_000 + b"l.")


def many_names(path: Path) -> Path:
    """Globals that nobody has heard of, each of which is looked up."""
    return write_zip(path, pickle_of(b"(" + b"".join(b"ca\n%x\n" % number for number in range(100_000)) + b"l"))


def deep(path: Path) -> Path:
    """Tuples in tuples, 100,000 deep."""
    return write_zip(path, b"\x80\x02N" + b"\x85" * 100_000 + b".")


def copies_of_a_list(path: Path) -> Path:
    """A list of 100,000 numbers, and 30,000 calls that each copy it."""
    large = b"](" + b"K\x01" * 100_000 + b"e"
    copy = b"h\x00h\x01\x85R"
    return write_zip(path, pickle_of(name("__builtin__.set") + b"q\x000" + large + b"q\x010](" + copy * 30_000 + b"e"))


def copies_of_a_state(path: Path) -> Path:
    """60,000 attributes, set on 30,000 layers."""
    state = mapping(**{f"a{number}": b"N" for number in range(60_000)})
    layer = name("torch.nn.modules.linear.Identity")
    return write_zip(path, pickle_of(layer + b"q\x000" + state + b"q\x010](" + b"h\x00)\x81h\x01b" * 30_000 + b"e"))


def copies_of_a_text(path: Path) -> Path:
    """A text of ten million letters, named by 3,000 wrong calls that a message would show."""
    calls = name("torch.Size") + b"q\x010](" + b"h\x01h\x00\x85\x81" * 3_000 + b"e"
    return write_zip(path, pickle_of(text("x" * 10_000_000) + b"q\x000" + calls))


def doubled(start: bytes, times: int = 60) -> bytes:
    """(x, x), and a pair of that, and so on."""
    return start + b"q\x05h\x05\x86" * times


def hashed_for_ever(path: Path) -> Path:
    """A key whose hash goes through 2^60 tuples."""
    return write_zip(path, pickle_of(b"}" + doubled(b"N\x85") + b"Ns"))


def hashed_often(path: Path) -> Path:
    """A key of a million entries, hashed 100,000 times."""
    return write_zip(path, pickle_of(doubled(b"N\x85", 18) + b"q\x000}(" + b"h\x00N" * 100_000 + b"u"))


def unfolding(path: Path) -> Path:
    """Lists of lists that name each other twice, as a model's YAML: whoever reads it through does so for ever."""
    yaml = b"]" + b"".join(b"q%c0](h%ch%ce" % (level, level, level) for level in range(60))
    return write_zip(path, pickle_of(mapping(state_dict=mapping(w=tensor()), yaml=yaml)))


def endless(path: Path) -> Path:
    """A list that holds itself."""
    return write_zip(path, pickle_of(mapping(state_dict=mapping(w=tensor()), yaml=b"]q\x01h\x01a")))


def repeated_elements(path: Path) -> Path:
    """A tensor of 10^11 elements that are all the same one in the file; as float32 it takes 400 GB."""
    storage = b"(" + text("storage") + name("torch.HalfStorage") + text("0") + text("cpu") + b"K\x01tQ"
    shape, strides = b"(\x8a\x08" + struct.pack("<q", 10**11) + b"t", b"(K\x00t"
    hooks = call(name("collections.OrderedDict"))
    large = call(name("torch._utils._rebuild_tensor_v2"), storage, b"K\x00", shape, strides, b"\x89", hooks)
    layer = build(create(name("torch.nn.modules.linear.Identity")), mapping(weight=large))
    return write_zip(path, pickle_of(mapping(state_dict=mapping(w=tensor()), more=layer)))


def memo_far_away(path: Path) -> Path:
    """An entry of the memo before which Python's own unpickler makes room for four thousand million others."""
    return write_zip(path, pickle_of(b"Nr\xff\xff\xff\x7f"))


def large_text_of_old(path: Path) -> Path:
    """In the format before torch 1.6: a text that claims, and has, 1.5 GB."""
    torch.serialization.save({}, path, _use_new_zipfile_serialization=False)
    start = path.read_bytes().replace(b"\x80\x02}q\x00.", b"\x80\x02T" + struct.pack("<i", 1_500_000_000))
    path.write_bytes(start)
    with path.open("ab") as file:
        file.truncate(1_600_000_000)  # a hole: it takes no room on the disk
    return path


def large_line(path: Path) -> Path:
    """A plain pickle whose first name is 1.5 GB long."""
    path.write_bytes(b"\x80\x02cos\n")
    with path.open("ab") as file:
        file.truncate(1_500_000_000)
    return path


def many_members(path: Path) -> Path:
    """A tar file of as many small pickles as it has room for."""
    with tarfile.open(path, "w") as archive:
        for number in range(5_000):
            member = tarfile.TarInfo(str(number))
            member.size = 5
            archive.addfile(member, io.BytesIO(b"\x80\x02}].".ljust(5)))
    return path


def large_header(path: Path) -> Path:
    """A tar file whose first name is 1.5 GB long."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1_500_000_000
    path.write_bytes(member.tobuf(tarfile.USTAR_FORMAT))
    with path.open("ab") as file:
        file.truncate(1_600_000_000)
    return path


_STEPS = "holds a pickle of more than 12,000,000 steps, more than any checkpoint: nothing of it was run"
_BYTES = "holds a pickle of more than 33,554,432 bytes"
BOMBS = {
    large_pickle: "has a pickle of 40,000,008 bytes, of which at most 33,554,432 are read",
    hidden_pickle: "has a pickle of 40,000,008 bytes, of which at most 33,554,432 are read",
    second_directory: "is a zip archive that torch.save did not write",
    many_records: "records, and a checkpoint has at most 100,000",
    large_tensors: "and unfolds to 300,000,",
    many_steps: _STEPS,
    steps_in_a_frame: _STEPS,
    many_names: _STEPS,
    copies_of_a_list: _STEPS,
    copies_of_a_state: _STEPS,
    copies_of_a_text: _STEPS,
    hashed_often: _STEPS,
    hashed_for_ever: "holds a pickle whose tuples unfold to more than 1,000,000 entries",
    unfolding: "holds a pickle whose content unfolds to more than 1,000,000 entries",
    endless: "holds a pickle whose content contains itself",
    repeated_elements: "holds tensors of more than 67,108,864 elements, for which the file has no room",
    memo_far_away: "holds a pickle with more than 12,000,000 entries in its memo",
    deep: "holds a pickle whose content is nested 200 levels deep",
    large_text_of_old: _BYTES,
    large_line: _BYTES,
    many_members: "holds more than 100 files in one",
    large_header: "holds a header of 1,500,000,256 bytes",
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_is_refused_in_one_line(bomb: Callable[[Path], Path], tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.pt")
    start = time.process_time()
    with pytest.raises(CheckpointError) as refused:
        read_checkpoint(path)
    assert time.process_time() - start < 120  # bounded, also on a core that others share
    assert str(refused.value).startswith(f"{path} ")
    assert BOMBS[bomb] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_asking_for_its_names_alone_is_no_way_around(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="more than any checkpoint"):
        globals_of(deep(tmp_path / "bomb.pt"))


@pytest.mark.parametrize("trust", [[], ["--trust"]], ids=["", "trust"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_it(
    command: str, trust: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    large_pickle(tmp_path / "bomb.pt")
    shapes.write_data(tmp_path)
    result = CliRunner().invoke(main, [*command.format("bomb.pt").split(), *trust])
    assert result.exit_code == 2
    assert "has a pickle of 40,000,008 bytes" in result.output
    assert not Path("out.pt").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource")
def test_a_bomb_costs_little_memory(tmp_path: Path) -> None:
    """Before, the 40 kB below took a gigabyte."""
    large_pickle(tmp_path / "bomb.pt")
    code = (
        "import resource, sys\nfrom lska_surgeon.yolo.environment import import_offline\nimport_offline()\n"
        "from lska_surgeon.checkpoints.checkpoint import read_checkpoint\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_checkpoint(sys.argv[1])\nexcept Exception as error: print(type(error).__name__)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "bomb.pt")], capture_output=True, text=True, check=True
    )
    name, kilobytes = done.stdout.split()[-2:]
    assert name == "CheckpointError"
    assert int(kilobytes) < 60_000


def test_a_large_real_checkpoint_passes(tmp_path: Path) -> None:
    """Bounds are on what is read before torch loads anything: tensors that are in the file are no matter."""
    path = tmp_path / "large.pt"
    torch.serialization.save({f"layer{n}.weight": torch.zeros(14_000_000).half() for n in range(5)}, path)
    assert path.stat().st_size > 2 * container.UNFOLDS_ANYWAY
    assert len(read_checkpoint(path).state_dict) == 5


def test_the_largest_stock_model_is_far_below_every_bound() -> None:
    """YOLOv9e has the largest pickle of all stock models."""
    tasks = import_offline()
    layers = layers_of(tasks.yaml_model_load("yolov9e.yaml"), "yolov9e", device="cpu")
    layers.half()
    content = io.BytesIO()
    torch.serialization.save({"model": layers}, content)
    with zipfile.ZipFile(content) as archive:
        found = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
        records = len(archive.namelist())
    assert 20 * len(found) < pickle_audit.MOST_PICKLE_BYTES
    assert 20 * records < container.MOST_RECORDS
    costs = [pickle_audit._COSTS.get(ord(opcode.code), 1) for opcode, _, _ in pickletools.genops(found)]
    assert len(costs) > 100_000
    assert 20 * (sum(costs) + 100 * pickle_audit._NAME_COSTS) < pickle_audit.MOST_STEPS


def test_pickles_of_tar_files_are_bounded_too(tmp_path: Path) -> None:
    size = pickle_audit.MOST_PICKLE_BYTES + 10
    content = b"\x80\x02T" + struct.pack("<i", size) + b"x" * size + b"."
    with tarfile.open(tmp_path / "old.pt", "w") as archive:
        record = tarfile.TarInfo("pickle")
        record.size = len(content)
        archive.addfile(record, io.BytesIO(content))
    with pytest.raises(CheckpointError, match="more than any checkpoint"):
        read_checkpoint(tmp_path / "old.pt")
