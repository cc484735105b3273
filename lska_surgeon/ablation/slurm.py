"""Training cells as one array of Slurm jobs; Slurm is called, not replaced."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence

from ..declarations.find import for_children
from ..errors import AblationError
from ..files import write_text
from ..wording import clean, one_line
from .cells import Ablation, Cell
from .status import NOTHING, CellStatus
from .worker import command

#: `--array=0-9`, `--array 0-9`, `-a 0-9`, `-a0-9`, and the abbreviations that sbatch takes.
_ARRAY = re.compile(r"--ar(?:r|ra|ray)?(?:=(.*))?|-a(.*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LIMIT = re.compile(r"%[1-9]\d*")


def check_slurm() -> None:
    """Refuse a machine that can't submit jobs.

    Raises:
        AblationError: there is no sbatch.
    """
    if shutil.which("sbatch") is None:
        raise AblationError("no sbatch here: call this on a machine that submits to Slurm, or leave --slurm out")


def _split(options: str) -> tuple[str, str]:
    """Options without `--array=%4`, and its `%4`: how many tasks run at once."""
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise AblationError(f"can't read the options of sbatch {options!r}: {error}") from error
    rest: list[str] = []
    limit = ""
    while words:
        word = words.pop(0)
        found = _ARRAY.fullmatch(word)
        if found is None:
            rest.append(word)
            continue
        value = found[1] or found[2] or (words.pop(0) if words else "")
        if not _LIMIT.fullmatch(value):
            raise AblationError(
                f"the array is one task for each cell, and sbatch's option {word} would set another: "
                "leave it out, or say only how many run at once, as --array=%4"
            )
        limit = value
    return (shlex.join(rest) if limit else options.strip()), limit


def script(ablation: Ablation, cells: Sequence[Cell | CellStatus], options: str, listed: str | None = None) -> str:
    """The job script: one task of the array for each cell; "" where there is none.

    Args:
        ablation: the ablation.
        cells: what is to be trained.
        options: what the user wants sbatch to be told, as one would type it.
        listed: the file that lists the cells' folders, one a line; None for a name that it may have.

    Raises:
        AblationError: the options hold an array of their own, or a name or the options a control character.
    """
    options, limit = _split(options)
    list_of(cells)
    if not cells:
        return ""
    listed = listed or str(ablation.folder / "slurm" / "DATE-cells.txt")
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={shlex.quote(ablation.recipe.path.stem)}",
        f"#SBATCH --array=0-{len(cells) - 1}{limit}",
        f"#SBATCH --output={shlex.quote(str(ablation.folder / 'slurm' / '%A-%a.txt'))}",
        f"#SBATCH --chdir={shlex.quote(str(ablation.recipe.folder.absolute()))}",
        "#SBATCH --requeue",
        *([f"#SBATCH {options}"] if options else []),
        *(f"export {name}={shlex.quote(value)}" for name, value in for_children().items()),
        "# A task whose node fails is queued again and goes on where it stopped; one that is done ends at once.",
        f'exec {shlex.join(command(listed))} --index "$SLURM_ARRAY_TASK_ID"',
    ]
    return _in_lines(lines)


def _in_lines(texts: Sequence[str]) -> str:
    """Texts, each of them in a line, for whoever reads line by line.

    Raises:
        AblationError: one would be several, or hold what a terminal or shell takes for an order.
    """
    for text in texts:
        if _CONTROL.search(text):
            raise AblationError(f"a control character is in {clean(repr(text), 300)}: Slurm's files can't have any")
    return "".join(f"{text}\n" for text in texts)


def list_of(cells: Sequence[Cell | CellStatus]) -> str:
    """The cells' folders, one a line.

    Raises:
        AblationError: a folder's name has a control character.
    """
    return _in_lines([str(cell.folder) for cell in cells])


def submit(ablation: Ablation, cells: Sequence[Cell], options: str) -> str:
    """Write the list and the script, and submit it.

    Returns:
        What sbatch answered.

    Raises:
        AblationError: sbatch refused.
    """
    if not cells:
        return NOTHING
    folder = ablation.folder / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    listed, path = folder / f"{stamp}-cells.txt", folder / f"{stamp}.sh"
    write_text(listed, list_of(cells), force=True)
    write_text(path, script(ablation, cells, options, str(listed)), force=True)
    try:
        done = subprocess.run(["sbatch", str(path)], capture_output=True, check=False)
    except OSError as error:
        raise AblationError(f"can't run sbatch: {error.strerror or error}") from error
    if done.returncode:
        said = _words_of(done.stderr or done.stdout)
        raise AblationError(f"sbatch refused {path}: {said or f'exit code {done.returncode}'}")
    return f"{_words_of(done.stdout)} ({len(cells)} cells, {path})"


def _words_of(said: bytes) -> str:
    """What a program said, in one line, whatever its encoding."""
    return clean(one_line(said.decode("utf-8", errors="backslashreplace")), 500)
