"""An ablation in rounds: what was fixed before its first training, what is decided, and what the next round trains.

`sequential.json` beside the runs keeps what was fixed, with its hash, and for each round what every training came to
when it was counted. It is replaced whole; whoever dies between two trainings, or between the last of a round and the
file, loses nothing, for the course follows from what is counted, and that from the runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Optional, TypedDict

import numpy as np

from ..errors import AblationError, DamagedError
from ..files import read_json, write_text
from ..wording import Listed, Said, clean, counted, some
from .outcomes import Outcome, left_out, main_metric, outcome_of
from .records import DONE, FAILED, RUNNING, STALE, digest, held
from .runs import VARIANT, Ablation, Network, Run
from .sequential import THE_BASE, Course, Design, follow, simulate
from .statistics import ALPHA
from .status import changed

PLAN = "sequential.json"
_SIMULATED, _FEWER_FLIPS = 100, 1024
_LONGEST = 500  # seeds; beyond, nobody trains
_WIDEST = 4  # units of a round, however many devices there are; with more, little is left that a decision could save
_Value = Optional[float]
_WHY = "what was seen may have led to it, and then 5% is no longer promised"


class _KeptRounds(TypedDict):
    """What the file holds; `counted` has, for each unit, network -> its value, or null where it has none.

    `before`: how many runs were done before anything was fixed.
    """

    schema: Literal[1]
    hash: str
    plan: dict[str, Any]
    metric: str
    before: int
    counted: list[dict[str, _Value]]


@dataclass(frozen=True)
class Rounds:
    """How far an ablation in rounds is.

    Attributes:
        ablation: all of its runs, trained or not.
        design: what was fixed.
        counted: for each unit that was counted, network -> its value; None for a training that failed.
        metric: what is compared; "" before the first run is done.
        before: runs that were done before anything was fixed.
    """

    ablation: Ablation
    design: Design
    counted: tuple[Mapping[str, float | None], ...] = ()
    metric: str = ""
    before: int = 0

    @property
    def variants(self) -> list[Network]:
        """The networks that are compared, in the order in which the design numbers them."""
        return [network for network in self.ablation.networks if network.role == VARIANT]

    @property
    def units(self) -> list[tuple[str, int]]:
        """Data and seed, in the order in which they are trained."""
        return [(data, seed) for seed in self.ablation.experiment.seeds for data in self.ablation.data]

    @cached_property
    def course(self) -> Course:
        """What is decided."""
        table = np.full((len(self.counted), self.design.variants), np.nan)
        for row, values in zip(table, self.counted):
            for number, network in enumerate(self.variants):
                if network.name in values:  # what failed shows no difference
                    value, base = values[network.name], values.get(network.base)
                    row[number] = 0.0 if value is None or base is None else value - base
        return follow(self.design, table)

    @property
    def over(self) -> bool:
        """Whether no training is left that could decide anything."""
        return not self.course.open

    def lasts(self, network: Network) -> int:
        """Units for which a network was trained, as far as it is decided."""
        closed, numbers = self.course.closed, {one.name: at for at, one in enumerate(self.variants)}
        own = [network] if network.role == VARIANT else [one for one in self.variants if one.base == network.base]
        return max(closed.get(numbers[one.name], self.course.units) for one in own)

    def _trained_with(self, unit: int) -> list[Network]:
        """The networks that are trained with a unit, counted from 0, as far as it is decided."""
        open_ = [self.variants[number] for number in self.course.open]
        bases = {network.base for network in open_}
        if unit < self.course.units:
            return [network for network in self.ablation.networks if unit < self.lasts(network)]
        return [one for one in self.ablation.networks if one in open_ or (one.role != VARIANT and one.base in bases)]

    def next_runs(self, at_once: int = 1) -> list[Run]:
        """The runs that the next decision needs, and those of units behind it, so that no device is idle."""
        if self.over:
            return []
        first = self._with(self.course.units)
        if all(run.state == FAILED for run in first):  # it has to be known why before anything goes on
            return first
        wide = min(_WIDEST, max(1, -(-at_once // len(first))))
        units = range(self.course.units, min(len(self.units), self.course.units + wide))
        return [run for unit in units for run in self._with(unit)]

    def _with(self, unit: int) -> list[Run]:
        """The runs of a unit, counted from 0, as far as it is decided."""
        return [self._runs[self.units[unit], one.name] for one in self._trained_with(unit)]

    @cached_property
    def _runs(self) -> dict[tuple[tuple[str, int], str], Run]:
        return {((run.data, run.seed), run.network.name): run for run in self.ablation.runs}

    def part(self, at_once: int = 1) -> Ablation:
        """The ablation with the runs that were trained, or are next."""
        following = {run.folder for run in self.next_runs(at_once)}
        kept = [run for run in self.ablation.runs if run.folder in following or run.state in (DONE, FAILED, RUNNING)]
        return replace(self.ablation, runs=tuple(kept))

    def counts(self, outcome: Outcome) -> bool:
        """Whether the decisions rest on a run."""
        unit = self.units.index((outcome.data, outcome.seed))
        network = next(one for one in self.ablation.networks if one.name == outcome.network)
        return unit < self.course.units and unit < self.lasts(network)

    # In words.

    @property
    def trainings(self) -> tuple[int, int]:
        """Those that this took, and those that every unit of every network would take."""
        return sum(map(self.lasts, self.ablation.networks)), len(self.units) * len(self.ablation.networks)

    def verdict(self, network: str) -> str:
        """What is decided of a variant; the seeds that it took stand in a column of their own."""
        course = self.course
        number = [one.name for one in self.variants].index(network)
        how = {"better": ("gain", ""), "gate": ("passes", "does not pass"), "best": ("", "")}[self.design.question]
        for word, where in zip(how, (course.shown, course.failed)):
            if number in where:
                return word
        if self.design.question == "best":
            if self.over and course.leader == number:
                return "chosen"
            return "not chosen" if self.over or number in course.dropped else "open"
        nothing = "no gain shown" if self.design.question == "better" else "not decided"
        if number in course.dropped:
            return f"{nothing}, dropped"
        return nothing if self.over else "open"

    @property
    def sentence(self) -> str:
        """All that is decided, with what it took and what it is worth."""
        took, most = self.trainings
        if not self.ablation.networks:
            return ""
        chosen: str = ""
        if self.design.question == "best" and self.over and self.course.leader is not None:
            leader = self.course.leader
            best = Said("no variant") if leader == THE_BASE else self.variants[leader].name
            chosen = Said("; {best} is chosen, which is not shown: to show it, compare it on fresh seeds", best=best)
        return Said(
            "{state} after {took} of {most} trainings ({rounds}{promise}): {decisions}{chosen}",
            state=Said("decided") if self.over else Said("so far"),
            took=took,
            most=most,
            rounds=some(self.course.units, "{number} round{s}"),
            promise=self._promise,
            decisions=self.decisions(self.course),
            chosen=chosen,
        )

    @property
    def _promise(self) -> str:
        if self.design.question == "best":
            return ""
        better = self.design.question == "better"
        wrong = Said("a false gain") if better else Said("a false pass, and as many a false refusal")
        return Said("; at most 5% of tables hold {wrong}, whenever you look", wrong=wrong)

    def decisions(self, course: Course, before: Course | None = None) -> str:
        """What a course has decided that an earlier one had not, by kind and by when."""
        told = []
        worth = Said("under {drop:.0%} chance of a gain by the end", drop=self.design.drop)
        if self.design.question == "best":
            worth = Said("under 2% chance of being better than the one ahead")
        gain = "passes" if self.design.question == "gate" else "gain"
        kinds = ((gain, "shown", ""), ("does not pass", "failed", ""), ("no gain shown: dropped", "dropped", worth))
        for word, name, why in kinds:
            old: Collection[int] = getattr(before, name) if before else ()
            new = sorted((units, number) for number, units in getattr(course, name).items() if number not in old)
            groups = [(units, [one for _, one in group]) for units, group in groupby(new, key=lambda one: one[0])]
            if self.design.question == "best" and name == "dropped":
                word = "dropped"
            if name == "dropped" and groups:
                groups = [(0, [number for _, numbers in groups for number in numbers])]
            for units, numbers in groups:
                names = ", ".join(self.variants[number].name for number in sorted(numbers))
                when = Said("({why})", why=why) if why else Said("after {seeds}", seeds=self._seeds(units))
                told.append(Said("{names} {word} {when}", names=names, word=Said(word), when=when))
        if before is None and course.open:
            names = ", ".join(self.variants[number].name for number in course.open)
            told.append(Said("{names} {word}", names=names, word=Said("open")))
        elif before is None and (rest := set(range(self.design.variants)) - course.closed.keys()):
            what = {"better": "no gain shown", "gate": "not decided", "best": ""}[self.design.question]
            if what:
                names = ", ".join(self.variants[number].name for number in sorted(rest))
                told.append(Said("{names} {word}", names=names, word=Said(what)))
        return Listed(told, "; ") if told else Said("nothing yet")

    def since(self, before: Rounds) -> str:
        """What the last rounds have decided, and what that saves."""
        took, most = self.trainings
        units = self.course.units
        open_ = f"{len(self.course.open)} open" if self.course.open else "nothing is open"
        through = units * len(self.ablation.networks)  # with nothing closed
        saved = f"{counted((most if self.over else through) - took, 'training')} saved"
        return f"after {self._seeds(units)}: {self.decisions(self.course, before.course)}; {open_}, {saved} so far"

    def _seeds(self, units: int) -> str:
        return some(units) if len(self.ablation.data) == 1 else some(units, "{number} seed-and-data unit{s}")

    @property
    def notes(self) -> list[str]:
        """What one has to know of what was counted."""
        notes: list[str] = []
        failed = [
            Said("{name}, seed {seed}", name=name if len(self.ablation.data) == 1 else f"{name}, {data}", seed=seed)
            for (data, seed), values in zip(self.units, self.counted)
            for name, value in values.items()
            if value is None
        ]
        if failed:
            notes.append(Said("without a result, and counted as no difference: {failed}", failed=Listed(failed, "; ")))
        if self.before:
            form = (
                "{number} run{s} done before anything was fixed: the 5% holds if nobody chose the variants by what "
                "they came to"
            )
            notes.append(some(self.before, form))
        return notes

    @property
    def reading(self) -> list[str]:
        """How to read a table of these rounds."""
        if not self.counted:
            return []
        notes: list[str] = [
            Said(
                "means and intervals are at stopping: they lean upward where a gain stopped the training, so no p "
                "stands here"
            )
        ]
        if self.course.dropped:
            notes.append(Said("dropped is not worse: it was not worth more trainings"))
        if len(self.ablation.data) > 1:
            notes.append(Said("the verdict is that of all data together, each scaled by its own spread"))
        return notes

    @property
    def cost(self) -> str:
        """What it may cost, at most and as simulated."""
        design = replace(self.design, flips=_FEWER_FLIPS)
        good = max(1, design.variants // 4)
        none = np.zeros(design.variants)
        effects = {
            "no variant is better": none,
            f"{good} of {design.variants} {'is' if good == 1 else 'are'} better by as much as a paired difference "
            "spreads": none + (np.arange(design.variants) < good),
        }
        if design.question == "gate":
            design = replace(design, margin=0.0)
        took = [
            f"{np.mean([one.trainings for one in simulate(design, effect, _SIMULATED)]):.0f} where {words}"
            for words, effect in effects.items()
        ]
        networks = len(self.ablation.networks)
        return (
            f"at most {len(self.units) * networks} trainings ({len(self.units)} of each of {networks} networks); "
            f"as simulated for {design.variants} and one base, {', '.join(took)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        names, course = [one.name for one in self.variants], self.course
        took, most = self.trainings
        kinds = {"shown": course.shown, "failed": course.failed, "dropped": course.dropped}
        return {
            "question": self.design.question,
            "strict": self.design.strict,
            "margin": self.design.margin,
            "units": course.units,
            "most": self.design.most,
            "trainings": took,
            "of": most,
            "over": self.over,
            **{kind: {names[number]: units for number, units in of.items()} for kind, of in kinds.items()},
            "open": [names[number] for number in course.open],
        }


def rounds_of(ablation: Ablation, outcomes: Sequence[Outcome] | None = None) -> Rounds | None:
    """How far an ablation in rounds is, by its files, which are left as they are; None for one with fixed seeds.

    Args:
        ablation: the ablation.
        outcomes: of all its runs, for whoever has them.

    Raises:
        AblationError: what was fixed before the first training has changed since, or nothing could be decided.
    """
    path, experiment = ablation.folder / PLAN, ablation.experiment
    if experiment.sequential is None:
        if path.exists():
            raise AblationError(
                f"{path} says that the runs there were trained in rounds, and {ablation.recipe.path} no longer does: "
                f"{_WHY}: write sequential: back, or begin a new table with --folder DIR"
            )
        return None
    rounds = Rounds(ablation, _design(ablation))
    kept = _kept(ablation, _plan(rounds))
    if kept is not None:
        rounds = replace(rounds, counted=tuple(kept["counted"]), metric=kept["metric"], before=kept["before"])
        if rounds.course.units != len(rounds.counted):
            raise AblationError(f"{path} was edited, its rounds do not follow from each other: restore it")
    by_run = {} if outcomes is None else {(one.data, one.seed, one.network): one for one in outcomes}
    return _counting(rounds, lambda run: by_run.get((run.data, run.seed, run.network.name)) or outcome_of(run), ())


def begin(ablation: Ablation) -> Rounds:
    """Store what is fixed, where that was not done yet.

    Raises:
        AblationError: it has changed since.
    """
    rounds = rounds_of(ablation)
    assert rounds is not None
    with held(ablation.folder / PLAN, wait=60.0):
        if _kept(ablation, _plan(rounds)) is None:
            done = sum(run.state == DONE for run in ablation.runs)
            _keep(replace(rounds, counted=(), before=done))
    return rounds


def settle(ablation: Ablation, tried: Collection[Path], *, retry: bool) -> Rounds:
    """Count what is complete, and keep it.

    Args:
        ablation: the ablation, which was begun.
        tried: the folders of runs that this call has trained.
        retry: runs that failed are trained once more by this call, before they count as no difference.
    """
    with held(ablation.folder / PLAN, wait=60.0):
        before = rounds_of(ablation)
        assert before is not None
        waits = [run.folder for run in before.next_runs() if retry and run.folder not in tried]
        after = _counting(before, outcome_of, waits, failed_too=True)
        kept = _kept(ablation, _plan(after))
        if kept is None or len(kept["counted"]) < len(after.counted):
            _keep(after)
    return after


def _counting(
    rounds: Rounds, outcome: Callable[[Run], Outcome], waits: Collection[Path], *, failed_too: bool = False
) -> Rounds:
    """The rounds with every unit that is complete; one of which every training failed is not."""
    while not rounds.over:
        values: dict[str, float | None] = {}
        runs = rounds.next_runs()
        for run in runs:
            one = outcome(run)
            if not (one.state == DONE or (one.state == FAILED and failed_too and run.folder not in waits)):
                return rounds
            if not rounds.metric and one.metrics:
                rounds = replace(rounds, metric=main_metric([*one.metrics]) or next(iter(one.metrics)))
            counts = one.state == DONE and rounds.metric and left_out(one, rounds.metric) is None
            values[run.network.name] = one.metrics[rounds.metric] if counts else None
        if all(value is None for value in values.values()):
            return rounds
        rounds = replace(rounds, counted=(*rounds.counted, values))
    return rounds


def _design(ablation: Ablation) -> Design:
    """The design that a recipe asks for.

    Raises:
        RecipeError: nothing could be decided.
    """
    asked, experiment, recipe = ablation.experiment.sequential, ablation.experiment, ablation.recipe
    assert asked is not None
    units = len(experiment.seeds) * len(ablation.data)
    field = "sequential" if "seeds" not in recipe.lines else "seeds"
    if len(experiment.seeds) > _LONGEST:
        raise recipe.bad(field, f"{len(experiment.seeds)} seeds are more than anybody trains: ask for {_LONGEST}")
    design = Design(
        sum(network.role == VARIANT for network in ablation.networks), units, asked.question, asked.strict, asked.drop,
        asked.margin, tuple(range(len(ablation.data))) * len(experiment.seeds) if len(ablation.data) > 1 else (),
    )  # fmt: skip
    if asked.question != "best" and units < design.first_look:
        strictly = " strictly" if asked.strict else ""
        problem = f"{units} trainings of each decide nothing{strictly}: it takes {design.first_look} or more"
        raise recipe.bad(field, problem)
    return design


def _plan(rounds: Rounds) -> dict[str, Any]:
    """All that has to be fixed in advance."""
    design, ablation = rounds.design, rounds.ablation
    firsts = [
        run for run in ablation.runs if (run.data, run.seed) in [(name, rounds.units[0][1]) for name in ablation.data]
    ]
    return {
        "networks": [one.name for one in ablation.networks],
        "data": list(ablation.data),
        "seeds": list(ablation.experiment.seeds),
        "question": design.question,
        "strict": design.strict,
        "drop": design.drop,
        "margin": design.margin,
        "level": ALPHA,
        "looks": list(design.looks),
        "spent": [design.spent(unit) for unit in design.looks],
        "flips": design.flips,
        "seed of the flips": design.seed,
        "metric": "what the task is measured by, at the best epoch",
        "trainings": {
            f"{run.data}/{run.network.name}": digest({**run.asked, "seed": None}) for run in firsts
        },
    }  # fmt: skip


def _kept(ablation: Ablation, plan: Mapping[str, Any]) -> _KeptRounds | None:
    """What the file holds; None where there is none.

    Raises:
        AblationError: it is damaged or edited, or other things were fixed.
    """
    path = ablation.folder / PLAN
    try:
        kept = read_json(path, _KeptRounds)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        raise AblationError(f"{error}; restore it, or begin a new table with --folder DIR") from error
    if digest(kept["plan"]) != kept["hash"]:
        raise AblationError(f"{path} was edited, its plan no longer fits its hash: restore it")
    if digest(plan) == kept["hash"]:
        return kept
    what = next(name for name in [*plan, *kept["plan"]] if plan.get(name) != kept["plan"].get(name))
    old, new = kept["plan"].get(what), plan.get(what)
    if what == "trainings":
        names = changed([run for run in ablation.runs if run.state == STALE])
        told = f"what is trained ({names})" if names else "what is trained: the recipe, a start or the data"
    else:
        told = f"{what}: {_short(new)}, and it was {_short(old)}"
    raise AblationError(
        f"{ablation.recipe.path}: changed since it was fixed before the first training, {told}: {_WHY}: "
        "change it back, or begin a new table with --folder DIR"
    )


def _short(value: Any) -> str:
    return clean(", ".join(map(str, value)) if isinstance(value, list) else str(value), 200)


def _keep(rounds: Rounds) -> None:
    plan = _plan(rounds)
    values = [*map(dict, rounds.counted)]
    kept = _KeptRounds(
        schema=1, hash=digest(plan), plan=plan, metric=rounds.metric, before=rounds.before, counted=values
    )
    rounds.ablation.folder.mkdir(parents=True, exist_ok=True)
    write_text(rounds.ablation.folder / PLAN, json.dumps(kept, indent=1) + "\n", force=True)
