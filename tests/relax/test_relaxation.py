"""Relaxation of batches: against chgnet's own, in any company, with faults, time and records."""

import numpy as np
import pytest

from flowllm.bench.relaxation import relax_by_chgnet
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.relax import Relaxation, RelaxSettings, evaluate, relax, relaxation
from flowllm.relax.record import RelaxationPath
from tests.relax.artificial import EDGE, Springs, shaken, target

pytestmark = pytest.mark.slow

SIZES = [3, 6, 1, 5, 2, 8, 4]
BATCH = CrystalBatch.concatenate(shaken(n, 10 + n, f"n{n}") for n in SIZES)
TIGHT = RelaxSettings(fmax=1e-3)


def check_same(one: Relaxation, other: Relaxation, atol: float) -> None:
    assert one.crystals.ids.tolist() == other.crystals.ids.tolist()
    assert one.reasons.tolist() == other.reasons.tolist()
    np.testing.assert_array_equal(one.steps, other.steps)
    np.testing.assert_allclose(one.energies, other.energies, atol=atol)
    np.testing.assert_allclose(one.crystals.lengths, other.crystals.lengths, atol=atol)


# ---- CHGNet ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def relaxed(shaken_crystals):
    return relax(shaken_crystals, workers=1)


@pytest.mark.data
def test_energies_volumes_and_steps_are_those_of_chgnet_s_own(shaken_crystals, relaxed):
    assert relaxed.converged.all() and not any(relaxed.reasons)
    for index in (0, 2, 4):
        energy, _, steps, crystal = relax_by_chgnet((shaken_crystals[index], RelaxSettings()))
        assert relaxed.energies[index] == pytest.approx(energy, abs=2e-3)
        assert relaxed.crystals.volumes[index] == pytest.approx(crystal.volumes[0], rel=5e-3)
        assert abs(relaxed.steps[index] - steps) <= 2


@pytest.mark.data
def test_energy_falls_and_a_relaxed_crystal_stays_as_it_is(relaxed):
    assert (relaxed.energies < relaxed.initial_energies).all() and (relaxed.steps > 0).all()
    again = relax(relaxed.crystals, workers=1)
    assert again.converged.all() and again.steps.max() <= 1
    unmoved = np.flatnonzero(again.steps == 0)
    assert len(unmoved)
    np.testing.assert_array_equal(
        again.crystals[unmoved].frac_coords, relaxed.crystals[unmoved].frac_coords
    )
    np.testing.assert_allclose(again.initial_energies, relaxed.energies, atol=1e-4)


@pytest.mark.data
def test_company_does_not_matter_to_chgnet_but_for_rounding(shaken_crystals, relaxed):
    alone = relax(shaken_crystals[3], workers=1)
    small = relax(shaken_crystals[::-1], RelaxSettings(max_batch_atoms=7), workers=1)
    for other in (alone, small.select([1])):
        assert other.energies[0] == pytest.approx(relaxed.energies[3], abs=1e-3)
        assert other.crystals.volumes[0] == pytest.approx(relaxed.crystals.volumes[3], rel=2e-3)


@pytest.mark.data
def test_with_chgnet_one_bad_crystal_stops_no_other(shaken_crystals, relaxed):
    good = shaken_crystals[[0]]
    gas = CrystalBatch([2], [(0, 0, 0)], [(30, 30, 30)], [(90, 90, 90)], [1], ["gas"])
    flat = gas.replace(lengths=[(5, 5, 5)], angles=[(60, 60, 120)], ids=["flat"])
    heavy = gas.replace(atomic_numbers=[100], ids=["heavy"])
    nothing = CrystalBatch([], np.zeros((0, 3)), [(5, 5, 5)], [(90, 90, 90)], [0], ["nothing"])
    result = relax(CrystalBatch.concatenate([gas, flat, good, nothing, heavy]), workers=1)
    assert result.reasons.tolist() == [
        "atoms have no neighbours within 6 Å",
        "its cell has zero volume",
        "",
        "it has no atoms",
        "CHGNet does not cover element 100",
    ]
    assert result.failed.tolist() == [True, True, False, True, True]
    assert result.converged.tolist() == [False, False, True, False, False]
    assert result.energies[2] == pytest.approx(relaxed.energies[0], abs=1e-4)
    np.testing.assert_array_equal(result.crystals.lengths[1], flat.lengths[0])


# ---- a potential with a known minimum ----------------------------------------------------------


def test_every_crystal_of_a_batch_reaches_its_minimum():
    result = relax(BATCH, TIGHT, Springs(), workers=1)
    assert result.converged.all() and result.crystals.ids.tolist() == BATCH.ids.tolist()
    np.testing.assert_allclose(result.crystals.lengths, EDGE, atol=1e-2)
    np.testing.assert_allclose(result.energies, 0, atol=1e-5)
    assert (result.initial_energies > 1e-3).all() and (result.seconds > 0).all()


