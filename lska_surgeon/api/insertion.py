"""What `insert` gives."""

from __future__ import annotations

from ..modelfile.insert import PlannedInsertion


class Insertion(PlannedInsertion):
    """An insertion that a notebook shows as a drawing as well; the rest is `modelfile.insert.PlannedInsertion`."""

    def _repr_html_(self) -> str:
        from ..drawing.drawing import drawing_of  # here, for only a notebook asks

        return f"{drawing_of(self.base, self.variant)._repr_html_()}\n{super()._repr_html_()}"
