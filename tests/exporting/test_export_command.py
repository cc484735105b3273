"""`export`: the file, the proof beside torch, what the file says of itself, and what is refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import torch
from click.testing import Result
from support.shapes import NETWORK, graft, surgeon, write_checkpoint, write_data
from ultralytics.nn import autobackend
from ultralytics.nn.modules.head import Detect

import lska_surgeon as ls
from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.checkpoints.checkpoint import write_checkpoint as write
from lska_surgeon.nn import named_operators
from lska_surgeon.yolo import exported
from lska_surgeon.yolo.exported import RUNTIMES

SIDE = 64


def needed(name: str) -> None:
    problem = RUNTIMES[name].problem(export=True)
    if problem:
        pytest.skip(problem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that is sure of something, a graft whose operator computes something, and images."""
    folder = tmp_path_factory.mktemp("export")
    write_data(folder)
    generator = torch.Generator().manual_seed(0)
    base = read_checkpoint(write_checkpoint(folder))
    with torch.no_grad():
        for branch in base.needed_model().model[-1].cv3:
            branch[-1].weight.normal_(0, 1, generator=generator)
            branch[-1].bias.fill_(-2)
    write(folder / "base.pt", base.data, force=True)
    checkpoint = read_checkpoint(graft(folder / "base.pt", "neck"))
    (_, operator), *_ = named_operators(checkpoint.needed_model())
    with torch.no_grad():
        operator.conv1.weight.normal_(0, 0.3, generator=generator)
    write(folder / "graft.pt", checkpoint.data, force=True)
    (folder / "images" / "train").rename(folder / "pictures")
    return folder


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def checked(format: str, *words: object, name: str = "graft.pt") -> Result:
    return surgeon("export", name, "--format", format, "--check", "pictures", "--imgsz", SIDE, *words)


@pytest.mark.parametrize(
    "format", ["onnx", *(pytest.param(name, marks=pytest.mark.slow) for name in ("openvino", "ncnn", "mnn"))]
)
def test_a_graft_is_exported_and_proven_beside_its_base(format: str, folder: Path) -> None:
    needed(format)
    result = checked(format, "--json", "-o", f"out{RUNTIMES[format].suffix}")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["passed"] is True
    assert (told["precision"], told["imgsz"]) == ("fp32", [SIDE, SIDE])
    mine, base = told["checks"]
    assert (mine["network"], base["network"]) == ("graft.pt", "without operators")
    for check in (mine, base):
        assert check["found"]["torch"] == check["found"]["export"] > 0
        assert check["f1"] == {"0.5": 1.0, "0.9": 1.0}
        assert 0 < check["largest"]["boxes"] < 1e-2
        assert 0 < check["largest"]["scores"] < 1e-4
    assert mine["found"] != base["found"] or mine["largest"] != base["largest"]
    inside = ls.load_checkpoint(folder / f"out{RUNTIMES[format].suffix}")
    assert inside.surgery == ls.load_checkpoint("graft.pt").surgery
    shown = surgeon("inspect", f"out{RUNTIMES[format].suffix}")
    assert shown.exit_code == 0
    assert "surgery      lska-surgeon" in shown.stdout
    assert "lska k7 at neck (row 9)" in shown.stdout


def test_the_table(folder: Path) -> None:
    needed("onnx")
    result = checked("onnx", "--force", "--as", "md", "--base", "base.pt", "--most", 2)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "graft.onnx: onnx, fp32, 64x64, 1.000 of F1 against torch"
    assert lines[2] == "| network | torch finds | export finds | boxes, px | scores | F1 at 0.5 | F1 at 0.9 |"
    assert [line.split(" | ")[0] for line in lines[4:6]] == ["| graft.pt", "| base.pt"]
    assert lines[7].startswith("- beside torch in fp32 on 2 images, run by onnx ")
    assert (folder / "graft.onnx").is_file()
    assert result.stderr == "Wrote graft.onnx\n"


def test_a_file_that_computes_something_else_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("onnx")
    run = exported.Running.__call__

    def wrong(self: Any, images: Any) -> Any:
        found = run(self, images)
        found[:, 2:4] *= 3
        return found

    monkeypatch.setattr(exported.Running, "__call__", wrong)
    result = checked("onnx", "-o", "wrong.onnx")
    assert result.exit_code == 1
    assert Path("wrong.onnx").is_file()
    told = result.stderr.splitlines()[-1]
    assert told.startswith("Error: wrong.onnx loses ")
    assert " of F1 against torch, more than --tolerance 0.05; without operators loses " in told
    monkeypatch.setattr(exported.Running, "__call__", lambda self, images: run(self, images) * float("nan"))
    done = ls.export("base.pt", format="onnx", imgsz=SIDE, check="pictures", most=2)
    assert done.problem == "base.onnx gives other shapes than torch, or no numbers, for 0.png, 1.png"


