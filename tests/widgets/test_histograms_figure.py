from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from flowllm.viz.bins import BINS
from flowllm_widgets.histograms.data import systems_of
from flowllm_widgets.histograms.figure import (
    bars,
    emphasis,
    histogram,
    line_at,
    moved_to,
    x_range,
)  # fmt: skip
from flowllm_widgets.shared.style import COLOURS
from tests.widgets.reports import made_report, spread_report


def two_systems(column="e_above_hull"):
    return systems_of([spread_report("A"), spread_report("B", 0.05)], column)


def test_the_data_stand_behind_and_the_bars_of_each_system_add_up_to_all():
    systems = two_systems()
    data = np.eye(30)[5]
    figure = histogram(systems, data, "MP-20", 0.1)
    assert [trace.name for trace in figure.data] == ["MP-20", "A", "B"]
    assert figure.data[0].type == "scatter" and max(figure.data[0].y) == 100
    for trace, colour in zip(figure.data[1:], COLOURS, strict=False):
        assert sum(trace.y) == pytest.approx(100)
        assert trace.marker.color == colour
        assert (trace.zorder or 0) > (figure.data[0].zorder or 0)


def test_every_bar_says_what_it_holds_when_pointed_at():
    system = systems_of([made_report("A", [0.01, 0.02, 5.0])], "e_above_hull")[0]
    texts = bars(system)["customdata"]
    assert "66.7 %: 2 of 3" in texts[5]
    assert "also above 1" in texts[-1] and "1 of 3" in texts[-1]


def test_bars_of_kept_rows_are_shares_of_those():
    system = two_systems("n_elements")[0]
    kept = system.values == 3
    assert bars(system, kept)["y"].tolist() == [0, 0, 100, 0, 0, 0, 0, 0]
    assert not bars(system, np.zeros(40, dtype=bool))["y"].any()


def test_the_axis_spans_what_is_used_and_the_threshold():
    systems = systems_of([made_report("A", [0.01, 0.3])], "e_above_hull")
    assert x_range(systems) == (0.0, 0.32)
    low, high = x_range(systems, (), 0.7)
    assert low == 0.0 and high > 0.7
    low, _ = x_range(systems, np.eye(30)[0])
    assert low == -0.2


def test_only_the_chosen_bar_stands_out():
    system = two_systems()[0]
    shown = emphasis(system, 5)
    assert np.flatnonzero(shown["line"]["width"]).tolist() == [5]
    assert shown["opacity"][5] == 1 and (np.delete(shown["opacity"], 5) < 1).all()
    assert len(shown["opacity"]) == len(BINS["e_above_hull"]) - 1
    assert not emphasis(system, None)["line"]["width"].any()


def test_a_figure_without_threshold_has_no_line():
    assert not histogram(two_systems("n_elements")).layout.shapes
    (line,) = histogram(two_systems(), threshold=0.1).layout.shapes
    assert (line.x0, line.x1, line.y0, line.y1) == (0.1, 0.1, 0, 1)


def test_a_dragged_line_and_a_dragged_end_of_it_both_give_the_new_place():
    assert moved_to(SimpleNamespace(x0=0.3, x1=0.3), 0.1) == 0.3
    assert moved_to(SimpleNamespace(x0=0.1, x1=-0.2), 0.1) == -0.2
    assert moved_to(SimpleNamespace(x0=0.25, x1=0.1), 0.1) == 0.25
    assert line_at(0.25)["label"]["text"] == "E_hull < 0.250"


def test_bins_of_elements_are_ticked_one_by_one():
    axis = histogram(two_systems("n_elements")).layout.xaxis
    assert axis.dtick == 1 and axis.title.text == "different elements"
