"""A fork's blocks are rows of the table of blocks: what they do is read from its source, for the model at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.forks import STYLES, Fork, edited, make_fork

from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import STOCK, blocks_here
from lska_surgeon.core.graph import scaling_of
from lska_surgeon.core.parsed import parsed_layers
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.model import load

SCALES = {"n": "n", "s": "s", "pyramid": None}
#: Width and stride of each layer but the last, as the forks themselves build them; one process, for torch is slow.
BUILT = """
import json, sys
import torch

found = {}
for root, yaml, style, scale in json.loads(sys.stdin.read()):
    for name in [name for name in sys.modules if name.partition(".")[0] == "ultralytics"]:
        del sys.modules[name]
    sys.path.insert(0, root)
    from ultralytics.nn import tasks
    sys.path.remove(root)
    assert tasks.__file__.startswith(root)
    model = tasks.yaml_model_load(yaml)
    model["scale"] = scale
    y, image = [], torch.zeros(1, 3, 64, 64)
    for layer in tasks.parse_model(model, 3, verbose=False)[0][:-1]:
        x = image if not y else y[layer.f] if isinstance(layer.f, int) else [y[f] for f in layer.f]
        x = layer(x)
        y += [None, *x] if isinstance(x, list) else [x]
    found[f"{style} {scale}"] = [None if one is None else [one.shape[1], 64 / one.shape[2]] for one in y]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Fork]:
    return {style: make_fork(tmp_path_factory.mktemp(style) / "fork", style) for style in STYLES}


