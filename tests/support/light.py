"""An environment with click, filelock, msgspec, rich, ruamel.yaml and Ultralytics' files, and no torch at all."""

from __future__ import annotations

import importlib.util
import os
import sys
import venv
from pathlib import Path

#: What the light job installs, with what rich needs; `ultralytics` without its dependencies is its YAMLs and no more.
PACKAGES = (
    *("click", "filelock", "msgspec", "rich", "ruamel", "markdown_it", "mdurl", "pygments"),
    *("ultralytics", "lska_surgeon"),
)


def light_environment(folder: Path) -> dict[str, str]:
    """Make it; the variables with which its commands are found first."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    site = next(folder.rglob("site-packages"))
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        (source,) = spec.submodule_search_locations or ()
        (site / name).symlink_to(Path(source).resolve(), target_is_directory=True)
    command = folder / "bin" / "lska-surgeon"
    command.write_text(
        f"#!{folder / 'bin' / 'python'}\nfrom lska_surgeon.cli.main import main\nmain()\n", encoding="utf-8"
    )
    command.chmod(0o755)
    return environment(folder / "bin")


def environment(commands: Path) -> dict[str, str]:
    """Variables with which the commands of a folder are found first, and no other Python package."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}


def full_environment() -> dict[str, str]:
    """The variables of the environment that runs the tests."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
