"""SweepPanel: a sweep over temperatures, charted as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import ipywidgets

from flowllm_widgets.playground.figure import sweep_errors, sweep_figure, sweep_ticks, sweep_values
from flowllm_widgets.playground.run import Generates
from flowllm_widgets.playground.sweep import Point, sweep, temperatures
from flowllm_widgets.playground.tries import Settings
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.plot import Plot

STYLE = {"description_width": "190px"}
NO_WIDER = {"max_width": "100%"}  # than its box, on a phone


class SweepPanel(ipywidgets.VBox):
    """Generates at several temperatures with the playground's other settings.

    Args:
        model: anything with `generate`.
        settings: gives the settings; the number of samples and the temperature are the panel's.
        changed: called when work begins and when it ends.
    """

    def __init__(
        self,
        model: Generates,
        settings: Callable[[], Settings],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._model, self._settings, self._changed = model, settings, changed
        self.message = MessageLine()
        self.points: list[Point] = []
        self.range = ipywidgets.FloatRangeSlider(
            value=(0.4, 1.6), min=0.1, max=3.0, step=0.1, description="Temperatures from, to",
            style=STYLE, layout={"width": "460px"},
        )  # fmt: skip
        self.count = ipywidgets.IntSlider(
            4, min=2, max=12, description="Temperatures", style=STYLE, layout={"width": "460px"}
        )
        self.num = ipywidgets.IntSlider(
            8, min=2, max=64, description="Crystals at each", style=STYLE, layout={"width": "460px"}
        )
        self.start = ipywidgets.Button(description="Start", icon="play", layout={"width": "110px"})
        self.cancel = ipywidgets.Button(
            description="Cancel", icon="stop", disabled=True, layout={"width": "110px"}
        )
        self.figure: Plot | None = None
        self._background = Background(self._failed, self._finished)
        self.start.on_click(lambda _: self.begin())
        self.cancel.on_click(lambda _: self._background.cancel())
        self._place = ipywidgets.VBox()
        self._place.add_class("flowllm-fit")
        controls = [
            ipywidgets.HBox(
                [
                    ipywidgets.VBox([self.range, self.count, self.num], layout=NO_WIDER),
                    ipywidgets.VBox([self.start, self.cancel]),
                ],
                layout={"flex_flow": "row wrap"},
            ),
            self.message,
            self._place,
        ]
        super().__init__(controls)

    @property
    def running(self) -> bool:
        """Whether a sweep is going on."""
        return not self.cancel.disabled

    @shows_errors
    def begin(self) -> None:
        """Start a sweep, replacing the points of the last."""
        low, high = self.range.value
        chosen = temperatures(low, high, self.count.value)
        settings = replace(self._settings(), num=self.num.value)
        self.points = []
        if self.figure is None:  # made when it can be seen, so that it knows its width
            self.figure = Plot(sweep_figure())
            self._place.children = (self.figure,)
        self._draw()
        self.cancel.disabled = False
        self._changed()
        self.message.say(f"0 of {len(chosen)} temperatures")

        def told(point: Point) -> None:
            self.points.append(point)
            self._draw()
            self.message.say(f"{len(self.points)} of {len(chosen)} temperatures")

        self._background.start(lambda stop: self._work(settings, chosen, stop, told))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the sweep; False if it still runs after `timeout` seconds."""
        return self._background.wait(timeout)

    def _work(
        self, settings: Settings, chosen: list[float], stop: Stop, told: Callable[[Point], None]
    ) -> None:
        sweep(self._model, settings, chosen, stop, told)

    def _draw(self) -> None:
        assert self.figure is not None
        with self.figure.batch_update():
            for trace, (x, y) in zip(self.figure.data, sweep_values(self.points), strict=True):
                trace.x, trace.y = x, y
            for trace, reach in zip(self.figure.data, sweep_errors(self.points), strict=False):
                trace.error_y.update(reach)
            if self.points:
                self.figure.update_xaxes(**sweep_ticks(self.points))

    @shows_errors
    def _failed(self, error: Exception) -> None:
        self.message.error(error)

    @shows_errors
    def _finished(self, cancelled: bool) -> None:
        self.cancel.disabled = True
        self._changed()
        if self.message.kind != "error":
            crystals = sum(point.num for point in self.points)
            how = "Cancelled" if cancelled else "Done"
            text = f"{how}: {crystals} crystals at {len(self.points)} temperatures."
            if self.points:  # the standard error of a share, largest at one half
                each = self.points[0].num
                text += (
                    f" Standard error of a share of {each} crystals: up to {50 / each**0.5:.0f} %."
                )
            self.message.say(text)
