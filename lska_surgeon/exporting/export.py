"""An export of a checkpoint, with the proof that it computes what torch does; it knows no format's files.

Each network is exported by Ultralytics' exporter and run in the runtime that its file is for, on the same images as
torch runs it in float32: the checkpoint as it is, and, with the same exporter, the network without its operators. What
both lose the exporter loses, or the precision; what the first alone loses, the operators do.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import nn

from .. import __version__
from ..checkpoints.contents import Checkpoint
from ..core.blocks import BlockTable
from ..core.shapes import channels_in
from ..core.surgery import RECORD
from ..cost.shapes_only import stride_of
from ..errors import (
    ArgumentError,
    CheckpointError,
    MissingPackageError,
    PositionError,
    SurgeonError,
    TrainingError,
    extra_of,
    needs,
    telling,
)
from ..files import planned_path
from ..grafting.graft import ungraft
from ..grafting.images import READABLE, images_in, letterboxed
from ..grafting.trainers import refuse_fetching, sealed
from ..insight.look import noise
from ..reports import Report, Result, Table
from ..wording import counted, few
from ..yolo import exported as exporter
from ..yolo.build import task_of
from .compare import KINDS, Head, compare
from .fold import Fold, fold_
from .metadata import KEY
from .target import Asked, Format, place

_BASE = "without operators"
_NOISE = 2  # images of noise, to tell what folding changed where there are no others


@dataclass(frozen=True)
class Check:
    """One network's export beside torch, on all images.

    Attributes:
        name: the network's.
        values: kind of `KINDS` -> the largest difference.
        found: predictions that torch finds, and the export.
        same: how many of them are one at IoU 0.5, and at 0.9.
        broken: the images for which the export gives no numbers, or another shape.
    """

    name: str
    values: Mapping[str, float]
    found: tuple[int, int]
    same: tuple[int, int]
    broken: tuple[str, ...] = ()

    @property
    def f1(self) -> tuple[float | None, float | None]:
        """F1 of the export's predictions against torch's, at IoU 0.5 and at 0.9; None where neither finds a thing."""
        total = sum(self.found)
        loose, tight = (2 * count / total if total else None for count in self.same)
        return loose, tight

    @property
    def loss(self) -> float:
        """What is lost of F1 at IoU 0.5; where there is nothing to find, the largest difference of scores or values."""
        if self.broken:
            return 1.0
        loose = self.f1[0]
        if loose is not None:
            return 1 - loose
        return max((self.values[kind] for kind in ("scores", "values") if kind in self.values), default=0.0)


@dataclass(frozen=True, eq=False, repr=False)
class Export(Result):
    """A checkpoint exported, not yet put in its place.

    Attributes:
        source: the checkpoint's file.
        format: what it is exported to.
        precision: "fp32", "fp16" or "int8".
        imgsz: height and width of its images, pixels.
        made: the exported file or folder, in a folder that goes with this result.
        checks: the proof, of the checkpoint first, then of its base; empty where none was asked for.
        how: what ran it and on what.
        folds: the operators that were folded.
        folded_delta: how far folding moved the outputs in torch; None where nothing was folded.
        tolerance: what may be lost.
        notes: what one has to know to read it.
        output: the file or folder to be.
        folder: the temporary folder that `made` lies in.
    """

    source: Path
    format: Format
    precision: str
    imgsz: tuple[int, int]
    made: Path
    checks: tuple[Check, ...] = ()
    how: Mapping[str, Any] = field(default_factory=dict)
    folds: tuple[Fold, ...] = ()
    folded_delta: float | None = None
    tolerance: float = 0.05
    notes: tuple[str, ...] = ()
    output: Path | None = None
    folder: Any = None

    @property
    def problem(self) -> str | None:
        """Why the proof fails, in one line; None where it does not, or where none was asked for."""
        if not self.checks or self.checks[0].loss <= self.tolerance:
            return None
        first = self.checks[0]
        if first.broken:
            lost = f"gives other shapes than torch, or no numbers, for {few(list(first.broken), 4)}"
        elif first.f1[0] is None:
            lost = f"differs from torch by {first.loss:.3g}, more than --tolerance {self.tolerance:g}"
        else:
            lost = f"loses {first.loss:.3f} of F1 against torch, more than --tolerance {self.tolerance:g}"
        base = f"; {self.checks[1].name} loses {self.checks[1].loss:.3f}" if len(self.checks) > 1 else ""
        return f"{self.output or self.made.name} {lost}{base}"

    def report(self) -> Report:
        """The file, what was folded, and the proof."""
        size = "x".join(map(str, self.imgsz))
        first = self.checks[0] if self.checks else None
        proof = f", {_f1(first.f1[0])} of F1 against torch" if first and first.f1[0] is not None else ""
        line = f"{self.output or self.made.name}: {self.format.name}, {self.precision}, {size}{proof}"
        parts: list[str | Table] = [line]
        if self.folds:
            delta = f"the outputs moved by {self.folded_delta:g} in torch"
            parts.append("\n".join(["folded:", *(f"  {fold.line}" for fold in self.folds), f"  {delta}"]))
        if self.checks:
            parts.append(_table(self.checks))
        data = {
            "schema": self.schema,
            "output": str(self.output) if self.output else None,
            "source": str(self.source),
            "format": self.format.name,
            "precision": self.precision,
            "imgsz": list(self.imgsz),
            "folds": [vars(fold) for fold in self.folds],
            "folded_delta": self.folded_delta,
            "checks": [_check_data(check) for check in self.checks],
            "how": dict(self.how),
            "tolerance": self.tolerance,
            "passed": None if not self.checks else self.problem is None,
            "notes": list(self.notes),
        }
        return Report(line, parts, self.notes, data)

    def write(self, path: str | Path | None = None, force: bool = False) -> Path:
        """Put the export in its place.

        Args:
            path: the file or folder; None for `output`.
            force: overwrite what is there.

        Raises:
            TargetError: it is there and `force` is off, or the system refuses.
        """
        target = planned_path(path, self.output)
        place(self.made, target, force=force)
        return target


def _f1(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(checks: Sequence[Check]) -> Table:
    kinds = [kind for kind in KINDS if any(kind in check.values for check in checks)]
    f1 = [] if "values" in kinds else ["same class"] if "probabilities" in kinds else ["F1 at 0.5", "F1 at 0.9"]
    header = ("network", *(["torch finds", "export finds"] if f1 else []), *(KINDS[kind] for kind in kinds), *f1)
    rows = []
    for check in checks:
        differences = (f"{check.values[kind]:.2g}" if kind in check.values else "" for kind in kinds)
        found = map(str, check.found) if f1 else ()
        rows.append((check.name, *found, *differences, *map(_f1, check.f1[: len(f1)])))
    return Table(header, rows, range(1, len(header)))


def _check_data(check: Check) -> dict[str, Any]:
    return {
        "network": check.name,
        "found": {"torch": check.found[0], "export": check.found[1]},
        "largest": dict(check.values),
        "f1": {"0.5": check.f1[0], "0.9": check.f1[1]},
        "broken": list(check.broken),
    }


def export(checkpoint: Checkpoint, asked: Asked, base: Checkpoint | None, *, blocks: BlockTable) -> Export:
    """Export a checkpoint, and prove it beside a base: without one, beside its own network without operators.

    Raises:
        SurgeonError: Ultralytics does not export it, a runtime does not run it, or there are no images.
    """
    model = checkpoint.float_model()
    size = _size(checkpoint, model, asked.imgsz)
    folder = tempfile.TemporaryDirectory(prefix="lska-surgeon-")
    lost = checkpoint.not_finite()
    if lost:
        raise CheckpointError(
            f"{checkpoint.path} has {counted(len(lost), 'tensor')} not finite ({lost[0]}): export another"
        )
    shown = _images(checkpoint, model, size, asked)
    product, folds, delta = model, [], None
    notes: list[str] = []
    if asked.fold:
        product = deepcopy(model)
        folds = fold_(product)
        if folds:
            inputs = shown or {image.name: image.tensor for image in noise(channels_in(model.yaml) or 3, size, _NOISE)}
            delta = max(_moved(model, product, image) for image in inputs.values())
        else:
            notes.append("nothing to fold: no operator is at the identity, or has a constant gate")
    record = _record(checkpoint, folds)
    stem = checkpoint.path.stem
    made = _exported(product, asked, size, Path(folder.name, "0"), stem, record)
    checks: list[Check] = []
    how: dict[str, Any] = {}
    if shown:
        named = [(checkpoint.path.name, model, made)]
        other = _base(checkpoint, base, blocks, notes)
        if other is not None:
            name, network = other
            named.append((name, network, _exported(network, asked, size, Path(folder.name, "1"), stem, {})))
        for name, network, path in named:
            check, how = _checked(name, network, path, shown, size, asked.confident)
            checks.append(check)
        notes += _notes(checks, how, asked)
    return Export(
        checkpoint.path, asked.format, asked.precision, size, made, tuple(checks), how, tuple(folds), delta,
        asked.tolerance, tuple(notes), folder=folder,
    )  # fmt: skip


def _size(checkpoint: Checkpoint, model: nn.Module, asked: tuple[int, int] | None) -> tuple[int, int]:
    """The size of the images, of which the network's stride has to be a part."""
    trained, stride = checkpoint.train_args.get("imgsz"), stride_of(model)
    given = asked or ((trained, trained) if isinstance(trained, int) and trained > 0 else (640, 640))
    whole = tuple(side + -side % stride for side in given)
    if asked and whole != given:
        better = ",".join(map(str, whole)) if whole[0] != whole[1] else str(whole[0])
        raise ArgumentError(f"--imgsz is no multiple of {checkpoint.path.name}'s stride {stride}: take {better}")
    return whole[0], whole[1]


