"""CrystalBrowser in a real JupyterLab: sort, filter, choose by mouse and keys, pick, export."""

from __future__ import annotations

import re

import pytest

from flowllm.inputs import read_inputs
from tests.browser.test_histograms import TO_CELL
from tests.browser.waiting import brightness, expect, picture_of, until

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
    table = widget.locator("table[role=grid]")
    rows = widget.locator("tr[data-place]")
    expect(widget.locator("canvas")).to_have_count(2)
    picture_of(widget, picture("crystal_browser.png"))

    # a heading sorts
    lowest = nb.run("print(f'{report.rows.e_above_hull.min():.3f}')")
    widget.locator('th[data-column="e_above_hull"] button').click()
    widget.locator('th[aria-sort="ascending"]').wait_for()
    energies = until(
        lambda: [float(text) for text in column(widget, 4)],
        lambda found: found == sorted(found) and len(found) == 10,
    )
    assert energies[0] == float(lowest)

    # text, elements and a flag narrow the list
    total = widget.locator(".foot [role=status]")
    expect(total).to_contain_text("of 120")
    widget.get_by_label("Contains").fill("Ti, O")
    expect(total).to_contain_text("(of 120)")
    until(
        lambda: column(widget, 1),
        lambda found: found and all("Ti" in text and "O" in text for text in found),
    )
    widget.get_by_label("Only").select_option("novel relaxed")
    expected = nb.run("print((browser.catalogue.rows.novel_relaxed.fillna(False) & "
                      "browser.catalogue.elements[:, [22, 8]].all(1)).sum())")  # fmt: skip
    nb.until("len(browser.table.order)", expected)
    listed = nb.run("print(*browser.catalogue.rows['id'].to_numpy()[browser.table.order][:10])")
    ids = until(lambda: column(widget, 0), listed.split())
    assert len(ids) >= 3

    # a click on a row shows its crystal before and after refinement, and so do the arrow keys
    rows.nth(1).locator("td").nth(1).click()
    nb.until(SHOWN, f"{ids[1]} {ids[1]}")
    captions = widget.locator(".flowllm-caption")
    before = captions.filter(has_text=f"{ids[1]} · ").filter(has_text="before refinement")
    expect(before.first).to_be_visible()
    nb.page.keyboard.press("ArrowDown")
    nb.until(SHOWN, f"{ids[2]} {ids[2]}")
    expect(table).to_have_attribute("aria-activedescendant", re.compile("."))
    expect(widget.locator('tr[aria-selected="true"] td').nth(1)).to_have_text(ids[2])

    # Space picks, the button too; the picks are written where one says and read back
    nb.page.keyboard.press(" ")
    nb.until("*browser.picks.ids", ids[2])
    nb.page.keyboard.press("Home")
    expect(rows.first).to_have_attribute("aria-selected", "true")
    rows.first.locator("input").check()
    nb.until("*browser.picks.ids", f"{ids[2]} {ids[0]}")
    widget.get_by_label("Folder").fill(str(tmp_path / "picks"))
    widget.get_by_role("button", name="Export 2 picks").click()
    widget.get_by_text(f"2 crystals written to {tmp_path / 'picks'}").wait_for()
    assert {name.split("_")[0] for name in read_inputs(tmp_path / "picks").ids} == {ids[0], ids[2]}

    # a bad wish is named, the list stays
    widget.get_by_label("Contains").fill("Ti, Q")
    expect(widget.locator('[role="alert"]').first).to_contain_text("'Q'")
    widget.get_by_role("button", name="Clear filters").click()
    expect(total).to_have_text(re.compile("of 120$"))

    # 10,000 rows: pages turn, filters and sorting work
    large = panel(nb, 1)
    expect(large.locator(".foot [role=status]")).to_have_text("1 to 10 of 10,000")
    large.get_by_label("last page").click()
    large.get_by_text("9991 to 10000 of 10,000").wait_for()
    large.locator('th[data-column="density"] button').click()
    large.locator('th[data-column="density"][aria-sort="ascending"]').wait_for()
    large.get_by_label("Id, formula").fill("m00042")
    large.get_by_text("1 to 1 of 1 (of 10,000)").wait_for()
    until(lambda: column(large, 0), ["m00042"])

    assert nb.said == []
    assert [url for url in asked if "//127.0.0.1" not in url and "://" in url
            and not url.startswith("blob:")] == []  # fmt: skip


def test_the_browser_is_readable_in_the_dark(open_notebook, picture):
    nb = open_notebook([MAKE], dark=True, size=(1280, 1100))
    nb.run_all()
    widget = panel(nb, 0)
    expect(widget.locator("canvas")).to_have_count(2)
    picture_of(widget, picture("crystal_browser_dark.png"))
    for place in ("tbody td", "th button"):
        text = widget.locator(f".flowllm-table {place}").first
        until(lambda text=text: brightness(text) > 140)
    assert nb.said == []
