"""The 3-D views in a real JupyterLab: pictures, playback, the shared camera, fallbacks."""

import itertools
import re

import numpy as np
import pytest

from tests.browser.lab import opener
from tests.browser.waiting import box, expect, settled, until

# its tests share a page: on one process of two
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("structure")]

SETUP = """
import numpy as np
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm_widgets import StructureView
from flowllm_widgets.structure.player_view import PlayerView
end = CrystalBatch(
    [38, 22, 8, 8, 8],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    [(3.9, 4.4, 5.1)], [(70, 82, 105)], [5], ["t"],
)
left = np.linspace(1, 0, 30)
way = Trajectory.from_frames(1 - left, [end.replace(
    frac_coords=end.frac_coords + np.arange(15).reshape(5, 3) * 0.13 * x,
    lengths=end.lengths * (1 + 0.4 * x), angles=end.angles + np.array([10, -5, -10]) * x,
) for x in left])
salt = CrystalBatch([11, 17], [(0, 0, 0), (0.5,) * 3], [(4, 4, 4)], [(60,) * 3], [2], ["s"])
"""
PLAYER = "document.querySelector('.flowllm-player .flowllm-controls:not([style*=none])')" + (
    ".closest('.flowllm-player')"
)
PANELS = f"{PLAYER}.flowllm.gallery.panels"
READY = (
    "() => { const open = [...document.querySelectorAll('.flowllm-player')]; return open.length"
    + (" && open.every((p) => p.flowllm.gallery.panels.every((q) => q.picture)) }")
)
# the pixels of one picture of the player, and how many of them are not the background
PIXELS = (
    """(k) => {
  const { picture } = PANELS[k];
  picture.stage.viewer.render();
  const { width, height } = picture.canvas;
  const copy = document.createElement('canvas');
  Object.assign(copy, { width, height });
  const pen = copy.getContext('2d');
  pen.drawImage(picture.canvas, 0, 0);
  const { data } = pen.getImageData(0, 0, width, height);
  const drawn = data.filter((value, i) => i % 4 === 3 && value > 0).length;
  const colours = new Set();
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    sum = (sum * 31 + data[i] + data[i + 1] * 7 + data[i + 2] * 13) % 1000000007;
  }
  return { drawn, colours: colours.size, sum };
}"""
).replace("PANELS", PANELS)
COUNT_CONTEXTS = """() => {
  window.contexts = [];
  const get = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    const context = get.call(this, kind, ...rest);
    if (/webgl/.test(kind) && context && !window.contexts.includes(context)) {
      window.contexts.push(context);
    }
    return context;
  };
}"""
NO_WEBGL = """() => {
  const get = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    return /webgl/.test(kind) ? null : get.call(this, kind, ...rest);
  };
}"""


@pytest.fixture(scope="module")
def lab(lab_context, lab_server):
    """One notebook for all tests: a still crystal, and a trajectory with two stills."""
    closing = []
    cells = [
        SETUP,
        "view = StructureView(end, 'a still crystal', height=200)\nview",
        "player = PlayerView(way, {'prior': way.first, 'end': end}, height=260)\nplayer",
    ]
    nb = opener(lab_context, *lab_server, closing)(cells)
    nb.page.evaluate(COUNT_CONTEXTS)
    nb.run_all()
    nb.wait(READY)
    yield nb
    for close in closing:
        close()


@pytest.fixture
def nb(lab):
    """That notebook, the player at rest at its first frame; nothing may be said in the console."""
    lab.run("player.playing = False; player.frame = 0; player.supercell = (1, 1, 1)")
    lab.run("player.labels = False; player.reset_view()")
    frame_is(lab, 0)
    yield lab
    assert lab.said == []


def frame_is(nb, frame):
    nb.wait(f"() => {PLAYER}.dataset.frame === '{frame}' && {PLAYER}.dataset.playing === 'false'")


def pixels(nb, panel):
    return nb.page.evaluate(PIXELS, panel)


def given(nb, part, attribute="position", panel=0):
    """What the graphics card was given, [items][3]."""
    return nb.page.evaluate(f"() => {PANELS}[{panel}].picture.drawn('{part}', '{attribute}')")


def rotation(nb, panel):
    """What is right, up and towards the viewer, nine numbers."""
    return nb.page.evaluate(f"() => {PANELS}[{panel}].picture.camera.rows")


