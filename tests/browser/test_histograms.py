"""The histograms in a real JupyterLab: slider, dragged line, clicked bar, list and crystal."""

from __future__ import annotations

import pytest

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


def middle(locator):
    """Of an element, in the page."""
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_histograms_answer_to_slider_line_bar_and_list(open_notebook, picture):
    nb = open_notebook([MAKE, NARY], size=(1280, 1100))
    asked = []
    nb.page.on("request", lambda request: asked.append(request.url))
    nb.run_all()
    ehull = panel(nb, 0)
    nb.page.wait_for_timeout(1000)
    ehull.screenshot(path=picture("e_hull_histogram.png"))

    # the slider, by keyboard, moves the line and the counts
    line, counts = middle(ehull.locator(LINE)), ehull.locator(".flowllm-counts").inner_text()
    handle = ehull.locator(".widget-slider .noUi-handle").first
    handle.focus()
    for _ in range(20):
        nb.page.keyboard.press("ArrowRight")
    nb.until("round(ehull.threshold.value, 3)", 0.2)
    nb.wait("(before) => document.querySelector('.flowllm-counts').innerText !== before",
            argument=counts)  # fmt: skip
    nb.page.wait_for_timeout(300)
    moved = middle(ehull.locator(LINE))
    assert moved[0] > line[0] + 20
    assert "below 0.200" in ehull.locator(".flowllm-counts").inner_text()

    # the line, dragged back, moves the slider; what it lost of its uprightness it gets again
    nb.page.mouse.move(*moved)
    nb.page.mouse.down()
    nb.page.mouse.move(moved[0] - 40, moved[1] + 15, steps=5)
    nb.page.mouse.move(line[0], moved[1] + 20, steps=5)
    nb.page.mouse.up()
    nb.wait("() => document.querySelector('.flowllm-counts').innerText.includes('below 0.1')")
    nb.until("abs(ehull.threshold.value - 0.1) < 0.011")
    nb.page.wait_for_timeout(300)
    box = ehull.locator(LINE).bounding_box()
    assert abs(box["x"] + box["width"] / 2 - line[0]) < 8
    assert abs(box["y"] + box["height"] / 2 - line[1]) < 2
    assert nb.run("print(ehull.message.text)") == ""

    # a click on a bar lists its crystals, one on a row shows that crystal, keys go on from there
    bar = ehull.locator(BARS).nth(1).locator(".point").nth(8)  # the second, 0.12 to 0.16 eV/atom
    nb.page.mouse.click(*middle(bar))
    nb.until("ehull.system.value, ehull.bin.value", "1 8")
    rows = ehull.locator(".flowllm-table tbody tr[data-place]")
    nb.page.wait_for_timeout(300)
    listed = [rows.nth(at).locator("td").first.inner_text() for at in range(rows.count())]
    assert listed == nb.run("print(*ehull.table.rows['id'][:8])").split() and len(listed) >= 2
    rows.nth(1).locator("td").first.click()
    shown = "ehull.view.crystal.ids[0]"
    nb.until(shown, listed[1])
    assert listed[1] in ehull.locator(".flowllm-caption").last.inner_text()
    nb.page.keyboard.press("ArrowUp")
    nb.until(shown, listed[0])

    # elements: a flag narrows the bars, which a list chooses without a mouse
    nary = panel(nb, 1)
    nb.page.wait_for_timeout(1000)
    nary.screenshot(path=picture("nary_histogram.png"))
    before = nary.locator(".flowllm-counts").inner_text()
    assert "of 120" in before
    nary.locator("select").first.select_option("valid composition")
    nb.wait("(before) => [...document.querySelectorAll('.flowllm-counts')]"
            ".some((each) => each.innerText.includes('96 of 120'))", argument=before)  # fmt: skip
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
    text, behind = nb.page.evaluate("""() => {
      const label = document.querySelector('.flowllm .xtick text');
      return [getComputedStyle(label).fill,
        getComputedStyle(label.closest('.jp-Notebook, .jp-NotebookPanel')).backgroundColor];
    }""")
    assert abs(_brightness(text) - _brightness(behind)) > 100
    nb.page.wait_for_timeout(500)
    ehull.screenshot(path=picture("e_hull_histogram_dark.png"))
    assert nb.said == []


def _brightness(colour):
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]
    return 0.0 if len(numbers) == 4 and not numbers[3] else sum(numbers[:3]) / 3
