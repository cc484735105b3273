"""Plan other edits than insertions: rows replaced or taken out, levels more or less, another backbone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ..core.blocks import BlockTable
from ..core.graph import IMAGE, SECTIONS, packed_row
from ..core.levels import add_level, drop_levels
from ..core.positions import rows_at
from ..core.replacing import ShapedGraph, remove_rows, replace_rows, swap_backbone
from ..core.shapes import shapes_of
from ..core.surgery import Rewrite
from ..errors import ArgumentError, MisfitError
from ..files import as_path, planned_target, target_path, write_text
from ..reports import Report, Result, Table, ToldCosts
from ..wording import clean, numbers, plural, printable
from .document import AFTER_ROW, Document, format_value
from .insert import SitePlan
from .model import Model, family_notes, load, model_of, read_source, stem_with_scale
from .rewriting import pin_scale, read_record, reread, rewrite_text, splice, with_record
from .sources import STDIN
from .text import Span, line_end, newline_at, unified_diff

#: The columns of the table of rows.
COLUMNS = ("row", "block", "args", "was", "channels", "stride", "read by")
#: The stride of the level whose map masks are made of, twice as fine, for Ultralytics to validate them.
_OF_MASKS = 8
_LIBRARY = re.compile(r"(torchvision|timm):.+", re.IGNORECASE)
_MODEL = re.compile(rf".*\.ya?ml\Z|{_LIBRARY.pattern}", re.IGNORECASE)
#: How the models of a library start.
_STARTS = {
    "torchvision": "Ultralytics downloads its trained weights when it builds the file",
    "timm": "starts untrained",
}
#: Gives the backbone that a word such as `torchvision:resnet50` or `timm:resnet50` names.
Features = Callable[[str, BlockTable], ShapedGraph]


@dataclass(frozen=True)
class GraphEdit:
    """One edit that is no insertion.

    Attributes:
        kind: replace, add, drop or remove.
        at: the slot or rows (`neck`, `0-2`), or the level (`p2`).
        by: the block, or the model whose backbone it is.
        args: the block's arguments in the words of `Block.new_args`; None takes the table's.
        repeats: the block's repeats; None takes those of what was there.
    """

    kind: str
    at: str
    by: str = ""
    args: str | None = None
    repeats: int | None = None

    @property
    def in_words(self) -> str:
        """`C3k2 at neck`, `add p2`."""
        if self.kind != "replace":
            return f"{self.kind} {self.at}"
        return f"{Path(self.by).name if _MODEL.match(self.by) else self.by} at {self.at}"

    @classmethod
    def parse(cls, text: str) -> GraphEdit:
        """An edit as a recipe has it: `C3k2 at neck`, `yolo11n.yaml at backbone`, `add p2`, `drop p5`, `remove SPPF`.

        Raises:
            ArgumentError: it is none of these.
        """
        replaced = re.fullmatch(r"(\S+) at (\S+)", text.strip())
        if replaced:
            return cls("replace", replaced[2], replaced[1])
        other = re.fullmatch(r"(add|drop|remove) (\S+)", text.strip())
        if other is None:
            raise ArgumentError(
                f"{clean(text, 40)!r} is no edit: write such as 'C3k2 at neck', 'yolo11n.yaml at backbone', 'add p2', "
                "'drop p5' or 'remove SPPF'"
            )
        return cls(other[1], other[2])

    @property
    def in_a_name(self) -> str:
        """The same as a part of a file name."""
        by = re.sub(r"\.ya?ml\Z", "", Path(self.by).name, flags=re.IGNORECASE).lower()
        words = {"replace": f"{by}-{self.at}", "remove": f"without-{self.at}"}.get(self.kind, f"{self.kind}-{self.at}")
        return re.sub(r"[^\w.]+", "-", words).strip("-")


@dataclass(frozen=True, repr=False)
class EditedModel(Result):
    """Edits of a model, worked out; nothing is written before `write`.

    Attributes:
        base: the base, read.
        changes: what was asked for.
        text: the variant's text.
        rewrite: the base's rows and the variant's.
        output: the file to be; None for standard output.
        notes: what the user should be told.
        again: works them out for a file of another name.
        costs: what both cost; None where that was not asked for.
    """

    schema: ClassVar[int] = 1
    base: Model
    changes: tuple[GraphEdit, ...]
    text: str
    rewrite: Rewrite
    output: Path | None
    notes: tuple[str, ...]
    again: Callable[[str], EditedModel] = field(compare=False)
    costs: ToldCosts | None = None

    @property
    def before(self) -> str:
        """The base's text."""
        return self.base.text

    @cached_property
    def variant(self) -> Model:
        """The variant as a model, written or not."""
        name = self.output.name if self.output else "model"
        return model_of(Document(self.text, name, blocks=self.base.blocks), self.base.scaling)

    @property
    def index_map(self) -> dict[int, int]:
        """Index in the base -> index in the variant, of the rows that stay or have another in their place."""
        return self.rewrite.index_map

    @cached_property
    def new_rows(self) -> tuple[int, ...]:
        """Indices, in the variant, of rows that are new, or that do something else than what was in their place."""
        before, after = self.rewrite.before, self.rewrite.after
        found = []
        for index, old in enumerate(self.rewrite.origin):
            layer = after[index]
            if old is None or (layer.block, layer.args, layer.repeats) != (
                before[old].block,
                before[old].args,
                before[old].repeats,
            ):
                found.append(index)
        return tuple(found)

    @property
    def gone_rows(self) -> tuple[int, ...]:
        """Indices, in the base, of rows that have nothing in their place."""
        return tuple(layer.index for layer in self.rewrite.before if layer.index not in self.index_map)

    @property
    def sites(self) -> tuple[SitePlan, ...]:
        """The operators that it puts in: none."""
        return ()

    @property
    def diff(self) -> str:
        """The unified diff from the base to the variant, without the record at its end."""
        name = self.output.name if self.output else "variant"
        record = read_record(self.text)
        return unified_diff(self.before, record.body if record else self.text, self.base.path.name, name)

    @property
    def done(self) -> str:
        """What was asked for, in words."""
        return ", ".join(change.in_words for change in self.changes)

    def report(self) -> Report:
        """What is done, in one line; a table of the new rows; the diff."""
        shapes, before, after = self.variant.shapes, self.rewrite.before, self.rewrite.after
        rows, data = [], []
        for index in self.new_rows:
            layer, shape, old = after[index], shapes[index], self.rewrite.origin[index]
            was = "-" if old is None else f"{old} {before[old].block}"
            consumers = after.consumers(index)
            rows.append(
                (
                    str(index),
                    layer.block,
                    format_value(layer.args),
                    was,
                    "-" if layer.kind.gives_a_list else "not known" if shape.channels is None else str(shape.channels),
                    "-" if shape.stride is None else f"{shape.stride:g}",
                    numbers(consumers) or "-",
                )
            )
            data.append({**after.row_as_dict(index), "was": old, "channels": shape.channels, "stride": shape.stride})
        where = self.output or "standard output"
        scale = f" at scale {self.base.scaling.letter}" if self.base.scaling.letter else ""
        found = [f"{len(rows)} row{plural(rows)} new or changed"] if rows else []
        found += [f"{len(self.gone_rows)} gone ({numbers(self.gone_rows)})"] if self.gone_rows else []
        done = printable(
            f"{where}: {self.base.name}{scale}, {self.done}: {', '.join(found) or 'sources alone changed'}"
        )
        json = {
            "schema": self.schema,
            "base": str(self.base.path),
            "scale": self.base.scaling.letter,
            "output": str(self.output) if self.output else None,
            "edits": [vars(change) for change in self.changes],
            "rows": data,
            "gone": list(self.gone_rows),
            "index_map": self.rewrite.index_map_by_name,
            "costs": self.costs.data() if self.costs else None,
            "notes": list(self.notes),
            "diff": self.diff,
        }
        table = [Table(COLUMNS, rows)] if rows else []
        costs = [self.costs.in_totals] if self.costs else []
        return Report(done, (done, *table, *costs, self.diff), self.notes, json)

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write the variant; arguments and errors as for `Insertion.write`."""
        if path is not None:
            return self.again(os.fspath(as_path(path))).write(force=force)
        target = planned_target(None, self.output, ".yaml")
        write_text(target, self.text, force=force)
        return target


def plan_changes(
    base: Model, changes: Sequence[GraphEdit], output: str | None = None, features: Features | None = None
) -> EditedModel:
    """Work out edits of a base that is read already, one behind the other.

    Args:
        base: the base, read.
        changes: the edits, in order; each finds its rows in what the one before made.
        output: the file to be; None takes a name that tells what was done, "-" none, and so does None for standard
            input.
        features: measures the backbones of torchvision and timm; None where that has no place.

    Raises:
        SurgeonError: a slot matches nothing, a block does not fit, ...
    """
    packed = packed_row(base.graph.layers)
    if packed is not None:
        raise MisfitError(
            f"{base.name}: row {packed.index} ({packed.block}) is a whole backbone, which counts as several layers: "
            "lska-surgeon insert goes into such networks, other edits do not"
        )
    model, notes = base, list(base.notes)
    origin: tuple[int | None, ...] = tuple(range(len(base.graph)))
    text = base.text
    for change in changes:
        rewrite, labels, setting = _rewrite(model, change, features)
        notes += _notes(change, rewrite, model)
        labels |= _output_comment(model, rewrite)
        text = rewrite_text(model.written, rewrite, labels)
        document = reread(text, rewrite.after)
        if setting and setting[0] not in document.settings:
            text = _with_setting(document, *setting)
            document = reread(text, rewrite.after)
        origin = tuple(None if old is None else origin[old] for old in rewrite.origin)
        model = model_of(document, base.scaling, base.source)
    done = ", ".join(change.in_words for change in changes)
    if text == base.text:
        raise MisfitError(f"{base.name} is so already ({done}): nothing would change")
    name = output or (STDIN if base.source.is_stdin else f"{edited_stem(base, changes)}.yaml")
    target = None if name == STDIN else target_path(name, ".yaml")
    notes += family_notes(model.graph, target)
    text = with_record(text, base.text, printable(base.name), done, len(model.graph))
    pinned = pin_scale(reread(text, model.graph), base.scaling.letter, target.name if target else None)
    notes += [pinned.note] if pinned.note else []
    reread(pinned.text, model.graph)
    whole = Rewrite(base.graph, model.graph, origin)
    notes += [*_note_on_output(whole), *_note_on_masks(whole, base)]
    return EditedModel(
        *(base, tuple(changes), pinned.text, whole, target, tuple(dict.fromkeys(notes))),
        again=lambda path: plan_changes(base, changes, path, features),
    )


def edited_stem(base: Model, changes: Sequence[GraphEdit]) -> str:
    """The base's name with its scale, and what was done to it: `yolov8s-c3k2-neck`."""
    return "-".join([stem_with_scale(base), *(change.in_a_name for change in changes)])


