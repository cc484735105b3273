"""Cells: what a recipe's trainings are, and what their files say of them, whoever died on the way."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import NoReturn

import pytest
from filelock import FileLock
from support.ablations import RECIPE, pretend, write_recipe
from support.shapes import surgeon

import lska_surgeon as ls
from lska_surgeon.ablation import worker
from lska_surgeon.ablation.launch import ended, to_train
from lska_surgeon.ablation.records import Attempt, Epochs, Failure, Record, held, read_epochs, read_record, write_record
from lska_surgeon.ablation.runs import Ablation, Run, plan_ablation
from lska_surgeon.ablation.status import status_of
from lska_surgeon.errors import AblationError, RecipeError

STOCK = "base: yolov8s.yaml\nmatrix: {at: sppf, k: 7}\n"


def planned(folder: Path, text: str = RECIPE) -> Ablation:
    path = folder / "recipe.yaml"
    if not path.exists():
        write_recipe(folder, text)
    path.write_text(text, encoding="utf-8")
    return plan_ablation(path)


def record_of(run: Run) -> Record:
    record = read_record(run.folder)
    assert record is not None
    return record


def finish(ablation: Ablation) -> None:
    for run in ablation.runs:
        assert run.prepare()
        epochs = Epochs(3, 1)
        pretend(run.folder, run.record().but(state="done", epochs=epochs), [{"metrics/mAP50-95(B)": 0.5}])


def test_runs_are_variants_times_seeds_times_data(tmp_path: Path) -> None:
    ablation = planned(tmp_path / "a")
    assert [(run.network.name, run.seed) for run in ablation.runs[:4]] == [
        ("tiny", 0),
        ("tiny-lska-neck-k7", 0),
        ("tiny-lska-sppf-k7", 0),
        ("tiny", 1),
    ]
    assert len(ablation.runs) == 9
    assert {run.data for run in ablation.runs} == {"shapes"}  # its file is called data, as most are
    assert ablation.runs[1].folder == tmp_path / "a/ablation/recipe/shapes/tiny-lska-neck-k7/seed-0"
    assert len({run.record().identity for run in ablation.runs}) == 9


def test_the_larger_control_and_its_start(tmp_path: Path) -> None:
    for name in ("yolov8s.pt", "yolov8m.pt", "d.yaml"):
        (tmp_path / name).write_text(f"train: {name}\n")
    for start in ("yolov8s.pt", "{base}.pt", "yolov8{scale}.pt"):
        text = f"{STOCK}train: {{data: d.yaml, start: '{start}'}}\nseeds: [0]\ncontrols: [base, larger]\n"
        runs = planned(tmp_path, text).runs
        assert [(run.network.name, run.network.role, run.start and run.start.name) for run in runs] == [
            ("yolov8s", "base", "yolov8s.pt"),
            ("yolov8s-lska-sppf-k7", "variant", "yolov8s.pt"),
            ("yolov8m", "larger", "yolov8m.pt"),
        ]


def test_a_larger_control_that_is_a_base_is_trained_once(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("train: a\n")
    text = "base: [yolov8n.yaml, yolov8s.yaml]\nmatrix: {at: sppf, k: 7}\ntrain: {data: d.yaml}\nseeds: [0]\n"
    ablation = planned(tmp_path, text + "controls: larger\n")
    assert [(one.network.name, one.network.role) for one in ablation.runs if "lska" not in one.network.name] == [
        ("yolov8n", "base"),
        ("yolov8s", "base"),
        ("yolov8m", "larger"),
    ]
    assert ablation.larger == {"yolov8n": "yolov8s", "yolov8s": "yolov8m"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STOCK, ": it does not say how to train: add train: {data: FILE.yaml, epochs: 100}"),
        (STOCK + "train: {data: x/no.yaml}", ", line 3, train.data: no file "),
        (
            STOCK + "train: {data: cocoo8.yaml}",
            ", line 3, train.data: no file {}/cocoo8.yaml, and Ultralytics has no data",
        ),
        (STOCK + "train: {data: d.yaml, start: no.pt}", ", line 3, train.start: no file "),
        (
            STOCK.replace("yolov8s", "yolov8x") + "train: {data: d.yaml}\ncontrols: larger",
            ", line 4, controls: yolov8x.yaml has no scale that is larger: drop larger",
        ),
        (
            STOCK + "controls: larger\ntrain:\n  data: d.yaml\n  start: mine.pt",
            ", line 6, train.start: the control yolov8m can't start from mine.pt: write start: '{base}.pt'",
        ),
        (STOCK + "train: {data: [d.yaml, e/d.yaml]}", ", line 3, train.data: two of them are called d: give"),
        (
            STOCK + "train: {data: /}",
            ", line 3, train.data: no run can be called after /: give data that have a name",
        ),
        (STOCK + "train: {data: d.yaml, cfg: no.yaml}", ", line 3, train.cfg: cfg=no.yaml "),
        (
            STOCK + "train: {data: d.yaml}\nout: variants/...yaml",
            ": no run can be called after variants/...yaml: give that file another name",
        ),
        (
            STOCK + "train: {data: d.yaml}\nout: variants/yolov8s.yaml",
            ": two networks would be called yolov8s: give one file another name",
        ),
    ],
)
def test_errors_name_their_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    for name in ("d.yaml", "e/d.yaml", "mine.pt"):
        (tmp_path / name).write_text("train: a\n")
    with pytest.raises(RecipeError) as caught:
        planned(tmp_path, text + "\n")
    assert str(caught.value).startswith(f"{tmp_path / 'recipe.yaml'}{message.replace('{}', str(tmp_path))}")


@pytest.mark.parametrize(("word", "name"), [("..", "a"), ("../..", "top"), (".", "recipes"), ("cls/..", "recipes")])
def test_runs_stay_in_their_folder_whatever_their_data_are_called(word: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "top" / "a" / "recipes"
    (folder / "cls").mkdir(parents=True)
    recipe = folder / "recipe.yaml"
    recipe.write_text(STOCK + f"train: {{data: {word}}}\nseeds: [0]\n", encoding="utf-8")
    runs = plan_ablation(recipe).runs
    assert [str(run.folder.relative_to(folder / "ablation" / "recipe")) for run in runs] == [
        f"{name}/yolov8s/seed-0",
        f"{name}/yolov8s-lska-sppf-k7/seed-0",
    ]


def test_a_recipe_whose_name_is_no_folders(tmp_path: Path) -> None:
    path = planned(tmp_path / "a").recipe.path.rename(tmp_path / "a" / "...yaml")
    with pytest.raises(RecipeError, match=r"no folder can be called after .*/\.\.\.yaml: rename the recipe, or say"):
        plan_ablation(path)
    assert plan_ablation(path, tmp_path / "b").folder == tmp_path / "b"


def test_two_bases_of_one_name_are_told(tmp_path: Path) -> None:
    write_recipe(tmp_path / "a")
    (tmp_path / "a" / "x").mkdir()
    base = (tmp_path / "a" / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "a" / "x" / "tiny.yaml").write_text(base.replace("SPPF, [16, 5]", "SPPF, [16, 3]"), encoding="utf-8")
    both = "include: [{base: tiny.yaml, at: neck, out: a.yaml}, {base: x/tiny.yaml, at: neck, out: b.yaml}]"
    with pytest.raises(RecipeError, match=r"line 1, include\[1\].base: another base is called tiny, too: rename one"):
        planned(
            tmp_path / "a", RECIPE.replace("base: tiny.yaml\n", "").replace("matrix: {at: [neck, sppf], k: 7}", both)
        )


def test_files_that_arguments_name_are_a_part_of_what_was_trained(tmp_path: Path) -> None:
    plain = planned(tmp_path / "a").runs[0].asked
    assert set(plain) == {"model", "start", "data", "arguments", "seed"}  # as records have it that are there already
    text = RECIPE.replace("epochs: 3", "epochs: 3, cfg: own.yaml, distill_model: teacher.pt")
    settings, teacher = tmp_path / "a" / "own.yaml", tmp_path / "a" / "teacher.pt"
    settings.write_text("lr0: 0.1\n", encoding="utf-8")
    teacher.write_bytes(b"weights")
    finish(planned(tmp_path / "a", text))
    assert status_of(planned(tmp_path / "a", text)).counts == {"done": 9}
    settings.write_text("lr0: 0.2\n", encoding="utf-8")
    status = status_of(planned(tmp_path / "a", text))
    assert status.counts == {"stale": 9}
    assert "changed since (cfg); they are kept" in status.notes[0]
    settings.write_text("lr0: 0.1\n", encoding="utf-8")
    teacher.write_bytes(b"others")
    assert "changed since (distill_model); they are kept" in status_of(planned(tmp_path / "a", text)).notes[0]


def test_a_copied_run_is_trained_from_the_recipes_network(tmp_path: Path) -> None:
    run = planned(tmp_path / "a").runs[0]
    assert run.prepare()
    model = run.folder / run.task.model
    wanted = model.read_text(encoding="utf-8")
    model.write_text("activation: print(1)\n" + wanted, encoding="utf-8")
    assert run.prepare()
    assert model.read_text(encoding="utf-8") == wanted


@pytest.mark.parametrize("place", ["", ".lock", "/tiny.yaml", "/results.csv", "/weights/last.pt"])
def test_links_in_a_runs_place_are_refused(place: str, tmp_path: Path) -> None:
    run = planned(tmp_path / "a").runs[0]
    link, victim = Path(f"{run.folder}{place}"), tmp_path / "victim"
    link.parent.mkdir(parents=True)
    victim.write_text("mine\n", encoding="utf-8")
    link.symlink_to(victim)
    with pytest.raises(AblationError, match=rf"{link} is a symbolic link, and no training leaves one: move it away"):
        run.prepare()
    assert victim.read_text(encoding="utf-8") == "mine\n"


def test_data_that_ultralytics_ships_and_names_of_its_own_are_taken(tmp_path: Path) -> None:
    runs = planned(tmp_path, STOCK + "train: {data: [coco8.yaml, cifar10]}\nseeds: [0]\n").runs
    assert {run.source for run in runs} == {"coco8.yaml", "cifar10"}


def test_wrong_arguments_are_told_before_anything_starts(tmp_path: Path) -> None:
    text = RECIPE.replace("epochs: 3,", "epochs: 3,\n  epoch: 4,")
    with pytest.raises(RecipeError, match=r"recipe.yaml, line 5, train.epoch: ultralytics: .*epoch"):
        ls.ablate(planned(tmp_path / "a", text).recipe.path, devices="cpu")
    assert not (tmp_path / "a" / "ablation").exists()


def test_a_device_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(AblationError, match="no device '99' here: there are "):
        ls.ablate(planned(tmp_path / "a").recipe.path, devices="99")


def test_what_was_trained_is_not_trained_again(tmp_path: Path) -> None:
    ablation = planned(tmp_path / "a")
    assert len(to_train(ablation.runs)) == 9
    finish(ablation)
    assert to_train(ablation.runs) == []
    status = ls.ablate(ablation.recipe.path, dry_run=True)
    assert status.summary() == "recipe.yaml: 9 runs: 9 done"


def test_a_recipe_that_changed_makes_runs_stale_and_says_what(tmp_path: Path) -> None:
    finish(planned(tmp_path / "a"))
    changed = planned(tmp_path / "a", RECIPE.replace("epochs: 3", "epochs: 9"))
    status = ls.ablate(changed.recipe.path, dry_run=True)
    assert status.counts == {"stale": 9}
    assert "9 stale: the recipe, a start or the data changed since (epochs); they are kept" in status.notes[0]
    assert to_train(changed.runs) == []
    before = changed.runs[0].folder / "results.csv"
    assert before.exists()
    assert len(to_train(changed.runs, renew=True)) == 9
    assert not before.exists()
    assert len(list(changed.folder.rglob("*.stale-*/results.csv"))) == 9


def test_data_that_changed_make_runs_stale(tmp_path: Path) -> None:
    finish(planned(tmp_path / "a"))
    data = tmp_path / "a" / "shapes" / "data.yaml"
    data.write_text(data.read_text(encoding="utf-8") + "# more\n", encoding="utf-8")
    assert "(data)" in ls.ablate(tmp_path / "a" / "recipe.yaml", dry_run=True).notes[0]


def test_states_come_from_files_and_the_lock(tmp_path: Path) -> None:
    run = planned(tmp_path / "a").runs[0]
    assert run.state == "waiting"
    assert run.prepare()
    record = read_record(run.folder)
    write_record(run.folder, record.but(state="running"))
    assert run.state == "interrupted"
    with held(run.folder):
        assert run.state == "running"
        assert not run.prepare()
    write_record(run.folder, record.but(state="failed"))
    assert run.state == "failed"


def test_a_record_of_before_is_read_on_and_done_with(tmp_path: Path) -> None:
    """What is called `cell.json` there, and has keys that are written no more."""
    ablation = planned(tmp_path / "a")
    finish(ablation)
    done, waiting = ablation.runs[:2]
    write_record(waiting.folder, waiting.record())
    for run in (done, waiting):
        record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
        assert record["state"] == ("done" if run is done else "waiting")  # whatever is usual, it stands there
        (run.folder / "run.json").unlink()
        former = {**record, "timed": False, "asked_batch": 2, "notes": {}}
        (run.folder / "cell.json").write_text(json.dumps(former), encoding="utf-8")
    assert (done.state, waiting.state) == ("done", "waiting")
    assert to_train(ablation.runs) == [waiting]
    write_record(waiting.folder, record_of(waiting).but(state="running"))
    assert sorted(path.name for path in waiting.folder.glob("*.json")) == ["run.json"]


def test_a_run_that_failed_is_tried_again_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = planned(tmp_path / "a").runs[0]
    assert run.prepare()
    failed = run.record().but(state="failed", attempts=(Attempt(pid=1),), error=Failure("no labels"))
    write_record(run.folder, failed)
    trained: list[Path] = []
    monkeypatch.setattr(worker, "_train", lambda folder, *_: trained.append(folder) or 0)
    assert worker.work(run.folder, "cpu") == worker.WRONG  # of a call at the same time: it prepared the run before
    assert (ended(run, "cpu", worker.WRONG).kind, ended(run, "cpu", worker.WRONG).text) == ("failed", "no labels")
    assert run not in to_train(planned(tmp_path / "a").runs)
    assert read_record(run.folder) == failed
    assert run.folder in [one.folder for one in to_train(planned(tmp_path / "a").runs, retry=True)]
    assert worker.work(run.folder, "cpu") == worker.FINE
    assert trained == [run.folder]


def test_a_folder_that_was_moved_goes_on_with_the_files_that_are_there_now(tmp_path: Path) -> None:
    text = RECIPE.replace("train: {", "train: {start: base.pt, ")
    write_recipe(tmp_path / "a", text)
    (tmp_path / "a" / "base.pt").write_bytes(b"weights")
    before = plan_ablation(tmp_path / "a" / "recipe.yaml").runs
    states = ("waiting", "running", "failed", "done")
    for run, state in zip(before, states):
        assert run.prepare()
        write_record(run.folder, run.record().but(state=state))
    (tmp_path / "a").rename(tmp_path / "b")
    moved = plan_ablation(tmp_path / "b" / "recipe.yaml")
    assert len(to_train(moved.runs, retry=True)) == 8
    for run, state in zip(moved.runs, states):
        task = record_of(run).task
        here = tmp_path / ("a" if state == "done" else "b")  # what was done says what it was done with
        assert (task.data, task.start) == (str(here / "shapes" / "data.yaml"), str(here / "base.pt"))


def test_data_under_another_path_with_the_same_content_are_taken(tmp_path: Path) -> None:
    before = planned(tmp_path / "a").runs[0]
    assert before.prepare()
    (tmp_path / "a" / "shapes").rename(tmp_path / "a" / "elsewhere")
    (tmp_path / "a" / "elsewhere" / "data.yaml").rename(tmp_path / "a" / "shapes.yaml")
    run = planned(tmp_path / "a", RECIPE.replace("shapes/data.yaml", "shapes.yaml")).runs[0]
    assert (run.folder, run.state) == (before.folder, "waiting")
    assert run.prepare()
    assert record_of(run).task.data == str(tmp_path / "a" / "shapes.yaml")


def test_a_damaged_record_is_told_kept_and_moved_aside_when_asked(tmp_path: Path) -> None:
    ablation = planned(tmp_path / "a")
    finish(ablation)
    run = ablation.runs[3]
    text = (run.folder / "run.json").read_text(encoding="utf-8")
    (run.folder / "run.json").write_text(text.replace('"seed": 1', '"seed": "one"', 1), encoding="utf-8")
    problem = (
        f"tiny: {run.folder}/run.json is damaged: Expected `int`, got `str` - at `$.seed`; repair it, or let "
        "ablate --renew move its folder aside and train anew (seed 1)"
    )
    recipe = ablation.recipe.path
    status = ls.ablate(recipe, dry_run=True)
    assert (dict(status.counts), status.left) == ({"done": 8, "unreadable": 1}, ())
    assert problem in status.notes
    told = surgeon("results", recipe)
    assert told.exit_code == 0
    assert "1 unreadable" in told.output
    assert problem in told.output
    for words in ([], ["-q"]):  # nothing is trained, and the exit code says that not all is well
        done = surgeon("ablate", recipe, "--devices", "cpu", *words)
        assert done.exit_code == 1
        assert f"Note: {problem}" in done.stderr.splitlines()
    assert (run.folder / "results.csv").exists()
    assert [one.folder for one in to_train(ablation.runs, renew=True)] == [run.folder]
    assert (run.state, len(list(run.folder.parent.glob("seed-1.stale-damaged-*/results.csv")))) == ("waiting", 1)


def test_whoever_looks_writes_nothing_and_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's folder may be on a disk that can't be written; so no lock is made, and none is held."""
    fcntl = pytest.importorskip("fcntl")
    ablation = planned(tmp_path / "a")
    run = ablation.runs[0]
    run.prepare()
    write_record(run.folder, run.record().but(state="running"))

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    lock, mkdir = Path(f"{run.folder}.lock"), Path.mkdir
    with held(run.folder):
        pass
    with lock.open("rb") as one:  # another process that looks at this very moment
        fcntl.flock(one.fileno(), fcntl.LOCK_SH)
        assert run.state == "interrupted"
    with held(run.folder):
        monkeypatch.setattr(FileLock, "acquire", refuse)
        monkeypatch.setattr(
            Path, "mkdir", lambda path, **how: refuse() if tmp_path in path.parents else mkdir(path, **how)
        )
        assert run.state == "running"
        assert ls.ablate(ablation.recipe.path, dry_run=True).counts["running"] == 1
    assert run.state == "interrupted"
    lock.unlink()
    assert run.state == "interrupted"
    assert not lock.exists()


def test_epochs_of_a_file_that_is_being_written(tmp_path: Path) -> None:
    text = "epoch,  time, metrics/mAP50(B)\n1,1.5,0.1\n2,3.0,0.2\n2,3.1,0.3\n3,4"
    (tmp_path / "results.csv").write_text(text, encoding="utf-8")
    found = read_epochs(tmp_path)
    assert [(epoch.number, epoch.values["metrics/mAP50(B)"]) for epoch in found[:2]] == [(1, 0.1), (2, 0.3)]


def test_json_names_every_run(tmp_path: Path) -> None:
    data = json.loads(json.dumps(ls.ablate(planned(tmp_path / "a").recipe.path, dry_run=True).to_dict()))
    assert data["schema"] == 2
    assert data["counts"] == {"waiting": 9}
    assert data["runs"][0]["network"] == "tiny"
