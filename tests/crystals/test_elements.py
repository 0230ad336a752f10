"""The tables of elements against pymatgen's."""

import pytest
from pymatgen.core import Element

from flowllm.crystals.elements import (
    ATOMIC_MASSES,
    ELECTRONEGATIVITY_ORDER,
    NUMBER_OF,
    RANK_OF,
    SYMBOLS,
)

ELEMENTS = [Element.from_Z(number) for number in range(1, 119)]


def test_symbols_are_pymatgens():
    assert SYMBOLS[1:] == tuple(element.symbol for element in ELEMENTS)
    assert {symbol: NUMBER_OF[symbol] for symbol in SYMBOLS[1:]} == {
        element.symbol: element.Z for element in ELEMENTS
    }


def test_zero_stands_for_an_open_type_and_is_no_element():
    assert SYMBOLS[0] == "X"
    assert "X" not in NUMBER_OF
    assert "X" not in RANK_OF


@pytest.mark.filterwarnings("ignore:No Pauling electronegativity")
def test_order_is_that_of_sorted_elements():
    known = [element for element in sorted(ELEMENTS) if element.X == element.X]
    unknown = [symbol for symbol in ELECTRONEGATIVITY_ORDER if Element(symbol) not in known]
    order = [symbol for symbol in ELECTRONEGATIVITY_ORDER if symbol not in unknown]
    assert order == [element.symbol for element in known]
    assert (*order, *unknown) == ELECTRONEGATIVITY_ORDER
    assert unknown == sorted(unknown)


def test_ranks_count_through_all_elements():
    assert sorted(RANK_OF.values()) == list(range(118))
    assert [RANK_OF[s] for s in ("Sr", "Ti", "O")] == sorted(RANK_OF[s] for s in ("Sr", "Ti", "O"))


def test_masses_are_pymatgens():
    assert len(ATOMIC_MASSES) == 119
    wrong = {
        e.symbol: (ATOMIC_MASSES[e.Z], float(e.atomic_mass))
        for e in ELEMENTS
        if abs(ATOMIC_MASSES[e.Z] - float(e.atomic_mass)) > 2e-3 * float(e.atomic_mass)
    }
    assert not wrong
