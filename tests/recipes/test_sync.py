"""`variants`: what it writes, what it refuses, and what a check finds, as a lab and its CI meet it."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.releases import published_head

from lska_surgeon import files
from lska_surgeon.cli.main import main

RECIPE = """\
base: [yolov8n.yaml, yolov8s.yaml]
matrix: {at: [sppf, neck], k: [7, 35]}
"""
FIRST = "variants/yolov8n-lska-sppf-k7.yaml"
FILES = sorted(
    [f"variants/yolov8{scale}-lska-{at}-k{k}.yaml" for scale in "ns" for at in ("sppf", "neck") for k in (7, 35)]
    + ["variants/index.json", "variants/index.md"]
)


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lska_surgeon.cost.cache.is_own_process", lambda: True)
    Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")


@pytest.fixture
def empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("empty")
    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(cache))
    return cache


def run(words: str) -> Result:
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    return CliRunner(**apart).invoke(main, shlex.split(words), prog_name="lska-surgeon")


def ok(words: str) -> str:
    done = run(words)
    assert done.exit_code == 0, done.output
    return done.stdout


def content(folder: Path = Path()) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def index() -> dict[str, object]:
    found: dict[str, object] = json.loads(Path("variants/index.json").read_text(encoding="utf-8"))
    return found


# Writing.


def test_all_variants_and_an_index_are_written() -> None:
    assert ok("variants recipe.yaml") == "recipe.yaml: 8 variants, 10 files written\n"
    assert sorted(content()) == sorted([*FILES, "recipe.yaml"])
    for one in index()["variants"]:  # type: ignore[attr-defined]
        assert hashlib.sha256(Path(one["file"]).read_bytes()).hexdigest() == one["sha256"]
    assert ok("variants recipe.yaml") == "recipe.yaml: 8 variants, all up to date\n"


def test_a_variant_is_what_insert_writes() -> None:
    ok("variants recipe.yaml")
    ok("insert yolov8s.yaml --at neck --k 35 -o yolov8s-lska-neck-k35.yaml")
    assert Path("yolov8s-lska-neck-k35.yaml").read_bytes() == Path("variants/yolov8s-lska-neck-k35.yaml").read_bytes()


def test_the_same_bytes_in_any_folder_at_any_time(tmp_path: Path) -> None:
    ok("variants recipe.yaml --costs")
    before = content()
    other = tmp_path / "other" / "deep"
    other.mkdir(parents=True)
    (other / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    ok(f"variants {other / 'recipe.yaml'} --costs")
    assert content(other) == before
    ok("variants recipe.yaml --costs --force")
    assert {name: text for name, text in content().items() if not name.startswith("other")} == before


def test_only_what_differs_is_written() -> None:
    ok("variants recipe.yaml")
    kept = Path("variants/yolov8s-lska-sppf-k7.yaml").stat().st_mtime_ns
    Path(FIRST).unlink()
    assert ok("variants recipe.yaml") == "recipe.yaml: 8 variants, 1 file written\n"
    assert Path("variants/yolov8s-lska-sppf-k7.yaml").stat().st_mtime_ns == kept


def test_a_changed_recipe_replaces_its_own_files_and_keeps_what_is_left_over() -> None:
    ok("variants recipe.yaml")
    Path("recipe.yaml").write_text(RECIPE.replace("[sppf, neck]", "[sppf]"), encoding="utf-8")
    done = run("variants recipe.yaml")
    assert done.exit_code == 0
    assert done.stdout == "recipe.yaml: 4 variants, 2 files written\n"
    left = done.stderr.splitlines()[0]
    assert left.startswith("Note: the recipe no longer asks for variants/yolov8n-lska-neck-k7.yaml, ")
    assert left.endswith(": add --prune to delete them")
    assert run("variants recipe.yaml --check").exit_code == 1
    assert ok("variants recipe.yaml --prune") == "recipe.yaml: 4 variants, 1 file written, 4 deleted\n"
    assert not list(Path("variants").glob("*neck*"))
    assert ok("variants recipe.yaml --check") == "recipe.yaml: 4 variants, all up to date\n"


def test_a_file_edited_by_hand_stays() -> None:
    ok("variants recipe.yaml")
    Path(FIRST).write_text("mine", encoding="utf-8")
    Path("variants/yolov8n-lska-sppf-k35.yaml").unlink()
    before = content()
    done = run("variants recipe.yaml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: nothing was written: {FIRST} was edited by hand; move it away, or add --force to overwrite it\n"
    )
    assert content() == before
    ok("variants recipe.yaml --force")
    assert Path(FIRST).read_text(encoding="utf-8") != "mine"


def test_somebody_elses_file_stays() -> None:
    Path("variants").mkdir()
    Path(FIRST).write_text("theirs", encoding="utf-8")
    before = content()
    done = run("variants recipe.yaml")
    assert done.exit_code == 2
    assert f"{FIRST} is there, and not this recipe's; move it away" in done.stderr
    assert content() == before


def test_a_left_over_file_edited_by_hand_is_not_pruned() -> None:
    ok("variants recipe.yaml")
    Path(FIRST).write_text("mine", encoding="utf-8")
    Path("recipe.yaml").write_text(RECIPE.replace("[sppf, neck]", "[neck]"), encoding="utf-8")
    done = run("variants recipe.yaml --prune")
    assert done.exit_code == 2
    assert f"{FIRST} is left over: the recipe no longer asks for it, and was edited by hand" in done.stderr
    assert Path(FIRST).read_text(encoding="utf-8") == "mine"


def test_two_recipes_do_not_share_an_index() -> None:
    ok("variants recipe.yaml")
    Path("other.yaml").write_text(RECIPE, encoding="utf-8")
    done = run("variants other.yaml")
    assert done.exit_code == 2
    assert done.stderr == (
        "Error: variants/index.json is the index of recipe.yaml: give other.yaml another folder (out:) or an index of "
        "its own (index: NAME.json)\n"
    )


def test_a_file_of_another_recipe_is_not_taken_over() -> None:
    ok("variants recipe.yaml")
    Path("other.yaml").write_text(RECIPE + "index: other.json\n", encoding="utf-8")
    done = run("variants other.yaml --prune --force")
    assert (done.exit_code, done.stderr) == (
        2,
        "Error: other.yaml asks for variants/yolov8n-lska-neck-k35.yaml, which is a file of recipe.yaml (by "
        "variants/index.json): give one of the two recipes another `out`\n",
    )
    Path("other.yaml").write_text(RECIPE.replace("[7, 35]", "[11]") + "index: other.json\n", encoding="utf-8")
    ok("variants other.yaml")
    ok("variants other.yaml --check")
    ok("variants recipe.yaml --check")


def test_an_index_that_moved_leaves_the_old_one_over() -> None:
    ok("variants recipe.yaml --costs")
    Path("recipe.yaml").write_text(RECIPE + "index: costs/all.json\n", encoding="utf-8")
    done = run("variants recipe.yaml")
    assert done.stdout == "recipe.yaml: 8 variants, 2 files written\n"
    assert "no longer asks for variants/index.md, variants/index.json: add --prune" in done.stderr
    assert ok("variants recipe.yaml --prune") == "recipe.yaml: 8 variants, 1 file written, 2 deleted\n"
    assert not Path("variants/index.json").exists()
    assert json.loads(Path("costs/all.json").read_text(encoding="utf-8"))["variants"][0]["params"]
    ok("variants recipe.yaml --check")


def test_dry_run_says_what_would_be_done() -> None:
    done = ok("variants recipe.yaml --dry-run")
    assert f"{FIRST} is missing\n" in done
    assert done.endswith("recipe.yaml: 8 variants, 10 files to write\n")
    assert sorted(content()) == ["recipe.yaml"]
    ok("variants recipe.yaml")
    Path("recipe.yaml").write_text(RECIPE.replace("[7, 35]", "7"), encoding="utf-8")
    before = content()
    assert ok("variants recipe.yaml --dry-run --prune").endswith("4 variants, 2 files to write, 4 to delete\n")
    assert content() == before


@pytest.mark.parametrize("option", ["--prune", "--force", "--dry-run"])
def test_a_check_takes_no_option_that_writes(option: str) -> None:
    done = run(f"variants recipe.yaml --check {option}")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: --check writes nothing: drop {option}, or --check")


def test_a_size_that_the_model_cannot_take() -> None:
    Path("recipe.yaml").write_text(RECIPE + "imgsz: 641\n", encoding="utf-8")
    done = run("variants recipe.yaml --costs")
    assert (done.exit_code, done.stderr) == (
        2,
        "Error: recipe.yaml, imgsz: yolov8n.yaml can't take 641x641 pixels: its largest stride is 32, so sides are "
        "multiples of that; try imgsz 640,640\n",
    )


def test_an_index_of_its_own() -> None:
    Path("recipe.yaml").write_text(RECIPE + "index: costs/all.json\n", encoding="utf-8")
    ok("variants recipe.yaml")
    assert Path("costs/all.json").is_file()
    assert Path("costs/all.md").is_file()
    ok("variants recipe.yaml --check")


@pytest.mark.parametrize("after", [0, 3, 9])
def test_all_or_nothing_when_the_disk_fails(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ok("variants recipe.yaml")
    Path("recipe.yaml").write_text(RECIPE.replace("yolov8", "yolo11"), encoding="utf-8")
    before = content()
    replace, moved = os.replace, []

    def fail(source: str, target: str) -> None:
        if len(moved) == after:
            moved.append(target)
            raise OSError(28, "No space left on device")
        moved.append(target)
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", fail)
    done = run("variants recipe.yaml --prune")
    assert done.exit_code == 2
    assert "No space left on device" in done.stderr
    assert content() == before


def test_a_folder_that_was_made_goes_when_writing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str, target: str) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(files.os, "replace", fail)
    assert run("variants recipe.yaml").exit_code == 2
    assert sorted(content()) == ["recipe.yaml"]
    assert not Path("variants").exists()


@pytest.mark.parametrize("after", [0, 3, 5, 7])
def test_killed_while_writing_the_next_run_makes_it_whole(after: int) -> None:
    """Four files and the index come, four go; the process is killed before one of these steps."""
    ok("variants recipe.yaml")
    Path("recipe.yaml").write_text(RECIPE.replace("yolov8n", "yolo11n"), encoding="utf-8")
    code = (
        "import os, pathlib, sys\n"
        "from lska_surgeon import files\n"
        "from lska_surgeon.cli.main import main\n"
        "steps = []\n"
        "def counted(step):\n"
        "    def run(*names):\n"
        f"        if len(steps) == {after}: os._exit(9)\n"
        "        steps.append(names)\n"
        "        return step(*names)\n"
        "    return run\n"
        "os.replace = counted(os.replace)\n"
        "pathlib.Path.unlink = counted(pathlib.Path.unlink)\n"
        "main(['variants', 'recipe.yaml', '--prune'])"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert killed.returncode == 9, killed.stderr
    for path in Path("variants").glob("*.yaml"):
        assert path.read_bytes().endswith(b"Detect(P3, P4, P5)\n")
    ok("variants recipe.yaml --prune")
    assert ok("variants recipe.yaml --check") == "recipe.yaml: 8 variants, all up to date\n"
    assert len(list(Path("variants").glob("*.yaml"))) == 8


# Checking.


def test_check_writes_nothing_and_names_what_is_missing() -> None:
    done = run("variants recipe.yaml --check")
    assert done.exit_code == 1
    assert f"{FIRST} is missing\n" in done.stdout
    assert done.stdout.endswith("recipe.yaml: 8 variants, 10 missing; run `lska-surgeon variants recipe.yaml`\n")
    assert sorted(content()) == ["recipe.yaml"]


def test_check_shows_what_is_stale() -> None:
    Path("my-yolov8n.yaml").write_text(ok("insert yolov8n.yaml --at after:2 -o -"), encoding="utf-8")
    Path("recipe.yaml").write_text("base: my-yolov8n.yaml\nmatrix: {at: sppf, k: 7}\n", encoding="utf-8")
    ok("variants recipe.yaml")
    base = Path("my-yolov8n.yaml")
    base.write_text(base.read_text(encoding="utf-8").replace("nc: 80", "nc: 3"), encoding="utf-8")
    done = run("variants recipe.yaml --check")
    assert done.exit_code == 1
    assert "variants/my-yolov8n-lska-sppf-k7.yaml is stale\n" in done.stdout
    assert "\n-nc: 80 # number of classes\n+nc: 3 # number of classes\n" in done.stdout
    assert ok("variants recipe.yaml").endswith("files written\n")
    ok("variants recipe.yaml --check")


def test_check_names_what_was_edited_by_hand_and_what_is_left_over() -> None:
    ok("variants recipe.yaml")
    with Path(FIRST).open("a", encoding="utf-8") as file:
        file.write("# mine\n")
    Path("recipe.yaml").write_text(RECIPE.replace("[7, 35]", "7"), encoding="utf-8")
    done = run("variants recipe.yaml --check")
    assert done.exit_code == 1
    assert f"{FIRST} was edited by hand\n" in done.stdout
    assert "\n-# mine\n" in done.stdout
    assert "variants/yolov8s-lska-neck-k35.yaml is left over: the recipe no longer asks for it\n" in done.stdout
    assert done.stdout.endswith(
        "recipe.yaml: 4 variants, 1 edited, 2 stale, 4 left over; "
        "run `lska-surgeon variants recipe.yaml --prune --force`\n"
    )


@pytest.mark.parametrize(("old", "new"), [('"macs": ', '"macs": 1'), ("lska k7 at sppf", "lska k9 at sppf")])
def test_check_finds_numbers_that_were_edited(old: str, new: str) -> None:
    ok("variants recipe.yaml --costs")
    for name in ("variants/index.json", "variants/index.md"):
        path = Path(name)
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    done = run("variants recipe.yaml --check")
    assert done.exit_code == 1
    assert "was edited by hand\n" in done.stdout
    assert run("variants recipe.yaml").exit_code == 2


def test_check_as_json_and_as_annotations() -> None:
    ok("variants recipe.yaml")
    Path(FIRST).unlink()
    report = run("variants recipe.yaml --check --json")
    assert report.exit_code == 1
    found = json.loads(report.stdout)
    assert (found["schema"], found["failed"], found["check"], found["written"]) == (1, True, True, [])
    assert found["findings"] == [{"file": FIRST, "state": "missing", "edited": False, "diff": ""}]
    assert len(found["index"]["variants"]) == 8
    marked = run("variants recipe.yaml --check --format github")
    assert marked.exit_code == 1
    assert marked.stdout == (
        f"::error file=recipe.yaml,line=1,title=lska-surgeon variants%3A missing::{FIRST}: is missing\n"
        "::error file=recipe.yaml,line=1,title=lska-surgeon variants%3A failed::recipe.yaml: 8 variants, 1 missing; "
        "run `lska-surgeon variants recipe.yaml`\n"
    )


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema": 99}'])
def test_a_broken_index_is_named(text: str) -> None:
    ok("variants recipe.yaml")
    Path("variants/index.json").write_text(text, encoding="utf-8")
    done = run("variants recipe.yaml")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: variants/index.json ")
    assert "take it back from version control" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_merge_conflict_is_called_one_and_the_way_out_works() -> None:
    ok("variants recipe.yaml")
    path = Path("variants/index.json")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(' "imgsz"', '<<<<<<< HEAD\n "imgsz"'), encoding="utf-8")
    done = run("variants recipe.yaml")
    assert (done.exit_code, done.stderr) == (
        2,
        "Error: variants/index.json, line 4 has a merge conflict: take it back from version control, or delete it, and "
        "run `lska-surgeon variants` again\n",
    )
    path.unlink()
    Path("variants/index.md").write_text(Path("variants/index.md").read_text(encoding="utf-8") + "x", encoding="utf-8")
    assert ok("variants recipe.yaml") == "recipe.yaml: 8 variants, 2 files written\n"


def test_an_index_that_names_a_file_elsewhere_deletes_nothing(tmp_path: Path) -> None:
    ok("variants recipe.yaml")
    victim = tmp_path.parent / "victim.yaml"
    victim.write_text("x", encoding="utf-8")
    path = Path("variants/index.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    found["left_over"] = [{"file": "../victim.yaml", "sha256": hashlib.sha256(b"x").hexdigest()}]
    path.write_text(json.dumps(found), encoding="utf-8")
    assert run("variants recipe.yaml --prune --force").exit_code == 2
    assert victim.is_file()


# CostCache and budgets.


def test_costs_are_those_of_flops() -> None:
    shown = ok("variants recipe.yaml --costs --format csv").splitlines()
    counted = json.loads(ok("flops yolov8n.yaml variants/yolov8n-lska-neck-k35.yaml --format json"))["models"][1]
    row = dict(zip(shown[0].split(","), next(line for line in shown if "8n-lska-neck-k35" in line).split(",")))
    assert (int(row["params"]), int(row["macs"]), int(row["flops"])) == (
        counted["params"],
        counted["macs"],
        counted["flops"],
    )
    assert int(row["params_added"]) == counted["difference"]["params"]
    assert int(row["macs_added"]) == counted["difference"]["macs"]


@published_head
def test_costs_as_a_table_for_people() -> None:
    assert (
        "| variants/yolov8s-lska-neck-k35.yaml | lska k35 at neck | 11,608,768 | 14.782 | 29.564 "
        "| +452,224 (+4.1%) | +0.957 (+3.3%) |\n"
    ) in ok("variants recipe.yaml --costs --format md") + "\n"
    assert ok("variants recipe.yaml --check --format md") in Path("variants/index.md").read_text(encoding="utf-8")


def test_without_costs_the_difference_is_known_all_the_same() -> None:
    """Whatever the cache knows: the same recipe gives the same index on any machine."""
    ok("variants recipe.yaml --costs")
    Path("variants/index.json").unlink()
    Path("variants/index.md").unlink()
    done = run("variants recipe.yaml")
    assert done.stderr == (
        "Note: the index says what each variant adds, not what it costs in all: add --costs to count the bases\n"
    )
    one = index()["variants"][-1]  # type: ignore[index]
    assert one["params"] is None
    assert one["difference"] == {"params": 452_224, "macs": 478_412_800, "flops": 956_825_600}


def test_a_block_of_ones_own_is_counted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    text = ok("insert yolov8n.yaml --at sppf --k 7 -o -").replace("LSKA, [c2, 7]", "nn.Hardswish, []")
    Path("yolov8n-mine.yaml").write_text(text.replace("SPPF, [1024, 5]", "nn.Identity, []"), encoding="utf-8")
    Path("recipe.yaml").write_text("base: yolov8n-mine.yaml\nmatrix: {at: 'after:10', k: 7}\n", encoding="utf-8")
    row = ok("variants recipe.yaml --costs --format csv").splitlines()[1].split(",")
    counted = json.loads(ok(f"flops {row[0]} --format json"))["models"][0]
    assert [int(row[4]), int(row[5])] == [counted["params"], counted["macs"]]
    ok("variants recipe.yaml --check")


@published_head
def test_budget_names_each_variant_that_is_above_it() -> None:
    Path("recipe.yaml").write_text(RECIPE + "budget: {max_gflops: 1.03x, max_params: 11.5M}\n", encoding="utf-8")
    done = run("variants recipe.yaml")
    assert done.exit_code == 1
    assert (
        "variants/yolov8s-lska-neck-k35.yaml is over the budget: "
        "29.564 GFLOPs are above 29.466, 1.03x of the base\n"
        "variants/yolov8s-lska-neck-k35.yaml is over the budget: 11,608,768 parameters are above the limit of 11.5M\n"
    ) in done.stdout
    assert done.stdout.endswith("recipe.yaml: 8 variants, 10 files written, 3 over budget\n")
    checked = run("variants recipe.yaml --check")
    assert checked.exit_code == 1
    assert checked.stdout.endswith("recipe.yaml: 8 variants, 3 over budget\n")


def test_a_check_does_not_pass_a_budget_that_it_cannot_check() -> None:
    ok("variants recipe.yaml")
    Path("recipe.yaml").write_text(RECIPE + "budget: {max_gflops: 40}\n", encoding="utf-8")
    done = run("variants recipe.yaml --check")
    assert done.exit_code == 1
    assert done.stdout.endswith(
        "the budget can't be checked, for the index does not say what 8 variants cost: "
        "run `lska-surgeon variants recipe.yaml --costs`\n"
        "recipe.yaml: 8 variants, 8 not counted\n"
    )
    assert "over the budget" not in done.stdout
    marked = run("variants recipe.yaml --check --format github").stdout
    assert marked.count("::error ") == 2
    assert "title=lska-surgeon variants%3A not counted::the budget can't be checked" in marked


# In fresh processes.


def lean(words: str) -> subprocess.CompletedProcess[str]:
    """Run a command where importing torch is an error."""
    code = "import sys; sys.modules['torch'] = None\nfrom lska_surgeon.cli.main import main; main(sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", code, *shlex.split(words)],
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_a_second_run_needs_no_torch() -> None:
    ok("variants recipe.yaml --costs")
    first = content()
    for name in FILES:
        Path(name).unlink()
    again = lean("variants recipe.yaml --costs -q")
    assert (again.returncode, again.stderr) == (0, "")
    assert content() == first


def test_without_a_cache_counting_says_that_it_needs_torch(empty_cache: Path) -> None:
    done = lean("variants recipe.yaml --costs")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Error: recipe.yaml, line 1, base: what yolov8n.yaml costs is not known, and to count it needs "
    )
    assert done.stderr.count("\n") == 1
    assert sorted(content()) == ["recipe.yaml"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_verify_builds_every_variant(jobs: int) -> None:
    ok("variants recipe.yaml")
    done = ok(f"variants recipe.yaml --check --verify build --jobs {jobs}")
    assert done == "recipe.yaml: 8 variants, 8 built and run, all up to date\n"


def test_verify_names_what_does_not_build_and_nothing_is_written() -> None:
    text = ok("insert yolov8n.yaml --at sppf --k 7 -o -").replace("SPPF, [1024, 5]", "Nonsense, [1024, 5]")
    Path("yolov8n-mine.yaml").write_text(text, encoding="utf-8")
    Path("recipe.yaml").write_text("base: yolov8n-mine.yaml\nmatrix: {at: neck, k: 7}\n", encoding="utf-8")
    done = run("variants recipe.yaml --verify build")
    assert done.exit_code == 1
    assert "variants/yolov8n-mine-lska-neck-k7.yaml does not pass: " in done.stdout
    assert "Nonsense" in done.stdout
    assert done.stdout.endswith("recipe.yaml: 1 variant, nothing written, 1 broken\n")
    assert not Path("variants").exists()


def test_json_files_beside_the_variants_are_not_read_whole() -> None:
    """One that is not UTF-8, a very large one, and one that begins as an index and is none."""
    Path("variants").mkdir()
    Path("variants/results.json").write_bytes(b'{"metric": "\xff\xfe"}')
    with Path("variants/annotations.json").open("wb") as file:
        file.truncate(3_000_000_000)  # a hole: it takes no room on the disk, and all of the memory
    Path("variants/like.json").write_text('{\n "schema": 1,\n "recipe": 3', encoding="utf-8")
    Path("variants/deep.json").write_text('{\n "schema": 1,\n "recipe": ' + "[" * 200_000, encoding="utf-8")
    Path("variants/latin.json").write_bytes(b'{\n "schema": 1,\n "recipe": "\xff"}')
    ok("variants recipe.yaml")
    ok("variants recipe.yaml --check")


SLOW = """
import sys, time
from lska_surgeon.cli.main import main
from lska_surgeon.recipes import sync
sync.PATIENCE = 0.5
update = sync.update
def slowly(*args, **options):
    print("writing", flush=True)
    sys.stdin.readline()
    return update(*args, **options)
