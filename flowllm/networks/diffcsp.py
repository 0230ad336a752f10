"""DiffCSP's denoising network, dense and padded (arXiv 2309.04475, section 4.3).

Layers are those of `flowllm.networks.cspnet`, on the complete graph with an edge from each atom to
itself. Of the cell the network sees L Lᵀ only, of positions only sinusoids of differences (and,
where asked for, distances and relations of lengths and angles, functions of both). It returns

- the normalised score of the coordinates, of unit variance at each noise level, of every atom;
- the noise in the lattice as phi(mean of h) L, phi (3, 3): with L → L R it turns along;
- with species that move (DNG), the noise in their one-hot vectors.

The last two can be preconditioned, which leaves them of that form. With a = ᾱ_t, s the scale of the
cells and v = a s² + 1 - a, the variance of an entry of L_t, phi = √(1-a)/v I + √(a/v) s/√v F: the
first term is the best estimate that is linear in L_t, which leaves F an error of unit variance to
predict at every t, and keeps the first steps of the reverse process, which divide by √ᾱ, bounded.
For species the network gives logits z of the element that an atom is by its surroundings. With
√a/(1-a) A_t added they are, by Bayes' rule, those of the posterior, p; the noise is then
(A_t - √a p)/√(1-a).

`flowllm.networks.diffcsp_pyg` is the same network in plain message passing.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from flowllm.networks.cspnet import VelocityLayer
from flowllm.networks.diffcsp_settings import NUM_SPECIES, DiffCSPConfig
from flowllm.networks.features import (
    RadialBasis,
    cell_features,
    difference_features,
    image_distances,
    time_embedding,
)


def cell_variance(alpha_bar: torch.Tensor, scale: float) -> torch.Tensor:
    """(B,) mean square in Å² of an entry of L_t: ᾱ_t scale² + 1 - ᾱ_t."""
    return alpha_bar * scale**2 + 1.0 - alpha_bar


def cell_inputs(
    metric: torch.Tensor, alpha_bar: torch.Tensor, config: DiffCSPConfig
) -> torch.Tensor:
    """The network's inputs from cells: (B, `config.cell_inputs`).

    Args:
        metric: (B, 3, 3) matrices L Lᵀ in Å².
        alpha_bar: (B,) ᾱ_t.
        config: of the network.
    """
    rows, columns = [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]
    gram = metric[:, rows, columns]
    if config.preconditioned:
        gram = torch.asinh(gram / cell_variance(alpha_bar, config.cell_scale)[:, None])
    return torch.cat([gram, cell_features(metric, config.cell_frequencies)], -1)


class DiffCSPNet(nn.Module):
    """Scores of coordinates and noise of cells and species; see the module's docstring.

    Invariant to a common translation, equivariant to permutation of atoms and to rotation of the
    cell. The output layers start at zero.
    """

    def __init__(self, config: DiffCSPConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden
        self.species_embed: nn.Module = (
            nn.Linear(NUM_SPECIES, width)
            if config.draws_species
            else nn.Embedding(NUM_SPECIES + 1, width)
        )
        self.mix = nn.Linear(width + config.time_dim, width)
        self.radial = RadialBasis(config.distance_features) if config.distance_features else None
        self.layers = nn.ModuleList(VelocityLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.coord_head = nn.Linear(width, 3, bias=False)
        self.lattice_head = nn.Linear(width, 9, bias=False)
        self.species_head = nn.Linear(width, NUM_SPECIES) if config.draws_species else None
        for head in (self.coord_head, self.lattice_head, self.species_head):
            for parameter in () if head is None else head.parameters():
                nn.init.zeros_(parameter)

    def edge_features(self, frac_coords: torch.Tensor, metric: torch.Tensor) -> torch.Tensor:
        """Features (B, S, S, F) of all pairs of atoms; the second axis is i, the third j."""
        features = difference_features(frac_coords, self.config.num_frequencies)
        if self.radial is None:
            return features
        return torch.cat([features, self.radial(image_distances(frac_coords, metric))], dim=-1)

    def forward(
        self,
        species: torch.Tensor,
        frac_coords: torch.Tensor,
        lattices: torch.Tensor,
        t: torch.Tensor,
        alpha_bar: torch.Tensor,
        mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalised scores (B, S, 3), noise of lattices (B, 3, 3) and species (B, S, 100 or 0).

        Scores and noise are 0 on padding. Noise has the precision of what it is in: `lattices`,
        noisy species and `alpha_bar` may be double, since x less its noise is divided by √ᾱ_t, at
        first 1.6e-5, and would show the rounding of single precision.

        Args:
            species: (B, S) int64 atomic numbers, or (B, S, 100) noisy one-hot vectors where species
                move; anything valid on padding.
            frac_coords: (B, S, 3).
            lattices: (B, 3, 3) noisy matrices in Å, rows are the cell vectors.
            t: (B,) noise levels, step / T in [0, 1].
            alpha_bar: (B,) ᾱ_t of the lattice and of species.
            mask: (B, S) bool, true where an atom is.
        """
        present = mask.to(frac_coords.dtype)
        share = present / present.sum(1, keepdim=True).clamp(min=1.0)
        time = time_embedding(t, self.config.time_dim)
        metric = (lattices @ lattices.mT).to(present.dtype)
        signal = alpha_bar.to(present.dtype)
        h = self.embed(species, signal[:, None, None])
        h = self.mix(torch.cat([h, time[:, None].expand(-1, h.shape[1], -1)], -1))
        edges = self.edge_features(frac_coords, metric)
        cell = cell_inputs(metric, signal, self.config)
        for layer in self.layers:
            h = layer(h, edges, cell, time, share)
        h = self.norm(h)
        mean = (h * share[..., None]).sum(1)
        return (
            self.coord_head(h) * present[..., None],
            self.lattice_noise(mean, lattices, alpha_bar),
            self.species_noise(h, species, alpha_bar[:, None, None]) * present[..., None],
        )

    def embed(self, species: torch.Tensor, alpha_bar: torch.Tensor) -> torch.Tensor:
        """First states of nodes, from species; `alpha_bar` broadcasts with them."""
        if not self.config.draws_species:
            given: torch.Tensor = self.species_embed(species)
            return given
        species = species.to(alpha_bar.dtype)
        if self.config.preconditioned:
            # entries of one-hot vectors have a mean square of 1 / 100
            species = species * (1.0 - 0.99 * alpha_bar).rsqrt()
        found: torch.Tensor = self.species_embed(species)
        return found

    def lattice_noise(
        self, mean: torch.Tensor, lattices: torch.Tensor, alpha_bar: torch.Tensor
    ) -> torch.Tensor:
        """phi L (B, 3, 3), from means of nodes (B, H)."""
        phi = self.lattice_head(mean).unflatten(-1, (3, 3)).to(lattices.dtype)
        if self.config.preconditioned:
            scale = self.config.cell_scale
            variance = cell_variance(alpha_bar, scale)[:, None, None]
            signal = alpha_bar[:, None, None]
            known = (1.0 - signal).sqrt() / variance
            eye = torch.eye(3, dtype=phi.dtype, device=phi.device)
            phi = known * eye + signal.sqrt() * scale / variance * phi
        return phi @ lattices

    def species_noise(
        self, h: torch.Tensor, species: torch.Tensor, alpha_bar: torch.Tensor
    ) -> torch.Tensor:
        """Noise (..., 100) of species, from nodes (..., H); (..., 0) where they are given."""
        if self.species_head is None:
            return h[..., :0]
        found: torch.Tensor = self.species_head(h).to(species.dtype)
        if not self.config.preconditioned:
            return found
        evidence = alpha_bar.sqrt() / (1.0 - alpha_bar) * species
        posterior = functional.softmax(found + evidence, dim=-1)
        return (species - alpha_bar.sqrt() * posterior) * (1.0 - alpha_bar).rsqrt()
