"""The contracts between a base and its variants, over all stock models and over networks and layouts made at random.

Wiring is judged by `yaml_oracle`, which reads files as Ultralytics does and knows nothing of the package's index map.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st
from support import builds, yaml_styles
from support import yaml_oracle as oracle
from support.fresh import fresh
from support.insertions import plan_insert

from lska_surgeon.core.blocks import STOCK as TABLE
from lska_surgeon.core.graph import scaling_of
from lska_surgeon.core.positions import named_sites
from lska_surgeon.core.shapes import shapes_of
from lska_surgeon.core.surgery import Placement
from lska_surgeon.errors import TargetError
from lska_surgeon.modelfile.document import Document
from lska_surgeon.modelfile.insert import Insertion
from lska_surgeon.modelfile.remove import plan_remove
from lska_surgeon.modelfile.sources import stock_models

#: Its only layer before the output layer is a whole torchvision model.
WITHOUT_POSITIONS = {"yolo11-cls-resnet18.yaml"}
STOCK = sorted(stock_models().keys() - WITHOUT_POSITIONS)
ROW = re.compile(r"(?P<dash> *- *)\[ *(?P<frm>\[[^\]]*\]|-?\d+)(?P<rest> *,[^#]*\])(?P<note>(?: *#.*)?)")
INSERTED = re.compile(r" *- \[-?\d+, 1, \w+, \[c2, \d+(?:, \d+)?\]\] # \d+ (?:lska|lka)[a-z-]* k\d+, [a-z-]+.*")
INDEX = re.compile(r" *#\s*(?:[A-Z]\d \()?(\d+)(?=$|[\s,():;-])")


@dataclass(frozen=True)
class Place:
    """Where one operator has to be: behind `source`, for `consumer` or for all; or inside `source`."""

    source: int
    consumer: int | None
    inside: bool
    kernel: int


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")


def positions_of(path: Path) -> dict[str, list[Place]]:
    """Every named position of a model, with the places it stands for."""
    document = Document.read(path)
    graph = document.graph
    named = named_sites(graph, shapes_of(graph, scaling_of(document.settings)))
    return {name: [Place(s.layer, s.consumer, s.inside, 23) for s in sites] for name, sites in named.items()}


def check_wiring(base: bytes, variant: bytes, places: list[Place], block: str = "LSKA") -> None:
    """Contract 1: each source edge of the base reaches the same layer, through the operators asked for, no others."""
    before, after = oracle.load(base), oracle.load(variant)
    expected = [
        [
            (source, tuple((block, "c2", place.kernel) for place in _between(places, source, consumer)))
            for source, _ in edges
        ]
        for consumer, edges in enumerate(oracle.wiring(before))
    ]
    assert oracle.wiring(after) == expected
    kept = [row for row in oracle.rows_of(after) if row[2] not in oracle.OPERATORS]
    hosted = {place.source: place.kernel for place in places if place.inside}
    for index, (old, new) in enumerate(zip(oracle.rows_of(before), kept)):
        if index in hosted:
            assert (TABLE[new[2]].plain, new[3]) == (old[2], [*old[3], {"k": hosted[index]}])
        else:
            assert old[1:] == new[1:]
    for content in (before, after):
        for key in ("backbone", "head", "scales"):
            content.pop(key, None)
    assert before == after


def _between(places: list[Place], source: int | str, consumer: int) -> list[Place]:
    here = [place for place in places if place.source == source and not place.inside]
    return [p for p in here if p.consumer is None] + [p for p in here if p.consumer == consumer]


def check_scale(path: Path, variant: bytes, scale: str | None, output: str | None) -> None:
    """The variant builds the scale that was asked for under the name it gets, or else under one that says no scale."""
    before, after = oracle.load(path.read_bytes()), oracle.load(variant)
    asked = scale or oracle.scale_built(before, path.name)[0]
    letter, values = oracle.scale_built(after, "variant.yaml" if output in (None, "-") else output)
    assert values == (before["scales"][asked] if before.get("scales") else None)
    if letter != asked:  # under a letter that is not its own, no block may depend on it
        blocks = {TABLE[row[2]].plain for row in oracle.rows_of(after)}
        alike = [{"n", "s"}, {"m", "l", "x"}] if "C3k2" in blocks else [{"n", "s", "m", "l", "x"}]
        assert any({letter, asked} <= group for group in alike)


def lines_of(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def check_lines(base: str, variant: str, hosted: set[int]) -> None:
    """Contract 2, for a file with one flow row to a line: once the inserted lines are out, lines differ in `from`
    values, index comments and host rows only, and each of these is as it must be."""
    numbered, old_index, kept = [], -1, -1
    for line in lines_of(variant):
        old_index += bool(ROW.fullmatch(line))
        if not INSERTED.fullmatch(line):
            numbered.append((old_index, line))
    assert len(numbered) == len(lines_of(base))
    for old, (new_index, new) in zip(lines_of(base), numbered):
        found, changed = ROW.fullmatch(old), ROW.fullmatch(new)
        if found is None or changed is None:
            assert new == old
            continue
        kept += 1
        assert found["dash"] == changed["dash"]
        assert re.sub(r"\d+", "", found["frm"]) == re.sub(r"\d+", "", changed["frm"])
        assert found["rest"] == changed["rest"] or kept in hosted
        before, after = INDEX.match(found["note"]), INDEX.match(changed["note"])
        assert found["note"][before.end() if before else 0 :] == changed["note"][after.end() if after else 0 :]
        if before and after:
            stale = {kept: new_index, new_index: kept}
            assert int(after[1]) == stale.get(int(before[1]), int(before[1]))


def unpinned(text: str) -> str:
    """The text without the lines from its `scales` to its first section, where the scale pin works."""
    lines = lines_of(text)
    first = next((n for n, line in enumerate(lines) if re.match("\ufeff?(scales|# lska-surgeon)", line)), 0)
    end = next(n for n, line in enumerate(lines) if line.startswith(("nc:", "backbone:")) and n >= first)
    return "\n".join(lines[:first] + lines[end:])


def check_contracts(
    path: Path, at: tuple[str, ...], places: list[Place], *, scale: str | None = None, output: str | None = None
) -> Insertion:
    """Contracts 1, 2, 3 and 5 on one insertion, as far as they concern the text."""
    base = path.read_bytes()
    plan = plan_insert(str(path), Placement(at), scale=scale, output=output)
    variant = as_bytes(plan.text)
    check_wiring(base, variant, places)
    check_scale(path, variant, scale, output)
    kept = [n for n, row in enumerate(oracle.rows_of(oracle.load(variant))) if row[2] not in oracle.OPERATORS]
    assert plan.rewrite.index_map == dict(enumerate(kept))
    written = path.with_name(f"{path.stem}-variant.yaml")
    written.write_bytes(variant)
    assert as_bytes(plan_remove(str(written)).text) == base
    return plan


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in builds.BUILT if name in STOCK])
def test_stock_model_keeps_the_contracts_at_each_position(name: str, tmp_path: Path) -> None:
    path = tmp_path / builds.in_family(name, "base.yaml")
    path.write_bytes(stock_models()[name].read_bytes())
    for position, places in positions_of(path).items():
        plan = check_contracts(path, (position,), places, output=path.name)
        check_lines(plan.before, plan.text, {place.source for place in places if place.inside})


@pytest.mark.slow
@pytest.mark.parametrize("name", STOCK)
def test_stock_model_keeps_the_contracts_at_all_positions_together(name: str, tmp_path: Path) -> None:
    text = stock_models()[name].read_bytes().decode("utf-8")
    at, places = tuple(itertools.chain(*builds.in_full(name))), places_in_full(name)
    for style, styled in text_styles(text).items():
        path = tmp_path / builds.in_family(name, f"{style}.yaml")
        path.write_bytes(as_bytes(styled))
        output = builds.in_family(name, "variant.yaml")
        plan = check_contracts(path, at, places, output=output)
        check_lines(styled, plan.text, {place.source for place in places if place.inside})


def places_in_full(name: str) -> list[Place]:
    """The places of `builds.in_full`."""
    named = positions_of(stock_models()[name])
    places: list[Place] = []
    for at in itertools.chain(*builds.in_full(name)):
        position, layers, k = re.fullmatch(r"([a-z-]+)(?::([\d,]+))?@(\d+)", at).groups()  # type: ignore[union-attr]
        chosen = [place for place in named[position] if not layers or str(place.source) in layers.split(",")]
        places += [replace(place, kernel=int(k)) for place in chosen]
    return places


def text_styles(text: str) -> dict[str, str]:
    """Ways in which a file's bytes may differ without meaning anything else, several at once."""
    rows = [f"{line} # 中文 12" if ROW.fullmatch(line) and "#" not in line else line for line in text.split("\n")]
    return {
        "windows": "\ufeff" + "\r\n".join(rows).rstrip(),
        "gbk": f"# \udcd6\udcd0\udcce\udcc4\n{text}# \udcd6\udcd0".replace("\n", "\r"),
    }


