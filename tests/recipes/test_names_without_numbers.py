"""A recipe's names for operators that have no kernel size, beside those that have one."""

from __future__ import annotations

from pathlib import Path

import pytest

import lska_surgeon as ls


@pytest.mark.parametrize(
    ("out", "files"),
    [
        ("v/{base}-{op}-{at}-{k}.yaml", ["v/yolov8n-cbam-sppf.yaml", "v/yolov8n-lska-sppf-7.yaml"]),
        ("v/{base}-{op}-k{k}-d{d}.yaml", ["v/yolov8n-cbam.yaml", "v/yolov8n-lska-k7-d2.yaml"]),
        ("v/{op}_{k}_{base}.yaml", ["v/cbam_yolov8n.yaml", "v/lska_7_yolov8n.yaml"]),
    ],
)
def test_what_an_operator_has_not_leaves_no_trace(out: str, files: list[str], tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"base: yolov8n.yaml\nmatrix: {{at: sppf, k: 7, op: [lska, cbam]}}\nout: '{out}'\n")
    assert sorted(one["file"] for one in ls.variants(recipe).to_dict()["index"]["variants"]) == files
