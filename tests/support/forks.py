"""Small forks of Ultralytics, made of the installed release: its package linked, `parse_model` edited as people do.

    fork = make_fork(tmp_path / "fork", "branch")
    done = fork.run("check", "net.yaml", cwd=tmp_path)     # a process in which the fork is what is imported
    with fork.imported(monkeypatch): ...                   # in this process, for what imports nothing of it

Each of `STYLES` is one way in which public forks are edited, with a model that shows it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
VERSION = "8.3.2+mine"


@dataclass(frozen=True)
class Fork:
    """A fork on disk.

    Attributes:
        root: the folder to put on Python's path, as its repository's root.
        yaml: a model of its own, `cfg/models/own.yaml` in the package.
        blocks: the names of its own blocks.
    """

    root: Path
    yaml: Path
    blocks: tuple[str, ...]

    @property
    def package(self) -> Path:
        """Its `ultralytics`."""
        return self.root / "ultralytics"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process in which it is what is imported, as after `pip install -e`."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join([str(self.root), str(REPOSITORY)])}

    def run(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """`lska-surgeon WORDS` in such a process."""
        return self.python("-m", "lska_surgeon", *words, cwd=cwd)

    def python(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """`python WORDS` in such a process."""
        return subprocess.run(
            [sys.executable, *words], cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=300
        )

    @contextmanager
    def imported(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Let this process find it, for commands that import nothing of it; what was imported comes back behind."""
        with monkeypatch.context() as changed:
            changed.syspath_prepend(str(self.root))
            changed.delitem(sys.modules, "ultralytics", raising=False)
            yield


@dataclass(frozen=True)
class Style:
    """A way in which people edit a fork.

    Attributes:
        classes: the source of its own classes.
        edit: of the text of `nn/tasks.py`, what comes of it.
        blocks: the names of those classes that rows may name.
        rows: a model that has them.
        file: where the classes are, from the package's folder; imported by `edit`.
    """

    classes: str
    edit: Callable[[str], str]
    blocks: tuple[str, ...]
    rows: str
    file: str = "nn/own.py"


def make_fork(folder: Path, style: str | Style = "set", version: str = VERSION) -> Fork:
    """A fork in an empty folder.

    Args:
        folder: its repository's root.
        style: one of `STYLES`, or another.
        version: what its `__init__.py` says.
    """
    chosen = STYLES[style] if isinstance(style, str) else style
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    (installed,) = spec.submodule_search_locations or ()
    package = folder / "ultralytics"
    shutil.copytree(installed, package, ignore=shutil.ignore_patterns("__pycache__"), copy_function=_link)
    _write(package / "__init__.py", _with_version((package / "__init__.py").read_text(encoding="utf-8"), version))
    _write(package / "nn" / "tasks.py", chosen.edit((package / "nn" / "tasks.py").read_text(encoding="utf-8")))
    own = package / chosen.file
    _write(own, chosen.classes)
    yaml = package / "cfg" / "models" / "own.yaml"
    _write(yaml, chosen.rows)
    return Fork(folder, yaml, chosen.blocks)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _write(path: Path, text: str) -> None:
    """Write a file that may be a link to an installed one, which stays as it is."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _with_version(text: str, version: str) -> str:
    head, found, rest = text.partition("__version__ = ")
    assert found
    return f'{head}{found}"{version}"\n{rest.partition(chr(10))[2]}'


def edited(*edits: tuple[str, str]) -> Callable[[str], str]:
    """What replaces each first text in `parse_model`, or adds to the imports above it; each text has to be there."""

    def edit(text: str) -> str:
        above, marker, parser = text.partition("\ndef parse_model(")
        for old, new in edits:
            if old == IMPORTS:
                above = f"{above}\n{new}\n\n"
                continue
            assert old in parser, old
            parser = parser.replace(old, new, 1)
        return f"{above}{marker}{parser}"

    return edit


IMPORTS = "the end of the imports"
_ELSE = "        else:\n            c2 = ch[f]\n"
_LOOP = '    for i, (f, n, m, args) in enumerate(d["backbone"] + d["head"]):'
_HEAD = """
head:
  - [-1, 1, SPPF, [256, 5]]
  - [[-1], 1, Detect, [nc]]
"""
_SCALES = "nc: 3\nscales:\n  n: [0.5, 0.25, 512]\n  s: [1.0, 0.5, 1024]\n"

_LAYERS = '''
"""Blocks of this fork's own."""

import torch
from torch import nn

from ultralytics.nn.modules.conv import Conv


