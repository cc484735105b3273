"""The versions that are installed here, and the known traps of such an environment with their remedies.

Versions and files are looked up without importing anything. Only the last check imports torch, torchvision and
Ultralytics, for nothing else tells whether they work together.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from .. import __version__
from ..errors import SurgeonError, needs
from ..reports import Part, Report, Result, Table
from ..wording import counted
from . import autoload
from .environment import environment_problem, import_offline
from .trial import RIGHT, SKIPPED, STEPS, WRONG, TriedStep

PACKAGES = ("ultralytics", "torch", "torchvision", "fvcore", "numpy", "click", "rich", "ruamel.yaml")
EXTRAS = ("onnx", "onnxruntime", "onnxslim")
_NO_TRAPZ = (2, 4)  # NumPy's first release without `trapz`
_LISTED = 4  # changed files that are named


@dataclass(frozen=True)
class Trap:
    """Something that will go wrong, or already does.

    Attributes:
        name: one word.
        problem: what was found.
        remedy: what to type, or to set.
    """

    name: str
    problem: str
    remedy: str


@dataclass(frozen=True, repr=False)
class Diagnosis(Result):
    """What is installed, and what is wrong with it.

    Attributes:
        versions: package -> its version; None where it is not installed.
        traps: in the order in which they should be dealt with.
        notes: what is worth knowing and no trap.
        attempts: what came of every step with each model, where that was tried.
    """

    versions: dict[str, str | None]
    traps: tuple[Trap, ...]
    notes: tuple[str, ...]
    attempts: tuple[TriedStep, ...] = ()

    @property
    def wrong(self) -> tuple[TriedStep, ...]:
        """The steps that ended as none should."""
        return tuple(one for one in self.attempts if one.result == WRONG)

    def report(self) -> Report:
        """Versions, then traps, each with its remedy, then notes; then a table of what was tried."""
        names = ", ".join(trap.name for trap in self.traps)
        summary = f"{counted(len(self.traps), 'trap')}: {names}" if self.traps else "no traps found"
        if self.attempts:
            summary += f"; {counted(len(self.attempts), 'step')} tried, {len(self.wrong)} wrong"
        versions = Table(("package", "version"), [(name, known or "-") for name, known in self.versions.items()])
        traps = [f"trap[{trap.name}]: {trap.problem}\n  remedy: {trap.remedy}" for trap in self.traps]
        notes = "\n".join(f"note: {note}" for note in self.notes)
        data = {"schema": self.schema, "ok": not self.traps and not self.wrong, **asdict(self)}
        parts = (versions, *(traps or ["no traps found"]), *([notes] if notes else []), *self._tried())
        return Report(summary, parts, data=data)

    def _tried(self) -> Iterator[Part]:
        if not self.attempts:
            return
        results: dict[str, dict[str, str]] = {}
        for one in self.attempts:
            results.setdefault(one.model, {})[one.step] = one.result
        names = [step.name for step in STEPS]
        yield Table(("model", *names), [(model, *(found[name] for name in names)) for model, found in results.items()])
        told = [one for one in self.attempts if one.result not in (RIGHT, SKIPPED)]
        lines = (f"{one.model}, {one.step} {one.result}: {one.text}\n  typed: {one.command}" for one in told)
        yield "\n".join(lines) if told else "every step was right"


def diagnose() -> Diagnosis:
    """Look for every known trap."""
    versions: dict[str, str | None] = {"python": platform.python_version(), "lska-surgeon": __version__}
    versions.update((name, _version(name)) for name in (*PACKAGES, *EXTRAS))
    traps = [*_too_old(), *_shadowed(), *_changed(), *_without_trapz(), *_settings(), *_autoload()]
    if versions["torch"] and versions["ultralytics"]:
        traps += _imports()
    return Diagnosis(versions, tuple(traps), tuple(_notes(versions)))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """`2.4.1+cpu` -> (2, 4, 1)."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, release[0].split("."))) if release else ()


def _too_old() -> Iterator[Trap]:
    """Packages below the minimum that this package was installed with."""
    try:
        required = importlib.metadata.requires("lska-surgeon") or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return
    for line in required:
        match = re.match(r"([\w.-]+)>=([\d.]+)[^;]*$", line)
        package, least = match.groups() if match else ("", "")
        version = _version(package) if package else None
        if version and _numbers(version) < _numbers(least):
            problem = f"{package} {version} is older than {least}, the first that lska-surgeon works with"
            yield Trap("too-old", problem, f"pip install -U '{package}>={least}'")


def _shadowed() -> Iterator[Trap]:
    """Another `ultralytics` stands before the installed one."""
    installed = _installed_files()
    if not installed:
        return
    home = next(iter(installed)).parent
    here = Path("ultralytics", "__init__.py")
    spec = PathFinder.find_spec("ultralytics")
    imported = Path(spec.origin) if spec and spec.origin else None
    if here.is_file() and here.resolve().parent != home:
        folder, why = here.resolve().parent, "scripts that run in this folder import it"
    elif imported and imported.resolve().parent != home:
        folder, why = imported.parent, "PYTHONPATH or a .pth file puts it first"
    else:
        return
    remedy = f"rename {folder}, or work in another folder and unset PYTHONPATH"
    yield Trap("shadowed", f"{folder} hides the installed ultralytics in {home}: {why}", remedy)


