"""The table of supported positions: what is in it is there; when it is written, each is built in Ultralytics and run.

That every stock model builds and runs with an operator at every position is held by `modelfile/test_contracts.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from support.insertions import plan_insert

from lska_surgeon.core.positions import NAMES, named_sites
from lska_surgeon.core.surgery import Placement
from lska_surgeon.modelfile.model import load
from lska_surgeon.modelfile.sources import stock_models, without_scale
from lska_surgeon.nn import named_operators
from lska_surgeon.yolo.build import build

PAGE = Path(__file__).parents[1] / "docs" / "support.md"
_SECTION = re.compile(r"(<!-- support table: start -->\n)(.*?)(<!-- support table: end -->)", re.DOTALL)
#: One model of each family and task, at its smallest scale.
MODELS = (
    "yolov3-tiny yolov3-spp yolov5n yolov5n-p6 yolov6n yolov8n yolov8n-p2 yolov8n-p6 yolov8n-ghost yolov8n-seg "
    "yolov8n-pose yolov8n-obb yolov8n-cls yolov8n-world yolov8n-worldv2 yolov8n-rtdetr yoloe-v8n yolov9t yolov10n "
    "yolo11n yolo11n-seg yolo11n-cls yolo12n yolo26n yolo26n-sem yolo26n-depth rtdetr-l rtdetr-resnet50"
).split()
HERE = [model for model in MODELS if {f"{model}.yaml", without_scale(f"{model}.yaml")} & set(stock_models())]


def places(model: str) -> dict[str, int]:
    """How many places a model has at each position."""
    opened = load(model)
    found = named_sites(opened.graph, opened.shapes)
    return {position: len(found.get(position, ())) for position in NAMES}


def run(model: str, position: str, folder: Path) -> None:
    """Build a model with operators at a position, and run it."""
    opened = load(model)
    plan = plan_insert(
        model, Placement((position,), k=7), output=str(folder / f"{Path(opened.name).stem}-{position}.yaml")
    )
    assert plan.output is not None
    plan.output.write_text(plan.text, encoding="utf-8")
    built = build(plan.output).eval()
    assert sum(1 for _ in named_operators(built)) == sum(site.operators.count for site in plan.sites if site.operators)
    size = 160 if "rtdetr" in model else 64  # older decoders want 300 cells
    with torch.inference_mode():
        built(torch.zeros(1, 3, size, size))


def test_the_page_says_what_is_there(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found = {model: places(model) for model in HERE}
    rows = [
        f"| {model} | {' | '.join(str(count or '–') for count in here.values())} |" for model, here in found.items()
    ]
    text = PAGE.read_text(encoding="utf-8")
    if request.config.getoption("--update-docs"):
        for model, here in found.items():
            for position in filter(here.get, here):
                run(model, position, tmp_path)
        header = f"| model | {' | '.join(f'`{name}`' for name in NAMES)} |\n|---|{'---:|' * len(NAMES)}\n"
        table = header + "".join(f"{row}\n" for row in rows)
        PAGE.write_text(_SECTION.sub(lambda found: found[1] + table + found[3], text), encoding="utf-8")
        return
    section = _SECTION.search(text)
    assert section
    shown = [line for line in section[2].splitlines() if line.startswith("| yolo") or line.startswith("| rtdetr")]
    assert [row for row in shown if row.split()[1] in HERE] == rows
    assert [row.split()[1] for row in shown] == MODELS
