"""Systems side by side in Chromium: pictures that play together, each way on its own axis."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

CELLS = [
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
    "from dataclasses import replace\n"
    "import numpy as np\n"
    "from flowllm.crystals.axis import Axis\n"
    "from flowllm.systems.generation import Generation\n"
    "from flowllm.teaching.systems import Answer\n"
    "from flowllm_widgets import SideBySide\n"
    "from tests.widgets.trajectory_samples import straight\n"
    "atoms = [[0, 0, 0], [0.5, 0.5, 0.5]], [[0, 0, 0], [0.2, 0, 0]]\n"
    "plain = straight(*atoms, frames=11)\n"
    "steps = replace(plain, axis=Axis('diffusion step', np.linspace(1000, 0, 11)))\n"
    "found = [Answer(name, Generation([''], way.first, way), ())\n"
    "         for name, way in (('flowllm', plain), ('crystalllm', steps))]\n"
    "widget = SideBySide(answers=found)\n"
    "widget"
]
CANVASES = "document.querySelectorAll('.flowllm-many canvas').length"
PLACES = """(text) => [...document.querySelectorAll('.flowllm-place')].some(
  (place) => place.textContent === text)"""
TICKS = """(texts) => [...document.querySelectorAll('.flowllm-plots [class$=tick] text')].some(
  (tick) => tick.textContent === texts)"""


def test_ways_play_together_and_one_can_be_looked_at_on_its_own_axis(open_notebook):
    opened = open_notebook(CELLS, size=(1280, 1900))
    opened.run_all()
    opened.wait(f"{CANVASES} === 2")
    opened.wait(PLACES, argument="60 of 60, 100 % of the path")
    opened.run("widget.display.player.frame = 0")
    opened.wait(PLACES, argument="1 of 60, 0 % of the path")
    opened.page.get_by_label("Look closer").select_option("crystalllm")
    opened.until("widget.viewer is not None")
    opened.wait(PLACES, argument="1 of 11, diffusion step 1000")
    opened.wait(TICKS, argument="500")
    opened.run("widget.viewer.frame = 10")
    opened.wait(PLACES, argument="11 of 11, diffusion step 0")
    assert opened.cell_errors() == [] and opened.said == []
