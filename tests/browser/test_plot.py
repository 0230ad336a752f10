"""A chart in a real JupyterLab whose page is slow: it is drawn whole and fits its place."""

import pytest

from tests.browser.waiting import until

pytestmark = pytest.mark.browser

CHARTS = """import plotly.graph_objects as go
from IPython.display import display
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.style import Panel
import ipywidgets
for number in range(6):
    box = ipywidgets.VBox([Plot(go.Figure(go.Scatter(x=[1, 2], y=[1, 2])))])
    box.add_class("flowllm-fit")
    display(Panel([box, Frame()]))"""
# of each chart: its traces, whether it follows its place, and how much its width differs from it
DRAWN = """[...document.querySelectorAll('.flowllm .js-plotly-plot')].map((plot) => [
  plot.data.length, plot._context.responsive,
  Math.abs(plot.clientWidth - plot.querySelector('.main-svg').clientWidth) < 2])"""


def test_charts_of_a_slow_page_are_drawn_whole_and_fit_their_places(open_notebook):
    nb = open_notebook([CHARTS], size=(1200, 1600))
    nb.slow(20)
    nb.run_all()
    until(lambda: nb.page.evaluate(DRAWN), [[1, True, True]] * 6, timeout=240)
    nb.slow(1)
    assert nb.said == []
