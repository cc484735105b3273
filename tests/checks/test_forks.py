"""What a fork has to declare, so that a release builds its models as the fork does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.custom import using_file
from support.forks import IMPORTS, Fork, Style, edited, make_fork
from support.shapes import surgeon

from lska_surgeon.yolo.build import build

ELSE = "        else:\n            c2 = ch[f]\n"
SAVED = """
import sys, torch
from ultralytics.nn.tasks import DetectionModel, yaml_model_load
content = yaml_model_load(sys.argv[1])
torch.manual_seed(0)
model = DetectionModel({**content, "scale": sys.argv[2]}, verbose=False).eval()
x = torch.rand(1, 3, 64, 64)
with torch.no_grad():
    torch.save((model.state_dict(), x, model(x)[0]), "of-the-fork.pt")
"""


def assert_the_same(fork: Fork, project: Path, scale: str) -> None:
    """The release gives what the fork gives, bit for bit, for the fork's tensors."""
    fork.python("-c", SAVED, str(fork.yaml), scale, cwd=project).check_returncode()
    tensors, x, outputs = torch.load("of-the-fork.pt")
    with using_file(project / "lska-surgeon.toml"):
        model = build(fork.yaml, scale=scale).eval()
    model.load_state_dict(tensors)
    with torch.no_grad():
        assert torch.equal(model(x)[0], outputs)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


SLOW = [pytest.param(style, marks=pytest.mark.slow) for style in ("star", "variables")]


@pytest.mark.parametrize("style", ["set", "branch", *SLOW])
def test_a_release_builds_the_models_of_a_fork(style: str, project: Path) -> None:
    fork = make_fork(project.parent / "fork", style)
    done = surgeon("blocks", fork.root, "--write")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "Wrote lska-surgeon.toml, and 2 files of the fork's classes into fork_blocks\n"
    assert done.stderr == "Note: a release builds 1 of the 1 models of the fork that have blocks of its own\n"
    assert "class Unused" not in (project / "fork_blocks" / "own.py").read_text(encoding="utf-8")
    done = surgeon("check", "--build", fork.yaml)
    assert done.exit_code == 0, done.output
    assert_the_same(fork, project, "s")


ODD = Style(
    """
import torch
from torch import nn

from ultralytics.nn.modules.conv import Conv


class Wide(nn.Module):
    def __init__(self, c1, c2, n, mode, deep=False):
        super().__init__()
        self.mode = {"both": 2, "one": 1}[mode]
        self.m = nn.Sequential(Conv(c1, c2), *(Conv(c2, c2, 3) for _ in range(n + deep)))

    def forward(self, x):
        return self.mode * self.m(x[0] + x[1])
""",
    edited(
        (IMPORTS, "from .own import Wide"),
        (
            ELSE,
            "        elif m is Wide:\n            c2 = ch[f[0]] * (2 if scale in 'n' else 1)\n"
            "            args = [ch[f[0]], c2, n, d['mode'], *args]\n            n = 1\n"
            "            if scale in 'sm':\n                args.append(True)\n" + ELSE,
        ),
        (
            "        m_ = torch.nn.Sequential(",
            "        if m is C2f and scale == 's':\n            args[3:] = [True]\n        m_ = torch.nn.Sequential(",
        ),
    ),
    ("Wide",),
    "nc: 3\nmode: both\nscales:\n  n: [0.5, 0.25, 512]\n  s: [1.0, 0.5, 1024]\n"
    "backbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n  - [-1, 1, Conv, [64, 3]]\n"
    "  - [[0, 1], 2, Wide, []]\n  - [-1, 2, C2f, [64]]\nhead:\n  - [[3], 1, Detect, [nc]]\n",
)


def test_rows_that_no_block_of_a_release_has_are_read_by_the_forks_parser(project: Path) -> None:
    """One whose width and arguments follow from the scale and from the file, and a stock one that is read otherwise."""
    fork = make_fork(project.parent / "fork", ODD)
    assert surgeon("blocks", fork.root, "--write").exit_code == 0
    declared = Path("lska-surgeon.toml").read_text(encoding="utf-8")
    says = 'like = "fork_blocks/parser.py" # as the parser in that file reads its rows; it is never run'
    assert f'[blocks.Wide]\nclass = "fork_blocks/own.py:Wide"\n{says}\n' in declared
    assert f'[blocks.C2f]\nclass = "ultralytics.nn.modules.block:C2f"\n{says}\n' in declared
    for scale in ("n", "s"):
        assert_the_same(fork, project, scale)
    assert surgeon("check", "--build", fork.yaml).exit_code == 0
    found = surgeon("flops", fork.yaml, "--scale", "s")
    assert found.exit_code == 0, found.stderr
    done = surgeon("insert", fork.yaml, "--at", "after:3", "-o", "own-lska.yaml")
    assert done.exit_code == 0, done.stderr
    assert surgeon("check", "--build", "own-lska.yaml").exit_code == 0
    parser = project / "fork_blocks" / "parser.py"
    parser.write_text("import sys\n", encoding="utf-8")
    done = surgeon("check", "--build", fork.yaml)
    assert done.exit_code == 1
    assert "layer 2: " in done.stdout
    assert "fork_blocks/parser.py, by which Wide is declared, is no parser that can be read" in done.stdout


