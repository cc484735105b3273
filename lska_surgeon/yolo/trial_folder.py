"""What a trial works on: model YAMLs at their smallest scale, and a few images of coloured shapes to train on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ..core.blocks import STOCK
from ..core.graph import scaling_of
from ..errors import DocumentError, SurgeonError, needs
from ..installed.package import installed_package
from ..modelfile.document import Document
from ..modelfile.sources import YAML_SUFFIXES, find_source, scale_in_name, stock_models, with_scale

#: Of a folder, or of the installed Ultralytics, that many models are tried.
MOST = 3
#: The side of the images, in pixels: small, but the decoder of an old RT-DETR wants 300 cells.
SIDE = 160
_SPLITS = {"train": 4, "val": 2}
_SHAPES = ("square", "circle")
_UNSCALED = re.compile(r"(yolo(?:e-)?v?\d+)(?![\dnslmx])")
_KEYPOINTS = 17


@dataclass(frozen=True)
class Subject:
    """A model that is tried.

    Attributes:
        path: its file.
        name: the file's name, with its smallest scale in it.
        blocks: the names of its rows' blocks.
        task: which data it is trained on: "detect" stands for all whose labels are boxes or outlines.
        is_small: whether it has scales, of which the smallest is taken.
    """

    path: Path
    name: str
    blocks: frozenset[str]
    task: str
    is_small: bool


def subjects(asked: Sequence[str]) -> list[Subject]:
    """The models that are asked for; of each folder, or where none is, of the installed ones, a few that differ most.

    Args:
        asked: model YAMLs, stock names or folders.

    Raises:
        DocumentError: one is not there, is no model YAML, or there is none in a folder.
        MissingPackageError: none is asked for, and there is no Ultralytics.
    """
    found: list[Subject] = []
    for name in asked:
        if not Path(name).is_dir():
            found.append(subject(name))
            continue
        inside = (path for path in sorted(Path(name).rglob("*")) if path.suffix.lower() in YAML_SUFFIXES)
        few = most_different(readable(inside))
        if not few:
            raise DocumentError(f"no model YAML in {name}: give one, or a folder with some")
        found += few
    found = found if asked else most_different(readable(_installed()))
    if not found:
        raise needs("ultralytics", what="trying every step without naming a model")
    return found


def _installed() -> list[Path]:
    """The models of the Ultralytics that is imported; of a fork those of its own, if there are any."""
    package, there = installed_package(), list(stock_models().values())
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in there}
    return [path for path, text in texts.items() if package and not package.is_released_model(text)] or there


def subject(name: str) -> Subject:
    """A model by its path or stock name.

    Raises:
        DocumentError: it is not there, or is no model YAML.
    """
    source = find_source(name)
    document = Document.read(source.path, source.name, [])
    if not document.layers:
        raise DocumentError(
            f"{source.name} has no rows under backbone and head: give a model YAML, such as yolov8s.yaml"
        )
    letters = {letter: scaling_of(document.settings, letter) for letter in document.scales}
    least = min(letters, key=lambda letter: letters[letter].width * letters[letter].depth, default=None)
    wanted = scale_in_name(source.name) if source.name != source.path.name else None
    task = (STOCK[document.layers[-1].block].model or "").replace("Model", "").lower()
    task = task if task in ("classification", "pose") else "detect"
    blocks = frozenset(layer.block for layer in document.layers)
    return Subject(source.path, _named(source.path.name, wanted or least), blocks, task, least is not None)


def _named(name: str, letter: str | None) -> str:
    """The file's name with a scale in it, where Ultralytics would read one; else it takes the first of `scales`."""
    if letter is None:
        return name
    return with_scale(name, letter) or _UNSCALED.sub(rf"\g<1>{letter}", name, count=1)


def readable(files: Iterable[Path]) -> Iterator[Subject]:
    """Those of some files that are model YAMLs."""
    for file in files:
        try:
            yield subject(str(file))
        except SurgeonError:
            continue


def most_different(candidates: Iterable[Subject]) -> list[Subject]:
    """A few that have the most kinds of rows together; of small ones that detect, where there are any."""
    found = sorted(candidates, key=lambda one: one.path.name)
    left = [one for one in found if one.is_small and one.task == "detect"] or found
    chosen: list[Subject] = []
    while left and len(chosen) < MOST:
        seen = frozenset[str]().union(*(one.blocks for one in chosen))
        best = max(left, key=lambda one: len(one.blocks - seen))
        if chosen and not best.blocks - seen:
            break
        chosen.append(best)
        left.remove(best)
    return chosen


def write_models(folder: Path, models: Sequence[Subject]) -> list[str]:
    """Copies of the models, each under a name that says its scale; the names."""
    names = []
    for number, model in enumerate(models):
        name = model.name if model.name not in names else f"{number}-{model.name}"
        _write(folder / name, model.path.read_bytes())
        names.append(name)
    return names


def write_data(folder: Path) -> dict[str, str]:
    """Images with their labels; task -> what training is told as `data`.

    An outline of four corners is a label for whatever detects boxes, turned or not, or outlines.
    """
    for split, count in _SPLITS.items():
        for number in range(count):
            shape = _SHAPES[number % 2]
            image = _image(shape, number)
            for task, label in (("detect", _outline(number % 2)), ("pose", _keypoints(number % 2))):
                _save(folder / task / "images" / split / f"{number}.png", image)
                _write(folder / task / "labels" / split / f"{number}.txt", label.encode())
            _save(folder / "classification" / split / shape / f"{number}.png", image)
    _save(folder / "square.png", _image("square", 0))
    listed = "train: images/train\nval: images/val\nnames: [square, circle]\n"
    _write(folder / "detect.yaml", f"path: {folder / 'detect'}\n{listed}".encode())
    _write(folder / "pose.yaml", f"path: {folder / 'pose'}\n{listed}kpt_shape: [{_KEYPOINTS}, 3]\n".encode())
    return {"detect": "detect.yaml", "pose": "pose.yaml", "classification": str(folder / "classification")}


def _image(shape: str, number: int) -> Any:
    import cv2
    import numpy

    pixels = numpy.random.default_rng(number).integers(0, 80, (SIDE, SIDE, 3)).astype(numpy.uint8)
    colour, near, far = (60 * number % 256, 200, 255 - 40 * number), SIDE // 4, SIDE * 3 // 4
    if shape == "square":
        cv2.rectangle(pixels, (near, near), (far, far), colour, -1)
    else:
        cv2.circle(pixels, (SIDE // 2, SIDE // 2), SIDE // 4, colour, -1)
    return pixels


def _save(path: Path, image: Any) -> None:
    import cv2

    _write(path, cv2.imencode(".png", image)[1].tobytes())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _outline(kind: int) -> str:
    return f"{kind} 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n"


def _keypoints(kind: int) -> str:
    points = " ".join(f"{x} {y} 2" for x, y in [*product((0.3, 0.4, 0.5, 0.6), repeat=2), (0.7, 0.7)])
    return f"{kind} 0.5 0.5 0.5 0.5 {points}\n"
