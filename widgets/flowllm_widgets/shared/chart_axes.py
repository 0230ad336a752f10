"""Layout of a plotly figure in a picture: panels, axes and ticks."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TICKS = 5  # along an axis, more or less
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
ROOM = 0.05  # of the range, around values whose axis has none


@dataclass
class Axis:
    """One axis of a panel, from `start` to `stop` in pixels.

    Attributes:
        start: pixels of its least value; y grows downwards.
        stop: pixels of its greatest value.
        low: least value; of a logarithmic axis its exponent.
        high: greatest value.
        logarithmic: whether values are drawn by their exponent.
        names: of a categorical axis, in their order.
        own: the layout's description of it.
    """

    start: float
    stop: float
    low: float = 0.0
    high: float = 1.0
    logarithmic: bool = False
    names: list[str] = field(default_factory=list)
    own: Any = None

    def numbers(self, values: Any) -> np.ndarray:
        """Values as numbers; names by their place."""
        array = np.asarray(values, dtype=object)
        if any(isinstance(value, str) for value in array):
            for value in map(str, array):
                if value not in self.names:
                    self.names.append(value)
            return np.array([float(self.names.index(str(value))) for value in array])
        result = np.array([math.nan if v is None else float(v) for v in array], dtype=float)
        if self.logarithmic:
            with np.errstate(all="ignore"):
                return np.where(result > 0, np.log10(np.where(result > 0, result, 1)), np.nan)
        return result

    def at(self, numbers: Any) -> np.ndarray:
        """Pixels of `numbers`."""
        share = (np.asarray(numbers, dtype=float) - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.stop - self.start)

    def fit(self, values: Sequence[np.ndarray], to_zero: bool = False) -> None:
        """Take the layout's range, or one that holds all values.

        Args:
            values: as `numbers` gives them.
            to_zero: whether zero is in the range.
        """
        known = np.concatenate([np.ravel(v) for v in values]) if values else np.zeros(0)
        known = known[np.isfinite(known)]
        given = getattr(self.own, "range", None)
        if given is not None and None not in given:
            self.low, self.high = (float(end) for end in given)
            return
        if self.names:
            self.low, self.high = -0.6, len(self.names) - 0.4
            return
        if not len(known):
            return
        low, high = float(known.min()), float(known.max())
        if to_zero:
            low, high = min(low, 0.0), max(high, 0.0)
        room = ROOM * ((high - low) or abs(high) or 1.0)
        self.low = low if to_zero and low == 0 else low - room
        self.high = high + room

    def ticks(self) -> list[tuple[float, str]]:
        """Values with their texts."""
        own = self.own
        if getattr(own, "tickvals", None) is not None:
            texts = own.ticktext if own.ticktext is not None else [f"{v:g}" for v in own.tickvals]
            return [(float(v), str(t)) for v, t in zip(own.tickvals, texts, strict=True)]
        if self.names:
            return [(float(place), name) for place, name in enumerate(self.names)]
        step = nice_step((self.high - self.low) / TICKS)
        if self.logarithmic:
            step = max(1.0, round(step))
        elif isinstance(getattr(own, "dtick", None), int | float):
            step = float(own.dtick)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(k * step, self._text(k * step)) for k in range(first, min(last, first + 20) + 1)]

    def _text(self, value: float) -> str:
        if self.logarithmic:
            return f"{10**value:g}"
        suffix = getattr(self.own, "ticksuffix", None) or ""
        if str(getattr(self.own, "tickformat", None) or "").endswith("%"):
            value, suffix = 100 * value, " %"
        return f"{value + 0.0:.6g}".replace("-", "−") + suffix


def nice_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, near a step."""
    if not rough > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * nice for nice in (1, 2, 5, 10) if rough <= 1.01 * power * nice)


def plain(text: object) -> str:
    """Plotly's text without markup, with Unicode subscripts, escaped for SVG."""
    said = str(text or "")
    said = re.sub(r"<sub>(.*?)</sub>", lambda m: m[1].translate(SUBSCRIPTS), said)
    said = re.sub(r"<br\s*/?>", " ", said)
    return html.escape(html.unescape(re.sub(r"</?\w+[^>]*>", "", said)), quote=True)