def test_the_folder_has_to_be_a_fork_and_not_the_one_that_is_imported(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = surgeon("blocks", project)
    assert done.exit_code == 2
    assert done.stderr == (
        f"Error: {project} is a directory without ultralytics/nn/tasks.py: give a file, or the folder of a fork of "
        "ultralytics\n"
    )
    fork = make_fork(project.parent / "fork", "set")
    with fork.imported(monkeypatch):
        done = surgeon("blocks", fork.root)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        f"Error: ultralytics is imported from {fork.package} here, a fork: type this in an environment with a released "
        "one, which is to build the fork's models"
    )


def test_nothing_is_overwritten_without_force(project: Path) -> None:
    fork = make_fork(project.parent / "2 forks-我的", "set")  # no name of Python's
    assert surgeon("blocks", fork.root, "--write").exit_code == 0
    Path("lska-surgeon.toml").unlink()
    Path("fork_2_forks_blocks/__init__.py").write_text("# mine\n", encoding="utf-8")
    done = surgeon("blocks", fork.root, "--write")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("Error: fork_2_forks_blocks/__init__.py exists: ")
    assert not Path("lska-surgeon.toml").exists()
    assert surgeon("blocks", fork.root, "--write", "--force").exit_code == 0


HEAD = Style(
    """
from torch import nn

from ultralytics.nn.modules.conv import Conv


class Swish(nn.Module):
    def forward(self, x):
        return x * nn.functional.relu6(x + 3) / 6


class Head(nn.Module):
    def __init__(self, nc, ch):
        super().__init__()
        self.m = Conv(ch[0], nc)

    def forward(self, x):
        return self.m(x[0])
""",
    edited(
        (IMPORTS, "from .own import Head"),
        (ELSE, "        elif m is Head:\n            args.append([ch[x] for x in f])\n" + ELSE),
    ),
    ("Head",),
    "nc: 3\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n  - [-1, 1, SPPF, [64, 5]]\nhead:\n  - [[1], 1, Head, [nc]]\n",
)


def test_a_stock_block_that_is_made_of_the_forks_own_is_the_forks(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edited in place: SPPF has another activation, and C2f, which is not edited, is the release's."""
    fork = make_fork(project.parent / "fork", "set")
    block = fork.package / "nn" / "modules" / "block.py"
    text = block.read_text(encoding="utf-8")
    block.unlink()
    at = text.index("class SPPF(")
    start = text.index("        super().__init__()\n", at) + len("        super().__init__()\n")
    own = "class Swish(nn.Module):\n    def forward(self, x):\n        return x * torch.sigmoid(1.7 * x)\n\n\n"
    text = f"{text[:at]}{own}{text[at:start]}        self.swish = Swish()\n{text[start:]}"
    text = text.replace(
        "        return self.cv2(torch.cat(y, 1))", "        return self.swish(self.cv2(torch.cat(y, 1)))"
    )
    block.write_text(text, encoding="utf-8")
    assert surgeon("blocks", fork.root, "--write").exit_code == 0
    declared = Path("lska-surgeon.toml").read_text(encoding="utf-8")
    assert '[blocks.SPPF]\nclass = "fork_blocks/block.py:SPPF"\nlike = "SPPF" #' in declared
    assert "blocks.C2f]" not in declared
    assert "class C2f(" not in (project / "fork_blocks" / "block.py").read_text(encoding="utf-8")
    assert surgeon("check", "--build", fork.yaml).exit_code == 0
    with using_file(project / "lska-surgeon.toml"):
        layers = build(fork.yaml, scale="n").model
    assert [type(layer).__module__ for layer in layers if type(layer).__name__ == "SPPF"] == ["fork_blocks.block"]
    monkeypatch.chdir(project.parent)
    stock = build("yolov8n.yaml").model[9]  # nothing of it stays
    assert type(stock).__module__ == "ultralytics.nn.modules.block"


def test_an_output_layer_that_a_release_does_not_know_is_named(project: Path) -> None:
    fork = make_fork(project.parent / "fork", HEAD)
    done = surgeon("blocks", fork.root)
    assert "own.yaml does not build as in the fork: row 2 (Head): " in done.stderr
