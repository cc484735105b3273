"""What is read of a Python file, of each way in which people write their classes; and what running them tells more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import SOURCE_WIDTH, CustomModule
from lska_surgeon.declarations.find import VARIABLE, read_declarations
from lska_surgeon.declarations.scan import Scan, scan

HEAD = "import torch\nfrom torch import nn\n\n\n"
INIT = "    def __init__(self, {parameters}):\n        super({name}, self).__init__()\n"
FORWARD = "    def forward(self, x):\n        return x\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == code, done.output
    return done


def scanned(text: str, head: str = HEAD) -> Scan:
    Path("mine.py").write_text(head + text, encoding="utf-8")
    return scan(Path("mine.py"))


def of_class(parameters: str, body: str = "", name: str = "Mine", forward: str = FORWARD) -> Scan:
    """The scan of a file with one class."""
    start = INIT.format(parameters=parameters, name=name) if parameters else ""
    return scanned(f"class {name}(nn.Module):\n{start}{body}{forward}")


@pytest.mark.parametrize(
    "parameter",
    "dim n_dims in_size inp in_planes inplanes input_channels nin in_channel channel=512 channels c c1 in_features "
    "embed_dim num_features d_model n_feats chan in_dim inc dim_in whatever".split(),
)
def test_the_first_parameter_is_the_width_under_any_name(parameter: str) -> None:
    (block,) = of_class(f"{parameter}, k=3").blocks.values()
    assert (block.like, block.channels_first, block.args) == ("attention", True, ())


@pytest.mark.parametrize(
    "parameter", ["", "e_lambda=1e-4", "groups=8", "k=3", "kernel_size=7", "no_spatial=False", "reduction=16", "nc=80"]
)
def test_other_first_parameters_are_none(parameter: str) -> None:
    assert not of_class(parameter).blocks["Mine"].channels_first


def test_what_layers_are_made_of_is_a_width_whatever_it_is_called() -> None:
    body = "        self.conv = nn.Conv2d(in_channels=pippo, out_channels=pippo, kernel_size=1)\n"
    assert of_class("pippo=64", body).blocks["Mine"].channels_first
    assert not of_class("pippo=64").blocks["Mine"].channels_first


@pytest.mark.parametrize(
    ("name", "parameters", "like", "first", "args", "wants"),
    [
        ("CoordAtt", "inp, oup, reduction=32", "attention", True, (SOURCE_WIDTH,), ()),
        ("Mine", "c1, c2=None", "attention", True, (), ()),
        ("Mine", "c1, c2, k=1", "Conv", False, (), ()),
        ("Mine", "in_ch, out_ch, k_size, d", "Conv", False, (), ("k_size", "d")),
        ("Mine", "c1, c2, n=1, e=0.5", "C2f", False, (), ()),
        ("C3_Mine", "c1, c2, n=1, e=0.5", "C3", False, (), ()),
        ("Mine", "channel, q_size, n_heads=8", "attention", True, (), ("q_size",)),
        ("Mine", "nc=80, hidc=256, ch=()", "Detect", False, (), ()),
        ("SegmentX", "nc=80, nm=32, ch=()", "Segment", False, (), ()),
    ],
)
def test_what_a_constructor_takes(
    name: str, parameters: str, like: str, first: bool, args: tuple[object, ...], wants: tuple[str, ...]
) -> None:
    found = of_class(parameters, name=name)
    block = found.blocks[name]
    assert (block.like, block.channels_first, block.args, found.wants.get(name, ())) == (like, first, args, wants)


FUSED = "    def forward(self, xs):\n        return sum(x for x in xs)\n"
JOINED = "    def forward(self, x):\n        return torch.cat([x[0], x[1]], 1)\n"


@pytest.mark.parametrize(
    ("parameters", "body", "forward", "expected"),
    [
        ("channels", "", FUSED, CustomModule("Mine", "mine.py:Mine", "add", True)),
        ("channels", "        self.c = nn.Conv2d(channels, 8, 1)\n", FUSED,
         CustomModule("Mine", "mine.py:Mine", "add", args=(SOURCE_WIDTH,))),
        ("c1, c2", "        self.c = nn.Conv2d(c1, c2, 1)\n", FUSED,
         CustomModule("Mine", "mine.py:Mine", "add", args=(SOURCE_WIDTH, SOURCE_WIDTH))),
        ("inc, channel", "        self.c = nn.ModuleList(nn.Conv2d(c, channel, 1) for c in inc)\n", FUSED,
         CustomModule("Mine", "mine.py:Mine", "add", True, args=(SOURCE_WIDTH,))),
        ("dimension=1", "", JOINED, CustomModule("Mine", "mine.py:Mine", "Concat")),
    ],
)  # fmt: skip
def test_fusions(parameters: str, body: str, forward: str, expected: CustomModule) -> None:
    assert of_class(parameters, body, forward=forward).blocks["Mine"] == expected


def test_space_to_depth_is_read_off_its_slices() -> None:
    parts = ", ".join(f"x[..., {a}::2, {b}::2]" for a in ("", 1) for b in ("", 1))
    forward = f"    def forward(self, x):\n        return torch.cat([{parts}], 1)\n"
    block = of_class("dimension=1", name="space_to_depth", forward=forward).blocks["space_to_depth"]
    assert (block.like, block.channels_first, block.stride, block.width) == ("attention", False, 2, "4*c")


FILE = """
class Gate(nn.Module):
    def __init__(self, dim):
        super().__init__()
    def forward(self, x):
        return x
