"""A system that knows its training data draws no other elements, unless they are asked for."""

import warnings

import pytest

from flowllm.conditions.ranges import OutOfRangeWarning, TrainingRanges
from flowllm.methods.base.prior import BasePrior
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.systems.system import FlowLLM

HOT = SamplingSettings(temperature=5.0, top_p=1.0)
SEEN = TrainingRanges(9, {}, {"Na": 5, "Cl": 4, "Og": 0}, {})


def elements(made) -> set[str]:
    return set().union(*made.refined.compositions)


@pytest.mark.parametrize("kind", ["language-model", "types"])
def test_open_compositions_hold_elements_of_training_alone(system, sample_crystals, kind):
    prior = system.prior
    if kind == "types":
        prior = BasePrior.make(kind, system.prior, sample_crystals[:20])
    known = FlowLLM(prior, None, system.num_atoms_histogram, training=SEEN)
    assert elements(known.generate(12, sampling=HOT)) <= {"Na", "Cl"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutOfRangeWarning)
        assert elements(known.generate(2, sampling=HOT, formula="OgF6")) == {"Og", "F"}
    unknown = FlowLLM(prior, None, system.num_atoms_histogram)
    assert not elements(unknown.generate(12, sampling=HOT)) <= {"Na", "Cl"}
    assert known.digest() != unknown.digest()


def test_the_shipped_system_knows_the_elements_of_its_training_data():
    shipped = FlowLLM.from_pretrained("mp20-compact", "cpu")
    assert shipped.training is not None and len(shipped.training.elements) == 88
    assert set(shipped.prior.pool) == set(shipped.training.elements)
    hot = SamplingSettings(temperature=50.0, top_p=1.0)  # all tokens alike
    made = shipped.generate(8, sampling=hot, refinement=RefineSettings(steps=1))
    assert elements(made) <= set(shipped.training.elements)
