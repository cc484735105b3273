"""The verbs on trained weights: put operators in, take them out, adopt what others made, train, export."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.blocks import BlockTable
from ..core.surgery import check_placement, placement_of
from ..declarations.find import telling_children
from ..errors import (
    ArgumentError,
    ChangedOutputsError,
    CheckpointError,
    SurgeonError,
    TrainingError,
    UnsafeCheckpointError,
)
from ..files import no_file, target_path
from ..grafting.images import images_to_fit
from ..grafting.input_files import check_words, pixels_of
from ..modelfile.model import load, read_source, stem_at, variant_stem
from ..modelfile.sources import means_yaml, refuse_yaml
from ..yolo.command import fetch_weights
from ..yolo.environment import import_offline, in_one_line
from .verb import Blocks, PathLike, as_name, checkpoint_from, listed, look_at, name_or_none, table_of, verb

if TYPE_CHECKING:
    from ..exporting.export import Export
    from ..grafting.adopt import Adoption
    from ..grafting.graft import Graft, Ungraft
    from .verb import Trained

#: Of fitting: steps of each row by default and at most, and how many seeds there are.
_STEPS, _MOST_STEPS, _SEEDS = 200, 100_000, 2**32


@verb
def graft(
    checkpoint: Trained,
    at: str | Iterable[str] = (),
    *,
    into: PathLike | None = None,
    scale: str | None = None,
    k: int | None = None,
    op: str | None = None,
    dilation: int | None = None,
    init: Literal["identity", "default"] = "identity",
    start: Literal["carried", "fit", "past"] = "carried",
    images: PathLike | None = None,
    steps: int | None = None,
    seed: int | None = None,
    image: PathLike | None = None,
    download: bool = False,
    trust: bool = False,
    unchecked: bool = False,
    track: Callable[[Iterator[Any], str, int], Iterator[Any]] | None = None,
    output: PathLike | None = None,
    blocks: Blocks = None,
) -> Graft:
    """Put LSKA into a trained checkpoint without losing a weight; nothing is written before `.write()`.

    Every tensor is carried over, the new operators start as the exact identity, and a certificate proves it: all
    outputs, before and after, are equal in float32.

    Args:
        checkpoint: path of a .pt, a Checkpoint, a loaded `YOLO` object, or the module in it; none of them is changed.
        at: where; may be given several times. Each as for `insert`.
        into: a YAML to graft into instead of `at`: a variant, or any other network, which gets what fits of the
            weights. Its rows say `k`, `op` and `dilation`, its name may say a scale, as in yolo11l.yaml; one that says
            none is taken at the checkpoint's.
        scale: scale of `into`, where its name does not say it.
        k: kernel size in pixels of the map, where a position gives none of its own: 7, 11, 23, 35, 41 or 53, any odd
            one with `dilation`; 23 by default.
        op: one of lska, lska-trivial, lka, lka-trivial, strip, dilated-reparam, lska-attention; cbam, timm:NAME, or an
            attention that you declare; lska by default. One that is not the paper's goes behind a gate that starts
            closed: x + g * (A(x) - x) with g = 0.
        dilation: of the dilated convolution, in pixels, for kernel sizes that the paper does not have. None takes the
            paper's for `k`.
        init: how new operators start: as the exact identity, or at random init, as papers have it. With "default",
            gates are open, and other outputs are allowed.
        start: how new rows of `into` start: with what is carried and else at random; fitted to what was in their place,
            on `images`; or past: what reads an added level or block starts with the old map in its place, through a row
            `Bypass` that lets the new one in. Other outputs are allowed then.
        images: to fit on, without labels: a folder, a list (.txt), or a data YAML, which names those to train on.
        steps: of fitting, for each row, 1 or more; 200 by default.
        seed: of what is drawn for fitting: the images and their order; 0 by default.
        image: an image for one more run of the certificate, at most 640 pixels on its longer side.
        download: fetch weights that Ultralytics publishes, such as yolov8s.pt, where they are not here.
        trust: load the checkpoint even if it names code that is not on the allow-list; it may run it.
        unchecked: go on where `check` finds errors in `into`.
        track: shows how far fitting is: gets what is iterated, what is done, and how many; gives the same items.
        output: file to write. None takes a name that tells what was done.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        PositionError: a position is misspelt or matches nothing in this network.
        KernelError: a kernel size or operator does not exist.
        BrokenBaseError: `check` finds an error in `into`.
        CheckpointError: the checkpoint can't be read, or the outputs would not be the same.
        UnsafeCheckpointError: it names what is not on the allow-list.
    """
    ats, table = listed(at), table_of(blocks)
    target = graft_target(checkpoint, ats, into=into, scale=scale, k=k, op=op, dilation=dilation, output=output)
    files = _images_for(start, into, {"images": images, "steps": steps, "seed": seed})
    placement = None if into else placement_of(ats, op or "lska", k, dilation)
    if placement is not None:
        check_placement(placement, table)
    if download and isinstance(checkpoint, (str, os.PathLike)) and not Path(checkpoint).exists():
        checkpoint = fetch_weights(as_name(checkpoint))
    look_at(checkpoint, "checkpoint")
    if image is not None:
        pixels_of(Path(image))
    if into is not None:
        look_at(into, "yaml", table)
        if scale:
            load(as_name(into), scale, blocks=table)
        if not unchecked:
            from ..checks.refusal import refuse_broken

            refuse_broken(*read_source(as_name(into), bad_rows=[], blocks=table))
    import_offline()  # here, for it takes seconds and no error above should wait for it
    from ..grafting.fitting import lesson_from
    from ..grafting.graft import graft as graft_planned

    base = checkpoint_from(checkpoint, trust)
    if placement:
        from ..grafting.plan import plan_graft

        plan = plan_graft(base, placement, table)
    else:
        from ..grafting.into import plan_graft_into

        plan = plan_graft_into(base, str(into), table, scale=scale, past=start == "past")
    done = graft_planned(
        plan,
        identity=init == "identity",
        changes=init != "identity" or start != "carried",
        image=Path(image) if image else None,
        lesson=lesson_from(files, plan, _STEPS if steps is None else steps, seed or 0) if files else None,
        track=track,
    )
    return replace(done, output=target)


def _images_for(start: str, into: PathLike | None, given: Mapping[str, Any]) -> list[Path]:
    """The images to fit on; none for another start."""
    if start != "carried" and into is None:
        raise ArgumentError(f"--start {start} is for --into YAML: operators at positions start as the exact identity")
    if start != "fit":
        extra = [name for name, value in given.items() if value is not None]
        if extra:
            raise ArgumentError(f"--{extra[0]} is for --start fit: add that, or drop it")
        return []
    if given["images"] is None:
        raise ArgumentError("--start fit needs images to fit on, which need no labels: give --images FOLDER|data.yaml")
    if given["steps"] is not None and not 1 <= given["steps"] <= _MOST_STEPS:
        raise ArgumentError(f"steps {given['steps']} is out of range: give 1 to {_MOST_STEPS:,}")
    if given["seed"] is not None and not 0 <= given["seed"] < _SEEDS:
        raise ArgumentError(f"seed {given['seed']} is out of range: give 0 to {_SEEDS - 1:,}")
    return images_to_fit(Path(given["images"]))


def graft_target(
    checkpoint: Trained,
    at: Iterable[str],
    *,
    into: PathLike | None = None,
    scale: str | None = None,
    k: int | None = None,
    op: str | None = None,
    dilation: int | None = None,
    output: PathLike | None = None,
) -> Path:
    """The file that a graft goes to, `yolov8s-lska-neck-k35.pt` where nobody names one; arguments as for `graft`.

    Raises:
        SurgeonError: a position is misspelt, two things say where, or the name is none that a checkpoint may have.
    """
    if isinstance(checkpoint, (str, os.PathLike)):
        refuse_yaml(Path(checkpoint))
    if bool(at) == bool(into):
        raise ArgumentError("say where: --at POSITION (such as --at neck), or --into VARIANT.yaml; one of the two")
    given = [name for name, value in (("k", k), ("op", op), ("dilation", dilation)) if into and value is not None]
    if given:
        raise ArgumentError(f"--{given[0]} belongs to --at: the rows of --into {into} say theirs")
    if scale and not into:
        raise ArgumentError(f"--scale {scale} is for --into YAML: a network that is built already has its scale")
    stem = _stem_of(checkpoint)
    if into:
        stem = f"{stem}-{stem_at(as_name(into), scale)}"
    else:
        stem = variant_stem(stem, placement_of(at, op or "lska", k, dilation))
    return target_path(name_or_none(output) or f"{stem}.pt", ".pt")


def _stem_of(source: Trained) -> str:
    """How a file that is made of a source begins: the source's own name, without its ending."""
    if isinstance(source, (str, os.PathLike)):
        return Path(source).stem
    names = (getattr(source, name, None) for name in ("path", "ckpt_path", "model_name"))
    return Path(next((str(name) for name in names if name), "model")).stem


