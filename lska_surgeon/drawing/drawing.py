"""A network's image as a result: shown, written, or handed on as text; it works nothing out itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import TargetError
from ..files import as_path, write_whole
from ..wording import clean, did_you_mean
from .compose import scene_of
from .figure import Figure
from .scene import Scene
from .svg import svg_of

#: Ending -> what it is; the first is the default.
FORMATS = {"svg": "SVG", "md": "Mermaid in Markdown", "dot": "Graphviz' DOT", "png": "PNG", "pdf": "PDF"}
#: Those that matplotlib draws.
RASTER = ("png", "pdf")


@dataclass(frozen=True, repr=False)
class Drawing:
    """The image of a model, or of what sets a variant apart from it.

    Attributes:
        figure: what stands in it.
        output: the file that it goes to unless `write` is told another; None for standard output.
        notes: what the user should be told.
    """

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

    @property
    def mermaid(self) -> str:
        """As a Mermaid chart in Markdown.

        Raises:
            SurgeonError: it is beyond the limits of GitHub and GitLab.
        """
        from .mermaid import markdown_of

        return markdown_of(self.figure)

    @property
    def dot(self) -> str:
        """In Graphviz' DOT language."""
        from .dot import dot_of

        return dot_of(self.figure)

    def content(self, form: str) -> bytes:
        """The image as one of `FORMATS`.

        Raises:
            SurgeonError: it can't be written so.
        """
        if form in RASTER:
            from .raster import image_of

            return image_of(self.scene, form)
        texts = {"svg": lambda: self.svg, "md": lambda: self.mermaid, "dot": lambda: self.dot}
        return texts[form]().encode("utf-8", errors="replace")

    def notes_on(self, form: str) -> tuple[str, ...]:
        """What the user should be told of the image as one of `FORMATS`: that it can't show a character."""
        if form not in RASTER:
            return ()
        from .fonts import fonts_for

        _, missing = fonts_for(self.scene)
        if not missing:
            return ()
        shown = clean(missing, 20)
        return (f"no font here has {shown}, so boxes stand for it in a .{form}; an .svg keeps the text",)

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Write the image, in the format of the file's ending; returns the path.

        Args:
            path: the file; None for the one that it was drawn for.
            force: replace a file that is there.

        Raises:
            TargetError: the ending is none of `FORMATS`, or the file must not, or can't, be written.
        """
        target = self.output if path is None else as_path(path)
        if target is None:
            raise TargetError("this was drawn for no file: say where to write it, write('FILE.svg')")
        content = self.content(format_of(target))
        write_whole(target, lambda file: file.write(content), force=force)
        return target

    def to_dict(self) -> dict[str, Any]:
        """What stands in the image, as plain data."""
        figure = self.figure
        rows = [
            {"index": node.index, "part": node.part, "kind": node.kind, "text": list(node.lines), "stride": node.stride}
            for node in figure.nodes
        ]
        edges = [
            {"source": edge.source, "consumer": edge.consumer, "slot": edge.slot, "state": edge.state}
            for edge in figure.edges
        ]
        marks = [
            {"position": mark.name, "at": mark.title.partition(" ")[2], "inside": mark.inside}
            for marks in (*(node.marks for node in figure.nodes), *(edge.marks for edge in figure.edges))
            for mark in marks
        ]
        return {
            "schema": 2,
            "title": figure.title,
            "subtitle": figure.subtitle,
            "rows": rows,
            "connections": edges,
            "positions": marks,
            "captions": list(figure.captions),
            "notes": list(self.notes),
        }

    @property
    def line(self) -> str:
        """What is drawn, in one line."""
        figure = self.figure
        what = f"{len(figure.nodes) - 1} rows and {len(figure.edges)} connections"
        return f"{self.output or 'standard output'}: {figure.title}, {figure.subtitle}; {what}"

    def __str__(self) -> str:
        return "\n".join([*(f"Note: {note}" for note in self.notes), self.line])

    def __repr__(self) -> str:
        return f"<Drawing {self.line}>"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto">{self.svg}</div>'


def format_of(path: Path) -> str:
    """The format of a file, by its ending.

    Raises:
        TargetError: no image ends so.
    """
    form = path.suffix[1:].lower()
    if form not in FORMATS:
        endings = ", ".join(f".{one}" for one in FORMATS)
        found = f"ends in {path.suffix}{did_you_mean(form, FORMATS)}" if form else "has no ending"
        raise TargetError(f"{path} {found}: a drawing is {endings}; try {path.with_suffix('.svg')}")
    return form
