"""Whole files: whoever looks sees the old one or the new one, whenever the writer is killed."""

from __future__ import annotations

import errno
import itertools
import os
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from support import shapes
from support.fresh import fresh

from lska_surgeon import files
from lska_surgeon.checkpoints.checkpoint import write_checkpoint
from lska_surgeon.errors import TargetError
from lska_surgeon.files import put_in_place, replace_all, told_apart, write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork, SIGKILL and modes")


def writing(content: bytes):
    return lambda file: file.write(content)


def leftovers(directory: Path) -> list[Path]:
    return [found for found in directory.iterdir() if found.name.startswith(".")]


def test_replaces_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "x.pt"
    target.write_bytes(b"old")
    with pytest.raises(TargetError, match="already there"):
        write_whole(target, writing(b"new"))
    assert target.read_bytes() == b"old"
    write_whole(target, writing(b"new"), force=True)
    assert target.read_bytes() == b"new"
    assert not leftovers(tmp_path)


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "x.pt"

    def slowly(file: IO[bytes]) -> None:
        target.write_bytes(b"somebody else's")
        file.write(b"new")

    with pytest.raises(TargetError, match="already there"):
        write_whole(target, slowly)
    assert target.read_bytes() == b"somebody else's"
    assert not leftovers(tmp_path)


def test_works_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    write_whole(tmp_path / "x.pt", writing(b"new"))
    assert (tmp_path / "x.pt").read_bytes() == b"new"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")])
def test_a_failure_leaves_the_old_file_and_nothing_else(error: BaseException, tmp_path: Path) -> None:
    target = tmp_path / "x.pt"
    target.write_bytes(b"old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise error

    expected = TargetError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        write_whole(target, fail, force=True)
    if expected is TargetError:
        assert str(caught.value) == f"can't write {target}: No space left on device"
    assert target.read_bytes() == b"old"
    assert not leftovers(tmp_path)


def test_refuses_what_is_no_place_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="is a directory"):
        write_whole(tmp_path, writing(b"new"))
    with pytest.raises(TargetError, match="no directory"):
        write_whole(tmp_path / "nowhere" / "x.pt", writing(b"new"))


@posix
def test_a_new_file_has_the_mode_that_the_user_asks_for(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "x.pt", writing(b"new"))
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x.pt").stat().st_mode) == 0o640


def left_by(name: str, machine: str, process: int) -> str:
    return f".{name}.{machine}-{process}.abc_12.tmp"


def test_removes_what_dead_processes_left_but_no_work_of_others(tmp_path: Path) -> None:
    here = files.this_machine()
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    dead = [left_by("x.pt", here, done.pid), left_by("y.yaml", here, done.pid), left_by("z", "0" * 8, 7)]
    kept = [left_by("x.pt", here, os.getpid()), left_by("x.pt", "0" * 8, done.pid), ".mine.tmp", "x.pt.tmp"]
    for name in (*dead, *kept):
        (tmp_path / name).touch()
    for name, days in ((dead[2], 2), (kept[0], 0.5), (kept[1], 0.5)):
        then = time.time() - days * 86400
        os.utime(tmp_path / name, (then, then))
    write_whole(tmp_path / "x.pt", writing(b"new"))
    assert sorted(found.name for found in tmp_path.iterdir()) == sorted([*kept, "x.pt"])


def an_export(folder: Path, *names: str) -> Path:
    (folder / "inner").mkdir(parents=True)
    for name in names:
        (folder / "inner" / name).write_text(name, encoding="utf-8")
    return folder


def test_a_folder_is_put_in_its_place_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    put_in_place(an_export(tmp_path / "first", "a", "b"), target)
    assert sorted(found.name for found in target.rglob("*")) == ["a", "b", "inner"]
    with pytest.raises(TargetError, match="can't write"):
        put_in_place(an_export(tmp_path / "second", "c"), target)
    assert sorted(found.name for found in target.rglob("*")) == ["a", "b", "inner"]
    put_in_place(tmp_path / "second", target, force=True)
    assert sorted(found.name for found in target.rglob("*")) == ["c", "inner"]
    assert not leftovers(tmp_path)


