"""The skill for agents: its files are valid, and twenty tasks are solved with what it says, and with nothing else."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from ruamel.yaml import YAML
from support import shapes

import lska_surgeon
from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.yolo.build import build

ROOT = Path(__file__).parents[1]
SKILL = ROOT / "skills" / "lska-surgeon" / "SKILL.md"


class Task(NamedTuple):
    """One task as a user words it.

    Attributes:
        text: what is asked for; the files it names are there, and so is data.yaml.
        typed: what somebody types who has read the skill.
        right: whether the folder holds the right answer, looked at without this package where that is possible.
    """

    text: str
    typed: str
    right: Callable[[], bool]


def rows(name: str) -> list[list[Any]]:
    found = YAML(typ="safe").load(Path(name))
    return [*found["backbone"], *found["head"]]


def modules(name: str) -> list[str]:
    return [row[2] for row in rows(name)]


def stock(name: str) -> list[list[Any]]:
    return rows(str(stock_models()[name]))


def params(name: str) -> int:
    return sum(one.numel() for one in build(Path(name)).parameters())


def strides(name: str) -> list[int]:
    return [int(stride) for stride in build(Path(name)).stride]


def outputs(name: str) -> torch.Tensor:
    model = read_checkpoint(name).model.float().eval()
    with torch.no_grad():
        return torch.as_tensor(model(torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64))[0])


def same(one: str, other: str) -> bool:
    return torch.equal(outputs(one), outputs(other))


TASKS = {
    "neck": Task(
        "Put LSKA with kernel size 35 behind every fusion block of yolov8s's neck; write mine-yolov8s.yaml.",
        "insert yolov8s.yaml --at neck --k 35 -o mine-yolov8s.yaml",
        lambda: (
            modules("mine-yolov8s.yaml").count("LSKA") == 4
            and rows("mine-yolov8s.yaml")[-1][0] == [17, 21, 25]
            and params("mine-yolov8s.yaml") > 11_166_560
        ),
    ),
    "levels": Task(
        "In yolov8n's neck: LSKA of size 11 at P3 and of size 35 at P5, and nothing else; write yolov8n-two.yaml.",
        "insert yolov8n.yaml --at neck:p3@11 --at neck:p5@35 -o yolov8n-two.yaml",
        lambda: [row[3][1] for row in rows("yolov8n-two.yaml") if row[2] == "LSKA"] == [11, 35],
    ),
    "edge": Task(
        "yolov8n: an LSKA between layers 9 and 10 that layer 10 alone reads; yolov8n-edge.yaml.",
        "insert yolov8n.yaml --at 'edge:9->10' --k 23 -o yolov8n-edge.yaml",
        lambda: rows("yolov8n-edge.yaml")[10][2] == "LSKA" and rows("yolov8n-edge.yaml")[21][0] == [-1, 9],
    ),
    "cbam": Task(
        "Put CBAM behind yolov8n's SPPF, for all readers; yolov8n-cbam.yaml has to build.",
        "insert yolov8n.yaml --at sppf --op cbam -o yolov8n-cbam.yaml",
        lambda: modules("yolov8n-cbam.yaml")[10] == "CBAM" and params("yolov8n-cbam.yaml") > 0,
    ),
    "c3k2": Task(
        "Replace yolov8n's neck blocks by C3k2; yolov8n-c3k2.yaml.",
        "replace yolov8n.yaml --at neck --by C3k2 -o yolov8n-c3k2.yaml",
        lambda: modules("yolov8n-c3k2.yaml").count("C3k2") == 4 and params("yolov8n-c3k2.yaml") > 0,
    ),
    "down": Task(
        "Let yolov8n sample down by ADown at P4 and P5 only; yolov8n-adown.yaml.",
        "replace yolov8n.yaml --at down:p4,p5 --by ADown -o yolov8n-adown.yaml",
        lambda: (
            "ADown" in modules("yolov8n-adown.yaml")
            and all(row[2] == "Conv" for row in rows("yolov8n-adown.yaml")[:4:3])
            and strides("yolov8n-adown.yaml") == [8, 16, 32]
        ),
    ),
    "segment": Task(
        "Make a segmentation network of yolov8n with its output layer replaced; yolov8n-mask.yaml.",
        "replace yolov8n.yaml --at head --by Segment -o yolov8n-mask.yaml",
        lambda: rows("yolov8n-mask.yaml")[-1][2:] == ["Segment", stock("yolov8-seg.yaml")[-1][3]],
    ),
    "backbone": Task(
        "Give yolov8n the backbone of yolo11n; yolov8n-b11.yaml.",
        "replace yolov8n.yaml --at backbone --by yolo11n.yaml -o yolov8n-b11.yaml",
        lambda: "C3k2" in modules("yolov8n-b11.yaml") and strides("yolov8n-b11.yaml") == [8, 16, 32],
    ),
    "p2": Task(
        "My objects are tiny: give yolov8n a level P2; yolov8n-tiny.yaml.",
        "levels yolov8n.yaml --add p2 -o yolov8n-tiny.yaml",
        lambda: strides("yolov8n-tiny.yaml") == [4, 8, 16, 32],
    ),
    "no p5": Task(
        "yolov8n without its coarsest level; yolov8n-fine.yaml.",
        "levels yolov8n.yaml --drop p5 -o yolov8n-fine.yaml",
        lambda: strides("yolov8n-fine.yaml") == [8, 16],
    ),
    "sppf": Task(
        "Take yolov8n's SPPF out; yolov8n-bare.yaml.",
        "remove yolov8n.yaml --at SPPF -o yolov8n-bare.yaml",
        lambda: "SPPF" not in modules("yolov8n-bare.yaml") and strides("yolov8n-bare.yaml") == [8, 16, 32],
    ),
    "undo": Task(
        "edited.yaml was made from yolov8n.yaml by this tool. Get the base back, byte for byte, as base.yaml.",
        "remove edited.yaml -o base.yaml",
        lambda: Path("base.yaml").read_bytes() == stock_models()["yolov8.yaml"].read_bytes(),
    ),
    "check": Task(
        "stale.yaml was edited by hand and trains badly. Find what is wrong, and correct exactly that, in place.",
        "check stale.yaml --fix | patch -p1",
        lambda: rows("stale.yaml")[-1][0] == [16, 19, 22] and rows("stale.yaml")[18][0] == [-1, 12],
    ),
    "count": Task(
        "How many parameters has yolov8s, fused for deployment, with LSKA of size 23 at its SPPF? As JSON, answer.txt.",
        "insert yolov8s.yaml --at sppf --k 23 -o yolov8s-x.yaml && flops yolov8s-x.yaml --json > answer.txt",
        lambda: (
            json.loads(Path("answer.txt").read_text(encoding="utf-8"))["models"][0]["params"]
            == sum(one.numel() for one in build(Path("yolov8s-x.yaml")).fuse(verbose=False).parameters())
        ),
    ),
    "graft": Task(
        "Put LSKA of size 7 into the neck of base.pt without changing what it predicts; grafted.pt.",
        "graft base.pt --at neck --k 7 -o grafted.pt",
        lambda: same("base.pt", "grafted.pt") and "LSKA" in str(read_checkpoint("grafted.pt").model),
    ),
    "ungraft": Task(
        "graft.pt is base.pt with attention; get the plain network back as plain.pt.",
        "ungraft graft.pt -o plain.pt",
        lambda: same("base.pt", "plain.pt") and "LSKA" not in str(read_checkpoint("plain.pt").model),
    ),
    "into": Task(
        "variant.yaml is base.pt's network with another block in the neck. Start it from base.pt; start.pt.",
        "graft base.pt --into variant.yaml --init default -o start.pt",
        lambda: (
            torch.equal(
                read_checkpoint("start.pt").model.model[0].conv.weight,
                read_checkpoint("base.pt").model.model[0].conv.weight,
            )
            and type(read_checkpoint("start.pt").model.model[8]).__name__ == "C3k2"
        ),
    ),
    "train": Task(
        "Train graft.pt for one epoch at 64 pixels on data.yaml, on the CPU, into runs/first.",
        "train graft.pt data=data.yaml epochs=1 imgsz=64 batch=2 device=cpu workers=0 plots=False"
        " project=$PWD/runs name=first",
        lambda: "LSKA" in str(read_checkpoint(str(next(Path().rglob("first/weights/last.pt")))).model),
    ),
    "own": Task(
        "my_blocks.py has modules of mine. Declare them, so that lska-surgeon knows them in model YAMLs here.",
        "blocks my_blocks.py --write",
        lambda: "[blocks." in Path("lska-surgeon.toml").read_text(encoding="utf-8"),
    ),
    "variants": Task(
        "Write yolov8n with LSKA of size 11 at each of the four recommended places, from a recipe, recipe.yaml.",
        "templates copy recommended -o recipe.yaml && variants recipe.yaml",
        lambda: len(list(Path("variants").glob("*.yaml"))) == 4,
    ),
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the tasks speak of."""
    here = tmp_path_factory.mktemp("given")
    shapes.write_data(here)
    shapes.graft(shapes.write_checkpoint(here), "neck")
    (here / "variant.yaml").write_text(shapes.NETWORK.replace("C2f, [16]] # 8", "C3k2, [16]] # 8"), encoding="utf-8")
    done = shapes.surgeon("insert", "yolov8n.yaml", "--at", "neck", "-o", here / "edited.yaml", "--scale", "n")
    assert done.exit_code == 0
    text = stock_models()["yolov8.yaml"].read_text(encoding="utf-8")
    behind = text.index("\n", text.index("[-1, 3, C2f, [256]]"))
    stale = f"{text[:behind]}\n  - [-1, 1, LSKA, [c2, 23]]{text[behind:]}"
    (here / "stale.yaml").write_text(stale, encoding="utf-8")
    shutil.copytree(ROOT / "tests" / "projects" / "own_blocks" / "nets", here / "nets")
    shutil.copy(ROOT / "tests" / "projects" / "own_blocks" / "my_blocks.py", here)
    return here


