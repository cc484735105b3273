"""What the loggers that Ultralytics knows are told of a run, where they are on: its ablation, data, network and seed.

Ultralytics names a logged run by `project` and `name`, here a folder of this machine and `seed-0`; tags it gives none.
So both are others while it starts its loggers, and what W&B, MLflow and Comet read of the environment has the tags.
TensorBoard names a run by its folder, which has them all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from .records import Record

#: The events of a trainer at which loggers start.
_STARTS = ("on_pretrain_routine_start", "on_pretrain_routine_end")
_LONGEST = 64  # letters of a tag, in W&B


@contextmanager
def tagged(folder: Path, record: Record) -> Iterator[None]:
    """Let loggers that start find a run's tags; what the user has set stays."""
    tags = _tags(folder, record)
    listed = ",".join(dict.fromkeys(value.replace(",", " ")[:_LONGEST] for value in tags.values()))
    wanted = {
        "WANDB_RUN_GROUP": f"{tags['data']} {tags['variant']}",  # all seeds of one network
        "WANDB_TAGS": listed,
        "MLFLOW_RUN_CONTEXT": json.dumps(tags),
        "COMET_START_EXPERIMENT_NAME": _name(tags),
        "COMET_START_EXPERIMENT_TAGS": listed,
    }
    with mock.patch.dict(os.environ, {name: value for name, value in wanted.items() if name not in os.environ}):
        yield


@contextmanager
def named(arguments: Any, event: str, folder: Path, record: Record) -> Iterator[None]:
    """Let loggers that start at an event find a run's name in a trainer's arguments, where nothing else reads it."""
    if event not in _STARTS:
        yield
        return
    tags = _tags(folder, record)
    with mock.patch.multiple(arguments, project=tags["group"], name=_name(tags)):
        yield


def _tags(folder: Path, record: Record) -> dict[str, str]:
    group = folder.parents[2].name  # ablation/RECIPE/DATA/VARIANT/seed-0
    return {"group": group, "data": record.data, "variant": record.name, "seed": f"seed-{record.seed}"}


def _name(tags: Mapping[str, str]) -> str:
    return " ".join(list(tags.values())[1:])
