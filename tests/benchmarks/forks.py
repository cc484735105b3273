"""What works in which Ultralytics: `lska-surgeon doctor --try` in each environment, as the table of docs/support.md.

    python tests/benchmarks/forks.py NAME=PYTHON[=MODEL,...] ...

PYTHON is the interpreter of an environment in which the fork is what is imported. Variables of this process hold in
all of them. The table is written to the page in both languages, and what was not right below it; nothing is fetched.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("support.md", "support.zh-CN.md")]
_SECTION = re.compile(r"(<!-- fork table: start -->\n)(.*?)(<!-- fork table: end -->)", re.DOTALL)


def tried(python: str, models: list[str]) -> dict:
    """What `doctor --try --json` tells there; its progress goes to standard error."""
    before = os.environ.get("PYTHONPATH", "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), before]))}
    with tempfile.TemporaryDirectory() as folder:
        words = [python, "-m", "lska_surgeon", "doctor", "--try", *models, "--json"]
        done = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout)


def cell(results: Counter[str]) -> str:
    """`right`, or how many were what."""
    if len(results) == 1:
        return next(iter(results))
    return ", ".join(f"{count} {result}" for result, count in results.items())


def main() -> None:
    rows, told = [], []
    for asked in sys.argv[1:]:
        name, python, *models = asked.split("=")
        found = tried(python, models[0].split(",") if models else [])
        versions = found["versions"]
        who = f"{name} {versions['ultralytics']}"
        steps: dict[str, Counter[str]] = {}
        for one in found["attempts"]:
            steps.setdefault(one["step"], Counter())[one["result"].replace("-", "not tried")] += 1
            if one["result"] not in ("right", "-"):
                told.append(f"- {who}, `{one['model']}`, {one['step']} {one['result']}: {one['text']}")
        names = list(dict.fromkeys(one["model"] for one in found["attempts"]))
        here = f"{versions['ultralytics']}, torch {versions['torch']}, NumPy {versions['numpy']}"
        rows.append(f"| {name} ({here}) | {' | '.join(map(cell, steps.values()))} |")
        told.append(f"- {who}: {', '.join(f'`{model}`' for model in names)}")
        header = f"| | {' | '.join(steps)} |\n|---|{'---|' * len(steps)}"
    table = "\n".join([header, *rows, "", *sorted(told)])
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(_SECTION.sub(lambda found: f"{found[1]}{table}\n{found[3]}", text), encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
