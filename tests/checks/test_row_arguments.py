"""How many arguments a row has, and what its activation is: what `check` says, and that Ultralytics agrees."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_check import fresh, run

from lska_surgeon.checks.alignment import stock_blocks, stock_graph
from lska_surgeon.checks.check import check_file
from lska_surgeon.checks.findings import ERROR
from lska_surgeon.checks.rules_arguments import begins_with_source, built_from, fault_in, taken_by
from lska_surgeon.checks.rules_rows import activation_problem
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.errors import BuildError
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.yolo.build import build
from lska_surgeon.yolo.code_guard import unsafe_architecture

BLOCKS = sorted({block for blocks in stock_blocks().values() for block in blocks})
#: Stock models, an output layer of theirs, the same with less, and what `check` writes in its place.
CUT = [
    ("yolov8-obb.yaml", "OBB, [nc, 1]", "OBB, [nc]", "OBB, [nc, 1]"),
    ("yolov8-seg.yaml", "Segment, [nc, 32, 256]", "Segment, [nc]", "Segment, [nc, 32, 256]"),
    ("yolov8-pose.yaml", "Pose, [nc, kpt_shape]", "Pose, [nc]", "Pose, [nc, kpt_shape]"),
    ("yolov8.yaml", "Detect, [nc]", "Detect, []", "Detect, [nc]"),
    ("yolov8-cls.yaml", "Classify, [nc]", "Classify, []", "Classify, [nc]"),
]
MORE_CUT = [
    ("yolov8.yaml", "SPPF, [1024, 5]", "SPPF, [1024, 5, 3, True, 9, 9]", None),
    ("yolov8.yaml", "Concat, [1]", "Concat, [1, 2]", None),
    ("yolov8.yaml", "SPPF, [1024, 5]", "SPPF, []", None),
    ("yolov8-seg.yaml", "Segment, [nc, 32, 256]", "Segment, [nc, 64]", None),
    ("yolov8-seg.yaml", "Segment, [nc, 32, 256]", "Segment, []", "Segment, [nc, 32, 256]"),
    ("yolov10s.yaml", "SCDown, [512, 3, 2]", "SCDown, [512]", None),
    ("yolov9c.yaml", "SPPELAN, [512, 256]", "SPPELAN, [512]", None),
    ("rtdetr-l.yaml", "RTDETRDecoder, [nc]", "RTDETRDecoder, []", "RTDETRDecoder, [nc]"),
    ("rtdetr-l.yaml", "HGStem, [32, 48]", "HGStem, [32]", None),
    ("yolo26-pose.yaml", "Pose26, [nc, kpt_shape]", "Pose26, [nc]", "Pose26, [nc, kpt_shape]"),
    ("yolo26-seg.yaml", "Segment26, [nc, 32, 256]", "Segment26, [nc]", "Segment26, [nc, 32, 256]"),
]


def changed(folder: Path, name: str, old: str, new: str) -> Path:
    """A stock model with another row, under a name that asks for its smallest scale."""
    if name not in stock_models():
        pytest.skip(f"this ultralytics has no {name}")
    text = stock_models()[name].read_text(encoding="utf-8", errors="replace")
    assert old in text
    path = folder / name.replace("yolov8", "yolov8n").replace("yolo26", "yolo26n")
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize("block", BLOCKS)
def test_the_parser_is_followed_for_every_stock_block(block: str) -> None:
    """And each stock row has what it takes, at every scale."""
    numbers = {len(layer.args) for name in stock_models() for layer in stock_graph(name) or () if layer.block == block}
    for given in numbers:
        assert built_from(block, given, None)
        assert {fault_in(block, given, letter) for letter in (None, *"nsmlx")} == {None}
    assert taken_by(block, None) is not None


@pytest.mark.parametrize(
    ("name", "old", "new", "right"), [*CUT, *(pytest.param(*one, marks=pytest.mark.slow) for one in MORE_CUT)]
)
def test_what_is_reported_does_not_build_and_what_is_written_does(
    name: str, old: str, new: str, right: str | None, tmp_path: Path
) -> None:
    path = changed(tmp_path, name, old, new)
    checked = check_file(str(path))
    reported = [finding for finding in checked.findings if finding.severity == ERROR]
    assert "arguments" in {finding.rule for finding in reported}
    with pytest.raises(BuildError):
        build(path)
    if right is None:
        assert checked.fixed_text == path.read_text(encoding="utf-8")
        return
    assert checked.fixed_text == path.read_text(encoding="utf-8").replace(new, right)
    path.write_text(checked.fixed_text, encoding="utf-8")
    build(path)


def test_repeats_in_the_place_of_an_argument_are_reported_though_they_build(tmp_path: Path) -> None:
    path = changed(tmp_path, "rtdetr-l.yaml", "HGBlock, [48, 128, 3]", "HGBlock, [48, 128]")
    (finding,) = check_file(str(path)).findings
    assert (finding.severity, finding.rule, finding.corrections) == ("warning", "arguments", ())


def test_a_scale_at_which_the_parser_adds_arguments_is_named(tmp_path: Path) -> None:
    """The parser gives two more to A2C2f at the scales l and x alone."""
    if fault_in("A2C2f", 7, "l") is None:
        pytest.skip("this ultralytics adds none")
    every = "A2C2f, [512, True, 4, False, 2.0, 0.5, 1]"
    path = changed(tmp_path, "yolo12.yaml", "A2C2f, [512, True, 4]", every)
    messages = [finding.message for finding in check_file(str(path)).findings]
    assert len(messages) == 1
    assert messages[0].endswith(f"and is given {every[7:]}, at scale l")


def test_missing_arguments_are_written_in_every_style(tmp_path: Path) -> None:
    """A list with dashes, a list without blanks, an empty one."""
    head = "nc: 1\nbackbone:\n- [-1, 1, Conv, [16, 3, 2]]\n"
    dashes = "head:\n- - [0]\n  - 1\n  - Segment\n  - - nc\n"
    styles = {
        dashes: f"{dashes}    - 32\n    - 256\n",
        "head:\n- [[0],1,Segment,[ nc ]] # out\n": "head:\n- [[0],1,Segment,[ nc, 32, 256 ]] # out\n",
        "head:\n- [[0], 1, 'Segment', []]\r\n": "head:\n- [[0], 1, 'Segment', [nc, 32, 256]]\r\n",
    }
    path = tmp_path / "my.yaml"
    for before, after in styles.items():
        path.write_bytes((head + before).encode())
        assert check_file(str(path)).fixed_text == head + after


@pytest.mark.parametrize("args", ["*out", "&mine [nc]", "[&mine nc]"])
def test_what_is_shared_is_not_rewritten(args: str, tmp_path: Path) -> None:
    text = f"nc: 1\nout: &out [nc]\nbackbone:\n- [-1, 1, Conv, [16, 3, 2]]\nhead:\n- [[0], 1, Segment, {args}]\n"
    path = tmp_path / "my.yaml"
    path.write_text(text, encoding="utf-8")
    checked = check_file(str(path))
    assert checked.failed()
    assert checked.fixed_text == text


FORKS_PARSER = """
def example():
    from ultralytics.nn.tasks import *
