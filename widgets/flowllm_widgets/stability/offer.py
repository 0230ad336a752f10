"""A button below a crystal that opens its `StabilityView`; nothing is made before it is clicked."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm_widgets.stability.widget import START, StabilityView


class StabilityOffer(ipywidgets.VBox):
    """Offers to relax the crystal on view; follows when another one comes on view.

    Attributes:
        view: the view, once it was asked for.
    """

    def __init__(self) -> None:
        self.button = ipywidgets.Button(description=START, layout={"width": "auto"})
        self.button.on_click(lambda _: self._open())
        self.view: StabilityView | None = None
        self._crystal: CrystalBatch | None = None
        self._others: dict[str, CrystalBatch] = {}
        super().__init__([self.button])
        self.layout.display = "none"

    def offer(
        self, crystal: CrystalBatch | None, others: Mapping[str, CrystalBatch] | None = None
    ) -> None:
        """The crystal on view, a batch of one, with earlier states of it; None for none.

        One with an open species cannot be relaxed and is none.
        """
        if crystal is self._crystal:
            return
        known = crystal is not None and bool((crystal.atomic_numbers > 0).all())
        self._crystal, self._others = crystal if known else None, dict(others or {})
        self.layout.display = "" if known else "none"
        if self.view is not None:
            self.view.show(self._crystal, self._others)

    def _open(self) -> None:
        if self.view is None:
            self.view = StabilityView()
            self.children = (self.view,)
        self.view.show(self._crystal, self._others)
        self.view.start()
