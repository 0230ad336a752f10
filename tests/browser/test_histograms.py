"""The histograms in a real JupyterLab: slider, dragged line, clicked bar, list and crystal."""

from __future__ import annotations

import re

import pytest

from tests.browser.waiting import brightness, expect, middle, picture_of, until

pytestmark = pytest.mark.browser

MAKE = """import numpy as np
from tests.widgets.reports import made_report, spread_report
from flowllm_widgets.histograms.widget import EHullHistogram, NaryHistogram
reports = [spread_report(f"example {n}", 0.04 * n, 120, seed=n) for n in (1, 2)]
ehull = EHullHistogram(*reports)
ehull"""
NARY = "nary = NaryHistogram(*reports)\nnary"
LINE = ".shapelayer path[data-index]"
BARS = '[class^="barlayer"] .trace'
TO_CELL = """(index) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = index;
  return content.scrollToItem(index, 'start');
}"""


def panel(nb, cell):
    """The widget that a cell shows; cells far off are not in the page."""
    nb.page.evaluate(TO_CELL, cell)
    place = f'.jp-Cell[data-windowed-list-index="{cell}"] .flowllm'
    found = nb.page.locator(place).first
    found.locator(BARS).first.wait_for(state="attached")
    found.locator("canvas, .js-plotly-plot svg").first.wait_for()
    return found


def test_histograms_answer_to_slider_line_bar_and_list(open_notebook, picture):
    nb = open_notebook([MAKE, NARY], size=(1280, 1100))
    asked = []
    nb.page.on("request", lambda request: asked.append(request.url))
    nb.run_all()
    ehull = panel(nb, 0)
    picture_of(ehull, picture("e_hull_histogram.png"))

    # the slider, by keyboard, moves the line and the counts
    line, counts = middle(ehull.locator(LINE)), ehull.locator(".flowllm-counts")
    handle = ehull.locator(".widget-slider .noUi-handle").first
    handle.focus()
    for _ in range(20):
        nb.page.keyboard.press("ArrowRight")
    nb.until("round(ehull.threshold.value, 3)", 0.2)
    expect(counts).to_contain_text("below 0.200")
    until(lambda: middle(ehull.locator(LINE))[0] > line[0] + 20)
    moved = middle(ehull.locator(LINE))

    # the line, dragged back, moves the slider; what it lost of its uprightness it gets again
    nb.page.mouse.move(*moved)
    nb.page.mouse.down()
    nb.page.mouse.move(moved[0] - 40, moved[1] + 15, steps=5)
    nb.page.mouse.move(line[0], moved[1] + 20, steps=5)
    nb.page.mouse.up()
    expect(counts).to_contain_text(re.compile("below 0.1|below 0.09"))
    nb.until("abs(ehull.threshold.value - 0.1) < 0.011")
    until(
        lambda: middle(ehull.locator(LINE)),
        lambda at: abs(at[0] - line[0]) < 8 and abs(at[1] - line[1]) < 2,
    )
    nb.until("ehull.message.text", "")

    # a click on a bar lists its crystals, one on a row shows that crystal, keys go on from there
    bar = ehull.locator(BARS).nth(1).locator(".point").nth(8)  # the second, 0.12 to 0.16 eV/atom
    nb.page.mouse.click(*middle(bar))
    nb.until("ehull.system.value, ehull.bin.value", "1 8")
    rows = ehull.locator(".flowllm-table tbody tr[data-place]")
    listed = nb.run("print(*ehull.table.rows['id'][:8])").split()
    assert len(listed) >= 2
    expect(rows.locator("td:first-child")).to_have_text(listed)
    rows.nth(1).locator("td").first.click()
    shown = "ehull.view.crystal.ids[0]"
    nb.until(shown, listed[1])
    expect(ehull.locator(".flowllm-caption").last).to_contain_text(listed[1])
    nb.page.keyboard.press("ArrowUp")
    nb.until(shown, listed[0])

    # elements: a flag narrows the bars, which a list chooses without a mouse
    nary = panel(nb, 1)
    picture_of(nary, picture("nary_histogram.png"))
    counts = nary.locator(".flowllm-counts")
    expect(counts).to_contain_text("of 120")
    expect(counts).not_to_contain_text("96 of 120")
    nary.locator("select").first.select_option("valid composition")
    expect(counts).to_contain_text("96 of 120")
    nary.locator("select").last.select_option(index=0)
    place = nb.run("print(nary.bin.options[0][1])")
    nb.until("nary.bin.value", place)
    nb.until("nary.table.rows['valid_composition'].all()")

    assert nb.said == []
    assert [url for url in asked if "//127.0.0.1" not in url and "://" in url
            and not url.startswith("blob:")] == []  # fmt: skip


def test_histograms_are_as_wide_as_their_place_and_readable_in_the_dark(open_notebook, picture):
    nb = open_notebook([MAKE], dark=True, size=(1280, 1100))
    nb.run_all()
    ehull = panel(nb, 0)
    nb.wait("""() => {
      const plot = document.querySelector('.flowllm .js-plotly-plot');
      const drawn = plot && plot.querySelector('.main-svg');
      return drawn && plot.clientWidth > 0 && Math.abs(drawn.clientWidth - plot.clientWidth) < 2;
    }""")
    label = ehull.locator(".xtick text").first
    notebook = nb.page.locator(".jp-NotebookPanel:has(.flowllm)")
    until(
        lambda: (brightness(label, "fill"), brightness(notebook, "backgroundColor")),
        lambda both: abs(both[0] - both[1]) > 100,
    )
    picture_of(ehull, picture("e_hull_histogram_dark.png"))
    assert nb.said == []
