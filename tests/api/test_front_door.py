"""The public names: which there are, what they cost to import, and that the command line stands on them."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from test_layout import MODULES, own_imports

import lska_surgeon as ls
from lska_surgeon import api
from lska_surgeon.cli.main import COMMANDS, main

VERBS = {
    "ablate": "ablate",
    "draw": "draw",
    "latency": "latency",
    "results": "results",
    "adopt": "adopt",
    "blocks": "blocks",
    "check": "check",
    "curves": "curves",
    "diff": "diff",
    "doctor": "doctor",
    "erf": "erf",
    "flops": "flops",
    "graft": "graft",
    "insert": "insert",
    "inspect": "load_checkpoint",
    "positions": "positions",
    "remove": "remove",
    "report": "report",
    "templates": "templates",
    "train": "train",
    "ungraft": "ungraft",
    "variants": "variants",
}
#: Commands without a verb -> why.
NO_VERB = {
    "autoload": "it changes the environment that Python runs in, for other processes",
    "yolo": "it is Ultralytics' own command; in Python that is ultralytics itself, after `register`",
}
#: Names that are not the verb of a command -> why.
NO_COMMAND = {
    "SurgeonError": "what all verbs raise",
    "__version__": "`--version`",
    "register": "`lska-surgeon yolo` and `autoload` do it for a process that is not the caller's",
}
#: Options that no verb has -> where it is in Python.
OF_ALL_COMMANDS = {
    "form": "how a result is told: `to_dict`, or printing it",
    "as_json": "`to_dict`",
    "quiet": "verbs say nothing",
    "force": "an argument of `write`",
    "dry_run": "nothing is written before `write`",
}
#: Options of one command that bear another name in Python, or none -> the parameter, or where it is.
OPTIONS = {
    ("flops", "timed"): "`latency`",
    ("results", "gate"): "`.worse(rule)`",
    ("curves", "log"): "`.write`",
    ("results", "plot"): "`.write`",
    ("results", "sources"): "source",
    ("adopt", "output"): "`.write`",
    ("adopt", "against"): "outputs that were saved are compared by the command",
    ("adopt", "image"): "see `against`",
    ("blocks", "output"): "`.write`",
    ("blocks", "write"): "`.write`",
    ("curves", "output"): "`.write`",
    ("erf", "output"): "`.write`",
    ("check", "files"): "model",
    ("check", "fix"): "`.diff`, `.fixed_text` and `.write`",
    ("check", "models_only"): "an exception can be caught",
    ("check", "strict"): "`.failed(strict=True)`",
    ("diff", "costs"): "count",
    ("diff", "exit_code"): "the truth of the result",
    ("diff", "models"): "before",
    ("diff", "textconv"): "it is for git",
    ("flops", "max_gflops"): "`.gflops`",
    ("flops", "max_params"): "`.params`",
    ("flops", "models"): "model",
    ("flops", "no_fuse"): "fuse",
    ("flops", "notes"): "`.notes`, and `.uncounted`",
    ("flops", "per_layer"): "`.rows`",
    ("flops", "top"): "`.rows`",
    ("inspect", "checkpoint"): "path",
    ("train", "words"): "ultralytics",
}
#: Parameters that no option has -> why.
NO_OPTION = {
    ("ablate", "report"): "the command draws its progress with it",
    ("results", "costs"): "they are left out where nobody asks",
    ("diff", "after"): "the second of `models`",
    ("flops", "scale"): "a name with a scale says it on the command line",
    ("variants", "track"): "the command draws a progress bar with it",
}
#: What a module of `cli/commands` may import besides `api` and `cli` -> why.
BESIDE_THE_VERBS = {
    "errors": "how an error is told",
    "reports": "how a result is drawn",
    ("ablate", "ablation.status"): "the type of its result",
    **dict.fromkeys(
        (("ablate", f"ablation.{name}") for name in ("cells", "records", "scheduler", "slurm")), "progress"
    ),
    ("insert", "modelfile.insert"): "the type of its result",
    ("check", "checks.findings"): "the type of its result",
    ("diff", "cost.difference"): "the type of its result",
    ("draw", "drawing.drawing"): "the forms that a drawing has",
    ("diff", "files"): "what is no model is shown as it is",
    ("latency", "cost.limits"): "the limits that its options tell",
    ("results", "ablation.formats"): "the forms that results have",
    "wording": "plurals",
    ("report", "recipes.recipe"): "the recipe is looked at first",
    ("erf", "insight.asked"): "the limits that its help tells",
    ("diff", "declarations.find"): "a textconv has to know blocks of one's own",
    ("yolo", "declarations.find"): "Ultralytics reads the models itself, and has to find blocks of one's own",
    ("yolo", "checkpoints.checkpoint"): "Ultralytics reads the models itself, and has to find blocks of one's own",
    ("graft", "modelfile.sources"): "a YAML in the place of a checkpoint is told first",
    ("adopt", "files"): "paths are looked at before torch is imported",
    ("adopt", "grafting.adopt"): "the type of its result",
    ("adopt", "grafting.certificate"): "outputs that were saved are compared by the command",
    ("curves", "core.operators"): "the operators to choose from",
    ("curves", "cost.curves"): "the defaults",
    ("curves", "drawing.plots"): "the target is looked at first",
    ("erf", "drawing.plots"): "the target is looked at first",
    ("autoload", "yolo.autoload"): NO_VERB["autoload"],
    ("check", "checks.check"): "the rules that its help lists",
    ("check", "modelfile.sources"): "the name of standard input",
    ("diff", "modelfile.sources"): "the name of standard input",
    ("diff", "modelfile.diff"): "--textconv, which is for git",
    ("diff", "modelfile.document"): "--textconv, which is for git",
    ("flops", "cost.cost"): "the type of its result",
    ("flops", "cost.folder"): "which models lie in this folder, where none is named",
    ("latency", "cost.latency"): "the type of its result",
    ("flops", "cost.limits"): "how `40M` is read",
    ("variants", "recipes.sync"): "the type of its result",
    ("yolo", "yolo.command"): NO_VERB["yolo"],
}


def parameters(verb: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(ls, verb)).parameters)


def options(command: str) -> list[str]:
    found = main.get_command(click.Context(main), command)  # type: ignore[attr-defined]
    return [parameter.name for parameter in found.params if parameter.name != "help"]


def test_all_public_names() -> None:
    assert sorted(ls.__all__) == sorted([*VERBS.values(), *NO_COMMAND])
    assert set(ls.__all__) <= set(dir(ls))
    for name in ls.__all__:
        assert getattr(ls, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'graftt'"):
        _ = ls.graftt


def test_names_are_known_to_a_type_checker_too() -> None:
    text = Path(ls.__file__).read_text(encoding="utf-8")
    for name, module in ls._HOME.items():
        assert f"    from .api.{module} import {name}\n" in text


def test_every_command_has_its_verb() -> None:
    assert {*VERBS, *NO_VERB} == set(COMMANDS)


@pytest.mark.parametrize("command", VERBS)
def test_every_option_has_its_parameter(command: str) -> None:
    there = parameters(VERBS[command])
    for option in options(command):
        if option not in there and option not in OF_ALL_COMMANDS:
            assert (command, option) in OPTIONS, option
            told = OPTIONS[command, option]
            assert told in there or " " in told or "`" in told, told


@pytest.mark.parametrize("command", VERBS)
def test_every_parameter_has_its_option(command: str) -> None:
    there = options(command)
    under_another_name = {told for (owner, _), told in OPTIONS.items() if owner == command}
    for parameter in parameters(VERBS[command]):
        assert parameter in there or parameter in under_another_name or (command, parameter) in NO_OPTION, parameter


def test_the_tables_above_have_nothing_left_over() -> None:
    for command, option in OPTIONS:
        assert option in options(command), (command, option)
        assert option not in parameters(VERBS[command]), (command, option)
    for command, parameter in NO_OPTION:
        assert parameter in parameters(VERBS[command]), (command, parameter)
        assert parameter not in options(command), (command, parameter)


@pytest.mark.parametrize("verb", VERBS.values())
def test_all_but_the_first_arguments_are_given_by_name(verb: str) -> None:
    kinds = [parameter.kind for parameter in parameters(verb).values()]
    by_place = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    assert by_place <= 2
    assert set(kinds[by_place:]) <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize("verb", [*VERBS.values(), "register"])
def test_every_verb_tells_its_arguments_and_errors(verb: str) -> None:
    text = inspect.getdoc(getattr(ls, verb)) or ""
    for name in parameters(verb):
        assert f"    {name}: " in text, name
    assert not parameters(verb) or "Raises:" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_stand_on_the_verbs(command: str) -> None:
    module = f"cli.commands.{command}"
    text = MODULES[module].read_text(encoding="utf-8")
    for line, found in own_imports(set(MODULES), module, text):
        room = found.split(".")[0]
        allowed = room in ("api", "cli") or found in BESIDE_THE_VERBS or (command, found) in BESIDE_THE_VERBS
        assert allowed, f"{module}, line {line}: {found}"


def test_importing_costs_nothing() -> None:
    script = (
        "import sys\nbefore = set(sys.modules)\nimport lska_surgeon\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))\n"
        "lska_surgeon.insert, lska_surgeon.graft, lska_surgeon.flops, lska_surgeon.train, lska_surgeon.register\n"
        "print({'click', 'rich', 'torch', 'ultralytics', 'numpy', 'fvcore'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['lska_surgeon']\nset()\n"


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(api.__path__)])
def test_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"lska_surgeon.api.{name}")
    found = [test for test in doctest.DocTestFinder(recurse=True).find(module) if test.examples]
    for number, test in enumerate(found):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0
    assert found or name in (  # those that need a trained checkpoint, or have nothing to show
        "ablate",
        "adopt",
        "arguments",
        "doctor",
        "erf",
        "errors",
        "graft",
        "inspect",
        "latency",
        "own_blocks",
        "register",
        "results",
        "sources",
        "train",
        "ungraft",
    )


def test_the_page_on_python_has_every_verb_with_its_parameters() -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)\((.*)\)` \|", page, re.MULTILINE))
    assert {verb: names_in(arguments) for verb, arguments in told.items()} == {
        verb: {
            name: None if parameter.default is parameter.empty else parameter.default
            for name, parameter in parameters(verb).items()
            if name != "blocks" or verb == "blocks"
        }
        for verb in {*VERBS.values(), "register"}
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
