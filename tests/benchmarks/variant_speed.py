"""1,000 variants with costs beside building each in Ultralytics: `python tests/benchmarks/variant_speed.py`.

Both sides are whole processes. The rival builds a sample of the same variants with `YOLO(yaml)` in one process, with
the blocks registered, and lets Ultralytics count each; its time for all is the sample's, scaled up. The cache of costs
is warm: a first run fills it. Recipes of 250, 500 and 1,000 variants show how the cost grows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PYTHON = sys.executable
SURGEON = str(Path(PYTHON).with_name("lska-surgeon"))
RIVAL = """
import sys, lska_surgeon.nn
from ultralytics import YOLO
for path in sys.argv[1:]:
    YOLO(path).info()
"""


def recipe(count: int) -> str:
    """`count` variants of five models: every named position, six kernel sizes, five operators, then other dilations."""
    positions = [*(f"after:{index}" for index in range(22)), "sppf", "neck", "head", "residual", "backbone"]
    each = count // 5
    combinations = [
        f"{{at: '{at}', k: {k}, op: {op}}}"
        for at in positions
        for k in (7, 11, 23, 35, 41, 53)
        for op in ("lska", "lska-trivial", "lka", "lka-trivial", "lska-attention")
    ][:each]
    assert len(combinations) == each
    lines = "".join(f"  - {combination}\n" for combination in combinations)
    return f"base: [{', '.join(f'yolov8{scale}.yaml' for scale in 'nsmlx')}]\ninclude:\n{lines}"


def seconds(command: list[str], folder: Path) -> float:
    """Wall-clock time of one process that has to succeed."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Run both sides in turn and print the ratios."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--sample", type=int, default=20, help="variants that the rival builds in each round")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["LSKA_SURGEON_CACHE"] = str(Path(name, "cache"))
        folders = {count: Path(name, str(count)) for count in (250, 500, 1000)}
        for count, folder in folders.items():
            folder.mkdir()
            (folder / "recipe.yaml").write_text(recipe(count), encoding="utf-8")
            seconds([SURGEON, "variants", "recipe.yaml", "--costs"], folder)
        written = sorted(folders[1000].glob("variants/*.yaml"))
        assert len(written) == 1000
        sample = [str(path) for path in written[:: 1000 // asked.sample]][: asked.sample]
        ratios: dict[str, list[float]] = {}
        for turn in range(asked.rounds):
            rival = seconds([PYTHON, "-c", RIVAL, *sample], folders[1000]) * 1000 / len(sample)
            found = {}
            for count, folder in folders.items():
                for path in folder.glob("variants/*"):
                    path.unlink()
                found[f"{count}, written"] = seconds([SURGEON, "variants", "recipe.yaml", "--costs"], folder)
                found[f"{count}, checked"] = seconds([SURGEON, "variants", "recipe.yaml", "--check"], folder)
            for what, took in found.items():
                ratios.setdefault(what, []).append(took / rival)
            print(
                f"round {turn}: rival {rival:.0f} s for 1,000;", {what: f"{took:.1f} s" for what, took in found.items()}
            )
    for what, values in ratios.items():
        print(f"{what}: 1/{1 / statistics.median(values):.0f} of the rival for 1,000")


if __name__ == "__main__":
    main()