class Twice(nn.Module):
    """Two convolutions, as wide as its row says."""

    def __init__(self, c1, c2, n=1, shortcut=True):
        super().__init__()
        self.m = nn.Sequential(Conv(c1, c2), *(Conv(c2, c2, 3) for _ in range(n)))

    def forward(self, x):
        return self.m(x)


class Scan(nn.Module):
    """Attention that is told the width of its source."""

    def __init__(self, dim, k=3):
        super().__init__()
        self.m = nn.Conv2d(dim, dim, k, padding=k // 2, groups=dim)

    def forward(self, x):
        return x * self.m(x).sigmoid()


class Fold(nn.Module):
    """Halves the map, and has four times its width."""

    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        return torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)


class Sum(nn.Module):
    """Joins maps of one width."""

    def __init__(self, widths, mode="plain"):
        super().__init__()

    def forward(self, x):
        return torch.stack(x).sum(0)
'''

_ROWS = (
    _SCALES
    + """backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 3, Twice, [128, True]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 1, Conv, [512, 3, 2]]
"""
    + _HEAD
)

_PYRAMID = '''
"""A backbone that gives all of its maps."""

from torch import nn


class Stages(nn.Module):
    """Four maps, each half of the one before."""

    def __init__(self, base):
        super().__init__()
        widths = [base, 2 * base, 4 * base, 8 * base]
        self.stem = nn.Conv2d(3, base, 2, 2)
        self.m = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in zip([base, *widths], widths))
        self.width_list = widths

    def forward(self, x):
        x, maps = self.stem(x), []
        for m in self.m:
            x = m(x)
            maps.append(x)
        return maps


def stages_small(pretrained=False):
    return Stages(16)


def stages_large(pretrained=False):
    return Stages(32)
