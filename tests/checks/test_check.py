"""`check` over all stock models: what is right passes, what is miswired is found, and its correction is right."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.insertions import plan_insert

import lska_surgeon
from lska_surgeon.checks.alignment import stock_blocks, stock_graph
from lska_surgeon.checks.check import RULES, check_file
from lska_surgeon.checks.findings import ERROR, corrected_text
from lska_surgeon.checks.known import is_slip, nearest
from lska_surgeon.cli.main import main
from lska_surgeon.core.graph import Layer, scaling_of
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.shapes import shapes_of
from lska_surgeon.core.surgery import Placement
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.rewriting import splice
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.modelfile.text import Span

STOCK = sorted(stock_models())
FAMILIES = ["rtdetr-l", "yolo11", "yolo12", "yolo26", "yolov10n", "yolov3", "yolov5", "yolov6", "yolov8-p2", "yolov9e"]
FAMILIES = [f"{name}.yaml" for name in FAMILIES if f"{name}.yaml" in STOCK]


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def variant(name: str, *at: str, k: int = 23, **asked: object) -> str:
    return plan_insert(name, Placement(at, k=k), output="-", **asked).text  # type: ignore[arg-type]


def names_of(name: str) -> list[str]:
    document = Document.read(stock_models()[name])
    return list(named_sites(document.graph, shapes_of(document.graph, scaling_of(document.settings))))


# What is right.


@pytest.mark.parametrize("name", STOCK)
def test_stock_models_are_right_and_read_as_the_parser_reads_them(name: str) -> None:
    layers = Document.read(stock_models()[name]).layers
    graph = stock_graph(name)
    assert graph is not None
    assert graph.layers == layers
    assert stock_blocks()[name] == tuple(layer.block for layer in layers)
    checked = check_file(name)
    assert checked.findings == ()
    assert checked.stock is not None
    assert stock_blocks()[checked.stock] == stock_blocks()[name]


def check_variants(name: str, path: Path, ats: list[tuple[str, ...]], **request: object) -> None:
    for at in ats:
        path.write_text(variant(name, *at, **request), encoding="utf-8")
        checked = check_file(str(path))
        assert checked.findings == (), at
        assert checked.stock is not None, at


@pytest.mark.parametrize("name", FAMILIES)
def test_what_insert_writes_is_right(name: str, tmp_path: Path) -> None:
    names = names_of(name)
    edges = [
        f"edge:{source}->{layer.index}" for layer in stock_graph(name) or () for source in layer.sources if source >= 0
    ]
    branches = [tuple(random.Random(name).sample(edges, 3)), ("after:1", edges[0], "before:3")]
    check_variants(name, tmp_path / "variant.yaml", [tuple(names), (names[-1],), *branches])
    check_variants(name, tmp_path / "variant.yaml", [(names[0],)], resolve=True)


# What is wrong.


@dataclass(frozen=True)
class Mutant:
    """A text, and what was done to it; `fixable` where the original number can be known."""

    what: str
    text: str
    fixable: bool = True


def without_operators(layers: tuple[Layer, ...]) -> list[tuple[str, tuple[int, ...]]] | None:
    """Blocks and sources with operators seen through, numbered without them: equal for networks wired alike."""
    if any(layer.problem() for layer in layers):
        return None
    kept = [layer.index for layer in layers if not layer.kind.is_operator]

    def through(source: int) -> int:
        while source >= 0 and layers[source].kind.is_operator:
            source = layers[source].sources[0]
        return kept.index(source) if source >= 0 else source

    return [(layers[i].block, tuple(map(through, layers[i].sources))) for i in kept]


def with_taps(document: Document, changes: list[tuple[int, int, int]]) -> str:
    return splice(document.text, [(document.rows[row].raw_sources[tap], str(number)) for row, tap, number in changes])


def without_tap(document: Document, row: int, tap: int) -> str:
    spans = document.rows[row].raw_sources
    kept = [document.text[span.start : span.end] for i, span in enumerate(spans) if i != tap]
    return splice(document.text, [(Span(spans[0].start, spans[-1].end), ", ".join(kept))])


def numbers_kept(name: str, at: tuple[str, ...]) -> Iterator[Mutant]:
    """Stock numbers put back after an insertion: all of them, then one by one."""
    plan = plan_insert(name, Placement(at), output="-")
    stock, document = Document.read(stock_models()[name]).layers, Document(plan.text)
    changes = [
        (new, tap, number)
        for new, old in enumerate(plan.rewrite.origin)
        if old is not None
        for tap, number in enumerate(stock[old].raw_sources)
        if document.layers[new].raw_sources[tap] != number
    ]
    yield Mutant(f"all numbers kept: {changes}", with_taps(document, changes))
    for change in changes:
        yield Mutant(f"one number kept: {change}", with_taps(document, [change]))


def taps_changed(document: Document) -> Iterator[Mutant]:
    """Each tap off by one either way, two inputs of the output layer swapped, a Concat short of an input."""
    output = document.layers[-1]
    for layer in document.layers:
        if layer.kind.is_operator:
            continue
        for tap, number in enumerate(layer.raw_sources):
            for wrong in (number - 1, number + 1):
                change = (layer.index, tap, wrong)
                yield Mutant(f"{change} for {number}", with_taps(document, [change]), layer is not output)
        if layer.block == "Concat":
            yield Mutant(f"{layer.index} lost an input", without_tap(document, layer.index, 1), False)
    for a, b in itertools.combinations(range(len(output.raw_sources)), 2):
        swap = [(output.index, a, output.raw_sources[b]), (output.index, b, output.raw_sources[a])]
        yield Mutant(f"outputs swapped: {swap}", with_taps(document, swap))


def mutants(name: str, at: tuple[str, ...]) -> list[Mutant]:
    if not at:
        return list(taps_changed(Document.read(stock_models()[name])))
    return [*numbers_kept(name, at), *taps_changed(Document(variant(name, *at)))]


def check_mutants(name: str, path: Path, chosen: list[Mutant]) -> None:
    """Every mutant that is wired otherwise has an error; a corrected one is wired as the stock model and has none."""
    right = without_operators(Document.read(stock_models()[name]).layers)
    found = 0
    for mutant in chosen:
        wired = without_operators(Document(mutant.text).layers)
        path.write_text(mutant.text, encoding="utf-8")
        checked = check_file(str(path))
        if wired == right:
            assert {f.rule for f in checked.findings if f.severity == ERROR} <= {"source", "unread"}, mutant.what
            continue
        assert checked.failed(), mutant.what
        found += 1
        corrected = corrected_text(checked.document, checked.findings)
        if mutant.fixable and corrected != mutant.text:
            path.write_text(corrected, encoding="utf-8")
            assert not check_file(str(path)).failed(), mutant.what
            assert without_operators(Document(corrected).layers) == right, mutant.what
    assert found >= len(chosen) // 3


@pytest.mark.parametrize("at", [(), ("backbone", "sppf", "head")], ids=["stock", "variant"])
@pytest.mark.parametrize("name", FAMILIES)
def test_miswired_files_are_found(name: str, at: tuple[str, ...], tmp_path: Path) -> None:
    at = tuple(position for position in at if position in names_of(name))
    every = mutants(name, at)
    check_mutants(name, tmp_path / "mutant.yaml", random.Random(name).sample(every, 8))


# Names.


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("C2F", "C2f"),
        ("Cocnat", "Concat"),
        ("nn.upsample", "nn.Upsample"),
        ("Detct", "Detect"),
        ("LKSA", "LSKA"),
        ("SPFF", "SPPF"),
    ],
)
def test_a_slip_names_what_was_meant(name: str, meant: str) -> None:
    assert nearest(name) == meant
    assert is_slip(name, meant)


#: Names of modules in public YAMLs that stand near those of stock ones.
PEOPLES_OWN = (
    "SPPM AKConv ARConv BiStem C2PSSA C2fS C2fGhost C2f_CA C2f_DCN S2f CFF PPA SA LCA ODConv RFAConv MBConv ScConv SPF "
    "SKBlock DetectX SPPFF SPPFCSPC ResConv Convs C3STR C33 stem"
).split()


@pytest.mark.parametrize(
    "name", ["DSConv", "C2f_Faster", "C3k2_X", "RepConvN", "Detect_X", "SPPF2", "LSK", "Zoom_cat", *PEOPLES_OWN]
)
def test_a_module_of_the_users_is_no_slip(name: str) -> None:
    near = nearest(name)
    assert near is None or not is_slip(name, near)


def test_an_unknown_name_is_reported_once_with_the_nearest(tmp_path: Path) -> None:
    text = variant("yolov8s.yaml", "neck").replace("LSKA", "LSKATrivia")
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    (finding,) = check_file(str(tmp_path / "my.yaml")).findings
    assert (finding.rule, finding.severity) == ("module", "warning")
    assert finding.suggestion is not None
    assert finding.suggestion.endswith(
        "the nearest name is LSKATrivial; lska-surgeon blocks my.yaml drafts its declaration"
    )


def fresh(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = [{root!r}]\n{script}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_without_ultralytics_rows_and_strides_are_still_checked(tmp_path: Path) -> None:
    text = variant("yolov8s.yaml", "neck").replace("[[17, 21, 25], 1", "[[17, 25, 21], 1")
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    script = (
        "sys.modules.update(dict.fromkeys(['ultralytics', 'torch'], None))\n"
        "from lska_surgeon.cli.main import main\nmain(['check', 'my.yaml'])"
    )
    done = fresh(script, tmp_path)
    assert done.returncode == 1, done.stderr
    # In a checkout there are the stock models of lska-surgeon-light to compare with, in an installation none.
    alone = "error[output]: Detect's inputs do not get coarser one by one" in done.stdout
    assert alone or done.stdout.count("error[source]: Detect reads layer 2") == 2
    ending = "1 error (like no stock model, so compared with none: my.yaml)" if alone else "2 errors"
    assert done.stdout.endswith(f"1 file: {ending}\n")


# The command.


@pytest.fixture
def wrong() -> str:
    """A file with one wrong number and one stale comment."""
    text = variant("yolov8s.yaml", "sppf").replace("[[16, 19, 22], 1", "[[16, 19, 21], 1").replace("# 13\n", "# 12\n")
    Path("my-yolov8s.yaml").write_text(text, encoding="utf-8")
    return "my-yolov8s.yaml"


def test_exit_codes(wrong: str) -> None:
    assert run("yolov8s.yaml").exit_code == 0
    assert run("yolov8s.yaml", wrong).exit_code == 1
    missing = run("nothing.yaml")
    assert missing.exit_code == 2
    assert missing.output.startswith("Error: no file nothing.yaml")
    Path("stale.yaml").write_text(Path(wrong).read_text(encoding="utf-8").replace("21], 1", "22], 1"), encoding="utf-8")
    assert run("stale.yaml").exit_code == 0
    assert run("stale.yaml", "--strict").exit_code == 1


def test_a_file_that_cannot_be_read_does_not_stop_the_others(wrong: str) -> None:
    Path("data.yaml").write_text("train: images\n", encoding="utf-8")
    Path("empty.yaml").write_text("backbone: []\nhead: []\n", encoding="utf-8")
    Path("broken.yaml").write_text("backbone: [\nhead: 1\n", encoding="utf-8")
    done = fresh(
        "from lska_surgeon.cli.main import main\n"
        f"main(['check', 'nothing.yaml', 'data.yaml', {wrong!r}, 'empty.yaml', 'broken.yaml', 'yolov8n.yaml'])",
        Path.cwd(),
    )
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == "2 files: 1 error, 1 warning"
    missing, data, empty, broken = done.stderr.splitlines()
    assert missing.startswith("Error: no file nothing.yaml, and no stock model of that name: give a path or one of ")
    assert data == "Error: data.yaml is not a model YAML: it needs the keys backbone and head"
    assert empty.startswith("Error: empty.yaml has no rows")
    assert broken.startswith("Error: broken.yaml, line ")
    over = run("data.yaml", wrong, "broken.yaml", "--models-only", "--json")
    assert over.exit_code == 2
    assert '"ok": false' in over.output
    assert '"file": "broken.yaml"' in over.output
    assert "data.yaml" not in over.output
    assert run("data.yaml", "yolov8n.yaml", "--models-only").exit_code == 0
    assert run("data.yaml", "--models-only", "-q").output == ""


def test_json(wrong: str) -> None:
    result = run(wrong, "yolov8n.yaml", "--json", "--fix")
    assert result.exit_code == 1
    report = json.loads(result.output)
    assert (report["schema"], report["ok"]) == (2, False)
    mine, stock = report["files"]
    assert (mine["file"], mine["stock"], mine["errors"], mine["warnings"]) == (wrong, "yolov8.yaml", 1, 1)
    assert [(f["rule"], f["row"]) for f in mine["findings"]] == [("comment", 13), ("source", 23)]
    lines = Path(wrong).read_text(encoding="utf-8").splitlines()
    assert lines[mine["findings"][0]["line"] - 1].endswith("# 12")
    assert "1, Detect, [nc]" in lines[mine["findings"][1]["line"] - 1]
    nothing_else = {"arg": None, "setting": None, "drop": False}
    assert mine["findings"][1]["corrections"] == [{"row": 23, "slot": 2, "value": 22, **nothing_else}]
    assert mine["diff"].count("\n+ ") == 2
    assert (stock["findings"], stock["diff"]) == ([], "")
    assert json.loads(run("yolov8n.yaml", "--json").output)["ok"] is True


def test_an_alias_is_never_rewritten(wrong: str) -> None:
    """The number stands where the anchor does, and another row means it too."""
    text = variant("yolov8s.yaml", "sppf").replace("[-1, 4]", "&both [-1, 4]").replace("[-1, 6]", "[-1, 6]")
    Path("my.yaml").write_text(text.replace("[-1, 13]", "*both"), encoding="utf-8")
    checked = check_file("my.yaml")
    assert [finding.rule for finding in checked.findings] == ["source"]
    assert corrected_text(checked.document, checked.findings) == checked.document.text


def test_build_adds_what_ultralytics_says(wrong: str) -> None:
    text = variant("yolov8n.yaml", "head:p3")
    Path("my-yolov8n.yaml").write_text(text, encoding="utf-8")
    Path("odd-yolov8n.yaml").write_text(text.replace("SPPF, [1024, 5]", "SPPF, [1024, five]"), encoding="utf-8")
    good, bad = run("my-yolov8n.yaml", "--build"), run("odd-yolov8n.yaml", wrong, "--build")
    assert (good.output, good.exit_code) == ("1 file: no errors found\n", 0)
    assert bad.exit_code == 1
    assert "odd-yolov8n.yaml:1: error[build]: " in bad.output
    assert bad.output.count("error[build]") == 1


#: Breaks two rules, one in a row and one in a comment.
BOTH = """nc: 80
backbone:
  - [-1, 1, Conv, [16, 3, 2]]  # 7
  - [-1, 1, C2F, [32]]  # 1
  - [-1, 1, Conv, [64, 3, 2]]  # 2