class Whole(nn.Module):
    def __init__(self, c1, c2, n=1):
        super(Whole, self).__init__()
        self.gate = Gate(c2)
    def forward(self, x):
        return x
class WholeC(Whole):
    def __init__(self, c1, c2, n=1):
        super(WholeC, self).__init__(c1, c2)
class Both(nn.Module):
    def forward(self, x, y):
        return x + y
class Optional(nn.Module):
    def forward(self, x, mask=None):
        return x
class Elsewhere(BaseModule):
    def forward(self, x):
        return x
class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x
class Options:
    pass
if True:
    class Branch(nn.Conv2d):
        pass
if __name__ == "__main__":
    class Script(nn.Module):
        pass
"""


def test_all_that_can_stand_in_a_row_is_listed_and_helpers_are_marked() -> None:
    found = scanned(FILE, "import torch\nfrom torch import nn\nfrom mmengine.model import BaseModule\n")
    assert list(found.blocks) == ["Whole", "WholeC", "Optional", "Elsewhere", "Branch", "Gate"]
    assert found.parts == {"Gate": ("Whole",)}
    assert [found.blocks[name].like for name in ("Whole", "WholeC")] == ["C2f", "C2f"]
    assert found.notes == (
        "line 3 imports mmengine.model, which is not here: install what has mmengine, or take the line out",
        "a row gives one value, and forward of these takes another number: Both",
    )


@pytest.mark.parametrize(
    ("name", "row"), [("LSKA", "MyLSKA"), ("C2f", "MyC2f"), ("cbam", "MyCbam"), ("Attention", "MyAttention")]
)
def test_a_name_that_is_taken_gives_a_row_of_another(name: str, row: str) -> None:
    found = of_class("c1, c2, n=1", name=name)
    assert [(one, block.target) for one, block in found.blocks.items()] == [(row, f"mine.py:{name}")]
    assert found.notes[0].startswith(f"{name} is declared as {row}, for its own name can't be: ")


def test_a_width_that_is_not_handed_on_is_told() -> None:
    found = scanned(
        "class Part(nn.Module):\n"
        + INIT.format(parameters="channel=512, k=3", name="Part")
        + FORWARD
        + "class Whole(nn.Module):\n"
        + INIT.format(parameters="channels", name="Whole")
        + "        self.part = Part()\n"
        + FORWARD
    )
    assert found.notes == (
        "Whole builds Part() with its default channel=512, so it runs on that width alone: write Part(channels) "
        "in line 13",
    )


def test_a_build_that_fails_says_what_to_write(folder: Path) -> None:
    Path("kinds.py").write_text(KINDS, encoding="utf-8")
    Path("parts.py").write_text(PARTS, encoding="utf-8")
    for file, op, told in (
        ("kinds.py", "Sized", "; it takes channel, q_size, heads=2: give args in blocks.Sized, or let lska-surgeon "
         "blocks kinds.py --trust look for them"),
        ("parts.py", "Whole", "; Whole builds Part() with its default channel=512, so it runs on that width alone: "
         "write Part(dim) in line 14"),
    ):  # fmt: skip
        run("blocks", file, "--write", "--force", "-o", f"{op}.toml")
        words = ("yolov8n.yaml", "--at", "sppf", "--op", op, "--blocks", f"{op}.toml", "-o", f"yolov8n-{op}.yaml")
        run("insert", *words)
        assert told in run("check", "--build", f"yolov8n-{op}.yaml", "--blocks", f"{op}.toml", code=1).output


@pytest.fixture
def packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that has moved its modules since."""
    for file, text in {
        "moved/__init__.py": "",
        "moved/layers/__init__.py": "from .act import make_act\nfrom .mlp import Mlp\n",
        "moved/layers/act.py": "def make_act(): ...\ndef get_act(): ...\n",
        "moved/layers/mlp.py": "class Mlp: ...\n",
        "moved/models/__init__.py": "",
        "moved/models/layers/__init__.py": "from moved.layers import make_act\n",
    }.items():
        (folder / "site" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "site" / file).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder / "site"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("from moved.models.layers.act import make_act, get_act",
         "line 3 imports moved.models.layers.act, which moved does not have; write from moved.layers.act import "
         "make_act, get_act"),
        ("from moved.models.layers import make_act", None),
        ("from moved.models.layers import make_act, Mlp",
         "line 3 imports moved.models.layers for Mlp, which moved does not have there; write from moved.layers import "
         "Mlp"),
        ("from moved.layers.act import gone",
         "line 3 imports moved.layers.act for gone, which moved does not have there: edit the line, or install a "
         "release of the time of the file"),
        ("import moved.layers.old", "line 3 imports moved.layers.old, which moved does not have: edit the line, or "
         "install a release of the time of the file"),
        ("import not_installed.at_all", "line 3 imports not_installed.at_all, which is not here: install what has "
         "not_installed, or take the line out"),
        ("from .conv import Conv, autopad", "line 3 imports .conv, which is beside it in a package alone; write from "
         "ultralytics.nn.modules.conv import Conv, autopad"),
        ("from .mine_too import Conv", "line 3 imports .mine_too, which is not beside it here: bring that file, and "
         "import it by its name"),
        ("import math, os.path, numpy as np", None),
        ("try:\n    import not_installed\nexcept ImportError:\n    pass", None),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("packages")
