"""Carry a trained checkpoint through an edit: plan, certify, and the new checkpoint's content; it writes no file.

The product predicts exactly what the original predicts: the trained layers move as they are (`transplant`), and the new
operators start as the exact identity.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import __version__
from .architecture.attention import is_attention
from .architecture.graph import Graph, graph_of, yaml_of
from .architecture.placement import Placement, edits_for
from .architecture.scaling import scaling_of
from .architecture.shapes import shapes_of
from .architecture.surgery import Rewrite, insert, remove
from .certificate import Certificate, certify, picture_from, random_pictures
from .checkpoint import Checkpoint
from .errors import CheckpointError
from .into import find_target
from .model_yaml.document import Document
from .model_yaml.find import find_model
from .model_yaml.insert import stacking_notes
from .transplant import excise_, moved_name, transplant_
from .yolo.build import build, layers_of
from .yolo.precheck import refuse_sizes

#: Where a checkpoint's dictionary, and its model's YAML (which survives training), carry the record of a graft.
RECORD = "lska_surgeon"
#: What a graft can't carry over: it belongs to a training of the original's tensors, in their order.
TRAINING_STATE = ("optimizer", "scaler", "updates", "stopper")


@dataclass(frozen=True)
class Graft:
    """A graft, done in memory and proven.

    Attributes:
        plan: what it was to do.
        data: the new checkpoint's content.
        copied: state-dict names of the original's tensors, in their new place.
        new: state-dict names of the new operators' tensors.
        dropped: state-dict name of an original tensor that the target has no place for -> why.
        certificate: the proof, or what is left of it.
        notes: what the user should be told.
    """

    plan: GraftPlan
    data: dict[str, Any]
    copied: tuple[str, ...]
    new: tuple[str, ...]
    dropped: Mapping[str, str]
    certificate: Certificate
    notes: tuple[str, ...] = field(default=())

    @property
    def record(self) -> dict[str, Any]:
        """What was done, as it is stored in the file."""
        record: dict[str, Any] = self.data[RECORD]
        return record


@dataclass(frozen=True)
class GraftPlan:
    """What a graft will do.

    Attributes:
        checkpoint: the original.
        rewrite: old rows -> new rows.
        yaml: the model dictionary to be.
        lost: base layers that the target has no row for, by index.
    """

    checkpoint: Checkpoint
    rewrite: Rewrite
    yaml: dict[str, Any]
    lost: tuple[int, ...] = ()


def plan_graft(checkpoint: Checkpoint, placement: Placement) -> GraftPlan:
    """Plan operators at positions of a checkpoint's own architecture; no tensor is touched.

    Raises:
        SurgeonError: the checkpoint holds no model, a position matches nothing, a kernel does not exist, ...
    """
    graph = stored_graph(checkpoint)
    scaling = scaling_of(graph.settings, graph.settings.get("scale") or None)
    rewrite = insert(graph, edits_for(placement, graph, shapes_of(graph, scaling)))
    return GraftPlan(checkpoint, rewrite, yaml_of(rewrite.after, checkpoint.yaml or {}))


def plan_graft_into(checkpoint: Checkpoint, variant: str) -> GraftPlan:
    """Plan a graft into a variant that somebody wrote; a state dict alone will do, when its base is the variant
    without its operators.

    Raises:
        SurgeonError: the variant can't be read or built, or the checkpoint's network is not in it.
    """
    refuse_sizes(variant)
    if checkpoint.model is None:
        checkpoint = with_model(checkpoint, variant)
    graph = stored_graph(checkpoint)
    assert checkpoint.model is not None
    target = find_target(variant, graph, checkpoint.yaml or {}, list(checkpoint.model.model))
    return GraftPlan(checkpoint, target.rewrite, target.yaml, target.lost)


def graft(plan: GraftPlan, *, identity: bool = True, image: Path | None = None) -> Graft:
    """Do a planned graft in memory; the checkpoint is not changed.

    Args:
        plan: from `plan_graft` or `plan_graft_into`.
        identity: start the operators as the identity; otherwise at the paper's random init.
        image: a real picture, for one more run of the certificate.

    Raises:
        CheckpointError: the outputs would differ although the operators are the identity, or layers have no place in
            the target and `identity` asks for the same outputs.
    """
    checkpoint = plan.checkpoint
    _refuse_loss(plan, identity)

    def operate(model: nn.Module) -> list[str]:
        return transplant_(model, plan.rewrite, identity=identity, yaml=plan.yaml)

    trial = checkpoint.float_model()
    certificate = certify(trial, operate, _pictures(trial, image))
    del trial
    if identity and not certificate.exact:
        raise CheckpointError(
            f"the graft of {checkpoint.path} would change the outputs (max |Δ| {certificate.max_delta:g}), so nothing "
            "was written; add --init default if that is meant"
        )
    model = deepcopy(checkpoint.model)
    assert model is not None
    originals = list(model.state_dict())
    fresh = operate(model)
    new = set(fresh)
    copied = tuple(name for name in model.state_dict() if name not in new)
    lost = tuple(name for name in originals if _layer_of(name) in plan.lost)
    assert len(copied) + len(lost) == len(originals), "a tensor was lost on the way"
    dropped = {name: f"layer {_layer_of(name)} has no row in the target" for name in lost}
    record = _record(plan, identity, certificate, {"copied": len(copied), "new": len(new), "dropped": len(dropped)})
    data = _product(checkpoint, model, record)
    return Graft(plan, data, copied, tuple(fresh), dropped, certificate, _notes(plan, model))


def with_model(checkpoint: Checkpoint, variant: str) -> Checkpoint:
    """A state dict as a checkpoint: its model is the variant without operators, with these tensors.

    Raises:
        CheckpointError: the tensors are not those of that network.
    """
    found = find_model(variant)
    document = Document.read(found.path)
    graph = document.graph
    base = remove(graph).after if any(is_attention(layer.block) for layer in graph) else graph
    yaml = yaml_of(base, dict(document.settings))
    tensors = _as_in_a_model(checkpoint.state_dict)
    problems = []
    for letter in [found.scale, *document.scales] if document.scales else [None]:
        classes = _classes_in(tensors)
        model = build({**yaml, **({"nc": classes} if classes else {}), **({"scale": letter} if letter else {})})
        wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
        wrong = [name for name in wanted.keys() | tensors.keys() if wanted.get(name) != _shape(tensors.get(name))]
        if not wrong:
            model.load_state_dict(dict(tensors))
            model.to(next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()))
            data = {"model": model.eval(), "ema": None, "train_args": {}}
            return replace(checkpoint, kind="checkpoint", data=data, key="model")
        problems.append((len(wrong), min(wrong)))
    count, first = min(problems)
    raise CheckpointError(
        f"the tensors in {checkpoint.path} are not those of {variant} without its operators: {count} differ, {first} "
        "among them; give the variant of the network that they belong to"
    )


@dataclass(frozen=True)
class Ungraft:
    """A graft taken back, in memory.

    Attributes:
        source: the grafted checkpoint.
        data: the content without operators.
        removed: state-dict names of the operators' tensors.
        certificate: how far the outputs moved; exact while the operators were still the identity.
    """

    source: Checkpoint
    rewrite: Rewrite
    data: dict[str, Any]
    removed: tuple[str, ...]
    certificate: Certificate


def ungraft(checkpoint: Checkpoint, *, lossy: bool = False) -> Ungraft:
    """Take the operators out that a graft put in; in a checkpoint without a record of one, every operator.

    Raises:
        PositionError: it has none.
        CheckpointError: the operators have learned something, and `lossy` is off.
    """
    rewrite = remove(stored_graph(checkpoint), _grafted_rows(checkpoint))
    trial = checkpoint.float_model()
    certificate = certify(trial, lambda model: excise_(model, rewrite), random_pictures(trial))
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


def record_of(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The record of the newest graft: in full, or what training has left of it; None without one."""
    for record in (checkpoint.data.get(RECORD), (checkpoint.yaml or {}).get(RECORD)):
        if isinstance(record, dict):
            return record
    return None


