"""Rules about who reads whom, and whether the levels of what is read fit together; they know no row's arguments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from ..core.graph import IMAGE, MAY_BE_ATTENTION, consumers_of
from ..core.parts import packed_problem
from ..core.shapes import stride_ratio
from ..wording import counted, numbers
from .alignment import input_shapes
from .context import Context
from .findings import ERROR, WARNING, Correction, Finding
from .wiring.network import Slot

#: How many readings a person is shown to choose from.
MOST_CHOICES = 3
#: From as many on, rows of one block that read around rows of another do so on purpose: at each level alike.
MANY_ARE_MEANT = 3
#: A term that a row may break -> how that is told of one of its numbers.
_BROKEN = {
    "twice": "the row reads it twice",
    "clash": "its stride is not that of the other inputs",
    "named_clash": "its stride is not that of the other inputs",
    "output_clash": "the strides of the inputs do not double",
    "output_inside": "it is not the end of a level",
    "reads_fusion": "the block behind it refines it",
    "reads_upsample": "it is on its way to the next fusion",
}
#: The same where it breaks none by itself.
_OTHERWISE = "all other numbers together speak for another source"
#: What `insert` writes behind an operator that one consumer alone is to read.
_FOR_ONE_CONSUMER = re.compile(r"#.*\b(?:head|before|edge)\b")


def sources(subject: Context) -> Iterator[Finding]:
    """A warning for a backbone in one row, which the numbers count as several."""
    verdict, unsaid = subject.verdict, subject.unsaid_backbone
    if unsaid is not None:
        yield subject.finding(unsaid.index, packed_problem(unsaid), severity=WARNING)
    for layer in subject.layers:
        if not layer.raw_sources:
            yield subject.finding(layer.index, f"{layer.block} {layer.problem()}")
        for slot, number in enumerate(layer.raw_sources):
            place, problem = (layer.index, slot), replace(layer, frm=number).problem()
            if place in verdict.fixes:
                yield _wrong(subject, place, problem)
            elif place in verdict.wrong:
                yield _undecided(subject, place, problem)
            elif problem:
                yield subject.finding(layer.index, f"{layer.block} {problem}")


def _wrong(subject: Context, place: Slot, problem: str | None) -> Finding:
    row, slot = place
    layer, right = subject.layers[row], subject.verdict.fixes[place]
    story = _story(subject, place)
    because = "" if story == _OTHERWISE else f" ({story})"
    message = (
        f"{layer.block} {problem}{because}"
        if problem
        else f"{layer.block} reads {subject.named(layer.sources[slot])}: {story}"
    )
    suggestion = f"write {right} ({subject.layers[right].block})"
    return subject.finding(row, message, suggestion, Correction(row, slot, right))


def _undecided(subject: Context, place: Slot, problem: str | None) -> Finding:
    """A number that is wrong in every likely reading, where these differ in what it should be."""
    row, slot = place
    layer = subject.layers[row]
    reads = f"{layer.block} reads {subject.named(layer.sources[slot])}"
    message = f"{layer.block} {problem}" if problem else f"{reads}: {_what_is_broken(subject, place)}"
    choices = dict.fromkeys(reading.wiring[row][slot] for reading in subject.verdict.rivals[:MOST_CHOICES])
    listed = " or ".join(f"{choice} ({subject.layers[choice].block})" for choice in choices)
    return subject.finding(row, message, f"write {listed}" if choices else None)


def _story(subject: Context, place: Slot) -> str:
    """Why a number is wrong, by the reading that explains all numbers best."""
    best = subject.verdict.best
    story = best.story if best and best.story and place in best.old and len(best.old) > 1 else None
    if best is None or story is None:
        return _what_is_broken(subject, place)
    edit = story.edit
    if edit.inserted:
        blocks = ", ".join(dict.fromkeys(subject.layers[row].block for row in edit.inserted))
        rows, were = ("row", "was") if len(edit.inserted) == 1 else ("rows", "were")
        return f"the number dates from before {rows} {numbers(edit.inserted)} ({blocks}) {were} inserted"
    if edit.gone:
        went = f"{counted(edit.gone[0], 'row')} behind row {edit.gone[1] - 1}"
        return f"the number dates from before {went} {'was' if edit.gone[0] == 1 else 'were'} removed"
    if edit.head:
        more = "longer" if edit.head > 0 else "shorter"
        return f"the head was written for a backbone that is {counted(abs(edit.head), 'row')} {more}"
    if edit.evidence == "stock" and subject.alignment:
        return f"it is {subject.alignment.stock.name}'s number, from before rows were inserted or removed"
    return "the number counts rows as the stale comments do"


def _what_is_broken(subject: Context, place: Slot) -> str:
    broken = {term for term, where, _ in subject.verdict.broken if where == place[0]}
    right = subject.verdict.fixes.get(place)
    if right is not None and not subject.consumers.get(right):
        return f"nobody would read {subject.named(right)}"
    return next(
        (words for term, words in _BROKEN.items() if term in broken),
        _OTHERWISE,
    )


def bypass(subject: Context) -> Iterator[Finding]:
    """Attention that is read around, where neither a comment says nor a pattern that it is for one consumer alone."""
    findings = list(_bypasses(subject))
    kinds = Counter(kind for kind, _ in findings)
    yield from (finding for kind, finding in findings if kinds[kind] < MANY_ARE_MEANT)


def _bypasses(subject: Context) -> Iterator[tuple[tuple[str, ...], Finding]]:
    """Each, with the consumer's block and those that it reads around."""
    alignment, verdict = subject.alignment, subject.verdict
    for (row, slot), expected in verdict.expected.items():
        reads, layer = subject.layers[row].sources[slot], subject.layers[row]
        around = sorted(index for index in expected.rows if index > reads)
        if alignment is None or (row, slot) in verdict.fixes or reads not in expected.rows or not around:
            continue
        attention = [index for index in around if subject.role(index) in MAY_BE_ATTENTION]
        is_read = all(subject.consumers.get(index) for index in around)
        if is_read and any(not _FOR_ONE_CONSUMER.search(subject.comment(index)) for index in attention):
            message = f"{layer.block} reads {subject.named(reads)} around {' and '.join(map(subject.named, around))}"
            suggestion = f"write {around[-1]} if that is not meant"
            kind = (layer.block, *(subject.layers[index].block for index in around))
            yield kind, subject.finding(row, f"{message}, inserted behind it", suggestion)


