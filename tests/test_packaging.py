"""The distribution: what `pip install` brings besides code."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML
from support import shapes
from support.light import brought_by, canonical, light_environment, plain_environment

import lska_surgeon
from lska_surgeon.cli.main import COMMANDS, main
from lska_surgeon.errors import missing_package, needs

ROOT = Path(__file__).parents[1]
TEMPLATES = ROOT / "templates"


def test_installed_version_is_the_packages_own() -> None:
    assert importlib.metadata.version("lska-surgeon") == lska_surgeon.__version__


def test_all_files_for_publishing_say_the_same_version() -> None:
    version = re.escape(lska_surgeon.__version__)
    for name, line in (
        ("CITATION.cff", f"^version: {version}$"),
        ("packaging/conda/recipe.yaml", f'^  version: "{version}"$'),
        ("CHANGELOG.md", rf"^## (?:Unreleased \({version}\)|{version}\b)"),
    ):
        assert re.search(line, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE), name


@pytest.mark.parametrize(
    ("schema", "name"),
    [("citation-file-format", "CITATION.cff"), ("github-workflows", "packaging/release.yml")],
)
def test_files_for_publishing_are_valid(schema: str, name: str) -> None:
    words = ["check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(ROOT / name)]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_conda_and_lska_surgeon_light_ask_for_what_is_asked_for_here() -> None:
    """The light one for what its commands import; conda for all, where some packages have another name."""
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    light = tomllib.loads((ROOT / "light" / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    ours = declared()[""]
    assert set(light) <= set(ours)
    conda = YAML(typ="safe").load(ROOT / "packaging" / "conda" / "recipe.yaml")["requirements"]["run"]
    names = {"matplotlib": "matplotlib-base", "opencv-python": "opencv", "torch": "pytorch"}
    asked = {re.match(r"([\w.-]+?)\s*(>=[\w.]+)", line.partition(";")[0]).groups() for line in ours}  # type: ignore[union-attr]
    assert {(names.get(name, name), least) for name, least in asked} == {
        tuple(line.split()) for line in conda if not line.startswith("python ")
    }


def test_templates_and_type_marker_ship_inside_the_package() -> None:
    installed = {str(path) for path in importlib.metadata.files("lska-surgeon") or ()}
    if "lska_surgeon/__init__.py" not in installed:
        pytest.skip("an editable install points at the checkout and carries no files")
    assert "lska_surgeon/py.typed" in installed
    shipped = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*") if path.is_file()}
    assert {f"lska_surgeon/templates/{name}" for name in shipped} <= installed


def run_hook(*files: Path) -> Result:
    """Run the pre-commit template's hook on `files`, as pre-commit does."""
    (repo,) = YAML(typ="safe").load(TEMPLATES / "pre-commit-config.yaml")["repos"]
    (hook,) = repo["hooks"]
    command, *words = shlex.split(hook["entry"])
    assert command == "lska-surgeon"
    return CliRunner().invoke(main, [*words, *map(str, files)])


def test_pre_commit_template_passes_right_files_and_stops_wrong_ones(tmp_path: Path) -> None:
    right, wrong = tmp_path / "yolov8s-right.yaml", tmp_path / "yolov8s-wrong.yaml"
    made = CliRunner().invoke(main, ["insert", "yolov8s.yaml", "--at", "neck", "--k", "35", "-o", str(right)])
    assert made.exit_code == 0, made.output
    text = right.read_text(encoding="utf-8")
    wrong.write_text(
        text.replace("[[17, 21, 25], 1, Detect, [nc]]", "[[15, 18, 21], 1, Detect, [nc]]"), encoding="utf-8"
    )
    assert wrong.read_text(encoding="utf-8") != text
    assert run_hook(right).exit_code == 0
    assert run_hook(right, wrong).exit_code == 1
    data, chart = tmp_path / "data.yaml", tmp_path / "chart.yaml"
    data.write_text("train: images\nnames: [backbone]\n", encoding="utf-8")
    chart.write_text("kind: {{ .Values.kind }}\n---\nname: two\n", encoding="utf-8")
    assert run_hook(data, chart).output == "0 files: no errors found; 2 others no model YAML\n"
    assert run_hook(data).exit_code == 0
    assert run_hook(data, right, wrong).exit_code == 1


