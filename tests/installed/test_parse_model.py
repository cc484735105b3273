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
from lska_surgeon.installed.names import installed_tasks
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
#: Classes among its modules that its parser finds and has no rule for.
OTHERS = "{others}"
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


def others() -> str:
    tasks = installed_tasks()
    assert tasks is not None
    found = {name: tasks.class_of(name) for name in tasks.names - STOCK.rows.keys() if name[0].isupper()}
    modules = tasks.path.with_name("modules")
    return " ".join(sorted(name for name, at in found.items() if at and at.source and at.source.path.parent == modules))


def test_the_shipped_rules_are_those_of_the_release(source: ParserSource, request: pytest.FixtureRequest) -> None:
    """Of another release, the widths and letters of the blocks that both have."""
    lines, release = written(source), importlib.metadata.version("ultralytics")
    if request.config.getoption("--update-blocks"):
        text = NEW.format(release=release, others=others(), rules="\n".join(lines.values()))
        Path(parser_rules.__file__).write_text(text, encoding="utf-8")
        return
    shipped = {line.split()[0]: line for line in parser_rules.RULES.splitlines() if line}
    if release == parser_rules.RELEASE:
        assert (lines, others()) == (shipped, parser_rules.OTHERS)
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


PARSER = """
import timm
import torch.nn as nn
from ultralytics.nn.extra import *
from ultralytics.nn.extra import Base as Second
from ultralytics.nn import extra
from ultralytics.nn.tools import half

OWN = {{Base, "Named"}}
try:
    from nowhere import Missing
except ImportError:
    Missing = None


def parse_model(d, ch, verbose=True):
    import contextlib
    depth, width, max_channels = d["scales"][d.get("scale")]
    ch = [ch]
    layers, save, c2 = [], [], ch[-1]
    is_backbone = False
    for i, (f, n, m, args) in enumerate(d["backbone"] + d["head"]):
        try:
            t = m
            m = getattr(nn, m[3:]) if "nn." in m else globals()[m]
        except KeyError:
            pass
        for j, a in enumerate(args):
            with contextlib.suppress(ValueError, NameError):
                args[j] = eval(a) if isinstance(a, str) else a
        {branches}
        else:
            c2 = ch[f]
        m_ = m if isinstance(c2, list) else nn.Sequential(*(m(*args) for _ in range(n))) if n > 1 else m(*args)
        is_backbone = is_backbone or isinstance(c2, list)
        m_.i, m_.f = i + 4 if is_backbone else i, f
        layers.append(m_)
        if i == 0:
            ch = []
        if isinstance(c2, list):
            for _ in range(5 - len(c2)):
                c2.insert(0, 0)
            ch.extend(c2)
        else:
            ch.append(c2)
    return nn.Sequential(*layers), save
"""
EXTRA = """
from torch import nn
__all__ = ["Base", "Wide", "Twin"]
class Base(nn.Module):
    expansion = 4
class Wide(Base): ...
class Hidden(nn.Module): ...
Twin = Wide
"""
TOOLS = '''
"""
from a text that begins at the margin, import nothing
"""
def half(width, by=2):
    if isinstance(width, list):
        return [half(one) for one in width]
    return width // by
'''


def parser_with(branches: str, folder: Path) -> ParserSource:
    """The parser above with branches of its own, in a package."""
    nn = folder / "ultralytics" / "nn"
    nn.mkdir(parents=True)
    for name, text in (("tasks", PARSER.format(branches=branches)), ("extra", EXTRA), ("tools", TOOLS)):
        (nn / f"{name}.py").write_text(text, encoding="utf-8")
    return ParserSource(nn / "tasks.py")


def model_of(*rows: list[Any]) -> dict[str, Any]:
    return {"scales": {"n": [1, 1, 99]}, "scale": "n", "backbone": [*rows], "head": []}


@pytest.mark.parametrize(
    ("branches", "row", "block", "width", "arguments"),
    [
        ("if m in OWN: c2 = 7", "Base", "Base", 7, ()),
        ("if m in OWN: c2 = 7", "Second", "Base", 7, ()),
        ("if m is Second: c2 = 7", "Base", "Base", 7, ()),
        ("if m is extra.Base: c2 = 7", "Base", "Base", 7, ()),
        ("if m is Twin: c2 = 7", "Wide", "Wide", 7, ()),
        ("if m.__name__ in ('Wide', 'Base'): c2 = 7", "Wide", "Wide", 7, ()),
        ("if t == 'Wide': c2, args = args[0], [ch[f], *args]", "Wide", "Wide", 9, (3, 9)),
        ("if m is Wide: c2 = ch[f] * m.expansion", "Wide", "Wide", 12, ()),
        ("if m is Wide: c2 = half(ch[f] + 9)", "Wide", "Wide", 6, ()),
        ("if m is Wide: c2 = sum(half(c) for c in [ch[f], 5])", "Wide", "Wide", 3, ()),
        ("if m is Wide: c2 = {m: 8}[m] if m in [Wide] else 0", "Wide", "Wide", 8, ()),
        ("if isinstance(m, str): c2 = 5", "Hidden", "", None, ()),  # a text can't be called
        ("if m is Missing: c2 = 7", "Base", "Base", 3, ()),
        ("if asks(m): c2 = 7", "Base", "Base", UNKNOWN, ()),
        ("if m is Wide: c2 = asks(ch[f])", "Wide", "Wide", UNKNOWN, ()),
        ("if m is Wide: c2 = [c for c in (1, 2)][-1] if n == 1 else 0", "Wide", "Wide", 2, ()),
    ],
)
def test_it_follows_what_people_write(
    branches: str, row: str, block: str, width: Any, arguments: tuple[Any, ...], tmp_path: Path
) -> None:
    args = [9] if "args[0]" in branches else []
    (found,) = parser_with(branches, tmp_path).read(model_of([-1, 1, row, args]))
    if width is None:
        assert isinstance(found.refused, TypeError)
        return
    assert (found.block, found.arguments) == (block, arguments or tuple(args))
    assert found.doubtful or found.width == width
    assert found.width == width


def test_a_backbone_of_timm_is_a_list_and_counts_as_five(tmp_path: Path) -> None:
    timm = "if isinstance(m, str):\n            m = timm.create_model(m, features_only=True)\n"
    source = parser_with(f"{timm}            c2 = m.feature_info.channels()", tmp_path)
    model = model_of([-1, 1, "resnet18", []], [-1, 1, "Base", []], [3, 1, "Base", []])
    first, behind, at = source.read(model)
    assert (first.counts, behind.counts, behind.width) == (5, 1, UNKNOWN)
    first, behind, at = source.read(model, told={0: [64, 128, 256, 512]})
    assert (first.width, behind.width, at.width) == ([0, 64, 128, 256, 512], 512, 256)


def test_a_row_that_may_be_refused_is_not_known_and_the_others_are(tmp_path: Path) -> None:
    source = parser_with("if m is Base: c2 = 7 if asks(m) else args[0]", tmp_path)
    model = model_of([-1, 1, "Wide", []], [-1, 1, "Base", []], [0, 1, "Wide", []])
    first, unknown, last = source.read(model)
    assert (first.width, unknown.width, last.width) == (3, UNKNOWN, 3)
    with pytest.raises(UnreadableParser, match="decides whether it refuses a row"):
        source.rows(model)
