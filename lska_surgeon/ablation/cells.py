"""From a recipe to its cells, variant x seed x data, each with all that its training depends on; it trains nothing.

Everything lies in one folder, `ablation/RECIPE` beside the recipe unless told otherwise:

    DATA/VARIANT/seed-N/              Ultralytics' own run: args.yaml, results.csv, weights/
    DATA/VARIANT/seed-N/VARIANT.yaml  what is trained
    DATA/VARIANT/seed-N/base/         the base that it is carried from when it starts, see `starts`
    DATA/VARIANT/seed-N/cell.json     the record of the cell, see `records`
    DATA/VARIANT/seed-N.lock          held by whoever trains it
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ..cost.cache import sha256
from ..declarations.find import active_blocks
from ..errors import AblationError, RecipeError, TrainingError
from ..files import no_file, write_text
from ..grafting.input_files import data_problem, file_arguments
from ..recipes.recipe import IDENTITY, SCRATCH, Experiment, Recipe, read_recipe
from ..recipes.variants import Kind
from ..wording import did_you_mean, few
from .networks import LARGER, VARIANT, Network, networks_of
from .records import DONE, FAILED, SCHEMA, WAITING, Busy, digest, held, read_record, state_of, write_record


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        network: what is trained.
        data: name of the data.
        seed: the seed.
        folder: where the run lies.
        model: the model YAML's file to be.
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
    model: Path
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
        """All that the training depends on, paths of this machine aside: whoever changes one makes the cell stale."""
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
    def identity(self) -> str:
        return digest(self.asked)

    @property
    def state(self) -> str:
        """What it is in now, by its files."""
        return state_of(self.folder, self.identity)

    def record(self) -> dict[str, Any]:
        """The record of a cell that nobody has begun: all that a process needs to train it."""
        return {
            "schema": SCHEMA,
            "name": self.network.name,
            "role": self.network.role,
            "base": self.network.base,
            "data": self.data,
            "seed": self.seed,
            "identity": self.identity,
            "asked": self.asked,
            "task": self.task,
            "state": WAITING,
        }

    @property
    def task(self) -> dict[str, Any]:
        """What a process has to know to train it, paths of this machine among it."""
        return {
            "model": self.model.name,
            "base": f"base/{self.network.base}.yaml",  # in a folder of its own: a recipe may give a variant its name
            "start": str(self.start) if self.start else None,
            "init": self.init,
            "data": self.source,
            "arguments": dict(self.arguments),
        }

    def prepare(self, *, renew: bool = False, retry: bool = False) -> bool:
        """Put what a process needs into the cell's folder; False where there is nothing to train or somebody is at it.

        A stale cell is moved aside with `renew`, and otherwise left as it is; one that failed waits again with `retry`.

        Raises:
            AblationError: in its place, or in it, is what no training has left and what may lead anywhere.
        """
        self._refuse_foreign()
        try:
            with held(self.folder, wait=0.5):
                found = read_record(self.folder)
                if found is not None and found["identity"] != self.identity:
                    if not renew:
                        return False
                    self.folder.rename(f"{self.folder}.stale-{found['identity'][:8]}-{time.time_ns()}")
                    found = None
                if found is None:
                    self.write_models(self.folder)
                    write_record(self.folder, self.record())
                    return True
                state = WAITING if retry and found["state"] == FAILED else found["state"]
                # The same start and data may lie elsewhere since: a folder was moved, or the recipe names another file.
                fresh = {**found, "state": state, **({} if state == DONE else {"task": self.task})}
                if state != DONE:
                    self.write_models(self.folder)
                if fresh != found:
                    write_record(self.folder, fresh)
                return state not in (DONE, FAILED)
        except Busy:
            return False

    def write_models(self, folder: Path) -> None:
        """Write the YAMLs that its task names into a folder, the cell's own or another."""
        for name, text in ((self.task["model"], self.network.text), (self.task["base"], self.network.base_text)):
            if _text(folder / name) != text:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                write_text(folder / name, text, force=True)

    def _refuse_foreign(self) -> None:
        """Raise for links, pipes and devices, through which a training would write and read elsewhere."""
        own = (self.folder.parent.parent, self.folder.parent, self.folder, Path(f"{self.folder}.lock"))
        for path in (*own, *(path for part in (".", "weights", "base") for path in _inside(self.folder / part))):
            what = "a symbolic link" if path.is_symlink() else None if path.is_dir() else no_file(path)
            if what:
                raise AblationError(f"{path} is {what}, and no training leaves one: move it away")


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", errors="surrogateescape")
    except OSError:
        return None


@dataclass(frozen=True)
class Ablation:
    """All cells of a recipe.

    Attributes:
        recipe: the recipe.
        folder: where everything lies.
        networks: the rows, a base before its variants.
        data: name of each data set -> as Ultralytics takes it.
        cells: every training, seed after seed, so that a table is whole as early as can be.
        larger: base -> the next larger one, which is a base or a control; where that is asked for.
    """

    recipe: Recipe
    folder: Path
    networks: tuple[Network, ...]
    data: Mapping[str, str]
    cells: tuple[Cell, ...]
    larger: Mapping[str, str]

    @property
    def experiment(self) -> Experiment:
        assert self.recipe.experiment is not None
        return self.recipe.experiment

    @property
    def kinds(self) -> dict[str, Kind]:
        """Network -> what it has, where that is one kernel size throughout."""
        found = {network.name: network.variant.kind for network in self.networks if network.variant}
        return {name: kind for name, kind in found.items() if kind}

    @property
    def words(self) -> str:
        """What a command has to be told to find these cells: `recipe.yaml`, or `recipe.yaml --folder DIR`."""
        usual = self.folder == _usual_folder(self.recipe)
        return shlex.join([str(self.recipe.path), *([] if usual else ["--folder", str(self.folder)])])


