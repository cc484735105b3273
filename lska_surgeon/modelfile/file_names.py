"""Names of variants and of their bases; it touches no file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..core.blocks import STOCK, BlockTable
from ..core.graph import Graph
from ..core.other_operators import other_ops
from ..core.placement import Placement
from ..core.surgery import Edit
from ..errors import TargetError
from .model import Model
from .sources import Source, scale_in_name


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
    source, scale = base.source, base.asked_scale
    stem = Path(source.name).stem
    if scale is None or source.scale == scale:
        return stem
    if source.scale:
        return re.sub(rf"(yolo(?:e-)?v?\d+){source.scale}", rf"\g<1>{scale}", stem, count=1)
    with_letter = re.sub(r"(yolo(?:e-)?v?\d+)", rf"\g<1>{scale}", stem, count=1)
    return with_letter if scale_in_name(f"{with_letter}.yaml") == scale else f"{stem}-{scale}"


def base_name(source: Source, blocks: BlockTable = STOCK) -> str:
    """The name of the base that a variant's name tells of."""
    stem = Path(source.name).stem
    return f"{base_stem(stem, blocks) or stem + '-base'}.yaml"


def base_stem(stem: str, blocks: BlockTable = STOCK) -> str | None:
    """What `variant_stem` made a variant's stem from, with the operators of a table; None where it tells of none."""
    others = "|".join(re.escape(op.replace(":", "-")) for op in other_ops(blocks))
    base = re.sub(rf"-(?:(?:lska|lka)(?:-trivial|-attention)?|(?:gated-)?(?:{others}))-.+$", "", stem)
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
