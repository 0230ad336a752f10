"""A second text format, as one would add it: a marker, then the axes in the order c, b, a."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flowllm.text.formats.base import TextError
from flowllm.text.formats.registry import make_format

MARKER = "axes c b a\n"


def turned(crystals):
    """The crystals with a and c exchanged; twice gives them back."""
    return crystals.replace(
        frac_coords=crystals.frac_coords[:, ::-1],
        lengths=crystals.lengths[:, ::-1],
        angles=crystals.angles[:, ::-1],
    )


class BackwardState:
    """The marker, then whatever the format of Gruver et al. allows."""

    def __init__(self, marker, inner):
        self.marker, self.inner, self.rule, self.begun = marker, inner, inner.rule, False

    @property
    def end(self):
        return self.inner.end

    @property
    def longest(self):
        return 1 + self.inner.longest

    def allowed(self):
        return self.inner.allowed() if self.begun else np.array([self.marker])

    def advance(self, token):
        if self.begun:
            self.inner.advance(token)
        self.begun = True


@dataclass(frozen=True)
class BackwardText:
    """Cells of up to `max_atoms` atoms; the model writes no space group into its prompt."""

    max_atoms: int
    name: ClassVar[str] = "backward"
    outline: ClassVar[tuple[str, ...]] = ("composition",)

    @property
    def inner(self):
        return make_format("gruver", self.max_atoms)

    def to_text(self, crystals, within_element=None):
        return [MARKER + text for text in self.inner.to_text(turned(crystals), within_element)]

    def parse_text(self, text, name="text"):
        if not text.startswith(MARKER):
            raise TextError(f"{name}: the text does not begin with {MARKER!r}")
        return turned(self.inner.parse_text(text.removeprefix(MARKER), name))

    def canonical(self, crystals):
        return self.inner.canonical(crystals)

    def words(self):
        return [*self.inner.words(), MARKER]

    def longest(self, tokenizer):
        return len(MARKER) + self.inner.longest(tokenizer)

    def states(self, tokenizer, asked, rules, overlap=False):
        marker = tokenizer.convert_tokens_to_ids(MARKER)
        return [
            BackwardState(marker, inner)
            for inner in self.inner.states(tokenizer, asked, rules, overlap)
        ]