# What is imported is declared.


def declared() -> dict[str, list[str]]:
    """Extra, "" for none -> its requirements, as pyproject.toml has them."""
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def names_of(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[^\w.-]", line)[0]) for line in requirements}


#: What brings more than the plain install.
EXTRAS = ("timm", "onnx", "openvino", "ncnn", "mnn", "tensorrt", "coreml", "ray")
#: Modules whose distribution has another name.
DISTRIBUTIONS = {"cv2": "opencv-python", "ruamel": "ruamel-yaml"}


def imported() -> set[str]:
    """The top-level names of what the package imports from elsewhere, at the top of a file or later."""
    found: set[str] = set()
    for path in Path(lska_surgeon.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.partition(".")[0])
    return found - {"lska_surgeon", "typing_extensions"}  # the second for type checkers alone


@pytest.mark.skipif(sys.version_info < (3, 10), reason="sys.stdlib_module_names is new in 3.10")
def test_everything_that_is_imported_is_declared() -> None:
    extras = declared()
    known = set().union(*(names_of(extras[name]) for name in ("", *EXTRAS)))
    foreign = imported() - sys.stdlib_module_names - {"tomllib"}
    assert len(foreign) > 12
    assert {DISTRIBUTIONS.get(name, canonical(name)) for name in foreign} - known == set()


def test_every_missing_package_has_the_same_words_and_a_remedy_that_brings_it() -> None:
    extras = declared()
    for name in names_of(extras[""]) - {"ultralytics"}:
        assert str(needs(name)) == f"this needs {name}, which is not installed: pip install lska-surgeon"
    for extra in EXTRAS:
        for name in names_of(extras[extra]) - {"lska-surgeon"}:
            assert str(needs(name)).endswith(f'is not installed: pip install "lska-surgeon[{extra}]"')
    assert str(needs("onnx", "onnxruntime", what="runtime onnx")) == (
        'runtime onnx needs onnx and onnxruntime, which are not installed: pip install "lska-surgeon[onnx]"'
    )


@pytest.mark.parametrize(("module", "is_ours"), [("lska_surgeon.somewhere", True), ("their_blocks", False)])
def test_a_module_that_their_code_misses_is_not_one_that_we_need(module: str, is_ours: bool) -> None:
    with pytest.raises(ModuleNotFoundError) as missing:
        exec("import nowhere_at_all", {"__name__": module})
    assert (missing_package(missing.value) is not None) is is_ours


# The light install: every command works, or says in one line what it needs.

RECIPE = """\
base: tiny.yaml
matrix: {at: [neck, sppf], k: 7}
imgsz: 64
train: {data: data/data.yaml, epochs: 1, imgsz: 64, batch: 2}
seeds: [0]
"""
TORCH = "this needs torch"
#: Words of a command -> what it lacks in the light install; "" where it works.
LIGHT = {
    "insert yolov8n.yaml --at neck -o x.yaml": "",
    "insert yolov8n.yaml --at neck --op timm:se -o y.yaml": "",
    "replace yolov8n.yaml --at neck --by C3k2 -o z.yaml": "",
    "levels yolov8n.yaml --add p2 -o l.yaml": "",
    "remove v.yaml -o base.yaml": "",
    "positions yolov8n.yaml": "",
    "check v.yaml": "",
    "check --build v.yaml": TORCH,
    "flops v.yaml": TORCH,
    "flops base.pt": TORCH,
    "blocks": "",
    "blocks v.yaml": "",
    "diff tiny.yaml v.yaml": "",
    "diff tiny.yaml v.yaml --costs": TORCH,
    "curves yolov8n.yaml --at neck": "",
    "curves yolov8n.yaml --at neck -o c.svg": "a .svg needs matplotlib",
    "draw v.yaml -o d.svg": "",
    "draw v.yaml -o d.png": "a .png needs matplotlib",
    "draw base.pt -o e.svg": TORCH,
    "variants recipe.yaml": "",
    "variants recipe.yaml --check": "",
    "variants recipe.yaml --costs": "what tiny.yaml costs is not known, and to count it needs torch",
    "variants recipe.yaml --verify build": TORCH,
    "report recipe.yaml -o r.html": "this needs numpy",
    "report recipe.yaml --images images -o s.html": "this needs numpy",
    "templates": "",
    "templates show github": "",
    "templates copy github": "",
    "graft base.pt --at neck": TORCH,
    "graft base.pt --at neck --image images/0.png": "this needs cv2",
    "ungraft graft.pt": TORCH,
    "adopt base.pt": TORCH,
    "train v.yaml data=data/data.yaml": TORCH,
    "train graft.pt --stage attention data=data/data.yaml": TORCH,
    "export base.pt --format torchscript": TORCH,
    "ablate recipe.yaml --dry-run": "this needs numpy",
    "ablate recipe.yaml --ray auto": "this needs numpy",
    "results recipe.yaml": "this needs numpy",
    "results run": "this needs numpy",
    "latency v.yaml": TORCH,
    "latency v.yaml --runtime onnx": TORCH,
    "latency --recipe recipe.yaml": TORCH,
    "inspect base.pt": TORCH,
    "erf base.pt": TORCH,
    "erf base.pt -o e.png": "a .png needs matplotlib",
    "yolo version": TORCH,
    "yolo detect predict model=base.pt": TORCH,
    "autoload status": "",
    "autoload on": "",
    "autoload off": "",
    "doctor": "",
    "--help": "",
    "train --help": "",
}


def fill(folder: Path) -> None:
    """What the commands speak of."""
    shapes.write_network(folder)
    shapes.graft(shapes.write_checkpoint(folder), "neck")
    shapes.write_data(folder / "data")
    (folder / "images").symlink_to(folder / "data" / "images" / "val")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "run").mkdir()
    (folder / "run" / "args.yaml").write_text("model: tiny.yaml\ndata: data/data.yaml\nseed: 0\n", encoding="utf-8")
    (folder / "run" / "results.csv").write_text("epoch,metrics/mAP50-95(B)\n1,0.5\n", encoding="utf-8")
    made = shapes.surgeon("insert", folder / "tiny.yaml", "--at", "neck", "-o", folder / "v.yaml")
    assert made.exit_code == 0, made.output


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder, and the light environment to work in."""
    folder = tmp_path_factory.mktemp("light")
    variables = light_environment(folder / "venv")
    (folder / "here").mkdir()
    fill(folder / "here")
    return folder / "here", variables


def test_every_command_is_tried_in_both_installs() -> None:
    for tried in (LIGHT, PLAIN):
        assert {words.split()[0] for words in tried} >= {*COMMANDS}


@pytest.mark.slow
@pytest.mark.parametrize("words", LIGHT)
def test_the_light_install_works_or_says_what_it_needs(words: str, light: tuple[Path, dict[str, str]]) -> None:
    folder, variables = light
    done = subprocess.run(
        ["lska-surgeon", *shlex.split(words)], cwd=folder, env=variables, capture_output=True, text=True
    )
    if LIGHT[words]:
        said = f"Error: {LIGHT[words]}, which is not installed: pip install lska-surgeon\n"
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.replace("recipe.yaml, line 1, base: ", "") == said
    else:
        assert done.returncode == 0, done.stderr


def test_a_verb_says_in_python_what_it_needs(light: tuple[Path, dict[str, str]]) -> None:
    folder, variables = light
    code = "import lska_surgeon as ls\ntry: ls.report('recipe.yaml')\nexcept ls.SurgeonError as error: print(error)"
    done = subprocess.run(["python", "-c", code], cwd=folder, env=variables, capture_output=True, text=True)
    assert done.stdout == "this needs numpy, which is not installed: pip install lska-surgeon\n", done.stderr


# The plain install: the same, without what the extras bring.

QUICK = " ".join(shapes.QUICK)
TIMM = 'timm:se needs timm, which is not installed: pip install "lska-surgeon[timm]"'
#: Words of a command -> the extra that it lacks in the plain install; "" where it works.
PLAIN = {
    "insert yolov8n.yaml --at neck --op timm:se -o x.yaml": "",
    "insert tiny.yaml --at neck --op timm:se -o y.yaml": "",
    "replace yolov8n.yaml --at neck --by C3k2 -o z.yaml": "",
    "levels yolov8n.yaml --add p2 -o l.yaml": "",
    "remove v.yaml -o base.yaml": "",
    "positions yolov8n.yaml": "",
    "check --build v.yaml": "",
    "flops v.yaml": "",
    "flops y.yaml": TIMM,
    "blocks v.yaml": "",
    "diff tiny.yaml v.yaml --costs": "",
    "curves yolov8n.yaml --at neck -o c.svg": "",
    "draw base.pt -o d.png": "",
    "variants recipe.yaml --costs --verify build": "",
    "report recipe.yaml -o r.html": "",
    "templates": "",
    "graft base.pt --at neck --k 7 --image images/0.png -o g.pt": "",
    "graft base.pt --at neck --op timm:se -o h.pt": TIMM,
    "ungraft graft.pt": "",
    "inspect base.pt": "",
    "adopt base.pt": "there is nothing to adopt",
    f"train graft.pt --stage attention data=data/data.yaml project={{folder}}/runs {QUICK}": "",
    "ablate recipe.yaml --dry-run": "",
    "ablate recipe.yaml --ray auto": 'a Ray cluster needs ray, which is not installed: pip install "lska-surgeon[ray]"',
    "results run": "",
    "latency v.yaml --rounds 2 --imgsz 64": "",
    "latency v.yaml --runtime onnx": str(needs("onnxruntime", "onnx", "onnxslim", what="runtime onnx")),
    "erf base.pt --imgsz 64 -o e.png": "",
    "yolo version": "",
    "export base.pt --format onnx --imgsz 64": 'pip install "lska-surgeon[onnx]"',
    "yolo export model=base.pt format=onnx imgsz=64": 'pip install "lska-surgeon[onnx]"',
    "autoload status": "",
    "doctor": "",
}
#: One process for all: importing torch takes seconds.
RUN_ALL = """
import json, sys, traceback
from click.testing import CliRunner
from lska_surgeon.cli.main import main
found = {}
for words in json.load(open(sys.argv[1])):
    done = CliRunner().invoke(main, words.split())
    raised = done.exception if isinstance(done.exception, Exception) else None
    found[words] = [done.exit_code, done.stderr, "".join(traceback.format_exception(type(raised), raised, None))]
