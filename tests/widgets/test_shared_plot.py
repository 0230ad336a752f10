"""Plot: the page hears of a chart once, and of all of it."""

import ipywidgets
import plotly.graph_objects as go

from flowllm_widgets.shared.plot import Plot


def test_the_page_hears_of_a_chart_once_and_of_all_of_it(monkeypatch):
    told, really_open = [], ipywidgets.Widget.open

    def opened(widget):
        told.append({name: getattr(widget, name) for name in widget.keys})
        really_open(widget)

    monkeypatch.setattr(ipywidgets.Widget, "open", opened)
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]), {"title": {"text": "both"}})
    Plot(figure, bar=True)
    (chart,) = [state for state in told if "_widget_data" in state]
    assert [list(trace["y"]) for trace in chart["_widget_data"]] == [[3, 4]]
    assert chart["_widget_layout"]["title"] == {"text": "both"}
    assert chart["_config"]["displayModeBar"] is True and chart["_config"]["responsive"] is True


def test_a_page_that_asks_for_all_gets_the_chart_as_it_is_now():
    plot = Plot(go.Figure(go.Scatter(x=[1, 2], y=[1, 2])))
    plot.add_scatter(x=[3], y=[4])
    plot.update_layout(title="later")
    state = plot.get_state()
    assert [trace["x"] for trace in state["_widget_data"]] == [[1, 2], [3]]
    assert state["_widget_layout"]["title"] == {"text": "later"}
    assert len(plot._widget_data) == 1  # what a change is compared with stays
