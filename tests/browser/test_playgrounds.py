"""TorusPlayground and LatticePlayground in a real JupyterLab: drag, keys, training, sliders."""

import json
import re

import pytest

from tests.browser.waiting import box, brightness, expect, middle, picture_of, settled, until

pytestmark = pytest.mark.browser

TORUS = """from flowllm_widgets import TorusPlayground
playground = TorusPlayground()
playground"""
LATTICE = """from flowllm_widgets import LatticePlayground
lattice = LatticePlayground()
lattice"""
LOG_IN_KERNEL = """import torch; from flowllm.manifolds import FlatTorus
view = playground.geodesic.view
x, y = (torch.tensor(p, dtype=torch.float64) for p in (view.x, view.y))
print(FlatTorus().logmap(x, y).tolist(), view.x, view.y)"""
SAMPLES = "document.querySelector('[data-layer=samples]')?.getAttribute('d')"
TORUS_PANEL = ".flowllm:has(.torus)"
LATTICE_PANEL = ".flowllm:has(.widget-play)"
STEP, LOSS = r"step (\d+) of", r"loss (\d\.\d+)"


def value(nb, name: str) -> list[float]:
    """What the readout prints, as numbers."""
    text = nb.page.locator(f"[data-value={name}]").inner_text().replace("−", "-")
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


def status(nb, pattern: str) -> float:
    """The number that the line under the buttons gives; -1 where it gives none."""
    found = re.search(pattern, nb.page.locator(TORUS_PANEL).inner_text())
    return float(found.group(1)) if found else -1.0


def prints_what_the_manifold_computes(nb) -> None:
    """The kernel hears of a move a tenth of a second later, on a busy machine much later."""

    def difference() -> tuple[float, float]:  # of the logarithm, of the points
        numbers = [float(n) for n in re.findall(r"-?\d+\.?[\de-]*", nb.run(LOG_IN_KERNEL))]
        printed = [*value(nb, "log"), *value(nb, "x"), *value(nb, "y")]
        each = [abs(one - other) for one, other in zip(printed, numbers, strict=True)]
        return max(each[:2]), max(each[2:])

    until(difference, lambda pair: pair[0] < 1e-4 and pair[1] < 1e-6)


def is_light(locator, kind: str = "color") -> None:
    until(lambda: brightness(locator, kind), lambda light: light > 120)


