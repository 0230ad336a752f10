"""The prompt playground in a real JupyterLab, with the weights that ship with the package."""

from __future__ import annotations

import io

import pytest
from PIL import Image

pytestmark = pytest.mark.browser

CELL = """
from types import SimpleNamespace
from flowllm import FlowLLM
from flowllm_widgets import PromptPlayground

play = PromptPlayground(FlowLLM.from_pretrained(), num=2)
play
"""
TOKENS = ".flowllm-tokens .token"
TIP = ".flowllm-token-tip"
GENERATE = '.flowllm button:has-text("Generate")'
# how many tokens stand on the page, at each of its frames, until Generate can be pressed again
WATCH = """async () => {
  const count = () => document.querySelectorAll('.flowllm-tokens .token').length;
  const button = [...document.querySelectorAll('.flowllm button')]
    .find((b) => b.textContent.includes('Generate'));
  button.click();
  const counts = [];
  const end = performance.now() + 60000;
  do {
    await new Promise((next) => setTimeout(next, 20));
    if (counts.at(-1) !== count()) counts.push(count());
  } while (performance.now() < end && (button.disabled || counts.length < 2));
  return counts;
}"""


@pytest.fixture
def lab(open_notebook):
    opened = open_notebook([CELL], size=(1280, 1700))
    opened.run_all()
    opened.page.wait_for_selector(GENERATE)
    return opened


def button(page, name):
    return page.locator(f'.flowllm button:has-text("{name}")')


def say(lab, expression, timeout=60):
    return lab.run(f"print({expression})", timeout)


