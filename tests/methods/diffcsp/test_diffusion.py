"""Noise levels and steps against closed forms: targets whose exact reverse process is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowllm.manifolds.wrapped_normal import wrapped_score
from flowllm.methods.diffcsp.process import corrected, denoised
from flowllm.methods.diffcsp.sample import CrystalNoise, NoisyCrystals, entered, run_back
from flowllm.methods.diffcsp.schedule import entry_step, schedule, visited_steps
from flowllm.networks.diffcsp_settings import NUM_SPECIES

DOUBLE = torch.zeros((), dtype=torch.float64)


# ---- levels --------------------------------------------------------------------------------------


def test_the_cosine_schedule_is_the_squared_cosine_but_for_its_ends():
    bars = schedule().alpha_bars
    assert len(bars) == 1001 and bars[0] == 1 and (bars.diff() < 0).all()
    for t in (200, 500, 900):
        angle = [(k / 1000 + 0.008) / 1.008 * math.pi / 2 for k in (t, 0)]
        expected = (math.cos(angle[0]) / math.cos(angle[1])) ** 2
        assert float(bars[t]) == pytest.approx(expected, rel=2e-3)
    betas = 1 - bars[1:] / bars[:-1]
    assert float(betas[0]) == pytest.approx(1e-4) and float(betas[-1]) == pytest.approx(0.9999)


def test_deviations_of_coordinates_grow_by_one_factor_from_0005_to_05():
    sigmas = schedule().sigmas
    assert len(sigmas) == 1001 and sigmas[0] == 0
    assert sigmas[[1, 1000]].tolist() == pytest.approx([0.005, 0.5])
    factors = sigmas[2:] / sigmas[1:-1]
    torch.testing.assert_close(factors, factors[:1].expand(999))


@pytest.mark.parametrize("step", [1, 300, 700, 900, 1000])
def test_scores_are_divided_by_their_root_mean_square(step):
    sigma, norm = (float(x[step]) for x in (schedule().sigmas, schedule().score_norms))
    noise = torch.from_numpy(np.random.default_rng(step).standard_normal(200_000))
    score = wrapped_score(sigma * noise, sigma) / norm
    assert float(score.square().mean()) == pytest.approx(1.0, abs=0.02)


def test_where_the_circle_is_not_felt_the_norm_is_one_over_sigma():
    levels = schedule()
    product = (levels.score_norms * levels.sigmas)[1:600]
    torch.testing.assert_close(product, torch.ones_like(product), rtol=1e-6, atol=0)


@given(entry=st.integers(1, 1000), steps=st.integers(1, 1000))
def test_visited_steps_fall_from_the_entry_to_zero_as_evenly_as_can_be(entry, steps):
    visited = visited_steps(entry, steps)
    assert visited[0] == entry and visited[-1] == 0
    gaps = -np.diff(visited)
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1
    assert len(gaps) == min(entry, max(1, round(steps * entry / 1000)))


def test_all_steps_are_visited_where_none_is_left_out():
    assert visited_steps(1000, 1000) == list(range(1000, -1, -1))
    assert visited_steps(300, 1000) == list(range(300, -1, -1))
    assert len(visited_steps(300, 50)) == 16


def test_a_time_is_one_minus_its_share_of_the_steps():
    assert [entry_step(t) for t in (0.0, 0.5, 0.1, 0.9999)] == [1000, 500, 900, 1]


# ---- single steps --------------------------------------------------------------------------------


@pytest.mark.parametrize(("t", "s"), [(1000, 999), (600, 599), (600, 300), (40, 20), (1, 0)])
def test_a_step_of_ddpm_is_the_posterior_of_gaussians(t, s):
    levels, (clean, noise) = schedule(), (1.7, -0.6)
    now, after = float(levels.alpha_bars[t]), float(levels.alpha_bars[s])
    x = now**0.5 * clean + (1 - now) ** 0.5 * noise
    # x_s ~ N(√after clean, 1 - after), x_t | x_s ~ N(√α x_s, 1 - α): precisions add up
    alpha = now / after
    precision = alpha / (1 - alpha) + (1 / (1 - after) if after < 1 else math.inf)
    weighed = alpha**0.5 * x / (1 - alpha)
    mean = clean
    if after < 1:
        mean = (weighed + after**0.5 * clean / (1 - after)) / precision
    given_x, eps = (torch.tensor(v, dtype=torch.float64) for v in (x, noise))
    assert float(denoised(given_x, eps, None, levels, t, s)) == pytest.approx(mean, rel=1e-6)
    one = float(denoised(given_x, eps, torch.ones_like(eps), levels, t, s))
    assert one - mean == pytest.approx(precision**-0.5, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("gamma", [1e-5, 5e-6])
def test_the_corrector_keeps_the_distribution_of_its_score_to_the_error_of_its_step(gamma):
    levels, t = schedule(), 400
    sigma, rng = float(levels.sigmas[t]), np.random.default_rng(0)
    x = torch.from_numpy(sigma * rng.standard_normal(20_000)) % 1.0
    for _ in range(30):
        noise = torch.from_numpy(rng.standard_normal(20_000))
        x = corrected(x, wrapped_score(x, sigma, images=1), noise, levels, t, gamma)
    # x <- (1 - a) x + sqrt(2 a) sigma noise with a = d / sigma^2 has this variance in the end
    expected = sigma**2 / (1 - gamma / 0.005**2 / 2)
    assert float((x - x.round()).square().mean()) == pytest.approx(expected, rel=0.03)


# ---- the whole way back --------------------------------------------------------------------------

CENTRE, WIDTH = torch.tensor([0.2, 0.95, 0.5], dtype=torch.float64), 0.06
CELL = torch.tensor([[4.0, 0.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.5, 6.0]], dtype=torch.float64)
CELL_WIDTH = 0.4
SHARES = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def exact_denoiser(species, coords, lattices, t, alpha_bar, mask):
    """Of lattices N(CELL, CELL_WIDTH²), coordinates around CENTRE, species H, He, Li by SHARES."""
    levels, step = schedule(), round(float(t[0]) * 1000)
    sigma = math.hypot(float(levels.sigmas[step]), WIDTH)
    score = wrapped_score(coords.double() - CENTRE, sigma, images=3) / float(
        levels.score_norms[step]
    )
    a = float(levels.alpha_bars[step])
    spread = a * CELL_WIDTH**2 + 1 - a
    lattice = (1 - a) ** 0.5 / spread * (lattices.double() - a**0.5 * CELL)
    if species.shape[-1] != NUM_SPECIES:
        return score, lattice, coords[..., :0]
    prior = torch.full((NUM_SPECIES,), -1e9, dtype=torch.float64)
    prior[:3] = SHARES.log()
    posterior = (prior + a**0.5 / (1 - a) * species.double()).softmax(-1)
    return score, lattice, (species.double() - a**0.5 * posterior) / (1 - a) ** 0.5


def last_state(entry: int, steps: int, gamma: float, draws: bool, size: int = 40, atoms: int = 10):
    levels, mask = schedule(), torch.ones(size, atoms, dtype=torch.bool)
    noise = CrystalNoise([atoms] * size, range(size), draws, DOUBLE)
    first, _ = noise.draw()
    rng = np.random.default_rng(1)
    start = NoisyCrystals(
        torch.from_numpy(rng.random((size, atoms, 3))), first.lattices, first.species
    )
    if entry < 1000:
        at = NoisyCrystals(
            (CENTRE + WIDTH * torch.from_numpy(rng.standard_normal((size, atoms, 3)))) % 1.0,
            CELL + CELL_WIDTH * torch.from_numpy(rng.standard_normal((size, 3, 3))),
            first.species,
        )
        start = entered(at, first, "noised", levels, entry)
    species = torch.ones(size, atoms, dtype=torch.int64)
    visited = visited_steps(entry, steps)
    *_, last = run_back(exact_denoiser, species, start, noise, mask, levels, visited, gamma)
    return last


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "gamma", "draws"), [(1000, 1e-5, False), (200, 5e-6, True), (50, 1e-5, True)]
)
def test_the_exact_score_reaches_the_target(steps, gamma, draws):
    last = last_state(1000, steps, gamma, draws)
    turn = torch.exp(2j * math.pi * (last.coords - CENTRE)).mean((0, 1))
    assert turn.angle().abs().max() < 0.1
    expected = math.exp(-2 * (math.pi * WIDTH) ** 2)
    # the last step, without noise, takes away σ_1² of the variance at most
    assert turn.abs().tolist() == pytest.approx([expected] * 3, abs=0.02)
    torch.testing.assert_close(last.lattices.mean(0), CELL, atol=0.2, rtol=0)
    spread = float((last.lattices - CELL).square().mean().sqrt())
    # of few steps the last, without noise, is long, and takes away some of the width
    assert spread == pytest.approx(CELL_WIDTH, rel=0.1 if steps > 50 else 0.15)
    if draws:
        chosen = last.species.argmax(-1)
        shares = [float((chosen == k).double().mean()) for k in range(3)]
        assert shares == pytest.approx(SHARES.tolist(), abs=0.08)
        clean = torch.nn.functional.one_hot(chosen, NUM_SPECIES).double()
        assert (last.species - clean).abs().max() < 0.1


def test_crystals_that_enter_with_noise_on_the_way_stay_what_they_are():
    last = last_state(400, 1000, 1e-5, False)
    turn = torch.exp(2j * math.pi * (last.coords - CENTRE)).mean((0, 1))
    expected = math.exp(-2 * (math.pi * WIDTH) ** 2)
    assert turn.abs().tolist() == pytest.approx([expected] * 3, abs=0.02)
    spread = float((last.lattices - CELL).square().mean().sqrt())
    assert spread == pytest.approx(CELL_WIDTH, rel=0.1)


def test_the_three_ways_to_enter():
    levels, step = schedule(), 500
    signal = float(levels.alpha_bars[step])
    noise = CrystalNoise([4, 2], [0, 1], False, DOUBLE).draw()[0]
    clean = NoisyCrystals(
        torch.full((2, 4, 3), 0.999).double(), CELL.expand(2, 3, 3), noise.species
    )
    raw, scaled, noised = (
        entered(clean, noise, e, levels, step) for e in ("raw", "scaled", "noised")
    )
    assert raw.coords is clean.coords and raw.lattices is clean.lattices
    assert scaled.coords is clean.coords
    torch.testing.assert_close(scaled.lattices, signal**0.5 * clean.lattices)
    torch.testing.assert_close(
        noised.lattices, signal**0.5 * clean.lattices + (1 - signal) ** 0.5 * noise.lattices
    )
    moved = 0.999 + float(levels.sigmas[step]) * noise.coords
    torch.testing.assert_close(noised.coords, moved - moved.floor())
    assert ((noised.coords >= 0) & (noised.coords < 1)).all()


def test_a_crystals_noise_is_its_own():
    together = CrystalNoise([3, 5, 2], [7, 8, 9], True, DOUBLE)
    alone = CrystalNoise([5], [8], True, DOUBLE)
    for _ in range(3):
        (all_three, more), (one, other) = together.draw(), alone.draw()
        for part, own in zip((*all_three, more), (*one, other), strict=True):
            assert torch.equal(part[1:2], own)
        assert (all_three.coords[2, 2:] == 0).all()
