"""The verb `check`."""

from __future__ import annotations

from dataclasses import replace

from ..checks.check import check_file
from ..checks.findings import ERROR, CheckedFile, Finding
from ..declarations.find import active_blocks
from ..errors import SurgeonError
from .arguments import PathLike, as_name
from .own_blocks import with_own_blocks


@with_own_blocks
def check(model: PathLike, *, build: bool = False, blocks: PathLike | None = None) -> CheckedFile:
    """Find the errors that people make in model YAMLs by hand; nothing is written before `.write()`.

    >>> import lska_surgeon as ls
    >>> ls.check("yolov8s.yaml").ok
    True

    Args:
        model: path of a model YAML, or a stock Ultralytics name with its scale.
        build: build it in Ultralytics as well, where it has no errors; that needs torch.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the file is not there, or is no model YAML.
        GraphError: it has no rows.
        BuildError: there is no Ultralytics here to build it with.
    """
    found = check_file(str(as_name(model)), active_blocks())
    return _built(found) if build and found.ok else found


def _built(found: CheckedFile) -> CheckedFile:
    """The file with one more finding, where Ultralytics refuses to build it."""
    from ..yolo.build import build
    from ..yolo.environment import import_offline

    import_offline()
    try:
        build(found.path, named=found.scale)
    except SurgeonError as error:
        return replace(found, findings=(*found.findings, Finding(ERROR, "build", 1, None, str(error))))
    return found
