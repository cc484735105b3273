"""The command line as a user meets it: exact output, one line for an error, and help whose examples run."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from support.fresh import fresh

from lska_surgeon.cli.main import COMMANDS, main
from lska_surgeon.modelfile.sources import stock_models

VARIANT = "yolov8s-lska-neck-k35.yaml"


def run(words: str) -> Result:
    # click kept the two streams apart only if asked, until 8.2 made it the only way.
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    return CliRunner(**apart).invoke(main, shlex.split(words), prog_name="lska-surgeon")


def test_without_a_word_the_help_is_shown() -> None:
    shown = run("")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == run("--help").stdout
    assert shown.stdout.startswith("Usage: lska-surgeon [OPTIONS] COMMAND [ARGS]...\n")


@pytest.mark.parametrize(
    ("words", "told"),
    {
        "inset yolov8s.yaml": f"no command 'inset' (did you mean insert?): there are {', '.join(COMMANDS)}",
        "INSERT": f"no command 'INSERT' (did you mean insert?): there are {', '.join(COMMANDS)}",
        "templates shwo": "no command 'shwo' (did you mean show?): there are copy, show",
    }.items(),
)
def test_misspelt_command_names_the_nearest(words: str, told: str) -> None:
    refused = run(words)
    group = "lska-surgeon templates" if words.startswith("templates") else "lska-surgeon"
    assert (refused.exit_code, refused.output) == (2, f"Error: {told} (see {group} --help)\n")


def test_insert_says_what_it_wrote_and_remove_gives_the_base_back() -> None:
    inserted = run("insert yolov8s.yaml --at neck --k 35")
    assert inserted.output == (
        f"Wrote {VARIANT}: yolov8s.yaml at scale s with lska k35 at neck (rows 13, 17, 21, 25), "
        "452,224 added parameters\n"
    )
    removed = run(f"remove {VARIANT}")
    assert removed.output == f"Wrote yolov8s.yaml: {VARIANT} without 4 operator rows (13, 17, 21, 25)\n"
    assert Path("yolov8s.yaml").read_bytes() == stock_models()["yolov8.yaml"].read_bytes()


@pytest.mark.parametrize(
    ("output", "scale"), [("base.yaml", "n"), ("yolov8m-base.yaml", "m"), ("yolov8s-base.yaml", None), ("-", None)]
)
def test_remove_tells_of_a_name_that_loses_the_scale(output: str, scale: str | None) -> None:
    run("insert yolov8s.yaml --at neck --k 35")
    note = (
        f"Note: {VARIANT} says scale s and {output} does not, so ultralytics builds it at scale {scale}: "
        "a name such as yolov8s.yaml keeps it\n"
    )
    removed = run(f"remove {VARIANT} -o {output}")
    assert (removed.exit_code, removed.stderr) == (0, note if scale else "")
    told = json.loads(run(f"remove {VARIANT} -o {output} --force --json").stdout)["notes"] if output != "-" else []
    assert [f"Note: {one}\n" for one in told] == ([note] if scale else [])
    assert run(f"remove {VARIANT} -o {output} --force --quiet").stderr == ""


def test_dry_run_shows_the_plan_and_writes_nothing() -> None:
    shown = run("insert yolov8s.yaml --at neck:p3@11 --at residual:2 --dry-run").output
    assert "residual:2  2      in C2f     p2     lska k23  1 x 32    2    itself   1,952\n" in shown
    assert "neck:p3@11  15     after C2f  p3     lska k11  1 x 128   16   17, 23   19,072\n" in shown
    assert "+  - [[16, 19, 22], 1, Detect, [nc]] # Detect(P3, P4, P5)" in shown
    assert not list(Path().iterdir())


def test_json_is_the_plan() -> None:
    plan = json.loads(run("insert yolov8s.yaml --at sppf --json").output)
    assert plan["schema"] == 2
    assert plan["params_added"] == plan["sites"][0]["params"] == 512**2 + 512 * (2 * 5 + 2 * 7 + 5)
    assert plan["index_map"]["9"] == 9
    assert plan["index_map"]["10"] == 11
    assert Path(plan["output"]).is_file()


def test_standard_output_gets_the_yaml_alone() -> None:
    text = run("insert yolov8s.yaml --at sppf -o -").stdout
    assert "  - [-1, 1, LSKA, [c2, 23]] # 10 lska k23, sppf (P5/32)\n" in text
    assert text.startswith("# Ultralytics")


def test_family_that_a_name_has_to_say_is_told_where_none_is_known() -> None:
    assert run("insert yolov8s-world.yaml --at neck -o -").stderr == (
        "Note: ultralytics builds this as YOLO-World only under a name with -world in it\n"
        "Note: scale s was moved to the front of scales, for the file's name has no scale\n"
    )
    run("insert yolov8s-world.yaml --at neck")
    refused = run("remove yolov8s-world-lska-neck-k23.yaml -o base.yaml")
    assert refused.stderr.startswith("Error: ultralytics would build base.yaml as a plain model by its name")
    note = "Note: ultralytics builds this as YOLO-World only under a name with -world in it\n"
    assert run("remove yolov8s-world-lska-neck-k23.yaml -o -").stderr == note
    assert run("remove yolov8s-world-lska-neck-k23.yaml").exit_code == 0


def test_operators_that_come_to_stand_one_behind_another_are_told() -> None:
    run("insert yolov8s.yaml --at neck --at residual:4 -o yolov8s-first.yaml")
    note = "Note: yolov8s-first.yaml had an operator in this place already, so that two follow each other: rows {}\n"
    assert run("insert yolov8s-first.yaml --at neck:p3 --at head:p5").stderr == note.format("17 and 18, 26 and 27")
    assert run("insert yolov8s-first.yaml --at sppf --at after:14").stderr == ""
    again = run("insert yolov8s-first.yaml --at residual:4").stderr
    assert again.startswith(
        "Error: --at residual:4: residual has no '4' in yolov8s-first.yaml; it has 2 (p2), 6 (p4), 8"
    )


def test_quiet_dry_run_shows_the_plan_alone() -> None:
    assert run("insert yolov8s.yaml --at sppf --quiet").output == ""
    shown = run("insert yolov8.yaml --at sppf --dry-run --quiet")
    assert shown.output.startswith("Would write yolov8-lska-sppf-k23.yaml: ")
    assert shown.stderr == ""


def test_interrupted_command_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lska_surgeon.api.inspect.load", interrupt)
    stopped = run("positions yolov8s.yaml")
    assert (stopped.exit_code, stopped.stdout, stopped.stderr) == (130, "", "Stopped.\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_in_one_line() -> None:
    command = [sys.executable, "-m", "lska_surgeon", "positions", "yolov8s.yaml"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: No space left on device: the output can't be written\n")


def test_positions_lists_layers_and_names() -> None:
    shown = run("positions yolov8s.yaml").stdout
    assert (
        "15     head      14          3        C2f          [256]               128       8       p3     16, 22\n"
        in shown
    )
    assert "--at neck         12 (p4), 15 (p3), 18 (p4), 21 (p5)  every consumer\n" in shown


def test_a_file_that_is_there_is_kept_unless_forced() -> None:
    Path(VARIANT).write_text("mine", encoding="utf-8")
    refused = run("insert yolov8s.yaml --at neck --k 35")
    assert refused.exit_code == 2
    assert "is already there" in refused.stderr
    assert Path(VARIANT).read_text(encoding="utf-8") == "mine"
    assert run("insert yolov8s.yaml --at neck --k 35 --force").exit_code == 0
    assert Path(VARIANT).read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_in_an_example(command: str) -> None:
    text = run(f"{command} --help").output
    assert re.search(rf"Examples?:\n +lska-surgeon {command}", text), text


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "yolo"])
def test_help_of_options_speaks_of_no_other(command: str) -> None:
    made = main.get_command(click.Context(main), command)
    words = {word for parameter in made.params for word in (*parameter.opts, *parameter.secondary_opts)}
    for option in made.params:
        if isinstance(option, click.Option):
            text = option.help or ""
            assert set(re.findall(r"--[a-z-]+", text)) - {option.opts[0]} <= words, text
            assert "--check finds" not in text
            assert "dry run" not in text or "--dry-run" in words, text


@pytest.mark.parametrize("command", ["insert", "graft"])
def test_help_says_which_kernel_sizes_and_operators(command: str) -> None:
    text = " ".join(run(f"{command} --help").output.replace("lska- ", "lska-").split())
    assert "7, 11, 23, 35, 41 or 53, any odd one with --dilation; 23 by default" in text
    assert "lska-attention; cbam, timm:NAME, or an attention that you declare" in text.replace("lska- a", "lska-a")


@pytest.mark.parametrize("command", ["insert", "positions", "remove", "flops", "diff", "draw"])
def test_examples_of_help_run(command: str) -> None:
    run("insert yolov8s.yaml --at neck --k 35")
    examples = re.findall(rf"^ +lska-surgeon ({command} .+)$", run(f"{command} --help").output, re.MULTILINE)
    assert examples
    for example in examples:
        if ".pt" in example:
            continue  # tests/cli/test_diff_command.py compares checkpoints
        result = run(f"{example} --force" if command == "insert" else example)
        assert result.exit_code == ("--exit-code" in example), (example, result.output)


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "insert yolov8s.yaml --at neck",
        "positions yolov8s.yaml",
        f"remove {VARIANT}",
        f"check {VARIANT}",
        f"diff yolov8s.yaml {VARIANT}",
        f"diff --textconv {VARIANT}",
        *(f"draw yolov8s.yaml {VARIANT} -o x.{form}" for form in ("svg", "md", "dot")),
        "curves yolov8s.yaml --at neck",
        "ablate --help",
        "results --help",
        "latency --help",
    ],
)
def test_quick_commands_never_import_torch(words: str) -> None:
    run("insert yolov8s.yaml --at neck --k 35")
    script = (
        "import sys\nfrom lska_surgeon.cli.main import main\n"
        f"try:\n    main({shlex.split(words)!r})\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'ultralytics', 'numpy', 'yaml', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    fresh(script)


@pytest.mark.parametrize("words", [["--lang", "zh"], ["--lang", "zh", "--help"], ["--help", "--lang", "zh"], []])
def test_the_first_screen_is_there_in_chinese(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if not words:
        monkeypatch.setenv("LANGUAGE", "")
        monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0
    assert shown.output.startswith("用法")
    listed = re.findall(r"^  ([a-z]+) +\S*[\u4e00-\u9fff]", shown.output, re.MULTILINE)
    assert listed == list(COMMANDS)
    assert "lska-surgeon insert yolov8s.yaml --at neck --k 35" in shown.output


def test_english_is_asked_for_and_said_where_the_system_speaks_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    assert CliRunner().invoke(main, ["--lang", "en", "--help"]).output.startswith("Usage: ")
    monkeypatch.setenv("LANGUAGE", "fr_FR")
    assert CliRunner().invoke(main, ["--help"]).output.startswith("Usage: ")
