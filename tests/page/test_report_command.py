"""`report`: what of a recipe it finds, what it says is missing, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support import shapes
from support.ablations import EIGHT, experiment, latencies, neck_gains, write_recipe
from support.fresh import fresh

import lska_surgeon as ls
from lska_surgeon.ablation.figure import Panels
from lska_surgeon.ablation.outcomes import keep_latencies
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.drawing.plots import COLOURS
from lska_surgeon.errors import SurgeonError
from lska_surgeon.page.content import Page
from lska_surgeon.recipes.variants import Kind

PLAIN = "base: tiny.yaml\nmatrix: {at: [neck, sppf], k: [7, 23]}\nimgsz: 64\n"
SIZES = EIGHT.replace("k: 7", "k: [7, 23]")
NETWORKS = ["tiny.yaml", *(f"variants/tiny-lska-{at}-k{k}.yaml" for at in ("neck", "sppf") for k in (7, 23))]


def recipe_in(folder: Path, text: str = PLAIN) -> Path:
    return write_recipe(folder / "project", text)


def missing(report: Page) -> dict[str, str]:
    return {one.what: one.command for one in report.missing}


def test_a_recipe_that_does_not_train(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    page = ls.report(recipe)
    assert [row.name for row in page.content.networks] == NETWORKS
    assert [row.params_added for row in page.content.networks] == [None, 528, 720, 528, 720]
    assert all("<svg" in (row.drawing or "") for row in page.content.networks)
    assert set(missing(page.content)) == {"costs", "results", "latency", "fields"}
    assert missing(page.content)["costs"] == f"lska-surgeon variants {recipe} --costs"
    assert [(one.model, one.at, len(one.points)) for one in page.content.curves] == [
        ("tiny.yaml", ("neck",), 24),
        ("tiny.yaml", ("sppf",), 24),
    ]
    written = page.write()
    assert written == recipe.with_name("report.html")
    text = written.read_text(encoding="utf-8")
    assert text == page.html
    assert "lska-surgeon templates show ablation" in text
    with pytest.raises(SurgeonError, match="already there"):
        page.write()


def test_costs_are_counted_when_asked_for(tmp_path: Path) -> None:
    report = ls.report(recipe_in(tmp_path), costs=True).content
    assert [row.params for row in report.networks] == [121_548, 122_076, 122_268, 122_076, 122_268]
    assert "costs" not in missing(report)


def test_drawings_are_those_of_draw(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    ls.variants(recipe).write()
    for row in ls.report(recipe).content.networks[1:]:
        base, variant = recipe.with_name("tiny.yaml"), recipe.parent / row.name
        drawn = ls.draw(str(base), str(variant), imgsz=64).svg
        # By path or by name as the recipe has it: the one word that differs.
        assert row.drawing == drawn.replace(str(base), "tiny.yaml")


def test_drawings_have_the_classes_of_the_data_that_are_trained_on(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, EIGHT)
    data = (recipe.parent / "shapes" / "data.yaml").read_text(encoding="utf-8")
    for names, said in (("names: {0: a, 1: b, 2: c, 3: d, 4: e}", "5 classes"), ("nc: 7", "7 classes")):
        own = re.sub(r"(?m)^(names|nc):.*\n(?:[ -].*\n)*", "", data)
        (recipe.parent / "shapes" / "data.yaml").write_text(f"{own}\n{names}\n", encoding="utf-8")
        drawings = [row.drawing or "" for row in ls.report(recipe).content.networks]
        assert [drawing.count(f">{said}<") for drawing in drawings] == [1, 1, 1]


def test_one_network_looks_alike_in_every_plot_and_figure(tmp_path: Path) -> None:
    text = SIZES.replace("at: [neck, sppf]", "at: [sppf, neck]")
    text += "include: [{base: tiny.yaml, edits: C3k2 at neck}]\n"
    text += "labels: {'lska, neck': In the neck, tiny: Tiny, tiny-c3k2-neck: With C3k2}\n"
    recipe = experiment(tmp_path / "project", neck_gains, text)
    page, table = ls.report(recipe), ls.results(recipe)
    wanted = {"lska, sppf": 0, "In the neck": 1, "With C3k2": 2}
    for looks in (page.content.looks, table.looks):
        assert {looks.legend(name): looks.number(name) for name in looks.groups} == wanted
    costs, _ = Panels(table).plots()
    assert {one.name: one.number for one in costs.series} == {"Tiny": 0, **wanted}
    for number, at in enumerate(("sppf", "neck")):
        link = rf'<a href="#n-variants-tiny-lska-{at}-k7-yaml" aria.*\s*<title>.*\s*(?:<g>\s*)?<path.*?var\(--(\w+)'
        assert re.findall(link, page.html) == [f"s{number}"] * 4  # GFLOPs, kernel size, and both curves of costs
    legends = re.findall(r"text-anchor: start[^>]*>([^<]*)</text>", page.html)
    assert [legends.count(name) for name in ("Tiny", *wanted, "lska, neck")] == [2, 2, 4, 0, 0]
    drawn = ls.curves(recipe.with_name("tiny.yaml"), "neck", op=["lka", "lska"], recipe=recipe)
    assert drawn.looks.of_operators(drawn.model, drawn.at, ["lka", "lska"]) == {
        "lka": (3, "lka"),
        "lska": (1, "In the neck"),
    }
    drawn.write(tmp_path / "curves.svg")
    svg = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert svg.count(">In the neck<") == 1
    assert (COLOURS[1] in svg, COLOURS[0] in svg) == (True, False)


def test_results_of_an_ablation_with_their_spread(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "project", neck_gains, SIZES)
    report, table = ls.report(recipe).content, ls.results(recipe, costs=False)
    assert (report.results.metric, report.data) == ("mAP50-95", ["shapes"])
    assert list(report.results.networks) == [row.name for row in report.networks] == NETWORKS
    for row, found in zip(report.networks, table.rows):
        assert row.scores["shapes"] == found.metrics["mAP50-95"]
    assert list(report.results.notes) == list(table.notes)
    assert report.networks[1].kind == Kind("tiny.yaml", ("neck",), "lska", 7)
    page = ls.report(recipe).html
    assert page.count('class="bar"') == 2 * 5  # against GFLOPs more than the base, and against kernel size
    assert "added GFLOPs</text>" in page


def test_latency_where_it_was_measured(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "project", neck_gains, SIZES)
    assert missing(ls.report(recipe).content)["latency"] == f"lska-surgeon latency --recipe {recipe}"
    ablation = plan_ablation(recipe)
    keep_latencies(ablation, [latencies(ablation, "torch", 1), latencies(ablation, "openvino", 2)])
    report = ls.report(recipe).content
    assert [row.latency["torch"] for row in report.networks] == pytest.approx([0.010, 0.011, 0.012, 0.013, 0.014])
    assert [row.latency["openvino"] for row in report.networks] == pytest.approx([0.005, 0.0055, 0.006, 0.0065, 0.007])
    assert [note.partition(", 1 thread")[0] for note in report.measured] == [
        "ms torch: median for one image, a <GPU>",
        "ms openvino: median for one image, a <GPU>",
    ]
    assert "latency" not in missing(report)
    page = ls.report(recipe).html
    assert "a &lt;GPU&gt;" in page
    assert "Accuracy against latency" in page
    assert "latency, ms (torch)" in page
    assert "latency, ms (openvino)" in page
    ls.results(recipe).write(tmp_path / "times.svg")
    figure = (tmp_path / "times.svg").read_text(encoding="utf-8")
    assert "ms for one image in torch" in figure
    assert "ms for one image in openvino" in figure
    assert {"ms torch", "ms openvino"} <= {*ls.results(recipe).table().header}
    (ablation.folder / "latency.json").write_text("{", encoding="utf-8")
    (damaged,) = [one for one in ls.report(recipe).content.missing if one.what == "latency"]
    assert "latency.json" in damaged.reason


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda project: None, "none of 40 runs is done yet"),
        (lambda project: shutil.rmtree(project / "shapes"), "no file"),
    ],
)
def test_without_trainings_it_says_why(spoil: object, reason: str, tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path, SIZES)
    spoil(recipe.parent)  # type: ignore[operator]
    page = ls.report(recipe)
    assert set(missing(page.content)) == {"costs", "results", "latency", "fields"}
    (results,) = [one for one in page.content.missing if one.what == "results"]
    assert reason in results.reason
    assert results.command == f"lska-surgeon ablate {recipe}"
    assert page.content.results is None
    assert reason in page.html


def test_receptive_fields_of_what_was_trained(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "project", neck_gains, SIZES)
    assert missing(ls.report(recipe).content)["fields"] == f"lska-surgeon ablate {recipe}"
    checkpoint = shapes.write_checkpoint(tmp_path)
    trained = {"tiny": checkpoint, "tiny-lska-neck-k7": shapes.graft(checkpoint, "neck")}
    for cell in plan_ablation(recipe).runs:
        if cell.network.name in trained and cell.seed > 0:
            (cell.folder / "weights").mkdir()
            shutil.copyfile(trained[cell.network.name], cell.folder / "weights" / "best.pt")
    assert missing(ls.report(recipe).content)["fields"] == f"lska-surgeon report {recipe} --images FOLDER"
    images = recipe.parent / "shapes" / "images" / "train"
    report = ls.report(recipe, images=images).content
    assert [(one.network, one.at) for one in report.fields] == [
        (name, at) for name in ("tiny.yaml", "variants/tiny-lska-neck-k7.yaml") for at in ("p2", "p3")
    ]
    assert report.seen == "4 × 64×64, seed 1"
    measured = ls.erf(checkpoint, images=images, imgsz=64)
    for one, field in zip(report.fields, measured.fields):
        squares = {share: field.square(share) for share in one.areas}
        assert one.areas == {share: square.area if square else None for share, square in squares.items()}
        assert one.url.startswith("data:image/png;base64,")
    assert ls.report(recipe, images=images).html.count("<img ") == 4


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (PLAIN, ["--images", "shapes/images/train"], "does not train, so no trained network is there"),
        (SIZES, ["--images", "shapes/images/train"], "no trained network here to look through images with"),
        (PLAIN, ["-o", "report.txt"], "report.txt"),
        (PLAIN, ["--language", "fr"], "fr"),
    ],
)
def test_errors_are_told_and_nothing_is_written(
    text: str, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_in(tmp_path, text)
    monkeypatch.chdir(recipe.parent)
    result = shapes.surgeon("report", "recipe.yaml", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(recipe.parent.glob("*.html"))


def test_a_base_that_does_not_build_is_told_by_its_name_alone() -> None:
    rows = "backbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, NoSuchBlock, [8]]\nhead:\n  - [[1], 1, Detect, [nc]]\n"
    Path("unknown.yaml").write_text(f"nc: 2\n{rows}", encoding="utf-8")
    Path("recipe.yaml").write_text("base: unknown.yaml\nmatrix: {at: ['after:0'], k: [7]}\n", encoding="utf-8")
    result = shapes.surgeon("report", "recipe.yaml", "--costs")
    assert result.exit_code == 2
    assert "base: unknown.yaml does not build: layer 1 (NoSuchBlock)" in result.stderr


def test_the_larger_scale_stands_there_too(tmp_path: Path) -> None:
    text = SIZES.replace("base: tiny.yaml", "base: yolov8n.yaml").replace("controls: base", "controls: [base, larger]")
    recipe = experiment(tmp_path / "project", neck_gains, text)
    report = ls.report(recipe).content
    larger = report.networks[-1]
    assert (larger.name, larger.base, larger.edits) == ("yolov8s", "yolov8n.yaml", "")
    assert larger.scores["shapes"].n == 8
    assert "the next larger scale" in ls.report(recipe).html


class _Told(HTMLParser):
    """What a page tells: its texts but for code, and for what is there to be copied."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"code", "pre", "script", "style"} & set(self.open):
            self.texts.append(data)


