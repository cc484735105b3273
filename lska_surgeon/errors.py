"""The errors a user can make, one class per fact; it knows nothing about terminals or exit codes.

Every message is one line: what was asked, what was found, what is allowed, what to type next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .wording import as_parameters, error_in_one_line, message

#: This distribution's name. It is installed, so pip looks for it nowhere and adds what it asks for and is missing.
DISTRIBUTION = "lska-surgeon"


class SurgeonError(Exception):
    """The family of all user errors; the command line turns it into one line on stderr and exit code 2.

    A message names parameters as the command line does, `--at neck`. What a verb raises says `at="neck"` instead.

    Attributes:
        in_python: whether a verb raised it.
    """

    in_python = False

    def __str__(self) -> str:
        return as_parameters(self.as_typed) if self.in_python else self.as_typed

    @property
    def as_typed(self) -> str:
        """The message as the command line shows it: one line, whatever names stand in it."""
        return message(super().__str__())


@contextmanager
def telling(
    kind: type[SurgeonError], problem: str, words: Callable[[BaseException], str] = error_in_one_line
) -> Iterator[None]:
    """Tell whatever somebody else's code raises as a problem of a kind, in one line with what it says."""
    try:
        yield
    except SurgeonError:
        raise
    except Exception as error:
        raise kind(f"{problem}: {words(error)}") from error


class ArgumentError(SurgeonError):
    """Arguments out of range, or that do not go together; the command line adds where its help is."""


class KernelError(SurgeonError):
    """A kernel size, dilation or operator that does not exist."""


class UnknownOperatorError(KernelError):
    """A row that is called an operator, or a host of one, and of which nobody can know what its author means by it."""


class GraphError(SurgeonError):
    """Rows that do not make a network: a bad row, or a source that is missing or looks forward."""


class BrokenBaseError(SurgeonError):
    """A model YAML with errors in it, which is to have operators put in."""


class DocumentError(SurgeonError):
    """A file that can't be read as a model YAML."""


class EncodingError(DocumentError):
    """A file in another encoding than UTF-8; Ultralytics drops the bytes that it can't read, and builds something."""


class EndlessError(DocumentError):
    """A file whose YAML is nested too deep, contains itself, grows through its aliases, or is far too long."""


class NotAModelError(DocumentError):
    """A file that has nothing of a model YAML, such as one that names a dataset."""


class DeclarationError(SurgeonError):
    """A declaration of custom modules that can't be read or followed, or a class that does not keep its word."""


class PositionError(SurgeonError):
    """A position that is misspelt, or that matches nothing in this model."""


class MisfitError(SurgeonError):
    """A block, level or backbone that does not fit the place where it was to stand."""


class RecipeError(SurgeonError):
    """A recipe that can't be read or followed; the message names file, line and field."""


class TargetError(SurgeonError):
    """An output file that must not, or can't, be written."""


class ClosedError(TargetError):
    """The system lets nobody write there."""


#: What training says that is told no data.
NO_DATA = "say what to train on: data=FILE.yaml (for a classifier data=FOLDER)"


#: What lets a file run what it says.
TRUSTING = "if you trust whoever made it, add --trust"


class TrainingError(SurgeonError):
    """Arguments, data or a device that training can't work with."""


class AblationError(SurgeonError):
    """Cells, runs or devices that an ablation can't work with."""


class DamagedError(SurgeonError):
    """A file that this package wrote, and that holds something else now."""


class BuildError(SurgeonError):
    """A model that Ultralytics refuses to build."""


class UnsafeModelError(BuildError):
    """A model whose building would run more than layers.

    Attributes:
        problem: the message without its remedy, for who can't be told to trust the file.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; {TRUSTING}")
        self.problem = problem


class MissingPackageError(SurgeonError):
    """A package that is not installed; see `needs`."""


def needs(*packages: str, what: str = "this") -> MissingPackageError:
    """What to raise where packages are missing: the same words, and the same one remedy, whatever they are.

    Args:
        packages: the modules that can't be imported.
        what: what needs them.
    """
    names = " and ".join(filter(None, [", ".join(packages[:-1]), packages[-1]]))
    are = "are" if len(packages) > 1 else "is"
    extra = extra_of(packages[0].partition(".")[0])
    remedy = f'pip install "{DISTRIBUTION}[{extra}]"' if extra else f"pip install {DISTRIBUTION}"
    return MissingPackageError(f"{what} needs {names}, which {are} not installed: {remedy}")


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """The same for a module that an `import` of this package did not find; None where somebody else's code asked."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    asking = str(step.tb_frame.f_globals.get("__name__", "")) if step else ""
    ours = __name__.partition(".")[0]
    if error.name is None or asking.partition(".")[0] != ours or error.name.partition(".")[0] == ours:
        return None
    return needs(error.name)


def extra_of(package: str) -> str | None:
    """The smallest extra of this distribution that brings a package; None for what no extra does."""
    from importlib import metadata

    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # a checkout on PYTHONPATH
        return None
    extras: dict[str, list[str]] = {}
    for line in required:
        found = re.match(r"([\w.-]+).*\bextra == ['\"]([\w-]+)['\"]", line)
        if found:
            extras.setdefault(found[2], []).append(found[1])
    bringing = [extra for extra, names in extras.items() if package.lower() in map(str.lower, names)]
    return min(bringing, key=lambda extra: len(extras[extra]), default=None)


class CheckpointError(SurgeonError):
    """A file that can't be read as a checkpoint, or that holds no model."""


class ChangedOutputsError(CheckpointError):
    """A graft whose operators were to start as the identity, and do not.

    Attributes:
        problem: the message without its remedy, for who has another.
        bare: the rows with operators that have no identity but behind a gate, `5 (cbam)`.
    """

    def __init__(self, message: str, problem: str = "", bare: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problem, self.bare = problem, tuple(bare)


class UnsafeCheckpointError(CheckpointError):
    """A checkpoint that would run what is not on the allow-list.

    Attributes:
        refused: what it would run, by name, complete; the message may shorten it.
        problem: the message without its remedy, for who can't be told to trust the file.
    """

    def __init__(self, message: str, refused: tuple[str, ...] = (), problem: str = "") -> None:
        super().__init__(message)
        self.refused, self.problem = refused, problem or message


def without_trust(error: object) -> object:
    """What an error says where there is no way to trust a file: nothing of `--trust`."""
    return error.problem if isinstance(error, (UnsafeCheckpointError, UnsafeModelError)) else error
