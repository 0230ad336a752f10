"""Pages whose code comes late, on a slow machine: every part is drawn, with all it was told."""

import pytest

from tests.browser.test_app import BRING, ELEMENTS
from tests.browser.test_crystal_browser import MAKE as BROWSER
from tests.browser.test_embedding import CELLS as EMBEDDING
from tests.browser.test_histograms import MAKE as HISTOGRAM
from tests.browser.test_histograms import NARY
from tests.browser.test_playground import CELL as PLAYGROUND
from tests.browser.test_playgrounds import LATTICE, TORUS
from tests.browser.test_structure import SETUP
from tests.browser.test_trajectory import GENERATED
from tests.browser.waiting import until

pytestmark = pytest.mark.browser

SECONDS, SLOWER = 5.0, 4.0
# anywidget says so of each part whose module takes over 2 s, before the part can mend it
GAVE_UP = "[anywidget] Failed to initialize model."
CHARTS = [
    """import numpy as np, plotly.graph_objects as go
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.style import Panel
plots = [Plot(go.Figure(go.Scatter(x=[1, 2], y=[1, 2]))) for _ in range(2)]
Panel(plots)""",
    """plots[0].add_scatter(x=np.arange(3.0), y=np.arange(3.0) ** 2)
plots[1].data[0].y = [5, 7]
plots[1].update_layout(title="said later")""",
]
SHOWN = """[...document.querySelectorAll('.flowllm .js-plotly-plot')].map(
  (plot) => [plot.data.map((trace) => [...trace.y]), plot.layout.title?.text ?? null])"""
VIEWERS = [
    SETUP + "view = StructureView(salt)\nview",
    "player = PlayerView(Trajectory.from_frames([0.0], [salt]))\nplayer",
    "view.show(end)\nplayer.set_trajectory(way, {'end': end})",
]
# of each picture that is shown: how many atoms, bonds and frames the graphics card was given
PICTURES = """[...document.querySelectorAll('.flowllm-player')].map((player) =>
  player.flowllm.gallery.panels.map((panel) =>
    [panel.picture.drawn('atoms').length, panel.scene.frames]))"""
# parts that are still empty, charts without data, pictures without a stage
MISSING = """() => {
  const all = (selector) => [...document.querySelectorAll('.flowllm ' + selector)];
  const seen = (part) => part.getClientRects().length > 0;
  return all('.flowllm-part').filter((part) => seen(part) && !part.matches('.flowllm-drawn'))
    .concat(all('.js-plotly-plot').filter((p) => !p.data?.length && !p.layout?.annotations))
    .concat(all('.flowllm-picture .flowllm-loading').filter(seen))
    .concat(all('.flowllm-message.error')).map((part) => part.outerHTML.slice(0, 120));
}"""


@pytest.mark.parametrize("modules", [False, True], ids=["libraries", "modules-too"])
def test_charts_that_come_late_show_what_they_were_told_meanwhile(open_notebook, modules):
    nb = open_notebook(CHARTS)
    nb.late(SECONDS, modules)
    nb.slow(SLOWER)
    nb.run_all()
    told = [[[[1, 2], [0, 1, 4]], None], [[[5, 7]], "said later"]]
    until(lambda: nb.page.evaluate(SHOWN), told)
    nb.run("plots[0].data = plots[0].data[1:]")  # and what they are told from then on
    until(lambda: nb.page.evaluate(SHOWN), [[[[0, 1, 4]], None], told[1]])
    assert set(nb.said) <= ({GAVE_UP} if modules else set())


@pytest.mark.parametrize("modules", [False, True], ids=["libraries", "modules-too"])
def test_viewers_that_come_late_show_the_newest_crystal(open_notebook, modules):
    nb = open_notebook(VIEWERS)
    nb.late(SECONDS, modules)
    nb.slow(SLOWER)
    nb.run_all()
    count = "len(view.display.pictures[''].source), len(player.display.pictures['end'].source)"
    one, end = (int(n) for n in nb.run(f"print({count})").split())
    moving = int(nb.run("print(len(player.display.pictures['trajectory'].source))"))
    until(lambda: nb.page.evaluate(PICTURES), [[[one, 1]], [[moving, 30], [end, 1]]])
    nb.until("player.display.player.status", "ready")
    assert set(nb.said) <= ({GAVE_UP} if modules else set())


@pytest.mark.late
@pytest.mark.parametrize(
    ("cells", "parts"),
    [
        (["from flowllm_widgets import CrystalBrowser", BROWSER], 1),
        (EMBEDDING, 1),
        ([HISTOGRAM, NARY], 2),
        ([PLAYGROUND], 1),
        ([TORUS], 1),
        ([LATTICE], 1),
        ([GENERATED], 1),
        ([BRING], 1),
        ([ELEMENTS], 1),
    ],
    ids=[
        "browser",
        "embedding",
        "histograms",
        "playground",
        "torus",
        "lattice",
        "trajectory",
        "bring",
        "elements",
    ],
)
@pytest.mark.parametrize("modules", [False, True], ids=["libraries", "modules-too"])
def test_every_widget_is_whole_on_a_late_page(open_notebook, cells, parts, modules):
    nb = open_notebook(cells, size=(1280, 4000))  # all of it in sight, so all of it is drawn
    nb.late(SECONDS, modules)
    nb.slow(SLOWER)
    nb.run_all(timeout=600)
    nb.wait(f"document.querySelectorAll('.jp-OutputArea-child .flowllm').length >= {parts}")
    until(lambda: nb.page.evaluate(MISSING), [], timeout=180)
    assert set(nb.said) <= ({GAVE_UP} if modules else set())
