"""DiffCSP's training batches: crystals and their noise, as a function of seed and step."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import concatenated_ranges
from flowllm.errors import InputError
from flowllm.methods.diffcsp.schedule import STEPS
from flowllm.methods.flow.batches import epoch_batches
from flowllm.networks.diffcsp_settings import NUM_SPECIES
from flowllm.seeds import Stream, generator


class NoiseBatches(Dataset[dict[str, torch.Tensor]]):
    """All batches of a training run; item k is the batch of step k, with its noise.

    Args:
        crystals: the training crystals.
        draws_species: give noise of species, too.
        batch_size: crystals in a batch, at most.
        epochs: passes over the crystals.
        seed: of order, noise levels and noise.

    Raises:
        InputError: a species is open or beyond element 100, or a cell spans no volume.
    """

    def __init__(
        self,
        crystals: CrystalBatch,
        draws_species: bool,
        batch_size: int,
        epochs: int,
        seed: int,
    ) -> None:
        check_species(crystals)
        self.num_atoms, self.offsets = crystals.num_atoms, crystals.offsets
        self.numbers = crystals.atomic_numbers
        self.coords = crystals.frac_coords.astype(np.float32)
        self.lattices = crystals.lattices.astype(np.float32)
        self.draws_species = draws_species
        self.batch_size, self.epochs, self.seed = batch_size, epochs, seed
        self.per_epoch = -(-len(crystals) // batch_size)
        self._plan: tuple[int, list[np.ndarray]] = (-1, [])

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        if not 0 <= step < len(self):
            raise IndexError(step)
        epoch, position = divmod(step, self.per_epoch)
        if self._plan[0] != epoch:
            self._plan = (epoch, epoch_batches(self.num_atoms, self.per_epoch, self.seed, epoch))
        rng = generator(Stream.BATCH, self.seed, step)
        chosen = self._plan[1][position]
        # one in each of B equal ranges of levels, which a crystal's size has nothing to do with
        shares = (rng.permutation(len(chosen)) + rng.random(len(chosen))) / len(chosen)
        return self.collate(chosen, shares, rng)

    def collate(
        self, chosen: np.ndarray, shares: np.ndarray, rng: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        """The arguments of `DiffCSPMatcher.forward`.

        Args:
            chosen: (B,) positions of crystals.
            shares: (B,) in [0, 1), which noise levels 1 … T follow from.
            rng: what the noise is drawn from.
        """
        counts = self.num_atoms[chosen]
        atoms = concatenated_ranges(self.offsets[chosen], counts)
        mask = np.arange(max(int(counts.max(initial=1)), 1))[None] < counts[:, None]
        species = np.zeros(mask.shape, dtype=np.int64)
        species[mask] = self.numbers[atoms]
        coords = np.zeros((*mask.shape, 3), dtype=np.float32)
        coords[mask] = self.coords[atoms]

        def noise(*shape: int) -> torch.Tensor:
            return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

        return {
            "species": torch.from_numpy(species),
            "frac_coords": torch.from_numpy(coords),
            "lattices": torch.from_numpy(self.lattices[chosen]),
            "coord_noise": noise(*mask.shape, 3),
            "lattice_noise": noise(len(chosen), 3, 3),
            "species_noise": noise(*mask.shape, NUM_SPECIES if self.draws_species else 0),
            "step": torch.from_numpy(1 + np.floor(shares * STEPS).astype(np.int64)),
            "mask": torch.from_numpy(mask),
        }


class HeldOutNoise(Dataset[dict[str, torch.Tensor]]):
    """Validation batches: each crystal once, with fixed noise.

    Args:
        crystals: the crystals.
        like: the training batches, whose task and batch size are taken.
    """

    def __init__(self, crystals: CrystalBatch, like: NoiseBatches) -> None:
        data = NoiseBatches(crystals, like.draws_species, like.batch_size, 1, 0)
        # A golden-ratio sequence: even over [0, 1] and unrelated to the crystals' sizes.
        shares = (np.arange(len(crystals)) * 0.6180339887498949) % 1.0
        order, size = np.argsort(crystals.num_atoms, kind="stable"), like.batch_size
        rng = generator(Stream.HELD_OUT, 0)
        parts = [order[first : first + size] for first in range(0, len(order), size)]
        self.batches = [data.collate(part, shares[part], rng) for part in parts]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self.batches[index]


def cell_scale(crystals: CrystalBatch) -> float:
    """Root mean square in Å of the entries of the lattice matrices, in any orientation."""
    return float(np.sqrt(np.square(crystals.lengths).sum(1).mean() / 9.0))


def check_species(crystals: CrystalBatch) -> None:
    """Refuse a species that is open or beyond element 100.

    Raises:
        InputError: the crystal is named.
    """
    numbers = crystals.atomic_numbers
    foreign = np.flatnonzero((numbers < 1) | (numbers > NUM_SPECIES))
    if len(foreign):
        name = crystals.ids[crystals.crystal_of_atom[foreign[0]]]
        raise InputError(
            f"{name}: DiffCSP supports the elements 1 to {NUM_SPECIES}, not {numbers[foreign[0]]}"
        )
