"""`lska-surgeon autoload`."""

from __future__ import annotations

import click

from ...yolo import autoload as switch
from .. import say


@click.command()
@click.argument("action", type=click.Choice(["on", "off", "status"]))
@click.pass_context
def autoload(ctx: click.Context, action: str) -> None:
    """Let plain `yolo`, and every fresh Python process of this environment, find the LSKA blocks.

    `on` puts one small file into this environment's site-packages and `off` removes it. Nothing that is installed is
    changed, and nothing is loaded until a process imports ultralytics. It also serves the processes that Ultralytics
    starts for training on several GPUs.

    \b
    Examples:
      lska-surgeon autoload on
      lska-surgeon autoload status
      lska-surgeon autoload off
    """
    if action == "on":
        say.line(f"Autoload is on: {switch.enable().path}")
    elif action == "off":
        say.line("Autoload is off" if switch.disable() else "Autoload was off already")
    else:
        found = switch.status()
        if not found.enabled:
            say.line("Autoload is off")
        elif found.working:
            say.line(f"Autoload is on: {found.path}")
        else:
            say.line(f"Autoload is on, but a fresh Python does not find lska_surgeon: {found.path}")
            ctx.exit(1)
