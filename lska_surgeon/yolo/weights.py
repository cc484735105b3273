"""Ultralytics' own trained weights, by Ultralytics' own downloader, where the user says so; it opens no checkpoint."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ..errors import CheckpointError
from ..wording import did_you_mean
from .environment import import_offline, quiet
from .exceptions import first_paragraph


def fetch_weights(name: str) -> Path:
    """Download a checkpoint that Ultralytics publishes into the working folder; how far it is goes to stderr.

    Args:
        name: as in the list of Ultralytics' release files, "yolov8s.pt".

    Returns:
        Where it is: in the working folder, or in the folder of weights of Ultralytics' settings, if it was there.

    Raises:
        CheckpointError: no such weights, or they can't be had.
    """
    import_offline()
    downloads = import_module("ultralytics.utils.downloads")
    published = sorted(one for one in downloads.GITHUB_ASSETS_NAMES if one.endswith(".pt"))
    if name not in published:
        raise CheckpointError(
            f"the installed ultralytics publishes no {name}{did_you_mean(name, published)}: give one of its "
            f"{len(published)} weights by its bare name, such as yolov8s.pt, or the path of a .pt that is here"
        )
    target = Path(name)
    try:
        with quiet():
            found = Path(downloads.attempt_download_asset(name))
        if not found.is_file():
            raise FileNotFoundError(f"there is no file {found} after the download")
    except BaseException as error:
        target.unlink(missing_ok=True)  # what older releases leave of a download that was stopped
        if not isinstance(error, (OSError, MemoryError)):
            raise
        why = first_paragraph(error).lstrip("❌ ").rstrip(".")
        raise CheckpointError(
            f"{name} can't be downloaded ({why}): try again with a network, or copy it here from a machine that has "
            f"one (yolo predict model={name})"
        ) from error
    return found
