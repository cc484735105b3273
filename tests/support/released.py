"""The checksums of releases of Ultralytics: `python tests/support/released.py WHEEL...` writes `installed/released.py`.

The wheels are those of `pip download --no-deps ultralytics==8.3.0`. What is written has been kept: wheels are added.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from lska_surgeon.installed import released
from lska_surgeon.installed.package import digest_of, model_digest

NEW = '''"""Checksums of what releases of Ultralytics are; written by `python tests/support/released.py WHEEL...`."""

from __future__ import annotations

#: Of the parser and the blocks of a release, see `package.digest_of`.
SOURCES = """
{sources}
"""
#: Of the rows of each model that a release has, see `package.model_digest`.
MODELS = """
{models}
"""
'''


def written(roots: Iterable[Path]) -> str:
    """The text of the module with what it has, and with these packages."""
    sources, models = {*released.SOURCES.split()}, {*released.MODELS.split()}
    for root in roots:
        sources.add(digest_of(root))
        models |= {model_digest(path.read_text(encoding="utf-8")) for path in (root / "cfg" / "models").rglob("*.yaml")}
    return NEW.format(sources=_lines(sources), models=_lines(models))


def _lines(digests: Iterable[str]) -> str:
    listed = sorted(filter(None, digests))
    return "\n".join(" ".join(listed[at : at + 7]) for at in range(0, len(listed), 7))


def main(wheels: Iterable[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, wheel in enumerate(wheels):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(Path(folder, str(number)))
        text = written(path / "ultralytics" for path in Path(folder).iterdir())
    Path(released.__file__).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
