"""The panel below a crystal: facts, the nearest known crystal, and stability."""

from __future__ import annotations

import html
from collections.abc import Mapping

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm.metrics.facts import crystal_facts
from flowllm.stability.neighbours import neighbours_of
from flowllm_widgets.stability.offer import StabilityOffer
from flowllm_widgets.structure.facts import describe


class AboutCrystal(ipywidgets.VBox):
    """Facts of one crystal, the nearest crystal of MP-20's training split, and `StabilityView`.

    Attributes:
        stability: the offer to relax the crystal.
    """

    def __init__(self) -> None:
        self.facts, self.nearest = ipywidgets.HTML(), ipywidgets.HTML()
        self.stability = StabilityOffer()
        super().__init__([self.facts, self.nearest, self.stability])

    def show(
        self, crystal: CrystalBatch | None, others: Mapping[str, CrystalBatch] | None = None
    ) -> None:
        """Show another crystal, a batch of one, and earlier states of it; None shows nothing."""
        self.stability.offer(crystal, others)
        if crystal is None:
            self.facts.value = self.nearest.value = ""
            return
        facts = crystal_facts(crystal)
        known = neighbours_of(crystal, facts, [0]).get(0)
        self.facts.value = describe(facts[0])
        self.nearest.value = (
            f'<div class="flowllm-caption">Nearest known crystal: {html.escape(known.text)}</div>'
            if known
            else ""
        )
