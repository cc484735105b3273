"""`lska-surgeon doctor`: each trap is found in an environment that has it, with its remedy."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import main
from lska_surgeon.errors import needs
from lska_surgeon.nn import parsing
from lska_surgeon.yolo import autoload, doctor

ROOT = Path(__file__).parents[2]
PACKAGE = {
    "ultralytics/__init__.py": "__version__ = '8.4.0'\n",
    "ultralytics/nn/tasks.py": "class C2f: ...\n",
    "ultralytics/utils/metrics.py": "import numpy as np\nnp.trapz\n",
}
NMS = "raise RuntimeError('operator torchvision::nms does not exist')\n"


class Site:
    """A folder that stands before site-packages, with a torchvision that does not match its torch."""

    def __init__(self, folder: Path) -> None:
        self.path, self.work = folder / "site", folder / "work"
        self.path.mkdir()
        self.work.mkdir()
        self.install("torch", "2.10.0", {"torch/__init__.py": "__version__ = '2.10.0'\n"})
        self.install("torchvision", "0.9.0", {"torchvision/__init__.py": NMS})
        self.install("ultralytics", "8.4.0", PACKAGE)
        self.install("lska-surgeon", "0.1.0")
        for line in ("torch>=2.4", "ultralytics>=8.3.0", "ruamel-yaml>=0.17.2", "nothing>=99; extra == 'test'"):
            self.add_line("lska_surgeon-0.1.0.dist-info/METADATA", f"Requires-Dist: {line}")

    def install(self, name: str, version: str, files: Mapping[str, str] = {}) -> None:
        record = []
        for file, text in files.items():
            self.write(file, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record.append(f"{file},sha256={digest},{len(text)}\n")
        for old in self.path.glob(f"{name}-*.dist-info/METADATA"):
            old.unlink()
            old.with_name("RECORD").unlink()
            old.parent.rmdir()
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        self.write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        self.write(f"{info}/RECORD", "".join(record))

    def add_line(self, file: str, line: str) -> None:
        with (self.path / file).open("a", encoding="utf-8") as opened:
            opened.write(f"{line}\n")

    def write(self, file: str, text: str) -> None:
        path = self.path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def doctor(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([environment.pop("first", ""), str(self.path), str(ROOT)]).lstrip(os.pathsep)
        return subprocess.run(
            [sys.executable, "-c", "from lska_surgeon.cli.main import main; main()", "doctor", *words],
            env={**os.environ, "PYTHONPATH": path, **environment},
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )

    def traps(self, **environment: str) -> dict[str, tuple[str, str]]:
        """Trap name -> problem and remedy, without the one about torchvision that every such site has."""
        done = self.doctor("--json", **environment)
        assert done.returncode == 1, done.stderr
        found = {trap["name"]: (trap["problem"], trap["remedy"]) for trap in json.loads(done.stdout)["traps"]}
        assert "torchvision does not match torch 2.10.0" in found.pop("import")[0]
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_torchvision_that_does_not_match_is_reported_with_its_remedy(site: Site) -> None:
    site.install("numpy", "2.0.0")
    done = site.doctor(YOLO_AUTOINSTALL="false")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "\nultralytics   8.4.0\ntorch         2.10.0\ntorchvision   0.9.0\n" in done.stdout
    assert done.stdout.count("trap[") == 1
    assert (
        "\n\ntrap[import]: torchvision does not match torch 2.10.0 (operator torchvision::nms does not exist)\n"
        "  remedy: install both from the same index in one command, "
        "pip install --force-reinstall torch torchvision\n"
    ) in done.stdout


@pytest.mark.parametrize(
    ("package", "name", "version", "least"),
    [("ultralytics", "ultralytics", "8.2.103", "8.3.0"), ("ruamel.yaml", "ruamel-yaml", "0.9.1", "0.17.2")],
)
def test_old_package_however_its_name_is_written(site: Site, package: str, name: str, version: str, least: str) -> None:
    site.install(package, version, PACKAGE if package == "ultralytics" else {})
    assert site.traps()["too-old"] == (
        f"{name} {version} is older than {least}, the first that lska-surgeon works with",
        f"pip install -U '{name}>={least}'",
    )


@pytest.mark.parametrize(("version", "reported"), [("2.3.5", False), ("2.4.0", True), ("2.10.1", True)])
def test_numpy_without_trapz(site: Site, version: str, reported: bool) -> None:
    site.install("numpy", version)
    found = site.traps()
    assert list(found) == ["numpy"] * reported
    if reported:
        assert found["numpy"] == (
            f"ultralytics 8.4.0 calls numpy.trapz, which numpy {version} no longer has: validation fails",
            "pip install 'numpy<2.4', or pip install -U ultralytics",
        )


def test_clone_in_the_working_folder(site: Site) -> None:
    site.install("numpy", "2.0.0")
    clone = site.work / "ultralytics"
    clone.mkdir()
    (clone / "__init__.py").touch()
    problem, remedy = site.traps()["shadowed"]
    assert problem.startswith(f"{clone} hides the installed ultralytics in {site.path / 'ultralytics'}: scripts that")
    assert remedy.startswith(f"rename {clone}, or work in another folder")


def test_clone_on_the_path(site: Site, tmp_path: Path) -> None:
    clone = tmp_path / "clone" / "ultralytics"
    clone.mkdir(parents=True)
    (clone / "__init__.py").touch()
    problem, _ = site.traps(first=str(clone.parent))["shadowed"]
    assert problem.endswith(": PYTHONPATH or a .pth file puts it first")


@pytest.mark.parametrize("file", ["nn/tasks.py", "nn/LSKA.py"])
def test_block_that_was_pasted_in(site: Site, file: str) -> None:
    site.write(f"ultralytics/{file}", "class LSKA: ...\n")
    problem, remedy = site.traps()["changed"]
    assert problem.startswith(f"installed files of ultralytics were changed or added: {Path(file).name};")
    assert remedy == "pip install --force-reinstall --no-deps ultralytics==8.4.0"


def test_settings_folder_that_can_not_be_written(site: Site) -> None:
    blocked = site.work / "file"
    blocked.touch()
    problem, remedy = site.traps(YOLO_CONFIG_DIR=str(blocked / "x"))["settings"]
    assert problem == f"Ultralytics can't write its settings into {blocked / 'x'}"
    assert remedy == "set YOLO_CONFIG_DIR to a folder that you can write to"


def test_automatic_installation_is_a_note(site: Site) -> None:
    for allowed in ("true", "false"):
        notes = json.loads(site.doctor("--json", YOLO_AUTOINSTALL=allowed).stdout)["notes"]
        assert any("YOLO_AUTOINSTALL=false" in note for note in notes) == (allowed == "true")


def test_this_environment_is_reported_as_it_is() -> None:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == (0 if report["ok"] else 1)
    assert report["ok"] == (not report["traps"])
    assert report["versions"]["torch"] == importlib.metadata.version("torch")
    assert report["versions"]["click"] == importlib.metadata.version("click")


def test_missing_torch_is_a_note_and_no_trap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in ("torch", "torchvision", *doctor.EXTRAS):
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["doctor"])
    assert "\ntorch         -\n" in result.output
    assert "note: insert, remove, positions, check, diff, curves, draw and variants work as they are; " in result.output
    assert "needs torch and torchvision, which are not installed: pip install lska-surgeon\n" in result.output
    assert (
        "note: export to ONNX needs onnx, onnxruntime and onnxslim, which are not installed: "
        'pip install "lska-surgeon[onnx]"\n'
    ) in result.output
    assert "trap[import]" not in result.output


@pytest.mark.parametrize("missing", [("onnxslim",), ("onnx", "onnxslim"), doctor.EXTRAS, ()])
def test_only_the_extras_that_are_missing_are_named(
    missing: tuple[str, ...], without_imports: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str | None:
        return None if name in missing else "1.0"

    monkeypatch.setattr(doctor, "_version", version)
    reported = [note for note in doctor.diagnose().notes if "ONNX" in note]
    assert reported == ([str(needs(*missing, what="export to ONNX"))] if missing else [])


@pytest.fixture
def without_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares a test the look at what is installed."""
    monkeypatch.setattr(doctor, "environment_problem", lambda: None)
    monkeypatch.setattr(doctor, "import_offline", lambda: None)
    monkeypatch.setattr(parsing, "conflicts", dict)


@pytest.mark.usefixtures("without_imports")
def test_autoload_without_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoload, "status", lambda: autoload.AutoloadStatus(Path("x.pth"), True, False))
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    problem = "autoload is on, but a fresh Python does not find lska_surgeon: x.pth"
    assert f"trap[autoload]: {problem}\n  remedy: lska-surgeon autoload off\n" in result.output


@pytest.mark.usefixtures("without_imports")
def test_block_that_somebody_else_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "conflicts", lambda: {"LSKA": "mine.LSKA"})
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "trap[conflict]: LSKA in ultralytics.nn.tasks is mine.LSKA, not lska-surgeon's\n" in result.output
