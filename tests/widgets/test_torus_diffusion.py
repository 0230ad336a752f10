"""The diffusion of the torus playground: exact scores, the way back, and the step that shows it."""

import pytest
import torch

import flowllm_widgets.torus.diffusion_step as step_module
from flowllm.errors import InputError
from flowllm_widgets.torus.diffusion import (
    LEAST,
    MOST,
    blurred,
    flowed,
    mixture_score,
    noise_levels,
    reverse,
)
from flowllm_widgets.torus.diffusion_step import WAYS, circle
from flowllm_widgets.torus.distributions import ring, uniform
from flowllm_widgets.torus.matching import draw_pairs
from flowllm_widgets.torus.measures import energy_distance
from flowllm_widgets.torus.widget import TorusPlayground


def drawn(draw, count: int, seed: int) -> torch.Tensor:
    return draw(count, torch.Generator().manual_seed(seed))


def test_noise_falls_exponentially_and_ends_at_nothing():
    levels = noise_levels(11)
    assert levels[0] == MOST and levels[-2] == pytest.approx(LEAST) and levels[-1] == 0
    ratios = levels[1:-1] / levels[:-2]
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios))
    with pytest.raises(InputError, match="at least 2 steps"):
        noise_levels(1)


def test_the_score_is_the_slope_of_the_density_of_the_blurred_points():
    points, x = drawn(ring, 50, 0).double(), drawn(uniform, 20, 1).double()
    x.requires_grad_()
    images = torch.cartesian_prod(*[torch.arange(-3.0, 4.0)] * 2).double()
    gaps = x[:, None, None] - points[None, :, None] + images
    log = (-gaps.square().sum(-1) / (2 * 0.1**2)).flatten(1).logsumexp(1)
    (slope,) = torch.autograd.grad(log.sum(), x)
    torch.testing.assert_close(mixture_score(x.detach(), points, 0.1), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("correct", [True, False])
def test_the_way_back_ends_at_the_points(correct):
    points, start = drawn(ring, 100, 0), drawn(uniform, 200, 1)
    frames = reverse(start, points, 20, 2, correct)
    assert frames.shape == (21, 200, 2) and ((frames >= 0) & (frames < 1)).all()
    fresh = drawn(ring, 300, 3)
    before = energy_distance(start, fresh)
    assert energy_distance(frames[-1], fresh) < 0.15 * before
    nearest = (frames[-1][:, None] - points + 0.5).remainder(1.0).sub(0.5).norm(dim=-1).amin(1)
    assert nearest.max() < 5 * LEAST


@pytest.mark.parametrize("steps", [5, 20])
def test_the_flow_beside_it_reaches_the_target_too(steps):
    pairs = draw_pairs(uniform, ring, 1200, 0)
    start, fresh = pairs.start[600:900], pairs.end[-300:]
    frames = flowed(start, pairs.take(slice(0, 600)), steps)
    assert frames.shape == (steps + 1, 300, 2)
    assert energy_distance(frames[-1], fresh) < 0.1 * energy_distance(start, fresh)


def test_points_are_blurred_to_uniform_ones():
    frames = blurred(drawn(ring, 400, 0), 6, 1)
    torch.testing.assert_close(frames[-1], drawn(ring, 400, 0))
    one, other = drawn(uniform, 400, 2), drawn(uniform, 400, 3)
    assert abs(energy_distance(frames[0], one)) < 3 * abs(energy_distance(one, other)) + 1e-3


# ---- the step ------------------------------------------------------------------------------------


@pytest.fixture
def step(monkeypatch):
    for name, value in (("SAMPLES", 60), ("POINTS", 100), ("PAIRS", 300)):
        monkeypatch.setattr(step_module, name, value)
    playground = TorusPlayground()
    playground.step.value = "diffusion"
    shown = playground.diffusion
    shown.background.wait(60)
    yield shown
    shown.background.cancel()


def test_it_opens_with_diffusion_and_flow_beside_each_other(step):
    assert [panel["title"] for panel in step.view.panels] == ["diffusion", "flow"]
    assert "two draws of the target" in step.numbers.value
    assert "score 40 times, the flow the velocity 20 times" in step.numbers.value


def test_fewer_steps_and_no_corrector_ask_for_the_score_less_often(step):
    step.steps.value = 5
    step.corrector.value = False
    step.background.wait(60)
    assert "score 5 times, the flow the velocity 5 times" in step.numbers.value
    assert {layer["frames"] for panel in step.view.panels for layer in panel["layers"]} == {1, 6}


def test_forward_goes_from_the_points_to_the_noise(step):
    step.way.value = WAYS[0]
    step.background.wait(60)
    (panel,) = step.view.panels
    target, samples = panel["layers"]
    assert samples["data"][: len(target["data"])] == target["data"]


def test_the_chart_follows_the_slider(step):
    step.sigma.value = 0.3
    x, density, score = circle(0.3)
    assert step.chart.data[0].y == pytest.approx(density)
    assert step.chart.data[1].y == pytest.approx(score)
    assert density[200] == density.max() and x[200] == pytest.approx(0, abs=1e-12)
