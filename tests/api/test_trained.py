"""The verbs on trained networks: from a file, from a checkpoint that was read, from a loaded `YOLO`, from a module."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from support import trained as t
from support.shapes import QUICK, write_checkpoint, write_data
from torch import nn

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.errors import CheckpointError, TargetError

GIVEN = {
    "path": lambda: Path("things.pt"),
    "checkpoint": lambda: ls.load_checkpoint("things.pt"),
    "yolo": lambda: yolo("things.pt"),
    "module": lambda: yolo("things.pt").model,
}


@pytest.fixture(scope="module")
def trained_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return t.finished(tmp_path_factory.mktemp("trained") / "things.pt", t.trained())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, trained_file: Path) -> Path:
    """The working directory, with things.pt in it."""
    (tmp_path / "things.pt").write_bytes(trained_file.read_bytes())
    return tmp_path


def yolo(path: str | Path) -> Any:
    from ultralytics import YOLO

    return YOLO(str(path))


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("given", GIVEN)
def test_graft_and_back(given: str, folder: Path) -> None:
    source = GIVEN[given]()
    module = getattr(source, "model", None) if given != "module" else source
    before = state(module) if module is not None else {}
    done = ls.graft(source, "neck", k=7)
    assert done.certificate.exact
    assert not done.dropped
    assert done.index_map[22] == 26
    assert done.output == Path("model-lska-neck-k7.pt" if given == "module" else "things-lska-neck-k7.pt")
    assert {path.name for path in folder.iterdir()} == {"things.pt"}
    if module is not None:
        assert not any("lska" in type(part).__name__.lower() for part in module.modules())
        assert all(torch.equal(tensor, module.state_dict()[name]) for name, tensor in before.items())
    original, grafted = (deepcopy(x).float() for x in (t.load(folder / "things.pt")["model"], done.model))
    assert len(t.assert_carried(original, grafted)) == 40
    assert t.same_predictions(original, grafted)
    path = done.write()
    again = yolo(path)
    assert t.same_predictions(original, again.model)
    back = ls.ungraft(again if given in ("yolo", "module") else path)
    assert back.certificate.exact
    assert back.index_map == {new: old for old, new in done.index_map.items()}
    assert back.output == Path(f"{path.stem}-ungrafted.pt")
    assert t.assert_carried(original, deepcopy(back.model).float()) == []
    assert "taken out" in back._repr_html_()
    assert t.same_predictions(original, yolo(back.write("back.pt")).model)


def test_a_loaded_network_that_was_changed_is_grafted_as_it_is(folder: Path) -> None:
    """What is in memory counts, not the file that it came from."""
    loaded = yolo("things.pt")
    with torch.no_grad():
        next(loaded.model.parameters()).add_(1)
    done = ls.graft(loaded, "sppf")
    assert t.same_predictions(deepcopy(loaded.model).float(), done.model)
    assert done.record["base"] == "things.pt"
    assert done.record["base_sha256"] != ls.load_checkpoint("things.pt").sha256
    assert "pt_path" not in vars(done.model)
    untouched = ls.graft(yolo("things.pt"), "sppf").record["base_sha256"]
    assert untouched == ls.graft(yolo("things.pt"), "sppf").record["base_sha256"] != done.record["base_sha256"]


def test_a_network_of_a_yaml_can_be_grafted_before_it_was_ever_trained(folder: Path) -> None:
    done = ls.graft(yolo("yolov8n.yaml"), "neck:p3", k=7)
    assert done.output == Path("yolov8n-lska-neck-p3-k7.pt")
    assert t.same_predictions(done.model, yolo(done.write()).model)


@pytest.mark.parametrize("verb", [lambda source: ls.graft(source, "neck"), ls.ungraft])
def test_what_holds_no_network_is_refused(verb: Callable[[Any], object]) -> None:
    fused = yolo("things.pt")
    fused.fuse()
    with pytest.raises(CheckpointError, match=r"fused when it predicted: load it anew, YOLO\('things.pt'\)"):
        verb(fused)
    for source in (nn.Linear(1, 1), object(), 3):
        with pytest.raises(CheckpointError, match="holds no network of ultralytics"):
            verb(source)


@pytest.mark.parametrize("given", GIVEN)
def test_flops_are_those_of_the_file(given: str) -> None:
    from_file = ls.flops("things.pt", imgsz=64)
    source = GIVEN[given]()
    counted = ls.flops(source, imgsz=64)
    assert (counted.params, counted.macs, counted.layers) == (from_file.params, from_file.macs, from_file.layers)
    assert counted.name == ("DetectionModel" if given == "module" else counted.name)
    assert Path(counted.name).name == ("DetectionModel" if given == "module" else "things.pt")
    if given == "module":
        assert ls.flops(source, imgsz=64, fuse=False).layers > counted.layers
    if given in ("yolo", "module"):
        assert not (source.model if given == "yolo" else source).is_fused()


def test_flops_of_any_module() -> None:
    module = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
    found = ls.flops(module, imgsz=(10, 20), batch=2, fuse=False)
    assert found.params == 4 * 8 * 9 + 16
    assert found.ops["conv"] == 2 * 10 * 20 * 4 * 8 * 9
    with pytest.raises(ls.SurgeonError, match="scale 's' is for a model YAML"):
        ls.flops(module, scale="s")
    with pytest.raises(ls.SurgeonError, match="an int can't be counted"):
        ls.flops(3)
    assert ls.flops("yolov8.yaml", scale="s").params == ls.flops("yolov8s.yaml").params


def test_to_dict_is_what_the_commands_write(folder: Path) -> None:
    def as_json(words: str) -> Any:
        return json.loads(CliRunner().invoke(main, [*words.split(), "--json"]).stdout)

    done = ls.graft("things.pt", "sppf", output="out.pt")
    assert done.to_dict() == as_json("graft things.pt --at sppf -o out.pt")
    assert ls.load_checkpoint("out.pt").to_dict() == as_json("inspect out.pt")
    assert ls.ungraft("out.pt").to_dict() == as_json("ungraft out.pt")
    assert as_json("graft things.pt --at sppf -o dry.pt --dry-run") == {**done.to_dict(), "output": "dry.pt"}


def test_results_show_themselves(folder: Path) -> None:
    done = ls.graft("things.pt", ["neck:p3@11", "residual:2"])
    assert "neck:p3@11" in str(done)
    assert "certificate: max |Δ| 0.0" in str(done)
    assert "<td" in done._repr_html_()
    assert repr(done) == f"<Graft {done.line}>"
    found = ls.load_checkpoint(done.write())
    assert str(found).startswith(f"file         {done.output}\n")
    assert "thing 0, thing 1, thing 2" in found._repr_html_()
    assert "base things.pt" in found._repr_html_()
    assert repr(found).startswith("<Checkpoint things-lska-")


def test_write_keeps_a_file_that_is_there(folder: Path) -> None:
    Path("out.pt").write_bytes(b"precious")
    done = ls.graft("things.pt", "sppf", output="out.pt")
    for write in (done.write, lambda: done.write("out.pt"), lambda: ls.ungraft(done.write("g.pt")).write("out.pt")):
        with pytest.raises(TargetError, match=r"out\.pt is already there"):
            write()
    assert Path("out.pt").read_bytes() == b"precious"
    with pytest.raises(TargetError, match=r"does not end in \.pt"):
        done.write("out.yaml")
    assert done.write(force=True) == Path("out.pt")
    assert ls.load_checkpoint("out.pt").surgery["base"] == "things.pt"


@pytest.mark.parametrize(
    "words",
    [
        "graft things.pt --at sppf -o there.pt",
        "graft things.pt --at sppf",
        "graft things.pt --at sppf -o nowhere/x.pt",
        "ungraft g.pt -o there.pt",
        "ungraft g.pt",
        "ungraft g.pt -o nowhere/x.pt",
        "insert yolov8n.yaml --at neck -o there.yaml",
        "insert yolov8n.yaml --at neck",
        "insert yolov8n.yaml --at neck -o nowhere/x.yaml",
        "remove variant.yaml -o there.yaml",
        "remove variant.yaml",
        "remove variant.yaml -o nowhere/x.yaml",
    ],
)
def test_a_dry_run_fails_where_the_real_one_would(words: str, folder: Path) -> None:
    ls.insert("yolov8n.yaml", "sppf", output="variant.yaml").write()
    (folder / "g.pt").write_bytes((folder / "things.pt").read_bytes())
    for name in ("there.pt", "there.yaml", "things-lska-sppf-k23.pt", "g-ungrafted.pt", "yolov8n-lska-neck-k23.yaml",
                 "variant-base.yaml"):  # fmt: skip
        (folder / name).write_bytes(b"precious")
    real, dry = (CliRunner().invoke(main, [*words.split(), *more]) for more in ([], ["--dry-run"]))
    assert (dry.exit_code, dry.output) == (real.exit_code, real.output)
    assert real.exit_code == 2
    assert "is already there" in real.output or "there is no directory nowhere" in real.output


@pytest.mark.slow
def test_train_gives_the_folders_of_its_runs(folder: Path) -> None:
    path = ls.graft(write_checkpoint(folder), "sppf", output="g.pt").write()
    quick = dict(word.split("=") for word in QUICK)
    given = {key: int(value) if value.isdigit() else value for key, value in quick.items() if value != "False"}
    runs = ls.train(
        path, stage="both", data=write_data(folder), project=folder / "runs", name="x", plots=False, **given
    )
    assert [run.name for run in runs] == ["x-warm", "x"]
    assert all((run / "weights" / "last.pt").is_file() for run in runs)
