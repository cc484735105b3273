"""`lska-surgeon train`: what each stage trains, and what it refuses before anything starts."""

from __future__ import annotations

import logging
import re
import shutil
import socket
from pathlib import Path

import pytest
import torch
from support.hostile import call, mapping, name, pickle_of, text, write_zip
from support.shapes import QUICK, graft, surgeon, write_checkpoint, write_data, write_network
from torch import nn
from ultralytics.utils import LOGGER, SETTINGS

from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.grafting.train import plan_training
from lska_surgeon.grafting.trainers import frozen_parts
from lska_surgeon.grafting.transplant import moved_name
from lska_surgeon.nn import named_operators
from lska_surgeon.yolo.environment import import_offline

EVERYWHERE = ("neck", "residual", "sppf-inner")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def grafted(base: Path) -> Path:
    return graft(base, *EVERYWHERE)


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def train(model: Path, data: Path, *words: str) -> None:
    result = surgeon("train", model, f"data={data}", *QUICK, f"project={Path.cwd() / 'out'}", "name=run", *words)
    assert result.exit_code == 0, (result.output, result.exception)


def changed(before: Path, after: Path) -> set[str]:
    """State-dict names of the tensors that differ."""
    old, new = read_checkpoint(before).state_dict, read_checkpoint(after).state_dict
    assert list(old) == list(new)
    return {name for name in old if not torch.equal(old[name], new[name])}


def of_operators(names: set[str], model: Path) -> set[str]:
    prefixes = tuple(f"{prefix}." for prefix, _ in named_operators(read_checkpoint(model).model))
    return {name for name in names if name.startswith(prefixes)}


def last_of(run: str) -> Path:
    return Path("out", run, "weights", "last.pt")


def test_stage_all_trains_operators_and_base_alike(grafted: Path, data: Path) -> None:
    train(grafted, data)
    moved = changed(grafted, last_of("run"))
    in_operators = of_operators(moved, grafted)
    assert in_operators
    assert {name for name in moved - in_operators if name.endswith("conv.weight")}
    assert {name for name in moved if name.endswith("running_mean")}
    assert read_checkpoint(last_of("run")).yaml["lska_surgeon"] == read_checkpoint(grafted).yaml["lska_surgeon"]


def test_what_is_best_keeps_dilated_kernels_apart(base: Path, data: Path) -> None:
    """Ultralytics merges kernels where it validates, and what it stores has to train on."""
    grafted = Path("grafted.pt")
    assert surgeon("graft", base, "--at", "sppf@5", "--op", "dilated-reparam", "-o", grafted).exit_code == 0
    train(grafted, data)
    for stored in (last_of("run"), last_of("run").with_name("best.pt")):
        assert of_operators(changed(grafted, stored), grafted), stored  # the tensors have the same names


def test_stage_attention_moves_the_operators_alone(grafted: Path, data: Path) -> None:
    train(grafted, data, "--stage", "attention", "epochs=2", "warmup_epochs=0")
    moved = changed(grafted, last_of("run"))
    assert moved == of_operators(moved, grafted)
    model = read_checkpoint(grafted).model
    for prefix, _ in named_operators(model):
        assert {n for n in moved if n.startswith(f"{prefix}.conv1.")}, f"{prefix} did not train"


def test_warm_up_of_biases_leaves_the_gates_alone(grafted: Path, data: Path) -> None:
    words = ["optimizer=SGD", "lr0=0.000000001", "warmup_bias_lr=0.1", "warmup_epochs=1", "epochs=2"]
    train(grafted, data, *words)
    moved = changed(grafted, last_of("run"))
    assert "model.0.bn.bias" in moved
    assert not {name for name in moved if name.endswith("lska.conv1.bias")}


