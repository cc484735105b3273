"""How long `graft` takes as a whole process, and how much memory, beside the script that people write without it.

    python tests/benchmarks/graft_speed.py [RUNS] [CHECKPOINT]

The script is `YOLO("variant.yaml").load("base.pt").save("out.pt")`, which loses most of the tensors. Both do one job
from start to end, in turns, in fresh processes. Without CHECKPOINT, a YOLOv8s with random weights is made. Prints the
median time, processor time and peak memory (resident, in MiB) of each, and the ratios.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

MAKE = """
from ultralytics import YOLO
model = YOLO("yolov8s.yaml")
model.model.half()
model.save("base.pt")
"""
SCRIPT = """
from ultralytics import YOLO
YOLO("{variant}").load("base.pt").save("out.pt")
"""
OFFLINE = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}


def measured(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of the processor, and peak MiB of a process."""
    (folder / "out.pt").unlink(missing_ok=True)
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env={**os.environ, **OFFLINE}) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    assert (folder / "out.pt").is_file()
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def main(runs: int = 9, checkpoint: str | None = None) -> None:
    surgeon = [sys.executable, "-m", "lska_surgeon"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if checkpoint:
            (folder / "base.pt").write_bytes(Path(checkpoint).read_bytes())
        else:
            subprocess.run([sys.executable, "-c", MAKE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        variant = "yolov8s-lska-neck-k35.yaml"
        insert = [*surgeon, "insert", "yolov8s.yaml", "--at", "neck", "--k", "35", "-o", variant, "--quiet"]
        subprocess.run(insert, cwd=folder, check=True)
        rivals = {
            "graft": [*surgeon, "graft", "base.pt", "--at", "neck", "--k", "35", "-o", "out.pt", "--quiet"],
            "script": [sys.executable, "-c", f"import lska_surgeon.nn{SCRIPT.format(variant=variant)}"],
        }
        for command in rivals.values():
            measured(command, folder)  # what a first run alone pays: caches of bytecode and of the disk
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in rivals}
        for _ in range(runs):
            for rival, command in rivals.items():
                found[rival].append(measured(command, folder))
    medians = {name: tuple(median(column) for column in zip(*rows)) for name, rows in found.items()}
    for rival, (seconds, processor, peak) in medians.items():
        print(f"{rival:<7} {seconds:6.2f} s, {processor:6.2f} s of the processor, {peak:5.0f} MiB (median of {runs})")
    ratios = [f"{graft / script:.2f}" for graft, script in zip(medians["graft"], medians["script"])]
    print(f"graft / script: time {ratios[0]}, processor {ratios[1]}, peak memory {ratios[2]}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:3])
