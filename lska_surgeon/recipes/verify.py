"""Building variants in Ultralytics and running each once, several at a time; it writes nothing but temporary files."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.blocks import STOCK, BlockTable, Declarations
from ..core.shapes import channels_in
from ..cost.cache import ModelText
from ..declarations.find import announce, building_with, telling_children
from ..errors import BuildError, SurgeonError, telling, without_trust
from ..files import for_a_while
from ..yolo.build import build
from ..yolo.environment import import_offline
from .variants import Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class _Task:
    """What a process needs to know of one variant."""

    file: str
    variant: ModelText
    base: ModelText
    params_added: int | None


def verify(variants: Sequence[Variant], jobs: int, blocks: BlockTable) -> Iterator[tuple[str, str | None]]:
    """Build each variant in plain Ultralytics with the blocks registered, run it on one image, count its parameters.

    Args:
        variants: what to build; their files need not be there.
        jobs: how many processes; 1 builds here.
        blocks: the table whose custom modules those processes build with.

    Yields:
        For each variant, as it is done: its file, and why it failed or None.

    Raises:
        BuildError: the environment has no Ultralytics that can be imported.
    """

    import_offline()
    tasks = [
        _Task(one.file, ModelText(Path(one.file).name, one.text, None), one.base_text, one.params_added)
        for one in variants
    ]
    if jobs == 1:
        for task in tasks:
            yield task.file, _problem(task)
        return
    # A fresh process each, for torch's threads do not survive a fork.
    declarations = blocks.declarations
    if declarations.trusted and declarations.path is not None:  # said here, for all of them
        named = [one for name, one in declarations.blocks.items() if any(name in task.variant.text for task in tasks)]
        announce(named, declarations.path)
    context = multiprocessing.get_context("spawn")
    with telling_children(blocks), ProcessPoolExecutor(jobs, context, _alone) as pool:
        waiting = {pool.submit(_problem_elsewhere, task, declarations): task for task in tasks}
        try:
            for done in as_completed(waiting):
                yield waiting[done].file, done.result()
        finally:
            for future in waiting:
                future.cancel()


def _alone() -> None:
    """One thread for each process, for the processes share the machine."""
    import torch

    torch.set_num_threads(1)


def _problem_elsewhere(task: _Task, declarations: Declarations) -> str | None:
    """The same as `_problem` in a process of the pool, with the custom modules of the first."""
    with building_with(STOCK.with_blocks(declarations)):
        return _problem(task)


def _problem(task: _Task) -> str | None:
    """What is wrong with a variant, or None."""
    try:
        found = _run(task.variant)
        if task.params_added is None:
            return None
        planned = _base_params(task.base) + task.params_added
    except SurgeonError as error:
        return str(without_trust(error))
    return None if found == planned else f"has {found:,} parameters, and {planned:,} were planned"


def _run(model_text: ModelText) -> int:
    """Build a model, run it once; its parameters."""
    import torch

    from ..nn.first_run import on_the_smallest
    from ..yolo.environment import quiet

    model = _build(model_text).eval()
    with telling(BuildError, "builds, and does not run"), torch.no_grad(), quiet():
        on_the_smallest(lambda side: model(torch.zeros(1, channels_in(model.yaml), side, side)))
    return _params(model)


@cache
def _base_params(model_text: ModelText) -> int:
    from ..cost.shapes_only import ShapesOnly

    with ShapesOnly():
        return _params(_build(model_text))


def _build(model_text: ModelText) -> nn.Module:
    with for_a_while(model_text.name, model_text.text) as path:
        return build(path, scale=model_text.scale)


def _params(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
