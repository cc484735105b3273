"""The commands on trained weights."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Any

from ..api import weights as api
from . import say
from .options import DELIVERY, FORCE, Presentation, command, formats


@command(api.graft, *DELIVERY, *formats("text", "json"), metavars={"images": "DIR|FILE|YAML"})
def graft(how: Presentation, **asked: Any) -> None:
    """Put LSKA into the trained CHECKPOINT without losing a weight.

    The architecture is the one stored in the file, whatever its task. Every tensor is carried over, the new operators
    start as the exact identity, and a certificate proves it: all outputs, before and after, must be equal in float32.
    An operator that is not LSKA goes behind a gate that starts closed, x + g * (A(x) - x).
    The product is an ordinary Ultralytics checkpoint: YOLO("....pt") predicts, validates and trains it.

    \b
    Examples:
      lska-surgeon graft yolov8s.pt --at neck --k 35 --download
      lska-surgeon graft best.pt --at head:p4,p5 --at sppf -o grafted.pt
      lska-surgeon graft best.pt --at neck --op cbam
      lska-surgeon graft best.pt --into my-variant.yaml -o grafted.pt
      lska-surgeon graft best.pt --into my-p2.yaml --init default
      lska-surgeon graft yolo11m.pt --into yolo11l.yaml --init default
      lska-surgeon graft best.pt --into my-neck.yaml --start fit --images my-data.yaml
      lska-surgeon graft best.pt --into my-block.yaml --start past
    """
    where = {name: asked[name] for name in ("checkpoint", "at", "into", "scale", "k", "op", "dilation", "output")}
    how.check(api.graft_target(**where))
    how.deliver(api.graft(**asked, track=None if how.quiet else say.bar))


@command(api.ungraft, *DELIVERY, *formats("text", "json"))
def ungraft(how: Presentation, **asked: Any) -> None:
    """Take LSKA out of the grafted CHECKPOINT and give the original's tensors back.

    Exact while the operators are still the identity. Once they have been trained, taking them out changes what the
    model predicts: that is refused, with the measured difference, unless --lossy asks for it.

    \b
    Example:
      lska-surgeon ungraft yolov8s-lska-neck-k35.pt -o original.pt
    """
    how.check(api.ungraft_target(asked["checkpoint"], asked["output"]))
    how.deliver(api.ungraft(**asked))


@command(api.adopt, *DELIVERY, *formats("text", "json"))
def adopt(how: Presentation, **asked: Any) -> int:
    """Write CHECKPOINT anew with classes that are here, where its own are not installed.

    For files made in a fork of Ultralytics, or as tutorials say. None of the file's code runs. A class that you declare
    takes over what the file holds where name, parts, tensors and settings fit; LSKA, SPPF_LSKA, C2f_LSKA_Attention and
    the like need no declaration. What a class computes can't be read from tensors; what is assumed is said, and --image
    compares with outputs of the original: exit code 1 when they differ by more than 1e-4.

    \b
    Examples:
      lska-surgeon adopt tutorial.pt
      lska-surgeon adopt tutorial.pt --image input.pt --against outputs.pt -o mine.pt
    """
    how.check(api.adopt_target(asked["checkpoint"], asked["output"]))
    adoption = api.adopt(**asked)
    how.dry_run = how.dry_run or adoption.differs
    how.deliver(adoption)
    if adoption.differs:
        say.error(f"the outputs differ by up to {adoption.difference:g}, so nothing was written")
    return int(adoption.differs)


@command(api.train)
def train(how: Presentation, model: str, ultralytics: tuple[str, ...], **asked: Any) -> None:
    """Train MODEL, a grafted checkpoint or a variant YAML, as Ultralytics trains any model.

    KEY=VALUE are Ultralytics' own arguments, as `yolo train` takes them. Before anything runs, the checkpoint is
    looked through, and arguments and data are checked. Nothing is downloaded or installed.

    With --stage attention all other layers stay as they are, the running statistics of their norms included; only what
    could not be carried over, such as the classifier for data with other classes, trains too, and is named. Each stage
    is a run of its own; the first one of --stage both has "-warm" at the end of its name.

    \b
    Examples:
      lska-surgeon train yolov8s-lska-neck-k35.pt data=my-data.yaml epochs=100 imgsz=640
      lska-surgeon train my-variant.yaml --graft best.pt data=my-data.yaml epochs=100
      lska-surgeon train yolov8s-lska-neck-k35.pt --stage both --warm 3 data=my-data.yaml epochs=100
      lska-surgeon train runs/detect/train/weights/last.pt resume=True
    """
    with redirect_stdout(sys.stderr):  # where Ultralytics logs and draws its progress
        folders = api.train_words(model, ultralytics, **asked)
    stages = ("attention", "all") if asked["stage"] == "both" else (asked["stage"],)
    for stage, folder in zip(stages, folders):
        say.line(f"Trained {stage}: {folder}")


@command(
    api.export,
    FORCE,
    *formats("text", "md", "latex", "json", word="--as"),
    metavars={"format": "FORMAT", "check": "IMAGES", "base": "CHECKPOINT", "conf": "SCORE", "tolerance": "X"},
)
def export(how: Presentation, **asked: Any) -> int:
    """Export CHECKPOINT for a device by Ultralytics' own exporter, and prove what came of it.

    With --check the exported file runs in its own runtime on your images, beside torch in float32, and so does the
    network without its operators: what both lose is the exporter's loss, or the precision's. Exit code 1 where more of
    F1 is lost than --tolerance; the file is written all the same. The record of the graft goes into the file, where the
    format has room for it, and `inspect` reads it. Nothing is downloaded or installed.

    \b
    Examples:
      lska-surgeon export graft.pt --format onnx
      lska-surgeon export graft.pt --format openvino --half --check images
      lska-surgeon export graft.pt --format openvino --int8 --data my-data.yaml --check images --base base.pt
      lska-surgeon export graft.pt --format ncnn --fold -o phone_ncnn_model
    """
    how.check_export(api.export_target(**{name: asked[name] for name in ("checkpoint", "format", "int8", "output")}))
    done = api.export(**asked)
    how.show(done.report(), wrote=done.write(force=how.force))
    if done.problem:
        say.error(done.problem)
    return int(done.problem is not None)
