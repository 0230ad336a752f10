"""TorusPlayground without a browser: its steps, its buttons and its messages."""

import re

import pytest
import torch
import traitlets

import flowllm_widgets.torus.steps as steps
import flowllm_widgets.torus.training as training
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import FlatTorus
from flowllm_widgets.torus.tasks import DONE
from flowllm_widgets.torus.views import FlowView, GeodesicView
from flowllm_widgets.torus.widget import TITLES, TorusPlayground


@pytest.fixture
def playground(monkeypatch):
    """Of few pairs and 60 steps."""
    for module, name, value in (
        (steps, "TRAINING", 600), (training, "TRAINING", 600),
        (training, "FRESH", 300), (training, "STEPS", 60),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    made = TorusPlayground()
    yield made
    for name in TITLES:
        if hasattr(made.__dict__.get(name), "background"):
            made.__dict__[name].background.cancel()
            made.__dict__[name].background.wait(60)


def layers_of(view: FlowView) -> dict[str, dict]:
    return {layer["name"]: layer for panel in view.panels for layer in panel["layers"]}


def step_of(status: str) -> int:
    return int(re.search(r"step (\d+)", status).group(1))


def test_the_geodesic_view_has_the_logarithm_and_the_point_of_the_manifold():
    view = GeodesicView(x=[0.95, 0.2], y=[0.1, 0.9], t=0.5)
    expected = FlatTorus().logmap(
        torch.tensor([0.95, 0.2]).double(), torch.tensor([0.1, 0.9]).double()
    )
    torch.testing.assert_close(view.log, expected)
    torch.testing.assert_close(view.log, torch.tensor([0.15, -0.3]).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(view.point, torch.tensor([0.025, 0.05]).double(), atol=1e-6, rtol=0)


def solved(step) -> list[bool]:
    """What is ticked, which the list shows."""
    assert step.tasks.value.count(DONE) == sum(step.tasks.solved)
    return step.tasks.solved


def test_tasks_are_ticked_when_they_are_done_and_stay_so(playground):
    step = playground.geodesic
    assert solved(step) == [False] * 4 and "0 of 4 done" in step.tasks.value
    step.view.t = 0.0
    step.view.x, step.view.y = [0.9, 0.9], [0.2, 0.2]
    assert solved(step) == [True, False, False, False]
    assert "both cross an edge" in step.tasks.value
    step.view.x, step.view.y = [0.2, 0.3], [0.7, 0.79]
    assert solved(step) == [True, True, False, False]
    step.view.x, step.view.y = [0.03, 0.5], [0.98, 0.5]
    assert solved(step) == [True, True, True, False]
    step.view.x, step.view.y = [0.2, 0.5], [0.8, 0.5]
    step.view.t = 0.4
    assert solved(step) == [True, True, True, False]
    step.view.t = 0.5
    assert solved(step) == [True] * 4 and "4 of 4 done" in step.tasks.value


def test_equal_points_solve_no_task(playground):
    step = playground.geodesic
    step.view.x, step.view.y = [0.3, 0.3], [0.3, 0.3]
    assert solved(step) == [False] * 4


def test_tasks_of_the_paths_ask_for_a_pair_and_for_both_ends_of_the_time(playground):
    playground.step.value = "paths"
    step = playground.paths
    assert step.background.wait(60)
    pairs, crossing = step._pairs, {}
    for k in range(60):
        end = pairs.start[k] + FlatTorus().logmap(pairs.start[k], pairs.end[k])
        crossing[k] = bool(((end < 0) | (end >= 1)).any())
    inside, outside = (next(k for k in range(60) if crossing[k] is c) for c in (False, True))
    step.pair.value = inside
    assert solved(step) == [False, False]
    step.pair.value = outside
    assert solved(step) == [True, False]
    step.view.t = 0.95
    step.look.value = "All pairs"
    assert solved(step) == [True, False]
    step.view.t = 0.1
    step.view.t = 0.92
    assert solved(step) == [True, True]


def test_points_beyond_an_edge_enter_at_the_opposite_one():
    view = GeodesicView()
    view.x = [1.25, -0.25]
    assert view.x == pytest.approx([0.25, 0.75])
    with pytest.raises(traitlets.TraitError):
        view.x = [0.1, 0.2, 0.3]


def test_time_is_between_0_and_1():
    with pytest.raises(InputError, match="between 0 and 1"):
        FlowView(t=1.5)


def test_steps_are_made_when_they_are_shown(playground):
    assert "geodesic" in playground.__dict__ and "training" not in playground.__dict__
    playground.step.value = "training"
    assert "training" in playground.__dict__ and "wrap" not in playground.__dict__
    assert playground.training in playground.children
    assert playground.problem in playground.children


def test_the_step_of_paths_shows_samples_pairs_and_both_fields(playground):
    playground.step.value = "paths"
    step = playground.paths
    assert step.background.wait(60)
    shown = layers_of(step.view)
    assert {"samples", "base", "target", "paths", "pair", "conditional", "marginal"} <= set(shown)
    assert step.message.text == ""
    wrapped, straight = map(float, re.findall(r"\d\.\d{3}", step.numbers.value))
    assert wrapped < straight


def test_another_pair_and_another_look_change_what_is_drawn(playground):
    playground.step.value = "paths"
    step = playground.paths
    assert step.background.wait(60)
    before = layers_of(step.view)
    step.pair.value = 5
    after = layers_of(step.view)
    assert after["pair"]["data"] != before["pair"]["data"]
    assert after["conditional"]["data"] != before["conditional"]["data"]
    assert after["marginal"]["data"] == before["marginal"]["data"]
    assert "marginal" in step.view.hidden
    step.look.value = "All pairs"
    assert "marginal" not in step.view.hidden and "paths" in step.view.hidden


def test_another_target_draws_other_pairs(playground):
    playground.step.value = "paths"
    assert playground.paths.background.wait(60)
    before = layers_of(playground.paths.view)["target"]["data"]
    playground.problem.target.value = "checkerboard"
    assert playground.paths.background.wait(60)
    assert layers_of(playground.paths.view)["target"]["data"] != before


def test_training_to_its_end_lowers_the_loss_and_shows_the_flow(playground):
    playground.step.value = "training"
    step = playground.training
    assert step.background.wait(60)
    assert step_of(step.status.value) == 0 and not step.start.disabled
    untrained = layers_of(step.view)["samples"]
    step.start.click()
    assert step.background.wait(120)
    assert step.message.text == ""
    assert step_of(step.status.value) == 60
    assert step.start.disabled and step.pause.disabled and not step.reset.disabled
    losses = step.chart.data[0].y
    assert losses[-1] < losses[0]
    samples = layers_of(step.view)["samples"]
    assert samples["frames"] == 51 and samples["data"] != untrained["data"]
    assert "Energy distance" in step.numbers.value and "after it" in step.numbers.value


def test_pause_keeps_what_was_learnt_and_reset_forgets_it(playground, monkeypatch):
    monkeypatch.setattr(training, "STEPS", 100_000)
    playground.step.value = "training"
    step = playground.training
    step.start.click()
    while not (step.learners and len(step.learners[0].losses) > 20):
        pass
    assert step.background.running and not step.pause.disabled
    step.pause.click()
    assert step.background.wait(60)
    taken = len(step.learners[0].losses)
    assert 20 < taken < 100_000
    assert step.start.description == "Go on" and step.pause.disabled
    step.reset.click()
    assert step.background.wait(60)
    assert step.learners[0].losses == [] and step.start.description == "Start"
    assert step.numbers.value == ""


def test_a_changed_problem_ends_the_training_of_the_old_one(playground, monkeypatch):
    monkeypatch.setattr(training, "STEPS", 100_000)
    playground.step.value = "training"
    step = playground.training
    step.start.click()
    while not (step.learners and step.learners[0].losses):
        pass
    playground.step.value = "paths"
    playground.problem.base.value = "one peak"
    assert step.background.wait(60)
    assert step.stale
    playground.step.value = "training"
    assert step.background.wait(60)
    assert not step.stale and step.learners[0].losses == []


def test_wrap_and_no_wrap_are_trained_together_and_measured(playground):
    playground.step.value = "wrap"
    step = playground.wrap
    step.start.click()
    assert step.background.wait(120)
    assert step.message.text == ""
    assert [panel["title"] for panel in step.view.panels] == ["With wrap", "Without wrap"]
    row = re.search(r"mean squared path length.*?</tr>", step.numbers.value).group()
    wrapped, straight = map(float, re.findall(r"\d\.\d{3}", row))
    assert straight > 1.5 * wrapped
    assert len(step.learners[0].losses) == len(step.learners[1].losses) == 60
    width = step.learners[1].geometry.width
    step.sees.value = step.sees.options[1][1]
    assert step.background.wait(60)
    assert step.learners[1].geometry.width > width and step.learners[1].losses == []


def test_an_error_in_the_background_is_shown(playground, monkeypatch):
    def broken(*_):
        raise RuntimeError("no pairs today")

    monkeypatch.setattr(playground.problem, "pairs", broken)
    for name in ("paths", "training"):
        playground.step.value = name
        step = getattr(playground, name)
        assert step.background.wait(60)
        assert "no pairs today" in step.message.text and step.message.kind == "error"


def test_crystals_without_atoms_are_refused():
    with pytest.raises(InputError, match="no atoms"):
        TorusPlayground(crystals=CrystalBatch.empty())
