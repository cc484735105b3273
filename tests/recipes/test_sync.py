"""`variants`: what it writes, what it refuses, and what a check finds, as a lab and its CI meet it."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.releases import published_head

import lska_surgeon as ls
from lska_surgeon import files
from lska_surgeon.cli.main import main
from lska_surgeon.cost.cache import ModelText
from lska_surgeon.declarations.find import VARIABLE
from lska_surgeon.recipes import verify
from lska_surgeon.recipes.recipe import Recipe, read_recipe
from lska_surgeon.recipes.variants import plan_variants

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
def in_empty_folder() -> None:
    write(RECIPE)


def write(text: str, name: str = "recipe.yaml") -> None:
    Path(name).write_text(text, encoding="utf-8")


def read(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def ends(words: str, code: int) -> tuple[str, str]:
    """Standard output and error of a command that ends with this code."""
    done = CliRunner().invoke(main, shlex.split(words), prog_name="lska-surgeon")
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def ok(words: str) -> str:
    return ends(words, 0)[0]


def fails(words: str) -> str:
    return ends(words, 1)[0]


def refused(words: str) -> str:
    """What is wrong, in one line; nothing is shown, and nothing changes on the disk."""
    before = content()
    out, error = ends(words, 2)
    assert (out, error[:7], error.count("\n")) == ("", "Error: ", 1)
    assert content() == before
    return error[7:-1]


def recipe_of(text: str) -> Recipe:
    write(text)
    return read_recipe(Path("recipe.yaml"))


def content(folder: Path = Path()) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Writing.


def test_all_variants_and_an_index_are_written() -> None:
    assert ok("variants recipe.yaml") == "recipe.yaml: 8 variants, 10 files written\n"
    assert sorted(content()) == sorted([*FILES, "recipe.yaml"])
    for one in json.loads(read("variants/index.json"))["variants"]:
        assert hashlib.sha256(Path(one["file"]).read_bytes()).hexdigest() == one["sha256"]
    assert ok("variants recipe.yaml") == "recipe.yaml: 8 variants, all up to date\n"
    ok("insert yolov8s.yaml --at neck --k 35 -o yolov8s-lska-neck-k35.yaml")
    assert read("yolov8s-lska-neck-k35.yaml") == read("variants/yolov8s-lska-neck-k35.yaml")


def test_the_same_bytes_in_any_folder_at_any_time(tmp_path: Path) -> None:
    ok("variants recipe.yaml --costs")
    before = content()
    (tmp_path / "other" / "deep").mkdir(parents=True)
    write(RECIPE, "other/deep/recipe.yaml")
    ok("variants other/deep/recipe.yaml --costs")
    assert content(Path("other/deep")) == before
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
    write(RECIPE.replace("[sppf, neck]", "[sppf]"))
    out, error = ends("variants recipe.yaml", 0)
    assert out == "recipe.yaml: 4 variants, 2 files written\n"
    assert error.startswith("Note: the recipe no longer asks for variants/yolov8n-lska-neck-k7.yaml, ")
    assert error.splitlines()[0].endswith(": add --prune to delete them")
    fails("variants recipe.yaml --check")
    assert ok("variants recipe.yaml --prune") == "recipe.yaml: 4 variants, 1 file written, 4 deleted\n"
    assert not list(Path("variants").glob("*neck*"))
    assert ok("variants recipe.yaml --check") == "recipe.yaml: 4 variants, all up to date\n"


def test_a_file_edited_by_hand_stays() -> None:
    ok("variants recipe.yaml")
    write("mine", FIRST)
    Path("variants/yolov8n-lska-sppf-k35.yaml").unlink()
    told = f"nothing was written: {FIRST} was edited by hand; move it away, or add --force to overwrite it"
    assert refused("variants recipe.yaml") == told
    ok("variants recipe.yaml --force")
    assert read(FIRST) != "mine"


def test_somebody_elses_file_stays() -> None:
    Path("variants").mkdir()
    write("theirs", FIRST)
    assert f"{FIRST} is there, and not this recipe's; move it away" in refused("variants recipe.yaml")


def test_a_left_over_file_edited_by_hand_is_not_pruned() -> None:
    ok("variants recipe.yaml")
    write("mine", FIRST)
    write(RECIPE.replace("[sppf, neck]", "[neck]"))
    told = f"{FIRST} is left over: the recipe no longer asks for it, and was edited by hand"
    assert told in refused("variants recipe.yaml --prune")


def test_two_recipes_share_neither_an_index_nor_a_file() -> None:
    ok("variants recipe.yaml")
    write(RECIPE, "other.yaml")
    assert refused("variants other.yaml") == (
        "variants/index.json is the index of recipe.yaml: give other.yaml another folder (out:) or an index of its own "
        "(index: NAME.json)"
    )
    write(RECIPE + "index: other.json\n", "other.yaml")
    assert refused("variants other.yaml --prune --force") == (
        "other.yaml asks for variants/yolov8n-lska-neck-k35.yaml, which is a file of recipe.yaml (by "
        "variants/index.json): give one of the two recipes another `out`"
    )
    write(RECIPE.replace("[7, 35]", "[11]") + "index: other.json\n", "other.yaml")
    ok("variants other.yaml")
    ok("variants other.yaml --check")
    ok("variants recipe.yaml --check")


def test_an_index_that_moved_leaves_the_old_one_over() -> None:
    ok("variants recipe.yaml --costs")
    write(RECIPE + "index: costs/all.json\n")
    out, error = ends("variants recipe.yaml", 0)
    assert out == "recipe.yaml: 8 variants, 2 files written\n"
    assert "no longer asks for variants/index.md, variants/index.json: add --prune" in error
    assert ok("variants recipe.yaml --prune") == "recipe.yaml: 8 variants, 1 file written, 2 deleted\n"
    assert not Path("variants/index.json").exists()
    assert json.loads(read("costs/all.json"))["variants"][0]["params"]
    ok("variants recipe.yaml --check")


def test_dry_run_says_what_would_be_done() -> None:
    done = ok("variants recipe.yaml --dry-run")
    assert f"{FIRST} is missing\n" in done
    assert done.endswith("recipe.yaml: 8 variants, 10 files to write\n")
    assert sorted(content()) == ["recipe.yaml"]
    ok("variants recipe.yaml")
    write(RECIPE.replace("[7, 35]", "7"))
    before = content()
    assert ok("variants recipe.yaml --dry-run --prune").endswith("4 variants, 2 files to write, 4 to delete\n")
    assert content() == before


@pytest.mark.parametrize("option", ["--prune", "--force", "--dry-run"])
def test_a_check_takes_no_option_that_writes(option: str) -> None:
    assert refused(f"variants recipe.yaml --check {option}").startswith(f"--check writes nothing: drop {option}, or")


def test_a_size_that_the_model_cannot_take() -> None:
    write(RECIPE + "imgsz: 641\n")
    assert refused("variants recipe.yaml --costs") == (
        "recipe.yaml, imgsz: yolov8n.yaml can't take 641x641 pixels: its largest stride is 32, so sides are multiples "
        "of that; try imgsz 640,640"
    )


def test_a_folder_that_was_made_goes_when_writing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str, target: str) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(files.os, "replace", fail)
    refused("variants recipe.yaml")
    assert not Path("variants").exists()


KILLED = """
import os, pathlib, sys
from lska_surgeon import files
from lska_surgeon.cli.main import main
steps = []
def counted(step):
    def run(*names):
        if len(steps) == int(sys.argv[1]): os._exit(9)
        steps.append(names)
        return step(*names)
    return run