def test_gates_are_in_the_group_of_norms_for_a_step_only(grafted: Path) -> None:
    from lska_surgeon.grafting.trainers import gates_among_norms

    model = read_checkpoint(grafted).float_model()
    named = dict(model.named_parameters())
    biases, others = [], []
    for key, parameter in named.items():
        (biases if key.endswith("bias") else others).append(parameter)
    optimizer = torch.optim.SGD([{"params": biases}, {"params": others}], lr=0.1)
    with gates_among_norms(model, optimizer):
        sizes = [len(group["params"]) for group in optimizer.param_groups]
    gates = len(list(named_operators(model)))
    assert sizes == [len(biases) - gates, len(others) + gates]
    left = [group["params"] for group in optimizer.param_groups]
    assert [list(map(id, params)) for params in left] == [list(map(id, biases)), list(map(id, others))]


@pytest.fixture
def variant(base: Path) -> Path:
    """A variant YAML of the checkpoint's network, in the own folder."""
    shutil.copy(base.parent / "tiny.yaml", "tiny.yaml")
    assert surgeon("insert", "tiny.yaml", "--at", "after:0", "--k", "7", "-o", "variant.yaml").exit_code == 0
    return Path("variant.yaml")


def test_weights_whose_rows_moved_are_told_with_what_keeps_them(
    base: Path, variant: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(variant, data, f"pretrained={base}", "lr0=0")
    (told,) = (record.getMessage() for record in caplog.records if record.getMessage().startswith("WARNING"))
    found = re.search(
        rf"lska-surgeon: {base} has other rows than variant.yaml, and Ultralytics matches tensors by row number: "
        rf"(\d+) of (\d+) tensors are where they belong, (\d+) in another layer of the same shape, the rest is lost; "
        rf"to keep all of them: lska-surgeon train variant.yaml --graft {base}, or lska-surgeon graft {base} "
        r"--into variant.yaml, and train the file that this writes$",
        told,
    )
    assert found is not None, told
    assert list(map(int, found.groups()))[:2] == [6, len(read_checkpoint(base).state_dict)]
    assert "data" not in told.replace("data=", "")


def test_graft_keeps_every_weight(base: Path, variant: Path, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    train(variant, data, "--graft", str(base), "lr0=0", "warmup_bias_lr=0", "optimizer=SGD")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert any("certificate: max |Δ| 0.0 of all outputs" in record.getMessage() for record in caplog.records)
    before, after = read_checkpoint(base).state_dict, read_checkpoint(last_of("run")).state_dict
    places = {0: 0, **{index: index + 1 for index in range(1, 10)}}
    weights = [name for name, _ in read_checkpoint(base).needed_model().named_parameters()]
    assert all(torch.equal(before[name], after[str(moved_name(name, places))]) for name in weights)
    assert sorted(Path.cwd().iterdir()) == [Path("out").absolute(), Path("tiny.yaml").absolute(), variant.absolute()]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["variant.yaml", "--graft", "gone.pt"], "no file gone.pt"),
        (["base.pt", "--graft", "base.pt"], "--graft puts a checkpoint into a variant YAML, and base.pt is none: drop"),
        (
            ["variant.yaml", "--graft", "base.pt", "pretrained=base.pt"],
            "--graft base.pt and pretrained=base.pt both say",
        ),
        (
            ["tiny.yaml", "--graft", "base.pt"],
            "tiny.yaml has nothing that base.pt has not: there is no operator to graft",
        ),
        (["bare.yaml", "--graft", "base.pt"], "the graft of base.pt would change the outputs (max |Δ| "),
    ],
)
def test_what_can_not_be_grafted(base: Path, variant: Path, data: Path, words: list[str], told: str) -> None:
    shutil.copy(base, "base.pt")
    assert surgeon("insert", "tiny.yaml", "--at", "neck", "--op", "cbam", "-o", "bare.yaml").exit_code == 0
    result = surgeon("train", *words, f"data={data}", *QUICK)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {told}"), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_stage_both_trains_the_operators_first_and_all_then(grafted: Path, data: Path) -> None:
    train(grafted, data, "--stage", "both", "--warm", "2", "warmup_epochs=0")
    warm, run = last_of("run-warm"), last_of("run")
    moved = changed(grafted, warm)
    assert moved
    assert moved == of_operators(moved, grafted)
    assert "model.0.conv.weight" in changed(warm, run)
    epochs = {path: read_checkpoint(path).train_args["epochs"] for path in (warm, run)}
    assert epochs == {warm: 2, run: 1}
    assert read_checkpoint(run).train_args["model"] == str(warm.resolve())