def test_something_is_drawn_by_webgl_and_first_and_last_frame_differ(nb, picture):
    until(lambda: pixels(nb, 0), lambda now: now["drawn"] > 500 and now["colours"] > 50)
    first, still = settled(lambda: (pixels(nb, 0)["sum"], pixels(nb, 2)["sum"]))
    nb.run("player.frame = 29")
    frame_is(nb, 29)
    until(lambda: pixels(nb, 0)["sum"] != first)
    assert settled(lambda: pixels(nb, 2)["sum"]) == still
    output = ".jp-OutputArea-output:has(.flowllm-player) >> nth=1"
    assert len(nb.shot(output, picture("player.png"))) > 5_000


def test_the_triclinic_box_moves_and_holds_its_atoms(nb):
    boxes = []
    for frame in (0, 7, 15, 22, 29):
        nb.run(f"player.frame = {frame}")
        frame_is(nb, frame)
        start, stop, atoms = map(
            np.array,
            settled(lambda: [given(nb, "cell", "position1"), given(nb, "cell", "position2"),
                             given(nb, "atoms")]),
        )  # fmt: skip
        assert len(start) == 12
        corner = start[0]
        lattice = np.array(
            [b - a for a, b in zip(start, stop, strict=True) if np.allclose(a, corner)]
        )
        assert lattice.shape == (3, 3)
        angles = [lattice[i] @ lattice[j] for i, j in ((0, 1), (1, 2), (0, 2))]
        assert min(map(abs, angles)) > 0.3  # no two edges at a right angle
        frac = (atoms - corner) @ np.linalg.inv(lattice)
        home = frac[:5]  # the crystal's own atoms; images complete shells beyond the faces
        assert home.min() > -0.16 and home.max() < 1.16 and np.abs(frac - 0.5).max() < 1.66
        boxes.append(lattice)
    moved = [np.abs(one - other).max() for one, other in itertools.pairwise(boxes)]
    assert min(moved) > 0.1


def test_atoms_lie_where_the_kernel_has_them(nb):
    nb.run("player.frame = 11")
    frame_is(nb, 11)
    text = nb.run(
        "d = player.display.pictures['trajectory']; "
        "print((d.positions[11] - d.centres[11]).ravel().tolist())"
    )
    expected = np.array(eval(text)).reshape(-1, 3)
    until(lambda: given(nb, "atoms"), lambda now: np.allclose(now, expected, rtol=0, atol=1e-3))


def test_the_keyboard_moves_the_frame_in_the_kernel(nb):
    nb.page.locator(".flowllm-controls input[type=range]").last.focus()
    for key, frame in (("ArrowRight", 1), ("ArrowUp", 2), ("End", 29), ("ArrowLeft", 28),
                       ("PageDown", 18), ("Home", 0)):  # fmt: skip
        nb.page.keyboard.press(key)
        frame_is(nb, frame)
        nb.until("player.frame", frame)
    slider = nb.page.locator(".flowllm-controls input[type=range]").last
    expect(slider).to_have_attribute("aria-valuetext", re.compile("frame 1 of 30"))


def test_it_plays_in_the_browser_and_stops_where_the_kernel_says(nb):
    nb.page.locator(".flowllm-play:visible").focus()
    nb.page.keyboard.press("Space")
    nb.wait(f"() => {PLAYER}.dataset.playing === 'true' && Number({PLAYER}.dataset.frame) > 3")
    nb.until("player.playing")
    nb.wait(f"() => Number({PLAYER}.dataset.rate) > 0")
    nb.page.get_by_role("button", name="Pause").click()
    nb.wait(f"() => {PLAYER}.dataset.playing === 'false'")
    nb.until("player.frame", settled(lambda: nb.page.evaluate(f"() => {PLAYER}.dataset.frame")))
    nb.until("player.display.player.measured_rate > 0")


def test_without_loop_it_ends_at_the_last_frame(nb):
    nb.run("player.loop = False; player.speed = 60; player.playing = True")
    frame_is(nb, 29)
    nb.until("player.playing, player.frame", "False 29")
    nb.run("player.loop = True; player.speed = 20")


