"""Closeness to the relaxed state on relaxations whose outcome is known."""

import numpy as np
import pytest

from flowllm.bench.relaxation import perturbed
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.relax import Relaxation, closeness
from flowllm.relax.closeness import free_lengths

pytestmark = pytest.mark.slow

PEROVSKITE = CrystalBatch(
    [38, 22, 8, 8, 8],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    [(3.9, 3.9, 3.9)],
    [(90, 90, 90)],
    [5],
    ["SrTiO3"],
)


def outcome(after: CrystalBatch, energies: list[float], steps: list[int]) -> Relaxation:
    """A relaxation that lowered each energy to the given ones, from 0."""
    count = len(after)
    sound = ~np.isnan(energies)
    reasons = np.where(sound, "", "exploded")
    return Relaxation(after, np.zeros(count), energies, steps, sound, reasons, np.ones(count))


def moved(step: float) -> CrystalBatch:
    """Oxygens displaced by `step` Å against each other."""
    coords = PEROVSKITE.frac_coords.copy()
    coords[2, 2] += step / 3.9
    coords[3, 1] -= step / 3.9
    return PEROVSKITE.replace(frac_coords=coords)


def test_known_displacements_in_both_normalisations():
    before = CrystalBatch.concatenate([PEROVSKITE] * 4)
    crumpled = PEROVSKITE.replace(frac_coords=PEROVSKITE.frac_coords**3 * 0.9)
    after = CrystalBatch.concatenate([PEROVSKITE, moved(0.2), crumpled, PEROVSKITE])
    result = closeness(before, outcome(after, [-0.1, -0.3, -0.8, np.nan], [2, 10, 900, 4]))
    away = np.zeros((5, 3))
    away[2, 2], away[3, 1] = 0.2, -0.2
    away -= away.mean(0)  # the matcher takes the best translation
    expected = np.sqrt((away**2).sum(1).mean())
    assert result.rms_angstrom[:2] == pytest.approx([0, expected], abs=1e-5)
    assert result.rms[1] == pytest.approx(expected / (3.9**3 / 5) ** (1 / 3), rel=1e-3)
    assert result.matched.tolist() == [True, True, False, False]
    assert (result.match_rate.value, result.match_rate.n) == (0.5, 4)
    assert (result.convergence_rate.value, result.convergence_rate.n) == (0.75, 4)
    assert result.rmsd_angstrom.n == 2
    assert result.rmsd_angstrom.value == pytest.approx(expected / 2, rel=1e-3)
    assert result.energy_drop.value == pytest.approx(0.4) and result.energy_drop.n == 3
    assert result.mean_steps.value == pytest.approx(304)
    assert result.relaxed.tolist() == [True, True, True, False]
    settings = result.settings
    assert (settings.stol, settings.angle_tol, settings.ltol) == (0.3, 5, 0.2)


def test_the_tolerances_are_the_matcher_s_defaults():
    from pymatgen.analysis.structure_matcher import StructureMatcher

    pairs = [(moved(step), PEROVSKITE) for step in (0.3, 0.9, 1.2, 1.5)]
    before = CrystalBatch.concatenate(one for one, _ in pairs)
    after = CrystalBatch.concatenate(other for _, other in pairs)
    result = closeness(before, outcome(after, [0.0] * 4, [1] * 4))
    matcher = StructureMatcher()
    for index, (one, other) in enumerate(pairs):
        found = matcher.get_rms_dist(one.to_pymatgen()[0], other.to_pymatgen()[0])
        assert result.matched[index] == (found is not None)
        if found is not None:
            assert result.rms[index] == pytest.approx(found[0])


def test_volume_changes_and_medians():
    grown = PEROVSKITE.replace(lengths=PEROVSKITE.lengths * 1.02)  # 6.1 % of the volume
    less = PEROVSKITE.replace(lengths=PEROVSKITE.lengths * 0.99)  # 3.0 %
    before = CrystalBatch.concatenate([PEROVSKITE] * 5)
    after = CrystalBatch.concatenate([grown, less, less, PEROVSKITE, grown])
    result = closeness(before, outcome(after, [-0.1, -0.3, -0.8, 0.0, np.nan], [1] * 5))
    changes = [1.02**3 - 1, 0.99**3 - 1, 0.99**3 - 1, 0, np.nan]
    assert result.volume_changes == pytest.approx(changes, nan_ok=True)
    rate = result.volume_change_rate
    assert (rate.value, rate.n) == (0.25, 4)  # the one that failed counts nowhere
    assert result.median_volume_change.value == pytest.approx((0.99**3 - 1) / 2)
    drop = result.median_energy_drop
    assert (drop.value, drop.n) == (pytest.approx(0.2), 4) and drop.low <= 0.2 <= drop.high


@pytest.mark.data
def test_the_length_is_the_one_that_the_matcher_divides_by(several):
    from pymatgen.analysis.structure_matcher import StructureMatcher

    before, after = several[3:], perturbed(several, 0.02, 0.02, seed=1)[3:]
    lengths = free_lengths(before, after)
    matcher, seen = StructureMatcher(), []
    supercells = matcher._get_supercells

    def watched(*args):
        for found in supercells(*args):
            seen.append((found[2].volume / len(found[0])) ** (1 / 3))
            yield found

    matcher._get_supercells = watched
    for index, pair in enumerate(zip(before.to_pymatgen(), after.to_pymatgen(), strict=True)):
        seen.clear()
        matcher.get_rms_dist(*pair)
        assert np.abs(np.array(seen) / lengths[index] - 1).min() < 2e-3


def test_a_failed_relaxation_counts_as_no_match_even_where_its_structure_matches():
    result = closeness(PEROVSKITE, outcome(PEROVSKITE, [np.nan], [3]))
    assert result.match_rate.value == 0 and result.match_rate.n == 1
    assert result.rmsd.n == 0 and np.isnan(result.energy_drop.value)
    assert np.isnan(result.median_energy_drop.value) and result.volume_change_rate.n == 0


def test_no_crystals_and_other_crystals():
    nothing = closeness(CrystalBatch.empty(), outcome(CrystalBatch.empty(), [], []))
    assert nothing.match_rate.n == 0 and len(nothing.relaxed) == 0
    renamed = PEROVSKITE.replace(ids=np.array(["other"]))
    with pytest.raises(InputError, match="ids differ"):
        closeness(renamed, outcome(PEROVSKITE, [0.0], [1]))
