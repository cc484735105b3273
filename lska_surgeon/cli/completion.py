"""What a shell offers for a word that is being typed; it knows names only, for each press of a key starts a process."""

from __future__ import annotations

import re
from glob import escape
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ..api.verb import listed
from ..core.operators import PAPER_DILATIONS, all_ops
from ..core.parts import NAMES
from ..declarations.find import find_blocks
from ..errors import SurgeonError
from ..modelfile.sources import find_source, stock_models

_SCALES = re.compile(r"^scales:(.*?)^\S", re.MULTILINE | re.DOTALL)
_SCALE = re.compile(r"^[ \t]+([nslmx]):", re.MULTILINE)
_FAMILY = re.compile(r"yolo(?:e-)?v?\d+")


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Stock models, with their scales as soon as something is typed, and files.

    Shells complete files on their own, but not beside other words; so where both match, the files are listed here.
    """
    stock = _stock_names(incomplete)
    if not stock:
        return files(ctx, param, incomplete)
    here = [f"{path}/" if path.is_dir() else str(path) for path in sorted(Path().glob(f"{escape(incomplete)}*"))]
    matching = [name for name in here if name.lower().endswith(("/", ".yaml", ".yml", ".pt")) and name[0] != "."]
    return [CompletionItem(name) for name in dict.fromkeys([*matching, *stock])]


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
    named = [model for name in ("base", "model", "into") for model in listed(ctx.params.get(name))]
    of_models = filter(None, map(_scales_of, filter(None, [*named, *ctx.args])))  # in args behind an open option
    return [CompletionItem(scale) for scale in next(of_models, list("nsmlx")) if scale.startswith(incomplete)]


def templates(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The templates that ship with the package."""
    from ..recipes.templates import templates as shipped

    return [CompletionItem(one.name, help=one.summary) for one in shipped() if one.name.startswith(incomplete)]


def _scales_of(model: str) -> list[str]:
    try:
        text = find_source(model).path.read_text(encoding="utf-8", errors="replace")
    except (SurgeonError, OSError):
        return []
    scales = _SCALES.search(text)
    return _SCALE.findall(scales[1]) if scales else []


def _stock_names(incomplete: str) -> list[str]:
    names = []
    for name, path in stock_models().items():
        names.append(name)
        if incomplete:
            names += _at_each_scale(name, path, incomplete)
    return sorted(name for name in names if name.startswith(incomplete))


def _at_each_scale(name: str, path: Path, incomplete: str) -> list[str]:
    """`yolov8-seg.yaml` -> `yolov8n-seg.yaml`, ...: the names by which Ultralytics finds the file."""
    family = _FAMILY.match(name)
    if family is None or not incomplete.startswith(family[0][: len(incomplete)]):
        return []
    scales = _SCALES.search(path.read_text(encoding="utf-8", errors="replace"))
    letters = _SCALE.findall(scales[1]) if scales else []
    return [f"{name[: family.end()]}{scale}{name[family.end() :]}" for scale in letters]
