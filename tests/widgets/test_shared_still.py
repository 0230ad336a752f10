"""Stills: what pages without a kernel show of a widget, and how a notebook keeps them."""

import asyncio
import threading
import xml.etree.ElementTree as ElementTree

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

import flowllm_widgets.shared.still_output as output
from flowllm.teaching.textbook import textbook_structures
from flowllm_widgets import StructureView
from flowllm_widgets.playground.history import HistoryTable
from flowllm_widgets.shared.chart_axes import Axis
from flowllm_widgets.shared.chart_svg import chart_svg
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.rest import AtRest
from flowllm_widgets.shared.still import still_html
from flowllm_widgets.shared.style import Panel, themed
from tests.widgets.stills import pictures_in

SVG = "{http://www.w3.org/2000/svg}"
MIME = "application/vnd.jupyter.widget-view+json"


def drawn(figure, kind):
    return list(ElementTree.fromstring(chart_svg(figure)).iter(SVG + kind))


def texts(figure):
    return [e.text for e in drawn(figure, "text")]


# ---- charts --------------------------------------------------------------------------------------


def test_a_line_runs_from_corner_to_corner_of_its_panel():
    figure = themed(go.Figure(go.Scatter(x=[0, 1], y=[0, 10], mode="lines")), 300)
    figure.update_layout(margin={"l": 50, "r": 10, "t": 20, "b": 40}, showlegend=False)
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[0, 10])
    (line,) = [e for e in drawn(figure, "path") if e.get("stroke-width") == "2"]
    assert line.get("d") == "M50.0 260.0L750.0 20.0"


def test_titles_units_and_subscripts_are_written():
    figure = themed(go.Figure(go.Scatter(x=["Fe<sub>2</sub>O<sub>3</sub>"], y=[0.25])))
    figure.update_xaxes(title="a <b>compound</b>")
    figure.update_yaxes(title="share", tickformat=".0%", range=[0, 1])
    assert {"a compound", "share", "Fe₂O₃", "40 %"} <= set(texts(figure))


def test_a_gap_divides_a_line_and_hidden_traces_are_left_out():
    figure = go.Figure(go.Scatter(x=[0, 1, 2, 3], y=[1, None, 2, 3], mode="lines"))
    figure.add_scatter(x=[0, 1], y=[5, 6], visible=False, line={"color": "#123456"})
    text = chart_svg(figure)
    (line,) = [e for e in drawn(figure, "path") if e.get("fill") == "none"]
    assert line.get("d").count("M") == 2 and "#123456" not in text


@pytest.mark.parametrize(("mode", "height"), [("stack", 30), ("group", 20)])
def test_bars_stand_on_or_beside_each_other(mode, height):
    figure = go.Figure([go.Bar(x=["a", "b"], y=[10, 20]), go.Bar(x=["a", "b"], y=[5, 10])])
    figure.update_layout(barmode=mode, height=300)
    boxes = [
        (float(e.get("x")), float(e.get("y")), float(e.get("y")) + float(e.get("height")))
        for e in drawn(figure, "rect")
    ]
    (left, top, foot), (other, _, below) = boxes[1], boxes[3]
    if mode == "stack":
        assert left == other and below == pytest.approx(top, abs=0.11)
    else:
        assert other > left and below == pytest.approx(foot, abs=0.11)


def test_error_bars_reach_as_far_as_they_say():
    error = {"array": [2.0], "arrayminus": [1.0]}
    figure = go.Figure(go.Scatter(x=[1], y=[5], mode="markers", error_y=error))
    figure.update_layout(height=300, margin={"t": 0, "b": 0})
    figure.update_yaxes(range=[0, 10])
    (bar,) = [e for e in drawn(figure, "path") if e.get("stroke-width") == "1.5"]
    assert "M380.0 180.0V90.0" in bar.get("d")


def test_panels_with_axes_of_their_own_do_not_overlap():
    figure = make_subplots(1, 2)
    for column in (1, 2):
        figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", row=1, col=column)
    one, other = (e.get("d") for e in drawn(figure, "path") if e.get("stroke-width") == "2")
    assert float(one.split("L")[1].split()[0]) < float(other[1:].split()[0])


def test_points_of_one_look_are_one_path_and_too_many_are_thinned():
    x = np.linspace(0, 1, 9000)
    figure = go.Figure(go.Scatter(x=x, y=x**2, mode="markers"))
    (dots,) = [e for e in drawn(figure, "path") if e.get("stroke-linecap") == "round"]
    assert dots.get("d").count("h0") == 3000
    assert len(chart_svg(figure)) < 60_000