@st.composite
def surgeries(draw: st.DrawFn) -> tuple[yaml_styles.Network, yaml_styles.Layout, tuple[str, ...], list[Place]]:
    """A network, a layout, and some `--at` values with the places they mean."""
    network, layout = draw(yaml_styles.networks()), draw(yaml_styles.layouts)
    choices = _choices(network.rows)
    chosen: dict[Place, str] = {}
    for place, spellings in draw(st.lists(st.sampled_from(choices), min_size=1, max_size=5, unique_by=lambda c: c[0])):
        k = draw(st.sampled_from([7, 11, 23, 35, 41, 53]))
        chosen[Place(place.source, place.consumer, place.inside, k)] = f"{draw(st.sampled_from(spellings))}@{k}"
    return network, layout, tuple(chosen.values()), list(chosen)


def _choices(rows: list[yaml_styles.Row]) -> list[tuple[Place, list[str]]]:
    """Every place where an operator may go in a network, with the spellings of `--at` that name it."""
    output = len(rows) - 1
    reads = {index: oracle.sources(rows, index) for index in range(len(rows))}
    choices: dict[Place, list[str]] = {}
    for consumer, sources in reads.items():
        for source in dict.fromkeys(source for source in sources if isinstance(source, int)):
            choices.setdefault(Place(source, None, False, 0), [f"after:{source}", f"after:{source - len(rows)}"])
            edge = [f"edge:{source}->{consumer}", f"edge:{source - len(rows)} -> {consumer}"]
            edge += [f"before:{consumer}"] if len(set(sources)) == 1 else []
            edge += [f"head:{source}"] if consumer == output else []
            choices[Place(source, consumer, False, 0)] = edge
    for index, (_, _, block, args) in enumerate(rows):
        if block == "SPPF":
            choices[Place(index, None, True, 0)] = [f"sppf-inner:{index}"]
        elif (block == "C2f" and args[1:] == [True]) or block in ("C3", "C3k2"):
            choices[Place(index, None, True, 0)] = [f"residual:{index}"]
    return list(choices.items())


