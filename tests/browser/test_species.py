"""Species that change from frame to frame: balls, bonds, labels and formula follow in Chromium."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowllm.crystals.elements import SYMBOLS
from flowllm.viz.structure3d import ball_radii, element_colours
from flowllm_widgets.trajectory.data import make_curves
from flowllm_widgets.trajectory.page import make_page
from tests.widgets.trajectory_samples import changing

pytestmark = pytest.mark.browser

CELLS = [
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
    "from tests.widgets.trajectory_samples import changing\n"
    "from flowllm_widgets import TrajectoryViewer\n"
    "viewer = TrajectoryViewer(changing())\n"
    "viewer"
]
COLOURS = element_colours([0, 8, 11, 17, 19])  # of all species of the path
LEGEND = ["X", "O", "Na", "Cl", "K"]
PICTURE = "document.querySelector('.flowllm-player')?.flowllm?.gallery.panels[0]?.picture"
# what the graphics card was given for each atom or bond is, to rounding, this
DRAWN = f"""([part, attribute, rows]) => {{
  const drawn = {PICTURE}?.drawn(part, attribute);
  return drawn?.length === rows.length && rows.every(
    (row, i) => row.every((value, k) => Math.abs(drawn[i][k] - value) < 1e-3));
}}"""
# how many bonds are drawn with a length, not hidden in their first atom
BONDS = f"""(count) => {{
  const [starts, stops] = [1, 2].map((end) => {PICTURE}.drawn('bonds', 'position' + end));
  const lengths = starts.map((at, k) => Math.hypot(...at.map((x, axis) => x - stops[k][axis])));
  return lengths.filter((length) => length > 0.1).length === count;
}}"""
# how many pixels of the moving picture have the purple of sodium and potassium
PURPLE = f"""(least) => {{
  const picture = {PICTURE};
  picture.stage.viewer.render();
  const {{ width, height }} = picture.canvas;
  const copy = document.createElement('canvas');
  Object.assign(copy, {{ width, height }});
  const pen = copy.getContext('2d');
  pen.drawImage(picture.canvas, 0, 0);
  const {{ data }} = pen.getImageData(0, 0, width, height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {{
    if (data[i + 3] > 200 && data[i + 2] > 90 && data[i + 1] < 0.7 * data[i + 2]) count += 1;
  }}
  return count > least ? count : 0;
}}"""
LABELS = f"""(text) => {{
  const part = {PICTURE}.parts.labels;
  return part?.reprList[0].repr.bufferList[0].text.join() === text;
}}"""
TEXTS = """([selector, texts]) => [...document.querySelectorAll(selector)]
  .map((node) => node.textContent).join() === texts.join()"""
CAPTION = """(text) => [...document.querySelectorAll('.flowllm .flowllm-caption')].some(
  (line) => line.textContent.startsWith(text + ' · 3 atoms'))"""


def rgb(number: int) -> list[float]:
    text = COLOURS[number]
    return [int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)]


def wait_for_species(nb, numbers: list[int], bonds: int) -> None:
    """Until colours, radii and bonds are those of Na or K, Cl and a third atom."""
    first, second, third = tints = [rgb(number) for number in numbers]
    radii = ball_radii(np.array(numbers))[:, None].tolist()
    for part, attribute, rows in (
        ("atoms", "color", tints),
        ("atoms", "radius", radii),
        ("bonds", "color", [first, first]),
        ("bonds", "color2", [second, third]),
    ):
        nb.wait(DRAWN, argument=[part, attribute, rows])
    nb.wait(BONDS, argument=bonds)


def test_balls_bonds_labels_and_formula_follow_the_species(open_notebook, picture):
    formulas = [frame.formulas[0] for frame in changing()]
    nb = open_notebook(CELLS, size=(1280, 1240))
    nb.run_all()
    wait_for_species(nb, [11, 17, 0], bonds=1)
    nb.wait(TEXTS, argument=[".flowllm-legend > span", LEGEND])
    nb.wait(CAPTION, argument=formulas[0])
    purple = nb.wait(PURPLE, argument=0)
    nb.shot(".flowllm", picture("species_first.png"))

    nb.run("viewer.frame = 4")
    wait_for_species(nb, [19, 17, 8], bonds=2)
    nb.wait(CAPTION, argument=formulas[4])
    nb.wait(PURPLE, argument=1.2 * purple)  # potassium is the larger ball

    # labels are written anew where species change, and only moved where they do not
    nb.run("viewer.player.labels = True")
    nb.wait(LABELS, argument="K1,Cl2,O3")
    nb.shot(".flowllm", picture("species_last.png"))
    nb.run("viewer.frame = 1")
    nb.wait(LABELS, argument="Na1,Cl2,X3")
    wait_for_species(nb, [11, 17, 0], bonds=1)
    nb.page.evaluate(f"() => {{ window.before = {PICTURE}.parts.labels; }}")
    nb.run("viewer.frame = 2")
    nb.wait("document.querySelector('.flowllm-player').dataset.frame === '2'")
    nb.wait(f"window.before === {PICTURE}.parts.labels")
    assert nb.said == []


BALLS = """(expected) => {
  const meshes = document.getElementById('player').data.filter(
    (trace) => trace.type === 'mesh3d' && trace.x.length);
  return meshes.map((trace) => trace.name + ' ' + trace.color).sort().join() === expected;
}"""
SAYS = "(text) => document.getElementById('says').textContent.startsWith(text)"


def test_the_saved_page_follows_the_species(chromium, tmp_path):
    path = changing()
    file = tmp_path / "page.html"
    file.write_text(make_page(path, make_curves(path)), encoding="utf-8")
    context = chromium.new_context(offline=True, viewport={"width": 1000, "height": 1000})
    page, said = context.new_page(), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("document.getElementById('player').dataset.drawn", timeout=60_000)
    page.wait_for_function(TEXTS, arg=[".player .legend span", LEGEND])
    for frame in (0, 4, 1):
        page.locator("#frame").fill(str(frame))
        numbers = path.frame(frame).atomic_numbers.tolist()
        balls = sorted(f"{SYMBOLS[number]} {COLOURS[number]}" for number in numbers)
        page.wait_for_function(BALLS, arg=",".join(balls))
        page.wait_for_function(SAYS, arg=path.frame(frame).formulas[0])
    assert said == []
    context.close()
