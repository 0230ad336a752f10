"""Training batches as a function of seed and step, so that a resumed run is the same run."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from flowllm.crystals.cells import concatenated_ranges
from flowllm.methods.flow.couplings.pairs import PairSet, flat_cells
from flowllm.seeds import Stream, generator

MEGA = 50
"""Batches whose crystals are sorted by size together."""


class PairBatches(Dataset[dict[str, torch.Tensor]]):
    """All batches of a training run; item k is the batch of step k, with its times t.

    Args:
        pairs: the training pairs.
        cell_map_name: the parametrisation of the cell.
        batch_size: pairs in a batch, at most.
        epochs: passes over the pairs.
        seed: seed of the order, of t and of the noise.
        coord_noise: standard deviation of Gaussian noise on c0's coordinates, fractional.
        cell_noise: the same on c0's flat cell, in standard deviations of the flat cells.

    Raises:
        InputError: a sample and its target differ in species, which the flow does not move.
    """

    def __init__(
        self,
        pairs: PairSet,
        cell_map_name: str,
        batch_size: int,
        epochs: int,
        seed: int,
        coord_noise: float = 0.0,
        cell_noise: float = 0.0,
    ) -> None:
        pairs.check_species()
        c0, c1 = pairs.c0, pairs.c1
        self.num_atoms, self.offsets = c1.num_atoms, c1.offsets
        self.types = c1.atomic_numbers
        self.coords = [c.frac_coords.astype(np.float32) for c in (c0, c1)]
        self.cells = [flat_cells(c, cell_map_name).astype(np.float32) for c in (c0, c1)]
        self.batch_size, self.seed = batch_size, seed
        self.per_epoch = -(-len(pairs) // batch_size)
        self.epochs = epochs
        self.coord_noise = coord_noise
        self.cell_noise = cell_noise * np.concatenate(self.cells).std(0) if cell_noise else 0.0
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
        batch = self.collate(chosen, rng.random(len(chosen)))
        if self.coord_noise:
            noise = self.coord_noise * rng.standard_normal(batch["frac_coords0"].shape)
            batch["frac_coords0"] += torch.from_numpy(noise).float() * batch["mask"][..., None]
        if np.any(self.cell_noise):
            noise = self.cell_noise * rng.standard_normal(batch["cell0"].shape)
            batch["cell0"] += torch.from_numpy(noise).float()
        return batch

    def collate(self, chosen: np.ndarray, t: np.ndarray) -> dict[str, torch.Tensor]:
        """The arguments of `FlowMatcher.forward` for pairs at positions (B,) and times (B,)."""
        counts = self.num_atoms[chosen]
        mask = np.arange(counts.max(initial=1))[None] < counts[:, None]
        atoms = concatenated_ranges(self.offsets[chosen], counts)
        types = np.zeros(mask.shape, dtype=np.int64)
        types[mask] = self.types[atoms]
        ends = [np.zeros((*mask.shape, 3), dtype=np.float32) for _ in range(2)]
        for end, coords in zip(ends, self.coords, strict=True):
            end[mask] = coords[atoms]
        return {
            "types": torch.from_numpy(types),
            "frac_coords0": torch.from_numpy(ends[0]),
            "frac_coords1": torch.from_numpy(ends[1]),
            "cell0": torch.from_numpy(self.cells[0][chosen]),
            "cell1": torch.from_numpy(self.cells[1][chosen]),
            "mask": torch.from_numpy(mask),
            "t": torch.from_numpy(t.astype(np.float32)),
        }


class HeldOutBatches(Dataset[dict[str, torch.Tensor]]):
    """Validation batches: each pair once, at a fixed time t, without random numbers.

    Args:
        pairs: the pairs.
        cell_map_name: the parametrisation of the cell.
        batch_size: pairs in a batch, at most.
    """

    def __init__(self, pairs: PairSet, cell_map_name: str, batch_size: int) -> None:
        self.pairs = PairBatches(pairs, cell_map_name, batch_size, epochs=1, seed=0)
        # A golden-ratio sequence: even over [0, 1] and unrelated to the crystals' sizes.
        self.times = (np.arange(len(pairs)) * 0.6180339887498949) % 1.0
        self.order = np.argsort(self.pairs.num_atoms, kind="stable")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        size = self.pairs.batch_size
        chosen = self.order[index * size : (index + 1) * size]
        return self.pairs.collate(chosen, self.times[chosen])


def epoch_batches(num_atoms: np.ndarray, batches: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Positions of the pairs in each batch of an epoch, bucketed by size, in random order.

    Args:
        num_atoms: (P,) sizes.
        batches: number of batches; they are as equal in length as can be.
        seed: seed of the order.
        epoch: number of the epoch.
    """
    rng = generator(Stream.BATCH_ORDER, seed, epoch)
    sizes = np.full(batches, len(num_atoms) // batches)
    sizes[: len(num_atoms) % batches] += 1
    order = rng.permutation(len(num_atoms))
    result: list[np.ndarray] = []
    for start in range(0, batches, MEGA):
        group = sizes[start : start + MEGA]
        members, order = order[: group.sum()], order[group.sum() :]
        ranked = members[np.argsort(num_atoms[members], kind="stable")]
        result.extend(np.split(ranked, np.cumsum(group)[:-1]))
    return [result[k] for k in rng.permutation(batches)]


def only(items: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The one batch in a list: an item of these data sets is a whole batch."""
    (batch,) = items
    return batch
