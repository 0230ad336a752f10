"""The report in a real browser, offline: drawn, turned, played, sorted, filtered, printed."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.text.prompts import OPENING, REQUEST
from flowllm.viz.bins import histograms
from flowllm.viz.run_page import Neighbour, write_report
from tests.browser.accessibility import faults
from tests.browser.waiting import expect, middle, picture_of, settled, until

# its tests share a page: on one process of two
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("report")]
DRAWN = "document.querySelectorAll('.figure:not([data-drawn])').length === 0"
VIEW = "document.querySelector('.figure3d')"
ROWS = "#crystal-table tbody tr"
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
TEXT = [(OPENING + "The space group number is", None), (" 225", 0.02), (". ", 1.0), (REQUEST, None),
        ("225", 0.99), ("\nNa", 0.5), (" 4a", 0.0001)]  # fmt: skip


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
        texts=lambda rows: {0: TEXT} if 0 in rows else {},
        nearest={0: Neighbour("~ KCl (mp-1)", "KCl, Fm-3m: of the same kind.", REFINED[0])},
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
    page.wait_for_selector(".figure3d[data-drawn] canvas", state="attached")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")  # charts are drawn when they are seen
    page.wait_for_function(DRAWN)
    page.evaluate("scrollTo(0, 0)")
    yield page, errors, requests
    context.close()


def pixels(shot):
    """(height, width, 3) the colours of a picture."""
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def test_all_plots_are_there_and_nothing_was_fetched(visit):
    page, errors, requests = visit
    expect(page.locator(".js-plotly-plot")).to_have_count(1 + 3 + 1)
    assert errors == []
    assert [r for r in requests if not r.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out_of_the_page(visit, scheme):
    page, errors, _ = visit
    page.emulate_media(color_scheme=scheme)
    assert faults(page) == [] == errors
    page.emulate_media(color_scheme="light")  # None would change nothing


def play_to(page, frame):
    """Move the slider to a frame of the crystal that is shown."""
    page.locator(".player .frame").fill(str(frame))
    until(lambda: page.evaluate("document.querySelector('.player .play').textContent"), "Play")


def test_before_and_after_refinement_differ_and_displacements_are_enlarged(visit):
    page, errors, _ = visit
    page.locator(ROWS).nth(0).click()
    page.wait_for_selector(".figure3d[data-drawn='0']")
    play_to(page, 1)
    after = page.locator(".figure3d")
    corner = f"Math.max(...{VIEW}.data[0].x.filter((x) => x !== null))"
    until(lambda: page.evaluate(corner), pytest.approx(max(corners(REFINED)), abs=1e-3))
    shot = picture_of(after)
    play_to(page, 0)
    until(lambda: page.evaluate(corner), pytest.approx(max(corners(PRIOR)), abs=1e-3))
    until(lambda: (np.abs(pixels(after.screenshot()) - pixels(shot)).sum(-1) > 60).mean() > 0.01)
    page.select_option(".player .enlarged", "5")
    wider = REFINED.lattices[0] + 5 * (PRIOR.lattices[0] - REFINED.lattices[0])
    most = max((np.array(list(np.ndindex(2, 2, 2))) @ wider)[:, 0])
    until(lambda: page.evaluate(corner), pytest.approx(most, abs=1e-3))
    page.select_option(".player .enlarged", "1")
    play_to(page, 1)
    assert errors == []


def corners(crystals):
    """x in Å of the corners of the first cell."""
    return (np.array(list(np.ndindex(2, 2, 2))) @ crystals.lattices[0])[:, 0]


def test_it_plays_from_the_prior_to_the_refined_crystal(visit):
    page, errors, _ = visit
    page.locator(ROWS).nth(0).click()
    page.wait_for_selector(".figure3d[data-drawn='0']")
    page.evaluate(
        "() => { window.seen = []; const says = document.querySelector('.player output');"
        "const note = () => window.seen.push(says.textContent);"
        "new MutationObserver(note).observe(says, {childList: true}); }"
    )
    button = page.locator(".player .play")
    button.click()
    until(lambda: page.evaluate("window.seen"), lambda seen: {"t = 0.00", "t = 1.00"} <= set(seen))
    button.click()
    expect(button).to_have_text("Play")
    assert errors == []


def test_facts_and_the_nearest_known_crystal_stand_beside(visit):
    page, errors, _ = visit
    page.locator(ROWS).nth(0).click()
    view = page.locator("#crystal-view")
    expect(view.locator(".facts")).to_contain_text("Fm-3m (225)")
    expect(view.locator(".beside")).to_contain_text("KCl, Fm-3m: of the same kind.")
    expect(view.locator(".beside svg circle").first).to_be_visible()
    page.locator(ROWS).nth(1).click()
    expect(view.locator(".beside")).to_be_hidden()
    page.locator(".strip button").nth(0).click()
    expect(view.locator("h3")).to_contain_text("a")
    assert errors == []


def test_the_text_stands_below_with_colours_by_surprise(visit):
    page, errors, _ = visit
    page.locator(ROWS).nth(0).click()
    until(
        lambda: page.locator(".tokens").inner_text(),
        "The space group number is 225. \n225\nNa 4a",
    )
    pieces = page.locator(".tokens span")
    read = "all => all.map((one) => [one.style.getPropertyValue('--surprise'), one.title])"
    until(
        lambda: pieces.evaluate_all(read),
        [["", ""], ["74%", "2.0 %"], ["0%", "100 %"], ["", ""], ["1%", "99 %"], ["38%", "50 %"],
         ["75%", "below 0.1 %"]],
    )  # fmt: skip
    page.locator(ROWS).nth(1).click()
    until(lambda: page.locator(".token-text").is_hidden(), True)
    assert errors == []


def test_paper_shows_all_charts_and_the_crystal_as_a_still(chromium, visit):
    page, errors, _ = visit
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector(".figure3d[data-drawn] canvas", state="attached")
    other.evaluate("dispatchEvent(new Event('beforeprint'))")
    other.wait_for_function(DRAWN)
    other.emulate_media(media="print")
    expect(other.locator("svg.print-only circle").first).to_be_visible()
    expect(other.locator(".figure3d")).to_be_hidden()
    other.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(other.locator("svg.print-only")).to_have_count(0)
    other.close()
    assert errors == []


def test_without_webgl_a_still_is_drawn(visit):
    page, _, _ = visit
    other = page.context.new_page()
    other.add_init_script(
        "HTMLCanvasElement.prototype.getContext = ((get) => function (kind, ...more) {"
        "return kind.startsWith('webgl') ? null : get.call(this, kind, ...more); })"
        "(HTMLCanvasElement.prototype.getContext)"
    )
    other.goto(page.url)
    expect(other.locator(".figure3d svg.still circle").first).to_be_visible()
    other.close()


def test_the_wheel_scrolls_and_zooms_only_with_ctrl(visit):
    page, errors, _ = visit
    zoom = f"{VIEW}._fullLayout.scene.aspectratio.x"
    view = page.locator(".figure3d")
    view.scroll_into_view_if_needed()
    start = settled(lambda: page.evaluate(zoom))
    page.mouse.move(*middle(view))
    before = settled(lambda: page.evaluate("scrollY"))
    page.mouse.wheel(0, 200)
    until(lambda: page.evaluate("scrollY"), lambda now: now > before)
    assert settled(lambda: page.evaluate(zoom)) == start
    page.keyboard.down("Control")
    view.hover()
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    until(lambda: page.evaluate(zoom), lambda now: now > start)
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


def test_arrow_keys_turn_the_view_and_plus_zooms(visit):
    page, errors, _ = visit
    eye = f"{VIEW}._fullLayout.scene._scene.getCamera().eye.x"
    zoom = f"{VIEW}._fullLayout.scene.aspectratio.x"
    view = page.locator(".figure3d")
    start, near = settled(lambda: page.evaluate(eye)), settled(lambda: page.evaluate(zoom))
    view.focus()
    page.keyboard.press("ArrowLeft")
    until(lambda: page.evaluate(eye), lambda now: abs(now - start) > 0.01)
    page.keyboard.press("+")
    until(lambda: page.evaluate(zoom), lambda now: now > near)
    assert errors == []


def test_the_table_sorts_filters_and_has_more_columns(visit):
    page, errors, _ = visit
    rows = page.locator(ROWS)
    heading = page.locator("#crystal-table th[data-column='formula']").get_by_role("button")
    heading.click()
    expect(rows.nth(0)).to_have_text(re.compile(r"^\s*b"))  # Cu before NaCl
    heading.press("Enter")
    expect(rows.nth(0)).to_have_text(re.compile(r"^\s*a"))
    page.locator("#crystal-filter").fill("nacl")
    expect(rows).to_have_count(1)
    page.locator("#crystal-filter").fill("")
    expect(rows).to_have_count(2)
    expect(page.locator("#crystal-table th[data-column='num_atoms']")).to_have_count(0)
    page.locator("#crystal-more").check()
    expect(page.locator("#crystal-table th[data-column='num_atoms']")).to_have_count(1)
    page.locator("#crystal-more").uncheck()
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
