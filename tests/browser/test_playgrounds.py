"""TorusPlayground and LatticePlayground in a real JupyterLab: drag, keys, training, sliders."""

import json
import re

import pytest

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
VALUE = "document.querySelector('[data-value={}]').textContent"
SAMPLES = "document.querySelector('[data-layer=samples]')?.getAttribute('d')"
TORUS_PANEL = ".flowllm:has(.torus)"
LATTICE_PANEL = ".flowllm:has(.widget-play)"


def value(nb, name: str) -> list[float]:
    """What the readout prints, as numbers."""
    text = nb.page.evaluate(VALUE.format(name)).replace("−", "-")
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


def prints_what_the_manifold_computes(nb) -> None:
    printed = value(nb, "log")
    for _ in range(50):  # the kernel hears of a move a tenth of a second later
        numbers = re.findall(r"-?\d+\.?[\de-]*", nb.run(LOG_IN_KERNEL))
        log, ends = [float(n) for n in numbers[:2]], [float(n) for n in numbers[2:]]
        if ends == pytest.approx([*value(nb, "x"), *value(nb, "y")], abs=1e-6):
            break
        nb.page.wait_for_timeout(100)
    assert printed == pytest.approx(log, abs=1e-4)


def step_shown(nb) -> int:
    text = nb.page.locator(TORUS_PANEL).inner_text()
    found = re.search(r"step (\d+) of", text)
    return int(found.group(1)) if found else -1


def loss_shown(nb) -> float:
    return float(re.search(r"loss (\d\.\d+)", nb.page.locator(TORUS_PANEL).inner_text()).group(1))


