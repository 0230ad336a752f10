"""CDVAE draws, moves, reconstructs and optimises crystals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.cdvae.langevin import langevin
from flowllm.methods.cdvae.latents import TRIES, drawn_species, latent, likeliest_number
from flowllm.methods.cdvae.levels import NoiseLevels
from flowllm.methods.cdvae.noise import to_nearest_image
from flowllm.methods.cdvae.optimise import optimise
from flowllm.methods.cdvae.prior import CDVAEPrior
from flowllm.methods.cdvae.reconstruct import decoded, reconstruct
from flowllm.methods.cdvae.refiner import CDVAERefiner
from flowllm.methods.cdvae.settings import CDVAEPriorSettings, CDVAESettings
from flowllm.systems.events import Rejected
from flowllm.systems.testing import check_prior, check_refiner
from flowllm.systems.watch import Watch
from tests.methods.cdvae.conftest import untrained

pytestmark = pytest.mark.slow

FEW = CDVAESettings(steps_per_level=2)
ASKED = [Conditions(num_atoms=n) for n in (2, 4, 5, 2)]


@pytest.fixture(scope="module")
def prior(trained):
    return CDVAEPrior(trained.network.heads, trained.statistics)


@pytest.fixture(scope="module")
def refiner(trained):
    return CDVAERefiner(trained)


def drawn(prior, seeds, count: int | None = None) -> CrystalBatch:
    return prior.sample([Conditions(num_atoms=count)] * len(seeds), CDVAEPriorSettings(), seeds)


# ---- Langevin dynamics ---------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1.0, 0.1])
def test_the_exact_score_of_one_crystal_leads_back_to_it(crystals, ratio):
    """x <- (1 - a) x + sqrt(2 a) σ ε about the target, a = α / σ^2: variance 2 σ^2 / (2 - a)."""
    target = crystals.crystals[np.flatnonzero(crystals.crystals.num_atoms > 3)[:12]]
    lattices = torch.tensor(target.lattices)
    own = torch.tensor(target.crystal_of_atom)
    levels = NoiseLevels()

    def way(frac: np.ndarray) -> np.ndarray:
        places = torch.tensor(frac), torch.tensor(target.frac_coords)
        return to_nearest_image(*places, lattices, own).numpy()

    def score(species: np.ndarray, frac: np.ndarray, level: float):
        return way(frac) / level**2, target.atomic_numbers

    begun = target.replace(
        frac_coords=np.random.default_rng(0).random(target.frac_coords.shape),
        atomic_numbers=np.ones_like(target.atomic_numbers),
    )
    assert np.linalg.norm(way(begun.frac_coords), axis=1).mean() > 1
    *_, last = langevin(score, begun, range(12), levels, 10, ratio * levels.smallest_noise**2)
    off = way(last.frac_coords)
    expected = (2 / (2 - ratio)) ** 0.5 * levels.smallest_noise
    if ratio == 1.0:
        assert np.sqrt((off**2).mean()) == pytest.approx(expected, rel=0.15)
    assert np.sqrt((off**2).mean()) < 3 * expected
    assert (last.atomic_numbers == target.atomic_numbers).all()
    assert np.array_equal(last.lengths, target.lengths)


# ---- the latent vector of a seed -----------------------------------------------------------------


def test_prior_and_refiner_find_the_same_latent_vector(prior, refiner, tmp_path):
    prior.save(tmp_path / "prior", half=True)
    refiner.save(tmp_path / "refiner", half=True)
    on_disk = CDVAEPrior.load(tmp_path / "prior"), CDVAERefiner.load(tmp_path / "refiner")
    for one, other in ((prior, refiner), on_disk):
        some = drawn(one, list(range(20)))
        found = other.latents(some, [int(name) for name in some.ids])
        expected = torch.cat([latent(one.heads, int(name)) for name in some.ids])
        assert torch.equal(found, expected)
        assert len(some) > 10
    first, second = latent(prior.heads, 1), latent(prior.heads, 2)
    assert not torch.equal(first, second)


def test_a_number_of_atoms_is_met_by_drawing_again(prior):
    numbers = [int(likeliest_number(prior.heads.number(latent(prior.heads, s)))) for s in range(60)]
    common = max(set(numbers), key=numbers.count)
    assert numbers.count(common) < 60  # latent vectors differ in their numbers of atoms
    for seed in range(10):
        found = latent(prior.heads, seed, common)
        assert int(likeliest_number(prior.heads.number(found))) == common
        if numbers[seed] == common:
            assert torch.equal(found, latent(prior.heads, seed))
    # one that no vector decodes to: the vector that comes nearest, and the number as asked
    rarest = 19
    found = latent(prior.heads, 3, rarest)
    others = np.random.default_rng(0).standard_normal((TRIES, found.shape[1]))
    with torch.no_grad():
        logs = prior.heads.number(torch.tensor(others)).log_softmax(-1)
        own = prior.heads.number(found).log_softmax(-1)[0, rarest]
    assert own > logs[:, rarest].quantile(0.9)
    assert drawn(prior, list(range(8)), rarest).num_atoms.tolist()[0] == rarest


def test_species_come_as_near_to_the_composition_as_whole_numbers_do():
    shares = np.zeros(100)
    shares[[7, 21, 37]] = 0.6, 0.2, 0.2
    numbers = drawn_species(shares, 5, np.random.default_rng(0))
    assert sorted(numbers.tolist()) == [8, 8, 8, 22, 38]
    shares[[7, 21, 37]] = 0.5, 0.25, 0.25
    seen = {tuple(np.sort(drawn_species(shares, 2, np.random.default_rng(s)))) for s in range(40)}
    assert seen <= {(8, 8), (8, 22), (8, 38)} | {(22, 38)} and len(seen) > 1


# ---- protocols -----------------------------------------------------------------------------------


def test_the_prior_keeps_its_promises(prior, crystals, tmp_path):
    other = untrained(crystals, 1)
    different = CDVAEPrior(other.network.heads, other.statistics)
    check_prior(prior, tmp_path, ASKED, different=different)


def test_the_refiner_keeps_its_promises(prior, refiner, crystals, tmp_path):
    seeds = list(range(11, 16))  # those that check_refiner gives
    some = drawn(prior, seeds, 2)
    assert len(some) == len(seeds)
    check_refiner(refiner, tmp_path, some, FEW, CDVAERefiner(untrained(crystals, 1)))


def test_crystals_of_another_origin_need_the_encoder(refiner, crystals):
    some = crystals.crystals[:5]
    with pytest.raises(InputError, match=f"{some.ids[0]}: .*--latent encoded"):
        refiner.refine(some, FEW)
    path = refiner.refine(some, replace(FEW, latent="encoded", record=5))
    assert len(path) == 5 and path.times[0] == 0 and path.times[-1] == 1
    assert np.array_equal(path.last.lengths, some.lengths)
    assert path.num_atoms.tolist() == some.num_atoms.tolist()
    assert not np.allclose(path.last.frac_coords, some.frac_coords)
    late = refiner.refine(some, replace(FEW, latent="encoded", record=True), start=0.77)
    assert late.times[0] == 0.77 and late.times[-1] == 1
    assert len(late) == 1 + 16 - int(0.77 * 16)


def test_a_crystal_is_the_same_to_the_bit_whatever_is_computed_beside_it(refiner, crystals):
    """The dynamics make much of small differences: sums in another order would show."""
    some = crystals.crystals[:12]
    settings = CDVAESettings(steps_per_level=20, latent="encoded")
    expected = refiner.refine(some, settings).last
    order = np.arange(12)[::-1]
    other = refiner.refine(some[order], replace(settings, batch_size=5), list(order)).last[order]
    assert np.array_equal(other.frac_coords, expected.frac_coords)
    assert np.array_equal(other.atomic_numbers, expected.atomic_numbers)


def test_at_most_a_hundred_frames_are_kept(refiner, crystals):
    some = crystals.crystals[:2]
    path = refiner.refine(some, CDVAESettings(30, latent="encoded", record=True))
    assert len(path) == 100


def test_bad_crystals_and_values_are_refused(refiner, prior, crystals):
    some, encoded = crystals.crystals[:2], replace(FEW, latent="encoded")
    with pytest.raises(InputError, match=str(some.ids[0])):
        refiner.refine(some.replace(atomic_numbers=0 * some.atomic_numbers), encoded)
    flat = some.replace(angles=np.array([[90.0, 90, 90], [60, 60, 120]]))
    with pytest.raises(InputError, match=str(some.ids[1])):
        refiner.refine(flat, encoded)
    for asked in (Conditions(num_atoms=21), Conditions(composition={"Na": 1, "Cl": 1})):
        with pytest.raises(InputError, match="CDVAE"):
            prior.check(asked)
    for values in ({"steps_per_level": 0}, {"step_size": 0.0}, {"latent": "x"}, {"record": 1}):
        with pytest.raises(InputError, match=next(iter(values))):
            CDVAESettings(**values)


def test_cells_too_small_for_their_atoms_are_rejected(prior):
    narrow = replace(prior.statistics, cell_mean=(0.6,) * 3 + (90.0,) * 3, cell_std=(1e-3,) * 6)
    events = []
    crystals = CDVAEPrior(prior.heads, narrow).sample(
        ASKED, CDVAEPriorSettings(), range(4), Watch(on_event=events.append)
    )
    assert len(crystals) == 0
    assert [event.index for event in events] == [0, 1, 2, 3]
    assert all(isinstance(event, Rejected) and "volume" in event.reason for event in events)


def test_weights_of_another_kind_are_refused(prior, refiner, tmp_path):
    prior.save(tmp_path / "prior")
    refiner.save(tmp_path / "refiner")
    for load, folder in ((CDVAERefiner.load, "prior"), (CDVAEPrior.load, "refiner")):
        with pytest.raises(InputError, match=f"{folder}.*kind flowllm-cdvae"):
            load(tmp_path / folder)
    config = tmp_path / "refiner" / "config.json"
    config.write_text(config.read_text().replace('"hidden": 16', '"hidden": 17'))
    with pytest.raises(InputError, match=str(tmp_path)):
        CDVAERefiner.load(tmp_path / "refiner")


# ---- what a latent vector means ------------------------------------------------------------------


def composition_distance(crystals: CrystalBatch) -> float:
    """Mean distance of two crystals' shares of elements, 0 for equal ones and 2 for foreign."""
    shares = np.zeros((len(crystals), 120))
    np.add.at(shares, (crystals.crystal_of_atom, crystals.atomic_numbers), 1.0)
    shares /= crystals.num_atoms[:, None]
    pairs = np.triu_indices(len(shares), 1)
    return float(np.abs(shares[pairs[0]] - shares[pairs[1]]).sum(-1).mean())


