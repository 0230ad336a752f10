"""One request to several systems in a widget: what is asked, what is shown, what is refused."""

import threading

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.base.geometry import SimpleBase
from flowllm.methods.base.open_species import OpenPrior
from flowllm.systems.system import FlowLLM
from flowllm.teaching.systems import Systems, ask, shipped_systems
from flowllm.teaching.ways import measure_way
from flowllm_widgets import SideBySide
from flowllm_widgets.systems.data import HEADINGS, rows_of
from flowllm_widgets.systems.figure import ways_figure
from tests.systems.toys import RocksaltPrior, SwellRefiner
from tests.widgets.trajectory_samples import Springs

pytestmark = pytest.mark.slow

WAIT = 60
SALT = Conditions(composition={"Na": 1, "Cl": 1})


class ClosedSwell(SwellRefiner):
    """A refiner that tells it works, and waits until it is stopped."""

    def __init__(self):
        super().__init__()
        self.working = threading.Event()

    def refine(self, crystals, settings, seeds, watch=None, start=0.0):
        self.working.set()
        while True:
            watch.step()


def toys(**more):
    base = OpenPrior(SimpleBase((1.5, 1.6, 1.7), (0.2, 0.2, 0.2)))
    made = {
        "rocksalt": FlowLLM(RocksaltPrior(), SwellRefiner(), [1, 1, 1]),
        "still": FlowLLM(RocksaltPrior(), None, [1, 1, 1]),
        "random": FlowLLM(base, None, [1, 1, 1]),
        **more,
    }
    return Systems(list(made), made.__getitem__)


@pytest.fixture
def widget():
    made = SideBySide(toys(), num=2, composition={"Na": 1, "Cl": 1}, renderer="flat")
    yield made
    made.cancel.click()
    assert made.wait(WAIT)


def test_every_system_is_asked_the_same_and_shown(widget):
    assert widget.form.fields["composition"].value == "Na1 Cl1"
    widget.start.click()
    assert widget.wait(WAIT) and widget.message.text == ""
    assert list(widget.answers) == ["rocksalt", "still", "random"]
    for one in widget.answers.values():
        assert one.crystals.formulas == ["NaCl", "NaCl"]
    assert list(widget.display.pictures) == ["rocksalt", "still", "random"]
    assert {len(picture) for picture in widget.display.pictures.values()} == {60}
    assert widget.display.player.places[0] == "0 % of the path"
    assert widget.display.player.frame == 59
    assert widget.table.value.count("<tr>") == 4 and '<th scope="row">still' in widget.table.value
    assert not widget.start.disabled and widget.cancel.disabled
    first = widget.answers["rocksalt"].crystals
    assert f"{rows_of(list(widget.answers.values()), 0)[0].facts.volume:.3f}" == (
        f"{first.volumes[0]:.3f}"
    )


def test_what_a_system_cannot_heed_stands_in_the_table(widget):
    widget.form.fields["space_group"].value = "225"
    widget.start.click()
    assert widget.wait(WAIT) and widget.message.text == ""
    assert {one.left_out for one in widget.answers.values()} == {("space_group",)}
    assert "<td>space group</td>" in widget.table.value


def test_the_other_crystals_are_shown_on_choice(widget):
    widget.start.click()
    assert widget.wait(WAIT)
    assert [label for label, _ in widget.chosen.options] == ["1 of 2", "2 of 2"]
    before = widget.table.value
    widget.chosen.value = 1
    assert widget.crystal == 1
    assert widget.display.pictures["random"].positions.shape[0] == 60
    density = rows_of(list(widget.answers.values()), 1)[2].cells[HEADINGS.index("Density, g/cm³")]
    assert density in widget.table.value and widget.table.value != before


def test_one_system_can_be_looked_at_closer(widget):
    widget.start.click()
    assert widget.wait(WAIT)
    widget.closer.value = "rocksalt"
    viewer = widget.viewer
    assert viewer is not None and "t = 0.00" in viewer.status.value
    widget.chosen.value = 1
    assert viewer.crystal == 1
    widget.closer.value = widget.closer.options[0]
    assert widget.viewer is None


def test_only_the_chosen_systems_are_asked(widget):
    for name in ("rocksalt", "random"):
        widget.boxes[name].value = False
    widget.start.click()
    assert widget.wait(WAIT) and list(widget.answers) == ["still"]
    widget.boxes["still"].value = False
    widget.start.click()
    assert widget.message.text == "choose at least one system"


def test_a_system_that_refuses_does_not_keep_the_others(widget):
    widget.form.fields["composition"].value = "Na1 Cl1 F1"
    widget.start.click()
    assert widget.wait(WAIT)
    assert list(widget.answers) == ["random"]
    assert "rocksalt: rocksalt has two elements" in widget.message.text


def test_a_request_that_cannot_be_read_is_not_asked(widget):
    widget.form.fields["composition"].value = "Xx2"
    assert widget.start.disabled
    widget.begin()
    assert widget.answers == {}


def test_cancel_ends_the_work_within_a_system():
    refiner = ClosedSwell()
    widget = SideBySide(
        toys(slow=FlowLLM(RocksaltPrior(), refiner, [1, 1])), renderer="flat",
        composition={"Na": 1, "Cl": 1},
    )  # fmt: skip
    widget.start.click()
    assert refiner.working.wait(WAIT) and not widget.cancel.disabled
    widget.cancel.click()
    assert widget.wait(WAIT)
    assert widget.progress.text.startswith("Cancelled: 3 systems")
    assert "slow" not in widget.answers and not widget.start.disabled


def test_answers_that_are_there_are_shown_at_once():
    found = list(ask(toys(), SALT, 1, 3))
    widget = SideBySide(toys(), found, renderer="flat")
    assert list(widget.answers) == ["rocksalt", "still", "random"]
    assert widget.chosen.layout.display == "none"


def test_what_ships_is_offered():
    widget = SideBySide(renderer="flat")
    assert tuple(widget.boxes) == shipped_systems()
    assert not any(widget.systems.loaded(name) for name in widget.systems)


@pytest.mark.parametrize("wrong", [{"num": 0}, {"num": 9}, {"seed": -1}, {"space_group": 231}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(InputError):
        SideBySide(toys(), **wrong)


def test_ways_are_drawn_with_energies_where_they_are_known():
    found = list(ask(toys(), SALT, 1, 3, frames=5))
    ways = {
        one.name: measure_way(one.generation.trajectory, 5, True, Springs()) for one in found[:2]
    }
    figure = ways_figure(ways)
    assert len(figure.data) == 6
    lowest = min(np.nanmin(way.energy) for way in ways.values())
    np.testing.assert_allclose(figure.data[2].y, ways["rocksalt"].energy - lowest)
    assert figure.data[0].x.tolist() == [0, 0.25, 0.5, 0.75, 1]
    bare = ways_figure({one.name: measure_way(one.generation.trajectory, 5) for one in found})
    assert len(bare.data) == 6 and {trace.name for trace in bare.data} == set(toys())