def test_a_chinese_page_has_no_english_sentence(tmp_path: Path) -> None:
    """Of an ablation that has something of everything to say."""

    def score(name: str, seed: int) -> list[float]:
        return [] if seed == 7 else [0.3 + 0.001 * (seed > 0) + (0.02 if "neck" in name else 0)]

    text = f"{SIZES}latency: {{runtimes: [torch, onnx]}}\n"
    recipe = experiment(tmp_path / "project", score, text, notes={"early stop": "stopped after 1 of 3 epochs"})
    ablation = plan_ablation(recipe)
    keep_latencies(ablation, [latencies(ablation, "torch", 1)])
    checkpoint = shapes.write_checkpoint(tmp_path)
    weights = ablation.runs[0].folder / "weights"
    weights.mkdir()
    shutil.copyfile(checkpoint, weights / "best.pt")
    images = recipe.parent / "shapes" / "images" / "train"
    page = ls.report(recipe, images=images, language="zh").html
    for text in (page, ls.report(recipe_in(tmp_path / "plain"), language="zh").html):
        assert [told for told in _Told(text).texts if re.search(r"(?:\b[a-z]{2,}\b[ ,:;(]+){2}[a-z]{2,}", told)] == []
    for said in (
        "种子 0, 1, 2, 3, 4, 5, 6",
        "算子不起作用",
        "5 个等待中",
        "还没有在 onnx 里测过延迟",
        "单张图片延迟的中位数",
    ):
        assert said in page