def _rewrite(
    model: Model, change: GraphEdit, features: Features | None
) -> tuple[Rewrite, dict[int, str], tuple[str, str] | None]:
    """The rewrite, labels of rows, and a setting that the new rows read."""
    built = ShapedGraph(model.graph, model.shapes, model.scaling)
    if change.kind == "add":
        rewrite = add_level(built, change.at)
        return rewrite, _levels_of(rewrite, model), None
    if change.kind == "drop":
        return drop_levels(built, [change.at]), {}, None
    if change.kind == "remove":
        rows = [row for span in rows_at(change.at, *built[:2]) for row in span]
        return remove_rows(built, rows), {}, None
    if _MODEL.match(change.by):
        if change.at != "backbone":
            raise MisfitError(f"{change.by} is a model, whose backbone can be taken: --at backbone, not {change.at}")
        rewrite = swap_backbone(built, _donor(model, change.by, features))
        return rewrite, _stages_of(rewrite, model), None
    places, path = None, model.blocks.declarations.path
    module = model.blocks.custom(change.by)
    if module is not None and path is not None:
        from ..declarations.scan import places_of  # here, for only custom modules need it

        places = places_of(module, path.parent)
    rewrite = replace_rows(built, rows_at(change.at, *built[:2]), change.by, change.args, change.repeats, places)
    needs_keypoints = any("kpt_shape" in layer.args for layer in rewrite.after)
    return rewrite, {}, ("kpt_shape", "[17, 3]") if needs_keypoints else None


