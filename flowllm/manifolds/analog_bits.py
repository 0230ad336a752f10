"""Species as analog bits: seven real numbers, whose signs are an index (FlowMM, section 3.1).

The index is Z - 1, written with the most significant bit first, a one as +1 and a zero as -1.
Indices 0 to 99 are the elements from hydrogen to fermium, which is what FlowMM's decoder knows. The
28 indices from 100 to 127 stand for no species: they are decoded to 0, an open species, which no
part of an evaluation counts as valid, and never to an element near by.
"""

from __future__ import annotations

import torch

NUM_BITS = 7
NUM_SPECIES = 100
"""Indices that stand for an element."""
OPEN = 0


def to_bits(atomic_numbers: torch.Tensor) -> torch.Tensor:
    """Analog bits (..., 7) float32, each +1 or -1, of atomic numbers (...) from 1 to 100.

    Numbers outside give bits that mean nothing; padding has them.
    """
    index = (atomic_numbers - 1).clamp(0, 2**NUM_BITS - 1)
    bits = (index[..., None] >> _places(atomic_numbers.device)) & 1
    return 2.0 * bits.float() - 1.0


def to_indices(bits: torch.Tensor) -> torch.Tensor:
    """Indices (...) int64, from 0 to 127, by the signs of analog bits (..., 7)."""
    return ((bits > 0).long() << _places(bits.device)).sum(-1)


def to_species(bits: torch.Tensor) -> torch.Tensor:
    """Atomic numbers (...) int64 of analog bits (..., 7); 0 where the index is 100 or more."""
    index = to_indices(bits)
    return torch.where(index < NUM_SPECIES, index + 1, OPEN)


def _places(device: torch.device) -> torch.Tensor:
    return torch.arange(NUM_BITS - 1, -1, -1, device=device)
