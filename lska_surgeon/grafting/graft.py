"""Carry a trained checkpoint through an edit, or back, and prove it; no file is written before `write`.

The product of a graft predicts exactly what the original predicts: the trained layers move as they are (`transplant`),
and the new operators start as the exact identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..checkpoints.checkpoint import Product
from ..checkpoints.contents import Checkpoint
from ..core.blocks import BYPASS, STOCK, BlockTable
from ..core.graph import Layer, built_scaling
from ..core.operators import OtherOperator, read_any_attention
from ..core.surgery import RECORD, Rewrite, naming_notes, remove, stacking_notes
from ..errors import ChangedOutputsError, CheckpointError, SurgeonError
from ..nn.first_run import evaluated
from ..reports import Report, Table
from ..wording import counted, few, numbers, plural
from ..yolo.build import layers_of
from .certificate import Calls, Certificate, certify, image_from
from .fitting import FitResult, Lesson, Track, fit
from .plan import GraftPlan, coarsest_stride, in_short, model_in, record_of, recorded_rows
from .proof import Proof
from .recording import equal
from .transplant import SEED, excise_, layer_of, moved_name, note_widths, transplant_, with_task

#: What a graft can't carry over: it belongs to a training of the original's tensors, in their order.
TRAINING_STATE = ("optimizer", "scaler", "updates", "stopper")
_MOST_LISTED = 8


@dataclass(frozen=True, repr=False)
class Graft(Product):
    """A graft, done in memory and proven.

    Attributes:
        plan: what it was to do.
        data: the new checkpoint's content.
        copied: state-dict names of the original's tensors, in their new place.
        sources: those names -> what the tensors were called in the original.
        new: state-dict names of the new operators' tensors.
        dropped: state-dict name of an original tensor that the target has no place for -> why.
        certificate: the proof, or what is left of it.
        by_name: what `YOLO(yaml).load(checkpoint)` takes over in its place; None for a graft at positions.
        notes: what the user should know.
        output: the file to be; None where nobody has named one.
    """

    plan: GraftPlan
    data: dict[str, Any]
    copied: tuple[str, ...]
    sources: Mapping[str, str]
    new: tuple[str, ...]
    dropped: Mapping[str, str]
    certificate: Certificate
    by_name: ByName | None = None
    notes: tuple[str, ...] = ()
    output: Path | None = None

    schema = 2

    @property
    def record(self) -> dict[str, Any]:
        """What was done, as it is stored in the file."""
        record: dict[str, Any] = self.data[RECORD]
        return record

    @property
    def index_map(self) -> dict[int, int]:
        """Index in the original -> index in the grafted network."""
        return self.plan.rewrite.index_map

    def report(self) -> Report:
        """How much is as it was, how many tensors went where, the rows that came, and the certificate."""
        proof = self.certificate.proof
        share = f"{proof.line}; " if proof else ""
        carried = f"{share}copied {len(set(self.sources.values()))}/{len(self.copied) + len(self.dropped)}"
        line = f"{self.output or 'no file'}: {carried}, new {len(self.new)}, dropped {len(self.dropped)}"
        gated = any(isinstance(edit.kernel, OtherOperator) for edit in self.plan.rewrite.edits.values())
        default = "at their random init, gates open" if gated else "at the paper's random init"
        start = "started as the exact identity" if self.record["init"] == "identity" else default
        operators, others = _new_rows(self.plan.rewrite)
        fitted = {row.row for row in proof.rows if row.state == "fitted"} if proof else set()
        bypasses = {one.row for one in self.plan.past}
        others = [row for row in others if row.index not in {*self.plan.stands.values(), *fitted, *bypasses}]
        lines = [line, "  copied: the original's tensors, each in its layer's new place"]
        if operators:
            lines.append(f"  new: {counted(len(operators), 'operator row')}, {start}")
        if others:
            lines.append(f"  new: {_rows(others)}, at the random init of such layers")
        lines.append(f"  {self.certificate.line}")
        lines += [f"  {line}" for line in (proof.lines() if proof else ())]
        lines += [f"  {line}" for line in self._of_the_start()]
        gone = {reason for name, reason in self.dropped.items() if layer_of(name) not in self.plan.stands}
        lines += [f"  dropped: {reason}" for reason in sorted(gone)]
        if self.by_name:
            lines.append(f"  {self.by_name.line}, where this carries {len(_counted(self.sources))}")
        data = {
            "schema": self.schema,
            "output": str(self.output) if self.output else None,
            **self.record,
            **({"by_name": self.by_name.as_dict()} if self.by_name else {}),
            "new": list(self.new),
            "dropped": dict(self.dropped),
            "notes": list(self.notes),
        }
        return Report(line, (self.plan.table(), "\n".join(lines)), self.notes, data)

    def _of_the_start(self) -> Iterator[str]:
        """What rows lead past others; or what rows were fitted on, and why others were not."""
        start, rows = self.record.get("start", {}), self.plan.rewrite.after
        for one in start.get("rows", ()):
            old, new = (f"row {one[key]} ({rows[one[key]].block})" for key in ("old", "new"))
            given = f"what layer {one['layer']} gave" if one["exact"] else f"what {old} gives, which is fed anew"
            yield f"past {new}: row {one['row']} ({BYPASS}) gives {given}, and lets it in as its gate opens"
        if start.get("by") != "fit":
            return
        yield (
            f"fitted on {counted(start['images'], 'image')} of {start['imgsz']}x{start['imgsz']}, in "
            f"{counted(start['steps'], 'step')}, seed {start['seed']}; errors are those of "
            f"{counted(start['held_out'], 'other')}, relative to what is to come out"
        )
        reasons: dict[str, list[str]] = {}
        for path, reason in start["refused"].items():
            block = "" if "." in path else f" ({self.plan.rewrite.after[int(path)].block})"
            reasons.setdefault(reason, []).append(f"{path}{block}")
        for reason, paths in reasons.items():
            yield f"not fitted: row{plural(paths)} {few(paths, _MOST_LISTED)}: {reason}"


def graft(
    plan: GraftPlan,
    *,
    identity: bool | None = True,
    changes: bool | None = None,
    seed: int = SEED,
    image: Path | None = None,
    lesson: Lesson | None = None,
    track: Track | None = None,
) -> Graft:
    """Do a planned graft in memory; the checkpoint is not changed.

    Args:
        plan: from `plan_graft` or `plan_graft_into`.
        identity: start the operators as the identity; with False at their random init, as papers have it, gates open;
            None leaves them as a network built from its YAML has them.
        changes: whether other outputs are meant; None where the operators are not to be the identity.
        seed: of their random weights.
        image: a real image, for one more run of the certificate.
        lesson: what to fit the rows on that are not layers of the original; None to leave them at their random init.
        track: shows how far that is: gets what is iterated, what is done, and how many; gives the same items.

    Raises:
        ChangedOutputsError: the outputs would differ although the operators are to be the identity.
        CheckpointError: the outputs can't be compared, or are no numbers.
    """
    checkpoint = plan.checkpoint
    exact = bool(identity) if changes is None else not changes
    if plan.lost and exact:
        lost = few([f"{index} ({plan.rewrite.before[index].block})" for index in plan.lost], _MOST_LISTED)
        where = f"{plan.rewrite.after.name} has no row for layer {lost} of {checkpoint.path}"
        own, taken = (built_scaling(graph.settings) for graph in (plan.rewrite.before, plan.rewrite.after))
        scales, instead = "", ""
        if taken.letter and not own.is_like(taken):
            scales = f", for it is at scale {taken.letter}" + (f" and not at {own.letter}" if own.letter else "")
            if own.letter in plan.yaml["scales"] and plan.rewrite.before.layers != plan.rewrite.after.layers:
                instead = f", or --scale {own.letter} to take it at that"
        problem = f"{where}{scales}, so it can't predict the same"
        advice = f"add --init default to graft what fits and drop the rest{instead}"
        raise ChangedOutputsError(f"{problem}; {advice}", problem)
    stride = coarsest_stride(plan.rewrite.after)
    more = {} if image is None else {image.name: image_from(image, checkpoint.needed_model(), stride)}
    widths: list[int | None] = []
    fitted = FitResult()

    def operate(model: nn.Module) -> tuple[nn.Module, list[str]]:
        trust, what = checkpoint.trusted, (plan.rewrite, widths, plan.yaml, plan.carry)
        product, new = transplant_(model, *what, identity=identity, seed=seed, trust=trust)
        fitted.fill_(product)
        return product, new

    def surgery() -> tuple[nn.Module, Callable[[nn.Module], nn.Module]]:
        nonlocal widths
        model = checkpoint.float_model()
        widths = note_widths(model)
        return model, lambda model: operate(model)[0]

    names = list(checkpoint.state_dict)
    if lesson is not None:
        model, operation = surgery()
        with evaluated(model):
            model(lesson.images[:1].clone())
        product = operation(model).eval()
        fitted = fit(plan, checkpoint.float_model(), product, lesson, track or (lambda items, *_: items))
        if not fitted.rows and not fitted.refused:
            raise CheckpointError(f"{plan.rewrite.after.name} has no row that could be fitted: drop --start fit")
    kept = plan.carried(names) - fitted.tensors.keys()

    exact_past: dict[int, bool] = {}

    def proving(product: nn.Module, before: Calls, after: Calls) -> Proof:
        for one in plan.past:
            was, is_now = before.get(str(one.layer)), after.get(str(one.row))
            exact_past[one.row] = was is not None and is_now is not None and equal(was.output, is_now.output)
        return plan.proof(kept, product, (before, after), fitted.rows, fitted.paths)

    certificate = certify(surgery, more, stride=stride, by_level=not plan.keeps_output, proving=proving)
    if exact and not certificate.exact:
        problem = f"the graft of {checkpoint.path} would change the outputs (max |Δ| {certificate.max_delta:g})"
        bare = _without_identity(plan.rewrite)
        raise ChangedOutputsError(f"{problem}, so nothing was written; {_remedy(plan.rewrite, bare)}", problem, bare)
    if math.isnan(certificate.max_delta):
        raise CheckpointError(f"{certificate.problem}: nothing was written")
    original = deepcopy(checkpoint.needed_model())
    model, new = operate(original)
    new = [name for name in model.state_dict() if name in {*new, *fitted.tensors}]
    copied = tuple(name for name in model.state_dict() if name not in set(new))
    sources = plan.sources(copied)
    carried = set(sources.values())
    dropped = {name: plan.why(name, fitted.tensors) for name in names if name not in carried}
    assert len(carried) + len(dropped) == len(names), "a tensor was lost on the way"
    counts = {"copied": len(copied), "new": len(new), "dropped": len(dropped)}
    start: dict[str, Any] | None = None
    if plan.past:
        rows = [{**one._asdict(), "exact": exact_past.get(one.row, False)} for one in plan.past]
        start = {"by": "past", "rows": rows}
    elif lesson is not None:
        start = {"by": "fit", **lesson.as_dict(), "refused": dict(fitted.refused)}
    record = record_of(plan, bool(identity), certificate, counts, start)
    by_name = None if plan.carry is None else ByName.of_graft(checkpoint.state_dict, model.state_dict(), plan, sources)
    product, notes = _product(checkpoint, model, record), _notes(plan, model)
    return Graft(plan, product, copied, sources, tuple(new), dropped, certificate, by_name, notes)


@dataclass(frozen=True)
class ByName:
    """What `YOLO(yaml).load(checkpoint)` takes over, which goes by names and shapes; counters of norms left out.

    Attributes:
        of: how many tensors the checkpoint has.
        right: the names that mean the same in both.
        wrong: those that are of another layer, or of one that computes otherwise.
    """

    of: int
    right: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def line(self) -> str:
        """`YOLO(yaml).load(best.pt) takes over 244 of 298 tensors by name, 16 of them into ...`."""
        rows = sorted({layer_of(name) for name in self.wrong})
        wrong = f", {len(self.wrong)} of them wrong (in row{plural(rows)} {numbers(rows)})" if rows else ""
        return f"YOLO(yaml).load takes over {len(self.right) + len(self.wrong)} of {self.of} tensors by name{wrong}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"of": self.of, "right": len(self.right), "wrong": list(self.wrong)}

    @classmethod
    def of_graft(
        cls,
        before: Mapping[str, Tensor],
        after: Mapping[str, Tensor],
        plan: GraftPlan,
        sources: Mapping[str, str],
    ) -> ByName:
        """What the names say, against what goes where."""
        columns = plan.carry.columns if plan.carry else {}
        same = _counted(name for name in after if name in before and before[name].shape == after[name].shape)
        right = tuple(name for name in same if sources.get(name) == name and name not in columns)
        return cls(len(_counted(before)), right, tuple(name for name in same if name not in set(right)))


def _counted(names: Iterable[str]) -> list[str]:
    """The names of tensors that say something: the counter of a norm fits every other one."""
    return [name for name in names if not name.endswith(".num_batches_tracked")]


def _new_rows(rewrite: Rewrite) -> tuple[list[Layer], list[Layer]]:
    """The rows that came or were changed: those that hold an operator, and those that do not."""
    new = [row for row in rewrite.after if row.index in rewrite.edits or row.index in rewrite.inserted]
    operators = [row for row in new if row.kind.is_attention or read_any_attention(row)]
    return operators, [row for row in new if row not in operators]


def _rows(rows: Sequence[Layer]) -> str:
    """`row 6 (C2f)`, `rows 6 (C2f), 9 (Conv)`."""
    return f"row{plural(rows)} {few([f'{row.index} ({row.block})' for row in rows], _MOST_LISTED)}"


def _without_identity(rewrite: Rewrite) -> list[str]:
    """The new rows that hold an operator which can't start as the identity, for want of a gate."""
    attentions = ((row, read_any_attention(row)) for row in _new_rows(rewrite)[0])
    kernels = ((row, attention.kernel) for row, attention in attentions if attention)
    return [
        f"{row.index} ({kernel.op})"
        for row, kernel in kernels
        if isinstance(kernel, OtherOperator) and not kernel.gated
    ]