@posix
@pytest.mark.parametrize("force", [False, True], ids=["new", "force"])
def test_a_folder_whose_writer_is_killed_is_the_old_one_or_none(force: bool, tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from lska_surgeon import files; "
        "files._copied = lambda *names: os.kill(os.getpid(), 9); "
        "files.put_in_place(*map(pathlib.Path, sys.argv[1:3]), force=True)"
    )
    made, target = an_export(tmp_path / "made", "new"), tmp_path / "out"
    if force:
        an_export(target, "old")
    subprocess.run([sys.executable, "-c", code, str(made), str(target)], check=False)
    assert [found.name for found in target.rglob("*")] == (["inner", "old"] if force else [])
    assert len(leftovers(tmp_path)) == 1
    put_in_place(made, target, force=True)
    assert [found.name for found in target.rglob("*")] == ["inner", "new"]
    assert not leftovers(tmp_path)


LIMITED = """
import resource, signal, sys
from lska_surgeon.yolo.environment import import_offline
if {words!r}[0].endswith("graft"):
    import_offline()  # which writes files of its own
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))  # as on a full disk, the system refuses what comes then
from lska_surgeon.cli.main import main
main({words!r})
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on files")
@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (["graft", "base.pt", "--at", "neck", "-o", "new.pt"], 20_000),
        (["graft", "base.pt", "--at", "neck", "-o", "new.pt"], 200_000),
        (["insert", "yolov8s.yaml", "--at", "neck", "-o", "new.yaml"], 100),
        (["variants", "recipe.yaml"], 100),
        (["templates", "copy", "github", "-o", "new.yml"], 100),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else str(value),
)
def test_a_full_disk_is_one_line_and_leaves_nothing(words: list[str], limit: int, tmp_path: Path) -> None:
    shapes.write_checkpoint(tmp_path)
    (tmp_path / "recipe.yaml").write_text("base: yolov8n.yaml\nmatrix: {at: [neck], k: [7, 11]}\n", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(limit=limit, words=words)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("Error: can't write ")
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every new file is on a device that is always full."""
    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    new_temporary = files._new_temporary

    def on_a_full_disk(target: Path) -> tuple[int, str]:
        handle, name = new_temporary(target)
        os.close(handle)
        return os.open("/dev/full", os.O_WRONLY), name

    monkeypatch.setattr(files, "_new_temporary", on_a_full_disk)


@pytest.mark.parametrize("sizes", [[1], [1_000_000], [16] * 500, [500, 1_000_000]], ids=lambda sizes: str(sizes[-2:]))
@pytest.mark.usefixtures("full_disk")
def test_torch_can_not_hide_what_the_system_refused(sizes: list[int], tmp_path: Path) -> None:
    """torch's writer makes a RuntimeError of what a file that it writes to raises."""
    data = {f"weight{number}": torch.zeros(size) for number, size in enumerate(sizes)}
    with pytest.raises(TargetError, match=r"^can't write .*new.pt: No space left on device$"):
        write_checkpoint(tmp_path / "new.pt", data)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hidden", ["behind another error", "altogether"])
