"""Hostile checkpoints: nothing of them runs, and what they would run is listed by name."""

from __future__ import annotations

import copyreg
import os
import pickle
import struct
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from support.hostile import build, call, create, mapping, name, pickle_of, tensor, text, write_tar, write_zip
from support.saved import finished, refusal, trained
from support.trained import save

from lska_surgeon.checkpoints.allowlist import lookup
from lska_surgeon.checkpoints.checkpoint import globals_of, read_checkpoint
from lska_surgeon.checkpoints.pickle_audit import GlobalRule, MissingGlobal
from lska_surgeon.cli.main import main
from lska_surgeon.errors import UnsafeCheckpointError
from lska_surgeon.yolo.build import build as built
from lska_surgeon.yolo.code_guard import unsafe_architecture
from lska_surgeon.yolo.environment import import_offline, quiet

CONV = name("torch.nn.modules.conv.Conv2d")
GETATTR = name("__builtin__.getattr")
SYSTEM = f"{os.system.__module__}.system"
#: Functions that run what they are given, and functions that would use the network; `armed` makes each leave a marker.
RUNS = [SYSTEM, "os.system", "builtins.eval", "builtins.exec"]
FETCHES = ["torch.hub.load", "ultralytics.utils.checks.check_requirements", "ultralytics.nn.tasks.torch_safe_load"]


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch, marker: Path) -> None:
    import_offline()
    for function in FETCHES:
        monkeypatch.setattr(function, lambda *_: marker.touch())


def payload(function: str, marker: Path) -> bytes:
    """A call that leaves the marker."""
    command = f"touch '{marker}'" if function.endswith("system") else f"open({str(marker)!r}, 'w').close()"
    return call(name(function), text(command))


def in_zip(place: Callable[[bytes], bytes], **start: bytes) -> Callable[[Path, bytes], Path]:
    return lambda path, body: write_zip(path, pickle_of(place(body), **start))


def in_legacy(path: Path, body: bytes) -> Path:
    """What torch wrote before 1.6: five pickles, then the bytes of the tensors."""
    save(path, {"a": 1}, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(pickle.dumps({"a": 1}, protocol=2), pickle_of(body)))
    return path


CARRIERS = {
    "root": in_zip(lambda body: body),
    "train_args": in_zip(lambda body: mapping(epoch=b"K\x01", train_args=mapping(imgsz=body))),
    "attribute of a layer": in_zip(
        lambda body: mapping(model=build(create(CONV), mapping(training=b"\x88", args=body)))
    ),
    "key": in_zip(lambda body: b"}" + body + b"Ns"),
    "argument of an allowed call": in_zip(lambda body: call(name("torch.Size"), body)),
    "argument of getattr": in_zip(lambda body: call(GETATTR, body, text("forward"))),
    "state of a namespace": in_zip(lambda body: build(call(name("types.SimpleNamespace")), mapping(a=body))),
    "memo": in_zip(lambda body: b"}" + text("a") + body + b"q\x05s" + text("b") + b"h\x05s"),
    "before damaged bytes": in_zip(lambda body: body + b"\xff"),
    "before the end of the file": in_zip(lambda body: body + b"X\xff\xff\xff\x00"),
    "protocol 4": in_zip(lambda body: body, start=b"\x80\x04"),
    "protocol 0": in_zip(lambda body: body, start=b""),
    "legacy": in_legacy,
    "tar": lambda path, body: write_tar(path, pickle_of(body)),
}


@pytest.mark.parametrize(
    ("carrier", "function"), [*product(CARRIERS, [SYSTEM]), *product(["root"], [*RUNS[1:], *FETCHES])]
)
@pytest.mark.usefixtures("armed")
def test_refuses_by_name_and_runs_nothing(carrier: str, function: str, marker: Path, tmp_path: Path) -> None:
    path = CARRIERS[carrier](tmp_path / "hostile.pt", payload(function, marker))
    error = refusal(path)
    assert isinstance(error, UnsafeCheckpointError)
    assert function in error.refused
    assert function in str(error)
    assert "--trust" in str(error)
    assert function in globals_of(path).refused
    assert not marker.exists()


