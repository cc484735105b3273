"""The verbs that look: positions, differences, costs, times, drawings, checkpoints, receptive fields."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, cast

from ..core.blocks import BlockTable
from ..cost.limits import DEFAULT_SIZE, DESIGNS, LARGEST_THREADS, SIZES, batch_of, models_in, size_of
from ..errors import ArgumentError, DocumentError, SurgeonError
from ..modelfile.model import load
from ..modelfile.sources import STDIN, find_source, is_checkpoint
from ..wording import a_value
from .verb import Blocks, PathLike, as_name, checkpoint_from, listed, log_warning, look_at, split, table_of, verb

#: Of an image to look through, pixels: the smallest leaves a pixel at stride 32, larger ones leave too much to keep.
_SIDES = 32, 4096

if TYPE_CHECKING:
    from torch import nn

    from ..ablation.runs import Ablation
    from ..checkpoints.contents import Checkpoint
    from ..cost.closed_form import Difference
    from ..cost.cost import Cost, Costs
    from ..cost.latency import Latencies, Measurements
    from ..drawing.curves import Curves
    from ..drawing.drawing import Drawing
    from ..exporting.metadata import ExportedFile
    from ..insight.look import Insight
    from ..modelfile.positions import Positions

    #: A path, a stock name, a module, a `YOLO` object, or a Checkpoint.
    Countable = Union[PathLike, nn.Module, Any]
    #: A path, a stock name, a Checkpoint, or what `insert` returns.
    Drawable = Union[PathLike, Any]


@verb
def positions(model: PathLike, *, scale: str | None = None, blocks: Blocks = None) -> Positions:
    """Every layer of a model, and every position that `insert` accepts there.

    >>> import lska_surgeon as ls
    >>> shown = ls.positions("yolov8s.yaml")
    >>> [site.layer for site in shown.named["neck"]]
    [12, 15, 18, 21]
    >>> shown.shapes[15].channels, shown.shapes[15].stride
    (128, 8.0)

    Args:
        model: path of a model YAML, or a stock Ultralytics name with its scale.
        scale: scale, where the model's name does not say it.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the file is not there, or is no model YAML.
        GraphError: its rows make no network, or it has no such scale.
    """
    from ..modelfile.positions import Positions

    return Positions(load(as_name(model), scale, blocks=table_of(blocks)))


@verb
def diff(
    before: PathLike,
    after: PathLike,
    *,
    imgsz: int | tuple[int, int] = 640,
    costs: bool = False,
    trust: bool = False,
    blocks: Blocks = None,
) -> Difference:
    """Tell how one architecture differs from another.

    Rows are matched by what they are and by what they read, not by their numbers. A checkpoint has the rows of the
    model YAML that it stores; its weights are not compared.

    >>> import lska_surgeon as ls
    >>> variant = ls.insert("yolov8s.yaml", "neck", k=35).write()
    >>> difference = ls.diff("yolov8s.yaml", variant)
    >>> difference.added, difference.costs.params
    ((13, 17, 21, 25), 452224)

    Args:
        before: path of a model YAML or of a .pt, or a stock Ultralytics name with its scale.
        after: the same.
        imgsz: size of the image in pixels, one number for a square or (height, width).
        costs: build both and count them with fvcore, which needs torch. Otherwise costs are worked out exactly where
            operators alone differ, and are None where more does.
        trust: load a .pt or build a YAML even if it names code that is not on the allow-list; it may run it.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        DocumentError, CheckpointError: a file is not there, or is neither a model YAML nor a checkpoint with a model.
        CostError: the models can't be counted at that size.
    """
    _refuse_second_reading((before, after))
    if costs and STDIN in (before, after):
        raise ArgumentError("--costs needs files: save standard input to one, and give that")
    from ..cost.closed_form import difference_of

    size = size_of(imgsz)
    return difference_of(as_name(before), as_name(after), size, count=costs, trust=trust, blocks=table_of(blocks))


def _refuse_second_reading(models: Sequence[Any]) -> None:
    if models.count(STDIN) > 1:
        raise ArgumentError("- is standard input, which can be read once: give the other as a file")


@verb
def canonical(model: PathLike, *, warn: Callable[[str], object] | None = None, blocks: Blocks = None) -> str:
    """A model's rows without their indices, for `git diff` to compare; what is no model, as it is.

    Args:
        model: path of a model YAML, or a stock Ultralytics name.
        warn: is called with a warning; by default it goes to the log.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        DocumentError: there is no such file.
    """
    from ..errors import NotAModelError
    from ..files import read_within
    from ..modelfile.diff import canonical_text
    from ..modelfile.document import Document

    path = Path(model)
    try:
        file = path if path.is_file() else find_source(as_name(model)).path
        return canonical_text(Document.read(file, blocks=table_of(blocks)).graph)
    except SurgeonError as error:  # git gives up where a textconv fails
        if not path.is_file():
            raise
        if not isinstance(error, NotAModelError):
            (warn or log_warning)(f"shown as it is: {error.as_typed}")
        return read_within(path).decode("utf-8", errors="surrogateescape")


@verb
def flops(
    model: Countable | Sequence[Countable] = (),
    *,
    imgsz: int | tuple[int, int] = 640,
    batch: int = 1,
    fuse: bool = True,
    scale: str | None = None,
    latency: bool = False,
    trust: bool = False,
    blocks: Blocks = None,
) -> Cost | Costs:
    """Count the parameters, multiply-accumulates and FLOPs of one forward pass in eval mode, as fvcore counts them.

    FLOPs are twice the multiply-accumulates, the unit in which Ultralytics publishes its models.

    >>> import lska_surgeon as ls
    >>> ls.flops("yolov8n.yaml").params
    3151904

    Args:
        model: path of a model YAML or of a .pt, a stock Ultralytics name with its scale, any torch module that
            takes one (N, C, H, W) tensor, a loaded `YOLO` object, or a Checkpoint; none of them is changed.
            Or a list of them; an empty one stands for the models of the working folder, the bases of variants first.
        imgsz: size of the image in pixels, one number for a square or (height, width).
        batch: images in the input, 1 to 65536.
        fuse: fuse Conv and BatchNorm first, as Ultralytics does before it predicts.
        scale: scale of model YAMLs, where their names do not say it.
        latency: of several, also measure how long each takes on this machine's CPU.
        trust: load a .pt or build a YAML even if it names code that is not on the allow-list; it may run it.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        What one model costs; of a list, what each costs, with the differences to the first.

    Raises:
        DocumentError, CheckpointError: the file is not there, or is neither.
        BuildError: Ultralytics refuses to build it.
        CostError: the size does not fit the strides, or the forward pass fails.
    """
    from ..cost.cache import cost_of
    from ..cost.cost import Costs

    size, batch, table = size_of(imgsz), batch_of(batch), table_of(blocks)

    def count(one: Countable) -> Cost:
        if isinstance(one, (str, os.PathLike)):
            return cost_of(as_name(one), size, batch, fuse, blocks=table, scale=scale, trust=trust)
        return _count_loaded(one, size, batch, fuse)

    if not isinstance(model, (list, tuple)):
        _look_to_count(model, scale, table)
        return count(model)
    if model:
        for one in model:  # before one of them is counted
            _look_to_count(one, scale, table)
        costs = Costs(tuple(map(count, model)))
    else:
        costs = _counted_here(count, scale, table)
    if not latency:
        return costs
    names = [cost.name for cost in costs]
    return replace(costs, latency=cast(Any, _latency(names, imgsz=size, batch=batch, trust=trust, blocks=table)))


def _look_to_count(model: Countable, scale: str | None, table: BlockTable) -> None:
    look_at(model, blocks=table)
    if scale and not _is_yaml(model):
        raise SurgeonError(f"scale {scale!r} is for a model YAML: a network that is built already has its scale")


def _counted_here(count: Callable[[str], Cost], scale: str | None, table: BlockTable) -> Costs:
    """What can be counted of a folder's models, and what to tell of the rest; nobody asked for each of them by name."""
    from ..cost.cost import Costs

    here = models_in(Path(), table)
    costs, problems = [], dict(here.unread)
    for model in here.models:
        try:
            _look_to_count(model, scale, table)
            costs.append(count(model))
        except SurgeonError as error:
            problems[model] = error.as_typed
    if not costs:
        raise DocumentError(f"no model in this folder can be counted: {next(iter(problems.values()))}")
    skipped = [f"{name} is passed over: {problem}" for name, problem in problems.items()]
    skipped += [f"no models, so passed over: {', '.join(here.others)}"] if here.others else []
    return Costs(tuple(costs), tuple(skipped))


