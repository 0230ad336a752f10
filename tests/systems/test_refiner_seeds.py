"""A refiner is given the seeds that its crystals were drawn with, however a run is cut."""

import numpy as np
import pytest

from flowllm.conditions.request import Request
from flowllm.systems.system import FlowLLM
from tests.systems.toys import RocksaltPrior, RocksaltSettings, SwellRefiner


class Listening(SwellRefiner):
    """Remembers the seed of each crystal."""

    def __init__(self):
        super().__init__()
        self.seen: dict[str, int] = {}

    def refine(self, crystals, settings, seeds, *more):
        self.seen |= dict(zip(crystals.ids.tolist(), seeds, strict=True))
        return super().refine(crystals, settings, seeds, *more)


@pytest.fixture
def refiner():
    return Listening()


def test_a_drawn_crystal_is_refined_with_the_seed_of_its_accepted_attempt(refiner):
    settings = RocksaltSettings(refuse=0.5)
    prior = RocksaltPrior()
    system = FlowLLM(prior, refiner, [0.0, 1.0])
    made = system.generate(12, sampling=settings)
    assert made.stages[0].rejected  # some seeds are not those of a first attempt
    for crystal in made.prior:
        seed = refiner.seen[str(crystal.ids[0])]
        again = prior.sample([system.asked(Request(), 0, 0)], settings, [seed])
        assert np.array_equal(again.lengths, crystal.lengths)


def test_a_run_cut_in_two_gives_the_refiner_the_seeds_of_the_whole(refiner):
    system = FlowLLM(RocksaltPrior(), refiner, [0.0, 1.0])
    system.generate(6)
    whole, refiner.seen = refiner.seen, {}
    for part in (range(4), range(4, 6)):
        system.generate_range(part, Request())
    assert refiner.seen == whole


def test_a_stream_gives_the_refiner_the_same_seeds(refiner):
    system = FlowLLM(RocksaltPrior(), refiner, [0.0, 1.0])
    system.generate(3)
    whole, refiner.seen = refiner.seen, {}
    list(system.stream(3))
    assert list(refiner.seen.values()) == list(whole.values())