'''


def _with_pyramid(text: str) -> str:
    """As the modules for whole backbones do it that go round: counted as five layers, run apart."""
    build = (
        "        m_ = torch.nn.Sequential(*(m(*args) for _ in range(n))) if n > 1 else m(*args)  # module\n"
        if "m_ = torch.nn.Sequential(" in text
        else "        m_ = nn.Sequential(*(m(*args) for _ in range(n))) if n > 1 else m(*args)  # module\n"
    )
    text = edited(
        (IMPORTS, "from ultralytics.nn.own import *"),
        (_LOOP, f"    is_backbone = False\n{_LOOP}"),
        (
            _ELSE,
            "        elif m in {stages_small, stages_large}:\n"
            "            m = m(*args)\n"
            "            c2 = m.width_list\n"
            f"{_ELSE}"
            "        if isinstance(c2, list):\n"
            "            is_backbone = True\n",
        ),
        (
            build,
            "        if isinstance(c2, list):\n            m_ = m\n            m_.backbone = True\n"
            f"        else:\n    {build}",
        ),
        ("m_.i, m_.f, m_.type = i, f, t", "m_.i, m_.f, m_.type = i + 4 if is_backbone else i, f, t"),
        ("save.extend(x % i for", "save.extend(x % (i + 4 if is_backbone else i) for"),
        (
            "        ch.append(c2)\n",
            "        if isinstance(c2, list):\n"
            "            ch.extend(c2)\n"
            "            for _ in range(5 - len(ch)):\n"
            "                ch.insert(0, 0)\n"
            "        else:\n"
            "            ch.append(c2)\n",
        ),
    )(text)
    once = "            x = m(x)  # run\n            y.append(x if m.i in self.save else None)  # save output\n"
    assert once in text
    apart = (
        '            if hasattr(m, "backbone"):\n'
        "                x = m(x)\n"
        "                for _ in range(5 - len(x)):\n"
        "                    x.insert(0, None)\n"
        "                y.extend(one if at in self.save else None for at, one in enumerate(x))\n"
        "                x = x[-1]\n"
        "            else:\n"
        "                x = m(x)  # run\n"
        "                y.append(x if m.i in self.save else None)  # save output\n"
    )
    return text.replace(once, apart, 1)


_REPEATS = "".join(f"            {name},\n" for name in ("BottleneckCSP", "C1", "C2", "C2f", "C3k2", "C2fAttn"))
_OLD_REPEATS = _REPEATS.replace(" " * 12, " " * 16)


def _in_both_sets(text: str) -> str:
    """A name in the set of blocks with a width, and in that of blocks with repeats."""
    repeats = _REPEATS if _REPEATS in text else _OLD_REPEATS
    first, second = repeats.split("\n", 1)
    indent = first[: len(first) - len(first.lstrip())]
    return edited(
        ("            Classify,\n", "            Classify,\n            Twice,\n"),
        (repeats, f"{indent}Twice,\n{first}\n{second}"),
    )(text)


STYLES: dict[str, Style] = {
    # A name is added to a set that is there.
    "set": Style(
        _LAYERS,
        lambda text: _in_both_sets(edited((IMPORTS, "from ultralytics.nn.own import Twice"))(text)),
        ("Twice",),
        _ROWS,
    ),
    # A branch of its own works out widths.
    "branch": Style(
        _LAYERS,
        edited(
            (IMPORTS, "from .own import Fold, Scan, Sum"),
            (
                _ELSE,
                "        elif m in {Scan}:\n            c2 = ch[f]\n            args = [c2, *args]\n"
                "        elif m is Fold:\n            c2 = 4 * ch[f]\n            args = [ch[f]]\n"
                "        elif m is Sum:\n            c2 = ch[f[0]]\n            args = [[ch[x] for x in f], *args]\n"
                f"{_ELSE}",
            ),
        ),
        ("Scan", "Fold", "Sum"),
        _SCALES
        + """backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Fold, []]
  - [-1, 1, Scan, [5]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 1, Conv, [512, 3]]
  - [[-2, -1], 1, Sum, []]
"""
        + _HEAD,
    ),
    # Everything of a module; the second name of a class.
    "star": Style(
        f"{_LAYERS}\n\nAgain = Scan\n",
        edited(
            (IMPORTS, "from ultralytics.nn.own import *"),
            (_ELSE, f"        elif m is Again:\n            c2 = ch[f]\n            args = [ch[f], *args]\n{_ELSE}"),
        ),
        ("Again",),
        _ROWS.replace("3, Twice, [128, True]", "1, Again, []"),
    ),
    # Sets in variables, and names compared as strings.
    "variables": Style(
        _LAYERS,
        edited(
            (IMPORTS, "from ultralytics.nn.own import Scan, Twice\n\n_OWN = (Twice,)"),
            (_LOOP, f'    widths_told = ("Scan", "Other")\n{_LOOP}'),
            (
                _ELSE,
                "        elif m in _OWN:\n"
                "            c1, c2 = ch[f], make_divisible(min(args[0], max_channels) * width, 8)\n"
                "            args = [c1, c2, n, *args[1:]]\n            n = 1\n"
                "        elif m.__name__ in widths_told:\n            args.insert(0, ch[f])\n            c2 = ch[f]\n"
                f"{_ELSE}",
            ),
        ),
        ("Twice", "Scan"),
        _ROWS.replace("  - [-1, 1, Conv, [512, 3, 2]]\n", "  - [-1, 1, Scan, []]\n  - [-1, 1, Conv, [512, 3, 2]]\n"),
    ),
    # A backbone that gives a list, and counts as five layers.
    "pyramid": Style(
        _PYRAMID,
        _with_pyramid,
        ("stages_small", "stages_large"),
        "nc: 3\nbackbone:\n  - [-1, 1, stages_small, [False]]\n  - [-1, 1, SPPF, [64, 5]]\nhead:\n"
        "  - [-1, 1, nn.Upsample, [None, 2, nearest]]\n  - [[-1, 3], 1, Concat, [1]]\n  - [-1, 1, C2f, [64]]\n"
        "  - [[8, 5], 1, Detect, [nc]]\n",
    ),
    # Attention of its own under names that are ours, too.
    "own": Style(
        '''
from torch import nn


class LSKA(nn.Module):
    """Its own: no row of ours has these arguments."""

    def __init__(self, dim, k_size=7):
        super().__init__()
        self.conv0 = nn.Conv2d(dim, dim, k_size, padding=k_size // 2, groups=dim)

    def forward(self, x):
        return x * self.conv0(x)


class CBAM(nn.Module):
    def __init__(self, c1, ratio=16):
        super().__init__()
        self.fc = nn.Conv2d(c1, c1, 1)

    def forward(self, x):
        return x * self.fc(x).sigmoid()
''',
        edited(
            (IMPORTS, "from ultralytics.nn.own import CBAM, LSKA"),
            (
                _ELSE,
                "        elif m in {LSKA, CBAM}:\n            c2 = ch[f]\n            args = [c2, *args]\n" + _ELSE,
            ),
        ),
        ("LSKA", "CBAM"),
        _SCALES
        + """backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, LSKA, [11]]
  - [-1, 1, CBAM, []]
  - [-1, 1, Conv, [512, 3, 2]]
"""
        + _HEAD,
    ),
}
