"""A trained CDVAE: networks, statistics and noise levels, in memory and in files."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError, first_line
from flowllm.methods.cdvae.batches import check_species, crystal_tensors
from flowllm.methods.cdvae.levels import NoiseLevels
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.networks.cdvae.network import CDVAE
from flowllm.networks.cdvae.settings import CDVAEConfig
from flowllm.runs.files import CONFIG, WEIGHTS, load_weights, save_weights
from flowllm.runs.identity import weights_digest
from flowllm.runs.json_object import JsonObject

FORMAT = "flowllm-cdvae"
MOST_TOGETHER = 256  # crystals that are encoded together
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class CDVAEModel:
    """The result of training.

    Attributes:
        network: on its device, for inference, in float64 where that has it (`exact`).
        statistics: of the training crystals.
        levels: of noise.
    """

    network: CDVAE
    statistics: CDVAEStatistics
    levels: NoiseLevels

    @classmethod
    def of(
        cls,
        network: CDVAE,
        statistics: CDVAEStatistics,
        levels: NoiseLevels,
        device: torch.device | str = "cpu",
    ) -> CDVAEModel:
        """From a network in any precision."""
        return cls(exact(network, device), statistics, levels)

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    @torch.inference_mode()
    def encoded(self, crystals: CrystalBatch) -> Tensor:
        """(B, D) means of the latent distributions of crystals.

        Raises:
            InputError: a species is open or unknown, or a cell spans no volume; the id is named.
        """
        check_species(crystals)
        flat = np.flatnonzero(crystals.volumes <= 0)
        if len(flat):
            raise InputError(f"{crystals.ids[flat[0]]}: the cell has zero volume")
        kind = precision(self.network)
        means = [torch.zeros(0, self.network.config.latent, device=self.device, dtype=kind)]
        for first in range(0, len(crystals), MOST_TOGETHER):
            some = crystal_tensors(crystals[first : first + MOST_TOGETHER], self.statistics, kind)
            moved = {name: value.to(self.device) for name, value in some.items()}
            means.append(self.network.encoder(**moved).mean)
        return torch.cat(means)

    @torch.inference_mode()
    def formation_energies(self, latent: Tensor) -> np.ndarray:
        """(B,) eV/atom that the property head reads off latent vectors (B, D)."""
        standard = self.network.formation_energy(latent).cpu().double().numpy()
        energies: np.ndarray = standard * self.statistics.energy_std + self.statistics.energy_mean
        return energies

    def digest(self) -> str:
        """A short hash of weights, sizes, statistics and levels."""
        return weights_digest(deepcopy(self.network).float(), repr(self._about()))

    def save(self, folder: Path, half: bool = False) -> None:
        """Write config.json and model.safetensors; weights in float16 where `half`."""
        config = {"format": FORMAT, "version": 1} | self._about()
        save_weights(folder, single(self.network), config, half)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> CDVAEModel:
        """Read what `save` wrote.

        Raises:
            InputError: names the folder and what is wrong with it.
        """
        network, record = load_network(folder, FORMAT, CDVAE)
        statistics = CDVAEStatistics.from_record(record.record("statistics"))
        levels = record.record("noise").make(NoiseLevels)
        return cls.of(network, statistics, levels, device)

    def _about(self) -> dict[str, Any]:
        return {
            "network": self.network.config.to_dict(),
            "statistics": self.statistics.to_dict(),
            "noise": self.levels.to_dict(),
        }


def exact(network: Network, device: torch.device | str) -> Network:
    """A network on its device, for inference, in float64.

    At high levels of noise the score moves atoms by much more than it is off, again and again, so
    that the last bits of a sum decide on the crystal in the end. In float64, with a score rounded
    to far fewer digits, a crystal does not depend on what is computed beside it.
    """
    dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64
    return network.to(device=device, dtype=dtype).eval()


def precision(network: nn.Module) -> torch.dtype:
    """The dtype of a network."""
    return next(network.parameters()).dtype


def single(network: nn.Module) -> dict[str, Tensor]:
    """The weights of a network in float32, as files hold them."""
    return {name: value.float() for name, value in network.state_dict().items()}


def load_network(folder: Path, kind: str, build: type[Network]) -> tuple[Network, JsonObject]:
    """The networks of a weights folder, built from its `CDVAEConfig`, and its other records.

    Args:
        folder: of config.json and model.safetensors.
        kind: the format that they must have.
        build: the class, made of a config.

    Raises:
        InputError: names the folder and what is wrong with it.
    """
    weights, config = load_weights(folder)
    record = JsonObject(config, Path(folder) / CONFIG)
    try:
        if config.get("format") != kind or config.get("version") != 1:
            raise InputError(f"{CONFIG} does not describe weights of the kind {kind}")
        sizes = record.record("network").make(CDVAEConfig)
        largest = max((max(w.shape, default=0) for w in weights.values()), default=0)
        widest = max(sizes.latent, sizes.hidden, sizes.basis, sizes.head_hidden, sizes.max_atoms)
        if widest > largest or sizes.layers > len(weights):
            raise InputError(f"{CONFIG} does not fit the weights in {WEIGHTS}")
        broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
        if broken:
            raise InputError(f"{WEIGHTS}: {broken[0]} holds a value that is not finite")
        network = build(sizes)
        network.load_state_dict(weights)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: no weights of CDVAE ({first_line(error)})") from error
    return network, record
