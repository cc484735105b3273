"""Autoload: plain `yolo`, and every other fresh process of this environment, finds the block names.

Opt-in and reversible: one `.pth` file in the environment's site-packages, which Python runs at every start; it knows
nothing of Ultralytics (see `startup`), and stays silent where this package has been uninstalled.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from ..errors import TargetError
from ..files import write_text
from ..reports import Report, Result

PTH_NAME = "lska_surgeon_autoload.pth"
_START = "try:\n    from lska_surgeon.yolo import startup\n    startup.install()\nexcept Exception:\n    pass"
PTH_TEXT = (
    "# Lets Ultralytics find the blocks of lska-surgeon; made by `lska-surgeon autoload on`, removed by `... off`.\n"
    f"import sys; exec({_START!r})\n"  # Python runs a line only if it begins with `import`
)


@dataclass(frozen=True, repr=False)
class AutoloadStatus(Result):
    """What is there, and what it does.

    Attributes:
        path: the `.pth` file, whether it exists or not.
        enabled: the file is there.
        working: a fresh interpreter of this environment runs it, and finds this package.
    """

    path: Path
    enabled: bool
    working: bool

    def report(self) -> Report:
        """Whether it is on, in one line."""
        if not self.enabled:
            return Report("Autoload is off")
        problem = "" if self.working else ", but a fresh Python does not find lska_surgeon"
        return Report(f"Autoload is on{problem}: {self.path}")


def enable() -> AutoloadStatus:
    """Turn autoload on for this environment; a second call changes nothing.

    Raises:
        TargetError: site-packages can't be written, or a fresh interpreter does not find this package.
    """
    path = _pth_path()
    try:
        write_text(path, PTH_TEXT, force=True)
    except TargetError as error:
        raise TargetError(
            f"{error}: turn autoload on in a virtual environment of your own, or use `lska-surgeon yolo ...` without it"
        ) from error
    now = status()
    if not now.working:
        disable()
        raise TargetError(
            "autoload would have no effect: a fresh Python of this environment does not find lska_surgeon; "
            f"install it there first, {sys.executable} -m pip install {_source()}"
        )
    return now


def disable() -> bool:
    """Turn autoload off; returns whether it was on.

    Raises:
        TargetError: the file can't be removed.
    """
    path = _pth_path()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TargetError(f"can't remove {path}: {error.strerror}; remove it as the user who owns it") from error
    return True


def status() -> AutoloadStatus:
    """Look, and try it in a fresh interpreter."""
    path = _pth_path()
    enabled = path.is_file()
    return AutoloadStatus(path, enabled, enabled and _works_in_fresh_process())


def _source() -> str:
    """What pip can install this package from: the checkout that it runs in, for no index has it."""
    checkout = Path(__file__).resolve().parents[2]
    return shlex.quote(str(checkout)) if (checkout / "pyproject.toml").is_file() else "FOLDER-OR-REPOSITORY-OF-IT"


def _pth_path() -> Path:
    return Path(sysconfig.get_path("purelib")) / PTH_NAME


def _works_in_fresh_process() -> bool:
    question = "import sys; sys.exit('lska_surgeon.yolo.startup' not in sys.modules)"
    # Away from the working folder, for a checkout in it is found by chance.
    return subprocess.run([sys.executable, "-c", question], cwd=sys.prefix, check=False).returncode == 0