def _donor(model: Model, name: str, features: Features | None) -> ShapedGraph:
    """The model whose backbone is asked for: at the scale that its name says, else at this one's, if it has that."""
    if _LIBRARY.match(name):
        if features is None:
            raise MisfitError(
                f"{name} has to be measured: write the model with lska-surgeon replace, and name that file as the base"
            )
        return features(name, model.blocks)
    source, document = read_source(name, blocks=model.blocks)
    letter = model.scaling.letter if source.scale is None and model.scaling.letter in document.scales else None
    donor = load(name, letter, blocks=model.blocks)
    return ShapedGraph(donor.graph, donor.shapes, donor.scaling)


def _levels_of(rewrite: Rewrite, model: Model) -> dict[int, str]:
    """What the comments of new rows that the output layer reads say: `(P2/4)`; others have none."""
    shapes = shapes_of(rewrite.after, model.scaling)
    read = set(rewrite.after.output.sources)
    return {
        index: f"({shape.level.upper()}/{shape.stride:g})"
        for index in rewrite.inserted
        if index in read and (shape := shapes[index]).level and shape.stride
    }


def _stages_of(rewrite: Rewrite, model: Model) -> dict[int, str]:
    """What the comments of a new backbone say: its index, and the level where one begins."""
    shapes = shapes_of(rewrite.after, model.scaling)
    labels, before = {}, None
    for layer in rewrite.after:
        if layer.section != SECTIONS[0]:
            break
        shape = shapes[layer.index]
        begins = shape.level and shape.stride and shape.level != before
        labels[layer.index] = f"({shape.level.upper()}/{shape.stride:g})" if begins and shape.level else ""
        before = shape.level or before
    return labels


