"""Display: pictures of crystals by nglview, with fallbacks if it is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from flowllm.errors import InputError
from flowllm.viz.element_colours import colours_of_paths
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.structure.drawing import MovingDrawing
from flowllm_widgets.structure.legend import legend
from flowllm_widgets.structure.player import Player, scene
from flowllm_widgets.structure.projection import FIRST_ORIENTATION
from flowllm_widgets.structure.still import still_svg

RENDERERS = ("auto", "nglview", "plotly", "flat")
INSTEAD = {"no-extension": "plotly", "failed": "plotly", "no-webgl": "flat"}
WHY = {
    "no-extension": "nglview's JupyterLab extension is missing here, so plotly draws instead; "
    "install nglview 4.0 and reload the page",
    "no-webgl": "This browser offers no WebGL, so a flat picture stands in for the 3-D view; "
    "turn on hardware acceleration, or use another browser",
    "failed": "nglview could not draw here, so plotly draws instead",
}


class Display(ipywidgets.VBox):
    """Pictures side by side under one camera.

    Args:
        height: of a picture, in pixels.
        renderer: "auto" (nglview, and what there is where it is missing), "nglview" (or an error),
            "plotly" or "flat" (a projection as SVG).
        controls: whether the playback has controls.

    Attributes:
        player: the pictures in the browser, and their playback.
        kind: what draws: "nglview", "plotly" or "flat".
        legend: the elements and their colours, which all pictures share.
        message: why something else than nglview draws, or nothing.

    Raises:
        InputError: no such renderer.
    """

    kind = traitlets.Unicode("nglview")

    def __init__(self, height: int, renderer: str = "auto", controls: bool = True) -> None:
        if renderer not in RENDERERS:
            raise InputError(f'renderer "{renderer}": choose from {", ".join(RENDERERS)}')
        self.message = MessageLine()
        self._slot = ipywidgets.VBox()
        self._renderer = renderer
        self.player = Player(height=height, controls=controls)
        self.legend = ipywidgets.HTML()
        super().__init__([self._slot, self.player, self.legend, self.message])
        self._pictures: dict[str, MovingDrawing] = {}
        self.colours: Mapping[int, str] = {}
        self.player.observe(self._on_status, "status")
        self.player.observe(self._redraw, ["frame", "shown", "orientation", "look"])
        if renderer in ("plotly", "flat"):
            self._use(renderer)

    @property
    def pictures(self) -> dict[str, MovingDrawing]:
        """{caption: drawing} of all pictures, shown or hidden."""
        return self._pictures

    def show(
        self,
        pictures: Mapping[str, MovingDrawing],
        times: Sequence[float] | np.ndarray = (),
        places: Sequence[str] = (),
    ) -> None:
        """Replace the pictures; the camera stays.

        Args:
            pictures: {caption: drawing}.
            times: (T,) of the frames, shown beside their number.
            places: T texts that are shown instead of the times.
        """
        self._pictures = dict(pictures)
        self.colours, shown = colours_of_paths(d.numbers for d in pictures.values())
        self.legend.value = legend(shown, len(self.colours) - len(shown)) if shown else ""
        frames = max((len(d) for d in pictures.values()), default=1)
        player = self.player
        with player.hold_sync():
            if len(player.shown) != len(pictures):
                player.shown = [True] * len(pictures)
            player.frames = frames
            player.times = [float(t) for t in times]
            player.places = list(places)
            player.frame = min(player.frame, frames - 1)
            player.scenes = [scene(d, name, self.colours) for name, d in pictures.items()]
        self._rebuild()

    def reset_view(self) -> None:
        """Reset the camera of all pictures."""
        if self.kind == "nglview":
            self.player.reset_view()
        else:
            self.player.orientation = list(FIRST_ORIENTATION)
            self._rebuild()

    def svg(self) -> str:
        """The visible pictures in their current state, for a page without widgets."""
        player = self.player
        return still_svg(
            self._visible(), player.frame, height=player.height, orientation=player.orientation,
            colours=self.colours, polyhedra=player.look == "polyhedra",
        )  # fmt: skip

    def _visible(self) -> dict[str, MovingDrawing]:
        pairs = zip(self._pictures.items(), self.player.shown, strict=True)
        return {caption: drawing for (caption, drawing), shown in pairs if shown}

    # ---- without nglview -------------------------------------------------------------------

    @shows_errors
    def _on_status(self, change: dict[str, Any]) -> None:
        status = change["new"]
        if status == "ready" and self.kind != "nglview" and self._renderer in ("auto", "nglview"):
            self.message.clear()  # it came late, but it came
            self._use("nglview")
        if status not in INSTEAD:
            return
        detail = f" ({self.player.status_detail})" if status != "no-webgl" else ""
        if self._renderer == "nglview":
            self.message.error(f"nglview cannot draw: {WHY[status].split(',')[0]}{detail}")
            return
        self._use(INSTEAD[status])
        self.message.warning(WHY[status] + detail)

    def _use(self, kind: str) -> None:
        self.kind = kind
        self.player.renderer = self._renderer if kind == "nglview" else kind
        self._rebuild()

    @shows_errors
    def _rebuild(self) -> None:
        if self.kind == "nglview":
            self._slot.children = []
            return
        if self.kind == "flat":
            picture = ipywidgets.HTML(self.svg())
            picture.layout.align_self = "center"
            picture.layout.width = "100%"
            self._slot.children = [picture]
            return
        from flowllm_widgets.shared.plot import Plot
        from flowllm_widgets.structure.fallback import figure3d

        visible = self._visible()
        extent = max((d.extent for d in visible.values()), default=1.0)
        figure = figure3d(
            self._frames(visible), list(visible), extent, self.player.height + 30, self.colours,
            self.player.look == "polyhedra",
        )  # fmt: skip
        self._slot.children = [Plot(figure, bar=True, fit=False)] if visible else []

    @shows_errors
    def _redraw(self, change: dict[str, Any]) -> None:
        if self.kind == "nglview" or not self._slot.children:
            return
        if self.kind == "flat":
            self._slot.children[0].value = self.svg()
        elif change["name"] in ("shown", "look"):
            self._rebuild()
        elif change["name"] == "frame":
            from flowllm_widgets.structure.fallback import move

            move(
                self._slot.children[0], self._frames(self._visible()), self.colours,
                self.player.look == "polyhedra",
            )  # fmt: skip

    def _frames(self, pictures: Mapping[str, MovingDrawing]) -> list[Any]:
        frame = self.player.frame
        return [d.at(min(frame, len(d) - 1)) for d in pictures.values()]
