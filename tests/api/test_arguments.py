"""Arguments of a wrong type, whichever verb gets them: one line that says what was given and what is allowed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy
import pytest

import lska_surgeon as ls
from lska_surgeon.api.verb import _alternatives, check_types
from lska_surgeon.files import planned_target

STOCK = "yolov8n.yaml"


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "backbone: [[-1, 1, EMA, []]]\nhead: [[[0], 1, Detect, [nc]]]\n"
    Path("own.yaml").write_text(f"nc: 1\n{rows}")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ls.insert(STOCK, None), "at is None, and has to be text or a list of such, each text"),
        (lambda: ls.insert(STOCK, [5]), "at is [5], and has to be text"),
        (lambda: ls.insert(STOCK, iter(["neck", 5])), "5 is no position: give text, such as"),
        (lambda: ls.insert(STOCK, {"neck": 7}), "at is {'neck': 7}, and has to be text"),
        (lambda: ls.insert(5, "neck"), "base is 5, and has to be a path"),
        (lambda: ls.insert(b"yolov8n.yaml", "neck"), "base is b'yolov8n.yaml', and has to be a path"),
        (lambda: ls.insert(STOCK, "neck", k="35"), "k is '35', and has to be a whole number or None"),
        (lambda: ls.insert(STOCK, "neck", k=True), "k is True, and has to be a whole number"),
        (lambda: ls.insert(STOCK, "neck", op=None), "op is None, and has to be text"),
        (lambda: ls.insert(STOCK, "neck", output=5), "output is 5, and has to be a path or None"),
        (lambda: ls.insert(STOCK, "neck", blocks=5), "blocks is 5, and has to be a path or None"),
        (lambda: ls.insert(STOCK, "neck", resolve="no"), "resolve is 'no', and has to be True or False"),
        (lambda: ls.check(5), "model is 5, and has to be a path"),
        (lambda: ls.positions(None), "model is None, and has to be a path"),
        (lambda: ls.remove([STOCK]), "variant is ['yolov8n.yaml'], and has to be a path"),
        (lambda: ls.diff(STOCK, 5), "after is 5, and has to be a path"),
        (lambda: ls.variants(5), "recipe is 5, and has to be a path"),
        (lambda: ls.variants("r.yaml", jobs="2"), "jobs is '2', and has to be a whole number"),
        (lambda: ls.report(5), "recipe is 5, and has to be a path"),
        (lambda: ls.ablate(5), "recipe is 5, and has to be a path"),
        (lambda: ls.results(5), "source is 5, and has to be a path or a list of such, each a path"),
        (lambda: ls.results("r.yaml", effect=float("nan")), "effect is nan, and has to be a number or None"),
        (lambda: ls.results("r.yaml", effect=-1), "no number of seeds shows an effect of -1"),
        (lambda: ls.curves(STOCK, 5), "at is 5, and has to be text"),
        (lambda: ls.curves(STOCK, "neck", k="7"), "k is '7', and has to be a whole number or a list of such"),
        (lambda: ls.graft("a.pt", "neck", image=5), "image is 5, and has to be a path or None"),
        (lambda: ls.graft("a.pt", 5), "at is 5, and has to be text"),
        (lambda: ls.adopt(5), "checkpoint is 5, and has to be a path"),
        (lambda: ls.load_checkpoint(5), "checkpoint is 5, and has to be a path"),
        (lambda: ls.train(5, data="coco8.yaml"), "model is 5, and has to be a path"),
        (lambda: ls.erf(5), "models is 5, and has to be a path or a list of such, each a path"),
        (lambda: ls.register(blocks=5), "blocks is 5, and has to be a path or None"),
        (lambda: ls.blocks(5), "source is 5, and has to be a path or None"),
        (lambda: ls.draw(5), "int can't be drawn: give a path"),
        (lambda: planned_target(b"a.pt", None, ".pt"), "b'a.pt' is not a path"),
        (lambda: ls.blocks("own.yaml").write(5), "5 is not a path"),
        (lambda: ls.insert(STOCK, "neck").write(5), "5 is not a path"),
        (lambda: ls.remove(ls.insert(STOCK, "neck").write()).write([]), "[] is not a path"),
        (lambda: ls.draw(STOCK).write(5), "5 is not a path"),
        (lambda: ls.curves(STOCK, "neck").write(5), "5 is not a path"),
        (lambda: ls.templates()["recommended"].write(5), "5 is not a path"),
    ],
)
def test_a_wrong_type_is_told(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ls.SurgeonError) as told:
        call()
    assert said in str(told.value)


def test_what_is_as_good_is_taken(tmp_path: Path) -> None:
    one = ls.insert(
        Path(STOCK), ("neck",), k=numpy.int64(23), gated=numpy.bool_(False), output=tmp_path / "yolov8n-x.yaml"
    )
    assert one.text == ls.insert(STOCK, (name for name in ["neck"]), output=tmp_path / "yolov8n-x.yaml").text

    def verb(number: float, either: int | list[str], anything: Any = None, **more: Any) -> None: ...

    check_types(inspect.signature(verb), {"number": Fraction(1, 3), "either": 7, "more": {"x": 1}})


def test_types_are_told_apart_at_their_outer_bars() -> None:
    assert _alternatives("str | Path | Sequence[str | Path] | None") == ["str", "Path", "Sequence[str | Path]", "None"]
    assert _alternatives("Mapping[str, list[int]] | os.PathLike[str]") == [
        "Mapping[str, list[int]]",
        "os.PathLike[str]",
    ]