def _usual_folder(recipe: Recipe) -> Path:
    return (recipe.folder / "ablation" / recipe.path.stem).absolute()


def _is_one_folder(name: str) -> bool:
    """Whether a folder of that name lies in the one that it is put in."""
    return Path(name).name == name and name not in ("", "..")


def plan_ablation(path: Path, folder: Path | None = None) -> Ablation:
    """Work out all cells of a recipe; nothing is written and no torch is imported.

    Args:
        path: the recipe.
        folder: where the cells lie; None for `ablation/RECIPE` beside the recipe.

    Raises:
        SurgeonError: the recipe, a base or a start can't be read, or the recipe has no `train`.
    """
    recipe = read_recipe(path, active_blocks())
    if recipe.experiment is None:
        raise RecipeError(f"{path}: it does not say how to train: add train: {{data: FILE.yaml, epochs: 100}}")
    if folder is None and not _is_one_folder(recipe.path.stem):
        raise RecipeError(f"no folder can be called after {path}: rename the recipe, or say --folder DIR")
    where = _usual_folder(recipe) if folder is None else folder.absolute()
    networks, larger = networks_of(recipe)
    for network in networks:
        if not _is_one_folder(network.name):
            raise RecipeError(f"{path}: no cells can be called after {network.file}: give that file another name")
        if sum(other.name == network.name for other in networks) > 1:
            raise RecipeError(f"{path}: two networks would be called {network.name}: give one file another name")
    starts = {network.name: _start(recipe, network) for network in networks}
    data = _data(recipe)
    try:
        files = file_arguments(recipe.experiment.arguments, recipe.folder.absolute())
    except TrainingError as error:
        raise recipe.bad("train.cfg", error) from error
    cells = [
        Cell(
            network,
            name,
            seed,
            where / name / network.name / f"seed-{seed}",
            where / name / network.name / f"seed-{seed}" / Path(network.file).name,
            starts[network.name],
            recipe.experiment.init,
            source,
            recipe.experiment.arguments,
            files,
        )
        for name, source in data.items()
        for seed in recipe.experiment.seeds
        for network in networks
    ]
    ablation = Ablation(recipe, where, networks, data, tuple(cells), larger)
    _check_labels(ablation)
    return ablation


def _check_labels(ablation: Ablation) -> None:
    """Refuse labels of what the recipe does not have."""
    known = [network.name for network in ablation.networks]
    known += [*ablation.data, *dict.fromkeys(kind.family for kind in ablation.kinds.values())]
    unknown = [name for name in ablation.experiment.labels if name not in known]
    if unknown:
        problem = f"nothing here is called {unknown[0]!r}{did_you_mean(unknown[0], known)}: there are {few(known)}"
        raise ablation.recipe.bad("labels", problem)


def _start(recipe: Recipe, network: Network) -> Path | None:
    experiment = recipe.experiment
    assert experiment is not None
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


def _data(recipe: Recipe) -> dict[str, str]:
    """Name -> data; a name is the file's, or its folder's where the file is called data."""
    found: dict[str, str] = {}
    assert recipe.experiment is not None
    for word in recipe.experiment.data:
        path = (recipe.folder / word).absolute()
        if not path.exists() and (len(Path(word).parts) > 1 or Path(word).is_absolute()):
            raise recipe.bad("train.data", f"no file {path}: fetch it first, and give its path")
        shipped = _shipped_data()
        if not path.exists() and shipped and path.suffix in (".yaml", ".yml") and word not in shipped:
            problem = f"no file {path}, and Ultralytics has no data of that name{did_you_mean(word, shipped)}"
            raise recipe.bad("train.data", problem)
        broken = data_problem(path) if path.exists() else None
        if broken:
            raise recipe.bad("train.data", f"{path} {broken}: give the path of a data YAML that is here")
        name = Path(word).stem
        if name == "data" and path.exists():
            name = path.resolve().parent.name
        elif not _is_one_folder(name):  # `..`, `.`
            name = path.resolve().name
        if not _is_one_folder(name):
            raise recipe.bad("train.data", f"no cells can be called after {word}: give data that have a name")
        if name in found:
            raise recipe.bad("train.data", f"two of them are called {name}: give the files different names")
        found[name] = str(path) if path.exists() else word  # one of Ultralytics' own
    return found


@cache
def _shipped_data() -> frozenset[str]:
    """Names of the data YAMLs in the installed ultralytics; empty when it is not installed."""
    spec = importlib.util.find_spec("ultralytics")
    roots = spec.submodule_search_locations if spec is not None else None
    return frozenset(path.name for root in roots or () for path in Path(root, "cfg", "datasets").rglob("*.yaml"))


def _file_hash(path: Path) -> str:
    found = path.stat()
    return _hash(path, found.st_size, found.st_mtime_ns)


@cache
def _hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        found = hashlib.sha256()
        for part in iter(lambda: file.read(1 << 20), b""):
            found.update(part)
    return found.hexdigest()


def _hash_of(path: Path) -> str:
    """Of a file; of a folder, or of what Ultralytics finds by itself, its name."""
    return _file_hash(path) if path.is_file() else sha256(path.name)