@verb
def ungraft(
    checkpoint: Trained,
    *,
    lossy: bool = False,
    trust: bool = False,
    output: PathLike | None = None,
    blocks: Blocks = None,
) -> Ungraft:
    """Take LSKA out of a grafted checkpoint and give the original's tensors back; nothing is written before `.write()`.

    Args:
        checkpoint: path of a .pt, a Checkpoint, a loaded `YOLO` object, or the module in it; none of them is changed.
        lossy: take operators out although they have learned something, so that the outputs change.
        trust: load the checkpoint even if it names code that is not on the allow-list; it may run it.
        output: file to write. None takes the checkpoint's name with `-ungrafted` at its end.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        PositionError: it has no operator.
        CheckpointError: the checkpoint can't be read, or its operators have learned something and `lossy` is off; the
            message says by how much the outputs would move.
        UnsafeCheckpointError: it names what is not on the allow-list.
    """
    target = ungraft_target(checkpoint, output)
    look_at(checkpoint, "checkpoint")
    import_offline()  # here, for it takes seconds and no error above should wait for it
    from ..grafting.graft import ungraft as ungraft_read

    return replace(
        ungraft_read(checkpoint_from(checkpoint, trust), lossy=lossy, blocks=table_of(blocks)), output=target
    )


def ungraft_target(checkpoint: Trained, output: PathLike | None = None) -> Path:
    """The file that an ungraft goes to; arguments as for `ungraft`.

    Raises:
        TargetError: the name is none that a checkpoint may have.
    """
    return target_path(name_or_none(output) or f"{_stem_of(checkpoint)}-ungrafted.pt", ".pt")


