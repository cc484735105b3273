"""`lska-surgeon diff`."""

from __future__ import annotations

from pathlib import Path

import click

from ...cost.difference import Difference
from ...errors import NotAModelError, SurgeonError
from ...files import read_within
from ...modelfile.sources import STDIN
from ...reports import annotation, drawn, dump, markdown, markdown_line, markdown_text
from .. import completion, say
from ..options import blocks as with_blocks
from ..options import formats, refuse_second_reading
from ..options import imgsz as size_option
from ..options import trust as trust_option


def difference_markdown(difference: Difference) -> str:
    """For a comment on a pull request."""
    if not difference:
        return markdown_line(difference.line)
    parts = [f"**{markdown_text(difference.line)}**", *map(markdown, (difference.table(), *difference.totals()))]
    return "\n\n".join([*parts, *map(markdown_line, (difference.costs.line, *difference.footnotes()))])


def difference_github(difference: Difference) -> str:
    """One notice at the second file."""
    rows = [
        " ".join(filter(None, [change, _place(old, new), block])) + f": {what}"
        for change, old, new, block, what in difference.table().rows
    ]
    text = "\n".join([*rows, difference.costs.line]) if difference else "one architecture"
    return annotation("notice", text, file=str(difference.after.path), title=difference.line)


#: What `--format` takes -> the report.
REPORTS = {
    "text": lambda difference: drawn(difference.parts()),
    "md": difference_markdown,
    "json": lambda difference: dump(difference.to_dict()),
    "github": difference_github,
}


def _place(old: str, new: str) -> str:
    return f"{old} -> {new}" if old and new and old != new else new or old


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="BEFORE AFTER", shell_complete=completion.models)
@click.option("--costs", is_flag=True, help="Build both and count them with fvcore.")
@size_option
@formats("text", "md", "json", "github")
@click.option("--exit-code", is_flag=True, help="Exit 1 if they differ, as `git diff` does.")
@trust_option
@click.option("--textconv", is_flag=True, help="Print one model without its indices, for git to compare.")
@with_blocks
@click.pass_context
def diff(
    ctx: click.Context,
    models: tuple[str, ...],
    costs: bool,
    imgsz: tuple[int, int],
    form: str,
    exit_code: bool,
    trust: bool,
    textconv: bool,
) -> None:
    """Tell how the architecture of AFTER differs from that of BEFORE.

    Each is a model YAML or a .pt, a stock Ultralytics name with its scale, or one of them - for standard input.
    Of a .pt the model YAML that it stores is compared, not the weights. Rows are
    matched by what they are and by what they read, not by their numbers: those that came, went, changed, or read
    another layer now are named. What operators cost is worked out exactly without building anything; where more than
    operators differs, --costs counts.

    \b
    Examples:
      lska-surgeon diff yolov8s.yaml yolov8s-lska-neck-k35.yaml
      lska-surgeon diff yolov8s.yaml yolov8s-lska-neck-k35.yaml --format md --exit-code
      lska-surgeon diff before.pt after.pt
      lska-surgeon diff --textconv yolov8s-lska-neck-k35.yaml
    """
    if len(models) != (1 if textconv else 2):
        wanted = (
            "--textconv takes one model YAML"
            if textconv
            else "diff takes two model YAMLs or checkpoints, BEFORE and AFTER"
        )
        raise click.UsageError(f"{wanted}, found {len(models)}")
    refuse_second_reading(models)
    if (costs or textconv) and STDIN in models:
        raise click.UsageError("--costs and --textconv need files: save standard input to one, and give that")
    if textconv:
        say.content(_index_free(models[0]))
        return
    from ...api import diff as api

    difference = api.diff(models[0], models[1], imgsz=imgsz, count=costs, trust=trust)
    for note in difference.notes:
        say.note(note)
    say.report(REPORTS[form](difference))
    if exit_code and difference:
        ctx.exit(1)


def _index_free(model: str) -> bytes:
    """A model's canonical text; what is no model is shown as it is, for git gives up where a textconv fails."""
    from ...declarations.find import active_blocks
    from ...modelfile.diff import canonical_text
    from ...modelfile.document import Document
    from ...modelfile.sources import find_source

    path = Path(model)
    try:
        file = path if path.is_file() else find_source(model).path
        text = canonical_text(Document.read(file, blocks=active_blocks()).graph)
    except SurgeonError as error:
        if not path.is_file():
            raise
        if not isinstance(error, NotAModelError):
            say.note(f"shown as it is: {error.as_typed}")
        return read_within(path)
    return text.encode("utf-8", errors="surrogateescape")