from .gates import *
from .gates import helper
class Conv:
    def __init__(self, c1, c2, k=1, s=1): ...
class Detect:
    def __init__(self, nc=80, ch=()): ...
def parse_model(d, ch, verbose=True):
    scale = d.get("scale")
    base = {Conv, C2f}
    for i, (f, n, m, args) in enumerate(d["backbone"] + d["head"]):
        m = globals()[m]
        for j, a in enumerate(args):
            args[j] = a
        if m in base:
            c1, c2 = ch[f], args[0]
            args = [c1, c2, *args[1:]]
        elif m is Gate1:
            args = [ch[f], *args]
        elif m is Gate2:
            c2 = args[1]
        elif m is Gate3:
            args = [ch[f], *args] if args[0] == "deep" else [ch[f], args[0], args[1]]
        elif m is Gate4:
            args = [ch[f], *helper(args)]
        elif m is Gate5:
            if len(args) < 2:
                args.extend(helper(m))
            args = [ch[f], args[0], args[1]]
        elif m is Gate6:
            if helper(m):
                args = [ch[f], *args]
        elif m is Gate7:
            args = [ch[f], *args]
            if scale in "mlx":
                args[2] = True
        elif m in {Detect}:
            args.append([ch[x] for x in f])
        m_ = nn.Sequential(*(m(*args) for _ in range(n))) if n > 1 else m(*args)
