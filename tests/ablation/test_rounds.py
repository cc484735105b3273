"""Ablations in rounds: what is trained, in which order, whoever dies; what is told, and what is refused afterwards.

The trainings are pretended, all else is the product's; tests/benchmarks/ablation_rounds.py trains.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ablations import RECIPE, pretend, write_recipe
from support.shapes import surgeon

import lska_surgeon as ls
from lska_surgeon.ablation import launch, rounds, training
from lska_surgeon.ablation.launch import Event
from lska_surgeon.ablation.records import Failure, read_record, write_record
from lska_surgeon.ablation.runs import Run, plan_ablation

TEXT = RECIPE.replace("seeds: [0, 1, 2]", "sequential: true").replace("k: 7", "k: [7, 23]")
GAIN = "tiny-lska-neck-k7"


class Died(BaseException):
    """As a process that is killed."""


def score(run: Run, gain: float = 0.03) -> float:
    """What a run comes to: as much as its seed and its name make it, and the one gain."""
    rng = np.random.default_rng([run.seed, len(run.network.name), sum(map(ord, run.network.name))])
    return 0.4 + 0.01 * float(rng.normal()) + gain * (run.network.name == GAIN)


Train = Callable[[Run], None]


def done(run: Run, value: float | None = None) -> None:
    values = {"metrics/mAP50(B)": 0.5, "metrics/mAP50-95(B)": score(run) if value is None else value}
    pretend(run.folder, run.record().but(state="done"), [values])


def fail(run: Run) -> None:
    write_record(run.folder, run.record().but(state="failed", error=Failure("out of memory")))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The runs that were trained, and what trains one."""
    said: dict[str, Any] = {"runs": [], "train": done}

    def train_here(_: Any, runs: Sequence[Run], devices: Sequence[str], report: Callable[[Event], Any]) -> None:
        for run in runs:
            said["train"](run)
            said["runs"].append((run.network.name, run.seed))

    monkeypatch.setattr(launch, "train_here", train_here)
    monkeypatch.setattr(training, "check_starts", lambda *_: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # which takes most of the time here
    return said


def plan_of(recipe: Path) -> Any:
    return json.loads((recipe.parent / "ablation" / "recipe" / "sequential.json").read_text(encoding="utf-8"))


def test_round_after_round_until_all_is_decided(tmp_path: Path, trained: dict[str, Any]) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    dry = surgeon("ablate", recipe, "--devices", "cpu", "--dry-run")
    assert "recipe.yaml: 5 runs: 5 waiting\n" in dry.output
    assert not (tmp_path / "a" / "ablation").exists()
    cost = (
        r"at most 80 trainings \(16 of each of 5 networks\); as simulated for 4 and one base, (\d+) where no variant is"
    )
    assert 20 < int(re.search(cost, dry.output)[1]) < 50  # type: ignore[index]
    result = surgeon("ablate", recipe, "--devices", "cpu")
    assert result.exit_code == 0, result.output
    assert len(trained["runs"]) == len(set(trained["runs"])) == 26
    assert trained["runs"][:5] == [(network.name, 0) for network in plan_ablation(recipe).networks]
    assert trained["runs"][-2:] == [("tiny", 6), (GAIN, 6)]
    told = [line for line in result.stderr.splitlines() if line.startswith("Round ")]
    assert told[0] == "Round after 1 seed: nothing yet; 4 open, 0 trainings saved so far"
    assert told[2].startswith(
        "Round after 3 seeds: tiny-lska-sppf-k23 no gain shown: dropped (under 10% chance of a gain"
    )
    assert told[6] == f"Round after 7 seeds: {GAIN} gain after 7 seeds; nothing is open, 54 trainings saved so far"
    sentence = (
        "decided after 26 of 80 trainings (7 rounds; at most 5% of tables hold a false gain, whenever you look): "
        f"{GAIN} gain after 7 seeds; tiny-lska-neck-k23, tiny-lska-sppf-k7, tiny-lska-sppf-k23 no gain shown: dropped "
        "(under 10% chance of a gain by the end)"
    )
    assert f"Note: {sentence}\n" in result.stderr
    assert surgeon("ablate", recipe, "--devices", "cpu").exit_code == 0
    assert len(trained["runs"]) == 26

    table = surgeon("results", recipe, "--format", "md").output
    assert "| mAP50-95 - base at stopping | 95% interval at stopping | seeds | verdict |" in table
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[-2:] for line in table.splitlines() if "lska" in line}
    assert rows[GAIN] == ["7", "gain |"]
    assert rows["tiny-lska-sppf-k23"] == ["3", "no gain shown, dropped |"]
    assert sentence in table
    assert "means and intervals are at stopping: they lean upward" in table
    assert "dropped is not worse" in table
    assert not re.search(r"loss|worse than|not significant|p \(adjusted\)", table)
    data = json.loads(surgeon("results", recipe, "--json").output)
    assert data["sequential"]["shown"] == {GAIN: 7}
    assert (data["sequential"]["trainings"], data["sequential"]["of"]) == (26, 80)
    assert data["rows"][1]["comparison"]["p"] is None
    page = surgeon("report", recipe, "-o", "report.html")
    assert page.exit_code == 0, page.output
    assert sentence in Path("report.html").read_text(encoding="utf-8")
    assert surgeon("report", recipe, "-o", "zh.html", "--language", "zh").exit_code == 0
    chinese = Path("zh.html").read_text(encoding="utf-8")
    assert "未看出提升, 已放弃" in chinese
    assert "与基线之差\uff08停止时" in chinese


