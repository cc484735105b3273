"""Plan a removal: from a variant to its base's text to be; it writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..architecture.surgery import Rewrite, remove
from ..files import target_path
from .document import Document
from .file_names import base_name, family_notes
from .find import STDIN, FoundModel, scale_in_name
from .lines import unified_diff
from .load import read_model
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
    found, document = read_model(variant)
    rewrite = remove(document.graph)
    text = unpin_scale(reread(rewrite_text(document, rewrite), rewrite.after))
    name = output or (STDIN if found.is_stdin else base_name(found))
    target = None if name == STDIN else target_path(name, ".yaml")
    family_notes(document.graph, target)
    return Removal(document.text, text, rewrite, target, found.path, _notes(found, document, target))


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
