"""The two front-end views: draggable points, and panels whose layers move with t."""

from __future__ import annotations

import html
from pathlib import Path

import torch
import traitlets

from flowllm.errors import InputError
from flowllm.manifolds import FlatTorus
from flowllm_widgets.shared.part import Part
from flowllm_widgets.shared.still import as_image
from flowllm_widgets.torus.still import geodesic_svg, panels_svg

_HERE = Path(__file__).parent
_SQUARE = _HERE / "square.js"
_CSS = (_HERE / "torus.css").read_text(encoding="utf-8")


class GeodesicView(Part):
    """Two points of the torus, moved by mouse or arrow keys, and their geodesic.

    Attributes:
        x, y: [x, y] coordinates in [0, 1) of start and end.
        t: time of the marked point on the path.
    """

    _esm = (_SQUARE, _HERE / "geodesic.js")
    _css = _CSS
    x = traitlets.List(traitlets.Float(), [0.14, 0.78], minlen=2, maxlen=2).tag(sync=True)
    y = traitlets.List(traitlets.Float(), [0.86, 0.30], minlen=2, maxlen=2).tag(sync=True)
    t = traitlets.Float(0.35).tag(sync=True)

    @traitlets.validate("x", "y")
    def _inside(self, proposal: traitlets.Bunch) -> list[float]:
        return FlatTorus().projx(torch.tensor(proposal["value"], dtype=torch.float64)).tolist()

    @property
    def log(self) -> torch.Tensor:
        """(2,) float64 log_x(y), which the view prints."""
        return FlatTorus().logmap(*self._points)

    @property
    def point(self) -> torch.Tensor:
        """(2,) float64 exp_x(t log_x(y)), the marked point."""
        return FlatTorus().geodesic(*self._points, self.t)

    @property
    def _points(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(self.x, dtype=torch.float64), torch.tensor(self.y, dtype=torch.float64)

    def still(self) -> str:
        """The still for a page without a kernel."""
        return as_image(geodesic_svg(self.x, self.y, self.point.tolist()), "geodesic on the torus")


class FlowView(Part):
    """Panels side by side, each a square with layers that move with t; one legend and slider.

    Attributes:
        panels: {"title": str, "layers": list of `flowllm_widgets.torus.layers.Layer` as dict} each.
        hidden: names of layers that are switched off.
        t: time shown.
        seconds: that playing from 0 to 1 takes.
    """

    _esm = (_SQUARE, _HERE / "flow.js")
    _css = _CSS
    panels = traitlets.List(traitlets.Dict()).tag(sync=True)
    hidden = traitlets.List(traitlets.Unicode()).tag(sync=True)
    t = traitlets.Float(0.0).tag(sync=True)
    seconds = traitlets.Float(3.0).tag(sync=True)

    @traitlets.validate("t")
    def _time(self, proposal: traitlets.Bunch) -> float:
        if not 0.0 <= proposal["value"] <= 1.0:
            raise InputError(f"t must be between 0 and 1, not {proposal['value']}")
        return proposal["value"]

    def still(self) -> str:
        """The still for a page without a kernel: the panels at the current time."""
        titles = ", ".join(panel["title"] for panel in self.panels)
        return as_image(panels_svg(self.panels, self.hidden, self.t), html.escape(titles))
