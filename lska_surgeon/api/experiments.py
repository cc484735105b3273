"""The verbs on many variants: recipes to start from, their files, their trainings, and what came of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import AblationError, ArgumentError
from ..files import target_path
from .verb import Blocks, PathLike, listed, name_or_none, split, table_of, verb

if TYPE_CHECKING:
    from ..ablation.results import Results
    from ..ablation.runs import Ablation, Run
    from ..ablation.status import AblationStatus
    from ..page.gather import ReportPage
    from ..recipes.sync import Variants
    from ..recipes.templates import Templates


@verb
def templates() -> Templates:
    """The recipes and CI files to start from, by name.

    >>> import lska_surgeon as ls
    >>> ls.templates()["kernel-ablation"].write("recipe.yaml")
    PosixPath('recipe.yaml')
    """
    from ..recipes.templates import templates as shipped

    return shipped()


@verb
def variants(
    recipe: PathLike,
    *,
    costs: bool = False,
    verify: bool | Literal["build"] | None = None,
    jobs: int = 1,
    prune: bool = False,
    check: bool = False,
    budget: str | Iterable[str] = (),
    dry_run: bool = True,
    force: bool = False,
    unchecked: bool = False,
    track: Callable[..., Any] | None = None,
    blocks: Blocks = None,
) -> Variants:
    """Work out all variants that a recipe asks for; nothing is written before `.write()`.

    >>> import lska_surgeon as ls
    >>> recipe = ls.templates()["recommended"].write()
    >>> planned = ls.variants(recipe)
    >>> planned.write().line == planned.line.replace("to write", "written")
    True
    >>> ls.variants(recipe, check=True).failed
    False

    Args:
        recipe: path of a recipe, a YAML file.
        costs: count what is not counted yet (needs torch), and show the costs.
        verify: build every variant in Ultralytics and run it once.
        jobs: processes for `verify`, 1 or more.
        prune: delete files that the recipe wrote and no longer asks for, once it is written.
        check: write nothing; tell whether the files are up to date, with a diff. It never counts.
        budget: what each may cost, in the place of the recipe's own, such as max_gflops=1.15x,max_params=40M.
        dry_run: False writes at once, as the command does.
        force: with that, overwrite files that were edited by hand, or that somebody else wrote.
        unchecked: go on where `lska-surgeon check` finds errors in a base.
        track: shows how far it is: gets what is iterated, what is done, and how many; gives the same items.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        RecipeError: the recipe, a base or the index can't be read or followed; with file and line.
        TargetError: a file is in the way and `force` is off; nothing was written.
    """
    from ..recipes.sync import SyncOptions, sync

    if jobs < 1:
        raise ArgumentError(f"jobs {jobs} is not a number of processes: give 1 or more")
    for name, given in (("prune", prune), ("force", force)):
        if check and given:
            raise ArgumentError(f"--check writes nothing: drop --{name}, or --check")
    planned = dry_run and not check
    options = SyncOptions(
        Path(recipe), check, planned, costs, prune, force, bool(verify), jobs, unchecked, tuple(split(budget))
    )
    return sync(options, table_of(blocks), track)


@verb
def ablate(
    recipe: PathLike,
    *,
    folder: PathLike | None = None,
    devices: str | None = None,
    ray: str | None = None,
    slurm: str | None = None,
    retry: bool = False,
    renew: bool = False,
    dry_run: bool = False,
    report: Callable[[Any], Any] | None = None,
    blocks: Blocks = None,
) -> AblationStatus:
    """Train every variant of a recipe with every seed, as far as that is not done yet.

    Args:
        recipe: a recipe with `train`.
        folder: where the runs are; by default ablation/RECIPE beside the recipe.
        devices: where to train, one training per device: 0,1 or cpu; by default every GPU, or else the CPU.
        ray: train on the Ray cluster at this address, or auto.
        slurm: submit one array of Slurm jobs, with these options of sbatch.
        retry: train runs again that failed.
        renew: move stale and unreadable runs aside and train them again. Stale are those whose recipe, start or data
            changed.
        dry_run: show every run and what is left; start nothing. With `slurm`, `.script` is the job script that would be
            submitted.
        report: is called with every event, see `ablation.launch.Event`.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        How far every run is then.

    Raises:
        SurgeonError: the recipe can't be read or followed, a device is not here, or sbatch's options hold an array.
        KeyboardInterrupt: it was stopped; every process has ended, and the next call goes on.
    """
    if sum(place is not None for place in (devices, ray, slurm)) > 1:
        raise ArgumentError("--devices, --ray and --slurm each say where to train: give one of them")
    from ..ablation.runs import plan_ablation

    ablation = plan_ablation(Path(recipe), None if folder is None else Path(folder), table_of(blocks))
    from ..ablation.clusters import at_once, check_ray, check_slurm, ray_cluster, script, submit, submit_round
    from ..ablation.launch import check_arguments, find_devices, read_devices, to_train, train_here, train_in_rounds
    from ..ablation.records import DONE
    from ..ablation.rounds import rounds_of

    rounds = rounds_of(ablation)
    check_arguments(ablation)
    from ..ablation.training import check_images, check_starts  # which import what was looked for there

    if slurm is not None:
        script(ablation, ablation.runs, slurm)
    runs = ablation.runs if rounds is None else rounds.next_runs()
    left = [run for run in runs if run.state != DONE]
    if ray is None and slurm is None:
        check_images(ablation, left)
    check_starts(ablation, left)
    if dry_run:
        here = read_devices(devices) if devices else find_devices(None)
        wide = len(here) if ray is None and slurm is None else at_once(slurm or "")
        status = _far(ablation, wide, retry=retry, renew=renew)
        return status if slurm is None else status.with_script(script(ablation, status.left, slurm))
    report = report or (lambda event: None)
    if slurm is not None:
        check_slurm()
        if rounds is not None:
            note = submit_round(ablation, slurm, retry=retry, renew=renew)
        else:
            note = submit(ablation, to_train(runs, retry=retry, renew=renew), slurm)
        return _far(ablation, at_once(slurm)).with_note(note)

    def train_all(train: Callable[[Sequence[Run]], Any], wide: int) -> AblationStatus:
        if rounds is None:
            train(to_train(runs, retry=retry, renew=renew))
        else:
            train_in_rounds(ablation, train, wide, report, retry=retry, renew=renew)
        return _far(ablation)

    if ray is not None:
        check_ray()
        with ray_cluster(ray) as cluster:
            return train_all(lambda some: cluster.train(ablation, some, report), cluster.free)
    here = find_devices(devices)
    return train_all(lambda some: train_here(ablation, some, here, report), len(here))


def _far(ablation: Ablation, devices: int = 1, *, retry: bool = False, renew: bool = False) -> AblationStatus:
    """How far an ablation is; in rounds of what was trained and is next, with what is decided."""
    from ..ablation.rounds import rounds_of
    from ..ablation.status import status_of

    rounds = rounds_of(ablation)
    if rounds is None:
        return status_of(ablation, devices, retry=retry, renew=renew)
    status = status_of(rounds.part(devices), devices, retry=retry, renew=renew)
    for note in (
        *([rounds.sentence] if rounds.counted else []),
        *rounds.notes,
        *([] if rounds.over else [rounds.cost]),
    ):
        status = status.with_note(note)
    return status


@verb
def progress_of(recipe: PathLike, folder: PathLike | None = None, *, blocks: Blocks = None) -> str:
    """How far an ablation is that was stopped, at once: without the trials of a dry run."""
    from ..ablation.runs import plan_ablation

    where = None if folder is None else Path(folder)
    return _far(plan_ablation(Path(recipe), where, table_of(blocks))).summary()


@verb
def results(
    source: PathLike | Sequence[PathLike],
    *,
    metric: str | None = None,
    epoch: Literal["best", "last"] = "best",
    effect: float | None = None,
    base: str | None = None,
    folder: PathLike | None = None,
    costs: bool = True,
    columns: str | Sequence[str] = (),
    axes: str | Sequence[str] = (),
    blocks: Blocks = None,
) -> Results:
    """The table of an ablation, or of plain runs of Ultralytics.

    Args:
        source: a recipe, or folders with runs that no ablation made.
        metric: what is compared, such as mAP50, AP-small or precision@0.25; by default mAP50-95, or top1.
        epoch: which epoch of each run counts. "best" is the one with the highest mAP50-95, as best.pt has it.
        effect: tell how many seeds would show a true difference of this size, above 0, such as 0.005.
        base: of plain runs, the network that the others are compared with.
        folder: of a recipe, where its runs are; by default ablation/RECIPE beside it.
        costs: count parameters and GFLOPs of networks where they are not known yet.
        columns: show these columns only, in this order: network,params,p; or under headings of yours: AP-small=small,p.
        axes: what the figure shows accuracy against, a panel each, of params, GFLOPs and the columns of ms; by default
            ms where latency was measured, else GFLOPs.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        The table; it prints itself, and `write` writes it or its figure.

    Raises:
        SurgeonError: there is nothing to tabulate, or no such metric or column.
    """
    if effect is not None and effect <= 0:
        raise ArgumentError(f"effect {effect:g} is out of range: give a difference above 0, such as 0.005")
    sources = [Path(path) for path in listed(source)]
    if not sources:
        raise ArgumentError("give a recipe, or folders with runs")
    if len(sources) == 1 and not sources[0].exists():  # before anything heavy is imported
        raise AblationError(
            f"neither a recipe nor a folder is at {sources[0]}: give a recipe that was ablated, such as recipe.yaml, "
            "or folders of runs, such as runs/detect"
        )
    from ..ablation.outcomes import costs_of, counting_notes, known_latencies, outcomes_of
    from ..ablation.results import tabulate
    from ..ablation.rounds import rounds_of
    from ..ablation.runs import plan_ablation

    if len(sources) > 1 or sources[0].is_dir():
        missing = [str(path) for path in sources if not path.is_dir()]
        if missing:
            raise AblationError(f"{missing[0]} is not a folder: give one recipe, or folders with runs")
        from ..ablation.plain import plain_runs

        plain = plain_runs(sources, epoch, base)
        known, notes = plain.costs(table_of(blocks)) if costs else ({}, ())
        name, notes = ", ".join(map(str, sources)), (*plain.notes, *notes)
        return _shown(tabulate(name, plain.outcomes, known, metric=metric, resolve=effect, notes=notes), columns, axes)
    if base is not None:
        raise ArgumentError("the bases stand in the recipe: leave --base out, or give folders with runs")
    ablation = plan_ablation(sources[0], None if folder is None else Path(folder), table_of(blocks))
    outcomes = outcomes_of(ablation, epoch)
    rounds = rounds_of(ablation, outcomes)
    if rounds is not None:
        for name, asked in (("metric", metric), ("epoch", None if epoch == "best" else epoch), ("effect", effect)):
            if asked is not None and asked != rounds.metric:
                raise AblationError(
                    f"{sources[0]} is decided in rounds, by {rounds.metric or 'its metric'} at the best epoch, and "
                    f"that was fixed before the first training: leave --{name} out"
                )
    table = tabulate(
        sources[0].name,
        outcomes,
        costs_of(ablation, count=costs),
        metric=metric,
        resolve=effect,
        latency=known_latencies(ablation),
        larger=ablation.larger,
        notes=counting_notes(ablation),
        advice=f": see lska-surgeon ablate {ablation.words} --dry-run",
        rounds=rounds,
    )
    return replace(_shown(table, columns, axes), labels=ablation.experiment.labels, kinds=ablation.kinds)


def _shown(table: Results, columns: str | Sequence[str], axes: str | Sequence[str]) -> Results:
    """The table with the columns that were chosen, and the axes of its figure, each of which there is."""
    parts = [name.rpartition("=") if "=" in name else (name, "", name) for name in split(columns)]
    names, headings = tuple(name.strip() for name, _, _ in parts), {name.strip(): own.strip() for name, _, own in parts}
    chosen = replace(table, columns=names, headings=headings, axes=tuple(dict.fromkeys(split(axes))))
    chosen.table()
    for name in chosen.axes:
        if name not in chosen.costs:
            known = ", ".join(chosen.costs)
            raise ArgumentError(f"no axis {name!r}: there are {known}, and ms where latency --recipe measured it")
    return chosen


@verb
def report(
    recipe: PathLike,
    *,
    costs: bool = False,
    images: PathLike | None = None,
    language: Literal["en", "zh"] = "en",
    output: PathLike | None = None,
    blocks: Blocks = None,
) -> ReportPage:
    """One HTML page on all variants of a recipe, that opens from disk; nothing is written before `.write()`.

    What exists is shown: each variant, what it costs, cost against kernel size, and what an ablation of the recipe
    left: results with their spread, latency, receptive fields. What is missing is named, with the command that would
    bring it.

    >>> import lska_surgeon as ls
    >>> recipe = ls.templates()["recommended"].write()
    >>> ls.report(recipe).write("report.html").name
    'report.html'

    Args:
        recipe: path of a recipe, a YAML file.
        costs: count bases that are not counted yet (needs torch).
        images: a folder of images, to show what trained networks see, as `erf` does.
        language: of the page.
        output: file to write; by default report.html beside the recipe.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        RecipeError: the recipe, a base or the index can't be read or followed.
        SurgeonError: with `images`, there is no image, or nothing that was trained.
        TargetError: `output` does not end in .html.
    """
    from ..grafting.images import images_in
    from ..recipes.sync import SyncOptions, sync

    target = report_target(recipe, output)
    folder = None if images is None else Path(images)
    if folder is not None:
        images_in(folder)
    from ..page.gather import report_of  # here, for it takes a second and no error above should wait for it

    planned = sync(SyncOptions(Path(recipe), dry_run=True, costs=costs), table_of(blocks))
    return report_of(planned, language=language, output=target, images=folder)


def report_target(recipe: PathLike, output: PathLike | None = None) -> Path:
    """The file that a page goes to; arguments as for `report`.

    Raises:
        RecipeError: there is no such recipe.
        TargetError: `output` does not end in .html.
    """
    from ..recipes.recipe import open_recipe

    open_recipe(Path(recipe))
    return target_path(name_or_none(output) or str(Path(recipe).with_name("report.html")), ".html")
