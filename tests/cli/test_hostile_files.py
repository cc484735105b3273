"""Files of a stranger's that would run code, given to every command that could come to run them: none does."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from support.hostile import call, mapping, name, pickle_of, text, write_zip
from support.shapes import NETWORK, QUICK, graft, surgeon, write_checkpoint, write_data, write_network

from lska_surgeon.ablation.records import LOG
from lska_surgeon.ablation.runs import plan_ablation
from lska_surgeon.checkpoints.checkpoint import read_checkpoint
from lska_surgeon.checkpoints.checkpoint import write_checkpoint as write_file
from lska_surgeon.errors import SurgeonError, TrainingError
from lska_surgeon.yolo.environment import import_offline, quiet

RECIPE = """\
base: {base}
matrix: {{at: neck, k: 7}}
imgsz: 64
train: {{data: {data}, epochs: 1, imgsz: 64, batch: 2, nbs: 2, {more}}}
seeds: [0]
controls: base
"""


class Files:
    """What a stranger sent, and what is the user's own, in one folder; whatever runs makes `ran`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran = folder / "ran"
        self.expression = f"__import__('pathlib').Path({str(self.ran)!r}).touch() or nn.SiLU()"
        self.network = write_network(folder)
        self.data = write_data(folder / "shapes")
        self.base = write_checkpoint(folder)
        self.graft = graft(self.base, "neck")
        opened = call(name("io.open"), text(str(self.ran)), text("w"))
        self.checkpoint = write_zip(folder / "bad.pt", pickle_of(mapping(model=opened)))
        self.activation = self.write("activation.yaml", f'activation: "{self.expression}"\n{NETWORK}')
        row = f"""[-1, 1, torch_safe_load, ["'{self.checkpoint}'"]] # 6"""
        self.row = self.write("row.yaml", NETWORK.replace("[-1, 1, nn.Upsample, [None, 2, nearest]] # 6", row))
        self.stored = self.with_model("stored.pt", lambda model: model.yaml.update(activation=self.expression))
        gone = f"path: {folder}/gone\ntrain: a\nval: b\nnames: [square, circle]\n"
        python = self.write("python.yaml", f"{gone}download: open({str(self.ran)!r}, 'w')\n")
        bash = self.write("bash.yaml", f"{gone}download: bash {self.write('get.sh', f'touch {self.ran}')}\n")
        here = self.data.read_text(encoding="utf-8")
        # Of this one `val` is here, and what `split` asks for is not.
        split = self.write("split.yaml", f"{here}test: gone\ndownload: open({str(self.ran)!r}, 'w')\n")
        self.scripts = {"python": python, "bash": bash, "split": split}

    def write(self, file: str, content: str) -> Path:
        (self.folder / file).write_text(content, encoding="utf-8")
        return self.folder / file

    def with_model(self, file: str, change: Callable[[Any], object], **data: Any) -> Path:
        """The user's own checkpoint, changed."""
        content = read_checkpoint(self.base).data
        change(content["model"])
        write_file(self.folder / file, {**content, **data}, force=True)
        return self.folder / file

    def resumable(self, file: str, **train_args: Any) -> Path:
        """A checkpoint as an interrupted training leaves it."""
        args = {"imgsz": 64, "epochs": 3, "batch": 2, "data": str(self.data), "task": "detect", "model": "x.pt"}
        parameters = list(read_checkpoint(self.base).float_model().parameters())
        optimizer = torch.optim.SGD(parameters, lr=0.1).state_dict()
        return self.with_model(
            file, lambda model: None, epoch=0, optimizer=optimizer, train_args={**args, **train_args}, updates=1
        )

    def recipe(self, base: Path | None = None, data: Path | None = None, more: str = "") -> Path:
        content = RECIPE.format(base=(base or self.network).name, data=data or self.data, more=more)
        return self.write("recipe.yaml", content)

    def run_of(self, model: Path) -> Path:
        """The folder of a training that is said to be of this model."""
        run = self.folder / "runs" / "first"
        (run / "weights").mkdir(parents=True, exist_ok=True)
        shutil.copy(self.base, run / "weights" / "best.pt")
        (run / "args.yaml").write_text(f"model: {model}\ndata: {self.data}\nseed: 0\nepochs: 1\n", encoding="utf-8")
        (run / "results.csv").write_text("epoch,metrics/mAP50-95(B)\n1,0.5\n", encoding="utf-8")
        return run.parent


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(autouse=True)
def _nothing_runs(files: Files) -> Any:
    files.ran.unlink(missing_ok=True)
    yield
    files.ran.unlink(missing_ok=True)