def _remedy(rewrite: Rewrite, bare: Sequence[str]) -> str:
    """What to do about new rows that can't start as the identity: no operators, or operators for want of a gate."""
    others = _new_rows(rewrite)[1]
    reason = f"{_rows(others)} can't start as the identity, being no operator; " if others else ""
    rows = f"row{plural(bare)} {', '.join(bare)}"
    gate = f"{rows} can start as the identity behind a gate, as insert --gated writes; or " if bare else ""
    return f"{reason}{gate}add --init default if that is meant"


def _product(checkpoint: Checkpoint, model: nn.Module, record: dict[str, Any] | None) -> dict[str, Any]:
    """The content of the new file: the original's, with the model changed and what belongs to its training gone."""
    data = {key: value for key, value in checkpoint.data.items() if key not in ("model", "ema", RECORD)}
    data |= {key: None for key in TRAINING_STATE if key in data}
    if checkpoint.kind == "checkpoint":
        data["epoch"] = -1
    data = {"model": model, "ema": None, **data}
    task = getattr(model, "task", None)
    if task and checkpoint.train_args.get("task", task) != task:
        data["train_args"] = with_task(data["train_args"], task)
    if record is not None:
        data[RECORD] = record
        model.yaml[RECORD] = in_short(record)
    return data


