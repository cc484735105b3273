"""The stride of every layer: what the rows say for sure, then what follows from their neighbours; it knows no block.

1. Forwards, a row's stride is its source's times what its block does to it, and a join's is that of any input known.
2. Where a block is not known, its neighbours may tell: a join (a Concat) has one stride on all sides; a fusion of an
   unknown make has one where all that is known of it is one; the inputs of an output layer double from one to the next.
3. Then a block of one name and the same settings does the same everywhere; and three inputs of an output layer of which
   nothing is known are 8, 16, 32.
What nothing fixes stays unknown: no stride is a guess from a name.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from .graph import IMAGE, Layer

_SWEEPS = 16  # there and back; each settles whole chains, and no network is known that needs more than four
_USUAL = (8.0, 16.0, 32.0)
_FINEST, _COARSEST = 2.0**-20, 2.0**20  # beyond, no picture has a cell


@dataclass(frozen=True)
class Effect:
    """What a row does to the size of its map.

    Attributes:
        ratio: stride out over stride in; None when not known.
        main: which of its sources that speaks of.
        joins: True when all inputs have to have one size, which is the output's.
        is_map: False for what is not a feature map.
        kind: rows of one kind do the same; for rows whose ratio is not known.
    """

    ratio: float | None = 1.0
    main: int = 0
    joins: bool = False
    is_map: bool = True
    kind: Hashable = None


def strides_of(
    layers: Sequence[Layer], effects: Sequence[Effect], ratios: Mapping[int, float]
) -> list[tuple[float | None, bool]]:
    """Stride of each layer, and whether it is sure; (None, False) where it is not known, (None, True) for no map.

    Args:
        layers: the rows.
        effects: what each does.
        ratios: for rows that do something unknown, what the caller believes that they do.
    """
    found = _Strides(layers, effects)
    found.forwards()
    found.sure = [stride is not None for stride in found.stride]
    found.fit(ratios)
    return [(stride, sure or not effect.is_map) for stride, sure, effect in zip(found.stride, found.sure, effects)]


class _Strides:
    def __init__(self, layers: Sequence[Layer], effects: Sequence[Effect]) -> None:
        self.layers, self.effects = layers, effects
        self.stride: list[float | None] = [None] * len(layers)
        self.sure: list[bool] = []
        self.changed = False

    def forwards(self) -> None:
        """Case 1."""
        for layer, effect in zip(self.layers, self.effects):
            if effect.is_map:
                self.stride[layer.index] = self._forwards(layer, effect)

    def fit(self, ratios: Mapping[int, float]) -> None:
        """Cases 2 and 3; what the caller believes counts as soon as a row's source is known."""
        ratios = dict(ratios)
        for _ in range(_SWEEPS):
            self.changed = False
            for layer, effect in zip(self.layers, self.effects):
                self._set(layer.index, self._forwards(layer, effect, ratios.get(layer.index)))
                if effect.ratio is None and len(layer.taps) > 1:
                    self._set(layer.index, self._one([self._of(source) for source in layer.sources]))
            for layer, effect in zip(reversed(self.layers), reversed(self.effects)):
                self._backwards(layer, effect)
            if not self.changed and not self._learn(ratios) and not self._usual():
                return

    def _forwards(self, layer: Layer, effect: Effect, believed: float | None = None) -> float | None:
        if effect.joins:
            return next((stride for stride in map(self._of, layer.sources) if stride is not None), None)
        ratio = believed if effect.ratio is None else effect.ratio
        stride = self._of(layer.sources[effect.main])
        if ratio is None or stride is None or not _FINEST <= stride * ratio <= _COARSEST:
            return None
        return stride * ratio

    def _backwards(self, layer: Layer, effect: Effect) -> None:
        if layer is self.layers[-1]:
            self._ladder(layer)
        here = self.stride[layer.index]
        if here is None:
            return
        if effect.ratio is not None and not effect.joins:
            self._set(layer.sources[effect.main], here / effect.ratio)
        elif len(layer.taps) > 1:
            known = {stride for stride in map(self._of, layer.sources) if stride is not None}
            if effect.joins or known == {here}:
                for source in layer.sources:
                    self._set(source, here)

    def _ladder(self, layer: Layer) -> None:
        """The inputs of an output layer, where what is known of them doubles from one to the next."""
        known = {tap: stride for tap, stride in enumerate(map(self._of, layer.sources)) if stride is not None}
        first = {stride / 2**tap for tap, stride in known.items()}
        if len(first) == 1 and len(layer.taps) > 2:
            base = first.pop()
            for tap, source in enumerate(layer.sources):
                self._set(source, base * 2**tap)

    def _learn(self, ratios: dict[int, float]) -> bool:
        """Case 3, the first half: a ratio that rows of one kind share."""
        seen: dict[Hashable, set[float]] = {}
        for layer, effect in zip(self.layers, self.effects):
            before, after = self._of(layer.sources[0]), self.stride[layer.index]
            if effect.ratio is None and len(layer.taps) == 1 and before and after:
                seen.setdefault(effect.kind, set()).add(after / before)
        learnt = False
        for layer, effect in zip(self.layers, self.effects):
            one = seen.get(effect.kind, set()) if effect.ratio is None and len(layer.taps) == 1 else set()
            if self.stride[layer.index] is None and len(one) == 1 and layer.index not in ratios:
                ratios[layer.index] = next(iter(one))
                learnt = learnt or self._of(layer.sources[0]) is not None
        return learnt

    def _usual(self) -> bool:
        """Case 3, the other half."""
        sources = self.layers[-1].sources
        if len(sources) != len(_USUAL) or any(self._of(source) is not None for source in sources):
            return False
        self.changed = False
        for source, stride in zip(sources, _USUAL):
            self._set(source, stride)
        return self.changed

    def _of(self, source: int) -> float | None:
        return 1.0 if source == IMAGE else self.stride[source]

    def _one(self, strides: Sequence[float | None]) -> float | None:
        return strides[0] if len(set(strides)) == 1 else None

    def _set(self, index: int, stride: float | None) -> None:
        if index == IMAGE or stride is None or stride < 1 or not self.effects[index].is_map:
            return
        if self.stride[index] is None:
            self.stride[index] = stride
            self.changed = True
