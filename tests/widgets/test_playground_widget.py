"""The playground without a browser: its controls, its states, its history."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.ranges import Range, TrainingRanges
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.systems.system import FlowLLM
from flowllm.text import build_prompt
from flowllm_widgets.playground.widget import PromptPlayground
from tests.systems.toys import RocksaltPrior, SwellRefiner, SwellSettings

WAIT = 60  # seconds; far more than any of these needs
SALT = CrystalBatch([11, 17], [[0.0] * 3, [0.5] * 3], [[3.99] * 3], [[60.0] * 3], [2], ["salt"])


@pytest.fixture
def playground(system):
    made = PromptPlayground(system, num=3, seed=1)
    made.settings.steps.value = 2
    yield made
    made.cancel.click()
    made.sweep.cancel.click()
    assert made.wait(WAIT) and made.sweep.wait(WAIT)


def press(playground):
    playground.generate.click()
    assert playground.wait(WAIT)
    return playground.tries[-1]


def test_generate_gives_the_crystals_of_the_model(playground, system):
    assert playground.state == "idle" and len(playground.crystals) == 0
    one = press(playground)
    assert playground.state == "finished" and playground.message.text == ""
    settings = one.settings
    made = system.generate(
        3, prompts=[playground.prompt], seed=1, sampling=settings.sampling,
        refinement=settings.refinement,
    )  # fmt: skip
    assert np.array_equal(playground.crystals.frac_coords, made.refined.frac_coords)
    assert np.array_equal(playground.trajectory.frac_coords, made.trajectory.frac_coords)
    assert "3 of 3 crystals" in playground.progress.text
    result = playground.result
    assert result.views[0].crystal.ids == result.views[1].crystal.ids == ["c000000"]
    assert result.tokens.shown["tokens"] and one.first_token > 0
    for facts, sample in zip(result.facts, one.samples[0].facts, strict=True):
        assert sample.formula in facts.value and "g/cm³" in facts.value


def test_next_and_previous_go_through_the_samples(playground):
    one = press(playground)
    result = playground.result
    assert (result.previous.disabled, result.next.disabled) == (True, False)
    seen = [result.views[1].crystal.ids[0]]
    for _ in range(2):
        result.next.click()
        seen.append(result.views[1].crystal.ids[0])
    assert seen == ["c000000", "c000001", "c000002"]
    assert (result.previous.disabled, result.next.disabled) == (False, True)
    result.next.click()
    assert result.sample is one.samples[2]
    result.chosen.value = 0
    assert result.views[1].crystal.ids[0] == "c000000"
    assert len(result.tokens.shown["tokens"]) == len(one.samples[0].tokens)
    labels = [label for label, _ in result.chosen.options]
    for label, sample in zip(labels, one.samples, strict=True):
        assert sample.best.formula in label and ("invalid" in label) != sample.best.valid


def test_generate_is_forbidden_while_something_is_wrong(playground):
    playground.form.fields["formula"].value = "SrXx3"
    assert playground.generate.disabled and playground.sweep.start.disabled
    playground.start()
    assert playground.tries == []
    playground.form.fields["formula"].value = "SrTiO3"
    assert not playground.generate.disabled
    press(playground)
    assert set(playground.crystals.formulas) == {"SrTiO3"}


def test_history_restores_settings_and_crystals(playground):
    playground.form.fields["formula"].value = "NaCl"
    playground.settings.temperature.value = 1.2
    press(playground)
    playground.form.clear.click()
    playground.settings.temperature.value, playground.settings.num.value = 0.5, 2
    playground.settings.seed.value = 7
    press(playground)
    assert len(playground.past.table.rows) == 2 and playground.past.table.selected == 1
    assert len(playground.crystals) == 2
    playground.past.table.selected = 0
    assert playground.prompt == build_prompt(Conditions(formula="NaCl"))
    assert playground.form.fields["formula"].value == "NaCl"
    settings = playground.settings
    assert (settings.temperature.value, settings.num.value, settings.seed.value) == (1.2, 3, 1)
    assert set(playground.crystals.formulas) == {"NaCl"} and len(playground.crystals) == 3
    assert playground.result.views[1].crystal.formulas == ["NaCl"]
    assert len(playground.result.chosen.options) == 3
    again = press(playground)
    assert np.array_equal(again.refined.frac_coords, playground.tries[0].refined.frac_coords)
    assert playground.past.table.selected == 2


def test_cancel_ends_the_writing_and_leaves_everything_usable(playground):
    playground.settings.num.value = 32
    seen = threading.Event()
    playground.result.tokens.observe(lambda _: seen.set(), "shown")
    playground.generate.click()
    assert playground.generate.disabled and not playground.cancel.disabled
    assert playground.sweep.start.disabled
    assert seen.wait(WAIT)
    playground.cancel.click()
    assert playground.wait(WAIT)
    one = playground.tries[-1]
    assert playground.state == one.state == "cancelled" and len(one.refined) == 0
    assert playground.progress.text.startswith("Cancelled")
    assert playground.past.table.rows[0][-1] == "cancelled"
    assert not playground.generate.disabled and playground.cancel.disabled
    playground.settings.num.value = 1
    press(playground)
    assert playground.state == "finished"


def test_the_error_of_a_model_is_shown_and_generate_works_again():
    model = SimpleNamespace(failing=True)

    def generate(num, **_):
        if model.failing:
            raise RuntimeError("out of luck")
        return SimpleNamespace(refined=SALT)

    model.generate = generate
    playground = PromptPlayground(model, num=1)
    press(playground)
    assert playground.state == "failed"
    assert playground.message.text == "RuntimeError: out of luck"
    assert not playground.generate.disabled and playground.past.table.rows[0][-1] == "failed"
    model.failing = False
    press(playground)
    assert playground.state == "finished" and playground.message.text == ""
    assert playground.result.views[0].crystal is None  # this model shows no prior
    assert playground.result.views[1].crystal.formulas == ["NaCl"]


def test_a_model_that_cannot_be_interrupted_is_cancelled_at_once():
    release = threading.Event()
    model = SimpleNamespace(generate=lambda **_: release.wait(WAIT))
    playground = PromptPlayground(model, num=1)
    playground.generate.click()
    playground.cancel.click()
    assert playground.wait(10) and playground.state == "cancelled"
    release.set()


def test_a_sweep_gains_points_and_gives_the_controls_back(playground):
    sweep = playground.sweep
    sweep.count.value, sweep.num.value = 3, 2
    sweep.range.value = (0.5, 1.5)
    sweep.start.click()
    assert playground.generate.disabled and not sweep.cancel.disabled
    assert sweep.wait(WAIT)
    assert sweep.message.text.startswith("Done: 6 crystals at 3 temperatures")
    assert list(sweep.figure.data[0].x) == [0.5, 1.0, 1.5]
    assert all(0 <= y <= 1 for trace in sweep.figure.data for y in trace.y)
    assert not playground.generate.disabled and sweep.cancel.disabled
    assert playground.tries == []  # a sweep is no try


def test_a_sweep_can_be_cancelled_and_tells_its_errors(playground):
    sweep = playground.sweep
    sweep.num.value, sweep.count.value = 64, 12
    sweep.start.click()
    sweep.cancel.click()
    assert sweep.wait(WAIT) and sweep.message.text.startswith("Cancelled")
    assert len(sweep.points) < 12 and not sweep.start.disabled
    broken = PromptPlayground(SimpleNamespace(generate=lambda **_: 1 / 0))
    broken.sweep.start.click()
    assert broken.sweep.wait(WAIT)
    assert "ZeroDivisionError" in broken.sweep.message.text
    assert not broken.sweep.start.disabled and not broken.generate.disabled


def test_the_prompt_can_be_set_from_a_cell(playground):
    playground.prompt = build_prompt(Conditions(num_atoms=3))
    assert playground.form.fields["num_atoms"].value == "3"
    press(playground)
    assert playground.crystals.num_atoms.tolist() == [3, 3, 3]


@pytest.mark.parametrize("arguments", [{"num": 0}, {"seed": -1}, {"seed": 2**31}])
def test_bad_arguments_are_refused(system, arguments):
    with pytest.raises(InputError):
        PromptPlayground(system, **arguments)


def test_something_that_generates_nothing_is_no_model():
    with pytest.raises(InputError, match="generate"):
        PromptPlayground(object())


def test_more_samples_than_the_slider_holds_can_be_asked_for(system):
    assert PromptPlayground(system, num=100).settings.num.value == 100


def test_what_the_model_was_not_trained_on_is_said_beside_the_field():
    seen = TrainingRanges(9, {"band_gap": Range(9, 0.0, 0.1, 4.0, 5.0)}, {}, {225: {2: 9}})
    made = PromptPlayground(SimpleNamespace(generate=lambda **_: None, training=seen))
    made.form.fields["band_gap"].value = "7"
    assert made.form.notes["band_gap"].kind == "warning"
    assert "0.00 to 5.00 eV" in made.form.notes["band_gap"].text
    assert not made.generate.disabled
    made.form.fields["composition"].value = "Na2"
    made.form.fields["space_group"].value = "229"
    assert made.form.notes["space_group"].kind == "error" and made.generate.disabled
    older = PromptPlayground(SimpleNamespace(generate=lambda **_: None, training=None))
    older.form.fields["band_gap"].value = "7"
    assert older.form.notes["band_gap"].text == ""


def test_a_model_of_other_parts_is_asked_with_their_settings():
    model = FlowLLM(RocksaltPrior(), SwellRefiner(), [0, 1], "toy")
    playground = PromptPlayground(model, num=2)
    playground.settings.controls["refinement", "factor"].value = 1.5
    one = press(playground)
    assert playground.state == "finished" and one.settings.refinement == SwellSettings(factor=1.5)
    path = playground.trajectory
    assert np.allclose(path.last.lengths, 1.5 * path.first.lengths)
    names = ["Spread", "Refuse", "Factor", "Frames"]
    assert [c.description for c in playground.settings.children][:4] == names
    assert playground.past.table.columns[2:6] == names
    assert playground.sweep not in playground.children  # it has no temperature


def test_a_model_without_a_refiner_has_no_controls_of_one():
    playground = PromptPlayground(FlowLLM(RocksaltPrior(), None, [0, 1], "toy"), num=2)
    one = press(playground)
    assert playground.state == "finished" and one.settings.refinement is None
    assert one.counts()[0] == 2 and len(playground.settings.children) == 4


def test_the_default_model_shows_its_text_and_says_whose_structure_is_below():
    made = PromptPlayground(FlowLLM.from_pretrained(device="cpu"), num=2, seed=1)
    labels = {control.description for control in made.settings.controls.values()}
    assert {"Choice of structure τ", "Exchange of elements τ", "Integration steps"} <= labels
    one = press(made)
    assert made.state == "finished" and made.message.text == ""
    assert len(made.crystals) == 2 and made.result.tokens.shown["tokens"]
    sample = one.samples[0]
    assert f"The structure below is that of {sample.source}." in made.result.note.value
    assert "The unit cell contains" in sample.prompt