def test_imports_that_can_not_succeed_are_told_with_what_to_write(line: str, problem: str | None) -> None:
    found = scanned(f"class Mine(nn.Module):\n{FORWARD}", f"import torch\nfrom torch import nn\n{line}\n")
    assert found.notes == ((problem,) if problem else ())


def test_imports_that_are_missing_are_told() -> None:
    start = INIT.format(parameters="c1", name="Mine")
    text = f"class Mine(nn.Module):\n{start}        self.conv = Conv(c1, F, foo)\n{FORWARD}"
    assert scanned(text, "").notes == (
        "line 1 uses nn, which nothing imports: write from torch import nn above it",
        "line 4 uses Conv, which nothing imports: write from ultralytics.nn.modules import Conv above it",
        "line 4 uses F, which nothing imports: write from torch.nn import functional as F above it",
    )


PARTS = """from torch import nn
class Part(nn.Module):
    def __init__(self, channel=512):
        super().__init__()
        self.conv = nn.Conv2d(channel, channel, 1)
    def forward(self, x):
        return self.conv(x)
class Whole(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 1)
        self.norm = nn.BatchNorm2d(dim)
        # of another width
        self.part = Part()
    def forward(self, x):
        return self.part(self.conv(x))
"""
KINDS = """import numpy
import torch
from torch import nn


class Sized(nn.Module):  # an argument that has to be given
    def __init__(self, channel, q_size, heads=2):
        super(Sized, self).__init__()
        self.h, self.w = q_size
    def forward(self, x):
        return x


class Windowed(nn.Module):  # windows that do not fit as they are
    def __init__(self, dim, ratio=2, window_size=7):
        super().__init__()
        self.side = window_size
    def forward(self, x):
        b, c, h, w = x.shape
        x = x.view(b, c, h // self.side, self.side, w // self.side, self.side)
        return x.reshape(b, c, h, w)


class Shuffled(nn.Module):  # the width is the second argument
    def __init__(self, k, planes):
        super().__init__()
        self.conv = nn.Conv2d(planes, planes, k, padding=k // 2)
    def forward(self, x):
        return self.conv(x)


class Squeezed(nn.Module):  # half the width, on half the map
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim // 2, 3, 2, 1)
    def forward(self, x):
        return self.conv(x)


class Counted(nn.Module):  # nothing that shapes alone can run
    def forward(self, x):
        return x * float(numpy.asarray(x.detach().mean().item()))


class Mirrored(nn.Module):  # a border as wide as a small map
    def __init__(self, dim):
        super().__init__()
        self.pad = nn.ReflectionPad2d(40)
        self.conv = nn.Conv2d(dim, dim, 81, groups=dim)
    def forward(self, x):
        return x * self.conv(self.pad(x))


class Weighted(nn.Module):
    def __init__(self, length):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(length))
    def forward(self, x):
        return sum(self.weight[i] * x[i] for i in range(len(x)))


class Kernelled(nn.Module):
    def __init__(self, nIn, nOut, kSize):
        super().__init__()
        self.conv = nn.Conv2d(nIn, nOut, kSize, padding=kSize // 2)
        self.flat = Vector()
    def forward(self, x):
        return self.conv(x)


class Vector(nn.Module):
    def forward(self, x):
        return x.flatten(1)


class OneWidth(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(512, 512, 1)
    def forward(self, x):
        return self.conv(x)
"""
C2 = SOURCE_WIDTH
FOUND = {
    "Sized": CustomModule("Sized", "kinds.py:Sized", "attention", True, args=([20, 20],)),
    "Windowed": CustomModule("Windowed", "kinds.py:Windowed", "attention", True, args=(2, 4)),
    "Shuffled": CustomModule("Shuffled", "kinds.py:Shuffled", "attention", args=(3, C2)),
    "Squeezed": CustomModule("Squeezed", "kinds.py:Squeezed", "attention", True, stride=2, width="c/2"),
    "Counted": CustomModule("Counted", "kinds.py:Counted", "attention"),
    "Mirrored": CustomModule("Mirrored", "kinds.py:Mirrored", "attention", True),
    "Weighted": CustomModule("Weighted", "kinds.py:Weighted", "add", args=(2,)),
    "Kernelled": CustomModule("Kernelled", "kinds.py:Kernelled", "Conv"),
    "OneWidth": CustomModule("OneWidth", "kinds.py:OneWidth", "attention", True),
}


