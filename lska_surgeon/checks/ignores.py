"""What a file says of its own findings: comments that let a rule pass, for a row or for the whole file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from ..modelfile.document import Document
from ..modelfile.text import line_number, line_start
from ..wording import did_you_mean
from .findings import WARNING, Finding

#: The rule that such comments themselves may break.
RULE = "ignore"
_COMMENT = re.compile(r"(?:^|[ \t])#[^\r\n]*?\blska-surgeon:[ \t]*ignore\[([^\]\r\n]*)\]", re.MULTILINE)


class Ignore(NamedTuple):
    """One rule that a comment lets pass.

    Attributes:
        line: where the comment stands, from 1.
        rule: what it names.
        first: the first line on which it lets the rule pass; None for the whole file.
    """

    line: int
    rule: str
    first: int | None

    def covers(self, finding: Finding) -> bool:
        """Whether it speaks of a finding."""
        inside = self.first is None or self.first <= finding.line <= self.line
        return inside and finding.rule == self.rule


def without_ignored(
    document: Document, findings: Sequence[Finding], applied: Collection[str], known: Collection[str]
) -> list[Finding]:
    """The findings that no comment of the file lets pass, and what is wrong with those comments.

    Args:
        document: the file.
        findings: what the rules found in it.
        applied: the codes of the rules that were applied; a comment that names another may still have a use.
        known: those of all rules that a comment may name.
    """
    ignores = list(_ignores(document))
    left = [finding for finding in findings if not any(ignore.covers(finding) for ignore in ignores)]
    if RULE not in applied:
        return left
    for ignore in ignores:
        if ignore.rule not in known:
            problem = f"no rule {ignore.rule!r} to ignore{did_you_mean(ignore.rule, list(known))}"
            left.append(Finding(WARNING, RULE, ignore.line, None, problem, f"there are {', '.join(known)}"))
        elif ignore.rule in applied and not any(ignore.covers(finding) for finding in findings):
            problem = f"nothing here breaks the rule {ignore.rule} that the comment ignores"
            left.append(Finding(WARNING, RULE, ignore.line, None, problem, "take the comment out"))
    return left


def _ignores(document: Document) -> Iterator[Ignore]:
    """Each rule of each comment: behind a row it is for the lines of that row, on a line of its own for the file."""
    text = document.text
    starts = {
        line_number(text, row.whole.end): document.line_of(index)
        for index, row in reversed(list(enumerate(document.rows)))
    }
    for found in _COMMENT.finditer(text):
        line = line_number(text, found.end())
        alone = not text[line_start(text, found.start()) : found.start()].strip()
        for rule in found.group(1).split(","):
            yield Ignore(line, rule.strip(), None if alone else starts.get(line, line))