def test_all_pictures_turn_together_by_mouse_and_keyboard(nb):
    alike = f"""([row, apart]) => {{
      const turns = {PANELS}.map((p) => p.picture.camera.rows);
      const far = (a, b) => Math.max(...a.map((x, k) => Math.abs(x - b[k])));
      return turns.every((t) => far(t, turns[0]) < 1e-4) && (far(turns[0], row) > 0.05) === apart;
    }}"""
    first = settled(lambda: rotation(nb, 0))
    at = box(nb.page.locator(".flowllm-picture:visible").nth(2))
    nb.page.mouse.move(at["x"] + 80, at["y"] + 80)
    nb.page.mouse.down()
    nb.page.mouse.move(at["x"] + 140, at["y"] + 110, steps=4)
    nb.page.mouse.up()
    nb.page.mouse.move(5, 5)
    nb.wait(alike, argument=[first, True])
    turned = settled(lambda: rotation(nb, 0))
    nb.page.locator(".flowllm-picture:visible").nth(1).focus()
    nb.page.keyboard.press("ArrowLeft")
    nb.wait(alike, argument=[turned, True])
    shown = settled(lambda: rotation(nb, 0))
    until(  # the kernel hears of it when the camera rests
        lambda: eval(nb.run("print(player.display.player.orientation)")),
        lambda told: np.allclose(told, shown, rtol=0, atol=1e-4),
    )
    nb.page.get_by_role("button", name="Reset view").click()
    nb.wait(alike, argument=[first, False])


def test_the_mouse_over_an_atom_shows_its_name(nb):
    place = f"""() => {{
          const {{ picture, host }} = {PANELS}[2];
          const {{ rows, distance }} = picture.camera;
          const depth = (p) => rows[6] * p[0] + rows[7] * p[1] + rows[8] * p[2];
          const atoms = picture.drawn('atoms');
          const first = atoms.reduce((best, p, k) => (depth(p) > depth(atoms[best]) ? k : best), 0);
          const atom = atoms[first]; // the nearest, which nothing hides: no perspective
          const box = host.getBoundingClientRect();
          const scale = box.height / (2 * Math.tan(Math.PI / 9) * distance);
          const along = (r) => rows[r] * atom[0] + rows[r + 1] * atom[1] + rows[r + 2] * atom[2];
          return [
            box.left + box.width / 2 + scale * along(0),
            box.top + box.height / 2 - scale * along(3),
            first,
          ];
        }}"""
    nb.page.evaluate(f"() => {PANELS}[2].host.scrollIntoView({{ block: 'center' }})")
    *at, first = settled(lambda: nb.page.evaluate(place))
    name = settled(lambda: nb.page.evaluate(f"{PANELS}[2].picture.appearance.labels[{first}]"))
    assert name in ("O3", "O4", "O5")  # oxygen completes the shells of titanium outermost
    nb.page.mouse.move(at[0] - 2, at[1])
    nb.page.mouse.move(*at)
    nb.wait(f"() => {PANELS}[2].picture.tip.textContent === '{name}'")
    tip = box(nb.page.locator(".flowllm-tip:visible"))
    assert 0 < tip["x"] - at[0] < 30 and 0 < at[1] - tip["y"] < 60
    nb.page.mouse.move(5, 5)


def test_labels_supercell_and_pictures_are_exchanged_in_place(nb):
    components = f"() => {PANELS}.map((p) => p.picture.stage.compList.length)"
    whole = [5, 3, 5]  # atoms, cell, bonds, and where there are polyhedra their faces and edges
    until(lambda: nb.page.evaluate(components), whole)
    atoms = settled(lambda: len(given(nb, "atoms")))
    nb.page.get_by_label("Labels").check()
    until(lambda: nb.page.evaluate(components), [n + 1 for n in whole])
    nb.page.get_by_label("Labels").uncheck()
    until(lambda: nb.page.evaluate(components), whole)
    nb.run("player.supercell = (2, 1, 2)")
    until(lambda: len(given(nb, "atoms")) > 1.5 * atoms)
    until(lambda: len(given(nb, "cell")), 33)
    nb.page.get_by_label("Labels").check()
    written = f"() => {PANELS}.map((p) => p.scene.data.labelled)"
    atoms_of_cell = int(nb.run("print(player.trajectory.num_atoms[0])"))
    until(lambda: nb.page.evaluate(written)[0], atoms_of_cell)
    nb.page.get_by_label("Labels").uncheck()
    until(lambda: nb.page.evaluate(components), whole)
    nb.page.get_by_label("Show prior").uncheck()
    nb.wait("() => [...document.querySelectorAll('.flowllm-picture')].length === 4")
    nb.wait(f"() => {PANELS}[1].host.clientWidth === 0")
    nb.page.get_by_label("Show prior").check()
    nb.wait(f"() => {PANELS}[1].host.clientWidth > 0")


