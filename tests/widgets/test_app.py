"""The app: its tabs are made when they are looked at, and share what was loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm_widgets.app.run import BrowserTab, ViewerTab
from flowllm_widgets.app.tabs import MAKERS
from flowllm_widgets.app.widget import TABS, App

SALT = CrystalBatch([11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4.0,) * 3], [(60,) * 3], [2], ["a"])


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    (run / "salt.cif").write_text(SALT.to_cif()[0])
    Trajectory.from_frames([0.0, 1.0], [SALT, SALT]).save(run / "trajectories.npz")
    return App(run)


def test_the_page_imports_nothing_heavy():
    code = (
        "import sys; from flowllm_widgets.app.widget import App; App()\n"
        "print(sorted({'torch', 'transformers', 'pymatgen', 'plotly', 'pandas'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_tab_has_a_maker_and_none_is_made_before_the_page_is_there():
    app = App()
    assert list(MAKERS) == list(TABS) and app.parts == {} and not app._background.running


def test_tabs_are_made_once_when_they_are_looked_at(app):
    for title in ("Bring", "Browser", "Viewer", "Phase diagram", "Elements"):
        app.tabs.selected_index = list(TABS).index(title)
        assert app.wait(120) and title in app.parts, app._rooms[title]
        assert app._rooms[title].children[-1] is app.parts[title]
    before = dict(app.parts)
    app.tabs.selected_index = list(TABS).index("Bring")
    assert app.wait(60) and app.parts == before
    assert set(app.parts["Browser"].browser.catalogue.crystals.formulas) == {"NaCl"}
    assert app.parts["Viewer"].viewer.source.trajectory.times.tolist() == [0.0, 1.0]
    assert app.parts["Elements"].tables[0].shares == {"Na": 1.0, "Cl": 1.0}


def test_the_periodic_table_chooses_the_phase_diagram(app):
    app.tabs.selected_index = list(TABS).index("Phase diagram")
    assert app.wait(120)
    table, view = app.parts["Phase diagram"].children
    table.selected = ("Na", "Cl")
    assert view.system.value == "Na-Cl" and not view.message.text
    table.selected = ("Na",)
    assert "choose 2 to 4" in view.message.text and view.system.value == "Na-Cl"


def test_a_run_that_cannot_be_read_is_said_in_its_tab(tmp_path):
    tab = BrowserTab(tmp_path)
    assert "contains no crystals" in tab.message.text and tab.browser is None
    (tmp_path / "salt.cif").write_text(SALT.to_cif()[0])
    tab.folder.value = f"{tmp_path}/"
    assert tab.browser.catalogue.crystals.formulas == ["NaCl"] and not tab.message.text


def test_the_viewer_takes_what_the_playground_made():
    made: list[object] = [None]
    tab = ViewerTab(None, lambda: made[0])
    assert tab.viewer is None and "no trajectories yet" in tab.message.text
    made[0] = Trajectory.from_frames([0.0, 1.0], [SALT, SALT])
    tab.show.click()
    assert tab.viewer.source.trajectory is made[0] and not tab.message.text
