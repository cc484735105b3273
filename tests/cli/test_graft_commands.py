"""`graft`, `ungraft` and `inspect` as commands: what they print, what they write, and how they fail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import trained as t
from support.shapes import graft

from lska_surgeon.cli.main import main
from lska_surgeon.core.surgery import RECORD
from lska_surgeon.nn import named_operators


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(scope="module")
def trained_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return t.finished(tmp_path_factory.mktemp("trained") / "things.pt", t.trained())


@pytest.fixture(scope="module")
def grafted_file(trained_file: Path) -> Path:
    return graft(trained_file, "sppf@11", to="grafted.pt")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, trained_file: Path) -> Path:
    """The working directory, with things.pt in it."""
    (tmp_path / "things.pt").write_bytes(trained_file.read_bytes())
    return tmp_path


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def command(*words: str) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(list(words), prog_name="lska-surgeon")
        out, err = capfd.readouterr()
        return Result(int(stop.value.code or 0), out, err)

    return command


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def refused(run: Run, folder: Path, *words: str) -> str:
    """The one line on stderr of a command that did nothing."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    result = run(*words)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("Error: ")
    assert result.err.count("\n") == 1
    assert result.err.endswith("\n")
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    return result.err


def test_graft_says_what_it_did_and_ungraft_gives_the_original_back(run: Run, folder: Path) -> None:
    original = (folder / "things.pt").read_bytes()
    result = run("graft", "things.pt", "--at", "neck", "--at", "sppf", "--k", "7")
    tensors = len(t.load(folder / "things.pt")["model"].state_dict())
    assert result.code == 0
    assert result.err == ""
    assert "Wrote things-lska-neck-sppf-k7.pt" in result.out
    assert f"copied {tensors}/{tensors}, new 50, dropped 0" in result.out
    assert "certificate: max |Δ| 0.0" in result.out
    assert files(folder) == {"things.pt", "things-lska-neck-sppf-k7.pt"}
    assert (folder / "things.pt").read_bytes() == original
    before, after = (t.load(folder / name)["model"] for name in ("things.pt", "things-lska-neck-sppf-k7.pt"))
    assert len(t.assert_carried(before, after)) == 50
    assert t.same_predictions(before, after)
    back = run("ungraft", "things-lska-neck-sppf-k7.pt", "-o", "back.pt")
    assert back.code == 0
    assert "Wrote back.pt: 50 operator tensors removed" in back.out
    assert "max |Δ| 0.0" in back.out
    after = t.load(folder / "back.pt")["model"]
    assert t.assert_carried(before, after) == []
    assert after.yaml == before.yaml


def test_a_dry_run_shows_the_plan_and_writes_nothing(run: Run, folder: Path) -> None:
    result = run("graft", "things.pt", "--at", "head:p4@11", "--dry-run")
    assert result.code == 0
    assert "head:p4@11" in result.out
    assert "Would write things-lska-head-p4-k11.pt" in result.out
    assert "  new: 1 operator row, started as the exact identity\n" in result.out
    assert "certificate: max |Δ| 0.0" in result.out
    assert files(folder) == {"things.pt"}


def test_json(run: Run, folder: Path) -> None:
    report = json.loads(run("graft", "things.pt", "--at", "sppf", "-o", "out.pt", "--json").out)
    assert report["output"] == "out.pt"
    assert report["base_sha256"] == hashlib.sha256((folder / "things.pt").read_bytes()).hexdigest()
    assert report["certificate"]["max_delta"] == 0.0
    assert report["dropped"] == {}
    assert len(report["new"]) == report["tensors"]["new"] == 10
    record = t.load(folder / "out.pt")[RECORD]
    assert {key: report[key] for key in ("edits", "index_map", "versions", "init", "tensors")} == {
        key: record[key] for key in ("edits", "index_map", "versions", "init", "tensors")
    }
    dry = json.loads(run("graft", "things.pt", "--at", "sppf", "-o", "other.pt", "--json", "--dry-run").out)
    assert dry["output"] == "other.pt"
    assert dry["index_map"] == report["index_map"]
    assert files(folder) == {"things.pt", "out.pt"}


def test_quiet_is_quiet_but_in_a_dry_run(run: Run, grafted_file: Path) -> None:
    assert run("graft", "things.pt", "--at", "sppf", "-q") == Result(0, "", "")
    assert "Would write g.pt" in run("graft", "things.pt", "--at", "sppf", "-o", "g.pt", "-q", "--dry-run").out
    assert "Would write grafted-ungrafted.pt" in run("ungraft", str(grafted_file), "-q", "--dry-run").out


