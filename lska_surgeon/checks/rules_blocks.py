"""Rules about a row's block and what it is given: names, kernels, texts, activations; they know no wiring."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.attention import is_like_attention, read_attention
from ..core.graph import Layer, yolov5_problem
from ..core.operators import read_row_of_users
from ..core.shapes import custom_row_problem
from ..errors import KernelError, UnknownOperatorError
from ..modelfile.document import BAD_ROW
from ..modelfile.text import line_number
from ..wording import clean
from .activation import activation_problem
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .known_blocks import is_slip, is_stock_but_not_parsed, is_unknown, nearest

_PREFIXES = ("nn", "torchvision.ops")


def modules(subject: Context) -> Iterator[Finding]:
    """Rule `module`: a block's name is known; each name is told once.

    A name that is surely misspelt is an error, and so is a path in its place. Any other is a warning: it may be a class
    of the user's own that is put into Ultralytics before the model is built.
    """
    first = {layer.block: layer.index for layer in reversed(subject.layers) if not _is_as_inserted(layer)}
    packed = subject.packed_row
    for block, index in first.items():
        if block == BAD_ROW or (packed is not None and index <= packed):
            continue  # rules `row` and `source` tell those
        prefix, _, name = block.rpartition(".")
        if prefix and prefix not in _PREFIXES:
            message = (
                f"there is no module {block}: a block is one name, with nothing but nn. or torchvision.ops. before it"
            )
            yield subject.finding(ERROR, "module", index, message, f"write {name}")
        elif is_unknown(subject.layers[index].kind):
            yield _unknown(subject, index, block)


def _is_as_inserted(layer: Layer) -> bool:
    """Whether a row is as `insert --op` writes it; what it names is then as known as LSKA is."""
    operator = read_row_of_users(layer)
    return operator is not None and operator.row_args == layer.args


def _unknown(subject: Context, index: int, block: str) -> Finding:
    message = f"the installed ultralytics knows no block {block}"
    near = nearest(block)
    if near and is_slip(block, near):
        return subject.finding(ERROR, "module", index, message, f"write {near}")
    if is_stock_but_not_parsed(block):
        message = f"plain ultralytics' parser does not know {block}, though ultralytics.nn.modules has it"
        return subject.finding(WARNING, "module", index, message, "lska-surgeon yolo, train and autoload register it")
    if is_like_attention(subject.layers[index].kind):
        message = f"what {block} does is not known: people call more than one block by such a name"
    hint = f"; the nearest name is {near}" if near else ""
    file = "FILE" if subject.source.is_stdin else subject.source.name
    declare = f"lska-surgeon blocks {clean(file)} drafts its declaration"
    return subject.finding(
        WARNING, "module", index, message, f"it must be registered before the model is built{hint}; {declare}"
    )


def declared_rows(subject: Context) -> Iterator[Finding]:
    """Rule `row`: a row of a block that the user declares is one of what the block is like."""
    for layer in subject.layers:
        problem = custom_row_problem(layer, len(subject.layers) - 1)
        if problem:
            yield subject.finding(ERROR, "row", layer.index, problem)


def kernels(subject: Context) -> Iterator[Finding]:
    """Rule `kernel`: an operator's numbers make an operator.

    A warning for a name that means something else in other people's files.
    """
    for layer in subject.layers:
        try:
            read_attention(layer)
        except KernelError as error:
            severity = WARNING if isinstance(error, UnknownOperatorError) else ERROR
            yield subject.finding(severity, "kernel", layer.index, str(error))


def texts(subject: Context) -> Iterator[Finding]:
    """Rule `row`: a block that reads a text besides its map has one, which YOLO-World's output layer goes with."""
    output = subject.output.block
    for layer in subject.layers:
        if layer.block == "C2fAttn" and output != "WorldDetect":
            message = (
                "C2fAttn reads a text besides its map: it needs [width, embedding channels, heads], such as "
                f"[512, 256, 8], in a network that ends in WorldDetect; found {list(layer.args)} and {output}"
            )
            yield subject.finding(ERROR, "row", layer.index, message)
            return


def of_yolov5s_repository(subject: Context) -> Iterator[Finding]:
    """Rule `row`: a file of the YOLOv5 repository, whose output layer takes anchors, is none of the package's."""
    output = subject.output
    message = yolov5_problem(output.block, output.args)
    if message:
        own = [str(arg) for arg in output.args if arg != "anchors"]
        yield subject.finding(
            ERROR, "row", output.index, message, f"write [{', '.join(own)}], and drop the key anchors"
        )


def activations(subject: Context) -> Iterator[Finding]:
    """Rule `setting`: `activation` is Python that makes a layer, such as nn.ReLU().

    An error where it makes none, a warning where it makes more than one layer of torch's with literal arguments.
    """
    document = subject.document
    text = document.settings.get("activation")
    problem = activation_problem(text, subject.blocks) if isinstance(text, str) and text else None
    if problem is None:
        return
    severity, message, right = problem
    line = line_number(document.text, document.setting_span("activation").start)
    is_sure = severity == ERROR and right is not None and document.value_span("activation") is not None
    fixes = (Correction(None, None, right, setting="activation"),) if is_sure else ()
    yield Finding(severity, "setting", line, None, message, f"write {right}" if right else None, fixes)
