"""Every path that a heavy command is given is looked at before torch is imported, which takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

YAML = "nc: 1\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\nhead:\n  - [[0], 1, Detect, [nc]]\n"
RECIPE = "base: model.yaml\nmatrix: {{at: ['after:0']}}\ntrain: {{data: {}, epochs: 1, start: scratch}}\nseeds: [0]\n"
#: Words -> what is said. `here.pt` is there, and never opened; `text.jpg` holds no image, `folder` is one.
MISTAKES = {
    "graft gone.pt --at neck": "no file gone.pt",
    "graft folder --at neck": "folder is a directory",
    "graft here.pt --into gone.yaml": "no file gone.yaml",
    "graft here.pt --at neck --image gone.jpg": "can't read the image gone.jpg: No such file or directory",
    "graft here.pt --at neck --image folder": "folder is a directory",
    "graft here.pt --at neck --image text.jpg": "text.jpg is not an image: give a JPEG or PNG with --image",
    "graft here.pt --at neck --image empty.png": "can't read the image empty.png",
    "graft here.pt --at neck --image model.yaml": "model.yaml is not an image",
    "graft here.pt --at neck -o gone/x.pt": "there is no directory gone",
    "graft here.pt --at neck -o here.pt": "here.pt is already there",
    "ungraft gone.pt": "no file gone.pt",
    "ungraft here.pt -o gone/x.pt": "there is no directory gone",
    "inspect gone.pt": "no file gone.pt",
    "inspect folder": "folder is a directory",
    "flops gone.pt": "no file gone.pt",
    "flops gone.yaml": "no file gone.yaml",
    "flops model.yaml gone.pt": "no file gone.pt",
    "check --build gone.yaml": "no file gone.yaml",
    "diff --costs model.yaml gone.yaml": "no file gone.yaml",
    "draw here.pt gone.yaml": "no file gone.yaml",
    "erf gone.pt": "no file gone.pt",
    "erf here.pt --images gone": "no folder gone: give a folder of images with --images",
    "erf here.pt --images folder": "no image in folder: it needs files such as .bmp",
    "erf here.pt --gates --images model.yaml": "no folder model.yaml",
    "latency gone.pt": "no file gone.pt",
    "latency --recipe gone.yaml": "gone.yaml can't be read: No such file or directory",
    "latency --recipe folder": "folder is a directory: give a recipe",
    "report recipe.yaml --images gone": "no folder gone: give a folder of images with --images",
    "variants gone.yaml --verify build": "gone.yaml",
    "variants recipe.yaml --verify build": "no file gone.yaml",
    "variants recipe.yaml --costs": "no file gone.yaml",
    "train gone.pt data=data.yaml": "no file gone.pt",
    "train gone.yaml data=data.yaml": "no file gone.yaml",
    "train here.pt data=gone.yaml": "data=gone.yaml: there is no such file",
    "train model.yaml data=gone.yaml": "data=gone.yaml: there is no such file",
    "train here.pt data=folder.yaml": "data=folder.yaml is a directory",
    "train here.pt data=/dev/null": "data=/dev/null is a device: give the path of a data YAML that is here",
    "train here.pt data=here.pt": "data=here.pt is no data YAML, whose name would end in .yaml: give the path of a",
    "train here.pt data=text.jpg": "data=text.jpg is no data YAML, whose name would end in .yaml",
    "train here.pt data=list.yaml": "data=list.yaml is no data YAML: it has no keys such as train, val and names",
    "train here.pt data=nothing.yaml": "data=nothing.yaml is no data YAML: it has no keys such as train, val and names",
    "train here.pt data=deep.yaml": "data=deep.yaml is no data YAML: it is nested too deep",
    "train here.pt data=binary.yaml": "data=binary.yaml is no data YAML: ",
    "train here.pt data=open.yaml": "data=open.yaml is no data YAML: line 2: ",
    "train here.pt data=utf16.yaml": "it is UTF-16, and has to be UTF-8: save it as UTF-8",
    "train here.pt data=model.yaml cfg=text.jpg": "cfg=text.jpg is no YAML of arguments, whose name would end in .yaml",
    "train here.pt data=model.yaml cfg=list.yaml": "it has no keys such as epochs and imgsz: give a YAML of arguments",
    "ablate list-of-data.yaml": "list.yaml is no data YAML: it has no keys such as train, val and names",
    "ablate here-of-data.yaml": "here.pt is no data YAML, whose name would end in .yaml: give the path of a data YAML",
    "train here.pt data=https://example.com/a.yaml": "nothing is downloaded for you",
    "train here.pt data=model.yaml cfg=gone.yaml": "cfg=gone.yaml: there is no such file",
    "train here.pt data=model.yaml pretrained=gone.pt": "pretrained=gone.pt: no file gone.pt",
    "train here.pt data=model.yaml 'pretrained=\"gone.pt\"'": "pretrained=gone.pt: no file gone.pt",
    "train here.pt data=model.yaml distill_model=folder": "distill_model=folder: folder is a directory",
    "train here.pt resume=gone.pt": "give the file to resume as the model: lska-surgeon train gone.pt resume=True",
}
#: What is no error of a path: it goes on, and then needs torch.
GO_ON = [
    "train here.pt data=coco8.yaml pretrained=True",
    "train here.pt data=model.yaml epochs=1 pretrained=False cfg=model.yaml",
    "train here.pt data = folder",
    "train here.pt data=some-folder",
    "train here.pt resume=True",
    "graft here.pt --at neck --image here.png",
    "check --build model.yaml",
    "flops model.yaml",
    "inspect here.pt",
]
LEAN = """\
import contextlib, io, shlex, sys
sys.modules["torch"] = None
from lska_surgeon.cli.main import main
for line in sys.stdin.read().splitlines():
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(shlex.split(line))
        except SystemExit as stop:
            code = stop.code
    print(code, "|".join(said.getvalue().splitlines()))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Exit code and standard error of every command line, in one process where importing torch is an error."""
    import cv2
    import numpy

    folder = tmp_path_factory.mktemp("paths")
    for name, text in {
        "here.pt": "x",
        "text.jpg": "no image",
        "empty.png": "",
        "model.yaml": YAML,
        "list.yaml": "- 1\n",
        "nothing.yaml": "",
        "deep.yaml": "[" * 100_000,
        "open.yaml": "a: [1,\n",
        "binary.yaml": "\x00\x01\x7f",
        "list-of-data.yaml": RECIPE.format("list.yaml"),
        "here-of-data.yaml": RECIPE.format("here.pt"),
        "recipe.yaml": "base: gone.yaml\nmatrix: {at: [neck]}\n",
    }.items():
        (folder / name).write_text(text)
    (folder / "utf16.yaml").write_text("train: a\nval: b\n", encoding="utf-16")
    cv2.imwrite(str(folder / "here.png"), numpy.zeros((8, 8, 3), numpy.uint8))
    for name in ("folder", "folder.yaml"):
        (folder / name).mkdir()
    lines = [*MISTAKES, *GO_ON]
    done = subprocess.run(
        [sys.executable, "-c", LEAN],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    found = dict(zip(lines, done.stdout.splitlines()))
    assert len(found) == len(lines)
    return found


@pytest.mark.parametrize("line", MISTAKES)
def test_a_wrong_path_is_told_without_torch(line: str, said: dict[str, str]) -> None:
    assert said[line].startswith("2 Error: "), said[line]
    assert MISTAKES[line] in said[line]
    assert "|" not in said[line], "more than one line"


@pytest.mark.parametrize("line", GO_ON)
def test_what_may_be_there_is_left_to_the_command(line: str, said: dict[str, str]) -> None:
    assert "torch" in said[line], said[line]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    from lska_surgeon.errors import CheckpointError
    from lska_surgeon.grafting.input_files import pixels_of

    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(CheckpointError, match="is a named pipe"):
        pixels_of(tmp_path / "pipe.jpg")