@pytest.fixture(scope="module")
def built(forks: Mapping[str, Fork]) -> Mapping[str, Any]:
    asked = [
        (str(fork.root), str(fork.yaml), style, scale)
        for style, fork in forks.items()
        for scale in ([None] if style == "pyramid" else ["n", "s"])
    ]
    done = subprocess.run(
        [sys.executable, "-c", BUILT],
        input=json.dumps(asked),
        env={**os.environ, "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"},
        **{"capture_output": True, "text": True, "timeout": 300},
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("style", [style for style in STYLES if style != "pyramid"])
def test_widths_and_strides_are_those_that_the_fork_builds(
    style: str, forks: Mapping[str, Fork], built: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for scale in ("n", "s"):
        with forks[style].imported(monkeypatch):
            model = load(str(forks[style].yaml), scale, blocks=blocks_here())
            found = model.shapes[:-1]
        real = built[f"{style} {scale}"]
        assert [shape.channels for shape in found] == [width for width, _ in real]
        assert all(shape.stride in (None, stride) for shape, (_, stride) in zip(found, real))
        assert not any(shape.channels is None for shape in found)


def test_a_whole_backbone_is_a_list_of_widths_and_counts_as_several_layers(
    forks: Mapping[str, Fork], built: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = forks["pyramid"]
    with fork.imported(monkeypatch):
        blocks = blocks_here()
        model = load(str(fork.yaml), blocks=blocks)
        assert [layer.map for layer in model.graph] == [0, 1, 2, 3, 4, *[None] * 5]
        assert [shape.channels for shape in model.shapes[:-1]] == [*[None] * 5, 64, 64, None, 64]
        checked = CliRunner().invoke(main, ["check", str(fork.yaml)])
        assert (checked.exit_code, checked.stdout[:23]) == (0, "1 file: no errors found")
        parser = blocks.parser
        assert parser is not None
        yaml = {"nc": 3, "backbone": [[-1, 1, "stages_small", []], [-1, 1, "Fold", []]], "head": []}
        first, second = parser.source.read(yaml, told={0: [16, 32, 64, 128]})
        assert (first.width, first.counts) == ([0, 16, 32, 64, 128], 5)
        assert isinstance(second.refused, KeyError)
    widths = [None if one is None else one[0] for one in built["pyramid None"]]
    assert widths == [None, 16, 32, 64, 128, 64, 64, 128, 64]


def test_of_a_release_the_rules_hold_and_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for one that is newer than they are, or older."""
    assert blocks_here() is STOCK
    monkeypatch.setattr("lska_surgeon.core.blocks.RELEASE", "8.0.0")
    blocks = blocks_here()
    assert blocks.parser is not None
    for name in ("yolov8s.yaml", "yolo11x-seg.yaml", "rtdetr-l.yaml", "yolov9c.yaml", "yolov5n-p6.yaml"):
        assert load(name, blocks=blocks).shapes == load(name).shapes


def test_what_a_class_says_of_itself_is_in_its_row(
    forks: Mapping[str, Fork], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with forks["branch"].imported(monkeypatch):
        blocks = blocks_here()
        attention, fold, joined = blocks["Scan"], blocks["Fold"], blocks["Sum"]
        assert (attention.role, attention.width, attention.is_beside) == ("operator", "source", True)
        assert (fold.role, fold.is_beside, fold.is_known) == ("other", False, False)
        assert not joined.is_beside
        assert (attention.hint, fold.hint) == (("fixed", 1), None)
        assert blocks["C2f"] is STOCK["C2f"]
        assert blocks["Nobodys"] == STOCK["Nobodys"]
    style = replace(
        STYLES["set"],
        classes="from ultralytics.nn.modules import C2f, Detect\n\n\nclass Twice(C2f):\n    pass\n\n\n"
        "class MyHead(Detect):\n    pass\n",
        edit=lambda text: STYLES["set"].edit(text).replace("import Twice", "import MyHead, Twice"),
    )
    with make_fork(tmp_path / "fork", style).imported(monkeypatch):
        blocks = blocks_here()
        assert (blocks["Twice"].role, blocks["Twice"].width) == ("block", "scaled")
        assert (blocks["MyHead"].is_output, blocks["MyHead"].model) == (True, "DetectionModel")


def test_a_forks_own_class_comes_before_ours_of_its_name(
    forks: Mapping[str, Fork], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert STOCK["LSKA"].is_operator
    with forks["own"].imported(monkeypatch):
        blocks = blocks_here()
        assert not blocks["LSKA"].is_operator
        assert not blocks["CBAM"].is_attention
        assert blocks["LKA"].is_operator


@pytest.mark.parametrize("style", [style for style in STYLES if style != "pyramid"])
def test_commands_know_a_forks_blocks(style: str, forks: Mapping[str, Fork], monkeypatch: pytest.MonkeyPatch) -> None:
    """And find no fault in its models."""
    fork = forks[style]
    with fork.imported(monkeypatch):
        shown = CliRunner().invoke(main, ["positions", str(fork.yaml), "--scale", "s", "--json"])
        checked = CliRunner().invoke(main, ["check", str(fork.yaml)])
        inserted = CliRunner().invoke(main, ["insert", str(fork.yaml), "--scale", "s", "--at", "sppf", "--dry-run"])
    assert shown.exit_code == checked.exit_code == inserted.exit_code == 0, inserted.output
    assert checked.stdout.startswith("1 file: no errors found")
    last = json.loads(shown.stdout)["layers"][-2]
    assert last["channels"] == 128


def test_scales_of_four_numbers_are_read_where_the_parser_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = replace(
        STYLES["set"],
        edit=lambda text: STYLES["set"].edit(
            edited(
                ("depth, width, max_channels = scales[scale]", "depth, width, max_channels, wider = scales[scale]"),
                ("c2 = ch[f]\n\n", "c2 = wider * ch[f]\n\n"),
            )(text)
        ),
        rows=STYLES["set"].rows.replace("512]\n", "512, 2]\n").replace("1024]\n", "1024, 3]\n", 1),
    )
    fork = make_fork(tmp_path / "fork", style)
    with fork.imported(monkeypatch):
        document = Document.read(fork.yaml, blocks=blocks_here())
        rows = [*document.layers]
        rows[2] = replace(rows[2], block="nn.Identity", args=())
        parsed = parsed_layers(rows, document.settings, scaling_of(document.settings, "s"))
        assert parsed is not None
        assert [row.width for row in parsed][1:3] == [64, 192]


WIDTHS = """
import sys
from lska_surgeon.core.blocks import blocks_here
from lska_surgeon.modelfile.model import load
print([shape.channels for shape in load(sys.argv[1], "s", blocks=blocks_here()).shapes[:-1]])
print("lska_surgeon.installed.parse_model" in sys.modules)
"""


def test_what_was_read_is_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who comes later, without the interpreter; and not where somebody damaged what is kept."""
    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(tmp_path / "cache"))
    fork = make_fork(tmp_path / "fork", "branch")

    def asked() -> tuple[str, bool]:
        done = fork.python("-c", WIDTHS, str(fork.yaml), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        widths, is_read = done.stdout.splitlines()
        return widths, is_read == "True"

    first, second = asked(), asked()
    assert first == ("[32, 128, 128, 256, 256, 256, 128]", True)
    assert second == (first[0], False)
    (kept,) = (tmp_path / "cache" / "readings").iterdir()
    text = kept.read_text(encoding="utf-8")
    kept.write_text(text.replace("128", "136"), encoding="utf-8")
    assert asked() == first
    kept.write_text("[" * 100_000, encoding="utf-8")
    assert asked() == first
    tasks = fork.package / "nn" / "tasks.py"
    tasks.write_text(tasks.read_text(encoding="utf-8").replace("c2 = 4 * ch[f]", "c2 = 6 * ch[f]"), encoding="utf-8")
    assert asked() == ("[32, 192, 192, 256, 256, 256, 128]", True)


def test_absurd_numbers_are_refused_in_a_fork_as_anywhere(
    forks: Mapping[str, Fork], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tmp_path / "net.yaml"
    net.write_text(forks["branch"].yaml.read_text(encoding="utf-8").replace("[5]", f"[0x{'f' * 9000}]"), "utf-8")
    with forks["branch"].imported(monkeypatch):
        result = CliRunner().invoke(main, ["positions", str(net), "--scale", "s"])
        checked = CliRunner().invoke(main, ["check", str(net)])
    assert {result.exit_code, checked.exit_code} <= {0, 1, 2}
    assert isinstance(result.exception or SystemExit(), SystemExit), result.exception
    assert isinstance(checked.exception or SystemExit(), SystemExit), checked.exception