@pytest.mark.parametrize("function", [*RUNS, *FETCHES])
@pytest.mark.usefixtures("armed")
def test_the_same_payloads_run_where_they_are_trusted(function: str, marker: Path, tmp_path: Path) -> None:
    body = mapping(state_dict=mapping(w=tensor()), train_args=payload(function, marker))
    found = read_checkpoint(write_zip(tmp_path / "hostile.pt", pickle_of(body)), trust=True)
    assert marker.exists()
    assert found.refused == (function,)


class Trap:
    """Leaves a marker as soon as its state is set."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __setstate__(self, state: dict[str, str]) -> None:
        Path(state["marker"]).touch()


class Reduced:
    """Pickled as a call."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("place", ["train_args", "attribute", "layer", "optimizer"])
@pytest.mark.parametrize("trap", [Trap, lambda marker: Reduced(os.system, f"touch '{marker}'")], ids=["state", "call"])
def test_a_real_checkpoint_with_something_added(trap: Any, place: str, marker: Path, tmp_path: Path) -> None:
    model = trained("classify")
    data = finished(model)
    if place == "train_args":
        data["train_args"]["callbacks"] = [trap(marker)]
    elif place == "attribute":
        model.extra = trap(marker)
    elif place == "layer":
        model.model[0].conv.hook = trap(marker)
    else:
        data["optimizer"] = {"state": {0: (trap(marker),)}}
    path = save(tmp_path / "hostile.pt", data)
    error = refusal(path)
    assert error.refused in ((f"{__name__}.Trap",), (SYSTEM,))
    assert not marker.exists()
    read_checkpoint(path, trust=True)
    assert marker.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        pytest.param(lambda module, attr, arg: f"(S'{arg}'\ni{module}\n{attr}\n".encode(), id="INST"),
        pytest.param(lambda module, attr, arg: b"(" + name(f"{module}.{attr}") + text(arg) + b"o", id="OBJ"),
        pytest.param(
            lambda module, attr, arg: text(module) + text(attr) + b"\x93" + text(arg) + b"\x85R", id="STACK_GLOBAL"
        ),
        pytest.param(
            lambda module, attr, arg: text(attr) + b"q\x00" + text(module) + b"h\x00\x93" + text(arg) + b"\x85R",
            id="STACK_GLOBAL from the memo",
        ),
        pytest.param(
            lambda module, attr, arg: name(f"{module}.{attr}") + b")" + mapping(a=text(arg)) + b"\x92", id="NEWOBJ_EX"
        ),
    ],
)
@pytest.mark.parametrize("protocol", [b"\x80\x02", b"\x80\x04"], ids=["2", "4"])
def test_other_ways_to_name_a_function(
    protocol: bytes, opcodes: Callable[..., bytes], marker: Path, tmp_path: Path
) -> None:
    body = opcodes("os", "system", f"touch {marker}")
    error = refusal(write_zip(tmp_path / "hostile.pt", pickle_of(body, protocol)))
    assert "os.system" in error.refused
    assert not marker.exists()


@pytest.mark.usefixtures("armed")
def test_names_of_python_2_are_listed_as_those_of_python_3(marker: Path, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "hostile.pt", pickle_of(payload("__builtin__.eval", marker)))
    assert globals_of(path).refused == ("builtins.eval",)


def test_a_registered_extension_is_no_way_around_the_list(marker: Path, tmp_path: Path) -> None:
    copyreg.add_extension("os", "system", 240)
    try:
        body = b"\x82\xf0" + text(f"touch '{marker}'") + b"\x85R"
        path = write_zip(tmp_path / "hostile.pt", pickle_of(body))
        with pytest.raises(pickle.UnpicklingError):
            torch.serialization.load(path, weights_only=True)
        pickle.loads(pickle_of(body))  # fills the cache that the C unpickler keeps
        marker.unlink()
        assert "copyreg extension 240" in refusal(path).refused
        assert not marker.exists()
    finally:
        copyreg.remove_extension("os", "system", 240)


# Names that are on the list, used for what they are not


def layer(**attributes: bytes) -> bytes:
    return build(create(CONV), mapping(training=b"\x88", **attributes))


