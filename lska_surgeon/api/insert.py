"""The verb `insert`."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.surgery import placement_of
from ..declarations.find import active_blocks
from ..modelfile import insert as planned
from ..modelfile.model import load
from .arguments import PathLike, as_name
from .own_blocks import with_own_blocks


class Insertion(planned.Insertion):
    """An insertion that a notebook shows as a drawing as well; the rest is `modelfile.insert.Insertion`."""

    def _repr_html_(self) -> str:
        from ..drawing.drawing import drawing_of  # here, for only a notebook asks

        return f"{drawing_of(self)._repr_html_()}\n{super()._repr_html_()}"


@with_own_blocks
def insert(
    base: PathLike,
    at: str | Iterable[str],
    *,
    k: int | None = None,
    op: str = "lska",
    dilation: int | None = None,
    gated: bool = False,
    scale: str | None = None,
    resolve: bool = False,
    unchecked: bool = False,
    output: PathLike | None = None,
    blocks: PathLike | None = None,
) -> Insertion:
    """Put LSKA into a model YAML; nothing is written before `.write()`, and a notebook shows what it draws.

    >>> import lska_surgeon as ls
    >>> variant = ls.insert("yolov8s.yaml", "neck", k=35)
    >>> variant.params_added
    452224
    >>> variant.write().name
    'yolov8s-lska-neck-k35.yaml'

    Args:
        base: path of a model YAML, or a stock Ultralytics name with its scale.
        at: where, one position or several, each as `--at` takes it: "neck", "head:p4,p5@11", "after:9", "edge:15->22".
        k: kernel size in cells of the map, where a position gives none of its own: 7, 11, 23, 35, 41, 53 as in the
            paper (Lau et al., "Large Separable Kernel Attention", 2023, table 1); any odd one with `dilation`. None is
            23 for the paper's operators; others have no kernel size.
        op: "lska", "lska-trivial", "lka", "lka-trivial" or "lska-attention"; "cbam", "timm:NAME", or the name of a
            block that you declare like attention.
        dilation: of the dilated convolution, in cells; None takes the paper's for `k`.
        gated: put an operator that is not the paper's behind a gate that starts closed, as `graft` does.
        scale: scale, where the base's name does not say it.
        resolve: write the scale's real widths and repeats into every row.
        unchecked: go on where `check` finds errors in the base.
        output: the file to be; None takes a name that tells what was done, "-" none.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the base is not there, or is no model YAML.
        BrokenBaseError: `check` finds an error in it.
        PositionError: a position is misspelt or matches nothing in this model.
        KernelError: a kernel size or operator does not exist, or the operator has no such thing.
        TargetError: Ultralytics would build another network under the output's name.
    """
    placement = placement_of(at, op, k, dilation, gated)
    opened = load(str(as_name(base)), scale, blocks=active_blocks())
    if not unchecked and not opened.source.is_stock:
        from ..checks.check import refuse_broken

        refuse_broken(opened.source, opened.text, opened.blocks)
    plan = planned.plan_insert(opened, placement, resolve=resolve, output=as_name(output))
    return Insertion(**vars(plan))
