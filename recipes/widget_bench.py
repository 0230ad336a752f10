"""How fast the widgets are, in a real JupyterLab: seconds, from what the browser sees.

Usage: python -m recipes.widget_bench [--repeats 5]

Wanted: a viewer of 50 frames on screen within 2 s, 20 frames a second or more; an answer to any
control within 0.2 s; the playground's first token within 1 s. Each line gives the median and the
largest of the repeats. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.lab import OpenNotebook, lab_environment, opener, server

SETUP = """from flowllm import FlowLLM
from flowllm.teaching.textbook import textbook_structures
from flowllm.methods.flow.settings import RefineSettings
from flowllm_widgets import (
    CrystalBrowser, EHullHistogram, EmbeddingMap, LatticePlayground, NaryHistogram,
    PromptPlayground, TorusPlayground, TrajectoryViewer)
from tests.widgets.reports import spread_report
model = FlowLLM.from_pretrained("mp20-compact", "cpu")
result = model.generate(1, formula="SrTiO3", refinement=RefineSettings(steps=49, record=True))
reports = [spread_report(f"example {n}", 0.04 * n, 1000, seed=n) for n in (1, 2)]"""
CELLS = (
    SETUP,
    "viewer = TrajectoryViewer(result)\nviewer",
    "play = PromptPlayground(model, num=1)\nplay",
    "ehull = EHullHistogram(*reports)\nehull",
    "nary = NaryHistogram(*reports)\nnary",
    "browser = CrystalBrowser(reports[0])\nbrowser",
    "torus = TorusPlayground()\ntorus",
    "lattice = LatticePlayground()\nlattice",
    "shown = EmbeddingMap({'textbook': textbook_structures()[:200]})\nshown",
)
VIEWER, PLAYGROUND, EHULL, NARY, BROWSER, TORUS, LATTICE, EMBEDDING = range(1, len(CELLS))

# Runs a cell and waits, frame by frame, until an expression of its output is true: milliseconds.
SHOW = """async ([index, ready]) => {
  const { content, sessionContext } = window.jupyterapp.shell.currentWidget;
  content.activeCellIndex = index;
  await content.scrollToItem(index, 'start');
  const cell = () => document.querySelector(`.jp-Cell[data-windowed-list-index="${index}"]`);
  const seen = new Function('cell', `return ${ready}`);
  const start = performance.now();
  window.jupyterapp.commands.execute('notebook:run-cell');
  while (performance.now() - start < 60000) {
    await new Promise((next) => requestAnimationFrame(next));
    const at = cell()?.querySelector('.flowllm');
    if (at && seen(at)) return performance.now() - start;
  }
  return Infinity;
}"""
# Does something to a control and waits until what the cell shows has changed: milliseconds.
CHANGE = """async ([index, act, seen]) => {
  const cell = document.querySelector(`.jp-Cell[data-windowed-list-index="${index}"] .flowllm`);
  const [value, does] = [new Function('cell', `return ${seen}`), new Function('cell', act)];
  const before = value(cell);
  const start = performance.now();
  does(cell);
  while (performance.now() - start < 20000) {
    await new Promise((next) => requestAnimationFrame(next));
    if (value(cell) !== before) return performance.now() - start;
  }
  return Infinity;
}"""
# What a user's hand does: a value typed or slid into an input, a key pressed on a slider's handle.
SET = """const put = (input, value) => {
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), 'value').set.call(input, value);
  for (const kind of ['input', 'change']) input.dispatchEvent(new Event(kind, { bubbles: true }));
};
const press = (handle, key) => { handle.focus();
  handle.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })); };
const choose = (list) => put(list, list.options[(list.selectedIndex + 1) % list.options.length]
  .value);
