"""Operators that compute nothing of their input are folded before an export, exactly, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.saved import outputs
from support.shapes import surgeon, write_checkpoint
from support.trained import equal

from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.exporting.fold import fold_
from lska_surgeon.nn import named_operators


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("fold"))


def network(base: Path, *at: str, op: str = "lska") -> Any:
    places = [word for position in at for word in ("--at", position)]
    k = () if op == "cbam" else ("--k", 7)
    result = surgeon("graft", base, *places, "--op", op, *k, "-o", base.parent / "graft.pt", "--force")
    assert result.exit_code == 0, result.output
    return read_checkpoint(base.parent / "graft.pt").float_model()


@pytest.mark.parametrize("op", ["strip", "lska-attention"])
@pytest.mark.parametrize("at", [("neck",), ("residual", "sppf-inner")], ids=["rows", "hosts"])
def test_the_identity_is_taken_out_wherever_it_stands(base: Path, op: str, at: tuple[str, ...]) -> None:
    model = network(base, *at, op=op)
    before, count = outputs(model), len(list(named_operators(model)))
    folds = fold_(model)
    assert len(folds) == count > 0
    assert all(fold.gone for fold in folds)
    assert not list(named_operators(model))
    assert equal(outputs(model), before)


def test_a_constant_gate_becomes_a_scale_per_channel(base: Path) -> None:
    model = network(base, "neck")
    (_, operator), *_ = named_operators(model)
    torch.nn.init.uniform_(operator.conv1.bias)
    before = outputs(model)
    (fold,) = fold_(model)
    assert fold.line == "row 9: lska k7 made a scale per channel, for its gate is constant"
    assert not list(named_operators(model))
    assert equal(outputs(model), before)


def test_the_gate_inside_of_an_attention_block_is_folded_and_the_block_stays(base: Path) -> None:
    model = network(base, "neck", op="lska-attention")
    (_, operator), *_ = named_operators(model)
    torch.nn.init.normal_(operator.proj_2.weight)
    torch.nn.init.zeros_(operator.spatial_gating_unit.conv1.weight)
    before = outputs(model)
    (fold,) = fold_(model)
    assert fold.line.startswith("row 9 (spatial_gating_unit): lska k7 made a scale")
    assert equal(outputs(model), before)


def test_a_gated_operator_goes_while_its_gates_are_closed(base: Path) -> None:
    model = network(base, "neck", op="cbam")
    before = outputs(model)
    (fold,) = fold_(model)
    assert fold.line == "row 9: gated cbam taken out, for it is the identity"
    assert equal(outputs(model), before)


@pytest.mark.parametrize("op", ["lska", "cbam", "lska-attention"])
def test_an_operator_that_computes_anything_stays(base: Path, op: str) -> None:
    model = network(base, "neck", op=op)
    (_, operator), *_ = named_operators(model)
    part = {"lska": "conv1", "lska-attention": "proj_2"}.get(op)
    weight = operator.gate if part is None else getattr(operator, part).weight
    with torch.no_grad():
        weight.view(-1)[3] = 1e-6
        if op == "lska-attention":
            operator.spatial_gating_unit.conv1.weight.view(-1)[3] = 1e-6
    assert fold_(model) == []
    assert len(list(named_operators(model))) == 1
