"""StabilityView in a real JupyterLab: the energy falls, then the phase diagram stands below."""

from __future__ import annotations

import pytest

from tests.browser.waiting import expect, until

pytestmark = pytest.mark.browser

CELL = """
from flowllm import CrystalBatch
from flowllm_widgets import StabilityView

salt = CrystalBatch([11, 17], [(0, 0, 0), (0.47, 0.5, 0.52)], [(4.2,) * 3], [(60,) * 3], [2], ["a"])
view = StabilityView(salt)
view
"""


def test_a_click_relaxes_the_crystal_and_places_it(open_notebook, picture):
    lab = open_notebook([CELL], size=(1280, 1500))
    lab.run_all()
    page = lab.page
    page.locator('.flowllm button:has-text("Is it stable?")').click()
    lab.until("view.state", "finished")
    expect(page.locator(".flowllm").first).to_contain_text("By CHGNet")
    charts = page.locator(".flowllm .js-plotly-plot")
    expect(charts).to_have_count(3)  # energies, phase diagram, patterns
    points = "document.querySelector('.flowllm .js-plotly-plot').data[0].y.length"
    steps = int(lab.run("print(len(view.steps))", 60))
    until(lambda: page.evaluate(points), steps)
    names = "[...document.querySelectorAll('.flowllm .js-plotly-plot')][1].data.map((t) => t.name)"
    until(lambda: "Highlighted" in page.evaluate(names))
    for theme, name in (("Light", ""), ("Dark", "_dark")):
        lab.theme(f"JupyterLab {theme}")
        lab.shot(".jp-OutputArea-output .flowllm", picture(f"stability_view{name}.png"))
    assert lab.said == []
