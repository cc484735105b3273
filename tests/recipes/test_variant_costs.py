"""What `variants` says that a variant costs is what fvcore counts when it is built and run: to the unit."""

from __future__ import annotations

import json
from functools import cache
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

MODELS = sorted(name for name in stock_models() if name.startswith("yolov8"))
SIZE = (64, 128)  # pixels, height and width


@cache
def positions(model: str) -> list[str]:
    document = Document.read(stock_models()[model])
    return list(named_sites(document.graph, shapes_of(document.graph, scaling_of(document.settings))))


def every_case() -> list[tuple[str, str, str, int]]:
    return [
        (model, position, op, k)
        for model in MODELS
        for position in positions(model)
        for op, k in product(OP_BLOCKS, PAPER_DILATIONS)
    ]


def some_cases() -> list[tuple[str, str, str, int]]:
    """Every model with two of its positions, with positions, operators and kernel sizes in turn."""
    kernels = list(product(OP_BLOCKS, PAPER_DILATIONS))
    places = [
        (model, positions(model)[at % len(positions(model))])
        for number, model in enumerate(MODELS)
        for at in {2 * number, 2 * number + 1}
    ]
    return [(*place, *kernels[7 * number % len(kernels)]) for number, place in enumerate(dict.fromkeys(places))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "position" in metafunc.fixturenames:
        cases = every_case() if metafunc.config.getoption("--exhaustive") else some_cases()
        metafunc.parametrize(("model", "position", "op", "k"), cases, scope="session")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("costs")


@cache
def index_of(model: str, position: str, folder: Path) -> dict[tuple[str, int], tuple[Path, int, int]]:
    """File, parameters and MACs of each operator and kernel size at one position, as `variants` says."""
    here = folder / f"{Path(model).stem}-{position}"
    here.mkdir()
    letter = next(iter(Document.read(stock_models()[model]).scales), None)
    scale = f", scale: {letter}" if letter else ""
    ops, sizes = ", ".join(OP_BLOCKS), ", ".join(map(str, PAPER_DILATIONS))
    (here / "recipe.yaml").write_text(
        f"base: {model}\nimgsz: [{SIZE[0]}, {SIZE[1]}]\nmatrix: {{at: {position}, op: [{ops}], k: [{sizes}]{scale}}}\n"
    )
    done = CliRunner().invoke(main, ["variants", str(here / "recipe.yaml"), "--costs", "--quiet"])
    assert done.exit_code == 0, done.output
    index = json.loads((here / "variants" / "index.json").read_text(encoding="utf-8"))
    return {
        (one["edits"][0]["op"], one["edits"][0]["k"]): (here / one["file"], one["params"], one["macs"])
        for one in index["variants"]
    }


@pytest.mark.slow
def test_costs_are_what_fvcore_counts(model: str, position: str, op: str, k: int, folder: Path) -> None:
    path, params, macs = index_of(model, position, folder)[op, k]
    counted = count_source(str(path), SIZE)
    assert (params, macs) == (counted.params, counted.macs)
