"""`latency`: how long models take, side by side, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cost.limits import DEFAULT_SIZE, LARGEST_THREADS, batch_of, size_of
from ..declarations.find import active_blocks
from ..errors import SurgeonError
from .arguments import PathLike
from .own_blocks import with_own_blocks

if TYPE_CHECKING:
    from ..ablation.cells import Ablation
    from ..cost.latency import Latencies


@with_own_blocks
def latency(
    models: Any = (),
    *,
    recipe: str | Path | None = None,
    folder: str | Path | None = None,
    imgsz: int | tuple[int, int] | None = None,
    batch: int = 1,
    device: str | int = "cpu",
    half: bool = False,
    threads: int | None = None,
    onnx: bool = False,
    nms: bool = False,
    rounds: int = 50,
    trust: bool = False,
    blocks: PathLike | None = None,
) -> Latencies:
    """Measure models side by side, interleaved, each after its warm-up.

    Args:
        models: model YAMLs, checkpoints, stock names with their scale, or modules; one or a list.
        recipe: in place of models, a recipe whose networks are measured; the times are kept for `results`.
        folder: of a recipe, where its cells lie; None for `ablation/RECIPE` beside it.
        imgsz: input size in pixels, or (height, width); None for the recipe's, at which GFLOPs are counted too, or 640.
        batch: images in the input.
        device: "cpu", or a GPU's number.
        half: half precision, on a GPU.
        threads: of the CPU; None for torch's own choice.
        onnx: export, and run in onnxruntime on the CPU.
        nms: include non-maximum suppression; how many boxes there are to suppress, the weights decide.
        rounds: how often each model runs.
        trust: load a checkpoint although it names code that is not on the allow-list.
        blocks: the declaration of blocks of your own; None takes the nearest lska-surgeon.toml.

    Returns:
        Median, 95th percentile and the ratio to the first, with its interval; it prints itself.

    Raises:
        SurgeonError: a model can't be read, built or run, or has no boxes to suppress; or the device is not here.
    """
    given = list(models) if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    if (recipe is None) == (not given):
        raise SurgeonError("give models to measure, or a recipe: one of the two")
    if rounds < 2:
        raise SurgeonError(f"{rounds} rounds are too few to measure by: give 2 or more, such as 50")
    if threads is not None and not 1 <= threads <= LARGEST_THREADS:
        raise SurgeonError(f"threads {threads} is no number of threads: give 1 to {LARGEST_THREADS}")
    if folder is not None and recipe is None:
        raise SurgeonError("a folder belongs to a recipe, whose times are kept in it: give the recipe, or no folder")
    batch, ablation = batch_of(batch), None
    if recipe is not None:
        from ..ablation.cells import plan_ablation

        ablation = plan_ablation(Path(recipe), None if folder is None else Path(folder))
    size = size_of(imgsz if imgsz is not None else ablation.recipe.imgsz if ablation else DEFAULT_SIZE)
    from ..cost.latency import Setting, measure
    from ..yolo.environment import import_offline

    import_offline()
    setting = Setting(size, batch, str(device), half, threads, onnx, nms, rounds)
    if ablation is not None:
        return _of_recipe(ablation, setting)
    return measure([(_name(one), _load(one, trust)) for one in given], setting)


def look_at_recipe(recipe: str | Path) -> None:
    """Tell of a recipe that can't be read before torch is imported.

    Raises:
        RecipeError: it can't be read or followed.
    """
    from ..recipes.recipe import read_recipe

    read_recipe(Path(recipe), active_blocks())


def _of_recipe(ablation: Ablation, setting: Any) -> Latencies:
    from ..ablation.latencies import keep_latencies
    from ..cost.latency import measure
    from ..files import for_a_while
    from ..yolo.build import build

    models = []
    for network in ablation.networks:
        with for_a_while(Path(network.file).name, network.text) as path:
            models.append((network.name, build(path, scale=network.scale)))
    found = measure(models, setting)
    seconds = {row.name: row.median / setting.batch for row in found.rows}
    keep_latencies(ablation, seconds, found.how, "; ".join(found.notes))
    return found


def _name(model: Any) -> str:
    return str(model) if isinstance(model, (str, Path)) else type(model).__name__


def _load(model: Any, trust: bool) -> Any:
    from ..checkpoints.checkpoint import read_checkpoint
    from ..modelfile.sources import CHECKPOINT_SUFFIXES, find_source
    from ..yolo.build import build

    if not isinstance(model, (str, Path)):
        return model
    if Path(model).suffix.lower() in CHECKPOINT_SUFFIXES:
        checkpoint = read_checkpoint(str(model), trust=trust)
        if checkpoint.model is None:
            raise SurgeonError(f"{model} holds tensors without a model: give a checkpoint with one")
        return checkpoint.float_model()
    found = find_source(str(model))
    return build(found.path, scale=found.scale)
