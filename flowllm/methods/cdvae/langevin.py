"""Annealed Langevin dynamics on Cartesian coordinates (Song and Ermon, NeurIPS 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.cdvae.levels import NoiseLevels
from flowllm.seeds import Stream, generator

NOT_FINITE = "the score is not finite: CDVAE's weights are damaged or were never trained"
Score = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]
"""Species (N,), fractional coordinates (N, 3), σ -> score (N, 3) in 1/Å, likeliest species (N,)."""


def langevin(
    score: Score,
    crystals: CrystalBatch,
    seeds: Sequence[int],
    levels: NoiseLevels,
    steps_per_level: int,
    step_size: float,
    first: int = 0,
) -> Iterator[CrystalBatch]:
    """The crystals after each of the steps from `first` to the last; cells stay as they are.

    At level j: x <- x + α s(x) + sqrt(2 α) noise, α = step_size (σ_j / σ_smallest)^2, x in Å; then
    all species become the likeliest ones.

    Args:
        score: of a noise level.
        crystals: B crystals, where they begin.
        seeds: B seeds; each crystal has noise of its own.
        levels: of noise.
        steps_per_level: how many steps each level has.
        step_size: α of the last level, in Å^2.
        first: the step at which they enter, of `levels.noise_levels * steps_per_level`.

    Raises:
        InputError: the score is not finite.
    """
    own = crystals.crystal_of_atom
    back = np.linalg.inv(crystals.lattices)[own]
    rngs = [generator(Stream.LANGEVIN, seed) for seed in seeds]
    sizes = levels.step_sizes(step_size)
    frac, species = crystals.frac_coords, crystals.atomic_numbers
    for step in range(first, levels.noise_levels * steps_per_level):
        level = step // steps_per_level
        size = sizes[level]
        direction, likeliest = score(species, frac, levels.coords[level])
        if not np.isfinite(direction).all():
            raise InputError(NOT_FINITE)
        drawn = zip(rngs, crystals.num_atoms, strict=True)
        noise = np.concatenate([rng.standard_normal((count, 3)) for rng, count in drawn])
        moved = size * direction + (2 * size) ** 0.5 * noise
        # written out: a product of arrays may add in another order where there are more atoms
        x, y, z = (moved[:, axis : axis + 1] * back[:, axis] for axis in range(3))
        frac = frac + (x + y + z)
        frac, species = frac - np.floor(frac), likeliest
        yield crystals.replace(frac_coords=frac, atomic_numbers=species)
