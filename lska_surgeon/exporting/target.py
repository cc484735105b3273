"""What may be asked of an export, told before torch is imported, and how its files are put in place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import ArgumentError, SurgeonError, TargetError
from ..files import check_folder, check_target, no_file, put_in_place
from ..grafting.images import images_in
from ..wording import did_you_mean
from ..yolo.exported import COREML, RUNTIMES, TORCH, Runtime, exporter_formats, other_suffix, runtime_of

#: Formats that Ultralytics exports no int8 for; and those whose int8 is of weights alone, which asks for no image.
_WITHOUT_INT8, _WEIGHTS_ALONE = ("ncnn", "torchscript", "paddle", "executorch"), ("mnn", "coreml")
#: What every exported folder of Ultralytics' has in it, by which one that may be replaced is known.
_OF_EXPORTS = "metadata.yaml"


@dataclass(frozen=True)
class Format:
    """What a checkpoint is exported to.

    Attributes:
        name: what Ultralytics' exporter calls it.
        suffix: how the names of its files end.
        runtime: what runs them here; None for what nothing here runs.
    """

    name: str
    suffix: str
    runtime: Runtime | None = None


@dataclass(frozen=True)
class Asked:
    """What is asked of an export.

    Attributes:
        format: what to export to.
        half, int8: the precision; neither for fp32.
        data: what to calibrate int8 with, as Ultralytics takes it.
        imgsz: height and width, pixels; None for the checkpoint's own.
        images: images to prove it on; None for no proof.
        most: images at most.
        fold: fold what can be.
        confident: the least score of a prediction that counts.
        tolerance: what may be lost of F1.
    """

    format: Format
    half: bool = False
    int8: bool = False
    data: str | None = None
    imgsz: tuple[int, int] | None = None
    images: Path | None = None
    most: int = 100
    fold: bool = False
    confident: float = 0.25
    tolerance: float = 0.05

    @property
    def precision(self) -> str:
        """In words."""
        return "fp16" if self.half else "int8" if self.int8 else "fp32"

    def check(self) -> None:
        """Refuse what can't be exported or checked.

        Raises:
            ArgumentError: arguments do not go together, or one is out of range.
            SurgeonError: a package is missing, or there are no images.
        """
        format, runtime = self.format.name, self.format.runtime
        if self.half and self.int8:
            raise ArgumentError("--half and --int8 are two precisions: give one of them")
        if self.half and format == "torchscript":
            raise ArgumentError("--half of torchscript is for GPUs, and this exports on the CPU: drop --half")
        if self.int8 and format in _WITHOUT_INT8:
            raise ArgumentError(f"Ultralytics exports no --int8 for {format}: drop it, or take --half")
        calibrates = self.int8 and format not in _WEIGHTS_ALONE
        if calibrates and self.data is None:
            example = "add --data FILE.yaml (for a classifier a folder)"
            raise ArgumentError(f"--int8 needs images to calibrate with: {example}")
        if self.data is not None and not calibrates:
            why = f"{format} quantizes weights alone" if self.int8 else "there is no --int8"
            raise ArgumentError(f"--data is what --int8 is calibrated with, and {why}: drop --data")
        if self.most < 1:
            raise ArgumentError(f"--most {self.most} is out of range: give 1 or more images")
        if not 0 < self.confident < 1:
            raise ArgumentError(f"--conf {self.confident:g} is out of range: give a score between 0 and 1")
        if not 0 <= self.tolerance <= 1:
            raise ArgumentError(f"--tolerance {self.tolerance:g} is out of range: give 0 to 1, the F1 that may be lost")
        if self.images is not None and runtime is None:
            known = ", ".join(one.name for one in RUNTIMES.values() if one is not TORCH)
            raise ArgumentError(f"nothing here runs {format}, so it can't be checked: drop --check; it takes {known}")
        if runtime is not None and (self.images is not None or runtime is not COREML):  # exported where it does not run
            what = "--check of" if runtime is COREML and self.images is not None else "--format"
            problem = runtime.problem(export=True, what=f"{what} {format}")
            if problem:
                raise SurgeonError(problem)
        if self.images is not None:
            images_in(self.images, "--check")


def format_named(name: str) -> Format:
    """The format of that name, or of the runtime of that name.

    Raises:
        ArgumentError: the installed Ultralytics exports none of that name.
    """
    for runtime in RUNTIMES.values():
        if runtime is not TORCH and name.lower() in (runtime.name, runtime.format):
            return Format(runtime.format, runtime.suffix, runtime)
    known = exporter_formats()
    if name.lower() in known:
        return Format(name.lower(), known[name.lower()])
    raise ArgumentError(f"no format {name!r}{did_you_mean(name, list(known))}: there are {', '.join(known)}")


def target_of(checkpoint: Path, asked: Format, *, int8: bool, output: str | None) -> Path:
    """The file or folder to be: beside the checkpoint, named as Ultralytics names it, where nobody names one.

    Raises:
        ArgumentError: the checkpoint is an export.
        TargetError: the name is none by which Ultralytics knows the format, or that of two.
    """
    if runtime_of(checkpoint) is not None:
        raise ArgumentError(f"{checkpoint} is an export already: give the checkpoint that it was made of")
    path = checkpoint.with_name(f"{checkpoint.stem}{'_int8' if int8 else ''}{asked.suffix}")
    _refuse_two_formats(path, asked, f"rename {checkpoint.name}")
    if output is None:
        return path
    path = Path(output)
    _refuse_two_formats(path, asked, "choose another name")
    unnamed = path.name == asked.suffix
    if output == "-" or unnamed or not path.name.endswith(asked.suffix):
        proper = path.with_name(f"{'out' if unnamed or output == '-' else path.stem}{asked.suffix}")
        has = "has nothing before" if unnamed else "does not end in"
        raise TargetError(f"{output} {has} {asked.suffix}, by which Ultralytics knows the format: try -o {proper}")
    return path


def _refuse_two_formats(path: Path, asked: Format, remedy: str) -> None:
    """Refuse a name by which a file could not be opened again."""
    other = other_suffix(path, asked.runtime) if asked.runtime and path.name.endswith(asked.suffix) else None
    if other:
        raise TargetError(f"{path} would be named as two formats, {other} and {asked.suffix}: {remedy}")


def check_place(target: Path, *, force: bool) -> None:
    """Refuse a target that must not, or can't, be written; call it before any work.

    Raises:
        TargetError: it is there and `force` is off, it is a folder that is no export, or the system refuses.
    """
    if no_file(target) != "a directory":
        check_target(target, force=force)
        return
    if not force:
        raise TargetError(f"{target} is already there: choose another name with -o, or add --force to overwrite it")
    if os.listdir(target) and not (target / _OF_EXPORTS).is_file():
        raise TargetError(f"{target} is a directory that Ultralytics exported nothing into: choose another name")
    check_folder(Path(os.path.realpath(target)).parent, target)


def place(made: Path, target: Path, *, force: bool) -> None:
    """Put an exported file or folder in its place, whole or not at all.

    Raises:
        TargetError: as `check_place`.
    """
    check_place(target, force=force)
    put_in_place(made, target, force=force)
