"""Hostile files: whatever stands in place of a file, each command that reads it ends soon and says which file it was.

`FILES` has a row for each kind of file: where it lies in a small project, and the commands that read it. `ATTACKS` has
a row for each attack: a function that is given the path of the file, with what belongs there still in place, and puts
something else there. Each attack meets each command that reads its kind. To add one, add a row: nothing else.

What is asked of a command:

- it ends within `SECONDS` and `BYTES`, without a traceback;
- it refuses, with exit code 2 and one line that says what the row says, and leaves everything as it was; or it goes on,
  and that line is among what it writes; or, where the row of the file says `unsaid`, it writes what it would have
  written without the attack;
- nothing is written outside of the project, and no code of the attacker's runs: `marker` is what such code would write.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.ablations import RECIPE, experiment, spread
from support.shapes import NETWORK, surgeon, write_checkpoint

from lska_surgeon.ablation.cells import plan_ablation
from lska_surgeon.ablation.latencies import keep_latencies

pytestmark = pytest.mark.skipif(os.name != "posix", reason="other systems have no named pipes, and no alarm")

#: What a command may take.
SECONDS, BYTES = 10, 2**30
#: `put(at, marker)` puts something at a path; code in it would write the file `marker`.
Put = Callable[[Path, Path], object]


@dataclass(frozen=True)
class File:
    """A kind of file.

    Attributes:
        at: where it lies in the project.
        commands: those that read it.
        unsaid: whether a file that can't be read is passed over without a word, for it can be had again.
    """

    at: str
    commands: tuple[str, ...]
    unsaid: bool = False


@dataclass(frozen=True)
class Attack:
    """What stands in place of a file.

    Attributes:
        kinds: of which files.
        put: puts it there.
        says: what a command says of it, a regular expression.
    """

    kinds: tuple[str, ...]
    put: Put
    says: str = ""


CELL = "ablation/recipe/shapes/tiny/seed-1"
OF_RUNS = ("results recipe.yaml", "ablate recipe.yaml --dry-run", "results ablation --base tiny")
FILES = {
    "model": File(
        "model.yaml",
        (
            "check model.yaml",
            "insert model.yaml --at neck -o out.yaml",
            "remove model.yaml -o out.yaml",
            "positions model.yaml",
            "blocks model.yaml",
            "flops model.yaml",
            "draw model.yaml -o out.svg",
            "diff model.yaml tiny.yaml",
            "diff tiny.yaml model.yaml",
            "diff --textconv model.yaml",
            "variants of-model.yaml",
            "graft base.pt --into model.yaml -o out.pt",
            "train model.yaml data=shapes/data.yaml",
        ),
    ),
    "recipe": File(
        "recipe.yaml",
        (
            "variants recipe.yaml",
            "results recipe.yaml",
            "ablate recipe.yaml --dry-run",
            "report recipe.yaml",
            "latency --recipe recipe.yaml",
        ),
    ),
    "declarations": File(
        "blocks.toml", ("check tiny.yaml --blocks blocks.toml", "positions tiny.yaml --blocks blocks.toml")
    ),
    "project": File("pyproject.toml", ("check tiny.yaml", "insert tiny.yaml --at neck -o out.yaml"), unsaid=True),
    "checkpoint": File(
        "base.pt",
        (
            "inspect base.pt",
            "flops base.pt",
            "graft base.pt --at neck -o out.pt",
            "ungraft base.pt -o out.pt",
            "adopt base.pt -o out.pt",
            "train base.pt data=shapes/data.yaml",
        ),
    ),
    "data": File("shapes/data.yaml", ("ablate recipe.yaml --dry-run", "train base.pt data=shapes/data.yaml")),
    "cell": File(f"{CELL}/cell.json", OF_RUNS),
    "epochs": File(f"{CELL}/results.csv", OF_RUNS),
    "arguments": File(f"{CELL}/args.yaml", ("results ablation --base tiny",)),
    "lock": File(f"{CELL}.lock", OF_RUNS[:2], unsaid=True),
    "latencies": File("ablation/recipe/latency.json", ("results recipe.yaml", "report recipe.yaml")),
    "index": File(
        "variants/index.json",
        ("variants recipe.yaml", "variants recipe.yaml --check", "variants recipe.yaml --dry-run"),
    ),
    "costs": File(
        "cache/costs/COST.json", ("results recipe.yaml", "variants recipe.yaml --costs --dry-run"), unsaid=True
    ),
}
ALL = tuple(FILES)
JSON = ("cell", "latencies", "index", "costs")


def content(text: str | bytes) -> Put:
    """A file of this content."""
    data = text.encode() if isinstance(text, str) else text
    return lambda at, marker: at.write_bytes(data)


def changed(change: Callable[[Any], object]) -> Put:
    """The JSON that belongs there, with a change."""

    def put(at: Path, marker: Path) -> None:
        value = json.loads(at.read_text(encoding="utf-8"))
        change(value)
        at.write_text(json.dumps(value), encoding="utf-8")

    return put


def in_place(make: Callable[[Path], object]) -> Put:
    """Something that is no file."""

    def put(at: Path, marker: Path) -> None:
        at.unlink()
        make(at)

    return put


def listen(at: Path) -> None:
    """A socket; its address may have a hundred characters, so it is made from its own folder."""
    here = Path.cwd()
    os.chdir(at.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(at.name)
    finally:
        os.chdir(here)


ATTACKS = {
    "named pipe": Attack(ALL, in_place(os.mkfifo), "a named pipe"),
    "socket": Attack(ALL, in_place(listen), "a socket"),
    "folder": Attack(ALL, in_place(Path.mkdir), "a directory|no run with args.yaml"),
    "endless device": Attack(ALL, in_place(lambda at: at.symlink_to("/dev/zero")), "a device"),
    "link to nothing": Attack(ALL, in_place(lambda at: at.symlink_to("gone")), "a symbolic link that leads nowhere"),
    "link to itself": Attack(ALL, in_place(lambda at: at.symlink_to(at.name)), "a symbolic link that leads nowhere"),
}
CASES = [
    pytest.param(kind, name, command, id=f"{kind}-{name}-{command}")
    for kind, file in FILES.items()
    for name, attack in ATTACKS.items()
    if kind in attack.kinds
    for command in file.commands
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a file of each kind, in order: networks, a recipe, its variants and trainings, a cache."""
    project = tmp_path_factory.mktemp("hostile") / "project"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSKA_SURGEON_CACHE", str(project / "cache"))
        recipe = experiment(project, lambda name, seed: [spread(seed)] * 3, f"{RECIPE}latency: true\n")
        patch.chdir(project)
        write_checkpoint(project)
        Path("model.yaml").write_text(NETWORK, encoding="utf-8")
        Path("of-model.yaml").write_text(
            "base: model.yaml\nmatrix: {at: neck, k: 7}\nout: of/{name}.yaml\n", encoding="utf-8"
        )
        Path("blocks.toml").write_text('[blocks.Mine]\nclass = "mine:Mine"\nlike = "Conv"\n', encoding="utf-8")
        Path("pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
        ablation = plan_ablation(recipe)
        for cell in ablation.cells:
            Path(f"{cell.folder}.lock").touch()
            words = (
                f"task: detect\nmodel: {cell.folder / 'start.pt'}\ndata: {cell.source}\nepochs: 3\nseed: {cell.seed}\n"
            )
            (cell.folder / "args.yaml").write_text(words, encoding="utf-8")
        keep_latencies(ablation, {network.name: 0.01 for network in ablation.networks}, {}, "on a CPU")
        assert surgeon("variants", "recipe.yaml", "--costs").exit_code == 0
    return project


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the working folder."""
    shutil.copytree(template, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(tmp_path / "project" / "cache"))
    return tmp_path / "project"


class TookTooLong(BaseException):
    """Past everything that catches errors."""


@contextmanager
def within_bounds() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TookTooLong(f"more than {SECONDS} s")

    before, limits = signal.signal(signal.SIGALRM, stop), resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":  # other systems do not tell, or do not keep to it
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, limits[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Each name below a folder -> size and time of change, of what is a file."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            state = path.lstat()
            found[str(path)] = (0, 0) if path.is_dir() else (state.st_size, state.st_mtime_ns)
    return found


def attacked_file(kind: str) -> Path:
    """The file of a kind; of many, any."""
    at = Path(FILES[kind].at)
    return next(at.parent.iterdir()) if at.stem.isupper() else at


def run(command: str) -> Result:
    with within_bounds():
        return surgeon(*command.split())


@pytest.mark.parametrize(("kind", "name", "command"), CASES)
def test_a_hostile_file_is_refused_or_passed_over(kind: str, name: str, command: str, project: Path) -> None:
    file, attack, at, marker = FILES[kind], ATTACKS[name], attacked_file(kind), project.parent / "marker"
    clean = run(command).output if file.unsaid else None
    attack.put(at, marker)
    before = everything(project.parent)
    result = run(command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "Traceback" not in result.output
    after = everything(project.parent)
    new = [path for path in after if before.get(path) != after[path]]
    assert not [path for path in before if path not in after]
    assert not [path for path in new if not path.startswith(f"{project}{os.sep}")], "written outside"
    if result.exit_code == 2:
        assert not new
        assert result.stdout == ""
        assert len([line for line in result.stderr.splitlines() if not line.startswith("Note: ")]) == 1, result.stderr
    if clean is not None:
        assert result.output == clean
    else:
        assert [line for line in result.output.splitlines() if re.search(attack.says, line)], result.output
