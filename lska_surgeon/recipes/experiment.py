"""How a recipe says that its variants are trained and compared; it opens no file and knows no Ultralytics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..wording import did_you_mean
from ..yaml_nodes import Node
from .fields import YamlFields, names_in_braces

FIELDS = ("train", "seeds", "controls", "latency", "labels")
CONTROLS = ("base", "larger")
SCRATCH = "scratch"
#: How operators start in a checkpoint.
IDENTITY, DEFAULT = INITS = ("identity", "default")
#: Fields of a start's name: the base with its scale, and that letter.
START_FIELDS = ("base", "scale")
DEFAULT_SEEDS = (0, 1, 2)
#: Ultralytics' arguments that a recipe says elsewhere, and where.
ELSEWHERE = {
    "seed": "the seeds stand in `seeds`, beside `train`",
    "model": "the models are what the recipe's matrix asks for",
    "pretrained": "what a training starts from stands in `start`",
    "device": "the devices are given when it is started: lska-surgeon ablate --devices 0,1",
    **dict.fromkeys(("task", "mode"), "the model says it"),
    **dict.fromkeys(("project", "name", "save_dir", "exist_ok"), "each cell has a folder of its own"),
    **dict.fromkeys(("resume", "save"), "every training goes on where it stopped"),
}


@dataclass(frozen=True)
class Experiment:
    """How the variants of a recipe are trained and compared.

    Attributes:
        data: data YAMLs (for classifiers folders), as written; with several, every variant is trained on each.
        start: "scratch", or the checkpoint that each variant is grafted into; {base} and {scale} are fields.
        init: how operators start in that checkpoint, "identity" or "default", at their random weights.
        arguments: Ultralytics' own arguments, by name.
        seeds: one training of each variant for each.
        larger: whether the next larger scale of each base is trained too.
        latency: whether the results say that latency is to be measured, where it was not.
        labels: network, data or family of networks -> what tables and figures call it.
        lines: field -> line, from 1, for messages about what is found out later.
    """

    data: tuple[str, ...]
    start: str
    init: str
    arguments: Mapping[str, Any]
    seeds: tuple[int, ...] = DEFAULT_SEEDS
    larger: bool = False
    latency: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def needs_identity(self) -> bool:
        """Whether operators have to start as the identity, which those that are not the paper's do behind a gate."""
        return self.start != SCRATCH and self.init == IDENTITY


def read_experiment(reader: YamlFields, root: Node, fields: Mapping[str, Node]) -> Experiment | None:
    """The experiment of a recipe; None where it has no `train`.

    Raises:
        RecipeError: an error in one of the fields, or some of them without `train`.
    """
    given = [name for name in FIELDS if name in fields]
    if "train" not in fields:
        if given:
            raise reader.bad(fields[given[0]], given[0], "it belongs to a training: add train: {data: FILE.yaml}")
        return None
    train = fields["train"]
    arguments = _arguments(reader, train)
    if "data" not in arguments:
        raise reader.bad(train, "train", "it needs data, such as data: my-data.yaml")
    lines = {name: fields[name].start_mark.line + 1 for name in given}
    lines.update({f"train.{name}": node.start_mark.line + 1 for name, node in arguments.items()})
    controls = _controls(reader, fields["controls"]) if "controls" in fields else ()
    start = _start(reader, arguments.pop("start")) if "start" in arguments else SCRATCH
    return Experiment(
        data=_distinct(reader, arguments.pop("data"), "train.data"),
        start=start,
        init=_init(reader, arguments.pop("init"), start) if "init" in arguments else IDENTITY,
        arguments={name: _value(reader, node, f"train.{name}") for name, node in arguments.items()},
        seeds=_seeds(reader, fields["seeds"]) if "seeds" in fields else DEFAULT_SEEDS,
        larger="larger" in controls,
        latency=reader.boolean(fields["latency"], "latency") if "latency" in fields else False,
        labels=_labels(reader, fields["labels"]) if "labels" in fields else {},
        lines=lines,
    )


def _arguments(reader: YamlFields, node: Node) -> dict[str, Node]:
    arguments = reader.open_mapping(node, "train", "data, epochs, imgsz")
    for name, value in arguments.items():
        if name in ELSEWHERE:
            raise reader.bad(value, f"train.{name}", f"it has no place here: {ELSEWHERE[name]}")
        if not name.isidentifier():
            raise reader.bad(value, "train", f"{name!r} is no argument of Ultralytics")
    return arguments


def _value(reader: YamlFields, node: Node, field: str) -> Any:
    """An argument as Ultralytics takes it: a number, a word, a flag, or a list of those."""
    value = reader.value(node, field)
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, (bool, int, float, str)) for part in parts):
        raise reader.bad(node, field, "it is a number, a word, true or false, or a list of those")
    return value


def _distinct(reader: YamlFields, node: Node, field: str) -> tuple[str, ...]:
    words = reader.words(node, field)
    for word, item in zip(words, reader.items(node)):
        if words.count(word) > 1:
            raise reader.bad(item, field, f"it has {word} twice: keep one")
    return tuple(words)


def _start(reader: YamlFields, node: Node) -> str:
    text = reader.word(node, "train.start")
    try:
        named = names_in_braces(text)
        plain = text.format(**dict.fromkeys(START_FIELDS, "x"))
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise reader.bad(node, "train.start", _NO_FIELD.format(text)) from error
    if not set(named) <= set(START_FIELDS):
        raise reader.bad(node, "train.start", _NO_FIELD.format(text))
    if text != SCRATCH and not plain.endswith(".pt"):
        raise reader.bad(node, "train.start", f"{text!r} is neither scratch nor a checkpoint, FILE.pt")
    return text


_NO_FIELD = "{!r} has braces that can't be read: fields are {{base}}, {{scale}}"


def _init(reader: YamlFields, node: Node, start: str) -> str:
    text = reader.word(node, "train.init")
    if text not in INITS:
        raise reader.bad(
            node, "train.init", f"no init {text!r}{did_you_mean(text, INITS)}: there are {', '.join(INITS)}"
        )
    if start == SCRATCH:
        raise reader.bad(
            node, "train.init", "it says how operators start in a checkpoint: write start: FILE.pt, or drop it"
        )
    return text


def _seeds(reader: YamlFields, node: Node) -> tuple[int, ...]:
    items = reader.sequence(node, "seeds", "it is a list of whole numbers, such as [0, 1, 2]")
    seeds = [reader.number(item, "seeds") for item in items]
    for seed, item in zip(seeds, items):
        if seed < 0:
            raise reader.bad(item, "seeds", f"{seed} is below 0")
        if seeds.count(seed) > 1:
            raise reader.bad(item, "seeds", f"it has {seed} twice: keep one")
    if not seeds:
        raise reader.bad(node, "seeds", "the list is empty")
    return tuple(seeds)


def _labels(reader: YamlFields, node: Node) -> dict[str, str]:
    labels = reader.open_mapping(node, "labels", "yolov8s-lska-neck-k7: neck, 7")
    return {name: reader.word(value, "labels") for name, value in labels.items()}


def _controls(reader: YamlFields, node: Node) -> tuple[str, ...]:
    controls = _distinct(reader, node, "controls")
    for name, item in zip(controls, reader.items(node)):
        if name not in CONTROLS:
            raise reader.bad(item, "controls", f"no control {name!r}: there are {', '.join(CONTROLS)}")
    return controls
