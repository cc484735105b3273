"""YAML files that are no models, as typed values: what they may say stands in msgspec's structs, and nowhere else.

Every error has its line, and one in a field the field's name. It knows neither recipes nor data.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from ..errors import EncodingError, EndlessError, SurgeonError
from ..files import no_file
from ..wording import did_you_mean
from .document import compose
from .text import (
    HugeNumber,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    UnreadableYaml,
    content_of,
    decoded,
    plain_value,
)

#: What msgspec expects -> what a value is not, in words.
_NOT = {"int": "is not a whole number", "str": "is not a word", "bool": "is neither true nor false"}


class UnusableYaml(SurgeonError):
    """A file that is no YAML with keys.

    Attributes:
        problem: what is wrong with it, to stand behind its name.
        line: where, from 1; None where that is not known.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line

    def of(self, name: object) -> str:
        """`recipe.yaml, line 3 is not YAML: expected ...`."""
        return f"{name}{f', line {self.line}' if self.line else ''} {self.problem}"


def read_mapping(path: Path, *, lenient: bool = False) -> MappingNode:
    """The root of a YAML file.

    Args:
        path: the file.
        lenient: take bytes that are not UTF-8, as Ultralytics does in its own files: a comment in GBK, say.

    Raises:
        UnusableYaml: it is no file, can't be read, is no YAML, or has no keys.
    """
    kind = no_file(path)
    if kind:
        raise UnusableYaml(f"is {kind}")
    try:
        text = decoded(content_of(path), "").encode("utf-8", errors="surrogateescape")
        root = compose(text.decode("utf-8-sig", errors="surrogateescape" if lenient else "strict"))
    except OSError as error:
        raise UnusableYaml(f"can't be read: {error.strerror or error}") from error
    except (EncodingError, EndlessError) as error:
        raise UnusableYaml(str(error).strip()) from error
    except UnicodeDecodeError as error:
        raise UnusableYaml("is not UTF-8 text") from error
    except UnreadableYaml as error:
        raise UnusableYaml(f"is not YAML: {error}", error.line) from error
    except RecursionError as error:
        raise UnusableYaml("is not YAML: it is nested too deep, or contains itself") from error
    if not isinstance(root, MappingNode):
        raise UnusableYaml("has no keys")
    return root


