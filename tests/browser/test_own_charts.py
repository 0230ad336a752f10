"""A notebook's own charts in JupyterLab: a toolbar on hover only, legible in both themes."""

import pytest

from tests.browser.waiting import until

pytestmark = pytest.mark.browser

CHART = """import plotly.express as px
from flowllm_widgets.shared.style import themed
themed(px.bar(x=["a", "b"], y=[1, 2], title="two bars"))"""
PLOT = ".js-plotly-plot"
BAR = f"document.querySelector('{PLOT} .modebar-group')"
GROUNDS = f"""['.modebar', '.modebar-group'].map((part) =>
  getComputedStyle(document.querySelector('{PLOT} ' + part)).backgroundColor)"""
ICON = f"getComputedStyle(document.querySelector('{PLOT} .modebar-btn .icon path')).fill"
TEXT = f"getComputedStyle(document.querySelector('{PLOT} .xtick text')).fill"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_toolbar_comes_with_the_pointer_and_is_legible(open_notebook, picture, dark):
    nb = open_notebook([CHART], dark=dark, size=(1000, 800))
    nb.run_all()
    nb.wait(BAR)

    def opacity() -> float:
        return float(nb.page.evaluate(f"getComputedStyle({BAR}).opacity"))

    nb.page.mouse.move(2, 2)
    until(opacity, 0)
    nb.shot(PLOT, picture("away.png"))
    nb.page.locator(PLOT).first.hover()
    until(opacity, 1)
    nb.shot(PLOT, picture("over.png"))
    until(lambda: set(nb.page.evaluate(GROUNDS)), {"rgba(0, 0, 0, 0)"})
    until(lambda: nb.page.evaluate(ICON), "rgb(110, 119, 137)")
    until(lambda: nb.page.evaluate(TEXT), "rgb(110, 119, 137)")
    assert nb.said == []
