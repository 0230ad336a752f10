"""The row below a picture, the axes in its corner, and what is measured, in a real JupyterLab."""

import pytest
from PIL import Image

from tests.browser.test_structure import SETUP
from tests.browser.waiting import box, expect, settled, until

pytestmark = pytest.mark.browser

CELLS = [SETUP + "view = StructureView(salt, height=300)\nview"]
PICTURE = "document.querySelector('.flowllm-player').flowllm.gallery.panels[0].picture"
ROWS = f"() => {PICTURE}.camera.rows.map((x) => Math.round(1000 * x) / 1000)"
# where an atom is on the page
SPOT = f"""(atom) => {{
  const picture = {PICTURE};
  const at = picture.scene.atoms(0).subarray(3 * atom, 3 * atom + 3);
  const vector = picture.stage.viewerControls.position.clone().set(...at);
  const {{ x, y }} = picture.stage.viewerControls.getPositionOnCanvas(vector);
  const place = picture.canvas.getBoundingClientRect();
  return [place.left + x, place.bottom - y];
}}"""


def test_looks_axes_measures_and_the_picture_file(open_notebook, picture):
    nb = open_notebook(CELLS, size=(1000, 1400))
    nb.run_all()
    page = nb.page
    nb.wait(f"Boolean({PICTURE})")
    shown = page.locator(".flowllm-picture")
    sizes = f"() => {PICTURE}.drawn('atoms', 'radius').map(([r]) => Math.round(1000 * r) / 1000)"
    small = until(lambda: page.evaluate(sizes))

    page.get_by_label("How atoms are drawn").select_option("polyhedra")
    nb.until("view.display.player.look", "polyhedra")
    until(lambda: page.evaluate(f"() => {PICTURE}.parts.faces.visible"), True)
    cations = int(nb.run("print((view.display.pictures[''].numbers == 11).sum())"))
    # an octahedron around each sodium
    until(lambda: page.evaluate(f"() => {PICTURE}.scene.faceCount"), 8 * cations)
    page.get_by_label("How atoms are drawn").select_option("space-filling")
    until(lambda: page.evaluate(sizes)[0] > 2 * small[0])
    until(lambda: page.evaluate(f"() => {PICTURE}.parts.bonds.visible"), False)
    page.get_by_label("How atoms are drawn").select_option("ball-and-stick")
    until(lambda: page.evaluate(sizes), small)

    # the cell's own axes: along c, c points to the viewer
    page.get_by_role("button", name="Look along c").click()
    nb.until("abs(view.display.player.orientation[8]) > 0.999")
    page.get_by_role("button", name="Turn and zoom back to the beginning").click()
    first = nb.run("print(view.display.player._first_orientation[0])")
    nb.until("view.display.player.orientation[0]", first)
    expect(shown.locator(".flowllm-axes text")).to_have_count(3)

    # the large cell, by the box
    atoms = int(nb.run("print(len(view.display.pictures[''].source))"))
    page.get_by_label("Conventional cell (4 times as large)").check()
    nb.until(f"len(view.display.pictures[''].source) > {atoms}")
    until(lambda: page.evaluate(f"() => {PICTURE}.scene.count > {atoms}"))
    page.get_by_label("Conventional cell (4 times as large)").uncheck()
    until(lambda: page.evaluate(f"() => {PICTURE}.scene.count"), atoms)

    # two atoms that are bonded: half of the cube's edge
    one, other = map(int, nb.run("print(*view.display.pictures[''].bonds[0])").split())
    for atom in (one, other):
        page.mouse.click(*until(lambda atom=atom: page.evaluate(SPOT, atom)))
    expect(shown.locator(".flowllm-measured")).to_contain_text("2.828 Å")

    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the picture as a PNG file").click()
    image = Image.open(saved.value.path())
    size = box(shown)
    assert image.width > 1.5 * size["width"] and len(image.convert("RGB").getcolors(10**7)) > 50
    assert nb.said == []


def test_the_wheel_scrolls_the_page_unless_ctrl_is_held(open_notebook):
    nb = open_notebook(CELLS)
    nb.run_all()
    nb.wait(f"Boolean({PICTURE})")
    distance = f"() => Math.round(1000 * {PICTURE}.camera.distance)"
    before = until(lambda: nb.page.evaluate(distance))
    at = box(nb.page.locator(".flowllm-picture"))
    nb.page.mouse.move(at["x"] + 50, at["y"] + 50)
    nb.page.mouse.wheel(0, 120)
    assert settled(lambda: nb.page.evaluate(distance)) == before
    nb.page.keyboard.down("Control")
    nb.page.mouse.wheel(0, 120)
    nb.page.keyboard.up("Control")
    until(lambda: nb.page.evaluate(distance) != before)
    assert nb.said == []
