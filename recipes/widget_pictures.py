"""Pictures of the widgets for the README, taken in a real JupyterLab.

Usage: python -m recipes.widget_pictures OURS THEIRS [RUN] [--only NAME ...] [--out docs/images]

OURS and THEIRS are folders that `flowllm evaluate` wrote, with relaxed crystals; RUN is the run of
"flowllm generate --record" that OURS evaluates, for the crystals before refinement. Each picture is
taken in both themes, the dark one with "_dark" in its name.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.lab import OpenNotebook, lab_environment, opener, server

THEMES = {"": "JupyterLab Light", "_dark": "JupyterLab Dark"}
PANEL = ".jp-OutputArea-output .flowllm"
LARGEST = 300_000  # bytes of a picture
ROOMY = (1280, 2200)  # pixels of the window: all of a widget at once

REPORTS = """from pathlib import Path
from flowllm import Report
ours, theirs = Report.load(Path({ours!r})), Report.load(Path({theirs!r}))"""


@dataclass(frozen=True)
class Picture:
    """A widget, what is done to it, and the name of its picture.

    Attributes:
        name: of the file.
        cells: of the notebook; the last shows the widget.
        act: what a user does until the picture is taken.
    """

    name: str
    cells: tuple[str, ...]
    act: Callable[[OpenNotebook], None]


def drawn(nb: OpenNotebook) -> None:
    """Wait for the 3-D views and the charts."""
    nb.wait(f"document.querySelectorAll('{PANEL} canvas, {PANEL} .js-plotly-plot').length > 0")
    nb.page.wait_for_timeout(4000)


def _watch_a_trajectory(nb: OpenNotebook) -> None:
    drawn(nb)
    nb.page.get_by_role("button", name="CHGNet energy").click()
    nb.run("viewer.energy_control.wait(120)", timeout=150)
    nb.run("viewer.frame = 20")
    drawn(nb)


def _try_a_prompt(nb: OpenNotebook) -> None:
    page = nb.page
    page.get_by_label("Formula", exact=True).fill("SrTiO3")
    page.wait_for_selector('.flowllm button:has-text("Generate"):enabled')
    page.locator('.flowllm button:has-text("Generate")').click()
    page.locator(".flowllm-message:has-text('Done after')").wait_for(timeout=60_000)
    page.get_by_label("Formula", exact=True).fill("")  # for the sweep
    page.locator('.flowllm button:has-text("Start")').click()
    page.locator(".flowllm-message:has-text('Done: ')").wait_for(timeout=240_000)
    drawn(nb)
    page.locator(".flowllm-tokens .crystal .token").nth(2).hover()
    page.wait_for_timeout(500)


def _move_the_threshold(nb: OpenNotebook) -> None:
    drawn(nb)
    nb.run("widget.threshold.value = 0.1; widget.bin.value = widget.bin.options[2][1]")
    drawn(nb)


def _sort_by_energy(nb: OpenNotebook) -> None:
    drawn(nb)
    nb.page.locator('th[data-column="e_above_hull"] button').click()
    nb.page.locator("tr[data-place]").nth(2).locator("td").nth(1).click()
    drawn(nb)


def _choose_a_point(nb: OpenNotebook) -> None:
    nb.wait("document.querySelector('.flowllm .xtitle')?.textContent === 'UMAP 1'", timeout=240)
    nb.run("shown.choose(3)")
    drawn(nb)


def _train_on_the_torus(nb: OpenNotebook) -> None:
    nb.page.get_by_role("button", name="3 · Training").click()
    nb.wait("document.querySelector('[data-layer=exact]')")
    nb.page.locator(f"{PANEL} .widget-button.mod-primary").click()
    text = f"document.querySelector('{PANEL}').innerText"
    nb.wait(f"Number(({text}.match(/step (\\d+) of/) || [0, 0])[1]) >= 1500", timeout=240)
    nb.run("playground.training.view.t = 1.0")
    drawn(nb)


def _halfway(nb: OpenNotebook) -> None:
    drawn(nb)
    nb.run("lattice.t.value = 0.5")
    drawn(nb)


def pictures(ours: Path, theirs: Path, run: Path | None) -> list[Picture]:
    """What is taken."""
    reports = REPORTS.format(ours=str(ours.resolve()), theirs=str(theirs.resolve()))
    paths = "None"
    if run is not None:
        reports += "\nfrom flowllm import Trajectory\n"
        reports += f"path = Trajectory.load({str(run.resolve() / 'trajectories.npz')!r})"
        paths = "path"
    model = "from flowllm import FlowLLM\nmodel = FlowLLM.from_pretrained('mp20-compact', 'cpu')"
    return [
        Picture(
            "trajectory_viewer",
            (
                f"{model}\nfrom flowllm.methods.flow.settings import RefineSettings\n"
                "from flowllm.methods.language_model.settings import SamplingSettings\n"
                "from flowllm_widgets import TrajectoryViewer\n"
                "result = model.generate(4, formula='CaTiO3', seed=1,\n"
                "    sampling=SamplingSettings(noise=0.04),\n"
                "    refinement=RefineSettings(steps=50, record=True))",
                "viewer = TrajectoryViewer(result)\nviewer",
            ),
            _watch_a_trajectory,
        ),
        Picture(
            "prompt_playground",
            (model, "from flowllm_widgets import PromptPlayground\nPromptPlayground(model, num=4)"),
            _try_a_prompt,
        ),
        Picture(
            "e_hull_histogram",
            (reports, "from flowllm_widgets import EHullHistogram\n"
             "widget = EHullHistogram(ours, theirs)\nwidget"),
            _move_the_threshold,
        ),
        Picture(
            "nary_histogram",
            (reports, "from flowllm_widgets import NaryHistogram\nNaryHistogram(ours, theirs)"),
            drawn,
        ),
        Picture(
            "crystal_browser",
            (reports, "from flowllm_widgets import CrystalBrowser\n"
             f"CrystalBrowser(ours, trajectory={paths})"),
            _sort_by_energy,
        ),
        Picture(
            "embedding_map",
            (reports, "from flowllm.teaching.textbook import textbook_structures\n"
             "from flowllm_widgets import EmbeddingMap\n"
             "shown = EmbeddingMap({'FlowLLM': ours.crystals[:200], "
             "'DiffCSP': theirs.crystals[:200],\n"
             "    'textbook': textbook_structures()[:200]})\nshown"),
            _choose_a_point,
        ),
        Picture(
            "torus_playground",
            ("from flowllm_widgets import TorusPlayground\n"
             "playground = TorusPlayground()\nplayground",),
            _train_on_the_torus,
        ),
        Picture(
            "lattice_playground",
            ("from flowllm_widgets import LatticePlayground\n"
             "lattice = LatticePlayground()\nlattice",),
            _halfway,
        ),
    ]  # fmt: skip


def small_enough(png: bytes) -> bytes:
    """The picture with a palette of 256 colours, which is what keeps it below `LARGEST`."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256, method=Image.Quantize.MEDIANCUT).save(buffer, "PNG", optimize=True)
    size = len(buffer.getvalue())
    assert size <= LARGEST, f"{size} bytes"
    return buffer.getvalue()


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("ours", type=Path)
    parser.add_argument("theirs", type=Path)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    asked = parser.parse_args()
    wanted = [
        picture
        for picture in pictures(asked.ours, asked.theirs, asked.run)
        if not asked.only or picture.name in asked.only
    ]
    with (
        tempfile.TemporaryDirectory(prefix="flowllm-") as folder,
        server(root := Path(tempfile.mkdtemp(dir=folder)), lab_environment()) as (address, token),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for picture in wanted:
            closing: list[Callable[[], None]] = []
            open_notebook = opener(browser, address, token, root, closing)
            nb = open_notebook(picture.cells, size=ROOMY)
            nb.run_all(timeout=300)
            nb.page.evaluate("window.jupyterapp.shell.currentWidget.content.scrollToItem(1)")
            picture.act(nb)
            for suffix, theme in THEMES.items():
                nb.theme(theme)
                nb.page.wait_for_timeout(2500)
                path = asked.out / f"{picture.name}{suffix}.png"
                path.write_bytes(small_enough(nb.shot(PANEL)))
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)
            for problem in nb.said:
                print(f"{picture.name}: {problem}")
            for close in closing:
                close()
        browser.close()


if __name__ == "__main__":
    main()