def _is_yaml(model: Countable) -> bool:
    return isinstance(model, (str, os.PathLike)) and not is_checkpoint(os.fspath(model))


def _count_loaded(model: Any, size: tuple[int, int], batch: int, fuse: bool) -> Cost:
    """Count what is in memory: the module of a `YOLO` object or a Checkpoint, or a module itself."""
    from torch import nn

    from ..checkpoints.contents import Checkpoint
    from ..cost.count import count, load
    from ..yolo.environment import module_named

    load()
    name = type(model).__name__
    if isinstance(model, Checkpoint):
        return count(model.float_model(), size, batch, fuse, name=str(model.path))
    if isinstance(model, module_named("ultralytics.engine.model").Model):  # which calls itself a module
        name, model = str(model.ckpt_path or model.model_name or name), model.model
    if not isinstance(model, nn.Module):
        raise SurgeonError(f"{a_value(model)} can't be counted: give a path, a torch module or a YOLO object")
    return count(model, size, batch, fuse, name=name)


@verb
def curves(
    model: PathLike,
    at: str | Sequence[str],
    *,
    op: str | Sequence[str] = DESIGNS,
    k: int | Sequence[int] = SIZES,
    imgsz: int | tuple[int, int] = 640,
    scale: str | None = None,
    recipe: PathLike | None = None,
    blocks: Blocks = None,
) -> Curves:
    """Parameters and GFLOPs that operators add, against their kernel size, exactly, from the closed forms.

    The figure of Lau, Po, Rehman, arXiv 2309.01439, for one's own network.

    Args:
        model: a path, or a stock name with its scale.
        at: where; may be given several times. As `insert` takes them, without kernel sizes.
        op: which operators, of lska, lska-trivial, lka, lka-trivial, strip, dilated-reparam, lska-attention; may be
            given several times.
        k: which kernel sizes; may be given several times.
        imgsz: size of the image in pixels, one number for a square or (height, width).
        scale: scale, where the model's name does not say it.
        recipe: give the figure the colours and names that networks of this recipe have in its other figures.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        The points; `print` shows a table, `write("curves.svg")` draws the figure.

    Raises:
        SurgeonError: no such model, position, operator or kernel size, or the recipe can't be read or followed.

    Example:
        >>> import lska_surgeon as ls
        >>> [(point.k, point.params) for point in ls.curves("yolov8n.yaml", "neck", op="lska", k=[7, 35]).points]
        [(7, 112192), (35, 123712)]
    """
    from ..cost.closed_form import curve_points
    from ..drawing.curves import Curves

    opened = load(as_name(model), scale, blocks=table_of(blocks))
    ats, ops, sizes, size = (
        listed(at),
        tuple(dict.fromkeys(listed(op))),
        tuple(dict.fromkeys(listed(k))),
        size_of(imgsz),
    )
    drawn = Curves(opened.name, ats, size, curve_points(opened, ats, size, ops, sizes), opened.notes)
    if recipe is None:
        return drawn
    from ..recipes.recipe import read_recipe
    from ..recipes.variants import looks_of

    return replace(drawn, looks=looks_of(read_recipe(Path(recipe), table_of(blocks))))


