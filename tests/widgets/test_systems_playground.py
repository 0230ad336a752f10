"""The playground with a choice of system: lazy, with the controls that a system can heed."""

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.base.geometry import SimpleBase
from flowllm.methods.base.open_species import OpenPrior
from flowllm.systems.system import FlowLLM
from flowllm.teaching.systems import Systems, shipped_systems
from flowllm.text.prompts import build_prompt
from flowllm_widgets import PromptPlayground, SystemPlayground
from tests.systems.toys import RocksaltPrior, SwellRefiner

pytestmark = pytest.mark.slow

WAIT = 60


class OnlySizes(OpenPrior):
    """A base that can be asked for a number of atoms alone, as CDVAE's latent vectors."""

    exact = frozenset({"num_atoms"})


@pytest.fixture
def systems(system):
    """Three systems by name, and the names in the order in which they were loaded."""
    loaded = []
    geometry = SimpleBase((1.5, 1.6, 1.7), (0.2, 0.2, 0.2))
    made = {
        "words": system,
        "rocksalt": FlowLLM(RocksaltPrior(), SwellRefiner(), [1, 1]),
        "sizes": FlowLLM(OnlySizes(geometry), None, [0, 1, 1]),
    }

    def load(name):
        loaded.append(name)
        return made[name]

    return Systems(list(made), load), loaded


def rows(playground):
    """The conditions that have a field on view."""
    form = playground.form
    shown = {child for row in form.conditions.children for child in getattr(row, "children", ())}
    return [name for name, field in form.fields.items() if field in shown]


def test_systems_are_loaded_when_they_are_chosen(systems):
    named, loaded = systems
    widget = SystemPlayground(named, "rocksalt", num=2)
    assert loaded == ["rocksalt"] and widget.menu.options == ("words", "rocksalt", "sizes")
    widget.menu.value = "sizes"
    widget.menu.value = "rocksalt"
    assert loaded == ["rocksalt", "sizes"]


def test_only_what_a_system_can_heed_has_a_control(systems):
    widget = SystemPlayground(systems[0], "words")
    assert len(rows(widget.playground)) == 8
    assert widget.playground.form.text.layout.display is None
    assert "temperature" in {name for _, name in widget.playground.settings.controls}
    widget.menu.value = "rocksalt"
    assert rows(widget.playground) == ["formula", "num_atoms", "composition"]
    assert widget.playground.form.text.layout.display == "none"
    assert {name for _, name in widget.playground.settings.controls} == {
        "spread", "refuse", "factor", "frames"
    }  # fmt: skip
    widget.menu.value = "sizes"
    assert rows(widget.playground) == ["num_atoms"]
    assert widget.playground.settings.controls == {}


def test_what_is_asked_goes_along_without_what_cannot_be_heeded(systems):
    widget = SystemPlayground(systems[0], "words")
    widget.playground.form.set(build_prompt(Conditions(formula="NaCl", space_group=225)))
    widget.menu.value = "rocksalt"
    assert widget.playground.prompt == build_prompt(Conditions(formula="NaCl"))
    assert widget.message.text == "rocksalt does not support: space group"
    widget.menu.value = "sizes"
    assert widget.playground.prompt == build_prompt()
    assert widget.message.text == "sizes does not support: formula"


def test_a_system_without_prompts_gets_conditions(systems):
    named, _ = systems
    widget = SystemPlayground(named, "rocksalt", num=2, seed=4)
    widget.playground.form.fields["formula"].value = "NaCl"
    widget.playground.generate.click()
    assert widget.playground.wait(WAIT) and widget.playground.state == "finished"
    made = named["rocksalt"].generate(2, seed=4, formula="NaCl").refined
    assert np.array_equal(widget.playground.crystals.lengths, made.lengths)
    widget.playground.form.set(build_prompt(Conditions(formula="NaCl", band_gap=1.0)))
    assert widget.playground.generate.disabled
    assert widget.playground.form.notes["prompt"].text == "this system does not support band gap"


def test_a_number_of_atoms_is_drawn_where_none_is_asked(systems):
    widget = SystemPlayground(systems[0], "sizes", num=4)
    widget.playground.generate.click()
    assert widget.playground.wait(WAIT) and widget.playground.state == "finished"
    assert set(widget.playground.crystals.num_atoms) <= {2, 3}


def test_a_system_that_cannot_be_loaded_leaves_the_one_on_view(systems):
    named, _ = systems

    def load(name):
        if name == "broken":
            raise InputError("broken: no weights")
        return named[name]

    widget = SystemPlayground(Systems(["rocksalt", "broken"], load), "rocksalt")
    before = widget.playground
    widget.menu.value = "broken"
    assert widget.menu.value == "rocksalt" and widget.playground is before
    assert widget.message.text == "broken: no weights"


def test_what_ships_is_offered_and_can_be_named():
    widget = SystemPlayground(start="crystalllm")
    assert widget.menu.options == shipped_systems()
    parts = {part for part, _ in widget.playground.settings.controls}
    assert parts == {"sampling"}  # it has no refiner
    assert "CrystalLLM" in widget._about.value
    with pytest.raises(InputError, match="unknown system 'gnome'"):
        SystemPlayground(start="gnome")
    assert PromptPlayground("crystalllm", num=1).crystals.num_atoms.tolist() == []