def test_company_and_order_change_nothing():
    whole = relax(BATCH, TIGHT, Springs(), workers=1)
    order = np.array([4, 0, 6, 2, 5, 1, 3])
    check_same(relax(BATCH[order], TIGHT, Springs(), workers=1), whole.select(order), 1e-12)
    one_by_one = RelaxSettings(fmax=1e-3, max_batch_atoms=1)
    check_same(relax(BATCH, one_by_one, Springs(), workers=1), whole, 1e-12)


def test_processes_change_nothing(monkeypatch):
    monkeypatch.setattr(relaxation, "CHUNK_SIZE", 3)
    seen = []
    several = relax(BATCH, TIGHT, Springs(), workers=2, progress=lambda *state: seen.append(state))
    check_same(several, relax(BATCH, TIGHT, Springs(), workers=1), 1e-12)
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_a_crystal_that_kills_its_process_is_named_and_the_others_are_relaxed(monkeypatch):
    monkeypatch.setattr(relaxation, "CHUNK_SIZE", 4)
    result = relax(BATCH, TIGHT, Springs(kill=6), workers=2)
    lost = SIZES.index(6)
    assert "process died" in result.reasons[lost] and np.isnan(result.energies[lost])
    assert np.delete(result.converged, lost).all() and not result.converged[lost]
    np.testing.assert_array_equal(result.crystals[lost].lengths, BATCH[lost].lengths)


def test_atoms_in_another_order_relax_alike():
    result = relax(BATCH[[3]], TIGHT, Springs(), workers=1)
    order = [4, 2, 0, 1, 3]
    coords = BATCH[[3]].frac_coords[order]

    class Reordered(Springs):
        def __call__(self, numbers, frac_coords, lattices, counts):
            back = np.argsort(order)
            found = super().__call__(numbers, frac_coords[back], lattices, counts)
            return type(found)(found.energies, found.forces[order], found.stresses, found.reasons)

    swapped = relax(BATCH[[3]].replace(frac_coords=coords), TIGHT, Reordered(), workers=1)
    check_same(swapped, result, 1e-9)
    np.testing.assert_allclose(
        swapped.crystals.frac_coords, result.crystals.frac_coords[order], atol=1e-9
    )


def test_an_explosion_leaves_the_batch_with_its_last_sound_structure():
    settings = RelaxSettings(fmax=1e-3, max_volume_ratio=1.5)
    result = relax(BATCH, settings, Springs(escape=5), workers=1)
    lost = SIZES.index(5)
    assert result.reasons[lost].startswith("volume went to 1.5")
    assert np.isnan(result.energies[lost]) and np.isfinite(result.initial_energies[lost])
    grown = result.crystals.volumes[lost] / BATCH.volumes[lost]
    assert 1.3 < grown <= 1.5
    assert np.delete(result.converged, lost).all() and not result.converged[lost]


@pytest.mark.parametrize(
    ("settings", "potential", "reason"),
    [
        (RelaxSettings(max_energy=0.2), Springs(), "energy went to {energy:.4g} eV/atom"),
        (RelaxSettings(max_force=0.5), Springs(), "a force went to {force:.4g} eV/Å"),
        (RelaxSettings(), Springs(nan=4), "energy went to nan eV/atom"),
        (RelaxSettings(), Springs(refuse=4), "no crystals of 4 atoms here"),
    ],
)
def test_a_failure_is_named_and_the_input_comes_back(settings, potential, reason):
    bad, good = BATCH[[SIZES.index(4)]], target(2)
    start = evaluate(bad, Springs())
    found = {
        "energy": start.energies[0] / 4,
        "force": np.linalg.norm(start.forces, axis=1).max(),
    }
    result = relax(CrystalBatch.concatenate([bad, good]), settings, potential, workers=1)
    assert result.reasons.tolist() == [reason.format(**found), ""]
    assert result.failed[0] and result.steps[0] == 0 and np.isnan(result.initial_energies[0])
    np.testing.assert_array_equal(result.crystals[0].frac_coords, bad.frac_coords)
    assert result.converged.tolist() == [False, True]


def test_out_of_steps_keeps_structure_and_energy():
    result = relax(BATCH, RelaxSettings(fmax=1e-9, steps=3), Springs(), workers=1)
    assert set(result.reasons) == {"not converged in 3 steps"}
    assert (result.steps == 3).all() and not result.converged.any() and not result.failed.any()
    assert (result.energies < result.initial_energies).all()
    unmoved = relax(BATCH, RelaxSettings(fmax=1e-9, steps=0), Springs(), workers=1)
    np.testing.assert_array_equal(unmoved.energies, unmoved.initial_energies)
    np.testing.assert_array_equal(unmoved.crystals.frac_coords, BATCH.frac_coords)


