"""FlowMM's training batches: crystals with a fresh base, as a function of seed and step."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import concatenated_ranges
from flowllm.errors import InputError
from flowllm.manifolds.analog_bits import NUM_BITS, NUM_SPECIES
from flowllm.methods.base.geometry import SimpleBase
from flowllm.methods.flow.batches import epoch_batches
from flowllm.methods.flow.couplings.pairs import PairSet, flat_cells
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.seeds import Stream, generator

STATISTICS_ROWS = 10_000


class BaseBatches(Dataset[dict[str, torch.Tensor]]):
    """All batches of a training run; item k is the batch of step k, with its times and its base.

    The base is the one that sampling begins with: `SimpleBase`, and standard normal bits.

    Args:
        crystals: the training crystals.
        base: where paths begin.
        cell_map_name: the parametrisation of the cell.
        draws_species: give a base of analog bits, too.
        batch_size: crystals in a batch, at most.
        epochs: passes over the crystals.
        seed: of order, times and base.

    Raises:
        InputError: a species has no analog bits or is open, or a cell spans no volume.
    """

    def __init__(
        self,
        crystals: CrystalBatch,
        base: SimpleBase,
        cell_map_name: str,
        draws_species: bool,
        batch_size: int,
        epochs: int,
        seed: int,
    ) -> None:
        check_species(crystals)
        self.num_atoms, self.offsets = crystals.num_atoms, crystals.offsets
        self.numbers = crystals.atomic_numbers
        self.coords = crystals.frac_coords.astype(np.float32)
        self.cells = flat_cells(crystals, cell_map_name).astype(np.float32)
        self.base, self.cell_map_name, self.draws_species = base, cell_map_name, draws_species
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
        return self.collate(chosen, rng.random(len(chosen)), rng)

    def collate(
        self, chosen: np.ndarray, t: np.ndarray, rng: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        """The arguments of `FlowMMMatcher.forward` for crystals at positions (B,) and times (B,).

        Args:
            chosen: (B,) positions.
            t: (B,) times.
            rng: what the base is drawn from.
        """
        counts = self.num_atoms[chosen]
        atoms = concatenated_ranges(self.offsets[chosen], counts)
        numbers = self.numbers[atoms]
        base = self.base.put_many(numbers, counts, rng)
        species, coords0, mask = base.padded(max(int(counts.max(initial=1)), 1))
        coords1 = np.zeros(coords0.shape, dtype=np.float32)
        coords1[mask] = self.coords[atoms]
        bits = np.zeros((*mask.shape, NUM_BITS if self.draws_species else 0), dtype=np.float32)
        if self.draws_species:
            bits[mask] = rng.standard_normal((len(atoms), NUM_BITS))
        return {
            "species": torch.from_numpy(species),
            "frac_coords0": torch.from_numpy(coords0.astype(np.float32)),
            "frac_coords1": torch.from_numpy(coords1),
            "cell0": torch.from_numpy(flat_cells(base, self.cell_map_name).astype(np.float32)),
            "cell1": torch.from_numpy(self.cells[chosen]),
            "bits0": torch.from_numpy(bits),
            "mask": torch.from_numpy(mask),
            "t": torch.from_numpy(t.astype(np.float32)),
        }


class HeldOutCrystals(Dataset[dict[str, torch.Tensor]]):
    """Validation batches: each crystal once, at a fixed time and from a fixed base.

    Args:
        crystals: the crystals.
        like: the training batches, whose base, parametrisation and size are taken.
    """

    def __init__(self, crystals: CrystalBatch, like: BaseBatches) -> None:
        self.data = BaseBatches(
            crystals, like.base, like.cell_map_name, like.draws_species, like.batch_size, 1, 0
        )
        # A golden-ratio sequence: even over [0, 1] and unrelated to the crystals' sizes.
        times = (np.arange(len(crystals)) * 0.6180339887498949) % 1.0
        order, size = np.argsort(crystals.num_atoms, kind="stable"), like.batch_size
        rng = generator(Stream.HELD_OUT, 0)
        parts = [order[first : first + size] for first in range(0, len(order), size)]
        self.batches = [self.data.collate(part, times[part], rng) for part in parts]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self.batches[index]


def base_statistics(crystals: CrystalBatch, base: SimpleBase, cell_map_name: str) -> FlowStatistics:
    """The statistics that standardise the network, from at most 10,000 crystals.

    Args:
        crystals: the training crystals, at least one.
        base: where paths begin.
        cell_map_name: the parametrisation of the cell.
    """
    rows = np.unique(np.linspace(0, len(crystals) - 1, STATISTICS_ROWS).round().astype(int))
    ends = crystals[rows]
    starts = base.put_many(ends.atomic_numbers, ends.num_atoms, generator(Stream.HELD_OUT, 1))
    return PairSet(starts.replace(ids=ends.ids), ends).statistics(cell_map_name)


def check_species(crystals: CrystalBatch) -> None:
    """Refuse a species that is open or has no analog bits.

    Raises:
        InputError: the crystal is named.
    """
    numbers = crystals.atomic_numbers
    foreign = np.flatnonzero((numbers < 1) | (numbers > NUM_SPECIES))
    if len(foreign):
        name = crystals.ids[crystals.crystal_of_atom[foreign[0]]]
        raise InputError(
            f"{name}: FlowMM supports the elements 1 to {NUM_SPECIES}, not {numbers[foreign[0]]}"
        )
