"""Flow matching on the flat torus: pairs, conditional paths, and the marginal velocity field.

Notation of Lipman et al. (arXiv 2210.02747) and Chen & Lipman (arXiv 2302.03660); FlowMM (arXiv
2406.04713, section 3) uses the same on fractional coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from flowllm.errors import InputError
from flowllm.manifolds import FlatTorus
from flowllm.manifolds.base import TensorManifold
from flowllm_widgets.torus.distributions import Draw

TORUS = FlatTorus()
WIDTH = 0.02
"""Standard deviation that a conditional path has around its geodesic, in units of the square."""
BLOCK = 256  # points that are matched with each other at once: the assignment takes cubic time


@dataclass(frozen=True)
class Pairs:
    """Starts x0 of a base distribution and ends x1 of a target, (N, 2) each, in [0, 1)."""

    start: torch.Tensor
    end: torch.Tensor

    def __post_init__(self) -> None:
        if self.start.shape != self.end.shape or self.start.ndim != 2 or not len(self.start):
            raise InputError(
                f"pairs need as many starts as ends, not {tuple(self.start.shape)} "
                f"and {tuple(self.end.shape)}"
            )

    def __len__(self) -> int:
        return len(self.start)

    def take(self, index: torch.Tensor | slice) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.start[index], self.end[index])


def draw_pairs(base: Draw, target: Draw, count: int, seed: int, matched: bool = False) -> Pairs:
    """Pairs of independent points, or such that each start has an end nearby.

    Args:
        base, target: distributions, see `flowllm_widgets.torus.distributions`.
        count: number of pairs.
        seed: of both draws.
        matched: in blocks of 256, exchange ends so that the sum of squared distances is least
            (Hungarian), as `flowllm pair` does with the atoms of one element.
    """
    generator = torch.Generator().manual_seed(seed)
    start, end = base(count, generator), target(count, generator)
    if matched:
        from scipy.optimize import linear_sum_assignment

        for first in range(0, count, BLOCK):
            block = slice(first, first + BLOCK)
            cost = TORUS.squared_distance(start[block, None], end[None, block])
            end[block] = end[block][torch.from_numpy(linear_sum_assignment(cost.numpy())[1])]
    return Pairs(start, end)


def mean_squared_length(pairs: Pairs, manifold: TensorManifold = TORUS) -> float:
    """Mean squared length of the conditional paths; 1/6 for uniform points on T^2."""
    return float(manifold.logmap(pairs.start, pairs.end).square().sum(-1).mean())


def points_at(pairs: Pairs, t: float, manifold: TensorManifold = TORUS) -> torch.Tensor:
    """(N, 2) points x_t = exp_x0(t log_x0(x1)) of the conditional paths."""
    return manifold.geodesic(pairs.start, pairs.end, t)


def conditional_velocity(x: torch.Tensor, end: torch.Tensor, t: float) -> torch.Tensor:
    """The velocity u_t(x | x1) = log_x(x1) / (1 - t), which brings any x to x1 at t = 1.

    Chen & Lipman, section 3, for the geodesic distance and the schedule 1 - t. Along the geodesic
    from x0 it is log_x0(x1) at every t.

    Args:
        x: (M, 2) points.
        end: (2,) the point x1.
        t: below 1.

    Raises:
        InputError: t is 1 or more, where it has no limit.
    """
    if not t < 1:
        raise InputError(f"the conditional velocity is defined below t = 1, not at {t}")
    return TORUS.logmap(x, end.expand_as(x)) / (1.0 - t)


def marginal_velocity(
    x: torch.Tensor, t: float, pairs: Pairs, width: float = WIDTH
) -> tuple[torch.Tensor, torch.Tensor]:
    """The marginal velocity of a finite set of pairs, and its density, exactly.

    u_t(x) = sum_i u_t(x | z_i) p_t(x | z_i) / sum_i p_t(x | z_i),   z_i = (x0_i, x1_i)

    (Lipman et al., equation 8, the integral over conditions being the sum over pairs). Each
    conditional path is a wrapped Gaussian of standard deviation `width` that moves along its
    geodesic with u_t(x | z_i) = log_x0i(x1i) (Tong et al., arXiv 2302.00482); as the
    torus is flat, that velocity carries the Gaussian along exactly. Of the Gaussian's images only
    the nearest counts; for widths up to 0.1 the others add less than 1e-5 of it.

    Args:
        x: (M, 2) points.
        t: time.
        pairs: N of them.
        width: in (0, 0.1].

    Returns:
        u_t(x), (M, 2); p_t(x), (M,), relative to the uniform density.

    Raises:
        InputError: width is out of bounds.
    """
    if not 0 < width <= 0.1:
        raise InputError(f"the width of a path must be above 0 and at most 0.1, not {width}")
    velocity = TORUS.logmap(pairs.start, pairs.end)
    offset = x[:, None] - points_at(pairs, t)[None]
    offset = offset - offset.round()  # the logarithm on the torus, at a tenth of its cost
    exponent = -offset.square().sum(-1) / (2.0 * width**2)
    # Far from every path all terms underflow; weights relative to the largest stay a mean.
    weight = torch.softmax(exponent, dim=1)
    density = exponent.exp().mean(1) / (2.0 * torch.pi * width**2)
    return weight @ velocity, density


def marginal_on_grid(
    count: int, t: float, pairs: Pairs, width: float = WIDTH
) -> tuple[torch.Tensor, torch.Tensor]:
    """`marginal_velocity` at the points of `grid(count)`, for many pairs.

    The Gaussians are products of one factor for each coordinate, so the sums over pairs are
    products of matrices (count, N). Where the density underflows, the velocity is 0.

    Returns:
        u_t, (count^2, 2); p_t, (count^2,), relative to the uniform density.
    """
    velocity, places = TORUS.logmap(pairs.start, pairs.end), points_at(pairs, t)
    middles = grid_middles(count)
    offset = middles[:, None, None] - places[None]
    offset = offset - offset.round()
    across, up = torch.exp(-offset.square() / (2.0 * width**2)).unbind(-1)
    total = across @ up.T
    sums = torch.stack([(across * velocity[:, k]) @ up.T for k in (0, 1)], -1)
    mean = sums / total.clamp(min=1e-30)[..., None]
    density = total / (len(pairs) * 2.0 * torch.pi * width**2)
    return mean.reshape(-1, 2), density.reshape(-1)


def grid_middles(count: int) -> torch.Tensor:
    """(count,) the middles of equal parts of [0, 1)."""
    return (torch.arange(count) + 0.5) / count


def grid(count: int) -> torch.Tensor:
    """(count^2, 2) the middles of count by count fields of the unit square."""
    return torch.cartesian_prod(grid_middles(count), grid_middles(count))