MISUSES = {
    "constructor": (call(CONV, b"K\x01", b"K\x01", b"K\x01"), "torch.nn.modules.conv.Conv2d(1, 1, 1)"),
    "constructor of a block that downloads": (
        call(name("ultralytics.nn.modules.block.TorchVision"), text("alexnet"), text("DEFAULT")),
        "ultralytics.nn.modules.block.TorchVision('alexnet', 'DEFAULT')",
    ),
    "constructor of a model": (
        call(name("ultralytics.nn.tasks.DetectionModel"), text("https://example.org/x.yaml")),
        "ultralytics.nn.tasks.DetectionModel('https://example.org/x.yaml')",
    ),
    "arguments of __new__": (create(CONV, b"K\x01"), "torch.nn.modules.conv.Conv2d.__new__(1)"),
    "getattr of a special name": (
        call(GETATTR, CONV, text("__init__")),
        "builtins.getattr(torch.nn.modules.conv.Conv2d, '__init__')",
    ),
    "chain of getattr": (
        call(GETATTR, call(GETATTR, CONV, text("__init__")), text("__globals__")),
        "builtins.getattr(<builtins.getattr>, '__globals__')",
    ),
    "getattr of another method": (
        call(GETATTR, create(CONV), text("register_forward_hook")),
        "builtins.getattr(<torch.nn.modules.conv.Conv2d>, 'register_forward_hook')",
    ),
    "getattr of data": (call(GETATTR, text("x"), text("format")), "builtins.getattr('x', 'format')"),
    "call of what getattr gave": (
        call(call(GETATTR, CONV, text("forward")), text("x")),
        "call of a created object, <builtins.getattr>('x')",
    ),
    "call of a layer": (call(create(CONV), text("x")), "call of a created object, <torch.nn.modules.conv.Conv2d>('x')"),
    "class as a value": (mapping(a=CONV), "torch.nn.modules.conv.Conv2d as a value"),
    "class as an attribute": (layer(act=CONV), "torch.nn.modules.conv.Conv2d as a value"),
    "function as a value": (b"(" + GETATTR + b"t", "builtins.getattr as a value"),
    "function as an argument": (call(name("collections.OrderedDict"), GETATTR), "builtins.getattr as a value"),
    "special attribute": (layer(__deepcopy__=create(CONV)), "state of <torch.nn.modules.conv.Conv2d>: dict of 2"),
    "special attribute of a namespace": (
        build(call(name("types.SimpleNamespace")), mapping(__class__=b"N")),
        "state of <types.SimpleNamespace>: dict of 1",
    ),
    "slots": (
        build(create(CONV), b"N" + mapping(a=b"N") + b"\x86"),
        "state of <torch.nn.modules.conv.Conv2d>: tuple of 2",
    ),
    "attributes of a class": (build(CONV, mapping(forward=b"N")), "attributes set on torch.nn.modules.conv.Conv2d"),
    "state of a set": (
        build(call(name("__builtin__.set"), b"]"), mapping(a=b"N")),
        "state of <builtins.set>: dict of 1",
    ),
    "decoding other than of bytes": (
        call(name("_codecs.encode"), text("x"), text("rot13")),
        "_codecs.encode('x', 'rot13')",
    ),
    "dtype with objects": (call(name("numpy.dtype"), text("O8")), "numpy.dtype('O8')"),
    "state of a dtype": (
        build(call(name("numpy.dtype"), text("f8")), b"(K\x03" + text("<") + b"NNN" + b"M\xff\x7f" * 2 + b"K\x3ft"),
        "state of <numpy.dtype>: tuple of 8",
    ),
    "path of something": (
        call(name("pathlib.PosixPath"), create(CONV)),
        "pathlib.PosixPath(<torch.nn.modules.conv.Conv2d>)",
    ),
    "storage of another type": (
        b"(" + text("storage") + CONV + text("0") + text("cpu") + b"K\x01tQ",
        "torch.nn.modules.conv.Conv2d as the type of a tensor's bytes",
    ),
    "other persistent id": (b"(" + text("module") + CONV + b"tQ", "persistent id tuple of 2"),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_refuses_wrong_uses_of_listed_names(misuse: str, tmp_path: Path) -> None:
    body, said = MISUSES[misuse]
    if "TorchVision" in said and isinstance(lookup("ultralytics.nn.modules.block.TorchVision"), MissingGlobal):
        pytest.skip("this ultralytics has no TorchVision block")
    error = refusal(write_zip(tmp_path / "hostile.pt", pickle_of(mapping(a=body))))
    assert isinstance(error, UnsafeCheckpointError)
    assert said in error.refused


#: Chains of attributes, what an allowed module imports, functions, classes by another path, what torch's own list has.
UNLISTED = """
    torch.nn.modules.module.Module.__init__.__globals__ torch.nn.modules.conv.Conv2d.forward
    torch.nn.modules.module.torch.hub.load torch.nn.modules.conv.F torch.nn.modules.conv.Module torch.nn.Conv2d
    torch.nn.init.xavier_uniform_ torch.nn.parallel.data_parallel.DataParallel
    torch._tensor._rebuild_from_type_v2 torch.jit._serialization.load torch.load
    ultralytics.nn.modules.block.Conv ultralytics.nn.modules.block.autopad ultralytics.nn.modules.conv.autopad
    ultralytics.nn.modules.autopad ultralytics.nn.modules.block ultralytics.nn.tasks.Conv
    ultralytics.nn.tasks.yaml_model_load ultralytics.nn.tasks.Path ultralytics.nn.tasks.LOGGER
    ultralytics.nn.autobackend.AutoBackend ultralytics.yolo.utils.checks.check_requirements
    ultralytics.utils.loss.nn ultralytics.utils.SETTINGS ultralytics.hub.login lska_surgeon.nn.register
    lska_surgeon.nn.Host lska_surgeon.nn.operators.nn lska_surgeon.yolo.command.run_yolo builtins.open
    builtins.compile builtins.set.pop collections.OrderedDict.__class__ collections.deque numpy.load
    numpy.core.multiarray._reconstruct pathlib.Path operator.attrgetter functools.partial copyreg._reconstructor
    importlib.import_module runpy.run_path subprocess.Popen torchvision.transforms.transforms.Lambda
    torchvision.transforms.functional.to_tensor
""".split()


@pytest.mark.parametrize("full", UNLISTED)
def test_a_name_is_listed_exactly_or_not_at_all(full: str, tmp_path: Path) -> None:
    assert lookup(full) is None
    error = refusal(write_zip(tmp_path / "hostile.pt", pickle_of(mapping(a=name(full)))))
    assert error.refused == (full,)


def test_of_an_allowed_module_only_its_own_layers_are_listed() -> None:
    tasks = import_offline()
    layers = [import_module(f"ultralytics.nn.modules.{part}") for part in ("block", "conv", "head")]
    seen = 0
    for module in (tasks, *layers, torch.nn.modules.conv, torch.nn.modules.module):
        for attribute, value in vars(module).items():
            own = isinstance(value, type) and value.__module__ == module.__name__ and issubclass(value, torch.nn.Module)
            allowed = isinstance(lookup(f"{module.__name__}.{attribute}"), GlobalRule)
            assert allowed == own, (module.__name__, attribute)
            seen += not own
    assert seen > 100


def test_a_second_pickle_of_the_same_name_is_no_way_around(marker: Path, tmp_path: Path) -> None:
    """The pickle that is looked at is the one that torch loads."""
    good = pickle_of(mapping(state_dict=mapping(w=tensor())))
    bad = pickle_of(mapping(state_dict=mapping(w=tensor()), a=payload(SYSTEM, marker)))
    for order in ((good, bad), (bad, good)):
        with pytest.warns(UserWarning, match="Duplicate name"):
            path = write_zip(tmp_path / "hostile.pt", *order)
        refused = globals_of(path).refused
        assert refused in ((), (SYSTEM,))
        with nullcontext() if refused == () else pytest.raises(UnsafeCheckpointError):
            read_checkpoint(path)
        assert not marker.exists()


def test_nothing_is_loaded_of_a_pickle_that_could_not_be_looked_at_to_its_end(tmp_path: Path) -> None:
    """torch itself reads this one: arguments that are no tuple, and behind them a constructor's call."""
    identity = name("torch.nn.modules.linear.Identity")
    odd = name("collections.OrderedDict") + call(name("torch.Size"), b")") + b"R"
    body = mapping(state_dict=mapping(w=tensor()), layer=create(identity), odd=odd, built=call(identity))
    assert "is damaged" in str(refusal(write_zip(tmp_path / "hostile.pt", pickle_of(body))))


def test_text_of_the_file_is_made_fit_for_a_terminal(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "hostile.pt", pickle_of(mapping(a=b"c\x1b[2Jevil\xc3\xa9\n" + b"x" * 500 + b"\n")))
    error = refusal(path)
    assert str(error).isprintable()
    assert "\\x1b[2Jevil" in str(error)
    assert len(str(error)) < 500


def test_a_long_list_is_shortened_in_the_message_only(tmp_path: Path) -> None:
    body = b"(" + b"".join(name(f"evil.f{index:02}") for index in range(20)) + b"l"
    error = refusal(write_zip(tmp_path / "hostile.pt", pickle_of(body)))
    assert isinstance(error, UnsafeCheckpointError)
    assert len(error.refused) == 20
    assert "evil.f07 and 12 more;" in str(error)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF])
