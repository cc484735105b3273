"""`lska-surgeon remove`."""

from __future__ import annotations

import click

from ...api import remove as api
from .. import completion
from ..deliver import Delivery, delivered
from ..options import blocks as with_blocks


@click.command()
@click.argument("variant", shell_complete=completion.files)
@delivered("text", "json", help_of_output="File to write, or - for standard output.")
@with_blocks
def remove(variant: str, delivery: Delivery) -> None:
    """Take LSKA out of the model YAML VARIANT and write the base.

    A file that `insert` wrote gives its base back byte for byte. In a file that people wrote, operator rows go, hosts
    such as SPPF_LSKA become plain again, and every source and index comment is renumbered. VARIANT may be - for
    standard input; then the base goes to standard output unless -o names a file.

    \b
    Example:
      lska-surgeon remove yolov8s-lska-neck-k35.yaml -o yolov8s-base.yaml
    """
    delivery.check(".yaml")
    delivery.deliver(api.remove(variant, output=delivery.output))
