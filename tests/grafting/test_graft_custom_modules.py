"""A project with six blocks of its own, from the checkpoint to the export, each step in a process of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from grafting.test_graft_fresh_process import OURS, python, train_in_step
from support.custom import using
from support.shapes import QUICK, write_data

import lska_surgeon as ls
from lska_surgeon.core.blocks import Declarations
from lska_surgeon.declarations.find import VARIABLE, read_declarations
from lska_surgeon.yolo.build import build

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
MAKE = """
import sys, torch
from lska_surgeon.declarations.find import building_with, find_blocks
from lska_surgeon.yolo.build import build
with building_with(find_blocks()):
    torch.manual_seed(0)
    model = build("yolov8n-own.yaml").train()
    model(torch.rand(4, 3, 64, 64))
    model.names = {0: "a", 1: "b", 2: "c"}
    data = {"epoch": -1, "model": model.eval().half(), "ema": None, "optimizer": None, "train_args": {"imgsz": 64}}
    torch.serialization.save(data, "best.pt")
"""
#: Holds an exported network against the one that it came from.
ONNX = """
import sys, torch
try:
    import onnxruntime
except ModuleNotFoundError:
    sys.exit()
import lska_surgeon
from ultralytics import YOLO
lska_surgeon.register()
image = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    expected = YOLO(sys.argv[1]).model.float().eval()(image)[0]
session = onnxruntime.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
(found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
difference = float((torch.from_numpy(found) - expected).abs().max())
assert difference < 1e-3, difference
"""


def surgeon(folder: Path, *words: object, code: int = 0) -> str:
    return python(folder, "-m", "lska_surgeon", *words, code=code)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with a trained checkpoint and images."""
    folder = tmp_path_factory.mktemp("projects") / "own"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "config").mkdir()
    python(folder, "-c", MAKE)
    data = write_data(folder / "data")
    data.write_text(data.read_text().replace("[square, circle]", "[a, b, c]"))
    return folder


@pytest.mark.slow
def test_every_command_on_a_project(project: Path) -> None:
    assert "best.pt" in surgeon(project, "flops", "best.pt", "yolov8n-own.yaml", "--imgsz", 64)
    assert "no errors" in surgeon(project, "check", "--build", "yolov8n-own.yaml")
    assert "globals, all on the allow-list" in surgeon(project, "inspect", "best.pt")
    said = surgeon(project, "graft", "best.pt", "--at", "neck", "--at", "residual", "--k", 7, "-o", "grafted.pt")
    assert [said.count(f"Note: importing {module}, as ") for module in ("my_blocks", "nets.sampling")] == [1, 1]
    surgeon(project, "ungraft", "grafted.pt", "-o", "back.pt")
    compare = (
        "import torch, my_blocks, lska_surgeon.nn\n"
        "one, other = (torch.load(p, weights_only=False)['model'].state_dict() for p in ('best.pt', 'back.pt'))\n"
        "assert list(one) == list(other) and all(torch.equal(one[k], other[k]) for k in one)"
    )
    python(project, "-c", compare)
    surgeon(project, "insert", "yolov8n-own.yaml", "--at", "neck", "--k", 7, "-o", "yolov8n-variant.yaml")
    surgeon(project, "diff", "yolov8n-own.yaml", "yolov8n-variant.yaml", "--costs", "--imgsz", 64)
    surgeon(project, "graft", "best.pt", "--into", "yolov8n-variant.yaml", "-o", "into.pt")
    recipe = "base: yolov8n-own.yaml\nmatrix: {at: [neck, head], k: [7]}\n"
    (project / "recipe.yaml").write_text(recipe)
    said = surgeon(project, "variants", "recipe.yaml", "--verify", "build", "--jobs", 2, "--costs")
    assert said.count("Note: importing") == 1


@pytest.mark.slow
def test_images_and_experiments_on_a_project(project: Path) -> None:
    surgeon(project, "draw", "yolov8n-own.yaml", "-o", "own.md")
    assert "5 EMA<br>32 × 80 × 80" in (project / "own.md").read_text()
    assert "C2f_Faster" in surgeon(project, "draw", "best.pt", "-o", "-", "--format", "md")
    surgeon(project, "curves", "yolov8n-own.yaml", "--at", "neck", "--k", 7)
    surgeon(project, "graft", "best.pt", "--at", "neck", "--k", 7, "-o", "grafted.pt", "--force")
    surgeon(project, "erf", "best.pt", "grafted.pt", "--imgsz", 64, "--most", 1)
    surgeon(project, "latency", "yolov8n-own.yaml", "--imgsz", 64, "--rounds", 2)
    train = "train: {data: data/data.yaml, epochs: 1, imgsz: 64, batch: 2, start: best.pt}"
    (project / "experiment.yaml").write_text(
        f"base: yolov8n-own.yaml\nmatrix: {{at: neck, k: 11}}\nindex: experiment.json\nimgsz: 64\n{train}\nseeds: [0]\n"
    )
    surgeon(project, "ablate", "experiment.yaml", "--devices", "cpu", "-q")
    assert "lska-neck-k11" in surgeon(project, "results", "experiment.yaml")
    surgeon(project, "report", "experiment.yaml", "-o", "report.html")
    (project / "lska-surgeon.toml").rename(project / "hidden.toml")
    try:
        surgeon(
            project, "ablate", "experiment.yaml", "--devices", "cpu", "--folder", "named", "--blocks", "hidden.toml"
        )
        surgeon(project, "ablate", "experiment.yaml", "--devices", "cpu", "--folder", "none", code=2)
    finally:
        (project / "hidden.toml").rename(project / "lska-surgeon.toml")