def test_a_length_that_lies_is_damage(length: int, tmp_path: Path) -> None:
    body = b"\x96" + struct.pack("<Q", length) if length > 0xFFFFFFFF else b"X" + struct.pack("<I", length)
    assert "damaged" in str(refusal(write_zip(tmp_path / "x.pt", pickle_of(body))))


# The YAML inside

YAMLS = {
    "activation": ({"activation": "__import__('os').system('{marker}')"}, "activation: "),
    "nested activation": ({"activation": "nn.LeakyReLU(__import__('os').system('{marker}'))"}, "activation: "),
    "activation with an attribute": ({"activation": "torch.nn.modules.module.Module()"}, "activation: "),
    "function": ({"row": ["check_requirements", ["evil"]]}, "backbone row check_requirements"),
    "import": ({"row": ["contextlib", []]}, "backbone row contextlib"),
    "model from an address": (
        {"row": ["DetectionModel", ["https://example.org/x.yaml"]]},
        "backbone row DetectionModel",
    ),
    "activation that fetches": ({"activation": "TorchVision('alexnet')"}, "activation: "),
    "function of torch.nn": ({"row": ["nn.factory_kwargs", []]}, "backbone row nn.factory_kwargs"),
    "function of torchvision": ({"row": ["torchvision.ops.nms", []]}, "backbone row torchvision.ops.nms"),
}


