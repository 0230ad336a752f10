"""The reverse process of one batch: corrector, predictor, lattice and species, level by level."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowllm.errors import InputError
from flowllm.methods.diffcsp.cells import LARGEST
from flowllm.methods.diffcsp.process import (
    corrected,
    denoised,
    noised,
    predicted,
    wrapped_noised,
)
from flowllm.methods.diffcsp.schedule import STEPS, Schedule
from flowllm.methods.diffcsp.settings import Entry
from flowllm.networks.diffcsp_settings import NUM_SPECIES
from flowllm.seeds import Stream, generator

NOT_FINITE = "the predicted noise is not finite: the weights are damaged or were never trained"

Denoiser = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""As `flowllm.networks.diffcsp.DiffCSPNet.forward`."""


class NoisyCrystals(NamedTuple):
    """A padded batch during sampling, or noise of its shapes.

    Attributes:
        coords: (B, S, 3).
        lattices: (B, 3, 3) in Å.
        species: (B, S, 100) noisy one-hot vectors; (B, S, 0) where species are given.
    """

    coords: Tensor
    lattices: Tensor
    species: Tensor


class CrystalNoise:
    """Standard normal noise, from one generator per crystal.

    Args:
        num_atoms: numbers of atoms.
        seeds: of the crystals.
        draws_species: give noise of species, too.
        like: a tensor of the wanted device and precision.
    """

    def __init__(
        self, num_atoms: Sequence[int], seeds: Sequence[int], draws_species: bool, like: Tensor
    ) -> None:
        self.num_atoms, self.like = list(num_atoms), like
        self.width = NUM_SPECIES if draws_species else 0
        self.generators = [generator(Stream.DIFFUSION, seed) for seed in seeds]

    def draw(self) -> tuple[NoisyCrystals, Tensor]:
        """Noise of one step: of coordinates, lattices and species; of the corrector (B, S, 3)."""
        size = (len(self.num_atoms), max(self.num_atoms, default=1))
        coords, more = (np.zeros((*size, 3)) for _ in range(2))
        species, lattices = np.zeros((*size, self.width)), np.zeros((size[0], 3, 3))
        for row, (count, rng) in enumerate(zip(self.num_atoms, self.generators, strict=True)):
            values = rng.standard_normal(9 + count * (6 + self.width))
            lattices[row] = values[:9].reshape(3, 3)
            each = values[9:].reshape(count, -1)
            coords[row, :count], more[row, :count] = each[:, :3], each[:, 3:6]
            species[row, :count] = each[:, 6:]
        parts = [torch.from_numpy(x).to(self.like) for x in (coords, lattices, species, more)]
        return NoisyCrystals(*parts[:3]), parts[3]


def entered(
    state: NoisyCrystals, noise: NoisyCrystals, entry: Entry, levels: Schedule, step: int
) -> NoisyCrystals:
    """Crystals brought to a noise level; open species are always noise.

    Args:
        state: the crystals; their species are not looked at.
        noise: standard normal.
        entry: see `DiffCSPSettings`.
        levels: of noise.
        step: τ.
    """
    alpha_bar = levels.alpha_bars[step].to(state.lattices)
    if entry == "raw":
        return state._replace(species=noise.species)
    if entry == "scaled":
        return NoisyCrystals(state.coords, alpha_bar.sqrt() * state.lattices, noise.species)
    return NoisyCrystals(
        wrapped_noised(state.coords, noise.coords, float(levels.sigmas[step])),
        noised(state.lattices, noise.lattices, alpha_bar),
        noise.species,
    )


def run_back(
    denoiser: Denoiser,
    species: Tensor,
    state: NoisyCrystals,
    noise: CrystalNoise,
    mask: Tensor,
    levels: Schedule,
    visited: Sequence[int],
    gamma: float,
    precision: torch.dtype = torch.float32,
) -> Iterator[NoisyCrystals]:
    """The crystals after each step of the reverse process (arXiv 2309.04475, algorithm 2).

    At each level the corrector goes before the predictor, as in DiffCSP's code (its paper prints
    them the other way round); lattice and species move with the predictor's evaluation. The last
    step is without noise.

    Args:
        denoiser: the network.
        species: (B, S) int64, for a network to which they are given.
        state: crystals at the first level.
        noise: what is drawn from.
        mask: (B, S) bool.
        levels: of noise.
        visited: steps, falling to 0.
        gamma: size of the corrector's steps; 0 leaves the corrector out.
        precision: in which the network gets coordinates, and computes.

    Raises:
        InputError: the network returns values that are not finite.
    """
    draws = state.species.shape[-1] > 0

    def evaluate(coords: Tensor, t: int) -> NoisyCrystals:
        shares = state.lattices.new_full((len(mask),), t / STEPS).to(precision)
        alpha_bar = levels.alpha_bars[t].to(coords).expand(len(mask))
        seen = state.species if draws else species
        places = coords.to(precision)
        found = denoiser(seen, places, state.lattices, shares, alpha_bar, mask)
        if not all(bool(torch.isfinite(part).all()) for part in found):
            raise InputError(NOT_FINITE)
        score, lattice, of_species = (part.to(coords) for part in found)
        return NoisyCrystals(score * float(levels.score_norms[t]), lattice, of_species)

    for t, s in pairwise(visited):
        drawn, more = noise.draw()
        last = s == 0
        coords = state.coords
        if gamma:
            score = evaluate(coords, t).coords
            coords = corrected(coords, score, None if last else more, levels, t, gamma)
        found = evaluate(coords, t)
        coords = predicted(coords, found.coords, None if last else drawn.coords, levels, t, s)
        rest = [
            denoised(x, noise_in_it, None if last else new, levels, t, s).clamp(-LARGEST, LARGEST)
            for x, noise_in_it, new in zip(state[1:], found[1:], drawn[1:], strict=True)
        ]
        state = NoisyCrystals(coords * mask[..., None], *rest)
        yield state
