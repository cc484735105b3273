"""A network's image as a result: of whatever holds a model, alone or beside another; it places nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..core.blocks import BlockTable
from ..core.graph import IMAGE
from ..cost.limits import size_of
from ..errors import SurgeonError, TargetError
from ..files import check_target, planned_path, write_whole
from ..modelfile.model import Model, load
from ..modelfile.sources import CHECKPOINT_SUFFIXES, STDIN, YAML_SUFFIXES, find_source, is_checkpoint
from ..reports import Report, Result
from ..wording import Listed, Said, clean, did_you_mean
from .content import NEW, REWIRED, Content, Edge, Figure, FigureNode
from .images import Scene, scene_of, svg_of

#: Ending -> what it is; the first is the default.
FORMATS = {"svg": "SVG", "md": "Mermaid in Markdown", "dot": "Graphviz' DOT", "png": "PNG", "pdf": "PDF"}
#: Those that matplotlib draws.
RASTER = ("png", "pdf")


@dataclass(frozen=True, repr=False)
class Drawing(Result):
    """The image of a model, or of what sets a variant apart from it.

    Attributes:
        figure: what stands in it.
        output: the file that it goes to unless `write` gets another; None for standard output.
        notes: what the user should know.
    """

    schema = 2
    figure: Figure
    output: Path | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def scene(self) -> Scene:
        """The image as shapes with places."""
        return scene_of(self.figure)

    @cached_property
    def svg(self) -> str:
        """As SVG, light and dark."""
        return svg_of(self.scene)

    def svg_in(self, say: Callable[[str], str]) -> str:
        """The same in other words: `say` gives for each what stands in its place."""
        return svg_of(scene_of(self.figure.told(say), say))

    @property
    def mermaid(self) -> str:
        """As a Mermaid chart in Markdown.

        Raises:
            SurgeonError: it is beyond the limits of GitHub and GitLab.
        """
        from .flowcharts import markdown_of

        return markdown_of(self.figure)

    @property
    def dot(self) -> str:
        """In Graphviz' DOT language."""
        from .flowcharts import dot_of

        return dot_of(self.figure)

    def content(self, form: str) -> bytes:
        """The image as one of `FORMATS`.

        Raises:
            SurgeonError: it can't be written so.
        """
        if form in RASTER:
            from .images import raster_of

            return raster_of(self.scene, form)
        text: str = getattr(self, {"md": "mermaid"}.get(form, form))
        return text.encode("utf-8", errors="replace")

    def notes_on(self, form: str) -> tuple[str, ...]:
        """What the user should know of the image as one of `FORMATS`: that it can't show a character."""
        if form not in RASTER:
            return ()
        from .images import fonts_for

        _, missing = fonts_for(self.scene)
        if not missing:
            return ()
        return (f"no font here has {clean(missing, 20)}, so boxes stand for it in a .{form}; an .svg keeps the text",)

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write the image, in the format of the file's ending; returns the path.

        Args:
            path: the file; None for the one that it was drawn for.
            force: replace a file that is there.

        Raises:
            TargetError: the ending is none of `FORMATS`, or the file must not, or can't, be written.
        """
        target = planned_path(path, self.output, "FILE.svg")
        content = self.content(format_of(target))
        write_whole(target, lambda file: file.write(content), force=force)
        return target

    def report(self) -> Report:
        """What is drawn, in one line; and all that stands in it, as data."""
        figure = self.figure
        marked = (*(row.marks for row in figure.nodes), *(edge.marks for edge in figure.edges))
        data = {
            "schema": self.schema,
            "title": figure.title,
            "subtitle": figure.subtitle,
            "rows": [
                {"index": row.index, "part": row.part, "kind": row.kind, "text": list(row.lines), "stride": row.stride}
                for row in figure.nodes
            ],
            "connections": [
                {"source": edge.source, "consumer": edge.consumer, "slot": edge.slot, "state": edge.state}
                for edge in figure.edges
            ],
            "positions": [
                {"position": mark.name, "at": mark.title.partition(" ")[2], "inside": mark.inside}
                for marks in marked
                for mark in marks
            ],
            "captions": list(figure.captions),
            "notes": list(self.notes),
        }
        where = self.output or "standard output"
        return Report(f"{where}: {figure.title}, {figure.subtitle}; {figure.counts}", (), self.notes, data)

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto">{self.svg}</div>'


def draw(
    sources: Sequence[Any],
    *,
    positions: bool = False,
    imgsz: int | tuple[int, int] = 640,
    scale: str | None = None,
    output: str | os.PathLike[str] | None = None,
    trust: bool = False,
    blocks: BlockTable,
) -> Drawing:
    """The drawing of one source of a model, or of a second one beside the first; see `lska_surgeon.draw`.

    Args:
        sources: one or two: paths, stock names, Checkpoints or Insertions.
        blocks: the table that says what the rows' blocks are.

    Raises:
        SurgeonError: there is no such source or scale, or its rows make no network.
        TargetError: `output` ends in no format of images.
    """
    size = size_of(imgsz)
    if positions and len(sources) > 1:
        raise SurgeonError("positions are those of one model: draw them without a variant")
    target = default_target(sources[-1], positions) if output is None else Path(output)
    if os.fspath(target) != STDIN:
        format_of(target)
    for source in sources:  # before a checkpoint is opened, which imports torch
        if isinstance(source, (str, os.PathLike)) and os.fspath(source) != STDIN:
            find_source(os.fspath(source), "either")
    contents = [Content(_model_of(source, scale, trust, blocks), size) for source in sources]
    figure = contents[0].figure(positions) if len(contents) == 1 else ComparedContent(*contents).figure()
    notes = dict.fromkeys(note for content in contents for note in (*content.model.notes, *content.notes))
    return Drawing(figure, None if os.fspath(target) == STDIN else target, tuple(notes))


def drawing_of(base: Model, variant: Model, imgsz: tuple[int, int] = (640, 640), classes: int | None = None) -> Drawing:
    """What an edit did: the variant beside its base; no file needs to be there.

    Args:
        base, variant: the two.
        imgsz: height and width of the image whose maps are described, pixels.
        classes: how many it is trained for; None for what the model says.
    """
    return Drawing(ComparedContent(*(Content(model, imgsz, classes) for model in (base, variant))).figure())


def _model_of(source: Any, scale: str | None, trust: bool, blocks: BlockTable) -> Model:
    is_path = isinstance(source, (str, os.PathLike))
    if is_path and not is_checkpoint(os.fspath(source)):
        return load(os.fspath(source), scale, blocks=blocks)
    if isinstance(getattr(source, "variant", None), Model):  # an insertion
        variant: Model = source.variant
        return variant
    if scale:
        raise SurgeonError(f"scale {scale!r} is for a model YAML: a network that is built already has its scale")
    from ..yolo.environment import import_offline

    import_offline()
    from ..checkpoints.checkpoint import read_checkpoint
    from ..checkpoints.contents import Checkpoint
    from ..cost.shapes_only import trained_model

    checkpoint = read_checkpoint(source, trust=trust) if is_path else source
    if isinstance(checkpoint, Checkpoint):
        return trained_model(checkpoint, blocks)
    raise SurgeonError(f"{type(source).__name__} can't be drawn: give a path, a Checkpoint, or what insert returns")


class ComparedContent:
    """The words of the image of what sets the second of two models apart.

    Args:
        before, after: the two, for images of one size.
    """

    def __init__(self, before: Content, after: Content) -> None:
        from ..modelfile.diff import compare  # here, for one model needs none of it

        self.before, self.after = before, after
        self.difference = compare(before.model, after.model)
        self._old = {new: old for old, new in self.difference.index_map.items()}
        self._changed = {change.after.index: change for change in self.difference.changed}
        self._rewired = {
            (change.row[1], change.slot): change for change in self.difference.rewired if change.after is not None
        }

    def figure(self) -> Figure:
        """All that stands in the image."""
        plain = self.after.figure()
        return plain._replace(
            subtitle=Listed([Said("beside {name}", name=self.before.name), self.after.subtitle(), *self._costs()]),
            nodes=tuple(map(self._node, plain.nodes)),
            edges=tuple(map(self._edge, plain.edges)),
            captions=(*self._captions(), *plain.captions),
        )

    def _costs(self) -> Iterator[str]:
        """What the second has more; where the first has no operators, that is said already."""
        if not any(map(self.before.holds_operator, self.before.graph)):
            return
        from ..cost.closed_form import closed_form_costs

        costs = closed_form_costs(self.difference, self.after.imgsz)
        if costs.params is not None:
            yield Said("{params:+,} parameters", params=costs.params)

    def _node(self, node: FigureNode) -> FigureNode:
        if node.index == IMAGE:
            return replace(node, kind="kept")
        old = self._old.get(node.index)
        if old is None:
            kind = node.kind if node.kind == "operator" else "new"
            new = Said("not in {name}", name=self.before.name)
            return replace(node, kind=kind, title=Listed([node.title, new], "\n"))
        here = Said("row {row} of {name}", row=old, name=self.before.name)
        change = self._changed.get(node.index)
        if change is None:
            return replace(node, kind="kept", title=Listed([node.title, here], "\n"))
        kind = node.kind if node.kind == "operator" else "changed"
        was = Listed([self.before.words(old), self.before.map_of(self.before.graph[old])])
        there = Said("{here}, there {was} ({fields} changed)", here=here, was=was, fields=", ".join(change.fields))
        return replace(node, kind=kind, title=Listed([node.title, there], "\n"))

    def _edge(self, edge: Edge) -> Edge:
        if edge.consumer not in self._old:
            return edge._replace(state=NEW)
        change = self._rewired.get((edge.consumer, edge.slot))
        if change is None:
            return edge
        read = Said("one source less") if change.before is None else self.before.words(change.before)
        title = Said("{title}; in {name} it read {read}", title=edge.title, name=self.before.name, read=read)
        return edge._replace(state=REWIRED, title=title)

    def _captions(self) -> Iterator[str]:
        if not self.difference:
            form = "The two have the same architecture: nothing sets it apart from {name}."
            yield Said(form, name=self.before.name)
        if self.difference.removed:
            rows = ", ".join(map(self.before.words, self.difference.removed))
            yield Said("Gone from {name}: {rows}.", name=self.before.name, rows=rows)
        for change in self.difference.rewired:
            if change.after is None and change.before is not None:
                row, source = self.after.words(change.row[1]), self.before.words(change.before)
                yield Said("{row} no longer reads what {source} gave.", row=row, source=source)
        for setting in self.difference.settings:
            old, new = ("none" if value is None else clean(str(value), 40) for value in (setting.before, setting.after))
            yield Said("{key}: {old} before, {new} now.", key=clean(setting.key, 40), old=old, new=new)


def default_target(source: Any, positions: bool = False, form: str = "svg") -> Path:
    """The file that a drawing goes to where none is named: one in this folder, named after what is drawn."""
    if not isinstance(source, (str, os.PathLike)):
        source = getattr(source, "output", None) or getattr(source, "path", None) or "model"
    path = Path(source)
    stem = path.stem if path.suffix.lower() in (*YAML_SUFFIXES, *CHECKPOINT_SUFFIXES) else path.name
    return Path(f"{stem}{'-positions' if positions else ''}.{form}")


def check_output(target: Path | None, force: bool) -> None:
    """Refuse a target before any work.

    Raises:
        TargetError: it is no image's, or must not, or can't, be written.
        MissingPackageError: it takes matplotlib, which is not installed.
    """
    if target is not None:
        form = format_of(target)
        check_target(target, force=force)
        if form in RASTER:
            from .plots import check_matplotlib

            check_matplotlib(f"a .{form}")


def format_of(path: Path) -> str:
    """The format of a file, by its ending.

    Raises:
        TargetError: no image ends so.
    """
    form = path.suffix[1:].lower()
    if form not in FORMATS:
        endings = ", ".join(f".{ending}" for ending in FORMATS)
        problem = f"ends in {path.suffix}{did_you_mean(form, FORMATS)}" if form else "has no ending"
        raise TargetError(f"{path} {problem}: a drawing is {endings}; try {path.with_suffix('.svg')}")
    return form