def test_a_command_and_its_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = experiment(tmp_path / "project", neck_gains, SIZES)
    monkeypatch.chdir(recipe.parent)
    result = shapes.surgeon("report", "recipe.yaml", "--language", "zh", "-o", "report.html")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "Wrote report.html: 5 networks of recipe.yaml; not there: costs of whole networks, latency, receptive fields\n"
    )
    assert re.search(r'<html lang="zh-CN">', Path("report.html").read_text(encoding="utf-8"))
    found = json.loads(shapes.surgeon("report", "recipe.yaml", "-o", "other.html", "--json").stdout)
    assert [one["name"] for one in found["networks"]] == NETWORKS
    assert found["results"] == "mAP50-95"
    assert [one["what"] for one in found["missing"]] == ["costs of whole networks", "latency", "receptive fields"]


def test_without_costs_and_images_it_needs_no_torch(tmp_path: Path) -> None:
    recipes = [str(recipe_in(tmp_path / name, text)) for name, text in (("plain", PLAIN), ("train", SIZES))]
    pages = f"import sys, lska_surgeon as ls; pages = [ls.report(recipe).html for recipe in {recipes}]; "
    assert fresh(f"{pages}print({{'torch', 'ultralytics'}} & {{*sys.modules}})") == "set()\n"
