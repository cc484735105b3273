"""The table: what it counts, compares, marks and refuses, and every format that it is written in."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from support.ablations import EIGHT, RECIPE, experiment, neck_gains, pretend, spread, write_recipe
from support.shapes import graft, surgeon, write_checkpoint

import lska_surgeon as ls
from lska_surgeon.ablation.figure import Panels, drawn
from lska_surgeon.ablation.outcomes import KnownCosts
from lska_surgeon.ablation.records import read_record, write_record
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.drawing.plots import COLOURS, LINES, MARKERS, plotting
from lska_surgeon.errors import AblationError, TargetError
from lska_surgeon.reports import render


def test_a_gain_is_told_from_what_is_not_shown(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains), costs=False)
    base, neck, sppf = found.rows
    assert (base.role, base.comparison, base.verdict) == ("base", None, "")
    assert (neck.comparison.n, neck.comparison.p, neck.comparison.p_adjusted) == (8, 2 / 256, 4 / 256)
    assert neck.comparison.mean == pytest.approx(0.02 + 0.0007 * 3.5)
    assert (neck.verdict, sppf.verdict) == ("gain", "not significant")
    assert neck.best == ("mAP50", "mAP50-95")
    assert base.metrics["mAP50-95"].n == 8


def test_three_seeds_are_not_enough_and_that_is_said(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains, RECIPE), costs=False)
    assert {row.verdict for row in found.rows[1:]} == {"too few seeds"}
    assert "with 3 seeds no p below 0.25 exists: no difference can be significant at 5%, which takes 6 seeds" in str(
        found
    )
    assert "so few seeds resolve no difference, however large" in str(found)
    assert not any(row.best for row in found.rows)


Epochs = Callable[[str, int], tuple[float, float]]


def trained(folder: Path, came_to: Epochs, text: str = RECIPE) -> Path:
    """A recipe whose runs came to a loss and an mAP50-95."""
    recipe = write_recipe(folder, text)
    for run in plan_ablation(recipe).runs:
        loss, value = came_to(run.network.name, run.seed)
        record = run.record().but(state="done")
        pretend(run.folder, record, [{"train/box_loss": loss, "metrics/mAP50-95(B)": value}])
    return recipe


def own_loss(name: str, seed: int) -> float:
    return 1 + 0.1 * seed + 0.01 * len(name)


@pytest.mark.parametrize("text", [RECIPE, EIGHT])
def test_runs_that_learned_nothing_are_called_that(text: str, tmp_path: Path) -> None:
    recipe = trained(tmp_path / "a", lambda name, seed: (own_loss(name, seed), 0.0001 * ((len(name) + seed) % 3)), text)
    found = ls.results(recipe, costs=False)
    assert [row.verdict for row in found.rows] == ["", "nothing learned", "nothing learned"]
    note, size = found.notes
    assert size == "GFLOPs are at 64x64 pixels"
    assert note.startswith("nothing was learned: mAP50-95 is 0.000 in every run, so that nothing is compared; look at")
    for form in ("table", "md", "latex", "html"):
        said = surgeon("results", recipe, "--format", form).output
        assert "nothing learned" in said
        assert "seeds to show" not in said
        assert "too few seeds" not in said
    gate = surgeon("results", recipe, "--gate", "mAP50-95 >= base")
    assert gate.exit_code == 0
    assert "tiny-lska-neck-k7: nothing learned, so that it can't be worse" in gate.stderr


def test_a_variant_that_alone_learned_nothing_is_compared(tmp_path: Path) -> None:
    recipe = trained(tmp_path / "a", lambda name, seed: (own_loss(name, seed), 0.0 if "neck" in name else 0.3), EIGHT)
    assert [row.verdict for row in ls.results(recipe, costs=False).rows] == ["", "loss", "not significant"]
    recipe = trained(tmp_path / "b", lambda name, seed: (own_loss(name, seed), 0.3 if "neck" in name else 0.0), EIGHT)
    found = ls.results(recipe, costs=False)
    assert [row.verdict for row in found.rows] == ["", "gain", "nothing learned"]
    assert any(
        note.startswith("nothing was learned: mAP50-95 is 0.000 in tiny-lska-sppf-k7 and") for note in found.notes
    )


def test_an_operator_that_changes_nothing_is_called_that(tmp_path: Path) -> None:
    def came_to(name: str, seed: int) -> tuple[float, float]:
        return (own_loss("" if "neck" in name else "sppf" if "sppf" in name and seed else "", seed), spread(seed))

    found = ls.results(trained(tmp_path / "a", came_to), costs=False)
    assert [row.verdict for row in found.rows] == ["", "does nothing", "too few seeds"]
    equal = "equal to tiny in every digit of every epoch (seed"
    told = "the operator does nothing, or the base was trained in its place"
    assert f"tiny-lska-neck-k7: {equal}s 0, 1, 2): {told}" in found.notes
    assert f"tiny-lska-sppf-k7: {equal} 0)" in found.notes


def test_several_data_sets_answer_together(tmp_path: Path) -> None:
    """Each in its own scale: one with ten times the spread has no more to say than another."""
    text = EIGHT.replace("data: shapes/data.yaml", "data: [shapes/data.yaml, other.yaml]")
    recipe = write_recipe(tmp_path / "b", text.replace("k: 7", "k: [7, 23]"))
    (tmp_path / "b" / "other.yaml").write_text("path: shapes\ntrain: images/train\nval: images/val\nnames: [a, b]\n")
    for run in plan_ablation(recipe).runs:
        name, seed, scale = run.network.name, run.seed, 0.1 if run.data == "other" else 0.01
        chance = float(np.random.default_rng([seed, len(run.data), len(name), "sppf" in name]).normal())
        gain = 3 if name == "tiny-lska-neck-k7" else 3 * (run.data == "other") - 3 * (run.data != "other")
        value = 0.5 + scale * (chance + gain * ("neck" in name))
        pretend(run.folder, run.record().but(state="done"), [{"metrics/mAP50-95(B)": value}])
    found = ls.results(recipe, costs=False)
    assert {name: one.verdict for name, one in found.pooled.items()} == {
        "tiny-lska-neck-k7": "gain",
        "tiny-lska-neck-k23": "not significant",
        "tiny-lska-sppf-k7": "not significant",
        "tiny-lska-sppf-k23": "not significant",
    }
    assert found.pooled["tiny-lska-neck-k7"].n == 16
    assert found.notes[0].startswith(
        "on all data together, each scaled by its own spread: tiny-lska-neck-k7 gain (p 0.000, 16 pairs); "
    )
    assert "tiny-lska-neck-k23: a gain on other alone, which all data together do not show" in found.notes
    assert "tiny-lska-neck-k23: a loss on shapes alone, which all data together do not show" in found.notes
    assert json.loads(render(found.report(), "json"))["pooled"]["tiny-lska-neck-k7"]["n"] == 16


def test_how_many_seeds_a_question_needs(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains), costs=False, effect=0.0005)
    told = next(note for note in found.notes if note.startswith("to detect a true difference of 0.0005"))
    assert re.search(r"with 80% power takes \d+ seeds, about \d+ as one of 2$", told)
    assert any(
        "the smallest true difference that 8 seeds detect in 80% of experiments is 0.00" in x for x in found.notes
    )


@pytest.mark.parametrize(
    ("metrics", "chosen", "shown"),
    [
        (["accuracy_top1", "accuracy_top5"], "top1", "top1 top5"),
        (
            ["precision(B)", "recall(B)", "mAP50(B)", "mAP50-95(B)", "mAP50(P)", "mAP50-95(P)"],
            "mAP50-95(P)",
            "mAP50(P) mAP50-95(P) mAP50(B) mAP50-95(B) precision(B) recall(B)",
        ),
        (["mAP50-95(B)", "mAP50-95(M)"], "mAP50-95(M)", "mAP50-95(M) mAP50-95(B)"),
        (["precision(B)", "recall(B)", "mAP50(B)", "mAP50-95(B)"], "mAP50-95", "mAP50 mAP50-95 precision recall"),
    ],
)
def test_each_task_has_its_own_metrics(metrics: list[str], chosen: str, shown: str, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a", RECIPE)
    for run in plan_ablation(recipe).runs:
        values = {f"metrics/{name}": spread(run.seed) + 0.01 * number for number, name in enumerate(metrics)}
        pretend(run.folder, run.record().but(state="done"), [values])
    found = ls.results(recipe)
    assert (found.metric, found.names) == (chosen, tuple(shown.split()))
    assert all(row.metrics[name].n == 3 for row in found.rows for name in found.names)


def test_what_best_pt_was_measured_by_is_compared_and_shown_when_asked(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains)
    older, *runs = plan_ablation(recipe).runs
    for run in runs:
        small = 2 * spread(run.seed) + 0.1 * ("neck" in run.network.name)
        record = read_record(run.folder).but(measured={"AP-small(B)": small, "AP:traffic light(B)": 0.5})
        write_record(run.folder, record)
    whole = ls.results(recipe, costs=False, columns="network,mAP50-95,AP-small,AP:traffic light")
    assert whole.table().header == ["network", "mAP50-95", "AP-small", "AP:traffic light"]
    assert "AP-small" not in ls.results(recipe, costs=False).table().header
    words = ("results", recipe, "--columns", "network=Network,AP-small=small_,p", "--format", "latex")
    assert "\nNetwork & small\\_ & $p$ \\\\\n" in surgeon(*words).output
    found = ls.results(recipe, costs=False, metric="AP-small")
    assert (found.rows[1].comparison.mean, found.rows[1].verdict) == (pytest.approx(0.1), "gain")
    assert found.rows[0].unfinished == {"not measured": 1}
    assert "AP-small is not measured in 1 run; if older: to train one anew, move its folder aside and call ablate" in (
        found.notes
    )
    assert found.worse("AP-small >= base") == []
    assert ls.results(recipe, costs=False, metric="AP:traffic light").worse("AP:traffic light >= base - 0.1") == []
    said = surgeon("results", recipe, "--metric", "AP-smal", "--epoch", "last").output
    assert "no metric 'AP-smal'" in said
    assert "are of best.pt (not with --epoch last)" in said
    assert older.seed == 0


def test_unfinished_runs_are_counted_and_pairs_need_both(tmp_path: Path) -> None:
    def score(name: str, seed: int) -> list[float]:
        return [] if ("neck" in name and seed == 3) or ("neck" not in name and seed == 5) else neck_gains(name, seed)

    found = ls.results(experiment(tmp_path / "a", score), costs=False)
    neck = found.rows[1]
    assert (len(neck.values), neck.comparison.n, dict(neck.unfinished)) == (7, 6, {"waiting": 1})
    assert "3 of 24 runs are not in these numbers: 3 waiting" in found.notes
    assert "7 of 8" in str(found)


def test_the_best_epoch_counts_unless_the_last_is_asked_for(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", lambda name, seed: [0.1 + seed, 0.4 + seed, 0.3 + seed], RECIPE)
    assert ls.results(recipe, costs=False).rows[0].values == {0: 0.4, 1: 1.4, 2: 2.4}
    assert ls.results(recipe, costs=False, epoch="last").rows[0].values == {0: 0.3, 1: 1.3, 2: 2.3}


def test_equal_results_of_different_seeds_stand_in_the_table_and_count_as_one(tmp_path: Path) -> None:
    """Eight times the same training is no evidence of eight seeds."""
    recipe = experiment(tmp_path / "a", lambda name, seed: [0.41 if "neck" in name else 0.4 + 0.001 * (seed // 2)])
    found = ls.results(recipe, costs=False)
    base, neck, _ = found.rows
    assert (list(base.values), base.unfinished) == ([0, 2, 4, 6], {"equal to another seed": 4})
    assert (list(neck.values), neck.warnings) == ([0], {"equal seeds": 8})
    assert neck.verdict == "too few seeds"
    assert "tiny: seeds 2, 3 came to equal results, and count as one" in found.notes
    for form in ("table", "md", "latex", "html"):
        text = surgeon("results", recipe, "--format", form).output
        assert "warnings" in text
        assert "equal seeds 8" in text
    assert "equal seeds" in next(
        line for line in str(ls.ablate(recipe, dry_run=True)).splitlines() if line.startswith("tiny-lska-neck")
    )
    assert f"Note: {neck.network}: {neck.notes[0]}" in surgeon("ablate", recipe, "--devices", "cpu").output


def test_a_value_that_is_no_number_is_null_in_json(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", lambda name, seed: [float("nan") if seed == 1 else 0.4 + 0.01 * seed], RECIPE)
    text = surgeon("results", recipe, "--json").output
    data = json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert [run["metrics"]["mAP50-95"] for run in data["runs"] if run["seed"] == 1] == [None] * 3
    assert data["rows"][1]["comparison"]["n"] == 2
    assert data["rows"][1]["metrics"]["mAP50-95"] == {
        "mean": pytest.approx(0.41),
        "sd": pytest.approx(0.02**0.5 / 10),
        "n": 2,
    }
    assert data["rows"][1]["unfinished"] == {"not a number": 1}
    assert not any(row["best"] for row in data["rows"])
    assert "3 of 9 runs are not in these numbers: 3 not a number" in data["notes"]


def test_what_was_not_asked_for_is_left_out_and_said(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains, RECIPE)
    folder = plan_ablation(recipe).runs[1].folder
    record = read_record(folder)
    write_record(folder, record.but(notes={"other network": "what was trained is not x.yaml: row 3 is Conv"}))
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
    assert rows["yolov8n-lska-neck-k7"].dominated is None
    dominated = rows["yolov8n-lska-neck-k53"].dominated
    assert re.fullmatch(r"plain scaling gives 0.5\d* at its GFLOPs, and it 0.5\d* \(p 0.25\)", dominated or "")
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
    assert neck.comparison.mean < -0.003
    assert surgeon("results", recipe, "--gate", "mAP50-95 >= base").exit_code == 0


def test_a_gate_that_can_not_close_says_so(tmp_path: Path) -> None:
    def score(name: str, seed: int) -> list[float]:
        return [] if "sppf" in name else [spread(seed) - ("neck" in name) * 0.3]

    result = surgeon("results", experiment(tmp_path / "a", score, RECIPE), "--gate", "mAP50-95 >= base")
    assert result.exit_code == 0
    unseen, few = (line for line in result.output.splitlines() if line.startswith("Note: the gate lets pass what it"))
    assert unseen.endswith("no seed of base and variant is done: tiny-lska-sppf-k7")
    assert few.endswith("with 3 seeds nothing is distinguishably worse, however bad: it takes 6 seeds")
    result = surgeon("results", experiment(tmp_path / "b", neck_gains), "--gate", "mAP50-95 >= base")
    assert "the gate lets pass" not in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gate", f"mAP50-95 >= base - {'9' * 400}"], "can't read the gate 'mAP50-95 >= base - 999"),
        (
            ["--gate", "good"],
            ": write METRIC >= base, such as 'mAP50-95 >= base', or with a margin, 'mAP50-95 >= base - 0.005'",
        ),
        (["--gate", "mAP50 >= base"], "the gate asks for mAP50, and mAP50-95 is compared: add --metric mAP50"),
        (["--metric", "mAP5"], "no metric 'mAP5' (did you mean mAP50?): there are mAP50, mAP50-95"),
        (["--base", "x"], "the bases stand in the recipe"),
        (["--columns", "network,map"], "no column 'map'"),
        (["--columns", "network,p,network"], "the columns name 'network' twice: name it once"),
        (
            ["--columns", "p", "--format", "csv"],
            "--columns is for what shows a table, and --format csv has all: drop one",
        ),
        (["--plot", "x.txt"], "x.txt "),
        (["--plot", "old.png"], "old.png is already there: choose another name"),
    ],
)
def test_errors_are_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "old.png").touch()
    result = surgeon("results", experiment(tmp_path / "a", neck_gains, RECIPE), *words)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def test_every_format_says_the_same(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains)
    for form, ending in (("md", "md"), ("latex", "tex"), ("html", "html"), ("csv", "csv"), ("json", "json")):
        text = surgeon("results", recipe, "--format", form).stdout
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
    assert (data["schema"], len(data["rows"]), len(data["runs"])) == (4, 3, 24)
    with pytest.raises(TargetError, match="has no ending that says what to write"):
        ls.results(recipe).write(tmp_path / "x.doc")


def test_a_terminal_of_80_columns_has_room_for_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(name: str, seed: int) -> list[float]:
        return [spread(seed) + gains.get(name, 0.001 * seed)]

    gains = {"yolov8n": 0.0, "yolov8s": 0.02}
    text = "base: yolov8n.yaml\nmatrix: {at: [neck, 'head:p3,p4'], k: 35}\ntrain: {data: shapes/data.yaml}\n"
    found = ls.results(experiment(tmp_path / "a", score, text + "controls: larger\n"), costs=False)
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_, **__: os.terminal_size((80, 24)))
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", render(found.report(), "table"))
    assert "Left out" not in drawn
    assert max(map(len, drawn.splitlines())) <= 80
    assert "verdict" in drawn


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_latex_compiles_as_it_is(tmp_path: Path) -> None:
    """With every letter in its names that LaTeX takes for its own, and rows that begin as options of `\\\\` do."""
    found = ls.results(experiment(tmp_path / "a", neck_gains), costs=False)
    names = ("[x]_50%", "*&#$ {a} ~ ^ \\b", "<k> |é|")
    rows = tuple(replace(row, network=name, warnings={"NaN": 1}) for row, name in zip(found.rows, names))
    more = tuple(replace(row, data="other_data", notes=()) for row in rows)
    replace(found, rows=(*rows, *more), notes=("50% of a_b & c",)).write(tmp_path / "table.tex")
    document = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\scriptsize\n\\input{table}\n\\end{document}\n"
    )
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith(("LaTeX Warning", "!"))]


def test_names_that_pdflatex_does_not_know_are_told(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains), costs=False)
    assert "xelatex" not in render(found.report(), "latex")
    found = replace(found, rows=tuple(replace(row, network="模型") for row in found.rows))
    assert "% needs xelatex or lualatex, and a font that has the letters of these names" in render(
        found.report(), "latex"
    )


def test_the_figure_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains, EIGHT.replace("k: 7", "k: [7, 11, 23]")))
    one, two = (found.write(tmp_path / f"{name}.svg").read_text(encoding="utf-8") for name in "ab")
    assert one == two
    for words in ("GFLOPs", "kernel size", "lska, neck", "tiny (base)", "mean ± s.d. of 8 seeds"):
        assert words in one


def test_the_figure_fits_a_column_names_its_base_and_what_it_does_not_show(tmp_path: Path) -> None:
    def score(name: str, seed: int) -> list[float]:
        return [] if "sppf" in name or ("neck" in name and seed > 4) else neck_gains(name, seed)

    recipe = experiment(tmp_path / "a", score)
    recipe.write_text(recipe.read_text(encoding="utf-8") + "labels: {tiny: The base}\n", encoding="utf-8")
    shown = surgeon("results", recipe, "--axes", "watts")
    told = "Error: no axis 'watts': there are params, GFLOPs, and ms where latency --recipe measured it ("
    assert (shown.exit_code, shown.output.startswith(told)) == (2, True)
    found = ls.results(recipe, axes=["GFLOPs", "params"])
    plots = list(Panels(found).plots())
    assert [plot.x for plot in plots] == ["GFLOPs", "parameters (millions)"]
    assert plots[0].y == "mAP50-95\nmean ± s.d. of 5 to 8 seeds"
    with plotting(8) as figure:
        made = drawn(found, figure)
        assert made.get_size_inches()[0] == 3.35
        assert {text.get_fontsize() for text in made.findobj(Text) if text.get_text()} == {8}
        words = [text.get_text() for text in made.findobj(Text)]
        assert words.count("The base") == 3  # at its lines, and in the legend
        assert "tiny-lska-neck-k7" in words
        assert "Not shown: tiny-lska-sppf-k7 (8 waiting)" in words
    ls.results(experiment(tmp_path / "b", neck_gains), costs=False).write(tmp_path / "x.svg")


def test_what_differs_in_kernel_size_alone_has_its_label_and_its_size_in_the_table(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains)
    recipe.write_text(f"{recipe.read_text(encoding='utf-8')}labels: {{'lska, neck': In the neck}}\n", encoding="utf-8")
    names = [row[0] for row in ls.results(recipe, costs=False).table().rows]
    assert [name for name in names if "neck" in name] == ["In the neck, k7"], names


def test_a_number_and_its_deviation_stay_on_one_line_of_a_page(tmp_path: Path) -> None:
    page = ls.results(experiment(tmp_path / "a", neck_gains), costs=False)._repr_html_()
    runs = re.findall(r"<td style=\"([^\"]*)\">(?:<b>)?[^<]* ± ", page)
    assert runs
    assert all("white-space: nowrap" in style for style in runs)


def test_a_column_of_gflops_has_one_number_of_decimals(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains), costs=False)
    rows = tuple(replace(row, costs=KnownCosts(1, gflops)) for row, gflops in zip(found.rows, (8.938, 9.0, 28.6)))
    assert [row[2] for row in replace(found, rows=rows).table().rows] == ["8.938", "9.000", "28.600"]


def test_labels_of_what_is_not_there_are_a_error_before_anything_is_trained(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a", f"{RECIPE}labels: {{tiny-lska-nek-k7: x}}\n")
    for words in (["ablate", recipe, "--dry-run"], ["results", recipe]):
        result = surgeon(*words)
        assert result.exit_code == 2
        assert (
            "line 7, labels: nothing here is called 'tiny-lska-nek-k7' (did you mean tiny-lska-neck-k7?)"
            in result.output
        )
    assert surgeon("results", tmp_path, "--columns", "p", "--json").exit_code == 2


def lightness(colour: str) -> float:
    """CIE L* of `#rrggbb`, 0 to 100: what is left of a colour in grey."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    light = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))
    return float(116 * np.cbrt(light) - 16) if light > 0.008856 else 903.3 * light


