"""Plan a removal: from a variant to its base's text to be; it writes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..architecture.attention import is_attention
from ..architecture.declared import in_force, keeps_shape
from ..architecture.surgery import Rewrite, remove
from ..files import target_path
from .document import Document
from .file_names import base_name, family_notes
from .find import FoundModel, find_model, scale_in_name
from .lines import unified_diff
from .rewriting import reread, rewrite_text
from .scale_pin import unpin_scale


@dataclass(frozen=True)
class Removal:
    """A removal, worked out: the base's text and which rows went."""

    before: str
    text: str
    rewrite: Rewrite
    output: Path | None
    source: Path
    notes: tuple[str, ...] = ()

    @property
    def diff(self) -> str:
        """The unified diff from the variant to the base."""
        return unified_diff(self.before, self.text, self.source.name, self.output.name if self.output else "base")


def plan_remove(variant: str, output: str | None = None) -> Removal:
    """Work out a removal: byte for byte what `insert` started from, or the plain network for a file that people wrote.

    Raises:
        SurgeonError: the file can't be read, or there is nothing to remove.
    """
    found = find_model(variant)
    document = Document.read(found.path, found.asked)
    rewrite = remove(document.graph, _rows(document))
    text = unpin_scale(reread(rewrite_text(document, rewrite), rewrite.after))
    target = None if output == "-" else target_path(output or base_name(found), ".yaml")
    family_notes(document.graph, target)
    return Removal(document.text, text, rewrite, target, found.path, _notes(found, document, target))


def _rows(document: Document) -> set[int] | None:
    """The rows to treat, where some are of blocks that people write as well, and `insert`'s comment tells its own."""
    ops = {"CBAM": "cbam", **{name: name for name in in_force().blocks if keeps_shape(name)}}
    inserted = set()
    for layer, row in zip(document.layers, document.rows):
        behind = document.text[row.whole.end :].partition("\n")[0]
        if layer.block in ops and re.match(rf"\s*,?\s*#\s*\d+ {re.escape(ops[layer.block])}, [a-z]", behind):
            inserted.add(layer.index)
    return inserted | {layer.index for layer in document.layers if is_attention(layer.block)} if inserted else None


def _notes(found: FoundModel, document: Document, target: Path | None) -> tuple[str, ...]:
    """What to tell of a name that does not say the scale that the variant's name says."""
    if target is None or found.scale not in document.scales or len(document.scales) < 2:
        return ()
    said = scale_in_name(target.name)
    if said == found.scale:
        return ()
    built = said if said in document.scales else next(iter(document.scales))
    note = (
        f"{found.asked} says scale {found.scale} and {target.name} does not, so ultralytics builds it at scale "
        f"{built}: a name such as {base_name(found)} keeps it"
    )
    return (note,)
