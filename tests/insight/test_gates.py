"""Gates: how far an operator is from the identity, against what its weights say."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from click.testing import CliRunner
from support import shapes

import lska_surgeon
from lska_surgeon.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from lska_surgeon.cli.main import main
from lska_surgeon.core.operators import OP_BLOCKS
from lska_surgeon.errors import SurgeonError
from lska_surgeon.nn import named_operators


@pytest.mark.parametrize("op", list(OP_BLOCKS))
@pytest.mark.parametrize("at", ["neck", "residual"])
def test_a_fresh_graft_is_at_the_identity(op: str, at: str, tmp_path: Path) -> None:
    grafted = shapes.graft(shapes.write_checkpoint(tmp_path), at, op=op)
    found = lska_surgeon.erf(grafted, gates=True, imgsz=64)
    (changes,) = found.changes.values()
    assert changes
    assert all(one.change == 0.0 and one.still for one in changes)
    names = ", ".join(one.name for one in changes)
    assert f"graft.pt: training has left {names} at the identity; lska-surgeon ungraft" in found.notes[-1]


def test_a_gate_that_was_moved_is_measured_per_channel(tmp_path: Path) -> None:
    """x * gate with the gate 1 everywhere but 1.5 in channel 3 and 0 in channel 5."""
    grafted = shapes.graft(shapes.write_checkpoint(tmp_path), "after:2")
    data = read_checkpoint(grafted).data
    ((_, operator),) = named_operators(data["model"])
    with torch.no_grad():
        operator.conv1.bias[3], operator.conv1.bias[5] = 1.5, 0.0
    write_checkpoint(tmp_path / "trained.pt", data)
    found = lska_surgeon.erf(tmp_path / "trained.pt", gates=True, imgsz=64)
    ((one,),) = found.changes.values()
    assert (one.layer, one.op, one.still) == (3, "lska", False)
    expected = numpy.zeros(16)
    expected[3], expected[5] = 0.5, 1.0
    numpy.testing.assert_allclose(one.channels, expected, atol=1e-4)
    assert {change.shape for change in one.maps.values()} == {(16, 16)}
    assert not any("training has left" in note for note in found.notes)


def test_the_strip_of_images_and_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shapes.graft(shapes.write_checkpoint(tmp_path), "neck")
    shapes.write_data(tmp_path)
    words = ["erf", "graft.pt", "--gates", "--images", "images/train", "--imgsz", "64", "-o", "gates.svg"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "lska model.9" in result.stdout
    assert result.stdout.endswith("Wrote gates.svg\n")
    text = Path("gates.svg").read_text(encoding="utf-8")
    assert "0.png" in text
    assert "lska, layer 9" in text


def test_a_network_without_operators_is_told_before_images_are_read(tmp_path: Path) -> None:
    base = shapes.write_checkpoint(tmp_path)
    (tmp_path / "broken.png").touch()
    with pytest.raises(SurgeonError, match="has no operator to look at: graft one in first"):
        lska_surgeon.erf(base, gates=True, images=tmp_path, imgsz=64)
