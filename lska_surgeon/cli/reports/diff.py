"""A difference in words: text, Markdown, JSON or GitHub annotations; it compares nothing and counts nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...architecture.graph import IMAGE, Graph
from ...costs.difference import CostDifference
from ...model_yaml.diff import Change, Difference
from ...model_yaml.document import format_value
from ...model_yaml.find import stock_models
from ...model_yaml.load import OpenModel
from ...tables import pipes, table
from .github import annotation
from .json import dump

#: Version of the JSON; it changes when a key changes its meaning or goes.
SCHEMA = 1
_HEADER = ("change", "before", "after", "block", "what")
_COSTS_HEADER = ("model", "params", "GMACs", "GFLOPs")


def difference_text(difference: Difference, costs: CostDifference) -> str:
    """For people: one line that says all, a table of the changes, the costs, and the index map."""
    if not difference:
        return headline(difference)
    parts = [headline(difference), table(_HEADER, _rows(difference))]
    parts += [table(_COSTS_HEADER, _totals(difference, costs), right=range(1, 4))] if costs.totals else []
    return "\n\n".join([*parts, "\n".join([costs_line(costs), *_footnotes(difference)])])


def difference_markdown(difference: Difference, costs: CostDifference) -> str:
    """For a comment on a pull request."""
    if not difference:
        return headline(difference)
    parts = [f"**{headline(difference)}**", pipes(_HEADER, _rows(difference), left=len(_HEADER))]
    parts += [pipes(_COSTS_HEADER, _totals(difference, costs))] if costs.totals else []
    return "\n\n".join([*parts, costs_line(costs), *_footnotes(difference)])


def difference_github(difference: Difference, costs: CostDifference) -> str:
    """One notice at the second file."""
    rows = [" ".join(filter(None, [change, _place(old, new), block])) + f": {what}"
            for change, old, new, block, what in _rows(difference)]  # fmt: skip
    text = "\n".join([*rows, costs_line(costs)]) if difference else "one architecture"
    return annotation("notice", text, file=str(difference.after.found.path), title=headline(difference))


def difference_json(difference: Difference, costs: CostDifference) -> str:
    """Everything for a machine."""
    return dump(
        {
            "schema": SCHEMA,
            "different": bool(difference),
            "before": _model(difference.before),
            "after": _model(difference.after),
            "compared": "at scale" if difference.by_width else "as written",
            "settings": [{"key": x.key, "before": x.before, "after": x.after} for x in difference.settings],
            "added": [_layer(difference.other, index) for index in difference.added],
            "removed": [_layer(difference.one, index) for index in difference.removed],
            "changed": [
                {"fields": list(x.fields), "before": _layer(difference.one, x.before.index),
                 "after": _layer(difference.other, x.after.index)}
                for x in difference.changed
            ],
            "rewired": [
                {"before": x.row[0], "after": x.row[1], "tap": x.tap, "read": x.before, "reads": x.after}
                for x in difference.rewired
            ],
            "index_map": {str(old): new for old, new in difference.index_map.items()},
            "costs": _costs(costs),
        }
    )  # fmt: skip


#: What `--format` takes -> the report.
REPORTS = {
    "text": difference_text,
    "md": difference_markdown,
    "json": difference_json,
    "github": difference_github,
}


def headline(difference: Difference) -> str:
    """What differs, in one line."""
    before, after = _name(difference.before), _name(difference.after)
    if not difference:
        return f"no difference: {before} and {after} are one architecture"
    rewired = len({tap.row for tap in difference.rewired})
    counts = {"added": len(difference.added), "removed": len(difference.removed),
              "changed": len(difference.changed), "rewired": rewired}  # fmt: skip
    parts = [f"{_number(count, 'row')} {what}" for what, count in counts.items() if count]
    parts += [f"{_number(len(difference.settings), 'setting')} changed"] if difference.settings else []
    return f"{before} -> {after}: {', '.join(parts)}"


def costs_line(costs: CostDifference) -> str:
    """What the second has more, in one line."""
    size = f"{costs.imgsz[0]}x{costs.imgsz[1]}"
    if costs.params is None:
        return "params and GFLOPs gained: not known without --costs"
    if costs.macs is None:
        return f"{costs.params:+,} params; GFLOPs gained at {size}: not known without --costs"
    gained = f"{costs.params:+,} params, {costs.macs / 1e9:+.3f} GMACs, {2 * costs.macs / 1e9:+.3f} GFLOPs at {size}"
    return f"{gained} ({'counted by fvcore, fused, eval mode' if costs.totals else 'exact, in closed form'})"


def _rows(difference: Difference) -> list[Sequence[str]]:
    """The table's rows: settings, then rows in the order of the second network, a removed one where it was."""
    one, other = difference.one, difference.other
    settings = [("setting", "", "", x.key, f"{_value(x.before)} -> {_value(x.after)}") for x in difference.settings]
    found: list[tuple[float, Sequence[str]]] = []
    for index in difference.added:
        row = ("added", "", str(index), other[index].block, _what(other, index))
        found.append((index, row))
    for index in difference.removed:
        before = [new for old, new in difference.index_map.items() if old < index]
        row = ("removed", str(index), "", one[index].block, _what(one, index))
        found.append((max(before, default=-1) + 0.5, row))
    for change in difference.changed:
        old, new = change.before, change.after
        found.append((new.index, ("changed", str(old.index), str(new.index), new.block, _fields(change))))
    for tap in difference.rewired:
        words = f"source {tap.tap}: {_source(one, tap.before)} -> {_source(other, tap.after)}"
        found.append((tap.row[1], ("rewired", str(tap.row[0]), str(tap.row[1]), other[tap.row[1]].block, words)))
    return [*settings, *(row for _, row in sorted(found, key=lambda item: item[0]))]