def inputs(subject: Context) -> Iterator[Finding]:
    """A warning for the output layer, where a row is unread: with fewer levels on purpose all rows are read.

    Also where it reads one level alone, unless the file says that this was an edit of ours.
    """
    consumers = consumers_of(subject.corrected_layers)
    all_are_read = all(consumers.get(layer.index) for layer in subject.layers[:-1])
    for layer in subject.layers:
        count, usual = len(layer.raw_sources), _usual_inputs(subject, layer.index)
        if usual is None and (not _is_stock_fusion(subject, layer.index) or _may_give_several(subject, layer.sources)):
            continue
        is_meant = layer in subject.outputs and all_are_read and (count > 1 or bool(subject.edits))
        if count < (usual or 2) and not is_meant:
            where = f", where {subject.alignment.stock.name} has {usual}" if subject.alignment and usual else ""
            message = f"{layer.block} has {count} input{'s' if count > 1 else ''}{where}"
            severity = WARNING if layer in subject.outputs else ERROR
            yield subject.finding(layer.index, message, severity=severity)


def _usual_inputs(subject: Context, index: int) -> int | None:
    alignment = subject.alignment
    old = alignment.stock_row.get(index) if alignment and alignment.is_sure else None
    if alignment is None or old is None:
        return None
    same = alignment.stock[old].block == subject.layers[index].block or subject.layers[index] in subject.outputs
    return len(alignment.stock[old].raw_sources) if same else None


