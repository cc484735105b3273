"""Cases, `tests/cases`: a command, the file that it is run on, and what it says or writes.

The first line is the command. Where the second is `# NAME.base, but`, the file is `cases/NAME.base` with the rows and
settings that follow: `row 7: ...` in the place of one, `behind row 7: ...` one more, `without row 7`, `without nc`.
"""

from __future__ import annotations

import re
from pathlib import Path

CASES = Path(__file__).parents[1] / "cases"
OUTPUT = "# ===== output =====\n"
_BASE = re.compile(r"# (\w+\.base), but")
_EDIT = re.compile(r"(row|behind row|without row|without) (\w+)(?:: (.*))?")


def read_case(name: str) -> tuple[str, str, str]:
    """The first line of a case, its file, and what its command comes to."""
    before, _, expected = (CASES / f"{name}.yaml").read_text(encoding="utf-8").partition(OUTPUT)
    command, _, given = before.partition("\n")
    return command, written(given), expected


def written(given: str) -> str:
    """The file of a case, of which only the edits of another may stand there."""
    mark, _, edits = given.partition("\n")
    base = _BASE.fullmatch(mark)
    if base is None:
        return given
    lines = [[line] for line in (CASES / base[1]).read_text(encoding="utf-8").splitlines()]
    rows = [at for at, line in enumerate(lines) if line[0].startswith("  - [")]
    settings: list[list[str]] = []
    for edit in edits.splitlines():
        words = _EDIT.fullmatch(edit)
        key = words[2] if words and words[1] == "without" else edit.partition(":")[0]
        if words and words[1] != "without":
            at, row = rows[int(words[2])], f"  - {words[3]}"
            lines[at] = [row] if words[1] == "row" else [*lines[at], row] if words[1] == "behind row" else []
        else:
            settings += [[edit]] if words is None else []
            lines = [[] if line and line[0].partition(":")[0] == key else line for line in lines]
    return "".join(f"{line}\n" for part in (*reversed(settings), *lines) for line in part)


def written_to(folder: Path, name: str) -> Path:
    """A case without a command, as a file of its own name."""
    path = folder / f"{Path(name).name}.yaml"
    path.write_text(written((CASES / f"{name}.yaml").read_text(encoding="utf-8")), encoding="utf-8")
    return path
