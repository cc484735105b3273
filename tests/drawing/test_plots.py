"""Plots: curves of costs against the paper's own modules, built once more here, heat maps, and the bytes of both."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy
import pytest
from click.testing import CliRunner
from PIL import Image
from support.fresh import fresh
from support.insertions import plan_insert
from torch import nn

import lska_surgeon
from lska_surgeon.cli.main import main
from lska_surgeon.core.surgery import Placement
from lska_surgeon.cost.limits import DESIGNS, SIZES
from lska_surgeon.drawing.plots import heat_png, plotting

#: VAN-Tiny: widths and blocks of its four stages, at strides 4, 8, 16, 32 of a 224 x 224 image.
VAN_TINY = ((32, 3, 56), (64, 3, 28), (160, 5, 14), (256, 2, 7))


#: Kernel size -> lengths of the first and of the dilated kernel, as the paper's code spells them out, case by case.
LENGTHS = {7: (3, 3), 11: (3, 5), 23: (5, 7), 35: (5, 11), 41: (5, 13), 53: (5, 17)}


def paper_convolutions(op: str, k: int, dim: int) -> list[nn.Conv2d]:
    """The convolutions of one attention module of the paper's code."""
    first, second = LENGTHS[k]
    sizes = {
        "lska": [(1, first), (first, 1), (1, second), (second, 1)],
        "lska-trivial": [(1, k), (k, 1)],
        "lka": [(first, first), (second, second)],
        "lka-trivial": [(k, k)],
    }[op]
    return [*(nn.Conv2d(dim, dim, size, groups=dim) for size in sizes), nn.Conv2d(dim, dim, 1)]


def van_tiny(folder: Path) -> Path:
    """A model YAML with a row for each block of VAN-Tiny, at its width and stride."""
    rows, last = [], []
    for stage, (dim, count, _) in enumerate(VAN_TINY):
        rows += [f"  - [-1, 1, Conv, [{dim}, 3, {4 if not stage else 2}]]"] + [f"  - [-1, 1, Conv, [{dim}, 1, 1]]"] * (
            count - 1
        )
        last.append(len(rows) - 1)
    head = f"head:\n  - [{last}, 1, Detect, [nc]]\n"
    path = folder / "van-tiny.yaml"
    path.write_text("nc: 3\nbackbone:\n" + "\n".join(rows) + "\n" + head, encoding="utf-8")
    return path


def test_what_little_networks_and_images_cost_is_no_column_of_zeros(tmp_path: Path) -> None:
    found = lska_surgeon.curves(str(van_tiny(tmp_path)), "after:0", op="lska", k=(7, 53), imgsz=32)
    (table,) = found.report().parts
    assert [row[3] for row in table.rows] == [f"{2 * one.macs / 1e9:+.5f}" for one in found.points]
    assert len({row[3] for row in table.rows}) == 2


@pytest.mark.parametrize("op", DESIGNS)
def test_for_van_tiny_the_curves_give_what_the_papers_modules_cost(op: str, tmp_path: Path) -> None:
    blocks = sum(count for _, count, _ in VAN_TINY)
    at = [f"after:{index}" for index in range(blocks)]
    found = lska_surgeon.curves(str(van_tiny(tmp_path)), at, op=op, imgsz=224)
    expected = []
    for k in SIZES:
        convs = [(conv, count, side) for dim, count, side in VAN_TINY for conv in paper_convolutions(op, k, dim)]
        params = sum(count * sum(p.numel() for p in conv.parameters()) for conv, count, _ in convs)
        macs = sum(count * side * side * conv.weight.numel() for conv, count, side in convs)
        expected.append((k, params, macs))
    assert [(one.k, one.params, one.macs) for one in found.points] == expected


@pytest.mark.parametrize("at", ["neck", "residual", "sppf-inner", "head:p3"])
def test_a_point_is_what_insert_adds(at: str) -> None:
    found = lska_surgeon.curves("yolov8n.yaml", at, op=["lska", "lka"], k=[7, 35], imgsz=320)
    for one in found.points:
        plan = plan_insert("yolov8n.yaml", Placement((at,), one.op, one.k))
        assert (one.params, one.macs) == (plan.params_added, plan.macs_added(320, 320))


