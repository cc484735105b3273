"""A report with everything in it, names that are no friends among them, and a browser to look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import lska_surgeon
from lska_surgeon.ablation.table import Summary
from lska_surgeon.cost.closed_form import CurvePoint
from lska_surgeon.drawing.curves import Curves
from lska_surgeon.page.content import FieldImage, Missing, Page, PageNetwork, Trainings
from lska_surgeon.recipes.variants import Kind
from lska_surgeon.reports import Strong, Table

EVIL = "variants/<script>alert(1)</script>.yaml"
#: One transparent pixel.
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
DRAWING = lska_surgeon.draw("yolov8n.yaml").svg
NETWORKS = (
    PageNetwork("yolov8n.yaml", "", "yolov8n.yaml", 3_157_200, 4_372_000_000, latency={"torch": 0.0098},
            scores={"shapes": Summary(0.371, 0.004, 3)}, drawing=DRAWING),
    PageNetwork(EVIL, "lska k23 at neck", "yolov8n.yaml", 3_277_200, 4_472_000_000, 120_000, 100_000_000,
            {"torch": 0.0123}, {"shapes": Summary(0.375, 0.006, 3)},
            Kind("yolov8n.yaml", ("neck",), "lska", 23), DRAWING,
            ["early stop in <seed> 1"]),
    PageNetwork("variants/b.yaml", "lska k7 at neck", "yolov8n.yaml", 3_217_200, 4_402_000_000, 60_000, 30_000_000,
            {"torch": 0.0101}, {"shapes": Summary(0.369, None, 1)},
            Kind("yolov8n.yaml", ("neck",), "lska", 7), DRAWING),
    PageNetwork("variants/unknown.yaml", "ema at neck", "yolov8n.yaml"),
)  # fmt: skip
TRAININGS = Trainings(
    "mAP50-95",
    Table(
        ("network", "params", "GFLOPs", "mAP50-95", "mAP50-95 - base", "95% interval", "p", "p (adjusted)", "seeds",
         "verdict"),
        [
            ["yolov8n (base)", "3,157,200", "8.744", "0.3710 ± 0.0040", "", "", "", "", "3", ""],
            ["<script>x</script>", "3,277,200", "8.944", Strong("0.3750 ± 0.0060"), "+0.0040", "[-0.0020, +0.0100]",
             "0.250", "0.500", "3", "too few seeds"],
            ["b", "3,217,200", "8.804", "0.3690", "-0.0020", "", "1.000", "1.000", "1 of 3", "loss"],
        ],
        range(1, 9),
    ),
    ("yolov8n.yaml", EVIL, "variants/b.yaml"),
    "| network | <script>x</script> |",
    "\\begin{tabular}{lr}",
    ["with 3 seeds no p below 0.25 exists: <b>few</b>"],
)  # fmt: skip
CURVES = Curves(
    "yolov8n.yaml",
    ("neck",),
    (640, 640),
    tuple(
        CurvePoint(op, k, 1000 * k * (2 if op == "lka" else 1), 10**7 * k)
        for op in ("lska", "lka")
        for k in (7, 23, 35)
    ),
)
FIELDS = [
    FieldImage(name, at, PIXEL, {0.2: 0.01, 0.99: None}) for name in ("yolov8n.yaml", EVIL) for at in ("p3", "p4")
]
PAGE = Page(
    "recipe_1.yaml",
    "lska-surgeon report 'recipe <b>.yaml'",
    (640, 640),
    NETWORKS,
    TRAININGS,
    ["a <GPU>, batch 1"],
    [CURVES],
    FIELDS,
    "4 × 64×64, seed 0",
    [Missing("costs", "lska-surgeon variants <r> --costs", "no <reason>")],
)


@contextmanager
def chromium() -> Iterator[Any]:
    """Headless Chromium; the test is skipped where there is none."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no Chromium here: apt-get install chromium, or name it in $CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield running
        finally:
            running.close()


def opened(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str]]:
    """A tab with a page, and all that its console said, errors and addresses outside of the page among them."""
    said: list[str] = []
    tab = browser.new_context(**options).new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else said.append(request.url))
    tab.goto(path.as_uri())
    return tab, said
