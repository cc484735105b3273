"""The versions that are installed here, and the known traps of such an environment with their remedies.

Versions and files are looked up without importing anything. Only the last check imports torch, torchvision and
Ultralytics, for nothing else tells whether they work together.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from .. import __version__
from ..errors import SurgeonError, needs
from ..installed.package import NAME, Package, digest, installed_package, listed_files, to_import_it
from ..installed.pitfalls import MissingModule, missing_modules, onnx_exports, trapz_calls, unsafe_loads
from ..modelfile.sources import stock_models
from ..reports import Part, Report, Result, Table
from ..wording import counted, plural
from . import autoload
from .environment import environment_problem, import_offline
from .trial import RIGHT, SKIPPED, STEPS, WRONG, TriedStep

PACKAGES = ("ultralytics", "torch", "torchvision", "fvcore", "numpy", "click", "rich", "ruamel.yaml")
EXTRAS = ("onnx", "onnxruntime", "onnxslim")
_NO_TRAPZ = (2, 4)  # NumPy's first release without `trapz`
_WEIGHTS_ALONE = (2, 6)  # torch's first release that loads nothing else unless told
_DYNAMO = (2, 9)  # torch's first release that exports to ONNX through its compiler unless told
_UPGRADE = f"pip install -U {NAME}"
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
        package: the Ultralytics that is imported; None where there is none.
    """

    versions: dict[str, str | None]
    traps: tuple[Trap, ...]
    notes: tuple[str, ...]
    attempts: tuple[TriedStep, ...] = ()
    package: Package | None = None

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
        package = self.package and {"path": str(self.package.root), "fork": self.package.is_fork}
        data = {"schema": self.schema, "ok": not self.traps and not self.wrong, **asdict(self), "package": package}
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
    package = installed_package()
    versions: dict[str, str | None] = {"python": platform.python_version(), "lska-surgeon": __version__}
    versions.update((name, _version(name)) for name in (*PACKAGES, *EXTRAS))
    listed = versions[NAME]
    versions[NAME] = (package.version or "?") if package else None
    traps = [*_too_old(package), *_settings(), *_autoload()]
    if package:
        missing = missing_modules(package.root) if package.is_fork else []  # of a release, pip has seen to it
        traps += [*_passed_over(package), *_old_calls(package, versions), *map(_missing, missing)]
        if versions["torch"] and not any(one.at_once for one in missing):
            traps += _imports(package)
    return Diagnosis(versions, tuple(traps), tuple(_notes(package, versions, listed)), package=package)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """`2.4.1+cpu` -> (2, 4, 1)."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, release[0].split("."))) if release else ()


def _too_old(package: Package | None) -> Iterator[Trap]:
    """Packages below the minimum that this package was installed with."""
    try:
        required = importlib.metadata.requires("lska-surgeon") or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return
    for line in required:
        match = re.match(r"([\w.-]+)>=([\d.]+)[^;]*$", line)
        name, least = match.groups() if match else ("", "")
        version = package.version if package and name == NAME else _version(name) if name else None
        if version and _numbers(version) < _numbers(least):
            problem = f"{name} {version} is older than {least}, the first that lska-surgeon works with"
            remedy = "lska-surgeon doctor --try tells what works in your fork all the same"
            is_fork = package is not None and package.is_fork and name == NAME
            yield Trap("too-old", problem, remedy if is_fork else f"pip install -U '{name}>={least}'")


def problem_of(name: str) -> str | None:
    """What fails here by the trap "numpy" or "torch", and its remedy, in one line; None where it does not."""
    package = installed_package()
    versions = {one: _version(one) for one in (*PACKAGES, *EXTRAS)}
    found = (trap for trap in _old_calls(package, versions) if trap.name == name) if package else iter(())
    return next((f"{trap.problem}: {trap.remedy}" for trap in found), None)


def _passed_over(package: Package) -> Iterator[Trap]:
    """An `ultralytics` in the working folder that is not the one that commands import."""
    if package.passed_over:
        problem = f"./{NAME} is not what is imported, that is {NAME} {package.version} at {package.root}"
        yield Trap("passed-over", problem, to_import_it())


def _old_calls(package: Package, versions: Mapping[str, str | None]) -> Iterator[Trap]:
    """Calls that NumPy and torch have changed since."""
    numpy, torch = versions["numpy"], versions["torch"]
    calls, loads = trapz_calls(package.root), unsafe_loads(package.root)
    if calls and numpy and _numbers(numpy) >= _NO_TRAPZ:
        problem = f"{_who(package)} calls numpy.trapz ({calls[0]}), which numpy {numpy} no longer has"
        mend = "write np.trapezoid there" if package.is_fork else _UPGRADE
        yield Trap("numpy", f"{problem}: validation fails", f"pip install 'numpy<2.4', or {mend}")
    told = os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0").lower() in ("1", "y", "yes", "true")
    if loads and torch and _numbers(torch) >= _WEIGHTS_ALONE and not told:
        lines = f"line{plural(loads)} {' and '.join(str(load.line) for load in loads)}"
        problem = f"{_who(package)} opens checkpoints by a torch.load that torch {torch} takes for weights alone"
        mend = f"write weights_only=False into torch.load in {loads[0].file} ({lines})"
        remedy = mend if package.is_fork else _UPGRADE
        yield Trap("torch", f"{problem}: it opens none", f"{remedy}, or pip install 'torch<2.6' torchvision")

    exports = onnx_exports(package.root)
    if exports and torch and _numbers(torch) >= _DYNAMO and versions["onnx"] and not find_spec("onnxscript"):
        problem = f"{_who(package)} exports to ONNX by the way that torch {torch} takes unless told ({exports[0]})"
        mend = "write dynamo=False there" if package.is_fork else _UPGRADE
        yield Trap(
            "onnx", f"{problem}, and onnxscript is not installed: it fails", f"pip install onnxscript, or {mend}"
        )


def _who(package: Package) -> str:
    return f"{'your fork of ' if package.is_fork else ''}{NAME} {package.version}"


def _missing(module: MissingModule) -> Trap:
    when = "your fork can't be imported" if module.at_once else "what needs it there fails"
    return Trap("missing", f"{module.problem}: {when}", module.remedy)


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


def _imports(package: Package) -> Iterator[Trap]:
    """What fails when all of it is imported, and names that somebody else defined."""
    problem = environment_problem()
    if problem:
        what, _, remedy = problem.rpartition(": ")
        yield Trap("import", what, remedy)
        return
    try:
        import_offline()
    except SurgeonError as error:
        remedy = "insert, remove, positions, check and diff work all the same" if package.is_fork else _UPGRADE
        yield Trap("import", f"the blocks can't be registered: {error}", remedy)
        return
    from ..nn.parsing import conflicts  # imports torch and Ultralytics

    for name, owner in conflicts().items():
        if not owner.startswith(f"{NAME}."):  # that is a block of a fork's own
            remedy = "take it out of that file; lska-surgeon has a block of that name"
            yield Trap("conflict", f"{name} in ultralytics.nn.tasks is {owner}, not lska-surgeon's", remedy)


def _of_files(package: Package, listed: str | None) -> Iterator[str]:
    """Files that are not what pip has installed, such as a tasks.py that somebody pasted LSKA into."""
    root, installed = package.root.resolve(), listed_files(package.root)
    if not installed:
        if listed and listed != package.version:
            first = f"PYTHONPATH or a .pth file puts {package.root.parent} first"
            yield f"pip lists {NAME} {listed}, which is not what is imported: {first}"
        return
    files = {root / name: value for name, value in installed.items() if name.endswith(".py")}
    changed = [path for path, value in files.items() if path.is_file() and digest(path.read_bytes()) != value]
    added = [path for path in sorted(root.glob("nn/**/*.py")) if path not in files]
    names = [path.name for path in (*changed, *added)]
    if names:
        named = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
        yield f"files of {NAME} are not as pip installed them: {named}; keep a copy, for pip install -U replaces them"


def _notes(package: Package | None, versions: Mapping[str, str | None], listed: str | None) -> Iterator[str]:
    if package:
        yield from package.notes[: int(package.is_fork)]
        yield from _of_files(package, listed)
    missing = [name for name in ("torch", "torchvision", "ultralytics", "fvcore") if not versions[name]]
    if missing:
        without = "insert, remove, positions, check, diff, curves, draw and variants work as they are"
        yield f"{without}; {needs(*missing, what='what counts, trains or looks into checkpoints')}"
    if not versions["ultralytics"]:
        yield (
            "without ultralytics the stock models are those that lska-surgeon-light has with it"
            if stock_models()
            else "without ultralytics there are no stock models: give model YAMLs as paths"
        )
    missing = [name for name in EXTRAS if not versions[name]]
    if missing:
        yield str(needs(*missing, what="export to ONNX"))
    if not autoload.status().enabled:
        yield "autoload is off: plain `yolo` does not know the blocks before lska-surgeon autoload on"
    if os.environ.get("YOLO_AUTOINSTALL", "true").lower() not in ("false", "0"):
        yield "Ultralytics may run pip by itself outside of lska-surgeon: YOLO_AUTOINSTALL=false forbids it"
