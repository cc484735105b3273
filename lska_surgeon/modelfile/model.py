"""A model as a value: its rows, its scale, where it came from, and the names of what is made of it.

`load` is the one way from a user's source to a model.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.blocks import STOCK, BlockTable
from ..core.graph import Graph, Scaling, graph_of, packed_row, scaling_of
from ..core.operators import OP_BLOCKS, other_ops
from ..core.shapes import Shape, settings_problems, shapes_of, size_problem, width_problem
from ..errors import DocumentError, GraphError, TargetError
from .document import Document, RowError
from .rewriting import edits_in
from .sources import STDIN, Source, find_source, scale_in_name
from .text import content_of, decoded

if TYPE_CHECKING:
    from ..core.surgery import Edit, Placement


@dataclass(frozen=True)
class Model:
    """A network at a scale.

    Attributes:
        source: where it came from.
        graph: its rows and settings; they carry the table of blocks that they were read by.
        scaling: its scale.
        document: its text and where the rows stand in it; None for what a checkpoint stores.
        asked_scale: the scale that was asked for; None takes the one of the name.
        notes: what the user should be told.
        classes: how many classes the output layer has, as the model says it, be that a number or not.
        measure: gives the shape of each layer, None where it gives no map; asked where the rules know no block.
    """

    source: Source
    graph: Graph
    scaling: Scaling
    document: Document | None = None
    asked_scale: str | None = None
    notes: tuple[str, ...] = ()
    classes: object = None
    measure: Callable[[], list[Shape | None]] | None = field(default=None, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def name(self) -> str:
        """The file name that was asked for, scale included."""
        return self.source.name

    @property
    def blocks(self) -> BlockTable:
        """The table that says what the rows' blocks are."""
        return self.graph.blocks

    @property
    def written(self) -> Document:
        """Its text and where the rows stand in it.

        Raises:
            DocumentError: it has none, for a checkpoint stores its rows.
        """
        if self.document is None:
            raise DocumentError(f"{self.name} stores rows without their text: give a model YAML")
        return self.document

    @property
    def text(self) -> str:
        """Its text."""
        return self.written.text

    @property
    def edits(self) -> list[str]:
        """What it says was done to it, but for insertions."""
        return edits_in(self.document.text) if self.document else []

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """What each layer gives: by the rules, and as measured where they know no block."""
        by_rule = shapes_of(self.graph, self.scaling)
        unknown = [shape.guessed or shape.channels is None for shape in by_rule]
        if self.measure is None or not any(unknown):
            return by_rule
        return tuple(real if real and ask else rule for rule, real, ask in zip(by_rule, self.measure(), unknown))


def model_of(document: Document, scaling: Scaling, source: Source | None = None) -> Model:
    """The model of a text at a scale.

    Raises:
        GraphError: its rows make no network.
    """
    source = source or Source(Path(document.name), document.name, scaling.letter)
    return Model(source, document.graph, scaling, document, classes=document.settings.get("nc"))


def stored_model(yaml: Mapping[str, Any], path: Path, blocks: BlockTable = STOCK) -> Model:
    """The model that a checkpoint stores, at the scale that it was built at.

    Raises:
        BuildError: it has no rows, or they are no rows.
        GraphError: its rows make no network, or it has no such scale.
    """
    graph, letter = graph_of(yaml, path.name, blocks), yaml.get("scale") or None
    packed = packed_row(graph.layers)
    if packed is not None:
        raise GraphError(
            f"{path.name}: row {packed.index} ({packed.block}) is a whole backbone, which counts as several layers: "
            "the YAML of such a network can be edited here, its weights can't"
        )
    return Model(Source(path, path.name, letter), graph, scaling_of(graph.settings, letter), classes=yaml.get("nc"))


