"""Whole-process times of the commands beside their rivals, in one run: `python tests/benchmarks/command_speed.py`.

The commands that need no torch run beside `python -c "import click, rich, ruamel.yaml"`, `flops` beside Ultralytics'
own `YOLO(yaml).info()`. Commands and rivals take turns, so that a slow spell of the machine hits both; what counts is
the median of the ratios, round by round.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PYTHON = sys.executable
SURGEON = str(Path(PYTHON).with_name("lska-surgeon"))
VARIANT = "yolov8s-lska-neck-k35.yaml"
IMPORTS = [PYTHON, "-c", "import click, rich, ruamel.yaml"]
QUICK = {
    "--help": ["--help"],
    "insert": ["insert", "yolov8s.yaml", "--at", "neck", "--k", "35", "--force"],
    "positions": ["positions", "yolov8s.yaml"],
    "check": ["check", VARIANT],
    "draw": ["draw", VARIANT, "--force"],
    "remove": ["remove", VARIANT, "-o", "base.yaml", "--force"],
}
INFO = [PYTHON, "-c", "from ultralytics import YOLO; YOLO('yolov8s.yaml').info()"]
FLOPS = {
    "flops, 1 model": ["flops", "yolov8s.yaml"],
    "flops, 5 models": ["flops", *(f"yolov8{scale}.yaml" for scale in "nsmlx")],
}


def seconds(command: Sequence[str], folder: str) -> float:
    """Wall-clock time of one process; its output is thrown away, a failure is not."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def compare(rival: list[str], commands: dict[str, list[str]], rounds: int, folder: str) -> dict[str, list[float]]:
    """Command -> its time over the rival's, round by round; the first round warms the file cache and is dropped."""
    ratios: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        base = seconds(rival, folder)
        for name, words in commands.items():
            ratio = seconds([SURGEON, *words], folder) / base
            if turn:
                ratios[name].append(ratio)
    return ratios


def main() -> None:
    """Run both comparisons and print one Markdown table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=15, help="rounds of the quick commands (flops: a third of it)")
    rounds = options.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        seconds([SURGEON, *QUICK["insert"]], folder)
        quick = compare(IMPORTS, QUICK, rounds, folder)
        flops = compare(INFO, FLOPS, max(rounds // 3, 3), folder)
    print("| command | rival | median of the ratios | lowest | highest |\n|---|---|---:|---:|---:|")
    for ratios, rival in ((quick, "import click, rich, ruamel.yaml"), (flops, "YOLO('yolov8s.yaml').info()")):
        for name, found in ratios.items():
            numbers = (statistics.median(found), min(found), max(found))
            print(f"| `{name}` | `{rival}` | {' | '.join(f'{number:.2f}' for number in numbers)} |")


if __name__ == "__main__":
    main()
