"""What mkdocs does besides: both READMEs are the first pages, and the menu has each language's pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
_SECTIONS = {"Rules": "规则"}
FIRST = {"README.md": "index.md", "README.zh-CN.md": "index.zh-CN.md"}


def on_files(files: Files, config: Any) -> Files:
    """Put the READMEs in, and the READMEs of the parts that pages speak of."""
    for source, name in FIRST.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "light.md", content=(ROOT / "light" / "README.md").read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to where the pages stand in the site; no comment for the tests is shown."""
    markdown = re.sub(r"^<!--.*?-->\n", "", markdown, flags=re.MULTILINE)
    heading = re.search(r"^# (.*)$", markdown, re.MULTILINE)
    if _is_chinese(page) and heading:  # else the menu would have the file's name
        page.meta.setdefault("title", heading[1].replace("`", ""))
    if page.file.src_uri in (*FIRST.values(), "light.md"):
        markdown = re.sub(r"(\]\(|src=\")docs/", r"\1", markdown)
    markdown = re.sub(r"\]\((?:\.\./)*light/README\.md\)", "](light.md)", markdown)
    for source, name in FIRST.items():
        markdown = re.sub(rf"\]\((?:\.\./)*{re.escape(source)}", f"]({name}", markdown)
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)*(?:LICENSE|CHANGELOG\.md|examples/[^)]*|skills/[^)]*)\)", r"\1", markdown)


def on_nav(nav: Any, config: Any, files: Files) -> Any:
    """The first page first; pages of rules under their own heading, Chinese ones under theirs."""
    from mkdocs.structure.nav import Section

    chinese = [item for item in nav.items if _is_chinese(item)]
    others = [item for item in nav.items if item not in chinese]
    for section in (item for item in others if item.is_section):
        chinese.append(
            Section(_SECTIONS.get(section.title, section.title), list(filter(_is_chinese, section.children)))
        )
        section.children[:] = [item for item in section.children if not _is_chinese(item)]
    first = [item for item in others if getattr(item, "file", None) and item.file.src_uri == "index.md"]
    nav.items[:] = [*first, *(item for item in others if item not in first), Section("中文", chinese)]
    return nav


def _is_chinese(item: Any) -> bool:
    return bool(getattr(item, "file", None)) and item.file.src_uri.endswith(".zh-CN.md")
