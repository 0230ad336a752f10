"""Pairs of predictions and crystals: the way between them, its use in training, files."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters
from flowllm.crystals.primitive import niggli_cell
from flowllm.errors import InputError
from flowllm.methods.equivariant.loss import NoisyBatches, Warming
from flowllm.methods.equivariant.match import MOST_DISPLACEMENT, MOST_STRAIN, way_between
from flowllm.methods.equivariant.noise import exponential, noisy_batch
from flowllm.methods.equivariant.noise_settings import NoiseSettings
from flowllm.methods.equivariant.pairs import PredictedPairs, save_pairs
from flowllm.methods.equivariant.predicted import predicted_pairs, predictions
from flowllm.methods.equivariant.settings import EquivariantTrainSettings
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.methods.equivariant.train import train_equivariant
from flowllm.methods.templates.prior import TemplatePrior
from flowllm.networks.equivariant.settings import EquivariantConfig
from flowllm.systems.system import FlowLLM
from flowllm.workflows.train.equivariant import train_on_crystals

pytestmark = pytest.mark.slow

HERE = np.array([0])
STRICT = StructureMatcher(ltol=0.01, stol=0.05, angle_tol=0.5, primitive_cell=False, scale=False)
AS_SCORED = StructureMatcher(ltol=0.3, stol=0.5, angle_tol=10, primitive_cell=False)


@pytest.fixture(scope="module")
def prior() -> TemplatePrior:
    found = FlowLLM.from_pretrained("mp20-templates", "cpu").prior
    assert isinstance(found, TemplatePrior)
    return found


@pytest.fixture(scope="module")
def targets(mp20_crystals) -> SymmetricTargets:
    return SymmetricTargets.of(mp20_crystals[:40])


@pytest.fixture(scope="module")
def pairs(prior, targets) -> PredictedPairs:
    return predicted_pairs(prior, targets)


def rebuilt(target: SymmetricTargets, pair: PredictedPairs) -> Structure:
    """Where the copy of one target begins, at time 0."""
    starts = pair.draw(HERE, target.num_atoms, 1.0, np.random.default_rng(0))
    made = noisy_batch(target, NoiseSettings(), np.random.default_rng(0), at=0.0, starts=starts)
    return Structure(
        made["lattices"][0].double().numpy(),
        target.atomic_numbers,
        made["frac_coords"].double().numpy(),
    )


def structure(crystal: CrystalBatch) -> Structure:
    return Structure(crystal.lattices[0], crystal.atomic_numbers, crystal.frac_coords)


def test_the_start_of_a_pair_is_the_prediction(prior, targets):
    checked = apart = 0
    for row in range(len(targets)):
        target = targets[np.array([row])]
        right = Structure(target.lattices[0], target.atomic_numbers, target.frac_coords)
        for start in predictions(prior, target.atomic_numbers, 1):
            found = way_between(
                start, target.atomic_numbers, target.frac_coords, target.lattices[0]
            )
            other = structure(start)
            # the matcher may refuse one way round what it accepts the other way round
            matches = AS_SCORED.fit(right, other) or AS_SCORED.fit(other, right)
            if found is None:
                apart += matches
                continue
            assert matches
            checked += 1
            pair = PredictedPairs(HERE, found.displacement, found.strain[None])
            far = STRICT.get_rms_dist(rebuilt(target, pair), other)
            assert far is not None and far[1] < 1e-4
    assert checked >= 20
    assert apart <= 4  # what matches, but farther away than a way may be


def test_ways_are_short_and_move_no_centre(pairs, targets):
    pairs.check(targets)
    assert len(pairs) > 20 and (pairs.row[1:] == pairs.row[:-1]).any()  # two predictions of one
    sizes = targets.num_atoms[pairs.row]
    starts = np.cumsum(sizes) - sizes
    assert np.abs(np.add.reduceat(pairs.displacement, starts)).max() < 1e-4
    assert np.linalg.norm(pairs.displacement, axis=1).max() <= MOST_DISPLACEMENT + 1e-6
    assert np.linalg.norm(pairs.strain, axis=(1, 2)).max() <= MOST_STRAIN + 1e-6
    np.testing.assert_allclose(pairs.strain, pairs.strain.transpose(0, 2, 1), atol=1e-7)


def test_a_way_that_is_known_is_found(targets):
    """Crystals of noise, in another basis and order, mirrored and shifted."""
    rng = np.random.default_rng(3)
    noise = NoiseSettings(displacement=0.05, volume=0.1, strain=0.03, untouched=0, smallest=1)
    for row in range(0, 40, 3):
        target = targets[np.array([row])]
        made = noisy_batch(target, noise, rng, at=0.0)
        order = rng.permutation(len(target.atomic_numbers))
        mirrored = np.diag([1, -1, 1]) @ np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
        frac = made["frac_coords"].double().numpy()[order] + rng.random(3)
        lattice = mirrored @ made["lattices"][0].double().numpy()
        lattice, frac = niggli_cell(lattice * np.array([1, 1, -1]), frac @ np.linalg.inv(mirrored))
        lengths, angles = cell_parameters(lattice)
        start = CrystalBatch(
            target.atomic_numbers[order], frac, lengths[None], angles[None], target.num_atoms, ["x"]
        )
        found = way_between(start, target.atomic_numbers, target.frac_coords, target.lattices[0])
        assert found is not None
        known = [made["displacement"].norm(), made["strain"].norm()]
        assert np.linalg.norm(found.displacement) <= known[0] + 0.02
        assert np.linalg.norm(found.strain) <= known[1] + 0.01
        trace = made["strain"][0].trace().item()
        assert np.trace(found.strain) == pytest.approx(trace, abs=1e-5)


def test_copies_on_a_pair_keep_to_the_way_and_others_have_their_noise(pairs, targets):
    chosen, sizes = np.arange(len(targets)), targets.num_atoms
    starts = pairs.draw(chosen, sizes, 0.7, np.random.default_rng(1))
    assert 0 < starts.used.sum() < len(np.unique(pairs.row))
    noise = NoiseSettings(untouched=0)
    plain = noisy_batch(targets, noise, np.random.default_rng(2), at=0.25)
    mixed = noisy_batch(targets, noise, np.random.default_rng(2), at=0.25, starts=starts)
    used, of_atoms = starts.used, np.repeat(starts.used, sizes)
    for name in ("strain", "lattices"):
        assert torch.equal(plain[name][~used], mixed[name][~used])
    for name in ("displacement", "frac_coords"):
        assert torch.equal(plain[name][~of_atoms], mixed[name][~of_atoms])
    np.testing.assert_allclose(mixed["strain"][used], 0.75 * starts.strain[used], atol=1e-6)
    moved = mixed["displacement"].numpy()
    np.testing.assert_allclose(moved[of_atoms], 0.75 * starts.displacement[of_atoms], atol=1e-6)
    cells = targets.lattices @ exponential(-0.75 * starts.strain)
    np.testing.assert_allclose(mixed["lattices"][used], cells[used], atol=1e-5)
    # each pair is one of its target's own
    for row in np.flatnonzero(used)[:10]:
        assert (pairs.strain[pairs.row == row] == starts.strain[row]).all((1, 2)).any()


def test_batches_without_pairs_are_as_before(pairs, targets):
    noise, warm = NoiseSettings(), Warming(0.5, 0.3, 0.3, 0.02)
    plain = NoisyBatches(targets, noise, 16, 4, 0, warm)
    for other in (
        NoisyBatches(targets, noise, 16, 4, 0, warm, pairs, 0.0),
        NoisyBatches(targets, noise, 16, 4, 0, warm, None, 0.5),
    ):
        assert all(torch.equal(v, other[3][k]) for k, v in plain[3].items())
    mixed = NoisyBatches(targets, noise, 16, 4, 0, warm, pairs, 0.5)
    differ = (mixed[3]["strain"] != plain[3]["strain"]).any(-1).any(-1)
    assert 0 < differ.sum() < 16
    again = NoisyBatches(targets, noise, 16, 4, 0, warm, pairs, 0.5)
    assert all(torch.equal(v, again[3][k]) for k, v in mixed[3].items())


def test_files_and_parts_hold_the_same_pairs(pairs, targets, tmp_path):
    chosen = np.array([7, 3, 30, 12])
    part = pairs.of(chosen, targets.num_atoms)
    part.check(targets[chosen])
    for place, row in enumerate(chosen.tolist()):
        np.testing.assert_array_equal(
            part.strain[part.row == place], pairs.strain[pairs.row == row]
        )
    save_pairs(tmp_path / "pairs.npz", train=pairs, val=part)
    for split, kept in (("train", pairs), ("val", part)):
        loaded = PredictedPairs.load(tmp_path / "pairs.npz", split)
        for name in ("row", "displacement", "strain"):
            np.testing.assert_array_equal(getattr(loaded, name), getattr(kept, name))
    with pytest.raises(InputError, match="different crystals"):
        pairs.check(targets[chosen])
    with pytest.raises(InputError, match="numbers of atoms"):
        replace(pairs, displacement=pairs.displacement[1:]).check(targets)


def test_training_on_pairs_resumes_to_the_bit(pairs, targets, tmp_path):
    settings = EquivariantTrainSettings(
        network=EquivariantConfig(hidden=16, layers=2, basis=8), epochs=6, batch_size=16,
        eval_steps=6, save_steps=3, log_steps=3, threads=1, pairs_share=0.5,
    )  # fmt: skip
    with pytest.raises(InputError, match="there are no pairs"):
        train_equivariant(targets, targets, settings, tmp_path / "none", "cpu")

    def run(name: str, stop: int | None = None, share: float = 0.5) -> str:
        def kill(done: int, total: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        chosen = replace(settings, pairs_share=share)
        return train_equivariant(
            targets,
            targets,
            chosen,
            tmp_path / name,
            "cpu",
            kill,
            pairs=pairs,
            held_out_pairs=pairs,
        ).digest()

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", 6)
    assert run("cut") == whole
    assert run("noise", share=0.0) != whole


def test_the_workflow_makes_pairs_of_its_templates(prepared, tmp_path):
    settings = EquivariantTrainSettings(
        network=EquivariantConfig(hidden=16, layers=2, basis=8), epochs=1, batch_size=16,
        threads=1, pairs_share=1.0,
    )  # fmt: skip
    found = [
        train_on_crystals(
            prepared, tmp_path / str(share), replace(settings, pairs_share=share), workers=1
        ).digest()
        for share in (0.0, 1.0)
    ]
    assert found[0] != found[1]


def test_training_on_stored_pairs_needs_no_pymatgen():
    blocked = "import sys; sys.modules['pymatgen'] = None; import flowllm.methods.equivariant."
    for module in ("train", "pairs", "predicted"):
        subprocess.run([sys.executable, "-c", blocked + module], check=True)
