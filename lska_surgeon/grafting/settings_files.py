"""Whether a file can be what Ultralytics takes as a data YAML, or as a YAML of arguments; it imports none of it.

Ultralytics reads whatever it is given, and says of most mistakes only that an assertion failed. What stands in the file
it looks at itself.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import EncodingError
from ..files import no_file
from ..model_yaml.encoding import decoded
from ..yaml_nodes import MappingNode, ScalarNode, UnreadableYaml, compose, plain_value

_YAML = (".yaml", ".yml")
#: What Ultralytics unpacks, and looks for a data YAML in.
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".txz", ".tbz2")
#: No list of names is so long; reading one takes half a minute.
_MOST_BYTES = 4_000_000


def data_problem(path: Path) -> str | None:
    """What is wrong with data that are there; None for a folder, an archive, and a YAML that may be one of data."""
    if path.is_dir() or path.suffix.lower() in _ARCHIVES:
        return None
    return yaml_problem(path, "no data YAML", "train, val and names")


def classes_in(path: Path) -> int | None:
    """How many classes a data YAML names; None where that can't be read."""
    if not path.is_file() or data_problem(path) is not None or path.suffix.lower() in _ARCHIVES:
        return None
    root = compose(decoded(path.read_bytes(), "it"))
    found = {key.value: value for key, value in root.value} if root is not None else {}
    names, number = found.get("names"), found.get("nc")
    if names is not None and not isinstance(names, ScalarNode):
        return len(names.value)
    number = plain_value(number) if isinstance(number, ScalarNode) else None
    return number if isinstance(number, int) and number > 0 else None


def yaml_problem(path: Path, kind: str, keys: str) -> str | None:
    """What is wrong with a file that is there.

    Args:
        path: the file.
        kind: what it is then, "no data YAML".
        keys: such as it should have.
    """
    found = no_file(path)
    if found:
        return f"is {found}"
    if path.suffix.lower() not in _YAML:
        return f"is {kind}, whose name would end in .yaml"
    try:
        if path.stat().st_size > _MOST_BYTES:
            return f"is {kind}: it has more than {_MOST_BYTES:,} bytes"
        root = compose(decoded(path.read_bytes(), "it"))
    except OSError as error:
        return f"can't be read: {error.strerror or error}"
    except EncodingError as error:
        return f"is {kind}: {error}"
    except UnreadableYaml as error:
        return f"is {kind}: {f'line {error.line}: ' if error.line else ''}{error}"
    except RecursionError:
        return f"is {kind}: it is nested too deep"
    return None if isinstance(root, MappingNode) else f"is {kind}: it has no keys such as {keys}"