def asked(files: Files, *words: object) -> str:
    """What a command says, that neither runs anything nor breaks."""
    result = surgeon(*words)
    assert not files.ran.exists(), (words, result.output)
    assert result.exception is None or isinstance(result.exception, SystemExit), (words, result.exception)
    return result.output


@pytest.mark.parametrize("attack", ["activation", "row"])
def test_the_attacks_are_real(attack: str, files: Files) -> None:
    """Ultralytics by itself runs them."""
    tasks = import_offline()
    content = tasks.yaml_model_load(getattr(files, attack))
    with quiet(), suppress(AttributeError):  # what is no layer ends badly, once it has run
        tasks.parse_model(content, ch=3, verbose=False)
    assert files.ran.exists()


#: Commands that take a model YAML of somebody's, as `{model}`.
OF_YAML = [
    "positions {model}",
    "insert {model} --at neck --k 7 -o out.yaml",
    "remove {model} -o out.yaml",
    "check {model}",
    "flops {model}",
    "flops {network} {model}",
    "blocks {model}",
    "diff {network} {model}",
    "curves {model} --at neck",
    "draw {model} -o out.svg",
    "draw {network} {model} -o out.svg",
    "latency {model} --rounds 1 --imgsz 64",
    "graft {base} --into {model} -o out.pt",
    "graft {base} --into {model} --init default -o out.pt",
    "train {model} data={data}",
    "variants {recipe}",
    "variants {recipe} --check",
    "report {recipe} -o out.html",
    "ablate {recipe} --dry-run",
    "results {recipe}",
    "results {runs}",
]


@pytest.mark.parametrize("attack", ["activation", "row"])
@pytest.mark.parametrize("command", OF_YAML)
def test_a_model_yaml_runs_nothing(command: str, attack: str, files: Files) -> None:
    model = getattr(files, attack)
    own = {"network": files.network, "base": files.base, "data": files.data}
    words = command.format(model=model, recipe=files.recipe(model), runs=files.run_of(model), **own)
    asked(files, *words.split())


ENDLESS = NETWORK.replace("[-1, 2, C2f, [16, True]] # 2", "[-1, 50000000, C2f, [16, True]] # 2")


@pytest.mark.parametrize("command", ["results {runs}", "graft {base} --into {model} -o out.pt", "train {model} {data}"])
def test_a_model_yaml_that_would_be_built_for_hours_is_not(command: str, files: Files) -> None:
    model = files.write("endless.yaml", ENDLESS)
    words = command.format(model=model, runs=files.run_of(model), base=files.base, data=f"data={files.data}")
    assert "row 2 (C2f) has 50000000 repeats: it may have 1 to " in asked(files, *words.split())


#: Commands that take a checkpoint of somebody's, as `{model}`.
OF_CHECKPOINT = [
    "inspect {model}",
    "graft {model} --at neck -o out.pt",
    "graft {model} --into {variant} -o out.pt",
    "ungraft {model} -o out.pt",
    "adopt {model} -o out.pt",
    "diff {model} {graft}",
    "diff {graft} {model}",
    "flops {model}",
    "draw {model} -o out.svg",
    "latency {model} --rounds 1 --imgsz 64",
    "erf {model} --imgsz 64",
    "train {model} data={data}",
    "train {graft} data={data} pretrained={model}",
    "train {graft} data={data} distill_model={model}",
    "train {graft} data={data} cfg={cfg}",
    "results {runs}",
    "ablate {recipe} --dry-run",
]


@pytest.mark.parametrize("attack", ["checkpoint", "stored"])
@pytest.mark.parametrize("command", OF_CHECKPOINT)
def test_a_checkpoint_runs_nothing(command: str, attack: str, files: Files) -> None:
    model = getattr(files, attack)
    cfg = files.write("cfg.yaml", f"epochs: 1\ndistill_model: {model}\n")
    own = {"graft": files.graft, "data": files.data, "variant": files.network}
    recipe = files.recipe(more=f"distill_model: {model}")
    said = asked(files, *command.format(model=model, cfg=cfg, recipe=recipe, runs=files.run_of(model), **own).split())
    if command.startswith(("train", "ablate")):
        assert "nothing of it was run" in said
    if "--trust" in said:
        assert "--trust" in asked(files, command.split()[0], "--help"), "there is no such option"


