"""The recipes and CI files that ship with the package; it knows their names and places, not what they say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import TargetError
from ..wording import did_you_mean

SCHEMA, BLOCKS_SCHEMA = "recipe.schema.json", "blocks.schema.json"
#: Name -> (file, where a copy goes by default).
_TEMPLATES = {
    "kernel-ablation": ("kernel-ablation.yaml", "kernel-ablation.yaml"),
    "position-ablation": ("position-ablation.yaml", "position-ablation.yaml"),
    "designs": ("designs.yaml", "designs.yaml"),
    "recommended": ("recommended.yaml", "recommended.yaml"),
    "recipe-schema": (SCHEMA, SCHEMA),
    "blocks-schema": (BLOCKS_SCHEMA, BLOCKS_SCHEMA),
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
        return f"JSON Schema of {'declared blocks' if self.path.name == BLOCKS_SCHEMA else 'recipes'}, for editors."

    @property
    def is_recipe(self) -> bool:
        """Whether it is a recipe, which names the schema as a file beside it."""
        return f"$schema={SCHEMA}" in self.text


def templates() -> tuple[Template, ...]:
    """All of them."""
    # Inside the package when it is installed; beside it in a checkout.
    package = Path(__file__).resolve().parents[1]
    folder = package / "templates" if (package / "templates").is_dir() else package.parent / "templates"
    return tuple(Template(name, folder / file, Path(target)) for name, (file, target) in _TEMPLATES.items())


def template(name: str) -> Template:
    """The template of that name.

    Raises:
        TargetError: there is none; the message names the nearest.
    """
    found = {one.name: one for one in templates()}
    if name not in found:
        hint = did_you_mean(name, found)
        raise TargetError(f"no template {name!r}{hint}: there are {', '.join(found)}")
    return found[name]
