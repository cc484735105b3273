"""From a recipe to its runs, network x seed x data, each with all that its training depends on; it trains nothing.

Everything lies in one folder, `ablation/RECIPE` beside the recipe unless told otherwise:

    DATA/NETWORK/seed-N/              Ultralytics' own run: args.yaml, results.csv, weights/
    DATA/NETWORK/seed-N/NETWORK.yaml  what is trained
    DATA/NETWORK/seed-N/base/         the base that it is carried from when it starts, see `training`
    DATA/NETWORK/seed-N/run.json      the record of the run, see `records`
    DATA/NETWORK/seed-N.lock          held by whoever trains it
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ..core.blocks import STOCK, BlockTable
from ..cost.cache import CostCache, Counted, ModelText, sha256
from ..errors import AblationError, RecipeError, TrainingError
from ..files import no_file, sha256_of, write_text
from ..grafting.input_files import data_problem, file_arguments
from ..modelfile.model import Model, load, stem_with_scale
from ..modelfile.rewriting import pin_scale
from ..recipes.recipe import IDENTITY, SCRATCH, Experiment, Recipe, read_recipe
from ..recipes.variants import DEFAULT_FOLDER, Kind, Variant, plan_variants
from ..wording import did_you_mean, few
from .records import DONE, FAILED, WAITING, Busy, Record, Task, digest, held, read_record, state_of, write_record

VARIANT, BASE, LARGER = "variant", "base", "larger"


@dataclass(frozen=True)
class Network:
    """One row of the table to be: a variant, a base, or a larger base that stands for plain scaling.

    Attributes:
        name: what it is called.
        role: "variant", "base" or "larger".
        base: name of the base that it is compared with; its own, for a base.
        file: the file that is trained, as the recipe names it.
        text: its content.
        scale: scale, or None.
        base_text: the content of the base that it is compared with; its own, for a base.
        variant: the recipe's variant, where it is one.
    """

    name: str
    role: str
    base: str
    file: str
    text: str
    scale: str | None
    base_text: str
    variant: Variant | None = None

    def cost(self, costs: CostCache) -> Counted | None:
        """What it costs; None when that is not known and may not be counted."""
        if self.variant is None:
            return costs.of(ModelText(self.file, self.text, self.scale))
        cost = self.variant.cost(costs)
        if cost.params is None or cost.macs is None:
            return None
        return Counted(cost.params, cost.macs, cost.base.counted_with if cost.base else {})


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        network: what is trained.
        data: name of the data.
        seed: the seed.
        folder: where it lies.
        start: the checkpoint that is grafted into it, or None.
        init: how operators start in that checkpoint, as the recipe says it.
        source: the data YAML, or folder, as Ultralytics takes it.
        arguments: Ultralytics' own arguments.
        files: the files that those name, by argument.
    """

    network: Network
    data: str
    seed: int
    folder: Path
    start: Path | None
    init: str
    source: str
    arguments: Mapping[str, Any]
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`yolov8s-lska-neck-k35, seed 0`."""
        return f"{self.network.name}, seed {self.seed}"

    @property
    def asked(self) -> dict[str, Any]:
        """All that the training depends on, paths of this machine aside: whoever changes one makes the run stale."""
        return {
            "model": sha256(self.network.text),
            "start": _file_hash(self.start) if self.start else SCRATCH,
            **({} if self.init == IDENTITY else {"init": self.init}),
            "data": _hash_of(Path(self.source)),
            "arguments": dict(sorted(self.arguments.items())),
            "seed": self.seed,
            **({"files": {name: _hash_of(path) for name, path in sorted(self.files.items())}} if self.files else {}),
        }

    @property
    def state(self) -> str:
        """What it is in now, by its files."""
        return state_of(self.folder, read_record(self.folder), digest(self.asked))

    def record(self) -> Record:
        """The record of a run that nobody has begun: all that a process needs to train it."""
        asked, network = self.asked, self.network
        identity, task = digest(asked), self.task
        return Record(
            1, network.name, network.role, network.base, self.data, self.seed, identity, asked, task, "waiting"
        )

    @property
    def task(self) -> Task:
        """What a process has to know to train it, paths of this machine among it."""
        return Task(
            model=Path(self.network.file).name,
            data=self.source,
            arguments=dict(self.arguments),
            base=f"base/{self.network.base}.yaml",  # in a folder of its own: a recipe may give a variant its name
            start=str(self.start) if self.start else None,
            init=self.init,
        )

    def prepare(self, *, renew: bool = False, retry: bool = False) -> bool:
        """Put what a process needs into the run's folder; False where there is nothing to train or somebody is at it.

        A stale run is moved aside with `renew`, and otherwise left as it is; one that failed waits again with `retry`.

        Raises:
            AblationError: in its place, or in it, is what no training has left and what may lead anywhere.
        """
        self._refuse_foreign()
        try:
            with held(self.folder, wait=0.5):
                kept = read_record(self.folder)
                if kept is not None and kept.identity != digest(self.asked):
                    if not renew:
                        return False
                    self.folder.rename(f"{self.folder}.stale-{kept.identity[:8]}-{time.time_ns()}")
                    kept = None
                if kept is None:
                    self.write_models(self.folder)
                    write_record(self.folder, self.record())
                    return True
                if kept.state == DONE:
                    return False
                state: Any = WAITING if retry and kept.state == FAILED else kept.state
                # The same start and data may lie elsewhere since: a folder was moved, or the recipe names another file.
                fresh = kept.but(state=state, task=self.task)
                self.write_models(self.folder)
                if fresh != kept:
                    write_record(self.folder, fresh)
                return bool(state != FAILED)
        except Busy:
            return False

    def write_models(self, folder: Path) -> None:
        """Write the YAMLs that its task names into a folder, the run's own or another."""
        for name, text in ((self.task.model, self.network.text), (self.task.base, self.network.base_text)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_text(folder / name, text, force=True)

    def _refuse_foreign(self) -> None:
        """Raise for links, pipes and devices, through which a training would write and read elsewhere."""
        own = (self.folder.parent.parent, self.folder.parent, self.folder, Path(f"{self.folder}.lock"))
        inside = (self.folder / part for part in (".", "weights", "base"))
        for path in (*own, *(path for place in inside if place.is_dir() for path in sorted(place.iterdir()))):
            what = "a symbolic link" if path.is_symlink() else None if path.is_dir() else no_file(path)
            if what:
                raise AblationError(f"{path} is {what}, and no training leaves one: move it away")


@dataclass(frozen=True)
class Ablation:
    """All runs of a recipe.

    Attributes:
        recipe: the recipe.
        folder: where everything lies.
        networks: the rows, a base before its variants.
        data: name of each data set -> as Ultralytics takes it.
        runs: every training, seed after seed, so that a table is whole as early as can be.
        larger: base -> the next larger one, which is a base or a control; where that is asked for.
    """

    recipe: Recipe
    folder: Path
    networks: tuple[Network, ...]
    data: Mapping[str, str]
    runs: tuple[Run, ...]
    larger: Mapping[str, str]

    @property
    def experiment(self) -> Experiment:
        assert self.recipe.experiment is not None
        return self.recipe.experiment

    @property
    def kinds(self) -> dict[str, Kind]:
        """Network -> what it has, where that is one kernel size throughout."""
        kinds = {network.name: network.variant.kind for network in self.networks if network.variant}
        return {name: kind for name, kind in kinds.items() if kind}

    @property
    def words(self) -> str:
        """How a command names these runs: `recipe.yaml`, or `recipe.yaml --folder DIR`."""
        usual = self.folder == _usual_folder(self.recipe)
        return shlex.join([str(self.recipe.path), *([] if usual else ["--folder", str(self.folder)])])


def plan_ablation(path: Path, folder: Path | None = None, blocks: BlockTable = STOCK) -> Ablation:
    """Work out all runs of a recipe; nothing is written and no torch is imported.

    Args:
        path: the recipe.
        folder: where the runs lie; None for `ablation/RECIPE` beside the recipe.
        blocks: the table of blocks that the recipe and its bases are read by.

    Raises:
        SurgeonError: the recipe, a base or a start can't be read, or the recipe has no `train`.
    """
    recipe = read_recipe(path, blocks)
    experiment = recipe.experiment
    if experiment is None:
        raise RecipeError(f"{path}: it does not say how to train: add train: {{data: FILE.yaml, epochs: 100}}")
    if folder is None and not _is_one_folder(path.stem):
        raise RecipeError(f"no folder can be called after {path}: rename the recipe, or say --folder DIR")
    where = _usual_folder(recipe) if folder is None else folder.absolute()
    networks, larger = _networks(recipe)
    for network in networks:
        if not _is_one_folder(network.name):
            raise RecipeError(f"{path}: no run can be called after {network.file}: give that file another name")
        if sum(other.name == network.name for other in networks) > 1:
            raise RecipeError(f"{path}: two networks would be called {network.name}: give one file another name")
    starts = {network.name: _start(recipe, experiment, network) for network in networks}
    data = _data(recipe, experiment)
    try:
        files = file_arguments(experiment.arguments, recipe.folder.absolute())
    except TrainingError as error:
        raise recipe.bad("train.cfg", error) from error
    runs = tuple(
        Run(
            network, name, seed, where / name / network.name / f"seed-{seed}", starts[network.name],
            experiment.init, source, experiment.arguments, files,
        )
        for name, source in data.items()
        for seed in experiment.seeds
        for network in networks
    )  # fmt: skip
    ablation = Ablation(recipe, where, networks, data, runs, larger)
    known = [*(network.name for network in networks), *data]
    known += dict.fromkeys(kind.family for kind in ablation.kinds.values())
    for name in experiment.labels:
        if name not in known:
            problem = f"nothing here is called {name!r}{did_you_mean(name, known)}: there are {few(known)}"
            raise recipe.bad("labels", problem)
    return ablation


def _usual_folder(recipe: Recipe) -> Path:
    return (recipe.folder / "ablation" / recipe.path.stem).absolute()


def _is_one_folder(name: str) -> bool:
    """Whether a folder of that name lies in the one that it is put in."""
    return Path(name).name == name and name not in ("", "..")


def _networks(recipe: Recipe) -> tuple[tuple[Network, ...], dict[str, str]]:
    """Every base with its variants, then the larger bases; and which is the larger one of which."""
    assert recipe.experiment is not None
    variants = plan_variants(recipe)
    bases: dict[str, Variant] = {}
    for variant in variants:
        name = stem_with_scale(variant.base)
        if bases.setdefault(name, variant).base.text != variant.base.text:
            raise recipe.error(variant.wanted, f"another base is called {name}, too: rename one", "base")
    networks: list[Network] = []
    controls: list[Network] = []
    larger = {}
    for name, variant in bases.items():
        base = _base(variant.base, BASE, name)
        networks.append(base)
        networks += [
            Network(_name(one.file), VARIANT, name, one.file, one.text, one.base.scaling.letter, base.text, one)
            for one in variants
            if stem_with_scale(one.base) == name
        ]
        if recipe.experiment.larger:
            bigger = _larger(recipe, variant)
            larger[name] = stem_with_scale(bigger)
            if larger[name] not in bases:
                controls.append(_base(bigger, LARGER, name))
    return (*networks, *controls), larger


def _name(file: str) -> str:
    return str(Path(file.removeprefix(f"{DEFAULT_FOLDER}/")).with_suffix("")).replace("/", "--")


def _base(base: Model, role: str, of: str) -> Network:
    name = stem_with_scale(base)
    letter = base.scaling.letter if base.written.scales else None
    text = pin_scale(base.written, letter, f"{name}.yaml").text
    return Network(name, role, of, f"{name}.yaml", text, base.scaling.letter, text)


def _larger(recipe: Recipe, variant: Variant) -> Model:
    base, letters = variant.base, list(variant.base.written.scales)
    letter = base.scaling.letter
    place = letters.index(letter) + 1 if letter in letters else len(letters)
    if place == len(letters):
        raise recipe.bad("controls", f"{base.name} has no scale that is larger: drop larger")
    return load(variant.wanted.base, letters[place], recipe.folder, blocks=base.blocks)


def _start(recipe: Recipe, experiment: Experiment, network: Network) -> Path | None:
    if experiment.start == SCRATCH:
        return None
    own = network.name if network.role != VARIANT else network.base
    name = experiment.start.format(base=own, scale=network.scale or "")
    if network.role == LARGER and name == experiment.start:
        name = re.sub(r"(yolo(?:e-)?v?\d+)[nslmx]", rf"\g<1>{network.scale}", name)
        if name == experiment.start:
            problem = f"the control {network.name} can't start from {name}: write start: '{{base}}.pt'"
            raise recipe.bad("train.start", problem)
    path = recipe.folder / name
    if not path.is_file():
        raise recipe.bad("train.start", f"no file {path} for {network.name}: fetch it first, or write start: scratch")
    return path.absolute()


def _data(recipe: Recipe, experiment: Experiment) -> dict[str, str]:
    """Name -> data; a name is the file's, or its folder's where the file is called data."""
    data: dict[str, str] = {}
    for word in experiment.data:
        path = (recipe.folder / word).absolute()
        problem = _missing_data(word, path) if not path.exists() else None
        if path.exists() and (broken := data_problem(path)):
            problem = f"{path} {broken}: give the path of a data YAML that is here"
        name = Path(word).stem
        if name == "data" and path.exists():
            name = path.resolve().parent.name
        elif not _is_one_folder(name):  # `..`, `.`
            name = path.resolve().name
        if not _is_one_folder(name):
            problem = problem or f"no run can be called after {word}: give data that have a name"
        if name in data:
            problem = problem or f"two of them are called {name}: give the files different names"
        if problem:
            raise recipe.bad("train.data", problem)
        data[name] = str(path) if path.exists() else word  # one of Ultralytics' own
    return data


def _missing_data(word: str, path: Path) -> str | None:
    """What is wrong with data that are not here; None for a name that may be one of Ultralytics' own."""
    if len(Path(word).parts) > 1 or Path(word).is_absolute():
        return f"no file {path}: fetch it first, and give its path"
    shipped = _shipped_data()
    if shipped and path.suffix in (".yaml", ".yml") and word not in shipped:
        return f"no file {path}, and Ultralytics has no data of that name{did_you_mean(word, shipped)}"
    return None


@cache
def _shipped_data() -> frozenset[str]:
    """Names of the data YAMLs in the installed ultralytics; empty when it is not installed."""
    spec = importlib.util.find_spec("ultralytics")
    roots = spec.submodule_search_locations if spec is not None else None
    return frozenset(path.name for root in roots or () for path in Path(root, "cfg", "datasets").rglob("*.yaml"))


def _file_hash(path: Path) -> str:
    status = path.stat()
    return _hash(path, status.st_size, status.st_mtime_ns)


@cache
def _hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return sha256_of(file)


def _hash_of(path: Path) -> str:
    """Of a file; of a folder, or of what Ultralytics finds by itself, its name."""
    return _file_hash(path) if path.is_file() else sha256(path.name)