def _images(checkpoint: Checkpoint, model: nn.Module, size: tuple[int, int], asked: Asked) -> dict[str, torch.Tensor]:
    if asked.images is None:
        return {}
    channels = channels_in(model.yaml) or 3
    if channels not in READABLE:
        raise ArgumentError(f"{checkpoint.path.name} reads {channels} channels, which no image has: drop --check")
    paths = images_in(asked.images, "--check")
    return {image.name: image.tensor for image in letterboxed(paths, size, asked.most, channels)}


def _record(checkpoint: Checkpoint, folds: Sequence[Fold]) -> dict[str, str]:
    """What the exported file says of itself, for `inspect`; in one text, for formats keep texts alone."""
    told = {
        "version": __version__,
        "source": checkpoint.path.name,
        "sha256": checkpoint.sha256,
        "folds": [fold.line for fold in folds],
        RECORD: checkpoint.surgery,
    }
    return {KEY: json.dumps(told)}


def _exported(
    model: nn.Module, asked: Asked, size: tuple[int, int], folder: Path, name: str, record: Mapping[str, str]
) -> Path:
    folder.mkdir()
    more: dict[str, Any] = {"half": asked.half, "int8": asked.int8}
    if asked.data is not None:
        try:
            refuse_fetching(asked.data, task_of(model.yaml))
        except TrainingError as error:
            raise ArgumentError(str(error).replace("data=", "--data ", 1)) from error
        more["data"] = asked.data
    try:
        with sealed():
            return exporter.export(model, asked.format.name, folder, name, imgsz=size, record=record, **more)
    except SurgeonError as error:
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and missing.name:
            what, module = f"--format {asked.format.name}{' --int8' * asked.int8}", missing.name.partition(".")[0]
            if extra_of(module):
                raise needs(module, what=what) from error
            ask = f"install what Ultralytics asks for this export, {module} among it"
            raise MissingPackageError(f"{what} needs {module}, which is not installed: {ask}") from error
        raise


