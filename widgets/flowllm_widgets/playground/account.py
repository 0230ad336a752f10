"""Status texts of the playground during and after a try."""

from __future__ import annotations

import time
from collections.abc import Callable

from flowllm.methods.language_model.decoding.events import Token
from flowllm.systems.events import Drawn, Event, Refined, Refining
from flowllm_widgets.playground.tries import CANCELLED, FAILED, FINISHED, Try

BETWEEN = 0.1  # seconds between two updates of the page
HOW = {FINISHED: "Done", CANCELLED: "Cancelled", FAILED: "Failed"}


class Account:
    """Counts a model's events during a try and updates the status line.

    Args:
        one: the try.
        say: shows a line.
        refresh: shows what there is of the crystals.
    """

    def __init__(self, one: Try, say: Callable[[str], None], refresh: Callable[[], None]) -> None:
        self._try, self._say, self._refresh = one, say, refresh
        self._began, self._updated = time.perf_counter(), 0.0
        self._tokens = self._written = 0

    def tell(self, event: Event | Refining) -> None:
        """Handle an event of the model."""
        one, now = self._try, time.perf_counter()
        self._tokens += isinstance(event, Token)
        self._written += isinstance(event, Drawn)
        if isinstance(event, Token) and one.first_token is None:
            one.first_token = now - self._began
            self._updated = 0.0
        if isinstance(event, Refining):
            self._say(f"Refining {self._written} crystals …")
        elif isinstance(event, Refined) or now - self._updated >= BETWEEN:
            if not isinstance(event, Refined):
                of = f"{self._written} of {one.settings.num} crystals"
                self._say(f"Writing: {self._tokens} tokens, {of}")
            self._refresh()
            self._updated = time.perf_counter()

    def close(self, cancelled: bool) -> None:
        """Close the try: record its outcome and duration, and show them."""
        one = self._try
        one.seconds = time.perf_counter() - self._began
        if one.state != FAILED:
            one.state = CANCELLED if cancelled else FINISHED
        made, valid, formulas = one.counts()
        self._say(
            f"{HOW[one.state]} after {one.seconds:.1f} s: {made} of {one.settings.num} crystals, "
            f"{valid} valid, {formulas} formula{'' if formulas == 1 else 's'}"
        )