@verb
def adopt(
    checkpoint: PathLike,
    *,
    image: PathLike | None = None,
    against: PathLike | None = None,
    output: PathLike | None = None,
    blocks: Blocks = None,
) -> Adoption:
    """Make a checkpoint anew with classes that are here, where its own are not; its code is never run.

    Forks and tutorials put classes into the installed Ultralytics, and a file saved that way opens nowhere else. The
    declared class, or Ultralytics' own, that the stored YAML builds in the same place takes over what the file holds,
    where name, parts, tensors and settings are the same. What is one of the paper's designs, by names, shapes,
    dilations and paddings, becomes a class of this package. Then the file trains, exports, resumes and opens anywhere.

    Args:
        checkpoint: the file.
        image: the input (.pt, .npy) to compare outputs for, or an image, scaled to 640 and padded.
        against: the outputs that the original gave for it (.pt, .npy).
        output: file to write. None takes the checkpoint's name with `-adopted` at its end, beside it.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        The new content, and what was mapped to what; `.write()` writes it, where the outputs do not differ.

    Raises:
        SurgeonError: no such file, nothing to adopt in it, or classes that are none of the blocks known here.
    """
    if (image is None) != (against is None):
        raise ArgumentError("--image and --against go together: give both, or neither")
    path, target = Path(checkpoint), adopt_target(checkpoint, output)
    look_at(path, "checkpoint")
    for file in (Path(one) for one in (image, against) if one is not None):
        if no_file(file) or not file.exists():
            raise SurgeonError(f"no file {file}: give one that is here")
    import_offline()
    from ..checkpoints.checkpoint import read_checkpoint
    from ..grafting.adopt import adopt as adopt_checkpoint
    from ..grafting.certificate import largest_difference

    try:
        adoption = adopt_checkpoint(read_checkpoint(path, stand_ins=True))
    except UnsafeCheckpointError as error:  # what it is made for needs no trust, and there is none to give
        raise UnsafeCheckpointError(error.problem, error.refused) from error
    difference = None
    if image is not None and against is not None:
        try:
            difference = largest_difference(adoption.checkpoint().float_model(), Path(image), Path(against))
        except SurgeonError:
            raise
        except Exception as error:  # whatever a class makes of what another has left
            raise CheckpointError(f"{path}, adopted, does not run: {in_one_line(error)}") from error
    return replace(adoption, output=target, difference=difference)


