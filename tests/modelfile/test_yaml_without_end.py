"""YAML that is nested, or grows through its aliases, without end: every consumer stops early, and says which file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.shapes import surgeon, write_checkpoint

LEVELS = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20))
TEXTS = {
    "brackets": f"base: {'[' * 50_000}\nbackbone: []\nhead: []\n",
    "brackets with numbers": f"base: {'[1, ' * 30_000}\nbackbone: []\nhead: []\n",
    "dashes": f"backbone: []\nhead: []\nbase:\n  {'- ' * 50_000}\n",
    "aliases": f"a: &a [x, x, x, x, x, x, x, x, x]\n{LEVELS}base: *u\nbackbone: *u\nhead: *u\n",
    "itself": "base: &a [*a]\nbackbone: *a\nhead: *a\n",
}
CONSUMERS = {
    "check": ["check", "many.yaml"],
    "insert": ["insert", "many.yaml", "--at", "neck"],
    "flops": ["flops", "many.yaml"],
    "variants": ["variants", "many.yaml", "--check"],
    "ablate": ["ablate", "many.yaml", "--dry-run"],
    "results": ["results", "many.yaml"],
    "train data": ["train", "base.pt", "data=many.yaml"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("without-end")
    write_checkpoint(found)
    return found


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_every_consumer_stops_early(consumer: str, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("many.yaml").write_text(TEXTS[kind], encoding="utf-8")
    start = time.process_time()
    done = surgeon(*CONSUMERS[consumer])
    assert time.process_time() - start < 3 + 3 * (consumer == "train data")  # 50,000 brackets took ten seconds
    assert done.exit_code == 2, done.exception
    (line,) = done.stderr.splitlines()
    assert "many.yaml" in line
    assert "nested too deep" in line or "aliases that stand for too much" in line
