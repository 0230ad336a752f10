"""Species that change from frame to frame: balls, bonds, labels and formula follow in Chromium."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowllm.viz.structure3d import OPEN_RADIUS, SPHERE, ball_radii, colour
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
PICTURE = "document.querySelector('.flowllm-player').flowllm.gallery.panels[0].picture"
DRAWN = f"([part, attribute]) => {PICTURE}.drawn(part, attribute)"
SHOWN = "(k) => document.querySelector('.flowllm-player').dataset.frame === String(k)"
# the colours of the middle row of pixels of the moving picture, as "r,g,b" and how often
COLOURS = f"""() => {{
  const picture = {PICTURE};
  picture.stage.viewer.render();
  const {{ width, height }} = picture.canvas;
  const copy = document.createElement('canvas');
  Object.assign(copy, {{ width, height }});
  const pen = copy.getContext('2d');
  pen.drawImage(picture.canvas, 0, 0);
  const {{ data }} = pen.getImageData(0, 0, width, height);
  let purple = 0;
  for (let i = 0; i < data.length; i += 4) {{
    if (data[i + 3] > 200 && data[i + 2] > 90 && data[i + 1] < 0.7 * data[i + 2]) purple += 1;
  }}
  return purple;
}}"""


def rgb(number: int) -> list[float]:
    text = colour(number)
    return [int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)]


def drawn(nb, part: str, attribute: str) -> np.ndarray:
    """What the graphics card was given, a row for each atom or bond."""
    return np.array(nb.page.evaluate(DRAWN, [part, attribute]))


def is_drawn_with(nb, numbers: list[int]) -> None:
    """Colours, radii and the ends of bonds are those of these species."""
    tints = np.array([rgb(number) for number in numbers])
    np.testing.assert_allclose(drawn(nb, "atoms", "color"), tints, atol=1e-3)
    radii = drawn(nb, "atoms", "radius").ravel()
    np.testing.assert_allclose(radii, ball_radii(np.array(numbers)), atol=1e-4)
    np.testing.assert_allclose(drawn(nb, "bonds", "color"), tints[[0, 0]], atol=1e-3)
    np.testing.assert_allclose(drawn(nb, "bonds", "color2"), tints[[1, 2]], atol=1e-3)


def test_balls_bonds_labels_and_formula_follow_the_species(open_notebook, picture):
    nb = open_notebook(CELLS, size=(1280, 1240))
    nb.run_all()
    nb.wait(f"{PICTURE} !== null")
    legend = nb.page.locator(".flowllm-legend").first.inner_text().split()
    assert legend == ["X", "O", "Na", "Cl", "K"]
    assert ball_radii(np.array(0)) == pytest.approx(SPHERE * OPEN_RADIUS)

    is_drawn_with(nb, [11, 17, 0])
    bonds = drawn(nb, "bonds", "position1") - drawn(nb, "bonds", "position2")
    assert (np.linalg.norm(bonds, axis=1) > 0.1).tolist() == [True, False]
    purple = nb.page.evaluate(COLOURS)
    nb.shot(".flowllm", picture("species_first.png"))

    nb.run("viewer.frame = 4")
    nb.wait(SHOWN, argument=4)
    is_drawn_with(nb, [19, 17, 8])
    bonds = drawn(nb, "bonds", "position1") - drawn(nb, "bonds", "position2")
    assert (np.linalg.norm(bonds, axis=1) > 0.1).tolist() == [True, True]
    assert nb.page.evaluate(COLOURS) > 1.2 * purple  # potassium is the larger ball
    formula = nb.run("print(viewer.trajectory.last.formulas[0])")
    nb.wait(
        "(text) => [...document.querySelectorAll('.flowllm .flowllm-caption')].some("
        "(line) => line.textContent.startsWith(text + ' · 3 atoms'))",
        argument=formula,
    )

    # labels are written anew where species change, and stay where they do not
    nb.run("viewer.player.labels = True")
    nb.wait(f"{PICTURE}.parts.labels !== undefined")
    text = f"{PICTURE}.parts.labels.reprList[0].repr.bufferList[0].text"
    nb.wait(f"{text}.join() === 'K1,Cl2,O3'")
    nb.shot(".flowllm", picture("species_last.png"))
    nb.run("viewer.frame = 1")
    nb.wait(f"{text}.join() === 'Na1,Cl2,X3'")
    is_drawn_with(nb, [11, 17, 0])
    same = f"window.before = {PICTURE}.parts.labels"
    nb.page.evaluate(f"() => {{ {same}; }}")
    nb.run("viewer.frame = 2")
    nb.wait(SHOWN, argument=2)
    assert nb.page.evaluate(f"() => window.before === {PICTURE}.parts.labels")
    assert nb.said == []


SPHERES = """() => document.getElementById('player').data.filter((t) => t.type === 'mesh3d')
  .map((t) => [t.name, t.color, t.x.length])"""
SAYS = "(text) => document.getElementById('says').textContent.startsWith(text)"


def test_the_saved_page_follows_the_species(chromium, tmp_path, picture):
    path = changing()
    file = tmp_path / "page.html"
    file.write_text(make_page(path, make_curves(path)), encoding="utf-8")
    context = chromium.new_context(offline=True, viewport={"width": 1000, "height": 1000})
    page, said = context.new_page(), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("document.getElementById('player').dataset.drawn", timeout=60_000)
    assert page.locator(".player .legend span").all_text_contents() == ["X", "O", "Na", "Cl", "K"]
    for frame, numbers, name in ((0, {0, 11, 17}, "first"), (4, {8, 17, 19}, "last")):
        page.locator("#frame").fill(str(frame))
        page.wait_for_function(SAYS, arg=path.frame(frame).formulas[0])
        page.wait_for_function(
            "(names) => document.getElementById('player').data.filter("
            "(t) => t.type === 'mesh3d' && t.x.length).map((t) => t.name).sort().join() === names",
            arg=",".join(sorted({0: "X", 8: "O", 11: "Na", 17: "Cl", 19: "K"}[n] for n in numbers)),
        )
        tints = {tint for _, tint, size in page.evaluate(SPHERES) if size}
        assert tints == {colour(number) for number in numbers}
        page.locator("#player").screenshot(path=picture(f"species_page_{name}.png"))
    first, last = (picture(f"species_page_{name}.png").read_bytes() for name in ("first", "last"))
    assert first != last and said == []
    context.close()
