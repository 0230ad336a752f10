"""Crystals of a lower property, by gradient descent on their latent vectors (section 5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.cdvae.reconstruct import decoded
from flowllm.methods.cdvae.refiner import CDVAERefiner
from flowllm.methods.cdvae.settings import CDVAESettings

Property = Literal["formation_energy"]


@dataclass(frozen=True)
class Optimised:
    """The result of optimisation for B crystals.

    Attributes:
        crystals: decoded at the end, with the ids of those given.
        before: (B,) the property as predicted from the encoded crystals.
        after: (B,) from the latent vectors at the end.
    """

    crystals: CrystalBatch
    before: np.ndarray
    after: np.ndarray


def optimise(
    refiner: CDVAERefiner,
    crystals: CrystalBatch,
    property: Property = "formation_energy",
    steps: int = 500,
    rate: float = 1e-3,
    settings: CDVAESettings | None = None,
    seeds: Sequence[int] | None = None,
) -> Optimised:
    """Minimise the predicted property from encoded crystals, then decode.

    The paper takes 5,000 steps of Adam at a rate of 1e-3 and decodes ten times on the way.

    Args:
        refiner: encoder, property head and decoder.
        crystals: B crystals to start from.
        property: what is to be lowered; formation energy in eV/atom.
        steps: of Adam.
        rate: of Adam.
        settings: of Langevin dynamics at the end.
        seeds: B seeds of the decoding; default 0, 1, 2, …

    Raises:
        InputError: no such property, steps below 0, a rate that is not positive, or a crystal with
            an open or unknown species.
    """
    if property not in get_args(Property):
        raise InputError(f"no head for {property!r}; choose from {', '.join(get_args(Property))}")
    if steps < 0 or not rate > 0:
        raise InputError(f"steps must be 0 or more and rate above 0, not {steps} and {rate}")
    model = refiner.model
    encoded = model.encoded(crystals)
    latents = encoded.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([latents], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model.network.formation_energy(latents).sum()  # each crystal's gradient is its own
        (latents.grad,) = torch.autograd.grad(loss, latents)
        optimizer.step()
    found = latents.detach()
    given = range(len(crystals)) if seeds is None else seeds
    made = decoded(refiner, found, settings, given).replace(ids=crystals.ids)
    return Optimised(made, model.formation_energies(encoded), model.formation_energies(found))
