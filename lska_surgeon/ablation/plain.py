"""Runs of Ultralytics that no ablation made, found by their args.yaml and results.csv; it compares no numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.blocks import STOCK, BlockTable
from ..cost.cache import cost_of
from ..cost.limits import DEFAULT_SIZE, size_of
from ..errors import AblationError, SurgeonError, without_trust
from ..modelfile.sources import CHECKPOINT_SUFFIXES
from ..modelfile.typed_yaml import Fields, UnusableYaml, read_mapping
from .outcomes import OTHER_NETWORK, KnownCosts, Outcome, weights_of, with_equal_seeds, with_metrics
from .records import DONE, EPOCHS, RUNNING, UNREADABLE, no_epochs, read_epochs, read_record
from .runs import BASE, VARIANT

#: Arguments that may differ between runs whose numbers are compared: what is compared, and what changes no number.
_MAY_DIFFER = frozenset(
    "model seed task mode data name project save_dir exist_ok device workers cache resume plots verbose save "
    "save_period profile show save_json save_txt save_conf save_crop save_frames show_labels show_conf show_boxes "
    "line_width source visualize vid_stride stream_buffer embed cfg".split()
)
_MOST = 5


@dataclass(frozen=True)
class _PlainRun:
    """A run with what its args.yaml says.

    Attributes:
        outcome: its numbers; what it is compared with is not known yet.
        model: the model that args.yaml names.
        args: all of args.yaml.
    """

    outcome: Outcome
    model: Path
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlainRuns:
    """What lies below folders.

    Attributes:
        outcomes: what the runs came to.
        sizes: network -> the image size that it was trained at, pixels of a side.
        notes: what was passed over, in words.
    """

    outcomes: tuple[Outcome, ...]
    sizes: Mapping[str, int]
    notes: tuple[str, ...]

    def costs(self, blocks: BlockTable = STOCK) -> tuple[dict[str, KnownCosts], tuple[str, ...]]:
        """Network -> its costs at the size that it was trained at, by its first checkpoint; and what is unknown."""
        costs: dict[str, KnownCosts] = {}
        for one in self.outcomes:
            if one.network not in costs and OTHER_NETWORK not in one.notes:
                counted = _counted(one.folder, self.sizes[one.network], blocks)
                if counted is not None:
                    costs[one.network] = counted
        notes = []
        if costs:
            sizes = sorted({self.sizes[name] for name in costs})
            notes.append(f"GFLOPs are at {' and '.join(map(str, sizes))} pixels, as it was trained")
        unknown = [name for name in dict.fromkeys(one.network for one in self.outcomes) if name not in costs]
        if unknown:
            notes.append(f"params and GFLOPs are not known of {', '.join(unknown)}: no checkpoint that can be counted")
        return costs, tuple(notes)


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
    runs, passed_over = [], []
    for place in sorted({path.parent for folder in folders for path in folder.rglob("args.yaml")}):
        try:
            runs.append(_read(place, epoch))
        except _NoRun as why:
            passed_over.append(f"passed over {place}: {why}")
    if not runs:
        where = ", ".join(map(str, folders))
        more = f" ({passed_over[0]})" if passed_over else ""
        raise AblationError(f"no run with args.yaml and results.csv in {where}{more}: give folders such as runs/detect")
    runs = _newest(_named(runs))
    models = {run.outcome.network: run.model for run in runs}
    base = next((name for name, model in models.items() if model.name == base), base)  # called by its file
    if base is not None and base not in models:
        raise AblationError(f"no run of {base} there: there are {', '.join(models)}")
    outcomes = _with_other_arguments([_with_base(run, models, base) for run in runs])
    outcomes.sort(key=lambda one: (one.data, one.base, one.role != BASE, one.network, one.seed))
    sizes = {run.outcome.network: _size(run.args) for run in reversed(runs)}
    return PlainRuns(tuple(with_equal_seeds(outcomes)), sizes, tuple(passed_over))


def _size(args: Mapping[str, Any]) -> int:
    size = args.get("imgsz")
    return size if isinstance(size, int) and size > 0 else DEFAULT_SIZE


def _read(folder: Path, epoch: str) -> _PlainRun:
    try:
        args = Fields(folder / "args.yaml", read_mapping(folder / "args.yaml"), AblationError).values
    except UnusableYaml as error:
        raise _NoRun(error.of("its args.yaml")) from error
    except AblationError as error:  # in a field
        raise _NoRun(str(error)) from error
    if not (folder / EPOCHS).is_file():
        raise _NoRun(no_epochs(folder))
    if not isinstance(args.get("model"), str):
        raise _NoRun("its args.yaml names no model")
    data, seed = Path(str(args.get("data") or "?")), args.get("seed")
    model, record = Path(args["model"]), read_record(folder)
    if record is not None and record.state == UNREADABLE:
        raise _NoRun(record.error.text if record.error else UNREADABLE)
    if record is not None:  # a run of an ablation, whose folder may have been moved since
        model = folder / record.task.model
    name = data.parent.name if data.stem == "data" and data.parent.name else data.stem
    outcome = Outcome(model.stem, name, seed if isinstance(seed, int) else 0, VARIANT, "", folder, DONE)
    epochs, asked = read_epochs(folder), args.get("epochs")
    if isinstance(asked, int) and len(epochs) < asked:
        ended = (folder / "weights" / "last.pt").is_file() and not args.get("time")
        text = f"{len(epochs)} of {asked} epochs: stopped early, or not done yet"
        outcome = outcome.noting("early stop", text) if ended else replace(outcome, state=RUNNING)
    measured = record.measured if record else {}
    return _PlainRun(with_metrics(_compared(outcome, model), epochs, epoch, measured), model, args)


def _compared(outcome: Outcome, model: Path) -> Outcome:
    """The outcome; where the model that args.yaml names is still there, compared with what the checkpoint holds."""
    checkpoint = weights_of(outcome.folder)
    gone = model.suffix.lower() in CHECKPOINT_SUFFIXES and not model.is_file()
    if checkpoint is None or gone:
        return outcome
    from ..yolo.environment import import_offline

    import_offline()
    from .training import other_network

    try:
        difference = other_network(checkpoint, model)
    except SurgeonError as error:
        return outcome.noting("not compared", f"its network can't be compared: {without_trust(error)}")
    if difference is None:
        return outcome
    return outcome.noting(OTHER_NETWORK, f"args.yaml names {model}, and {difference}")


def _counted(folder: Path, size: int, blocks: BlockTable) -> KnownCosts | None:
    checkpoint = weights_of(folder)
    if checkpoint is None:
        return None
    try:
        cost = cost_of(str(checkpoint), size_of(size), blocks=blocks)
    except SurgeonError:
        return None
    return KnownCosts(cost.params, cost.gflops)


def _named(runs: Sequence[_PlainRun]) -> list[_PlainRun]:
    """Networks are called as their files; `yolov8s.yaml` and `yolov8s.pt` are two, from scratch and trained before."""
    files: dict[str, set[str]] = {}
    for run in runs:
        files.setdefault(run.model.stem, set()).add(run.model.suffix)
    return [
        replace(run, outcome=replace(run.outcome, network=run.model.name)) if len(files[run.model.stem]) > 1 else run
        for run in runs
    ]


def _newest(runs: Sequence[_PlainRun]) -> list[_PlainRun]:
    """Of runs with the same network, data and seed, the newest."""
    kept: dict[tuple[str, str, int], _PlainRun] = {}
    for run in sorted(runs, key=lambda run: (run.outcome.folder / EPOCHS).stat().st_mtime):
        one = run.outcome
        key = (one.network, one.data, one.seed)
        if key in kept:
            text = f"the newest of several runs of seed {one.seed}"
            run = replace(run, outcome=one.noting("several runs", text))
        kept[key] = run
    return list(kept.values())


def _with_base(run: _PlainRun, models: Mapping[str, Path], base: str | None) -> _PlainRun:
    """A run with its base: the one asked for, or the one that its name begins with."""
    own, file = run.outcome.network, run.model
    if base is None:
        begun = [name for name, other in models.items() if file.stem.startswith(f"{other.stem}-")]
        kin = (len(models[name].stem) * 2 + (models[name].suffix == file.suffix) for name in begun)
        base = max(zip(kin, begun), default=(0, own))[1]
    return replace(run, outcome=replace(run.outcome, role=BASE if own == base else VARIANT, base=base))


def _with_other_arguments(runs: Sequence[_PlainRun]) -> list[Outcome]:
    """Those that were trained otherwise than their base say so, for then more than the network differs."""
    usual: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        pair = (run.outcome.data, run.outcome.base)
        same = [other.args for other in runs if (other.outcome.data, other.outcome.network) == pair]
        names = {name for args in same for name in args} - _MAY_DIFFER
        usual[pair] = {name: _commonest([args.get(name) for args in same]) for name in names}
    outcomes = []
    for run in runs:
        one = run.outcome
        wanted = usual[one.data, one.base]
        other = [name for name in run.args if name in wanted and run.args[name] != wanted[name]]
        if other:
            told = ", ".join(f"{name} {run.args[name]}, not {wanted[name]}" for name in other[:_MOST])
            more = f" and {len(other) - _MOST} more" if len(other) > _MOST else ""
            one = one.noting("other arguments", f"trained otherwise than most of {one.base}: {told}{more}")
        outcomes.append(one)
    return outcomes


def _commonest(values: Sequence[Any]) -> Any:
    """The most frequent of values that need not be hashable; of several, the first."""
    first = {repr(value): value for value in reversed(values)}
    return first[Counter(map(repr, values)).most_common(1)[0][0]]
