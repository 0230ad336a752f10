"""CrystalBrowser in a real JupyterLab: sort, filter, choose by mouse and keys, pick, export."""

from __future__ import annotations

import pytest

from flowllm.inputs import read_inputs
from tests.browser.test_histograms import TO_CELL

pytestmark = pytest.mark.browser

MAKE = """from tests.widgets.reports import spread_report, textbook
from flowllm.crystals.trajectory import Trajectory
from flowllm_widgets.browser.widget import CrystalBrowser
report = spread_report("example", num=120, seed=1)
report.rows["space_group"] = [221 if n == 5 else 225 for n in report.rows["num_atoms"]]
prior = report.crystals.replace(lengths=1.15 * report.crystals.lengths)
path = Trajectory.from_frames([0.0, 1.0], [prior, report.crystals])
browser = CrystalBrowser(report, trajectory=path)
browser"""
MANY = """import time
import numpy as np
from flowllm.crystals.batch import CrystalBatch
many = CrystalBatch.concatenate([textbook(100)] * 100)
many = many.replace(ids=np.array([f"m{index:05d}" for index in range(len(many))]))
large = CrystalBrowser(many)
large"""
SHOWN = "browser.after.crystal.ids[0], browser.before.crystal.ids[0]"


def panel(nb, cell):
    nb.page.evaluate(TO_CELL, cell)
    found = nb.page.locator(f'.jp-Cell[data-windowed-list-index="{cell}"] .flowllm').first
    found.locator("tr[data-place]").first.wait_for()
    return found


def column(widget, number):
    """The texts of a column, the box being the first."""
    cells = widget.locator(f"tr[data-place] td:nth-child({number + 2})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_crystals_are_sorted_filtered_chosen_picked_and_exported(
    open_notebook, picture, tmp_path
):  # fmt: skip
    nb = open_notebook([MAKE, MANY], size=(1280, 1100))
    asked = []
    nb.page.on("request", lambda request: asked.append(request.url))
    nb.run_all()
    widget = panel(nb, 0)
    nb.page.wait_for_timeout(2000)
    widget.screenshot(path=picture("crystal_browser.png"))
    table = widget.locator("table[role=grid]")

    # a heading sorts
    widget.locator('th[data-column="e_above_hull"] button').click()
    widget.locator('th[aria-sort="ascending"]').wait_for()
    energies = [float(text) for text in column(widget, 4)]
    assert energies == sorted(energies) and energies[0] == float(
        nb.run("print(f'{report.rows.e_above_hull.min():.3f}')")
    )

    # text, elements and a flag narrow the list
    total = widget.locator(".foot [role=status]")
    assert "of 120" in total.inner_text()
    widget.get_by_label("Contains").fill("Ti, O")
    nb.wait("() => document.querySelector('.flowllm-table .foot').innerText.includes('(of 120)')")
    formulas = column(widget, 1)
    assert formulas and all("Ti" in text and "O" in text for text in formulas)
    widget.get_by_label("Only").select_option("novel relaxed")
    expected = nb.run("print((browser.catalogue.rows.novel_relaxed.fillna(False) & "
                      "browser.catalogue.elements[:, [22, 8]].all(1)).sum())")  # fmt: skip
    nb.until("len(browser.table.order)", expected)

    # a click on a row shows its crystal before and after refinement, and so do the arrow keys
    nb.page.wait_for_timeout(300)
    ids = column(widget, 0)
    assert len(ids) >= 3
    widget.locator("tr[data-place]").nth(1).locator("td").nth(1).click()
    nb.until(SHOWN, f"{ids[1]} {ids[1]}")
    captions = widget.locator(".flowllm-caption").all_inner_texts()
    assert any(f"{ids[1]} · " in text and "before refinement" in text for text in captions)
    nb.page.keyboard.press("ArrowDown")
    nb.until(SHOWN, f"{ids[2]} {ids[2]}")
    assert table.get_attribute("aria-activedescendant")
    assert widget.locator('tr[aria-selected="true"] td').nth(1).inner_text() == ids[2]

    # Space picks, the button too; the picks are written where one says and read back
    nb.page.keyboard.press(" ")
    nb.until("*browser.picks.ids", ids[2])
    nb.page.keyboard.press("Home")
    widget.locator("tr[data-place]").first.locator("input").check()
    nb.until("*browser.picks.ids", f"{ids[2]} {ids[0]}")
    widget.get_by_label("Folder").fill(str(tmp_path / "picks"))
    widget.get_by_role("button", name="Export 2 picks").click()
    widget.get_by_text(f"2 crystals written to {tmp_path / 'picks'}").wait_for()
    assert set(read_inputs(tmp_path / "picks").ids) == {ids[0], ids[2]}

    # a bad wish is named, the list stays
    widget.get_by_label("Contains").fill("Ti, Q")
    widget.locator('[role="alert"]').first.wait_for()
    assert "'Q'" in widget.locator('[role="alert"]').first.inner_text()
    widget.get_by_role("button", name="Clear filters").click()
    nb.wait("() => document.querySelector('.flowllm-table .foot').innerText.includes('of 120')")

    # 10,000 rows: pages turn, filters and sorting work
    large = panel(nb, 1)
    assert "1 to 10 of 10,000" in large.locator(".foot").inner_text().replace("\n", " ")
    large.get_by_label("last page").click()
    large.get_by_text("9991 to 10000 of 10,000").wait_for()
    large.locator('th[data-column="density"] button').click()
    nb.page.wait_for_timeout(500)
    large.get_by_label("Id, formula").fill("m00042")
    large.get_by_text("1 to 1 of 1 (of 10,000)").wait_for()
    assert column(large, 0) == ["m00042"]

    assert nb.said == []
    assert [url for url in asked if "//127.0.0.1" not in url and "://" in url
            and not url.startswith("blob:")] == []  # fmt: skip


def test_the_browser_is_readable_in_the_dark(open_notebook, picture):
    nb = open_notebook([MAKE], dark=True, size=(1280, 1100))
    nb.run_all()
    widget = panel(nb, 0)
    nb.page.wait_for_timeout(2000)
    widget.screenshot(path=picture("crystal_browser_dark.png"))
    colours = nb.page.evaluate("""() => {
      const cell = document.querySelector('.flowllm-table tbody td');
      const head = document.querySelector('.flowllm-table th button');
      return [cell, head].map((each) => getComputedStyle(each).color);
    }""")
    for colour in colours:
        numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]
        assert sum(numbers[:3]) / 3 > 140
    assert nb.said == []
