"""`--resolve`: the same network from rows that say everything, whatever the file is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import builds
from support import yaml_oracle as oracle
from support.insertions import plan_insert

from lska_surgeon.core.graph import Scaling
from lska_surgeon.core.surgery import Placement
from lska_surgeon.errors import GraphError, TargetError

BY_LETTER = {"C3k2", "A2C2f"}


def by_letter(model: str) -> str:
    return " and ".join(sorted({x.block for x in builds.document_of(model).layers} & BY_LETTER))


def other_letter(scaling: Scaling) -> str:
    return "x" if scaling.letter != "x" else "n"


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in builds.BUILT if builds.positions_of(model)])
def test_resolved_variant_builds_the_same_network_under_any_name(model: str, variants: Path) -> None:
    free = builds.in_family(model, "free.yaml")
    for scaling in builds.sweep(model):
        expected = builds.full_variant(model, scaling, variants).tensors
        text = builds.full_plan(model, scaling, free, resolve=True).text
        assert builds.tensor_shapes(builds.parse_text(text, variants, free)) == expected
        scales = oracle.load(text.encode()).get("scales") or {}
        assert list(scales) == ([scaling.letter] if by_letter(model) else [])


@pytest.mark.parametrize("model", [model for model in builds.SOME if builds.positions_of(model)])
def test_resolved_variant_under_another_letter_is_the_same_or_refused(model: str) -> None:
    scaling = builds.scalings_of(model)[-1]
    own, other, free = (
        builds.in_family(model, name)
        for name in (f"yolov8{scaling.letter or ''}-r.yaml", f"yolov8{other_letter(scaling)}-r.yaml", "free.yaml")
    )
    text = builds.full_plan(model, scaling, free, resolve=True).text
    assert builds.full_plan(model, scaling, own, resolve=True).text == text
    if not by_letter(model):
        assert builds.full_plan(model, scaling, other, resolve=True).text == text
        return
    with pytest.raises(TargetError) as refused:
        builds.full_plan(model, scaling, other, resolve=True)
    assert str(refused.value) == (
        f"the name {other} says scale {other_letter(scaling)}, and Ultralytics builds {by_letter(model)} by that "
        f"letter: choose a name with {scaling.letter} in that place, or with no scale"
    )


@pytest.mark.parametrize(
    ("n", "depth", "repeats"), [(3, 0.33, 1), (6, 0.33, 2), (3, 0.67, 2), (9, 0.5, 4), (1, 9.0, 1)]
)
def test_repeats_are_rounded_as_ultralytics_rounds_them(n: int, depth: float, repeats: int) -> None:
    assert Scaling("m", depth).repeats(n) == repeats == (max(round(n * depth), 1) if n > 1 else n)


def resolved(tmp_path: Path, text: str, scale: str | None = None) -> str:
    path = tmp_path / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return plan_insert(str(path), Placement(("after:0",)), scale=scale, resolve=True, output="-").text


ROWS = "backbone:\n- [-1, 1, Conv, [64, 3, 2]]\n- [-1, 6, C3, [200]]\nhead:\n- [-1, 1, Detect, [nc]]\n"


def test_old_files_with_multiples_lose_them(tmp_path: Path) -> None:
    text = resolved(tmp_path, f"depth_multiple: 0.33 # depth\nwidth_multiple: 0.25\n{ROWS}")
    assert text == (
        "depth_multiple: 1.0 # depth\nwidth_multiple: 1.0\nbackbone:\n- [-1, 1, Conv, [16, 3, 2]]\n"
        "- [-1, 1, LSKA, [16, 23]] # 1 lska k23, after (P1/2)\n- [-1, 2, C3, [56]]\nhead:\n- [-1, 1, Detect, [nc]]\n"
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_scales_give_way_without_touching_their_neighbours(tmp_path: Path, newline: str) -> None:
    scales = "scales: # compound\n  n: [0.33, 0.25, 1024] # nano\n  s: [0.33, 0.50, 1024] # small\n"
    text = f"nc: 3\n\n# sizes\n{scales}\n# rows\n{ROWS}".replace("\n", newline)
    plain = resolved(tmp_path, text, "s")
    assert plain.startswith(
        "nc: 3\n\n# sizes\n\n# rows\nbackbone:\n- [-1, 1, Conv, [32, 3, 2]]\n".replace("\n", newline)
    )
    kept = resolved(tmp_path, text.replace("C3,", "C3k2,"), "s")
    note = "# the rows hold real widths and repeats; the letter is for the blocks that Ultralytics builds by it"
    expected = f"nc: 3\n\n# sizes\nscales: {{s: [1.0, 1.0, 65536]}} {note}\n\n# rows\nbackbone:\n"
    assert kept.startswith(expected.replace("\n", newline))


@pytest.mark.parametrize(("width", "found"), [("[nc]", "nc"), ("[]", "missing"), ("['64']", "64")])
def test_a_width_that_is_no_number_is_refused(tmp_path: Path, width: str, found: str) -> None:
    with pytest.raises(GraphError) as refused:
        resolved(tmp_path, ROWS.replace("[200]", width))
    assert str(refused.value) == f"--resolve needs real widths, and that of row 2 (C3) is {found}"
