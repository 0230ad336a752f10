"""The small plots and the marks of a frame, as plain numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flowllm.crystals.trajectory import Trajectory
from flowllm_widgets.trajectory.data import EnergyCurve, make_curves
from flowllm_widgets.trajectory.figure import (
    ENERGY,
    ENERGY_TITLE,
    NO_ENERGY,
    PATH,
    PLOTS,
    axis_names,
    layout_changes,
    make_figure,
    make_marks,
    trace_changes,
    value_range,
)
from tests.widgets.trajectory_samples import straight, triclinic


@pytest.fixture(scope="module")
def curves():
    return make_curves(triclinic())


@pytest.fixture(scope="module")
def energy():
    return EnergyCurve(np.linspace(-3.0, -3.5, 12), ("",) * 12)


@pytest.fixture(scope="module")
def figure(curves, energy):
    return make_figure(curves, energy)


def test_each_plot_shows_its_curve_over_all_frames(figure, curves, energy):
    shown = [*(plot.values(curves) for plot in PLOTS), energy.energies, curves.geodesic_length]
    assert len(figure.data) == len(shown)
    for trace, values in zip(figure.data, shown, strict=True):
        assert list(trace.x) == pytest.approx(curves.times)
        assert list(trace.y) == pytest.approx(values)


def test_the_straight_path_lies_in_the_plot_of_the_path(figure):
    assert figure.data[-1].yaxis == figure.data[PATH].yaxis
    assert figure.data[-1].line.dash == "dot"


def test_every_other_curve_has_a_plot_of_its_own(figure):
    assert len({trace.yaxis for trace in figure.data[:-1]}) == len(PLOTS) + 1


def test_all_plots_share_one_t(figure):
    ranges = {tuple(figure.layout[axis_names(k)[0]].range) for k in range(ENERGY + 1)}
    assert len(ranges) == 1
    matched = {figure.layout[axis_names(k)[0]].matches for k in range(ENERGY + 1)}
    assert len(matched - {None}) == 1


def test_a_click_anywhere_in_a_plot_finds_the_nearest_frame(figure):
    layout = figure.layout
    assert (layout.hovermode, layout.hoverdistance, layout.dragmode) == ("x", -1, False)


def test_the_pointer_shows_time_and_value(figure, curves):
    assert figure.data[0].text[0] == f"t 0.00<br>{curves.shortest_distance[0]:.2f} Å"
    assert figure.data[1].text[-1].endswith("Å³ per atom")
    assert "fractional per t" in figure.data[3].text[5]
    assert figure.data[ENERGY].text[0] == "t 0.00<br>−3.000 eV/atom"
    assert figure.data[-1].text[-1].startswith("t 1.00<br>straight ")


def test_speeds_are_steps_and_the_others_are_not(figure):
    shapes = [trace.line.shape for trace in figure.data[: ENERGY + 1]]
    assert shapes == ["linear", "linear", "linear", "hv", "hv", "linear"]


def test_every_value_lies_inside_its_plot(figure):
    for trace in figure.data:
        low, high = figure.layout[trace.yaxis.replace("y", "yaxis")].range
        assert low < min(trace.y) and max(trace.y) < high


def test_without_energies_their_plot_is_empty(curves):
    bare = make_figure(curves)
    assert np.isnan(np.array(bare.data[ENERGY].y, dtype=float)).all()
    assert bare.layout[axis_names(ENERGY)[1]].showticklabels is False


def test_changes_turn_one_figure_into_another(figure, curves, energy):
    other = make_curves(straight([[0, 0, 0], [0.5, 0.5, 0.5]], [[0, 0, 0], [0.2, 0, 0]], frames=12))
    changed = make_figure(curves, energy)
    for trace, change in zip(changed.data, trace_changes(other), strict=True):
        trace.update(change)
    changed.update_layout(layout_changes(other))
    assert json.loads(changed.to_json()) == json.loads(make_figure(other).to_json())


def test_a_single_frame_still_gives_a_figure():
    way = straight([[0, 0, 0], [0.5, 0.5, 0.5]], np.zeros((2, 3)), frames=1)
    figure = make_figure(make_curves(way))
    low, high = figure.layout.xaxis.range
    assert low < 0 < high


# ---- marks ---------------------------------------------------------------------------------------


def test_a_mark_lies_on_its_curve_at_every_frame(curves, energy, figure):
    marks = make_marks(curves, energy)
    assert marks["times"] == pytest.approx(curves.times)
    for mark, trace in zip(marks["plots"], figure.data, strict=False):
        assert mark["values"] == pytest.approx(list(trace.y))
        assert mark["y"] == trace.yaxis.replace("y", "yaxis")
        assert mark["x"] == trace.xaxis.replace("x", "xaxis")


def test_titles_say_the_value_of_the_frame(curves, energy):
    plots = {mark["title"]: mark["texts"] for mark in make_marks(curves, energy)["plots"]}
    assert plots["shortest distance"][3] == f"{curves.shortest_distance[3]:.2f} Å"
    assert plots["volume"][3] == f"{curves.volume[3]:.2f} Å³"
    assert plots["path"][0] == "0, straight 0"
    assert plots["speed of atoms"][2].endswith(" Å per t")
    assert plots[ENERGY_TITLE][-1] == "−3.500 eV/atom"


def test_energies_that_are_not_computed_are_called_so(curves):
    mark = make_marks(curves)["plots"][ENERGY]
    assert set(mark["texts"]) == {NO_ENERGY} and set(mark["values"]) == {None}


def test_a_value_that_is_not_known_has_no_mark_and_a_dash(curves):
    partly = EnergyCurve(np.where(np.arange(12) < 4, -3.0, np.nan), ("",) * 12)
    mark = make_marks(curves, partly)["plots"][ENERGY]
    assert mark["values"][3] == -3.0 and mark["values"][4] is None
    assert mark["texts"][4] == "–"


def test_marks_are_plain_json_even_of_a_cell_without_volume():
    way = straight([[0, 0, 0], [0.5, 0.5, 0.5]], np.zeros((2, 3)), frames=3)
    angles = way.angles.copy()
    angles[1] = [60.0, 60.0, 120.0]
    flat = Trajectory(way.times, way.frac_coords, way.lengths, angles, [11, 17], [2], ["flat"])
    text = json.dumps(make_marks(make_curves(flat)), allow_nan=False)
    assert json.loads(text)["plots"][0]["values"][1] is None


# ---- ranges --------------------------------------------------------------------------------------


@given(arrays(float, st.integers(1, 20), elements=st.floats(-1e6, 1e6) | st.just(float("nan"))))
def test_a_range_holds_all_values_and_has_a_width(values):
    low, high = value_range(values)
    finite = values[np.isfinite(values)]
    assert low < high and ((low < finite) & (finite < high)).all()


def test_rounding_of_a_constant_does_not_fill_a_plot():
    low, high = value_range(np.array([150.0, 150.0 + 1e-9]))
    assert high - low > 0.1
