"""EmbeddingMap in a real JupyterLab: points, hover, click, keyboard, legend, colours, themes."""

import pytest

from tests.browser.waiting import brightness, expect, settled, until

pytestmark = pytest.mark.browser

CELLS = [
    """import os, tempfile
os.environ["FLOWLLM_CACHE_DIR"] = tempfile.mkdtemp()
from flowllm import FlowLLM
from flowllm.teaching.textbook import textbook_structures
from flowllm_widgets import EmbeddingMap
made = FlowLLM.from_pretrained("mp20-compact", "cpu").generate(20, seed=3).refined
known = textbook_structures()""",
    """shown = EmbeddingMap({"FlowLLM": made, "textbook": known[:70], "other types": known[70:100]})
shown""",
]
POINTS = "document.querySelectorAll('.flowllm .scatterlayer .trace .points path').length"
AXIS = "document.querySelector('.flowllm .xtitle')?.textContent"
MIDDLE = """([trace, place]) => {
  const box = document.querySelectorAll('.flowllm .scatterlayer .trace')[trace]
    .querySelectorAll('.points path')[place].getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""
ALONE = """() => {  // the point of the second system that is farthest from all others
  const traces = [...document.querySelectorAll('.flowllm .scatterlayer .trace')].slice(0, 3);
  const all = traces.map((t) => [...t.querySelectorAll('.points path')].map((p) => {
    const box = p.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  }));
  const flat = all.flat();
  const room = all[1].map(([x, y]) => flat.map(([u, v]) => Math.hypot(x - u, y - v))
    .sort((a, b) => a - b)[1]);
  return room.indexOf(Math.max(...room));
}"""


def test_the_map_answers_to_mouse_and_keyboard_in_light_and_dark(open_notebook, picture):
    nb = open_notebook(CELLS, size=(1360, 1150))
    nb.run_all(timeout=300)
    page = nb.page

    # principal components at first, then UMAP
    nb.wait(f"{POINTS} === 120", timeout=240)
    nb.wait(f"{AXIS} === 'UMAP 1'", timeout=240)
    nb.until("shown.message.text, shown.progress.text", "")
    expect(page.locator(".flowllm .flowllm-caption").first).to_contain_text("20 crystals")

    # the plot keeps to its half
    nb.wait("""document.querySelector('.flowllm .main-svg').getBoundingClientRect().right
      <= document.querySelector('.flowllm .flowllm-beside').getBoundingClientRect().left + 1""")

    # hover
    page.locator(".flowllm .scatterlayer").first.scroll_into_view_if_needed()
    place = settled(lambda: page.evaluate(ALONE), still=1.0)
    x, y = settled(lambda: page.evaluate(MIDDLE, [1, place]), still=1.0)
    page.mouse.move(x - 2, y - 2)
    page.mouse.move(x, y)
    formula = nb.run(f"print(known[:70].reduced_formulas[{place}])")
    hover = page.locator(".flowllm .hoverlayer .hovertext").first
    for words in (formula, "g/cm³", "space group"):
        expect(hover).to_contain_text(words)

    # click
    page.mouse.click(x, y)
    nb.wait("document.querySelectorAll('.flowllm canvas').length >= 2", timeout=60)
    nb.until("shown.chosen", 20 + place)
    nb.until("shown.panel.view.crystal.formulas[0]", formula)
    nb.wait("document.querySelectorAll('.flowllm .widget-select select option').length === 10")
    neighbours = page.locator(".flowllm .widget-select select option")
    expect(neighbours.filter(has_text="textbook")).to_have_count(0)

    # keyboard: arrow keys go through the neighbours, a name in the field chooses a crystal
    first = nb.run("print(shown.panel.other.crystal.ids[0])")
    page.locator(".flowllm .widget-select select").press("ArrowDown")
    nb.wait("document.querySelector('.flowllm .widget-select select').selectedIndex === 1")
    nb.until(f"shown.panel.other.crystal.ids[0] != {first!r}")
    name = nb.run("print(shown.points.label(0))")
    field = page.get_by_role("combobox", name="Crystal")
    field.fill(name)
    field.press("Enter")
    nb.until("shown.chosen", 0)
    nb.wait(f"{POINTS} === 122")  # with the two rings
    page.mouse.move(0, 0)
    nb.shot(".flowllm", picture("embedding_map.png"))

    # the legend hides a system
    page.locator(".flowllm .legendtoggle").nth(1).click()
    nb.wait(f"{POINTS} === 52", timeout=30)  # and the two rings
    nb.until("shown.figure.data[1].visible", "legendonly")
    page.locator(".flowllm .legendtoggle").nth(1).click()
    nb.wait(f"{POINTS} === 122", timeout=30)

    # colours by a column, in the dark
    mark = page.locator(".flowllm .scatterlayer .points path").first
    before = settled(lambda: mark.get_attribute("style"))
    page.get_by_role("combobox", name="Colour").select_option("density (g/cm³)")
    nb.wait("document.querySelector('.flowllm .colorbar, .flowllm .infolayer .cbtitle')")
    until(lambda: mark.get_attribute("style") != before)
    nb.theme("JupyterLab Dark")
    until(lambda: brightness(page.locator(".flowllm .xtitle"), "fill") > 127)  # light on dark
    nb.shot(".flowllm", picture("embedding_map_dark.png"))
    assert nb.said == []
