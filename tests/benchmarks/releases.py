"""What works with old releases of Ultralytics: each is tried in an environment of its time, step by step.

python tests/benchmarks/releases.py [RELEASE...] [--folder FOLDER] [--newest]     (needs a package index; 7 GB on disk)

One virtual environment is made in FOLDER and kept there: torch, NumPy and what else was new then, and this checkout.
Release after release is installed in it, and tries every step of `lska-surgeon doctor --try`. With --newest, torch and
NumPy are those of today, with which parts of old releases fail.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
RELEASES = ("8.0.200", "8.1.0", "8.2.0", "8.3.0")
#: Those of summer 2024; the first torch with an allow-list for loading checkpoints safely is among them.
OF_THEIR_TIME = (
    *("torch==2.4.1", "torchvision==0.19.1", "numpy==1.26.4", "pandas==2.2.3", "scipy==1.14.1", "matplotlib==3.9.2"),
    *("opencv-python==4.10.0.84", "pillow==10.4.0", "onnx==1.16.2", "setuptools<81"),
)
OF_TODAY = ("torch", "torchvision", "numpy")
MODEL = "yolov8n.yaml"


def main() -> None:
    """Print a table: what came of each step with each release."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("releases", nargs="*", default=RELEASES)
    options.add_argument("--folder", type=Path, help="where the environment is kept; else it goes again")
    options.add_argument("--newest", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as gone:
        folder = (given.folder or Path(gone)).resolve()
        pip = made(folder, OF_TODAY if given.newest else OF_THEIR_TIME)
        found = {release: tried(pip, folder, release) for release in given.releases}
    steps = list(dict.fromkeys(step for results in found.values() for step in results))
    print(" ".join(f"{word:<10}" for word in ("release", *steps)))
    for release, results in found.items():
        print(" ".join(f"{word:<10}" for word in (release, *(results.get(step, "-") for step in steps))))


def made(folder: Path, packages: tuple[str, ...]) -> list[str]:
    """The environment, with what is the same for all releases; gives its pip."""
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    constraints = folder / "constraints.txt"  # else what a release asks for brings newer ones in
    constraints.write_text("\n".join(packages), encoding="utf-8")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
    subprocess.run([*pip, *packages], check=True)
    return pip


def tried(pip: list[str], folder: Path, release: str) -> dict[str, str]:
    """What came of each step; this checkout has to leave the release that is there."""
    subprocess.run([*pip, f"ultralytics=={release}"], check=True)
    subprocess.run([*pip, str(CHECKOUT)], check=True)
    work = folder / "work"
    work.mkdir(exist_ok=True)
    words = [pip[0], "-m", "lska_surgeon", "doctor", "--try", MODEL, "--json"]
    done = subprocess.run(words, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        return {"doctor": done.stderr.strip().splitlines()[-1]}
    diagnosis = json.loads(done.stdout)
    assert diagnosis["versions"]["ultralytics"] == release, "pip has replaced it"
    for attempt in diagnosis["attempts"]:
        if attempt["result"] != "right":
            print(f"{release}, {attempt['step']} {attempt['result']}: {attempt['text']}")
    return {attempt["step"]: attempt["result"] for attempt in diagnosis["attempts"]}


if __name__ == "__main__":
    main()
