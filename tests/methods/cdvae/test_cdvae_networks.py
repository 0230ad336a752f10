"""CDVAE's networks turn with the crystal; its losses and noise have known answers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.cdvae.batches import CrystalsInBatches
from flowllm.methods.cdvae.levels import NoiseLevels
from flowllm.methods.cdvae.loss import CDVAELoss, kl_divergence
from flowllm.methods.cdvae.noise import noisy_species, to_nearest_image
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.methods.cdvae.train import energies_of
from flowllm.networks.cdvae.heads import SPECIES, with_elements
from flowllm.networks.cdvae.network import CDVAE, Posterior
from flowllm.networks.cdvae.settings import CDVAEConfig
from tests.methods.cdvae.conftest import SETTINGS, SIZES


@pytest.fixture(scope="module")
def network() -> CDVAE:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        made = CDVAE(replace(SIZES, layers=2, level_input=True)).double().eval()
        torch.nn.init.normal_(made.encoder.log_variance.weight, std=0.1)
    return made


def crystal(seed: int, count: int = 5) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return {
        "species": torch.tensor(rng.integers(1, 90, count)),
        "frac_coords": torch.tensor(rng.random((count, 3))),
        "lattices": torch.tensor(np.diag(rng.uniform(3, 6, 3)) + rng.uniform(-1, 1, (3, 3)))[None],
        "num_atoms": torch.tensor([count]),
    }


def rotation(seed: int, sign: float) -> torch.Tensor:
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return torch.tensor(sign * q * np.sign(np.diag(r)))


def changed(given: dict[str, torch.Tensor], how: str) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """The crystal written in another way, and where its atoms are now."""
    order = np.arange(len(given["species"]))
    if how == "rotated":
        return given | {"lattices": given["lattices"] @ rotation(1, 1.0)}, order
    if how == "inverted":
        return given | {"lattices": -given["lattices"]}, order
    if how == "moved":
        return given | {"frac_coords": given["frac_coords"] + torch.tensor([0.3, 0.9, 0.51])}, order
    order = np.random.default_rng(3).permutation(len(order))
    return given | {name: given[name][order] for name in ("species", "frac_coords")}, order


WAYS = ["rotated", "inverted", "moved", "permuted"]


@pytest.mark.parametrize("how", WAYS)
def test_the_encoder_sees_no_difference(network, how):
    given, cell = crystal(0), torch.randn(1, 6, dtype=torch.float64)
    with torch.no_grad():
        first = network.encoder(**given, cell=cell)
        second = network.encoder(**changed(given, how)[0], cell=cell)
        other = network.encoder(**crystal(5), cell=cell)
    for one, two, three in zip(first, second, other, strict=True):
        torch.testing.assert_close(one, two)
        assert (one - three).abs().max() > 1e-3


@pytest.mark.parametrize("how", WAYS)
def test_the_decoder_turns_with_the_crystal(network, how):
    given, latent = crystal(0), torch.randn(1, 12, dtype=torch.float64)
    level = torch.tensor([0.3], dtype=torch.float64)
    other, order = changed(given, how)
    with torch.no_grad():
        moved, species = network.decoder(latent, **given, level=level)
        found, logits = network.decoder(latent, **other, level=level)
        elsewhere, _ = network.decoder(latent + 1, **given, level=level)
        louder, _ = network.decoder(latent, **given, level=2 * level)
    turn = torch.linalg.inv(given["lattices"][0]) @ other["lattices"][0]
    torch.testing.assert_close(found, (moved @ turn)[order])
    torch.testing.assert_close(logits, species[order])
    assert moved.abs().max() > 1e-4
    assert (moved - elsewhere).abs().max() > 1e-4  # it listens to the latent vector
    assert (moved - louder).abs().max() > 1e-4


def test_a_crystal_does_not_see_its_neighbours_and_one_without_contacts_is_taken(network):
    one, two = crystal(0), crystal(1, 3)
    lonely = crystal(2, 1) | {"lattices": 9 * torch.eye(3, dtype=torch.float64)[None]}
    parts = (one, two, lonely)
    both = {name: torch.cat([part[name] for part in parts]) for name in one}
    latent = torch.randn(3, 12, dtype=torch.float64)
    level = torch.ones(3, dtype=torch.float64)
    with torch.no_grad():
        together, _ = network.decoder(latent, **both, level=level)
        apart = [
            network.decoder(latent[k : k + 1], **part, level=level[:1])[0]
            for k, part in enumerate(parts)
        ]
    torch.testing.assert_close(together, torch.cat(apart))
    assert (apart[2] == 0).all()


def test_the_divergence_is_that_of_torch():
    torch.manual_seed(0)
    posterior = Posterior(torch.randn(7, 5), torch.randn(7, 5))
    normal = torch.distributions.Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(kl_divergence(posterior), expected.sum(-1))
    standard = Posterior(torch.zeros(2, 5), torch.zeros(2, 5))
    assert kl_divergence(standard).tolist() == [0.0, 0.0]
    torch.testing.assert_close(posterior.sample(torch.ones(7, 5)), normal.mean + normal.stddev)


def test_the_way_to_a_displaced_atom_is_known():
    lattice = torch.diag(torch.tensor([4.0, 5.0, 6.0]))[None]
    own = torch.zeros(2, dtype=torch.long)
    end = torch.tensor([[0.05, 0.5, 0.5], [0.2, 0.2, 0.2]])
    start = torch.tensor([[0.95, 0.5, 0.5], [0.2, 0.3, 0.2]])  # one beyond the face of the cell
    found = to_nearest_image(start, end, lattice, own)
    torch.testing.assert_close(found, torch.tensor([[0.4, 0, 0], [0, -0.5, 0]]))


def test_the_nearest_image_is_nearest_in_a_skewed_cell():
    rng = np.random.default_rng(0)
    lattice = np.array([[4.0, 0, 0], [-1.9, 3.5, 0], [1.5, -1.4, 4.0]])
    start, end = rng.random((2, 200, 3))
    found = to_nearest_image(
        *(torch.tensor(part) for part in (start, end, lattice[None])),
        torch.zeros(200, dtype=torch.long),
    ).numpy()
    images = np.array(list(itertools.product(range(-4, 5), repeat=3)))
    every = ((end - start)[:, None] + images) @ lattice
    shortest = np.linalg.norm(every, axis=-1).min(1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), shortest)
    back = (found @ np.linalg.inv(lattice)) - (end - start)
    np.testing.assert_allclose(back, np.round(back), atol=1e-9)


def test_noisy_species_are_drawn_from_truth_and_composition():
    composition = torch.zeros(1, SPECIES)
    composition[0, [7, 21]] = torch.tensor([0.75, 0.25])
    uniform = (torch.arange(4000) + 0.5) / 4000
    species = torch.full((4000,), 22)

    def share(level: float, z: int) -> float:
        drawn = noisy_species(
            species, composition.expand(4000, -1), torch.full((4000,), level), uniform
        )
        assert set(drawn.tolist()) <= {8, 22}
        return float((drawn == z).float().mean())

    for level in (0.01, 1.0, 5.0):
        assert share(level, 8) == pytest.approx(0.75 * level / (1 + level), abs=1e-3)
        assert share(level, 22) == pytest.approx((1 + 0.25 * level) / (1 + level), abs=1e-3)


def test_levels_and_steps_are_those_of_the_paper():
    levels = NoiseLevels()
    for values, ends in ((levels.coords, (10, 0.01)), (levels.species, (5, 0.01))):
        assert len(values) == 50
        assert (values[0], values[-1]) == pytest.approx(ends)
        np.testing.assert_allclose(np.diff(np.log(values)), np.log(ends[1] / ends[0]) / 49)
    sizes = levels.step_sizes(1e-4)
    assert sizes[-1] == pytest.approx(1e-4) and sizes[0] == pytest.approx(1e-4 * 1000**2)
    np.testing.assert_allclose(sizes, np.square(levels.coords))  # a step of α = σ^2


def test_the_loss_of_a_decoder_that_moves_nothing_is_known(crystals):
    """Without wraps the target is -ε, so half of its square, 3/2 on average, is lost."""
    settings = replace(SETTINGS, noise=NoiseLevels(4, 0.02, 0.01, 0.02, 0.01))
    statistics = CDVAEStatistics.fit(crystals.crystals, energies_of(crystals))
    network = CDVAE(SIZES)
    torch.nn.init.zeros_(network.decoder.move.weight)
    loss = CDVAELoss(network, statistics, settings)
    for teacher in (1.0, 0.0):  # in the predicted cell as in the true one
        rows = CrystalsInBatches(
            crystals.crystals, energies_of(crystals), statistics, batch_size=16, epochs=1, seed=0,
            latent=SIZES.latent, levels=4, teacher_share=teacher,
        )  # fmt: skip
        batch = rows[1]
        half = 0.5 * batch["coord_noise"].square().sum(-1)
        means = [part.mean() for part in half.split(batch["num_atoms"].tolist())]
        expected = float(torch.stack(means).mean())
        found = loss(**batch)
        assert float(found["coords_loss"]) == pytest.approx(expected, rel=1e-3)
        assert 0.5 < expected < 3
        parts = {n.removesuffix("_loss"): v.item() for n, v in found.items() if n != "loss"}
        total = sum(getattr(settings, f"{name}_weight") * part for name, part in parts.items())
        assert found["loss"].item() == pytest.approx(total, rel=1e-5)


def test_unknown_energies_do_not_count(crystals):
    statistics = CDVAEStatistics.fit(crystals.crystals, np.full(48, np.nan))
    loss = CDVAELoss(CDVAE(SIZES), statistics, SETTINGS)
    rows = CrystalsInBatches(
        crystals.crystals, np.full(48, np.nan), statistics, batch_size=16, epochs=1, seed=0,
        latent=SIZES.latent, levels=8, teacher_share=1.0,
    )  # fmt: skip
    found = loss(**rows[0])
    assert found["energy_loss"] == 0
    found["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in loss.parameters() if p.grad is not None)


def test_cells_are_standardised_there_and_back(crystals):
    some = crystals.crystals
    statistics = CDVAEStatistics.fit(some, energies_of(crystals))
    standard = statistics.standardised(some)
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(standard.std(0), 1)
    lengths, angles = statistics.cells(standard, some.num_atoms)
    np.testing.assert_allclose(lengths, some.lengths)
    np.testing.assert_allclose(angles, some.angles)
    assert set(statistics.elements) == set(some.atomic_numbers.tolist())
    with pytest.raises(InputError, match="not finite"):
        statistics.cells(standard * np.nan, some.num_atoms)


def test_only_elements_of_training_can_be_drawn():
    kept = with_elements(torch.zeros(2, SPECIES), (8, 22)).softmax(-1)
    assert kept[:, [7, 21]].tolist() == [[0.5, 0.5]] * 2
    assert kept.sum() == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: NoiseLevels(largest_noise=0.001), "smallest_noise"),
        (lambda: NoiseLevels(noise_levels=1), "noise_levels"),
        (lambda: NoiseLevels(smallest_species_noise=9.0), "smallest_species_noise"),
        (lambda: CDVAEConfig(latent=0), "latent"),
        (lambda: CDVAEConfig(cutoff=30.0), "cutoff"),
        (lambda: CDVAEStatistics((0.0,) * 6, (1.0,) * 6, 0.0, 1.0, (101,)), "101"),
    ],
)
def test_values_out_of_range_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_an_element_without_a_place_is_refused_by_name(crystals):
    strange = CrystalBatch([8, 103], np.zeros((2, 3)), [[4.0] * 3], [[90.0] * 3], [2], ["lawr"])
    statistics = CDVAEStatistics.fit(crystals.crystals, energies_of(crystals))
    with pytest.raises(InputError, match="lawr: CDVAE does not support the species 103"):
        CrystalsInBatches(
            strange, np.zeros(1), statistics, batch_size=1, epochs=1, seed=0, latent=4, levels=8,
            teacher_share=0.0,
        )  # fmt: skip
