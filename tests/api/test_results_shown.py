"""What the verbs give back: data, text, tables for a notebook, and files that are never overwritten unasked."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import images, shapes
from support.ablations import RECIPE, write_recipe
from support.cells import Cells
from support.fresh import fresh

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.errors import ArgumentError, CheckpointError, PositionError, SurgeonError, TargetError
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.reports import Result, Table

VARIANT = "yolov8n-lska-neck-k35.yaml"
#: The same asked of a verb and of the command, in a folder with a variant and a recipe.
SAME: dict[str, tuple[Callable[[], Any], str]] = {
    "insert": (
        lambda: ls.insert("yolov8s.yaml", ["neck", "sppf@11"], op="lka"),
        "insert yolov8s.yaml --at neck --at sppf@11 --op lka --dry-run",
    ),
    "remove": (lambda: ls.remove(VARIANT, output="new.yaml"), f"remove {VARIANT} -o new.yaml --dry-run"),
    "positions": (lambda: ls.positions("yolov8.yaml", scale="m"), "positions yolov8.yaml --scale m"),
    "check": (lambda: ls.check("broken.yaml"), "check broken.yaml"),
    "diff": (lambda: ls.diff("yolov8n.yaml", VARIANT, imgsz=320), f"diff yolov8n.yaml {VARIANT} --imgsz 320"),
    "flops": (
        lambda: ls.flops("yolov8n.yaml", imgsz=(320, 640), fuse=False),
        "flops yolov8n.yaml --imgsz 320,640 --no-fuse",
    ),
    "templates": (ls.templates, "templates"),
    "variants": (lambda: ls.variants("recipe.yaml"), "variants recipe.yaml --dry-run"),
    "checked variants": (lambda: ls.variants("recipe.yaml", check=True), "variants recipe.yaml --check"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    ls.insert("yolov8n.yaml", "neck", k=35).write()
    text = Path(VARIANT).read_text(encoding="utf-8")
    Path("broken.yaml").write_text(text.replace("[[-1, 6], 1, Concat", "[[-1, 5], 1, Concat"), encoding="utf-8")
    ls.templates()["designs"].write("recipe.yaml")
    return tmp_path


def as_json(words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CliRunner().invoke(main, [*words.split(), "--json"]).stdout)
    return found


@pytest.mark.parametrize("what", SAME)
def test_json_is_the_command_s_a_notebook_shows_tables_and_a_terminal_plain_text(what: str) -> None:
    verb, words = SAME[what]
    result = verb()
    assert json.loads(json.dumps(result.to_dict())) == as_json(words)
    shown = result._repr_html_()
    page = Cells(shown.partition("</svg>\n</div>")[2] or shown)
    assert page.tags <= {"table", "tr", "th", "td", "pre"}
    tables = [part for part in result.report().shown if isinstance(part, Table)]
    assert len(page.cells) == sum(len(t.header) * (len(t.rows) + 1) for t in tables)
    text = str(result)
    assert all(str(part) in text for part in result.report().shown if isinstance(part, str))
    assert "\x1b" not in text
    assert repr(result).startswith(f"<{type(result).__name__} ")
    assert "\n" not in repr(result)
    assert tables or what == "remove"


@pytest.mark.parametrize("output", [None, "-"])
def test_an_insertion_shows_its_drawing_in_a_notebook(output: str | None) -> None:
    variant = ls.insert("yolov8s.yaml", "neck", k=35, output=output)
    shown = variant._repr_html_()
    assert ls.draw("yolov8s.yaml", variant).svg in shown
    image = images.read(shown[shown.index("<svg") : shown.index("</svg>") + len("</svg>")])
    images.assert_complete(image, variant.rewrite.after)
    assert {name for name, style in image.styles.items() if style == "operator"} == {
        f"row-{index}" for index in variant.rewrite.inserted
    }
    assert shown.count("<table>") == 1


@pytest.fixture
def trained(folder: Path) -> Path:
    """A checkpoint, a recipe to train, and a run that is there."""
    shapes.write_checkpoint(folder)
    write_recipe(folder, RECIPE)
    (folder / "run").mkdir()
    (folder / "run" / "args.yaml").write_text("model: tiny.yaml\ndata: shapes/data.yaml\nimgsz: 64\n", encoding="utf-8")
    (folder / "run" / "results.csv").write_text("epoch,metrics/mAP50-95(B)\n1,0.5\n", encoding="utf-8")
    return folder


#: What a notebook shows -> whether a figure is in it.
SEEN: dict[str, tuple[Callable[[], Any], bool]] = {
    "curves": (lambda: ls.curves("yolov8n.yaml", "neck"), True),
    "erf": (lambda: ls.erf("base.pt", imgsz=64, level="p2"), True),
    "results": (lambda: ls.results("run"), True),
    "ablate": (lambda: ls.ablate("recipe.yaml", dry_run=True), False),
    "latency": (lambda: ls.latency("tiny.yaml", imgsz=64, rounds=2), False),
}


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("verb", SEEN)
def test_a_notebook_shows_figures_and_tables(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, figure = SEEN[verb]
    found = made()
    capsys.readouterr()
    shown = found._repr_html_()
    assert shown.count("<svg") == int(figure)
    assert "<?xml" not in shown
    assert len(Cells(shown.partition("</svg>")[2] or shown).cells) > 3
    assert "".join(capsys.readouterr()) == ""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    assert found._repr_html_() == shown[shown.find("</div>") + len("</div>") :] if figure else shown


@pytest.mark.parametrize("where", ["notebook", "script"])
def test_a_notebook_has_ultralytics_log_on_standard_output(where: str) -> None:
    """It shows standard error on red."""
    code = (
        "import sys, types\n"
        f"if {where == 'notebook'}: sys.modules['ipykernel'] = types.ModuleType('ipykernel')\n"
        "import lska_surgeon as ls; ls.check('yolov8n.yaml', build=True)\n"
        "from ultralytics.utils import LOGGER; LOGGER.info('epoch 1')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (("epoch 1\n", "") if where == "notebook" else ("", "epoch 1\n"))


def test_insert_itself_does_not_import_what_draws() -> None:
    code = (
        "import sys, lska_surgeon as ls; str(ls.insert('yolov8s.yaml', 'neck')); "
        "print([name for name in sys.modules if name.startswith('lska_surgeon.drawing')])"
    )
    assert fresh(code) == "[]\n"


def test_a_file_s_name_is_never_read_as_html() -> None:
    Path("<img src=x>.yaml").write_bytes(stock_models()["yolov8.yaml"].read_bytes())
    assert "<img" not in ls.insert("<img src=x>.yaml", "sppf")._repr_html_()


def test_notes_are_shown_and_carried() -> None:
    found = ls.positions("yolov8.yaml")
    assert found.notes == ("yolov8.yaml names no scale, so this is n, the first of n, s, m, l, x",)
    assert str(found).startswith(f"Note: {found.notes[0]}\n")
    assert found.notes[0] in found._repr_html_()


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: ls.insert("yolov8n.yaml", "sppf"), "yolov8n-lska-sppf-k23.yaml"),
        (lambda: ls.remove(VARIANT), "yolov8n.yaml"),
        (lambda: ls.templates()["recommended"], "recommended.yaml"),
    ],
)
@pytest.mark.parametrize("given", [None, "yolov8n-mine.yaml"])
def test_write_keeps_a_file_that_is_there(made: Callable[[], Any], name: str, given: str | None) -> None:
    written = made().write(given)
    assert written == Path(given or name)
    before = written.read_bytes()
    written.write_text("mine", encoding="utf-8")
    with pytest.raises(TargetError, match="is already there"):
        made().write(given)
    assert written.read_text(encoding="utf-8") == "mine"
    assert made().write(given, force=True) == written
    assert written.read_bytes() == before


def test_write_under_another_name_is_what_the_command_writes_under_it() -> None:
    """Ultralytics reads the scale and the family from the file's name, so a name is more than a name."""
    ls.insert("yolov8s.yaml", "neck").write("no-scale.yaml")
    CliRunner().invoke(main, "insert yolov8s.yaml --at neck -o as-command.yaml".split())
    assert Path("no-scale.yaml").read_bytes() == Path("as-command.yaml").read_bytes()
    world = ls.insert("yolov8s-world.yaml", "neck")
    with pytest.raises(TargetError, match="by its name"):
        world.write("mine.yaml")
    with pytest.raises(TargetError, match="by its name"):
        ls.remove(world.write()).write("mine.yaml")
    with pytest.raises(TargetError, match=r"x\.txt does not end in \.yaml"):
        ls.insert("yolov8s.yaml", "neck").write("x.txt")
    with pytest.raises(TargetError, match="say where to write it"):
        ls.insert("yolov8s.yaml", "neck", output="-").write()


