"""The report in a real browser without a network: everything is drawn, turned, sorted, filtered."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.bins import histograms
from flowllm.viz.run_page import write_report
from tests.browser.waiting import expect, picture_of, settled, until

pytestmark = pytest.mark.browser
DRAWN = "document.querySelectorAll('.figure:not([data-drawn])').length === 0"
REFINED = CrystalBatch(
    [11, 17, 29],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0, 0)],
    [(4, 4, 4), (2.55, 2.55, 2.55)],
    [(60, 60, 60), (60, 60, 60)],
    [2, 1],
    ["a", "b"],
)
PRIOR = REFINED.replace(
    frac_coords=[(0, 0, 0), (0.3, 0.6, 0.5), (0, 0, 0)], lengths=[(5, 4, 4), (2.55, 2.55, 2.9)]
)


@pytest.fixture(scope="module")
def visit(chromium, tmp_path_factory):
    """The opened page, and what the browser logged and asked for."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    rows = [
        {"id": i, "formula": f, "prompt": "", "valid_structure": True, "valid_composition": True}
        for i, f in zip(("a", "b"), REFINED.formulas, strict=True)
    ]
    write_report(
        path,
        title="Two crystals",
        prior=PRIOR,
        refined=REFINED,
        rows=rows,
        stages=[{"stage": "flow", "crystals": 2, "rejected": 0, "seconds": 1.0}],
        settings={"steps": 50},
        trajectories=Trajectory.from_frames([0, 1], [PRIOR, REFINED]),
        reference=histograms(REFINED),
        shown=1,
    )
    context = chromium.new_context(viewport={"width": 1000, "height": 1800})
    context.set_default_timeout(300_000)
    context.set_offline(True)
    page = context.new_page()
    errors, requests = [], []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    page.wait_for_function(DRAWN)
    yield page, errors, requests
    context.close()


def pixels(shot):
    """(height, width, 3) the colours of a picture."""
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def test_all_plots_are_there_and_nothing_was_fetched(visit):
    page, errors, requests = visit
    expect(page.locator(".js-plotly-plot")).to_have_count(1 + 3 + 1)
    until(lambda: page.locator("#crystal-0 canvas").count() >= 2)
    assert errors == []
    assert [r for r in requests if not r.startswith(("file:", "data:", "blob:"))] == []


def test_before_and_after_are_drawn_and_differ(visit):
    page, errors, _ = visit

    def drawn_and_different(shot):
        image = pixels(shot)
        half = image.shape[1] // 2
        before, after = image[:, :half], image[:, -half:]
        drawn = [(np.abs(side - side[0, 0]).sum(-1) > 60).mean() > 0.02 for side in (before, after)]
        return all(drawn) and (np.abs(before - after).sum(-1) > 60).mean() > 0.01

    until(page.locator("#crystal-0").screenshot, drawn_and_different)
    assert errors == []


def test_bars_are_drawn_with_the_computed_heights(visit):
    page, _, _ = visit
    heights = "Array.from(document.getElementById('num_atoms')._fullData.at(-1).y)"
    expected = (100 * np.array(histograms(REFINED)["num_atoms"])).tolist()
    until(lambda: page.evaluate(heights), pytest.approx(expected))
    until(lambda: page.locator("#num_atoms .bars path").count() >= 4)


def test_the_legend_has_the_colours_of_the_charts(visit):
    page, _, _ = visit
    shown = (
        "['.prior', '.refined', '.reference'].map((key) => getComputedStyle("
        "document.querySelector('.legend ' + key)).backgroundColor)"
    )
    tints = "document.getElementById('density').data.map((t) => (t.marker ?? t.line).color)"

    def named():
        behind, prior, refined = page.evaluate(tints)
        return [
            f"rgb({', '.join(str(int(tint[k : k + 2], 16)) for k in (1, 3, 5))})"
            for tint in (prior, refined, behind)
        ]

    until(lambda: page.evaluate(shown) == named())


def test_arrow_keys_turn_both_views(visit):
    page, errors, _ = visit
    cameras = (
        "['scene', 'scene2'].map((s) => document.getElementById('crystal-0')._fullLayout[s]"
        "._scene.getCamera().eye.x)"
    )
    views = page.locator("#crystal-0")
    image = picture_of(views)
    start = settled(lambda: page.evaluate(cameras))
    views.focus()
    page.keyboard.press("ArrowLeft")
    until(
        lambda: page.evaluate(cameras),
        lambda now: now[0] == pytest.approx(now[1]) and abs(now[0] - start[0]) > 0.01,
    )
    until(lambda: views.screenshot() != image)
    assert errors == []


def test_the_table_sorts_and_filters(visit):
    page, errors, _ = visit
    rows = page.locator("#table-crystals tbody tr")
    heading = page.locator("#table-crystals th").nth(1).get_by_role("button")
    heading.click()
    expect(rows.nth(0)).to_have_text(re.compile(r"^\s*b"))  # Cu before NaCl
    heading.press("Enter")
    expect(rows.nth(0)).to_have_text(re.compile(r"^\s*a"))
    page.locator("#filter").fill("nacl")
    expect(rows.nth(1)).to_be_hidden()
    expect(rows.nth(0)).to_be_visible()
    page.locator("#filter").fill("")
    expect(rows.nth(1)).to_be_visible()
    assert errors == []


def test_dark_mode_changes_page_and_plots(visit):
    page, errors, _ = visit
    chart = page.locator("#density")
    light = pixels(picture_of(chart)).mean()
    page.emulate_media(color_scheme="dark")
    ink = "document.getElementById('density')._fullLayout.font.color"
    until(lambda: page.evaluate(ink), "#e8ecf2")
    until(lambda: pixels(chart.screenshot()).mean() < light - 80)
    page.emulate_media(color_scheme="light")
    until(lambda: page.evaluate(ink) != "#e8ecf2")
    assert errors == []
