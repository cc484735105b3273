"""Rules that look at one row at a time, or at what stands beside the rows; they know no wiring."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

from ..core.blocks import STOCK, BlockTable, scale_numbers
from ..core.graph import NO_HEAD, Layer, scaling_of, yolov5_problem
from ..core.operators import is_like_attention, read_attention, read_row_of_users
from ..core.shapes import custom_row_problem, settings_problems, size_problem, width_problem
from ..errors import GraphError, KernelError, UnknownOperatorError
from ..installed.names import constructor, parsed_names, torch_activations, torch_layers
from ..modelfile.document import BAD_ROW, format_value
from ..wording import clean
from ..wording import numbers as listed
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .known import is_slip, is_stock_but_not_parsed, is_unknown, nearest

_ANOTHER_NUMBER = re.compile(r"[ \t]+\d")
#: What rows take from beside them, and stock models have there.
_SETTINGS = {"nc": "80", "kpt_shape": "[17, 3]"}


def bad_rows(subject: Context) -> Iterator[Finding]:
    """A row has four columns."""
    for error in subject.bad_rows:
        if error.index is not None:
            yield Finding("", "", error.line, error.index, error.problem)


def head(subject: Context) -> Iterator[Finding]:
    """The last row, which is the output layer, stands under head."""
    if all(layer.section != "head" for layer in subject.layers):
        yield subject.of_setting("head", f"the file {NO_HEAD}")


def sizes(subject: Context) -> Iterator[Finding]:
    """Its repeats, its width and its inputs' make a layer, at each scale."""
    for layer in subject.corrected_layers:
        problems = [size_problem(layer, scaling) for scaling in subject.scalings]
        problems += [width_problem(layer, shapes) for shapes in subject.shapes_by_scale.values()]
        problem = next(filter(None, problems), None)
        if problem:
            yield subject.finding(layer.index, problem)


def custom_rows(subject: Context) -> Iterator[Finding]:
    """A row of a custom module is one of what the module is declared like."""
    for layer in subject.layers:
        problem = custom_row_problem(layer, subject.output.index)
        if problem:
            yield subject.finding(layer.index, problem)


def texts(subject: Context) -> Iterator[Finding]:
    """A block that reads a text besides its map has one, which YOLO-World's output layer goes with."""
    output = subject.output
    for layer in subject.layers:
        if not lacks_text(subject, layer):
            continue
        if any(isinstance(arg, (str, bool)) for arg in layer.args[1:3]):
            message = (
                f"{layer.block} has {format_value(layer.args)}: Ultralytics' own block of that name takes [width, "
                f"embedding channels, heads] and reads a text, so this has to be a class of your own"
            )
            yield subject.finding(layer.index, message, "register it before the model is built", severity=WARNING)
        else:
            message = (
                f"{layer.block} reads a text besides its map: it needs [width, embedding channels, heads], such as "
                f"[512, 256, 8], in a network that ends in WorldDetect; found {list(layer.args)} and {output.block}"
            )
            yield subject.finding(layer.index, message)
        return


def lacks_text(subject: Context, layer: Layer) -> bool:
    """Whether a row's block reads a text, in a network whose task model gives none."""
    return layer.kind.reads_text and subject.output.kind.model != "WorldModel"


def of_yolov5s_repository(subject: Context) -> Iterator[Finding]:
    """A file of the YOLOv5 repository, whose output layer takes anchors, is none of the package's."""
    output = subject.output
    message = yolov5_problem(output.block, output.args)
    if message:
        own = [str(arg) for arg in output.args if arg != "anchors"]
        yield subject.finding(output.index, message, f"write [{', '.join(own)}], and drop the key anchors")


def settings(subject: Context) -> Iterator[Finding]:
    """What stands beside the rows can be read, is of its type, and is there where the output layer takes it."""
    for error in subject.bad_rows:
        if error.index is None:
            yield Finding("", "", error.line, None, error.problem)
    document, output = subject.document, subject.output
    for key, problem in settings_problems(document.settings):
        yield subject.of_setting(key, problem)
    for key, example in _SETTINGS.items():
        if key in output.args and key not in document.settings and not subject.bad_rows:
            message = f"{output.block} takes {key}, and the file has no such key"
            suggestion = f"write {key}: {example} beside the rows, or what your data have"
            yield subject.finding(output.index, message, suggestion)


def scale(subject: Context) -> Iterator[Finding]:
    """The scale that the file's name asks for is there; a warning where its numbers are not what the parser takes."""
    document, asked = subject.document, subject.source.scale
    if not document.settings.get("scales"):
        return
    if document.scales and asked and asked not in document.scales:
        message = f"the name {subject.source.name} asks for scale {asked}, and scales has {', '.join(document.scales)}"
        yield subject.of_setting("scales", message, "rename the file, or add the entry")
        return
    try:
        for letter in subject.letters:
            scaling_of(document.settings, letter)
    except GraphError as error:
        yield subject.of_setting("scales", str(error))
        return
    names = scale_numbers()
    for letter, entry in document.settings["scales"].items():
        if isinstance(entry, list) and len(entry) != len(names):
            message = f"scale {letter} is {entry}: the installed ultralytics takes [{', '.join(names)}]"
            other = "and refuses more; right for a fork that reads them" if len(entry) > len(names) else "and needs all"
            yield subject.of_setting("scales", f"{message}, {other}", severity=WARNING)
            return