def _grafted_rows(checkpoint: Checkpoint) -> list[int] | None:
    """The rows that the record of the graft names; None without a record."""
    record = (checkpoint.yaml or {}).get(RECORD)
    if not isinstance(record, dict):
        return None
    edits, inserted = record.get("edits"), record.get("inserted")
    rows = [edit.get("row") for edit in edits if isinstance(edit, dict)] if isinstance(edits, list) else []
    rows += inserted if isinstance(inserted, list) else []
    return [row for row in rows if isinstance(row, int)] or None


def stored_graph(checkpoint: Checkpoint) -> Graph:
    """The graph of the architecture stored in a checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    if checkpoint.model is None:
        raise CheckpointError(
            f"{checkpoint.path} holds tensors without a model: give the variant that they go into with --into YAML"
        )
    yaml = checkpoint.yaml
    if not isinstance(yaml, dict) or not isinstance(getattr(checkpoint.model, "model", None), nn.Sequential):
        kind = type(checkpoint.model).__name__
        raise CheckpointError(f"{checkpoint.path} holds a {kind}, which is not built from an Ultralytics YAML")
    return graph_of(yaml, checkpoint.path.name)


def _pictures(model: nn.Module, image: Path | None) -> dict[str, Tensor]:
    pictures = random_pictures(model)
    if image is not None:
        pictures[image.name] = picture_from(image, model)
    return pictures


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


def _in_short(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as a model's YAML carries it, those of earlier grafts included."""
    short = {key: record[key] for key in ("base", "base_sha256", "edits", "inserted", "version") if key in record}
    earlier = record.get("earlier")
    return {**short, "earlier": _in_short(earlier)} if isinstance(earlier, dict) else short


