"""A base with errors in it is refused by every command that would put operators into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import lska_surgeon as ls
from lska_surgeon.cli.main import main
from lska_surgeon.errors import BrokenBaseError, RecipeError
from lska_surgeon.modelfile.sources import stock_models

STOCK = stock_models()["yolov8.yaml"].read_text(encoding="utf-8")
SPPF = "  - [-1, 1, SPPF, [1024, 5]]"
#: What is wrong -> the text that is.
BROKEN = {
    "stock numbers kept": STOCK.replace(SPPF, f"  - [-1, 1, LSKA, [c2, 7]]\n{SPPF}"),
    "one number off": STOCK.replace("[[-1, 12], 1, Concat", "[[-1, 11], 1, Concat"),
    "a kernel the paper has not": STOCK.replace(SPPF, "  - [-1, 1, SPPF_LSKA, [1024, 5, 9]]"),
    "misspelt": STOCK.replace("SPPF", "SPFF"),
}


@pytest.fixture(params=BROKEN)
def base(request: pytest.FixtureRequest) -> str:
    Path("yolov8n-mine.yaml").write_text(BROKEN[request.param], encoding="utf-8")
    return "yolov8n-mine.yaml"


def test_insert_refuses_it_and_says_what_to_do(base: str) -> None:
    with pytest.raises(BrokenBaseError) as refused:
        ls.insert(base, "head")
    (first, *_) = [finding for finding in ls.check(base).findings if finding.severity == "error"]
    assert f"line {first.line}, {first.text}" in refused.value.as_typed
    assert str(refused.value).endswith(f"see lska-surgeon check {base} --fix, or go on with unchecked=True")
    done = CliRunner().invoke(main, ["insert", base, "--at", "head", "-o", "out.yaml"])
    assert (done.exit_code, done.output.count("\n"), Path("out.yaml").exists()) == (2, 1, False)


def test_unchecked_goes_on(base: str) -> None:
    done = CliRunner().invoke(main, ["insert", base, "--at", "head", "--unchecked", "-o", "yolov8n-out.yaml"])
    assert done.exit_code == 0, done.output
    assert Path("yolov8n-out.yaml").read_text(encoding="utf-8").count("lska k23, head") == 3


def test_variants_refuse_it_with_the_recipes_line(base: str) -> None:
    Path("recipe.yaml").write_text(f"matrix: {{at: head, k: 7}}\nbase: {base}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"recipe\.yaml, line 2.* is wrong as it is"):
        ls.variants("recipe.yaml")
    assert len(ls.variants("recipe.yaml", unchecked=True).index.variants) == 1
    done = CliRunner().invoke(main, ["variants", "recipe.yaml", "--unchecked"])
    assert done.exit_code == 0, done.output


def test_graft_refuses_to_graft_into_it_before_anything_is_loaded(base: str) -> None:
    Path("some.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(BrokenBaseError):
        ls.graft("some.pt", into=base)


@pytest.mark.parametrize("at", ["neck", "backbone", "residual"])
def test_what_insert_wrote_is_a_base_again(at: str) -> None:
    ls.insert("yolov8n.yaml", at).write("yolov8n-once.yaml")
    assert ls.insert("yolov8n-once.yaml", "sppf").write().is_file()


#: Inserts, and tells whether `check` was asked.
INSERT = """
import sys
from lska_surgeon.cli.main import main
try:
    main(["insert", "yolov8n-mine.yaml", "--at", "neck", "--force", "-o", "out.yaml"])
finally:
    print("lska_surgeon.checks.check" in sys.modules)
"""


def test_that_a_file_was_right_is_kept_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where only a declaration says now what a block is."""
    monkeypatch.setenv("LSKA_SURGEON_CACHE", str(tmp_path / "cache"))

    def inserted(text: str) -> tuple[int, str]:
        (tmp_path / "yolov8n-mine.yaml").write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, "-c", INSERT], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()[-1]

    right = STOCK.replace("SPPF", "MyPool")
    assert [inserted(right), inserted(right)] == [(0, "True"), (0, "False")]
    assert inserted(right.replace("[[-1, 12], 1, Concat", "[[-1, 11], 1, Concat")) == (2, "True")
    declared = '[blocks.MyPool]\nclass = "my_pools:MyPool"\nlike = "C2f"\n'
    (tmp_path / "lska-surgeon.toml").write_text(declared, encoding="utf-8")
    assert inserted(right) == (0, "True")
