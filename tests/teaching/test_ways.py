"""Ways of crystals at even shares, and their measures."""

from dataclasses import replace

import numpy as np
import pytest

from flowllm.crystals.axis import Axis
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.stability.reference_energies import ElementalReferences
from flowllm.teaching.ways import even_frames, formation_energies, measure_way, stretched
from tests.widgets.trajectory_samples import Springs, changing, straight, two_crystals


def test_frames_are_those_nearest_to_even_shares_of_the_way():
    way = straight([[0, 0, 0]], [[0.1, 0, 0]], frames=11)
    assert even_frames(way, 3).tolist() == [0, 5, 10]
    late = replace(way, times=0.5 + way.times / 2)
    assert even_frames(late, 3).tolist() == [0, 5, 10]
    uneven = replace(way, times=way.times**2)
    assert even_frames(uneven, 3).tolist() == [0, 7, 10]


def test_a_short_way_is_stretched_by_frames_that_stay():
    axis = Axis("diffusion step", [1000, 500, 0])
    way = replace(straight([[0, 0, 0]], [[0.4, 0, 0]], frames=3), axis=axis)
    long = stretched(way, 5)
    assert long.frac_coords[:, 0, 0].tolist() == pytest.approx([0, 0, 0.2, 0.4, 0.4], abs=0.21)
    assert len(long) == 5 and long.axis.values[0] == 1000 and long.axis.values[-1] == 0
    kinds = stretched(changing(6), 12).atomic_numbers[:, 2]
    assert kinds.tolist() == [0] * 6 + [8] * 6


def test_a_way_is_measured_at_its_ends_and_between():
    way = straight(
        [[0, 0, 0], [0.5, 0.5, 0.5]], [[0] * 3] * 2, (4.0, 4.0, 4.0), frames=21, growth=0.2
    )
    found = measure_way(way, 5, energies=True, potential=Springs())
    assert found.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(found.volume_per_atom, 32 * np.exp(0.6 * found.shares))
    # sodium and its own image lie closer, for their radii of 1.66 Å, than sodium and chlorine
    np.testing.assert_allclose(found.contact, 4 * np.exp(0.2 * found.shares) / (2 * 1.66))
    np.testing.assert_allclose(found.energy, found.volume_per_atom)
    assert np.isnan(measure_way(way, 5).energy).all()


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="has 2"):
        measure_way(two_crystals())
    with pytest.raises(InputError, match="at least 2 frames"):
        even_frames(two_crystals(), 1)


def test_formation_energies_are_those_above_the_elements():
    salt = straight([[0, 0, 0], [0.5, 0.5, 0.5]], [[0] * 3] * 2, frames=2).first
    flat = salt.replace(angles=[[60.0, 60.0, 120.0]], ids=["flat"])
    references = ElementalReferences({"Na": -1.0, "Cl": -2.0})
    both = CrystalBatch.concatenate([salt, flat])
    found = formation_energies(both, references, Springs())
    assert found[0] == pytest.approx(120 / 2 + 1.5) and np.isnan(found[1])
    assert np.isnan(formation_energies(salt, ElementalReferences({"Na": -1.0}), Springs())).all()