def _is_stock_fusion(subject: Context, index: int) -> bool:
    """Whether a row's block joins maps, by Ultralytics' own rules; rule `row` reports custom modules."""
    kind = subject.layers[index].kind
    return kind.is_fusion and kind.custom is None


def _may_give_several(subject: Context, sources: tuple[int, ...]) -> bool:
    """Whether what is read first may give a list of maps, as blocks of other people's do; so too where nothing is."""
    first = sources[0] if sources else IMAGE
    if not 0 <= first < len(subject.layers):
        return True
    return subject.role(first) in ("fuse", "other") and not subject.layers[first].kind.is_fusion


def unread(subject: Context) -> Iterator[Finding]:
    """Every layer but the output layer has a consumer, unless the stock model's has none either."""
    if subject.bad_rows:
        return
    consumers = consumers_of(subject.corrected_layers)
    for layer in subject.layers[:-1]:
        if layer in subject.outputs:
            continue
        if not consumers.get(layer.index) and not _unread_in_stock(subject, layer.index):
            severity = WARNING if layer.kind.same else ERROR
            message = f"nobody reads {subject.named(layer.index)}: it feeds nothing"
            yield subject.finding(layer.index, message, severity=severity)
    if len(subject.outputs) > 1:
        *others, last = subject.outputs
        message = (
            f"{' and '.join(subject.named(layer.index) for layer in others)} stand before the output layer, "
            f"{subject.named(last.index)}: plain Ultralytics trains the last row alone"
        )
        message = message if others[1:] else message.replace(" stand before", " stands before")
        yield subject.finding(others[0].index, message, "right for a fork that trains several", severity=WARNING)


def _unread_in_stock(subject: Context, index: int) -> bool:
    alignment = subject.alignment
    old = alignment.stock_row.get(index) if alignment else None
    return alignment is not None and old is not None and not alignment.stock.consumers(old)


def strides(subject: Context) -> Iterator[Finding]:
    """Wherever strides are known for sure and no wrong number explains them.

    A warning for a fusion of a name that does not say what it does, where the file has it join maps of one stride too.
    """
    for index, (at, usual) in subject.slow_rows.items():
        layer = subject.layers[index]
        written = layer.args[at] if len(layer.args) > at else 1
        message = f"{layer.block} has stride {written}, where {subject.stock_name} has {usual}"
        yield subject.finding(index, message, f"write {usual} in its arguments")
    yield from _changed_strides(subject)
    broken = {(one.row, one.term) for one in subject.verdict.broken}
    rows = [] if subject.slow_rows else list(_known_strides(subject))
    joining = _joining_blocks(subject)
    for index, known in rows:
        layer = subject.corrected_layers[index]
        if layer.kind.is_fusion and len(set(known)) > 1:
            listed = _listed(layer.sources, known)
            message = f"{layer.block} needs one stride, but its inputs have different ones: {listed}"
            yield subject.finding(index, message, _with_stride(subject, index, known[0]))
        elif (index, "named_clash") in broken or ((index, "own_clash") in broken and layer.block in joining):
            message = f"{layer.block} reads {' and '.join(f'stride {stride:g}' for stride in sorted(set(known)))}"
            listed = _listed(layer.sources, known)
            yield subject.finding(index, f"{message}: {listed}", "right if it resizes one of them", severity=WARNING)


def _changed_strides(subject: Context) -> Iterator[Finding]:
    """Rows that change the size of their map otherwise than the stock model's, and so the levels that are read."""
    alignment, shapes = subject.alignment, subject.shapes
    if alignment is None or shapes is None or not alignment.is_sure or subject.slow_rows:
        return
    levels = [shape.stride for shape in input_shapes(subject.corrected_layers[-1], shapes)]
    if None in levels or levels[:1] == alignment.levels[:1]:
        return  # what one row does not do, another does
    usual = alignment.ratios
    for index in sorted(usual):
        layer, stock = subject.layers[index], alignment.stock[alignment.stock_row[index]]
        ratio = stride_ratio(layer) if len(layer.raw_sources) == 1 else None
        if ratio is not None and ratio != usual[index]:
            theirs = f"where {subject.stock_name} has {stock.block} with {_stride_in_words(usual[index])}"
            message = f"{layer.block} has {_stride_in_words(ratio)}, {theirs}: all maps behind it have another size"
            yield subject.finding(index, message, "right if that is meant", severity=WARNING)