def _can_be_named(network: yaml_styles.Network, layout: yaml_styles.Layout, scale: str | None, output: str) -> bool:
    """Whether a file of that name can build the scale: another letter in the name takes over the scale's values, unless
    a block depends on the letter itself, or the values are not on one line."""
    said = {"yolov8n-x.yaml": "n", "x-yolo11m.yaml": "m"}.get(output)
    asked = scale or "n"
    if not network.scales or said in (None, asked):
        return True
    by_letter = any(row[2] == "C3k2" for row in network.rows) and "m" in (said, asked)
    return not by_letter and layout.scales_style != "nested"


@given(
    surgeries(),
    st.sampled_from([None, "n", "s", "m"]),
    st.sampled_from(["variant.yaml", "yolov8n-x.yaml", "x-yolo11m.yaml", "-"]),
)
def test_any_network_in_any_layout_keeps_the_contracts(
    tmp_path_factory: pytest.TempPathFactory,
    surgery: tuple[yaml_styles.Network, yaml_styles.Layout, tuple[str, ...], list[Place]],
    scale: str | None,
    output: str,
) -> None:
    network, layout, at, places = surgery
    text = yaml_styles.write(network, layout)
    note(text)
    path = tmp_path_factory.mktemp("surgery") / "base.yaml"
    path.write_bytes(as_bytes(text))
    assert oracle.rows_of(oracle.load(as_bytes(text))) == network.rows
    asked = scale if network.scales else None
    if not _can_be_named(network, layout, scale, output):
        with pytest.raises(TargetError, match="says scale"):
            plan_insert(str(path), Placement(at), scale=asked, output=output)
        event("refused: the name says another scale")
        return
    plan = check_contracts(path, at, places, scale=asked, output=output)
    note(plan.text)
    if layout.section == "rows":
        check_lines(unpinned(text), unpinned(plan.text), {place.source for place in places if place.inside})


