"""Ablations on a real Ray cluster of two nodes, one of which dies in the middle; and what a Slurm script says."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.ablations import RECIPE, write_recipe
from support.fresh import fresh

import lska_surgeon as ls
from lska_surgeon.ablation import clusters
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.errors import AblationError, MissingPackageError

TEXT = RECIPE.replace("epochs: 3", "epochs: 6").replace("[neck, sppf]", "sppf").replace("[0, 1, 2]", "[0, 1]")


def test_a_slurm_script_quotes_its_folders(tmp_path: Path) -> None:
    ablation = plan_ablation(write_recipe(tmp_path / "a b"))
    text = clusters.script(ablation, ablation.runs, "-p gpu")
    assert f"#SBATCH --chdir='{tmp_path / 'a b'}'\n" in text
    assert f"#SBATCH --output='{tmp_path / 'a b' / 'ablation' / 'recipe' / 'slurm' / '%A-%a.txt'}'\n" in text


def test_without_ray_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    with pytest.raises(
        MissingPackageError, match=r'a Ray cluster needs ray, which is not installed: pip install "lska-surgeon\[ray\]"'
    ):
        ls.ablate(write_recipe(tmp_path / "a"), ray="auto")


def test_an_address_at_which_nobody_listens_is_told_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            AblationError, match=f"no Ray cluster at {address}: .*: start one with ray start --head, or"
        ):
            ls.ablate(write_recipe(tmp_path / "a"), ray=address)


def test_a_cluster_that_answers_and_lets_nobody_in_is_waited_for_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As one that goes by another address does: Ray tries on and on, and writes of it to the terminal."""
    (tmp_path / "ray.py").write_text(
        "import os, time\n"
        "def is_initialized():\n"
        "    return False\n"
        "def init(**_):\n"
        "    while True:\n"
        "        os.write(2, b'Failed to connect to GCS\\n')\n"
        "        time.sleep(0.1)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)  # so that what was there is put back
    monkeypatch.delitem(sys.modules, "ray")
    monkeypatch.setattr(clusters, "_JOIN", 1.0)
    recipe = write_recipe(tmp_path / "a")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        message = f"no Ray cluster at {address}: it was not to be joined within 1 s; it may go by another address, see "
        with pytest.raises(AblationError, match=message):
            ls.ablate(recipe, ray=address)
    assert capfd.readouterr().err == ""


def test_ray_is_told_to_write_no_token_before_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ray.py").write_text(
        "import os\n"
        "SEEN = os.environ.get('RAY_AUTH_MODE')\n"
        "def is_initialized():\n"
        "    return False\n"
        "def init(**_):\n"
        "    raise ConnectionError(SEEN)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)  # so that what was there is put back
    monkeypatch.delitem(sys.modules, "ray")
    recipe = write_recipe(tmp_path / "a")
    for asked, told in ((None, "disabled"), ("token", "token")):
        monkeypatch.setenv("RAY_AUTH_MODE", asked or "")
        if asked is None:
            monkeypatch.delenv("RAY_AUTH_MODE")
        sys.modules.pop("ray", None)
        with pytest.raises(AblationError, match=f"no Ray cluster at local: ConnectionError: {told}: start one"):
            ls.ablate(recipe, ray="local")


def test_ray_is_imported_for_nobody_else() -> None:
    fresh("import sys, lska_surgeon as ls; ls.ablate; ls.results; assert 'ray' not in sys.modules")


@pytest.mark.slow
def test_runs_of_a_node_that_dies_run_again_on_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recipe, straight = write_recipe(tmp_path / "a", TEXT), write_recipe(tmp_path / "b", TEXT)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        killer = threading.Thread(target=_kill_with_work, args=(cluster, second, recipe))
        events: list[Any] = []
        killer.start()
        status = ls.ablate(recipe, ray=cluster.address, report=events.append)
        killer.join()
        assert capsys.readouterr().out == ""  # Ray tells much of a dead node, and `--json` writes there
    finally:
        ray.shutdown()
        cluster.shutdown()
    begun = [event.run.name for event in events if event.kind == "started"]
    assert sorted(begun) == sorted(run.name for run in plan_ablation(recipe).runs)
    started = [(event.kind, event.run.name) for event in events]
    assert all(started.index(("running", name)) > started.index(("started", name)) for name in begun)
    assert status.counts == {"done": 4}, [event.text for event in events if event.kind == "killed"]
    records = [json.loads((run.folder / "run.json").read_text(encoding="utf-8")) for run in plan_ablation(recipe).runs]
    assert max(len(record["attempts"]) for record in records) >= 2  # the one that was lost with its node
    alive = [pid for record in records for pid in [record["attempts"][-1]["pid"]] if _lives(pid)]
    assert not alive
    ls.ablate(straight, devices="cpu")
    for one, other in zip(plan_ablation(recipe).runs, plan_ablation(straight).runs):
        assert _numbers(one.folder) == _numbers(other.folder)


def _kill_with_work(cluster: Any, node: Any, recipe: Path) -> None:
    """Kill a node with -9 as soon as two runs are in the middle of their training."""
    while len(list(recipe.parent.rglob("resume.pt"))) < 2:
        time.sleep(0.1)
    cluster.remove_node(node, allow_graceful=False)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _numbers(folder: Path) -> list[list[str]]:
    lines = (folder / "results.csv").read_text(encoding="utf-8").splitlines()
    return [[*line.split(",")[:1], *line.split(",")[2:]] for line in lines]
