"""The verbs on model YAMLs: put operators in, take them out, find errors."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, BuildError, NotAModelError, SurgeonError
from ..modelfile.model import Model, load
from ..modelfile.sources import STDIN
from ..wording import did_you_mean
from .verb import Blocks, PathLike, as_name, listed, name_or_none, split, table_of, verb

if TYPE_CHECKING:
    from ..checks.findings import CheckedFile, CheckedFiles
    from ..core.blocks import BlockTable
    from ..core.replacing import ShapedGraph
    from ..modelfile.insert import Insertion
    from ..modelfile.remove import Removal
    from ..modelfile.replace import EditedModel, GraphEdit


@verb
def insert(
    base: PathLike,
    at: str | Iterable[str],
    *,
    k: int | None = None,
    op: str = "lska",
    dilation: int | None = None,
    gated: bool = False,
    scale: str | None = None,
    resolve: bool = False,
    unchecked: bool = False,
    output: PathLike | None = None,
    blocks: Blocks = None,
) -> Insertion:
    """Put LSKA into a model YAML; nothing is written before `.write()`, and a notebook shows what it draws.

    >>> import lska_surgeon as ls
    >>> variant = ls.insert("yolov8s.yaml", "neck", k=35)
    >>> variant.params_added
    452224
    >>> variant.write().name
    'yolov8s-lska-neck-k35.yaml'

    Args:
        base: path of a model YAML, or a stock Ultralytics name with its scale.
        at: where; may be given several times. Each as `--at` takes it: "neck", "head:p4,p5@11", "after:9",
            "edge:15->22".
        k: kernel size of LSKA and its kin, in pixels of the map: 7, 11, 23, 35, 41 or 53, any odd one with `dilation`;
            23 by default. These are the paper's (Lau et al., "Large Separable Kernel Attention", 2023, table 1). Other
            operators have no kernel size.
        op: one of lska, lska-trivial, lka, lka-trivial, strip, dilated-reparam, lska-attention; cbam, timm:NAME, or an
            attention that you declare.
        dilation: of the dilated convolution, in pixels, for kernel sizes that the paper does not have. None takes the
            paper's for `k`.
        gated: put an operator that is not the paper's behind a gate that starts closed, as `graft` does.
        scale: scale, where the base's name does not say it.
        resolve: write the scale's real widths and repeats into every row.
        unchecked: go on where `check` finds errors in the base.
        output: file to write, or - for standard output. None takes a name that tells what was done.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the base is not there, or is no model YAML.
        BrokenBaseError: `check` finds an error in it.
        PositionError: a position is misspelt or matches nothing in this model.
        KernelError: a kernel size or operator does not exist, or the operator has no such thing.
        TargetError: Ultralytics would build another network under the output's name.
    """
    from ..core.surgery import placement_of
    from ..modelfile.insert import plan_insert

    placement = placement_of(at, op, k, dilation, gated)
    model = _base(base, scale, unchecked, table_of(blocks))
    plan = plan_insert(model, placement, resolve=resolve, output=name_or_none(output))
    return dataclasses.replace(plan, drawn=_drawn)


def _drawn(base: Model, variant: Model) -> str:
    from ..drawing.drawing import drawing_of  # here, for only a notebook asks

    return drawing_of(base, variant)._repr_html_()


@verb
def replace(
    base: PathLike,
    at: str | Iterable[str],
    *,
    by: str | Iterable[str],
    args: str | None = None,
    repeats: int | None = None,
    costs: bool = False,
    imgsz: int | tuple[int, int] = 640,
    scale: str | None = None,
    unchecked: bool = False,
    output: PathLike | None = None,
    blocks: Blocks = None,
) -> EditedModel:
    """Put other blocks in the place of rows of a model YAML; nothing is written before `.write()`.

    >>> import lska_surgeon as ls
    >>> variant = ls.replace("yolov8s.yaml", "neck", by="C3k2")
    >>> variant.new_rows
    (12, 15, 18, 21)

    Args:
        base: path of a model YAML, or a stock Ultralytics name with its scale.
        at: what is replaced; may be given several times. A slot (stem, down, backbone, block, pool, up, fusion, neck,
            head), which may be narrowed (down:p4), a row (9, -2, SPPF, C2f#2), or rows that become one (0-2).
        by: the block that comes, for all of them or for each its own; with at="backbone" a model YAML, whose backbone
            comes, or such as torchvision:resnet50 or timm:resnet50.
        args: the arguments of the new rows: `w` is the width that is needed, `k` the kernel size that was there, `s`
            the stride; 'w,5' for [512, 5]. None takes those that stock models have.
        repeats: repeats of the new rows. None takes those of the rows that were there.
        costs: count both with fvcore, which builds them and needs torch, and tell parameters and GFLOPs.
        imgsz: size of the image in pixels for `costs`, one number for a square or (height, width).
        scale: scale, where the base's name does not say it.
        unchecked: go on where `check` finds errors in the base.
        output: file to write, or - for standard output. None takes a name that tells what was done.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the base is not there, or is no model YAML.
        BrokenBaseError: `check` finds an error in it.
        PositionError: a slot or row is misspelt or matches nothing in this model.
        MisfitError: a block is not known, or does not give what the place needs.
        MissingPackageError: timm is needed, and is not installed.
        TargetError: Ultralytics would build another network under the output's name.
    """
    from ..modelfile.replace import GraphEdit

    places, comers = list(listed(at)), list(listed(by))
    if len(comers) not in (1, len(places)) or not places:
        raise ArgumentError(f"there are {len(places)} --at and {len(comers)} --by: give one --by, or one for each --at")
    comers = comers * len(places) if len(comers) == 1 else comers
    changes = [GraphEdit("replace", place, one, args, repeats) for place, one in zip(places, comers)]
    size = _size(imgsz, costs)
    plan = _edited(base, changes, scale, unchecked, output, size, table_of(blocks))
    if args is not None:
        from ..checks.refusal import refuse_bad_rows

        refuse_bad_rows(plan)
    return plan


@verb
def levels(
    base: PathLike,
    *,
    add: str | Iterable[str] = (),
    drop: str | Iterable[str] = (),
    costs: bool = False,
    imgsz: int | tuple[int, int] = 640,
    scale: str | None = None,
    unchecked: bool = False,
    output: PathLike | None = None,
    blocks: Blocks = None,
) -> EditedModel:
    """Give the output layer of a model YAML pyramid levels more or less; nothing is written before `.write()`.

    >>> import lska_surgeon as ls
    >>> len(ls.levels("yolov8s.yaml", add="p2").variant.graph)
    29

    Args:
        base: path of a model YAML, or a stock Ultralytics name with its scale.
        add: a level next to the finest or the coarsest; may be given several times. The rows of the neck's nearest step
            are repeated for it.
        drop: a level that goes; may be given several times. Rows that nobody needs then go with it.
        costs: count both with fvcore, which builds them and needs torch, and tell parameters and GFLOPs.
        imgsz: size of the image in pixels for `costs`, one number for a square or (height, width).
        scale: scale, where the base's name does not say it.
        unchecked: go on where `check` finds errors in the base.
        output: file to write, or - for standard output. None takes a name that tells what was done.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the base is not there, or is no model YAML.
        BrokenBaseError: `check` finds an error in it.
        PositionError: a level is there already, is not there, or is not next to those that are.
        MisfitError: the neck has no step that could be repeated.
        TargetError: Ultralytics would build another network under the output's name.
    """
    from ..modelfile.replace import GraphEdit

    changes = [GraphEdit(kind, level) for kind, levels in (("add", add), ("drop", drop)) for level in split(levels)]
    if not changes:
        raise ArgumentError("say which level: --add p2, or --drop p5")
    size = _size(imgsz, costs)
    return _edited(base, changes, scale, unchecked, output, size, table_of(blocks))


def _base(base: PathLike, scale: str | None, unchecked: bool, table: BlockTable) -> Model:
    """The model to edit; one in which `check` finds an error is refused."""
    model = load(as_name(base), scale, blocks=table)
    if not unchecked and not model.source.is_stock:
        from ..checks.refusal import refuse_broken

        refuse_broken(model.source, model.written)
    return model


def _edited(
    base: PathLike,
    changes: Sequence[GraphEdit],
    scale: str | None,
    unchecked: bool,
    output: PathLike | None,
    imgsz: tuple[int, int] | None,
    table: BlockTable,
) -> EditedModel:
    from ..modelfile.replace import plan_changes

    model = _base(base, scale, unchecked, table)
    plan = plan_changes(model, changes, name_or_none(output), _features)
    if imgsz is None:
        return plan
    from ..cost.closed_form import counted_costs

    before, after = (_file_name(model.name), model.text), (_file_name(plan.output), plan.text)
    told = counted_costs((*before, model.scaling.letter), (*after, None), imgsz, model.blocks)
    return dataclasses.replace(plan, costs=told)


def _size(imgsz: int | tuple[int, int], costs: bool) -> tuple[int, int] | None:
    """Height and width to count at; None where nothing is counted."""
    if not costs:
        return None
    from ..cost.limits import size_of

    return size_of(imgsz)


def _file_name(path: PathLike | None) -> str:
    """A name that says which scale is meant, if it does; standard input and output have none."""
    return Path(path).name if path is not None and str(path) != STDIN else "model.yaml"


def _features(name: str, table: BlockTable) -> ShapedGraph:
    from ..yolo.features import features_of  # here, for nothing else of an edit needs torch

    return features_of(name, table)


@verb
def remove(
    variant: PathLike,
    *,
    at: str | Iterable[str] = (),
    costs: bool = False,
    imgsz: int | tuple[int, int] = 640,
    scale: str | None = None,
    output: PathLike | None = None,
    blocks: Blocks = None,
) -> Removal | EditedModel:
    """Take out of a model YAML what was put in, or rows that are named; nothing is written before `.write()`.

    A file that `insert`, `replace` or `levels` wrote gives its base back byte for byte.

    >>> import lska_surgeon as ls
    >>> variant = ls.insert("yolov8s.yaml", "neck").write()
    >>> print(ls.remove(variant).line)
    yolov8s.yaml: yolov8s-lska-neck-k23.yaml without 4 operator rows (13, 17, 21, 25)

    Args:
        variant: path of a model YAML.
        at: rows to take out instead, which keep the shape of what they read; may be given several times: 9, SPPF, 9-10.
        costs: count both with fvcore, which builds them and needs torch, and tell parameters and GFLOPs.
        imgsz: size of the image in pixels for `costs`, one number for a square or (height, width).
        scale: scale for `at`, where the name does not say it.
        output: file to write, or - for standard output. None takes the base's name as the variant's name tells it.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Raises:
        DocumentError: the file is not there, or is no model YAML.
        PositionError: it has no LSKA, or no such row.
        MisfitError: a row that is named does not keep its source's shape.
        TargetError: Ultralytics would build another network under the output's name.
    """
    size = _size(imgsz, costs)
    if listed(at):
        from ..modelfile.replace import GraphEdit

        changes = [GraphEdit("remove", rows) for rows in listed(at)]
        return _edited(variant, changes, scale, True, output, size, table_of(blocks))
    from ..modelfile.remove import plan_remove

    plan = plan_remove(as_name(variant), name_or_none(output), table_of(blocks))
    if size is None:
        return plan
    from ..cost.closed_form import counted_costs
    from ..modelfile.rewriting import pinned_scale

    letter = plan.source.scale or pinned_scale(plan.document)
    letter = letter if letter in plan.document.scales else None
    before, after = (_file_name(plan.source.name), plan.document.text), (_file_name(plan.output), plan.text)
    told = counted_costs((*before, letter), (*after, letter), size, plan.document.blocks)
    return dataclasses.replace(plan, costs=told)


@verb
def check(
    model: PathLike | Sequence[PathLike],
    *,
    build: bool = False,
    models_only: bool = False,
    trust: bool = False,
    select: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    blocks: Blocks = None,
) -> CheckedFile | CheckedFiles:
    """Find the errors that people make in model YAMLs by hand; nothing is written before `.write()`.

    >>> import lska_surgeon as ls
    >>> ls.check("yolov8s.yaml").ok
    True

    Args:
        model: path of a model YAML, or a stock Ultralytics name with its scale; or a list of them.
        build: build each file that has no errors in Ultralytics as well. That needs torch.
        models_only: of several, pass over YAML files that are no models.
        trust: build a file even if it names code that is no layer; it may run it.
        select: the rules to apply, such as source,stride; by default all.
        ignore: rules to leave out, such as comment.
        blocks: declaration of your custom modules; by default the nearest lska-surgeon.toml.

    Returns:
        What one file's check found; of a list, those of all files, with those that could not be read.

    Raises:
        DocumentError: the file is not there, or is no model YAML. Of several files they are gathered, as GraphErrors.
        GraphError: it has no rows.
        BuildError: there is no Ultralytics here to build it with.
        ArgumentError: there is no such rule.
    """
    table = table_of(blocks)
    names = [as_name(name) for name in listed(model)]
    rules = _rules(split(select), split(ignore))
    if names.count(STDIN) > 1:
        raise ArgumentError("- is standard input, which can be read once: give the other as a file")
    if build and STDIN in names:
        raise ArgumentError("--build needs files: save standard input to one, and give that")
    from ..checks.check import check_file
    from ..checks.findings import CheckedFiles

    def checked(name: str) -> CheckedFile:
        file = check_file(name, table, rules)
        return _built(file, trust) if build and file.ok else file

    if isinstance(model, (str, os.PathLike)):
        return checked(names[0])
    files: list[CheckedFile] = []
    unread: dict[str, str] = {}
    others = 0
    for name in names:
        try:
            files.append(checked(name))
        except BuildError:
            raise  # there is no Ultralytics to build anything with
        except SurgeonError as error:
            if models_only and isinstance(error, NotAModelError):
                others += 1
            elif len(names) == 1:
                raise
            else:
                unread[name] = error.as_typed
    return CheckedFiles(files, unread, others, rules=dict(rules_of_check()))


def rules_of_check() -> list[tuple[str, str]]:
    """Code of each rule that `check` has, and what it finds."""
    from ..checks.check import RULES

    return [(rule.code, rule.doc + (" (warning)" if rule.severity == "warning" else "")) for rule in RULES]


def _rules(select: list[str], ignore: list[str]) -> list[str]:
    """The codes of the rules that are left.

    Raises:
        ArgumentError: one that is named is none, or none is left.
    """
    from ..checks.check import CODES

    for option, codes in (("--select", select), ("--ignore", ignore)):
        for code in codes:
            if code not in CODES:
                raise ArgumentError(
                    f"{option}: no rule {code!r}{did_you_mean(code, CODES)}: there are {', '.join(CODES)}"
                )
    left = [code for code in select or CODES if code not in ignore]
    if not left:
        raise ArgumentError("--select and --ignore leave no rule to apply: drop one of them")
    return left


def _built(checked: CheckedFile, trust: bool) -> CheckedFile:
    """The file with one more finding, where Ultralytics refuses to build it."""
    from ..checks.findings import ERROR, Finding
    from ..yolo.build import build
    from ..yolo.environment import import_offline

    import_offline()
    try:
        build(checked.path, named=checked.scale, trust=trust)
    except SurgeonError as error:
        return dataclasses.replace(checked, findings=(*checked.findings, Finding(ERROR, "build", 1, None, str(error))))
    return checked