@pytest.mark.slow
def test_a_checkpoint_of_the_project_needs_its_declaration(project: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    said = surgeon(tmp_path / "work", "inspect", project / "best.pt", code=2)
    assert f"declared in {project / 'lska-surgeon.toml'}" in said
    assert f"add --blocks {project / 'lska-surgeon.toml'}" in said
    surgeon(tmp_path / "work", "inspect", project / "best.pt", "--blocks", project / "lska-surgeon.toml")
    (project / "lska-surgeon.toml").rename(project / "hidden.toml")
    try:
        assert "not on the allow-list: my_blocks." in surgeon(project, "inspect", "best.pt", code=2)
    finally:
        (project / "hidden.toml").rename(project / "lska-surgeon.toml")


@pytest.mark.slow
def test_it_trains_resumes_and_exports_in_fresh_processes(project: Path) -> None:
    surgeon(project, "graft", "best.pt", "--at", "neck", "--k", 7, "-o", "to-train.pt")
    words = [*QUICK[1:], "epochs=2", "data=data/data.yaml", f"project={project / 'out'}", "name=run"]
    interrupted = (
        "import sys\nfrom ultralytics.engine.trainer import BaseTrainer\n"
        "save = BaseTrainer.save_model\n"
        "def stop(self):\n    save(self)\n    raise KeyboardInterrupt\n"
        "BaseTrainer.save_model = stop\n"
        "from lska_surgeon.cli.main import main\nmain(['train', *sys.argv[1:]])"
    )
    python(project, "-c", interrupted, "to-train.pt", *words, code=130)
    last = project / "out" / "run" / "weights" / "last.pt"
    surgeon(project, "train", last, "resume=True")
    assert len((project / "out" / "run" / "results.csv").read_text().splitlines()) == 3
    surgeon(project, "yolo", "export", f"model={last}", "format=onnx", "imgsz=64")
    python(project, "-c", ONNX, last, last.with_suffix(".onnx"))
    words = [*QUICK, "data=data/data.yaml", f"project={project / 'out'}"]
    surgeon(project, "train", "yolov8n-own.yaml", *words)
    surgeon(project, "yolo", "train", "model=yolov8n-own.yaml", *words)


@pytest.mark.slow
def test_two_processes_train_it_in_step(project: Path) -> None:
    words = [f"data={project / 'data' / 'data.yaml'}", *QUICK, f"project={project / 'ddp'}"]
    out = python(project, "-c", OURS, project / "best.pt", *words)
    (line,) = (line for line in out.splitlines() if line.startswith("START FILE"))
    start = line.split(maxsplit=2)[2]
    path = os.pathsep.join(filter(None, [str(project), os.environ.get("PYTHONPATH")]))
    train_in_step(Path(start), project.parent, **{VARIABLE: str(project / "lska-surgeon.toml"), "PYTHONPATH": path})


# Where custom modules are declared stands in the record of a graft, wherever one of them is in the network.

DECLARATION = "lska-surgeon.toml"
ROWS = {
    "nc": 1,
    "backbone": [
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "C2f", [16, True]],
        [-1, 1, "SimAM", []],
        [-1, 1, "SPPF", [16, 5]],
    ],
    "head": [[[3], 1, "Detect", ["nc"]]],
}


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(PROJECT, tmp_path, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_checkpoint(project: Path, own: bool) -> Path:
    backbone = [row for row in ROWS["backbone"] if row[2] != "SimAM" or own]
    yaml = {**ROWS, "backbone": backbone, "head": [[[len(backbone) - 1], *ROWS["head"][0][1:]]]}
    with using(read_declarations(project / DECLARATION, trusted=True) if own else Declarations()):
        model = build(yaml)
    model.names = {0: "a"}
    torch.serialization.save({"epoch": -1, "model": model, "train_args": {"imgsz": 64}}, project / "base.pt")
    return project / "base.pt"


@pytest.mark.parametrize(
    ("own", "at", "op", "said"),
    [
        (True, "sppf", "lska", True),
        (False, "sppf", "SimAM", True),  # behind a gate
        (False, "residual", "SimAM", True),  # inside a host
        (False, "sppf", "lska", False),
    ],
)
def test_the_record_says_where_they_are_declared(own: bool, at: str, op: str, said: bool, copied: Path) -> None:
    product = ls.graft(write_checkpoint(copied, own), at, op=op, k=7 if op == "lska" else None).write("grafted.pt")
    checkpoint = ls.load_checkpoint(product)
    expected = str(copied / DECLARATION) if said else None
    assert checkpoint.surgery.get("blocks") == expected
    assert (checkpoint.yaml or {})["lska_surgeon"].get("blocks") == expected  # what is left after a training
    assert (f"blocks declared in {copied / DECLARATION}" in str(checkpoint)) is said