def test_the_torus_playground(open_notebook, picture, tmp_path):
    nb = open_notebook([TORUS], size=(1280, 1200))
    nb.run_all()
    page = nb.page
    page.wait_for_selector(".torus.geodesic .handle")
    prints_what_the_manifold_computes(nb)

    # ---- a point is dragged, out of the square too, and moved by keys
    handle = page.locator(".handle[data-point=y]")
    before = value(nb, "log")
    box = handle.locator("circle").last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y - 60, steps=4)
    live = value(nb, "log")
    page.mouse.up()
    assert live != before
    prints_what_the_manifold_computes(nb)
    side = page.locator(".torus .unit").bounding_box()["width"]
    page.mouse.move(x - 40, y - 60)
    page.mouse.down()
    page.mouse.move(x - 40 + side / 2, y - 60, steps=4)
    page.mouse.up()
    assert 0 <= value(nb, "y")[0] < 0.5  # it went over the right edge and came in on the left
    prints_what_the_manifold_computes(nb)

    handle.focus()
    start = value(nb, "y")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    end = value(nb, "y")
    assert (end[0] - start[0]) % 1 == pytest.approx(0.01, abs=1e-6)
    assert (end[1] - start[1]) % 1 == pytest.approx(0.1, abs=1e-6)
    assert "arrow keys move it" in handle.get_attribute("aria-label")
    assert handle.evaluate("node => node === document.activeElement")  # JupyterLab let it be
    prints_what_the_manifold_computes(nb)
    nb.run("view.x, view.y, view.t = [0.9, 0.9], [0.2, 0.2], 0.0")
    nb.wait(f"{VALUE.format('log')} === '(0.3000, 0.3000)'")
    assert page.evaluate(VALUE.format("edges")) == "right and top"
    assert value(nb, "length")[0] < value(nb, "straight")[0]
    slider = page.locator(".torus.geodesic input[type=range]")
    slider.focus()
    page.keyboard.press("End")
    assert value(nb, "point") == pytest.approx([0.2, 0.2])

    # ---- samples move with t, layers come and go
    page.get_by_role("button", name="2 · Paths").click()
    nb.wait("document.querySelector('[data-layer=marginal]')")
    slider = page.locator(".torus.flow input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    first = page.evaluate(SAMPLES)
    page.keyboard.press("End")
    assert page.evaluate(SAMPLES) != first and first.count("M") > 100
    shown = "getComputedStyle(document.querySelector('[data-layer=marginal]')).display !== 'none'"
    assert not page.evaluate(shown)
    page.get_by_role("button", name="All pairs").click()
    nb.wait(shown)
    page.locator("[data-toggles=marginal]").focus()
    page.keyboard.press("Space")
    nb.wait(f"!({shown})")

    # ---- training lowers the loss, Pause stops it
    page.get_by_role("button", name="3 · Training").click()
    nb.wait("document.querySelector('[data-layer=exact]')")
    start_button = page.locator(f"{TORUS_PANEL} .widget-button.mod-primary")
    untrained = page.evaluate(SAMPLES)
    start_button.click()
    nb.wait("/loss 0\\.\\d+/.test(document.querySelector('.flowllm').innerText)")
    early = loss_shown(nb)
    text = "document.querySelector('.flowllm').innerText"
    nb.wait(f"Number({text}.match(/step (\\d+) of/)[1]) > 500")
    page.get_by_role("button", name="Pause").click()
    nb.wait("document.querySelector('.flowllm').innerText.includes('after it')")
    paused = step_shown(nb)
    assert 500 < paused < 2000 and loss_shown(nb) < early
    page.wait_for_timeout(700)
    assert step_shown(nb) == paused
    assert page.evaluate(SAMPLES) != untrained
    nb.wait("document.querySelectorAll('.js-plotly-plot .scatterlayer path.js-line').length === 3")
    generated = page.evaluate(SAMPLES)
    nb.run("playground.training.view.t = 0.45")
    nb.wait(f"{SAMPLES} !== {json.dumps(generated)}")
    nb.shot(TORUS_PANEL, picture("torus_playground.png"))
    halfway = page.evaluate(SAMPLES)
    page.get_by_role("button", name="Play").click()
    nb.wait(f"{SAMPLES} !== {json.dumps(halfway)}")

    # ---- without the wrap: numbers of both
    nb.run("import flowllm_widgets.torus.training as module; module.STEPS = 120")
    page.get_by_role("button", name="4 · Without").click()
    nb.wait("document.querySelector('.flowllm').innerText.includes('step 0 of 120')")
    start_button.click()
    nb.wait("document.querySelector('.torus-numbers')")
    row = page.locator(".torus-numbers tr", has_text="mean squared path length").inner_text()
    with_wrap, without = (float(number) for number in re.findall(r"\d\.\d{3}", row))
    assert without > 1.5 * with_wrap
    assert page.locator(".torus.flow figure").count() == 2
    table, panel = (page.locator(s).bounding_box() for s in (".torus-numbers", TORUS_PANEL))
    assert table["x"] + table["width"] <= panel["x"] + panel["width"] + 1
    assert page.locator("[data-layer='straight samples']").count() == 1
    nb.shot(TORUS_PANEL, tmp_path / "torus_without_wrap.png")
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
    cell = page.evaluate(corner)
    field = page.locator(f"{LATTICE_PANEL} input[type=number]").nth(5)
    field.fill("75")
    field.press("Enter")
    nb.wait(f"{mark} === 75")
    nb.wait(f"{corner} !== {json.dumps(cell)}")
    handle = page.locator(f"{LATTICE_PANEL} .noUi-handle").nth(5)
    handle.focus()
    page.keyboard.press("ArrowRight")
    nb.wait(f"{mark} === 75.5")

    before = page.evaluate(moving)
    picture_before = nb.shot(f"{LATTICE_PANEL} .js-plotly-plot")
    nb.run("lattice.t.value = 1.0")
    nb.wait(f"{moving} !== {json.dumps(before)}")
    page.wait_for_timeout(500)
    assert nb.shot(f"{LATTICE_PANEL} .js-plotly-plot") != picture_before

    page.get_by_role("checkbox", name="show the formula as printed").check()
    nb.wait(f"document.querySelector('{LATTICE_PANEL}').innerText.includes('as printed')")
    nb.wait(f"{plots}[1]._fullData.filter((t) => t.name === 'as printed' && t.visible).length > 5")
    nb.run("lattice.t.value = 0.5")
    page.wait_for_timeout(800)
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
    light = """(node) => {
      const [r, g, b] = getComputedStyle(node).color.match(/[0-9.]+/g).map(Number);
      return (r + g + b) / 3;
    }"""
    for selector in (".torus .value", ".torus .symbol", ".torus-text", ".lattice-numbers td"):
        assert nb.page.locator(selector).first.evaluate(light) > 120, selector
    axis = nb.page.locator(f"{LATTICE_PANEL} .xtick text").first
    assert axis.evaluate(light.replace(".color", ".fill")) > 120
    nb.shot(TORUS_PANEL, tmp_path / "torus_dark.png")
    nb.shot(LATTICE_PANEL, tmp_path / "lattice_dark.png")
    assert nb.said == []
