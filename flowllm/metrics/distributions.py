"""Distances between the distributions of properties of generated and of reference crystals.

Xie et al., ICLR 2022, section 5: the Wasserstein distance of the density (g/cm³) and of the number
of elements, of 1,000 random valid crystals against the whole test split. Valid means structure and
composition in CDVAE's code. The distance of predicted energies is left out; where FlowLLM's table
prints 0.278 for CDVAE and 0.125 for DiffCSP under N_el, these are the systems' energy distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.composition import compositional_validity
from flowllm.metrics.properties import density, n_elements
from flowllm.metrics.statistics import Estimate, bootstrap_interval
from flowllm.metrics.validity import structural_validity

PAPERS_SAMPLE = 1_000
RESAMPLES = 500


@dataclass(frozen=True)
class PropertyDistances:
    """Wasserstein distances to the reference, each with its interval and sample size.

    Attributes:
        density: g/cm³, of the papers' random sample of the valid crystals.
        n_elements: number of elements, of the same sample.
        density_all: g/cm³, of all valid crystals.
        n_elements_all: number of elements, of all valid crystals.
        sample: size of the papers' sample.
        seed: that it was drawn with.
        n_reference: reference crystals.
    """

    density: Estimate
    n_elements: Estimate
    density_all: Estimate
    n_elements_all: Estimate
    sample: int
    seed: int
    n_reference: int


def wasserstein(
    generated: CrystalBatch,
    reference: CrystalBatch,
    valid: np.ndarray | None = None,
    sample: int = PAPERS_SAMPLE,
    seed: int = 0,
) -> PropertyDistances:
    """Distances of density and number of elements between generated and reference crystals.

    Args:
        generated: G crystals.
        reference: R crystals, the test split in the papers; all that span a volume are used.
        valid: (G,) bool, generated crystals to use; by default those of valid structure (without
            self-images) and valid composition, as in CDVAE's code.
        sample: crystals in the papers' random sample; all if there are fewer.
        seed: of the sample and of the bootstrap.

    Raises:
        InputError: `valid` has another length, a sample below 1, or no reference crystal.
    """
    if valid is None:
        valid = structural_validity(generated, self_images=False)
        valid &= compositional_validity(generated)
    valid = np.asarray(valid, dtype=bool).reshape(-1)
    if len(valid) != len(generated):
        raise InputError(f"{len(valid)} flags of validity for {len(generated)} crystals")
    if sample < 1:
        raise InputError(f"sample must be at least 1, not {sample}")
    solid = reference.volumes > 0
    if not solid.any():
        raise InputError("no reference crystals to compare with")
    rows = np.flatnonzero(valid & (generated.volumes > 0))
    drawn = rows
    if len(rows) > sample:
        drawn = np.random.default_rng(seed).choice(rows, sample, replace=False)
    values: dict[str, Estimate] = {}
    for name, measure in (("density", density), ("n_elements", n_elements)):
        theirs = measure(reference).astype(np.float64)[solid]
        ours = measure(generated).astype(np.float64)
        values[name] = distance_estimate(ours[drawn], theirs, seed)
        values[f"{name}_all"] = distance_estimate(ours[rows], theirs, seed)
    return PropertyDistances(**values, sample=sample, seed=seed, n_reference=int(solid.sum()))


def distance_estimate(values: np.ndarray, reference: np.ndarray, seed: int = 0) -> Estimate:
    """The Wasserstein-1 distance of n values to a fixed reference with its bootstrap interval.

    A resample lies farther from the reference than the sample itself, by about what the sample
    itself errs: the percentile interval is moved back by this bias and ends at 0.
    """
    from scipy.stats import wasserstein_distance

    if not len(values) or not len(reference):
        return Estimate(float("nan"), float("nan"), float("nan"), len(values))
    value = float(wasserstein_distance(values, reference))
    distances = _Distances(len(values), np.sort(reference))
    drawn: list[np.ndarray] = []

    def statistic(resamples: np.ndarray) -> np.ndarray:
        drawn.append(distances(np.sort(resamples, axis=-1)))
        return drawn[-1]

    low, high = bootstrap_interval(values, statistic, samples=RESAMPLES, seed=seed)
    bias = float(np.concatenate(drawn).mean()) - value
    return Estimate(value, max(0.0, min(low - bias, value)), max(high - bias, value), len(values))


class _Distances:
    """Wasserstein-1 distances of many sorted samples of n values to one sorted reference of m.

    The distance is the integral of the difference of the quantile functions, which are steps at
    i / n and j / m: where these lie is the same for all samples.
    """

    def __init__(self, size: int, reference: np.ndarray) -> None:
        steps = np.concatenate(
            [np.arange(1, size + 1) / size, np.arange(1, len(reference) + 1) / len(reference)]
        )
        ends = np.unique(steps)
        self.widths = np.diff(ends, prepend=0.0)
        middles = ends - self.widths / 2
        self.place = np.minimum((middles * size).astype(np.int64), size - 1)
        there = np.minimum((middles * len(reference)).astype(np.int64), len(reference) - 1)
        self.reference = reference[there]

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        return np.array([np.abs(row[self.place] - self.reference) @ self.widths for row in samples])
