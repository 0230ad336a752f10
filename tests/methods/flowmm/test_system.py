"""The recipe "flowmm" from data to crystals."""

from __future__ import annotations

import pytest

from flowllm.errors import InputError
from flowllm.methods.flowmm.settings import FlowMMSettings
from flowllm.systems.system import FlowLLM
from flowllm.workflows.train.system import SystemTraining, train_system
from tests.methods.flowmm.test_train import tiny


@pytest.fixture(scope="module")
def system(prepared, tmp_path_factory) -> FlowLLM:
    """A system that was trained for one pass."""
    out = tmp_path_factory.mktemp("flowmm")
    settings = SystemTraining(refiner=tiny(epochs=1, half=True))
    return FlowLLM.from_pretrained(train_system("flowmm", prepared, out, settings, device="cpu"))


def test_it_generates_with_nothing_asked_and_predicts_structures_of_a_composition(system):
    quick = FlowMMSettings(steps=4)
    made = system.generate(3, seed=1, refinement=quick)
    assert (made.prior.atomic_numbers == 0).all() and made.trajectory.species_change
    again = system.generate(3, seed=1, refinement=quick)
    assert again.refined.digest() == made.refined.digest()
    salt = system.generate(2, composition="Na2 Cl2", refinement=quick)
    assert salt.refined.compositions == [{"Na": 2, "Cl": 2}] * 2
    assert not salt.trajectory.species_change
    assert [stage.name for stage in made.stages] == ["base distribution", "FlowMM"]


def test_what_it_cannot_be_asked_for_is_refused_in_a_line(system):
    with pytest.raises(InputError, match="elements"):
        system.generate(1, elements="Na,Cl")
    with pytest.raises(InputError, match="space_group"):
        system.generate(1, space_group=225)


def test_a_part_of_a_run_has_the_crystals_of_the_whole(system):
    quick = FlowMMSettings(steps=4)
    whole = system.generate(4, seed=3, refinement=quick).refined
    from flowllm.conditions.request import Request

    part = system.generate_range(range(2, 4), Request(), 3, None, quick).refined
    assert part.atomic_numbers.tolist() == whole[2:].atomic_numbers.tolist()
    assert part.frac_coords == pytest.approx(whole[2:].frac_coords, abs=1e-4)