def comments(subject: Context) -> Iterator[Finding]:
    """The number in an index comment is the row's index.

    Comments that are stale may be the last that tells what an author meant, so they are corrected together with the
    sources, and only where they surely tell the same edit. Those that are stale by as much are one finding.
    """
    document, renumbered = subject.document, subject.verdict.renumber
    numbers: dict[int, int] = {}
    for layer in subject.layers:
        number, span = document.comment_index(layer.index) or (layer.index, None)
        if layer.map is not None and layer.index <= number < layer.index + len(layer.blocks[layer.block].packed):
            continue
        # A number larger than any index is a width or a size, and so is the first of several.
        if number <= len(subject.layers) + 9 and span and not _ANOTHER_NUMBER.match(document.text, span.end):
            numbers[layer.index] = number
    times = Counter(numbers.values())
    stale: dict[int, list[int]] = {}
    for index, number in numbers.items():
        if number != index and times[number] == 1:  # what several rows have is the number of a stage
            stale.setdefault(index - number, []).append(index)
    for offset, (index, *others) in stale.items():
        message = f"the comment says {index - offset}, the row's index is {index}"
        if others:
            theirs = "that of row {} is" if len(others) == 1 else "those of rows {} are"
            by = f"too {'low' if offset > 0 else 'high'} by {abs(offset)}"
            message += f", and {theirs.format(listed(others))} {by} as well"
        fixes = (Correction(row, None, row) for row in (index, *others) if renumbered)
        yield subject.finding(index, message, f"write {listed([index, *others])}", *fixes)


def modules(subject: Context) -> Iterator[Finding]:
    """A block's name is known; each name is reported once.

    A name that is surely misspelt is an error, and so is a path in its place. The others are one warning: they may be
    classes of the user's own that are put into Ultralytics before the model is built.
    """
    unknown = []
    yield from _without_file(subject)
    first = {layer.block: layer.index for layer in reversed(subject.layers) if not _is_as_inserted(layer)}
    for block, index in first.items():
        if block == BAD_ROW or (subject.unsaid_backbone and index <= subject.unsaid_backbone.index):
            continue  # rules `row` and `source` report those
        prefix, _, name = block.rpartition(".")
        if prefix not in ("", "nn", "torchvision.ops"):
            message = (
                f"there is no module {block}: a block is one name, with nothing but nn. or torchvision.ops. before it"
            )
            yield subject.finding(index, message, f"write {name}")
        elif is_unknown(subject.layers[index].kind):
            finding = _unknown(subject, index, block)
            if finding:
                yield finding
            else:
                unknown.append((index, block))
    if unknown:
        names, them, declarations = ", ".join(block for _, block in sorted(unknown)), "it", "its declaration"
        if len(unknown) > 1:
            them, declarations = "they", "their declarations"
        file = clean("FILE" if subject.source.is_stdin else subject.source.name)
        message = f"the installed ultralytics knows no block {names}"
        suggestion = f"{them} must be registered before the model is built; lska-surgeon blocks {file} drafts "
        yield subject.finding(min(unknown)[0], message, f"{suggestion}{declarations}", severity=WARNING)


def _without_file(subject: Context) -> Iterator[Finding]:
    """Blocks that are declared as a class in a file that is not there; a warning, for it may be somewhere else."""
    declared = subject.document.blocks.declarations
    for block, index in {layer.block: layer.index for layer in reversed(subject.layers)}.items():
        file, _, _ = declared.blocks[block].target.partition(":") if block in declared.blocks else ("", "", "")
        if declared.path and file.endswith(".py") and not (declared.path.parent / file).is_file():
            message = f"{declared.path.name} declares {block} as {clean(declared.blocks[block].target)}"
            suggestion = f"there is no {clean(file)} beside it: put it there, or mend blocks.{block}.class"
            yield subject.finding(index, message, suggestion, severity=WARNING)


def _is_as_inserted(layer: Layer) -> bool:
    """Whether a row is as `insert --op` writes it; what it names is then as known as LSKA is."""
    operator = read_row_of_users(layer)
    return operator is not None and operator.row_args == layer.args