def test_an_image_without_predictions_takes_none_of_the_differences_away(folder: Path) -> None:
    needed("onnx")
    (folder / "some").mkdir()
    (folder / "some" / "a.png").write_bytes((folder / "pictures" / "0.png").read_bytes())
    (folder / "some" / "b.png").write_bytes(b"P5 1 1 255 \0")
    asked: dict[str, Any] = {"format": "onnx", "imgsz": SIDE, "check": "some", "conf": 0.994}
    alone, both = (ls.export("base.pt", **asked, most=most).checks[0] for most in (1, 2))
    assert alone.found == both.found != (0, 0)  # the black image has none
    assert both.values["boxes"] == alone.values["boxes"] > 0


def test_where_nothing_is_found_the_scores_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("onnx")
    monkeypatch.delattr(Detect, "format", raising=False)  # which older releases do not have
    done = ls.export("base.pt", format="onnx", imgsz=SIDE, check="pictures", conf=0.9999, fold=True)
    nothing, _, scores = done.notes
    assert nothing == "nothing to fold: no operator is at the identity, or has a constant gate"
    assert scores.startswith("nothing in these images has a score of 0.9999, so scores alone were compared")
    assert done.problem is None
    assert done.checks[0].f1 == (None, None)
    assert replace(done, tolerance=0.0).problem.startswith("base.onnx differs from torch by ")


def test_a_network_that_picks_its_predictions_itself_is_told_to(folder: Path, tmp_path: Path) -> None:
    needed("onnx")
    network = tmp_path / "picking-rtdetr.yaml"
    network.write_text(NETWORK.replace("Detect, [nc]", "RTDETRDecoder, [nc, 32, 10, 4, 4, 1]"))
    picking = write_checkpoint(tmp_path, network)
    done = ls.export(picking, format="onnx", imgsz=SIDE, check="pictures", conf=1e-6, most=1)
    assert done.checks[0].found[0] > 0
    assert done.notes[1].startswith(
        "the network picks its predictions itself: largest differences of those with a score "
    )


def test_what_is_still_the_identity_is_folded_and_told(folder: Path) -> None:
    needed("onnx")
    graft(folder / "base.pt", "neck", to="identity.pt")
    done = ls.export("identity.pt", format="onnx", imgsz=SIDE, fold=True)
    assert [fold.line for fold in done.folds] == ["row 9: lska k7 taken out, for it is the identity"]
    assert done.folded_delta == 0
    target = done.write()
    assert target == Path("identity.onnx")
    assert ls.load_checkpoint(target).record["folds"] == [fold.line for fold in done.folds]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--format onxx", "no format 'onxx' (did you mean onnx?): there are torchscript, onnx, "),
        ("--format onnx --half --int8", "--half and --int8 are two precisions: give one of them"),
        ("--format onnx --int8", "--int8 needs images to calibrate with: add --data FILE.yaml"),
        ("--format onnx --data data.yaml", "--data is what --int8 is calibrated with, and there is no --int8: drop"),
        ("--format onnx --int8 --data none.yaml", "Error: --data none.yaml: there is no such file"),
        ("--format ncnn --int8", "Ultralytics exports no --int8 for ncnn: drop it, or take --half"),
        ("--format torchscript --half", "--half of torchscript is for GPUs, and this exports on the CPU"),
        ("--format onnx --check nowhere", "no folder nowhere: give a folder of images with --check"),
        ("--format onnx --check labels", "no image in labels: it needs files such as .bmp"),
        ("--format litert --check pictures", "nothing here runs litert, so it can't be checked: drop --check"),
        ("--format onnx --base base.pt", "--base stands beside the checkpoint in the table of --check: add that"),
        ("--format onnx --check pictures --conf 1", "--conf 1 is out of range: give a score between 0 and 1"),
        ("--format onnx --tolerance 2", "--tolerance 2 is out of range: give 0 to 1"),
        ("--format onnx --imgsz 100", "--imgsz is no multiple of graft.pt's stride 8: take 104"),
        ("--format openvino -o x.onnx", "x.onnx does not end in _openvino_model"),
        ("--format onnx -o data.yaml", "data.yaml does not end in .onnx, by which Ultralytics knows the format"),
        (
            "--format onnx -o .onnx",
            ".onnx has nothing before .onnx, by which Ultralytics knows the format: try -o out.onnx",
        ),
        (
            "--format onnx -o x.mnn.onnx",
            "x.mnn.onnx would be named as two formats, .mnn and .onnx: choose another name",
        ),
        ("--format onnx -o nowhere/x.onnx", "can't write nowhere/x.onnx: there is no directory nowhere"),
        ("--format onnx -o there.onnx", "there.onnx is already there: choose another name with -o, or add --force"),
        ("--format ncnn -o there_ncnn_model --force", "there_ncnn_model is a directory that Ultralytics"),
    ],
)
def test_what_is_asked_wrong_is_one_line_and_writes_nothing(words: str, says: str, folder: Path) -> None:
    if "ncnn -o" not in words and "openvino" not in words:
        needed("onnx")
    (folder / "there.onnx").touch()
    (folder / "there_ncnn_model").mkdir(exist_ok=True)
    (folder / "there_ncnn_model" / "mine.txt").touch()
    (folder / "graft.onnx").unlink(missing_ok=True)
    before = sorted(os.listdir(folder))
    result = surgeon("export", "graft.pt", *words.split())
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(os.listdir(folder)) == before


