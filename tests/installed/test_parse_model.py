"""The reader of `parse_model`: it says of every row what Ultralytics makes of it; the shipped rules are its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from support.parser_rules import blocks_of, rules_of

from lska_surgeon.core import parser_rules
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.installed.parse_model import ParserSource
from lska_surgeon.installed.values import UNKNOWN, UnreadableParser
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.yolo.environment import import_offline

NEW = '''"""How Ultralytics' parser treats the blocks that it speaks of, as `installed.probing` read it.

Written by `pytest tests/installed/test_parse_model.py --update-blocks`; its support says what the columns are.
"""

from __future__ import annotations

#: The release that was read.
RELEASE = "{release}"
# NAME WIDTH LETTERS ARGUMENTS
RULES = """
{rules}
"""
'''


@pytest.fixture(scope="module")
def source() -> ParserSource:
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None
    (root,) = spec.submodule_search_locations or ()
    return ParserSource(Path(root, "nn", "tasks.py"))


def written(source: ParserSource) -> dict[str, str]:
    """Name of a block -> its line."""
    return {
        name: f"{name:<18} {rule.width:<8} {','.join(rule.letters) or '-':<8} {' '.join(rule.arguments)}"
        for name, rule in rules_of(source).items()
    }


def test_the_shipped_rules_are_those_of_the_release(source: ParserSource, request: pytest.FixtureRequest) -> None:
    """Of another release, the widths and letters of the blocks that both have."""
    lines, release = written(source), importlib.metadata.version("ultralytics")
    if request.config.getoption("--update-blocks"):
        text = NEW.format(release=release, rules="\n".join(lines.values()))
        Path(parser_rules.__file__).write_text(text, encoding="utf-8")
        return
    shipped = {line.split()[0]: line for line in parser_rules.RULES.splitlines() if line}
    if release == parser_rules.RELEASE:
        assert lines == shipped
    for name in lines.keys() & shipped.keys() - {"Classify"}:  # whose width is that of no map
        assert lines[name].split()[:3] == shipped[name].split()[:3]


def test_every_block_that_the_parser_speaks_of_is_in_the_table(source: ParserSource) -> None:
    missing = [name for name in blocks_of(source) if name not in STOCK.rows]
    assert not missing, f"a row for each in core/blocks.py: {missing}"


def models() -> list[tuple[str, str | None]]:
    """Every stock model, at a scale: another one for each of a family, so that all letters come up."""
    found = []
    for number, (name, path) in enumerate(stock_models().items()):
        text = path.read_text(encoding="utf-8")
        letters = [letter for letter in "nsmlx" if f"\n  {letter}: [" in text]
        found.append((name, letters[number % len(letters)] if letters else None))
    return found


@pytest.mark.parametrize(("name", "scale"), models())
def test_it_says_what_ultralytics_builds(name: str, scale: str | None, source: ParserSource, monkeypatch: Any) -> None:
    """Widths, modules in a chain, and what each constructor is given."""
    tasks = import_offline()
    yaml = tasks.yaml_model_load(name)
    yaml["scale"] = scale
    for row in yaml["backbone"] + yaml["head"]:
        if row[2] == "TorchVision":
            row[3][2:3] = [None]  # its weights would be fetched
    given: list[tuple[Any, ...]] = []
    rows = source.rows(yaml)
    for block in {row.block for row in rows} & vars(tasks).keys():
        monkeypatch.setattr(tasks, block, _noting(vars(tasks)[block], given))
    with torch.device("meta"):
        layers, _ = tasks.parse_model(deepcopy(yaml), ch=3, verbose=False)
    ours = [row for row in rows if "." not in row.block]
    assert given == [(row.block, row.arguments) for row in ours for _ in range(row.modules)]
    chains = [len(layer) if type(layer) is torch.nn.Sequential else 1 for layer in layers]
    assert chains == [row.modules for row in rows]
    assert not any(row.doubtful or row.width is UNKNOWN for row in rows)


def _noting(block: Any, given: list[tuple[Any, ...]]) -> Any:
    """A class in the place of a block, that notes what the parser gives it."""

    def new(_: type, *args: Any) -> Any:
        given.append((block.__name__, args))
        return block(*args)

    return type(block.__name__, (block,), {"__new__": new})


def test_a_source_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.py"
    tasks.write_text("def other(): pass\n", encoding="utf-8")
    with pytest.raises(UnreadableParser, match="has no parse_model"):
        ParserSource(tasks).rows({"backbone": [], "head": []})
    tasks.write_text("def parse_model(d, ch):\n    async def f(): pass\n", encoding="utf-8")
    with pytest.raises(UnreadableParser, match="line 2: AsyncFunctionDef"):
        ParserSource(tasks).rows({"backbone": [], "head": []})


def test_what_cannot_be_told_is_doubtful_and_nothing_runs(tmp_path: Path) -> None:
    trace, tasks = tmp_path / "trace", tmp_path / "tasks.py"
    tasks.write_text(
        f"from mine import Known, asks\nopen({str(trace)!r}, 'w')\n"
        "def parse_model(d, ch, verbose=True):\n"
        "    ch = [ch]\n"
        "    for i, (f, n, m, args) in enumerate(d['backbone'] + d['head']):\n"
        "        m = globals()[m]\n"
        "        c2 = asks(m).width if asks(m) else ch[f]\n"
        f"        open({str(trace)!r}, 'w')\n"
        "        m_ = m(*args)\n"
        "        if i == 0:\n            ch = []\n"
        "        ch.append(c2)\n",
        encoding="utf-8",
    )
    (row,) = ParserSource(tasks).rows({"backbone": [[-1, 1, "Known", [7]]], "head": []})
    assert (row.block, row.width, row.arguments, row.doubtful) == ("Known", UNKNOWN, (7,), True)
    with pytest.raises(KeyError):
        ParserSource(tasks).rows({"backbone": [[-1, 1, "Nobodys", []]], "head": []})
    assert not trace.exists()
