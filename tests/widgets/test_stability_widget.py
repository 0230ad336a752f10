"""StabilityView: relaxes by the real potential, says where the crystal lies, can be cancelled."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.relax import RelaxSettings, relax
from flowllm.stability import load_hull
from flowllm_widgets import PhaseDiagramView, StabilityView
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.stability.about import AboutCrystal
from flowllm_widgets.stability.figure import pattern_figure
from flowllm_widgets.stability.offer import StabilityOffer
from flowllm_widgets.stability.widget import CANCEL, START, verdict_of
from tests.relax.artificial import Springs

pytestmark = pytest.mark.slow

SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.47, 0.5, 0.52)], [(4.2, 4.2, 4.2)], [(60, 60, 60)], [2], ["salt"]
)


@pytest.fixture(scope="module")
def finished():
    view = StabilityView(SALT)
    view.start()
    assert view.wait(120)
    return view


def test_it_lies_where_the_evaluation_says(finished):
    assert finished.state == "finished" and not finished.message.text
    result, hull = relax(SALT), load_hull()
    formation = hull.references.formation_energy(result.crystals, result.energies)
    expected = hull.e_above_hull(result.crystals, formation)[0]
    assert finished.e_above_hull == pytest.approx(expected, abs=1e-5)
    assert verdict_of(finished.e_above_hull) in finished.verdict.value
    assert finished.button.description == START


def test_energies_and_the_relaxed_crystal_are_shown(finished):
    energies = [step.energy for step in finished.steps]
    assert list(finished._plot.data[0].y) == energies and energies[-1] < energies[0]
    shown = finished.view.crystal
    np.testing.assert_allclose(shown.lengths, finished.steps[-1].crystal.lengths)


def test_phase_diagram_and_patterns_stand_below(finished):
    diagram, patterns = finished._below.children
    assert isinstance(diagram, PhaseDiagramView) and diagram.system.value == "Na-Cl"
    assert isinstance(patterns, Plot)
    assert [trace.name for trace in patterns.data[::2]] == ["given", "relaxed"]


def test_another_crystal_begins_anew(finished):
    view = StabilityView(SALT, potential=Springs())
    view.start()
    assert view.wait(60)
    view.show(SALT.replace(ids=["other"]))
    assert view.state == "waiting" and view.steps == [] and view._below.children == ()
    assert list(view._plot.data[0].y) == []


def test_it_can_be_cancelled():
    view = StabilityView(SALT, potential=Springs(delay=0.2))
    view.start()
    assert view.button.description == CANCEL
    view._toggle()
    assert view.wait(60)
    assert view.state == "cancelled" and "cancelled" in view.verdict.value


def test_what_cannot_be_relaxed_is_said():
    view = StabilityView(SALT, settings=RelaxSettings(steps=1), potential=Springs())
    view.start()
    assert view.wait(60)
    assert view.state == "failed" and "salt: not converged in 1 steps" in view.message.text
    with pytest.raises(InputError, match="no crystal"):
        StabilityView().start()


@pytest.mark.parametrize(
    ("height", "word"), [(-0.01, "stable"), (0.05, "metastable"), (0.2, "unstable")]
)
def test_the_verdict_follows_the_height(height, word):
    assert f": {word}" in verdict_of(height)
    assert "no reference" in verdict_of(float("nan"))


def test_patterns_of_states_stand_in_one_chart():
    figure = pattern_figure({"before": SALT, "after": SALT})
    assert [trace.name for trace in figure.data] == ["before", "before", "after", "after"]
    assert np.array_equal(figure.data[0].y, figure.data[2].y)


def test_an_offer_makes_nothing_before_it_is_taken():
    offer = StabilityOffer()
    assert offer.layout.display == "none"
    offer.offer(SALT, {"before": SALT})
    assert offer.layout.display == "" and offer.view is None
    offer.button.click()
    assert offer.view.wait(120) and offer.view.state == "finished"
    assert list(offer.view.others) == ["before"]
    offer.offer(SALT.replace(ids=["next"]))
    assert offer.view.state == "waiting" and offer.view.crystal.ids[0] == "next"


def test_an_open_species_is_not_offered():
    offer = StabilityOffer()
    offer.offer(SALT.replace(atomic_numbers=[0, 17]))
    assert offer.layout.display == "none"


def test_facts_and_the_nearest_known_crystal_stand_below():
    about = AboutCrystal()
    bromide = SALT.replace(  # NaBr is of the training split, NaCl is not
        atomic_numbers=[11, 35], frac_coords=[(0, 0, 0), (0.5, 0.5, 0.5)], lengths=[(4.25,) * 3]
    )
    about.show(bromide)
    assert "Fm-3m (225)" in about.facts.value
    assert "NaBr" in about.nearest.value and "the same crystal" in about.nearest.value
    assert about.stability.layout.display == ""
    about.show(None)
    assert about.facts.value == about.nearest.value == ""
    assert about.stability.layout.display == "none"