def test_neighbours_in_a_figure_differ_in_marker_line_and_grey(tmp_path: Path) -> None:
    found = ls.results(experiment(tmp_path / "a", neck_gains), costs=False)
    base, row = (replace(row, costs=KnownCosts(1, 1.0 + at)) for at, row in enumerate(found.rows[:2]))
    names = [f"place{place}-k{k}" for place in range(9) for k in (7, 11)]
    many = replace(found, rows=(base, *(replace(row, network=name) for name in names)))
    costs, kernels = Panels(many).plots()
    numbers = [series.number for series in kernels.series if not series.base]
    assert [series.number for series in costs.series if not series.base] == numbers == [*range(9)]
    assert [point.label for point in costs.series[1].points] == ["7", "11"]
    for one, other in zip(numbers, numbers[1:]):
        for looks in (MARKERS, LINES):
            assert looks[one % len(looks)] != looks[other % len(looks)]
        assert abs(lightness(COLOURS[one % len(COLOURS)]) - lightness(COLOURS[other % len(COLOURS)])) > 10


# Plain runs.


def plain(folder: Path, model: str, seed: int, values: Sequence[float], epochs: int = 1, more: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "args.yaml").write_text(
        f"task: detect\nmode: train\nmodel: {model}\ndata: shapes/data.yaml\nepochs: {epochs}\nseed: {seed}\n{more}",
        encoding="utf-8",
    )
    pretend(folder, None, [{"metrics/mAP50-95(B)": value} for value in values])
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
    for name in ("yolov8s-lska-neck-k7", "yolov8s-lska-neck-k7.pt"):
        assert ls.results(tmp_path, base=name).rows[1].verdict == "loss"
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