def _notes(plan: GraftPlan, model: nn.Module) -> tuple[str, ...]:
    checkpoint, notes = plan.checkpoint, [*plan.notes, *stacking_notes(plan.rewrite), *naming_notes(plan.rewrite)]
    if checkpoint.refused:
        notes.append(f"trusted although not on the allow-list: {', '.join(checkpoint.refused)}")
    lost = checkpoint.not_finite()
    if lost:
        count, are = counted(len(lost), "tensor"), "is" if len(lost) == 1 else "are"
        notes.append(
            f"{count} of {checkpoint.path} {are} not finite ({lost[0]}): it predicts nothing, "
            "so equal outputs say nothing of the graft"
        )
    if checkpoint.data.get("optimizer") is not None:
        notes.append("the optimizer's state belongs to the original's tensors and was left out: training starts anew")
    try:
        changed = rebuilt_differently(model, trust=checkpoint.trusted)
    except SurgeonError as error:
        notes.append(
            f"training rebuilds the model from its YAML, and the installed ultralytics can't ({error}): the file "
            "predicts as it is, and trains only in a release that builds it, with or without a graft"
        )
        return tuple(notes)
    if changed:
        notes.append(
            f"training rebuilds the model from its YAML, and the installed ultralytics builds {len(changed)} of its "
            f"{len(model.state_dict())} tensors in another shape ({changed[0]}): those start anew, with or without a "
            "graft"
        )
    return tuple(notes)


