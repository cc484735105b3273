"""What a training starts from: the base as its seed starts it on its data, carried into the variant; it trains nothing.

Ultralytics builds a network layer by layer from one stream of random numbers, so that an inserted row would give every
layer behind it other weights, a classifier that starts anew included. Here each network of a seed starts from the same
base instead: built by Ultralytics, with the trained weights of a checkpoint where there is one, and then moved into the
variant, layer by layer. So a tensor's start depends on the seed and on the layer that it is in the base, on nothing
else; the new operators draw from a stream of their own.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoints.checkpoint import read_checkpoint
from ..checkpoints.contents import RECORD, Checkpoint, checkpoint_of
from ..declarations.find import active_blocks
from ..errors import AblationError, ChangedOutputsError, SurgeonError
from ..grafting.graft import graft
from ..grafting.input_files import missing_images
from ..grafting.into import plan_graft_into
from ..grafting.transplant import moved_name
from ..recipes.recipe import DEFAULT, IDENTITY
from ..yolo.build import build
from .cells import Ablation, Cell
from .networks import VARIANT
from .verification import other_network


@dataclass
class Start:
    """How one network starts.

    Attributes:
        base: the base's YAML.
        model: what is to be trained, a YAML.
        is_variant: whether it has operators that the base has not.
        init: how these start in a checkpoint, "identity" or "default".
        checkpoint: the trained base; None from scratch.
        places: index of a layer in the base -> in the variant, once that has been carried; empty where none moves.
    """

    base: Path
    model: Path
    is_variant: bool
    init: str
    checkpoint: Checkpoint | None
    places: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, folder: Path, role: str, task: Mapping[str, Any], read: Callable[[str], Checkpoint] = read_checkpoint
    ) -> Start:
        """The start of a cell.

        Args:
            folder: where its YAMLs lie.
            role: of its network.
            task: what its record says of its training.
            read: reads a checkpoint.

        Raises:
            SurgeonError: its checkpoint can't be read, or holds another network than the base.
        """
        model, is_variant = folder / task["model"], role == VARIANT
        base = folder / task["base"] if is_variant else model
        checkpoint = read(task["start"]) if task["start"] else None
        difference = other_network(checkpoint, base) if checkpoint else None
        if checkpoint and difference:
            raise AblationError(f"{checkpoint.path} is no start for {base.stem}: {difference}")
        return cls(base, model, is_variant, task["init"], checkpoint)

    @property
    def source(self) -> Path:
        """What Ultralytics is to be given: the checkpoint, or the base's YAML."""
        return self.checkpoint.path if self.checkpoint else self.base

    def carried(self, model: nn.Module, seed: int) -> nn.Module:
        """The variant, from the base as a training has it; a network that is no variant, as it is.

        Args:
            model: the base, built by Ultralytics for the data, with the checkpoint's weights in it.
            seed: of the new operators' random weights.

        Raises:
            AblationError: operators that are to start as the identity would change the outputs.
            SurgeonError: the base can't be found in the variant.
        """
        if not self.is_variant:
            return model
        base = checkpoint_of(model)
        if self.checkpoint:
            base = replace(base, path=self.checkpoint.path, sha256=self.checkpoint.sha256)
        identity = self.init == IDENTITY if self.checkpoint else None
        try:
            done = graft(plan_graft_into(base, str(self.model), active_blocks()), identity=identity, seed=seed)
        except ChangedOutputsError as error:
            gate = "gated: true in the matrix (or under include)" if error.bare else ""
            remedy = " or ".join(filter(None, [gate, f"init: {DEFAULT} under train"]))
            raise AblationError(f"{error.problem} in {self.model.stem}: write {remedy}") from error
        self.places = done.index_map
        if not self.checkpoint:
            del done.model.yaml[RECORD]  # nothing was trained before
        return done.model

    def taken_over(self, model: nn.Module) -> dict[str, int]:
        """How many of the checkpoint's tensors a network holds, each in its own layer, and of how many."""
        assert self.checkpoint is not None
        there, start = model.state_dict(), self.checkpoint.state_dict
        moved = {str(moved_name(name, self.places) if self.places else name): one for name, one in start.items()}
        same = [
            name
            for name, tensor in moved.items()
            if name in there
            and there[name].shape == tensor.shape
            and torch.equal(there[name].cpu().float(), tensor.float())
        ]
        return {"tensors": len(same), "of": len(start)}


def check_images(ablation: Ablation, cells: Sequence[Cell]) -> None:
    """See that what some cells train on is on this machine.

    Raises:
        RecipeError: images that a data YAML names are not here; with file and line.
    """
    for source in dict.fromkeys(cell.source for cell in cells):
        missing = missing_images(Path(source))
        if missing is not None:
            problem = f"{source} names {missing}, which is not here: put the images there, or mend that file"
            raise ablation.recipe.bad("train.data", problem)


def check_starts(ablation: Ablation, cells: Sequence[Cell]) -> None:
    """Start every network of some cells for a trial, so that none fails when its turn comes, hours later.

    Raises:
        RecipeError: one can't be started; with file and line.
    """
    read = functools.cache(read_checkpoint)
    for cell in {cell.network.name: cell for cell in cells}.values():
        if cell.start is None and cell.network.role != VARIANT:
            continue  # that Ultralytics builds its base, `plan_ablation` has seen
        with tempfile.TemporaryDirectory() as folder:
            cell.write_models(Path(folder))
            try:
                start = Start.of(Path(folder), cell.network.role, cell.task, read)
                start.carried(start.checkpoint.float_model() if start.checkpoint else build(start.base), cell.seed)
            except SurgeonError as error:
                raise ablation.recipe.bad("train.start", str(error).replace(f"{folder}{os.sep}", "")) from error