@pytest.mark.parametrize("kind", YAMLS)
def test_refuses_a_yaml_that_would_run_more_than_layers(kind: str, marker: Path, tmp_path: Path) -> None:
    change, said = YAMLS[kind]
    model = trained("classify")
    if "activation" in change:
        model.yaml["activation"] = change["activation"].format(marker=f"touch {marker}")
    else:
        model.yaml["backbone"].append([-1, 1, *change["row"]])
    path = save(tmp_path / "hostile.pt", finished(model))
    error = refusal(path)
    assert isinstance(error, UnsafeCheckpointError)
    assert [found for found in error.refused if found.startswith(said)]
    assert not marker.exists()
    assert read_checkpoint(path, trust=True).yaml == model.yaml
    averaged = save(tmp_path / "averaged.pt", {**finished(model), "model": None, "ema": model})
    assert refusal(averaged).refused == error.refused


@pytest.mark.parametrize(
    "command", ["flops {yaml}", "check --build {yaml}", "train {yaml} data=coco8.yaml", "graft {into}"]
)
def test_a_users_yaml_runs_nothing_either(command: str, marker: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"nc: 1\nactivation: __import__('os').system('touch {marker}')\n"
        "backbone:\n- [-1, 1, Conv, [16, 3, 2]]\nhead:\n- [[0], 1, Detect, [nc]]\n",
        encoding="utf-8",
    )
    base = save(tmp_path / "base.pt", finished(trained("classify")))
    words = command.format(yaml=path, into=f"{base} --into {path}").split()
    done = CliRunner().invoke(main, words)
    assert done.exit_code == (1 if command.startswith("check") else 2), done.output
    assert "would run more than layers: activation: __import__('os').system" in done.output
    assert "nothing of it was run" in done.output
    assert not marker.exists()