json.dump(found, open(sys.argv[1], "w"))
"""


@pytest.mark.slow
def test_the_plain_install_works_or_names_the_extra(tmp_path: Path) -> None:
    variables: dict[str, Any] = plain_environment(tmp_path / "hidden", declared()[""])
    folder = tmp_path / "here"
    folder.mkdir()
    fill(folder)
    asked = {words.replace("{folder}", str(folder)): told for words, told in PLAIN.items()}
    (tmp_path / "words.json").write_text(json.dumps(list(asked)), encoding="utf-8")
    variables["YOLO_CONFIG_DIR"] = str(tmp_path / "settings")
    words = [sys.executable, "-c", RUN_ALL, str(tmp_path / "words.json")]
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "words.json").read_text(encoding="utf-8"))
    for words, told in asked.items():
        code, said, raised = found[words]
        if told:
            assert code == 2, f"{words}: {said}{raised}"
            assert said.count("\n") == 1, f"{words}: {said}"
            assert told in said
        else:
            assert code == 0, f"{words}: {said}{raised}"


def test_the_plain_install_has_none_of_the_extras() -> None:
    extras = declared()
    brought = brought_by(extras[""])
    assert {"torch", "ultralytics", "jinja2"} <= brought
    for extra in EXTRAS:
        assert brought.isdisjoint(names_of(extras[extra]))