def test_a_stage_says_how_much_trains_and_names_no_frozen_tensor(grafted: Path, data: Path) -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(str(record.msg))  # type: ignore[method-assign]
    LOGGER.addHandler(handler)
    try:
        train(grafted, data, "--stage", "attention")
        network = read_checkpoint(grafted).model
        free = [tensor for _, operator in named_operators(network) for tensor in operator.parameters()]
        every = [tensor for name, tensor in network.named_parameters() if ".dfl." not in name]
        count, of = (sum(tensor.numel() for tensor in tensors) for tensors in (free, every))
        told = f"{count:,} of {of:,} parameters train ({len(free)} of {len(every)} tensors); the others are frozen"
        assert [line for line in said if "parameters train" in line] == [f"lska-surgeon: {told}"]
        assert not [line for line in said if "Freezing layer" in line]
        said.clear()
        train(grafted, data)
        assert not [line for line in said if "parameters train" in line or "Freezing layer" in line]
        done = surgeon("train", grafted, f"data={data}", *QUICK, f"project={Path.cwd() / 'out'}", "name=last")
        assert done.stdout == f"Trained all: {Path.cwd() / 'out' / 'last'}\n"
    finally:
        LOGGER.removeHandler(handler)


def test_variant_yaml_trains(data: Path, tmp_path: Path) -> None:
    variant = tmp_path / "variant.yaml"
    made = surgeon("insert", write_network(tmp_path), "--at", "neck", "--at", "sppf-inner", "-o", variant)
    assert made.exit_code == 0, made.output
    train(variant, data)
    assert len(list(named_operators(read_checkpoint(last_of("run")).model))) == 2


@pytest.mark.parametrize("name", ["variant", "yolov8n"])
def test_a_bare_name_trains_the_yaml(name: str, data: Path, tmp_path: Path) -> None:
    if name == "variant":
        write_network(tmp_path).rename("variant.yaml")
    train(Path(name), data)
    assert read_checkpoint(last_of("run")).model is not None


def interrupt(model: Path, data: Path, *words: str) -> None:
    """A training of three epochs that stops in its second."""
    from lska_surgeon.grafting.trainers import SurgeonDetectionTrainer

    def stop(trainer: SurgeonDetectionTrainer) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SurgeonDetectionTrainer, "final_eval", stop)  # the last epoch but one is the last
        patch.setattr(SurgeonDetectionTrainer, "save_metrics", _stop_after(1))
        where = [f"project={Path.cwd() / 'out'}", "name=run"]
        result = surgeon("train", model, f"data={data}", *QUICK, "epochs=3", *where, *words)
        assert result.exit_code == 130, result.output
    assert read_checkpoint(last_of("run")).data["optimizer"] is not None


def test_interrupted_stage_resumes_frozen(grafted: Path, data: Path) -> None:
    interrupt(grafted, data, "--stage", "attention")
    result = surgeon("train", last_of("run"), "resume=True")
    assert result.exit_code == 0, (result.output, result.exception)
    end = read_checkpoint(last_of("run"))
    assert end.train_args["freeze"]
    moved = changed(grafted, last_of("run"))
    assert moved
    assert moved == of_operators(moved, grafted)
    assert len(Path("out", "run", "results.csv").read_text().splitlines()) == 4
    again = surgeon("train", last_of("run"), "resume=True")
    assert again.exit_code == 2
    assert "no interrupted training" in again.output


