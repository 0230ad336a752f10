"""The page of an evaluation in a real browser: sorted, filtered, paged, and a crystal on click."""

import re

import numpy as np
import pandas as pd
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.evaluation.metric import SHARE, Metric
from flowllm.evaluation.report import Report
from tests.browser.accessibility import faults
from tests.browser.waiting import expect, until

# its tests share a page: on one process of two
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("evaluation")]
COUNT = 130
ROWS = "#crystal-table tbody tr"


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """The opened page of 130 crystals, and what the browser complained of or asked for."""
    one = CrystalBatch(
        [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4, 4)], [(60, 60, 60)], [2], "a"
    )
    crystals = CrystalBatch.concatenate(
        one.replace(ids=[f"c{i}"], lengths=np.full((1, 3), 4 + i / 100)) for i in range(COUNT)
    )
    energies = np.linspace(-0.1, 1.19, COUNT)
    energies[5] = np.nan
    rows = pd.DataFrame(
        {
            "id": crystals.ids,
            "formula": ["NaCl"] * COUNT,
            "readable": pd.array([True] * COUNT, dtype="boolean"),
            "stable": pd.array(np.nan_to_num(energies, nan=1) < 0, dtype="boolean"),
            "e_above_hull": energies,
            "reason": ["", "atoms too near"] * (COUNT // 2),
        }
    )
    metrics = {"stability": [Metric("stable (< 0)", 0.08, 0.05, 0.12, COUNT, SHARE)]}
    folder = tmp_path_factory.mktemp("evaluation")
    Report("ours", metrics, {"stability": {"hull": "MP"}}, rows, crystals).save(folder)
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    said: list[str] = []
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on(
        "request",
        lambda asked: None if asked.url.startswith(("file:", "data:", "blob:")) else said.append(
            asked.url
        ),
    )  # fmt: skip
    opened.goto((folder / "report.html").as_uri())
    opened.wait_for_selector(ROWS)
    yield opened, said
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out_of_the_page(page, scheme):
    opened, said = page
    opened.emulate_media(color_scheme=scheme)
    assert faults(opened) == [] == said
    opened.emulate_media(color_scheme="light")  # None would change nothing


def first_cells(page, column: int) -> list[str]:
    return page.eval_on_selector_all(
        f"{ROWS} td:nth-child({column})", "cells => cells.map((c) => c.textContent)"
    )


def test_a_click_on_a_heading_sorts_by_number_and_puts_unknown_ones_last(page):
    opened, said = page
    opened.click("#crystal-table th[data-column='e_above_hull'] button")
    until(lambda: first_cells(opened, 1)[:2], ["c0", "c1"])
    opened.click("#crystal-table th[data-column='e_above_hull'] button")
    until(lambda: first_cells(opened, 1)[:2], [f"c{COUNT - 1}", f"c{COUNT - 2}"])
    expect(opened.locator(ROWS)).to_have_count(100)
    opened.click("#crystal-pages button:has-text('Next')")
    until(lambda: first_cells(opened, 1)[-1], "c5")  # it has no energy
    opened.click("#crystal-table th[data-column='id'] button")
    until(lambda: first_cells(opened, 1)[:3], ["c0", "c1", "c2"])
    assert said == []


def test_the_filter_and_the_flags_choose(page):
    opened, said = page
    opened.fill("#crystal-filter", "too near")
    pages = opened.locator("#crystal-pages")
    expect(pages).to_have_text(re.compile(r"^\s*65 crystals"))
    opened.select_option("#crystal-flag", "stable=true")
    chosen = [f"c{number}" for number in range(1, 11, 2) if number != 5]
    until(lambda: first_cells(opened, 1), chosen)
    opened.fill("#crystal-filter", "")
    opened.select_option("#crystal-flag", "")
    expect(pages).to_have_text(re.compile(rf"^\s*{COUNT} crystals"))
    assert said == []


def test_a_click_or_the_keyboard_shows_the_crystal(page):
    opened, said = page
    opened.click(f"{ROWS}:nth-child(3)")
    opened.wait_for_selector(".figure3d[data-drawn='2'] canvas", state="attached")
    heading = opened.locator("#crystal-view h3")
    expect(heading).to_contain_text("c2")
    until(lambda: opened.inner_text("#crystal-view .legend").split(), ["Na", "Cl"])
    opened.focus(f"{ROWS}:nth-child(3)")
    opened.keyboard.press("ArrowDown")
    opened.wait_for_selector(".figure3d[data-drawn='3']")
    expect(heading).to_contain_text("c3")
    expect(opened.locator("#crystal-view .facts")).to_contain_text("E above hull")
    meshes = (
        "document.querySelector('.figure3d').data.filter("
        "(t) => t.type === 'mesh3d' && t.name !== 'polyhedra').length"
    )
    until(lambda: opened.evaluate(meshes), 2)  # one mesh an element
    assert said == []
