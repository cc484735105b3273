"""Work grows with the number of rows, not with its square; where it can't, a bound says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.insertions import plan_insert

from lska_surgeon.checks import check_file
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.surgery import Placement
from lska_surgeon.errors import GraphError
from lska_surgeon.modelfile.diff import compare
from lska_surgeon.modelfile.model import load
from lska_surgeon.modelfile.remove import plan_remove

FEW, MANY = 600, 2400


def write(folder: Path, rows: int, args: str = "[1024, 3, 1]") -> str:
    """A network of that many rows, every third of them an operator with a literal width and a stale comment."""
    three = f"  - [-1, 1, Conv, {args}] # 3\n  - [[-1, -1], 1, Concat, [1]]\n  - [-1, 1, LSKA, [999, 7]]\n"
    path = folder / f"yolov8n-{rows}-{len(args)}.yaml"
    path.write_text(
        "nc: 80\nscales:\n  n: [0.33, 0.25, 1024]\n  s: [0.33, 0.50, 1024]\nbackbone:\n"
        f"  - [-1, 1, Conv, [64, 3, 2]]\n{three * (rows // 3)}head:\n  - [[-1, {rows // 2}], 1, Concat, [1]]\n"
        f"  - [-1, 3, C2f, [512]]\n  - [[{rows + 2}], 1, Detect, [nc]]\n",
        encoding="utf-8",
    )
    return str(path)


def positions(name: str) -> None:
    model = load(name)
    graph = model.graph
    assert "neck" in named_sites(graph, model.shapes)
    assert all(graph.consumers(layer.index) for layer in graph if layer is not graph.output)


def insert(name: str) -> None:
    plan = plan_insert(name, Placement(("neck", "head")), output="-")
    assert len(plan.sites) == 2


def diff(name: str) -> None:
    one = load(name)
    Path(f"{name}.2.yaml").write_text(one.text.replace("512", "256"), encoding="utf-8")
    assert len(compare(one, load(f"{name}.2.yaml")).changed) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "work", [positions, check_file, insert, lambda name: plan_remove(name, "-"), diff],
    ids=["positions", "check", "insert", "remove", "diff"],
)  # fmt: skip
def test_four_times_the_rows_are_about_four_times_the_work(work: Callable[[str], object], tmp_path: Path) -> None:
    def seconds(rows: int) -> float:
        name = write(tmp_path, rows)
        start = time.process_time()
        work(name)
        return time.process_time() - start

    seconds(30)
    few = min(seconds(FEW), seconds(FEW))
    # A square would be 16 times the work in every try; a busy machine is slow in some.
    tries = (seconds(MANY) / few for _ in range(4))
    assert any(ratio < 9 for ratio in tries)


def test_networks_that_differ_all_over_are_too_much_for_diff(tmp_path: Path) -> None:
    one, other = (load(write(tmp_path, 2700, args)) for args in ("[1024, 3, 1]", "[512, 3, 1, 1]"))
    with pytest.raises(GraphError, match=r"differ all over: diff would compare 2698 rows with 2698, and takes at most"):
        compare(one, other)