# Contract 4: the variant builds in Ultralytics, with as many parameters as the base and the closed form together.


@pytest.mark.slow
@pytest.mark.parametrize("model", builds.BUILT)
def test_stock_model_builds_and_runs_with_operators_behind_layers_and_inside(model: str, variants: Path) -> None:
    base = builds.built(model, (), variants)
    for at in filter(None, builds.in_full(model)):
        variant = builds.built(model, at, variants)
        assert (variant.params, variant.maps) == (base.params + variant.added, base.maps), at


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in builds.BUILT if model in STOCK])
def test_stock_model_has_the_parameters_of_the_closed_form_at_each_scale(model: str, variants: Path) -> None:
    for scaling in builds.sweep(model):
        base = builds.parse(stock_models()[model], scaling.letter)
        variant = builds.full_variant(model, scaling, variants)
        assert variant.params == builds.parameters(base) + (variant.added or 0)


@pytest.mark.slow
@pytest.mark.parametrize("model", builds.BUILT)
def test_widths_and_strides_are_those_of_the_built_network(model: str, variants: Path) -> None:
    graph = Document.read(stock_models()[model]).graph
    first, real = builds.scalings_of(model)[0], builds.built(model, (), variants)
    found = [
        (scaling, builds.maps_of(builds.parse(stock_models()[model], scaling.letter)), 64)
        for scaling in builds.sweep(model)
        if scaling != first
    ]
    for scaling, maps, size in [(first, list(real.maps), real.size), *found]:
        shapes = shapes_of(graph, scaling)
        for layer, shape, given_map in zip(graph, shapes, maps):
            if given_map is None or layer.block == "TorchVision":
                continue
            padding = 1 if layer.block == "nn.ZeroPad2d" else 0
            assert (shape.channels, size / (shape.stride or 0) + padding) == given_map, (scaling.letter, layer)
            assert not shape.guessed


UNTOUCHED = """
import sys
import torch
from torch import nn
from ultralytics.nn import tasks

class LSKA(nn.Module):
    def __init__(self, dim, k_size):
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 1)

    def forward(self, x):
        return x * self.conv1(x)

assert not any("lska_surgeon" in name for name in sys.modules)
tasks.LSKA = LSKA
for path in sys.argv[1:]:
    model = (tasks.ClassificationModel if "-cls" in path else tasks.DetectionModel)(path, verbose=False).eval()
    model(torch.zeros(1, 3, 64, 64))
    print("built", sum(type(layer) is LSKA for layer in model.model))
"""


def test_operator_rows_build_on_an_untouched_parser(tmp_path: Path) -> None:
    paths, expected = [], []
    for model in ("yolov8.yaml", "yolov8-p2.yaml", "yolov9t.yaml", "yolov10n.yaml", "yolov8-cls.yaml", "yolov5.yaml"):
        scale = builds.scalings_of(model)[-1 if model == "yolov8.yaml" else 0].letter
        plan = plan_insert(str(stock_models()[model]), Placement(builds.in_full(model)[0]), scale=scale)
        paths.append(str(tmp_path / str(plan.output)))
        Path(paths[-1]).write_text(plan.text, encoding="utf-8")
        expected.append(f"built {len(plan.rewrite.inserted)}")
    shown = fresh(UNTOUCHED, *paths, YOLO_OFFLINE="true")
    assert [line for line in shown.splitlines() if line.startswith("built")] == expected
