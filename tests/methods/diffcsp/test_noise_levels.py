"""With exact noise a crystal has the distribution of each level, however many are left out."""

from __future__ import annotations

from itertools import pairwise

import pytest
import scipy.stats
import torch

from flowllm.manifolds.wrapped_normal import wrapped_score
from flowllm.methods.diffcsp.sample import CrystalNoise, NoisyCrystals, run_back
from flowllm.methods.diffcsp.schedule import schedule, visited_steps

DOUBLE = torch.zeros((), dtype=torch.float64)


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
