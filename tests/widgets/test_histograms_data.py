from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.errors import InputError
from flowllm.stability import sun_rates
from flowllm.viz.bins import BINS, shares
from flowllm_widgets.histograms.data import below, bin_text, bins_of, left_out, systems_of
from tests.widgets.reports import made_report, spread_report

NAN = float("nan")


def system_of(energies, **more):
    return systems_of([made_report("ours", energies, **more)], "e_above_hull")[0]


@given(st.lists(st.floats(-2, 3) | st.just(NAN), min_size=1, max_size=50))
def test_bins_are_those_of_the_evaluation(values):
    values = np.array(values)
    bins = bins_of("e_above_hull", values)
    known = np.isfinite(values)
    assert ((bins >= 0) == known).all()
    counts = np.bincount(bins[known], minlength=len(BINS["e_above_hull"]) - 1)
    assert np.allclose(counts / max(1, known.sum()), shares("e_above_hull", values))


def test_values_beyond_the_ends_count_in_the_outermost_bins_and_the_text_says_so():
    edges = BINS["e_above_hull"]
    assert bins_of("e_above_hull", np.array([-9.0, 9.0])).tolist() == [0, len(edges) - 2]
    assert "also below" in bin_text("e_above_hull", 0)
    assert "also above" in bin_text("e_above_hull", len(edges) - 2)
    assert bin_text("e_above_hull", 5) == "0 to 0.04"
    assert bin_text("n_elements", 2) == "3"
    assert bin_text("n_elements", 7) == "8 or more"


def test_a_bin_lists_its_rows_by_value_and_only_those_kept():
    system = system_of([0.03, 0.5, 0.01, NAN, 0.02])
    assert system.in_bin(5).tolist() == [2, 4, 0]
    assert system.in_bin(5, np.array([True, True, False, True, True])).tolist() == [4, 0]
    assert system.counts()[5] == 3
    assert system.known == 4


def test_counts_below_a_threshold_have_the_known_answer():
    system = system_of(
        [-0.05, -0.01, 0.05, 0.2, NAN],
        unique_relaxed=[True, True, True, True, None],
        novel_relaxed=[True, False, True, True, None],
    )
    found = below(system, 0.1)
    assert (found.count, found.unique, found.novel, found.sun) == (3, 3, 2, 2)
    assert found.share.n == 4 and found.share.value == 0.75
    found = below(system, 0.0)
    assert (found.count, found.novel, found.sun) == (2, 1, 1)


def test_a_threshold_itself_is_not_below_it():
    assert below(system_of([0.1, 0.0999]), 0.1).count == 1


def test_crystals_that_failed_to_relax_stay_in_the_denominator():
    found = below(system_of([0.0, 0.05, NAN], asked=3), 0.1)
    assert found.share.n == 3 and found.share.value == pytest.approx(2 / 3)


def test_without_the_columns_nothing_is_said_of_uniqueness_or_novelty():
    found = below(system_of([0.0, 0.2]), 0.1)
    assert (found.count, found.unique, found.novel, found.sun) == (1, None, None, None)


@given(st.data(), st.sampled_from([-0.01, 0.0, 0.08, 0.1, 0.3]))
def test_sun_is_that_of_the_evaluation_although_the_table_keeps_only_who_is_first(data, threshold):
    """Groups of equal crystals, each of one formula: 12 crystals repeat a formula after 8."""
    formulas = 8
    groups = np.array([index % formulas for index in range(12)])
    energies = np.array(data.draw(st.lists(st.floats(-0.2, 0.5), min_size=12, max_size=12)))
    novel_of_group = data.draw(st.lists(st.booleans(), min_size=formulas, max_size=formulas))
    first = [index < formulas for index in range(12)]
    novel = [novel_of_group[group] for group in groups]
    report = made_report("ours", energies, unique_relaxed=first, novel_relaxed=novel)
    # rock salts and perovskites alternate by threes: give every group one formula
    report.rows["formula"] = [f"group {group}" for group in groups]
    expected = sun_rates(
        energies, groups, np.array(novel), report.rows["n_elements"], (threshold,)
    ).at(threshold)
    found = below(systems_of([report], "e_above_hull")[0], threshold)
    assert found.count == expected.stable.sum()
    assert found.sun == expected.sun.sum()
    assert found.share == expected.stable_rate


def test_a_stable_element_counts_only_above_zero():
    report = made_report("ours", [-0.1, -0.1])
    report.rows["n_elements"] = [1, 2]
    system = systems_of([report], "e_above_hull")[0]
    assert below(system, 0.0).count == 1
    assert below(system, 0.05).count == 2


def test_systems_of_one_name_are_told_apart_and_keep_their_colour():
    ours, without, again = (
        spread_report("A"), made_report("B", None, num=3), spread_report("A")
    )  # fmt: skip
    systems = systems_of([ours, without, again], "e_above_hull")
    assert [(s.name, s.place) for s in systems] == [("A", 0), ("A (2)", 2)]
    assert left_out([ours, without, again], systems).startswith("Left out: B,")
    assert left_out([ours, again], systems_of([ours, again], "n_elements")) == ""


def test_a_row_leads_to_its_crystal_as_given():
    report = spread_report("A")
    system = systems_of([report], "e_above_hull")[0]
    assert system.crystal(7).ids.tolist() == ["c000007"]
    report.rows.loc[7, "id"] = "unreadable"
    assert systems_of([report], "e_above_hull")[0].crystal(7) is None


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ([], "no report"),
        ([made_report("A", None, num=3)], "the stage stability"),
        ([made_report("A", [NAN, NAN])], "the stage stability"),
        ([made_report(str(i), [0.1]) for i in range(7)], "7 reports"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_reason(reports, said):
    with pytest.raises(InputError, match=said):
        systems_of(reports, "e_above_hull")
