"""Noise levels and steps of DiffCSP's diffusion against closed forms."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import torch

from flowllm.manifolds.wrapped_normal import wrapped_score
from flowllm.methods.diffcsp.cells import written_cells
from flowllm.methods.diffcsp.process import corrected
from flowllm.methods.diffcsp.sample import CrystalNoise, NoisyCrystals, entered, run_back
from flowllm.methods.diffcsp.schedule import entry_step, schedule, visited_steps

DOUBLE = torch.zeros((), dtype=torch.float64)


def test_levels_are_those_of_the_paper():
    levels = schedule()
    assert levels.sigmas[[1, 1000]].tolist() == pytest.approx([0.005, 0.5])
    ratios = levels.sigmas[2:] / levels.sigmas[1:-1]
    assert ratios.min() == pytest.approx(float(ratios.max())) and levels.sigmas[0] == 0
    expected = (math.cos(0.508 / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)) ** 2
    assert float(levels.alpha_bars[500]) == pytest.approx(expected, rel=0.1)  # betas are clipped
    assert levels.alpha_bars[0] == 1 and levels.alpha_bars[1000] < 1e-6


@pytest.mark.parametrize("step", [1, 300, 700, 1000])
def test_normalised_scores_have_unit_variance(step):
    levels = schedule()
    generator = torch.Generator().manual_seed(step)
    sigma = float(levels.sigmas[step])
    x = sigma * torch.randn(200_000, dtype=torch.float64, generator=generator)
    normalised = wrapped_score(x, sigma) / levels.score_norms[step]
    assert float(normalised.square().mean()) == pytest.approx(1.0, abs=0.02)


def test_times_and_steps():
    assert [entry_step(t) for t in (0.0, 0.5, 0.9, 0.99999)] == [1000, 500, 100, 1]
    assert visited_steps(1000, 1000) == list(range(1000, -1, -1))
    assert visited_steps(1000, 5) == [1000, 800, 600, 400, 200, 0]
    assert visited_steps(500, 200) == list(range(500, -1, -5))
    assert visited_steps(3, 200) == [3, 0]
    for entry in (1, 7, 999):
        for steps in (1, 50, 1000):
            visited = visited_steps(entry, steps)
            assert visited[0] == entry and visited[-1] == 0
            assert all(t > s for t, s in pairwise(visited))


def exact(coords: torch.Tensor, lattice: torch.Tensor):
    """The exact normalised score and noise of a single crystal."""
    levels = schedule()

    def denoiser(species, noisy, lattices, t, alpha_bar, mask):
        step = round(float(t[0]) * 1000)
        sigma = float(levels.sigmas[step])
        score = wrapped_score(noisy.double() - coords, sigma) / levels.score_norms[step]
        a = float(levels.alpha_bars[step])
        return score, (lattices - a**0.5 * lattice) / (1 - a) ** 0.5, noisy[..., :0]

    return denoiser


def expected_deviations(visited: list[int], gamma: float) -> dict[int, float]:
    """Standard deviations of coordinates around their place, as long as none is near 1/2 away.

    A step of the corrector takes the variance v to (1 - g)^2 v + 2 g sigma^2, g = gamma/sigma_1^2,
    which is above sigma^2 at the paper's gamma; one of the predictor is linear, too.
    """
    sigmas, share = schedule().sigmas.tolist(), gamma / 0.005**2
    variance, found = sigmas[visited[0]] ** 2, {}
    for t, s in pairwise(visited):
        kept = (sigmas[s] / sigmas[t]) ** 2
        if s:
            variance = (1 - share) ** 2 * variance + 2 * share * sigmas[t] ** 2
        variance = kept**2 * variance + kept * (sigmas[t] ** 2 - sigmas[s] ** 2)
        found[s] = variance**0.5
    return found


@pytest.mark.parametrize(("steps", "gamma"), [(250, 0.0), (50, 0.0), (100, 1e-5)])
def test_with_exact_noise_every_level_has_its_distribution_however_many_are_left_out(steps, gamma):
    size, levels = 512, schedule()
    coords = torch.tensor([[0.1, 0.5, 0.9]], dtype=torch.float64)
    lattice = torch.tensor([[4.0, 0, 0], [1, 5, 0], [0, 2, 6]], dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    state = NoisyCrystals(
        torch.rand(size, 1, 3, dtype=torch.float64, generator=rng),
        torch.randn(size, 3, 3, dtype=torch.float64, generator=rng),
        torch.zeros(size, 1, 0, dtype=torch.float64),
    )
    visited = visited_steps(1000, steps)
    deviations = expected_deviations(visited, gamma)
    path = run_back(
        exact(coords, lattice), torch.ones(size, 1, dtype=torch.int64), state,
        CrystalNoise([1] * size, range(size), False, DOUBLE),
        torch.ones(size, 1, dtype=torch.bool), levels, visited, gamma,
    )  # fmt: skip
    for step, now in zip(visited[1:], path, strict=True):
        away = (now.coords - coords + 0.5) % 1 - 0.5
        if step in (600, 400, 200):
            a = float(levels.alpha_bars[step])
            noise = (now.lattices - a**0.5 * lattice) / (1 - a) ** 0.5
            assert scipy.stats.kstest(noise.flatten().numpy(), "norm").pvalue > 1e-3
            assert float(away.std()) == pytest.approx(deviations[step], rel=0.06), step
            if not gamma:
                assert float(levels.sigmas[step]) == pytest.approx(deviations[step], rel=1e-6)
    assert torch.allclose(now.lattices, lattice.expand(size, 3, 3), atol=1e-4)
    assert away.abs().max() < 1e-4


def test_the_corrector_keeps_the_distribution_that_it_corrects_to():
    levels, step = schedule(), 400
    sigma = float(levels.sigmas[step])
    rng = torch.Generator().manual_seed(0)
    x = 2 * sigma * torch.randn(4000, dtype=torch.float64, generator=rng) % 1  # twice too wide
    for _ in range(200):
        noise = torch.randn(4000, dtype=torch.float64, generator=rng)
        x = corrected(x, wrapped_score(x, sigma), noise, levels, step, 2e-6)
    away = (x + 0.5) % 1 - 0.5
    # d / sigma^2 is gamma / sigma_1^2 = 0.08 a step, so that the excess is forgotten
    assert float(away.std()) == pytest.approx(sigma, rel=0.06)


def test_noise_of_a_crystal_depends_on_its_seed_alone():
    together = CrystalNoise([2, 5, 3], [7, 8, 9], True, DOUBLE)
    alone = CrystalNoise([5], [8], True, DOUBLE)
    for _ in range(3):
        (many, more), (one, other) = together.draw(), alone.draw()
        for first, second in zip((*many, more), (*one, other), strict=True):
            assert torch.equal(first[1:2], second)
        assert not torch.equal(many.lattices[0], many.lattices[1])
        assert (many.coords[0, 2:] == 0).all()


def test_the_ways_of_entry():
    levels, step = schedule(), 500
    a, sigma = float(levels.alpha_bars[step]), float(levels.sigmas[step])
    rng = torch.Generator().manual_seed(0)

    def some() -> NoisyCrystals:
        shapes = ((4, 2, 3), (4, 3, 3), (4, 2, 100))
        return NoisyCrystals(
            *(torch.randn(shape, dtype=torch.float64, generator=rng) for shape in shapes)
        )

    given, noise = some(), some()
    raw, scaled, noised = (
        entered(given, noise, entry, levels, step) for entry in ("raw", "scaled", "noised")
    )
    assert torch.equal(raw.coords, given.coords) and torch.equal(raw.lattices, given.lattices)
    assert torch.equal(scaled.coords, given.coords)
    assert torch.allclose(scaled.lattices, a**0.5 * given.lattices)
    assert torch.allclose(
        noised.lattices, a**0.5 * given.lattices + (1 - a) ** 0.5 * noise.lattices
    )
    assert torch.allclose(noised.coords, (given.coords + sigma * noise.coords) % 1)
    assert all(torch.equal(one.species, noise.species) for one in (raw, scaled, noised))


def test_flat_cells_are_written_with_a_volume_and_others_as_they_are():
    rng = np.random.default_rng(0)
    good = 4 * np.eye(3) + rng.normal(size=(3, 3)) * 0.3
    flat = np.array([[1.0, 2, 3], [2, 4, 6], [0, 0, 1]])
    matrices = np.stack([good, flat, np.zeros((3, 3)), np.full((3, 3), 1e3)])
    lengths, angles = written_cells(matrices)
    assert np.isfinite(lengths).all() and np.isfinite(angles).all() and (lengths > 0).all()
    cosines = np.cos(np.radians(angles))
    left = 1 + 2 * cosines.prod(1) - np.square(cosines).sum(1)
    assert (left > 0).all()
    assert lengths[0] == pytest.approx(np.linalg.norm(good, axis=1))
    cosine = good[0] @ good[1] / np.linalg.norm(good[0]) / np.linalg.norm(good[1])
    assert cosines[0, 2] == pytest.approx(cosine)
