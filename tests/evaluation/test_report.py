"""Figures, charts and the page of an evaluation."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation.metric import SHARE, Metric
from flowllm.evaluation.report import Report, csv_text
from flowllm.viz.bins import shares

CRYSTALS = CrystalBatch(
    [11, 17, 29, 3],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0, 0), (0, 0, 0)],
    [(4, 4, 4), (2.55, 2.55, 2.55), (1, 1, 1)],
    [(60, 60, 60), (60, 60, 60), (150, 150, 150)],
    [2, 1, 1],
    ["a", "b", "flat"],
)


def report_of(name: str, energies, rate: float = 0.5) -> Report:
    """A report of three crystals and one input that could not be read."""
    rows = pd.DataFrame(
        {
            "id": ["a", "b", "flat", "</script>"],
            "formula": ["NaCl", "Cu", "Li", ""],
            "readable": pd.array([True, True, True, False], dtype="boolean"),
            "stable": pd.array([True, False, None, None], dtype="boolean"),
            "density": [2.1, 8.9, np.nan, np.nan],
            "e_above_hull": [*energies, np.nan],
            "reason": ["", "", "the cell has zero volume", "<b>does not parse</b>"],
        }
    )
    metrics = {
        "validity": [Metric("valid structure", rate, rate - 0.1, rate + 0.1, 4, SHARE, 0.999)],
        "stability": [Metric("E_hull", math.nan, n=0, unit="eV/atom")],
    }
    protocol = {"validity": {"structure": "distances above 0.5 Å"}, "stability": {}}
    data = {"density": shares("density", np.array([2.0, 5.0])), "e_above_hull": [0.0] * 30}
    return Report(name, metrics, protocol, rows, CRYSTALS, data, "some data")


@pytest.fixture
def report():
    return report_of("ours", [-0.01, 0.05, 3.0])


def test_a_rate_counts_inputs_beyond_its_flags():
    metric = Metric.rate("valid", np.array([True, True, False]), total=8)
    assert (metric.value, metric.n) == (0.25, 8)
    assert metric.low <= 0.25 <= metric.high
    assert Metric.rate("valid", np.array([], dtype=bool), total=0).text == "none (n = 0)"


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric("x", 0.9876, 0.98, 0.99, 100, SHARE), "98.8 % (98.0 to 99.0, n = 100)"),
        (Metric("x", 0.99714, 0.99, 1.0, 8879, SHARE), "99.71 % (99.00 to 100.00, n = 8879)"),
        (Metric("x", 0.3501, n=7, unit="g/cm³"), "0.350 g/cm³ (n = 7)"),
        (Metric("x", -0.0213, -0.03, 0.01, 7, "eV"), "-0.021 eV (-0.030 to 0.010, n = 7)"),
        (Metric("x", 15.67, n=3), "15.7 (n = 3)"),
        (Metric("x", 312.4, n=3), "312 (n = 3)"),
        (Metric("x", math.nan, n=3), "none (n = 3)"),
    ],
)  # fmt: skip
def test_a_figure_is_printed_with_interval_unit_and_n(metric, text):
    assert metric.text == text


@given(
    st.floats(-10, 10) | st.just(math.nan),
    st.integers(0, 10_000),
    st.sampled_from(["", SHARE, "Å"]),
    st.none() | st.floats(0, 1),
)
def test_a_figure_survives_json(value, n, unit, data):
    metric = Metric("x", value, n=n, unit=unit, data=data, note="how to read it")
    again = Metric.from_json(json.loads(json.dumps(metric.to_json(), allow_nan=False)))
    assert again.text == metric.text and again.data_text == metric.data_text
    assert again.note == metric.note


def test_a_figure_is_found_by_its_name(report):
    assert report["valid structure"].value == 0.5
    with pytest.raises(KeyError, match="valid structure, E_hull"):
        report["valid structures"]


def test_systems_are_drawn_over_each_other_with_the_data_behind(report):
    other = report_of("theirs", [0.2, 0.2, 0.2], 0.8)
    for figures in (report.compare(other), Report.compare(report, other)):
        assert set(figures) == {"validity", "e_above_hull", "density"}
        bars = figures["e_above_hull"].data
        assert [bar.name for bar in bars] == ["some data", "ours", "theirs"]
        ours, theirs = np.array(bars[1].y), np.array(bars[2].y)
        assert ours.sum() == pytest.approx(100) and theirs.max() == pytest.approx(100)
        # what lies beyond the last bin is counted in it, not lost
        assert ours[-1] == pytest.approx(100 / 3)
        rates = figures["validity"].data
        assert [bar.y[0] for bar in rates] == [50, 80]
        assert rates[1].error_y.array[0] == pytest.approx(10)
    table = report.comparison(other, report)
    assert list(table.columns) == ["ours", "theirs", "ours (2)"]
    assert table.loc["valid structure", "theirs"] == "80.0 % (70.0 to 90.0, n = 4)"


def test_the_table_says_nothing_where_nothing_is_known(report):
    lines = csv_text(report.rows).splitlines()
    assert lines[0].startswith("id,formula,readable,stable,density")
    assert lines[1].startswith("a,NaCl,true,true,2.1,-0.01,")
    assert lines[3].startswith("flat,Li,true,,,3,")


def test_the_page_needs_no_network_and_trusts_no_text(report, tmp_path):
    report.save(tmp_path)
    page = (tmp_path / "report.html").read_text("utf-8")
    ours = page.replace(get_plotlyjs(), "")
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//|url\(|@import|fetch\(""", ours)
    data = page.split('id="crystal-data">')[1].split("</script>")[0]
    content = json.loads(data.replace("<\\/", "</"))
    assert content["values"]["id"][3] == "</script>"
    assert "<b>does not parse" not in page.replace(data, "")
    shown = content["shown"]
    drawn = ["drawing" in shown.get(str(row), {}) for row in range(4)]
    assert drawn == [True, True, False, False]
    drawing = shown["0"]["drawing"]
    assert max(drawing["source"]) < len(drawing["numbers"])
    assert len(drawing["source"]) == len(drawing["shift"])
    assert max(max(pair) for pair in drawing["bonds"]) < len(drawing["source"])
    assert set(map(str, drawing["numbers"])) <= set(content["elements"])
    assert "distances above 0.5 Å" in page and "99.9 %" in page


@pytest.mark.parametrize("spoil", ["summary.json", "per_crystal.csv"])
def test_a_folder_that_is_no_whole_evaluation(report, tmp_path, spoil):
    report.save(tmp_path)
    (tmp_path / spoil).unlink()
    with pytest.raises(InputError, match="contains no evaluation"):
        Report.load(tmp_path)


def test_a_summary_that_lacks_a_part(report, tmp_path):
    report.save(tmp_path)
    (tmp_path / "summary.json").write_text('{"name": "x", "metrics": {}}')
    with pytest.raises(InputError, match="is incomplete or damaged"):
        Report.load(tmp_path)