def read_source(
    name: str, folder: Path | None = None, bad_rows: list[RowError] | None = None, *, blocks: BlockTable = STOCK
) -> tuple[Source, Document]:
    """Find and read a model YAML, at no scale.

    Args:
        name: a path, a stock name, or "-" for standard input, which can be read once.
        folder: where a relative path starts; None for the working folder. There, "-" is no name.
        bad_rows: as for `Document`.
        blocks: the table that says what the rows' blocks are.

    Raises:
        DocumentError: there is no such file, or it is no model YAML.
    """
    if name == STDIN and folder is None:
        source = Source(Path(STDIN), "standard input")
        return source, Document(decoded(_standard_input(), source.name), source.name, bad_rows, blocks=blocks)
    source = find_source(name, folder=folder)
    return source, Document.read(source.path, source.name, bad_rows, blocks=blocks)


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise DocumentError("standard input is closed: pipe a model YAML into it, or give a file in place of -")
    try:
        return content_of(sys.stdin.buffer)
    except OSError as error:
        raise DocumentError(
            f"can't read standard input: {error.strerror or error}: give a file in place of -"
        ) from error


def load(name: str, scale: str | None = None, folder: Path | None = None, *, blocks: BlockTable = STOCK) -> Model:
    """Find and read a model YAML and settle its scale.

    Args:
        name: a path, a stock name with its scale, or "-" for standard input.
        scale: scale, where the name does not say it.
        folder: where a relative path starts; None for the working folder.
        blocks: the table that says what the rows' blocks are.

    Raises:
        SurgeonError: no such file, not a model YAML, no such scale, or a row or a setting whose numbers make no layer.
    """
    source, document = read_source(name, folder, blocks=blocks)
    if scale and not document.scales:
        raise GraphError(f"{source.name} has no scales, so there is no scale {scale}: leave it out")
    letter = scale or (source.scale if document.scales else None)
    for _, wrong in settings_problems(document.settings):
        raise GraphError(f"{source.name}: {wrong}")
    scaling = scaling_of(document.settings, letter)
    note = None if scale else scale_note(source, document)
    notes, classes = (note,) if note else (), document.settings.get("nc")
    model = Model(source, document.graph, scaling, document, scale, notes, classes)
    for layer in model.graph:
        problem = size_problem(layer, scaling) or width_problem(layer, model.shapes)
        if problem:
            raise GraphError(f"{source.name}: row {layer.index} ({layer.block}) {problem}")
    return model


def scale_note(source: Source, document: Document) -> str | None:
    """What to tell of a name that leaves it open which of several scales is built."""
    if source.scale or len(document.scales) < 2:
        return None
    letters = list(document.scales)
    return f"{source.name} names no scale, so this is {letters[0]}, the first of {', '.join(letters)}"


def default_name(base: Model, placement: Placement, *, resolve: bool = False) -> str:
    """`yolov8s-lska-neck-k35.yaml`: base, scale, operator, positions and kernel sizes."""
    resolved = "-resolved" if resolve else ""
    return f"{variant_stem(stem_with_scale(base), placement)}{resolved}.yaml"


def name_fields(base: Model, placement: Placement, edits: Sequence[Edit]) -> dict[str, str]:
    """What a file name may be made of: base (with its scale), scale, op, at, k and d."""
    kernels = [edit.kernel for edit in edits]
    return {
        "base": stem_with_scale(base),
        "scale": base.scaling.letter or "",
        "op": _op_in_a_name(placement),
        "at": "-".join(map(_in_a_name, placement.at)),
        "k": "-".join(dict.fromkeys(str(kernel.k) for kernel in kernels if kernel.k)),
        "d": "-".join(dict.fromkeys(str(kernel.d) for kernel in kernels if kernel.d)),
    }


def variant_stem(stem: str, placement: Placement) -> str:
    """The base's name with what was done to it: `yolov8s-lska-neck-k35`."""
    sizes = list(map(placement.size_at, placement.at))
    several = len(set(sizes)) > 1
    named = list(map(_in_a_name, placement.at))
    positions = [f"{name}-k{k}" for name, k in zip(named, sizes)] if several else named
    k = [f"k{sizes[0]}"] if sizes[0] and not several else []
    d = [f"d{placement.dilation}"] if placement.dilation else []
    return "-".join([stem, _op_in_a_name(placement), *positions, *k, *d])


