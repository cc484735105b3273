"""What a shell offers for a word that is being typed; it knows names only, for each press of a key starts a process."""

from __future__ import annotations

import re
from glob import escape
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ..core.operators import PAPER_DILATIONS, all_ops
from ..core.positions import NAMES
from ..declarations.find import find_blocks
from ..errors import SurgeonError
from ..modelfile.sources import find_source, stock_models

_SCALES = re.compile(r"^scales:(.*?)^\S", re.MULTILINE | re.DOTALL)
_LETTER = re.compile(r"^[ \t]+([nslmx]):", re.MULTILINE)
_FAMILY = re.compile(r"yolo(?:e-)?v?\d+")


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Stock models, with their scales as soon as something is typed, and files.

    Shells complete files on their own, but not beside other words; so where both match, the files are listed here.
    """
    stock = _stock_names(incomplete)
    if not stock:
        return files(ctx, param, incomplete)
    here = [f"{path}/" if path.is_dir() else str(path) for path in sorted(Path().glob(f"{escape(incomplete)}*"))]
    found = [name for name in here if name.lower().endswith(("/", ".yaml", ".yml", ".pt")) and name[0] != "."]
    return [CompletionItem(name) for name in dict.fromkeys([*found, *stock])]


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Whatever files the shell offers."""
    return [CompletionItem(incomplete, type="file")]


def positions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names that `--at` takes; behind a colon every model has its own."""
    return [CompletionItem(name) for name in (*NAMES, "after:", "before:", "edge:") if name.startswith(incomplete)]


def operators(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What `--op` takes; of declared blocks those of the working folder."""
    return [CompletionItem(name) for name in all_ops(find_blocks()) if name.startswith(incomplete)]


def kernel_sizes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The paper's kernel sizes; any other odd one needs its dilation too."""
    return [CompletionItem(str(size)) for size in PAPER_DILATIONS if str(size).startswith(incomplete)]


def scales(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The scales of the model that stands on the line; all that there are where none does yet."""
    given = [
        ctx.params.get("base"),
        ctx.params.get("model"),
        *ctx.args,
    ]  # click leaves it in args behind an open option
    letters = next((found for found in map(_letters_of, filter(None, given)) if found), list("nsmlx"))
    return [CompletionItem(letter) for letter in letters if letter.startswith(incomplete)]


def templates(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The templates that ship with the package."""
    from ..recipes.templates import templates as shipped

    return [CompletionItem(one.name, help=one.summary) for one in shipped() if one.name.startswith(incomplete)]


def _letters_of(model: str) -> list[str]:
    try:
        text = find_source(model).path.read_text(encoding="utf-8", errors="replace")
    except (SurgeonError, OSError):
        return []
    scales = _SCALES.search(text)
    return _LETTER.findall(scales[1]) if scales else []


def _stock_names(incomplete: str) -> list[str]:
    found = []
    for name, path in stock_models().items():
        found.append(name)
        if incomplete:
            found += _at_each_scale(name, path, incomplete)
    return sorted(name for name in found if name.startswith(incomplete))


def _at_each_scale(name: str, path: Path, incomplete: str) -> list[str]:
    """`yolov8-seg.yaml` -> `yolov8n-seg.yaml`, ...: the names by which Ultralytics finds the file."""
    family = _FAMILY.match(name)
    if family is None or not incomplete.startswith(family[0][: len(incomplete)]):
        return []
    scales = _SCALES.search(path.read_text(encoding="utf-8", errors="replace"))
    letters = _LETTER.findall(scales[1]) if scales else []
    return [f"{name[: family.end()]}{letter}{name[family.end() :]}" for letter in letters]
