"""Checkpoints made to use up memory or time: refused by what they say of themselves, before anything is unfolded."""

from __future__ import annotations

import io
import pickletools
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from support import shapes
from support.hostile import write_zip

from lska_surgeon.checkpoints import container, pickle_scan
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


def many_steps(path: Path) -> Path:
    """A small pickle, stored as it is, of seven million steps: what is put on the stack is taken off again."""
    return write_zip(path, b"\x80\x02" + b"N0" * 3_500_000 + b"N.")


def deep(path: Path) -> Path:
    """Tuples in tuples, 100,000 deep."""
    return write_zip(path, b"\x80\x02N" + b"\x85" * 100_000 + b".")


BOMBS = {
    large_pickle: "has a pickle of 40,000,008 bytes, of which at most 16,777,216 are read",
    many_records: "records, and a checkpoint has at most 100,000",
    large_tensors: "and unfolds to 300,000,",
    many_steps: "holds a pickle of more than 6,000,000 steps, more than any checkpoint: nothing of it was run",
    deep: "holds a pickle whose content is nested 1,000 levels deep",
}


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_is_refused_in_one_line(bomb, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = bomb(tmp_path / "bomb.pt")
    start = time.process_time()
    for read in (read_checkpoint, globals_of):
        with pytest.raises(CheckpointError) as refused:
            read(path)
        assert BOMBS[bomb] in str(refused.value)
        assert "\n" not in str(refused.value)
    assert time.process_time() - start < 20


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
    """Bounds are on what is read before torch loads anything: 500 MB of tensors are no matter."""
    path = tmp_path / "large.pt"
    torch.serialization.save({f"layer{n}.weight": torch.zeros(25_000_000) for n in range(5)}, path)
    assert path.stat().st_size > 499_000_000
    assert len(read_checkpoint(path).state_dict) == 5


def test_the_largest_stock_model_is_far_below_every_bound() -> None:
    """YOLOv9e with its optimizer and a copy of it has the largest pickle of all stock models."""
    tasks = import_offline()
    layers = layers_of(tasks.yaml_model_load("yolov9e.yaml"), "yolov9e", device="cpu")
    layers.half()
    content = io.BytesIO()
    torch.serialization.save({"model": layers}, content)
    with zipfile.ZipFile(content) as archive:
        found = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
        records = len(archive.namelist())
    assert 20 * len(found) < container.MOST_PICKLE_BYTES
    assert 20 * records < container.MOST_RECORDS
    steps = [opcode.name for opcode, _, _ in pickletools.genops(found)]
    assert 20 * len(steps) < pickle_scan.MOST_OPCODES
    assert 20 * sum("PUT" in name for name in steps) < pickle_scan.MOST_MEMO


def test_pickles_of_tar_files_are_bounded_too(tmp_path: Path) -> None:
    content = b"\x80\x02]q\x00(" + b"N" * (container.MOST_PICKLE_BYTES + 10) + b"e."
    with tarfile.open(tmp_path / "old.pt", "w") as archive:
        record = tarfile.TarInfo("pickle")
        record.size = len(content)
        archive.addfile(record, io.BytesIO(content))
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "old.pt")