"""
GATES = ["c, k", "*args", "c, k, s=1", "c, k, s", "c, k, s", "c, k, s", "c, k, s=1"]


def reported_by_fork(folder: Path, parser: str, *rows: str) -> list[str]:
    """What `check` says of arguments in a fork with seven blocks of its own, each built from what `GATES` says."""
    nn, models = (folder / "ultralytics" / Path(part) for part in ("nn", "cfg/models"))
    nn.mkdir(parents=True)
    models.mkdir(parents=True)
    (folder / "ultralytics" / "__init__.py").write_text("raise ImportError('never to be imported')\n")
    (nn / "tasks.py").write_text(parser)
    (models / "yolov8.yaml").write_bytes(stock_models()["yolov8.yaml"].read_bytes())
    gates = [f"class Gate{n}:\n    def __init__(self, {args}): ...\n" for n, args in enumerate(GATES, start=1)]
    (nn / "gates.py").write_text("".join(gates), encoding="utf-8")
    lines = "".join(f"- [-1, 1, {row}]\n" for row in ("Conv, [8]", *rows))
    scales = "scales:\n  n: [1, 1, 1024]\n  m: [1, 1, 1024]\n"
    text = f"nc: 1\n{scales}backbone:\n{lines}head:\n- [[{len(rows)}], 1, Detect, [nc]]\n"
    (folder / "my.yaml").write_text(text, encoding="utf-8")
    done = fresh(
        f"sys.path[:0] = [{str(folder)!r}]\nfrom lska_surgeon.checks.check import check_file\n"
        "[print(one.row, one.message) for one in check_file('my.yaml').findings if one.rule == 'arguments']",
        folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_forks_own_parser_is_followed(tmp_path: Path) -> None:
    rows = ["Gate1, []", "Gate1, [3]", "Gate2, [1, 2, 3]", "Gate2, [1]", "Conv, [8, 1, 1, 1, 1]"]
    assert reported_by_fork(tmp_path, FORKS_PARSER, *rows) == [
        "1 Gate1 wants [k], and is given []",
        "4 Gate2 wants 2 arguments, and is given [1]",
        "5 Conv takes at most [width, k, s], and is given [8, 1, 1, 1, 1]",
    ]


def test_what_a_forks_parser_does_is_not_guessed(tmp_path: Path) -> None:
    """A text or the scale decides what is read; the answer of a function may be anything."""
    gates = ["Gate3, [deep]", "Gate3, [3]", "Gate4, []", "Gate5, []", "Gate6, []", "Gate6, [1, 2, 3, 4]", "Gate7, [3]"]
    assert reported_by_fork(tmp_path, FORKS_PARSER, *gates) == [
        "2 Gate3 wants [k, s], and is given [3]",
        "7 Gate7 wants [k, s], and is given [3], at scale m",
    ]


def test_a_parser_that_cannot_be_followed_judges_nothing(tmp_path: Path) -> None:
    assert reported_by_fork(tmp_path, FORKS_PARSER.replace("args[j] = a", "args.pop()"), "Conv, []") == []


# Activations.

ACTIVATIONS = {
    "nn.ReLU()": None,
    "torch.nn.LeakyReLU(0.1, inplace=True)": None,
    "ReLU": "nn.ReLU()",
    "nn.SiLU": "nn.SiLU()",
    "torch.nn.SiLU": "torch.nn.SiLU()",
    "leaky_relu": "nn.LeakyReLU()",
    "LeakyReLU(0.1)": "nn.LeakyReLU(0.1)",
    "nn.functional.relu": "nn.ReLU()",
    "nn.ReLu()": "nn.ReLU()",
    "nn.Threshold": "",
    "Mine": "",
    "Mine()": "",
    "nn.Mine()": "",
    "nn.ReLU(": "",
    "nn.ReLU(inplace)": "",
    "nn.Sequential(nn.ReLU())": "",
    "__import__('os').abort()": "",
}


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_an_activation_is_reported_exactly_where_it_is_not_built(text: str) -> None:
    problem = activation_problem(text)
    assert (problem is not None) == bool(unsafe_architecture({"activation": text, "backbone": [], "head": []}))
    assert (problem and (problem[2] or "")) == ACTIVATIONS[text]
    right = problem and problem[2]
    assert not right or not unsafe_architecture({"activation": right, "backbone": [], "head": []})


@pytest.mark.parametrize("written", ["ReLU", '"ReLU"', "'ReLU'"])
def test_an_activation_is_fixed_as_it_is_quoted(written: str) -> None:
    rows = "backbone:\n- [-1, 1, Conv, [16, 3, 2]]\nhead:\n- [[0], 1, Detect, [nc]]\n"
    Path("my.yaml").write_text(f"activation: {written} # mine\nnc: 1\n{rows}", encoding="utf-8")
    result = run("my.yaml", "--fix")
    assert f"+activation: {written.replace('ReLU', 'nn.ReLU()')} # mine\n" in result.output
    assert run("my.yaml", "--build").exit_code == 1
    Path("my.yaml").write_text(check_file("my.yaml").fixed_text, encoding="utf-8")
    assert run("my.yaml", "--build").exit_code == 0


def test_an_activation_behind_an_anchor_is_left_alone(tmp_path: Path) -> None:
    text = "activation: &a ReLU\nother: *a\nnc: 1\nbackbone:\n- [-1, 1, Conv, [16]]\nhead:\n- [[0], 1, Detect, [nc]]\n"
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    checked = check_file(str(tmp_path / "my.yaml"))
    assert checked.failed()
    assert checked.fixed_text == text


def test_no_block_whose_widths_the_parser_gives_believes_its_first_argument_to_be_its_sources() -> None:
    believing = {block.name for block in STOCK if begins_with_source(block.name)}
    assert believing
    assert not believing & {block.name for block in STOCK if block.width in ("scaled", "sum")}
