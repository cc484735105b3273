"""Declared blocks in the heavy half: parsed like the stock block, held to their word, imported only where trusted."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.builds import tensor_shapes
from support.custom import using, using_file

from lska_surgeon.core.blocks import SOURCE_WIDTH, CustomModule, Declarations
from lska_surgeon.core.graph import graph_of, scaling_of
from lska_surgeon.core.shapes import shapes_of
from lska_surgeon.declarations.find import VARIABLE
from lska_surgeon.errors import BuildError, DeclarationError, SurgeonError
from lska_surgeon.nn.declared import declared_attention, project_class
from lska_surgeon.yolo.build import build, layers_of
from lska_surgeon.yolo.environment import import_offline

PROJECT = Path(__file__).parents[1] / "projects" / "own_blocks"
NETWORK = PROJECT / "yolov8n-own.yaml"

#: One subclass of each stock block, as people write them; the names that rows call them end in "Own".
LIKES = ("Conv", "C2f", "C3", "C3k2", "A2C2f", "SPPF", "SCDown", "C2PSA", "Concat", "Detect", "GhostConv", "Bottleneck")
SOURCE = "from ultralytics.nn.modules import *\nfrom ultralytics.nn.modules.block import C3k2, C2PSA, A2C2f, SCDown\n"
SOURCE += "".join(f"class {like}Own({like}):\n    pass\n" for like in LIKES)


@pytest.fixture(autouse=True)
def none_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture(scope="module")
def likes(tmp_path_factory: pytest.TempPathFactory) -> Declarations:
    folder = tmp_path_factory.mktemp("likes")
    (folder / "own_likes.py").write_text(SOURCE, encoding="utf-8")
    blocks = {f"{like}Own": CustomModule(f"{like}Own", f"own_likes.py:{like}Own", like) for like in LIKES}
    return Declarations(blocks, folder / "lska-surgeon.toml", trusted=True)


def replaced(yaml: dict[str, Any], rows: tuple[int, ...]) -> dict[str, Any]:
    yaml = deepcopy(yaml)
    every = yaml["backbone"] + yaml["head"]
    for row in rows:
        every[row][2] += "Own"
    return yaml


def stock(name: str) -> dict[str, Any]:
    return {**import_offline().yaml_model_load(name), "nc": 3}


def test_the_project_builds_and_runs_with_each_class_in_its_place() -> None:
    tasks = import_offline()
    before = dict(vars(tasks))
    with using_file(PROJECT / "lska-surgeon.toml") as blocks:
        model = build(NETWORK)
        shapes = shapes_of(graph_of(model.yaml, "own", blocks), scaling_of(model.yaml, "n"))
    import my_blocks  # importable from now on
    from nets.sampling import DySample, SPDDown

    classes = {1: SPDDown, 2: my_blocks.C2fFaster, 5: my_blocks.EMA, 10: DySample, 11: my_blocks.BiFPN}
    assert {index: type(model.model[index]) for index in classes} == classes
    assert model.model[2].type == "my_blocks.C2fFaster"
    assert model.yaml["backbone"][5][2:] == ["EMA", []]  # what is stored is what was written
    given: dict[int, torch.Size] = {}
    for layer in model.model[:-1]:
        layer.register_forward_hook(lambda module, _, out: given.update({module.i: out.shape}))
    model.eval()(torch.zeros(1, 3, 64, 64))
    assert [(shape[1], 64 / shape[2]) for shape in given.values()] == [(s.channels, s.stride) for s in shapes[:-1]]
    assert {name: tasks.__dict__[name] for name in ("Conv", "C2f", "CBFuse", "Concat")} == {
        name: before[name] for name in ("Conv", "C2f", "CBFuse", "Concat")
    }


@pytest.mark.parametrize("name", ["yolov8n.yaml", "yolo11m.yaml", "yolo12l.yaml", "yolo11n.yaml"])
def test_a_subclass_is_built_exactly_as_its_stock_block(name: str, likes: Declarations) -> None:
    """At scales, too, at which the parser puts arguments in that the row has not (C3k2 at m, A2C2f at l)."""
    yaml = stock(name)
    rows = yaml["backbone"] + yaml["head"]
    own = tuple(index for index, row in enumerate(rows) if row[2] in LIKES)
    with using(likes):
        built = layers_of(replaced(yaml, own), name)
        assert {type(built[index]).__name__ for index in own} <= {f"{like}Own" for like in LIKES} | {"Sequential"}
    plain = layers_of(yaml, name)
    assert tensor_shapes(built) == tensor_shapes(plain)
    settings_of = [[(m.c, getattr(m, "add", None)) for m in net.modules() if hasattr(m, "c")] for net in (built, plain)]
    assert settings_of[0] == settings_of[1]


def test_an_activation_in_the_yaml_reaches_the_stock_blocks(likes: Declarations) -> None:
    yaml = {**stock("yolov8n.yaml"), "activation": "nn.ReLU()"}
    with using(likes):
        built = layers_of(replaced(yaml, (1, 3)), "x")
    kinds = {type(layer.act).__name__ for layer in built.modules() if type(layer).__name__ in ("Conv", "ConvOwn")}
    assert kinds >= {"ReLU"}
    assert "SiLU" not in kinds


BAD = """
import torch
from torch import nn
class Wide(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, 1)
    def forward(self, x):
        return self.conv(x)
