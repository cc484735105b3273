"""What of Ultralytics runs as it stands, its command and its downloader: errors are one line, bugs keep a traceback."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.custom import using
from support.shapes import surgeon, write_checkpoint, write_data
from ultralytics import cfg
from ultralytics.data import utils as data_utils
from ultralytics.utils import checks, downloads

import lska_surgeon as ls
from lska_surgeon.checkpoints.checkpoint import open_network
from lska_surgeon.cli.main import main
from lska_surgeon.declarations.find import VARIABLE, read_declarations
from lska_surgeon.installed.pitfalls import Place
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.command import user_error

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
ERRORS = {
    "argument": (
        "train lr=3",
        "'lr' is not a valid YOLO argument. Similar arguments are i.e. ['lrf=0.01', 'lr0=0.01']",
    ),
    "value": (
        "train model=small.yaml epochs=many",
        "'epochs=many' is of invalid type str. 'epochs' must be an int (i.e. 'epochs=8')",
    ),
    "model": ("train model=gone.yaml", "'gone.yaml' does not exist"),
    "block": ("predict model=odd.yaml", "layer 1 (SPQQ): ultralytics has no module SPQQ"),
    "data": ("train model=small.yaml data=gone.yaml device=cpu", "Dataset 'gone.yaml' error"),
    "download": ("train model=small.yaml data=far.yaml device=cpu", "Dataset 'far.yaml' error"),
    "device": ("train model=small.yaml data=far.yaml device=99", "Invalid CUDA 'device=99' requested."),
    "format": ("export model=small.yaml format=odd", "Invalid export format='odd'."),
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small networks, one with a block that nobody knows, and data that are far away."""
    text = "nc: 1\nbackbone:\n- [-1, 1, Conv, [16, 3, 2]]\n- [-1, 1, SPPF, [16]]\nhead:\n- [[1], 1, Detect, [nc]]\n"
    (tmp_path / "small.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "odd.yaml").write_text(text.replace("SPPF", "SPQQ"), encoding="utf-8")
    far = "path: gone\ntrain: a\nval: b\nnames: [c]\ndownload: https://localhost:1/far.zip\n"
    (tmp_path / "far.yaml").write_text(far, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "ONLINE", False)


@pytest.mark.parametrize("name", ERRORS)
def test_yolo_tells_an_error_in_one_line(
    name: str, small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, message = ERRORS[name]
    monkeypatch.setattr(downloads, "safe_download", offline)
    monkeypatch.setattr(data_utils, "safe_download", offline)
    with pytest.raises(SystemExit) as stop:
        main(["yolo", *words.split(), f"project={Path.cwd()}"])
    assert stop.value.code == 2
    output = capsys.readouterr().err.splitlines()
    assert output[-1].startswith(f"Error: ultralytics: {message}"), output
    assert sum("Error: " in line for line in output) == 1


def offline(*args: Any, **kwargs: Any) -> None:
    raise ConnectionError("Download failure for the data. Environment may be offline.")


@pytest.mark.parametrize("bug", [TypeError("no len()"), KeyError("weights"), AttributeError("no such attribute")])
def test_yolo_hides_no_bug(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def entrypoint() -> None:
        raise bug

    monkeypatch.setattr(cfg, "entrypoint", entrypoint)
    with pytest.raises(type(bug)):
        main(["yolo", "version"])


def test_yolo_hides_no_bug_that_ultralytics_takes_for_bad_data(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise AttributeError("no_such_thing")

    monkeypatch.setattr("ultralytics.engine.trainer.check_det_dataset", broken)
    with pytest.raises(RuntimeError, match="no_such_thing"):
        main(["yolo", "train", "model=small.yaml", "data=far.yaml", "device=cpu", f"project={Path.cwd()}"])


@pytest.mark.parametrize("row", ["LSKA, [c2, 7]", "CBAM, [c2]"])
def test_yolo_warns_of_weights_whose_rows_moved(
    row: str, small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path("small.yaml").read_text(encoding="utf-8")
    variant = text.replace("head:\n- [[1]", f"- [-1, 1, {row}]\nhead:\n- [[2]")
    Path("a variant.yaml").write_text(variant, encoding="utf-8")
    note = "Note: Ultralytics matches the tensors of best.pt by row number, and a variant.yaml has inserted rows (2): "
    for model, weights, is_warned in (
        ("a variant.yaml", "best.pt", True),
        ("small.yaml", "best.pt", False),
        ("a variant.yaml", "True", False),
    ):
        with pytest.raises(SystemExit):
            main(
                ["yolo", "train", f"model={model}", f"pretrained={weights}", "data=gone.yaml", f"project={Path.cwd()}"]
            )
        warned = capsys.readouterr().err
        assert (note in warned) == is_warned
        assert ("lska-surgeon train 'a variant.yaml' --graft best.pt" in warned) == is_warned


# Custom modules that are declared beside the model, not here, or nowhere.


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project beside the working folder."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(checks, "ONLINE", False)
    return folder


def errors_of_yolo(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["yolo", *words])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_model_whose_declaration_is_not_here(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = errors_of_yolo(capsys, "detect", "predict", f"model={project / 'yolov8n-own.yaml'}", "source=x.jpg")
    declaration = project / "lska-surgeon.toml"
    assert f"SPDDown is declared in {declaration}" in output
    assert f"set {VARIABLE} to that file" in output


def test_a_checkpoint_whose_declaration_is_not_here(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration, file = project / "lska-surgeon.toml", project / "own.pt"
    with using(read_declarations(declaration, trusted=True)):
        torch.serialization.save({"epoch": -1, "model": build(project / "yolov8n-own.yaml"), "train_args": {}}, file)
    monkeypatch.delenv(VARIABLE, raising=False)
    output = errors_of_yolo(capsys, "predict", f"model={file}", "source=x.jpg")
    assert f"declared in {declaration}" in output
    assert "my_blocks.EMA" in output
    assert "requirements" not in output  # nothing is looked for in an index of packages
    monkeypatch.setenv(VARIABLE, str(declaration))
    assert "x.jpg does not exist" in errors_of_yolo(capsys, "predict", f"model={file}", "source=x.jpg")


def test_a_module_that_is_missing_is_not_to_be_installed_blindly() -> None:
    reported = user_error(ModuleNotFoundError("No module named 'my_blocks'", name="my_blocks"))
    assert reported is not None
    assert reported.startswith("this needs the module my_blocks, which is not here: if it is yours, name the file")
    assert "pip install" not in reported


# `graft --download`.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were asked for; what comes from there is a small network."""
    published = write_checkpoint(tmp_path_factory.mktemp("published"))
    addresses: list[str] = []

    def safe_download(url: str, file: Path, **options: object) -> None:
        addresses.append(url)
        shutil.copy(published, file)

    monkeypatch.setattr(downloads, "safe_download", safe_download)
    return addresses


def test_weights_are_fetched_once_and_grafted(asked: list[str]) -> None:
    words = ("graft", "yolov8s.pt", "--at", "neck", "--k", "7", "--download", "--force")
    for _ in range(2):
        result = surgeon(*words)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith("Wrote yolov8s-lska-neck-k7.pt: ")
    assert len(asked) == 1
    assert asked[0].startswith("https://github.com/ultralytics/assets/releases/download/")
    assert asked[0].endswith("/yolov8s.pt")
    assert ls.graft("yolov8n.pt", "neck", k=7, download=True).certificate.max_delta == 0
    assert sorted(path.name for path in Path().iterdir()) == ["yolov8n.pt", "yolov8s-lska-neck-k7.pt", "yolov8s.pt"]


@pytest.mark.parametrize("name", ["yolov8s", "yolov8z.pt", "mine.pt", "weights/yolov8s.pt", "https://x.org/yolov8s.pt"])
def test_nothing_else_is_fetched(name: str, asked: list[str]) -> None:
    result = surgeon("graft", name, "--at", "neck", "--download")
    assert (result.exit_code, asked) == (2, [])
    assert f"publishes no {name}" in result.stderr
    assert "give one of its " in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_the_flag_one_line_says_where_weights_come_from(asked: list[str]) -> None:
    for words in (("graft", "yolov8s.pt", "--at", "neck"), ("inspect", "yolov8s.pt"), ("erf", "yolov8s.pt")):
        result = surgeon(*words)
        assert (result.exit_code, asked) == (2, [])
        assert result.stderr == (
            "Error: no file yolov8s.pt: give the path of a .pt that is here; graft --download fetches Ultralytics' "
            "own, and so does yolo predict model=yolov8s.pt\n"
        )


def test_without_a_network_one_line_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    result = surgeon("graft", "yolov8s.pt", "--at", "neck", "--download")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: yolov8s.pt can't be downloaded (")
    assert result.stderr.endswith("copy it here from a machine that has one (yolo predict model=yolov8s.pt)\n")
    assert result.stderr.count("\n") == 1
    assert not [*Path().iterdir()]


def test_a_download_that_is_stopped_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def safe_download(url: str, file: Path, **options: object) -> None:
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "safe_download", safe_download)
    assert surgeon("graft", "yolov8s.pt", "--at", "neck", "--download").exit_code == 130
    assert not [*Path().iterdir()]


# Releases from before torch 2.6 and NumPy 2.4, as forks still are.


@pytest.fixture
def old_release(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(Path("tasks.py"), 8)
    monkeypatch.setattr("lska_surgeon.yolo.doctor.unsafe_loads", lambda root: [place])
    monkeypatch.setattr("lska_surgeon.yolo.doctor.trapz_calls", lambda root: [place])
    monkeypatch.setattr("lska_surgeon.yolo.doctor._version", {"torch": "2.9.1", "numpy": "2.4.0"}.get)


@pytest.mark.usefixtures("old_release")
def test_a_checkpoint_that_an_old_release_can_not_open_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(pickle.UnpicklingError) as refused:
        torch.serialization.load(write_checkpoint(tmp_path), weights_only=True)
    said = user_error(refused.value)
    assert said is not None
    assert " opens checkpoints by a torch.load that torch 2.9.1 takes for weights alone: it opens none: " in said
    assert "\n" not in said


@pytest.mark.usefixtures("old_release")
def test_a_training_that_could_not_be_validated_is_not_begun(tmp_path: Path) -> None:
    result = surgeon("train", write_checkpoint(tmp_path), f"data={write_data(tmp_path / 'data')}")
    assert result.exit_code == 2
    assert (
        " calls numpy.trapz (line 8 of tasks.py), which numpy 2.4.0 no longer has: validation fails: " in result.stderr
    )


def test_what_an_old_release_loads_in_a_training_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say that it means more than weights, which torch has asked for since 2.6."""
    base = write_checkpoint(tmp_path)
    monkeypatch.setattr(torch, "load", torch.serialization.load)
    with open_network(str(base)):
        assert type(torch.load(base)["model"]).__name__ == "DetectionModel"
