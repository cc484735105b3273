"""The recipes and CI files that ship with the package; it knows their names and places, not what they say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import TargetError
from ..files import as_path, check_target, replace_all
from ..reports import Report, Result, Table
from ..wording import did_you_mean

SCHEMA = "recipe.schema.json"
#: What each describes.
_SCHEMAS = {SCHEMA: "recipes", "blocks.schema.json": "declared blocks", "model.schema.json": "model YAMLs"}
#: What stands in a CI file where the user's own repository has to.
UNNAMED = "git+https://github.com/OWNER/lska-surgeon"
_RECIPES = ("kernel-ablation", "position-ablation", "designs", "ablation", "recommended")
#: Name -> (file, where a copy goes by default).
_TEMPLATES = {
    **{name: (f"{name}.yaml", f"{name}.yaml") for name in _RECIPES},
    **{f"{file.partition('.')[0]}-schema": (file, file) for file in _SCHEMAS},
    "github": ("github-workflow.yml", ".github/workflows/lska-variants.yml"),
    "gitlab": ("gitlab-ci.yml", ".gitlab-ci.yml"),
    "pre-commit": ("pre-commit-config.yaml", ".pre-commit-config.yaml"),
}


@dataclass(frozen=True)
class Template:
    """One file that ships with the package.

    Attributes:
        name: what users call it.
        path: the file.
        target: where a copy goes by default.
    """

    name: str
    path: Path
    target: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def summary(self) -> str:
        """What it is for: its first comment that is for people."""
        for line in self.text.splitlines():
            if line.startswith("# ") and "$schema" not in line:
                return line[2:]
        return f"JSON Schema of {_SCHEMAS[self.path.name]}, for editors."

    @property
    def needs_a_repository(self) -> bool:
        """Whether the user has to name the repository that lska-surgeon is installed from, for no index has it."""
        return UNNAMED in self.text

    @property
    def is_recipe(self) -> bool:
        """Whether it is a recipe, which names the schema as a file beside it."""
        return f"$schema={SCHEMA}" in self.text

    def copies(self, path: str | os.PathLike[str] | None = None) -> dict[Path, str]:
        """The files that a copy is made of, text by path: of a recipe, its schema too where there is none yet."""
        target = as_path(path) if path is not None else self.target
        texts = {target: self.text}
        schema = target.parent / SCHEMA
        if self.is_recipe and not schema.exists():
            texts[schema] = templates()["recipe-schema"].text
        return texts

    def write(self, path: str | os.PathLike[str] | None = None, force: bool = False) -> Path:
        """Copy it to where it works; with a recipe, its schema for editors.

        Args:
            path: the file; None for `target`, whose folders are made.
            force: overwrite a file that is there.

        Returns:
            The file.

        Raises:
            TargetError: the file is there and `force` is off, or the system refuses.
        """
        texts = self.copies(path)
        target = next(iter(texts))
        if path is not None or target.parent.is_dir():
            check_target(target, force=force)
        replace_all(texts)
        return target


@dataclass(frozen=True, repr=False)
class Templates(Result):
    """All templates, by name.

    Attributes:
        all: in the order in which they are listed.
    """

    all: tuple[Template, ...]

    def __iter__(self) -> Iterator[Template]:
        return iter(self.all)

    def __getitem__(self, name: str) -> Template:
        """The template of that name.

        Raises:
            TargetError: there is none; the message names the nearest.
        """
        known = {one.name: one for one in self.all}
        if name not in known:
            raise TargetError(f"no template {name!r}{did_you_mean(name, known)}: there are {', '.join(known)}")
        return known[name]

    def report(self) -> Report:
        """A table of them."""
        rows = [(one.name, one.summary, one.target.as_posix()) for one in self.all]
        listed = [dict(zip(("name", "summary", "target"), row)) for row in rows]
        return Report(
            ", ".join(one.name for one in self.all),
            [Table(("template", "what it is for", "copied to"), rows)],
            data={"schema": self.schema, "templates": listed},
        )


def templates() -> Templates:
    """All of them."""
    # Inside the package when it is installed; beside it in a checkout.
    package = Path(__file__).resolve().parents[1]
    folder = package / "templates" if (package / "templates").is_dir() else package.parent / "templates"
    return Templates(tuple(Template(name, folder / file, Path(target)) for name, (file, target) in _TEMPLATES.items()))