def test_running_the_classes_tells_what_reading_does_not(folder: Path) -> None:
    Path("kinds.py").write_text(KINDS, encoding="utf-8")
    done = run("blocks", "kinds.py", "--trust", "--write")
    assert done.output == (
        "Note: OneWidth runs on 512 channels, and not on 64: a part of it keeps a width of its own, which its "
        "constructor has to hand on, so it stays a guess\n"
        "Note: these helpers can't stand in a row: Vector\n"
        "Wrote lska-surgeon.toml\n"
    )
    assert read_declarations(Path("lska-surgeon.toml"), trusted=True).blocks == FOUND
    text = Path("lska-surgeon.toml").read_text(encoding="utf-8")
    assert text.count("# Built and run.\n") == len(FOUND) - 1
    for op in ("Sized", "Windowed", "Shuffled", "Counted"):
        run("insert", "yolov8n.yaml", "--at", "sppf", "--op", op, "-o", f"yolov8n-{op}.yaml")
    assert "4 files: no errors found" in run("check", "--build", *map(str, folder.glob("*.yaml"))).output
    assert (
        "operator is like attention" in run("insert", "yolov8n.yaml", "--at", "sppf", "--op", "Squeezed", code=2).output
    )


def test_nothing_is_run_without_a_word(folder: Path) -> None:
    Path("kinds.py").write_text(KINDS + "\nopen('trace', 'w')\n", encoding="utf-8")
    told = json.loads(run("blocks", "kinds.py", "--json").stdout)
    assert not Path("trace").exists()
    assert {one["block"]: one["wants"] for one in told["guessed"] if one["wants"]} == {
        "Sized": ["q_size"], "Shuffled": ["k", "planes"], "Weighted": ["length"], "Kernelled": ["kSize"],
    }  # fmt: skip
    assert {one["block"]: one["part_of"] for one in told["guessed"] if one["part_of"]} == {"Vector": ["Kernelled"]}
    assert not any(one["tried"] for one in told["guessed"])
    assert (
        "Sized wants q_size, which nothing here tells: write such as args = [[20, 20]] into its table" in told["notes"]
    )


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("net.yaml", "", "only a Python file is run to see what its classes are built from: drop --trust"),
        ("raises.py", f"{HEAD}class Mine(nn.Module): ...\nraise RuntimeError('no luck')\n",
         "raises.py: importing raises fails: RuntimeError: no luck"),
        ("lacks.py", "import torch\nclass Mine(nn.Module): ...\n",
         "lacks.py: importing lacks fails: NameError: name 'nn' is not defined (line 2 uses nn, which nothing imports: "
         "write from torch import nn above it)"),
        ("../beside.py", f"{HEAD}class Mine(nn.Module): ...\n", "../beside.py is not in the working folder"),
    ],
)  # fmt: skip
def test_what_can_not_be_run_is_told_in_one_line(file: str, text: str, said: str) -> None:
    Path(file).write_text(text, encoding="utf-8")
    done = run("blocks", file, "--trust", code=2)
    assert done.output.startswith(f"Error: {said}")
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        ("    def forward(self, x):\n        B, N, C = x.shape\n        return x\n",
         "a row gives a map of 4 axes, and forward of these takes another number (B, N, C): Mine"),
        ("    def forward(self, x):\n        b, h, w, c = x.size()\n        return x\n",
         "a row gives a map with its channels second, and forward of these takes them last (b, h, w, c): Mine"),
        ("    def forward(self, query, key):\n        return query\n",
         "a row gives one value, and forward of these takes another number: Mine"),
        ("    def forward(self, x):\n        _, c, h, w = x.size()\n        return x\n", None),
        ("    def forward(self, x):\n        x = x.permute(0, 2, 3, 1)\n        b, h, w, c = x.shape\n"
         "        return x\n", None),
        ("    def forward(self, x):\n        size = x.shape\n        return x\n", None),
    ],
)  # fmt: skip
def test_what_takes_no_map_is_left_out(forward: str, reason: str | None) -> None:
    found = of_class("dim", forward=forward)
    assert (list(found.blocks), found.notes) == (([], (reason,)) if reason else (["Mine"], ()))
    if reason:
        assert run("blocks", "mine.py").stdout == "mine.py: no block that can be declared\n"


def test_arguments_by_name_alone_are_told() -> None:
    (note,) = of_class("*, dim, heads=8").notes
    assert note == ("Mine takes dim by name alone, and a row gives arguments by their places: take the * out of line 6")
