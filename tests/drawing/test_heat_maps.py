"""Heat maps as files: the same bytes in every process, and no torch to draw them."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy
import pytest
from PIL import Image

from lska_surgeon.drawing.heat_maps import heat_png

CODE = """
import hashlib, sys
from pathlib import Path
from types import SimpleNamespace as Some
import numpy
from lska_surgeon.drawing.heat_maps import draw_fields, draw_gates, heat_png

values = numpy.linspace(0, 1, 64 * 64).reshape(64, 64)
tensor = [Some(numpy=lambda: numpy.stack([values] * 3))]
fields = [Some(model="a.pt", at="p3", readable=lambda: values)]
changes = {"a.pt": [Some(op="lska", layer=9, maps={"x.png": values})]}
fields_file, gates_file = Path("fields.pdf"), Path("gates.svg")
draw_fields(fields, fields_file, force=True)
draw_gates(changes, [Some(name="x.png", tensor=tensor)], gates_file, force=True)
for path in (fields_file, gates_file):
    print(hashlib.sha256(path.read_bytes()).hexdigest())
print(hashlib.sha256(heat_png(values)).hexdigest(), "torch" in sys.modules)
"""


def test_heat_maps_are_the_same_bytes_in_every_process_and_need_no_torch(tmp_path: os.PathLike[str]) -> None:
    def run(**environment: str) -> str:
        where = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **environment}
        words, env = [sys.executable, "-c", CODE], {**os.environ, **where}
        return subprocess.run(words, env=env, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    first = run(PYTHONHASHSEED="0", TZ="UTC", SOURCE_DATE_EPOCH="1")
    assert run(PYTHONHASHSEED="7", TZ="Asia/Tokyo", SOURCE_DATE_EPOCH="1700000000") == first
    assert len(first.splitlines()) == 3
    assert first.endswith(" False\n")


def test_one_bright_pixel_of_a_large_map_stays_bright() -> None:
    values = numpy.zeros((400, 400))
    values[201, 77] = 1.0
    with Image.open(io.BytesIO(heat_png(values))) as image:
        assert image.size == (133, 133)
        brightest = max(colour[:3] for _, colour in image.getcolors(1 << 16))
    assert brightest == pytest.approx((253, 231, 37), abs=1)  # the end of viridis
