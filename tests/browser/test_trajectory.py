"""The viewer of trajectories in a real JupyterLab: it plays, its plots follow, its files open."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from PIL import Image, ImageSequence

from flowllm.crystals.batch import CrystalBatch
from tests.browser.waiting import box, expect, picture_of, settled, until

pytestmark = pytest.mark.browser

GENERATED = """from flowllm import FlowLLM
from flowllm.methods.flow.settings import RefineSettings
from flowllm_widgets.trajectory.widget import TrajectoryViewer
model = FlowLLM.from_pretrained("mp20-compact")
result = model.generate(4, refinement=RefineSettings(steps=50, record=True))
viewer = TrajectoryViewer(result)
viewer"""
TRICLINIC = """import sys; sys.path.insert(0, {root!r})
from tests.widgets.trajectory_samples import triclinic
skewed = TrajectoryViewer(triclinic(30), renderer="flat")
skewed"""
MARK = "[...document.querySelectorAll('.flowllm-marks')].map((m) => m.querySelector('line'))"
MARKED = f"{MARK}.filter((line) => line?.getAttribute('x1')).length === 2"
FRAME = "print(viewer.frame)"
WIDTHS = """[...document.querySelectorAll('.flowllm-plots .js-plotly-plot')].map(
  (plot) => [plot.clientWidth, plot.querySelector('.main-svg').clientWidth])"""
HOVERED = "document.querySelector('.flowllm-plots .hoverlayer')?.innerHTML"
# Plays, pauses and plays at once, and notes the milliseconds between frames from then on.
PAUSE_AND_PLAY = """() => {
  document.getElementById('speed').value = '5';
  const [button, says] = ['play', 'says'].map((name) => document.getElementById(name));
  for (let press = 0; press < 3; press += 1) button.click();
  window.gaps = [];
  let before = performance.now();
  const { set } = Object.getOwnPropertyDescriptor(Node.prototype, 'textContent');
  Object.defineProperty(says, 'textContent', { configurable: true, set(text) {
    const now = performance.now();
    window.gaps.push(now - before);
    before = now;
    set.call(says, text);
  } });
}"""
LABEL = "document.querySelector('.flowllm-plots .hoverlayer .hovertext')"


@pytest.fixture
def notebook(open_notebook):
    cells = [GENERATED, TRICLINIC.format(root=str(Path(__file__).parents[2]))]
    nb = open_notebook(cells, size=(1280, 1240))
    nb.run_all()
    nb.wait(MARKED)
    nb.wait("document.querySelector('.flowllm-player canvas') !== null")
    return nb


def mark(nb, viewer: int = 0) -> float:
    """Where the first plot's line of a viewer is, in pixels."""
    return float(nb.page.evaluate(f"{MARK}[{viewer}].getAttribute('x1')"))


def click(nb, place: dict[str, float], share: float) -> None:
    """Point at a place of a plot, and click when its label is there, as a hand does.

    A click within 50 ms of a move is to plotly one at the place before the move.
    """
    page = nb.page
    page.mouse.move(5, 5)
    nb.wait(f"{LABEL} === null")
    page.mouse.move(place["x"] + share * place["width"], place["y"] + place["height"] / 2)
    nb.wait(f"{LABEL} !== null")
    page.mouse.down()
    page.mouse.up()


def write(nb, kind: str, folder: Path) -> Path:
    """Press the button that writes a file; the path of what appeared."""
    before = set(folder.glob("*"))
    panel = nb.page.locator(".flowllm").first
    panel.get_by_label("Export").select_option(label=kind)
    panel.get_by_label("into folder").fill(str(folder))
    panel.get_by_role("button", name="Write file").click()
    nb.until("not viewer.export_control._background.running")
    nb.until("viewer.message.text if viewer.message.kind else ''", "")
    (path,) = set(folder.glob("*")) - before
    return path


