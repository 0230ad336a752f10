"""The part that draws a periodic table in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import traitlets

from flowllm.viz.colours import REFINED
from flowllm_widgets.periodic_table.data import places
from flowllm_widgets.shared.part import Part

HERE = Path(__file__).parent


class ElementTable(Part):
    """A periodic table of selectable elements, coloured by share if given.

    Attributes:
        label: what a screen reader calls it.
        heading: above it, such as the name of a set of crystals.
        elements: where each stands.
        allowed: symbols that can be chosen; empty for all.
        selected: symbols that are chosen.
        picks: whether elements can be chosen.
        shares: symbol -> share of crystals; an element without one stays blank.
        scale: ends of the logarithmic scale of colours, both above zero.
        colour: of the largest share.
    """

    _esm = HERE / "table.js"
    _css = HERE / "table.css"

    label = traitlets.Unicode("Periodic table").tag(sync=True)
    heading = traitlets.Unicode().tag(sync=True)
    elements: traitlets.List[Any] = traitlets.List().tag(sync=True)
    allowed = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picks = traitlets.Bool(True).tag(sync=True)
    shares: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    scale = traitlets.List(traitlets.Float(), [0.001, 1.0]).tag(sync=True)
    colour = traitlets.Unicode(REFINED).tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(elements=places(), **kwargs)
