"""An insertion as an annotation for GitHub."""

from __future__ import annotations

from ...model_yaml.insert import Insertion
from .github import annotation


def insertion_notice(done: Insertion, written: bool) -> str:
    """What was done, or would be."""
    text = "\n".join([done.line, *done.notes])
    title = "variant written" if written else "variant planned"
    return annotation("notice", text, file=str(done.output), title=f"lska-surgeon insert: {title}")
