"""Heads that decode a latent vector without atoms: their number, the cell, the species."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from flowllm.networks.cdvae.settings import CDVAEConfig

SPECIES = 100
"""Elements of the composition, by atomic number from 1."""


class Decoded(NamedTuple):
    """The outputs decoded from B latent vectors.

    Attributes:
        number: (B, max_atoms + 1) logits of 0, 1, … atoms in the cell.
        cell: (B, 6) lengths over the cube root of the number of atoms, and angles; standardised.
        composition: (B, SPECIES) logits of the species of an atom.
    """

    number: Tensor
    cell: Tensor
    composition: Tensor


class Heads(nn.Module):
    """Number of atoms, cell and composition of latent vectors; one hidden layer each.

    Args:
        config: sizes.
    """

    def __init__(self, config: CDVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.number = head(config, config.max_atoms + 1)
        self.cell = head(config, 6)
        self.composition = head(config, SPECIES)

    def forward(self, latent: Tensor) -> Decoded:
        """The outputs decoded from latent vectors (B, D)."""
        return Decoded(self.number(latent), self.cell(latent), self.composition(latent))


def head(config: CDVAEConfig, outputs: int) -> nn.Sequential:
    """A perceptron of one hidden layer on latent vectors."""
    width = config.head_hidden
    return nn.Sequential(nn.Linear(config.latent, width), nn.ReLU(), nn.Linear(width, outputs))


def with_elements(logits: Tensor, elements: tuple[int, ...]) -> Tensor:
    """Logits (…, SPECIES) with those of species other than these atomic numbers at -inf."""
    kept = torch.zeros(SPECIES, dtype=torch.bool, device=logits.device)
    kept[torch.tensor(elements, device=logits.device) - 1] = True
    return logits.masked_fill(~kept, -torch.inf)
