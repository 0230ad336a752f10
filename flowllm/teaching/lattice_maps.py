"""Which cell parametrisation keeps the smallest error, measured on real cells."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from flowllm.manifolds.lattice import CELL_MAPS, cell_map, metric_tensor


def parametrisation_errors(
    lengths: torch.Tensor,
    angles: torch.Tensor,
    noise: float = 0.1,
    names: Iterable[str] = tuple(CELL_MAPS),
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """What an equal error of the network does to the cell in each parametrisation.

    A network of standardised outputs that learns each parametrisation equally well leaves the
    same relative error in each. So noise of `noise` standard deviations (of each flat coordinate
    over these cells) is added, the same draw for all, and the cell decoded.

    Args:
        lengths: (B, 3) in Å.
        angles: (B, 3) in degrees.
        noise: standard deviation of the noise in standardised units.
        names: parametrisations to compare.
        seed: seed of the noise.

    Returns:
        Per name: `angle` and `length`, mean absolute errors in degrees and Å; `angle_p95` and
        `length_p95`, their 95th percentiles; `volume`, the mean relative error of the volume;
        `invalid`, the share of decoded cells that span no volume.
    """
    lengths, angles = lengths.double(), angles.double()
    draw = torch.randn(
        len(lengths), 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    true_volume = torch.linalg.det(metric_tensor(lengths, angles)).sqrt()
    result = {}
    for name in names:
        parametrisation = cell_map(name)
        flat = parametrisation.to_flat(lengths, angles)
        got_lengths, got_angles = parametrisation.from_flat(flat + noise * flat.std(0) * draw)
        length_error, angle_error = (got_lengths - lengths).abs(), (got_angles - angles).abs()
        squared = torch.linalg.det(metric_tensor(got_lengths, got_angles))
        valid = squared > 0
        volume = squared.clamp(min=0.0).sqrt()
        result[name] = {
            "angle": float(angle_error.mean()),
            "length": float(length_error.mean()),
            "angle_p95": float(angle_error.flatten().quantile(0.95)),
            "length_p95": float(length_error.flatten().quantile(0.95)),
            "volume": float(((volume - true_volume).abs() / true_volume)[valid].mean()),
            "invalid": float((~valid).double().mean()),
        }
    return result
