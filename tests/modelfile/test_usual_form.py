"""The reader of the usual form gives what ruamel.yaml gives, or leaves the text to it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from lska_surgeon.modelfile.any_yaml import compose_any
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.modelfile.text import EndlessYaml, Node, UnreadableYaml, compose_usual

#: What a slip of the hand, or a hostile one, puts into a text.
PIECES = [*"[]{},:#-?&*!|>'\"%@`~ \n\t\r=.\\", "\r\n", ": ", " #", "- ", "\n\n", "a", "é", "\u2028", "---\n", "'a'"]
USUAL = """\
# a comment, in any letters: é
nc: 80 # classes
scales:
  # of each
  n: [0.33, 0.25, 1024]
  s:  [ 0.33 , .5, 1e3 ]

backbone:
  - [-1, 1, Conv, [64, 3, 2]] # 0-P1/2
  - [[-1, 4], 1, Concat, []]
  - [-1, 1, nn.Upsample, [None, 2, "nearest #1", 'it, [is] "so"']]
head:
- [-1, 1, C2f, [[], [256, True]]]
activation: nn.LeakyReLU(0.1)
"""


def content(node: Node | None) -> Any:
    """A node with all that is known of it, the nodes inside included."""
    if node is None:
        return None
    value = node.value
    if isinstance(value, list):
        value = [content(part) if isinstance(part, Node) else tuple(map(content, part)) for part in value]
    return type(node).__name__, value, node.start, node.end, node.line, node.column, node.style


def by_ruamel(text: str) -> Any:
    try:
        return content(compose_any(text))
    except (UnreadableYaml, EndlessYaml, RecursionError) as error:
        return error


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_it_reads_what_is_usual_as_ruamel_does(newline: str) -> None:
    text = USUAL.replace("\n", newline)
    assert content(compose_usual(text)) == by_ruamel(text) is not None


def test_it_reads_nearly_every_stock_model_itself_and_as_ruamel_does() -> None:
    texts = [path.read_text(encoding="utf-8") for path in stock_models().values()]
    usual = [text for text in texts if compose_usual(text) is not None]
    assert len(usual) >= 0.9 * len(texts)
    for text in usual[::6]:
        assert content(compose_usual(text)) == by_ruamel(text)


@pytest.mark.parametrize("seed", range(4))
def test_it_leaves_what_is_not_usual_to_ruamel(seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(250):
        text = USUAL
        for _ in range(choose.randint(1, 2)):
            at = choose.randrange(len(text))
            text = text[:at] + choose.choice(PIECES) + text[at + choose.randint(0, 2) :]
        read = compose_usual(text)
        assert read is None or content(read) == by_ruamel(text), text
