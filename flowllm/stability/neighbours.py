"""Known crystals alongside generated ones, for pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.shipped import load_shipped
from flowllm.metrics.facts import CrystalFacts
from flowllm.stability.nearest_known import KnownCrystal, KnownCrystals
from flowllm.symmetry.symbols import typeset_symbol
from flowllm.viz.run_page import Neighbour

SOURCE = "mp_20"
WHERE = "MP-20's training split"


def neighbours_of(
    crystals: CrystalBatch, facts: Sequence[CrystalFacts], places: Sequence[int]
) -> Mapping[int, Neighbour]:
    """The nearest crystals of MP-20's training split, for those at some positions.

    Args:
        crystals: B crystals.
        facts: of the B crystals.
        places: which of them are compared.
    """
    sound = [place for place in places if not facts[place].fault and facts[place].formula]
    if not sound:
        return {}
    known = training_split()
    groups = np.array([facts[place].space_group for place in sound], dtype=np.int64)
    found = known.nearest(crystals[np.array(sound, dtype=np.int64)], groups)
    return {
        place: Neighbour(_short(one), in_words(one), known.known.crystals[one.place])
        for place, one in zip(sound, found, strict=True)
        if one is not None
    }


@cache
def training_split() -> KnownCrystals:
    """MP-20's training split, read once per process."""
    return KnownCrystals(load_shipped(SOURCE, "train"))


def _short(known: KnownCrystal) -> str:
    return f"{'=' if known.same else '~'} {known.formula} ({known.id})"


def in_words(known: KnownCrystal) -> str:
    """A known crystal in a sentence: formula, space group, id, and how near it is."""
    symbol = typeset_symbol(known.space_group) or "no space group"
    name = f"{known.formula}, {symbol} ({known.id})"
    if known.same:
        return f"{name}: the same crystal, in {WHERE}."
    return f"{name}: of the same kind of formula and the same space group, in {WHERE}."
