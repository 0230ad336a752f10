"""S.U.N. counted by hand, with duplicates, missing energies and rejected samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.errors import InputError
from flowllm.stability import THRESHOLDS, Groups, is_stable, sun_rates
from flowllm.stability.same_formula import SAME

nan = float("nan")
#                  0      1      2     3     4      5      6     7
ENERGIES = np.array([0.30, -0.05, -0.02, 0.05, -0.10, -0.20, nan, 0.09])
GROUPS = np.array([0, 0, 1, 1, 2, 3, 4, 5])
NOVEL = np.array([True, True, True, True, True, False, True, True])
N_ELEMENTS = np.array([2, 2, 3, 3, 1, 2, 2, 2])


def test_counted_by_hand():
    rates = sun_rates(ENERGIES, GROUPS, NOVEL, N_ELEMENTS, total=10)
    stable = rates.at(0.0)
    # crystal 4 lies below the hull, but is an element
    assert np.flatnonzero(stable.stable).tolist() == [1, 2, 5]
    # 0 is first of its group but not stable: 1 stands for it; 5 is known
    assert np.flatnonzero(stable.sun).tolist() == [1, 2]
    assert (stable.stable_rate.value, stable.stable_rate.n) == (0.3, 10)
    assert (stable.sun_rate.value, stable.sun_rate.n) == (0.2, 10)
    wider = rates.at(0.08)
    assert np.flatnonzero(wider.stable).tolist() == [1, 2, 3, 4, 5]
    assert np.flatnonzero(wider.sun).tolist() == [1, 2, 4]  # 3 is the same as 2
    assert np.flatnonzero(rates.at(0.1).sun).tolist() == [1, 2, 4, 7]
    assert np.flatnonzero(rates.unique).tolist() == [0, 2, 4, 5, 6, 7]
    assert rates.unique_rate.value == 0.6
    assert rates.novel_rate.value == 0.7
    assert rates.unique_novel_rate.value == 0.5
    assert rates.unknown == 3  # one without an energy, two that were rejected
    assert [part.threshold for part in rates.below] == list(THRESHOLDS)


def test_a_pair_of_which_only_the_second_is_stable_counts_once():
    rates = sun_rates([0.5, -0.1], [0, 0], [True, True], [2, 2], thresholds=(0.0,))
    assert rates.at(0.0).sun.tolist() == [False, True]
    assert rates.at(0.0).sun_rate.value == 0.5
    both = sun_rates([-0.2, -0.1], [0, 0], [True, True], [2, 2], thresholds=(0.0,))
    assert both.at(0.0).sun.tolist() == [True, False]


def test_a_pair_of_which_only_the_second_is_novel_counts_once():
    rates = sun_rates([-0.5, -0.1], [0, 0], [False, True], [2, 2], thresholds=(0.0,))
    assert rates.at(0.0).sun.tolist() == [False, True]


def test_on_the_hull_is_metastable_and_not_stable():
    assert is_stable(np.array([0.0, -1e-9]), np.array([2, 2])).tolist() == [False, True]
    assert is_stable(np.array([0.0, 0.1]), np.array([2, 2]), 0.1).tolist() == [True, False]
    assert is_stable(np.array([nan]), np.array([2]), 0.1).tolist() == [False]
    # an element may be metastable, not stable
    assert is_stable(np.array([-0.1]), np.array([1])).tolist() == [False]
    assert is_stable(np.array([0.01]), np.array([1]), 0.08).tolist() == [True]


def test_a_crystal_without_a_group_is_never_unique():
    groups = Groups(np.array([-1, -1, 0]), ("broken", "broken", ""), SAME)
    rates = sun_rates([-1, -1, -1], groups, [True] * 3, [2] * 3)
    assert rates.unique.tolist() == [False, False, True]
    assert rates.at(0.0).sun.tolist() == [False, False, True]
    assert rates.at(0.0).stable_rate.value == 1.0


rows = st.lists(
    st.tuples(
        st.floats(-0.3, 0.3) | st.just(nan), st.integers(-1, 4), st.booleans(), st.integers(1, 4)
    ),
    max_size=20,
)


@given(rows, st.integers(0, 5))
def test_sun_counts_groups_with_a_stable_and_novel_crystal(crystals, rejected):
    columns = list(zip(*crystals, strict=True)) if crystals else [[], [], [], []]
    total = len(crystals) + rejected
    rates = sun_rates(*map(np.array, columns), total=total)
    for threshold in THRESHOLDS:
        least = 2 if threshold <= 0 else 1
        found = {
            group
            for energy, group, novel, kinds in crystals
            if energy < threshold and novel and group >= 0 and kinds >= least
        }
        part = rates.at(threshold)
        assert part.sun.sum() == len(found)
        assert part.sun_rate.n == total
        if total:
            assert part.sun_rate.value == pytest.approx(len(found) / total)
        assert not (part.sun & ~part.stable).any()


def test_all_that_was_generated_is_the_denominator_at_every_threshold():
    rates = sun_rates(ENERGIES, GROUPS, NOVEL, N_ELEMENTS, total=10)
    assert [part.threshold for part in rates.below] == [0, 0.08, 0.1]
    assert rates.at(0.0).stable_rate.value == pytest.approx(0.3)
    assert rates.at(0.1).sun_rate.value == pytest.approx(0.4)
    assert {part.sun_rate.n for part in rates.below} == {10}
    assert (rates.unknown, rates.total) == (3, 10)


def test_nothing_generated_has_no_rates():
    rates = sun_rates([], [], [], [])
    assert np.isnan(rates.at(0.0).sun_rate.value)
    assert rates.at(0.0).sun_rate.n == 0


def test_bad_input_is_named():
    with pytest.raises(InputError, match=r"2 energies, 1 group numbers, 1 novelties and 1"):
        sun_rates([0.0, 0.0], [0], [True], [2])
    with pytest.raises(InputError, match=r"2 crystals of 1 that were generated"):
        sun_rates([0.0, 0.0], [0, 1], [True, True], [2, 2], total=1)
    with pytest.raises(InputError, match=r"a threshold is given twice"):
        sun_rates([0.0], [0], [True], [2], thresholds=(0.1, 0.1))
    with pytest.raises(InputError, match=r"no rates at 0.2 eV/atom; available are 0, 0.08, 0.1"):
        sun_rates([0.0], [0], [True], [2]).at(0.2)
