"""Every kind keeps the promises of the protocols, and toys run through every command."""

from __future__ import annotations

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.flow.refiner import FlowRefiner, RefineSettings
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.systems import registry
from flowllm.systems.events import Asked, Drawn, Refined, Refining, Rejected
from flowllm.systems.registry import register_prior
from flowllm.systems.system import FlowLLM
from flowllm.systems.testing import check_prior, check_refiner
from flowllm.workflows.train.source import make_prior
from tests.systems.toys import (
    RocksaltPrior,
    RocksaltSettings,
    SwellRefiner,
    SwellSettings,
    TransmuteRefiner,
)

SALT = Conditions(composition={"Na": 1, "Cl": 1})
ASKED = [Conditions(num_atoms=2), SALT, Conditions(num_atoms=3)]
TOYS = [SwellRefiner, TransmuteRefiner]


@pytest.fixture(scope="module")
def training(mp20_crystals):
    return mp20_crystals[mp20_crystals.num_atoms <= 4][:40]


# ---- conformance ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["language-model", "types", "substitution", "compositions"])
def test_every_prior_of_the_package_keeps_its_promises(kind, system, training, tmp_path):
    assert kind in registry.PRIORS
    prior = make_prior(kind, system.prior, training)
    other = FlowLLM.from_pretrained("mp20-compact", "cpu").prior
    different = make_prior(kind, other, training[:20])
    hot = SamplingSettings(temperature=1.0, top_p=1.0, overlap=True)
    check_prior(prior, tmp_path, ASKED, hot, different)


def test_constraints_are_part_of_the_digest(system):
    parts = system.prior.model, system.prior.tokenizer
    assert LanguageModelPrior(*parts).digest() == system.prior.digest()
    assert LanguageModelPrior(*parts, constrained=False).digest() != system.prior.digest()


def test_every_cell_and_every_place_of_the_templates_is_part_of_the_digest(system, training):
    digests = set()
    for change in ({}, {"lengths": training.lengths * 1.01}, {"angles": training.angles[::-1]}):
        prior = make_prior("substitution", system.prior, training.replace(**change))
        digests.add(prior.digest())
    moved = training.replace(frac_coords=training.frac_coords[::-1])  # the same sum
    digests.add(make_prior("substitution", system.prior, moved).digest())
    assert len(digests) == 4


def test_the_flow_keeps_its_promises(system, training, tmp_path):
    different = FlowLLM.from_pretrained("mp20-compact", "cpu").refiner
    assert isinstance(system.refiner, FlowRefiner)
    check_refiner(system.refiner, tmp_path, training[:4], RefineSettings(steps=3), different)


def test_toys_keep_their_promises(tmp_path, training):
    check_prior(RocksaltPrior(), tmp_path / "prior", ASKED, different=RocksaltPrior(5.0))
    for toy in TOYS:
        check_refiner(toy(), tmp_path / toy.kind, training[:3], different=toy(2.0))


# ---- broken promises are noticed -----------------------------------------------------------------


class SharedNoise(RocksaltPrior):
    """Draws from one stream for all, so that a crystal depends on those before it."""

    def sample(self, asked, settings, seeds, watch=None):
        drawn = super().sample(asked, settings, seeds, *([watch] if watch else []))
        return drawn.replace(lengths=drawn.lengths + np.arange(len(drawn))[:, None])


class Forgetful(RocksaltPrior):
    """Loses its length on disk."""

    @classmethod
    def load(cls, folder, device="cpu"):
        return cls(9.0)


class Deaf(RocksaltPrior):
    """Hears no stop."""

    def sample(self, asked, settings, seeds, watch=None):
        return super().sample(asked, settings, seeds)


class Alike(RocksaltPrior):
    """Has one digest whatever its length."""

    def digest(self):
        return "rocksalt"


class Careless(RocksaltPrior):
    """Does not keep to the composition that it calls exact."""

    def sample(self, asked, settings, seeds, watch=None):
        given = [Conditions() for _ in asked]
        return super().sample(given, settings, seeds, *([watch] if watch else []))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (SharedNoise, "depends on what is drawn beside it"),
        (Forgetful, "digest"),
        (Deaf, "finished 0 of 3"),
        (Alike, "share a digest"),
        (Careless, "composition is not respected"),
    ],
)
def test_a_prior_that_breaks_a_promise_is_found_out(broken, said, tmp_path):
    asked = [SALT, Conditions(composition={"Li": 1, "H": 1}), Conditions(num_atoms=2)]
    with pytest.raises(AssertionError, match=said):
        check_prior(broken(), tmp_path, asked, different=broken(5.0))