head:
  - [[-1], 1, Detect, [nc]]  # 3
"""


def test_rules_are_selected_and_left_out() -> None:
    def found(*words: str) -> set[str]:
        (file,) = json.loads(run(*words, "--json").stdout)["files"]
        return {finding["rule"] for finding in file["findings"]}

    Path("both.yaml").write_text(BOTH, encoding="utf-8")
    assert found("both.yaml") == {"module", "comment"}
    assert found("both.yaml", "--select", "comment,source") == {"comment"}
    assert found("both.yaml", "--ignore", "comment") == {"module"}
    refused = run("both.yaml", "--select", "comment", "--ignore", "comment")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: --select and --ignore leave no rule to apply: drop one of them (see ")
    refused = run("both.yaml", "--select", ",")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: ',' names nothing: give a word, or several with commas between them")
    refused = run("both.yaml", "--ignore", "modul")
    assert refused.exit_code == 2
    assert refused.stderr.startswith(
        "Error: --ignore: no rule 'modul' (did you mean module?): there are row, setting, "
    )
    assert lska_surgeon.check("both.yaml", ignore=["module"]).ok


def test_sarif_tells_rule_file_and_line() -> None:
    """The form was held against the OASIS schema of SARIF 2.1.0."""
    Path("both ways.yaml").write_text(BOTH, encoding="utf-8")
    result = run("both ways.yaml", "nothing.yaml", "--format", "sarif")
    log = json.loads(result.stdout)
    (tool,) = log["runs"]
    assert (log["version"], tool["tool"]["driver"]["name"], result.exit_code) == ("2.1.0", "lska-surgeon", 2)
    assert {rule["id"] for rule in tool["tool"]["driver"]["rules"]} == {rule.code for rule in RULES}
    comment, module, unread = tool["results"]
    place = {"artifactLocation": {"uri": "both%20ways.yaml"}, "region": {"startLine": 4}}
    assert module == {
        "level": "error",
        "message": {"text": "the installed ultralytics knows no block C2F; write C2f"},
        "ruleId": "module",
        "locations": [{"physicalLocation": place}],
    }
    assert (comment["level"], comment["ruleId"]) == ("warning", "comment")
    assert unread["locations"] == [{"physicalLocation": {"artifactLocation": {"uri": "nothing.yaml"}}}]
