"""Files without end, nested, chained or long, and networks of thousands of rows: bounded, and told in one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.insertions import plan_insert
from support.shapes import surgeon, write_checkpoint, write_network

from lska_surgeon.checks.check import check_file
from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.core.graph import Graph, Layer, Scaling
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.surgery import Placement
from lska_surgeon.declarations.guess import guess_blocks
from lska_surgeon.errors import EndlessError, GraphError, NotAModelError
from lska_surgeon.modelfile.diff import compare
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.model import Model, load
from lska_surgeon.modelfile.positions import Positions
from lska_surgeon.modelfile.remove import plan_remove
from lska_surgeon.modelfile.sources import Source
from lska_surgeon.modelfile.text import MOST_BYTES
from lska_surgeon.wording import few, numbers
from lska_surgeon.yolo.build import refuse_sizes

MODEL = "nc: 1\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\nhead:\n  - [[0], 1, Detect, [nc]]\n"
LONG = f"has more than {MOST_BYTES:,} bytes, and no network or recipe is as long as that"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path) -> None:
    write_network(tmp_path)


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


FEW, MANY = 600, 2400


def write_rows(folder: Path, rows: int, args: str = "[1024, 3, 1]") -> str:
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
        name = write_rows(tmp_path, rows)
        start = time.process_time()
        work(name)
        return time.process_time() - start

    seconds(30)
    few = min(seconds(FEW), seconds(FEW))
    # A square would be 16 times the work in every try; a busy machine is slow in some.
    tries = (seconds(MANY) / few for _ in range(4))
    assert any(ratio < 9 for ratio in tries)


def test_networks_that_differ_all_over_are_too_much_for_diff(tmp_path: Path) -> None:
    one, other = (load(write_rows(tmp_path, 2700, args)) for args in ("[1024, 3, 1]", "[512, 3, 1, 1]"))
    with pytest.raises(GraphError, match=r"differ all over: diff would compare 2698 rows with 2698, and takes at most"):
        compare(one, other)


LEVELS = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20))
TEXTS = {
    "brackets": f"base: {'[' * 50_000}\nbackbone: []\nhead: []\n",
    "brackets with numbers": f"base: {'[1, ' * 30_000}\nbackbone: []\nhead: []\n",
    "dashes": f"backbone: []\nhead: []\nbase:\n  {'- ' * 50_000}\n",
    "aliases": f"a: &a [x, x, x, x, x, x, x, x, x]\n{LEVELS}base: *u\nbackbone: *u\nhead: *u\n",
    "itself": "base: &a [*a]\nbackbone: *a\nhead: *a\n",
}
CONSUMERS = {
    "check": ["check", "many.yaml"],
    "insert": ["insert", "many.yaml", "--at", "neck"],
    "flops": ["flops", "many.yaml"],
    "variants": ["variants", "many.yaml", "--check"],
    "ablate": ["ablate", "many.yaml", "--dry-run"],
    "results": ["results", "many.yaml"],
    "train data": ["train", "base.pt", "data=many.yaml"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("without-end")
    write_checkpoint(found)
    return found


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_every_consumer_stops_early(consumer: str, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("many.yaml").write_text(TEXTS[kind], encoding="utf-8")
    start = time.process_time()
    done = surgeon(*CONSUMERS[consumer])
    assert time.process_time() - start < 3 + 3 * (consumer == "train data")  # 50,000 brackets took ten seconds
    assert done.exit_code == 2, done.exception
    (line,) = done.stderr.splitlines()
    assert "many.yaml" in line
    assert "nested too deep" in line or "aliases that stand for too much" in line


def said(*words: str) -> str:
    start = time.perf_counter()
    done = surgeon(*words)
    assert time.perf_counter() - start < 20  # those of them that had an end took minutes
    assert done.exit_code == 2, done.exception
    (line,) = done.stderr.splitlines()
    return str(line)


PYTHON = {
    "minus signs": ("x = " + "-" * 200_000 + "1\n", "many.py is not Python that can be read: it is nested too deep"),
    "attributes": ("x = a" + ".a" * 100_000 + "\n", "many.py is not Python that can be read: it is nested too deep"),
    "a syntax error": ("x = (\n", "many.py, line 1 is not Python: '(' was never closed"),
    "megabytes": ("x = 1\n" * 200_000, "can't read many.py: it has more than 1,048,576 bytes"),
}


@pytest.mark.parametrize("kind", PYTHON)
def test_a_python_file_that_can_not_be_read(kind: str) -> None:
    text, expected = PYTHON[kind]
    Path("many.py").write_text(text, encoding="utf-8")
    assert said("blocks", "many.py").startswith(f"Error: {expected[:40]}")


def test_a_chain_of_classes_of_any_length() -> None:
    lines = ["from torch import nn", "class C0(nn.Module): pass"]
    lines += [f"class C{number + 1}(C{number}): pass" for number in range(1000)]
    Path("chain.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = surgeon("blocks", "chain.py")
    assert done.exit_code == 0, done.exception
    assert "[blocks.C1000]" in done.output
    assert done.output.count("[blocks.") == 1001


TOML = {
    "dots": (".".join(["a"] * 50_000) + " = 1\n", "many.toml is not TOML: it has a key of more than 50 parts"),
    "brackets": ("a = " + "[" * 50_000 + "]" * 50_000 + "\n", "many.toml is not TOML: it is nested too deep"),
    "keys": ("\n".join(f"a{n}.b = 1" for n in range(20_000)), "can't read many.toml: it has more than 131,072 bytes"),
    "one line": (
        "a = {" + ", ".join(f"b{n}.c = 1" for n in range(9000)) + "}\n",
        "many.toml, line 1, a: no field 'a' here: there is blocks",
    ),
}


@pytest.mark.parametrize("kind", TOML)
def test_a_declaration_without_end(kind: str) -> None:
    text, expected = TOML[kind]
    Path("many.toml").write_text(text, encoding="utf-8")
    assert said("positions", "tiny.yaml", "--blocks", "many.toml") == f"Error: {expected}"


def test_dots_elsewhere_are_no_key() -> None:
    text = f'[blocks.EMA]\nclass = "my_blocks:EMA" # {"." * 200}\nlike = "attention"\n'
    Path("few.toml").write_text(text, encoding="utf-8")
    assert surgeon("positions", "tiny.yaml", "--blocks", "few.toml").exit_code == 0


def test_an_activation_that_is_nested_without_end() -> None:
    text = Path("tiny.yaml").read_text(encoding="utf-8")
    Path("odd.yaml").write_text(f"activation: '{'-' * 100_000}1'\n{text}", encoding="utf-8")
    assert said("flops", "odd.yaml").startswith("Error: odd.yaml would run more than layers: activation: ---")
