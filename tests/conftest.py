"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lska_surgeon.declarations import find

# The networks are small and the tests run side by side, the processes that they start too: more threads only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run: a test that passes once passes always.
settings.register_profile(
    "project",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="rewrite the outputs in tests/cases")
    parser.addoption("--update-blocks", action="store_true", help="rewrite what is read of the parser's source")
    parser.addoption("--update-docs", action="store_true", help="rewrite the table of supported positions in docs")
    parser.addoption("--exhaustive", action="store_true", help="count all variants of all YOLOv8 models (half an hour)")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither read nor fill the user's cache of costs."""
    os.environ["LSKA_SURGEON_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test works in a folder of its own, which is empty when it begins."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def forget_own_blocks() -> Iterator[None]:
    """A project's classes hold for the process that imports them, and for its children: here, for one test."""
    path, environment = [*sys.path], {name: os.environ.get(name) for name in (find.VARIABLE, "PYTHONPATH")}
    yield
    sys.path[:] = path
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    declared = sys.modules.get("lska_surgeon.nn.declared")
    folders = tuple(str(path.parent) for path, _ in find._said)
    find._said.clear()
    if declared is not None and folders:
        declared._imported.clear()
        for name, module in [*sys.modules.items()]:
            spec = getattr(module, "__spec__", None)
            places = [getattr(spec, "origin", None), *(getattr(spec, "submodule_search_locations", None) or ())]
            if any(str(place).startswith(folders) for place in places):
                del sys.modules[name]


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the variants of stock models, so that each is built once for all tests."""
    return tmp_path_factory.mktemp("variants")
