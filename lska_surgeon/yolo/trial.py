"""Every step that people take with a model, tried here on a few: commands of ours, each in a process of its own.

One that crashes ends no other. All files are in a temporary folder, and nothing is fetched from a network. Where a
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..core.blocks import BlockTable
from ..core.parts import NAMES
from ..declarations.find import for_children
from ..files import parse_json
from ..wording import clean, one_line
from .trial_folder import SIDE, Subject, write_data, write_models

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
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


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
        errors = _COLOUR.sub("", self.errors)
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
