"""Shares in bins equal those counted from the crystals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.viz.bins import BINS, STRUCTURAL, histograms, shares


def test_histograms_are_shares(refined):
    shares = histograms(refined)
    assert {name: sum(row) for name, row in shares.items()} == pytest.approx(
        dict.fromkeys(STRUCTURAL, 1)
    )
    assert np.flatnonzero(shares["n_elements"]).tolist() == [0, 1, 2]
    assert np.flatnonzero(shares["num_atoms"]).tolist() == [0, 1, 4]
    assert np.flatnonzero(shares["density"]).tolist() == [2, 5, 8]  # NaCl 2.1, SrTiO3 5.1, Cu 9.0


def test_values_beyond_the_last_bin_are_counted_in_it_and_no_volume_nowhere(refined):
    heavy = refined[2].replace(lengths=np.full((1, 3), 1.2))
    flat = refined[2].replace(angles=np.array([[60, 60, 120]]))
    shares = histograms(CrystalBatch.concatenate([heavy, flat]))["density"]
    assert shares[-1] == 1 and sum(shares) == 1
    assert sum(histograms(CrystalBatch.empty())["density"]) == 0


@given(st.sampled_from(sorted(BINS)), st.lists(st.floats(-50, 50), max_size=40))
def test_shares_add_up_to_one_whatever_lies_outside_the_bins(column, values):
    found = shares(column, np.array([*values, np.nan]))
    assert len(found) == len(BINS[column]) - 1
    assert sum(found) == pytest.approx(1 if values else 0)
