"""Which of Ultralytics' model families a YAML's file NAME asks for, beside the scale; it opens no file.

`YOLO(file)` builds a model as YOLO-World where the name has `-world`, as YOLOE where it has `yoloe`, and else as the
plain model of its task, whatever the output layer is (ultralytics 8.3 to 8.4, `models/yolo/model.py`).
"""

from __future__ import annotations

from pathlib import Path

from .architecture.graph import Graph
from .architecture.shapes import OUTPUTS
from .errors import TargetError

#: Family -> what the stem of its file's name has to contain, in the order in which Ultralytics looks.
_IN_NAME = {"YOLO-World": "-world", "YOLOE": "yoloe"}
_FAMILY_OF = {
    "WorldDetect": "YOLO-World",
    "YOLOEDetect": "YOLOE",
    "YOLOESegment": "YOLOE",
    "YOLOESegment26": "YOLOE",
}


def check_family(graph: Graph, name: str) -> None:
    """Refuse a file name by which Ultralytics would build another family of models.

    Raises:
        TargetError: the name lacks the word of the model's family, or has that of another one.
    """
    block = graph.output.block
    if block not in OUTPUTS:
        return  # a head of the user's own
    family, stem = _FAMILY_OF.get(block), Path(name).stem
    said = next((other for other, word in _IN_NAME.items() if word in stem), None)
    if said == family:
        return
    wanted = f"with {_IN_NAME[family]} in it" if family else ""
    if said:
        wanted = " and ".join(filter(None, [wanted, f"without {_IN_NAME[said]}"]))
    built = f"{said} model" if said else "plain model"
    raise TargetError(
        f"ultralytics would build {name} as a {built} by its name, and its output layer is {block}: "
        f"give a name {wanted} with -o"
    )


def family_notes(graph: Graph, output: Path | None) -> list[str]:
    """What to tell of a text that goes to standard output, where Ultralytics would need a name to build its family.

    Raises:
        TargetError: there is a file to be, and its name is a wrong one: see `check_family`.
    """
    if output is not None:
        check_family(graph, output.name)
        return []
    family = _FAMILY_OF.get(graph.output.block)
    return [f"ultralytics builds this as {family} only under a name with {_IN_NAME[family]} in it"] if family else []