@pytest.mark.usefixtures("full_disk")
def test_what_was_refused_once_counts_though_there_is_room_again(hidden: str, tmp_path: Path) -> None:
    def write(file: IO[bytes]) -> None:
        with suppress(OSError):
            file.write(bytes(1_000_000))
        with tempfile.TemporaryFile() as elsewhere:
            os.dup2(elsewhere.fileno(), file.fileno())
        if hidden != "altogether":
            raise RuntimeError("unexpected pos 64 vs 0")

    with pytest.raises(TargetError, match=r"^can't write .*new.pt: No space left on device$"):
        write_whole(tmp_path / "new.pt", write)
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_was_to_go_comes_back_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it does not, the link goes, and what is behind it stays."""
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "other").write_text("old")
    replace, failed = os.replace, []

    def fail(source: str, target: str) -> None:
        if Path(target).name == "other" and not failed:
            failed.append(target)
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(TargetError):
        replace_all({tmp_path / "other": "new"}, delete=[tmp_path / "link"])
    assert os.readlink(tmp_path / "link") == "real"
    assert (tmp_path / "other").read_text() == "old"
    replace_all({tmp_path / "other": "new"}, delete=[tmp_path / "link"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "real"]
    assert (tmp_path / "real").read_text() == "old"


@posix
@pytest.mark.parametrize("write", ["one", "many"])
def test_what_is_behind_a_chain_of_links_is_replaced(write: str, tmp_path: Path) -> None:
    """Of what is not there yet the link stays as well; the mode is that of the file."""
    (tmp_path / "far").mkdir()
    real, link, further, new = (tmp_path / name for name in ("far/real.yaml", "link.yaml", "further.yaml", "new.yaml"))
    real.write_text("old")
    real.chmod(0o604)
    link.symlink_to("far/real.yaml")
    further.symlink_to("link.yaml")
    new.symlink_to("far/new.yaml")
    for path in (link, further, new):
        if write == "one":
            write_whole(path, writing(path.name.encode()), force=True)
        else:
            replace_all({path: path.name})
        assert path.is_symlink()
        assert path.read_text() == path.name
    assert stat.S_IMODE(real.stat().st_mode) == 0o604
    assert not [*leftovers(tmp_path), *leftovers(tmp_path / "far")]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 250 + ".yaml")
    write_whole(target, writing(b"old"))
    replace_all({target: "new"})
    assert target.read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


@posix
def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to("loop.yaml")
    for write in (lambda: write_whole(loop, writing(b"new"), force=True), lambda: replace_all({loop: "new"})):
        with pytest.raises(TargetError, match="leads to itself"):
            write()
        assert loop.is_symlink()


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize("step", ["write", "fsync", "chmod", "replace", "unlink"])
def test_whatever_is_refused_and_whenever_everything_is_as_it_was(
    step: str, call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner: Any = files._Output if step == "write" else Path if step == "unlink" else os
    original, calls = getattr(owner, step), itertools.count()

    def refuse(*args: Any, **named: Any) -> Any:
        if next(calls) == call:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(*args, **named)

    for name in ("a.yaml", "gone.yaml", "gone too.yaml"):
        (tmp_path / name).write_text("old")
    (tmp_path / "b").mkdir()  # whose making would sync a folder
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, refuse)
        texts = {tmp_path / "a.yaml": "new", tmp_path / "b" / "c.yaml": "new"}
        with pytest.raises(TargetError, match=f"^can't write .*: {os.strerror(errno.EIO)}$"):
            replace_all(texts, [tmp_path / "gone.yaml", tmp_path / "gone too.yaml"])
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["a.yaml", "b", "gone too.yaml", "gone.yaml"]
    assert {found.read_text() for found in tmp_path.glob("*.yaml")} == {"old"}


def test_what_was_written_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the contents, then the names, then the folders that hold them; of a new folder, its own name at once."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not tell what a descriptor is of")
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watch_fsync(handle: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{handle}")).name
        done.append("content" if name.startswith(".") else name)
        fsync(handle)

    def watch_replace(source: str, target: Path) -> None:
        done.append(f"name {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "replace", watch_replace)
    replace_all({tmp_path / "a.yaml": "new", tmp_path / "new" / "b.yaml": "new"})
    here = tmp_path.name
    assert done == ["content", here, "content", "name a.yaml", "name b.yaml", here, "new"]


#: A process that writes a checkpoint and kills itself in the middle of step `moment`, before or after it.
KILLED_AT = """
import os, signal, sys
import torch
from lska_surgeon.checkpoints.checkpoint import write_checkpoint

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def in_a_fork(moment, force):
    if os.fork():
        return os.waitstatus_to_exitcode(os.wait()[1]) if hasattr(os, "waitstatus_to_exitcode") else None
    step, _, when = moment.partition(" ")
    if step == "write":
        torch.serialization.save = lambda data, file: (file.write(b"half"), file.flush(), kill())
    else:
        original = getattr(os, step)
        def replacement(*args, **named):
            if when == "before":
                kill()
            original(*args, **named)
            kill()
        setattr(os, step, replacement)
    write_checkpoint(target, {"state_dict": {"w": torch.ones(3)}}, force=force)
    os._exit(3)

target, force = sys.argv[1], sys.argv[2] == "force"
for moment in sys.argv[3:]:
    if force:
        write_checkpoint(target, {"state_dict": {"w": torch.zeros(3)}}, force=True)
    elif os.path.exists(target):
        os.unlink(target)
    code = in_a_fork(moment, force)
    try:
        found = torch.load(target, weights_only=True)["state_dict"]["w"].tolist()
    except FileNotFoundError:
        found = None
    print(f"{moment}|{code}|{found}")