def test_triangles_and_views_in_space_keep_one_scale():
    corners = {"a": [1, 0, 0], "b": [0, 1, 0], "c": [0, 0, 1]}
    figure = go.Figure(go.Scatterternary(**corners, mode="lines"))
    (line,) = [e for e in drawn(figure, "path") if e.get("fill") == "none"]
    points = np.array([[float(n) for n in p.split()] for p in line.get("d")[1:].split("L")])
    sides = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1)
    assert sides == pytest.approx(sides[0], rel=1e-2)
    camera = {"eye": {"x": 1, "y": 0, "z": 0}}
    cube = go.Figure(go.Scatter3d(x=[0, 5, 5], y=[0, 0, 1], z=[0, 0, 0], mode="lines"))
    cube.update_layout(scene={"camera": camera})
    (line,) = [e for e in drawn(cube, "path") if e.get("fill") == "none"]
    first, along, aside = line.get("d")[1:].split("L")
    assert first == along != aside  # x points at the eye


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]), (-30, 10, ["−30", "−20", "−10", "0", "10"])],
)
def test_ticks_are_round_numbers(low, high, wanted):
    assert [text for _, text in Axis(0, 1, low, high).ticks()] == wanted


def test_a_chart_without_anything_to_draw_is_nothing():
    assert chart_svg(go.Figure()) == "" == still_html(Plot(go.Figure()))


# ---- widgets -------------------------------------------------------------------------------------


def test_a_table_and_a_text_are_written_down_safely():
    table = HistoryTable(columns=["what"], rows=[["<Sr>"]])
    text = still_html(
        ipywidgets.VBox(
            [table, ipywidgets.HTML('<style>x{}</style><i class="flowllm-caption">fine</i>')]
        )
    )
    assert "<td>&lt;Sr&gt;</td>" in text and "<i>fine</i>" in text and "style>" not in text


def test_the_still_of_a_crystal_is_small_and_has_its_legend():
    crystals = textbook_structures().crystals
    largest = crystals[int(np.argmax(crystals.num_atoms))]
    view = StructureView(largest, "the largest")
    text = view.still()
    assert len(text) < 100_000 and "the largest" in text
    assert all(symbol in text for symbol in largest.compositions[0])
    assert len(pictures_in(text)) == 1


# ---- the notebook --------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, and what exchanged, as (bundle, display id)."""
    calls = []
    for name in ("display", "update_display"):
        monkeypatch.setattr(
            output, name,
            lambda bundle, raw, display_id="", name=name: calls.append((name, bundle, display_id)),
        )  # fmt: skip
    return calls


def test_a_widget_leaves_itself_and_behind_it_its_still(shown):
    panel = Panel([ipywidgets.HTML("what it shows")])
    panel._ipython_display_()
    (_, widget, _), (_, still, name) = shown
    assert widget[MIME]["model_id"] == panel.model_id and widget["text/html"] == ""
    assert MIME not in still and "what it shows" in still["text/html"]
    # the live widget brings the rule that hides the still
    assert f".{name}" in panel.children[-1].value and f"flowllm-still {name}" in still["text/html"]


def test_work_in_an_inner_panel_renews_the_still_of_the_outer_one(shown):
    inner = Panel([ipywidgets.HTML("before")])
    inner.renew_still()
    assert shown == []  # it stands in no notebook
    outer = Panel([ipywidgets.HBox([inner])])
    outer._ipython_display_()
    inner.children[0].value = "after"
    inner.renew_still()
    assert [kind for kind, *_ in shown] == ["display", "display", "update_display"]
    assert shown[-1][2] == shown[1][2] and "after" in shown[-1][1]["text/html"]


def test_what_a_person_does_is_in_the_still_once_it_has_come_to_rest(shown):
    async def change() -> None:
        outer._ipython_display_()
        assert len(shown) == 2  # nothing has changed yet
        inner.value = "first"
        inner.value = "second"
        await until_calls(3)
        box.children = (later,)
        await until_calls(4)
        worker = threading.Thread(target=lambda: setattr(later, "value", "by a worker"))
        worker.start()  # a widget that came later, changed by work in the background
        await until_calls(5)
        worker.join()

    async def until_calls(count: int) -> None:
        while len(shown) < count:
            await asyncio.sleep(0.005)

    inner, later = ipywidgets.HTML("before"), ipywidgets.HTML("later")
    box = ipywidgets.VBox([inner])
    outer = Panel([box])
    outer._changes = AtRest(outer, outer.renew_still, rest=0.02)
    asyncio.run(asyncio.wait_for(change(), 20))
    stills = [bundle["text/html"] for _, bundle, _ in shown[2:]]
    assert ["second" in stills[0], "later" in stills[1], "by a worker" in stills[2]] == [True] * 3
    assert "first" not in stills[0] and "second" not in stills[1]


def test_without_an_event_loop_a_change_waits_for_nothing(shown):
    panel = Panel([ipywidgets.HTML("before")])
    panel._ipython_display_()
    panel.children[0].value = "after"
    assert len(shown) == 2
