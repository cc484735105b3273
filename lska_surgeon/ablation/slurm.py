"""Training cells as one array of Slurm jobs; Slurm is called, not replaced."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from ..declarations.find import for_children
from ..errors import AblationError
from ..files import write_text
from .cells import Ablation, Cell
from .worker import HOME


def check_slurm() -> None:
    """Refuse a machine that can't submit jobs.

    Raises:
        AblationError: there is no sbatch.
    """
    if shutil.which("sbatch") is None:
        raise AblationError("no sbatch here: call this on a machine that submits to Slurm, or leave --slurm out")


def script(ablation: Ablation, cells: Sequence[Cell], options: str, listed: str) -> str:
    """The job script: one task of the array for each cell.

    Args:
        ablation: the ablation.
        cells: what is to be trained.
        options: what the user wants sbatch to be told, as one would type it.
        listed: the file that lists the cells' folders, one a line.
    """
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={shlex.quote(ablation.recipe.path.stem)}",
        f"#SBATCH --array=0-{len(cells) - 1}",
        f"#SBATCH --output={shlex.quote(str(ablation.folder / 'slurm' / '%A-%a.txt'))}",
        f"#SBATCH --chdir={shlex.quote(str(ablation.recipe.folder.absolute()))}",
        "#SBATCH --requeue",
        *([f"#SBATCH {options}"] if options.strip() else []),
        f'export PYTHONPATH={shlex.quote(HOME)}"${{PYTHONPATH:+:$PYTHONPATH}}"',
        *(f"export {name}={shlex.quote(value)}" for name, value in for_children().items()),
        "# A task whose node fails is queued again and goes on where it stopped; one that is done ends at once.",
        f"exec {shlex.quote(sys.executable)} -m lska_surgeon.ablation.worker {shlex.quote(listed)} "
        '--index "$SLURM_ARRAY_TASK_ID"',
    ]
    return "\n".join(lines) + "\n"


def submit(ablation: Ablation, cells: Sequence[Cell], options: str) -> str:
    """Write the list and the script, and submit it.

    Returns:
        What sbatch answered.

    Raises:
        AblationError: sbatch refused.
    """
    if not cells:
        return "nothing is left to train: no job was submitted"
    folder = ablation.folder / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    listed, path = folder / f"{stamp}-cells.txt", folder / f"{stamp}.sh"
    write_text(listed, "".join(f"{cell.folder}\n" for cell in cells), force=True)
    write_text(path, script(ablation, cells, options, str(listed)), force=True)
    done = subprocess.run(["sbatch", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise AblationError(f"sbatch refused {path}: {said or f'exit code {done.returncode}'}")
    return f"{done.stdout.strip()} ({len(cells)} cells, {path})"
