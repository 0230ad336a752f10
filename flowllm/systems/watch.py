"""Progress reports of a part, and how it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowllm.systems.events import Event


class Stopped(Exception):
    """The caller requested a stop; raised by `Watch.step` and propagated by every part."""


@dataclass(frozen=True)
class Watch:
    """Handed to a prior or a refiner; the default watches nothing.

    Attributes:
        on_finished: called with how many more crystals are finished.
        on_event: called with every event; None spares the part the making of them.
        stop: asked at every step; True ends the work by `Stopped`.
        alternatives: tokens reported at each place by a language model; 0 reports no tokens.
    """

    on_finished: Callable[[int], None] | None = None
    on_event: Callable[[Event], None] | None = None
    stop: Callable[[], bool] | None = None
    alternatives: int = 0

    def finished(self, count: int = 1) -> None:
        """Report that `count` more crystals are finished, accepted or rejected."""
        if self.on_finished is not None:
            self.on_finished(count)

    def event(self, event: Event) -> None:
        """Report an event, whose index is the crystal's position in the batch."""
        if self.on_event is not None:
            self.on_event(event)

    def step(self) -> None:
        """To be called before every step: a token, a step of an integration, a crystal.

        Raises:
            Stopped: the caller asked for an end.
        """
        if self.stop is not None and self.stop():
            raise Stopped


UNWATCHED = Watch()