"""
DRAWN = """cell.querySelector('.flowllm-player')?.flowllm.gallery.panels.every((p) => p.picture)
  && [...cell.querySelectorAll('.flowllm-marks line')].some((l) => l.getAttribute('x1'))"""
PLOT = "cell.querySelector('.js-plotly-plot .main-svg') && cell.querySelector('svg, canvas')"
PATHS = "[...cell.querySelectorAll('.js-plotly-plot path')].map((p) => p.getAttribute('d')).join()"
CONTROLS: Sequence[tuple[str, int, str, str]] = (
    (
        "trajectory: frame slider → 3-D view",
        VIEWER,
        "const s = cell.querySelector('.flowllm-controls input[type=range]');"
        "put(s, (Number(s.value) + 7) % 50)",
        "cell.querySelector('.flowllm-player').dataset.frame",
    ),
    (
        "trajectory: frame slider → marks in the plots",
        VIEWER,
        "const s = cell.querySelector('.flowllm-controls input[type=range]');"
        "put(s, (Number(s.value) + 7) % 50)",
        "cell.querySelector('.flowllm-marks line').getAttribute('x1')",
    ),
    (
        "playground: formula → prompt",
        PLAYGROUND,
        "const f = [...cell.querySelectorAll('input[type=text]')][0];"
        "put(f, f.value === 'SrTiO3' ? 'NaCl' : 'SrTiO3')",
        "cell.querySelector('textarea').value",
    ),
    (
        "E_hull: threshold → counts",
        EHULL,
        "press(cell.querySelector('.widget-slider .noUi-handle'), 'ArrowRight')",
        "cell.querySelector('.flowllm-counts').innerText",
    ),
    (
        "E_hull: bar → list",
        EHULL,
        "choose([...cell.querySelectorAll('select')][1])",
        "cell.querySelector('.flowllm-table tbody').innerText",
    ),
    (
        "N-ary: flag → counts",
        NARY,
        "const l = cell.querySelector('select');"
        "put(l, l.value === 'all' ? 'valid composition' : 'all')",
        "cell.querySelector('.flowllm-counts').innerText",
    ),
    (
        "browser: filter → rows",
        BROWSER,
        "const f = cell.querySelectorAll('input[type=text]')[1];put(f, f.value ? '' : 'Ti')",
        "cell.querySelector('.flowllm-table tbody').innerText",
    ),
    (
        "browser: heading → order",
        BROWSER,
        "cell.querySelector('th[data-column=\"density\"] button').click()",
        "cell.querySelector('.flowllm-table tbody').innerText",
    ),
    (
        "torus: t slider → point",
        TORUS,
        "const s = cell.querySelector('.torus input[type=range]');"
        "put(s, (Number(s.value) + 0.3) % 1)",
        "cell.querySelector('[data-value=point]').textContent",
    ),
    (
        "lattice: angle → curves",
        LATTICE,
        "press(cell.querySelectorAll('.noUi-handle')[3], 'ArrowRight')",
        PATHS,
    ),
    (
        "embedding: colour → points",
        EMBEDDING,
        "choose([...cell.querySelectorAll('select')][2])",
        "cell.querySelector('.scatterlayer .points path').getAttribute('style')",
    ),
)
RATE = """async (seconds) => {
  const player = document.querySelector('.flowllm-player');
  player.flowllm.playback.toggle();
  await new Promise((next) => setTimeout(next, 1000 * seconds));
  player.flowllm.playback.toggle();
  return Number(player.dataset.rate);
}"""
FIRST_TOKEN = """async () => {
  const button = [...document.querySelectorAll('.flowllm button')]
    .find((b) => b.textContent.includes('Generate'));
  while (button.disabled) await new Promise((next) => setTimeout(next, 100));
  const tokens = () => [...document.querySelectorAll('.flowllm-tokens .token')]
    .map((token) => token.textContent).join(' ');
  const before = tokens(); // of the try before
  const start = performance.now();
  button.click();
  while (performance.now() - start < 60000) {
    await new Promise((next) => requestAnimationFrame(next));
    if (tokens() && tokens() !== before) return performance.now() - start;
  }
  return Infinity;
}"""


def report(what: str, values: Sequence[float], unit: str = "s", limit: str = "") -> None:
    """One line of the table."""
    middle, worst = statistics.median(values), max(values) if unit == "s" else min(values)
    print(f"{what:46} {middle:7.2f} {worst:7.2f} {unit:9} {limit}", flush=True)


def measure(nb: OpenNotebook, repeats: int) -> None:
    """All lines of the table, in a notebook whose first cell has run."""
    ask: Callable[[str, Any], float] = nb.page.evaluate
    print(f"{'':46} {'median':>7} {'worst':>7} {'':9} wanted")

    def show(cell: int, ready: str) -> float:
        return ask(SHOW, [cell, ready]) / 1000

    ways = [show(VIEWER, DRAWN) for _ in range(repeats)]
    report("trajectory of 50 frames on screen, first time", ways[:1], limit="2")
    report("trajectory of 50 frames on screen, again", ways[1:], limit="2")
    for supercell in ((1, 1, 1), (2, 2, 2)):
        nb.run(f"viewer.player.supercell = {supercell}; viewer.player.speed = 60")
        nb.page.wait_for_timeout(2000)
        rates = [ask(RATE, 4) for _ in range(repeats)]
        report(f"trajectory plays, supercell {supercell}", rates, "frames/s", "20 or more")
    nb.run("viewer.player.supercell = (1, 1, 1)")
    for cell in range(PLAYGROUND, len(CELLS)):
        report(f"{CELLS[cell].split('(')[0].split('= ')[1]} on screen", [show(cell, "true")])
    nb.page.wait_for_timeout(8000)
    for what, cell, act, seen in CONTROLS:
        nb.page.evaluate("(k) => window.jupyterapp.shell.currentWidget.content.scrollToItem(k)",
                         cell)  # fmt: skip
        nb.page.wait_for_timeout(1500)
        values = []
        for _ in range(repeats):
            values.append(ask(CHANGE, [cell, SET + act, seen]) / 1000)
            nb.page.wait_for_timeout(700)
        report(what, values, limit="0.2")
    nb.page.evaluate(
        "(k) => window.jupyterapp.shell.currentWidget.content.scrollToItem(k)", PLAYGROUND
    )
    nb.run("play.prompt = play.prompt.replace(' The chemical formula is NaCl.', '')")
    nb.page.wait_for_timeout(1500)
    report("playground: Generate → first token",
           [ask(FIRST_TOKEN, None) / 1000 for _ in range(repeats)], limit="1")  # fmt: skip


def main() -> None:
    """Start JupyterLab and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="flowllm-") as folder,
        server(root := Path(tempfile.mkdtemp(dir=folder)), lab_environment()) as (address, token),
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        closing: list[Callable[[], None]] = []
        nb = opener(chromium, address, token, root, closing)(CELLS, size=(1280, 1100))
        nb.page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0")
        nb.page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")
        nb.page.wait_for_timeout(1000)
        nb.run("print(len(reports))", timeout=180)
        measure(nb, asked.repeats)
        for problem in nb.said:
            print(problem)
        for close in closing:
            close()
        chromium.close()


if __name__ == "__main__":
    main()
