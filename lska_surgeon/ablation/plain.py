"""Runs of Ultralytics that no ablation made, found by their args.yaml and results.csv; it compares no numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..cost.limits import DEFAULT_SIZE
from ..errors import AblationError, SurgeonError, without_trust
from ..modelfile.sources import CHECKPOINT_SUFFIXES
from ..modelfile.typed_yaml import Fields, UnusableYaml, read_mapping
from .networks import BASE, VARIANT
from .records import DONE, EPOCHS, RUNNING, UNREADABLE, no_epochs, read_epochs, read_record
from .runs import OTHER_NETWORK, Run, weights_of, with_equal_seeds, with_metrics

#: Arguments that may differ between runs whose numbers are compared: what is compared, and what changes no number.
_MAY_DIFFER = frozenset(
    "model seed task mode data name project save_dir exist_ok device workers cache resume plots verbose save "
    "save_period profile show save_json save_txt save_conf save_crop save_frames show_labels show_conf show_boxes "
    "line_width source visualize vid_stride stream_buffer embed cfg".split()
)
_MOST = 5


@dataclass(frozen=True)
class _Found:
    """A run with what its args.yaml says.

    Attributes:
        run: the run; what it is compared with is not known yet.
        model: the model that args.yaml names.
        args: all of args.yaml.
    """

    run: Run
    model: Path
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlainRuns:
    """What lies below folders.

    Attributes:
        runs: the runs.
        sizes: network -> the image size that it was trained at, pixels of a side.
        notes: what was passed over, in words.
    """

    runs: tuple[Run, ...]
    sizes: Mapping[str, int]
    notes: tuple[str, ...]


class _NoRun(Exception):
    """Why a folder with an args.yaml is none."""


def plain_runs(folders: Sequence[Path], epoch: str, base: str | None) -> PlainRuns:
    """Runs of Ultralytics below folders.

    Args:
        folders: where to look.
        epoch: which epoch counts, "best" or "last".
        base: the network that the others are compared with; None for the one with which a network's name begins.

    Raises:
        AblationError: there are none, or none of them is of the base.
    """
    places = {path.parent for folder in folders for path in folder.rglob("args.yaml")}
    found, passed_over = [], []
    for place in sorted(places):
        try:
            found.append(_read(place, epoch))
        except _NoRun as why:
            passed_over.append(f"passed over {place}: {why}")
    if not found:
        where = ", ".join(map(str, folders))
        more = f" ({passed_over[0]})" if passed_over else ""
        raise AblationError(f"no run with args.yaml and results.csv in {where}{more}: give folders such as runs/detect")
    found = _newest(_named(found))
    models = {one.run.network: one.model for one in found}
    base = next((name for name, model in models.items() if model.name == base), base)  # called by its file
    if base is not None and base not in models:
        raise AblationError(f"no run of {base} there: there are {', '.join(models)}")
    runs = _with_other_arguments([_with_base(one, models, base) for one in found])
    runs.sort(key=lambda run: (run.data, run.base, run.role != BASE, run.network, run.seed))
    sizes = {one.run.network: _size(one.args) for one in reversed(found)}
    return PlainRuns(tuple(with_equal_seeds(runs)), sizes, tuple(passed_over))


def _size(args: Mapping[str, Any]) -> int:
    size = args.get("imgsz")
    return size if isinstance(size, int) and size > 0 else DEFAULT_SIZE


def _read(folder: Path, epoch: str) -> _Found:
    args = _arguments(folder / "args.yaml")
    if not (folder / EPOCHS).is_file():
        raise _NoRun(no_epochs(folder))
    if not isinstance(args.get("model"), str):
        raise _NoRun("its args.yaml names no model")
    data, seed = Path(str(args.get("data") or "?")), args.get("seed")
    model, record = Path(args["model"]), read_record(folder)
    if record is not None and record["state"] == UNREADABLE:
        raise _NoRun(record["error"]["text"])
    if record is not None:  # a cell, whose folder may have been moved since
        model = folder / str(record["task"]["model"])
    name = data.parent.name if data.stem == "data" and data.parent.name else data.stem
    run = Run(model.stem, name, seed if isinstance(seed, int) else 0, VARIANT, "", folder, DONE)
    epochs, asked = read_epochs(folder), args.get("epochs")
    if isinstance(asked, int) and len(epochs) < asked:
        ended = (folder / "weights" / "last.pt").is_file() and not args.get("time")
        text = f"{len(epochs)} of {asked} epochs: stopped early, or not done yet"
        run = replace(run, notes={"early stop": text}) if ended else replace(run, state=RUNNING)
    return _Found(with_metrics(_looked_through(run, model), epochs, epoch), model, args)


def _arguments(path: Path) -> dict[str, Any]:
    try:
        return Fields(path, read_mapping(path), AblationError).values
    except UnusableYaml as error:
        raise _NoRun(error.of("its args.yaml")) from error
    except AblationError as error:  # in a field
        raise _NoRun(str(error)) from error


def _looked_through(run: Run, model: Path) -> Run:
    """The run; where the model that args.yaml names is still there, held against what the checkpoint holds."""
    from .verification import other_network

    checkpoint = weights_of(run.folder)
    gone = model.suffix.lower() in CHECKPOINT_SUFFIXES and not model.is_file()
    if checkpoint is None or gone:
        return run
    try:
        difference = other_network(checkpoint, model)
    except SurgeonError as error:
        told = f"its network can't be compared: {without_trust(error)}"
        return replace(run, notes={**run.notes, "not compared": told})
    if difference is None:
        return run
    return replace(run, notes={**run.notes, OTHER_NETWORK: f"args.yaml names {model}, and {difference}"})


def _named(found: Sequence[_Found]) -> list[_Found]:
    """Networks are called as their files; `yolov8s.yaml` and `yolov8s.pt` are two, from scratch and trained before."""
    files: dict[str, set[str]] = {}
    for one in found:
        files.setdefault(one.model.stem, set()).add(one.model.suffix)
    return [
        replace(one, run=replace(one.run, network=one.model.name)) if len(files[one.model.stem]) > 1 else one
        for one in found
    ]


def _newest(found: Sequence[_Found]) -> list[_Found]:
    """Of runs with the same network, data and seed, the newest."""
    kept: dict[tuple[str, str, int], _Found] = {}
    for one in sorted(found, key=lambda one: (one.run.folder / EPOCHS).stat().st_mtime):
        run = one.run
        key = (run.network, run.data, run.seed)
        if key in kept:
            text = f"the newest of several runs of seed {run.seed}"
            one = replace(one, run=replace(run, notes={**run.notes, "several runs": text}))
        kept[key] = one
    return list(kept.values())


def _with_base(found: _Found, models: Mapping[str, Path], base: str | None) -> _Found:
    """A run with its base: the one asked for, or the one that its name begins with."""
    own, file = found.run.network, found.model
    if base is None:
        begun = [name for name, other in models.items() if file.stem.startswith(f"{other.stem}-")]
        kin = (len(models[name].stem) * 2 + (models[name].suffix == file.suffix) for name in begun)
        base = max(zip(kin, begun), default=(0, own))[1]
    return replace(found, run=replace(found.run, role=BASE if own == base else VARIANT, base=base))


def _with_other_arguments(found: Sequence[_Found]) -> list[Run]:
    """The runs; those that were trained otherwise than their base say so, for then more than the network differs."""
    usual: dict[tuple[str, str], dict[str, Any]] = {}
    for one in found:
        same = [other.args for other in found if (other.run.data, other.run.network) == (one.run.data, one.run.base)]
        names = {name for args in same for name in args} - _MAY_DIFFER
        usual[one.run.data, one.run.base] = {name: _commonest([args.get(name) for args in same]) for name in names}
    runs = []
    for one in found:
        wanted = usual[one.run.data, one.run.base]
        other = [name for name in one.args if name in wanted and one.args[name] != wanted[name]]
        if other:
            told = ", ".join(f"{name} {one.args[name]}, not {wanted[name]}" for name in other[:_MOST])
            more = f" and {len(other) - _MOST} more" if len(other) > _MOST else ""
            text = f"trained otherwise than most of {one.run.base}: {told}{more}"
            runs.append(replace(one.run, notes={**one.run.notes, "other arguments": text}))
        else:
            runs.append(one.run)
    return runs


def _commonest(values: Sequence[Any]) -> Any:
    """The most frequent of values that need not be hashable; of several, the first."""
    first = {repr(value): value for value in reversed(values)}
    return first[Counter(map(repr, values)).most_common(1)[0][0]]
