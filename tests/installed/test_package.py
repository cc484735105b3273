"""The light look at the Ultralytics that is imported: a release, a fork, or a copy that is passed over."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.forks import VERSION, make_fork
from support.released import written

from lska_surgeon.cli.main import main
from lska_surgeon.installed import released
from lska_surgeon.installed.package import Package, digest_of, installed_package

NET = "nc: 3\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\nhead:\n  - [[0], 1, Detect, [nc]]\n"


def imported() -> Package:
    package = installed_package()
    assert package is not None
    return package


def test_a_release_is_one_and_nothing_is_said_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    package = imported()
    assert (package.version, package.is_fork) == (importlib.metadata.version("ultralytics"), False)
    assert not package.notes


def test_a_release_without_a_list_of_its_files_is_known_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone, or a folder that somebody copied, also with the line ends of Windows."""
    fork = make_fork(tmp_path / "clone")
    release = imported()
    tasks = fork.package / "nn" / "tasks.py"
    tasks.write_bytes(release.tasks.read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr("lska_surgeon.installed.package.SOURCES", digest_of(release.root))
    with fork.imported(monkeypatch):
        package = imported()
        assert (package.root, package.version, package.is_fork) == (fork.package, VERSION, False)
        tasks.write_bytes(tasks.read_bytes() + b"# mine\n")
        assert imported().is_fork


def test_a_fork_is_said_once_with_its_own_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = make_fork(tmp_path / "fork")
    (tmp_path / "net.yaml").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    note = f"Note: ultralytics {VERSION} at {fork.package}, a fork: its blocks are yours\n"
    done = fork.run("check", "net.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, note)
    with fork.imported(monkeypatch):
        assert CliRunner().invoke(main, ["positions", "net.yaml"]).stderr == note
        assert CliRunner().invoke(main, ["check", "net.yaml", "--quiet"]).stderr == ""
    assert CliRunner().invoke(main, ["positions", "net.yaml"]).stderr == ""


def test_a_copy_that_is_not_the_one_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = make_fork(tmp_path / "fork")
    (fork.root / "net.yaml").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(fork.root)
    package = imported()
    assert package.passed_over == fork.package
    line = f"./ultralytics is not what is imported, that is ultralytics {package.version} at {package.root}: type "
    assert CliRunner().invoke(main, ["positions", "net.yaml"]).stderr == (
        f"Note: {line}python -m lska_surgeon in the place of lska-surgeon\n"
    )
    (fork.root / "pyproject.toml").touch()
    assert package.notes == (f"{line}pip install --no-deps -e .",)
    assert (
        "a fork: its blocks are yours" in fork.python("-m", "lska_surgeon", "check", "net.yaml", cwd=fork.root).stderr
    )


def test_a_file_changed_in_place_makes_a_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the list of files that pip left."""
    release = imported()
    fork = make_fork(tmp_path / "site-packages", version=str(release.version))
    record = next(release.root.resolve().parent.glob("ultralytics-*.dist-info/RECORD"))
    about = fork.root / record.parent.name
    about.mkdir()
    (about / "RECORD").write_bytes(record.read_bytes())
    with fork.imported(monkeypatch):
        assert imported().is_fork
        (fork.package / "nn" / "tasks.py").write_bytes(release.tasks.read_bytes())
        assert not imported().is_fork
        (fork.package / "nn" / "modules" / "mine.py").touch()
        assert imported().is_fork


def test_what_pip_installed_from_a_repository_is_a_fork_though_its_list_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = make_fork(tmp_path / "site-packages")
    about = fork.root / "ultralytics-8.3.2.dist-info"
    about.mkdir()
    lines = []
    for file in (fork.package / "nn" / "tasks.py", *(fork.package / "nn" / "modules").glob("*.py")):
        digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).decode().rstrip("=")
        lines.append(f"{file.relative_to(fork.root).as_posix()},sha256={digest},1")
    (about / "RECORD").write_text("\n".join(lines), encoding="utf-8")
    (about / "direct_url.json").write_text('{"url": "https://example.org/fork"}', encoding="utf-8")
    with fork.imported(monkeypatch):
        assert imported().is_fork


def test_models_of_a_fork_are_stock_when_a_release_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = make_fork(tmp_path / "fork")
    models = fork.package / "cfg" / "models"
    with fork.imported(monkeypatch):
        package = imported()
        text = (models / "v8" / "yolov8.yaml").read_text(encoding="utf-8")
        assert package.is_released_model(text)
        assert package.is_released_model(text.replace("nc: 80", "nc: 3 # mine").replace("[-1, 3, C2f", "[-1,3,C2f"))
        assert not package.is_released_model(text.replace("C2f, [1024", "Twice, [1024"))
        assert not package.is_released_model(fork.yaml.read_text(encoding="utf-8"))


def test_the_digests_are_those_of_the_release(request: pytest.FixtureRequest) -> None:
    package = imported()
    text = written([package.root])
    if request.config.getoption("--update-blocks"):
        Path(released.__file__).write_text(text, encoding="utf-8")
    elif digest_of(package.root) in released.SOURCES:
        assert text == Path(released.__file__).read_text(encoding="utf-8")


def test_nothing_is_imported(tmp_path: Path) -> None:
    fork = make_fork(tmp_path / "fork")
    program = (
        "import sys\nfrom lska_surgeon.installed.package import installed_package\n"
        "assert installed_package().is_fork\nassert not {'torch', 'ultralytics'} & sys.modules.keys()\n"
    )
    done = fork.python("-c", program, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
