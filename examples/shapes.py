"""A small data set that takes a second to make: squares and circles on noise.

python shapes.py FOLDER [IMAGES]
"""

import sys
from pathlib import Path

import cv2
import numpy as np

SIDE = 96


def write(folder: Path, images: int = 48) -> Path:
    """Write images, labels and data.yaml, the same ones each time; a quarter of the images is for validation."""
    rng = np.random.default_rng(0)
    for number in range(images):
        split = "val" if number % 4 == 0 else "train"
        picture = rng.integers(0, 90, (SIDE, SIDE, 3)).astype(np.uint8)
        lines = []
        for _ in range(rng.integers(1, 4)):
            kind, half = int(rng.integers(2)), int(rng.integers(8, 17))
            x, y = (int(at) for at in rng.integers(half, SIDE - half, 2))
            colour = tuple(int(value) for value in rng.integers(120, 256, 3))
            if kind == 0:
                cv2.rectangle(picture, (x - half, y - half), (x + half, y + half), colour, -1)
            else:
                cv2.circle(picture, (x, y), half, colour, -1)
            lines.append(f"{kind} {x / SIDE} {y / SIDE} {2 * half / SIDE} {2 * half / SIDE}")
        for part, ending in (("images", "png"), ("labels", "txt")):
            (folder / part / split).mkdir(parents=True, exist_ok=True)
            target = folder / part / split / f"{number}.{ending}"
            if ending == "png":
                cv2.imwrite(str(target), picture)
            else:
                target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = folder / "data.yaml"
    data.write_text("train: images/train\nval: images/val\nnames: [square, circle]\n", encoding="utf-8")
    return data


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]), *map(int, sys.argv[2:3]))}\n")