def _op_in_a_name(placement: Placement) -> str:
    """`lska`, `timm-se`, `gated-cbam`."""
    return ("gated-" if placement.gated else "") + re.sub(r"[^\w-]+", "-", placement.op)


def _in_a_name(at: str) -> str:
    """An `--at` value as a part of a file name, its kernel size left out; after:-2 is another place than after:2."""
    spelt = re.sub(r"(?<=[:>])\s*-(?=\d)", "minus", at.split("@")[0])
    return re.sub(r"[^\w.]+", "-", spelt).strip("-")


def stem_with_scale(base: Model) -> str:
    """The base's name with its scale: `yolov8s`."""
    return stem_at(base.source.name, base.asked_scale)


def stem_at(name: str, scale: str | None) -> str:
    """The stem of a model's name at a scale that was asked for; None for the one that the name says."""
    stem, said = Path(name).stem, scale_in_name(name)
    if scale in (None, said):
        return stem
    if said:
        return re.sub(rf"(yolo(?:e-)?v?\d+){said}", rf"\g<1>{scale}", stem, count=1)
    with_letter = re.sub(r"(yolo(?:e-)?v?\d+)", rf"\g<1>{scale}", stem, count=1)
    return with_letter if scale_in_name(f"{with_letter}.yaml") == scale else f"{stem}-{scale}"


def base_name(source: Source, blocks: BlockTable = STOCK) -> str:
    """The name of the base that a variant's name tells of."""
    stem = Path(source.name).stem
    return f"{base_stem(stem, blocks) or stem + '-base'}.yaml"


def base_stem(stem: str, blocks: BlockTable = STOCK) -> str | None:
    """What `variant_stem` made a variant's stem from, with the operators of a table; None where it tells of none."""
    others = "|".join(re.escape(op.replace(":", "-")) for op in other_ops(blocks))
    base = re.sub(rf"-(?:{'|'.join(OP_BLOCKS)}|(?:gated-)?(?:{others}))-.+$", "", stem)
    return base if base != stem else None


#: Family -> what the stem of its file's name has to contain, in the order in which Ultralytics looks.
_IN_NAME = {"YOLO-World": "-world", "YOLOE": "yoloe"}
_FAMILY_OF = {
    "WorldModel": "YOLO-World",
    "YOLOEModel": "YOLOE",
    "YOLOESegModel": "YOLOE",
}


def check_family(graph: Graph, name: str) -> None:
    """Refuse a file name by which Ultralytics would build another family of models.

    Raises:
        TargetError: the name lacks the word of the model's family, or has that of another one.
    """
    kind = graph.output.kind
    if not kind.is_output or kind.custom:
        return  # a head of the user's own
    family, stem = _FAMILY_OF.get(kind.model or ""), Path(name).stem
    said = next((other for other, word in _IN_NAME.items() if word in stem), None)
    if said == family:
        return
    wanted = f"with {_IN_NAME[family]} in it" if family else ""
    if said:
        wanted = " and ".join(filter(None, [wanted, f"without {_IN_NAME[said]}"]))
    built = f"{said} model" if said else "plain model"
    raise TargetError(
        f"ultralytics would build {name} as a {built} by its name, and its output layer is {kind.name}: "
        f"give a name {wanted} with -o"
    )


def family_notes(graph: Graph, output: Path | None) -> list[str]:
    """What to tell of a text that goes to standard output, where Ultralytics would need a name to build its family.

    Raises:
        TargetError: there is a file to be, and its name is a wrong one: see `check_family`.
    """
    if output is not None:
        check_family(graph, output.name)
        return []
    family = _FAMILY_OF.get(graph.output.kind.model or "")
    return [f"ultralytics builds this as {family} only under a name with {_IN_NAME[family]} in it"] if family else []
