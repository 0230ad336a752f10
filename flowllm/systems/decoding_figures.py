"""Cost of decoding: tokens per second, padding, and idle rows of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import astuple, dataclass, fields

import numpy as np


@dataclass
class DecodingFigures:
    """Counts of decoding; those of several runs add up.

    Attributes:
        texts: texts that were begun.
        tokens: tokens written, the ends of the texts among them.
        prompt_tokens: tokens of the prompts, each prompt as often as it was asked.
        encoded: positions of the passes over prompts, padding included; a prompt that several texts
            of a batch share is passed over once, and so is a beginning that was written before.
        padded: those of them that are padding.
        passes: calls of the model.
        slots: rows that the batches had at their beginning, times their passes after the first.
        rows: those of them that still wrote; finished rows leave a batch, so the others cost
            nothing but the chance to fill them.
        seconds: of passes and draws.
    """

    texts: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    encoded: int = 0
    padded: int = 0
    passes: int = 0
    slots: int = 0
    rows: int = 0
    seconds: float = 0.0

    def __add__(self, other: DecodingFigures) -> DecodingFigures:
        return DecodingFigures(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> DecodingFigures:
        """From the values of a record, in the order of the attributes; all but seconds are whole.

        Raises:
            ValueError: another number of values.
        """
        figures = cls()
        for field, value in zip(fields(cls), np.asarray(values).tolist(), strict=True):
            setattr(figures, field.name, value if field.name == "seconds" else int(value))
        return figures

    def add(self, **counts: float) -> None:
        """Increase a counter."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)

    @property
    def tokens_per_second(self) -> float:
        """Tokens written per second; 0 if nothing was written."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def padding(self) -> float:
        """Share of the computed positions that are padding, 0 to 1."""
        return self.padded / max(self.encoded + self.rows, 1)

    @property
    def idle(self) -> float:
        """Share of the slots whose text had ended, 0 to 1."""
        return 1 - self.rows / self.slots if self.slots else 0.0

    @property
    def shared(self) -> float:
        """Share of the prompts' tokens that were not encoded, because an equal prompt was."""
        return 1 - (self.encoded - self.padded) / max(self.prompt_tokens, 1)

    def summary(self) -> dict[str, float]:
        """Counts and shares for a record, rounded."""
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        shares = ("padding", "idle", "shared")
        return {
            **{name: round(value, 3) for name, value in counts.items()},
            "tokens_per_second": round(self.tokens_per_second, 1),
            **{name: round(getattr(self, name), 4) for name in shares},
        }

    def __str__(self) -> str:
        return (
            f"{self.tokens:,} tokens, {self.tokens_per_second:,.0f}/s; "
            f"padding {100 * self.padding:.1f} %, idle rows {100 * self.idle:.1f} %"
        )


_COUNTING: ContextVar[tuple[DecodingFigures, ...]] = ContextVar("decoding figures", default=())


@contextmanager
def count_decoding() -> Iterator[DecodingFigures]:
    """Figures that grow with whatever this thread decodes inside the context."""
    figures = DecodingFigures()
    before = _COUNTING.set((*_COUNTING.get(), figures))
    try:
        yield figures
    finally:
        _COUNTING.reset(before)


def count(**counts: float) -> None:
    """Increase a counter in all active figures."""
    for figures in _COUNTING.get():
        figures.add(**counts)
