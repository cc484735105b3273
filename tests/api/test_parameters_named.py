"""What a verb says names its parameters as Python has them; the command of the same name says its options."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support import shapes

import lska_surgeon as ls
from lska_surgeon.wording import FLAGS, VALUED, as_parameters

#: What a verb is asked, the same of the command, and what each says.
ASKED: dict[str, tuple[Callable[[], object], str, str, str]] = {
    "at": (
        lambda: ls.insert("yolov8s.yaml", "edge:15"),
        "insert yolov8s.yaml --at edge:15",
        "can't read at=\"edge:15\": an edge is 'edge:A->B', such as 'edge:15->22' (in quotes)",
        "can't read --at 'edge:15': an edge is 'edge:A->B', such as 'edge:15->22' (in quotes)",
    ),
    "several": (
        lambda: ls.insert("yolov8s.yaml", "neck, sppf"),
        "insert yolov8s.yaml --at neck,sppf",
        'at="neck, sppf" is several positions: give each its own, as at=["neck", "sppf"]',
        "--at 'neck,sppf' is several positions: give each its own, as --at neck --at sppf",
    ),
    "images": (
        lambda: ls.report("recipe.yaml", images="none"),
        "report recipe.yaml --images none",
        "no folder none: give a folder of images with images=",
        "no folder none: give a folder of images with --images",
    ),
    "image": (
        lambda: ls.graft("base.pt", "neck", image="tiny.yaml"),
        "graft base.pt --at neck --image tiny.yaml",
        "tiny.yaml is not an image: give a JPEG or PNG with image=",
        "tiny.yaml is not an image: give a JPEG or PNG with --image",
    ),
    "write": (
        lambda: ls.insert("tiny.yaml", "neck", output="tiny.yaml").write(),
        "insert tiny.yaml --at neck -o tiny.yaml",
        "tiny.yaml is already there: choose another name with output=, or add force=True to overwrite it",
        "tiny.yaml is already there: choose another name with -o, or add --force to overwrite it",
    ),
    "stage": (
        lambda: ls.train("tiny.yaml", stage="attention", data="data.yaml"),
        "train tiny.yaml --stage attention data=data.yaml",
        'stage="attention" keeps trained layers as they are, and tiny.yaml has none: give a grafted checkpoint',
        "--stage attention keeps trained layers as they are, and tiny.yaml has none: give a grafted checkpoint",
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    shapes.write_checkpoint(tmp_path)
    shapes.write_data(tmp_path)
    (tmp_path / "recipe.yaml").write_text("base: tiny.yaml\nmatrix: {at: neck}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("what", ASKED)
def test_each_front_spells_its_own(what: str) -> None:
    verb, command, in_python, typed = ASKED[what]
    with pytest.raises(ls.SurgeonError) as refused:
        verb()
    assert str(refused.value).replace(f"{Path.cwd()}/", "") == in_python
    result = shapes.surgeon(*command.split())
    assert (result.exit_code, result.stderr) == (2, f"Error: {typed}\n")


def test_notes_and_tables_too() -> None:
    seen = ls.erf("base.pt", imgsz=64, level="p2")
    for shown in (str(seen), seen._repr_html_()):
        assert "images=FOLDER takes yours" in shown
    assert "--images FOLDER takes yours" in shapes.surgeon("erf", "base.pt", "--imgsz", 64, "--level", "p2").stderr
    assert 'at="neck"' in str(ls.positions("tiny.yaml"))
    assert "--at neck" in shapes.surgeon("positions", "tiny.yaml").stdout


@pytest.mark.parametrize(
    "text",
    [
        "put one in with lska-surgeon graft base.pt --at neck",
        "see lska-surgeon check new.yaml --fix",
        "pip install --force-reinstall torch torchvision",
        "say only how many run at once, as --array=%4",
    ],
)
def test_what_is_typed_into_a_shell_stays(text: str) -> None:
    assert as_parameters(text) == text
    assert as_parameters(f"{text}, or add --trust") == f"{text}, or add trust=True"


def test_the_options_that_are_spelled_are_parameters_of_verbs() -> None:
    verbs = [getattr(ls, name) for name in ls.__all__ if inspect.isfunction(getattr(ls, name))]
    parameters = [one for verb in verbs for one in inspect.signature(verb).parameters.values()]
    flags = {one.name for one in parameters if one.annotation == "bool"}
    assert flags >= FLAGS - {"force"}  # of write
    assert {one.name for one in parameters} - flags >= VALUED


def test_no_message_of_the_library_names_an_option_that_python_does_not_spell() -> None:
    """But for options of commands, and of programs that are not ours."""
    foreign = set(
        "ar array index parent dependency device job output chdir requeue json dry help colour ultralytics x notes "
        "no".split()
    )
    for path in Path(ls.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        if "cli" in path.parts or path.name in ("wording.py", "render.py", "plots.py"):  # these two: variables of CSS
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                docs |= {id(part) for part in node.values}
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                text = node.value
            else:
                continue
            left = re.sub(r"(?:lska-surgeon|pip|graft|insert|ray start) [^;:,()]*", "", as_parameters(text))
            assert {*re.findall(r"(?<![\w-])--([a-z]+)", left)} <= foreign, f"{path.name}: {text}"
