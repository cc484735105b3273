"""`lska-surgeon ungraft`."""

from __future__ import annotations

import click

from ...api import ungraft as api
from .. import completion
from ..deliver import Delivery, delivered
from ..options import blocks as with_blocks
from ..options import trust as trust_option
from ..quick_imports import own_process


@click.command()
@click.argument("checkpoint", shell_complete=completion.files)
@click.option("--lossy", is_flag=True, help="Take operators out although they have learned something.")
@trust_option
@delivered("text", "json")
@with_blocks
def ungraft(checkpoint: str, lossy: bool, trust: bool, delivery: Delivery) -> None:
    """Take LSKA out of the grafted CHECKPOINT and give the original's tensors back.

    Exact while the operators are still the identity. Once they have been trained, taking them out changes what the
    model predicts: that is refused, with the measured difference, unless --lossy asks for it.

    \b
    Example:
      lska-surgeon ungraft yolov8s-lska-neck-k35.pt -o original.pt
    """
    delivery.check(".pt", api.name_of_ungraft(checkpoint))
    with own_process():
        done = api.ungraft(checkpoint, lossy=lossy, trust=trust, output=delivery.output)
    preview = (f"Would write {done.report().parts[-1]}",)
    delivery.deliver(done, preview=preview, changes={"output": None} if delivery.dry_run else None)
