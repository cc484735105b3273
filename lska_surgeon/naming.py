"""Names of variants and of their bases; it touches no file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .architecture.placement import Request
from .architecture.positions import parse_at
from .architecture.surgery import Edit
from .opening import OpenModel
from .stock import FoundModel, scale_in_name


def default_name(found: FoundModel, request: Request, edits: Sequence[Edit]) -> str:
    """`yolov8s-lska-neck-k35.yaml`: base, scale, operator, positions and kernel sizes."""
    resolved = "-resolved" if request.resolve else ""
    return f"{variant_stem(_stem_with_scale(found, request.scale), request, edits)}{resolved}.yaml"


def name_fields(base: OpenModel, request: Request, edits: Sequence[Edit]) -> dict[str, str]:
    """What a file name may be made of: base (with its scale letter), scale, op, at, k and d."""
    kernels = [edit.kernel for edit in edits]
    return {
        "base": _stem_with_scale(base.found, request.scale),
        "scale": base.scaling.letter or "",
        "op": request.op,
        "at": "-".join(map(_in_a_name, request.at)),
        "k": "-".join(dict.fromkeys(str(kernel.k) for kernel in kernels)),
        "d": "-".join(dict.fromkeys(str(kernel.d) for kernel in kernels)),
    }


def variant_stem(stem: str, request: Request, edits: Sequence[Edit]) -> str:
    """The base's name with what was done to it: `yolov8s-lska-neck-k35`."""
    sizes = {edit.kernel.k for edit in edits}
    positions = []
    for text in request.at:
        at = parse_at(text)
        positions.append(_in_a_name(text))
        if len(sizes) > 1:
            positions[-1] += f"-k{request.k if at.k is None else at.k}"
    k = [] if len(sizes) > 1 else [f"k{sizes.pop()}"]
    d = [f"d{request.dilation}"] if request.dilation else []
    return "-".join([stem, request.op, *positions, *k, *d])


def _in_a_name(at: str) -> str:
    """An `--at` value as a part of a file name, its kernel size left out; after:-2 is another place than after:2."""
    spelt = re.sub(r"(?<=[:>])\s*-(?=\d)", "minus", at.split("@")[0])
    return re.sub(r"[^\w.]+", "-", spelt).strip("-")


def _stem_with_scale(found: FoundModel, scale: str | None) -> str:
    stem = Path(found.asked).stem
    if scale is None or found.scale == scale:
        return stem
    if found.scale:
        return re.sub(rf"(yolo(?:e-)?v?\d+){found.scale}", rf"\g<1>{scale}", stem, count=1)
    with_letter = re.sub(r"(yolo(?:e-)?v?\d+)", rf"\g<1>{scale}", stem, count=1)
    return with_letter if scale_in_name(f"{with_letter}.yaml") == scale else f"{stem}-{scale}"


def base_name(found: FoundModel) -> str:
    """The name of the base that a variant's name tells of."""
    stem = Path(found.asked).stem
    base = re.sub(r"-(?:lska|lka)(?:-trivial|-attention)?-.+$", "", stem)
    return f"{base if base != stem else stem + '-base'}.yaml"