def test_init_default_says_that_the_outputs_moved(run: Run, folder: Path) -> None:
    result = run("graft", "things.pt", "--at", "sppf", "--init", "default", "-o", "out.pt")
    assert result.code == 0
    assert "at the paper's random init" in result.out
    assert "certificate: max |Δ| 0.0 " not in result.out
    assert t.load(folder / "out.pt")[RECORD]["init"] == "default"
    ((_, operator),) = named_operators(t.load(folder / "out.pt")["model"].model)
    assert operator.conv1.weight.abs().sum() > 0


def test_an_existing_file_is_refused_without_force(run: Run, folder: Path) -> None:
    (folder / "out.pt").write_bytes(b"precious")
    assert "out.pt is already there" in refused(run, folder, "graft", "things.pt", "--at", "sppf", "-o", "out.pt")
    assert run("graft", "things.pt", "--at", "sppf", "-o", "out.pt", "--force").code == 0
    assert RECORD in t.load(folder / "out.pt")


def test_image(run: Run, folder: Path) -> None:
    import cv2
    import numpy

    (folder / "bus.png").write_bytes(cv2.imencode(".png", numpy.full((50, 40, 3), 77, numpy.uint8))[1].tobytes())
    result = run("graft", "things.pt", "--at", "sppf", "--image", "bus.png", "--dry-run")
    assert "eval bus.png" in result.out


def test_ungraft_of_a_trained_graft(run: Run, folder: Path, grafted_file: Path) -> None:
    data = t.load(grafted_file)
    next(operator for _, operator in named_operators(data["model"].model)).conv1.bias.data += 0.5
    t.save(folder / "trained.pt", data)
    assert "--lossy" in refused(run, folder, "ungraft", "trained.pt", "-o", "back.pt")
    assert run("ungraft", "trained.pt", "--lossy", "--dry-run").code == 0
    assert "back.pt" not in files(folder)
    report = json.loads(run("ungraft", "trained.pt", "-o", "back.pt", "--lossy", "--json").out)
    assert report["certificate"]["max_delta"] > 0
    assert len(report["removed"]) == 10
    assert t.assert_carried(t.load(folder / "things.pt")["model"], t.load(folder / "back.pt")["model"]) == []


def test_inspect(run: Run, folder: Path, grafted_file: Path) -> None:
    plain = run("inspect", "things.pt")
    assert plain.code == 0
    assert "none recorded" in plain.out
    assert "thing 0, thing 1, thing 2" in plain.out
    (folder / "grafted.pt").write_bytes(grafted_file.read_bytes())
    text = run("inspect", "grafted.pt").out
    digest = hashlib.sha256((folder / "things.pt").read_bytes()).hexdigest()
    assert f"base things.pt (SHA-256 {digest})" in text
    assert "lska k11 at sppf@11 (row 10)" in text
    found = json.loads(run("inspect", "grafted.pt", "--json").out)
    model = t.load(folder / "grafted.pt")["model"]
    assert found["tensors"] == len(model.state_dict())
    assert found["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert found["classes"] == 3
    assert found["rows"] == 24
    assert found["globals"]["refused"] == []
    assert found["surgery"] == t.load(folder / "grafted.pt")[RECORD]
    assert found["merging"] is None
    assert files(folder) == {"things.pt", "grafted.pt"}


def test_inspect_tells_what_merging_changes(run: Run, folder: Path) -> None:
    run("graft", "things.pt", "--at", "sppf@5", "--op", "dilated-reparam", "-o", "grafted.pt", "-q")
    found = json.loads(run("inspect", "grafted.pt", "--json").out)["merging"]
    assert found["operators"] == 1
    assert 0 < found["max_delta"] < 1e-5 * found["max"]
    expected = f"max |Δ| {found['max_delta']:.1e}, of {found['max']:.3g} that they give for noise"
    assert f"\nmerging      fuse() merges the kernels of 1 operator: {expected}\n" in run("inspect", "grafted.pt").out
    broken = t.load(folder / "grafted.pt")
    del next(operator for _, operator in named_operators(broken["model"].model)).conv0.dilated
    t.save(folder / "broken.pt", broken)
    assert run("inspect", "broken.pt").code == 0
