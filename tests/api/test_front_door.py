"""The public names: which there are, what they cost to import, and that commands are made of them."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import click
import pytest
from support.fresh import fresh
from test_layout import MODULES, own_imports

import lska_surgeon as ls
from lska_surgeon import api
from lska_surgeon.api.verb import kinds_of
from lska_surgeon.cli.main import COMMANDS, GROUPS, main
from lska_surgeon.cli.options import PresentationOption

VERBS = [name for name in ls.__all__ if inspect.isfunction(getattr(ls, name))]


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def parameters(verb: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(ls, verb)).parameters)


def test_all_public_names() -> None:
    assert ls.__all__ == [
        *("SurgeonError", "__version__", "ablate", "adopt", "autoload", "blocks", "check", "curves", "diff", "doctor"),
        *("draw", "erf", "export", "flops", "graft", "insert", "latency", "levels", "load_checkpoint"),
        *(
            "positions",
            "register",
            "remove",
            "replace",
            "report",
            "results",
            "run_yolo",
            "templates",
            "train",
            "ungraft",
            "variants",
        ),
    ]
    assert set(ls.__all__) <= set(dir(ls))
    with pytest.raises(AttributeError, match="has no attribute 'graftt'"):
        _ = ls.graftt


def test_names_are_known_to_a_type_checker_too() -> None:
    text = Path(ls.__file__).read_text(encoding="utf-8")
    for module, names in ls._HOMES.items():
        assert f"    from .{module} import {', '.join(names)}\n" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_made_of_its_verb(name: str) -> None:
    """Every parameter of the verb but functions is an option or argument, and every other option says how it shows."""
    made = command(name)
    verb = made.verb  # type: ignore[attr-defined]
    assert getattr(ls, verb.__name__) is verb
    typed = {one.name for one in parameters(verb.__name__).values() if not kinds_of(one)[0].startswith("Callable")}
    there = {one.name for one in made.params}
    assert typed <= there
    assert all(isinstance(one, PresentationOption) for one in made.params if one.name not in typed)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does_in_one_sentence(name: str) -> None:
    for one in command(name).params:
        if isinstance(one, click.Option):
            assert re.fullmatch(r"[A-Z].*(\.|\]|\w)", one.help or ""), (one.name, one.help)
            assert not set(re.findall(r"`(\w+)`", one.help or "")) & {other.name for other in command(name).params}


@pytest.mark.parametrize("verb", VERBS)
def test_all_but_the_first_arguments_are_given_by_name(verb: str) -> None:
    kinds = [parameter.kind for parameter in parameters(verb).values()]
    by_place = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    assert by_place <= 2
    assert set(kinds[by_place:]) <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_tells_its_arguments_and_errors(verb: str) -> None:
    text = inspect.getdoc(getattr(ls, verb)) or ""
    for name in parameters(verb):
        assert f"    {name}: " in text, name
    assert not parameters(verb) or "Raises:" in text


@pytest.mark.parametrize("group", GROUPS)
def test_commands_stand_on_the_verbs_alone(group: str) -> None:
    module = f"cli.{group.lower()}"
    for line, found in own_imports(set(MODULES), module, MODULES[module].read_text(encoding="utf-8")):
        assert found.split(".")[0] in ("api", "cli", "reports"), f"{module}, line {line}: {found}"


def test_importing_costs_nothing() -> None:
    script = (
        "import sys\nbefore = set(sys.modules)\nimport lska_surgeon\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))\n"
        "[getattr(lska_surgeon, name) for name in lska_surgeon.__all__]\n"
        "print({'click', 'rich', 'torch', 'ultralytics', 'numpy', 'fvcore'} & set(sys.modules))\n"
    )
    assert fresh(script) == "['lska_surgeon']\nset()\n"


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(api.__path__)])
def test_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"lska_surgeon.api.{name}")
    for number, test in enumerate(doctest.DocTestFinder(recurse=True).find(module)):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0


def test_the_page_on_python_has_every_verb_with_its_parameters() -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)\((.*)\)` \|", page, re.MULTILINE))
    assert {verb: names_in(arguments) for verb, arguments in told.items()} == {
        verb: {
            name: None if parameter.default is parameter.empty else parameter.default
            for name, parameter in parameters(verb).items()
            if name != "blocks" or verb == "blocks"
        }
        for verb in VERBS
    }


def names_in(arguments: str) -> dict[str, object]:
    """Parameter -> default, from the text between a signature's brackets; None where there is none."""
    found = ast.parse(f"def verb({arguments}): ...").body[0]
    assert isinstance(found, ast.FunctionDef)
    asked = found.args
    by_place: list[object] = [ast.literal_eval(value) for value in asked.defaults]
    by_name = [ast.literal_eval(value) if value else None for value in asked.kw_defaults]
    names = [one.arg for one in [*asked.args, *asked.kwonlyargs]] + ([asked.kwarg.arg] if asked.kwarg else [])
    missing: list[object] = [None] * (len(asked.args) - len(by_place))
    return dict(zip(names, [*missing, *by_place, *by_name, None]))
