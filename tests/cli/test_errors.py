"""What is asked wrongly, of whichever command: one line that says what was asked, what is allowed, what to type."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
import torch
from support.shapes import surgeon, write_checkpoint

from lska_surgeon.cli.main import COMMANDS, MEANT, MEANT_OPTIONS, main

#: Words -> how the one line begins, or all of it. The folder has tiny.yaml, base.pt, its half, and what is none.
ERRORS = {
    "insert": "Missing argument 'BASE' (see lska-surgeon insert --help)",
    "insert yolov8s.yaml": "Missing option '--at' (see lska-surgeon insert --help)",
    "insert yolov8s.yaml --at neck --op foo": "no operator 'foo': --op takes lska",
    "insert nope.yaml --at neck": "no file nope.yaml, and no stock model of that name",
    "insert yolov8s.yaml --at nek": "no position 'nek' (did you mean neck?)",
    "insert yolov8s.yaml --at neck --k 8": "kernel size 8 is not an odd number",
    "insert yolov8s.yaml --at neck --k 9": "no kernel size 9 for lska in the paper: use one of 7, 11, 23, 35, 41, 53",
    "insert yolov8s.yaml --at sppf:p3": "--at sppf:p3: sppf has no 'p3' in yolov8s.yaml; it has 9 (p5)",
    "insert yolov8s.yaml --at after:31": "no layer 31: yolov8s.yaml has 0-22; try --at after:21",
    "insert yolov8s.yaml --at neck --at neck:p3": "--at neck and --at neck:p3 both name layer 15 (C2f): name it once",
    "insert yolov8s.yaml --at neck -o missing/x.yaml": "can't write missing/x.yaml: there is no directory missing",
    "insert yolov8s.yaml --at neck -o x.txt": (
        "x.txt does not end in .yaml, by which Ultralytics would know it: try -o x.yaml"
    ),
    "insert yolov8s.yaml --at neck -o x-v1.2": (
        "x-v1.2 does not end in .yaml, by which Ultralytics would know it: try -o x-v1.2.yaml"
    ),
    "insert yolov8n.yaml --at neck -o out.YAML": (
        "out.YAML does not end in .yaml, by which Ultralytics would know it: try -o out.yaml"
    ),
    "insert yolov8s.yaml --at neck -o ''": "Invalid value for '-o' / '--output': it is empty",
    "insert yolov8s.yaml --at neck --at ''": "Invalid value for '--at': it is empty (see lska-surgeon insert --help)",
    "insert yolov8s.yaml --at NECK": "no position 'NECK' (did you mean neck?): there are backbone, ",
    "insert yolo11s.yaml --at neck -o yolo11m-x.yaml": "the name yolo11m-x.yaml says scale m",
    "insert yolov8s-world.yaml --at neck -o mine.yaml": (
        "ultralytics would build mine.yaml as a plain model by its name, and its output layer is WorldDetect:"
        " give a name with -world in it with -o"
    ),
    "insert yolov8s.yaml --at neck -o hello-world.yaml": (
        "ultralytics would build hello-world.yaml as a YOLO-World model by its name, and its output layer is "
        "Detect: give a name without -world with -o"
    ),
    "insert yolov8s.yaml --at neck -o yoloexp.yaml": "ultralytics would build yoloexp.yaml as a YOLOE model",
    "insert '' --at neck": "the model's name is empty: give a model YAML, such as yolov8s.yaml",
    "insert tiny.yaml --at neck --op eca": "no operator 'eca' (did you mean timm:eca?)",
    "insert tiny.yaml --at neck --op CBAM": "no operator 'CBAM' (did you mean cbam?)",
    "insert tiny.yaml --at neck --op SE": "no operator 'SE' (did you mean timm:se?)",
    "insert tiny.yaml --at neck --op LSKA": "no operator 'LSKA' (did you mean lska?)",
    "insert tiny.yaml --at neck --kernel 7": "No such option '--kernel' (did you mean --k?)",
    "remove yolov8s.yaml": "yolov8s.yaml has no LSKA to remove: of its 23 rows none is an operator or a host",
    "check x.yaml --fix=abc": "Invalid value for '--fix': 'abc' is not a whole number: give one such as 1",
    "positions yolov8s.yaml --scale ''": "Invalid value for '--scale': it is empty",
    "diff yolov8s.yaml": "diff takes two model YAMLs or checkpoints, BEFORE and AFTER, and got one",
    "diff --textconv a.yaml b.yaml": "--textconv takes one model: drop the other (see lska-surgeon diff --help)",
    "diff yolov8s.yaml yolov8n.yaml --json --format md": "--json is short for --format json: drop it, or --format md",
    "flops yolov8n.yaml --batch 99999999": "batch 99999999 is out of range: give 1 to 65536 images",
    "flops yolov8n.yaml --batch 65536 --imgsz 16384": (
        "yolov8n.yaml can't be counted at 16384x16384 with batch 65536, for there is not enough memory: give "
        "a smaller imgsz or batch"
    ),
    "flops yolov8n.yaml --top 0": "Invalid value for '--top': '0' is too small: give 1 or more",
    "flops yolov8n.yaml --max-gflops -1": "Invalid value for '--max-gflops': '-1' is too small: give 0 or more",
    "flops yolov8n.yaml --imgsz 100": (
        "yolov8n.yaml can't take 100x100 pixels: its largest stride is 32, so sides are multiples of that; "
        "try --imgsz 96,96"
    ),
    "flops yolov8n.yaml --imgsz 99999999": "imgsz 99999999 is ",
    "flops yolov8n.yaml --imgsz 640,16385": (
        "imgsz (640, 16385) is not a size: give one number of pixels or (height, width), 1 to 16384"
    ),
    "flops yolov8n.yaml --imgsz 0": "imgsz 0 is ",
    "flops yolov8n.yaml --imgsz 640x480": (
        "Invalid value for '--imgsz': '640x480' is not a size in pixels: give one number for a square, or H,W (480,640)"
    ),
    "flops yolov8n.yaml --max-params 40MB": "Invalid value for '--max-params': '40MB' is not an amount",
    "flops yolov8n.yaml --max-params -1": "Invalid value for '--max-params': '-1' is not an amount",
    "flops yolov8n.yaml --format xml": "Invalid value for '--format",
    "curves yolov8n.yaml --at neck@11": "--at neck@11: the kernel size is what varies here; leave @11 out",
    "curves yolov8n.yaml --at nek": "no position 'nek' (did you mean neck",
    "curves yolov8n.yaml --at neck --k 8": "kernel size 8",
    "curves yolov8n.yaml --at neck --op cbam": "--op cbam: a curve shows operators with a kernel size: lska, ",
    "curves yolov8n.yaml --at neck --op lsk": "--op lsk: a curve shows operators with a kernel size: lska, ",
    "curves yolov8n.yaml --at neck --imgsz 100": "--imgsz 100 is no multiple of the stride 16: take one, such as 640",
    "curves yolov8n.yaml --at neck -o x.jpg": "x.jpg does not end in .png, .svg, .pdf: give such a name",
    "latency tiny.yaml --rounds 1": "1 rounds are too few to measure by: give 2 or more, such as 50",
    "latency yolov8n.yaml --batch 99999999": "batch 99999999 is out of range: give 1 to 65536 images",
    "latency yolov8n.yaml --batch '²'": (
        "Invalid value for '--batch': '²' is not a whole number: give one, or several as 1,16"
    ),
    "latency yolov8n.yaml --batch 1,": "Invalid value for '--batch': '' is not a whole number",
    "latency yolov8n.yaml --threads 99999999999": "threads 99999999999 is not a number of threads: give 1 to 4096",
    "latency yolov8n.yaml --threads '²'": (
        "Invalid value for '--threads': '²' is not a whole number: give one such as 1"
    ),
    "latency yolov8n.yaml --device '²'": "no device '²' here: there are ",
    "latency yolov8n.yaml --device 99999999999": "no device '99999999999' here: there are ",
    "latency tiny.yaml --half": (
        "half precision is for GPUs, and Ultralytics runs single precision on a CPU: drop half"
    ),
    "latency tiny.yaml --device 77": "no device '77' here: there are ",
    "latency tiny.yaml --imgsz 60": "tiny.yaml can't be run on cpu: ",
    "latency": "give models to measure, or --recipe FILE: one of the two (see lska-surgeon latency --help)",
    "draw yolov8s.yaml yolov8m.yaml --positions": "positions are those of one model: draw them without a variant",
    "draw yolov8s.yaml -o x.jpg": (
        "x.jpg ends in .jpg (did you mean png?): a drawing is .svg, .md, .dot, .png, .pdf; try x.svg"
    ),
    "draw yolov8s.yaml -o x": "x has no ending: a drawing is .svg, .md, .dot, .png, .pdf; try x.svg",
    "draw yolov8s.yaml -o x.svg --format md": "-o x.svg does not end in .md, the format asked for: drop one",
    "draw yolov8s.yaml -o missing/x.svg": "can't write missing/x.svg: there is no directory missing",
    "draw yolov8s.yaml --scale q": "no scale q: this model has n, s, m, l, x",
    "draw yolov8s.yaml --imgsz 0": "imgsz 0 is ",
    "inspect integer.pt": "integer.pt is damaged (Unsupported operand 139): copy or download it again",
    "inspect half.pt": "half.pt is cut short or damaged: copy or download it again",
    "erf y.yaml": "y.yaml is a YAML by its name, and this takes a trained checkpoint: give its .pt",
    "erf base.pt --imgsz 64 --level p7": "base.pt has no level p7: its output layer reads p2, p3",
    "erf base.pt --imgsz 64 --layer 9": "no layer 9 to look behind: base.pt has 0-8 before its output layer",
    "erf base.pt --imgsz 64 --gates": "base.pt has no operator to look at: graft one in first",
    "erf base.pt --imgsz 64 -o out.txt": "out.txt does not end in .png, .svg, .pdf: give such a name",
    "graft yolov8s.pt --at neck -o x.yaml": (
        "x.yaml does not end in .pt, by which Ultralytics would know it: try -o x.pt"
    ),
    "graft base.pt --position neck": "No such option '--position' (did you mean --at?)",
    "graft base.pt": "say where: --at POSITION (such as --at neck), or --into VARIANT.yaml; one of the two",
    "graft y.yaml --at neck": (
        "y.yaml is a YAML by its name, and this takes a trained checkpoint: give its .pt; insert puts "
        "operators into a model YAML, and graft FILE.pt --into y.yaml puts a checkpoint into one"
    ),
    "graft tiny.yaml": "tiny.yaml is a YAML by its name, and this takes a trained checkpoint: give its .pt",
    "graft base.pt --at neck -o -": "a .pt can't go to standard output: give a file name, such as -o out.pt",
    "graft base.pt --at neck --into x.yaml": (
        "say where: --at POSITION (such as --at neck), or --into VARIANT.yaml; one of the two"
    ),
    "graft base.pt --into x.yaml --k 35": "--k belongs to --at: the rows of --into x.yaml say theirs",
    "graft base.pt --into x.yaml --op lka": "--op belongs to --at: the rows of --into x.yaml say theirs",
    "graft base.pt --at nek": "no position 'nek' (did you mean neck",
    "graft base.pt --at sppf --k 8": "kernel size 8",
    "graft base.pt --at sppf --init zero": "Invalid value for '--init': 'zero",
    "graft base.pt --at neck --at neck:p2": "--at neck and --at neck:p2 both name layer 8 (C2f): name it once",
    "graft base.pt --at sppf -o missing/out.pt": "can't write missing/out.pt: there is no directory missing",
    "graft base.pt --at sppf -o .": ". is a directory: give a file name with -o, such as variant.pt",
    "graft empty.pt --at neck": "empty.pt is empty (0 bytes): copy or download it again",
    "graft half.pt --at neck": "half.pt is cut short or damaged: copy or download it again",
    "graft text.pt --at neck": (
        "text.pt is not a checkpoint but a text file: give a .pt that Ultralytics or torch.save wrote"
    ),
    "graft model.onnx --at neck": (
        "model.onnx is not a checkpoint but an ONNX model: use the .pt that it was exported from"
    ),
    "ungraft base.pt -o -": "a .pt can't go to standard output: give a file name, such as -o out.pt",
    "ungraft base.pt": "base.pt has no LSKA to remove: of its 10 rows none is an operator or a host",
    "adopt base.pt -o -": "a .pt can't go to standard output: give a file name, such as -o out.pt",
    "templates recommended": (
        "recommended is a template: lska-surgeon templates show recommended prints it, and lska-surgeon "
        "templates copy recommended writes it"
    ),
    "templates copy github -o nowhere/x.yml": "can't write nowhere/x.yml: there is no directory nowhere",
    "variants recipe.yaml": (
        "can't read the index variants/index.json: it is no text in UTF-8: move it away, and write the variants anew"
    ),
    "ablate recipe.yaml --devices cpu --ray auto": "--devices, --ray and --slurm each say where to train: give one",
    "ablate recipe.yaml --devices ''": "Invalid value for '--devices': it is empty",
    "ablate recipe.yaml --devices '²'": "'²' is no device: give the numbers of GPUs, such as 0,1, or cpu",
    "ablate recipe.yaml --devices -1": "'-1' is no device: give the numbers of GPUs, such as 0,1, or cpu",
    "ablate recipe.yaml --devices 0,00": "device 0 is there twice, and one training runs on each: give it once",
    "ablate recipe.yaml --devices cpu,cpu": "device cpu is there twice, and one training runs on each: give it once",
    "ablate recipe.yaml --devices ,": "no device was given: such as --devices 0,1 or --devices cpu",
    "ablate recipe.yaml --devices 0,00 --dry-run": (
        "device 0 is there twice, and one training runs on each: give it once"
    ),
    "results recipe.yaml --columns ''": "Invalid value for '--columns': it is empty",
    "results nothere": (
        "neither a recipe nor a folder is at nothere: give a recipe that was ablated, such as recipe.yaml, or"
        " folders of runs, such as runs/detect"
    ),
    "doctor --try rows.yaml": "rows.yaml has no rows under backbone and head: give a model YAML, such as yolov8s.yaml",
    "blocks bytes.py": "bytes.py is not Python: source code",
    "report recipe.yaml -o x.pdf": "x.pdf does not end in .html, by which a browser would know it: try -o x.html",
    "report recipe.yaml -o -": "a .html can't go to standard output: give a file name, such as -o out.html",
    "xyzzy": "no command 'xyzzy': there are insert, replace, ",
    "compare a.yaml b.yaml": "no command 'compare' (did you mean diff?)",
    "Plot tiny.yaml": "no command 'Plot' (did you mean draw?)",
    **dict.fromkeys(
        ("insert yolov8s.pt --at neck", "remove yolov8s.pt", "check yolov8s.pt", "positions yolov8s.pt"),
        "yolov8s.pt is a checkpoint, and this takes a model YAML: graft puts LSKA into a checkpoint, ungraft "
        "takes it out, and inspect shows what it holds",
    ),
    **dict.fromkeys(
        ("flops weights.pt", "graft weights.pt --at neck", "ungraft weights.pt", "train weights.pt data=coco8.yaml"),
        "weights.pt holds tensors without a model: flops counts the YAML that they belong to, and "
        "lska-surgeon graft weights.pt --into YAML puts them into a variant of it",
    ),
    **dict.fromkeys(
        ("inspect y.YML", "ungraft y.YML"),
        "y.YML is a YAML by its name, and this takes a trained checkpoint: give its .pt; insert puts operators into a "
        "model YAML, and graft FILE.pt --into y.YML puts a checkpoint into one",
    ),
    **dict.fromkeys(
        ("graft base.pt --at neck -o out.PT", "ungraft base.pt -o out.PT"),
        "out.PT does not end in .pt, by which Ultralytics would know it: try -o out.pt",
    ),
    **dict.fromkeys(
        ("variants tiny.yaml", "ablate tiny.yaml", "results tiny.yaml", "report tiny.yaml"),
        "tiny.yaml is a model YAML, and this takes a recipe, which names models to start from (base: "
        "tiny.yaml): lska-surgeon templates copy recommended writes one",
    ),
    f"latency yolov8n.yaml --batch {'9' * 5000}": "Invalid value for '--batch': '9999",
    f"ablate recipe.yaml --devices {'9' * 5000}": "'9999",
    "ablate recipe.yaml --devices 0,0 --dry-run": "device 0 is there twice",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("errors")
    whole = write_checkpoint(path).read_bytes()
    for name, content in {
        "half.pt": whole[: len(whole) // 2],
        "empty.pt": b"",
        "text.pt": b"not a checkpoint\n",
        "model.onnx": b"\x08\x07\x12\x07pytorch" + bytes(99),
        "recipe.yaml": b"base: yolov8n.yaml\nmatrix: {at: sppf, k: 7}\ntrain: {data: coco8.yaml}\n",
        "variants/index.json": b"\xff\xfe{}",
        "rows.yaml": b"nc: 3\nbackbone: []\nhead: []\n",
        "bytes.py": b"\xff\xfe\x00",
    }.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(content)
    torch.save({"model.0.weight": torch.zeros(1)}, path / "weights.pt")
    torch.save({"model": 1 << 16_000_000}, path / "integer.pt")
    return path


@pytest.mark.parametrize("words", ERRORS, ids=lambda words: words[:80])
def test_an_error_is_one_line_and_leaves_nothing(words: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result = surgeon(*shlex.split(words))
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.replace("(see main", "(see lska-surgeon").startswith(f"Error: {ERRORS[words]}")
    assert len(line) < 1010
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("number", ["nan", "NaN", "-nan", "inf", "1e999"])
def test_a_number_with_which_nothing_can_be_compared_is_refused_everywhere(number: str) -> None:
    with click.Context(main) as ctx:
        parameters = [
            (name, one) for name in COMMANDS if (found := main.get_command(ctx, name)) for one in found.params
        ]
    options = [(name, one.opts[0]) for name, one in parameters if getattr(one.type, "kind", None) is float]
    assert ("flops", "--max-gflops") in options
    for command, option in options:
        told = surgeon(command, "yolov8n.yaml", option, number)
        assert (told.exit_code, told.stdout) == (2, "")
        assert f"{number!r} is not a number that can be compared with: give one such as 0.5 (see " in told.stderr


def test_hints_name_what_there_is() -> None:
    assert set(MEANT.values()) <= set(COMMANDS)
    assert not set(MEANT) & set(COMMANDS)
    with click.Context(main) as ctx:
        commands = [main.get_command(ctx, name) for name in COMMANDS]
    options = {word for command in commands if command for option in command.params for word in option.opts}
    assert set(MEANT_OPTIONS.values()) <= options
    assert "did you mean" not in surgeon("autoload", "--kernel").stderr  # which it does not have
