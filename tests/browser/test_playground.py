"""The prompt playground in a real JupyterLab, with the weights that ship with the package."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from tests.browser.waiting import box, brightness, expect, settled, until

pytestmark = pytest.mark.browser

CELL = """
from types import SimpleNamespace
from flowllm import FlowLLM
from flowllm_widgets import PromptPlayground

play = PromptPlayground(FlowLLM.from_pretrained("mp20-compact"), num=2)
play
"""
TOKENS = ".flowllm-tokens .token"
TIP = ".flowllm-token-tip"
GENERATE = '.flowllm button:has-text("Generate")'
# how many tokens stand on the page, each time that it changes
WATCH = """() => {
  window.counts = [];
  const count = () => document.querySelectorAll('.flowllm-tokens .token').length;
  const note = () => window.counts.at(-1) !== count() && window.counts.push(count());
  new MutationObserver(note).observe(document.querySelector('.flowllm-tokens'),
    { subtree: true, childList: true });
}"""
TEXTS = f"[...document.querySelectorAll('{TOKENS}:not(.end)')].map((e) => e.innerText).join(' ')"
# how many tokens the sample had when the kernel heard of Cancel
NOTE = """
heard = []
play.cancel.on_click(lambda _: heard.append(len(play.tries[-1].samples[0].tokens)))
"""
# the default model draws a crystal faster than a page is painted
SLOWLY = """
import time
from flowllm import FlowLLM

def slowly(self, *given, stream=FlowLLM.stream, **options):
    for event in stream(self, *given, **options):
        time.sleep(0.1)
        yield event