def _changed() -> Iterator[Trap]:
    """Installed files that are not what was installed, such as a tasks.py that somebody pasted LSKA into."""
    installed = _installed_files()
    changed = [path for path, digest in installed.items() if path.is_file() and digest != _digest(path)]
    added = []
    if installed:
        home = next(iter(installed)).parent
        added = [path for path in sorted(home.glob("nn/**/*.py")) if path not in installed]
    if not changed and not added:
        return
    named = [path.name for path in (*changed, *added)]
    listed = ", ".join(named[:_LISTED]) + (f" and {len(named) - _LISTED} more" if len(named) > _LISTED else "")
    why = "a block that was pasted in keeps its name"
    problem = f"installed files of ultralytics were changed or added: {listed}; {why}"
    yield Trap("changed", problem, f"pip install --force-reinstall --no-deps ultralytics=={_version('ultralytics')}")


def _installed_files() -> dict[Path, str]:
    """The Python files that came with Ultralytics -> their digests, `__init__.py` first; empty when not known."""
    try:
        files = importlib.metadata.distribution("ultralytics").files or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    digests = {
        Path(str(file.locate())).resolve(): file.hash.value
        for file in files
        if file.hash and file.hash.mode == "sha256" and file.parts[0] == "ultralytics" and file.suffix == ".py"
    }
    first = [path for path in digests if path.parts[-2:] == ("ultralytics", "__init__.py")]
    return {path: digests[path] for path in (*first, *digests)} if first else {}


def _digest(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def _without_trapz() -> Iterator[Trap]:
    """Old releases of Ultralytics call `numpy.trapz`."""
    numpy = _version("numpy")
    metrics = next((path for path in _installed_files() if path.parts[-2:] == ("utils", "metrics.py")), None)
    if numpy is None or _numbers(numpy) < _NO_TRAPZ or metrics is None or not metrics.is_file():
        return
    text = metrics.read_text(encoding="utf-8", errors="replace")
    if "np.trapz" in text and "trapezoid" not in text:
        problem = f"ultralytics {_version('ultralytics')} calls numpy.trapz, which numpy {numpy} no longer has"
        yield Trap("numpy", f"{problem}: validation fails", "pip install 'numpy<2.4', or pip install -U ultralytics")


def _settings() -> Iterator[Trap]:
    """Ultralytics writes its settings on import."""
    folder = _settings_folder()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return
    problem = f"Ultralytics can't write its settings into {folder}"
    yield Trap("settings", problem, "set YOLO_CONFIG_DIR to a folder that you can write to")


def _settings_folder() -> Path:
    given = os.environ.get("YOLO_CONFIG_DIR")
    if given:
        return Path(given).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        return home / "AppData" / "Roaming" / "Ultralytics"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "Ultralytics"
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "Ultralytics")


def _autoload() -> Iterator[Trap]:
    status = autoload.status()
    if status.enabled and not status.working:
        problem = f"autoload is on, but a fresh Python does not find lska_surgeon: {status.path}"
        yield Trap("autoload", problem, "lska-surgeon autoload off")


def _imports() -> Iterator[Trap]:
    """What fails when all of it is imported, and names that somebody else defined."""
    problem = environment_problem()
    if problem:
        what, _, remedy = problem.rpartition(": ")
        yield Trap("import", what, remedy)
        return
    try:
        import_offline()
    except SurgeonError as error:
        yield Trap("import", f"the blocks can't be registered: {error}", "pip install -U ultralytics")
        return
    from ..nn.parsing import conflicts  # imports torch and Ultralytics

    for name, owner in conflicts().items():
        remedy = "take it out of that file; lska-surgeon has a block of that name"
        yield Trap("conflict", f"{name} in ultralytics.nn.tasks is {owner}, not lska-surgeon's", remedy)


def _notes(versions: dict[str, str | None]) -> Iterator[str]:
    missing = [name for name in ("torch", "torchvision", "ultralytics", "fvcore") if not versions[name]]
    if missing:
        without = "insert, remove, positions, check, diff, curves, draw and variants work as they are"
        yield f"{without}; {needs(*missing, what='what counts, trains or looks into checkpoints')}"
    if not versions["ultralytics"]:
        yield "without ultralytics there are no stock models: give model YAMLs as paths"
    missing = [name for name in EXTRAS if not versions[name]]
    if missing:
        yield str(needs(*missing, what="export to ONNX"))
    if not autoload.status().enabled:
        yield "autoload is off: plain `yolo` does not know the blocks before lska-surgeon autoload on"
    if os.environ.get("YOLO_AUTOINSTALL", "true").lower() not in ("false", "0"):
        yield "Ultralytics may run pip by itself outside of lska-surgeon: YOLO_AUTOINSTALL=false forbids it"