def test_decodings_of_one_vector_are_more_alike_than_those_of_many(refiner):
    torch.manual_seed(0)
    many = torch.randn(50, 12, dtype=torch.float64)
    seeds = list(range(50))
    of_many = decoded(refiner, many, FEW, seeds)
    of_one = [decoded(refiner, many[k : k + 1].expand(50, -1), FEW, seeds) for k in range(3)]
    spread = np.mean([composition_distance(some) for some in of_one])
    assert spread < 0.7 * composition_distance(of_many)
    assert of_one[0].lengths.std(0).max() < 1e-3 < of_many.lengths.std(0).min()


def test_reconstructions_are_nearer_than_those_of_untrained_networks(refiner, crystals):
    some = crystals.crystals[:24]

    def off(of: CDVAERefiner) -> tuple[float, float]:
        found = reconstruct(of, some, FEW)
        assert found.ids.tolist() == some.ids.tolist()
        kinds = [
            composition_distance(CrystalBatch.concatenate([found[k], some[k]])) for k in range(24)
        ]
        return float(np.mean(kinds)), float(np.abs(found.lengths - some.lengths).mean())

    kinds, lengths = off(refiner)
    kinds_before, lengths_before = off(CDVAERefiner(untrained(crystals)))
    assert kinds < 0.8 * kinds_before
    assert lengths < 0.8 * lengths_before


def test_descent_lowers_the_predicted_energy(refiner, crystals):
    some = crystals.crystals[:8]
    found = optimise(refiner, some, steps=50, rate=0.02, settings=FEW)
    assert (found.after < found.before - 0.05).all()
    assert found.crystals.ids.tolist() == some.ids.tolist()
    still = optimise(refiner, some, steps=0, settings=FEW)
    np.testing.assert_array_equal(still.after, still.before)
    for values in ({"property": "band_gap"}, {"rate": 0.0}, {"steps": -1}):
        with pytest.raises(InputError, match=next(iter(values.values())).__str__()):
            optimise(refiner, some, **values)


def test_the_property_head_has_learnt_the_energies(refiner, crystals):
    predicted = refiner.model.formation_energies(refiner.model.encoded(crystals.crystals))
    true = crystals.properties["formation_energy"]
    known = np.isfinite(true)
    off = np.abs(predicted - true)[known].mean()
    assert off < 0.6 * np.abs(true - true[known].mean())[known].mean()