def test_a_run_whose_args_yaml_names_another_checkpoint_is_found(tmp_path: Path) -> None:
    """`YOLO("a.yaml").train(model="b.pt")` trains a and writes b."""
    checkpoint = write_checkpoint(tmp_path)
    other = tmp_path / "base-lska.pt"
    graft(checkpoint, "sppf").rename(other)
    for name, model in (("right", checkpoint), ("wrong", other), ("gone", tmp_path / "gone.pt")):
        run = plain(tmp_path / "runs" / name, str(model), 0, [0.5])
        (run / "weights").mkdir()
        (run / "weights" / "best.pt").write_bytes(checkpoint.read_bytes())
    rows = {row.network: row for row in ls.results(tmp_path / "runs").rows}
    assert {name: row.warnings for name, row in rows.items()} == {
        "base": {},
        "base-lska": {"other network": 1},
        "gone": {},
    }
    assert "row 6 is Upsample where LSKA was asked for" in rows["base-lska"].notes[0]


def test_a_model_and_its_pretrained_weights_are_two_networks(tmp_path: Path) -> None:
    for seed in range(2):
        for name in ("yolov8s.yaml", "yolov8s.pt", "yolov8s-lska-neck-k7.pt", "yolov8s-lska-sppf-k7.yaml"):
            plain(tmp_path / f"{name}{seed}", name, seed, [spread(seed)])
    assert [(row.network, row.base) for row in ls.results(tmp_path).rows] == [
        ("yolov8s.pt", "yolov8s.pt"),
        ("yolov8s-lska-neck-k7", "yolov8s.pt"),
        ("yolov8s.yaml", "yolov8s.yaml"),
        ("yolov8s-lska-sppf-k7", "yolov8s.yaml"),
    ]