def test_check_writes_the_text_that_it_puts_right() -> None:
    found = ls.check("broken.yaml")
    assert not found.ok
    assert "[[-1, 6], 1, Concat" in found.fixed_text
    with pytest.raises(TargetError, match=r"broken\.yaml is already there"):
        found.write()
    assert ls.check(found.write("fixed.yaml")).ok
    assert ls.check(found.write(force=True)).ok
    with pytest.raises(TargetError, match="nothing was written"):
        ls.check("broken.yaml").write(force=True)


def test_variants_are_written_once_told_to(folder: Path) -> None:
    planned = ls.variants("recipe.yaml")
    assert not (folder / "variants").exists()
    assert planned.written
    done = planned.write()
    assert done.written == planned.written
    assert all((folder / name).is_file() for name in done.written)
    assert ls.variants("recipe.yaml", check=True).failed is False
    edited = folder / done.written[0]
    edited.write_text(f"{edited.read_text(encoding='utf-8')}# mine\n", encoding="utf-8")
    assert ls.variants("recipe.yaml", check=True).failed
    with pytest.raises(TargetError, match="was edited by hand"):
        ls.variants("recipe.yaml")
    ls.variants("recipe.yaml", force=True).write()
    assert not ls.variants("recipe.yaml", check=True).failed


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        (lambda: ls.insert("yolov8s.yaml", []), PositionError, "say where"),
        (lambda: ls.insert("yolov8s.yaml", "nek"), PositionError, "did you mean neck"),
        (lambda: ls.graft("x.pt"), ArgumentError, "one of the two"),
        (lambda: ls.graft("x.pt", "neck"), CheckpointError, "no file x.pt"),
        (lambda: ls.graft("x.pt", "neck", output="x.yaml"), TargetError, r"does not end in \.pt"),
        (lambda: ls.ungraft("x.pt"), CheckpointError, "no file x.pt"),
        (lambda: ls.load_checkpoint("x.pt"), CheckpointError, "no file x.pt"),
        (lambda: ls.flops("x.pt"), CheckpointError, "no file x.pt"),
        (lambda: ls.flops("yolov8n.yaml", imgsz=(1, 2, 3)), SurgeonError, "is not a size"),  # type: ignore[arg-type]
        (lambda: ls.flops("yolov8n.yaml", batch=0), SurgeonError, "batch 0"),
        (lambda: ls.train("yolov8n.yaml", epochs=1), SurgeonError, "say what to train on"),
        (lambda: ls.train("x.pt", data="x.yaml"), CheckpointError, "no file x.pt"),
        (lambda: ls.train("yolov8n.yaml", stage="both", warm=0, data="x.yaml"), SurgeonError, "warm 0"),
        (lambda: ls.variants("recipe.yaml", jobs=0), SurgeonError, "jobs 0"),
        (lambda: ls.templates()["desings"], TargetError, "did you mean designs"),
    ],
)
def test_a_error_is_an_exception_of_one_line(asked: Callable[[], object], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told) as found:
        asked()
    assert isinstance(found.value, ls.SurgeonError)
    assert "\n" not in str(found.value)


def test_every_result_has_a_short_name() -> None:
    """A dataclass makes a `repr` of all that it holds, tensors and texts, unless told not to."""
    package = Path(ls.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if "def report(self) -> Report:" in path.read_text(encoding="utf-8") and path.name != "reports.py":
            importlib.import_module(".".join(["lska_surgeon", *path.relative_to(package).with_suffix("").parts]))
    kinds: list[type] = [Result]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {"Curves", "Graft", "Insertion", "Insight"} <= {kind.__name__ for kind in kinds}
    assert {kind.__name__ for kind in kinds if "__repr__" in vars(kind)} == {"Result"}


def test_every_result_has_notes(tmp_path: Path) -> None:
    assert ls.templates().notes == ()
    text = stock_models()["yolov8.yaml"].read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert any("names no scale" in note for note in ls.check([tmp_path / "mine.yaml"]).notes)
    assert not hasattr(ls.templates(), "note")