def _output_comment(model: Model, rewrite: Rewrite) -> dict[int, str]:
    """The comment of an output layer that names its block and levels, `# Detect(P3, P4, P5)`, where those change."""
    document, old, new = model.written, model.graph.output, rewrite.after.output
    comment = AFTER_ROW.match(document.text, document.rows[old.index].whole.end)
    named = re.search(rf"\b{re.escape(old.block)}\((?:P\d(?:, ?)?)+\)", comment[2] or "") if comment else None
    if comment is None or named is None:
        return {}
    shapes = shapes_of(rewrite.after, model.scaling)
    levels = [(shapes[source].level or "?").upper() for source in new.sources]
    says = f"{comment[2][: named.start()]}{new.block}({', '.join(levels)}){comment[2][named.end() :]}"
    return {} if says == comment[2] or (old.sources == new.sources and old.block == new.block) else {new.index: says}


def _note_on_output(rewrite: Rewrite) -> list[str]:
    """What to say of an output layer that is built otherwise for the blocks before it."""
    before, after = ([x.block for x in graph if "newer" in x.kind.traits] for graph in (rewrite.before, rewrite.after))
    output = rewrite.after.output
    is_same = "either" in output.kind.traits and output.block == rewrite.before.output.block
    if not is_same or bool(before) == bool(after):
        return []
    row = f"row {output.index} ({output.block})"
    of = f"depth-wise convolutions with {after[0]}" if after else f"plain convolutions without {before[0]}"
    return [f"Ultralytics builds the class branches of {row} of {of}: trained ones do not fit"]


def _note_on_masks(rewrite: Rewrite, model: Model) -> list[str]:
    """What to say of an output layer whose masks Ultralytics' validation does not take: it knows stride 4 alone."""
    output, shapes = rewrite.after.output, shapes_of(rewrite.after, model.scaling)
    strides = [shapes[source].stride for source in output.sources if source != IMAGE]
    if output.kind.model != "SegmentationModel" or not strides or strides[0] in (None, _OF_MASKS):
        return []
    row, first = f"row {output.index} ({output.block})", f"P{int(strides[0] or 1).bit_length() - 1}"
    remedy = "keep P3"
    if _OF_MASKS in strides:
        at = strides.index(_OF_MASKS)
        order = [output.sources[at], *output.sources[:at], *output.sources[at + 1 :]]
        remedy = f"to train it, write {order}, P3 first, with # lska-surgeon: ignore[source]"
    stops = f"masks come from the first source of {row}, and Ultralytics' validation stops where that is {first}"
    return [f"{stops}: {remedy}"]


def _notes(change: GraphEdit, rewrite: Rewrite, model: Model) -> list[str]:
    """What to say of rows whose numbers hold at one scale alone, and of blocks of which only the parser is known."""
    if change.kind != "replace":
        return []
    block = model.blocks[change.by]
    if not (_MODEL.match(change.by) or block.is_known or block.custom):
        return [
            f"what {block.name} needs and gives is its fork's to say: build it with lska-surgeon check FILE --build"
        ]
    library = _LIBRARY.match(change.by)
    if library:
        return [f"{change.by} is as wide at every scale, and {_STARTS[library[1].lower()]}"]
    if len(model.written.scales) < 2:
        return []
    if _MODEL.match(change.by):
        return [f"the rows of {Path(change.by).name} are written for scale {model.scaling.letter} of {model.name}"]
    after, blocks = rewrite.after, set()
    for layer in after:
        origin = rewrite.origin[layer.index]
        new = origin is None or rewrite.before[origin].block != layer.block
        words = layer.kind.new_args[0] if layer.kind.new_args else ""
        if new and change.args is None and re.search(r"W|c1", words):
            blocks.add(layer.block)
    if not blocks:
        return []
    letter, names = model.scaling.letter, " and ".join(sorted(blocks))
    return [f"the parser does not scale all widths of {names}: those written hold for scale {letter} alone"]


def _with_setting(document: Document, key: str, value: str) -> str:
    """The text with a setting more, behind `nc` where the file has that on a line of its own."""
    text = document.text
    line = f"{key}: {value}"
    if "nc" in document.settings:
        end = line_end(text, document.setting_span("nc").end)
        return splice(text, [(Span(end, end), f"{newline_at(text, end)}{line}")])
    return f"{line}{newline_at(text, 0)}{text}"
