"""The commands on the environment."""

from __future__ import annotations

from typing import Any

import click

from ..api import environment as api
from . import say
from .options import DECLARATION, FORCE, WRITE, Presentation, command, formats


@command(api.blocks, WRITE, DECLARATION, FORCE, *formats("text", "json"), metavars={"source": "[FILE]"})
def blocks(how: Presentation, **asked: Any) -> None:
    """List the blocks that are known here: stock, of lska-surgeon, and declared by you.

    With a model YAML as FILE: its blocks that are not known, as a declaration to paste into lska-surgeon.toml. What
    each is like is guessed from how the rows use it. With a Python file: the same for the layers that it defines. With
    the folder of a fork of Ultralytics: for all blocks that its models have and a release lacks, whose classes --write
    copies beside the declaration, so that a release builds the fork's models. All files are read, and nothing
    is run, unless --trust says so.

    \b
    Examples:
      lska-surgeon blocks
      lska-surgeon blocks yolov8s.yaml
      lska-surgeon blocks my_blocks.py --write
      lska-surgeon blocks my_blocks.py --trust --write
      lska-surgeon blocks path/to/fork --write
    """
    writes = how.write or how.output is not None
    if writes and not asked["source"]:
        raise click.UsageError(
            "--write needs a FILE: a model YAML, a Python file with your classes, or the folder of a fork"
        )
    inventory = api.blocks(**asked)
    report = inventory.report()
    if writes:
        how.tell(report.notes)
        kept = "" if how.force else inventory.kept(how.output)
        if kept:
            say.note(kept)
        say.line(f"Wrote {inventory.write(how.output, force=how.force)}{inventory.copied}", err=how.form == "json")
    if how.form == "json" or not writes:
        how.show(report)


@command(api.run_yolo, context_settings={"ignore_unknown_options": True, "help_option_names": []})
def yolo(how: Presentation, words: tuple[str, ...]) -> int:
    """Run Ultralytics' own command, `yolo WORDS`, with the LSKA blocks registered.

    Everything after `yolo` is Ultralytics' to read; `lska-surgeon yolo` alone shows its help. Blocks of your own are
    known by the nearest lska-surgeon.toml, or by the file that $LSKA_SURGEON_BLOCKS names.

    \b
    Example:
      lska-surgeon yolo detect train model=yolov8s-lska-neck-k35.yaml data=coco8.yaml epochs=1
    """
    if words in (("-h",), ("--help",)):
        say.report(click.get_current_context().get_help())
        return 0
    return api.run_yolo(words, warn=say.note)


@command(api.autoload)
def autoload(how: Presentation, action: Any) -> int:
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
    status = api.autoload(action)
    how.show(status.report())
    return int(status.enabled and not status.working)


@command(api.doctor, *formats("text", "json", "md"), metavars={"models": "[MODEL|DIR]..."})
def doctor(how: Presentation, **asked: Any) -> int:
    """Show the versions of what is installed here, and the known traps of this environment with their remedies.

    Such as a torchvision that does not match torch, an Ultralytics that calls what NumPy or torch have no longer, a
    module that a fork lacks, or a settings folder that can't be written. Exit code 1 when there is a trap.

    With --try, every step is tried with each MODEL: positions, check, build, flops, insert, graft, train, resume,
    export, ungraft; in a temporary folder, with a few images that are made there, and without a network. Each is
    right, refused with a reason, unable (Ultralytics can't do it without lska-surgeon either), or wrong, which gives
    exit code 1. It takes about a minute for each model.

    \b
    Examples:
      lska-surgeon doctor
      lska-surgeon doctor --try
      lska-surgeon doctor --try my-network.yaml
    """
    diagnosis = api.doctor(**asked, tell=lambda one: say.line(f"{one.model}: {one.step} {one.result}", err=True))
    how.show(diagnosis.report())
    return int(bool(diagnosis.traps or diagnosis.wrong))
