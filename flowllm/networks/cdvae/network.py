"""CDVAE's variational autoencoder (Xie et al., ICLR 2022), on message passing of our own.

Encoder and decoder are rounds of messages over all periodic images within a cutoff. The encoder
pools scalars, which no rotation changes; the decoder gives a vector for each atom, which turns with
the crystal, and the logits of its species.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from flowllm.networks.cdvae.heads import SPECIES, Heads, head
from flowllm.networks.cdvae.settings import CDVAEConfig
from flowllm.networks.equivariant.neighbours import neighbours
from flowllm.networks.equivariant.network import Layer, Links, radial_basis

POOLED = 10.0  # sums over atoms are divided by it


class Posterior(NamedTuple):
    """The normal distribution of latent vectors of B crystals, its axes independent.

    Attributes:
        mean: (B, D).
        log_variance: (B, D).
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Latent vectors (B, D) at standard normal noise (B, D)."""
        return self.mean + noise * (0.5 * self.log_variance).exp()


class Graph(nn.Module):
    """Rounds of messages between the atoms of crystals.

    Args:
        config: sizes.
    """

    def __init__(self, config: CDVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            Layer(config.hidden, config.basis) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.hidden)

    def forward(
        self, scalars: Tensor, frac_coords: Tensor, lattices: Tensor, num_atoms: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scalars (N, H) and vectors (N, 3, H) of atoms, from their initial features.

        Args:
            scalars: (N, H).
            frac_coords: (N, 3).
            lattices: (B, 3, 3) in Å, vectors as rows.
            num_atoms: (B,).
        """
        config = self.config
        edges = neighbours(frac_coords, lattices, num_atoms, config.cutoff)
        distance = edges.vector.norm(dim=-1)
        direction = edges.vector / distance[:, None]
        radial, fade = radial_basis(distance, config.basis, config.cutoff)
        links = Links.of(edges, direction, radial * fade[:, None])
        vectors = scalars.new_zeros(len(scalars), 3, config.hidden)
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, links)
        return self.norm(scalars), vectors


class Encoder(nn.Module):
    """Crystals -> the distribution of their latent vectors.

    Beside the pooled scalars it sees the cell that is to be decoded: which of many equivalent cells
    a crystal is written in, no graph can tell.

    Args:
        config: sizes.
    """

    def __init__(self, config: CDVAEConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.species = nn.Embedding(SPECIES + 1, hidden)
        self.graph = Graph(config)
        self.pooled = nn.Linear(2 * hidden + 7, config.head_hidden)
        self.mean = nn.Linear(config.head_hidden, config.latent)
        self.log_variance = nn.Linear(config.head_hidden, config.latent)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.zeros_(self.log_variance.bias)

    def forward(
        self,
        species: Tensor,
        frac_coords: Tensor,
        lattices: Tensor,
        num_atoms: Tensor,
        cell: Tensor,
    ) -> Posterior:
        """The distributions of B crystals.

        Args:
            species: (N,) atomic numbers, at most `SPECIES`.
            frac_coords: (N, 3).
            lattices: (B, 3, 3) in Å.
            num_atoms: (B,).
            cell: (B, 6) as the head of the cell gives it.
        """
        scalars, _ = self.graph(self.species(species), frac_coords, lattices, num_atoms)
        total = _summed(scalars, num_atoms)
        count = num_atoms.to(total.dtype)[:, None]
        pooled = torch.cat([total / count, total / POOLED, cell, count.log() - 2.0], -1)
        hidden = nn.functional.silu(self.pooled(pooled))
        return Posterior(self.mean(hidden), self.log_variance(hidden))


class Decoder(nn.Module):
    """Latent vectors and a noisy crystal -> directions of its atoms, and their species.

    Args:
        config: sizes.
    """

    def __init__(self, config: CDVAEConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.species = nn.Embedding(SPECIES + 1, hidden)
        self.latent = nn.Linear(config.latent, hidden)
        self.level = nn.Linear(1, hidden) if config.level_input else None
        self.graph = Graph(config)
        self.move = nn.Linear(hidden, 1, bias=False)
        self.type_head = nn.Linear(hidden, SPECIES)

    def forward(
        self,
        latent: Tensor,
        species: Tensor,
        frac_coords: Tensor,
        lattices: Tensor,
        num_atoms: Tensor,
        level: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Directions (N, 3) and logits of species (N, SPECIES).

        Args:
            latent: (B, D).
            species: (N,) atomic numbers.
            frac_coords: (N, 3).
            lattices: (B, 3, 3) in Å.
            num_atoms: (B,).
            level: (B,) σ of the coordinates in Å; a direction divided by it is the score, in 1/Å.
        """
        known = self.latent(latent)
        if self.level is not None:
            known = known + self.level(level.log()[:, None])
        scalars = self.species(species) + torch.repeat_interleave(
            known, num_atoms, dim=0, output_size=len(species)
        )
        scalars, vectors = self.graph(scalars, frac_coords, lattices, num_atoms)
        return self.move(vectors)[..., 0], self.type_head(scalars)


class CDVAE(nn.Module):
    """Encoder, heads of the latent vector, decoder, and the head of the formation energy.

    Args:
        config: sizes.
    """

    def __init__(self, config: CDVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.heads = Heads(config)
        self.decoder = Decoder(config)
        self.energy = head(config, 1)

    def formation_energy(self, latent: Tensor) -> Tensor:
        """(B,) standardised formation energies of latent vectors (B, D)."""
        predicted: Tensor = self.energy(latent)[:, 0]
        return predicted


def _summed(values: Tensor, num_atoms: Tensor) -> Tensor:
    """Sums (B, H) of atoms' values (N, H)."""
    crystal = torch.repeat_interleave(
        torch.arange(len(num_atoms), device=values.device), num_atoms, output_size=len(values)
    )
    return values.new_zeros(len(num_atoms), values.shape[1]).index_add(0, crystal, values)
