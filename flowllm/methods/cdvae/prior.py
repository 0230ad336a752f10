"""The prior of CDVAE: latent vectors, and the atoms, cells and species that they decode to."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.cdvae.latents import decoded_crystal, latent
from flowllm.methods.cdvae.model import exact, load_network, single
from flowllm.methods.cdvae.settings import CDVAEPriorSettings
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.networks.cdvae.heads import Heads
from flowllm.runs.files import save_weights
from flowllm.runs.identity import weights_digest
from flowllm.systems.events import Rejected
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.training.device import resolve_device

FORMAT = "flowllm-cdvae-prior"
LEAST_VOLUME = 2.0
"""Å^3 for each atom; the densest crystals of MP-20 have 6."""
FLATTEST = 0.05
"""Of a b c; flatter cells are rejected."""


class CDVAEPrior:
    """Crystals decoded from a latent vector per seed, except for their atom positions.

    Args:
        heads: of number, cell and composition.
        statistics: of the training crystals.
        device: "auto", "cpu", "cuda" or "mps".
    """

    kind = "cdvae"
    label = "latent vectors"
    Settings = CDVAEPriorSettings
    exact = frozenset({"num_atoms"})
    heeded: frozenset[str] = frozenset()

    def __init__(self, heads: Heads, statistics: CDVAEStatistics, device: str = "cpu") -> None:
        self.heads = exact(heads, resolve_device(device))
        self.statistics = statistics

    def check(self, asked: Conditions) -> None:
        """Check that cells of this many atoms are supported.

        Raises:
            InputError: there are none, or something else is asked, which a latent vector cannot
                keep to.
        """
        most = self.heads.config.max_atoms
        if asked.num_atoms is not None and not 1 <= asked.num_atoms <= most:
            raise InputError(f"CDVAE supports cells of 1 to {most} atoms, not {asked.num_atoms}")
        other = [name for name in asked.known() if name != "num_atoms"]
        if other:
            raise InputError(
                f"CDVAE draws its species itself: it does not support the condition {other[0]}"
            )

    def sample(
        self,
        asked: Sequence[Conditions],
        settings: CDVAEPriorSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> CrystalBatch:
        """At most one crystal for each conditions; an id is their position.

        A cell that is flat, or too small for its atoms, is rejected.
        """
        crystals = []
        for index, (conditions, seed) in enumerate(zip(asked, seeds, strict=True)):
            watch.step()
            count = conditions.num_atoms
            drawn = latent(self.heads, seed, count)
            crystal = decoded_crystal(self.heads, self.statistics, drawn, seed, count)
            volume = crystal.volumes[0]
            if volume < max(
                FLATTEST * crystal.lengths.prod(), LEAST_VOLUME * len(crystal.atomic_numbers)
            ):
                watch.event(Rejected(index, 0, "cell", f"its volume is {volume:.3g} Å^3"))
            else:
                crystals.append(crystal.replace(ids=[str(index)]))
            watch.finished()
        return CrystalBatch.concatenate(crystals)

    # ---- files -----------------------------------------------------------------------------

    def digest(self) -> str:
        """A short hash of weights, sizes and statistics."""
        about = self.heads.config.to_dict(), self.statistics.to_dict()
        return weights_digest(deepcopy(self.heads).float(), repr(about))

    def save(self, folder: Path, half: bool = False) -> None:
        """Write config.json and model.safetensors; weights in float16 where `half`."""
        config = {
            "format": FORMAT,
            "version": 1,
            "network": self.heads.config.to_dict(),
            "statistics": self.statistics.to_dict(),
        }
        save_weights(folder, single(self.heads), config, half)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> CDVAEPrior:
        """Read what `save` wrote.

        Raises:
            InputError: names the folder and what is wrong with it.
        """
        heads, record = load_network(folder, FORMAT, Heads)
        return cls(heads, CDVAEStatistics.from_record(record.record("statistics")), device)