def test_runs_that_were_trained_otherwise_than_their_base_say_so(tmp_path: Path) -> None:
    for seed in range(3):
        plain(
            tmp_path / f"a{seed}",
            "a.yaml",
            seed,
            [spread(seed)],
            more=f"batch: {8 if seed == 2 else 16}\nname: {seed}\n",
        )
        plain(tmp_path / f"b{seed}", "a-b.yaml", seed, [spread(seed), 0.5], epochs=2, more="batch: 16\ndevice: 0\n")
    base, other = ls.results(tmp_path).rows
    assert base.notes == ("trained otherwise than most of a: batch 8, not 16 (seed 2)",)
    assert other.notes == ("trained otherwise than most of a: epochs 2, not 1 (seeds 0, 1, 2)",)


def test_the_runs_of_an_ablation_are_plain_runs_too(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains, RECIPE)
    for run in plan_ablation(recipe).runs:
        text = f"task: detect\nmodel: {run.folder / 'start.pt'}\ndata: {run.source}\nepochs: 1\nseed: {run.seed}\n"
        (run.folder / "args.yaml").write_text(text, encoding="utf-8")
    asked, found = ls.results(recipe, costs=False), ls.results(tmp_path / "a" / "ablation")
    assert [row.values for row in found.rows] == [row.values for row in asked.rows]
    assert [(row.network, row.data, row.base) for row in found.rows] == [
        (x.network, x.data, x.base) for x in asked.rows
    ]


