"""`ablate`: train every variant of a recipe, with seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..ablation.records import DONE
from ..ablation.status import AblationStatus
from .arguments import PathLike
from .own_blocks import with_own_blocks


@with_own_blocks
def ablate(
    recipe: str | Path,
    *,
    folder: str | Path | None = None,
    devices: str | None = None,
    ray: str | None = None,
    slurm: str | None = None,
    retry: bool = False,
    renew: bool = False,
    dry_run: bool = False,
    report: Callable[[Any], Any] | None = None,
    blocks: PathLike | None = None,
) -> AblationStatus:
    """Train every variant of a recipe with every seed, as far as that is not done yet.

    Args:
        recipe: a recipe with `train`.
        folder: where the cells lie; None for `ablation/RECIPE` beside the recipe.
        devices: "0,1", "cpu"; None for every GPU, or else the CPU.
        ray: train on a Ray cluster, at this address or "auto".
        slurm: hand the cells to Slurm as one array of jobs, with these options of sbatch.
        retry: train cells again that failed.
        renew: move cells aside whose recipe, start or data changed, and train them anew.
        dry_run: write and start nothing; with `slurm`, `.script` is the job script that would be submitted.
        report: is told of every event, see `ablation.scheduler.Event`.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Returns:
        How far every cell is then.

    Raises:
        SurgeonError: the recipe can't be read or followed, a device is not here, or sbatch's options hold an array.
        KeyboardInterrupt: it was stopped; every process has ended, and the next call goes on.
    """
    from ..ablation.cells import plan_ablation
    from ..ablation.status import status_of

    ablation = plan_ablation(Path(recipe), None if folder is None else Path(folder))
    from ..ablation.scheduler import check_arguments, find_devices, read_devices, to_train, train_here
    from ..ablation.slurm import check_slurm, script, submit
    from ..ablation.starts import check_images, check_starts

    told = report or (lambda event: None)
    check_arguments(ablation)
    if slurm is not None:
        script(ablation, ablation.cells, slurm)
    left = [cell for cell in ablation.cells if cell.state != DONE]
    if ray is None and slurm is None:
        check_images(ablation, left)
    check_starts(ablation, left)
    if dry_run:
        at_once = 1 if ray or slurm is not None else len(read_devices(devices) if devices else find_devices(None))
        status = status_of(ablation, at_once, retry=retry, renew=renew)
        return status if slurm is None else status.with_script(script(ablation, status.left, slurm))
    if ray is not None:
        from ..ablation.ray_cluster import check_ray, train_on_ray

        check_ray()
        train_on_ray(ablation, to_train(ablation, retry=retry, renew=renew), ray, told)
    elif slurm is not None:
        check_slurm()
        note = submit(ablation, to_train(ablation, retry=retry, renew=renew), slurm)
        return status_of(ablation).with_note(note)
    else:
        found = find_devices(devices)
        train_here(ablation, to_train(ablation, retry=retry, renew=renew), found, told)
    return status_of(ablation)
