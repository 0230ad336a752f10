"""The composition test of the papers: charge neutrality and Pauling's rule with SMACT's data.

Follows `smact.screening.smact_validity` (Davies et al., Chem 1, 617 (2016); JOSS 4, 1361 (2019)) as
CDVAE and FlowMM call it. SMACT tries every combination of oxidation states, which takes seconds for
a composition of many elements; here the same question is answered by the charges that can be
reached, cut by cut along the electronegativities. A test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from math import gcd

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS


@dataclass(frozen=True)
class SmactSettings:
    """Settings of the composition test.

    Attributes:
        oxidation_states_set: SMACT's name of the oxidation states: smact14, icsd16 or icsd24.
        use_pauling_test: every cation must be less electronegative than every anion.
        include_alloys: compositions of metals alone pass.
    """

    oxidation_states_set: str = "smact14"
    use_pauling_test: bool = True
    include_alloys: bool = True


PAPERS_SETTINGS = SmactSettings()
"""The settings of CDVAE, FlowMM and FlowLLM: version 2's oxidation states ("smact14"; SMACT 4 reads
another set by default), Pauling's rule, alloys and single elements pass. MP-20's training set
scores about 90 % by it. An element without oxidation states there (He, Ne, Ar) or without an
electronegativity (Pm besides) fails in every compound, as in SMACT."""


def compositional_validity(
    crystals: CrystalBatch, settings: SmactSettings = PAPERS_SETTINGS
) -> np.ndarray:
    """(B,) bool: which of B crystals can be neutral, by SMACT's rules.

    A crystal with an open type or without atoms is invalid. Results are kept per reduced
    composition.
    """
    splits = np.split(crystals.atomic_numbers, np.cumsum(crystals.num_atoms)[:-1])
    result = np.zeros(len(crystals), dtype=bool)
    for index, numbers in enumerate(splits[: len(crystals)]):
        kinds, counts = np.unique(numbers, return_counts=True)
        if len(kinds) and kinds[0] > 0:
            divisor = np.gcd.reduce(counts)
            key = tuple(zip(kinds.tolist(), (counts // divisor).tolist(), strict=True))
            result[index] = _is_valid(key, settings)
    return result


def is_valid_composition(
    composition: Mapping[str, int], settings: SmactSettings = PAPERS_SETTINGS
) -> bool:
    """The same for one composition {element symbol: atoms}."""
    divisor = reduce(gcd, composition.values())
    key = sorted((SYMBOLS.index(s), n // divisor) for s, n in composition.items())
    return _is_valid(tuple(key), settings)


@lru_cache(maxsize=200_000)
def _is_valid(composition: tuple[tuple[int, int], ...], settings: SmactSettings) -> bool:
    if len(composition) == 1:
        return True
    rows = [(count, *_element(number, settings)) for number, count in composition]
    if settings.include_alloys and all(is_metal for *_, is_metal in rows):
        return True
    if not all(states for _, states, *_ in rows):
        return False
    if not settings.use_pauling_test:
        return _reaches_zero([(count, states) for count, states, *_ in rows])
    known = [(count, states, value) for count, states, value, _ in rows if value is not None]
    if len(known) < len(rows):
        return False
    # Pauling's rule holds if and only if some electronegativity parts cations from anions
    for cut in {value for *_, value in known}:
        allowed = [
            (count, tuple(x for x in states if x == 0 or (x > 0) == (value <= cut)))
            for count, states, value in known
        ]
        if _reaches_zero(allowed):
            return True
    return False


def _reaches_zero(rows: list[tuple[int, tuple[int, ...]]]) -> bool:
    """Whether one state per element, times its count, can add up to no charge."""
    sums = {0}
    for count, states in rows:
        sums = {total + count * state for total in sums for state in states}
    return 0 in sums


@lru_cache(maxsize=1_000)
def _element(number: int, settings: SmactSettings) -> tuple[tuple[int, ...], float | None, bool]:
    """Oxidation states, Pauling electronegativity and whether SMACT calls the element a metal."""
    import smact

    symbol = SYMBOLS[number]
    try:
        element = smact.Element(symbol)
    except (NameError, KeyError):  # SMACT's tables end at 103, some of them later
        return (), None, False
    states = getattr(element, f"oxidation_states_{settings.oxidation_states_set}")
    return tuple(states or ()), element.pauling_eneg, symbol in smact.metals