def adopt_target(checkpoint: PathLike, output: PathLike | None = None) -> Path:
    """The file that an adopted checkpoint goes to; arguments as for `adopt`.

    Raises:
        TargetError: the name is none that a checkpoint may have.
    """
    path = Path(checkpoint)
    return target_path(name_or_none(output) or str(path.with_name(f"{path.stem}-adopted.pt")), ".pt")


@verb
def export(
    checkpoint: Trained,
    *,
    format: str,
    half: bool = False,
    int8: bool = False,
    data: PathLike | None = None,
    imgsz: int | tuple[int, int] | None = None,
    check: PathLike | None = None,
    base: PathLike | None = None,
    conf: float = 0.25,
    most: int = 100,
    tolerance: float = 0.05,
    fold: bool = False,
    trust: bool = False,
    output: PathLike | None = None,
    blocks: Blocks = None,
) -> Export:
    """Export a checkpoint by Ultralytics' exporter, and prove it beside torch; it is in its place after `.write()`.

    Args:
        checkpoint: path of a .pt, a Checkpoint, a loaded `YOLO` object, or the module in it; none of them is changed.
        format: as Ultralytics' exporter names it: onnx, openvino, ncnn, mnn, engine, coreml, torchscript, ...
        half: half precision.
        int8: integers of 8 bits, calibrated with `data`.
        data: what to calibrate with: a data YAML, for a classifier a folder.
        imgsz: size of the images in pixels, one number for a square or (height, width). None takes the training's.
        check: a folder of images to compare with torch in float32 on: boxes, scores, masks, keypoints, angles,
            probabilities.
        base: a checkpoint to show beside it, exported the same way. None takes it without its operators.
        conf: the least score of a prediction that counts.
        most: images at most, 1 or more.
        tolerance: how much of F1 at IoU 0.5 the check may lose.
        fold: take out operators at the identity first, and make a scale of those with a constant gate; both exact.
        trust: load the checkpoint even if it names code that is not on the allow-list; it may run it.
        output: file or folder to write. None takes Ultralytics' name for it, beside the checkpoint.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        The export; its `.problem` says why the check fails, if it does.

    Raises:
        SurgeonError: there is no such format, a package is missing, arguments do not go together, or Ultralytics does
            not export it.
        CheckpointError: the checkpoint can't be read, or does not run.
        UnsafeCheckpointError: it names what is not on the allow-list.
    """
    from ..cost.limits import size_of
    from ..exporting.target import Asked, format_named

    images, given = None if check is None else Path(check), None if data is None else as_name(data)
    size = None if imgsz is None else size_of(imgsz)
    asked = Asked(format_named(format), half, int8, given, size, images, most, fold, conf, tolerance)
    target = export_target(checkpoint, format, int8=int8, output=output)
    asked.check()
    if base is not None and images is None:
        raise ArgumentError("--base stands beside the checkpoint in the table of --check: add that, or drop --base")
    for source in (checkpoint, base):
        if source is not None:
            look_at(source, "checkpoint")
    if given is not None:
        try:
            check_words([f"data={given}"], model=_stem_of(checkpoint))
        except TrainingError as error:
            raise ArgumentError(str(error).replace("data=", "--data ", 1)) from error
    import_offline()  # here, for it takes seconds and no error above should wait for it
    from ..exporting.export import export as export_read

    beside = None if base is None else checkpoint_from(base, trust)
    done = export_read(checkpoint_from(checkpoint, trust), asked, beside, blocks=table_of(blocks))
    return replace(done, output=target)


def export_target(checkpoint: Trained, format: str, *, int8: bool = False, output: PathLike | None = None) -> Path:
    """The file or folder that an export goes to; arguments as for `export`.

    Raises:
        SurgeonError: there is no such format, or the name is none that the format may have.
    """
    from ..exporting.target import format_named, target_of

    beside = Path(checkpoint) if isinstance(checkpoint, (str, os.PathLike)) else Path(_stem_of(checkpoint) + ".pt")
    return target_of(beside, format_named(format), int8=int8, output=name_or_none(output))


