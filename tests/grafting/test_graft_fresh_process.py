"""Grafts in fresh processes that were told nothing of this package: training, resuming, multi-GPU start files."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from support.light import plain_environment
from support.shapes import QUICK, graft, surgeon, write_checkpoint, write_data, write_network

from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.declarations.find import VARIABLE
from lska_surgeon.nn import named_operators

TRAIN = """
import sys
from ultralytics import YOLO
assert not any(name.startswith("lska_surgeon") for name in sys.modules)
def stop(trainer):
    if trainer.epoch:
        raise KeyboardInterrupt
network = YOLO(sys.argv[1])
network.add_callback("on_train_epoch_start", stop)
try:
    network.train(data=sys.argv[2], epochs=2, imgsz=64, batch=2, device="cpu", plots=False, project=sys.argv[3])
except KeyboardInterrupt:
    sys.exit()
sys.exit("it was not interrupted")
"""
RESUME = """
import sys
from ultralytics import YOLO
YOLO(sys.argv[1]).train(resume=True)
"""
#: Writes the start file that Ultralytics would run on every GPU, in place of training.
GENERATE = """
import sys
from ultralytics.engine import trainer as engine
from ultralytics.utils.dist import generate_ddp_file
def write(trainer):
    print("START FILE", generate_ddp_file(trainer), file=sys.__stdout__, flush=True)
    raise SystemExit
engine.BaseTrainer.train = write
"""
PLAIN = (
    GENERATE
    + """
from ultralytics import YOLO
key_value = dict(word.split("=") for word in sys.argv[2:])
typed = {key: int(value) if value.isdigit() else value for key, value in key_value.items()}
YOLO(sys.argv[1]).train(**{**typed, "plots": False})
"""
)
OURS = (
    GENERATE
    + """
from lska_surgeon.cli.main import main
main(["train", *sys.argv[1:]])
"""
)
RUN_START = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
#: Runs a start file as one of several processes, with gloo on the CPU where Ultralytics has nccl on GPUs.
WORKER = """
import os, runpy, sys
import torch.distributed as dist
from torch import nn
from ultralytics.engine import trainer as engine
dist.init_process_group("gloo")
size = dist.get_world_size()
def on_all(function, **without):
    return lambda *args, **kwargs: function(*args, **{k: v for k, v in kwargs.items() if k not in without})
parallel = nn.parallel.DistributedDataParallel
parallel.__init__ = on_all(parallel.__init__, device_ids=0)
dist.barrier = on_all(dist.barrier, device_ids=0)
broadcast = dist.broadcast
def broadcast_numbers(tensor, *args, **kwargs):
    if str(tensor.dtype) != "torch.bool":  # gloo has none
        broadcast(tensor, *args, **kwargs)
dist.broadcast = broadcast_numbers
trainer = engine.BaseTrainer
trainer._setup_ddp = lambda self, *args: None
do_train = trainer._do_train
if do_train.__code__.co_argcount == 1:
    trainer.world_size = property(lambda self: size, lambda self, value: None)
else:
    trainer._do_train = lambda self, world_size: do_train(self, size)
trainer.final_eval = lambda self: None  # asks for a GPU where there are several processes
last_step = trainer.optimizer_step
def step(self):
    last_step(self)
    total = sum(float(p.detach().abs().sum()) for p in self.model.parameters())
    totals = [None] * size
    dist.all_gather_object(totals, total)
    assert len(set(totals)) == 1, totals
    print("STEP IN COMMON", size)
trainer.optimizer_step = step
runpy.run_path(sys.argv[1], run_name="__main__")
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fresh")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    return write_data(folder / "data")


@pytest.fixture(scope="module")
def grafted(folder: Path) -> Path:
    return graft(write_checkpoint(folder), "neck", "residual", "sppf-inner")


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != VARIABLE}
    offline = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(folder / "config")}
    return {**kept, **offline, "OMP_NUM_THREADS": "1"}