def typed(line: str) -> None:
    """Run what somebody types, as a shell does."""
    for command in line.split(" && "):
        command, _, target = command.partition(" > ")
        command, _, patched = command.partition(" | ")
        result = shapes.surgeon(*shlex.split(command.replace("$PWD", str(Path.cwd()))))
        assert result.exit_code == 0 or patched, f"{command}\n{result.output}"
        if target:
            Path(target).write_text(result.stdout, encoding="utf-8")
        if patched:
            done = subprocess.run(shlex.split(patched), input=result.stdout, text=True, capture_output=True)
            assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_solved_with_what_the_skill_says(
    name: str, given: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "settings"))
    shutil.copytree(given, tmp_path, dirs_exist_ok=True)
    task = TASKS[name]
    with pytest.raises(Exception):  # noqa: B017, PT011 # nothing is solved before
        assert task.right()
    typed(task.typed)
    assert task.right()


def test_the_skill_names_every_command_and_option_that_the_tasks_take() -> None:
    text = SKILL.read_text(encoding="utf-8")
    for task in TASKS.values():
        for command in re.split(r" && | \| ", task.typed):
            first, *words = shlex.split(command)
            assert f"{first} " in text
            for word in words:
                if word.startswith("-") and word != "-p1":
                    assert re.search(rf"`[^`]*{re.escape(word)}\b", text), word
    assert len(TASKS) == 20