def _stride_in_words(ratio: float) -> str:
    return f"stride {ratio:g}" if ratio >= 1 else f"an upsampling by {1 / ratio:g}"


def _joining_blocks(subject: Context) -> set[str]:
    """Blocks of which some row reads several maps that have one stride, as far as is known or guessed."""
    joining = set()
    for layer in subject.corrected_layers if subject.shapes is not None else ():
        strides = {shape.stride for shape in input_shapes(layer, subject.shapes or ())}
        if len(layer.sources) > 1 and len(strides) == 1 and None not in strides:
            joining.add(layer.block)
    return joining


def outputs(subject: Context) -> Iterator[Finding]:
    """Coarse to fine works, and so may heads of other people's that read every level twice."""
    for index, known in [] if subject.slow_rows or subject.verdict.wrong else _known_strides(subject):
        if subject.layers[index] in subject.outputs and known != sorted(set(known)):
            yield from _out_of_order(subject, index, known)


def _known_strides(subject: Context) -> Iterator[tuple[int, list[float]]]:
    """Each row whose inputs' strides are all known for sure and that no wrong number explains, and those strides."""
    explained = {row for row, _ in subject.verdict.wrong}
    for layer in subject.corrected_layers if subject.shapes is not None else ():
        shapes = input_shapes(layer, subject.shapes or ())
        known = [shape.stride for shape in shapes if shape.stride is not None and not shape.guessed]
        if layer.index not in explained and len(known) == len(shapes):
            yield layer.index, known


def _out_of_order(subject: Context, index: int, known: list[float]) -> Iterator[Finding]:
    output = subject.layers[index]
    listed = _listed(output.sources, known)
    message = f"{output.block}'s inputs do not get coarser one by one: their strides are {listed}"
    ours = output.kind.is_output and output.kind.custom is None
    times = {known.count(stride) for stride in known}
    if ours and len(set(known)) > 1 and times != {1} and len(times) == 1:
        message = (
            f"{output.block} reads each level {times.pop()} times: {listed}; plain Ultralytics "
            "trains every input as an output of its own, and predicts with all of them"
        )
        yield subject.finding(index, message, severity=WARNING)
        return
    if len(set(known)) < len(known):
        if ours or len(times) > 1:
            yield subject.finding(index, message, severity=ERROR if ours else WARNING)
        return
    order = [source for _, source in sorted(zip(known, output.sources))]
    suggestion = f"write [{', '.join(map(str, order))}]"
    if not ours or known == sorted(known, reverse=True):
        yield subject.finding(index, message, suggestion, severity=WARNING)
    else:
        fixes = (Correction(index, slot, source) for slot, source in enumerate(order))
        yield subject.finding(index, message, suggestion, *fixes)


def _with_stride(subject: Context, index: int, wanted: float) -> str | None:
    """Which layers would fit a fusion's first input, the nearest to its other ones first."""
    assert subject.shapes is not None
    first, *others = subject.layers[index].sources
    fitting = [i for i in range(index) if subject.shapes[i].stride == wanted and i != first]
    nearest = sorted(fitting, key=lambda i: min(abs(i - source) for source in others))[:3]
    return f"near it, stride {wanted:g} have {', '.join(map(subject.named, nearest))}" if nearest else None


def _listed(sources: tuple[int, ...], known: list[float]) -> str:
    return ", ".join(f"{source} ({stride:g})" for source, stride in zip(sources, known))
