"""Building: what is refused before torch is imported, what is left to Ultralytics, and which scale is built."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.releases import published_head
from support.shapes import QUICK, surgeon, write_data

import lska_surgeon as ls
from lska_surgeon.errors import BuildError, GraphError
from lska_surgeon.grafting.train import plan_training
from lska_surgeon.modelfile.sources import find_source
from lska_surgeon.yolo.build import build

CASES = Path(__file__).parents[1] / "cases"
CASE = CASES / "scales" / "yolov8s-depth-multiple.yaml"
#: What Ultralytics builds of it, as published for YOLOv8s with 80 classes.
PARAMETERS = 11_166_560
MODEL = """\
nc: 2
backbone:
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [-1, 1, Conv, [16, 3, 1]]
  - [[1, 2], 1, Concat, [1]]
  - [[3], 1, Detect, [nc]]
"""
FIRST = "[-1, 1, Conv, [16, 3, 2]]\n  - [-1"
REPEATS = "row 0 (Conv) has 99999999999 repeats: it may have 1 to 1000"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model, one for each kind of error in it, an empty file in place of a checkpoint, and a model without scales."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "good": MODEL,
        "repeats": MODEL.replace(FIRST, FIRST.replace("-1, 1", "-1, 99999999999")),
        "wide": MODEL.replace(FIRST, FIRST.replace("[16", "[99999999999")),
        "forward": MODEL.replace("[[1, 2], 1, Concat", "[[1, 9], 1, Concat"),
        "round": "nc: 2\nbackbone: &a\n  - *a\nhead:\n  - *a\n",
        "heavy": MODEL.replace("Conv, [16, 3, 1]", "C3k2, [512, True, 200]"),
        "alias": MODEL.replace(FIRST, "&row " + FIRST).replace("  - [-1, 1, Conv, [16, 3, 2]]\n", "  - *row\n"),
        "twice": MODEL + "nc: 2\n",
    }
    for name, text in texts.items():
        Path(f"{name}.yaml").write_text(text, encoding="utf-8")
    Path("x.pt").touch()
    shutil.copy(CASE, CASE.name)
    shutil.copy(CASE, "yolov8-multiples.yaml")  # found under yolov8m-multiples.yaml as well


ERRORS = {
    "flops repeats.yaml": f"repeats.yaml: {REPEATS}",
    "flops wide.yaml": "wide.yaml: row 0 (Conv) is 99999999999 channels wide: it may be 1 to ",
    "flops round.yaml": "round.yaml is nested too deep, or contains itself: write it out plainly",
    "flops nope.pt": "no file nope.pt: give the path of a .pt that is here; nothing is downloaded",
    "inspect nope.pt": "no file nope.pt: give the path",
    "ungraft nope.pt": "no file nope.pt: give the path",
    "ungraft x.pt -o x.pt": "x.pt is already there: choose another name with -o",
    "graft nope.pt --at neck": "no file nope.pt: give the path",
    "graft x.pt --at nek": "no position 'nek' (did you mean neck?)",
    "graft x.pt --at neck@8": "kernel size 8 is not an odd number",
    "graft x.pt --at neck --k 9": "no kernel size 9 for lska in the paper",
    "graft x.pt --at neck -o x.pt": "x.pt is already there: choose another name with -o",
    "graft x.pt --into repeats.yaml": f"repeats.yaml: {REPEATS}",
    "graft x.pt --into nope.yaml": "no file nope.yaml",
    "train nope.pt data=d.yaml": "no file nope.pt: give the path",
    "train repeats.yaml data=d.yaml": f"repeats.yaml: {REPEATS}",
    "train good.yaml epochs=1": "say what to train on: data=FILE.yaml (for a classifier data=FOLDER)",
}


def test_what_needs_no_torch_is_reported_without_it() -> None:
    code = f"""if True:
        import sys
        from click.testing import CliRunner
        from lska_surgeon.cli.main import main
        for words in {list(ERRORS)!r}:
            result = CliRunner().invoke(main, words.split())
            assert "torch" not in sys.modules, words
            print(result.exit_code, result.output, end="")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    for line, (words, message) in zip(done.stdout.splitlines(), ERRORS.items()):
        assert line.startswith(f"2 Error: {message}"), words
    assert len(done.stdout.splitlines()) == len(ERRORS)


def test_a_source_that_looks_forward_is_reported_as_positions_tells_it() -> None:
    output = [surgeon(*words.split()).output for words in ("flops forward.yaml", "positions forward.yaml")]
    problem = "row 3 (Concat) reads layer 9, which looks forward: a row may read 0-2"
    assert output == [f"Error: forward.yaml: {problem}\n"] * 2


@pytest.mark.parametrize("name", ["repeats", "wide", "forward"])
def test_build_refuses_what_the_commands_refuse(name: str) -> None:
    with pytest.raises(GraphError, match=f"^{name}.yaml: row "):
        build(f"{name}.yaml")