def test_skill_and_manifests_are_valid_and_agree() -> None:
    """As the linter of ultralytics/skills asks for it."""
    head, body = re.match(r"---\n(.*?)\n---\n(.*)", SKILL.read_text(encoding="utf-8"), re.DOTALL).groups()  # type: ignore[union-attr]
    front = YAML(typ="safe").load(head)
    assert list(front) == ["name", "description"]
    assert front["name"] == SKILL.parent.name
    assert len(front["description"]) <= 1024
    assert body.count("\n") < 500
    agent = YAML(typ="safe").load(SKILL.parent / "agents" / "openai.yaml")["interface"]
    assert 25 <= len(agent["short_description"]) <= 64
    assert "$lska-surgeon" in agent["default_prompt"]
    plugins = [
        json.loads((ROOT / f".{one}-plugin" / "plugin.json").read_text(encoding="utf-8")) for one in ("claude", "codex")
    ]
    for plugin in plugins:
        assert (plugin["version"], plugin["skills"]) == (lska_surgeon.__version__, "./skills/")
    for market in (".claude-plugin", ".agents/plugins"):
        (listed,) = json.loads((ROOT / market / "marketplace.json").read_text(encoding="utf-8"))["plugins"]
        assert listed["name"] == plugins[0]["name"] == plugins[1]["name"]