def test_whoever_dies_at_any_point_of_a_round_the_same_is_decided(
    tmp_path: Path, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each training, and before each time that the file is written, which is whole or not there."""
    straight, broken = write_recipe(tmp_path / "a", TEXT), write_recipe(tmp_path / "b", TEXT)
    ls.ablate(straight, devices="cpu")
    runs, trained["runs"] = trained["runs"], []
    keep, deaths, written = rounds._keep, 0, False

    def train_one(run: Run) -> None:
        if trained["runs"]:
            raise Died
        done(run)

    def keep_seldom(*values: Any) -> None:
        nonlocal written
        written = not written
        if written:
            raise Died
        keep(*values)

    trained["train"] = train_one
    monkeypatch.setattr(rounds, "_keep", keep_seldom)
    kept: list[tuple[str, int]] = []
    while True:
        try:
            ls.ablate(broken, devices="cpu")
        except Died:
            deaths += 1
            kept += trained["runs"]
            trained["runs"].clear()
            continue
        break
    assert kept + trained["runs"] == runs
    assert deaths >= 26
    for name in ("counted", "metric", "before"):
        assert plan_of(straight)[name] == plan_of(broken)[name]
    tables = [ls.results(recipe, costs=False) for recipe in (straight, broken)]
    assert tables[0].rows == tables[1].rows


def test_several_devices_train_seeds_ahead_and_decide_the_same(tmp_path: Path, trained: dict[str, Any]) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "find_devices", lambda asked: tuple("0123456789"))
        ls.ablate(recipe)
    assert trained["runs"][:10] == [
        (network.name, seed) for seed in (0, 1) for network in plan_ablation(recipe).networks
    ]
    found = ls.results(recipe, costs=False)
    assert found.sequential["shown"] == {GAIN: 7}
    assert found.sequential["trainings"] == 26
    assert any(re.match(r"\d+ runs? beyond what is decided (is|are) not in", note) for note in found.notes)


def test_what_was_fixed_is_not_changed_afterwards(tmp_path: Path, trained: dict[str, Any]) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    ls.ablate(recipe, devices="cpu")
    before = plan_of(recipe)
    for old, new, why in (
        ("k: [7, 23]", "k: [7, 11, 23]", "networks: tiny, tiny-lska-neck-k7, tiny-lska-neck-k11"),
        ("sequential: true", "sequential: {most: 24}", "seeds: 0, 1, 2, 3"),
        ("sequential: true", "sequential: {drop: 0.2}", "drop: 0.2, and it was 0.1: "),
        ("sequential: true", "sequential: {question: gate}", "question: gate, and it was better: "),
        ("sequential: true", "sequential: true\nseeds: [1, 0, 2, 3, 4, 5, 6, 7]", "seeds: 1, 0, 2"),
        ("epochs: 3", "epochs: 4", "what is trained (epochs): "),
        ("sequential: true", "seeds: [0, 1]", "says that the runs there were trained in rounds, and "),
    ):
        recipe.write_text(TEXT.replace(old, new), encoding="utf-8")
        for words in (["ablate", recipe, "--devices", "cpu"], ["results", recipe]):
            result = surgeon(*words)
            assert (result.exit_code, result.output.count("\n")) == (2, 1)
            assert why in result.output
            assert "what was seen may have led to it, and then 5% is no longer promised: " in result.output
            assert result.output.endswith("or begin a new table with --folder DIR\n")
    assert plan_of(recipe) == before
    assert len(trained["runs"]) == 26
    assert "3 runs: 3 waiting" in surgeon("ablate", _half(recipe), "--folder", "new", "--dry-run").output


def _half(recipe: Path) -> Path:
    recipe.write_text(TEXT.replace("k: [7, 23]", "k: 7"), encoding="utf-8")
    return recipe


def test_a_file_that_was_edited_is_refused(tmp_path: Path, trained: dict[str, Any]) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    ls.ablate(recipe, devices="cpu")
    path = tmp_path / "a" / "ablation" / "recipe" / "sequential.json"
    text = path.read_text(encoding="utf-8")
    for content, why in (
        (text.replace('"level": 0.05', '"level": 0.5'), "was edited, its plan no longer fits its hash: restore it"),
        (text[:-9], "begin a new table with --folder DIR"),
        (text.replace('"tiny": 0.4', '"tiny": "0.4'), "begin a new table with --folder DIR"),
        (
            text.replace('"tiny-lska-neck-k23": 0.', '"other": 0.'),
            "was edited, its rounds do not follow from each other",
        ),
    ):
        path.write_text(content, encoding="utf-8")
        result = surgeon("results", recipe)
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert why in result.output


def test_a_failed_training_counts_as_no_difference_and_is_told(tmp_path: Path, trained: dict[str, Any]) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    trained["train"] = lambda run: fail(run) if (run.network.name, run.seed) in ((GAIN, 1), ("tiny", 3)) else done(run)
    result = surgeon("ablate", recipe, "--devices", "cpu")
    assert result.exit_code == 1
    told = f"without a result, and counted as no difference: {GAIN}, seed 1; tiny, seed 3"
    assert f"Note: {told}\n" in result.stderr
    assert told in surgeon("results", recipe).output.replace("\n", " ")
    counted = plan_of(recipe)["counted"]
    assert (counted[1][GAIN], counted[3]["tiny"]) == (None, None)
    # A retry changes nothing of what was counted.
    trained["train"], number = done, len(trained["runs"])
    surgeon("ablate", recipe, "--devices", "cpu", "--retry")
    assert (len(trained["runs"]), plan_of(recipe)["counted"]) == (number, counted)


def test_where_every_training_of_a_seed_fails_it_stops(tmp_path: Path, trained: dict[str, Any]) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    trained["train"] = fail
    assert surgeon("ablate", recipe, "--devices", "cpu").exit_code == 1
    assert len(trained["runs"]) == 5
    trained["train"] = done
    assert surgeon("ablate", recipe, "--devices", "cpu").exit_code == 1
    assert len(trained["runs"]) == 5
    assert surgeon("ablate", recipe, "--devices", "cpu", "--retry").exit_code == 0
    assert len(trained["runs"]) == 5 + 26


def test_a_round_has_four_seeds_at_most_and_none_follows_one_that_failed(
    tmp_path: Path, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    monkeypatch.setattr(launch, "find_devices", lambda asked: tuple(map(str, range(50))))
    trained["train"] = lambda run: fail(run) if run.seed == 2 else done(run)
    ls.ablate(recipe)
    assert sorted({seed for _, seed in trained["runs"]}) == [0, 1, 2, 3]
    trained["train"] = done
    ls.ablate(recipe, retry=True)
    assert max(seed for _, seed in trained["runs"]) == 7


def test_runs_that_were_there_count_and_that_is_told(tmp_path: Path, trained: dict[str, Any]) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    for run in plan_ablation(recipe).runs[:12]:
        done(run)
    result = surgeon("ablate", recipe, "--devices", "cpu")
    assert len(trained["runs"]) == 26 - 12
    assert "Note: 12 runs done before anything was fixed: the 5% holds if nobody chose the variants by" in result.stderr


def test_a_run_that_another_call_trains_is_waited_for(tmp_path: Path, trained: dict[str, Any]) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    other = plan_ablation(recipe).runs[2]
    looked = 0

    def state(run: Run) -> str:
        nonlocal looked
        if run.folder == other.folder and read_record(run.folder) is None:
            looked += 1
            if looked > 12:
                done(run)
            return "running"
        return real(run)

    real = Run.state.fget
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "state", property(state))
        patch.setattr(Run, "prepare", lambda run, **_: run.folder != other.folder and real(run) == "waiting")
        patch.setattr(launch, "_LOOK", 0.0)
        ls.ablate(recipe, devices="cpu")
    assert looked > 12
    assert (other.network.name, other.seed) not in trained["runs"]
    assert len(trained["runs"]) == 25


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("sequential: {most: 6}", ", line 5, sequential: 6 trainings of each decide nothing: it takes 7 or more"),
        ("seeds: [3, 1]\nsequential: true", ", line 5, seeds: 2 trainings of each decide nothing: it takes 7 or more"),
        (
            "sequential: {most: 8, strict: true}",
            ", line 5, sequential: 8 trainings of each decide nothing strictly: it takes 9 or more",
        ),
    ],
)
def test_what_could_never_decide_is_refused(asked: str, why: str, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT.replace("sequential: true", asked))
    for words in (["ablate", recipe, "--dry-run"], ["ablate", recipe], ["results", recipe]):
        result = surgeon(*words)
        assert (result.exit_code, result.output) == (2, f"Error: {recipe}{why}\n")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ["--metric", "mAP50"],
            "by mAP50-95 at the best epoch, and that was fixed before the first training: leave --",
        ),
        (["--epoch", "last"], "leave --epoch out"),
        (["--effect", "0.01"], "leave --effect out"),
        (["--gate", "mAP50-95 >= base - 0.01"], "begin with sequential: {question: gate, margin: 0.01}"),
    ],
)
def test_a_table_of_rounds_answers_its_own_question_alone(
    words: list[str], why: str, tmp_path: Path, trained: dict[str, Any]
) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    assert surgeon("results", recipe).output.count("\n") == 1  # no round is complete
    ls.ablate(recipe, devices="cpu")
    result = surgeon("results", recipe, *words)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert why in result.output


def test_the_gate_and_the_best(tmp_path: Path, trained: dict[str, Any]) -> None:
    gate = TEXT.replace("sequential: true", "sequential: {question: gate, margin: 0.01}")
    recipe = write_recipe(tmp_path / "a", gate)
    trained["train"] = lambda run: done(run, score(run, 0) - 0.05 * (run.network.name == "tiny-lska-sppf-k7"))
    assert surgeon("ablate", recipe, "--devices", "cpu").exit_code == 0
    result = surgeon("results", recipe, "--gate", "mAP50-95 >= base - 0.01")
    assert result.exit_code == 1
    assert "Gate: tiny-lska-sppf-k7: mAP50-95 is distinguishably below base - 0.01, shown after 7" in result.stderr
    table = surgeon("results", recipe, "--format", "md").output
    assert "does not pass after 7 seeds" in table
    assert "| does not pass |" in table
    assert surgeon("results", recipe, "--gate", "mAP50-95 >= base").exit_code == 2
    best = write_recipe(tmp_path / "b", TEXT.replace("sequential: true", "sequential: {question: best}"))
    trained["train"] = done
    ls.ablate(best, devices="cpu")
    text = surgeon("results", best, "--format", "md").output
    assert f"{GAIN} is chosen, which is not shown: to show it, compare it on fresh seeds" in text
    assert "5% of tables" not in text
    assert " chosen |" in text
    assert "not chosen |" in text


def test_slurm_gets_an_array_for_a_round_and_a_job_that_goes_on(
    tmp_path: Path, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path / "a", TEXT)
    (tmp_path / "bin").mkdir()
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho Submitted batch job 42\n", encoding="utf-8")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert "#SBATCH --array=0-4%2\n" in surgeon("ablate", recipe, "--dry-run", "--slurm", "-p gpu --array=%2").output
    jobs = tmp_path / "a" / "ablation" / "recipe" / "slurm"
    for run in plan_ablation(recipe).runs[:25]:
        done(run)
    for seed in (5, 6):
        result = surgeon("ablate", recipe, "--slurm", "-p gpu --array=%2")
        assert result.exit_code == 0, result.output
        assert "Note: Submitted batch job 42 (" in result.stderr
        assert "; Submitted batch job 42 goes on when they have ended\n" in result.stderr
        script = next(jobs.glob("*-next.sh")).read_text(encoding="utf-8")
        assert "#SBATCH --dependency=afterany:42\n#SBATCH" in script
        assert "#SBATCH -p gpu\n" in script
        assert f"ablate {recipe} --folder {jobs.parent} --slurm '-p gpu --array=%2'\n" in script
        listed = next(jobs.glob("*-runs.txt")).read_text(encoding="utf-8").splitlines()
        assert {Path(folder).name for folder in listed} == {f"seed-{seed}"}
        for run in plan_ablation(recipe).runs:
            if str(run.folder) in listed:
                done(run)
        for path in jobs.iterdir():
            path.unlink()
    result = surgeon("ablate", recipe, "--slurm", "-p gpu")
    assert "nothing is left to train" in result.stderr
    assert "decided after 26 of 80 trainings" in result.stderr
    assert not list(jobs.iterdir())
    assert sys.executable in script