def test_weights_that_a_row_asks_for_are_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TorchVision rows ask for trained weights by default."""
    if isinstance(lookup("ultralytics.nn.modules.block.TorchVision"), MissingGlobal):
        pytest.skip("this ultralytics has no TorchVision block")
    fetched: list[str] = []
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, *rest, **more: fetched.append(url))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "mine.yaml"
    path.write_text(
        "nc: 2\nbackbone:\n- [-1, 1, TorchVision, [512, resnet18, DEFAULT, True, 2]]\n"
        "head:\n- [-1, 1, Classify, [nc]]\n",
        encoding="utf-8",
    )
    (tmp_path / "data").mkdir()
    assert CliRunner().invoke(main, ["flops", str(path), "--imgsz", "64"]).exit_code == 0
    assert CliRunner().invoke(main, ["check", "--build", str(path)]).exit_code == 0
    trained_with = CliRunner().invoke(main, ["train", str(path), f"data={tmp_path / 'data'}", f"project={tmp_path}"])
    assert trained_with.exit_code == 2
    assert ".pth is not here, and nothing is downloaded\n" in trained_with.output
    assert fetched == []


def test_a_backbone_of_torchvision_in_a_checkpoint_needs_no_trust_and_fetches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are in the checkpoint; so they are in that of a training, which Ultralytics builds anew."""
    if isinstance(lookup("ultralytics.nn.modules.block.TorchVision"), MissingGlobal):
        pytest.skip("this ultralytics has no TorchVision block")
    fetched: list[str] = []
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda url, *rest, **more: fetched.append(url))
    monkeypatch.chdir(tmp_path)
    row = [-1, 1, "TorchVision", [1024, "shufflenet_v2_x0_5", "DEFAULT", True, 1]]
    yaml = {"nc": 2, "channels": 3, "backbone": [row], "head": [[-1, 1, "Classify", ["nc"]]]}
    model = built(yaml).half().requires_grad_(False)
    model.yaml["backbone"][0], model.args, model.task = row, {"imgsz": 32, "task": "classify"}, "classify"
    save(tmp_path / "base.pt", finished(model))
    for part in ("train", "val"):
        for grey in (0, 200):
            (tmp_path / "data" / part / f"grey{grey}").mkdir(parents=True)
            Image.new("RGB", (32, 32), (grey,) * 3).save(tmp_path / "data" / part / f"grey{grey}" / "one.png")
    training = f"train base.pt data={tmp_path / 'data'} project={tmp_path} epochs=1 imgsz=32 batch=2 plots=False"
    for words in ("inspect base.pt", "flops base.pt --imgsz 64", training):
        done = CliRunner().invoke(main, words.split())
        assert done.exit_code == 0, done.output
    (best,) = tmp_path.rglob("best.pt")
    assert CliRunner().invoke(main, ["inspect", str(best)]).exit_code == 0
    assert fetched == []


@pytest.mark.parametrize(
    "yaml",
    [
        {"activation": "nn.LeakyReLU(0.1)"},
        {"activation": "torch.nn.SiLU(inplace=True)"},
        {"activation": None, "backbone": [[-1, 1, "nn.Upsample", [None, 2, "nearest"]], [-1, 1, "LSKA", ["c2", 11]]]},
        {"head": [[-1, 1, "torchvision.ops.Permute", [[0, 1, 2, 3]]], [-1, 1, "NobodyKnowsIt", []]]},
        {},
    ],
)
def test_lets_layers_pass(yaml: dict[str, Any]) -> None:
    import_offline()
    assert unsafe_architecture(yaml) == ()


def test_every_stock_yaml_passes() -> None:
    tasks = import_offline()
    stock = sorted((Path(tasks.__file__).parents[1] / "cfg" / "models").rglob("*.yaml"))
    assert len(stock) > 40
    for path in stock:
        with quiet():
            found = unsafe_architecture(tasks.yaml_model_load(path))
        assert found == (), path.name