def test_the_torus_playground(open_notebook, picture, tmp_path):
    nb = open_notebook([TORUS], size=(1280, 1200))
    nb.run_all()
    page = nb.page
    page.wait_for_selector(".torus.geodesic .handle")
    prints_what_the_manifold_computes(nb)

    # ---- a point is dragged, out of the square too, and moved by keys
    handle = page.locator(".handle[data-point=y]")
    before = settled(lambda: value(nb, "log"))
    x, y = middle(handle.locator("circle").last)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y - 60, steps=4)
    until(lambda: value(nb, "log"), lambda live: live != before)
    page.mouse.up()
    prints_what_the_manifold_computes(nb)
    side = box(page.locator(".torus .unit"))["width"]
    page.mouse.move(x - 40, y - 60)
    page.mouse.down()
    page.mouse.move(x - 40 + side / 2, y - 60, steps=4)
    page.mouse.up()
    # it went over the right edge and came in on the left
    until(lambda: value(nb, "y"), lambda end: 0 <= end[0] < 0.5)
    prints_what_the_manifold_computes(nb)

    handle.focus()
    start = settled(lambda: value(nb, "y"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    until(
        lambda: [(new - old) % 1 for new, old in zip(value(nb, "y"), start, strict=True)],
        pytest.approx([0.01, 0.1], abs=1e-6),
    )
    expect(handle).to_have_attribute("aria-label", re.compile("arrow keys move it"))
    expect(handle).to_be_focused()  # JupyterLab let it be
    prints_what_the_manifold_computes(nb)
    nb.run("view.x, view.y, view.t = [0.9, 0.9], [0.2, 0.2], 0.0")
    expect(page.locator("[data-value=log]")).to_have_text("(0.3000, 0.3000)")
    expect(page.locator("[data-value=edges]")).to_have_text("right and top")
    tasks = page.locator(".torus-tasks")
    expect(tasks).to_contain_text("both cross an edge")
    expect(tasks).to_contain_text(re.compile(r"[1-4] of 4 done"))
    until(lambda: value(nb, "length")[0] < value(nb, "straight")[0])
    page.locator(".torus.geodesic input[type=range]").focus()
    page.keyboard.press("End")
    until(lambda: value(nb, "point"), pytest.approx([0.2, 0.2]))

    # ---- samples move with t, layers come and go
    page.get_by_role("button", name="2 · Paths").click()
    nb.wait("document.querySelector('[data-layer=marginal]')")
    page.locator(".torus.flow input[type=range]").focus()
    page.keyboard.press("Home")
    expect(page.locator(".torus.flow output")).to_have_text("0.00")
    first = settled(lambda: page.evaluate(SAMPLES))
    page.keyboard.press("End")
    nb.wait(f"{SAMPLES} !== {json.dumps(first)}")
    assert first.count("M") > 100
    shown = "getComputedStyle(document.querySelector('[data-layer=marginal]')).display !== 'none'"
    nb.wait(f"!({shown})")
    page.get_by_role("button", name="All pairs").click()
    nb.wait(shown)
    page.locator("[data-toggles=marginal]").focus()
    page.keyboard.press("Space")
    nb.wait(f"!({shown})")

    # ---- training lowers the loss, Pause stops it
    nb.run("import flowllm_widgets.torus.training as module; module.STEPS = 50_000")
    page.get_by_role("button", name="3 · Training").click()
    nb.wait("document.querySelector('[data-layer=exact]')")
    until(lambda: status(nb, STEP), 0)
    start_button = page.locator(f"{TORUS_PANEL} .widget-button.mod-primary")
    untrained = settled(lambda: page.evaluate(SAMPLES))
    start_button.click()
    until(lambda: status(nb, STEP), lambda step: step > 500)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(TORUS_PANEL)).to_contain_text("after it")
    paused = settled(lambda: (status(nb, STEP), status(nb, LOSS)), still=1.0)
    nb.until("len(playground.training.learners[0].losses)", int(paused[0]))
    early = float(nb.run("print(sum(playground.training.learners[0].losses[:20]) / 20)"))
    assert 500 < paused[0] < 50_000 and 0 < paused[1] < early
    nb.wait(f"{SAMPLES} !== {json.dumps(untrained)}")
    nb.wait("document.querySelectorAll('.js-plotly-plot .scatterlayer path.js-line').length === 3")
    generated = settled(lambda: page.evaluate(SAMPLES))
    nb.run("playground.training.view.t = 0.45")
    nb.wait(f"{SAMPLES} !== {json.dumps(generated)}")
    nb.shot(TORUS_PANEL, picture("torus_playground.png"))
    halfway = settled(lambda: page.evaluate(SAMPLES))
    page.get_by_role("button", name="Play").click()
    nb.wait(f"{SAMPLES} !== {json.dumps(halfway)}")

    # ---- without the wrap: numbers of both
    nb.run("module.STEPS = 120")
    page.get_by_role("button", name="4 · Without").click()
    expect(page.locator(TORUS_PANEL)).to_contain_text("step 0 of 120")
    start_button.click()
    row = page.locator(".torus-numbers tr", has_text="mean squared path length")
    numbers = until(
        lambda: re.findall(r"\d\.\d{3}", row.inner_text()), lambda found: len(found) == 2
    )
    with_wrap, without = map(float, numbers)
    assert without > 1.5 * with_wrap
    expect(page.locator(".torus.flow figure")).to_have_count(2)
    table, panel = (box(page.locator(s)) for s in (".torus-numbers", TORUS_PANEL))
    assert table["x"] + table["width"] <= panel["x"] + panel["width"] + 1
    expect(page.locator("[data-layer='straight samples']")).to_have_count(1)
    nb.shot(TORUS_PANEL, tmp_path / "torus_without_wrap.png")

    # ---- diffusion beside the flow, and the wrapped normal
    page.get_by_role("button", name="5 · Diffusion").click()
    expect(page.locator(TORUS_PANEL)).to_contain_text("The diffusion evaluated the score 40 times")
    expect(page.locator(".torus.flow figure")).to_have_count(2)
    nb.wait("document.querySelectorAll('.js-plotly-plot .scatterlayer path.js-line').length === 2")
    nb.run("playground.diffusion.view.t = 0.6")
    nb.shot(TORUS_PANEL, picture("torus_diffusion.png"))
    page.get_by_role("button", name="Forward, to noise").click()
    expect(page.locator(".torus.flow figure")).to_have_count(1)
    assert nb.said == []


def test_the_lattice_playground(open_notebook, picture):
    nb = open_notebook([LATTICE], size=(1280, 1300))
    nb.run_all()
    page = nb.page
    nb.wait(f"document.querySelectorAll('{LATTICE_PANEL} .js-plotly-plot').length === 2")
    nb.wait(f"document.querySelector('{LATTICE_PANEL} canvas')")
    plots = f"document.querySelectorAll('{LATTICE_PANEL} .js-plotly-plot')"
    mark = f"{plots}[1]._fullData[1].x[0]"  # where flowmm's curve is marked for the start
    corner = f"JSON.stringify([...{plots}[0]._fullData[0].x])"  # the start's cell
    moving = f"JSON.stringify([...{plots}[0]._fullData[4].x])"  # that of log-matrix

    nb.wait(f"{mark} === 104")
    nb.wait(f"""[...{plots}].every((plot) =>
        Math.abs(plot.querySelector('.main-svg').clientWidth - plot.clientWidth) < 2)""")
    cell = settled(lambda: page.evaluate(corner))
    field = page.locator(f"{LATTICE_PANEL} input[type=number]").nth(5)
    field.fill("75")
    field.press("Enter")
    nb.wait(f"{mark} === 75")
    nb.wait(f"{corner} !== {json.dumps(cell)}")
    handle = page.locator(f"{LATTICE_PANEL} .noUi-handle").nth(5)
    handle.focus()
    page.keyboard.press("ArrowRight")
    nb.wait(f"{mark} === 75.5")

    # the wheel is the page's until the view is clicked
    kept = f"""() => {{
      const wheel = new WheelEvent('wheel', {{ deltaY: 50, bubbles: true, cancelable: true }});
      return !{plots}[0].querySelector('canvas').dispatchEvent(wheel);
    }}"""
    until(lambda: page.evaluate(kept), False)
    off_the_legend = {"x": 12, "y": 300}
    page.locator(f"{LATTICE_PANEL} canvas").first.click(position=off_the_legend)
    until(lambda: page.evaluate(kept), True)
    field.click()
    until(lambda: page.evaluate(kept), False)

    before = settled(lambda: page.evaluate(moving))
    cells = page.locator(f"{LATTICE_PANEL} .js-plotly-plot").first
    drawn = picture_of(cells)
    nb.run("lattice.t.value = 1.0")
    nb.wait(f"{moving} !== {json.dumps(before)}")
    until(lambda: cells.screenshot() != drawn)

    page.get_by_role("checkbox", name="show the formula as printed").check()
    expect(page.locator(f"{LATTICE_PANEL} .lattice-numbers")).to_contain_text("as printed")
    nb.wait(f"{plots}[1]._fullData.filter((t) => t.name === 'as printed' && t.visible).length > 5")
    nb.run("lattice.t.value = 0.5")
    nb.wait(f"{plots}[1]._fullLayout.shapes.at(-1).x0 === 0.5")
    nb.shot(LATTICE_PANEL, picture("lattice_playground.png"))

    field.fill("150")
    field.press("Enter")
    nb.run("lattice.start.sliders[3].value = 45")
    nb.wait("document.querySelector('[role=alert]')?.innerText.includes('must be below')")
    nb.wait(f"{plots}[0]._fullData[0].visible === false")
    assert nb.said == []


def test_both_are_readable_in_a_dark_theme(open_notebook, tmp_path):
    nb = open_notebook([TORUS, LATTICE], dark=True, size=(1280, 1300))
    nb.run_all()
    nb.page.wait_for_selector(".torus.geodesic .handle")
    nb.wait(f"document.querySelectorAll('{LATTICE_PANEL} .js-plotly-plot').length === 2")
    for selector in (
        ".torus .value",
        ".torus .symbol",
        ".torus-text",
        ".torus-tasks li",
        ".lattice-numbers td",
    ):
        is_light(nb.page.locator(selector).first)
    is_light(nb.page.locator(f"{LATTICE_PANEL} .xtick text").first, "fill")
    nb.shot(TORUS_PANEL, tmp_path / "torus_dark.png")
    nb.shot(LATTICE_PANEL, tmp_path / "lattice_dark.png")
    assert nb.said == []
