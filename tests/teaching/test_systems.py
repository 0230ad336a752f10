"""Systems side by side: only those that ship, loaded on use, each asked what it can heed."""

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.base.geometry import SimpleBase
from flowllm.methods.base.open_species import OpenPrior
from flowllm.systems.record import shipped_models
from flowllm.systems.system import FlowLLM
from flowllm.teaching.systems import (
    ORDER,
    Systems,
    answer,
    ask,
    heeded,
    heeded_names,
    reads_prompts,
    refinement,
    shipped_systems,
)
from tests.systems.toys import RocksaltPrior, SwellRefiner, SwellSettings

pytestmark = pytest.mark.slow

BASE = OpenPrior(SimpleBase((1.5, 1.6, 1.7), (0.2, 0.2, 0.2)))


class OnlySizes:
    """A prior that heeds nothing but the number of atoms, as CDVAE's."""

    exact = frozenset({"num_atoms"})
    heeded: frozenset[str] = frozenset()


class Holder:
    def __init__(self, prior):
        self.prior = prior


@pytest.fixture
def rocksalt():
    return FlowLLM(RocksaltPrior(), SwellRefiner(), [1, 1], "toy")


def test_only_what_ships_is_offered_in_the_order_of_the_table():
    offered = shipped_systems()
    assert {"flowllm", "crystalllm", "flowllm-symmetric"} <= set(offered)
    assert [name for name in ORDER if name in offered] == list(offered)
    assert set(offered) <= set(shipped_models().values())
    assert tuple(Systems()) == offered


def test_a_system_is_loaded_on_use_and_once(rocksalt):
    loads = []

    def load(name):
        loads.append(name)
        return rocksalt

    systems = Systems(["a", "b", "a"], load)
    assert list(systems) == ["a", "b"] and loads == [] and "b" in systems
    assert systems["b"] is systems["b"] is rocksalt
    assert loads == ["b"] and systems.loaded("b") and not systems.loaded("a")
    with pytest.raises(KeyError):
        systems["c"]


def test_a_system_that_does_not_ship_is_refused():
    with pytest.raises(InputError, match="no model of 'mattergen' ships with the package"):
        Systems(["flowllm", "mattergen"])
    with pytest.raises(InputError, match="at least one"):
        Systems([])


def test_what_a_system_cannot_heed_is_left_out_and_named():
    asked = Conditions(composition={"Ti": 2, "O": 4}, space_group=136)
    assert heeded_names(Holder(BASE)) == ("formula", "num_atoms", "composition")
    kept, left = heeded(Holder(BASE), asked)
    assert kept == Conditions(composition={"Ti": 2, "O": 4}) and left == ("space_group",)
    kept, left = heeded(Holder(OnlySizes()), asked)
    assert kept == Conditions(num_atoms=6) and left == ("composition", "space_group")
    model = Systems(["crystalllm"])["crystalllm"]
    assert heeded(model, asked) == (asked, ())
    assert reads_prompts(model) and not reads_prompts(Holder(BASE))


def test_an_answer_is_what_the_system_generates(rocksalt):
    asked = Conditions(composition={"Na": 1, "Cl": 1}, band_gap=2.0)
    found = answer("toy", rocksalt, asked, 2, 5, frames=3)
    made = rocksalt.generate(
        2, seed=5, composition={"Na": 1, "Cl": 1}, refinement=SwellSettings(frames=3)
    )
    assert found.left_out == ("band_gap",) and found.seconds >= 0
    assert np.array_equal(found.crystals.lengths, made.refined.lengths)
    assert len(found.generation.trajectory) == 3
    every = list(ask({"one": rocksalt, "two": rocksalt}, asked, frames=3))
    assert [one.name for one in every] == ["one", "two"]


def test_settings_that_a_refiner_lacks_are_passed_over(rocksalt):
    assert refinement(rocksalt, frames=7, steps_per_level=3) == SwellSettings(frames=7)
    assert refinement(FlowLLM(RocksaltPrior(), None, [1, 1]), steps=3) is None


def test_a_request_that_contradicts_itself_is_refused(rocksalt):
    with pytest.raises(InputError, match="rocksalt has two elements"):
        answer("toy", rocksalt, Conditions(composition={"Na": 1}))