def _base(
    checkpoint: Checkpoint, base: Checkpoint | None, blocks: BlockTable, notes: list[str]
) -> tuple[str, nn.Module] | None:
    """The network to show beside the checkpoint, and its name."""
    if base is not None:
        return base.path.name, base.float_model()
    try:
        return _BASE, deepcopy(ungraft(checkpoint, lossy=True, blocks=blocks).model).float().eval()
    except PositionError:  # there is no operator in it
        return None
    except SurgeonError as error:
        notes.append(f"no figures of a base beside it, for {error}; --base FILE.pt gives them")
        return None


@contextmanager
def _exporting(model: nn.Module, picks: bool) -> Iterator[nn.Module]:
    """A network that gives what its export gives: outputs alone, and those of the branch that was exported."""
    for part in model.modules():
        if hasattr(part, "export"):
            part.export, part.format = True, None  # of none: older releases have no format of their own
    last: Any = model.model[-1] if isinstance(getattr(model, "model", None), nn.Sequential) else None
    if last is not None and getattr(last, "end2end", picks) != picks:
        last.end2end = picks
    with torch.inference_mode():
        yield model


def _outputs(given: Any) -> list[ndarray]:
    """What a network gives as arrays, one for each output."""
    parts = given if isinstance(given, (list, tuple)) else [given]
    return [np.asarray(part.cpu() if isinstance(part, torch.Tensor) else part) for part in parts if part is not None]