def _refuse_loss(plan: GraftPlan, identity: bool) -> None:
    if plan.lost and identity:
        before = plan.rewrite.before
        lost = ", ".join(f"{index} ({before[index].block})" for index in plan.lost[:8])
        more = f" and {len(plan.lost) - 8} more" if len(plan.lost) > 8 else ""
        raise CheckpointError(
            f"{plan.rewrite.after.name} has no row for layer {lost}{more} of {plan.checkpoint.path}, so it can't "
            "predict the same; add --init default to graft what fits and drop the rest"
        )


def _layer_of(name: str) -> int:
    """The layer that a state-dict name belongs to; -1 for none."""
    index = name.split(".")[1] if name.startswith("model.") else ""
    return int(index) if index.isdigit() else -1


def _as_in_a_model(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """`YOLO("x.pt").state_dict()` puts one more `model.` before the names of the model inside."""
    wrapped = all(name.startswith("model.model.") for name in tensors)
    return {name[len("model.") :]: tensor for name, tensor in tensors.items()} if wrapped else tensors


def _classes_in(tensors: Mapping[str, Tensor]) -> int | None:
    """The number of classes, from the class branch of a detection head or the last layer of a classifier."""
    found = [tensor for name, tensor in tensors.items() if re.search(r"\.cv3\.0\.2\.bias$|\.linear\.bias$", name)]
    return int(found[0].shape[0]) if found else None


def _shape(tensor: Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape


def _record(plan: GraftPlan, identity: bool, certificate: Certificate, tensors: dict[str, int]) -> dict[str, Any]:
    checkpoint, rewrite = plan.checkpoint, plan.rewrite
    earlier = record_of(checkpoint)
    return {
        "schema": 1,
        "version": __version__,
        "base": checkpoint.path.name,
        "base_sha256": checkpoint.sha256,
        "edits": [
            {
                "at": edit.site.asked,
                "layer": edit.site.layer,
                "row": row,
                "inside": edit.site.inside,
                "op": edit.kernel.op,
                "k": edit.kernel.k,
                "d": edit.kernel.d,
            }
            for row, edit in sorted(rewrite.edits.items())
        ],
        "inserted": list(rewrite.inserted),
        "index_map": {str(old): new for old, new in rewrite.index_map.items()},
        "init": "identity" if identity else "default",
        "tensors": tensors,
        "certificate": certificate.as_dict(),
        "versions": {"torch": str(torch.__version__), "ultralytics": _ultralytics_version()},
        **({"earlier": earlier} if earlier else {}),
    }


def _notes(plan: GraftPlan, model: nn.Module) -> tuple[str, ...]:
    checkpoint, notes = plan.checkpoint, stacking_notes(plan.rewrite)
    if checkpoint.refused:
        notes.append(f"trusted although not on the allow-list: {', '.join(checkpoint.refused)}")
    if checkpoint.data.get("optimizer") is not None:
        notes.append("the optimizer's state belongs to the original's tensors and was left out: training starts anew")
    lost = rebuilt_differently(model)
    if lost:
        notes.append(
            f"training rebuilds the model from its YAML, and the installed ultralytics builds {len(lost)} of its "
            f"{len(model.state_dict())} tensors in another shape ({lost[0]}): those start anew, with or without a graft"
        )
    return tuple(notes)


def rebuilt_differently(model: nn.Module) -> list[str]:
    """State-dict names that the installed Ultralytics does not build from the model's YAML in the same shape."""
    layers = layers_of(model.yaml, "the model")
    built = {f"model.{name}": tensor.shape for name, tensor in layers.state_dict().items()}
    return [name for name, tensor in model.state_dict().items() if built.get(name) != tensor.shape]


def _ultralytics_version() -> str:
    import ultralytics

    return str(ultralytics.__version__)