"""
OLD, NEW = "[0.0, 0.0, 0.0]", "[1.0, 1.0, 1.0]"


def killed_at(target: Path, force: bool, moments: list[str]) -> list[str]:
    return fresh(KILLED_AT, str(target), "force" if force else "new", *moments).splitlines()


@posix
@pytest.mark.parametrize(
    ("force", "steps", "new"),
    [
        (True, ["write", "fsync before", "fsync after", "chmod before", "chmod after", "replace before"], False),
        (True, ["replace after"], True),
        (False, ["write", "fsync before", "link before"], False),
        (False, ["link after", "unlink before"], True),
    ],
)
def test_killed_at_every_step(force: bool, steps: list[str], new: bool, tmp_path: Path) -> None:
    found = killed_at(tmp_path / "x.pt", force, steps)
    assert found == [f"{step}|-9|{NEW if new else OLD if force else None}" for step in steps]
    assert len(leftovers(tmp_path)) <= 1  # each writer removes what the dead one before it has left


@pytest.mark.parametrize(
    "words",
    [
        ["insert", "yolov8s.yaml", "--at", "neck", "-o", "closed/x.yaml"],
        ["remove", "variant.yaml", "-o", "closed/x.yaml"],
        ["graft", "x.pt", "--at", "neck", "-o", "closed/x.pt"],
        ["ungraft", "x.pt", "-o", "closed/x.pt"],
        ["variants", "closed/recipe.yaml"],
        ["report", "closed/recipe.yaml"],
    ],
    ids=lambda words: words[0],
)
def test_a_dry_run_tells_that_the_folder_is_closed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("closed").mkdir()
    Path("x.pt").touch()
    Path("closed/recipe.yaml").write_text("base: yolov8n.yaml\nmatrix: {at: [neck], k: [7]}\n", encoding="utf-8")
    assert shapes.surgeon("insert", "yolov8s.yaml", "--at", "neck", "-o", "variant.yaml").exit_code == 0
    make = files._new_temporary

    def refuse(target: Path) -> tuple[int, str]:
        if "closed" in str(target.parent):
            raise PermissionError(errno.EACCES, "Permission denied")
        return make(target)

    monkeypatch.setattr(files, "_new_temporary", refuse)  # for the administrator no folder is closed
    done = shapes.surgeon(*words, "--dry-run")
    told = [line for line in done.stderr.splitlines() if "Permission denied" in line]
    assert len(told) == 1, done.output
    assert told[0].startswith("Note: can't write closed/")
    assert told[0].endswith(": Permission denied, so without --dry-run this fails")
    assert done.exit_code == (2 if "x.pt" in words else 0)  # that is an empty file
    real = shapes.surgeon(*words)
    assert (real.exit_code, real.stderr.splitlines()[-1][:25]) == (2, "Error: can't write closed")
    assert os.listdir("closed") == ["recipe.yaml"]


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("base.yaml/x.yaml", "can't write base.yaml/x.yaml: base.yaml is a file, not a directory"),
        ("base.yaml/y/x.yaml", "can't write base.yaml/y/x.yaml: base.yaml is a file, not a directory"),
        ("pipe.yaml/x.yaml", "can't write pipe.yaml/x.yaml: pipe.yaml is a named pipe, not a directory"),
        ("no/x.yaml", "can't write no/x.yaml: there is no directory no"),
        ("pipe.yaml --force", "pipe.yaml is a named pipe: give a file name with -o"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="other systems have no named pipes")
def test_output_that_can_not_be_written(output: str, problem: str) -> None:
    os.mkfifo("pipe.yaml")
    Path("base.yaml").write_text("nc: 1\n", encoding="utf-8")
    result = shapes.surgeon("insert", "yolov8n.yaml", "--at", "neck", "-o", *output.split())
    assert (result.exit_code, result.output) == (2, f"Error: {problem}\n")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ("runs/a/weights/best.pt runs/b/weights/best.pt c.pt", "a/…/best.pt b/…/best.pt c.pt"),
        ("a/best.pt best.pt", "a/best.pt best.pt"),
        ("n/k7/0/w/best.pt n/k7/1/w/best.pt n/base/0/w/best.pt", "k7/0/…/best.pt k7/1/…/best.pt base/0/…/best.pt"),
        ("a.pt b.pt", "a.pt b.pt"),
    ],
)
def test_files_are_called_by_what_tells_them_apart(paths: str, names: str) -> None:
    assert told_apart([*map(Path, paths.split())]) == names.split()
    assert told_apart([Path("a/x.pt"), Path("a/x.pt")]) == ["1: x.pt", "2: x.pt"]
