"""The equivariant flow: noise inside one symmetry, refinement that keeps it, training, files."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import spglib
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters
from flowllm.errors import InputError
from flowllm.methods.equivariant.loss import NoisyBatches, Warming
from flowllm.methods.equivariant.noise import noisy_batch
from flowllm.methods.equivariant.noise_settings import NoiseSettings
from flowllm.methods.equivariant.refiner import EquivariantRefiner
from flowllm.methods.equivariant.settings import EquivariantSettings, EquivariantTrainSettings
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.methods.equivariant.train import train_equivariant
from flowllm.networks.equivariant.network import EquivariantNetwork
from flowllm.networks.equivariant.settings import EquivariantConfig
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.find import idealised_cell
from flowllm.symmetry.space_group import space_group
from flowllm.systems.testing import check_refiner

pytestmark = pytest.mark.slow

SIZES = EquivariantConfig(hidden=16, layers=2, basis=8)
# all 14 lattices: aP mP mC oP oC oI oF tP tI hR hP cP cI cF, and more groups of each
GROUPS = [1, 2, 4, 14, 5, 12, 15, 19, 33, 62, 36, 63, 46, 72, 43, 70, 92, 136, 88, 139, 146, 148,
          166, 152, 176, 194, 198, 205, 221, 199, 229, 216, 227]  # fmt: skip


def symmetric(number: int, seed: int = 0) -> CrystalBatch:
    """A crystal of a space group: one general position, and one of each of two other letters."""
    rng, group = np.random.default_rng([number, seed]), space_group(number)
    lengths, angles = idealised_cell(
        group, rng.uniform(6, 8, 3), np.array([85.0, 97.0, 94.0]) + rng.uniform(-3, 3, 3)
    )
    letters = [*list(group.positions)[:2], list(group.positions)[-1]]
    points = [group.positions[letter].place(rng.random(len(group.positions[letter].free)))
              for letter in letters]  # fmt: skip
    elements = np.array([11, 17, 8][: len(letters)])
    made = SymmetricCrystal(number, lengths, angles, elements, tuple(letters), np.array(points))
    return made.to_primitive(str(number))


def misfit(crystal: CrystalBatch, rotations: np.ndarray, translations: np.ndarray) -> float:
    """Å by which the operations miss the crystal, at most, or a hundred times its metric's share.

    The network computes in float32, which leaves some 1e-5 of either.
    """
    lattice = crystal.lattices[0]
    metric = lattice @ lattice.T
    worst = 0.0
    for rotation, translation in zip(rotations, translations, strict=True):
        images = crystal.frac_coords @ rotation.T + translation
        gaps = images[:, None] - crystal.frac_coords[None]
        gaps -= np.round(gaps)
        far = np.linalg.norm(gaps @ lattice, axis=-1)
        far[crystal.atomic_numbers[:, None] != crystal.atomic_numbers[None]] = np.inf
        change = np.abs(rotation.T @ metric @ rotation - metric).max() / metric.max()
        worst = max(worst, far.min(1).max(), 100 * change)
    return float(worst)


def operations(crystal: CrystalBatch) -> tuple[np.ndarray, np.ndarray]:
    cell = (crystal.lattices[0], crystal.frac_coords, crystal.atomic_numbers)
    found = spglib.get_symmetry_dataset(cell, symprec=1e-5)
    return found.rotations, found.translations


@pytest.fixture(scope="module")
def network() -> EquivariantNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = EquivariantNetwork(SIZES)
        torch.nn.init.normal_(made.stretch_head.weight, std=0.03)
        made.move_head.weight.data *= 2
    return made


@pytest.mark.parametrize("number", GROUPS)
def test_refinement_keeps_every_operation(network, number):
    crystal = symmetric(number)
    group = operations(crystal)
    assert len(group[0]) >= len(space_group(number).rotations) / space_group(number).points
    path = EquivariantRefiner(network).refine(crystal, EquivariantSettings(steps=8, record=3))
    moved = np.abs(path.frac_coords[-1] - path.frac_coords[0]).max()
    assert moved > 1e-4 or number in (221, 229)  # atoms of the first letters cannot move
    for frame in range(3):
        assert misfit(path.frame(frame), *group) < 2e-3


@pytest.mark.parametrize("number", GROUPS[::3])
def test_noise_keeps_the_operations_and_ends_at_the_target(number):
    crystal = symmetric(number, 1)
    targets = SymmetricTargets.of(crystal)
    group = operations(_batch(targets, targets.frac_coords, targets.lattices[0]))
    settings = NoiseSettings(untouched=0, broken=0, smallest=0.5)
    batch = noisy_batch(targets, settings, np.random.default_rng(number))
    lattice = batch["lattices"][0].double().numpy()
    noisy = _batch(targets, batch["frac_coords"].double().numpy(), lattice)
    assert misfit(noisy, *group) < 2e-3
    # what is left to go leads to the target: displacements, strain and its trace
    strain = batch["strain"][0].double().numpy()
    np.testing.assert_allclose(lattice @ scipy.linalg.expm(strain), targets.lattices[0], atol=1e-4)
    ratio = np.linalg.det(targets.lattices[0]) / np.linalg.det(lattice)
    assert np.log(ratio) == pytest.approx(np.trace(strain), abs=1e-5)
    back = batch["frac_coords"].numpy() + batch["displacement"].numpy() @ np.linalg.inv(lattice)
    np.testing.assert_allclose(back, targets.frac_coords, atol=1e-5)
    # D = 1/2 log(L0^-1 G1 L0^-T) in the frame of L0
    inverse = np.linalg.inv(lattice)
    metric = inverse @ targets.lattices[0] @ targets.lattices[0].T @ inverse.T
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvals(0.5 * scipy.linalg.logm(metric)).real),
        np.sort(np.linalg.eigvalsh(strain)),
        atol=1e-4,
    )


@pytest.mark.parametrize("number", GROUPS[1::4])
def test_the_way_back_keeps_the_operations_at_all_times(number):
    targets = SymmetricTargets.of(symmetric(number, 2))
    group = operations(_batch(targets, targets.frac_coords, targets.lattices[0]))
    settings = NoiseSettings(untouched=0, broken=0, smallest=0.9)
    left = []
    for time in (0.0, 0.3, 1.0):
        batch = noisy_batch(targets, settings, np.random.default_rng(number), at=time)
        assert batch["time"].item() == pytest.approx(time)
        coords, lattice = (batch[k].double().numpy() for k in ("frac_coords", "lattices"))
        assert misfit(_batch(targets, coords, lattice[0]), *group) < 1e-3
        left.append(batch["strain"][0].double().numpy())
    # one strain all the way, of which the share 1 - t is left; nothing at the end
    assert np.abs(left[0]).max() > 1e-3
    np.testing.assert_allclose(left[1], 0.7 * left[0], atol=1e-6)
    np.testing.assert_array_equal(left[2], 0)
    np.testing.assert_array_equal(batch["displacement"], 0)


@pytest.mark.parametrize("axes", [[[0, 1, 0], [0, 0, 1], [1, 0, 0]], -np.eye(3)])
def test_other_axes_give_the_same_refined_crystals(network, mp20_crystals, axes):
    """Relabelled and inverted axes, and another origin, of crystals of the data."""
    change = np.array(axes, dtype=float)
    some = mp20_crystals[:6]
    coords = (some.frac_coords + np.array([0.21, 0.4, 0.77])) @ np.linalg.inv(change)
    cells = [cell_parameters(change @ lattice) for lattice in some.lattices]
    lengths, angles = (np.array([cell[k] for cell in cells]) for k in (0, 1))
    other = some.replace(frac_coords=coords, lengths=lengths, angles=angles)
    refiner = EquivariantRefiner(network)
    first, second = refiner.refine(some).last, refiner.refine(other).last
    back = second.frac_coords @ change - np.array([0.21, 0.4, 0.77])
    gaps = back - first.frac_coords
    gaps -= np.round(gaps)
    assert np.abs(first.lengths - some.lengths).max() > 1e-2
    far = np.linalg.norm(
        np.einsum("ni,nij->nj", gaps, first.lattices[some.crystal_of_atom]), axis=1
    )
    assert far.max() < 1e-3
    np.testing.assert_allclose(first.volumes, second.volumes, rtol=1e-4)


def test_training_begins_with_large_noise(data):
    settings = NoiseSettings(untouched=0.0, broken=1.0)
    warm = Warming(0.5, 0.5, 0.4, 0.01)
    batches = NoisyBatches(data, settings, 24, 50, 0, warm)
    first, last = batches[0], batches[len(batches) - 1]
    assert first["softness"].item() == pytest.approx(0.4)
    assert last["softness"].item() == pytest.approx(0.01)
    halfway = batches[len(batches) // 4]["softness"].item()
    assert halfway == pytest.approx((0.4 * 0.01) ** 0.5, rel=0.05)
    # without warming the same draws are scales down to a thousandth
    small = NoisyBatches(data, settings, 24, 50, 0)[0]
    assert small["displacement"].norm() < 0.8 * first["displacement"].norm()
    assert small["strain"].abs().amax((1, 2)).min() < 0.3 * first["strain"].abs().amax((1, 2)).min()


def _batch(targets: SymmetricTargets, coords: np.ndarray, lattice: np.ndarray) -> CrystalBatch:
    lengths, angles = cell_parameters(lattice)
    return CrystalBatch(
        targets.atomic_numbers, coords, lengths[None], angles[None], targets.num_atoms, ["x"]
    )


def test_shares_and_scales_of_the_noise_are_as_asked(mp20_crystals):
    targets = SymmetricTargets.of(mp20_crystals[:40])
    chosen = np.resize(np.arange(len(targets)), 400)
    settings = NoiseSettings(untouched=0.25, broken=0.0)
    batch = noisy_batch(targets[chosen], settings, np.random.default_rng(0))
    still = (batch["strain"].abs().amax((1, 2)) == 0).float().mean()
    assert 0.15 < still < 0.35
    assert batch["displacement"].abs().max() < 6 * settings.displacement
    trace = batch["strain"].diagonal(dim1=1, dim2=2).sum(-1)
    assert trace.abs().max() <= settings.volume + 1e-6
    broken = noisy_batch(
        targets[chosen], NoiseSettings(untouched=0, broken=1), np.random.default_rng(0)
    )
    assert (broken["strain"][:, 0, 1].abs() > 0).all()


def test_the_refiner_meets_the_protocol(network, mp20_crystals, tmp_path):
    check_refiner(EquivariantRefiner(network), tmp_path, mp20_crystals[:4])


def test_files_give_the_same_refiner(network, mp20_crystals, tmp_path):
    refiner = EquivariantRefiner(network)
    refiner.save(tmp_path)
    loaded = EquivariantRefiner.load(tmp_path)
    assert loaded.digest() == refiner.digest()
    some = mp20_crystals[:3]
    np.testing.assert_array_equal(loaded.refine(some).frac_coords, refiner.refine(some).frac_coords)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"hidden": 16', '"hidden": 17'))
    with pytest.raises(InputError, match=str(tmp_path)):
        EquivariantRefiner.load(tmp_path)


def test_open_species_and_flat_cells_are_refused_by_name(network, mp20_crystals):
    some, refiner = mp20_crystals[:2], EquivariantRefiner(network)
    open_species = some.replace(atomic_numbers=np.where(some.crystal_of_atom == 1, 0, 8))
    with pytest.raises(InputError, match=str(some.ids[1])):
        refiner.refine(open_species)
    flat = some.replace(angles=np.array([[90.0, 90, 90], [60, 60, 120]]))
    with pytest.raises(InputError, match=str(some.ids[1])):
        refiner.refine(flat)


@pytest.fixture(scope="module")
def data(mp20_crystals) -> SymmetricTargets:
    return SymmetricTargets.of(mp20_crystals[:96])


SETTINGS = EquivariantTrainSettings(
    pairs_share=0.0,
    network=SIZES, noise=NoiseSettings(untouched=0, smallest=0.5), epochs=30, batch_size=16,
    learning_rate=5e-3, eval_steps=90, save_steps=30, log_steps=15, ema_decay=0.9, threads=1,
)  # fmt: skip


def test_training_learns_the_way_back_and_resumes_to_the_bit(data, tmp_path):
    whole = train_equivariant(data, data, SETTINGS, tmp_path / "whole", "cpu")
    held = NoisyBatches(data, SETTINGS.noise, 96, 1, 5)[0]
    with torch.no_grad():
        found = whole.network(
            *(held[k] for k in ("species", "frac_coords", "lattices", "num_atoms"))
        )
    # a network that moves nothing is off by all of it
    off = found.displacement - held["displacement"]
    assert off.norm() < 0.95 * held["displacement"].norm()
    assert (found.strain - held["strain"]).norm() < held["strain"].norm()

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == 60:
            raise Killed

    with pytest.raises(Killed):
        train_equivariant(data, data, SETTINGS, tmp_path / "cut", "cpu", kill)
    again = train_equivariant(data, data, SETTINGS, tmp_path / "cut", "cpu")
    assert again.digest() == whole.digest()