def _what(graph: Graph, index: int) -> str:
    layer = graph[index]
    repeats = "" if layer.repeats == 1 else f"{layer.repeats} x "
    reads = ", ".join(_source(graph, source) for source in layer.sources)
    readers = ", ".join(_source(graph, reader) for reader in graph.readers(index))
    return f"{repeats}{format_value(layer.args)}, reads {reads}, read by {readers or 'nobody'}"


def _fields(change: Change) -> str:
    return "; ".join(
        f"{field} {_value(getattr(change.before, field))} -> {_value(getattr(change.after, field))}"
        for field in change.fields
    )


def _source(graph: Graph, index: int | None) -> str:
    if index is None:
        return "none"
    return "the picture" if index == IMAGE else f"{index} ({graph[index].block})"


def _value(value: Any) -> str:
    return "none" if value is None else format_value(value)


def _place(old: str, new: str) -> str:
    return f"{old} -> {new}" if old and new and old != new else new or old


def _totals(difference: Difference, costs: CostDifference) -> list[Sequence[str]]:
    assert costs.totals is not None
    names = (_name(difference.before), _name(difference.after))
    return [
        (name, f"{params:,}", f"{macs / 1e9:.3f}", f"{2 * macs / 1e9:.3f}")
        for name, (params, macs) in zip(names, costs.totals)
    ]


def _footnotes(difference: Difference) -> list[str]:
    lines = [f"layers: {', '.join(_ranges(difference.index_map))}"]
    if difference.by_width:
        lines.append("rows were compared with their real widths and repeats, for the scales differ")
    return lines


def _ranges(index_map: Mapping[int, int]) -> Iterator[str]:
    """The index map, `0-12 -> 0-12`, `13-15 -> 14-16`."""
    run: list[tuple[int, int]] = []
    for pair in [*sorted(index_map.items()), None]:
        if pair is not None and (not run or pair == (run[-1][0] + 1, run[-1][1] + 1)):
            run.append(pair)
            continue
        if run:
            yield " -> ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(run[0], run[-1]))
        run = [pair] if pair is not None else []


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _name(model: OpenModel) -> str:
    """As it was asked for: a stock name, or a path."""
    found = model.found
    return found.asked if found.path in stock_models().values() else str(found.path.with_name(found.asked))


def _model(model: OpenModel) -> dict[str, Any]:
    return {"model": str(model.found.path), "scale": model.scaling.letter, "rows": len(model.document.layers)}


def _layer(graph: Graph, index: int) -> dict[str, Any]:
    layer = graph[index]
    return {
        "index": index,
        "sources": list(layer.sources),
        "repeats": layer.repeats,
        "block": layer.block,
        "args": list(layer.args),
        "readers": list(graph.readers(index)),
    }


def _costs(costs: CostDifference) -> dict[str, Any]:
    how = "fvcore" if costs.totals else "closed form" if costs.params is not None else None
    both = [{"params": params, "macs": macs} for params, macs in costs.totals or ()]
    gained = {"params": costs.params, "macs": costs.macs, "flops": None if costs.macs is None else 2 * costs.macs}
    return {"how": how, "imgsz": list(costs.imgsz), "gained": gained, **dict(zip(("before", "after"), both))}
