"""What each weight of the wiring inference is worth: the damages of the tests with the weight as it is, and without it.

python -m benchmarks.wiring          (from the folder tests/; some minutes)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from support.damages import Damaged, damages

from lska_surgeon.checks.alignment import align
from lska_surgeon.checks.wiring.cost import WEIGHTS
from lska_surgeon.checks.wiring.decision import infer
from lska_surgeon.modelfile.document import Document

MODELS = ("yolov5.yaml", "yolov8.yaml", "yolov8-p2.yaml", "yolov9c.yaml", "yolo11.yaml", "yolo12.yaml", "rtdetr-l.yaml")


def restored(nets: Sequence[Damaged], weights: Mapping[str, float]) -> tuple[float, int]:
    """The share that is restored exactly, and how many are worse than before."""
    exact = worse = 0
    for net in nets:
        document = Document(net.text, "net.yaml", [])
        layers = document.layers
        comments = {i: found[0] for i in range(len(layers)) if (found := document.comment_index(i))}
        alignment = align(layers)
        verdict = infer(layers, comments, alignment, alignment.ratios if alignment else {}, weights)
        sources = [list(layer.sources) for layer in layers]
        for (row, slot), source in verdict.fixes.items():
            sources[row][slot] = source
        wrong = net.wrong(sources)
        exact += not wrong
        worse += wrong > net.wrong_as_written
    return exact / len(nets), worse


def main() -> None:
    """Print a line for each weight, what costs most to lose first."""
    nets = [net for seed in range(2) for net in damages(MODELS, seed)]
    whole, worse = restored(nets, WEIGHTS)
    print(f"{len(nets)} damages, {whole:.1%} restored, {worse} worse")
    without = {term: restored(nets, {**WEIGHTS, term: 0.0}) for term in WEIGHTS}
    for term, (exact, worse) in sorted(without.items(), key=lambda pair: pair[1]):
        print(f"{term:20} {WEIGHTS[term]:5g}   without it {exact - whole:+.1%} restored, {worse} worse")


if __name__ == "__main__":
    main()