FlowLLM.stream = slowly
"""


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


def is_painted(picture):
    """Whether a picture holds more than a background."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    width, height = image.size
    middle = image.crop((width // 4, height // 4, 3 * width // 4, 3 * height // 4))
    return len(middle.getcolors(1_000_000)) > 100


def gap(one, other):
    """Pixels between two boxes, one above the other."""
    return max(one["y"], other["y"]) - min(one["y"] + one["height"], other["y"] + other["height"])


def point_at(page, locator):
    """Move the pointer to an element that rests in sight: while it scrolls, tips are hidden."""
    locator.scroll_into_view_if_needed()
    box(locator)
    locator.hover()


def test_the_playground_in_jupyterlab(lab, picture):
    page = lab.page
    tokens = page.locator(TOKENS)

    # a crystal, token by token
    page.evaluate(WATCH)
    page.locator(GENERATE).click()
    lab.until("play.state", "finished")
    lab.until("len(play.crystals), play.crystals.ids[0]", "2 c000000")
    lab.until("play.message.text", "")
    drawn = "play.tries[-1].samples[0].tokens"
    written = say(lab, f"*[t.text.strip() for t in {drawn} if t.text[0] != '<']")
    until(lambda: page.evaluate(TEXTS), written)
    counts = settled(lambda: page.evaluate("window.counts"))
    assert counts[-1] > 15 and len([n for n in counts if 0 < n < counts[-1]]) > 1
    for place in (0, 1):  # both pictures
        heading = page.locator(".flowllm .flowllm-heading").nth(place)
        view = heading.locator("xpath=ancestor::*[contains(@class,'widget-vbox')][1]")
        until(lambda view=view: is_painted(view.screenshot()))
    formula = say(lab, "play.crystals.formulas[0]")
    expect(page.locator(f".flowllm-caption b:has-text('{formula}')")).to_have_count(2)

    # what else could have stood there, by mouse and by keys
    tip = page.locator(TIP)
    expect(tip).to_be_hidden()
    point_at(page, tokens.first)
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("%")
    until(lambda: tip.locator(".word").count() > 1)
    first = settled(tip.inner_text)
    page.mouse.move(2, 2)
    expect(tip).to_be_hidden()
    page.locator(f"{TOKENS}[tabindex='0']").focus()
    expect(tip).to_be_visible()
    until(tip.inner_text, first)
    page.keyboard.press("ArrowRight")
    expect(page.locator(f"{TOKENS}:focus")).to_have_attribute(
        "aria-label", re.compile("by the model itself")
    )
    until(lambda: tip.inner_text() != first)
    expect(page.locator(f"{TOKENS}[tabindex='0']")).to_have_count(1)
    page.keyboard.press("End")
    expect(page.locator(f"{TOKENS}.end:focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()

    # keys that lead to a token out of sight scroll to it, and show its tip there
    page.set_viewport_size({"width": 1280, "height": 600})
    heading = page.locator(".flowllm .flowllm-heading").last
    heading.scroll_into_view_if_needed()
    until(lambda: box(tokens.first)["y"] < 0)
    page.locator(f"{TOKENS}[tabindex='0']").evaluate("(e) => e.focus({ preventScroll: true })")
    page.keyboard.press("Home")
    until(lambda: 0 <= box(tokens.first)["y"] < 600)
    until(lambda: -1 <= gap(box(tip), box(tokens.first)) < 10)
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1280, "height": 1700})

    # a slider and its number have names
    expect(page.get_by_role("slider", name="Integration steps", exact=True)).to_have_count(1)
    number = page.get_by_role("textbox", name="Integration steps, as a number")
    expect(number).to_have_count(1)
    # and are one stop of the Tab key: Enter goes to the number and, with it, back
    handle = page.get_by_role("slider", name="Integration steps", exact=True)
    handle.focus()
    before = settled(lambda: number.inner_text())
    page.keyboard.press("Enter")
    expect(number).to_be_focused()
    page.keyboard.type("17")
    page.keyboard.press("Enter")
    expect(handle).to_be_focused()
    lab.until("play.settings.steps.value", 17)
    page.keyboard.press("Enter")
    page.keyboard.type("9")
    page.keyboard.press("Escape")
    expect(handle).to_be_focused()
    lab.until("play.settings.steps.value", 17)
    page.keyboard.press("Tab")
    expect(number).not_to_be_focused()
    handle.focus()
    page.keyboard.press("Enter")
    page.keyboard.type(before)
    page.keyboard.press("Enter")
    lab.until("play.settings.steps.value", before)

    # the periodic table is unfolded without a mouse
    fold = page.get_by_role("button", name="Choose elements in the periodic table")
    expect(fold).to_have_attribute("aria-expanded", "false")
    fold.press("Enter")
    expect(fold).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("button", name="Fe, 26", exact=True)).to_be_visible()
    fold.press("Space")
    expect(fold).to_have_attribute("aria-expanded", "false")

    # the next sample, and the one before by the keys of the menu
    button(page, "Next").click()
    lab.until("play.result.chosen.value == 1")
    page.get_by_label("Sample", exact=True).focus()
    page.keyboard.press("ArrowUp")
    lab.until("play.result.chosen.value == 0")
    page.keyboard.press("ArrowDown")
    lab.until("play.result.chosen.value == 1")
    until(tokens.count, int(say(lab, "len(play.tries[-1].samples[1].tokens)")))

    # what is wrong stands beside its field, and Generate waits
    field = page.get_by_label("Formula", exact=True)
    field.fill("SrXx3")
    note = page.locator(".flowllm-message.error:has-text(\"unknown element 'Xx'\")")
    place, below = box(field), box(note)
    assert -2 <= below["y"] - place["y"] - place["height"] < 20
    assert below["x"] < place["x"] + place["width"]
    expect(page.locator(GENERATE)).to_be_disabled()
    field.fill("SrTiO3")
    expect(note).to_have_count(0)
    expect(page.locator(GENERATE)).to_be_enabled()
    text = page.get_by_label("Prompt")
    expect(text).to_have_value(re.compile(r"The chemical formula is SrTiO3\."))
    text.fill(settled(text.input_value).replace("SrTiO3", "CaTiO3"))
    expect(field).to_have_value("CaTiO3")

    # Cancel
    lab.run(NOTE)
    say(lab, "setattr(play.settings.num, 'value', 32)")
    page.locator(GENERATE).click()
    lab.until("len(play.tries)", 2)
    lab.until("len(play.tries[1].samples[0].tokens) > 2")
    button(page, "Cancel").first.click()
    expect(page.locator(GENERATE)).to_be_enabled()
    lab.until("play.state", "cancelled")
    counted = "len(play.tries[1].samples[0].tokens)"
    left = settled(lambda: (say(lab, counted), str(tokens.count())), still=2.0)
    assert left[0] == left[1] and int(left[0]) - int(say(lab, "heard[0]")) < 40
    lab.until("len(play.crystals)", 0)

    # history: the first try again, by keys
    rows = page.locator(".flowllm-history tbody tr")
    expect(rows).to_have_count(2)
    rows.nth(1).focus()
    page.keyboard.press("ArrowUp")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("Enter")
    lab.until("play.settings.num.value == 2")
    expect(field).to_have_value("")
    expect(rows.nth(0)).to_have_attribute("aria-selected", "true")
    lab.until("play.crystals.formulas[0]", formula)
    until(lambda: page.evaluate(TEXTS), written)

    # a sweep fills its chart
    say(lab, "[setattr(play.sweep.count, 'value', 5), setattr(play.sweep.num, 'value', 6)]")
    button(page, "Start").click()
    drawn = "document.querySelectorAll('.flowllm .scatterlayer .trace:first-child .point').length"
    few = lab.wait(drawn)
    lab.until("play.sweep.message.text.startswith('Done')")
    assert lab.wait(f"{drawn} >= 10 && {drawn}") > few  # two lines of five points
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
    for theme, name in (("Light", ""), ("Dark", "_dark")):
        lab.theme(f"JupyterLab {theme}")
        point_at(page, page.locator(".flowllm-tokens .crystal .token").nth(2))
        expect(tip).to_be_visible()
        lab.shot(".jp-OutputArea-output .flowllm", picture(f"prompt_playground{name}.png"))
        page.mouse.move(2, 2)
        expect(tip).to_be_hidden()
    point_at(page, page.locator(".flowllm-tokens .crystal .token").nth(2))
    until(lambda: brightness(tip, "backgroundColor") < 100)
    assert lab.said == []


def test_the_playground_opens_with_the_default_model(open_notebook):
    lab = open_notebook([SLOWLY, CELL.replace('"mp20-compact"', "")], size=(1280, 1700))
    lab.run_all()
    page = lab.page
    page.wait_for_selector(GENERATE)
    for label in ("Choice of structure τ", "Exchange of elements τ", "Integration steps"):
        expect(page.locator(f".flowllm label:has-text('{label}')").first).to_be_visible()
    page.evaluate(WATCH)
    page.locator(GENERATE).click()
    lab.until("play.state", "finished")
    lab.until("play.message.text", "")
    drawn = "play.tries[-1].samples[0].tokens"
    written = say(lab, f"*[t.text.strip() for t in {drawn} if t.text[0] != '<']")
    until(lambda: page.evaluate(TEXTS), written)
    counts = settled(lambda: page.evaluate("window.counts"))
    assert counts[-1] > 5 and len([n for n in counts if 0 < n < counts[-1]]) > 1
    source = say(lab, "play.tries[-1].samples[0].source")
    expect(page.locator(f".flowllm-caption:has-text('is that of {source}.')")).to_have_count(1)
    for place in (0, 1):  # both pictures
        heading = page.locator(".flowllm .flowllm-heading").nth(place)
        view = heading.locator("xpath=ancestor::*[contains(@class,'widget-vbox')][1]")
        until(lambda view=view: is_painted(view.screenshot()))
    assert lab.said == []
