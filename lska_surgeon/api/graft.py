"""The verb `graft`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.surgery import check_placement, placement_of
from ..declarations.find import active_blocks
from ..errors import PositionError
from ..files import target_path
from ..grafting.input_files import pixels_of
from ..modelfile.model import variant_stem
from ..modelfile.sources import find_source
from ..yolo.command import fetch_weights
from ..yolo.environment import import_offline
from .arguments import PathLike, as_name, one_of
from .own_blocks import with_own_blocks
from .sources import checkpoint_from, look_at, stem_of

if TYPE_CHECKING:
    from ..grafting.graft import Graft
    from .sources import Trained

#: How new operators may start.
INITS = ("identity", "default")


@with_own_blocks
def graft(
    checkpoint: Trained,
    at: str | Iterable[str] = (),
    *,
    into: PathLike | None = None,
    k: int | None = None,
    op: str = "lska",
    dilation: int | None = None,
    init: str = "identity",
    image: PathLike | None = None,
    download: bool = False,
    trust: bool = False,
    unchecked: bool = False,
    output: PathLike | None = None,
    blocks: PathLike | None = None,
) -> Graft:
    """Put LSKA into a trained checkpoint without losing a weight; nothing is written before `.write()`.

    Every tensor is carried over, the new operators start as the exact identity, and a certificate proves it: all
    outputs, before and after, are equal in float32.

    Args:
        checkpoint: path of a .pt, a Checkpoint, a loaded `YOLO` object, or the module in it; none of them is changed.
        at: where, one position or several, as for `insert`.
        into: a variant YAML that somebody wrote, to graft into instead of `at`; its rows say `k`, `op`, `dilation`.
        k: kernel size in cells of the map, where a position gives none of its own, as for `insert`.
        op: the operator, as for `insert`. One that is not the paper's goes behind a gate that starts closed:
            x + g * (A(x) - x) with g = 0.
        dilation: of the dilated convolution, in cells; None takes the paper's for `k`.
        init: "identity", or "default" for random init as papers have it, gates open.
        image: an image for one more run of the certificate, at most 640 pixels on its longer side.
        download: fetch weights that Ultralytics publishes, "yolov8s.pt", by its own downloader where they are not here.
        trust: load a file even if it names code that is not on the allow-list; it may then run anything.
        unchecked: go on where `check` finds errors in `into`.
        output: the file to be; None takes a name that tells what was done.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        PositionError: a position is misspelt or matches nothing in this network.
        KernelError: a kernel size or operator does not exist.
        BrokenBaseError: `check` finds an error in `into`.
        CheckpointError: the checkpoint can't be read, or the outputs would not be the same.
        UnsafeCheckpointError: it names what is not on the allow-list.
    """
    ats = (at,) if isinstance(at, str) else tuple(at)
    if bool(ats) == bool(into):
        raise PositionError('say where: a position such as "neck", or into="VARIANT.yaml"; one of the two')
    placement = None if into else placement_of(ats, op, k, dilation)
    one_of(init, INITS, "init")
    target = target_path(
        as_name(output) or name_of_graft(checkpoint, ats, into=into, k=k, op=op, dilation=dilation), ".pt"
    )
    if placement is not None:
        check_placement(placement, active_blocks())
    if download and isinstance(checkpoint, (str, os.PathLike)) and not Path(checkpoint).exists():
        checkpoint = fetch_weights(str(as_name(checkpoint)))
    look_at(checkpoint, "checkpoint")
    if image is not None:
        pixels_of(Path(image))
    if into is not None:
        look_at(into, "yaml", built=True)
        variant = find_source(str(as_name(into)))
        if not unchecked and not variant.is_stock:
            from ..checks.check import refuse_broken

            refuse_broken(variant, blocks=active_blocks())
    import_offline()  # here, for it takes seconds and no error above should wait for it
    from ..grafting.graft import graft as graft_planned

    base = checkpoint_from(checkpoint, trust)
    if placement:
        from ..grafting.plan import plan_graft

        plan = plan_graft(base, placement, active_blocks())
    else:
        from ..grafting.into import plan_graft_into

        plan = plan_graft_into(base, str(as_name(into)), active_blocks())
    done = graft_planned(plan, identity=init == "identity", image=Path(image) if image else None)
    return replace(done, output=target)


def name_of_graft(
    checkpoint: Trained, at: Iterable[str], *, into: PathLike | None, k: int | None, op: str, dilation: int | None
) -> str:
    """The file that a graft goes to where nobody names one: `yolov8s-lska-neck-k35.pt`.

    Raises:
        PositionError: a position is misspelt.
    """
    stem = stem_of(checkpoint)
    if into:
        return f"{stem}-{Path(into).stem}.pt"
    return f"{variant_stem(stem, placement_of(at, op, k, dilation))}.pt"
