"""A relaxation that is watched ends as one that is not."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.relax import RelaxSettings, relax
from flowllm.relax.live import relax_live

pytestmark = pytest.mark.slow

SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.47, 0.5, 0.52)], [(4.2, 4.2, 4.2)], [(60, 60, 60)], [2], ["salt"]
)
SETTINGS = RelaxSettings(record=True)


@pytest.fixture(scope="module")
def steps():
    return list(relax_live(SALT, SETTINGS))


def test_steps_are_those_of_a_relaxation(steps):
    whole = relax(SALT, SETTINGS)
    path = whole.paths[0]
    assert [one.step for one in steps] == list(range(len(path)))
    np.testing.assert_allclose([one.energy for one in steps], path.energies, atol=1e-6)
    np.testing.assert_allclose(steps[-1].crystal.lengths, whole.crystals.lengths, atol=1e-5)
    assert [one.converged for one in steps] == [False] * (len(steps) - 1) + [True]


def test_energy_falls_from_the_crystal_as_it_came(steps):
    assert np.array_equal(steps[0].crystal.frac_coords, SALT.frac_coords)
    assert steps[-1].energy < steps[0].energy - 0.01


def test_what_cannot_be_relaxed_is_named():
    flat = SALT.replace(angles=[(60, 60, 120)])
    with pytest.raises(InputError, match="salt: its cell has zero volume"):
        list(relax_live(flat))
    few = []
    with pytest.raises(InputError, match="salt: not converged in 2 steps"):
        few.extend(relax_live(SALT, RelaxSettings(steps=2)))


def test_steps_before_a_refusal_were_given():
    seen = []
    with pytest.raises(InputError, match="took longer"):
        for step in relax_live(SALT, RelaxSettings(time_limit=1e-9)):
            seen.append(step.step)
    assert seen == [0]