def _moved(before: nn.Module, after: nn.Module, image: torch.Tensor) -> float:
    """How far the outputs of one network are from another's, all places of all maps."""
    found = []
    for model in (before, after):
        with _exporting(deepcopy(model), False) as network:
            found.append(_outputs(network(image)))
    return max(float(np.abs(one - other).max(initial=0)) for one, other in zip(*found))


def _checked(
    name: str, model: nn.Module, path: Path, images: Mapping[str, torch.Tensor], size: tuple[int, int], confident: float
) -> tuple[Check, dict[str, Any]]:
    running = exporter.opened(path, trust=True)  # it was written here
    picks = bool(getattr(running.backend, "end2end", False))
    head = _head(model, size, picks)
    values: dict[str, float] = {}
    found, same, broken = np.zeros(2, int), np.zeros(2, int), []
    with _exporting(deepcopy(model), picks) as network:
        for image, pixels in images.items():
            with telling(CheckpointError, f"can't run {name} on {image} in torch"):
                outputs = _outputs(network(pixels))
            with telling(CheckpointError, f"can't run {name} on {image} in {running.runtime.name}"):
                given = _outputs(running(pixels.contiguous()))
            difference = compare(head, outputs, given, confident)
            if difference is None:
                broken.append(image)
                continue
            values |= {kind: max(value, values.get(kind, 0.0)) for kind, value in difference.values.items()}
            found += difference.found
            same += difference.same
    how: dict[str, Any] = {"runtime": running.runtime.name, "version": running.version, "precision": running.precision}
    how |= {"images": len(images), "confident": confident, "picks": head.form != "columns"}
    counts = (int(found[0]), int(found[1])), (int(same[0]), int(same[1]))
    return Check(name, values, *counts, tuple(broken)), how


def _head(model: nn.Module, size: tuple[int, int], picks: bool) -> Head:
    last: Any = model.model[-1]
    form: Any = "queries" if hasattr(last, "num_queries") else "rows" if picks else "columns"
    task = "detect" if form == "queries" else task_of(model.yaml)
    keypoints = tuple(getattr(last, "kpt_shape", (0, 2)))
    return Head(task, int(getattr(last, "nc", 0)), size, (keypoints[0], keypoints[1]), form)


def _notes(checks: Sequence[Check], how: Mapping[str, Any], asked: Asked) -> list[str]:
    """What one has to know to read the table."""
    runs = f"{how['runtime']} {how['version']} computing in {how['precision']}"
    notes = [f"beside torch in fp32 on {counted(how['images'], 'image')}, run by {runs}"]
    if not any("scores" in check.values for check in checks):
        return notes
    if any(sum(check.found) for check in checks) and how["picks"]:
        notes.append(
            f"the network picks its predictions itself: largest differences of those with a score of "
            f"{asked.confident:g} or more that are one at an IoU of 0.5, F1 of all with such a score"
        )
    elif any(sum(check.found) for check in checks):
        notes.append(
            f"largest differences before suppression, of predictions with a score of {asked.confident:g} or more, of "
            "scores everywhere; F1 of what is left after it, at the IoU that stands there"
        )
    else:
        notes.append(
            f"nothing in these images has a score of {asked.confident:g}, so scores alone were compared: give images "
            "with what it finds, or a lower --conf"
        )
    return notes
