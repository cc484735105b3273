"""`lska-surgeon doctor`: each trap is found in an environment that has it, with its remedy."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.forks import STYLES, make_fork

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
        self.script = folder / "bin" / "lska-surgeon"
        self.script.parent.mkdir()
        self.script.write_text("from lska_surgeon.cli.main import main\nmain()\n", encoding="utf-8")
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
            [sys.executable, str(self.script), "doctor", *words],
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
    files = {"ultralytics/__init__.py": f"__version__ = '{version}'\n"} if package == "ultralytics" else {}
    site.install(package, version, {**PACKAGE, **files} if files else {})
    assert site.traps()["too-old"] == (
        f"{name} {version} is older than {least}, the first that lska-surgeon works with",
        f"pip install -U '{name}>={least}'",
    )


@pytest.mark.parametrize(("version", "reported"), [("2.3.5", False), ("2.10.1", True)])
def test_numpy_without_trapz(site: Site, version: str, reported: bool) -> None:
    site.install("numpy", version)
    found = site.traps()
    assert list(found) == ["numpy"] * reported
    if reported:
        called = f"ultralytics 8.4.0 calls numpy.trapz (line 2 of {site.path / 'ultralytics/utils/metrics.py'})"
        assert found["numpy"] == (
            f"{called}, which numpy {version} no longer has: validation fails",
            "pip install 'numpy<2.4', or pip install -U ultralytics",
        )


def as_fork(site: Site, folder: Path, **files: str) -> Path:
    """A fork of version 8.2.51 in a folder; its package."""
    package = folder / "ultralytics"
    texts = {**PACKAGE, "ultralytics/__init__.py": "__version__ = '8.2.51'\n", **files}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return package


@pytest.mark.parametrize(
    ("project", "remedy"), [(True, "pip install --no-deps -e ."), (False, "python -m lska_surgeon")]
)
def test_fork_in_the_working_folder_that_is_not_imported(site: Site, project: bool, remedy: str) -> None:
    site.install("numpy", "2.0.0")
    as_fork(site, site.work)
    if project:
        (site.work / "pyproject.toml").touch()
    problem, told = site.traps()["passed-over"]
    assert problem == f"./ultralytics is not what is imported, that is ultralytics 8.4.0 at {site.path / 'ultralytics'}"
    assert told.startswith(remedy)


_LOADER = """
import torch
import not_there.at_all
from .mine import Block
try:
    import not_needed
except ImportError:
    pass

def torch_safe_load(weight):
    try:
        return torch.load(weight, map_location="cpu")
    except ModuleNotFoundError:
        return torch.load(weight, weights_only=False)
"""


def test_fork_is_known_as_one_and_its_traps_have_remedies_for_a_fork(site: Site, tmp_path: Path) -> None:
    site.install("numpy", "2.4.0")
    fork = as_fork(site, tmp_path / "fork", **{
        "ultralytics/nn/tasks.py": _LOADER,
        "ultralytics/nn/__init__.py": "",
        "ultralytics/nn/mine.py": "from einops_of_mine import rearrange\n",
        "ultralytics/utils/plotting.py": "def plot():\n    import seaborn_x, pandas_x\n",
        "ultralytics/engine/trainer.py": "def device():\n    import cpuinfo\n    try:\n        import thop\n"
        "    except ImportError:\n        thop = None\n",
        "ultralytics/engine/exporter.py": "def export(model):\n    torch.onnx.export(model, opset_version=10)\n",
        "requirements.txt": "einops-of-mine>=0.8  # for rearrange\n",
    })  # fmt: skip
    done = site.doctor("--json", first=str(fork.parent))
    told = json.loads(done.stdout)
    assert told["versions"]["ultralytics"] == "8.2.51"
    assert told["package"] == {"path": str(fork), "fork": True}
    assert told["notes"][:2] == [
        f"ultralytics 8.2.51 at {fork}, a fork: its blocks are yours",
        f"pip lists ultralytics 8.4.0, which is not what is imported: PYTHONPATH or a .pth file puts {fork.parent} "
        "first",
    ]
    traps = [(trap["name"], trap["problem"], trap["remedy"]) for trap in told["traps"]]
    if importlib.util.find_spec("onnxscript") is None:
        exporter = f"line 2 of {fork / 'engine/exporter.py'}"
        problem = "your fork of ultralytics 8.2.51 exports to ONNX by the way that torch 2.10.0 takes unless told"
        assert traps.pop(3) == (
            "onnx",
            f"{problem} ({exporter}), and onnxscript is not installed: it fails",
            "pip install onnxscript, or write dynamo=False there",
        )
    tasks, metrics = fork / "nn" / "tasks.py", fork / "utils" / "metrics.py"
    too_old = "ultralytics 8.2.51 is older than 8.3.0, the first that lska-surgeon works with"
    assert traps == [
        ("too-old", too_old, "lska-surgeon doctor --try tells what works in your fork all the same"),
        (
            "numpy",
            f"your fork of ultralytics 8.2.51 calls numpy.trapz (line 2 of {metrics}), which numpy 2.4.0 no longer "
            "has: validation fails",
            "pip install 'numpy<2.4', or write np.trapezoid there",
        ),
        (
            "torch",
            "your fork of ultralytics 8.2.51 opens checkpoints by a torch.load that torch 2.10.0 takes for weights "
            "alone: it opens none",
            f"write weights_only=False into torch.load in {tasks} (line 12), or pip install 'torch<2.6' torchvision",
        ),
        (
            "missing",
            f"not_there is not installed, and line 3 of {tasks} imports it: your fork can't be imported",
            "install the package that has it, as the fork says",
        ),
        (
            "missing",
            f"einops_of_mine is not installed, and line 1 of {fork / 'nn/mine.py'} imports it: your fork can't be "
            "imported",
            "pip install einops-of-mine",
        ),
        (
            "missing",
            f"cpuinfo is not installed, and line 2 of {fork / 'engine/trainer.py'} imports it: what needs it there "
            "fails",
            "pip install py-cpuinfo",
        ),
    ]
    assert not any(
        word in f"{problem} {remedy}" for _, problem, remedy in traps for word in ("-U", "rename", "take it")
    )


def test_a_fork_that_lacks_a_module_says_which_in_every_command(tmp_path: Path) -> None:
    style = STYLES["set"]
    fork = make_fork(tmp_path / "fork", replace(style, classes=f"import einops_of_mine\n{style.classes}"))
    done = fork.run("flops", "own.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"Error: einops_of_mine is not installed, and line 1 of {fork.package / 'nn/own.py'} imports it: install the "
        "package that has it, as the fork says"
    )


@pytest.mark.parametrize("file", ["nn/tasks.py", "nn/LSKA.py"])
def test_block_that_was_pasted_into_the_installed_files(site: Site, file: str) -> None:
    site.install("numpy", "2.0.0")
    site.write(f"ultralytics/{file}", "class LSKA: ...\n")
    notes = json.loads(site.doctor("--json").stdout)["notes"]
    name = Path(file).name
    assert (
        f"files of ultralytics are not as pip installed them: {name}; keep a copy, for pip install -U replaces them"
        in notes
    )


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


@pytest.mark.usefixtures("without_imports")
def test_block_of_a_fork_s_own_is_no_trap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "conflicts", lambda: {"LSKA": "ultralytics.nn.modules.block.LSKA"})
    assert "trap[conflict]" not in CliRunner().invoke(main, ["doctor"]).output
