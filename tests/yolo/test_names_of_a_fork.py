"""A fork that has an LSKA and a CBAM of its own: its rows build its classes, and ours go by names of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.forks import make_fork

from lska_surgeon.cli.main import main

NOTE = "Note: this ultralytics has its own {0}, which its rows go on to name: the new rows name ours, Surgeon{0}\n"


@pytest.mark.parametrize(
    ("op", "block", "row", "label"),
    [
        ("lska", "LSKA", "[-1, 1, SurgeonLSKA, [c2, 7]]", "lska k7"),
        ("cbam", "CBAM", "[-1, 1, SurgeonCBAM, [c2]]", "cbam"),
    ],
)
def test_a_name_that_is_taken_is_said_and_another_is_written(
    op: str, block: str, row: str, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = make_fork(tmp_path / "fork", "own")
    monkeypatch.chdir(tmp_path)
    with fork.imported(monkeypatch):
        kernel = ["--k", "7"] if op == "lska" else []
        done = CliRunner().invoke(
            main, ["insert", str(fork.yaml), "--at", "after:0", "--op", op, *kernel, "-o", "mine.yaml"]
        )
        assert done.exit_code == 0, done.output
        assert done.stderr.endswith(NOTE.format(block))
        text = Path("mine.yaml").read_text(encoding="utf-8")
        assert f"\n  - {row} # 1 {label}, after" in text, text
        assert "\n  - [-1, 1, LSKA, [11]]\n  - [-1, 1, CBAM, []]\n" in text
        assert CliRunner().invoke(main, ["check", "mine.yaml", "--quiet"]).exit_code == 0
        assert CliRunner().invoke(main, ["remove", "mine.yaml", "-o", "back.yaml"]).exit_code == 0
        assert Path("back.yaml").read_bytes() == fork.yaml.read_bytes()
        refused = CliRunner().invoke(main, ["remove", "back.yaml", "-o", "-"])
        assert (refused.exit_code, "has no LSKA to remove" in refused.stderr) == (2, True)


_PROGRAM = """if True:
    import json, sys
    import torch
    import lska_surgeon as ls
    from lska_surgeon.yolo.build import build
    from ultralytics import YOLO

    def classes(model):
        return [type(layer).__module__ + "." + type(layer).__name__ for layer in model.model]

    base, elsewhere = sys.argv[1:]
    YOLO(base, task="detect").save("base.pt")
    graft = ls.graft("base.pt", "after:0", k=7)
    file = graft.write("graft.pt")
    back = ls.ungraft(file)
    before, after = ls.load_checkpoint("base.pt"), back.data["model"]
    same = all(torch.equal(a, b) for a, b in zip(before.state_dict.values(), after.state_dict().values()))
    into = ls.graft("base.pt", into=ls.insert(base, "after:0", k=7).write("variant.yaml"))
    cbam = ls.insert(base, "after:0", op="cbam").write("cbam.yaml")
    print("\\n" + json.dumps({
        "notes": graft.notes,
        "graft": classes(graft.model),
        "rebuilt": classes(build(graft.model.yaml)),
        "back": [classes(after), same, after.yaml == before.yaml],
        "into": [classes(into.model), into.certificate.exact],
        "cbam": classes(build(cbam)),
        "params": ls.flops("variant.yaml", imgsz=64).params - ls.flops(base, imgsz=64).params,
        "elsewhere": classes(build(ls.load_checkpoint(elsewhere).model.yaml)),
    }))
"""


def test_a_graft_in_a_fork_keeps_both_classes(tmp_path: Path) -> None:
    fork = make_fork(tmp_path / "fork", "own")
    done = fork.python("-c", _PROGRAM, str(fork.yaml), str(_graft_of_elsewhere(tmp_path)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    theirs = ["ultralytics.nn.own.LSKA", "ultralytics.nn.own.CBAM"]
    conv, rest = "ultralytics.nn.modules.conv.Conv", ["conv.Conv", "block.SPPF", "head.Detect"]
    behind = [*theirs, *(f"ultralytics.nn.modules.{name}" for name in rest)]
    assert said["graft"] == said["rebuilt"] == [conv, "lska_surgeon.nn.LSKA", *behind]
    assert said["notes"] == [NOTE.format("LSKA")[len("Note: ") : -1]]
    assert said["back"] == [[conv, *behind], True, True]
    assert said["into"] == [said["graft"], True]
    assert said["cbam"] == [conv, "lska_surgeon.nn.Plain", *behind]
    assert said["params"] == 16 * 16 + 16 * (2 * 3 + 2 * 3 + 5)
    assert said["elsewhere"][1] == "lska_surgeon.nn.LSKA"


def _graft_of_elsewhere(folder: Path) -> Path:
    """A graft that was made where nobody else had an LSKA."""
    from ultralytics import YOLO

    from lska_surgeon import graft

    base = folder / "released.yaml"
    base.write_text(
        "nc: 2\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\n  - [-1, 1, Conv, [16, 3, 2]]\n"
        "head:\n  - [[1], 1, Detect, [nc]]\n"
    )
    YOLO(base, task="detect").save(folder / "released.pt")
    return graft(folder / "released.pt", "after:0", k=7).write(folder / "elsewhere.pt")