def test_formats(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(main, ["curves", "yolov8n.yaml", "--at", "neck", *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert len(run().splitlines()) == 2 + 4 * 6
    assert len(run("--format", "csv").splitlines()) == 1 + 4 * 6
    assert run("--format", "md").startswith("| operator | k |")
    found = json.loads(run("--json", "--op", "lska", "--k", "7"))
    assert found["points"] == [{"op": "lska", "k": 7, "params": 112192, "macs": 115916800, "flops": 231833600}]


def test_what_is_asked_for_twice_is_shown_once_and_the_result_has_a_short_name() -> None:
    found = lska_surgeon.curves("yolov8n.yaml", "neck", op=["lska", "lska"], k=[7, 11, 7])
    assert [(one.op, one.k) for one in found.points] == [("lska", 7), ("lska", 11)]
    assert repr(found) == "<Curves yolov8n.yaml: what 2 operators at neck would cost>"


def test_costs_may_be_drawn_on_logarithmic_axes(tmp_path: Path) -> None:
    target = tmp_path / "x.svg"
    words = ["curves", "yolov8n.yaml", "--at", "neck", "--log"]
    assert CliRunner().invoke(main, [*words, "-o", str(target)]).exit_code == 0
    text = target.read_text(encoding="utf-8")
    assert ">0.2<" in text
    assert "mathdefault" not in text
    with plotting() as figure:
        drawn = lska_surgeon.curves("yolov8n.yaml", "neck").drawn(figure, log=True)
        assert {axis.get_yscale() for axis in drawn.axes} == {"log"}
    refused = CliRunner().invoke(main, words)
    assert (refused.exit_code, "--log is for the figure: add -o FILE, or drop it" in refused.stderr) == (2, True)


# Heat maps.


CODE = """
import hashlib, sys
from pathlib import Path
from types import SimpleNamespace as Some
import numpy
import lska_surgeon as ls
from lska_surgeon.drawing.plots import draw_fields, draw_gates, heat_png

values = numpy.linspace(0, 1, 64 * 64).reshape(64, 64)
tensor = [Some(numpy=lambda: numpy.stack([values] * 3))]
fields = [Some(model="a.pt", at="p3", readable=lambda: values)]
changes = {"a.pt": [Some(op="lska", layer=9, maps={"x.png": values})]}
draw_fields(fields, Path("fields.pdf"), force=True)
draw_gates(changes, [Some(name="x.png", tensor=tensor)], Path("gates.svg"), force=True)
for suffix in ("png", "svg", "pdf"):
    ls.curves("yolov8n.yaml", "neck").write(f"curves.{suffix}", force=True)
for path in sorted(Path().iterdir()):
    print(path, hashlib.sha256(path.read_bytes()).hexdigest())
print(hashlib.sha256(heat_png(values)).hexdigest(), "torch" in sys.modules)
"""


def test_figures_and_heat_maps_are_the_same_bytes_in_every_process_and_need_no_torch() -> None:
    first = fresh(CODE, PYTHONHASHSEED="0", TZ="UTC", SOURCE_DATE_EPOCH="1")
    assert fresh(CODE, PYTHONHASHSEED="7", TZ="Asia/Tokyo", SOURCE_DATE_EPOCH="1700000000") == first
    assert len(first.splitlines()) == 6
    assert first.endswith(" False\n")


def test_one_bright_pixel_of_a_large_map_stays_bright() -> None:
    values = numpy.zeros((400, 400))
    values[201, 77] = 1.0
    with Image.open(io.BytesIO(heat_png(values))) as image:
        assert image.size == (133, 133)
        brightest = max(colour[:3] for _, colour in image.getcolors(1 << 16))
    assert brightest == pytest.approx((253, 231, 37), abs=1)  # the end of viridis