def test_a_run_that_is_not_done_is_counted(tmp_path: Path) -> None:
    plain(tmp_path / "a", "a.yaml", 0, [0.5], epochs=1)
    plain(tmp_path / "b", "a.yaml", 1, [0.5], epochs=9)
    assert dict(ls.results(tmp_path).rows[0].unfinished) == {"running": 1}


def test_no_runs_there(tmp_path: Path) -> None:
    with pytest.raises(AblationError, match=r"no run with args\.yaml and results\.csv in "):
        ls.results(tmp_path)


def test_what_is_no_run_is_passed_over_with_a_word(tmp_path: Path) -> None:
    plain(tmp_path / "good", "a.yaml", 0, [0.5])
    plain(tmp_path / "mapping", "{a: 1}", 0, [0.5])
    (plain(tmp_path / "torn", "a.yaml", 0, [0.5]) / "args.yaml").write_text("model: [", encoding="utf-8")
    (plain(tmp_path / "bare", "a.yaml", 0, [0.5]) / "results.csv").unlink()
    (plain(tmp_path / "odd", "b.yaml", 0, [0.5]) / "results.csv").write_text("epoch,x\nmany,1\n", encoding="utf-8")
    found = ls.results(tmp_path)
    assert [row.network for row in found.rows] == ["a", "b"]
    text = "\n".join(found.notes)
    assert f"passed over {tmp_path / 'mapping'}: its args.yaml names no model" in text
    assert f"passed over {tmp_path / 'torn'}: its args.yaml, line 1 is not YAML: " in text
    assert f"passed over {tmp_path / 'bare'}: it has no results.csv" in text
    assert "b: its results.csv has no row that can be read (seed 0)" in text
    with pytest.raises(AblationError, match=r"no run .* \(passed over .*mapping: its args.yaml names no model\): give"):
        ls.results(tmp_path / "mapping")


