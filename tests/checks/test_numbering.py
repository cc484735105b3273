"""A numbering is explained as a whole: what is right is never corrected, what is stale is, and the result is clean."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lska_surgeon.checks import ERROR, CheckedFile, check_file
from lska_surgeon.core.graph import Layer
from lska_surgeon.modelfile.document import Document, format_row
from lska_surgeon.modelfile.sources import stock_models

STOCK = [name for name in ("yolov8.yaml", "yolo11.yaml", "yolov5.yaml") if name in stock_models()]
#: What people put in: attention of every kind, blocks and convolutions of their own.
KINDS = [
    ("LSKA", ("c2", 7)),
    ("EMA", ()),
    ("CBAM", ("c2", 7)),
    ("C2f", (256,)),
    ("Conv", (512, 1, 1)),
    ("Mine", (512, True)),
]
OTHER_NAMES = {
    "nn.Upsample": "DySample",
    "Conv": "SPDConv",
    "SPPF": "SPPFX",
    "C2f": "C2f_Faster",
    "C3k2": "C3k2_Faster",
}
SECTIONS = ("backbone", "head")
#: Some seeds always; many where slow tests run.
SEEDS = [*range(10), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 25))]


def written(layers: Sequence[Layer]) -> str:
    rows = {section: [f"  - {format_row(x)}" for x in layers if x.section == section] for section in SECTIONS}
    return "\n".join(["nc: 80", "backbone:", *rows["backbone"], "head:", *rows["head"], ""])


def checked(folder: Path, layers: Sequence[Layer] | str) -> CheckedFile:
    path = folder / "mine.yaml"
    path.write_text(layers if isinstance(layers, str) else written(layers), encoding="utf-8")
    return check_file(str(path))


class Edited:
    """A stock model with rows inserted, deleted and replaced, numbered right; `stale` says which numbers changed.

    Attributes:
        layers: the rows.
        stale: (row, tap, stock's number) of each number that is not the stock model's.
    """

    def __init__(self, name: str, chance: random.Random) -> None:
        rows = list(Document.read(stock_models()[name]).layers)
        for layer in chance.sample(
            [x for x in rows if x.block in OTHER_NAMES and x.index > 1], chance.choice([0, 0, 1, 2])
        ):
            args = () if layer.block == "nn.Upsample" else layer.args[:1] if layer.block == "Conv" else layer.args
            rows[layer.index] = replace(layer, block=OTHER_NAMES[layer.block], args=args)
        places = [x.index for x in rows[2:-1] if len(x.raw_sources) == 1 and "ample" not in x.block]
        behind = {at: chance.choice(KINDS) for at in chance.sample(places, chance.choice([1, 1, 2, 3]))}
        blocks = [x.index for x in rows if x.section == "backbone" and x.block in OTHER_NAMES and x.block[:2] != "Co"]
        gone = set(chance.sample(blocks, 1)) if blocks and chance.random() < 0.4 else set()
        self._lay_out(rows, behind, gone)

    def _lay_out(self, rows: list[Layer], behind: dict[int, tuple[str, tuple[object, ...]]], gone: set[int]) -> None:
        new: list[tuple[Layer, int | None]] = []
        stands: dict[int, int] = {}
        for layer in rows:
            if layer.index not in gone:
                new.append((layer, layer.index))
            if layer.index in behind:
                block, args = behind[layer.index]
                new.append((Layer(0, layer.section, -1, 1, block, args), None))
            stands[layer.index] = len(new) - 1
        self.layers: list[Layer] = []
        self.stale: list[tuple[int, int, int]] = []
        for index, (layer, old) in enumerate(new):
            read = [
                None if old is None or old + tap < 0 else stands[tap if tap >= 0 else old + tap]
                for tap in layer.raw_sources
            ]
            taps = [
                tap if source is None else -1 if tap < 0 and source == index - 1 else source
                for tap, source in zip(layer.raw_sources, read)
            ]
            self.layers.append(rewired(replace(layer, index=index), taps))
            self.stale += [(index, n, tap) for n, tap in enumerate(layer.raw_sources) if tap >= 0 and taps[n] != tap]


def rewired(layer: Layer, taps: Sequence[int]) -> Layer:
    return replace(layer, frm=tuple(taps) if isinstance(layer.frm, tuple) else taps[0])


def with_stale(layers: Sequence[Layer], stale: Sequence[tuple[int, int, int]]) -> list[Layer]:
    done = list(layers)
    for row, tap, number in stale:
        taps = list(done[row].raw_sources)
        taps[tap] = number
        done[row] = rewired(done[row], taps)
    return done


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", STOCK)
def test_stale_numbers_are_fixed_and_right_ones_left_alone(name: str, seed: int, tmp_path: Path) -> None:
    chance = random.Random(f"{name}{seed}")
    edited = Edited(name, chance)
    assert checked(tmp_path, edited.layers).ok
    output = len(edited.layers) - 1
    some = [one for one in edited.stale if chance.random() < 0.5]
    for stale in (edited.stale, [one for one in edited.stale if one[0] == output], some):
        found = checked(tmp_path, with_stale(edited.layers, stale))
        fixed = {(fix.row, fix.slot) for x in found.findings if x.severity == ERROR for fix in x.corrections}
        assert fixed <= {(row, tap) for row, tap, _ in stale}
        reported = {(x.row, x.rule) for x in found.findings}
        after = checked(tmp_path, found.fixed_text)
        assert {(x.row, x.rule) for x in after.findings if x.severity == ERROR} <= reported


# Necks of people's own.


def own_neck(chance: random.Random) -> list[Layer]:
    """YOLOv8 with a neck rebuilt: a P2 branch, a second fusion at P4, a fusion of three, attention behind blocks."""
    rows = [x for x in Document.read(stock_models()["yolov8.yaml"]).layers if x.section == "backbone"]

    def add(block: str, args: tuple[object, ...], *sources: int) -> int:
        frm = sources[0] if len(sources) == 1 else tuple(sources)
        rows.append(Layer(len(rows), "head", frm, 1, block, args))
        return len(rows) - 1

    def fused(block_width: int, *sources: int) -> int:
        add("Concat", (1,), -1, *sources)
        at = add("C2f", (block_width,), -1)
        return add(*chance.choice(KINDS[:3]), -1) if chance.random() < 0.3 else at

    def up() -> int:
        return add("nn.Upsample", (None, 2, "nearest"), -1)

    up()
    p4 = fused(512, 6)
    p4 = fused(512, 6) if chance.random() < 0.5 else p4
    up()
    outputs = [fused(256, 4)]
    if chance.random() < 0.5:
        p3 = outputs.pop()
        up()
        outputs.append(fused(128, 2))
        add("Conv", (128, 3, 2), -1)
        outputs.append(fused(256, p3))
    add("Conv", (256, 3, 2), -1)
    outputs.append(fused(512, p4, *([6] if chance.random() < 0.5 else [])))
    add("Conv", (512, 3, 2), -1)
    outputs.append(fused(1024, 9))
    add("Detect", ("nc",), *outputs)
    return rows


@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_neck_of_the_users_is_right_and_its_output_layer_fixed_as_a_whole(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    right = own_neck(chance)
    assert checked(tmp_path, right).ok
    output = right[-1]
    shift = chance.choice([-2, -1])
    for taps in (
        [15, 18, 21],
        [tap + shift for tap in output.raw_sources],
        [*output.raw_sources[:-1], output.raw_sources[-1] - 1],
    ):
        found = checked(tmp_path, [*right[:-1], rewired(output, taps)])
        fixed = found.fixed_text
        after = checked(tmp_path, fixed)
        if fixed != found.document.text:
            assert after.ok, [x.text for x in after.findings]
        else:
            assert {x.message for x in after.findings} == {x.message for x in found.findings}
