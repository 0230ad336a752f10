"""`flowllm app` as a person uses it: one command, one page, a file dropped on it."""

from __future__ import annotations

import re
import select
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm_widgets.app.widget import TABS
from tests.browser.accessibility import faults
from tests.browser.lab import lab_environment
from tests.browser.waiting import expect, picture_of, until

pytestmark = pytest.mark.browser

START = 120.0
SALT = CrystalBatch([11, 35], [(0, 0, 0), (0.5,) * 3], [(4.25,) * 3], [(60,) * 3], [2], ["NaBr"])
# what a page may say that is none of the workbench's
FOREIGN = ("favicon", "GPU stall", "WebGL", "Unsatisfied version", "No satisfying version")
BRING = """
from flowllm import CrystalBatch
from flowllm_widgets import Bring

salt = CrystalBatch([11, 35], [(0, 0, 0), (.5, .5, .5)], [(4.25,) * 3], [(60,) * 3], [2], ["a"])
Bring(salt)
"""
ELEMENTS = """
from flowllm import CrystalBatch
from flowllm_widgets import PeriodicTable

salt = CrystalBatch([11, 35], [(0, 0, 0), (.5, .5, .5)], [(4.25,) * 3], [(60,) * 3], [2], ["a"])
table = PeriodicTable(sets={"salt": salt})
table
"""


@contextmanager
def app(*options: str):
    """The command in a process of its own; gives the address that it prints."""
    command = [sys.executable, "-m", "flowllm", "app", "--no-browser", *options]
    process = subprocess.Popen(command, env=lab_environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], START)[0], "no address in time"
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\w+", said)
        assert found, f"no address but {said!r}"
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)


def tab(page, title: str):
    """Choose a tab and give what stands in it, once it is there."""
    page.get_by_role("tab", name=title, exact=True).click()
    room = page.locator(".flowllm-app > .widget-tab-contents > *").filter(visible=True)
    expect(room).to_contain_text(TABS[title])
    expect(room).not_to_contain_text("Loading …", timeout=180_000)
    return room


def test_one_page_holds_the_workbench(chromium, tmp_path, picture):
    run = tmp_path / "run"
    run.mkdir()
    file = run / "salt.cif"
    file.write_text(SALT.to_cif()[0])
    Trajectory.from_frames([0.0, 1.0], [SALT, SALT]).save(run / "trajectories.npz")
    began = time.monotonic()
    with app("--run", str(run)) as address:
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        said: list[str] = []
        foreign: list[str] = []
        page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda r: foreign.append(r.url) if "127.0.0.1" not in r.url else None)
        bare = page.goto(address.split("?")[0])
        assert "login" in bare.url
        until(lambda: page.locator(".flowllm").count(), 0)
        said.clear()
        page.goto(address)
        tabs = page.get_by_role("tab")
        expect(tabs).to_have_text(list(TABS), timeout=180_000)
        print(f"first page after {time.monotonic() - began:.1f} s")

        expect(tab(page, "Playground").get_by_role("button", name="Generate")).to_be_visible()
        bring = tab(page, "Bring")
        bring.locator(".flowllm-drop input").set_input_files(file)
        expect(bring).to_contain_text("Fm-3m (225)")
        expect(bring).to_contain_text("the same crystal")
        bring.get_by_role("button", name="Neighbours").click()
        expect(bring.locator("select option", has_text="the same")).to_have_count(1)
        bad = {"name": "bad.cif", "mimeType": "text/plain", "buffer": b"no crystal"}
        bring.locator(".flowllm-drop input").set_input_files(bad)
        expect(bring.get_by_role("alert")).to_contain_text("bad")
        picture_of(page, picture("app_bring.png"))

        expect(tab(page, "Browser").locator("tr[data-place]").first).to_contain_text("NaBr")
        expect(tab(page, "Viewer").locator(".flowllm-player").first).to_be_visible()
        diagram = tab(page, "Phase diagram")
        fe = diagram.get_by_role("button", name="Fe, 26", exact=True)
        expect(fe).to_have_attribute("aria-pressed", "true")
        fe.press("Space")  # let go
        fe.press("ArrowRight")
        page.keyboard.press("Space")  # the one beside it
        expect(diagram.locator('input[type="text"]')).to_have_value("Li-Co-O")
        elements = tab(page, "Elements")
        sodium = elements.get_by_role("button", name=re.compile("^Na, 11, in 100 %"))
        expect(sodium).to_have_count(1)
        picture_of(page, picture("app_elements.png"))
        seen = {}
        for title in TABS:
            tab(page, title)
            seen[title] = faults(page)
        assert not any(seen.values()), seen
        until(lambda: [text for text in said if not any(f in text for f in FOREIGN)], [])
        until(lambda: [url for url in foreign if url.startswith("http")], [])
        context.close()
