"""Reconstruction: crystals encoded and decoded, with number of atoms, cell and composition."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.cdvae.latents import decoded_crystal
from flowllm.methods.cdvae.refiner import CDVAERefiner
from flowllm.methods.cdvae.settings import CDVAESettings


def reconstruct(
    refiner: CDVAERefiner,
    crystals: CrystalBatch,
    settings: CDVAESettings | None = None,
    seeds: Sequence[int] | None = None,
) -> CrystalBatch:
    """Decodings of the encoder's means of crystals (section 5.1 of CDVAE), with their ids.

    How many match the crystals is the paper's first figure; see
    `flowllm.metrics.matching`.

    Args:
        refiner: encoder and decoder.
        crystals: B crystals.
        settings: of Langevin dynamics.
        seeds: B seeds; default 0, 1, 2, …

    Raises:
        InputError: a crystal has an open or unknown species, or spans no volume.
    """
    given = range(len(crystals)) if seeds is None else seeds
    return decoded(refiner, refiner.model.encoded(crystals), settings, given).replace(
        ids=crystals.ids
    )


def decoded(
    refiner: CDVAERefiner,
    latents: Tensor,
    settings: CDVAESettings | None,
    seeds: Sequence[int],
) -> CrystalBatch:
    """B crystals decoded from latent vectors (B, D), each with a seed; ids are positions."""
    network, statistics = refiner.model.network, refiner.model.statistics
    begun = [
        decoded_crystal(network.heads, statistics, latents[row : row + 1], seed)
        for row, seed in enumerate(seeds)
    ]
    first = CrystalBatch.concatenate(begun).replace(ids=[str(row) for row in range(len(begun))])
    return refiner.decode(latents, first, settings or CDVAESettings(), list(seeds)).last
