"""The environments of users: lska-surgeon-light's has no torch, the plain one nothing that an extra brings."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

import lska_surgeon

#: What lska-surgeon-light installs, with what rich needs.
PACKAGES = ("click", "filelock", "msgspec", "rich", "ruamel", "markdown_it", "mdurl", "pygments", "lska_surgeon")


def light_environment(folder: Path) -> dict[str, str]:
    """Make it; the variables with which its commands are found first."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    site = next(folder.rglob("site-packages"))
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        (source,) = spec.submodule_search_locations or ()
        (site / name).symlink_to(Path(source).resolve(), target_is_directory=True)
    (site / "lska_surgeon").unlink()  # its own folder, for the wheel has the stock models in it
    (site / "lska_surgeon").mkdir()
    for part in Path(lska_surgeon.__file__).parent.iterdir():
        (site / "lska_surgeon" / part.name).symlink_to(part.resolve())
    (site / "lska_surgeon" / "stock").symlink_to(Path(__file__).parents[2] / "light" / "stock")
    command = folder / "bin" / "lska-surgeon"
    command.write_text(
        f"#!{folder / 'bin' / 'python'}\nfrom lska_surgeon.cli.main import main\nmain()\n", encoding="utf-8"
    )
    command.chmod(0o755)
    return environment(folder / "bin")


#: Finds what is on the path, but for these; Python itself runs it as it starts.
HIDING = """\
import sys
from importlib.machinery import PathFinder

HIDDEN = frozenset({names!r})

class Visible(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Visible
"""


def plain_environment(folder: Path, wanted: Sequence[str]) -> dict[str, str]:
    """Variables under which Python finds what `pip install lska-surgeon` brings without extras, and nothing else.

    Args:
        folder: for the file that makes it so; empty.
        wanted: the requirements of the package, without its extras.
    """
    kept = {"pip", "setuptools", "wheel", "lska-surgeon"} | brought_by(wanted)
    hidden = {
        Path(file.parts[0]).name.partition(".")[0]
        for found in importlib.metadata.distributions()
        if canonical(found.metadata["Name"]) not in kept
        for file in found.files or ()
        if file.suffix in (".py", ".so", ".pyd") and file.parts[0].isidentifier()
    }
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(HIDING.format(names=sorted(hidden)), encoding="utf-8")
    return {**full_environment(), "PYTHONPATH": str(folder)}


def brought_by(requirements: Sequence[str]) -> set[str]:
    """The distributions that pip installs for requirements, as far as they are installed here."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        one = waiting.pop()
        name = canonical(one.name)
        if name in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        try:
            more = importlib.metadata.requires(one.name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        extras = [(line, extra) for line in more for extra in ("", *one.extras)]
        waiting += [
            Requirement(line.partition(";")[0])
            for line, extra in extras
            if not (marker := Requirement(line).marker) or marker.evaluate({"extra": extra})
        ]
    return found


def canonical(name: str) -> str:
    """A distribution's name as one may compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def environment(commands: Path) -> dict[str, str]:
    """Variables with which the commands of a folder are found first, and no other Python package."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}


def full_environment() -> dict[str, str]:
    """The variables of the environment that runs the tests."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
