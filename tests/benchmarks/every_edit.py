"""Every stock model, every slot and level, every block that fits: built, run, counted, and given back byte for byte.

Run by hand; it takes hours on one core, goes on where it was stopped, and takes the edits in an order that is random
and always the same, so that whatever is done is a fair sample:

    python tests/benchmarks/every_edit.py FOLDER [--most 500] [--count-each 10]

Of each edit that is not refused, at the model's first scale: Ultralytics builds it, each row gives the width and the
stride that is said here, the whole network runs, `remove` gives the base back, and fvcore counts it, which takes most
of the time: with --count-each, one in so many.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("PYTHONWARNINGS", "ignore")
sys.path.insert(0, str(Path(__file__).parents[1]))

import click
from support import builds

import lska_surgeon as ls
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.core.parts import SLOTS
from lska_surgeon.cost.count import count_source
from lska_surgeon.errors import SurgeonError
from lska_surgeon.modelfile.model import load
from lska_surgeon.modelfile.replace import EditedModel, GraphEdit, plan_changes

SIDE = 256  # of the image; strides up to 128 leave a map
RIGHT = ("right", "right, not counted")
BLOCKS = [block.name for block in STOCK if block.new_args and not block.is_attention]


def wanted() -> list[tuple[str, GraphEdit]]:
    """Every edit that could be asked for."""
    edits = [GraphEdit("replace", slot, block) for slot in SLOTS if slot != "sppf" for block in BLOCKS]
    edits += [GraphEdit(kind, f"p{level}") for kind in ("add", "drop") for level in range(2, 8)]
    found = [(model, edit) for model in builds.MODELS for edit in edits]
    random.Random(0).shuffle(found)
    return found


def outcome(model: str, change: GraphEdit, folder: Path, counted: bool) -> str:
    """`refused`, `right`, `right, not counted`, or what is wrong."""
    try:
        base = load(model)
        edit = plan_changes(base, [change], "-")
    except SurgeonError:
        return "refused"
    try:
        return _problem(edit, folder) or (_uncounted(edit, folder) or RIGHT[0] if counted else RIGHT[1])
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"


def _path(edit: EditedModel, folder: Path) -> Path:
    return folder / edit.base.name.replace("yolo", "its-yolo")


def _problem(edit: EditedModel, folder: Path) -> str | None:
    path = _path(edit, folder)
    path.write_bytes(edit.text.encode("utf-8", "surrogateescape"))
    if ls.remove(path, output="-").text != edit.base.text:
        return "remove gives something else back"
    shapes = edit.variant.shapes
    built = builds.maps_of(builds.parse(path, edit.base.scaling.letter), SIDE)
    for index, (shape, found) in enumerate(zip(shapes, built)):
        pads = "pads" in edit.variant.graph[index].kind.traits  # whose rows are larger than their stride says
        if found and shape.stride and not pads and found != (shape.channels, SIDE / shape.stride):
            return f"row {index} gives {found}, and {shape.channels} at stride {shape.stride:g} were said"
    return None


def _uncounted(edit: EditedModel, folder: Path) -> str | None:
    path = _path(edit, folder)
    cost = count_source(str(path), (SIDE, SIDE), scale=edit.base.scaling.letter)
    return None if cost.params and cost.macs else "costs nothing"


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--most", type=int, help="Stop after so many that fit.")
@click.option("--count-each", type=click.IntRange(1), default=1, help="Count one in so many that fit.")
def main(folder: Path, most: int | None, count_each: int) -> None:
    """Do what is not done yet, then tell what came of all."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "edits.jsonl"
    known = dict(map(json.loads, done.read_text().splitlines())) if done.exists() else {}
    for number, (model, change) in enumerate(wanted()):
        if most is not None and sum(one != "refused" for one in known.values()) >= most:
            break
        name = f"{model}: {change.in_words}"
        if name not in known:
            known[name] = outcome(model, change, folder, number % count_each == 0)
            with done.open("a") as file:
                file.write(json.dumps([name, known[name]]) + "\n")
    counts = Counter(one if one in ("refused", *RIGHT) else "wrong" for one in known.values())
    click.echo(", ".join(f"{number} {what}" for what, number in sorted(counts.items())))
    for name, problem in known.items():
        if problem not in ("refused", *RIGHT):
            click.echo(f"{name}: {problem}")


if __name__ == "__main__":
    main()