os.replace = counted(os.replace)
pathlib.Path.unlink = counted(pathlib.Path.unlink)
main(['variants', 'recipe.yaml', '--prune'])
"""


@pytest.mark.parametrize("after", ["3", "7"])
def test_killed_while_writing_the_next_run_makes_it_whole(after: str) -> None:
    """Four files and the index come, four go; the process is killed before one of these steps."""
    ok("variants recipe.yaml")
    write(RECIPE.replace("yolov8n", "yolo11n"))
    killed = subprocess.run([sys.executable, "-c", KILLED, after], capture_output=True)
    assert killed.returncode == 9, killed.stderr
    for path in Path("variants").glob("*.yaml"):
        assert path.read_bytes().endswith(b"Detect(P3, P4, P5)\n")
    ok("variants recipe.yaml --prune")
    assert ok("variants recipe.yaml --check") == "recipe.yaml: 8 variants, all up to date\n"
    assert len(list(Path("variants").glob("*.yaml"))) == 8


# Checking.


def test_check_writes_nothing_and_names_what_is_missing() -> None:
    done = fails("variants recipe.yaml --check")
    assert f"{FIRST} is missing\n" in done
    assert done.endswith("recipe.yaml: 8 variants, 10 missing; run `lska-surgeon variants recipe.yaml`\n")
    assert sorted(content()) == ["recipe.yaml"]


def test_check_shows_what_is_stale() -> None:
    write(ok("insert yolov8n.yaml --at after:2 -o -"), "my-yolov8n.yaml")
    write("base: my-yolov8n.yaml\nmatrix: {at: sppf, k: 7}\n")
    ok("variants recipe.yaml")
    write(read("my-yolov8n.yaml").replace("nc: 80", "nc: 3"), "my-yolov8n.yaml")
    done = fails("variants recipe.yaml --check")
    assert "variants/my-yolov8n-lska-sppf-k7.yaml is stale\n" in done
    assert "\n-nc: 80 # number of classes\n+nc: 3 # number of classes\n" in done
    assert ok("variants recipe.yaml").endswith("files written\n")
    ok("variants recipe.yaml --check")


def test_check_names_what_was_edited_by_hand_and_what_is_left_over() -> None:
    ok("variants recipe.yaml")
    write(read(FIRST) + "# mine\n", FIRST)
    write(RECIPE.replace("[7, 35]", "7"))
    done = fails("variants recipe.yaml --check")
    assert f"{FIRST} was edited by hand\n" in done
    assert "\n-# mine\n" in done
    assert "variants/yolov8s-lska-neck-k35.yaml is left over: the recipe no longer asks for it\n" in done
    remedy = "run `lska-surgeon variants recipe.yaml --prune --force`\n"
    assert done.endswith(f"recipe.yaml: 4 variants, 1 edited, 2 stale, 4 left over; {remedy}")


@pytest.mark.parametrize(("old", "new"), [('"macs": ', '"macs": 1'), ("lska k7 at sppf", "lska k9 at sppf")])
def test_check_finds_numbers_that_were_edited(old: str, new: str) -> None:
    ok("variants recipe.yaml --costs")
    for name in ("variants/index.json", "variants/index.md"):
        write(read(name).replace(old, new), name)
    assert "was edited by hand\n" in fails("variants recipe.yaml --check")
    refused("variants recipe.yaml")


def test_check_as_json_and_as_annotations() -> None:
    ok("variants recipe.yaml")
    Path(FIRST).unlink()
    found = json.loads(fails("variants recipe.yaml --check --json"))
    assert (found["schema"], found["failed"], found["check"], found["written"]) == (1, True, True, [])
    assert found["findings"] == [{"file": FIRST, "state": "missing", "edited": False, "diff": ""}]
    assert len(found["index"]["variants"]) == 8
    assert fails("variants recipe.yaml --check --format github") == (
        f"::error file=recipe.yaml,line=1,title=lska-surgeon variants%3A missing::{FIRST}: is missing\n"
        "::error file=recipe.yaml,line=1,title=lska-surgeon variants%3A failed::recipe.yaml: 8 variants, 1 missing; "
        "run `lska-surgeon variants recipe.yaml`\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (' "imgsz"', '<<<<<<< HEAD\n "imgsz"', ", line 4 has a merge conflict"),
        ('"schema": 1', '"schema": 99', " has schema 99, and this lska-surgeon writes schema 1"),
    ],
)
def test_what_no_index_can_be_is_called_so_and_the_way_out_works(old: str, new: str, told: str) -> None:
    ok("variants recipe.yaml")
    write(read("variants/index.json").replace(old, new), "variants/index.json")
    assert refused("variants recipe.yaml") == (
        f"variants/index.json{told}: take it back from version control, or delete it, and run "
        "`lska-surgeon variants` again"
    )
    Path("variants/index.json").unlink()
    write(read("variants/index.md") + "x", "variants/index.md")
    assert ok("variants recipe.yaml") == "recipe.yaml: 8 variants, 2 files written\n"


def test_an_index_that_names_a_file_elsewhere_deletes_nothing(tmp_path: Path) -> None:
    ok("variants recipe.yaml")
    victim = tmp_path.parent / "victim.yaml"
    victim.write_text("x", encoding="utf-8")
    found = json.loads(read("variants/index.json"))
    found["left_over"] = [{"file": "../victim.yaml", "sha256": hashlib.sha256(b"x").hexdigest()}]
    write(json.dumps(found), "variants/index.json")
    refused("variants recipe.yaml --prune --force")
    assert victim.is_file()


def test_json_files_beside_the_variants_are_not_read_whole() -> None:
    """One that is not UTF-8, a very large one, and ones that begin as an index and are none."""
    Path("variants").mkdir()
    head = b'{\n "schema": 1,\n "recipe": '
    odd = {"results": b'{"metric": "\xff\xfe"}', "like": head + b"3", "deep": head + b"[" * 200_000}
    for name, text in {**odd, "latin": head + b'"\xff"}'}.items():
        Path(f"variants/{name}.json").write_bytes(text)
    with Path("variants/annotations.json").open("wb") as file:
        file.truncate(3_000_000_000)  # a hole: it takes no room on the disk, and all of the memory
    ok("variants recipe.yaml")
    ok("variants recipe.yaml --check")


# Costs and budgets.


def test_costs_are_those_of_flops() -> None:
    header, *rows = (line.split(",") for line in ok("variants recipe.yaml --costs --format csv").splitlines())
    (row,) = (dict(zip(header, row)) for row in rows if "8n-lska-neck-k35" in row[0])
    counted = json.loads(ok("flops yolov8n.yaml variants/yolov8n-lska-neck-k35.yaml --format json"))["models"][1]
    assert {name: int(row[name]) for name in ("params", "macs", "flops")}.items() <= counted.items()
    added = {name: int(row[f"{name}_added"]) for name in ("params", "macs")}
    assert added.items() <= counted["difference"].items()


@published_head
def test_costs_as_a_table_for_people() -> None:
    assert (
        "| variants/yolov8s-lska-neck-k35.yaml | lska k35 at neck | 11,608,768 | 14.782 | 29.564 "
        "| +452,224 (+4.1%) | +0.957 (+3.3%) |\n"
    ) in ok("variants recipe.yaml --costs --format md") + "\n"
    assert ok("variants recipe.yaml --check --format md") in read("variants/index.md")


def test_without_costs_the_difference_is_known_all_the_same() -> None:
    """Whatever the cache knows: the same recipe gives the same index on any machine."""
    ok("variants recipe.yaml --costs")
    Path("variants/index.json").unlink()
    Path("variants/index.md").unlink()
    assert ends("variants recipe.yaml", 0)[1] == (
        "Note: the index says what each variant adds, not what it costs in all: add --costs to count the bases\n"
    )
    one = json.loads(read("variants/index.json"))["variants"][-1]
    assert one["params"] is None
    assert one["difference"] == {"params": 452_224, "macs": 478_412_800, "flops": 956_825_600}


def test_a_block_of_ones_own_is_counted_whole() -> None:
    text = ok("insert yolov8n.yaml --at sppf --k 7 -o -").replace("LSKA, [c2, 7]", "nn.Hardswish, []")
    write(text.replace("SPPF, [1024, 5]", "nn.Identity, []"), "yolov8n-mine.yaml")
    write("base: yolov8n-mine.yaml\nmatrix: {at: 'after:10', k: 7}\n")
    row = ok("variants recipe.yaml --costs --format csv").splitlines()[1].split(",")
    counted = json.loads(ok(f"flops {row[0]} --format json"))["models"][0]
    assert [int(row[4]), int(row[5])] == [counted["params"], counted["macs"]]
    ok("variants recipe.yaml --check")


@published_head
def test_budget_names_each_variant_that_is_above_it() -> None:
    write(RECIPE + "budget: {max_gflops: 1.03x, max_params: 11.5M}\n")
    done = fails("variants recipe.yaml")
    over = "variants/yolov8s-lska-neck-k35.yaml is over the budget: "
    assert f"{over}29.564 GFLOPs are above 29.466, 1.03x of the base\n" in done
    assert f"{over}11,608,768 parameters are above the limit of 11.5M\n" in done
    assert done.endswith("recipe.yaml: 8 variants, 10 files written, 3 over budget\n")
    assert fails("variants recipe.yaml --check").endswith("recipe.yaml: 8 variants, 3 over budget\n")


def test_a_check_does_not_pass_a_budget_that_it_cannot_check() -> None:
    ok("variants recipe.yaml")
    write(RECIPE + "budget: {max_gflops: 40}\n")
    done = fails("variants recipe.yaml --check")
    assert done.endswith(
        "the budget can't be checked, for the index does not say what 8 variants cost: "
        "run `lska-surgeon variants recipe.yaml --costs`\n"
        "recipe.yaml: 8 variants, 8 not counted\n"
    )
    assert "over the budget" not in done
    marked = fails("variants recipe.yaml --check --format github")
    assert marked.count("::error ") == 2
    assert "title=lska-surgeon variants%3A not counted::the budget can't be checked" in marked


# In fresh processes.


def fresh(words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, and some code before it."""
    code = f"import sys\n{before}\nfrom lska_surgeon.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *shlex.split(words)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def lean(words: str) -> subprocess.CompletedProcess[str]:
    """The same where importing torch is an error."""
    return fresh(words, "sys.modules['torch'] = None")


