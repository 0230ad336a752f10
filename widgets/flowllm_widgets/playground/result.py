"""ResultView: the samples of one try, with the text and both crystals of one."""

from __future__ import annotations

import html
import threading

import ipywidgets

from flowllm_widgets.playground.tokens import TokenStream
from flowllm_widgets.playground.tries import RUNNING, Sample, Try
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.stability.offer import StabilityOffer
from flowllm_widgets.structure.facts import describe
from flowllm_widgets.structure.view import StructureView

TITLES = ("Before refinement", "After refinement")


class ResultView(ipywidgets.VBox):
    """One sample of a try at a time; which one is chosen with a menu or two buttons."""

    def __init__(self) -> None:
        self.message = MessageLine()
        self.chosen = ipywidgets.Dropdown(
            description="Sample", options=[], layout={"width": "320px"},
            style={"description_width": "60px"},
        )  # fmt: skip
        self.previous = ipywidgets.Button(
            description="Previous", icon="chevron-left", layout={"width": "110px"}
        )
        self.next = ipywidgets.Button(
            description="Next", icon="chevron-right", layout={"width": "110px"}
        )
        self.tokens = TokenStream()
        self.note = ipywidgets.HTML()
        self.facts = [ipywidgets.HTML(), ipywidgets.HTML()]
        self.views = [StructureView(height=260), StructureView(height=260)]
        self.stability = StabilityOffer()
        columns = [
            ipywidgets.VBox(
                [ipywidgets.HTML(f'<div class="flowllm-heading">{title}</div>'), view, facts],
                layout={"flex": "1 1 200px", "min_width": "0", "overflow": "hidden"},
            )
            for title, view, facts in zip(TITLES, self.views, self.facts, strict=True)
        ]
        # text and crystals beside each other where there is room, see the style sheet
        text = ipywidgets.VBox([self.tokens, self.note])
        pair = ipywidgets.HBox(columns, layout={"flex_flow": "row wrap"})
        written = ipywidgets.Box([text, pair]).add_class("flowllm-written")
        super().__init__(
            [
                ipywidgets.HBox(
                    [self.chosen, self.previous, self.next], layout={"flex_flow": "row wrap"}
                ),
                ipywidgets.VBox([written]).add_class("flowllm-room"),
                self.stability,
                self.message,
            ]
        )
        self.layout.display = "none"
        self._try: Try | None = None
        self._naming = False
        self._drawn: list[object] = [None, None]  # the crystals that the views show
        self._lock = threading.RLock()  # the work in the background and the person both draw
        self.chosen.observe(self._choose, "value")
        self.previous.on_click(lambda _: self.step(-1))
        self.next.on_click(lambda _: self.step(1))

    @property
    def sample(self) -> Sample | None:
        """The sample on view."""
        if self._try is None or self.chosen.value is None:
            return None
        return self._try.samples[self.chosen.value]

    def show(self, one: Try) -> None:
        """Show a try from its first sample on."""
        with self._lock:
            self._try = one
            self.layout.display = ""
            self._name()
            self.chosen.value = one.order[0]
            self.draw()

    def refresh(self, one: Try) -> None:
        """Redraw if that try is visible."""
        with self._lock:
            if one is self._try:
                self._name()
                if one.state != RUNNING and self.sample is not None and not self.sample.refined:
                    self.chosen.value = one.order[0]  # after Cancel one that was finished
                self.draw()

    @shows_errors
    def step(self, by: int) -> None:
        """Go on or back by some samples."""
        if self._try is not None and self.chosen.value is not None:
            order = self._try.order
            place = order.index(self.chosen.value) + by
            self.chosen.value = order[max(0, min(place, len(order) - 1))]

    @shows_errors
    def _choose(self, change: dict[str, object]) -> None:
        with self._lock:
            if not self._naming:
                self.draw()

    def _name(self) -> None:
        """The menu: each sample with its formula, as soon as it has one."""
        assert self._try is not None
        options = []
        for place in self._try.order:
            sample = self._try.samples[place]
            best = sample.best
            words = [f"{place + 1} of {len(self._try.samples)}"]
            if best is not None:
                words += [best.formula or "?", *([] if best.valid else ["invalid"])]
            if sample.refined is None and self._try.state != RUNNING:
                words.append("not finished")
            options.append((" · ".join(words), place))
        if options != list(self.chosen.options):
            kept, self._naming = self.chosen.value, True
            with self.chosen.hold_sync():  # new options set the menu back to its first
                self.chosen.options = options
                self.chosen.value = kept if kept is not None and kept < len(options) else 0
            self._naming = False

    def draw(self) -> None:
        """Show the sample in its current state."""
        sample, one = self.sample, self._try
        if sample is None or one is None:
            return
        place = self.chosen.value
        first, last = one.order[0], one.order[-1]
        self.previous.disabled, self.next.disabled = place == first, place == last
        key = (one.number, place, sample.attempt, len(sample.rejected), sample.redrawn)
        self.tokens.show("/".join(map(str, key)), sample.tokens)
        lines = [f"Drawn again: {html.escape(reason)}" for reason in sample.rejected]
        if sample.source:
            lines.append(f"The structure below is that of {html.escape(sample.source)}.")
        said = "<br>".join(lines)
        self.note.value = f'<div class="flowllm-caption">{said}</div>' if said else ""
        for side, crystal in enumerate((sample.prior, sample.refined)):
            if crystal is not self._drawn[side]:
                self.views[side].show(crystal)
                self._drawn[side] = crystal
            self.facts[side].value = describe(sample.facts[side])
        before = {} if sample.prior is None else {"before refinement": sample.prior}
        self.stability.offer(sample.refined, before)
