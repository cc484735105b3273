"""Whether a model YAML is right before it is edited, and rows that somebody worded after that.

That a file was right is kept beside what was read of the parser.
"""

from __future__ import annotations

from ..errors import BrokenBaseError, MisfitError
from ..modelfile.document import Document
from ..modelfile.replace import EditedModel
from ..modelfile.sources import Source
from .known import kept


def refuse_broken(source: Source, document: Document) -> None:
    """Refuse a model YAML in which `check` finds an error, before anything is put into it; stock ones are right.

    Args:
        source: the file.
        document: what it says, bad rows included.

    Raises:
        BrokenBaseError: it does; the message tells the first and how many there are.
    """
    if source.is_stock:
        return

    def ask() -> bool:
        from .check import checked  # here, for it takes longer to import than to read that it was right
        from .findings import ERROR

        errors = [finding for finding in checked(source, document).findings if finding.severity == ERROR]
        if not errors:
            return True
        first, more = errors[0], f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise BrokenBaseError(
            f"{source.name} is wrong as it is, and an edit would keep that: line {first.line}, {first.text}"
            f"{more}; see lska-surgeon check {source.path} --fix, or go on with --unchecked"
        )

    table = document.blocks
    kept(f"right {source.scale} {table.declarations.blocks} {table.parser is None}\n{document.text}", ask, True, bool)


def refuse_bad_rows(plan: EditedModel) -> None:
    """Refuse an edit in whose new rows `check` finds an error.

    Raises:
        MisfitError: it does; the message tells the first.
    """
    from .check import checked
    from .findings import ERROR

    findings = checked(plan.variant.source, plan.variant.written).findings
    bad = next((one for one in findings if one.severity == ERROR and one.row in plan.new_rows), None)
    if bad is not None:
        raise MisfitError(f"--args gives a row that check refuses: {bad.text}")
