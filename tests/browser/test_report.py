"""The report in a real browser without a network: everything is drawn, turned, sorted, filtered."""

import io

import numpy as np
import pytest
from PIL import Image

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.bins import histograms
from flowllm.viz.run_page import write_report

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


def pixels(page, selector):
    """(height, width, 3) what the browser shows of an element."""
    shot = page.locator(selector).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def test_all_plots_are_there_and_nothing_was_fetched(visit):
    page, errors, requests = visit
    assert page.locator(".js-plotly-plot").count() == 1 + 3 + 1
    assert page.locator("#crystal-0 canvas").count() >= 2
    assert errors == []
    assert [r for r in requests if not r.startswith(("file:", "data:", "blob:"))] == []


def test_before_and_after_are_drawn_and_differ(visit):
    page, errors, _ = visit
    image = pixels(page, "#crystal-0")
    half = image.shape[1] // 2
    before, after = image[:, :half], image[:, -half:]
    for side in (before, after):
        assert (np.abs(side - side[0, 0]).sum(-1) > 60).mean() > 0.02
    assert (np.abs(before - after).sum(-1) > 60).mean() > 0.01
    assert errors == []


def test_bars_are_drawn_with_the_computed_heights(visit):
    page, _, _ = visit
    bars = page.evaluate("Array.from(document.getElementById('num_atoms')._fullData.at(-1).y)")
    np.testing.assert_allclose(bars, 100 * np.array(histograms(REFINED)["num_atoms"]))
    assert page.locator("#num_atoms .bars path").count() >= 4


def test_the_legend_has_the_colours_of_the_charts(visit):
    page, _, _ = visit
    shown = page.evaluate(
        "['.prior', '.refined', '.reference'].map((key) => getComputedStyle("
        "document.querySelector('.legend ' + key)).backgroundColor)"
    )
    behind, prior, refined = page.evaluate(
        "document.getElementById('density').data.map((t) => (t.marker ?? t.line).color)"
    )
    named = [
        f"rgb({', '.join(str(int(tint[k : k + 2], 16)) for k in (1, 3, 5))})"
        for tint in (prior, refined, behind)
    ]
    assert shown == named


def test_arrow_keys_turn_both_views(visit):
    page, errors, _ = visit
    cameras = (
        "['scene', 'scene2'].map((s) => document.getElementById('crystal-0')._fullLayout[s]"
        "._scene.getCamera().eye.x)"
    )
    start, image = page.evaluate(cameras), pixels(page, "#crystal-0")
    page.locator("#crystal-0").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"Math.abs({cameras}[1] - {start[1]}) > 0.01")
    after = page.evaluate(cameras)
    assert after[0] == pytest.approx(after[1]) and after[0] != pytest.approx(start[0])
    assert (pixels(page, "#crystal-0") != image).any()
    assert errors == []


def test_the_table_sorts_and_filters(visit):
    page, errors, _ = visit
    rows = page.locator("#table-crystals tbody tr")
    heading = page.locator("#table-crystals th").nth(1).get_by_role("button")
    heading.click()
    assert rows.nth(0).inner_text().startswith("b")  # Cu before NaCl
    heading.press("Enter")
    assert rows.nth(0).inner_text().startswith("a")
    page.locator("#filter").fill("nacl")
    assert [rows.nth(i).is_visible() for i in range(2)] == [True, False]
    page.locator("#filter").fill("")
    assert rows.nth(1).is_visible()
    assert errors == []


def test_dark_mode_changes_page_and_plots(visit):
    page, errors, _ = visit
    light = pixels(page, "#density").mean()
    page.emulate_media(color_scheme="dark")
    ink = "document.getElementById('density')._fullLayout.font.color"
    page.wait_for_function(f"{ink} === '#e8ecf2'")
    assert pixels(page, "#density").mean() < light - 80
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{ink} !== '#e8ecf2'")
    assert errors == []