class Fields:
    """The fields of a file: their values as PyYAML reads them, typed where that is asked for, and their lines.

    A field is called by its path, `matrix.k` or `include[0].at`.

    Attributes:
        path: the file.
        error: the class of errors in it.
        values: all that it says; every key is a word.
        lines: field -> line, from 1, of its key or, in a list, of itself.
    """

    def __init__(self, path: Path, root: MappingNode, error: type[SurgeonError]) -> None:
        self.path, self.error = path, error
        self.lines = {"": root.line}
        self._nodes: dict[str, Node] = {}
        self._values: dict[str, Any] = {}
        self.values: dict[str, Any] = self._value(root, "")

    def read(self, kind: Any, field: str = "") -> Any:
        """The value of a field, typed.

        Args:
            kind: what it has to be, such as a struct.
            field: the field; "" for the whole file.

        Raises:
            SurgeonError: a value is of another type, or a field is missing or unknown; with file, line and field.
        """
        import msgspec  # here, for commands that read no such file

        try:
            return msgspec.convert(self._values[field], kind)
        except msgspec.ValidationError as error:
            text, _, place = str(error).partition(" - at `$")
            raise self._refused(text, kind, field, place.rstrip("`")) from error

    def text(self, field: str) -> str:
        """A word or number as it was written."""
        return str(self._nodes[field].value)

    def bad(self, field: str, problem: object, *, inside: str | None = None) -> SurgeonError:
        """An error in a field, with its place.

        Args:
            field: where it is.
            problem: what is wrong.
            inside: the field to name, where that is another one.
        """
        name = field if inside is None else inside
        if not isinstance(self._nodes.get(name), MappingNode):  # a list's own name says enough of a word in it
            name = re.sub(r"(?:\[\d+\])+$", "", name)
        return self.error(f"{self.path}, line {self.lines[field]}{f', {name}' if name else ''}: {problem}")

    def _value(self, node: Node, field: str) -> Any:
        self._nodes[field] = node
        self._values[field] = self._value_of(node, field)
        return self._values[field]

    def _value_of(self, node: Node, field: str) -> Any:
        if isinstance(node, ScalarNode):
            try:
                return plain_value(node)
            except HugeNumber as error:
                raise self.bad(field, f"it {error.problem}") from error
        if isinstance(node, SequenceNode):
            for number, item in enumerate(node.value):
                self.lines[f"{field}[{number}]"] = item.line
            return [self._value(item, f"{field}[{number}]") for number, item in enumerate(node.value)]
        values: dict[str, Any] = {}
        for key, part in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else "?"
            inner = f"{field}.{name}".lstrip(".")
            self.lines[inner] = key.line
            if name in values:
                raise self.bad(inner, f"it has {name} twice: keep one", inside=field)
            values[name] = self._value(part, inner)
        return values

    def _refused(self, text: str, kind: Any, field: str, place: str) -> SurgeonError:
        """What msgspec refuses, in words that say what is allowed."""
        at, quoted = f"{field}{place}".lstrip("."), re.search("`(.*?)`", text)
        info, meaning = _info(kind, place)
        name = quoted[1] if quoted else ""
        if text.startswith("Object contains unknown field"):
            known = [one.encode_name for one in info.fields]
            problem = f"no field {name!r} here{did_you_mean(name, known)}: there are {', '.join(known)}"
            return self.bad(f"{at}.{name}".lstrip("."), problem, inside=at)
        if text.startswith("Object missing required field"):
            return self.bad(at, f"it needs {_info(kind, f'{place}.{name}')[1]}")
        if "array` of length >= 1" in text:
            return self.bad(at, "the list is empty")
        if text.startswith("Invalid enum value"):
            word, known = str(self._values[at]), list(map(str, info.values))
            return self.bad(at, f"{word!r} is none of {', '.join(known)}{did_you_mean(word, known)}")
        node, limit = self._nodes[at], re.search(r"` >= (\d+)", text)
        wanted = name.partition(" | ")[0]
        if limit:
            problem = "is no number" if self._values[at] != self._values[at] else f"is below {limit[1]}"
            return self.bad(at, f"{_shown(node)} {problem}".replace("'", ""))
        if wanted in _NOT and not meaning:
            return self.bad(at, f"{_shown(node)} {_NOT[wanted]}")
        if hasattr(info, "fields"):
            meaning = f"a mapping with keys such as {', '.join(one.encode_name for one in info.fields[:3])}"
        return self.bad(at, f"it is {meaning or 'a list of mappings'}")


def _info(kind: Any, place: str) -> tuple[Any, str]:
    """What msgspec knows of the type at a place, such as `.matrix.k[0]`, and how its definition describes it."""
    from msgspec import inspect

    info, meaning = inspect.type_info(kind), ""
    for step in [*re.findall(r"\.([^.\[]+)|(\[)", place), None]:
        meaning = ""
        while isinstance(info, (inspect.Metadata, inspect.UnionType)):
            if isinstance(info, inspect.Metadata):
                meaning, info = (info.extra_json_schema or {}).get("description", ""), info.type
            else:
                wanted = inspect.ListType if step and step[1] else inspect.StructType
                info = next((part for part in info.types if isinstance(part, wanted)), info.types[0])
        if step and step[1]:
            info = cast(Any, info).item_type
        elif step:
            info = next(one.type for one in cast(Any, info).fields if one.encode_name == step[0])
    return info, meaning


def _shown(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        return "a list" if isinstance(node, SequenceNode) else "a mapping"
    return repr(node.value) if node.value else "nothing"