@verb
def latency(
    models: Countable | Sequence[Countable] = (),
    *,
    recipe: PathLike | None = None,
    folder: PathLike | None = None,
    runtime: str | Sequence[str] = (),
    imgsz: int | tuple[int, int] | None = None,
    batch: int | Sequence[int] = 1,
    device: str | int = "cpu",
    half: bool = False,
    threads: int | None = None,
    nms: bool = False,
    rounds: int = 50,
    trust: bool = False,
    blocks: Blocks = None,
) -> Latencies | Measurements:
    """Measure models side by side, interleaved, each after its warm-up, in one or several runtimes.

    Args:
        models: model YAMLs, checkpoints, stock names with their scale, modules, or exported files; one or a list.
        recipe: measure the networks of a recipe, and keep the times for `results`.
        folder: of a recipe, where its runs are; by default ablation/RECIPE beside it.
        runtime: where to run, of torch, torchscript, onnx, openvino, ncnn, mnn, tensorrt, coreml; several with commas
            between them; by default the recipe's, or torch. Models are exported by Ultralytics for all but torch; an
            exported file runs in its own.
        imgsz: size of the image in pixels, or (height, width); by default the recipe's or an exported file's, or 640.
        batch: images in the input, 1 to 65536; one number, or several, one after the other.
        device: where, cpu or a GPU's number.
        half: half precision, on a GPU.
        threads: threads on a CPU, 1 to 4096, the same in every runtime. None for torch's own choice.
        nms: include non-maximum suppression; classifiers and RT-DETR have none. How many boxes there are to suppress,
            the weights decide.
        rounds: how often each model runs, 2 or more.
        trust: load a checkpoint or build a YAML even if it names code that is not on the allow-list, and run exported
            files that are programs; they may run anything.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        Median, 95th percentile and the ratio to the first, with its interval; it prints itself.

    Raises:
        SurgeonError: a model can't be read, built, exported or run, or has no boxes to suppress; or neither the device
            nor a runtime is here.
    """
    from ..yolo.exported import exported_file, runtime_named

    given = listed(models)
    if (recipe is None) == (not given):
        raise ArgumentError("give models to measure, or --recipe FILE: one of the two")
    if rounds < 2:
        raise ArgumentError(f"{rounds} rounds are too few to measure by: give 2 or more, such as 50")
    if threads is not None and not 1 <= threads <= LARGEST_THREADS:
        raise ArgumentError(f"threads {threads} is not a number of threads: give 1 to {LARGEST_THREADS}")
    if folder is not None and recipe is None:
        raise ArgumentError("--folder says where the times of a recipe are kept: add --recipe FILE, or drop it")
    batches, ablation = [batch_of(number) for number in listed(batch)], None
    if len(batches) > 1 and recipe is not None:
        raise ArgumentError("--recipe keeps one time for each network: give --batch one number")
    names = tuple(runtime_named(name).name for name in dict.fromkeys(split(runtime)))
    files = [exported_file(one) for one in given]
    for one, file in zip(given, files):
        if file is None:
            look_at(one, blocks=table_of(blocks))
    if names and given and all(files):
        raise ArgumentError("--runtime says what models are exported for, and exported files have theirs: drop it")
    if recipe is not None:
        from ..ablation.runs import plan_ablation

        ablation = plan_ablation(Path(recipe), None if folder is None else Path(folder), table_of(blocks))
        names = names or ablation.experiment.latency
    size = imgsz if imgsz is not None else ablation.recipe.imgsz if ablation else None if any(files) else DEFAULT_SIZE
    from ..yolo.environment import import_offline

    import_offline()
    from ..cost.latency import Setting, measure

    settings = [
        Setting(
            size_of(size) if size is not None else None, number, str(device), half, threads, names or ("torch",), nms,
            rounds, trust,
        )
        for number in batches
    ]  # fmt: skip
    if ablation is None:
        networks = [(_name_of(one), file or _module_of(one, trust)) for one, file in zip(given, files)]
        measured = measure(networks, settings)
    else:
        measured = _latency_of_recipe(ablation, settings)
    alone = isinstance(batch, int) and len(names) < 2 and len(measured.all) == 1
    return measured.all[0] if alone else measured