def test_a_second_run_needs_no_torch() -> None:
    assert fresh("variants recipe.yaml --costs").returncode == 0
    first = content()
    for name in FILES:
        Path(name).unlink()
    again = lean("variants recipe.yaml --costs -q")
    assert (again.returncode, again.stderr) == (0, "")
    assert content() == first


def test_without_a_cache_counting_says_that_it_needs_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(tmp_path.parent / "empty"))
    done = lean("variants recipe.yaml --costs")
    told = "recipe.yaml, line 1, base: what yolov8n.yaml costs is not known, and to count it needs "
    assert (done.returncode, done.stderr.startswith(f"Error: {told}"), done.stderr.count("\n")) == (2, True, 1)
    assert sorted(content()) == ["recipe.yaml"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_verify_builds_every_variant(jobs: int) -> None:
    write("base: yolov8n.yaml\nmatrix: {at: [sppf, neck], k: 7}\n")
    ok("variants recipe.yaml")
    done = ok(f"variants recipe.yaml --check --verify build --jobs {jobs}")
    assert done == "recipe.yaml: 2 variants, 2 built and run, all up to date\n"


def test_verify_names_what_does_not_build_and_nothing_is_written() -> None:
    text = ok("insert yolov8n.yaml --at sppf --k 7 -o -").replace("SPPF, [1024, 5]", "Nonsense, [1024, 5]")
    write(text, "yolov8n-mine.yaml")
    write("base: yolov8n-mine.yaml\nmatrix: {at: neck, k: 7}\n")
    done = fails("variants recipe.yaml --verify build")
    assert "variants/yolov8n-mine-lska-neck-k7.yaml does not pass: " in done
    assert "Nonsense" in done
    assert done.endswith("recipe.yaml: 1 variant, nothing written, 1 broken\n")
    assert not Path("variants").exists()


@pytest.mark.parametrize("off", [-1, 1])
def test_verify_names_a_variant_of_other_parameters_than_planned(off: int) -> None:
    (variant,) = plan_variants(recipe_of("base: yolov8n.yaml\nmatrix: {at: sppf, k: 7}\n"))
    added = (variant.plan.params_added or 0) + off
    task = verify._Task(variant.file, ModelText(Path(variant.file).name, variant.text, None), variant.base_text, added)
    assert re.fullmatch(r"has [\d,]+ parameters, and [\d,]+ were planned", verify._problem(task) or "")


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
    write(RECIPE.replace("yolov8", "yolo11"), "other.yaml")
    first = start("slow", "recipe.yaml")
    assert first.stdout.readline() == "writing\n"
    second = start("", "other.yaml")
    _, said = second.communicate()
    assert (second.returncode, said[:7], said.count("\n")) == (2, "Error: ", 1)
    assert f"is being written by lska-surgeon variants recipe.yaml (process {first.pid}): try again" in said
    checking = start("", "recipe.yaml", "--check")  # which waits for nobody
    checking.communicate()
    assert checking.returncode == 1
    if end == "is killed":
        first.kill()
        first.wait()
        third = start("", "recipe.yaml")
        third.communicate()
        assert third.returncode == 0
    else:
        first.communicate("go on\n")
        assert first.returncode == 0
        _, said = start("", "other.yaml").communicate()
        assert "is the index of recipe.yaml: give other.yaml another folder" in said
    ok("variants recipe.yaml --check")
    assert not [found for found in Path().rglob("*") if "lock" in found.name]


# A base with custom modules, declared beside it.


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = Path(__file__).parents[1] / "projects" / "own_blocks"
    shutil.copytree(project, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    write("base: project/yolov8n-own.yaml\nmatrix: {at: neck, k: 7}\n")
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "recipe.yaml"


def test_its_widths_are_known_and_its_attention_is_an_operator(own: Path) -> None:
    def params_added(**asked: str) -> int | None:
        (variant,) = ls.variants(own, **asked).to_dict()["index"]["variants"]  # type: ignore[arg-type]
        added: int | None = variant["difference"]["params"]
        return added

    assert params_added() is not None
    assert params_added() == params_added(blocks="project/lska-surgeon.toml")
    write(read("recipe.yaml").replace("k: 7", "op: SimAM"))
    assert "1 variant, 3 files to write" in ok("variants recipe.yaml --dry-run")


def test_what_would_import_it_asks_for_it_and_calls_the_variant_by_its_name(own: Path) -> None:
    problem = ls.variants(own, verify=True, dry_run=True).problems[-1]
    assert f"declared in {own.parent / 'project' / 'lska-surgeon.toml'}" in problem
    assert "add --blocks" in problem
    Path("project/lska-surgeon.toml").unlink()
    problem = ls.variants(own, verify=True, unchecked=True).problems[-1]
    assert "yolov8n-own-lska-neck-k7.yaml does not build: layer 1 (SPDDown)" in problem
    assert "/yolov8n-own-lska-neck-k7.yaml does not build" not in problem


def test_edits_of_a_base() -> None:
    """With operators and without; written by the names that `replace` and `levels` give, and built as they are."""
    write(
        "base: yolov8n.yaml\n"
        "matrix: {edits: [none, [add p2, drop p5], yolo11n.yaml at backbone], at: [neck], k: 7}\n"
        "include: [{edits: SPPELAN at pool}]\n"
        "exclude: [{edits: yolo11n.yaml at backbone}]\n"
    )
    assert ok("variants recipe.yaml").endswith("recipe.yaml: 3 variants, 5 files written\n")
    names = ["yolov8n-lska-neck-k7", "yolov8n-add-p2-drop-p5-lska-neck-k7", "yolov8n-sppelan-pool"]
    assert sorted(path.stem for path in Path("variants").glob("*.yaml")) == sorted(names)
    ok("variants recipe.yaml --check --verify build")
    edited = ls.levels("yolov8n.yaml", add="p2", drop="p5", output="edited-n.yaml").write()
    both = ls.insert(edited, "neck", k=7, scale="n", output="-").variant.graph
    assert [*ls.positions(f"variants/{names[1]}.yaml").graph] == [*both]
    edits = {one["file"]: one["edits"] for one in json.loads(read("variants/index.json"))["variants"]}
    assert edits[f"variants/{names[2]}.yaml"] == [{"edit": "SPPELAN at pool"}]
    assert ls.remove(f"variants/{names[1]}.yaml", output="-").text == ls.positions("yolov8n.yaml").model.text


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("edits: C3k2 on neck", "line 2, matrix.edits: 'C3k2 on neck' is no edit: write such as 'C3k2 at neck'"),
        ("edits: C3k at neck", "line 2, matrix.edits: no block 'C3k' is known"),
        ("edits: [add p9]", "line 2, matrix.edits: no pyramid level 'p9'"),
        ("edits: [add p9], at: [neck], k: [7]", "line 2, matrix.edits: no pyramid level 'p9'"),
        ("k: 7", "line 2, matrix: it needs positions, such as at: [sppf, neck], or edits: [C3k2 at neck]"),
    ],
)
def test_edits_that_can_not_be_done(matrix: str, message: str) -> None:
    write(f"base: yolov8n.yaml\nmatrix: {{{matrix}}}\n")
    assert f"Error: recipe.yaml, {message}" in ends("variants recipe.yaml", 2)[1]
    assert not Path("variants").exists()
