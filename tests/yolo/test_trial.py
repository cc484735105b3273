"""`lska-surgeon doctor --try`: what is said of each step, whatever becomes of its process.

The processes are played here: a whole trial with the real ones is on the page of forks (`test_docs.py`).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lska_surgeon.api import environment
from lska_surgeon.cli.main import main
from lska_surgeon.yolo import trial
from lska_surgeon.yolo.doctor import Diagnosis
from lska_surgeon.yolo.trial import subjects

#: In the place of Python: ends as $PLAYED says of the words, and is Python itself for all that is no trial's.
_PLAYER = """#!{python} -SE
import json, os, sys, time
words = sys.argv[1:]
ours = words[:2] == ["-m", "lska_surgeon"]
made = words[0] == "-c" and ("write_checkpoint" in words[1] or "entrypoint" in words[1])
if not ours and not made:
    os.execv({python!r}, [{python!r}, *words])
with open({log!r}, "a") as log:
    log.write(json.dumps([words[2:], os.getcwd(), os.environ.get("http_proxy"), os.path.exists("detect.yaml")]) + "\\n")
name = words[2] if ours else "built" if "write_checkpoint" in words[1] else "plain"
if "--build" in words:
    name = "built-variant" if "variant" in words[-1] else "build"
code, out, err = json.loads(os.environ["PLAYED"]).get(name, (0, "", ""))
if "--json" in words:
    out = json.dumps({{"positions": {{"head": [3], "neck": [2]}}, "layers": [1, 2, 3]}})
print(out)
print(err, file=sys.stderr, flush=True)
time.sleep(60) if code == "hangs" else os.kill(os.getpid(), 9) if code == "killed" else sys.exit(code)
"""
_RAISED = 'Traceback (most recent call last):\n  File "x.py", line 1, in y\n    z()\nValueError: not\nas it was'


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of what was started."""
    player, log = tmp_path / "player", tmp_path / "log"
    player.write_text(_PLAYER.format(python=sys.executable, log=str(log)), encoding="utf-8")
    player.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(player))
    monkeypatch.setattr(environment, "diagnose", lambda: Diagnosis({}, (), ()))
    return log


def tried(monkeypatch: pytest.MonkeyPatch, *models: str, **outcomes: tuple[object, str, str]) -> Result:
    spelt = {name.replace("_", "-"): outcome for name, outcome in outcomes.items()}
    monkeypatch.setenv("PLAYED", json.dumps(spelt))
    return CliRunner().invoke(main, ["doctor", "--try", *(models or ("yolov8s.yaml",)), "--json"])


def results(done: Result) -> Mapping[str, tuple[str, str]]:
    return {one["step"]: (one["result"], one["text"]) for one in json.loads(done.stdout)["attempts"]}


