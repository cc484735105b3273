"""Files that are far too long are refused before they are parsed; thousands of consumers are shown short."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.core.graph import Graph, Layer, Scaling
from lska_surgeon.declarations.guess import guess_blocks
from lska_surgeon.errors import EndlessError, NotAModelError
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.model import Model
from lska_surgeon.modelfile.positions import Positions
from lska_surgeon.modelfile.sources import Source
from lska_surgeon.modelfile.text import MOST_BYTES
from lska_surgeon.wording import few, numbers
from lska_surgeon.yolo.build import refuse_sizes

MODEL = "nc: 1\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\nhead:\n  - [[0], 1, Detect, [nc]]\n"
LONG = f"has more than {MOST_BYTES:,} bytes, and no network or recipe is as long as that"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def padded(text: str, size: int) -> str:
    """A text with a comment that makes it so many bytes long."""
    return f"{text}#{'x' * (size - len(text) - 2)}\n"


def test_the_longest_file_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(padded(MODEL, MOST_BYTES), encoding="utf-8")
    assert len(Document.read(path).layers) == 2
    path.write_text(padded(MODEL, MOST_BYTES + 1), encoding="utf-8")
    with pytest.raises(EndlessError, match=LONG):
        Document.read(path)
    with pytest.raises(EndlessError, match=LONG):
        refuse_sizes(path, STOCK)  # what is not ours to read is not Ultralytics' either


@pytest.mark.parametrize("line", ["check x.yaml", "positions -", "blocks x.yaml", "variants x.yaml"])
def test_in_one_line(line: str) -> None:
    text = padded(MODEL, 6_000_000)
    Path("x.yaml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, line.split(), input=text)
    assert done.exit_code == 2
    assert LONG in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_long_and_no_model_is_still_passed_over() -> None:
    path = Path("compose.yaml")
    path.write_text(padded("services: {}\n", 6_000_000), encoding="utf-8")
    with pytest.raises(NotAModelError, match="is not a model YAML"):
        Document.read(path)
    assert CliRunner().invoke(main, ["check", "--models-only", "compose.yaml"]).exit_code == 0


def consumers(rows: int, block: str = "Conv") -> Graph:
    """A network in which every row reads the first; blocks are numbered where their name has braces."""
    layers = [Layer(0, "backbone", -1, 1, "Conv", (16, 3, 2))]
    layers += [Layer(1 + row, "head", 0, 1, block.format(row), (16,)) for row in range(rows)]
    return Graph((*layers, Layer(rows + 1, "head", (1, 2, 3), 1, "Detect", ("nc",))), {"nc": 1})


def test_thousands_of_consumers_do_not_widen_every_row() -> None:
    model = Model(Source(Path("x.yaml"), "x.yaml"), consumers(3000), Scaling())
    text = str(Positions(model))
    assert "19, 20, … (3,000 in all)" in text
    assert max(map(len, text.splitlines())) < 400
    assert len(Positions(model).to_dict()["layers"][0]["consumers"]) == 3000


def test_many_words() -> None:
    assert numbers([3, 4, 5]) == "3, 4, 5"
    assert few([*"abcd"], most=4) == "a, b, c, d"
    assert few([*"abcde"], most=4) == "a, b, … (5 in all)"


def test_thousands_of_unknown_blocks_are_guessed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0

    def counted(graph: Graph, scaling: Scaling) -> tuple[object, ...]:
        nonlocal looked_at
        looked_at += len(graph)
        return shapes_of(graph, scaling)

    from lska_surgeon.core.shapes import shapes_of
    from lska_surgeon.declarations import guess

    monkeypatch.setattr(guess, "shapes_of", counted)
    graph = consumers(3000, "Own{}")
    found = guess_blocks(graph, [layer.block for layer in graph if layer.block.startswith("Own")])
    assert len(found) == 3000
    assert looked_at <= 100_000