def test_the_viewer_plays_its_plots_follow_and_its_files_open(
    notebook, picture, tmp_path, chromium
):
    nb = notebook
    page = nb.page

    # it plays: the frame rises in the kernel, and the mark moves with it
    begin = settled(lambda: mark(nb))
    page.locator(".flowllm-play").first.click()
    nb.until("viewer.frame > 3 and viewer.player.playing")
    page.locator(".flowllm-play").first.click()
    nb.until("not viewer.player.playing")
    until(lambda: mark(nb) > begin + 1)

    # a click in a plot moves the frame, there and in the 3-D view
    plot = page.locator(".flowllm-plots").first.locator(".nsewdrag").nth(1)
    plot.scroll_into_view_if_needed()
    at = box(plot)
    for share, frame in ((0.9, 46), (0.25, 12), (0.75, 38)):
        click(nb, at, share)
        nb.until(f"abs(viewer.frame - {frame}) <= 2")
    nb.until("viewer.frame == viewer.player.frame == viewer.marks.frame")
    frame = nb.run(FRAME)
    expect(page.locator(".flowllm-player").first).to_have_attribute("data-frame", frame)
    goal = begin + int(frame) / 50 * at["width"] / 1.04
    until(lambda: mark(nb), pytest.approx(goal, abs=3))

    # the kernel has no time: a click that the pointer then leaves behind is not forgotten
    nb.run("import time; slow = lambda change: time.sleep(change['new'] is not None)")
    nb.run("viewer.figure.observe(slow, '_js2py_pointsCallback')")
    click(nb, at, 0.5)
    for share in (0.6, 0.7, 0.8):
        page.mouse.move(at["x"] + share * at["width"], at["y"] + at["height"] / 2)
        settled(lambda: page.evaluate(HOVERED), still=0.1)
    nb.until("abs(viewer.frame - 25) <= 2")
    nb.run("viewer.figure.unobserve(slow, '_js2py_pointsCallback')")

    # the title over a plot tells the value of the frame
    titles = page.locator(".flowllm-marks").first.locator("text")
    expect(titles).to_have_count(6)
    expect(titles.first).to_contain_text("shortest distance")
    distance = nb.run("print(f'{viewer.curves.shortest_distance[viewer.frame]:.2f} Å')")
    expect(titles.first).to_contain_text(distance)

    # the plots are as wide as the widget, and the pointer shows a value
    until(lambda: page.evaluate(WIDTHS), lambda found: all(abs(a - b) < 2 for a, b in found))
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    nb.wait("document.querySelector('.hoverlayer .hovertext')?.textContent.includes('per atom')")
    page.mouse.move(5, 5)
    nb.shot(".flowllm", picture("trajectory_viewer.png"))

    # another crystal: other curves, another view
    curve = "document.querySelector('.flowllm-plots .scatterlayer path').getAttribute('d')"
    before, views = settled(lambda: page.evaluate(curve)), nb.shot(".flowllm-player canvas")
    page.get_by_role("button", name="Next").first.click()
    nb.until("viewer.crystal == 1 and viewer.frame == 0")
    nb.wait(f"{curve} !== {before!r}")
    until(lambda: mark(nb) < begin + 1)
    until(lambda: page.locator(".flowllm-player canvas").first.screenshot() != views)
    formula = nb.run("print(result.refined.formulas[1])")
    status = page.locator(".flowllm .flowllm-caption", has_text="shortest").first
    expect(status).to_contain_text(formula)

    files(nb, tmp_path, chromium, picture)
    skewed(nb)
    assert nb.said == []

    nb.theme("JupyterLab Dark")
    nb.shot(".flowllm", picture("trajectory_viewer_dark.png"))


def files(nb, folder: Path, chromium, picture) -> None:
    """Everything that can be exported is written, offered, and read back."""
    folder = folder / "out"
    folder.mkdir()
    images = ase.io.read(write(nb, "extended XYZ, all frames", folder), index=":")
    assert len(images) == 51 and images[0].cell.volume != images[-1].cell.volume
    cif = write(nb, "CIF of this frame", folder)
    assert len(CrystalBatch.from_cif([cif.read_text()])) == 1
    gif = write(nb, "GIF", folder)
    frames = [f.convert("RGB").tobytes() for f in ImageSequence.Iterator(Image.open(gif))]
    assert len(set(frames)) > 10

    page = write(nb, "HTML page that plays", folder)
    with nb.page.expect_download() as download:
        nb.page.locator(".flowllm-download a").first.click()
    assert download.value.suggested_filename == page.name
    assert Path(download.value.path()).read_bytes() == page.read_bytes()
    opened_offline(chromium, page, picture)


def opened_offline(chromium, path: Path, picture) -> None:
    """The exported page plays without a network, and its slider and plots move the frame."""
    context = chromium.new_context(offline=True, viewport={"width": 1100, "height": 1050})
    page, said = context.new_page(), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    page.set_default_timeout(60_000)
    for name in ("player", "curves"):
        expect(page.locator(f"#{name}")).to_have_attribute("data-drawn", "true")
    says, player = page.locator("#says"), page.locator("#player")
    first, shown = settled(says.inner_text), picture_of(player)
    page.locator("#play").click()
    until(lambda: int(page.locator("#frame").input_value()) > 2)
    page.locator("#play").click()
    until(lambda: says.inner_text() != first)
    page.locator("#frame").fill("50")
    expect(says).to_contain_text("51 of 51")
    until(lambda: player.screenshot() != shown)
    page.evaluate(PAUSE_AND_PLAY)
    gaps = until(lambda: page.evaluate("window.gaps"), lambda found: len(found) > 6)
    assert min(gaps[1:]) > 150  # five frames a second, also after a pause of no time
    page.locator("#play").click()
    expect(page.locator("#play")).to_have_text("Play")
    page.locator("#curves .nsewdrag").first.click(position={"x": 3, "y": 30})
    expect(page.locator("#frame")).to_have_value("0")
    picture_of(page, picture("trajectory_page.png"))
    assert said == []
    context.close()


def skewed(nb) -> None:
    """A triclinic crystal: without WebGL too, frames change the picture and the box moves."""
    marks = nb.page.locator(".flowllm-marks").nth(1)
    marks.scroll_into_view_if_needed()
    output = nb.page.locator(".jp-OutputArea-output:has(.flowllm)").last
    titles = marks.locator("text")
    pictures, begins = [], []
    for frame in (0, 29):
        nb.run(f"skewed.frame = {frame}")
        volume = nb.run(f"print(f'{{skewed.curves.volume[{frame}]:.2f}} Å³')")
        expect(titles.nth(1)).to_contain_text(volume)
        pictures.append(picture_of(output))
        begins.append(settled(lambda: mark(nb, 1)))
    assert pictures[0] != pictures[1] and begins[1] > begins[0] + 50
