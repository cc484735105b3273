"""Every step that people take with a model, tried here on a few: commands of ours, each in a process of its own.

One that crashes ends no other. All files are in a temporary folder, model YAMLs at their smallest scale and a few
images of coloured shapes to train on, and nothing is fetched from a network. Where a
step fails, Ultralytics is asked for the same without us: what it can't do itself is no fault of ours.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

from ..core.blocks import STOCK, BlockTable
from ..core.graph import scaling_of
from ..core.parts import NAMES
from ..declarations.find import for_children
from ..errors import DocumentError, SurgeonError, needs
from ..files import parse_json
from ..installed.package import installed_package
from ..modelfile.document import Document
from ..modelfile.sources import YAML_SUFFIXES, find_source, scale_in_name, stock_models, with_scale
from ..wording import clean, one_line
from .environment import COLOUR

#: Of a folder, or of the installed Ultralytics, that many models are tried.
MOST = 3
#: The side of the images, in pixels: small, but the decoder of an old RT-DETR wants 300 cells.
SIDE = 160
_SPLITS = {"train": 4, "val": 2}
_SHAPES = ("square", "circle")
_UNSCALED = re.compile(r"(yolo(?:e-)?v?\d+)(?![\dnslmx])")
_KEYPOINTS = 17

RIGHT, REFUSED, UNABLE, WRONG, SKIPPED = "right", "refused", "unable", "wrong", "-"
#: Seconds that a process may take.
LIMIT = 600.0
_TRAINING = f"imgsz={SIDE} batch=2 device=cpu workers=0 plots=False amp=False project={{folder}} exist_ok=True"
_EPOCHS = f"epochs=3 save_period=1 {_TRAINING}"  # old releases save none of the first epoch
_EXPORT = f"format=torchscript imgsz={SIDE} device=cpu"
_PREDICT = f"predict model={{model}} source=square.png imgsz={SIDE} device=cpu save=False"
#: Runs Ultralytics' own command without us.
_PLAIN = "import sys\nfrom ultralytics.cfg import entrypoint\nsys.argv[0] = 'yolo'\nentrypoint()\n"
_CHECKPOINT = "import sys\nfrom lska_surgeon.yolo.trial import write_checkpoint\nwrite_checkpoint(*sys.argv[1:])\n"
_BUILT = "{stem}.pt"
#: How a command words what it refuses, how `check` words a finding, and how Python ends a traceback.
_SAID = re.compile(r"^Error: (.*)$", re.MULTILINE)
_FINDING = re.compile(r"^\S.*?: (error\[\w+\]: .*)$", re.MULTILINE)
_RAISED = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)$", re.MULTILINE)
_OURS = re.compile(r"^lska_surgeon\.errors\.\w+: (.*)$")


@dataclass(frozen=True)
class Step:
    """What is tried with each model.

    Attributes:
        name: one word.
        commands: what is typed behind `lska-surgeon`, one after another.
        needs: the step that has to be right before.
        plain: what Ultralytics is asked for without us where it fails: what is typed behind `yolo`.
    """

    name: str
    commands: tuple[str, ...]
    needs: str = ""
    plain: tuple[str, ...] = ()


STEPS = (
    Step("positions", ("positions {model}",)),
    Step("check", ("check {model}",)),
    Step("build", ("check --build {model}",), plain=(_PREDICT,)),
    Step("flops", (f"flops {{model}} --imgsz {SIDE}",), plain=(_PREDICT,)),
    Step("insert", ("insert {model} --at {at} --k 7 -o {stem}-variant.yaml", "check --build {stem}-variant.yaml")),
    Step("graft", (f"graft {_BUILT} --at {{at}} --k 7 -o {{stem}}-graft.pt",)),
    Step(
        "train",
        (f"train {{stem}}-graft.pt data={{data}} name={{stem}} {_EPOCHS}",),
        needs="graft",
        plain=(f"train model={{model}} data={{data}} name={{stem}}-plain {_EPOCHS}",),
    ),
    Step(
        "resume",
        ("train {stem}/weights/epoch1.pt resume=True",),
        needs="train",
        plain=(
            f"train model={{model}} data={{data}} name={{stem}}-plain {_EPOCHS}",
            "train model={stem}-plain/weights/epoch1.pt resume=True",
        ),
    ),
    Step(
        "export",
        (f"yolo export model={{stem}}-graft.pt {_EXPORT}",),
        needs="graft",
        plain=(f"export model={_BUILT} {_EXPORT}",),
    ),
    Step("ungraft", ("ungraft {stem}-graft.pt -o {stem}-back.pt",), needs="graft"),
)


@dataclass(frozen=True)
class TriedStep:
    """What came of a step.

    Attributes:
        model: the model's file name.
        step: the step's name.
        result: "right", "refused" with a reason, "unable" where Ultralytics can't do it without us either, "wrong",
            or "-" where it was not tried.
        text: the reason, in one line; empty for what is right.
        command: what was typed.
    """

    model: str
    step: str
    result: str
    text: str
    command: str


@dataclass(frozen=True)
class _Outcome:
    """How a process ended: its exit code, None for one that took too long, and what it said."""

    code: int | None
    output: str
    errors: str

    @property
    def reason(self) -> str:
        """Why it failed, in one line."""
        if self.code is None:
            return f"it took more than {LIMIT:.0f} seconds"
        if self.code < 0:
            return f"it was ended by signal {-self.code}"
        errors = COLOUR.sub("", self.errors)
        found = _RAISED.findall(errors) or _SAID.findall(errors) or _FINDING.findall(self.output)
        return one_line(found[-1] if found else errors) or f"it ended with code {self.code}"

    @property
    def result(self) -> str:
        """What that is: a refusal is worded by a command."""
        if self.code == 0:
            return RIGHT
        if _RAISED.search(self.errors):
            return WRONG
        said = _SAID.search(self.errors) if self.code == 2 else _FINDING.search(self.output) if self.code == 1 else None
        return REFUSED if said else WRONG


class _Bench:
    """A folder in which steps are tried with one model, and what came of those that were."""

    def __init__(self, folder: Path, values: Mapping[str, str], blocks: BlockTable) -> None:
        self.folder = folder
        self.values = {"folder": str(folder), "at": "neck", **values}
        self.results: dict[str, str] = {}
        places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
        self.environment = {**os.environ, **for_children(blocks), **_environment(folder), "PYTHONPATH": places}

    def attempt(self, step: Step) -> TriedStep:
        """Try a step, where what it needs was right."""
        commands = [self._words(command) for command in step.commands]
        if step.needs and self.results[step.needs] != RIGHT:
            result, text = SKIPPED, f"for {step.needs} was not right"
        else:
            result, text = self._tried(step, commands)
        self.results[step.name] = result
        typed = " && ".join(f"lska-surgeon {shlex.join(words)}" for words in commands)
        return TriedStep(self.values["model"], step.name, result, clean(self._here(text), 300), self._here(typed))

    def _tried(self, step: Step, commands: Sequence[Sequence[str]]) -> tuple[str, str]:
        if step.name == "graft":
            outcome = self._python("-c", _CHECKPOINT, self.values["model"], *self._words(_BUILT))
            if outcome.code != 0:
                ours = _OURS.fullmatch(outcome.reason)
                return (REFUSED, ours[1]) if ours else (WRONG, outcome.reason)
        for number, words in enumerate(commands):
            if number and self.results["build"] != RIGHT:
                break  # what was made of a model that does not build
            outcome = self._python("-m", "lska_surgeon", *words)
            if outcome.code != 0:
                return self._judged(step, outcome, is_product=number > 0)
        if step.name == "positions":
            self._choose_position(commands[0])
        return RIGHT, ""

    def _judged(self, step: Step, outcome: _Outcome, is_product: bool) -> tuple[str, str]:
        """What a failure means.

        Args:
            step: the step.
            outcome: how it ended.
            is_product: whether what failed is what we made of the model, which nothing is to refuse.
        """
        result = WRONG if is_product else outcome.result
        built = self.results.get("build", UNABLE if outcome.code == 1 else REFUSED)
        if built in (RIGHT, UNABLE):  # else it may run more than layers
            for command in step.plain:
                plain = self._python("-c", _PLAIN, *self._words(command))
                if plain.code != 0:
                    return UNABLE, f"ultralytics itself fails: {plain.reason}"
        return result, outcome.reason

    def _choose_position(self, words: Sequence[str]) -> None:
        told = parse_json(self._python("-m", "lska_surgeon", *words, "--json").output, dict)
        there = [name for name in ("neck", "head", *NAMES) if told["positions"].get(name)]
        self.values["at"] = there[0] if there else f"after:{len(told['layers']) - 2}"

    def _words(self, command: str) -> list[str]:
        return [word.format(**self.values) for word in command.split()]

    def _here(self, text: str) -> str:
        """A text without the folder, which is gone when it is read."""
        return text.replace(f"{self.folder}{os.sep}", "").replace(str(self.folder), ".")

    def _python(self, *words: str) -> _Outcome:
        """Run a process in the folder; none that it starts outlives it."""
        with subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                output, errors = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                return _Outcome(None, "", "")
            finally:
                _end(process)
        return _Outcome(process.returncode, output, errors)


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _environment(folder: Path) -> dict[str, str]:
    """What keeps a process from the network, and from all that lies outside of the folder."""
    proxies = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {
        **dict.fromkeys(proxies, "http://127.0.0.1:9"),  # the port that discards
        **dict.fromkeys(("no_proxy", "NO_PROXY"), ""),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(folder / "settings"),
        "MPLBACKEND": "Agg",
        "WANDB_MODE": "disabled",
        "PYTHONIOENCODING": "utf-8",
    }


def write_checkpoint(model: str, target: str) -> None:
    """A checkpoint of a model as it is before any training.

    Args:
        model: a model YAML.
        target: the file to write.

    Raises:
        SurgeonError: it does not build.
    """
    from .build import build

    built = build(model).eval()
    told = {"imgsz": SIDE, "task": import_module("ultralytics.nn.tasks").guess_model_task(built)}
    content = {"epoch": -1, "model": built.half(), "ema": None, "optimizer": None, "train_args": told}
    import_module("torch").serialization.save(content, target)


def attempts(
    models: Sequence[Subject], tell: Callable[[TriedStep], object], blocks: BlockTable
) -> tuple[TriedStep, ...]:
    """Try every step with each model.

    Args:
        models: the models.
        tell: is called with each attempt when it has ended.
        blocks: the table whose custom modules hold for them.
    """
    with tempfile.TemporaryDirectory(prefix="lska-surgeon-") as name:
        folder = Path(name).resolve()
        data = write_data(folder)
        done: list[TriedStep] = []
        for model, name in zip(models, write_models(folder, models)):
            bench = _Bench(folder, {"model": name, "stem": Path(name).stem, "data": data[model.task]}, blocks)
            for step in STEPS:
                done.append(bench.attempt(step))
                tell(done[-1])
    return tuple(done)


# What it works on.


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