def _latency_of_recipe(ablation: Ablation, settings: Sequence[Any]) -> Measurements:
    from ..ablation.outcomes import keep_latencies
    from ..cost.latency import measure
    from ..files import for_a_while
    from ..yolo.build import build

    models = []
    for network in ablation.networks:
        with for_a_while(Path(network.file).name, network.text) as path:
            models.append((network.name, build(path, scale=network.scale)))
    measured = measure(models, settings)
    keep_latencies(ablation, measured)
    return measured


def _name_of(model: Any) -> str:
    return os.fspath(model) if isinstance(model, (str, os.PathLike)) else type(model).__name__


def _module_of(model: Any, trust: bool) -> Any:
    from ..checkpoints.checkpoint import read_checkpoint
    from ..yolo.build import build

    if not isinstance(model, (str, os.PathLike)):
        return model
    if is_checkpoint(os.fspath(model)):
        checkpoint = read_checkpoint(os.fspath(model), trust=trust)
        if checkpoint.model is None:
            raise SurgeonError(f"{model} holds tensors without a model: give a checkpoint with one")
        return checkpoint.float_model()
    source = find_source(os.fspath(model))
    return build(source.path, scale=source.scale, trust=trust)


#: Where a parameter has its name.
_latency = latency


@verb
def draw(
    model: Drawable,
    variant: Drawable | None = None,
    *,
    positions: bool = False,
    imgsz: int | tuple[int, int] = 640,
    scale: str | None = None,
    output: PathLike | None = None,
    trust: bool = False,
    blocks: Blocks = None,
) -> Drawing:
    """Draw a network, every position that `insert` takes in it, or what sets a variant apart from it.

    Nothing is written before `write`; a notebook shows the image.

    >>> import lska_surgeon as ls
    >>> image = ls.draw("yolov8s.yaml", positions=True)
    >>> print(image)
    yolov8s-positions.svg: yolov8s.yaml, scale s, 640 × 640; 23 rows and 29 connections

    Args:
        model: path of a model YAML or of a .pt, a stock Ultralytics name with its scale, a Checkpoint, or an
            insertion that `insert` has worked out.
        variant: the same; drawn beside `model`, what came in colour and what was rewired dashed.
        positions: mark every position that `insert` takes by name.
        imgsz: size of the image in pixels, one number for a square or (height, width).
        scale: scale of model YAMLs, where their names do not say it.
        output: file to write: .svg, .md (Mermaid), .dot, .png or .pdf; - for standard output. None for one named after
            what is drawn.
        trust: load a .pt even if it names code that is not on the allow-list; it may run it.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        DocumentError, CheckpointError: a file is not there, or is neither.
        GraphError: its rows make no network, or it has no such scale.
        TargetError: `output` ends in no format of images.
    """
    from ..drawing.drawing import draw as draw_sources

    sources = [model] if variant is None else [model, variant]
    _refuse_second_reading([source for source in sources if isinstance(source, str)])
    return draw_sources(
        sources,
        positions=positions,
        imgsz=imgsz,
        scale=scale,
        output=output,
        trust=trust,
        blocks=table_of(blocks),
    )


