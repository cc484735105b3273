"""Results as text: what `insert`, `remove` and `positions` found, as lines, tables and JSON; it works nothing out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...architecture.graph import Layer
from ...model_yaml.insert import Plan, SitePlan
from ...model_yaml.remove import Removal
from ...tables import table
from ...wording import numbers, plural
from .github import annotation
from .json import SCHEMA, dump


def insertion_line(plan: Plan) -> str:
    """What was done, in one line."""
    target = plan.output or "standard output"
    scale = f" at scale {plan.scaling.letter}" if plan.scaling.letter else ""
    return f"{target}: {plan.base.asked}{scale} with {_what(plan.sites)}{_params(plan.params_added)}"


def insertion_notice(plan: Plan, written: bool) -> str:
    """The plan as GitHub's annotation."""
    text = "\n".join([insertion_line(plan), *plan.notes])
    title = "variant written" if written else "variant planned"
    return annotation("notice", text, file=str(plan.output), title=f"lska-surgeon insert: {title}")


def insertion_table(plan: Plan) -> str:
    """The plan as a table: one row per site."""
    header = ("position", "layer", "block", "level", "operator", "channels", "row", "read by", "params")
    rows = []
    for site in plan.sites:
        layer = plan.rewrite.before[site.site.layer]
        block = f"in {layer.block}" if site.site.inside else f"after {layer.block}"
        readers = "itself" if site.site.inside else numbers(site.readers)
        count = f"{site.operators.count} x {site.operators.channels}" if site.operators else "not known"
        params = f"{site.operators.params:,}" if site.operators and site.operators.params is not None else "not known"
        kernel = site.kernel
        operator = kernel.in_words + (f" d{kernel.d}" if kernel.explicit_dilation else "")
        level = site.level or "-"
        rows.append(
            (site.site.asked, str(layer.index), block, level, operator, count, str(site.index), readers, params)
        )
    return table(header, rows)


def insertion_json(plan: Plan) -> str:
    """The plan as JSON."""
    return dump(
        {
            "schema": SCHEMA,
            "base": str(plan.base.path),
            "scale": plan.scaling.letter,
            "output": str(plan.output) if plan.output else None,
            "params_added": plan.params_added,
            "sites": [_site_json(plan, site) for site in plan.sites],
            "index_map": {str(old): new for old, new in plan.rewrite.index_map.items()},
            "notes": list(plan.notes),
            "diff": plan.diff,
        }
    )


def removal_line(removal: Removal) -> str:
    """What was taken out, in one line."""
    before, index_map = removal.rewrite.before, removal.rewrite.index_map
    gone = [layer for layer in before if layer.index not in index_map]
    hosts = [layer for layer in before if layer.index in index_map and _changed(removal, layer)]
    parts = []
    if gone:
        parts.append(f"{len(gone)} operator row{plural(gone)} ({numbers([x.index for x in gone])})")
    if hosts:
        parts.append(f"{len(hosts)} host{plural(hosts)} made plain ({numbers([x.index for x in hosts])})")
    return f"{removal.output or 'standard output'}: {removal.source.name} without {' and '.join(parts)}"


def removal_json(removal: Removal) -> str:
    """The removal as JSON."""
    return dump(
        {
            "schema": SCHEMA,
            "variant": str(removal.source),
            "output": str(removal.output) if removal.output else None,
            "index_map": {str(old): new for old, new in removal.rewrite.index_map.items()},
            "notes": list(removal.notes),
            "diff": removal.diff,
        }
    )


def _site_json(plan: Plan, site: SitePlan) -> dict[str, Any]:
    layer = plan.rewrite.before[site.site.layer]
    return {
        "at": site.site.asked,
        "position": site.site.name,
        "layer": layer.index,
        "block": layer.block,
        "inside": site.site.inside,
        "level": site.level,
        "op": site.kernel.op,
        "k": site.kernel.k,
        "d": site.kernel.d,
        "channels": site.operators.channels if site.operators else None,
        "count": site.operators.count if site.operators else None,
        "params": site.operators.params if site.operators else None,
        "row": site.index,
        "readers": list(site.readers),
    }


def _what(sites: Sequence[SitePlan]) -> str:
    groups: dict[tuple[str, str], list[int]] = {}
    for site in sites:
        groups.setdefault((site.kernel.in_words, site.site.asked.split("@")[0]), []).append(site.index)
    return ", ".join(f"{what} at {at} (row{plural(r)} {numbers(r)})" for (what, at), r in groups.items())


def _changed(removal: Removal, layer: Layer) -> bool:
    return removal.rewrite.after[removal.rewrite.index_map[layer.index]].block != layer.block


def _params(count: int | None) -> str:
    return "" if count is None else f", {count:,} parameters more"