class Half(nn.Module):
    def forward(self, x):
        return x[..., ::2, ::2]
class Tuple(nn.Module):
    def forward(self, x):
        return x, x
class Broken(nn.Module):
    def forward(self, x):
        raise RuntimeError("no luck")
class Picky(nn.Module):
    def __init__(self, a, b, c):
        super().__init__()
NotAModule = 7
"""


@pytest.mark.parametrize(
    ("cls", "stride", "kind", "expected"),
    [
        ("Wide", None, DeclarationError, "layer 1 (Mine) does not do what its declaration says: declared like "
         "attention it makes 1x16x32x32 of 1x16x32x32, and it gave 1x32x32x32: write width = \"2*c\" into blocks.Mine"),
        ("Half", None, DeclarationError, "and it gave 1x16x16x16: write stride = 2 into blocks.Mine in "),
        ("Half", 2.0, None, ""),
        ("Half", 4.0, DeclarationError, "declared like attention with stride 4 it makes 1x16x8x8"),
        ("Tuple", None, DeclarationError, "it gave a tuple: correct blocks.Mine in "),
        ("Broken", None, DeclarationError, "layer 1 (Mine) "
         "does not run on a map of 16 channels, 32x32 or 64x64: RuntimeError: no luck"),
        ("Picky", None, BuildError, "; it takes a, b, c: give args in blocks.Mine"),
        ("NotAModule", None, DeclarationError, "blocks.Mine.class: bad_blocks has something of that name"),
        ("Nowhere", None, DeclarationError, "blocks.Mine.class: bad_blocks has no such class: Nowhere"),
    ],
)  # fmt: skip
def test_a_class_that_does_not_keep_its_word_is_named(
    tmp_path_factory: pytest.TempPathFactory,
    cls: str,
    stride: float | None,
    kind: type[Exception] | None,
    expected: str,
) -> None:
    folder = tmp_path_factory.getbasetemp() / "bad"
    folder.mkdir(exist_ok=True)
    (folder / "bad_blocks.py").write_text(BAD, encoding="utf-8")
    first = cls in ("Wide", "Picky")
    block = CustomModule("Mine", f"bad_blocks:{cls}", "attention", first, stride)
    yaml = {
        "nc": 2,
        "backbone": [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Mine", []]],
        "head": [[-1, 1, "Conv", [16, 3, 2]], [[2], 1, "Detect", ["nc"]]],
    }
    with using(Declarations({"Mine": block}, folder / f"{cls}{stride}.toml", trusted=True)):
        if kind is None:
            build(yaml)
            return
        with pytest.raises(kind) as refused:
            build(yaml)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_stock_name_is_refused_but_for_a_version_of_ones_own(likes: Declarations) -> None:
    of_another = CustomModule("SPPF", "own_likes.py:SPPFOwn", "SPP")
    declarations = Declarations({"SPPF": of_another}, likes.path.parent / "other.toml", trusted=True)  # type: ignore[union-attr]
    with using(declarations), pytest.raises(DeclarationError, match="has a block of that name"):
        build(stock("yolov8n.yaml"))
    own = replace(declarations, blocks={"SPPF": replace(of_another, like="SPPF")})
    with using(own):
        assert type(build(stock("yolov8n.yaml")).model[9]).__name__ == "SPPFOwn"
    assert type(build(stock("yolov8n.yaml")).model[9]).__name__ == "SPPF"


def test_a_class_goes_when_its_declaration_no_longer_holds(likes: Declarations) -> None:
    with using(likes):
        build(replaced(stock("yolov8n.yaml"), (2,)))
    with pytest.raises(BuildError, match="C2fOwn"):
        build(replaced(stock("yolov8n.yaml"), (2,)))


def test_what_is_not_trusted_is_read_and_never_imported(tmp_path: Path) -> None:
    """A declaration beside a downloaded model, whose module leaves a trace when it is imported."""
    download, work = tmp_path / "download", tmp_path / "work"
    download.mkdir()
    work.mkdir()
    trace = tmp_path / "trace"
    (download / "lska-surgeon.toml").write_text((PROJECT / "lska-surgeon.toml").read_text(), encoding="utf-8")
    (download / "my_blocks.py").write_text(f"open({str(trace)!r}, 'w')\n", encoding="utf-8")
    (download / "yolov8n-own.yaml").write_text(NETWORK.read_text(encoding="utf-8"), encoding="utf-8")
    for words in (["flops", "../download/yolov8n-own.yaml"], ["check", "--build", "../download/yolov8n-own.yaml"]):
        done = subprocess.run(
            [sys.executable, "-m", "lska_surgeon", *words], cwd=work, capture_output=True, text=True, check=False
        )
        assert done.returncode in (1, 2), done.stderr
        output = done.stdout + done.stderr
        assert f"SPDDown is declared in {download / 'lska-surgeon.toml'}" in output
        assert "add --blocks" in output
        assert "Traceback" not in output
    assert not trace.exists()


def test_what_is_imported_is_announced_once_and_for_children_too() -> None:
    code = (
        "import subprocess, sys\nfrom lska_surgeon.cli.main import main\n"
        "for _ in range(2):\n    main(['flops', 'yolov8n-own.yaml', '--imgsz', '64'], standalone_mode=False)\n"
        "from lska_surgeon.declarations.find import building_with, find_blocks, telling_children\n"
        "child = 'import lska_surgeon.nn, my_blocks, sys; from lska_surgeon.yolo.build import build;'\n"
        "child += ' build(\"yolov8n-own.yaml\")'\n"
        "with telling_children(find_blocks()):\n"
        "    subprocess.run([sys.executable, '-c', child], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Note: importing my_blocks, nets.sampling, as ") == 1


EMA_OF = """
import sys
from torch import nn
class EMA(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, {k}, padding={k} // 2)
    def forward(self, x):
        return self.conv(x)
"""
SMALL: dict[str, Any] = {
    "nc": 2,
    "backbone": [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "EMA", []]],
    "head": [[-1, 1, "Conv", [16, 3, 2]], [[2], 1, "Detect", ["nc"]]],
}
PLAIN = {**SMALL, "backbone": [SMALL["backbone"][0], SMALL["backbone"][0]]}


def a_project(folder: Path, source: str, module: str = "its_blocks", **more: str) -> Declarations:
    """A project whose declaration names EMA in its own module, and other blocks at other places."""
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    targets = {"EMA": f"{module}:EMA", **more}
    blocks = {name: CustomModule(name, target, "attention", True) for name, target in targets.items()}
    return Declarations(blocks, folder / "lska-surgeon.toml", trusted=True)


def test_a_module_of_another_project_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    """Python has one module of a name: the second project's classes are not to be the first one's."""
    first = a_project(tmp_path / "first", EMA_OF.format(k=1))
    second = a_project(tmp_path / "second", EMA_OF.format(k=3))
    with using(first):
        assert build(SMALL).model[1].conv.kernel_size == (1, 1)
    with using(second), pytest.raises(DeclarationError) as refused:
        build(SMALL)
    assert f"the name its_blocks stands for {tmp_path / 'first' / 'its_blocks.py'} here" in str(refused.value)
    with using(first):
        assert build(SMALL).model[1].conv.kernel_size == (1, 1)


def test_a_module_with_a_name_of_pythons_is_named_with_both_files(tmp_path: Path) -> None:
    with using(a_project(tmp_path / "own", EMA_OF.format(k=1), "types")), pytest.raises(DeclarationError) as refused:
        build(SMALL)
    import types

    assert f"the name types stands for {types.__file__} here, not for {tmp_path / 'own' / 'types.py'}" in str(
        refused.value
    )


def test_a_declaration_that_is_edited_holds_as_it_then_stands(tmp_path: Path) -> None:
    source = EMA_OF.format(k=1) + EMA_OF.format(k=3).replace("EMA", "Other")
    with using(a_project(tmp_path / "own", source)):
        build(SMALL)
    edited = a_project(tmp_path / "own", source, Other="its_blocks:Other")
    with using(edited):
        other = {**SMALL, "backbone": [SMALL["backbone"][0], [-1, 1, "Other", []]]}
        assert build(other).model[1].conv.kernel_size == (3, 3)


def test_only_what_a_network_names_is_imported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    declarations = a_project(tmp_path / "own", EMA_OF.format(k=1), Unused="nothere:X", Typo="its_blocks:Typo")
    with using(declarations) as blocks:
        build(PLAIN)
        assert "its_blocks" not in sys.modules
        assert not caplog.messages
        assert type(build(SMALL).model[1]).__name__ == "EMA"
        assert type(declared_attention("EMA", 8, blocks)).__name__ == "EMA"
        assert project_class("its_blocks", "EMA", declarations) is not None
        for name in ("Unused", "Typo"):
            with pytest.raises(DeclarationError, match=rf"blocks\.{name}\.class: "):
                declared_attention(name, 8, blocks)
    assert [text for text in caplog.messages if "importing its_blocks, as" in text] == caplog.messages[:1]


def test_a_class_that_only_a_checkpoint_names_is_found(tmp_path: Path) -> None:
    helper = "class Helper(nn.Module):\n    pass\n"
    declarations = a_project(tmp_path / "own", EMA_OF.format(k=1) + helper, Unused="nothere:X")
    with using(declarations):
        assert project_class("elsewhere", "Helper", declarations) is None
        assert "its_blocks" not in sys.modules
        assert project_class("its_blocks", "Helper", declarations) is sys.modules["its_blocks"].Helper


def test_what_a_module_of_the_users_prints_stays_out_of_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = EMA_OF.format(k=1).replace("super()", "print('made'); super()").replace("return", "print('run'); return")
    with using(a_project(tmp_path / "own", loud + "print('imported')\n")):
        build(SMALL)
    output = capsys.readouterr()
    assert output.out == ""
    assert {"imported", "made", "run"} <= set(output.err.split())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import sys\nsys.exit(3)\n", "importing its_blocks fails: it ends the process, with 3: "),
        (EMA_OF.format(k=1).replace("super()", "sys.exit(3); super()"), "EMA(16) fails: it ends the process, with 3: "),
        (
            EMA_OF.format(k=1).replace("return", "sys.exit(3); return"),
            "does not run on a map of 16 channels, 32x32 or 64x64: it ends the process",
        ),
    ],
)
def test_a_module_of_the_users_that_ends_the_process_is_an_error(tmp_path: Path, source: str, expected: str) -> None:
    with using(a_project(tmp_path / "own", source)), pytest.raises((DeclarationError, BuildError)) as refused:
        build(SMALL)
    assert expected in str(refused.value)


RESIZING = """
import torch
from torch import nn
class ToDepth(nn.Module):
    def forward(self, x):
        return torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
class Split(nn.Module):
    def __init__(self, c1, parts, width):
        super().__init__()
        self.width = width
        self.conv = nn.Conv2d(c1, c1 // parts, 1)
    def forward(self, x):
        return self.conv(x)
class Joined(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.conv = nn.Conv2d(sum(widths), 24, 1)
    def forward(self, maps):
        return self.conv(torch.cat(maps, 1))
"""
RESIZED = {
    "ToDepth": CustomModule("ToDepth", "resizing:ToDepth", "attention", stride=2.0, width="4*c"),
    "Split": CustomModule("Split", "resizing:Split", "attention", True, width="c/2", args=(2, SOURCE_WIDTH)),
    "Joined": CustomModule("Joined", "resizing:Joined", "Concat", True, width="24"),
}
RESIZING_NETWORK = {
    "nc": 2,
    "scales": {"n": [0.33, 0.25, 1024], "s": [0.33, 0.5, 512]},
    "backbone": [
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "ToDepth", []],
        [-1, 1, "Split", []],
        [1, 1, "Split", [2, 7]],
    ],
    "head": [[[-1, 2], 1, "Joined", []], [-1, 1, "Conv", [64, 3, 1]], [[5], 1, "Detect", ["nc"]]],
}


@pytest.fixture
def resizing(tmp_path_factory: pytest.TempPathFactory) -> Declarations:
    folder = tmp_path_factory.getbasetemp() / "resizing"
    folder.mkdir(exist_ok=True)
    (folder / "resizing.py").write_text(RESIZING, encoding="utf-8")
    return Declarations(RESIZED, folder / "lska-surgeon.toml", trusted=True)


@pytest.mark.parametrize(("scale", "widths"), [("n", [16, 64, 32, 32, 24]), ("s", [32, 128, 64, 64, 24])])
def test_widths_that_a_class_changes_are_known_before_and_hold(
    scale: str, widths: list[int], resizing: Declarations
) -> None:
    with using(resizing) as table:
        model = build({**RESIZING_NETWORK, "scale": scale})
        shapes = shapes_of(graph_of(model.yaml, "own", table), scaling_of(model.yaml, scale))
    given: list[int] = []
    for layer in model.model[:5]:
        layer.register_forward_hook(lambda module, _, out: given.append(out.shape[1]))
    model.eval()(torch.zeros(1, 3, 64, 64))
    assert given == widths == [shape.channels for shape in shapes[:5]]
    assert [shape.stride for shape in shapes[:5]] == [2, 4, 4, 4, 4]
    assert [model.model[row].width for row in (2, 3)] == [
        widths[1],
        7,
    ]  # c2 in the arguments is the width that it reads
    assert [layer.type for layer in model.model][1:3] == ["resizing.ToDepth", "resizing.Split"]


@pytest.mark.parametrize(
    ("changed", "yaml", "expected"),
    [
        (
            {"width": "2*c"},
            {},
            "with stride 2 with width 2*c it makes 1x32x16x16 of 1x16x32x32, and it gave 1x64x16x16",
        ),
        ({}, {"backbone": [[-1, 1, "Own", []]]}, "width 4*c, and that of what it reads is not known here"),
        ({}, {"backbone": [[-1, 2, "ToDepth", []]]}, "ToDepth is declared to change its width, and stands 2 times"),
    ],
)
def test_a_width_that_does_not_hold_is_named(
    changed: dict[str, Any], yaml: dict[str, Any], expected: str, resizing: Declarations
) -> None:
    block = replace(RESIZED["ToDepth"], **changed)
    rows = {**RESIZING_NETWORK, **yaml}
    if yaml:
        rows["backbone"] = [*yaml["backbone"], *RESIZING_NETWORK["backbone"][1:]]
    tasks = import_offline()
    tasks.Own = torch.nn.Identity
    try:
        with using(replace(resizing, blocks={**RESIZED, "ToDepth": block})), pytest.raises(SurgeonError) as refused:
            build(rows)
    finally:
        del tasks.Own
    assert expected in str(refused.value)


def test_a_class_of_a_file_beside_the_declared_one_is_the_projects(tmp_path: Path) -> None:
    """In a fresh process, where a checkpoint may name it before the declared class that imports it."""
    folder = tmp_path / "of_a_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "helper.py").write_text("from torch import nn\nclass Helper(nn.Module):\n    pass\n")
    (folder / "script.py").write_text("raise SystemExit('run')\n")
    (folder / "block.py").write_text(
        "from torch import nn\nfrom .helper import Helper\nclass Block(nn.Module):\n    pass\n"
    )
    blocks = {
        "Broken": CustomModule("Broken", "of_a_package/none.py:Broken", "attention"),
        "Block": CustomModule("Block", "of_a_package/block.py:Block", "attention"),
    }
    declarations = Declarations(blocks, tmp_path / "lska-surgeon.toml", trusted=True)
    found = project_class("of_a_package.helper", "Helper", declarations)
    assert found is not None
    assert found.__module__ == "of_a_package.helper"
    assert project_class("of_a_package.script", "Script", declarations) is None
