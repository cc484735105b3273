"""What Ultralytics says of a user's error is one line; a bug keeps its traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ultralytics import cfg
from ultralytics.data import utils as data_utils
from ultralytics.utils import checks, downloads

from lska_surgeon.cli.main import main

MISTAKES = {
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


@pytest.mark.parametrize("name", MISTAKES)
def test_yolo_tells_a_error_in_one_line(
    name: str, small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words, message = MISTAKES[name]
    monkeypatch.setattr(downloads, "safe_download", offline)
    monkeypatch.setattr(data_utils, "safe_download", offline)
    with pytest.raises(SystemExit) as stop:
        main(["yolo", *words.split(), f"project={Path.cwd()}"])
    assert stop.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith(f"Error: ultralytics: {message}"), said
    assert sum("Error: " in line for line in said) == 1


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
def test_yolo_tells_of_weights_whose_rows_moved(
    row: str, small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path("small.yaml").read_text(encoding="utf-8")
    variant = text.replace("head:\n- [[1]", f"- [-1, 1, {row}]\nhead:\n- [[2]")
    Path("a variant.yaml").write_text(variant, encoding="utf-8")
    told = "Note: Ultralytics matches the tensors of best.pt by row number, and a variant.yaml has inserted rows (2): "
    for model, weights, is_told in (
        ("a variant.yaml", "best.pt", True),
        ("small.yaml", "best.pt", False),
        ("a variant.yaml", "True", False),
    ):
        with pytest.raises(SystemExit):
            main(
                ["yolo", "train", f"model={model}", f"pretrained={weights}", "data=gone.yaml", f"project={Path.cwd()}"]
            )
        said = capsys.readouterr().err
        assert (told in said) == is_told, said
        assert ("lska-surgeon train 'a variant.yaml' --graft best.pt" in said) == is_told
