"""Hostile files: whatever stands in place of a file, each command that reads it ends soon and says which file it was.

`FILES` has a row for each kind of file: where it lies in a small project, and the commands that read it. `ATTACKS` has
a row for each attack: a function that is given the path of the file, with what belongs there still in place, and puts
something else there. Each attack meets the commands that read its kind. To add one, add a row: nothing else.

What is asked of a command:

- it ends within `SECONDS` and `BYTES`, without a traceback;
- it refuses, with exit code 2 and one line that names the file, and leaves everything as it was; or it goes on, and
  that line is among what it writes; or, where the row of the file says `unsaid`, it writes what it would have written
  without the attack;
- nothing is written outside of the project, and no code of the attacker's runs: `marker` is what such code would write.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.ablations import RECIPE, experiment, latencies, spread
from support.forks import Fork, make_fork
from support.hostile import call, name, pickle_of, text, write_zip
from support.shapes import NETWORK, surgeon, write_checkpoint

from lska_surgeon.ablation.outcomes import keep_latencies
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.core.installed_parser import InstalledParser, _seal
from lska_surgeon.installed.names import tasks_in

pytestmark = pytest.mark.skipif(os.name != "posix", reason="other systems have no named pipes, and no alarm")

#: What a command may take.
SECONDS, BYTES = 20, 2**30
#: `put(at, marker)` puts something at a path; code in it would write the file `marker`.
Put = Callable[[Path, Path], object]


@dataclass(frozen=True)
class File:
    """A kind of file.

    Attributes:
        at: where it lies in the project; with a star, where all of them lie.
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
        says: what the line that names the file also says, a regular expression; None where nothing has to be said.
    """

    kinds: tuple[str, ...]
    put: Put
    says: str | None = ""


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
    "project": File("pyproject.toml", ("check tiny.yaml", "insert tiny.yaml --at neck --dry-run"), unsaid=True),
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
    "cell": File(f"{CELL}/run.json", OF_RUNS),
    "epochs": File(f"{CELL}/results.csv", OF_RUNS),
    "weights": File(f"{CELL}/weights/best.pt", ("results ablation --base tiny",)),
    "arguments": File(f"{CELL}/args.yaml", ("results ablation --base tiny",)),
    "lock": File(f"{CELL}.lock", OF_RUNS[:2], unsaid=True),
    "latencies": File("ablation/recipe/latency.json", ("results recipe.yaml", "report recipe.yaml --format json")),
    "index": File(
        "variants/index.json",
        ("variants recipe.yaml", "variants recipe.yaml --check", "variants recipe.yaml --dry-run"),
    ),
    "variant": File(
        "variants/tiny-lska-neck-k7.yaml",
        ("variants recipe.yaml", "variants recipe.yaml --check"),
    ),
    "image": File("image.png", ("graft base.pt --at neck --image image.png -o out.pt",)),
    "export": File("graft.onnx", ("inspect graft.onnx", "latency graft.onnx --rounds 2")),
    "images": File("shapes/images/val/0.png", ("erf base.pt --images shapes/images/val --imgsz 64",)),
    "costs": File("cache/costs/*.json", ("results recipe.yaml", "variants recipe.yaml --costs --dry-run"), unsaid=True),
    "readings": File("cache/readings/*", (), unsaid=True),  # of a fork: it has a test of its own
}
ALL = tuple(FILES)


def but(*kinds: str) -> tuple[str, ...]:
    """All kinds but these."""
    return tuple(kind for kind in ALL if kind not in kinds)


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


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


def recoded(encoding: str) -> Put:
    """The text that belongs there, in another encoding."""
    return lambda at, marker: at.write_bytes(at.read_text(encoding="utf-8").encode(encoding))


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


def half(at: Path, marker: Path) -> None:
    at.write_bytes(at.read_bytes()[: at.stat().st_size // 2])


def endless(at: Path, marker: Path) -> None:
    """A file of a terabyte that takes no room on the disk."""
    with at.open("wb") as file:
        file.truncate(2**40)


def to_all(change: Callable[[Any], Any]) -> Put:
    """JSON in which each value became another one."""
    return changed(lambda value: value.update({key: change(part) for key, part in value.items()}))


def sealed(change: Callable[[list[str]], Any], name: str = "") -> Put:
    """What is read of a fork, with a change of its lines and the seal that goes with it, or with another name."""

    def put(at: Path, marker: Path) -> None:
        _, *lines = at.read_text(encoding="utf-8").splitlines()
        text = "\n".join(change(lines))
        at.write_text(f"{_seal(at.with_name(name or at.name), text)}\n{text}", encoding="utf-8")

    return put


OWN = ("cell", "latencies", "index", "costs")
#: Of the others, what is no file is as good as nothing, and so is a link that leads nowhere; nothing is said of it.
NAMED = but("images", "weights")
LED = but("index", "arguments", "variant", "images", "weights")
BOMB = "a: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20)
)


def onnx(record: str) -> bytes:
    """An ONNX file without a network that says this of itself."""
    texts = b"".join(bytes([tag]) + sized(text.encode()) for tag, text in ((0x0A, "lska_surgeon"), (0x12, record)))
    return b"\x08\x0a\x72" + sized(texts)


def sized(data: bytes) -> bytes:
    """Bytes behind their number, as protobuf has it."""
    size, number = len(data), b""
    while size > 0x7F:
        number, size = number + bytes([size & 0x7F | 0x80]), size >> 7
    return number + bytes([size]) + data


def running(at: Path, marker: Path) -> None:
    """A checkpoint that would run a command when it is loaded."""
    write_zip(at, pickle_of(call(name("os.system"), text(f"touch {marker}"))))


ATTACKS = {
    # What is no file.
    "named pipe": Attack(NAMED, in_place(os.mkfifo), "a named pipe"),
    "socket": Attack(NAMED, in_place(listen), "a socket"),
    "folder": Attack(but("data", "images", "weights"), in_place(Path.mkdir), "a directory|no run with args.yaml"),
    "endless device": Attack(NAMED, in_place(lambda at: at.symlink_to("/dev/zero")), "a device|a symbolic link"),
    "link to nothing": Attack(LED, in_place(lambda at: at.symlink_to("gone"))),
    "link to itself": Attack(LED, in_place(lambda at: at.symlink_to(at.name))),
    "endless file": Attack(but("lock", "checkpoint", "weights", "project"), endless),
    # What would run code; `cli/test_hostile_files.py` has more of these.
    "code in a pickle": Attack(("checkpoint", "weights"), running, "os.system"),
    # Records that are damaged, or of somebody else's making.
    "nothing": Attack((*OWN, "readings"), content("")),
    "half": Attack((*OWN, "readings"), half),
    "other bytes": Attack((*OWN, "readings"), content(b"\xff\xfe{\x00}\x00")),
    "a list": Attack((*OWN, "readings"), content("[1]")),
    "no keys": Attack(OWN, content("{}")),
    "nested lists": Attack((*OWN, "readings"), content("[" * 100_000)),
    "nested mappings": Attack((*OWN, "readings"), content('{"schema":' * 100_000)),
    "nested value": Attack(OWN, changed(lambda value: value.update(more=nested(900)))),
    "no number": Attack(OWN, changed(lambda value: value.update(more=[math.nan]))),
    "endless number": Attack((*OWN, "readings"), content('{"schema": 1, "params": 1e400, "macs": 1}')),
    "long number": Attack(OWN, content(f'{{"schema": 1, "params": {"9" * 5000}, "macs": 1}}')),
    "another release's": Attack(("cell", "latencies", "index"), changed(lambda value: value.update(schema=99))),
    "texts": Attack(OWN, to_all(lambda value: "x")),
    "nulls": Attack(OWN, to_all(lambda value: None)),
    "lists": Attack(OWN, to_all(lambda value: [value])),
    "numbers": Attack(OWN, to_all(lambda value: -5)),
    "names": Attack(OWN, to_all(lambda value: {"x": value})),
    "less than nothing": Attack(("costs",), content('{"params": -5, "macs": 1}')),
    "true": Attack(("costs",), content('{"params": true, "macs": 1}')),
    "more than there is": Attack(("costs",), content(f'{{"params": {10**30}, "macs": 1}}')),
    "no time at all": Attack(
        ("latencies",), changed(lambda value: value["runtimes"]["torch"]["seconds"].update(tiny=0))
    ),
    "seed in words": Attack(("cell",), changed(lambda value: value.update(seed="one"))),
    "state of its own": Attack(("cell",), changed(lambda value: value.update(state="::error::done"))),
    "model elsewhere": Attack(("cell",), changed(lambda value: value["task"].update(model="../../../tiny.yaml"))),
    "name elsewhere": Attack(("cell",), changed(lambda value: value.update(identity="../../x"))),
    "notes of lists": Attack(("cell",), changed(lambda value: value.update(notes={"early stop": ["a"]}))),
    "attempts of texts": Attack(("cell",), changed(lambda value: value.update(attempts="many"))),
    "endless attempt": Attack(("cell",), changed(lambda value: value.update(attempts=[{"seconds": math.inf}]))),
    "other numbers": Attack(("readings",), lambda at, marker: at.write_bytes(at.read_bytes().replace(b"32", b"48"))),
    "another fork's": Attack(("readings",), sealed(lambda lines: [x.replace("32", "48") for x in lines], "another")),
    "answers of words": Attack(
        ("readings",), sealed(lambda lines: [lines[0], *(f'{x.split()[0]} "x"' for x in lines[1:])])
    ),
    "answers of rows": Attack(
        ("readings",), sealed(lambda lines: [lines[0], *(f"{x.split()[0]} [[[1]]]" for x in lines[1:])])
    ),
    "answers of nothing": Attack(("readings",), sealed(lambda lines: [lines[0], *(x.split()[0] for x in lines[1:])])),
    "nested answers": Attack(
        ("readings",), sealed(lambda lines: [lines[0], *(f"{x.split()[0]} {'[' * 99_999}" for x in lines[1:])])
    ),
    "files of lists": Attack(("readings",), sealed(lambda lines: ['{"files": [1], "missing": 5}', *lines[1:]])),
    "a head of texts": Attack(("readings",), sealed(lambda lines: ["[]", *lines[1:]])),
    # YAML in another encoding, or none at all.
    "a model in UTF-16": Attack(
        ("model", "recipe"), recoded("utf-16"), "is UTF-16, and has to be UTF-8: save it as UTF-8"
    ),
    "a model in UTF-32": Attack(
        ("model",), recoded("utf-32-be"), r"is UTF-16 or UTF-32 without a mark \(it is full of zero"
    ),
    "two documents": Attack(("model",), content("nc: 80\n---\nnc: 1\n"), None),
    "a zip": Attack(("model",), content(b"PK\x03\x04\nnc: 1\n\tx\n"), None),
    # Records in exported files.
    "a graph without an end": Attack(("export",), content(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "is damaged"),
    "a number without an end": Attack(("export",), content(b"\xff" * 100_000), "is damaged"),
    "many fields": Attack(("export",), content(b"\x08\x00" * 100_000), "is damaged"),
    "a nested record": Attack(("export",), content(onnx("[" * 100_000)), None),
    "a record of texts": Attack(("export",), content(onnx('{"lska_surgeon": {"edits": ["x"], "earlier": "x"}}')), None),
    # Tables of epochs.
    "UTF-16": Attack(("epochs",), content("epoch,time,metrics/mAP50-95(B)\n1,1,0.5\n".encode("utf-16"))),
    "Latin-1": Attack(("epochs",), content("epoch,caf\xe9\n".encode("latin-1"))),
    "one long field": Attack(("epochs",), content(f"epoch,time\n1,{'9' * 200_000}\n")),
    "open quote": Attack(("epochs",), content('epoch,time\n1,"' + "\n1,1" * 100_000)),
    "many columns": Attack(("epochs",), content("," * 100_000 + "\n" + "1\n" * 10_000)),
    "no rows": Attack(("epochs",), content("epoch,time\n")),
    "zeros": Attack(("epochs",), content(bytes(100_000))),
    "epochs from nowhere": Attack(
        ("epochs",), content("epoch,time,metrics/mAP50-95(B)\n-1,1,1e400\n1e300,nan,nan\n0,-inf,x\n"), None
    ),
    # Arguments of a run.
    "50,000 brackets": Attack(("arguments",), content("model: " + "[" * 50_000)),
    "nested blocks": Attack(("arguments",), content("".join(f"{' ' * n}a:\n" for n in range(400)))),
    "bomb of aliases": Attack(("arguments",), content(f"model: a.yaml\n{BOMB}")),
    "contains itself": Attack(("arguments",), content("model: &a [*a]\n")),
    "keys of lists": Attack(("arguments",), content("? [model]\n: a.yaml\n")),
    "number of 50 digits": Attack(("arguments",), content(f"model: a.yaml\nepochs: {'9' * 50}\n")),
    "model of lists": Attack(("arguments",), content("model: [a.yaml]\n")),
    "another encoding": Attack(("arguments",), content("model: a.yaml\n".encode("utf-16"))),
    "odd values": Attack(
        ("arguments",),
        content('model: "a\\0b.yaml"\ndata: {a: [1]}\nepochs: .inf\nseed: [1]\nimgsz: 10000000000000000\ntime: .nan'),
        None,
    ),
}
#: What one function refuses in one way, as it does the named pipe, half a record and Latin-1, which meet each command;
#: it is enough that these meet one command of each kind of file.
ALIKE = {
    *("socket", "endless device", "link to itself"),
    *("nothing", "other bytes", "nested lists", "nested mappings", "nested value"),
    *("no number", "endless number", "long number"),
    *("UTF-16", "one long field", "open quote", "many columns", "zeros"),
}
CASES = [
    pytest.param(kind, attack, command, id=f"{kind}-{called}-{command}")
    for kind, file in FILES.items()
    for called, attack in ATTACKS.items()
    if kind in attack.kinds
    for command in file.commands[: 1 if called in ALIKE else None]
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a file of each kind, in order: networks, a recipe, its variants and trainings, a cache."""
    project = tmp_path_factory.mktemp("hostile") / "project"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSKA_SURGEON_CACHE", str(project / "cache"))
        patch.setattr("lska_surgeon.cost.cache.is_own_process", lambda: True)
        recipe = experiment(project, lambda name, seed: [spread(seed)] * 3, f"{RECIPE}latency: true\n")
        patch.chdir(project)
        write_checkpoint(project)
        Path("model.yaml").write_text(NETWORK, encoding="utf-8")
        Path("of-model.yaml").write_text(
            "base: model.yaml\nmatrix: {at: neck, k: 7}\nout: 'of/{base}-{k}.yaml'\n", encoding="utf-8"
        )
        Path("graft.onnx").write_bytes(onnx('{"source": "graft.pt"}'))
        Path("blocks.toml").write_text('[blocks.Mine]\nclass = "mine:Mine"\nlike = "Conv"\n', encoding="utf-8")
        next(Path("shapes/images/train").iterdir()).rename("image.png")
        Path("pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
        ablation = plan_ablation(recipe)
        for cell in ablation.runs:
            Path(f"{cell.folder}.lock").touch()
            words = (
                f"task: detect\nmodel: {cell.folder / 'start.pt'}\ndata: {cell.source}\nepochs: 3\nseed: {cell.seed}\n"
            )
            (cell.folder / "args.yaml").write_text(words, encoding="utf-8")
        weights = Path(CELL, "weights")
        weights.mkdir()
        shutil.copy("base.pt", weights / "best.pt")
        shutil.copy("tiny.yaml", CELL)
        keep_latencies(ablation, [latencies(ablation)])
        for command in ("variants recipe.yaml --costs", "results ablation --base tiny"):  # all is imported by now
            assert surgeon(*command.split()).exit_code == 0
    return project


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the working folder."""
    shutil.copytree(template, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(tmp_path / "project" / "cache"))
    monkeypatch.setattr("lska_surgeon.cost.cache.is_own_process", lambda: True)
    return tmp_path / "project"


class TookTooLong(BaseException):
    """Past everything that catches errors."""


@contextmanager
def within_bounds() -> Iterator[None]:
    import resource  # not on every system

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
        for path in (Path(place, one) for one in (*folders, *files)):
            state = path.lstat()
            found[str(path)] = (0, 0) if path.is_dir() else (state.st_size, state.st_mtime_ns)
    return found


def run(command: str) -> Result:
    with within_bounds():
        return surgeon(*command.split())


@pytest.fixture(scope="module")
def untouched() -> Callable[[str], str]:
    """What a command writes where there is no attack; each is run once."""
    return cache(lambda command: run(command).output)


@pytest.mark.parametrize(("kind", "attack", "command"), CASES)
def test_a_hostile_file_is_refused_or_passed_over(
    kind: str, attack: Attack, command: str, project: Path, untouched: Callable[[str], str]
) -> None:
    file, marker = FILES[kind], project.parent / "marker"
    clean = untouched(command) if file.unsaid else None
    for at in list(Path().glob(file.at)):
        attack.put(at, marker)
    before = everything(project.parent)
    result = run(command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "Traceback" not in result.output
    after = everything(project.parent)
    cache = str(project / "cache")
    new = [path for path in after if before.get(path) != after[path] and not path.startswith(cache)]
    assert not [path for path in before if path not in after]
    assert not [path for path in new if not path.startswith(f"{project}{os.sep}")], "written outside"
    if result.exit_code == 2:
        assert not new
        assert result.stdout == ""
        assert len([line for line in result.stderr.splitlines() if not line.startswith("Note: ")]) == 1, result.stderr
    if clean is not None:
        assert result.output == clean
    elif attack.says is not None:
        named = [line for line in result.output.splitlines() if Path(file.at).name in line]
        assert any(re.search(attack.says, line) for line in named), result.output


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Fork:
    return make_fork(tmp_path_factory.mktemp("hostile") / "fork", "branch")


@pytest.mark.parametrize("called", [called for called, attack in ATTACKS.items() if "readings" in attack.kinds])
def test_what_is_kept_of_a_fork_is_passed_over(
    called: str, fork: Fork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    tasks = tasks_in(fork.package / "nn" / "tasks.py")
    assert tasks is not None
    model = {"nc": 2, "backbone": [[-1, 1, "Conv", [32, 3, 2]], [-1, 1, "Scan", [5]]], "head": []}

    def asked(parser: InstalledParser) -> tuple[object, ...]:
        layers = parser.layers(model, 3, {}, {})
        return layers, parser.block("Scan"), parser.block("Conv"), parser.has("Scan"), parser.scale_numbers

    first, marker = InstalledParser(tasks), tmp_path / "marker"
    answers = asked(first)
    first.keep()
    (at,) = tmp_path.glob(FILES["readings"].at)
    ATTACKS[called].put(at, marker)
    before = everything(tmp_path)
    with within_bounds():
        again = InstalledParser(tasks)
        assert asked(again) == answers
        again.keep()
    changed = [path for path, state in everything(tmp_path).items() if before.get(path) != state]
    assert {*changed} <= {str(at)}, "written outside"
    assert not marker.exists()