def python(folder: Path, *words: object, code: int = 0, variables: Mapping[str, str] | None = None) -> str:
    """Run Python in a fresh process; what it printed, errors too."""
    (folder / "config").mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**environment(folder), **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout[-3000:]
    return done.stdout


def run(code: str, *words: object, folder: Path, variables: Mapping[str, str] | None = None) -> str:
    """Run code in a fresh process."""
    return python(folder, "-c", code, *words, variables=variables)


def train_in_step(start: Path, folder: Path, **left: str) -> None:
    """Run a start file as two processes, with what the command that started them has left in the environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(start)],
            cwd=folder,
            env={**environment(folder), **left, **place, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        said = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n\n".join(text[-3000:] for text in said)
    assert all("STEP IN COMMON 2" in text for text in said)


def operators_in(path: Path) -> int:
    return len(list(named_operators(read_checkpoint(path).model)))


@pytest.mark.slow
def test_graft_trains_and_resumes_without_an_import_of_ours(grafted: Path, data: Path, tmp_path: Path) -> None:
    run(TRAIN, grafted, data, tmp_path / "out", folder=tmp_path)
    (last,) = tmp_path.rglob("last.pt")
    interrupted = read_checkpoint(last)
    assert interrupted.data["optimizer"] is not None
    run(RESUME, last, folder=tmp_path)
    end = read_checkpoint(last)
    assert end.data["optimizer"] is None
    assert len((last.parents[1] / "results.csv").read_text().splitlines()) == 3
    assert operators_in(last) == operators_in(grafted) == 5
    before, after = interrupted.state_dict, end.state_dict
    assert not all(torch.equal(before[name], after[name]) for name in before)


def start_file(code: str, model: Path, data: Path, folder: Path, variables: Mapping[str, str] | None = None) -> Path:
    """The start file that Ultralytics writes for a training of `model`."""
    words = [word for word in QUICK if not word.startswith(("plots", "workers"))]
    out = run(code, model, f"data={data}", *words, f"project={folder / 'out'}", folder=folder, variables=variables)
    (line,) = (line for line in out.splitlines() if line.startswith("START FILE"))
    return Path(line.split(maxsplit=2)[2])


@pytest.fixture(scope="module")
def start_of_graft(grafted: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder, and in it the start file of a graft, written by Ultralytics alone."""
    folder = tmp_path_factory.mktemp("start")
    return folder, start_file(PLAIN, grafted, data, folder)


def trained_in(folder: Path) -> Path:
    """The one checkpoint that a start file has left, taken away for the next."""
    (last,) = (folder / "out").rglob("last.pt")
    taken = last.replace(folder / "taken.pt")
    shutil.rmtree(folder / "out")
    return taken


@pytest.mark.slow
def test_start_file_of_a_graft_trains_it(start_of_graft: tuple[Path, Path]) -> None:
    folder, start = start_of_graft
    run(RUN_START, start, folder=folder)
    assert operators_in(trained_in(folder)) == 5


@pytest.mark.slow
def test_start_file_of_a_variant_trains_it_after_a_plain_install(data: Path, tmp_path: Path) -> None:
    """No extra is needed for several GPUs, neither to begin nor in each process."""
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    plain = plain_environment(tmp_path / "plain", project["dependencies"])
    variant = tmp_path / "variant.yaml"
    made = surgeon("insert", write_network(tmp_path), "--at", "neck", "--at", "residual", "-o", variant)
    assert made.exit_code == 0, made.output
    start = start_file(OURS, variant, data, tmp_path, plain)
    run(RUN_START, start, folder=tmp_path, variables=plain)
    assert operators_in(trained_in(tmp_path)) == 4


def test_two_processes_train_a_graft_in_step(start_of_graft: tuple[Path, Path]) -> None:
    folder, start = start_of_graft
    train_in_step(start, folder)
    assert operators_in(trained_in(folder)) == 5
