"""Taking a graft back, in memory; nothing is written before it is told to."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..checkpoints.checkpoint import Checkpoint, write_product
from ..core.surgery import Rewrite, remove
from ..errors import CheckpointError
from ..reports import Part, Shown, Table
from .certificate import Certificate, certify, random_images
from .graft import _product
from .plan import stored_graph
from .record import RECORD, record_of
from .transplant import excise_, moved_name


@dataclass(frozen=True, repr=False)
class Ungraft(Shown):
    """A graft taken back, in memory.

    Attributes:
        source: the grafted checkpoint.
        rewrite: its rows, and those of the original.
        data: the content without operators.
        removed: state-dict names of the operators' tensors.
        certificate: how far the outputs moved; exact while the operators were still the identity.
        output: the file to be; None where nobody has named one.
    """

    source: Checkpoint
    rewrite: Rewrite
    data: dict[str, Any]
    removed: tuple[str, ...]
    certificate: Certificate
    output: Path | None = None

    @property
    def model(self) -> nn.Module:
        """The network without operators."""
        model: nn.Module = self.data["model"]
        return model

    @property
    def index_map(self) -> dict[int, int]:
        """Index in the grafted network -> index in the one without operators."""
        return self.rewrite.index_map

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should be told."""
        return ()

    @property
    def line(self) -> str:
        """How many tensors went, in one line."""
        return f"{self.output or 'no file'}: {len(self.removed)} operator tensors removed"

    @property
    def done(self) -> str:
        """The same with the certificate, two lines."""
        return f"{self.line}\n  {self.certificate.line}"

    def parts(self) -> tuple[Part, ...]:
        """A table of the rows that went or became plain, and the report."""
        before, after, kept = self.rewrite.before, self.rewrite.after, self.index_map
        gone = [(str(row.index), row.block, "taken out") for row in before if row.index not in kept]
        pairs = ((before[old], after[new]) for old, new in kept.items())
        plain = [(str(old.index), old.block, f"{new.block} again") for old, new in pairs if old.block != new.block]
        return Table(("row", "block", "what"), sorted(gone + plain, key=lambda row: int(row[0]))), self.done

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, as `--json` writes it."""
        return {
            "schema": self.schema,
            "output": str(self.output) if self.output else None,
            "removed": list(self.removed),
            "certificate": self.certificate.as_dict(),
        }

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write the checkpoint without operators; arguments and errors as for `Graft.write`."""
        return write_product(path, self.output, self.data, force=force)


def ungraft(checkpoint: Checkpoint, *, lossy: bool = False) -> Ungraft:
    """Take the operators out that a graft put in; in a checkpoint without a record of one, every operator.

    Raises:
        PositionError: it has none.
        CheckpointError: the operators have learned something, and `lossy` is off.
    """
    rewrite = remove(stored_graph(checkpoint), _grafted_rows(checkpoint))
    trial = checkpoint.float_model()
    certificate = certify(trial, lambda model: excise_(model, rewrite), random_images(trial))
    if not certificate.exact and not lossy:
        raise CheckpointError(
            f"the operators in {checkpoint.path} are no longer the identity: without them the outputs move by up to "
            f"{certificate.max_delta:g}; add --lossy to take them out all the same"
        )
    del trial
    model = deepcopy(checkpoint.model)
    assert model is not None
    names = list(model.state_dict())
    excise_(model, rewrite)
    record = record_of(checkpoint)
    earlier = record.get("earlier") if record else None
    model.yaml.pop(RECORD, None)
    back = {new: old for old, new in rewrite.index_map.items()}
    kept = {moved_name(name, back) for name in model.state_dict()}
    data = _product(checkpoint, model, earlier if isinstance(earlier, dict) else None)
    return Ungraft(checkpoint, rewrite, data, tuple(name for name in names if name not in kept), certificate)


def _grafted_rows(checkpoint: Checkpoint) -> list[int] | None:
    """The rows that the record of the graft names; None without a record."""
    record = (checkpoint.yaml or {}).get(RECORD)
    if not isinstance(record, dict):
        return None
    edits, inserted = record.get("edits"), record.get("inserted")
    rows = [edit.get("row") for edit in edits if isinstance(edit, dict)] if isinstance(edits, list) else []
    rows += inserted if isinstance(inserted, list) else []
    return [row for row in rows if isinstance(row, int)] or None