def drawing_target(model: Drawable, positions: bool, output: PathLike | None, form: str | None = None) -> Path | None:
    """The file that a drawing goes to, None for standard output; where none is named, one in this folder.

    Args:
        model: what is drawn, or the variant of it.
        positions: as for `draw`.
        output: as for `draw`.
        form: what the file has to be; None for what its name says, or SVG.

    Raises:
        TargetError: it is no image's.
        SurgeonError: `output` and `form` do not agree.
    """
    from ..drawing.drawing import default_target, format_of

    if output is None:
        return default_target(model, positions, form or "svg")
    if os.fspath(output) == STDIN:
        return None
    if format_of(Path(output)) != (form or format_of(Path(output))):
        raise ArgumentError(
            f"-o {os.fspath(output)} does not end in .{form}, the format asked for: drop one of the two"
        )
    return Path(output)


@verb
def load_checkpoint(checkpoint: PathLike, *, trust: bool = False, blocks: Blocks = None) -> Checkpoint | ExportedFile:
    """Read a checkpoint or a state dict without running what it carries, onto the CPU.

    The result has the network (`.model`), its tensors (`.state_dict`), its YAML, class names, training arguments, and
    the record of its surgery; printed, it shows what the file holds. Of an exported file or folder (ONNX, OpenVINO,
    ncnn, MNN, TorchScript, TensorRT) it gives what that says of itself, the record too, and reads nothing else of it.

    Args:
        checkpoint: the .pt file, or an exported file or folder; it is never fetched when it is not there.
        trust: load the checkpoint even if it names code that is not on the allow-list; it may run it.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        CheckpointError: the file is missing, damaged or of another kind, or holds no network.
        UnsafeCheckpointError: it names what is not on the allow-list.
    """
    from ..yolo.exported import runtime_of

    runtime = runtime_of(checkpoint)
    if runtime is not None and Path(checkpoint).exists():
        from ..exporting.metadata import read_export

        return read_export(Path(checkpoint), runtime)
    look_at(checkpoint, "checkpoint")
    from ..yolo.environment import import_offline

    import_offline()  # here, for it takes seconds and no error above should wait for it
    return checkpoint_from(checkpoint, trust)


