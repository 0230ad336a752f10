"""PhaseDiagramView: crystals stand where their composition and energy say."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.stability.hull_table import load_hull
from flowllm.stability.phase_diagram import PlacedCrystal, elements_of, phase_diagram
from flowllm_widgets import PhaseDiagramView
from flowllm_widgets.phase_diagram.figure import phase_figure

SALT = CrystalBatch([11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4, 4)], [(60, 60, 60)], [2], ["a"])


@pytest.fixture(scope="module")
def hull():
    return load_hull()


def marks(figure):
    return [trace for trace in figure.data if trace.name == "Highlighted"]


@pytest.mark.parametrize(
    ("system", "amounts"),
    [("Li-O", {"Li": 1, "O": 2}), ("Li-Fe-O", {"Li": 1, "Fe": 1, "O": 2}),
     ("Li-Fe-P-O", {"Li": 1, "Fe": 1, "P": 1, "O": 4})],
)  # fmt: skip
@pytest.mark.parametrize("energy", [1.0, -0.5, -9.0])
def test_a_crystal_is_marked_however_far_from_the_hull(hull, system, amounts, energy):
    diagram = phase_diagram(elements_of(system), hull)
    (mark,) = marks(phase_figure(diagram, [PlacedCrystal("x", amounts, energy)]))
    assert "eV/atom" in mark.hovertext[0] and "no ID" not in mark.hovertext[0]
    if len(amounts) == 2:
        assert (mark.x[0], mark.y[0]) == pytest.approx((2 / 3, energy), abs=5e-3)


def test_stable_phases_of_a_triangle_have_their_formulas(hull):
    figure = phase_figure(phase_diagram(("Sr", "Ti", "O"), hull))
    (stable,) = [trace for trace in figure.data if trace.name == "Stable"]
    assert "SrTiO<sub>3</sub>" in stable.text
    assert marks(figure) == []


def test_the_field_changes_the_system_and_errors_are_said():
    view = PhaseDiagramView("Li-O")
    first = view._slot.children[0]
    view.system.value = "Na Cl"
    assert view._slot.children[0] is not first and not view.message.text
    view.system.value = "Li-Fe-Mn-P-O"
    assert view.message.text.startswith("a phase diagram can be drawn of 2 to 4 elements, not 5")
    view.system.value = "Na-Cl"
    assert not view.message.text


def test_crystals_are_placed_by_their_total_energies(hull):
    energy = sum(hull.references.energies[e] for e in ("Na", "Cl")) / 2 - 1.5
    view = PhaseDiagramView(crystals=SALT, energies=[energy])
    assert view.system.value == "Na-Cl"
    (placed,) = view.placed
    assert placed.formation_energy == pytest.approx(-1.5)
    assert "NaCl lies" in view.places.value and "above the hull" in view.places.value
    view.system.value = "Li-O"
    assert "1 crystals contain other elements" in view.places.value


def test_bad_input():
    with pytest.raises(InputError, match="needs a chemical system"):
        PhaseDiagramView()
    with pytest.raises(InputError, match="energies"):
        PhaseDiagramView(crystals=SALT, energies=[])
    with pytest.raises(InputError, match="no finite energy"):
        PhaseDiagramView(crystals=SALT, energies=[np.nan])