def test_costs_of_plain_runs_are_those_of_their_own_checkpoints(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path)
    for name in ("tiny", "gone"):
        run = plain(tmp_path / "runs" / name, f"{name}.yaml", 0, [0.5], more="imgsz: 64\n")
        if name == "tiny":
            (run / "weights").mkdir()
            checkpoint.rename(run / "weights" / "best.pt")
    found = ls.results(tmp_path / "runs")
    wanted = ls.flops(tmp_path / "runs" / "tiny" / "weights" / "best.pt", imgsz=64)
    known = {row.network: (row.costs.params, row.costs.gflops) for row in found.rows}
    assert known == {"tiny": (wanted.params, wanted.gflops), "gone": (None, None)}
    assert found.notes[-2:] == (
        "GFLOPs are at 64 pixels, as it was trained",
        "params and GFLOPs are not known of gone: no checkpoint that can be counted",
    )


def test_the_size_of_the_costs_is_said(tmp_path: Path) -> None:
    assert "GFLOPs are at 64x64 pixels" in ls.results(experiment(tmp_path / "a", neck_gains), costs=False).notes
    text = EIGHT.replace("imgsz: 64\ntrain", "train")
    (note,) = [
        note
        for note in ls.results(experiment(tmp_path / "b", neck_gains, text), costs=False).notes
        if note.startswith("GFLOPs")
    ]
    assert note.startswith("GFLOPs are at 640x640 pixels, and it was trained at 64: ")


