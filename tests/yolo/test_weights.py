"""`graft --download`: Ultralytics' own weights by its own downloader, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.shapes import surgeon, write_checkpoint
from ultralytics.utils import downloads

import lska_surgeon as ls


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> list[str]:
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


def test_without_a_network_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    result = surgeon("graft", "yolov8s.pt", "--at", "neck", "--download")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: yolov8s.pt can't be downloaded (")
    assert result.stderr.endswith("copy it here from a machine that has one (yolo predict model=yolov8s.pt)\n")
    assert result.stderr.count("\n") == 1
    assert not [*Path().iterdir()]


def test_a_download_that_is_stopped_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def safe_download(url: str, file: Path, **options: object) -> None:
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "safe_download", safe_download)
    assert surgeon("graft", "yolov8s.pt", "--at", "neck", "--download").exit_code == 130
    assert not [*Path().iterdir()]
