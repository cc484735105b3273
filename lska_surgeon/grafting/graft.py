"""Carry a trained checkpoint through an edit, and prove it; no file is written before `Graft.write`.

The product predicts exactly what the original predicts: the trained layers move as they are (`transplant`), and the new
operators start as the exact identity.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import __version__
from ..checkpoints.checkpoint import Checkpoint, write_product
from ..core.attention import read_any_attention, read_attention
from ..core.graph import Layer
from ..core.operators import OtherOperator
from ..core.surgery import Rewrite, remove
from ..errors import ChangedOutputsError, CheckpointError, KernelError, SurgeonError
from ..modelfile.insert import stacking_notes
from ..reports import Part, Shown, Table
from ..wording import counted, few, plural
from ..yolo.build import layers_of
from .certificate import Certificate, certify, image_from, random_images
from .plan import GraftPlan, layer_of, stored_graph
from .transplant import SEED, excise_, moved_name, transplant_, widths_of

#: Where a checkpoint's dictionary, and its model's YAML (which survives training), carry the record of a graft.
RECORD = "lska_surgeon"
#: What it says of an edit; `row` is that of the product.
_EDIT = ("at", "layer", "row", "inside", "op", "k", "d", "gated")


def record_of(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The record of the newest graft: in full, or what training has left of it; None without one."""
    for record in (checkpoint.data.get(RECORD), (checkpoint.yaml or {}).get(RECORD)):
        if isinstance(record, dict):
            return record
    return None