def test_an_export_is_no_checkpoint_and_a_damaged_one_is_told(folder: Path) -> None:
    (folder / "bad.onnx").write_bytes(b"\x08\x0a\x72\xff\xff\xff\xff\x0f")
    result = surgeon("export", "bad.onnx", "--format", "onnx")
    assert result.exit_code == 2
    assert "bad.onnx is an export already: give the checkpoint that it was made of" in result.stderr
    result = surgeon("export", "x.onnx.pt", "--format", "openvino", "-o", "y_openvino_model")
    assert result.exit_code == 2
    told = "x.onnx_openvino_model would be named as two formats, .onnx and _openvino_model: rename x.onnx.pt"
    assert result.stderr.startswith(f"Error: {told}")
    result = surgeon("inspect", "bad.onnx")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: bad.onnx says nothing of itself as Ultralytics' exports for onnx do: it is damaged, or none of them\n"
    )


def test_what_a_file_says_of_itself_is_no_program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed("onnx")
    (folder / "evil.onnx").write_bytes(b"any")
    said = f"open({str(folder / 'ran')!r}, 'w')"
    opens = FunctionType((lambda *args, **kwargs: eval(kwargs["said"])).__code__, vars(autobackend))
    monkeypatch.setattr(autobackend, "AutoBackend", partial(opens, said=said))  # as older releases read it
    result = surgeon("latency", "evil.onnx")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: evil.onnx can't be opened by onnx: it is damaged, or made for another")
    assert result.stderr.count("\n") == 1
    assert not (folder / "ran").exists()
    assert "eval" not in vars(autobackend)


def test_what_says_nothing_of_itself_is_told_so(folder: Path) -> None:
    (folder / "other.onnx").write_bytes(b"\x08\x0a")
    result = surgeon("inspect", "other.onnx")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: other.onnx says nothing of itself as Ultralytics' exports for onnx do: it is damaged, or none of them\n"
    )
    (folder / "phone.mlpackage").mkdir()
    result = surgeon("inspect", "phone.mlpackage")
    assert result.exit_code == 2
    assert result.stderr == "Error: what exports for coreml say of themselves is not read here: phone.mlpackage\n"


def test_data_to_calibrate_with_are_not_fetched_and_run_nothing(folder: Path) -> None:
    needed("onnx")
    marker = folder / "marker"
    (folder / "evil.yaml").write_text(
        f"path: {folder / 'evil'}\ntrain: a\nval: b\nnames: [a]\ndownload: open({str(marker)!r}, 'w').close()\n"
    )
    result = surgeon("export", "base.pt", "--format", "onnx", "--int8", "--data", "evil.yaml", "--imgsz", SIDE)
    assert result.exit_code == 2
    assert "base can't be exported to onnx: Dataset 'evil.yaml' images not found" in result.stderr
    assert not marker.exists()
    assert not (folder / "base_int8.onnx").exists()


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    result = surgeon("export", "graft.pt", "--format", "openvino")
    assert result.exit_code == 2
    assert "--format openvino needs openvino, which is not installed: pip install" in result.stderr
    assert result.stderr.count("\n") == 1