@verb
def train(
    model: PathLike,
    *,
    stage: Literal["all", "attention", "both"] = "all",
    warm: int | None = None,
    graft: PathLike | None = None,
    trust: bool = False,
    blocks: Blocks = None,
    **ultralytics: Any,
) -> list[Path]:
    """Train a grafted checkpoint or a variant, as Ultralytics trains any model; nothing is downloaded or installed.

    Args:
        model: path of a .pt, or of a model YAML.
        stage: what to train: every layer, the operators alone (attention), or first these and then every layer (both).
        warm: epochs of the first run of stage both, 1 or more; 1 by default.
        graft: a trained checkpoint to start from, grafted into the model, a variant YAML. So every weight is kept;
            Ultralytics' own `pretrained` matches tensors by row number, and the rows of a variant moved.
        trust: load the checkpoint even if it names code that is not on the allow-list; it may run it.
        ultralytics: Ultralytics' own arguments, as `YOLO(...).train` takes them: data="my.yaml", epochs=100, ...
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        The folder of each run.

    Raises:
        TrainingError: an argument, the data or the device is wrong.
        SurgeonError: the model can't be read or built.
    """
    return _train(as_name(model), ultralytics, stage, warm, graft, trust, table_of(blocks))


@verb
def train_words(
    model: PathLike,
    words: Sequence[str],
    *,
    stage: Literal["all", "attention", "both"] = "all",
    warm: int | None = None,
    graft: PathLike | None = None,
    trust: bool = False,
    blocks: Blocks = None,
) -> list[Path]:
    """The same with Ultralytics' arguments as the words `key=value` that `yolo train` takes."""
    return _train(as_name(model), words, stage, warm, graft, trust, table_of(blocks))


def _train(
    model: str,
    options: Mapping[str, Any] | Sequence[str],
    stage: str,
    warm: int | None,
    graft: PathLike | None,
    trust: bool,
    table: BlockTable,
) -> list[Path]:
    if warm is not None and stage != "both":
        raise ArgumentError("--warm is for --stage both, whose first run it sets the length of")
    if warm is not None and warm < 1:
        raise ArgumentError(f"warm {warm} is not a number of epochs: give 1 or more")
    look_at(model, "yaml" if means_yaml(model) else "checkpoint", table)
    words = [f"{key}={value}" for key, value in options.items()] if isinstance(options, Mapping) else options
    check_words(words, model=model)
    if graft is not None:
        _check_graft(model, Path(graft), words)
    import_offline()  # here, for it takes seconds, and before all else, for what follows imports Ultralytics as well
    from ..grafting import train as training

    with _start(model, graft, trust, table) as source, telling_children(table):
        return training.train(training.plan_training(source, options, stage=stage, warm=warm or 1, trust=trust))


def _check_graft(model: str, checkpoint: Path, words: Sequence[str]) -> None:
    if not means_yaml(model):
        raise ArgumentError(
            f"--graft puts a checkpoint into a variant YAML, and {model} is none: drop it, or give a YAML"
        )
    for word in words:
        if word.partition("=")[0].strip() in ("pretrained", "resume"):
            raise ArgumentError(f"--graft {checkpoint} and {word} both say where to start: give one of them")
    look_at(checkpoint, "checkpoint")


@contextmanager
def _start(model: str, checkpoint: PathLike | None, trust: bool, table: BlockTable) -> Iterator[str]:
    """What Ultralytics is given: the model, or while it trains a file of the checkpoint grafted into it."""
    if checkpoint is None:
        yield model
        return
    from ultralytics.utils import LOGGER

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, f"{Path(model).stem}.pt")
        try:
            done = graft(checkpoint, into=model, trust=trust, output=target, blocks=table)
        except ChangedOutputsError as error:
            gate = f", or write {', '.join(error.bare)} as insert --gated does" if error.bare else ""
            remedy = f"graft it with lska-surgeon graft {checkpoint} --into {model} --init default, and train that"
            raise TrainingError(f"{error.problem}: {remedy}{gate}") from error
        LOGGER.info(f"lska-surgeon: {checkpoint} grafted into {model}: {done.certificate.line}")
        yield str(done.write())
