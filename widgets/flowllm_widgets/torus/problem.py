"""The controls that define the learning problem, shared by several steps."""

from __future__ import annotations

import ipywidgets

from flowllm.crystals.batch import CrystalBatch
from flowllm_widgets.torus.distributions import distributions
from flowllm_widgets.torus.matching import Pairs, draw_pairs

TRAINING, FRESH = 20_000, 3_000
"""Numbers of pairs to train on, whose marginal velocity is drawn too, and to measure with."""
PAIRS, OTHERS = 1, 2
"""Which draw they are."""


class Problem(ipywidgets.HBox):
    """Choice of base, target and pairing.

    Args:
        crystals: whose coordinates are the distribution "crystals".
        seed: of all draws.
    """

    def __init__(self, crystals: CrystalBatch | None, seed: int) -> None:
        self.draws, self.seed = distributions(crystals), seed
        names = tuple(self.draws)
        style = {"description_width": "initial"}
        self.base = ipywidgets.Dropdown(
            options=names, value="uniform", description="Base", style=style
        )
        self.target = ipywidgets.Dropdown(
            options=names, value="ring", description="Target", style=style
        )
        self.pairing = ipywidgets.Dropdown(
            options=(("at random", False), ("each start with a nearby end", True)),
            value=False, description="Pairs", style=style,
        )  # fmt: skip
        for control in (self.base, self.target):
            control.layout.width = "200px"
        super().__init__([self.base, self.target, self.pairing])
        self.layout.flex_flow = "row wrap"

    def pairs(self, count: int, part: int) -> Pairs:
        """Pairs of the problem; another part is another draw."""
        base, target = self.draws[self.base.value], self.draws[self.target.value]
        return draw_pairs(base, target, count, 1000 * self.seed + part, self.pairing.value)
