"""The button that computes energies along a trajectory, in the background, with its progress."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets

from flowllm.crystals.trajectory import Trajectory
from flowllm.relax import Potential
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.trajectory.data import EnergyCurve, energy_curve

START, CANCEL = "CHGNet energy", "Cancel"


class EnergyControl(ipywidgets.HBox):
    """A button, a bar and a line of text.

    Args:
        asked: called by the button; should call `start`.
        changed: called, in another thread, with the key of a curve that has new values.
        message: where errors appear.
        potential: what computes energies; CHGNet if None.

    Attributes:
        curves: what is computed so far, by key.
    """

    def __init__(
        self,
        asked: Callable[[], None],
        changed: Callable[[int], None],
        message: MessageLine,
        potential: Potential | None = None,
    ) -> None:
        self._asked, self._changed, self._potential = asked, changed, potential
        self.message, self.curves = message, dict[int, EnergyCurve]()
        self._background = Background(message.error, self._finished)
        self.button = ipywidgets.Button(description=START, layout={"width": "auto"})
        self.button.on_click(lambda _: self._toggle())
        self._bar = ipywidgets.IntProgress(layout={"width": "160px", "visibility": "hidden"})
        self.text = ipywidgets.HTML()
        super().__init__([self.button, self._bar, self.text])
        self.layout.align_items = "center"

    def start(self, key: int, trajectory: Trajectory) -> None:
        """Compute the energies of one crystal's frames; the values appear as they come."""
        self.message.clear()
        self.button.description = CANCEL
        self._bar.max, self._bar.value = len(trajectory), 0
        self._bar.layout.visibility = "visible"
        self.text.value = "loading CHGNet …"

        def work(stop: Stop) -> None:
            def advance(curve: EnergyCurve, done: int) -> None:
                stop.check()
                self._bar.value = done
                self.text.value = f"frame {done} of {len(trajectory)}"
                self._put(key, curve)

            curve = energy_curve(trajectory, advance, self._potential)
            self._put(key, curve)
            if curve.fault:
                self.message.warning(curve.fault)

        self._background.start(work)

    def cancel(self) -> None:
        """Stop after the frames being computed; finished values stay."""
        if self._background.running:
            self.text.value = "cancelling …"
        self._background.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being computed; False if it still is after `timeout` seconds."""
        return self._background.wait(timeout)

    @shows_errors
    def _toggle(self) -> None:
        if self._background.running:
            self.cancel()
        else:
            self._asked()

    def _put(self, key: int, curve: EnergyCurve) -> None:
        self.curves[key] = curve
        self._changed(key)

    def _finished(self, cancelled: bool) -> None:
        self.button.description = START
        self._bar.layout.visibility = "hidden"
        self.text.value = "cancelled" if cancelled else ""
