"""The parts of the playground by themselves: sliders, the result of a try, history, the chart."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.decoding.events import Alternative, Token
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.metrics.facts import crystal_facts
from flowllm.settings import setting
from flowllm.systems.events import Drawn, Refined, Rejected
from flowllm.text import build_prompt
from flowllm_widgets.playground.controls import SettingsForm
from flowllm_widgets.playground.figure import SHADES, sweep_figure
from flowllm_widgets.playground.history import HistoryTable
from flowllm_widgets.playground.result import ResultView
from flowllm_widgets.playground.sweeping import SweepPanel
from flowllm_widgets.playground.tokens import encode
from flowllm_widgets.playground.tries import CANCELLED, Settings, Try, columns, table
from flowllm_widgets.structure.facts import describe

SALT = CrystalBatch([11, 17], [[0.0] * 3, [0.5] * 3], [[3.99] * 3], [[60.0] * 3], [2], ["salt"])
CLOSE = SALT.replace(frac_coords=[[0.0] * 3, [0.01] * 3])
SETTINGS = Settings(build_prompt(), refinement=RefineSettings(2, record=True), num=3)


def token(text, attempt=0, draw=0, part="crystal"):
    others = (Alternative(text, 0.5, 0.4), Alternative("other", 0.5, 0.3))
    return Token(0, attempt, part, draw, text, 0.5, 0.4, others)


def way(first, last=None):
    return Trajectory.from_frames([0.0, 1.0], [first, first if last is None else last])


@pytest.fixture
def view():
    return ResultView()


# ---- settings


def settings_of(sampling, refinement, num, seed):
    steps, symprec = refinement
    refinement = RefineSettings(steps, record=True, symprec=symprec)
    return Settings("asked", SamplingSettings(*sampling), refinement, num, seed)


@pytest.mark.parametrize(
    "settings",
    [
        settings_of((0.05, 0.05, 0.0), (1, 0.0), 1, 0),
        settings_of((2.0, 1.0, 0.2), (100, 0.5), 32, 2**31 - 1),
        settings_of((1.15, 0.65, 0.015), (42, 0.01), 7, 12345),
    ],
)
def test_controls_give_back_what_was_set(settings):
    form = SettingsForm()
    form.write(settings)
    assert form.read("asked") == settings


def test_controls_begin_with_the_defaults_of_the_package():
    read = SettingsForm(num=5, seed=3).read("asked")
    assert read == Settings("asked", num=5, seed=3)
    assert (read.sampling, read.refinement.steps) == (type(read.sampling)(), 25)


def test_controls_of_the_shipped_model_have_their_ranges():
    form = SettingsForm()
    sliders = {
        "temperature": (0.05, 2.0, 0.05, ".2f"), "top_p": (0.05, 1.0, 0.05, ".2f"),
        "noise": (0.0, 0.2, 0.005, ".3f"), "symprec": (0.0, 0.5, 0.01, ".2f"),
    }  # fmt: skip
    for name, expected in sliders.items():
        slider = getattr(form, name)
        assert (slider.min, slider.max, slider.step, slider.readout_format) == expected
    assert (form.steps.min, form.steps.max) == (1, 100)
    assert [control.description for control in form.children] == [
        "Temperature τ", "Nucleus P", "Noise σ", "Temperature of the composition",
        "Integration steps", "Symprec (Å)", "Samples", "Seed",
    ]  # fmt: skip


def test_another_model_shows_the_settings_of_its_parts():
    @dataclass(frozen=True)
    class Drawing:
        depth: int = setting(3, low=1, high=9)
        steps: int = 7
        mode: Literal["fast", "slow"] = "fast"
        secret: int = setting(1, form=False)

    @dataclass(frozen=True)
    class Moving:
        steps: int = 11
        gentle: bool = False

    form = SettingsForm(2, 5, Drawing, Moving)
    names = [control.description for control in form.children]
    assert names == ["Depth", "Steps", "Mode", "Steps", "Gentle", "Samples", "Seed"]
    form.controls["refinement", "steps"].value = 12
    form.controls["sampling", "mode"].value = "slow"
    assert form.read("p") == Settings("p", Drawing(mode="slow"), Moving(12), 2, 5)
    form.write(Settings("p", Drawing(4), Moving(gentle=True), 1, 6))
    assert form.read("p") == Settings("p", Drawing(4), Moving(gentle=True), 1, 6)
    alone = SettingsForm(2, 5, Drawing, None)
    assert alone.read("p").refinement is None and len(alone.children) == 5


def test_every_control_has_a_name_that_can_be_seen():
    controls = SettingsForm().children
    assert all(control.description for control in controls)
    assert len({control.description for control in controls}) == len(controls)
    panel = SweepPanel(None, lambda: SETTINGS)
    named = (panel.range, panel.count, panel.num, panel.start, panel.cancel)
    assert all(control.description for control in named)


# ---- the result of a try


def test_nothing_is_shown_before_the_first_try(view):
    assert view.layout.display == "none" and view.sample is None
    view.draw()
    view.step(1)
    view.refresh(Try(1, SETTINGS))
    assert view.layout.display == "none" and view.message.text == ""


def test_a_sample_grows_under_ones_eyes(view):
    one = Try(1, SETTINGS)
    view.show(one)
    assert [crystal.crystal for crystal in view.views] == [None, None]
    assert all("not yet" in facts.value for facts in view.facts)
    lengths = []
    for text in ("4", ".0", " 4"):
        one.take(token(text))
        view.refresh(one)
        lengths.append(len(view.tokens.shown["tokens"]))
    key = view.tokens.shown["key"]
    assert lengths == [1, 2, 3]
    one.take(Drawn(0, 0, "", CLOSE))
    view.refresh(one)
    assert view.views[0].crystal is CLOSE and view.views[1].crystal is None
    assert "apart" in view.facts[0].value and "invalid" in view.chosen.options[0][0]
    one.take(Refined(0, CLOSE, way(CLOSE, SALT)))
    view.refresh(one)
    assert np.array_equal(view.views[1].crystal.frac_coords, SALT.frac_coords)
    assert view.chosen.options[0][0] == "1 of 3 · NaCl"
    assert view.tokens.shown["key"] == key  # the same text all the while


def test_the_sample_that_was_chosen_stays_chosen_while_others_arrive(view):
    one = Try(1, SETTINGS)
    view.show(one)
    view.step(1)
    assert view.chosen.value == 1
    for index in (0, 2, 1):
        one.take(Refined(index, SALT, way(SALT)))
        view.refresh(one)
        assert view.chosen.value == 1
    assert [label for label, _ in view.chosen.options] == [f"{k} of 3 · NaCl" for k in (1, 2, 3)]
    assert view.views[1].crystal is not None


def test_after_cancel_the_finished_samples_stand_first(view):
    one = Try(1, SETTINGS)
    view.show(one)
    one.take(Refined(1, SALT, way(SALT)))
    view.refresh(one)
    assert view.chosen.value == 0 and view.views[1].crystal is None
    one.state = CANCELLED
    view.refresh(one)
    labels = [label for label, _ in view.chosen.options]
    assert labels == ["2 of 3 · NaCl", "1 of 3 · not finished", "3 of 3 · not finished"]
    assert view.chosen.value == 1 and view.views[1].crystal is not None
    assert view.previous.disabled and not view.next.disabled
    view.step(1)
    assert view.chosen.value == 0 and not view.previous.disabled


def test_a_text_that_is_begun_anew_has_another_key_and_says_why(view):
    one = Try(1, SETTINGS)
    view.show(one)
    one.take(token("4"))
    view.refresh(one)
    first = view.tokens.shown
    one.take(Rejected(0, 0, "crystal", "no end within <5> tokens"))
    one.take(token("5", attempt=1))
    view.refresh(one)
    assert view.tokens.shown["key"] != first["key"]
    assert [t[1] for t in view.tokens.shown["tokens"]] == ["5"]
    assert "no end within &lt;5&gt; tokens" in view.note.value
    view.step(1)
    assert view.note.value == "" and view.tokens.shown["tokens"] == []


def test_news_of_another_try_do_not_disturb(view):
    shown, other = Try(1, SETTINGS), Try(2, SETTINGS)
    view.show(shown)
    other.take(token("4"))
    view.refresh(other)
    assert view.tokens.shown["tokens"] == []
    view.show(other)
    assert len(view.tokens.shown["tokens"]) == 1


def test_a_try_with_fewer_samples_can_take_the_place_of_a_larger_one(view):
    view.show(Try(1, SETTINGS))
    view.chosen.value = 2
    view.show(Try(2, Settings(SETTINGS.prompt, num=1)))
    assert view.chosen.value == 0 and len(view.chosen.options) == 1
    assert view.previous.disabled and view.next.disabled


def test_crystals_are_drawn_once_and_not_at_every_token(view, monkeypatch):
    one, drawn = Try(1, SETTINGS), []
    for picture in view.views:
        monkeypatch.setattr(picture, "show", drawn.append)
    view.show(one)
    one.take(Drawn(0, 0, "", SALT))
    for _ in range(5):
        one.take(token("4"))
        view.refresh(one)
    assert drawn == [SALT]


def test_facts_are_written_with_their_units_and_verdicts():
    good, bad = (describe(crystal_facts(crystal)[0]) for crystal in (SALT, CLOSE))
    assert "NaCl" in good and "Fm-3m (225)" in good and "g/cm³" in good and "Å³" in good
    assert good.count("✓") == 3 and "✗" not in good
    assert bad.count("✗") == 2 and 'error">✗ structure' in bad and 'error">✗ contacts' in bad
    facts = replace(
        crystal_facts(SALT)[0], formula="<b>", charge_balanced=False, space_group=0, symbol=""
    )
    strange = describe(facts)
    assert "&lt;b&gt;" in strange and "none found" in strange and "do not balance" in strange


# ---- history and chart


def test_history_holds_text_only():
    shown = HistoryTable(label="Tries", columns=list(columns(SamplingSettings, RefineSettings)))
    shown.rows = table([Try(1, SETTINGS), Try(2, SETTINGS, state="failed")])
    assert shown.selected == -1
    assert all(len(row) == len(columns(SamplingSettings, RefineSettings)) for row in shown.rows)
    assert [row[0] for row in shown.rows] == ["1", "2"] and shown.rows[1][-1] == "failed"


def test_numbers_for_the_browser_are_short_and_keep_their_order():
    others = tuple(Alternative(str(k), 1 / 3**k, 1 / 2**k) for k in range(1, 9))
    row = encode(Token(0, 0, "composition", 0, "1", 1 / 3, 1 / 2, others))
    assert row[0].startswith("The unit cell") and row[2:4] == [0.3333, 0.5]
    assert [text for text, *_ in row[4]] == [a.text for a in others]
    assert all(len(str(number)) <= 6 for _, *numbers in row[4] for number in numbers)


def test_the_chart_can_be_told_apart_without_colour():
    lines = [trace for trace in sweep_figure().data if trace.type == "scatter"]
    for one, other in (lines[:2], lines[2:]):
        assert one.marker.symbol != other.marker.symbol and one.line.dash != other.line.dash
    assert len(set(SHADES)) == 5


def symmetric(word: str, draw: int = 0, part: str = "crystal") -> Token:
    return Token(0, 0, part, draw, word, 0.5, 0.5, ())


def test_wyckoff_positions_stand_with_their_site_symmetry(view):
    one = Try(1, SETTINGS)
    view.show(one)
    for word in ("136", "\nTi", " 2a", "\nO", " 4f", "\n4", ".6", " 3", ".0", "\n0.31"):
        one.take(symmetric(word))
    view.refresh(one)
    notes = [row[5] for row in view.tokens.shown["tokens"] if len(row) > 5]
    assert notes == ["m.mm", "m.2m"]


def test_tokens_behind_a_new_space_group_take_the_place_of_all_that_stood_there(view):
    one = Try(1, SETTINGS)
    view.show(one)
    for word, part in ((" Ti2", "composition"), (" 136", "space_group"), ("136", "crystal")):
        one.take(symmetric(word, part=part))
    view.refresh(one)
    first = view.tokens.shown["key"]
    one.take(symmetric(" 62", draw=10, part="space_group"))
    one.take(symmetric("62", draw=1))
    view.refresh(one)
    assert [row[1] for row in view.tokens.shown["tokens"]] == [" Ti2", " 62", "62"]
    second = view.tokens.shown["key"]
    one.take(symmetric("62", draw=2))  # the roomiest draw, told again without a rejection
    view.refresh(one)
    assert len({first, second, view.tokens.shown["key"]}) == 3
