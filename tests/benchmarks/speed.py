"""Whole-process times of the commands beside their rivals, in one run, of one or of several installations.

    python tests/benchmarks/speed.py [--rounds 9] [--only flops] [--model yolov13n] [--warm] [NAME=]ENVIRONMENT ...

ENVIRONMENT is a virtual environment that has lska-surgeon, the running one by default; with several, such as
`before=../old/.venv after=.venv`, each is measured beside rivals of its own. All take turns, so that a slow spell of
the machine hits all; what counts is the median of the ratios, round by round, of the time on the clock and of the
processor's. The first round, which warms caches, does not count. With `--warm` what was read of a fork before counts as
read; `--model` takes another network than yolov8s for the commands that need no torch, one of a release's or a file's
path without its ending.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

VARIANT = "yolov8s-lska-neck-k35.yaml"
AT = ("--at", "neck", "--k", "35")
MODELS = [f"yolov8{scale}.yaml" for scale in "nsmlx"]
MAKE = "from ultralytics import YOLO; model = YOLO('yolov8s.yaml'); model.model.half(); model.save('base.pt')"
LOAD = f"import lska_surgeon.nn; from ultralytics import YOLO; YOLO('{VARIANT}').load('base.pt').save('out.pt')"
OFFLINE = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}


class Rival(NamedTuple):
    """What commands are measured beside."""

    name: str
    code: str


IMPORTS = Rival("import click, rich, ruamel.yaml", "import click, rich, ruamel.yaml")
INFO = Rival("YOLO(yaml).info()", "from ultralytics import YOLO; YOLO('yolov8s.yaml').info()")
SAVE = Rival("YOLO(yaml).load(pt).save(pt)", LOAD)


class Command(NamedTuple):
    """One command, its rival, the most that it may take of that one's time, and whether its cache is warm."""

    name: str
    words: tuple[str, ...]
    rival: Rival
    most: float
    warm: bool = False


COMMANDS = (
    Command("insert", ("insert", "yolov8s.yaml", *AT, "--force"), IMPORTS, 2.0),
    Command("check", ("check", VARIANT), IMPORTS, 2.0),
    Command("positions", ("positions", "yolov8s.yaml"), IMPORTS, 2.0),
    Command("remove", ("remove", VARIANT, "-o", "base.yaml", "--force"), IMPORTS, 2.0),
    Command("draw", ("draw", VARIANT, "--force"), IMPORTS, 2.0),
    Command("flops, one model", ("flops", "yolov8s.yaml"), INFO, 0.9),
    Command("flops, five models", ("flops", *MODELS), INFO, 1.4),
    Command("flops, counted before", ("flops", "yolov8s.yaml"), INFO, 0.2, warm=True),
    Command("graft", ("graft", "base.pt", *AT, "-o", "graft.pt", "--force"), SAVE, 0.8),
)


def took(words: list[str], folder: Path, cache: Path) -> tuple[float, float]:
    """Seconds on the clock, and of the processor, of a process that has to succeed."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = os.times(), time.perf_counter()
    subprocess.run(
        words,
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**variables, **OFFLINE, "LSKA_SURGEON_CACHE": str(cache)},
    )
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, processor


def turn(
    environments: Mapping[str, Path], commands: list[Command], folder: Path
) -> Iterator[tuple[str, str, float, float]]:
    """One round: environment, command, and its time over its rival's, on the clock and of the processor."""
    rivals: dict[tuple[str, str], tuple[float, float]] = {}
    for rival in dict.fromkeys(command.rival for command in commands):
        for name, environment in environments.items():
            rivals[name, rival.name] = took([str(environment / "bin/python"), "-c", rival.code], folder, folder)
        for command in (command for command in commands if command.rival is rival):
            for name, environment in environments.items():
                with tempfile.TemporaryDirectory() as empty:
                    cache = folder / f"cache of {name}" if command.warm else Path(empty)
                    times = took([str(environment / "bin/lska-surgeon"), *command.words], folder, cache)
                clock, processor = (mine / other for mine, other in zip(times, rivals[name, rival.name]))
                yield name, command.name, clock, processor


def main() -> None:
    """Measure, and print one Markdown table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("environments", nargs="*", default=[f"here={Path(sys.executable).parents[1]}"])
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--only", default="", help="commands whose names begin so, with commas between them")
    options.add_argument("--model", default="yolov8s", help="the network of the commands that need no torch")
    options.add_argument("--warm", action="store_true", help="let each environment keep its cache")
    asked = options.parse_args()
    environments = {}
    for text in asked.environments:
        name, _, path = text.rpartition("=")
        environments[name or Path(path).name] = Path(path).absolute()
    light = [command._replace(warm=asked.warm) for command in COMMANDS if command.rival is IMPORTS]
    own, model = Path(f"{asked.model}.yaml"), Path(asked.model).name
    light = [one._replace(words=tuple(word.replace("yolov8s", model) for word in one.words)) for one in light]
    rest = [command for command in COMMANDS if command.rival is not IMPORTS]
    commands = [command for command in (*light, *rest) if command.name.startswith(tuple(asked.only.split(",")))]
    ratios: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, first = Path(name), next(iter(environments.values()))
        if own.is_file():
            shutil.copy(own, folder)
        if any(command.rival is not IMPORTS for command in commands):
            took([str(first / "bin/python"), "-c", MAKE], folder, folder)
        took([str(first / "bin/lska-surgeon"), *light[0].words], folder, folder)
        for number in range(asked.rounds + 1):
            for environment, what, clock, processor in turn(environments, commands, folder):
                if number:
                    ratios.setdefault((what, environment), []).append((clock, processor))
    columns = [f"{name}: {clock}" for name in environments for clock in ("clock", "processor")]
    print(f"| command | rival | at most | {' | '.join(columns)} |\n|---|---|---:|{'---:|' * len(columns)}")
    for command in commands:
        cells = [median(column) for name in environments for column in zip(*ratios[command.name, name])]
        figures = " | ".join(f"{cell:.2f}" for cell in cells)
        print(f"| `{command.name}` | `{command.rival.name}` | {command.most} | {figures} |")


if __name__ == "__main__":
    main()
