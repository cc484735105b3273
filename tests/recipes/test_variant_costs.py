"""What `variants` says that a variant costs is what fvcore counts when it is built and run: to the unit."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import main
from lska_surgeon.core.graph import scaling_of
from lska_surgeon.core.operators import OP_BLOCKS, PAPER_DILATIONS
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.shapes import shapes_of
from lska_surgeon.cost.count import count_source
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.sources import stock_models

SIZE = (64, 128)  # pixels, height and width
KERNELS = list(product(OP_BLOCKS, PAPER_DILATIONS))


def cases(exhaustive: bool) -> list[tuple[str, str, list[tuple[str, int]]]]:
    """Each YOLOv8 model with one of its positions, one operator and kernel size; or with all of them."""
    found = []
    for number, model in enumerate(sorted(name for name in stock_models() if name.startswith("yolov8"))):
        document = Document.read(stock_models()[model])
        positions = list(named_sites(document.graph, shapes_of(document.graph, scaling_of(document.settings))))
        if exhaustive:
            found += [(model, position, KERNELS) for position in positions]
        else:
            found.append((model, positions[number % len(positions)], [KERNELS[5 * number % len(KERNELS)]]))
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize(("model", "position", "kernels"), cases(metafunc.config.getoption("--exhaustive")))


@pytest.mark.slow
def test_costs_are_what_fvcore_counts(
    model: str, position: str, kernels: list[tuple[str, int]], tmp_path: Path
) -> None:
    letter = next(iter(Document.read(stock_models()[model]).scales), None)
    scale = f", scale: {letter}" if letter else ""
    asked = [f"{{at: {position}, op: {op}, k: {k}{scale}}}" for op, k in kernels]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"base: {model}\nimgsz: [{SIZE[0]}, {SIZE[1]}]\ninclude: [{', '.join(asked)}]\n")
    done = CliRunner().invoke(main, ["variants", str(recipe), "--costs", "--quiet"])
    assert done.exit_code == 0, done.output
    for one in json.loads((tmp_path / "variants" / "index.json").read_text(encoding="utf-8"))["variants"]:
        counted = count_source(str(tmp_path / one["file"]), SIZE)
        assert (one["params"], one["macs"]) == (counted.params, counted.macs), one["file"]
