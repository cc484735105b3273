"""Python files and declarations that are nested, chained or long without end: bounded, and told in one line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.shapes import surgeon, write_network


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_network(tmp_path)


def said(*words: str) -> str:
    start = time.perf_counter()
    done = surgeon(*words)
    assert time.perf_counter() - start < 20  # those of them that had an end took minutes
    assert done.exit_code == 2, done.exception
    (line,) = done.stderr.splitlines()
    return str(line)


PYTHON = {
    "minus signs": ("x = " + "-" * 200_000 + "1\n", "many.py is not Python that can be read: it is nested too deep"),
    "attributes": ("x = a" + ".a" * 100_000 + "\n", "many.py is not Python that can be read: it is nested too deep"),
    "a syntax error": ("x = (\n", "many.py, line 1 is not Python: '(' was never closed"),
    "megabytes": ("x = 1\n" * 200_000, "can't read many.py: it has more than 1,048,576 bytes"),
}


@pytest.mark.parametrize("kind", PYTHON)
def test_a_python_file_that_can_not_be_read(kind: str) -> None:
    text, expected = PYTHON[kind]
    Path("many.py").write_text(text, encoding="utf-8")
    assert said("blocks", "many.py").startswith(f"Error: {expected[:40]}")


def test_a_chain_of_classes_of_any_length() -> None:
    lines = ["from torch import nn", "class C0(nn.Module): pass"]
    lines += [f"class C{number + 1}(C{number}): pass" for number in range(3000)]
    Path("chain.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = surgeon("blocks", "chain.py")
    assert done.exit_code == 0, done.exception
    assert "[blocks.C3000]" in done.output  # no other class is made of it
    assert done.output.count("[blocks.") == 1


TOML = {
    "dots": (".".join(["a"] * 50_000) + " = 1\n", "many.toml is not TOML: it has a key of more than 50 parts"),
    "brackets": ("a = " + "[" * 50_000 + "]" * 50_000 + "\n", "many.toml is not TOML: it is nested too deep"),
    "keys": ("\n".join(f"a{n}.b = 1" for n in range(20_000)), "can't read many.toml: it has more than 131,072 bytes"),
    "one line": (
        "a = {" + ", ".join(f"b{n}.c = 1" for n in range(9000)) + "}\n",
        "many.toml, line 1, a: no field 'a' here: there is blocks",
    ),
}


@pytest.mark.parametrize("kind", TOML)
def test_a_declaration_without_end(kind: str) -> None:
    text, expected = TOML[kind]
    Path("many.toml").write_text(text, encoding="utf-8")
    assert said("positions", "tiny.yaml", "--blocks", "many.toml") == f"Error: {expected}"


def test_dots_elsewhere_are_no_key() -> None:
    text = f'[blocks.EMA]\nclass = "my_blocks:EMA" # {"." * 200}\nlike = "attention"\n'
    Path("few.toml").write_text(text, encoding="utf-8")
    assert surgeon("positions", "tiny.yaml", "--blocks", "few.toml").exit_code == 0


def test_an_activation_that_is_nested_without_end() -> None:
    text = Path("tiny.yaml").read_text(encoding="utf-8")
    Path("odd.yaml").write_text(f"activation: '{'-' * 100_000}1'\n{text}", encoding="utf-8")
    assert said("flops", "odd.yaml").startswith("Error: odd.yaml would run more than layers: activation: ---")
