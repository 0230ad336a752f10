"""Phase diagrams: known decompositions, pymatgen's own and our hull say the same."""

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm.stability.hull_table import load_hull
from flowllm.stability.phase_diagram import (
    Place,
    PlacedCrystal,
    elements_of,
    phase_diagram,
    place_of,
)


@pytest.fixture(scope="module")
def hull():
    return load_hull()


@pytest.mark.parametrize("text", ["Li-Fe-O", "Li Fe O", "Li, Fe, O", "LiFeO2", "LiFeO"])
def test_systems_are_read_as_people_write_them(text):
    assert elements_of(text) == ("Li", "Fe", "O")


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "empty"), (" - ", "empty"), ("Li", "2 to 4 elements, not 1"),
     ("Li-Fe-Mn-P-O", "2 to 4 elements, not 5"), ("Li-Xx", "Xx")],
)  # fmt: skip
def test_systems_that_cannot_be_drawn_are_refused(text, said):
    with pytest.raises(InputError, match=said):
        elements_of(text)


def test_stable_phases_are_those_that_chemistry_knows(hull):
    stable = {
        e.composition.reduced_formula for e in phase_diagram(("Li", "O"), hull).stable_entries
    }
    assert {"Li", "O2", "Li2O", "Li2O2"} <= stable
    ternary = phase_diagram(("Sr", "Ti", "O"), hull)
    assert "SrTiO3" in {e.composition.reduced_formula for e in ternary.stable_entries}


def test_a_crystal_between_two_phases_decomposes_to_them(hull):
    diagram = phase_diagram(("Li", "O"), hull)
    place = place_of(PlacedCrystal("Li3O", {"Li": 3, "O": 1}, -1.2), diagram)
    assert place.products == pytest.approx({"Li2O": 0.75, "Li": 0.25})
    energy = hull.hull.hull_energy({"Li": 3, "O": 1})
    assert place.e_above_hull == pytest.approx(-1.2 - energy, abs=1e-9)


def test_places_agree_with_the_hull_of_the_evaluation(hull):
    rng = np.random.default_rng(0)
    diagram = phase_diagram(("Na", "Mn", "Cl", "O"), hull)
    for _ in range(20):
        amounts = dict(zip(("Na", "Mn", "Cl", "O"), rng.integers(1, 6, 4).tolist(), strict=True))
        energy = float(rng.uniform(-3, 1))
        place = place_of(PlacedCrystal("x", amounts, energy), diagram)
        ours = hull.hull.distance_to_hull(amounts, energy)
        assert place.e_above_hull == pytest.approx(ours, abs=1e-8)
        assert sum(place.products.values()) == pytest.approx(1)


def test_what_lies_below_the_hull_says_so(hull):
    diagram = phase_diagram(("Li", "O"), hull)
    place = place_of(PlacedCrystal("LiO2", {"Li": 1, "O": 2}, -9.0), diagram)
    assert place.e_above_hull < 0
    assert "below the hull" in place.in_words("LiO2")
    assert Place(0.1, {"LiFeO2": 1.0}).in_words("LiFeO2") == (
        "LiFeO2 lies 0.100 eV/atom above the hull; more stable is the known LiFeO2."
    )


def test_an_element_that_the_diagram_lacks_is_named(hull):
    with pytest.raises(InputError, match="LiF holds F"):
        place_of(PlacedCrystal("LiF", {"Li": 1, "F": 1}, -3.0), phase_diagram(("Li", "O"), hull))
