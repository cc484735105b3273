"""LSKA in the runtimes that are here, by kernel size: `python tests/benchmarks/runtimes.py --imgsz 320 --rounds 60`.

`latency` itself, with one thread and the processor's time in place of the clock's: the order of kernel sizes is to be
seen on a machine that is busy with other work, too. A runtime of several threads would count them all.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import lska_surgeon as ls
from lska_surgeon.cost import latency

BASE = "yolov8n.yaml"
SIZES = (7, 11, 23, 35, 41, 53)


def processor_time(run: Callable[[], Any], device: object) -> float:
    """Seconds of the processor that one run takes."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    """Print the tables of `latency`."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--imgsz", type=int, default=640)
    asked.add_argument("--rounds", type=int, default=60)
    asked.add_argument("--runtime", default="torch,onnx,openvino,ncnn,mnn")
    words = asked.parse_args()
    latency._time = processor_time
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        variants = [str(ls.insert(BASE, "neck", k=k).write()) for k in SIZES]
        print(ls.latency([BASE, *variants], threads=1, **vars(words)))


if __name__ == "__main__":
    main()