def _in_short(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as a model's YAML carries it, those of earlier grafts included."""
    short = {
        key: record[key] for key in ("base", "base_sha256", "edits", "inserted", "version", "blocks") if key in record
    }
    earlier = record.get("earlier")
    return {**short, "earlier": _in_short(earlier)} if isinstance(earlier, dict) else short


def _record(plan: GraftPlan, identity: bool, certificate: Certificate, tensors: dict[str, int]) -> dict[str, Any]:
    checkpoint, rewrite = plan.checkpoint, plan.rewrite
    earlier = record_of(checkpoint)
    return {
        "schema": 1,
        "version": __version__,
        "base": checkpoint.path.name,
        "base_sha256": checkpoint.sha256,
        "edits": [
            {key: row if key == "row" else edit[key] for key in _EDIT if key == "row" or key in edit}
            for row, edit in ((row, edit.to_dict()) for row, edit in sorted(rewrite.edits.items()))
        ],
        "inserted": list(rewrite.inserted),
        "index_map": rewrite.index_map_by_name,
        "init": "identity" if identity else "default",
        "tensors": tensors,
        "certificate": certificate.as_dict(),
        "versions": {"torch": str(torch.__version__), "ultralytics": _ultralytics_version()},
        **({"blocks": str(rewrite.after.blocks.declarations.path)} if any(map(_is_own, rewrite.after)) else {}),
        **({"earlier": earlier} if earlier else {}),
    }


def _is_own(row: Layer) -> bool:
    """Whether a row is of a block that the user declares, or holds one as its operator."""
    if row.kind.custom:
        return True
    try:
        attention = read_attention(row)
    except KernelError:
        return False
    return attention is not None and row.blocks.custom(attention.kernel.op) is not None


def _ultralytics_version() -> str:
    import ultralytics

    return str(ultralytics.__version__)


#: What a graft can't carry over: it belongs to a training of the original's tensors, in their order.
TRAINING_STATE = ("optimizer", "scaler", "updates", "stopper")


@dataclass(frozen=True, repr=False)
class Graft(Shown):
    """A graft, done in memory and proven.

    Attributes:
        plan: what it was to do.
        data: the new checkpoint's content.
        copied: state-dict names of the original's tensors, in their new place.
        new: state-dict names of the new operators' tensors.
        dropped: state-dict name of an original tensor that the target has no place for -> why.
        certificate: the proof, or what is left of it.
        notes: what the user should be told.
        output: the file to be; None where nobody has named one.
    """

    plan: GraftPlan
    data: dict[str, Any]
    copied: tuple[str, ...]
    new: tuple[str, ...]
    dropped: Mapping[str, str]
    certificate: Certificate
    notes: tuple[str, ...] = field(default=())
    output: Path | None = None

    @property
    def model(self) -> nn.Module:
        """The grafted network."""
        model: nn.Module = self.data["model"]
        return model

    @property
    def record(self) -> dict[str, Any]:
        """What was done, as it is stored in the file."""
        record: dict[str, Any] = self.data[RECORD]
        return record

    @property
    def index_map(self) -> dict[int, int]:
        """Index in the original -> index in the grafted network."""
        return self.plan.rewrite.index_map

    @property
    def line(self) -> str:
        """How many tensors went where, in one line."""
        carried = f"copied {len(self.copied)}/{len(self.copied) + len(self.dropped)}"
        return f"{self.output or 'no file'}: {carried}, new {len(self.new)}, dropped {len(self.dropped)}"

    @property
    def done(self) -> str:
        """The same with what is new and the certificate, a few lines."""
        gated = any(isinstance(edit.kernel, OtherOperator) for edit in self.plan.rewrite.edits.values())
        default = "at their random init, gates open" if gated else "at the paper's random init"
        start = "started as the exact identity" if self.record["init"] == "identity" else default
        operators, others = _new_rows(self.plan.rewrite)
        lines = [self.line, "  copied: the original's tensors, each in its layer's new place"]
        if operators:
            lines.append(f"  new: {counted(len(operators), 'operator row')}, {start}")
        if others:
            lines.append(f"  new: {_listed(others)}, at the random init of such layers")
        lines.append(f"  {self.certificate.line}")
        return "\n".join([*lines, *(f"  dropped: {reason}" for reason in sorted(set(self.dropped.values())))])

    def parts(self) -> tuple[Part, ...]:
        """A table of the rows that came, and the report."""
        return self.plan.table(), self.done

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, as `--json` writes it."""
        return {
            "schema": self.schema,
            "output": str(self.output) if self.output else None,
            **self.record,
            "new": list(self.new),
            "dropped": dict(self.dropped),
            "notes": list(self.notes),
        }

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write the grafted checkpoint, which YOLO(FILE) loads as any other.

        Args:
            path: the file; None for `output`.
            force: overwrite a file that is there.

        Returns:
            The file.

        Raises:
            TargetError: the file is there and `force` is off, it does not end in .pt, or the system refuses.
        """
        return write_product(path, self.output, self.data, force=force)


def _new_rows(rewrite: Rewrite) -> tuple[list[Layer], list[Layer]]:
    """The rows that came or were changed: those that hold an operator, and those that do not."""
    new = [row for row in rewrite.after if row.index in rewrite.edits or row.index in rewrite.inserted]
    operators = [row for row in new if row.kind.is_attention or read_any_attention(row)]
    return operators, [row for row in new if row not in operators]


def _listed(rows: Sequence[Layer]) -> str:
    """`row 6 (C2f)`, `rows 6 (C2f), 9 (Conv)`."""
    return f"row{plural(rows)} {few([f'{row.index} ({row.block})' for row in rows], 8)}"


def _without_identity(rewrite: Rewrite) -> list[str]:
    """The new rows that hold an operator which can't start as the identity, for want of a gate."""
    bare = []
    for row in _new_rows(rewrite)[0]:
        attention = read_any_attention(row)
        if attention and isinstance(attention.kernel, OtherOperator) and not attention.kernel.gated:
            bare.append(f"{row.index} ({attention.kernel.op})")
    return bare


def _remedy(rewrite: Rewrite, bare: Sequence[str]) -> str:
    """What to say of new rows that can't start as the identity: no operators, or operators for want of a gate."""
    others = _new_rows(rewrite)[1]
    said = f"{_listed(others)} can't start as the identity, being no operator; " if others else ""
    rows = f"row{plural(bare)} {', '.join(bare)}"
    gate = f"{rows} can start as the identity behind a gate, as insert --gated writes; or " if bare else ""
    return f"{said}{gate}add --init default if that is meant"


def graft(plan: GraftPlan, *, identity: bool | None = True, seed: int = SEED, image: Path | None = None) -> Graft:
    """Do a planned graft in memory; the checkpoint is not changed.

    Args:
        plan: from `plan_graft` or `plan_graft_into`.
        identity: start the operators as the identity; with False at their random init, as papers have them, gates open;
            None leaves them as a network built from its YAML has them.
        seed: of their random weights.
        image: a real image, for one more run of the certificate.

    Raises:
        ChangedOutputsError: the outputs would differ although the operators are to be the identity.
        CheckpointError: layers have no place in the target and `identity` asks for the same outputs.
    """
    checkpoint = plan.checkpoint
    _refuse_loss(plan, identity)

    trial = checkpoint.float_model()
    images = _images(trial, image)
    widths = widths_of(trial, next(iter(images.values())))

    def operate(model: nn.Module) -> list[str]:
        return transplant_(model, plan.rewrite, widths, plan.yaml, identity=identity, seed=seed)

    certificate = certify(trial, operate, images)
    del trial
    if identity and not certificate.exact:
        problem = f"the graft of {checkpoint.path} would change the outputs (max |Δ| {certificate.max_delta:g})"
        bare = _without_identity(plan.rewrite)
        raise ChangedOutputsError(f"{problem}, so nothing was written; {_remedy(plan.rewrite, bare)}", problem, bare)
    model = deepcopy(checkpoint.model)
    assert model is not None
    originals = list(model.state_dict())
    fresh = operate(model)
    new = set(fresh)
    copied = tuple(name for name in model.state_dict() if name not in new)
    lost = tuple(name for name in originals if layer_of(name) in plan.lost)
    assert len(copied) + len(lost) == len(originals), "a tensor was lost on the way"
    dropped = {name: f"layer {layer_of(name)} has no row in the target" for name in lost}
    record = _record(
        plan, bool(identity), certificate, {"copied": len(copied), "new": len(new), "dropped": len(dropped)}
    )
    data = _product(checkpoint, model, record)
    return Graft(plan, data, copied, tuple(fresh), dropped, certificate, _notes(plan, model))


def _images(model: nn.Module, image: Path | None) -> dict[str, Tensor]:
    images = random_images(model)
    if image is not None:
        images[image.name] = image_from(image, model)
    return images


def _product(checkpoint: Checkpoint, model: nn.Module, record: dict[str, Any] | None) -> dict[str, Any]:
    """The content of the new file: the original's, with the model changed and what belongs to its training gone."""
    data = {key: value for key, value in checkpoint.data.items() if key not in ("model", "ema", RECORD)}
    for key in TRAINING_STATE:
        if key in data:
            data[key] = None
    if checkpoint.kind == "checkpoint":
        data["epoch"] = -1
    data = {"model": model, "ema": None, **data}
    if record is not None:
        data[RECORD] = record
        model.yaml[RECORD] = _in_short(record)
    return data


def _refuse_loss(plan: GraftPlan, identity: bool | None) -> None:
    if plan.lost and identity is not False:
        before = plan.rewrite.before
        lost = ", ".join(f"{index} ({before[index].block})" for index in plan.lost[:8])
        more = f" and {len(plan.lost) - 8} more" if len(plan.lost) > 8 else ""
        raise CheckpointError(
            f"{plan.rewrite.after.name} has no row for layer {lost}{more} of {plan.checkpoint.path}, so it can't "
            "predict the same; add --init default to graft what fits and drop the rest"
        )


def _notes(plan: GraftPlan, model: nn.Module) -> tuple[str, ...]:
    checkpoint, notes = plan.checkpoint, [*plan.notes, *stacking_notes(plan.rewrite)]
    if checkpoint.refused:
        notes.append(f"trusted although not on the allow-list: {', '.join(checkpoint.refused)}")
    lost = checkpoint.not_finite()
    if lost:
        notes.append(
            f"{len(lost)} tensors of {checkpoint.path} are not finite ({lost[0]}): it predicts nothing, "
            "so equal outputs say nothing of the graft"
        )
    if checkpoint.data.get("optimizer") is not None:
        notes.append("the optimizer's state belongs to the original's tensors and was left out: training starts anew")
    notes += _rebuild_notes(model, trust=checkpoint.trusted)
    return tuple(notes)


def _rebuild_notes(model: nn.Module, trust: bool) -> list[str]:
    """What training will make of the model, which it rebuilds from its YAML."""
    try:
        lost = rebuilt_differently(model, trust=trust)
    except SurgeonError as error:
        return [
            f"training rebuilds the model from its YAML, and the installed ultralytics can't ({error}): the file "
            "predicts as it is, and trains only in a release that builds it, with or without a graft"
        ]
    if not lost:
        return []
    return [
        f"training rebuilds the model from its YAML, and the installed ultralytics builds {len(lost)} of its "
        f"{len(model.state_dict())} tensors in another shape ({lost[0]}): those start anew, with or without a graft"
    ]


def rebuilt_differently(model: nn.Module, *, trust: bool = False) -> list[str]:
    """State-dict names that the installed Ultralytics does not build from the model's YAML in the same shape.

    Raises:
        SurgeonError: it does not build that YAML at all.
    """
    layers = layers_of(model.yaml, "the model", trust=trust)
    built = {f"model.{name}": tensor.shape for name, tensor in layers.state_dict().items()}
    return [name for name, tensor in model.state_dict().items() if built.get(name) != tensor.shape]


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