def test_a_resumed_run_writes_in_its_own_folder_whatever_its_checkpoint_says(
    base: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(base, data)
    monkeypatch.setattr("ultralytics.cfg.TESTS_RUNNING", False, raising=False)  # tests have a folder for all runs
    monkeypatch.setattr("ultralytics.cfg.SETTINGS", {**SETTINGS, "runs_dir": str(Path("runs").absolute())})
    mine = Path("out", "run")
    shutil.copytree(mine, "copied")
    shutil.copy(last_of("run"), "alone.pt")
    before = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    results = [
        surgeon("train", "copied/weights/last.pt", "resume=True"),
        surgeon("train", "alone.pt", "resume=True"),
        surgeon("train", "alone.pt", "resume=True", "save_dir=chosen"),
    ]
    assert [result.exit_code for result in results] == [0, 0, 0], [result.output[-300:] for result in results]
    copied, new, chosen = (result.stdout.removeprefix("Trained all: ").strip() for result in results)
    assert Path(copied) == Path("copied").absolute()
    assert Path("runs").absolute() in Path(new).parents
    assert Path(chosen).absolute() == Path("chosen").absolute()
    assert {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()} == before


def test_a_run_with_links_is_not_resumed(base: Path, data: Path) -> None:
    interrupt(base, data)
    best, outside = Path("out", "run", "weights", "best.pt"), Path("mine.txt")
    outside.write_text("mine")
    best.unlink()
    best.symlink_to(outside.absolute())
    result = surgeon("train", last_of("run"), "resume=True")
    assert result.exit_code == 2
    assert result.stderr == f"Error: {best.absolute()} is a symbolic link, and no training leaves one: move it away\n"
    assert outside.read_text() == "mine"


def _stop_after(epochs: int):  # type: ignore[no-untyped-def]
    """A `save_metrics` that is interrupted when more than so many epochs are saved."""
    from ultralytics.engine.trainer import BaseTrainer

    original = BaseTrainer.save_metrics

    def save_metrics(trainer, metrics):  # type: ignore[no-untyped-def]
        if trainer.epoch >= epochs:
            raise KeyboardInterrupt
        original(trainer, metrics)

    return save_metrics


def test_training_reaches_for_no_network(grafted: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def look_up(host_name: object, *args: object, **kwargs: object) -> None:
        asked.append(host_name)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    data = data.with_name("not-ascii.yaml")  # Ultralytics fetches a font for such names
    data.write_text(data.with_name("data.yaml").read_text().replace("circle", "круг"), encoding="utf-8")
    train(grafted, data)
    assert asked == []


def test_checkpoint_that_would_run_code_runs_nothing(data: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    body = mapping(model=call(name("pathlib.Path.touch"), call(name("pathlib.PosixPath"), text(str(marker)))))
    bad = write_zip(tmp_path / "bad.pt", pickle_of(body))
    result = surgeon("train", bad, f"data={data}", *QUICK)
    assert result.exit_code == 2
    assert not marker.exists()
    good_with_bad = surgeon("train", write_network(tmp_path), f"data={data}", f"pretrained={bad}", *QUICK)
    assert good_with_bad.exit_code == 2
    assert "pathlib.Path.touch" in good_with_bad.output
    assert not marker.exists()


MISTAKES = {
    "no data": (["{grafted}"], "data=FILE.yaml"),
    "missing checkpoint": (["nowhere.pt", "data={data}"], "nowhere.pt"),
    "missing model": (["nowhere", "data={data}"], "no file nowhere, and no stock model of that name"),
    "capitals": (["{capitals}", "data={data}"], "ultralytics knows a checkpoint by .pt: rename"),
    "tensors": (["{tensors}", "data={data}"], "holds tensors without a model: flops counts the YAML"),
    "name of two": (["{two}", "data={data}"], ".pt, which is here, or"),
    "missing data": (["{grafted}", "data=nowhere.yaml"], "nowhere.yaml"),
    "data elsewhere": (["{grafted}", "data=https://example.com/a.zip"], "fetch it first"),
    "unknown argument": (["{grafted}", "data={data}", "epoch=1"], "epochs"),
    "bad value": (["{grafted}", "data={data}", "epochs=many"], "epochs=many"),
    "bare word": (["{grafted}", "data={data}", "quickly"], "key=value"),
    "model twice": (["{grafted}", "data={data}", "model=x.pt"], "model="),
    "no operator": (["{base}", "data={data}", "--stage", "attention"], "no operator to train"),
    "yaml in stages": (["{network}", "data={data}", "--stage", "both"], "give a grafted checkpoint"),
    "warm alone": (["{grafted}", "data={data}", "--warm", "2"], "--stage both"),
    "freeze twice": (["{grafted}", "data={data}", "freeze=3", "--stage", "attention"], "drop freeze="),
    "nothing to resume": (["{grafted}", "resume=True"], "no interrupted training"),
    "yaml to resume": (["{network}", "resume=True"], "weights/last.pt"),
    "no such device": (["{grafted}", "data={data}", "device=cuda:97"], "device"),
}


@pytest.mark.parametrize("error", MISTAKES)
def test_error_is_one_line_and_leaves_nothing(
    error: str, grafted: Path, base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    words, said = MISTAKES[error]
    folder = tmp_path_factory.mktemp("network")
    network = write_network(folder)
    files = {"network": network, "two": network.with_suffix(""), "capitals": folder / "a.PT"}
    files["tensors"] = folder / "tensors.pt"
    shutil.copy(base, files["capitals"])
    shutil.copy(base, network.with_suffix(".pt"))
    torch.save(read_checkpoint(base).state_dict, files["tensors"])
    filled = [word.format(grafted=grafted, base=base, data=data, **files) for word in words]
    result = surgeon("train", *filled, f"project={tmp_path}")
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_data_that_would_be_downloaded_are_not(grafted: Path, tmp_path: Path) -> None:
    marker = tmp_path / "fetched"
    text = f"path: {tmp_path}/gone\ntrain: a\nval: a\nnames: [x]\ndownload: open({str(marker)!r}, 'w')\n"
    (tmp_path / "far.yaml").write_text(text)
    result = surgeon("train", grafted, "data=far.yaml", *QUICK)
    assert result.exit_code == 2
    assert "not found" in result.stderr
    assert not marker.exists()


@pytest.mark.parametrize(
    ("model", "at"),
    [
        ("yolov8n.yaml", "neck"),
        ("yolov8n.yaml", "residual"),
        ("yolov8n.yaml", "sppf-inner"),
        ("yolov8n-cls.yaml", "residual"),
        ("yolo11n-pose.yaml", "residual"),
        ("yolov9t.yaml", "residual"),
        ("yolov9c.yaml", "sppf-inner"),
        ("yolov8n-obb.yaml", "head"),
    ],
)
def test_freeze_names_everything_but_the_operators(model: str, at: str, tmp_path: Path) -> None:
    """By Ultralytics' own rule: a parameter or norm is frozen when `model.NAME.` is in its name."""
    variant = tmp_path / model
    made = surgeon("insert", model, "--at", at, "-o", variant)
    assert made.exit_code == 0, made.output
    with torch.device("meta"):
        layers, _ = import_offline().parse_model(_rows(variant), ch=3, verbose=False)
    network = nn.Module()
    network.model = layers
    rules = [f"model.{part}." for part in frozen_parts(network)]
    operators = tuple(f"{prefix}." for prefix, _ in named_operators(network))
    assert operators
    for parameter, _ in network.named_parameters():
        assert any(rule in parameter for rule in rules) is not parameter.startswith(operators), parameter
    for part, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert any(rule in part for rule in rules), part


def _rows(path: Path) -> dict[str, object]:
    from ultralytics.nn.tasks import yaml_model_load

    return yaml_model_load(path)


def test_user_arguments_reach_every_stage_as_they_are(grafted: Path, data: Path) -> None:
    plan = plan_training(str(grafted), [f"data={data}", "lr0=0.02", "epochs=9", "name=x"], stage="both", warm=4)
    warm, full = plan.stages
    assert (warm.name, warm.options["epochs"], warm.options["name"]) == ("attention", 4, "x-warm")
    assert (full.name, full.options) == ("all", {"data": str(data), "lr0": 0.02, "epochs": 9, "name": "x"})
    assert warm.options["lr0"] == 0.02