def test_every_step_is_tried_in_a_folder_without_a_network(played: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = tried(monkeypatch)
    assert {*results(done).values()} == {("right", "")}
    assert done.stderr.splitlines() == [f"yolov8s.yaml: {step.name} right" for step in trial.STEPS]
    started = [json.loads(line) for line in played.read_text(encoding="utf-8").splitlines()]
    assert started[1][0] == ["positions", "yolov8s.yaml", "--json"]
    assert ["graft", "yolov8s.pt", "--at", "neck", "--k", "7", "-o", "yolov8s-graft.pt"] in [one[0] for one in started]
    ((folder, proxy, is_prepared),) = {tuple(one[1:]) for one in started}
    assert (proxy, is_prepared, os.path.exists(folder)) == ("http://127.0.0.1:9", True, False)


#: Step -> how its process ends, and what is said of it.
_ENDS = {
    "positions": (("killed", "", ""), ("wrong", "it was ended by signal 9")),
    "check": ((1, "a.yaml:3: error[wiring]: row 3\na.yaml: 1 error", ""), ("refused", "error[wiring]: row 3")),
    "flops": ((1, "", _RAISED), ("wrong", "ValueError: not")),
    "insert": ((2, "", "WARNING x\nError: no neck: give another"), ("refused", "no neck: give another")),
    "train": (("hangs", "", ""), ("wrong", "it took more than 2 seconds")),
    "yolo": ((2, "", f"Error: x\n{_RAISED}"), ("wrong", "ValueError: not")),
    "ungraft": ((3, "", ""), ("wrong", "it ended with code 3")),
}


@pytest.mark.usefixtures("played")
def test_how_a_process_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LIMIT", 2.0)
    done = tried(monkeypatch, **{name: outcome for name, (outcome, _) in _ENDS.items()})
    found = results(done)
    assert {name: found["export" if name == "yolo" else name] for name in _ENDS} == {
        name: said for name, (_, said) in _ENDS.items()
    }
    assert not json.loads(done.stdout)["ok"]
    assert done.exit_code == 1


@pytest.mark.usefixtures("played")
def test_what_ultralytics_can_not_do_itself_is_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    found = results(tried(monkeypatch, train=(1, "", _RAISED), plain=(1, "", "Error: no numpy.trapz")))
    assert found["train"] == ("unable", "ultralytics itself fails: no numpy.trapz")
    assert found["resume"] == ("-", "for train was not right")


def test_ultralytics_is_not_asked_where_more_than_layers_would_run(
    played: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = "Error: it would run more than layers"
    found = results(tried(monkeypatch, build=(2, "", refusal), flops=(2, "", refusal), plain=(1, "", "Error: no")))
    assert found["build"] == found["flops"] == ("refused", refusal[7:])
    assert found["insert"] == ("right", "")
    assert "predict" not in played.read_text(encoding="utf-8")


@pytest.mark.usefixtures("played")
def test_a_variant_that_does_not_build_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    found = results(tried(monkeypatch, built_variant=(1, "v.yaml:9: error[build]: it does not", "")))
    assert found["insert"] == ("wrong", "error[build]: it does not")


@pytest.mark.usefixtures("played")
def test_a_model_that_makes_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = _RAISED.replace("ValueError", "lska_surgeon.errors.BuildError")
    assert results(tried(monkeypatch, built=(1, "", ours)))["graft"] == ("refused", "not")
    assert results(tried(monkeypatch, built=(1, "", _RAISED)))["graft"] == ("wrong", "ValueError: not")


@pytest.mark.usefixtures("played")
def test_the_table_and_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYED", json.dumps({"graft": (2, "", "Error: no")}))
    shown = CliRunner().invoke(main, ["doctor", "--try", "yolov8s.yaml"]).stdout
    row = "yolov8s.yaml  right      right  right  right  right   refused  -      -       -       -"
    assert f"\n{row}\n" in shown
    typed = "lska-surgeon graft yolov8s.pt --at neck --k 7 -o yolov8s-graft.pt"
    assert f"\nyolov8s.yaml, graft refused: no\n  typed: {typed}\n" in shown


def test_models_without_try_are_refused_and_so_is_what_is_no_model(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "yolov8n.yaml"])
    assert (done.exit_code, done.stdout) == (2, "")
    typed = "lska-surgeon doctor --try yolov8n.yaml"
    assert done.stderr == f"Error: doctor takes models only to try every step with them: {typed}\n"
    done = CliRunner().invoke(main, ["doctor", "--try", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"Error: no model YAML in {tmp_path}: give one, or a folder with some\n"


def test_without_ultralytics_a_model_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "stock_models", dict)
    done = CliRunner().invoke(main, ["doctor", "--try"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: trying every step without naming a model needs ultralytics, which is not ")


def test_a_few_models_of_a_folder_that_have_all_kinds_of_rows_at_their_smallest_scale(tmp_path: Path) -> None:
    rows = "backbone:\n- [-1, 1, {}, [8, 3, 2]]\nhead:\n- [-1, 1, {}, [8]]\n- [[-1], 1, Detect, [nc]]\n"
    scales = "nc: 2\nscales:\n  l: [1.00, 1.00, 512]\n  n: [0.33, 0.25, 1024]\n"
    for name, blocks in (
        ("a", ("Conv", "C2f")),
        ("b", ("Conv", "C3")),
        ("c", ("Conv", "C2f")),
        ("d", ("Conv", "SPPF")),
    ):
        (tmp_path / f"yolov8-{name}.yaml").write_text(scales + rows.format(*blocks), encoding="utf-8")
    (tmp_path / "data.yaml").write_text("path: x\ntrain: y\n", encoding="utf-8")
    chosen = subjects([str(tmp_path)])
    assert [one.name for one in chosen] == ["yolov8n-a.yaml", "yolov8n-b.yaml", "yolov8n-d.yaml"]
    assert {one.task for one in chosen} == {"detect"}
    assert [re.sub(r"v8\w", "v8", one.name) for one in chosen] == [one.path.name for one in chosen]
