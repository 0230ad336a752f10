"""A notebook that travels: opened again, without a kernel, it still shows crystals and charts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.lab import SHUT_DOWN
from tests.browser.waiting import settled, until

pytestmark = pytest.mark.browser

CELL = """import sys; sys.path.insert(0, {root!r})
from tests.widgets.trajectory_samples import triclinic
from flowllm_widgets import TrajectoryViewer
viewer = TrajectoryViewer(triclinic(12))
viewer"""
# what of the output is seen: the height of the widget and of the still, its pictures, and words
SEEN = """() => {
  const height = (name) => [...document.querySelectorAll(name)]
    .reduce((sum, element) => sum + element.getBoundingClientRect().height, 0);
  const words = [...document.querySelectorAll('.jp-OutputArea-child')]
    .filter((child) => child.getBoundingClientRect().height > 0)
    .map((child) => child.innerText).join(' ');
  const images = [...document.querySelectorAll('.flowllm-still img')];
  return { live: height('.jp-OutputArea-output .flowllm'), still: height('.flowllm-still'),
    loaded: images.filter((image) => image.naturalWidth > 100).length,
    broken: words.includes('model not found') };
}"""


def test_a_saved_notebook_shows_the_still_without_a_kernel(open_notebook, lab_server, picture):
    nb = open_notebook([CELL.format(root=str(Path(__file__).parents[2]))])
    nb.run_all()
    nb.wait("document.querySelector('.flowllm-player canvas') !== null")
    live = until(lambda: nb.page.evaluate(SEEN), lambda seen: seen["live"] > 300)
    assert live["still"] == 0 and not live["broken"]

    # a person moves the frame, and with it what is saved
    slider = nb.page.get_by_label("Frame", exact=True)
    slider.focus()
    slider.fill("7")
    nb.until("viewer.frame", 7)
    _, _, root = lab_server
    path = root / nb.page.url.split("/tree/")[1].split("?")[0]

    def saved_text() -> str:
        nb.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        return path.read_text()

    until(lambda: "frame 8 of 12" in saved_text())
    saved = json.loads(path.read_text())
    outputs = saved["cells"][0]["outputs"]
    assert len("".join(outputs[-1]["data"]["text/html"])) < 100_000

    nb.page.evaluate(SHUT_DOWN)

    # mailed: another file, that this Lab does not trust
    (root / "mailed.ipynb").write_text(json.dumps(saved))
    for name in (path.name, "mailed.ipynb"):
        again = open_notebook(name)
        seen = until(
            lambda again=again: again.page.evaluate(SEEN),
            lambda now: now["still"] > 300 and now["loaded"] == 2,
        )
        assert seen["live"] == 0
        again.shot(".jp-Notebook", picture(f"still-{name}.png"))
        if name == path.name:  # trusted, so the error above the still can be hidden
            assert settled(lambda again=again: again.page.evaluate(SEEN)["broken"]) is False