def test_classes_of_the_costs_are_said_where_the_data_have_others(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", neck_gains)
    assert not [note for note in ls.results(recipe, costs=False).notes if note.startswith("params")]
    data = tmp_path / "a" / "shapes" / "data.yaml"
    data.write_text(data.read_text(encoding="utf-8").replace("circle]", "circle, star]"), encoding="utf-8")
    for run in plan_ablation(recipe).runs:
        pretend(run.folder, run.record().but(state="done"), [{"metrics/mAP50-95(B)": run.seed / 9}])
    (note,) = [note for note in ls.results(recipe, costs=False).notes if note.startswith("params")]
    assert note == (
        "params and GFLOPs are counted with nc: 2, as tiny says, and it was trained for the 3 classes of shapes: "
        "write nc: 3 into the base to count that"
    )


def test_where_nothing_is_done_it_names_the_call_that_shows_the_rest(tmp_path: Path) -> None:
    recipe = experiment(tmp_path / "a", lambda *_: [])
    for more in ([], ["--folder", str(tmp_path / "b b")]):
        said = surgeon("results", recipe, *more).output
        assert "none of 24 runs is done yet: see " in said
        words = shlex.split(said.partition(": see ")[2])
        assert words == ["lska-surgeon", "ablate", str(recipe), *more, "--dry-run"]
        assert surgeon(*words[1:]).exit_code == 0
