from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm_widgets.histograms.widget import EHullHistogram, NaryHistogram
from tests.widgets.reports import made_report, spread_report


@pytest.fixture(scope="module")
def reports():
    return spread_report("FlowLLM"), spread_report("DiffCSP", 0.1)


def cells(widget):
    """The table of counts: system -> its cells."""
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", widget.counts.value)
    return {
        re.sub(r"<.*?>", "", name).replace("■ ", ""): re.findall(r"<td>(.*?)</td>", row)
        for name, row in rows
    }


def shown(widget):
    """The id of the crystal in the view."""
    return widget.view.crystal.ids[0] if widget.view.crystal is not None else None


def test_the_threshold_moves_the_line_and_the_counts(reports):
    widget = EHullHistogram(*reports)
    before = cells(widget)
    assert before["FlowLLM"][:2] == ["9", "36"]  # -0.08 to 0.08 in steps of 0.02, without none
    widget.threshold.value = 0.3
    after = cells(widget)
    assert int(after["FlowLLM"][0]) > 9
    assert int(after["FlowLLM"][0]) > int(after["DiffCSP"][0]) > int(before["DiffCSP"][0])
    line = widget.figure.layout.shapes[0]
    assert (line.x0, line.x1) == (0.3, 0.3) and "0.300" in line.label.text
    assert widget.message.text == ""


def test_the_dragged_line_moves_the_slider_and_stands_upright_again(reports):
    widget = EHullHistogram(*reports)
    with widget.figure.batch_update():
        widget.figure.layout.shapes[0].update(x0=0.2512, x1=0.2512, y0=0.1, y1=1.1)
    assert widget.threshold.value == pytest.approx(0.25)
    line = widget.figure.layout.shapes[0]
    assert (line.x0, line.x1, line.y0, line.y1) == (0.25, 0.25, 0, 1)
    with widget.figure.batch_update():  # one end
        widget.figure.layout.shapes[0].update(x1=0.4, y1=0.9)
    line = widget.figure.layout.shapes[0]
    assert (line.x0, line.x1, line.y0, line.y1) == (0.4, 0.4, 0, 1)


def test_a_line_dragged_off_the_axis_stops_at_its_end(reports):
    widget = EHullHistogram(*reports)
    with widget.figure.batch_update():
        widget.figure.layout.shapes[0].update(x0=7.0, x1=7.0)
    assert widget.threshold.value == widget.threshold.max
    assert widget.figure.layout.shapes[0].x0 == widget.threshold.max


def test_counts_say_who_is_unique_novel_and_sun_and_who_has_no_value(reports):
    widget = EHullHistogram(*reports)
    count, of, share, unique, novel, sun, missing = cells(widget)["FlowLLM"]
    assert (count, of, unique) == ("9", "36", "9")
    assert novel == sun == "4"  # 2, 4, 6 and 8 of 1 to 9
    assert share.startswith("25.0 % (")
    assert missing == "4 not relaxed, 0 failed"


def test_a_bar_lists_its_crystals_and_shows_the_one_chosen(reports):
    widget = EHullHistogram(*reports)
    widget.choose(1, 6)  # 0.04 to 0.08 eV/atom of DiffCSP
    system = widget.systems[1]
    expected = system.rows["id"][(system.values >= 0.04) & (system.values < 0.08)].tolist()
    assert widget.table.rows["id"].tolist() == expected and len(expected) >= 2
    assert shown(widget) == expected[0]
    widget.table.move(1)
    assert shown(widget) == expected[1]
    assert (
        f"{expected[1]} · " in widget.view.caption.value and "DiffCSP" in widget.view.caption.value
    )


def test_a_click_on_a_bar_chooses_it_and_one_on_other_bars_does_not(reports):
    widget = EHullHistogram(*reports)
    widget._clicked(1, SimpleNamespace(point_inds=[8]))
    widget._clicked(0, SimpleNamespace(point_inds=[]))
    assert (widget.system.value, widget.bin.value) == (1, 8)
    widths = [np.flatnonzero(trace.marker.line.width).tolist() for trace in widget._bars]
    assert widths == [[], [8]]


def test_the_list_of_bars_offers_those_that_hold_something(reports):
    widget = EHullHistogram(*reports)
    counts = widget.systems[0].counts()
    assert [value for _, value in widget.bin.options] == np.flatnonzero(counts).tolist()
    assert widget.bin.value == counts.argmax()
    widget.bin.value = int(np.flatnonzero(counts)[-1])
    assert len(widget.table.rows) == counts[widget.bin.value]


def test_elements_are_counted_without_any_relaxation():
    plain = made_report("plain", None, num=12, valid_structure=[True] * 12)
    widget = NaryHistogram(plain)
    assert cells(widget)["plain"][:2] == ["12 of 12", f"{(8 * 2 + 4 * 3) / 12:.2f}"]
    assert widget.limited not in widget.children[1].children
    with pytest.raises(InputError, match="stability"):
        EHullHistogram(plain)


def test_elements_can_be_narrowed_by_a_flag_and_by_energy(reports):
    widget = NaryHistogram(*reports)
    assert widget.limited in widget.children[1].children and widget.limit.disabled
    widget.flag.value = "valid_composition"
    assert cells(widget)["FlowLLM"][0] == "32 of 40"
    widget.limited.value = True
    assert not widget.limit.disabled
    fewer = int(cells(widget)["FlowLLM"][0].split()[0])
    assert 0 < fewer < 32
    widget.limit.value = 0.5
    assert int(cells(widget)["FlowLLM"][0].split()[0]) > fewer
    listed = widget.table.rows
    assert listed["valid_composition"].all() and (listed["e_above_hull"] < 0.5).all()
    widget.limit.value = -0.2
    assert cells(widget)["FlowLLM"] == ["0 of 40", "", "", "0"]
    assert len(widget.table.rows) == 0 and shown(widget) is None
    assert widget.message.text == ""


def test_a_report_without_energies_is_left_out_and_named(reports):
    widget = EHullHistogram(reports[0], made_report("plain", None, num=3))
    assert [system.name for system in widget.systems] == ["FlowLLM"]
    assert "plain" in widget.left_out.text
    assert NaryHistogram(reports[0], made_report("plain", None, num=3)).left_out.text == ""


def test_six_systems_stand_beside_each_other():
    widget = EHullHistogram(*(spread_report(f"system {i}", 0.03 * i) for i in range(6)))
    assert len(cells(widget)) == 6 and len(widget._bars) == 6
    assert len({trace.marker.color for trace in widget._bars}) == 6


def test_no_report_is_refused():
    for make in (EHullHistogram, NaryHistogram):
        with pytest.raises(InputError, match="no report"):
            make()


def test_an_error_in_a_callback_appears_in_the_widget(reports, monkeypatch):
    widget = EHullHistogram(*reports)

    def fails(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(widget.view, "show", fails)
    widget.table.move(1)
    assert "out of memory" in widget.message.text and widget.message.kind == "error"


def test_a_slider_that_moves_is_not_set_back_by_its_own_line(reports):
    """The browser's steps are 0.10499999999999997; an answer of 0.105 would undo the next key."""
    widget = EHullHistogram(*reports)
    said = []
    widget.threshold.observe(lambda change: said.append(change["new"]), "value")
    widget.threshold.value = 0.10499999999999997
    assert said == [0.10499999999999997]
    assert widget.figure.layout.shapes[0].x0 == 0.105