if sys.argv[1] == "slow": sync.update = slowly
main(["variants", *sys.argv[2:]])
"""


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SLOW, *words]
    return subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True)


@pytest.mark.parametrize("end", ["goes on", "is killed"])
def test_two_at_once_in_one_folder_do_not_lose_an_index(end: str) -> None:
    Path("other.yaml").write_text(RECIPE.replace("yolov8", "yolo11"), encoding="utf-8")
    first = start("slow", "recipe.yaml")
    assert first.stdout is not None
    assert first.stdout.readline() == "writing\n"
    second = start("", "other.yaml")
    _, said = second.communicate()
    assert second.returncode == 2
    assert said.startswith("Error: ")
    assert f"is being written by lska-surgeon variants recipe.yaml (process {first.pid}): try again" in said
    assert said.count("\n") == 1
    checking = start("", "recipe.yaml", "--check")  # which waits for nobody
    assert checking.wait() == 1
    if end == "is killed":
        first.kill()
        first.wait()
        third = start("", "recipe.yaml")
        third.communicate()
        assert third.returncode == 0
    else:
        first.communicate("go on\n")
        assert first.returncode == 0
        done = start("", "other.yaml")
        _, said = done.communicate()
        assert "is the index of recipe.yaml: give other.yaml another folder" in said
    ok("variants recipe.yaml --check")
    assert not [found for found in Path().rglob("*") if "lock" in found.name]