def _unknown(subject: Context, index: int, block: str) -> Finding | None:
    """What is known of a block that can't be built here; None for nothing."""
    message = f"the installed ultralytics knows no block {block}"
    near = nearest(block)
    if near and is_slip(block, near):
        return subject.finding(index, message, f"write {near}")
    if is_stock_but_not_parsed(block):
        message = f"plain ultralytics' parser does not know {block}, though ultralytics.nn.modules has it"
        return subject.finding(index, message, "lska-surgeon yolo, train and autoload register it", severity=WARNING)
    if is_like_attention(subject.layers[index].kind):
        message = f"what {block} does is not known: people call more than one block by such a name"
    elif near is None or not _differ_in_small_letters(block, near):
        return None
    hint = f"; the nearest name is {near}" if near else ""
    file = clean("FILE" if subject.source.is_stdin else subject.source.name)
    declare = f"lska-surgeon blocks {file} drafts its declaration"
    suggestion = f"it must be registered before the model is built{hint}; {declare}"
    return subject.finding(index, message, suggestion, severity=WARNING)


def _differ_in_small_letters(name: str, known: str) -> bool:
    """Whether a name may be another one misspelt: people name modules of their own with capitals and digits."""
    from difflib import SequenceMatcher  # here, for only an error needs it

    opcodes = SequenceMatcher(None, name, known).get_opcodes()
    return all(
        (name[a:b] + known[c:d]).isalpha() and (name[a:b] + known[c:d]).islower()
        for what, a, b, c, d in opcodes
        if what != "equal"
    )


def kernels(subject: Context) -> Iterator[Finding]:
    """A warning for a name that means something else in other people's files."""
    for layer in subject.layers:
        try:
            read_attention(layer)
        except KernelError as error:
            severity = WARNING if isinstance(error, UnknownOperatorError) else ERROR
            yield subject.finding(layer.index, str(error), severity=severity)


def activations(subject: Context) -> Iterator[Finding]:
    """`activation` is Python that makes a layer, such as nn.ReLU().

    An error where it makes none, a warning where it makes more than one layer of torch's with literal arguments.
    """
    document = subject.document
    text = document.settings.get("activation")
    problem = activation_problem(text, document.blocks) if isinstance(text, str) and text else None
    if problem is not None:
        severity, message, fixed = problem
        is_sure = severity == ERROR and fixed is not None and document.value_span("activation") is not None
        fixes = (Correction(None, None, fixed, setting="activation"),) if is_sure else ()
        suggestion = f"write {fixed}" if fixed else None
        yield subject.of_setting("activation", message, suggestion, *fixes, severity=severity)


def activation_problem(text: str, blocks: BlockTable = STOCK) -> tuple[str, str, str | None] | None:
    """Severity, what is wrong, and what to write in its place, or None for that; None where it makes a layer.

    Ultralytics evaluates the text, in a module that knows `nn`, `torch`, and its own blocks by their names; here it is
    read, and nothing is run.
    """
    written = f"activation is {clean(text, 60)}, "
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ERROR, f"{written}which is no Python", None
    called = node.func if isinstance(node, ast.Call) else node
    prefix, _, name = _dotted(called).rpartition(".")
    if not name or not _is_literal(node):
        return WARNING, f"{written}which is not one layer with plain arguments: nothing here builds it", None
    is_layer = _is_layer(prefix, name, blocks)
    fixed = None if is_layer and isinstance(node, ast.Call) else _fixed(prefix, name, is_layer, node)
    if not isinstance(node, ast.Call):
        return ERROR, f"{written}which is a name and no layer", fixed
    if is_layer:
        return None
    if not prefix and fixed is None:
        return WARNING, f"{written}which must be known to ultralytics before the model is built", None
    return ERROR, f"{written}which is no layer", fixed


def _fixed(prefix: str, name: str, is_layer: bool, node: ast.expr) -> str | None:
    """The layer that was meant, with the arguments that are given."""
    if is_layer:
        meant = f"{prefix}.{name}" if prefix else name
    else:
        by_letters = {known.lower(): known for known in sorted(torch_activations() or ())}
        known = by_letters.get(name.lower().replace("_", ""))
        meant = f"nn.{known}" if known else ""
    given = ast.unparse(node)[len(ast.unparse(node.func)) :] if isinstance(node, ast.Call) else "()"
    wanted = constructor(meant.removeprefix("torch."))
    is_short = wanted is not None and wanted.required > 0 and given == "()"
    return f"{meant}{given}" if meant and not is_short else None


def _is_layer(prefix: str, name: str, blocks: BlockTable) -> bool:
    """Whether there is such a layer; so too where that is not known."""
    if prefix:
        layers = torch_layers() if prefix in ("nn", "torch.nn") else frozenset[str]()
        return layers is None or name in layers
    known = parsed_names()
    return known is None or name in known or blocks.custom(name) is not None


def _dotted(node: ast.expr) -> str:
    """`nn.ReLU`; empty for what is no name."""
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def _is_literal(node: ast.expr) -> bool:
    """Whether all arguments of a call are literals; so for what is no call."""
    given = [*node.args, *(keyword.value for keyword in node.keywords)] if isinstance(node, ast.Call) else []
    try:
        return all(ast.literal_eval(argument) is not ... for argument in given)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