def rebuilt_differently(model: nn.Module, *, trust: bool = False) -> list[str]:
    """State-dict names that the installed Ultralytics does not build from the model's YAML in the same shape.

    Raises:
        SurgeonError: it does not build that YAML at all.
    """
    layers = layers_of(model.yaml, "the model", trust=trust)
    built = {f"model.{name}": tensor.shape for name, tensor in layers.state_dict().items()}
    return [name for name, tensor in model.state_dict().items() if built.get(name) != tensor.shape]


@dataclass(frozen=True, repr=False)
class Ungraft(Product):
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
    def index_map(self) -> dict[int, int]:
        """Index in the grafted network -> index in the one without operators."""
        return self.rewrite.index_map

    def report(self) -> Report:
        """How many tensors went, with the certificate, and the rows that went or became plain."""
        line = f"{self.output or 'no file'}: {len(self.removed)} operator tensors removed"
        before, after, kept = self.rewrite.before, self.rewrite.after, self.index_map
        gone = [(str(row.index), row.block, "taken out") for row in before if row.index not in kept]
        pairs = ((before[old], after[new]) for old, new in kept.items())
        plain = [(str(old.index), old.block, f"{new.block} again") for old, new in pairs if old.block != new.block]
        rows = Table(("row", "block", "what"), sorted(gone + plain, key=lambda row: int(row[0])))
        data = {
            "schema": self.schema,
            "output": str(self.output) if self.output else None,
            "removed": list(self.removed),
            "certificate": self.certificate.as_dict(),
        }
        return Report(line, (rows, f"{line}\n  {self.certificate.line}"), data=data)


