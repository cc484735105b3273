"""Arguments of a wrong type, whichever verb gets them: one line that says what was given and what is allowed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest

import lska_surgeon as ls
from lska_surgeon.api.verb import _alternatives, check_types
from lska_surgeon.files import planned_target

STOCK = "yolov8n.yaml"
VERBS = [getattr(ls, name) for name in ls.__all__ if inspect.isfunction(getattr(ls, name))]


@pytest.fixture(autouse=True)
def in_empty_folder() -> None:
    rows = "backbone: [[-1, 1, EMA, []]]\nhead: [[[0], 1, Detect, [nc]]]\n"
    Path("own.yaml").write_text(f"nc: 1\n{rows}")


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(ls.SurgeonError) as refused:
        call()
    return str(refused.value)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_no_argument_of_any_verb_may_be_of_a_wrong_type(verb: Callable[..., Any]) -> None:
    signature = inspect.signature(verb)
    needed = {name: STOCK for name, one in signature.parameters.items() if one.default is one.empty and one.kind < 4}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD or any(
            word in str(parameter.annotation) for word in ("Callable", "Countable", "Drawable", "Trained", "tuple")
        ):
            continue  # for the verb to look at
        wrong = [] if parameter.annotation == "bool" else {STOCK: 7}
        assert refusal(partial(verb, **{**needed, name: wrong})).startswith(f"{name} is {wrong}, and has to be ")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ls.insert(STOCK, None), "at is None, and has to be text or a list of such, each text"),
        (lambda: ls.insert(STOCK, [5]), "at is [5], and has to be text"),
        (lambda: ls.insert(STOCK, iter(["neck", 5])), "5 is no position: give text, such as"),
        (lambda: ls.insert(b"yolov8n.yaml", "neck"), "base is b'yolov8n.yaml', and has to be a path"),
        (lambda: ls.insert(STOCK, "neck", k="35"), "k is '35', and has to be a whole number or None"),
        (lambda: ls.insert(STOCK, "neck", k=True), "k is True, and has to be a whole number"),
        (lambda: ls.insert(STOCK, "neck", blocks=5), "blocks is 5, and has to be a path or None"),
        (lambda: ls.insert(STOCK, "neck", resolve="no"), "resolve is 'no', and has to be True or False"),
        (lambda: ls.results(5), "source is 5, and has to be a path or a list of such, each a path"),
        (lambda: ls.results("r.yaml", effect=float("nan")), "effect is nan, and has to be a number or None"),
        (lambda: ls.results("r.yaml", effect=0), "effect 0 is out of range"),
        (lambda: ls.results("r.yaml", effect=-1), "effect -1 is out of range"),
        (lambda: ls.graft("a.pt", "neck", init="identiti"), "no init 'identiti' (did you mean identity?)"),
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
def test_a_wrong_argument_is_told(call: Callable[[], Any], said: str) -> None:
    assert said in refusal(call)


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
