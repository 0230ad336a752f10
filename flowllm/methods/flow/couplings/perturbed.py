"""Pairs of targets and noisy copies, which show the flow nearly correct crystals.

A prior's sample is either close to its target or another crystal altogether. Only the close ones
say which way is better, and there are few. Copies of targets with noise as large as the prior's own
small errors show the same for every target. Every other copy is rounded as text is, since that is
how the prior's crystals come.
"""

from __future__ import annotations

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.flow.couplings.pairs import PairSet
from flowllm.seeds import Stream, generator

COORD_NOISE = (0.002, 0.05)  # fractional; each pair draws its own scale, log-uniformly
STRAIN = (0.002, 0.03)  # relative, of lengths; angles move by as many radians


def perturbed_pairs(targets: CrystalBatch, num_pairs: int, seed: int, start: int = 0) -> PairSet:
    """Pairs (noisy copy, target); pair k depends on the seed and k alone.

    Args:
        targets: B crystals, taken in turn.
        num_pairs: how many pairs.
        seed: of the noise.
        start: number of the first pair, where they are made in parts.
    """
    chosen = targets[np.arange(num_pairs) % len(targets)]
    coords, lengths, angles = [], [], []
    splits = np.split(chosen.frac_coords, np.cumsum(chosen.num_atoms)[:-1])
    for index, frac in enumerate(splits):
        rng = generator(Stream.PERTURBED, seed, start + index)
        scale, strain = (np.exp(rng.uniform(*np.log(ends))) for ends in (COORD_NOISE, STRAIN))
        noise = scale * rng.standard_normal(frac.shape)
        coords.append(frac + noise - noise.mean(0))  # a common shift is not an error
        lengths.append(chosen.lengths[index] * np.exp(strain * rng.standard_normal(3)))
        angles.append(chosen.angles[index] + np.degrees(strain) * rng.standard_normal(3))
    noisy = chosen.replace(
        frac_coords=np.concatenate(coords), lengths=np.array(lengths), angles=np.array(angles)
    )
    rounded = (start + np.arange(num_pairs)) % 2 == 1
    of_atom = rounded[noisy.crystal_of_atom]
    noisy = noisy.replace(
        frac_coords=np.where(of_atom[:, None], noisy.frac_coords.round(2), noisy.frac_coords),
        lengths=np.where(rounded[:, None], noisy.lengths.round(1), noisy.lengths),
        angles=np.where(rounded[:, None], noisy.angles.round(), noisy.angles),
    )
    whole = np.flatnonzero(noisy.volumes > 0)
    return PairSet(noisy[whole], chosen[whole])