class Restless(SwellRefiner):
    """Moves what it says it leaves alone."""

    def changed(self, crystals, part, seeds):
        return crystals.replace(frac_coords=crystals.frac_coords + 0.1 * part)


class Shuffling(SwellRefiner):
    """Gives the crystals back in another order."""

    def refine(self, crystals, settings, seeds, *rest):
        order = np.arange(len(crystals))[::-1]
        return super().refine(crystals, settings, seeds, *rest).select(order)


@pytest.mark.parametrize(("broken", "said"), [(Restless, "coordinates moved"), (Shuffling, "ids")])
def test_a_refiner_that_breaks_a_promise_is_found_out(broken, said, tmp_path, training):
    with pytest.raises(AssertionError, match=said):
        check_refiner(broken(), tmp_path, training[:3])


# ---- toys at work --------------------------------------------------------------------------------


SIZES = [0, 1, *[0] * 18]  # every cell has two atoms; up to 20 may be asked for


@pytest.fixture(params=[None, *TOYS], ids=["alone", "swell", "transmute"])
def toy(request):
    return FlowLLM(RocksaltPrior(), request.param() if request.param else None, SIZES, "toy")


def test_a_toy_generates_and_streams_the_same_crystals(toy):
    seen = []
    settings = RocksaltSettings(refuse=0.5)
    made = toy.generate(6, seed=3, sampling=settings, progress=lambda *a: seen.append(a))
    assert made.stages[0].name == "rocksalt" and made.stages[0].rejected > 0
    assert [s.name for s in made.stages[1:]] == ([] if toy.refiner is None else [toy.refiner.label])
    for label in {stage.name for stage in made.stages}:
        assert [a for a in seen if a[0] == label][-1] == (label, 6, 6)
    events = list(toy.stream(6, seed=3, sampling=settings))
    kinds = [type(event) for event in events]
    assert kinds[:6] == [Asked] * 6 and kinds[-7:] == [Refining, *[Refined] * 6]
    assert kinds.count(Drawn) == 6 and kinds.count(Rejected) == made.stages[0].rejected
    last = CrystalBatch.concatenate(e.trajectory.last for e in events if isinstance(e, Refined))
    for name in ("atomic_numbers", "lengths", "ids"):
        assert np.array_equal(getattr(last, name), getattr(made.refined, name)), name


def test_a_stream_that_is_left_ends_the_work(toy):
    events = toy.stream(3)
    assert isinstance(next(events), Asked)
    events.close()
    assert list(toy.stream(3, stop=lambda: True)) == list(toy.stream(3, stop=lambda: True))


def test_what_a_toy_does_not_know_is_refused_before_it_works(toy):
    for ask in (toy.generate, toy.stream):
        with pytest.raises(
            InputError, match="toy-rocksalt does not support the condition band_gap"
        ):
            ask(1, band_gap=1.0)
        with pytest.raises(InputError, match="two elements"):
            ask(1, composition="Sr1 Ti1 O3")


def test_a_toy_is_kept_and_named_by_what_it_is_made_of(toy, tmp_path):
    toy.save_pretrained(tmp_path / "toy")
    again = FlowLLM.from_pretrained(tmp_path / "toy", "cpu")
    assert again.digest() == toy.digest()
    assert np.array_equal(again.generate(3).refined.lengths, toy.generate(3).refined.lengths)
    others = [FlowLLM(RocksaltPrior(5.0), toy.refiner, SIZES, "toy")]
    if toy.refiner is not None:
        others += [
            FlowLLM(RocksaltPrior(), type(toy.refiner)(2.0), SIZES, "toy"),
            FlowLLM(RocksaltPrior(), toy.refiner, SIZES, "toy", start=0.5),
            FlowLLM(RocksaltPrior(), None, SIZES, "toy"),
        ]
    assert len({s.digest() for s in (toy, *others)}) == 1 + len(others)


def test_a_start_reaches_the_refiner():
    late = FlowLLM(RocksaltPrior(), SwellRefiner(), SIZES, "toy", start=0.5)
    path = late.generate(2, refinement=SwellSettings(frames=3)).trajectory
    assert path.times.tolist() == [0.5, 0.75, 1.0]


def test_a_kind_belongs_to_one_class():
    with pytest.raises(InputError, match="already registered"):
        register_prior(RocksaltPrior.kind, Deaf)
    with pytest.raises(InputError, match="unknown prior 'magic'; choose from language-model"):
        registry.prior_kind("magic")
