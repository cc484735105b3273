"""Ultralytics sealed off: without network and pip, and without running what lies beside somebody's data."""

from __future__ import annotations

import functools
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import torch
from ultralytics.data import dataset
from ultralytics.data import utils as data_utils
from ultralytics.engine import trainer, validator
from ultralytics.utils import checks, downloads

#: What the labels' cache of a data set is made of, besides plain values, by NumPy's release.
_NUMBERS = frozenset(
    [
        *(("numpy", name) for name in ("dtype", "ndarray")),
        *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ]
)


@contextmanager
def sealed() -> Iterator[None]:
    """Let Ultralytics, in this process and in those that it starts, neither download, install nor run a thing.

    It then takes the way that it has for a machine without network: a font is left out, the check of mixed precision
    is skipped. A data YAML whose images are not here is an error, whatever its `download` says, and a cache of labels
    that is more than numbers counts as none, so that the labels are read.
    """
    changes: list[tuple[Any, str, Any]] = [
        (downloads, "safe_download", _refuse(downloads.safe_download)),
        (torch.hub, "download_url_to_file", _refuse(torch.hub.download_url_to_file)),
        (data_utils, "safe_download", _refuse(data_utils.safe_download)),
        (downloads, "is_url", _offline(downloads.is_url)),
        (checks, "ONLINE", False),
        (checks, "AUTOINSTALL", False),
        *((module, "check_det_dataset", _here(module.check_det_dataset)) for module in (trainer, validator)),
        (dataset, "load_dataset_cache_file", _numbers_in),
    ]
    before = [getattr(module, name) for module, name, _ in changes]
    environment = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    environment_before = {name: os.environ.get(name) for name in environment}
    for module, name, value in changes:
        setattr(module, name, value)
    os.environ.update(environment)
    try:
        yield
    finally:
        for (module, name, _), value in zip(changes, before):
            setattr(module, name, value)
        for name, value in environment_before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _refuse(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def safe_download(url: Any, *args: Any, **kwargs: Any) -> Any:
        if "://" not in str(url) and os.path.isfile(url):
            return original(url, *args, **kwargs)  # an archive that is here is only unpacked
        raise ConnectionError(f"{url} is not here, and nothing is downloaded")

    return safe_download


def _offline(original: Callable[..., bool]) -> Callable[..., bool]:
    @functools.wraps(original)
    def is_url(url: Any, check: bool = False) -> bool:
        return not check and original(url)

    return is_url


def _here(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def check_det_dataset(data: Any, *_: Any, **kwargs: Any) -> Any:
        return original(data, **{**kwargs, "autodownload": False})

    return check_det_dataset


def _numbers_in(path: str | Path) -> Any:
    """What Ultralytics' `load_dataset_cache_file` gives, which would run whatever the file says: it is a pickle.

    Raises:
        AssertionError: it is not that; every release then reads the labels.
    """
    with Path(path).open("rb") as file:
        try:
            assert numpy.lib.format.read_magic(file) == (1, 0)
            numpy.lib.format.read_array_header_1_0(file)
            return _Numbers(file).load().item()
        except Exception as error:  # whatever bytes that are no pickle make of an unpickler
            raise AssertionError(f"{path} is no cache of labels") from error


class _Numbers(pickle.Unpickler):
    """Reads plain values and NumPy's."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NUMBERS:
            raise pickle.UnpicklingError(f"{module}.{name} is no number")
        return super().find_class(module, name)