def test_a_row_of_too_many_parameters_is_refused_before_any_memory_is_taken() -> None:
    said = surgeon("check", "--build", "heavy.yaml").output
    row = r"row 2 \(C3k2 \[512, True, 200\]\) would have \d+,\d{3},\d{3},\d{3} parameters: a network may have "
    assert re.search(f"{row}1,000,000,000 in all", said)


@pytest.mark.parametrize("name", ["good", "alias", "twice"])
def test_what_only_ultralytics_can_judge_is_left_to_it(name: str) -> None:
    result = surgeon("flops", f"{name}.yaml", "--imgsz", "64")
    assert (result.exit_code, f"{name}.yaml" in result.output) == (0, True), result.output


# Files of the YOLOv5 repository.

SENTENCE = "this is a file of the YOLOv5 repository, whose Detect takes anchors: the ultralytics package has no anchors"


@pytest.fixture
def of_yolov5(tmp_path: Path) -> Path:
    path = tmp_path / "yolov5s-mine.yaml"
    path.write_text(
        (CASES / "check" / "people_yolov5_repository.yaml").read_text(encoding="utf-8").partition("# =====")[0],
        encoding="utf-8",
    )
    return path


def test_a_file_of_yolov5_is_reported_where_it_is_built(of_yolov5: Path) -> None:
    for building in (build, ls.flops):
        with pytest.raises(BuildError) as refused:
            building(of_yolov5)  # type: ignore[operator]
        assert SENTENCE in str(refused.value)


def test_a_file_of_yolov5_is_reported_by_positions(of_yolov5: Path) -> None:
    assert any(note.startswith(SENTENCE) for note in ls.positions(of_yolov5).notes)
    assert not any("YOLOv5" in note for note in ls.positions("yolov8n.yaml").notes)


# Models without `scales` under a name with a scale: Ultralytics builds them, and so does every command.


def written(*words: str) -> Path:
    made = surgeon("insert", *words)
    assert made.exit_code == 0, made.output
    return Path(made.output.split(": ")[0].removeprefix("Wrote "))


NAMES = [CASE.name, "yolov8m-multiples.yaml"]


@published_head
@pytest.mark.parametrize("name", NAMES)
def test_the_letter_of_a_name_says_nothing_without_scales(name: str) -> None:
    found = find_source(name)
    model = build(found.path, named=found.scale)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS


@pytest.mark.parametrize("name", NAMES)
def test_every_command_builds_it(name: str) -> None:
    checked = surgeon("check", "--build", name)
    assert (checked.exit_code, checked.stdout) == (0, "1 file: no errors found\n")
    counted = surgeon("flops", name, "--imgsz", "64")
    assert counted.exit_code == 0, counted.output
    data = write_data(Path("data"))
    assert plan_training(name, [f"data={data}", *QUICK]).source == name


@pytest.mark.parametrize("base", ["yolov8s.yaml", "yolo11n.yaml", CASE.name])
def test_what_resolve_writes_builds_everywhere(base: str) -> None:
    variant = written(base, "--at", "neck", "--at", "residual", "--k", "7", "--resolve")
    checked = surgeon("check", "--build", variant)
    assert (checked.exit_code, checked.stdout) == (0, "1 file: no errors found\n")
    assert surgeon("flops", variant, "--imgsz", "64").exit_code == 0
    data = write_data(Path("data"))
    assert plan_training(str(variant), [f"data={data}", *QUICK]).stages


def test_a_letter_that_was_asked_for_is_refused_as_before() -> None:
    inserted = surgeon("insert", CASE.name, "--at", "neck", "--scale", "s")
    assert inserted.exit_code == 2
    assert "no scales" in inserted.stderr


def test_variants_with_real_widths_are_counted_whole_where_a_width_is_not_known() -> None:
    text = CASE.read_text()
    text = text.replace("depth_multiple: 0.33\nwidth_multiple: 0.50", "scales: {s: [0.33, 0.5, 1024]}")
    text = text.replace("SPPF, [1024, 5]]\n", "SPPF, [1024, 5]]\n  - [-1, 1, nn.LeakyReLU, []]\n")
    for old, new in (("[-1, 9]", "[-1, 10]"), ("[-1, 12]", "[-1, 13]"), ("15, 18, 21", "16, 19, 22")):
        text = text.replace(old, new)
    Path("yolov8s-unknown.yaml").write_text(text)
    Path("recipe.yaml").write_text(
        "base: yolov8s-unknown.yaml\nmatrix: {at: ['after:10'], k: [7]}\nresolve: true\nimgsz: 64\n"
    )
    made = surgeon("variants", "recipe.yaml", "--costs", "--verify", "build")
    assert made.exit_code == 0, made.output
