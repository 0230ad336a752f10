"""The loss of the equivariant flow, and its training batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from flowllm.methods.equivariant.noise import noisy_batch
from flowllm.methods.equivariant.noise_settings import NoiseSettings
from flowllm.methods.equivariant.pairs import PredictedPairs
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.networks.equivariant.neighbours import Edges
from flowllm.networks.equivariant.network import EquivariantNetwork
from flowllm.networks.equivariant.settings import EquivariantConfig
from flowllm.seeds import Stream, generator


class EquivariantMatcher(nn.Module):
    """The network with its training loss: its error on the moves to the target.

    Args:
        config: sizes of the network.
        strain_weight: Å that the strain's error is multiplied by.
        softness: Å below which an error counts by its square.
    """

    def __init__(self, config: EquivariantConfig, strain_weight: float, softness: float) -> None:
        super().__init__()
        self.network = EquivariantNetwork(config)
        self.strain_weight, self.softness = strain_weight, softness

    def forward(
        self,
        species: Tensor,
        frac_coords: Tensor,
        lattices: Tensor,
        num_atoms: Tensor,
        time: Tensor,
        displacement: Tensor,
        strain: Tensor,
        softness: Tensor | None = None,
        **edges: Tensor,
    ) -> dict[str, Tensor]:
        """Losses of a batch of `noise.noisy_batch`, with a softness (1,) of its own if it has one.

        Further tensors are the fields of `neighbours.Edges`, where they were found before.

        Returns:
            `loss`; `displacement_loss` and `strain_loss`, its parts in Å, means over crystals.
        """
        known = Edges(**edges) if edges else None
        found = self.network(species, frac_coords, lattices, num_atoms, time, known)
        weight = torch.repeat_interleave(
            1.0 / num_atoms.to(found.displacement.dtype), num_atoms, output_size=len(species)
        )
        soft = self.softness if softness is None else softness
        wrong = _pseudo_huber((found.displacement - displacement).square().sum(-1), soft)
        off = self.strain_weight**2 * (found.strain - strain).square().sum((1, 2))
        off = _pseudo_huber(off, soft)
        moved = (wrong * weight).sum() / len(num_atoms)
        stretched = off.mean()
        return {
            "loss": moved + stretched,
            "displacement_loss": moved.detach(),
            "strain_loss": stretched.detach(),
        }


@dataclass(frozen=True)
class Warming:
    """A schedule that anneals training from large noise to small.

    Attributes:
        share: of the steps in which it comes down.
        smallest: of `NoiseSettings`, at the beginning.
        first_softness: of the loss at the beginning, in Å.
        softness: of the loss at the end.
    """

    share: float
    smallest: float
    first_softness: float
    softness: float

    def at(self, done: float, first: float, last: float) -> float:
        """A value that falls geometrically from first to last, when `done` of 1 is trained."""
        left = max(0.0, 1.0 - done / self.share) if self.share else 0.0
        return float(last * (first / last) ** left)


class NoisyBatches(Dataset[dict[str, Tensor]]):
    """All batches of a run; item k is the batch of step k, with its own noise.

    Args:
        targets: the crystals.
        noise: of their copies.
        batch_size: crystals in a batch.
        epochs: passes over the crystals.
        seed: of order and noise.
        warm: how noise and softness come down to what is asked; None has them there from the start.
        pairs: of predictions and these crystals, from which some copies begin.
        pairs_share: of the copies whose crystal has a pair.

    Raises:
        InputError: the pairs belong to different crystals.
    """

    def __init__(
        self,
        targets: SymmetricTargets,
        noise: NoiseSettings,
        batch_size: int,
        epochs: int,
        seed: int,
        warm: Warming | None = None,
        pairs: PredictedPairs | None = None,
        pairs_share: float = 0.0,
    ) -> None:
        self.warm, self.pairs_share = warm, pairs_share
        self.pairs = pairs if pairs_share else None
        if self.pairs is not None:
            self.pairs.check(targets)
        self.targets, self.noise, self.seed = targets, noise, seed
        self.batch_size = min(batch_size, len(targets))
        self.per_epoch = len(targets) // self.batch_size
        self.epochs = epochs
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        if not 0 <= step < len(self):
            raise IndexError(step)
        epoch, position = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            rng = generator(Stream.BATCH_ORDER, self.seed, epoch)
            self._order = (epoch, rng.permutation(len(self.targets)))
        start = position * self.batch_size
        chosen = self._order[1][start : start + self.batch_size]
        noise, rng = self.noise, generator(Stream.BATCH, self.seed, step)
        starts = None
        if self.pairs is not None:
            # a stream of its own: the noise of the other copies is that of a run without pairs
            of_pairs = generator(Stream.PAIRED, self.seed, step)
            sizes = self.targets.num_atoms
            starts = self.pairs.draw(chosen, sizes, self.pairs_share, of_pairs)
        if self.warm is None:
            return noisy_batch(self.targets[chosen], noise, rng, starts=starts)
        done = step / len(self)
        smallest = self.warm.at(done, self.warm.smallest, noise.smallest)
        softness = self.warm.at(done, self.warm.first_softness, self.warm.softness)
        noise = replace(noise, smallest=smallest)
        batch = noisy_batch(self.targets[chosen], noise, rng, starts=starts)
        return batch | {"softness": torch.tensor([softness])}


def _pseudo_huber(squared: Tensor, softness: Tensor | float) -> Tensor:
    """Pseudo-Huber errors from squared errors, in Å, with a softness."""
    return (squared + softness**2).sqrt() - softness
