"""Autoload in a real virtual environment: what fresh processes find, and what they pay for it."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from lska_surgeon.errors import TargetError
from lska_surgeon.yolo import autoload

ROOT = Path(__file__).resolve().parents[2]
VARIANT = """
nc: 3
backbone:
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, C2fLSKA, [16, True, {k: 7}]]
  - [-1, 1, LSKA, [c2, 35]]
head:
  - [[2], 1, Detect, [nc]]
"""


class Environment:
    """A virtual environment that sees this project and this environment's packages, unless it is "uninstalled"."""

    def __init__(self, path: Path) -> None:
        self.path = path
        venv.create(path, with_pip=False, symlinks=os.name != "nt")
        self.python = path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.site = Path(self.run("import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
        self.install()

    def install(self, installed: bool = True) -> None:
        paths = [str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")] if installed else []
        (self.site / "a.pth").write_text("".join(f"{line}\n" for line in dict.fromkeys(paths)))

    @property
    def pth(self) -> Path:
        return self.site / autoload.PTH_NAME

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["YOLO_OFFLINE"] = "true"
        return subprocess.run(
            [str(self.python), "-c", code], env=environment, capture_output=True, text=True, check=False, cwd=self.path
        )

    def answer(self, code: str) -> object:
        """The JSON that `code` prints last."""
        found = self.run(code)
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout.strip().splitlines()[-1])

    def command(self, name: str) -> object:
        return self.answer(
            f"import sys, json; sys.path.insert(0, {str(ROOT)!r})\n"
            "from lska_surgeon import errors; from lska_surgeon.yolo import autoload\n"
            f"try: found = autoload.{name}()\n"
            "except errors.TargetError as error: found = str(error)\n"
            "print(json.dumps(found if isinstance(found, (bool, str)) else [found.enabled, found.working]))"
        )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def environment(shared: Environment) -> Environment:
    shared.install()
    shared.pth.unlink(missing_ok=True)
    return shared


@pytest.fixture
def enabled(environment: Environment) -> Environment:
    environment.pth.write_text(autoload.PTH_TEXT)
    return environment


def test_on_status_off(environment: Environment) -> None:
    assert environment.command("status") == [False, False]
    assert environment.command("enable") == [True, True]
    first = environment.pth.read_bytes()
    assert environment.command("enable") == [True, True]
    assert environment.pth.read_bytes() == first
    assert environment.command("status") == [True, True]
    assert sorted(path.name for path in environment.site.iterdir() if "lska" in path.name) == [autoload.PTH_NAME]
    assert environment.command("disable") is True
    assert not environment.pth.exists()
    assert environment.command("disable") is False


def test_plain_ultralytics_builds_a_variant(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "variant.yaml").write_text(VARIANT)
    code = f"""
import json, sys
from ultralytics import YOLO
try: found = [type(layer).__name__ for layer in YOLO({str(tmp_path / "variant.yaml")!r}, task="detect").model.model]
except KeyError as error: found = error.args[0]
print(json.dumps(found))
"""
    assert environment.answer(code) == "C2fLSKA"
    environment.pth.write_text(autoload.PTH_TEXT)
    assert environment.answer(code) == ["Conv", "C2fLSKA", "LSKA", "Detect"]


def test_a_start_imports_three_small_modules_and_nothing_else(environment: Environment) -> None:
    code = "import sys; modules = sorted(sys.modules); import json; print(json.dumps(modules))"
    without = environment.answer(code)
    environment.pth.write_text(autoload.PTH_TEXT)
    assert isinstance(without, list)
    found = environment.answer(code)
    assert isinstance(found, list)
    assert set(found) - set(without) == {"lska_surgeon", "lska_surgeon.yolo", "lska_surgeon.yolo.startup"}


def test_a_start_is_silent_when_uninstalled(enabled: Environment) -> None:
    enabled.install(False)
    found = enabled.run("print('started')")
    assert (found.returncode, found.stdout, found.stderr) == (0, "started\n", "")
    assert enabled.command("status") == [True, False]


def test_turning_it_on_where_it_would_do_nothing_is_refused(environment: Environment) -> None:
    environment.install(False)
    message = environment.command("enable")
    assert isinstance(message, str)
    assert message.startswith("autoload would have no effect: a fresh Python of this environment does not find")
    assert not environment.pth.exists()


@pytest.mark.parametrize("action", [autoload.enable, autoload.disable], ids=lambda action: action.__name__)
def test_a_folder_that_cannot_be_written_is_named(
    action: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "file"))
    with pytest.raises(
        TargetError, match=r"lska_surgeon_autoload.pth: .*(virtual environment|as the user who owns)"
    ) as caught:
        action()  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_ultralytics_is_found_and_loaded_as_ever(enabled: Environment) -> None:
    """Its module carries no trace; other finders that ask in turn, reloads and threads are no trouble."""
    code = """
import importlib, importlib.util, inspect, json, sys, threading

class Asking:
    def find_spec(self, name, path=None, target=None):
        if name != "ultralytics.nn.tasks" or getattr(self, "busy", False):
            return None
        self.busy = True
        try:
            return next((s for s in (f.find_spec(name, path, target) for f in sys.meta_path) if s), None)
        finally:
            self.busy = False

sys.meta_path.insert(0, Asking())
import ultralytics
threads = [threading.Thread(target=importlib.import_module, args=("ultralytics.nn.tasks",)) for _ in range(4)]
[t.start() for t in threads], [t.join() for t in threads]
tasks = sys.modules["ultralytics.nn.tasks"]
found = [type(tasks.__loader__).__name__, type(tasks.__spec__.loader).__name__, "LSKA" in vars(tasks)]
found.append(inspect.unwrap(tasks.parse_model) is not tasks.parse_model)
found.append("def parse_model(" in inspect.getsource(tasks))
importlib.reload(tasks)
found.append(inspect.unwrap(tasks.parse_model) is not tasks.parse_model)
found.append(importlib.util.find_spec("ultralytics.nn.modules") is not None)
print(json.dumps(found))
"""
    assert enabled.answer(code) == ["SourceFileLoader", "SourceFileLoader", True, True, True, True, True]


def test_importing_us_first_registers_once(enabled: Environment) -> None:
    code = """
import inspect, json, logging
import lska_surgeon.nn
from lska_surgeon.nn.parsing import owned_names
from ultralytics.nn import tasks
wrapped = tasks.parse_model.__wrapped__
print(json.dumps([inspect.unwrap(wrapped) is wrapped, "LSKA" in owned_names(tasks)]))
"""
    found = enabled.run(code)
    assert found.stdout.strip().splitlines()[-1] == "[true, true]"
    assert "could not register" not in found.stdout + found.stderr


def test_ultralytics_survives_a_registration_that_fails(enabled: Environment) -> None:
    code = """
import json, sys
sys.modules["lska_surgeon.nn"] = None
from ultralytics.nn import tasks
print(json.dumps("LSKA" in vars(tasks)))
"""
    found = enabled.run(code)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip().splitlines()[-1] == "false"
    assert "lska_surgeon autoload could not register its blocks" in found.stdout + found.stderr