def wait_until_painted(lab, place):
    """Wait until one of the two pictures of a crystal holds more than a background."""
    view = lab.page.locator(".flowllm .flowllm-heading").nth(place)
    box = view.locator("xpath=ancestor::*[contains(@class,'widget-vbox')][1]")
    for _ in range(100):
        image = Image.open(io.BytesIO(box.screenshot())).convert("RGB")
        width, height = image.size
        middle = image.crop((width // 4, height // 4, 3 * width // 4, 3 * height // 4))
        if len(middle.getcolors(1_000_000)) > 100:
            return
        lab.page.wait_for_timeout(200)
    raise AssertionError(f"picture {place} stayed empty")


def test_the_playground_in_jupyterlab(lab, picture):
    page = lab.page

    # a crystal, token by token
    counts = page.evaluate(WATCH)
    assert counts[-1] > 15 and len([n for n in counts if 0 < n < counts[-1]]) > 1
    lab.until("play.state", "finished")
    assert say(lab, "play.message.text") == ""
    assert say(lab, "len(play.crystals), play.crystals.ids[0]") == "2 c000000"
    shown = page.locator(f"{TOKENS}:not(.end)").all_inner_texts()
    tokens = "play.tries[-1].samples[0].tokens"
    written = say(lab, f"*[t.text.strip() for t in {tokens} if t.text[0] != '<']")
    assert " ".join(shown) == written
    for place in (0, 1):
        wait_until_painted(lab, place)
    formula = say(lab, "play.crystals.formulas[0]")
    assert page.locator(f".flowllm-caption b:has-text('{formula}')").count() == 2

    # what else could have stood there, by mouse and by keys
    tip = page.locator(TIP)
    assert not tip.is_visible()
    page.locator(TOKENS).first.hover()
    assert tip.is_visible() and tip.locator(".word").count() > 1 and "%" in tip.inner_text()
    first = tip.inner_text()
    page.mouse.move(2, 2)
    assert not tip.is_visible()
    page.locator(f"{TOKENS}[tabindex='0']").focus()
    assert tip.is_visible() and tip.inner_text() == first
    page.keyboard.press("ArrowRight")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert tip.inner_text() != first and "by the model itself" in label
    assert page.locator(f"{TOKENS}[tabindex='0']").count() == 1
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.classList.contains('end')")
    page.keyboard.press("Escape")
    assert not tip.is_visible()

    # the next sample, and the one before by the keys of the menu
    button(page, "Next").click()
    lab.until("play.result.chosen.value == 1")
    page.get_by_label("Sample", exact=True).focus()
    page.keyboard.press("ArrowUp")
    lab.until("play.result.chosen.value == 0")
    page.keyboard.press("ArrowDown")
    lab.until("play.result.chosen.value == 1")
    page.wait_for_timeout(500)
    assert len(page.locator(TOKENS).all()) == int(say(lab, "len(play.result.sample.tokens)"))

    # what is wrong stands beside its field, and Generate waits
    page.get_by_label("Formula", exact=True).fill("SrXx3")
    note = page.locator(".flowllm-message.error:has-text(\"unknown element 'Xx'\")")
    note.wait_for()
    field = page.get_by_label("Formula", exact=True).bounding_box()
    beside = note.bounding_box()
    assert beside["x"] >= field["x"] + field["width"] - 1
    assert abs(beside["y"] + beside["height"] / 2 - field["y"] - field["height"] / 2) < 12
    assert page.locator(GENERATE).is_disabled()
    page.get_by_label("Formula", exact=True).fill("SrTiO3")
    note.wait_for(state="detached")
    page.wait_for_selector(f"{GENERATE}:enabled")
    assert "The chemical formula is SrTiO3." in page.get_by_label("Prompt").input_value()
    text = page.get_by_label("Prompt")
    text.fill(text.input_value().replace("SrTiO3", "CaTiO3"))
    lab.wait(
        """() => [...document.querySelectorAll('.flowllm input')]
             .some((input) => input.value === 'CaTiO3')"""
    )

    # Cancel
    say(lab, "setattr(play.settings.num, 'value', 32)")
    page.locator(GENERATE).click()
    page.locator(TOKENS).first.wait_for()
    lab.wait("() => document.querySelectorAll('.flowllm-tokens .token').length > 2")
    button(page, "Cancel").first.click()
    before = page.locator(TOKENS).count()
    page.wait_for_selector(f"{GENERATE}:enabled", timeout=10_000)
    lab.until("play.state", "cancelled")
    page.wait_for_timeout(2000)
    after = page.locator(TOKENS).count()
    assert after - before < 40 and say(lab, "len(play.crystals)") == "0"
    page.wait_for_timeout(500)
    assert page.locator(TOKENS).count() == after

    # history: the first try again, by keys
    rows = page.locator(".flowllm-history tbody tr")
    assert rows.count() == 2
    rows.nth(1).focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    lab.until("play.settings.num.value == 2")
    assert page.get_by_label("Formula", exact=True).input_value() == ""
    assert rows.nth(0).get_attribute("aria-selected") == "true"
    lab.until("play.crystals.formulas[0]", formula)
    page.wait_for_timeout(500)
    assert " ".join(page.locator(f"{TOKENS}:not(.end)").all_inner_texts()) == written

    # a sweep fills its chart
    say(lab, "[setattr(play.sweep.count, 'value', 5), setattr(play.sweep.num, 'value', 6)]")
    button(page, "Start").click()
    drawn = "document.querySelectorAll('.flowllm .scatterlayer .trace:first-child .point').length"
    lab.wait(f"() => {drawn} > 0")
    few = page.evaluate(drawn)
    lab.until("play.sweep.message.text.startswith('Done')")
    lab.wait(f"() => {drawn} >= 10")  # two lines of five points
    assert page.evaluate(drawn) > few
    widths = (
        "[...document.querySelectorAll('.flowllm .js-plotly-plot')].map((plot) => "
        "plot.clientWidth - plot.querySelector('.main-svg').clientWidth)"
    )
    lab.wait(f"() => {widths}.at(-1) === 0")  # the chart fills its place

    # a model that fails says so, and can be asked again
    say(lab, "setattr(play, '_model', SimpleNamespace(generate=lambda **_: 1 / 0))")
    page.locator(GENERATE).click()
    page.locator(".flowllm-message.error:has-text('ZeroDivisionError')").wait_for()
    page.wait_for_selector(f"{GENERATE}:enabled")
    lab.until("play.state", "failed")
    say(lab, "setattr(play, '_model', play.sweep._model)")

    # as it looks, in both themes
    say(lab, "[setattr(play.settings.num, 'value', 4), setattr(play, 'prompt', play.prompt)]")
    page.locator(GENERATE).click()
    lab.until("play.state == 'finished'")
    page.set_viewport_size({"width": 1280, "height": 2100})  # all of it at once
    page.wait_for_timeout(2000)
    page.locator(".flowllm-tokens .crystal .token").nth(2).hover()
    lab.shot(".jp-OutputArea-output .flowllm", picture("prompt_playground.png"))
    page.mouse.move(2, 2)
    lab.theme("JupyterLab Dark")
    page.wait_for_timeout(1500)
    page.locator(".flowllm-tokens .crystal .token").nth(2).hover()
    lab.shot(".jp-OutputArea-output .flowllm", picture("prompt_playground_dark.png"))
    ground = page.evaluate(
        f"getComputedStyle(document.querySelector('{TIP}')).backgroundColor.match(/\\d+/g)[0]"
    )
    assert int(ground) < 100
    assert lab.said == []