def test_each_crystal_is_charged_its_share_of_time_and_given_up_after_the_limit():
    settings = RelaxSettings(fmax=1e-12, steps=100_000, time_limit=0.05)
    result = relax(BATCH[[0, 1]], settings, Springs(delay=2e-3), workers=1)
    assert set(result.reasons) == {"took longer than 0.05 s"}
    assert (result.seconds > 0.05).all() and (result.steps < 100).all()
    assert not result.failed.any() and not result.converged.any()


# ---- records, files, settings ------------------------------------------------------------------


def test_a_path_on_which_species_change_is_refused():
    start = target(2)
    changed = start.replace(atomic_numbers=[6, 7])
    assert len(RelaxationPath.of([start, start], [-1.0, -2.0])) == 2
    with pytest.raises(InputError, match="does not change species"):
        RelaxationPath.of([start, changed], [-1.0, -2.0])


def test_paths_are_recorded_and_come_back_from_a_file(tmp_path):
    settings = RelaxSettings(fmax=1e-3, record=True)
    bad = BATCH[[2]].replace(angles=[(60, 60, 120)])
    result = relax(CrystalBatch.concatenate([BATCH[:2], bad]), settings, Springs(), workers=1)
    for index in (0, 1):
        path = result.paths[index]
        assert len(path) == result.steps[index] + 1
        assert path.energies[0] == result.initial_energies[index]
        assert path.energies[-1] == result.energies[index]
        np.testing.assert_array_equal(path.trajectory.first.frac_coords, BATCH[index].frac_coords)
        np.testing.assert_array_equal(
            path.trajectory.last.lengths[0], result.crystals.lengths[index]
        )
        assert path.trajectory.ids.tolist() == [BATCH.ids[index]]
    assert len(result.paths[2]) == 1 and np.isnan(result.paths[2].energies[0])
    result.save(tmp_path / "relaxation.npz")
    loaded = Relaxation.load(tmp_path / "relaxation.npz")
    check_same(loaded, result, 0)
    for one, other in zip(loaded.paths, result.paths, strict=True):
        np.testing.assert_array_equal(one.energies, other.energies)
        np.testing.assert_array_equal(one.trajectory.frac_coords, other.trajectory.frac_coords)
        np.testing.assert_array_equal(one.trajectory.angles, other.trajectory.angles)


def test_parts_come_together_in_their_order(tmp_path):
    whole = relax(BATCH, TIGHT, Springs(refuse=5), workers=1)
    parts = [relax(BATCH[i : i + 3], TIGHT, Springs(refuse=5), workers=1) for i in (0, 3, 6)]
    joined = Relaxation.concatenate(parts)
    check_same(joined, whole, 1e-12)
    assert joined.paths == () and len(Relaxation.concatenate([])) == 0
    joined.save(tmp_path / "parts.npz")
    check_same(Relaxation.load(tmp_path / "parts.npz"), joined, 0)


def test_no_crystals():
    result = relax(CrystalBatch.empty(), workers=1)
    assert len(result) == 0 and result.paths == ()


def test_files_that_are_no_relaxation(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Relaxation.load(tmp_path / "missing.npz")
    BATCH.save(tmp_path / "crystals.npz")
    with pytest.raises(InputError, match="is not a relaxation"):
        Relaxation.load(tmp_path / "crystals.npz")


def test_arrays_of_another_length_are_an_error():
    result = relax(target(2), potential=Springs(), workers=1)
    assert result.steps[0] == 0 and result.converged[0]
    with pytest.raises(InputError, match="1 steps for 2 crystals"):
        Relaxation(BATCH[:2], [0, 0], [0, 0], [1], [True] * 2, ["", ""], [0, 0])
    with pytest.raises(InputError, match="2 paths for 1 crystals"):
        Relaxation(BATCH[:1], [0], [0], [1], [True], [""], [0], paths=("a", "b"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fmax": 0}, "fmax must be positive, not 0"),
        ({"fmax": float("nan")}, "fmax must be positive"),
        ({"steps": -1}, "steps must be at least 0"),
        ({"optimizer": "newton"}, "optimizer must be fire, not newton"),
        ({"time_limit": -5.0}, "time_limit must be positive"),
        ({"max_volume_ratio": 1.0}, "max_volume_ratio must be above 1"),
        ({"max_batch_atoms": 0}, "max_batch_atoms must be at least 1"),
    ],
)
def test_settings_check_themselves(change, message):
    with pytest.raises(InputError, match=message):
        RelaxSettings(**change)
