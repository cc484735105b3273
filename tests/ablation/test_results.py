"""The table: what it counts, compares, marks and refuses, and every format that it is written in."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.ablations import EIGHT, RECIPE, experiment, neck_gains, pretend, spread
from support.shapes import surgeon, write_checkpoint

import lska_surgeon as ls
from lska_surgeon.ablation.cells import plan_ablation
from lska_surgeon.errors import AblationError, TargetError
from lska_surgeon.tables import tex


def test_a_gain_is_told_from_what_is_not_shown(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains), costs=False)
    base, neck, sppf = found.rows
    assert (base.role, base.comparison, base.verdict) == ("base", None, "")
    assert neck.comparison is not None
    assert (neck.comparison.n, neck.comparison.p, neck.comparison.p_holm) == (8, 2 / 256, 4 / 256)
    assert neck.comparison.mean == pytest.approx(0.02 + 0.0007 * 3.5)
    assert (neck.verdict, sppf.verdict) == ("gain", "not shown")
    assert neck.best == ("mAP50", "mAP50-95")
    assert base.metrics["mAP50-95"].n == 8


def test_three_seeds_are_not_enough_and_that_is_said(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains, RECIPE), costs=False)
    assert {row.verdict for row in found.rows[1:]} == {"too few seeds"}
    assert "with 3 seeds no p below 0.25 exists: not enough seeds to show anything at 5%, for 2 comparisons" in str(
        found
    )
    assert "so few seeds resolve no difference, however large" in str(found)
    assert not any(row.best for row in found.rows)


def test_how_many_seeds_a_question_needs(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains), costs=False, resolve=0.0005)
    told = next(note for note in found.notes if note.startswith("to show a true difference of 0.0005"))
    assert re.search(r"with 80% power takes \d+ seeds, \d+ as one of 2$", told)
    assert any("the smallest true difference that 8 seeds show in 80% of experiments is 0.00" in x for x in found.notes)


def test_unfinished_cells_are_counted_and_pairs_need_both(tmp_path: Path) -> None:
    def score(name: str, seed: int) -> list[float]:
        return [] if ("neck" in name and seed == 3) or ("neck" not in name and seed == 5) else neck_gains(name, seed)

    found = ls.results(experiment(tmp_path / "a", score), costs=False)
    neck = found.rows[1]
    assert neck.comparison is not None
    assert (len(neck.values), neck.comparison.n, dict(neck.unfinished)) == (7, 6, {"waiting": 1})
    assert "3 of 24 cells are not in these numbers: 3 waiting" in found.notes
    assert "7 of 8" in str(found)


def test_nothing_done_yet(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", lambda name, seed: [])
    with pytest.raises(AblationError, match=r"recipe\.yaml: none of 24 cells is done yet"):
        ls.results(recipe)


def test_the_best_epoch_counts_unless_the_last_is_asked_for(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", lambda name, seed: [0.1, 0.4, 0.3], RECIPE)
    assert ls.results(recipe, costs=False).rows[0].values == {0: 0.4, 1: 0.4, 2: 0.4}
    assert ls.results(recipe, costs=False, epoch="last").rows[0].values == {0: 0.3, 1: 0.3, 2: 0.3}


def test_equal_results_of_different_seeds_are_noticed(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", lambda name, seed: [0.4], RECIPE), costs=False)
    assert "tiny: equal results with seeds 0, 1, 2 (seeds 0, 1, 2)" in found.notes


def test_a_value_that_is_no_number_is_null_in_json(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", lambda name, seed: [float("nan") if seed == 1 else 0.4 + 0.01 * seed], RECIPE)
    text = surgeon("results", recipe, "--json").output
    data = json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert [run["metrics"]["mAP50-95"] for run in data["runs"] if run["seed"] == 1] == [None] * 3
    assert data["rows"][1]["comparison"]["n"] == 2


def test_what_was_not_asked_for_is_left_out_and_said(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains, RECIPE)
    folder = plan_ablation(recipe).cells[1].folder
    record = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
    record["notes"] = {"other network": "what was trained is not x.yaml: row 3 is Conv"}
    (folder / "cell.json").write_text(json.dumps(record), encoding="utf-8")
    found = ls.results(recipe, costs=False)
    assert dict(found.rows[1].unfinished) == {"left out": 1}
    assert "tiny-lska-neck-k7: what was trained is not x.yaml: row 3 is Conv (seed 0)" in found.notes


def test_a_variant_that_plain_scaling_beats_is_marked(tmp_path: Path) -> None:
    text = "base: yolov8n.yaml\nmatrix: {at: neck, k: [7, 53]}\ntrain: {data: shapes/data.yaml}\ncontrols: larger\n"
    gains = {"yolov8n": 0.0, "yolov8s": 0.2, "yolov8n-lska-neck-k7": 0.1, "yolov8n-lska-neck-k53": 0.0001}
    recipe = experiment(tmp_path / "a", lambda name, seed: [spread(seed) + gains[name]], text)
    rows = {row.network: row for row in ls.results(recipe).rows}
    assert rows["yolov8s"].role == "larger"
    assert rows["yolov8n"].costs.gflops == pytest.approx(8.7, abs=0.15)
    assert rows["yolov8n-lska-neck-k7"].beaten is None
    assert rows["yolov8n-lska-neck-k53"].beaten is not None
    assert "below plain scaling" in str(ls.results(recipe))


@pytest.mark.parametrize(
    ("gate", "drop", "code"),
    [
        ("mAP50-95 >= base", 0.02, 1),
        ("mAP50-95 >= base", -0.02, 0),
        ("mAP50-95 >= base - 0.03", 0.02, 0),
        ("mAP50-95 >= base-0.005", 0.02, 1),
    ],
)
def test_the_gate_closes_on_what_is_distinguishably_worse(gate: str, drop: float, code: int, tmp_path: Path) -> None:
    def score(name: str, seed: int) -> list[float]:
        return [spread(seed) - (drop + 0.0001 * seed if "neck" in name else 0)]

    result = surgeon("results", experiment(tmp_path / "a", score), "--gate", gate)
    assert result.exit_code == code, result.output
    assert ("Gate: tiny-lska-neck-k7 on shapes: mAP50-95 is -0.02" in result.output) == bool(code)


def test_the_gate_lets_pass_what_is_lower_and_not_distinguishable(tmp_path: Path) -> None:
    def score(name: str, seed: int) -> list[float]:
        return [spread(seed) + ([-0.02, 0.012][seed % 2] if "neck" in name else 0)]

    recipe = experiment(tmp_path / "a", score)
    neck = ls.results(recipe, costs=False).rows[1]
    assert neck.comparison is not None
    assert neck.comparison.mean < -0.003
    assert surgeon("results", recipe, "--gate", "mAP50-95 >= base").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gate", "good"], "can't read the gate 'good': write METRIC >= base"),
        (["--gate", "mAP50 >= base"], "the gate asks for mAP50, and mAP50-95 is compared: add --metric mAP50"),
        (["--metric", "mAP5"], "no metric 'mAP5' (did you mean mAP50?): there are mAP50, mAP50-95"),
        (["--base", "x"], "the bases stand in the recipe"),
        (["--plot", "x.txt"], "--plot x.txt does not end in .png, .svg, .pdf"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    result = surgeon("results", experiment(tmp_path / "a", neck_gains, RECIPE), *words)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def test_every_format_says_the_same(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains)
    for form, ending in (("md", "md"), ("latex", "tex"), ("html", "html"), ("csv", "csv"), ("json", "json")):
        text = surgeon("results", recipe, "--format", form).output
        ls.results(recipe).write(tmp_path / f"x.{ending}")
        assert (tmp_path / f"x.{ending}").read_text(encoding="utf-8") == text
        assert "tiny-lska-neck-k7" in text
    markdown = (tmp_path / "x.md").read_text(encoding="utf-8")
    assert "| tiny (base) | 121,548 |" in markdown
    assert re.search(r"\| tiny-lska-neck-k7 .*\*\*0.52\d\d ± 0.00\d\d\*\* .* gain \|", markdown)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 24
    assert float(rows[1]["mAP50-95"]) == pytest.approx(neck_gains("neck", 0)[0])
    data = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert (data["schema"], len(data["rows"]), len(data["runs"])) == (1, 3, 24)
    with pytest.raises(TargetError, match="has no ending that says what to write"):
        ls.results(recipe).write(tmp_path / "x.doc")


def test_latex_is_whole(tmp_path: Path) -> None:
    text = surgeon("results", experiment(tmp_path / "a_b", neck_gains), "--format", "latex").output
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    assert (lines[0], lines[-1]) == ("\\begin{tabular}{lrrrrrrrrrl}", "\\end{tabular}")
    columns = len(re.search(r"\{([lr]+)\}$", lines[0])[1])  # type: ignore[index]
    body = [line for line in lines if line.endswith(r"\\")]
    assert {len(re.split(r"(?<!\\)&", line)) for line in body} == {columns}
    assert "\\textbf{0.5" in text
    assert all(char not in re.sub(r"\\[%&#_$]", "", "".join(body)).replace("$", "") for char in "%#_")
    assert tex("50%_a&b") == r"50\%\_a\&b"
    assert tex("-0.5") == "$-0.5$"


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_figure_is_the_same_bytes_each_time(ending: str, tmp_path: Path) -> None:
    text = EIGHT.replace("k: 7", "k: [7, 11, 23]")
    found = ls.results(experiment(tmp_path / "a", neck_gains, text))
    one, two = (found.write(tmp_path / f"{name}.{ending}").read_bytes() for name in "ab")
    assert one == two
    assert len(one) > 5000
    if ending == "svg":
        drawn = one.decode()
        for words in ("GFLOPs", "kernel size", "tiny-lska-neck", "mean ± s.d. of 8 seeds"):
            assert words in drawn


# Plain runs.


def plain(folder: Path, model: str, seed: int, values: Sequence[float], epochs: int = 1) -> Path:
    folder.mkdir(parents=True)
    (folder / "args.yaml").write_text(
        f"task: detect\nmode: train\nmodel: {model}\ndata: shapes/data.yaml\nepochs: {epochs}\nseed: {seed}\n",
        encoding="utf-8",
    )
    pretend(folder, {}, [{"metrics/mAP50-95(B)": value} for value in values])
    return folder


def test_plain_runs_are_grouped_by_model_and_seed(tmp_path: Path) -> None:
    for seed in range(6):
        plain(tmp_path / f"train{seed}", "yolov8s.yaml", seed, [spread(seed)])
        plain(tmp_path / f"lska{seed}", "yolov8s-lska-neck-k7.pt", seed, [spread(seed) + 0.01 + 0.0001 * seed])
    found = ls.results(tmp_path)
    assert [(row.network, row.role, row.base, len(row.values)) for row in found.rows] == [
        ("yolov8s", "base", "yolov8s", 6),
        ("yolov8s-lska-neck-k7", "variant", "yolov8s", 6),
    ]
    assert found.rows[1].verdict == "gain"
    assert ls.results(tmp_path, base="yolov8s-lska-neck-k7").rows[0].verdict == "loss"
    with pytest.raises(AblationError, match="no run of x there: there are yolov8s"):
        ls.results(tmp_path, base="x")


def test_a_run_that_trained_another_network_than_args_yaml_names_is_found(tmp_path: Path) -> None:
    """`YOLO("a.pt").train(model="b.yaml")` trains a and writes b."""
    checkpoint = write_checkpoint(tmp_path)
    surgeon("insert", tmp_path / "tiny.yaml", "--at", "sppf", "--k", "7", "-o", tmp_path / "b.yaml")
    for name, model in (("right", "tiny.yaml"), ("wrong", "b.yaml")):
        run = plain(tmp_path / "runs" / name, str(tmp_path / model), 0, [0.5])
        (run / "weights").mkdir()
        (run / "weights" / "best.pt").write_bytes(checkpoint.read_bytes())
    notes = ls.results(tmp_path / "runs").notes
    (found,) = [note for note in notes if "args.yaml names" in note]
    assert found.startswith("b: args.yaml names ")
    assert "row 6 is Upsample where LSKA was asked for" in found


def test_a_run_that_is_not_done_is_counted(tmp_path: Path) -> None:
    plain(tmp_path / "a", "a.yaml", 0, [0.5], epochs=1)
    plain(tmp_path / "b", "a.yaml", 1, [0.5], epochs=9)
    assert dict(ls.results(tmp_path).rows[0].unfinished) == {"running": 1}


def test_no_runs_there(tmp_path: Path) -> None:
    with pytest.raises(AblationError, match=r"no run with args\.yaml and results\.csv in "):
        ls.results(tmp_path)
