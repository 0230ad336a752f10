"""The viewer of trajectories in a real JupyterLab: it plays, its plots follow, its files open."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from PIL import Image, ImageSequence

from flowllm.crystals.batch import CrystalBatch

pytestmark = pytest.mark.browser

GENERATED = """from flowllm import FlowLLM
from flowllm.methods.flow.settings import RefineSettings
from flowllm_widgets.trajectory.widget import TrajectoryViewer
result = FlowLLM.from_pretrained().generate(4, refinement=RefineSettings(steps=50, record=True))
viewer = TrajectoryViewer(result)
viewer"""
TRICLINIC = """import sys; sys.path.insert(0, {root!r})
from tests.widgets.trajectory_samples import triclinic
skewed = TrajectoryViewer(triclinic(30), renderer="flat")
skewed"""
MARK = "[...document.querySelectorAll('.flowllm-marks')].map((m) => m.querySelector('line'))"
MARKED = f"{MARK}.filter((line) => line?.getAttribute('x1')).length === 2"
FRAME = "print(viewer.frame)"
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


def click(nb, box: dict[str, float], share: float) -> None:
    """Point at a place of a plot, and click when its label is there, as a hand does.

    A click within 50 ms of a move is to plotly one at the place before the move.
    """
    page = nb.page
    page.mouse.move(5, 5)
    nb.wait(f"{LABEL} === null")
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
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
    assert nb.run("print(viewer.message.kind)") == "", nb.run("print(viewer.message.text)")
    (path,) = set(folder.glob("*")) - before
    return path


def test_the_viewer_plays_its_plots_follow_and_its_files_open(
    notebook, picture, tmp_path, chromium
):
    nb = notebook
    page = nb.page

    # it plays: the frame rises in the kernel, and the mark moves with it
    begin = mark(nb)
    page.locator(".flowllm-play").first.click()
    nb.until("viewer.frame > 3")
    assert nb.run("print(viewer.player.playing)") == "True"
    page.locator(".flowllm-play").first.click()
    nb.until("not viewer.player.playing")
    nb.wait(f"{MARK}[0].getAttribute('x1') > {begin} + 1")

    # a click in a plot moves the frame, there and in the 3-D view
    plot = page.locator(".flowllm-plots").first.locator(".nsewdrag").nth(1)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    for share, frame in ((0.9, 46), (0.25, 12), (0.75, 38)):
        click(nb, box, share)
        nb.until(f"abs(viewer.frame - {frame}) <= 2")
    assert nb.run("print(viewer.frame == viewer.player.frame == viewer.marks.frame)") == "True"
    assert page.locator(".flowllm-player").first.get_attribute("data-frame") == nb.run(FRAME)
    share = float(nb.run(FRAME)) / 50
    nb.wait(f"{MARK}[0].getAttribute('x1') > {begin} + 50")
    width = plot.evaluate("(e) => e.getBoundingClientRect().width") / 1.04
    assert mark(nb) == pytest.approx(begin + share * width, abs=3)

    # the kernel has no time: a click that the pointer then leaves behind is not forgotten
    nb.run("import time; slow = lambda change: time.sleep(change['new'] is not None)")
    nb.run("viewer.figure.observe(slow, '_js2py_pointsCallback')")
    click(nb, box, 0.5)
    for share in (0.6, 0.7, 0.8):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
    nb.until("abs(viewer.frame - 25) <= 2")
    nb.run("viewer.figure.unobserve(slow, '_js2py_pointsCallback')")

    # the title over a plot tells the value of the frame
    titles = page.locator(".flowllm-marks").first.locator("text").all_text_contents()
    assert len(titles) == 6 and titles[0].startswith("shortest distance")
    assert titles[0].endswith(
        nb.run("print(f'{viewer.curves.shortest_distance[viewer.frame]:.2f} Å')")
    )

    # the plots are as wide as the widget, and the pointer shows a value
    assert page.evaluate("""[...document.querySelectorAll('.flowllm-plots .js-plotly-plot')].every(
        (p) => Math.abs(p.clientWidth - p.querySelector('.main-svg').clientWidth) < 2)""")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    nb.wait("document.querySelector('.hoverlayer .hovertext')?.textContent.includes('per atom')")
    page.mouse.move(5, 5)
    nb.shot(".flowllm", picture("trajectory_viewer.png"))

    # another crystal: other curves, another view
    curve = "document.querySelector('.flowllm-plots .scatterlayer path').getAttribute('d')"
    before, views = page.evaluate(curve), nb.shot(".flowllm-player canvas")
    page.get_by_role("button", name="Next").first.click()
    nb.until("viewer.crystal == 1 and viewer.frame == 0")
    nb.wait(f"{curve} !== {before!r}")
    nb.wait(f"{MARK}[0].getAttribute('x1') < {begin} + 1")
    page.wait_for_timeout(500)
    assert nb.shot(".flowllm-player canvas") != views
    formula = nb.run("print(result.refined.formulas[1])")
    assert (
        formula in page.locator(".flowllm .flowllm-caption", has_text="shortest").first.inner_text()
    )

    files(nb, tmp_path, chromium, picture)
    skewed(nb)
    assert nb.said == []

    nb.theme("JupyterLab Dark")
    page.wait_for_timeout(1500)
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
    drawn = "(name) => document.getElementById(name).dataset.drawn"
    for name in ("player", "curves"):
        page.wait_for_function(drawn, arg=name, timeout=60_000)
    says = page.locator("#says")
    first, shown = says.inner_text(), page.locator("#player").screenshot()
    page.locator("#play").click()
    page.wait_for_function("Number(document.getElementById('frame').value) > 2", timeout=60_000)
    page.locator("#play").click()
    assert says.inner_text() != first
    page.locator("#frame").fill("50")
    page.wait_for_function("document.getElementById('says').textContent.includes('51 of 51')")
    page.wait_for_timeout(500)
    assert page.locator("#player").screenshot() != shown
    page.locator("#curves .nsewdrag").first.click(position={"x": 3, "y": 30})
    page.wait_for_function("document.getElementById('frame').value === '0'")
    page.screenshot(path=picture("trajectory_page.png"))
    assert said == []
    context.close()


def skewed(nb) -> None:
    """A triclinic crystal: without WebGL too, frames change the picture and the box moves."""
    marks = nb.page.locator(".flowllm-marks").nth(1)
    marks.scroll_into_view_if_needed()
    begin = mark(nb, 1)
    pictures = []
    for frame in (0, 29):
        nb.run(f"skewed.frame = {frame}")
        nb.page.wait_for_timeout(700)
        pictures.append(nb.page.locator(".jp-OutputArea-output").last.screenshot())
    assert pictures[0] != pictures[1] and mark(nb, 1) > begin + 50
    titles = marks.locator("text").all_text_contents()
    assert titles[1].endswith(nb.run("print(f'{skewed.curves.volume[29]:.2f} Å³')"))
