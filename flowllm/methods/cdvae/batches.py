"""Training batches of CDVAE: crystals with all the random numbers that a step needs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.networks.cdvae.heads import SPECIES
from flowllm.seeds import Stream, generator


class CrystalsInBatches(Dataset[dict[str, Tensor]]):
    """All batches of a run; item k is the batch of step k, with its own noise.

    An item has what the encoder reads (`crystal_tensors`), `energy` (B,), standardised and NaN
    where unknown, `true_cell` (B, 6) in Å and degrees, the noise (`latent_noise` (B, D) and
    `coord_noise` (N, 3), standard normal; `species_draw` (N,), uniform), `level` and
    `species_level` (B,), positions of the noise levels, and `teacher` (1,), whether the noisy
    crystals stand in their true cells.

    Args:
        crystals: what is learned.
        energies: (B,) formation energies in eV/atom, NaN where unknown.
        statistics: of the training crystals.
        batch_size: crystals in a batch.
        epochs: passes over the crystals.
        seed: of order and noise.
        latent: numbers of a latent vector.
        levels: number of noise levels.
        teacher_share: share of the steps with true cells.

    Raises:
        InputError: there are no crystals, or one has an element beyond `SPECIES`.
    """

    def __init__(
        self,
        crystals: CrystalBatch,
        energies: np.ndarray,
        statistics: CDVAEStatistics,
        *,
        batch_size: int,
        epochs: int,
        seed: int,
        latent: int,
        levels: int,
        teacher_share: float,
    ) -> None:
        if not len(crystals):
            raise InputError("CDVAE needs crystals to train on")
        check_species(crystals)
        self.crystals, self.statistics = crystals, statistics
        self.energies = (energies - statistics.energy_mean) / statistics.energy_std
        self.batch_size = min(batch_size, len(crystals))
        self.per_epoch = len(crystals) // self.batch_size
        self.epochs, self.seed = epochs, seed
        self.latent, self.levels, self.teacher_share = latent, levels, teacher_share
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        if not 0 <= step < len(self):
            raise IndexError(step)
        epoch, position = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            shuffled = generator(Stream.BATCH_ORDER, self.seed, epoch).permutation(
                len(self.crystals)
            )
            self._order = (epoch, shuffled)
        start = position * self.batch_size
        chosen = self._order[1][start : start + self.batch_size]
        rng, size = generator(Stream.BATCH, self.seed, step), len(chosen)
        some = self.crystals[chosen]
        atoms = len(some.atomic_numbers)
        return crystal_tensors(some, self.statistics) | {
            "energy": tensor(self.energies[chosen]),
            "true_cell": tensor(np.concatenate([some.lengths, some.angles], 1)),
            "latent_noise": tensor(rng.standard_normal((size, self.latent))),
            "level": torch.from_numpy(rng.integers(self.levels, size=size)),
            "species_level": torch.from_numpy(rng.integers(self.levels, size=size)),
            "coord_noise": tensor(rng.standard_normal((atoms, 3))),
            "species_draw": tensor(rng.random(atoms)),
            "teacher": torch.tensor([step < self.teacher_share * len(self)]),
        }


def crystal_tensors(
    crystals: CrystalBatch, statistics: CDVAEStatistics, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """The encoder's inputs for B crystals of N atoms in all, by argument name.

    `species` (N,), `frac_coords` (N, 3), `lattices` (B, 3, 3) in Å, `num_atoms` (B,) and `cell`
    (B, 6), standardised.
    """
    return {
        "species": torch.from_numpy(crystals.atomic_numbers),
        "frac_coords": tensor(crystals.frac_coords, dtype),
        "lattices": tensor(crystals.lattices, dtype),
        "num_atoms": torch.from_numpy(crystals.num_atoms),
        "cell": tensor(statistics.standardised(crystals), dtype),
    }


def check_species(crystals: CrystalBatch) -> None:
    """Refuse open species and elements that CDVAE does not support.

    Raises:
        InputError: the crystal is named.
    """
    numbers = crystals.atomic_numbers
    foreign = np.flatnonzero((numbers < 1) | (numbers > SPECIES))
    if len(foreign):
        name = crystals.ids[crystals.crystal_of_atom[foreign[0]]]
        raise InputError(f"{name}: CDVAE does not support the species {numbers[foreign[0]]}")


def tensor(values: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers of an array, in single precision by default."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(dtype)