@pytest.mark.parametrize("key", ["pretrained", "distill_model", "resume"])
def test_a_file_of_arguments_brings_no_checkpoint_along(key: str, files: Files) -> None:
    cfg = files.write("cfg.yaml", f"epochs: 1\n{key}: {files.checkpoint}\n")
    assert "nothing of it was run" in asked(files, "train", files.graft, f"data={files.data}", f"cfg={cfg}")
    said = asked(files, "ablate", files.recipe(more=f"cfg: {cfg}"), "--dry-run")
    assert "train.cfg: " in said
    assert "nothing of it was run" in said


@pytest.mark.parametrize("key", ["pretrained", "resume"])
def test_a_file_of_arguments_says_no_start_of_an_ablation(key: str, files: Files) -> None:
    cfg = files.write("cfg.yaml", f"epochs: 1\n{key}: {files.base}\n")
    said = asked(files, "ablate", files.recipe(more=f"cfg: {cfg}"), "--dry-run")
    assert f"line 4, train.cfg: {cfg} says {key}: {files.base}, and " in said


def trained(files: Files, recipe: Path) -> str:
    """What the process of a run says that fails: what `launch`, Ray and Slurm start does just this."""
    from lska_surgeon.ablation.training import train_run

    cell = plan_ablation(recipe, files.folder / "runs").runs[0]
    shutil.rmtree(cell.folder, ignore_errors=True)
    assert cell.prepare()
    (cell.folder / LOG).touch()
    with quiet(), pytest.raises(SurgeonError) as refused:
        train_run(cell.folder, cell.record(), "cpu")
    assert not files.ran.exists()
    return str(refused.value)


@pytest.mark.parametrize("attack", ["activation", "row"])
def test_a_cell_is_not_trained_from_a_base_that_runs_code(attack: str, files: Files) -> None:
    assert "would run more than layers" in trained(files, files.recipe(getattr(files, attack)))


@pytest.mark.parametrize("argument", ["distill_model: {bad}", "cfg: {cfg}"])
def test_a_cell_loads_no_checkpoint_that_runs_code(argument: str, files: Files) -> None:
    cfg = files.write("cfg.yaml", f"distill_model: {files.checkpoint}\n")
    more = argument.format(bad=files.checkpoint, cfg=cfg)
    assert "nothing of it was run" in trained(files, files.recipe(more=more))


@pytest.mark.parametrize("script", ["python", "bash", "split"])
def test_data_run_no_script_of_theirs(script: str, files: Files) -> None:
    data = files.scripts[script]
    more = "split=test" if script == "split" else "epochs=1"
    assert "not found" in asked(files, "train", files.graft, f"data={data}", *QUICK, more)
    assert "not found" in trained(
        files, files.recipe(data=data, more=more.replace("=", ": ") if script == "split" else "")
    )


def test_a_cache_of_labels_runs_nothing(files: Files) -> None:
    """It lies beside somebody's data, and is a pickle."""

    class Touch:
        def __reduce__(self) -> Any:
            return Path.touch, (files.ran,)

    cache = files.data.parent / "labels" / "train.cache"
    with cache.open("wb") as file:
        numpy.save(file, numpy.array({"version": Touch()}, dtype=object))
    asked(files, "train", files.graft, f"data={files.data}", *QUICK, f"project={Path.cwd()}", "name=run")
    first = cache.read_bytes()
    asked(files, "train", files.graft, f"data={files.data}", *QUICK, f"project={Path.cwd()}", "name=again")
    assert cache.read_bytes() == first, "a cache of Ultralytics' own is not read"


RESUMED = {
    "data": ("python", "not found"),
    "distill_model": ("checkpoint", "nothing of it was run"),
}


@pytest.mark.parametrize("argument", RESUMED)
def test_a_resumed_training_takes_nothing_from_its_checkpoint_that_runs(argument: str, files: Files) -> None:
    attack, said = RESUMED[argument]
    last = files.resumable("last.pt", **{argument: str(files.scripts.get(attack) or getattr(files, attack))})
    assert said in asked(files, "train", last, "resume=True")


def test_a_size_in_words_is_read_as_numbers_alone(files: Files) -> None:
    trainers = importlib.import_module("lska_surgeon.grafting.trainers")
    for size in (64, [64, 96], "64", "[64, 96]", None):
        trainers.refuse_expression(size)
    with pytest.raises(TrainingError, match="is not a number of pixels"):
        trainers.refuse_expression(files.expression)
    last = files.resumable("last.pt", imgsz=files.expression)
    assert "is not a number of pixels" in asked(files, "train", last, "resume=True", "device=cpu")
