"""The latent vector of a seed, and the crystal that it decodes to before its atoms are moved."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.cdvae.batches import tensor
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.networks.cdvae.heads import Heads, with_elements
from flowllm.seeds import Stream, generator

TRIES = 1024
"""Latent vectors that are drawn for a number of atoms that is asked for."""
TOGETHER = 64
DECIMALS = 6
"""Of decoded lengths and angles: what is beyond depends on the machine."""


@torch.inference_mode()
def latent(heads: Heads, seed: int, num_atoms: int | None = None) -> Tensor:
    """(1, D) the latent vector of a seed, of N(0, 1).

    Without a number of atoms it is the first that is drawn. With one it is the first of `TRIES`
    whose likeliest number of atoms is this; if none is, the one of them that gives it the highest
    probability: a number that training hardly has can still be asked for. The prior and the
    refiner find the same vector.

    Args:
        heads: of the number of atoms.
        seed: of the crystal.
        num_atoms: what must be decoded, at most `max_atoms` of the network.
    """
    rng, weights = generator(Stream.LATENT, seed), next(heads.parameters())
    best, most = None, -np.inf
    for _ in range(0, TRIES, TOGETHER):
        drawn = tensor(rng.standard_normal((TOGETHER, heads.config.latent))).to(weights)
        if num_atoms is None:
            return drawn[:1]
        logits = heads.number(drawn)
        agreeing = torch.nonzero(likeliest_number(logits) == num_atoms)[:, 0]
        if len(agreeing):
            return drawn[agreeing[:1]]
        likely, row = logits.log_softmax(-1)[:, num_atoms].max(0)
        if best is None or float(likely) > most:
            best, most = drawn[row : row + 1], float(likely)
    assert best is not None
    return best


def likeliest_number(logits: Tensor) -> Tensor:
    """(B,) numbers of atoms from logits (B, max_atoms + 1), at least 1."""
    return logits[:, 1:].argmax(-1) + 1


@torch.inference_mode()
def decoded_cell(
    heads: Heads, statistics: CDVAEStatistics, drawn: Tensor, num_atoms: int | None = None
) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of atoms, lengths (3,) in Å and angles (3,) in degrees of a latent vector (1, D).

    Args:
        heads: of number and cell.
        statistics: of the training crystals.
        drawn: the latent vector.
        num_atoms: how many atoms there are; by default the likeliest number.

    Raises:
        InputError: what is decoded is not finite, as of damaged weights.
    """
    found = heads(drawn)
    count = int(likeliest_number(found.number)) if num_atoms is None else num_atoms
    lengths, angles = statistics.cells(found.cell.cpu().double().numpy(), np.array([count]))
    return count, lengths[0].round(DECIMALS), angles[0].round(DECIMALS)


@torch.inference_mode()
def decoded_crystal(
    heads: Heads,
    statistics: CDVAEStatistics,
    drawn: Tensor,
    seed: int,
    num_atoms: int | None = None,
) -> CrystalBatch:
    """The crystal of a latent vector (1, D), its atoms anywhere in the cell.

    Args:
        heads: of number, cell and composition.
        statistics: of the training crystals.
        drawn: the latent vector.
        seed: of species and coordinates.
        num_atoms: how many atoms there are; by default the likeliest number.

    Raises:
        InputError: what is decoded is not finite, as of damaged weights.
    """
    rng = generator(Stream.DECODED, seed)
    count, lengths, angles = decoded_cell(heads, statistics, drawn, num_atoms)
    logits = with_elements(heads.composition(drawn), statistics.elements)[0]
    shares = logits.double().softmax(-1).cpu().numpy()
    return CrystalBatch(
        drawn_species(shares, count, rng),
        rng.random((count, 3)),
        lengths,
        angles,
        np.array([count]),
        np.array(["0"]),
    )


def drawn_species(shares: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) atomic numbers, in random order, as close to a composition as integers allow.

    Each element has its rounded number of atoms; places that are left are drawn from what rounding
    took away, as CDVAE's code does.

    Args:
        shares: of each species, by atomic number from 1; they sum to 1.
        count: of atoms.
        rng: what is drawn from.
    """
    rounded = np.round(shares * count).astype(int)
    numbers = np.repeat(np.arange(1, len(shares) + 1), rounded)
    if len(numbers) < count:
        rest = np.clip(shares - rounded / count, 0.0, None)
        more = rng.choice(len(shares), count - len(numbers), p=rest / rest.sum()) + 1
        numbers = np.concatenate([numbers, more])
    result: np.ndarray = rng.permutation(numbers)[:count]
    return result
