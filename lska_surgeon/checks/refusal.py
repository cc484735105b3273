"""Refusing a base that has errors, before anything is put into it; it corrects nothing."""

from __future__ import annotations

from ..core.blocks import STOCK, BlockTable
from ..errors import BrokenBaseError
from ..modelfile.sources import Source
from .check import check_found
from .findings import ERROR


def refuse_broken(source: Source, text: str | None = None, blocks: BlockTable = STOCK) -> None:
    """Refuse a model YAML in which `check` finds an error.

    Args:
        source: the file.
        text: its text, where it was read already.
        blocks: the table that says what the rows' blocks are.

    Raises:
        BrokenBaseError: it does; the message tells the first and how many there are.
    """
    errors = [finding for finding in check_found(source, text, blocks).findings if finding.severity == ERROR]
    if not errors:
        return
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise BrokenBaseError(
        f"{source.name} is wrong as it is, and would be wrong with LSKA in it: line {first.line}, {first.text}{more}; "
        f"see lska-surgeon check {source.path} --fix, or go on with --unchecked"
    )
