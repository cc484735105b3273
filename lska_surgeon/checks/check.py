"""The rules of `check`, and all of them on one file; no file is written before `CheckedFile.write`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..core.blocks import STOCK, BlockTable
from ..modelfile.document import Document
from ..modelfile.model import read_source, scale_note
from ..modelfile.sources import Source
from . import rules_arguments, rules_rows, rules_wiring
from .context import Context, Rule
from .findings import ERROR, WARNING, CheckedFile, Correction, Finding, corrected_text

#: Every rule, once: what `check` applies, in this order, and what its help and docs list.
RULES = (
    Rule(
        "row",
        ERROR,
        "a row is not [from, repeats, module, args], or its numbers make no layer",
        (
            rules_rows.bad_rows,
            rules_rows.head,
            rules_rows.sizes,
            rules_rows.custom_rows,
            rules_rows.texts,
            rules_rows.of_yolov5s_repository,
        ),
    ),
    Rule(
        "setting",
        ERROR,
        "what stands beside the rows, such as nc, is of a wrong type, missing, or a number that no network has; "
        "activation is no layer",
        (rules_rows.settings, rules_rows.activations),
    ),
    Rule(
        "source",
        ERROR,
        "a source looks forward, or is not what the rest of the network shows it to be",
        (rules_wiring.sources,),
    ),
    Rule("module", ERROR, "no such block (warning, unless it is surely misspelt)", (rules_rows.modules,)),
    Rule("kernel", ERROR, "an operator's kernel size or arguments are not supported", (rules_rows.kernels,)),
    Rule(
        "arguments",
        ERROR,
        "a row has fewer arguments than its block needs, or more than it takes (warning where it still builds)",
        (rules_arguments.arguments, rules_arguments.of_another_parser),
    ),
    Rule(
        "channels",
        ERROR,
        "a literal width that its source does not have (warning, unless the block believes it at every scale)",
        (rules_arguments.channels,),
    ),
    Rule(
        "scale",
        ERROR,
        "the scale that the file's name asks for is not there, or has other numbers than the parser takes (warning)",
        (rules_rows.scale,),
    ),
    Rule("comment", WARNING, "an index comment is stale", (rules_rows.comments,)),
    Rule("bypass", WARNING, "a source is read around an inserted attention", (rules_wiring.bypass,)),
    Rule(
        "inputs",
        ERROR,
        "a Concat, or the output layer (warning), has fewer inputs than in the stock model",
        (rules_wiring.inputs,),
    ),
    Rule("unread", ERROR, "a layer that nobody reads", (rules_wiring.unread,)),
    Rule(
        "stride",
        ERROR,
        "a Concat's inputs have different strides, or those of an unknown fusion (warning)",
        (rules_wiring.strides,),
    ),
    Rule("output", ERROR, "the output layer's inputs are unordered or doubled", (rules_wiring.outputs,)),
    Rule("build", ERROR, "Ultralytics refuses to build it, where that was asked for"),
    Rule("ignore", WARNING, "a comment ignores a rule that there is not, or that nothing breaks there"),
)
#: The rule whose findings `--fix=N` chooses between.
_NUMBERS = "source"
#: What all rules are called.
CODES = tuple(rule.code for rule in RULES)


def check_file(name: str, blocks: BlockTable = STOCK, rules: Collection[str] = CODES) -> CheckedFile:
    """Check a model YAML.

    Args:
        name: a path, a stock name, or "-" for standard input.
        blocks: the table that says what the rows' blocks are.
        rules: the codes of the rules to apply.

    Raises:
        DocumentError: there is no such file, or it is no model YAML.
        GraphError: it has no rows.
    """
    return checked(*read_source(name, bad_rows=[], blocks=blocks), rules)


def checked(source: Source, document: Document, rules: Collection[str] = CODES) -> CheckedFile:
    """The same of what was read."""
    subject = Context(source, document).likeliest
    findings = _broken_rules(subject, rules)
    if "ignore[" in subject.document.text:
        from .ignores import without_ignored  # here, for few files have such comments

        of_files = [rule.code for rule in RULES if rule.functions]
        findings = without_ignored(subject.document, findings, rules, of_files)
    findings.sort(key=lambda finding: (finding.line, finding.severity))
    stock = subject.stock_name
    note = scale_note(source, subject.document)
    choices = tuple(dict.fromkeys(_choices(subject, findings))) if _NUMBERS in rules else ()
    several = (
        f"{len(choices)} readings explain the numbers: lska-surgeon check --fix=1 to --fix={len(choices)} show each"
    )
    notes = [*([note] if note else []), *([several] if len(choices) > 1 else [])]
    return CheckedFile(source.path, subject.document, tuple(findings), stock, source.scale, tuple(notes), choices)


def _choices(subject: Context, findings: Sequence[Finding]) -> Iterator[str]:
    """The texts of the likely readings where there is no one right answer."""
    verdict = subject.verdict
    for reading in verdict.rivals[: rules_wiring.MOST_CHOICES]:
        numbers = ((row, slot, source) for row, read in enumerate(reading.wiring) for slot, source in enumerate(read))
        fixes = [Correction(*place) for place in numbers if place[2] != subject.layers[place[0]].sources[place[1]]]
        yield corrected_text(subject.document, [*findings, subject.finding(0, "", None, *fixes)])


def _broken_rules(subject: Context, rules: Collection[str]) -> list[Finding]:
    """What some of the rules find."""
    return [
        finding._replace(rule=rule.code, severity=finding.severity or rule.severity)
        for rule in RULES
        if rule.code in rules
        for function in rule.functions
        for finding in function(subject)
    ]