def ungraft(checkpoint: Checkpoint, *, lossy: bool = False, blocks: BlockTable = STOCK) -> Ungraft:
    """Take the operators out that a graft put in; in a checkpoint without a record of one, every operator.

    Raises:
        PositionError: it has none.
        CheckpointError: the operators have learned something, and `lossy` is off; or it is not the original's network
            with rows more.
    """
    lost = (checkpoint.surgery or {}).get("lost")
    if lost and isinstance(lost, list):
        raise CheckpointError(
            f"{checkpoint.path} is another network than what it was grafted from: layer{plural(lost)} "
            f"{numbers(lost)} of that did not move into it whole, so there is no way back; take the original"
        )
    rewrite = remove(model_in(checkpoint, blocks).graph, recorded_rows(checkpoint))
    certificate = certify(lambda: (checkpoint.float_model(), lambda model: excise_(model, rewrite)))
    if not certificate.exact and not lossy:
        raise CheckpointError(
            f"the operators in {checkpoint.path} are no longer the identity: without them the outputs move by up to "
            f"{certificate.max_delta:g}; add --lossy to take them out all the same"
        )
    model = deepcopy(checkpoint.needed_model())
    names = list(model.state_dict())
    excise_(model, rewrite)
    earlier = checkpoint.surgery.get("earlier") if isinstance(checkpoint.surgery, dict) else None
    model.yaml.pop(RECORD, None)
    back = {new: old for old, new in rewrite.index_map.items()}
    kept = {moved_name(name, back) for name in model.state_dict()}
    data = _product(checkpoint, model, earlier if isinstance(earlier, dict) else None)
    return Ungraft(checkpoint, rewrite, data, tuple(name for name in names if name not in kept), certificate)
