"""The numbers in charts equal those they are made of."""

import numpy as np
import pytest

from flowllm.viz.bins import BINS, histograms
from flowllm.viz.charts import distribution_figure, shares_behind, shares_chart
from flowllm.viz.colours import COLOURS, DATA, see_through


def test_bars_hold_the_shares(prior, refined):
    first, last = histograms(prior)["num_atoms"], histograms(refined)["num_atoms"]
    figure = distribution_figure("num_atoms", first, last, reference=first)
    behind, one, other = figure.data
    np.testing.assert_allclose(one.y, 100 * np.array(first))
    np.testing.assert_allclose(other.y, 100 * np.array(last))
    np.testing.assert_allclose(other.x, np.arange(1, 21))
    assert behind.fill == "tozeroy" and max(behind.y) == pytest.approx(100 * max(first))
    assert len(distribution_figure("num_atoms", first, last).data) == 2


def test_a_system_without_values_keeps_its_colour_from_others():
    some = np.zeros(len(BINS["num_atoms"]) - 1)
    some[[1, 3]] = 0.5
    figure = shares_chart("num_atoms", [("none", None), ("some", some)], some, "data")
    behind, bars = figure.data
    assert (behind.name, bars.name) == ("data", "some")
    assert bars.marker.color == COLOURS[1] and behind.line.color == DATA
    assert figure.layout.xaxis.range == (1.5, 4.5)  # the bins that hold something
    assert figure.layout.xaxis.dtick == 1


def test_the_step_line_goes_round_every_bin():
    line = shares_behind(np.array([0.0, 1.0, 3.0]), [0.25, 0.75], "data", "#ff8000", 0.5)
    assert line["x"].tolist() == [0, 1, 1, 3] and line["y"].tolist() == [25, 25, 75, 75]
    assert line["fillcolor"] == "rgba(255,128,0,0.5)" == see_through("#ff8000", 0.5)