@verb
def erf(
    models: PathLike | Sequence[PathLike],
    *,
    level: str | Sequence[str] = (),
    layer: int | Sequence[int] = (),
    images: PathLike | None = None,
    imgsz: int = 640,
    most: int = 50,
    gates: bool = False,
    trust: bool = False,
    blocks: Blocks = None,
) -> Insight:
    """Effective receptive fields of trained networks, as the authors of RepLKNet measure them (arXiv 2203.06717).

    Args:
        models: one or more checkpoints.
        level: inputs of the output layer by their pyramid levels, p3,p4; may be given several times. All of them by
            default, where no layer is named.
        layer: behind this layer; may be given several times.
        images: a folder of images; by default noise.
        imgsz: side of the square that images are resized to, 32 to 4096 pixels; a multiple of the networks' strides.
        most: images at most, 1 or more.
        gates: show how far each operator is from the identity instead.
        trust: load a checkpoint even if it names code that is not on the allow-list; it may run it.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        What was seen; `print` shows tables, `write("erf.png")` draws heat maps.

    Raises:
        SurgeonError: no such checkpoint, level, layer or image, or a size that does not fit.
    """
    from ..grafting.images import images_in

    levels, (least, largest) = split(level), _SIDES
    if not least <= imgsz <= largest:
        raise ArgumentError(f"imgsz {imgsz} is out of range: give a side of {least} to {largest} pixels")
    if most < 1:
        raise ArgumentError(f"most {most} is out of range: give 1 or more images")
    if gates and (levels or listed(layer)):
        raise ArgumentError("--gates shows every operator, wherever it is: leave --level and --layer out")
    paths = [Path(one) for one in listed(models)]
    for path in paths:
        look_at(path, "checkpoint")
    if images is not None:
        images_in(Path(images))  # here, as the checkpoints: importing torch takes seconds
    from ..yolo.environment import import_offline

    import_offline()
    from ..checkpoints.checkpoint import read_checkpoint
    from ..insight.look import look

    return look(
        [read_checkpoint(path, trust=trust) for path in paths],
        blocks=table_of(blocks),
        levels=levels,
        layers=listed(layer),
        images=None if images is None else Path(images),
        imgsz=imgsz,
        most=most,
        gates=gates,
    )