def test_another_crystal_changes_the_picture_and_leaves_nothing_behind(nb):
    script = (
        "() => { const g = document.querySelector('.flowllm-player').flowllm.gallery; "
        "return g.panels.map((p) => [p.picture.stage.compList.length, p.scene.count]) }"
    )
    ((_, first),) = settled(lambda: nb.page.evaluate(script))
    contexts = settled(lambda: nb.page.evaluate("() => window.contexts.length"))
    for _ in range(4):
        nb.run("view.show(salt, 'salt'); view.show(end); view.show(salt, 'salt')")
    nb.wait(f"() => ({script})()[0][1] !== {first}")
    ((components, atoms),) = settled(lambda: nb.page.evaluate(script), still=1.0)
    drawn = int(nb.run("print(len(view.display.pictures[''].source))"))
    assert components <= 5 and atoms == drawn
    assert settled(lambda: nb.page.evaluate("() => window.contexts.length")) == contexts
    nb.run("view.show(None)")
    nb.wait("() => document.querySelector('.flowllm-picture').clientWidth === 0")
    nb.run("view.show(end, 'a still crystal')")
    nb.wait(READY)


def test_running_the_cells_again_gives_webgl_contexts_back(nb):
    nb.run_all()
    nb.wait(READY)
    nb.wait("() => window.contexts.filter((c) => !c.isContextLost()).length === 4")
    until(lambda: nb.page.evaluate("() => document.querySelectorAll('canvas').length"), 4)


def test_the_picture_follows_the_theme(nb, picture):
    background = f"() => {PANELS}[0].picture.stage.parameters.backgroundColor"
    light = settled(lambda: nb.page.evaluate(background))
    nb.theme("JupyterLab Dark")
    until(
        lambda: [int(x) for x in nb.page.evaluate(background).strip("rgb()").split(",")],
        lambda shade: max(shade) < 60,
    )
    nb.shot(".jp-OutputArea-output:has(.flowllm-player) >> nth=1", picture("player-dark.png"))
    nb.theme("JupyterLab Light")
    nb.wait(f"() => ({background})() === '{light}'")


def test_without_webgl_or_extension_something_else_draws_and_says_why(open_notebook):
    nb = open_notebook(
        [
            SETUP,
            "flat = PlayerView(way, {'end': end}, height=200)\nflat",
            "spare = StructureView(end, height=200)\n"
            "spare.display.player._module = 'no-such-module'\nspare",
        ]
    )
    nb.page.evaluate(
        NO_WEBGL.replace("/webgl/.test(kind)", "/webgl/.test(kind) && !window.allowed")
    )
    nb.run_all()
    expect(nb.page.get_by_text("This browser offers no WebGL").first).to_be_visible()
    nb.until("flat.display.kind", "flat")
    drawing = nb.page.locator(".jp-OutputArea-output svg:has(circle)").first
    before = settled(drawing.inner_html)
    nb.page.locator(".flowllm-controls:visible input[type=range]").focus()
    nb.page.keyboard.press("End")
    until(lambda: drawing.inner_html() != before)
    nb.until("flat.frame", 29)
    nb.page.evaluate("() => { window.allowed = true }")
    nb.run("spare = StructureView(end); spare.display.player._module = 'no-such-module'")
    nb.page.evaluate(
        "async () => { const { content } = window.jupyterapp.shell.currentWidget;"
        " content.activeCellIndex = 2;"
        " await window.jupyterapp.commands.execute('notebook:run-cell') }"
    )
    expect(nb.page.get_by_text("plotly draws instead").first).to_be_visible()
    nb.wait("() => document.querySelector('.js-plotly-plot .gl-container canvas')")
    nb.until("spare.display.kind", "plotly")
    assert nb.said == []
