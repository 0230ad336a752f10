"""The losses of CDVAE, weighted and added as in its paper."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from flowllm.crystals.cells import cell_volumes, lattice_matrices
from flowllm.methods.cdvae.batches import tensor
from flowllm.methods.cdvae.noise import noisy_species, to_nearest_image
from flowllm.methods.cdvae.settings import CDVAETrainSettings
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.networks.cdvae.network import CDVAE, Posterior

VOLUMES = (0.5, 2.0)
"""A noisy crystal stands in the predicted cell only if its volume is so many times the true one.

A network that has not learnt cells yet would else put all atoms on top of each other.
"""


class CDVAELoss(nn.Module):
    """The networks with their training losses.

    Args:
        network: encoder, heads, decoder.
        statistics: of the training crystals.
        settings: weights of the losses and levels of noise.
    """

    def __init__(
        self, network: CDVAE, statistics: CDVAEStatistics, settings: CDVAETrainSettings
    ) -> None:
        super().__init__()
        self.network, self.statistics, self.settings = network, statistics, settings

    def forward(
        self,
        species: Tensor,
        frac_coords: Tensor,
        lattices: Tensor,
        num_atoms: Tensor,
        cell: Tensor,
        energy: Tensor,
        true_cell: Tensor,
        latent_noise: Tensor,
        level: Tensor,
        species_level: Tensor,
        coord_noise: Tensor,
        species_draw: Tensor,
        teacher: Tensor,
    ) -> dict[str, Tensor]:
        """Losses of a batch of `CrystalsInBatches`.

        Returns:
            `loss`, the weighted sum, and its parts: means over crystals, for those of atoms of the
            means over their atoms.
        """
        network, settings = self.network, self.settings
        posterior = network.encoder(species, frac_coords, lattices, num_atoms, cell)
        latent = posterior.sample(latent_noise)
        decoded = network.heads(latent)
        crystal = torch.repeat_interleave(
            torch.arange(len(num_atoms), device=species.device), num_atoms, output_size=len(species)
        )
        weight = (1.0 / num_atoms.to(latent.dtype) / len(num_atoms))[crystal]

        # the noisy crystal
        cells = lattices
        if not teacher.item():
            cells = self._predicted_cells(decoded.cell, num_atoms, true_cell)
        levels = tensor(np.array(settings.noise.coords)).to(latent)[level]
        of_species = tensor(np.array(settings.noise.species)).to(latent)[species_level][crystal]
        noise = coord_noise * levels[crystal][:, None]
        back = torch.linalg.inv(cells)
        noisy = frac_coords + torch.einsum("ni,nij->nj", noise, back[crystal])
        likely = decoded.composition.detach().softmax(-1)[crystal]
        drawn = noisy_species(species, likely, of_species, species_draw)
        found, logits = network.decoder(latent, drawn, noisy, cells, num_atoms, levels)

        # score times σ, so that all levels count alike: (target - found / σ)^2 σ^2 / 2
        target = to_nearest_image(noisy, frac_coords, cells, crystal) / levels[crystal][:, None]
        wrong = 0.5 * (found - target).square().sum(-1)
        unlike = cross_entropy(logits, species - 1, reduction="none") / of_species
        composed = cross_entropy(decoded.composition[crystal], species - 1, reduction="none")
        parts = {
            "kl": kl_divergence(posterior).mean(),
            "number": cross_entropy(decoded.number, num_atoms),
            "cell": mse_loss(decoded.cell, cell),
            "composition": (composed * weight).sum(),
            "coords": (wrong * weight).sum(),
            "species": (unlike * weight).sum(),
            "energy": _known_mse(network.formation_energy(latent), energy),
        }
        total = torch.stack([getattr(settings, f"{n}_weight") * v for n, v in parts.items()]).sum()
        return {"loss": total} | {f"{n}_loss": value.detach() for n, value in parts.items()}

    def _predicted_cells(self, decoded: Tensor, num_atoms: Tensor, true_cell: Tensor) -> Tensor:
        """(B, 3, 3) in Å without gradients; the true cell where the predicted one is far off."""
        true = true_cell.cpu().double().numpy()
        lengths, angles = self.statistics.cells(
            decoded.detach().cpu().double().numpy(), num_atoms.cpu().numpy()
        )
        ratio = cell_volumes(lengths, angles) / cell_volumes(true[:, :3], true[:, 3:])
        usable = ((ratio > VOLUMES[0]) & (ratio < VOLUMES[1]))[:, None]
        lengths = np.where(usable, lengths, true[:, :3])
        angles = np.where(usable, angles, true[:, 3:])
        return tensor(lattice_matrices(lengths, angles)).to(decoded)


def kl_divergence(posterior: Posterior) -> Tensor:
    """(B,) Kullback-Leibler divergences in nats of distributions of latent vectors from N(0, 1)."""
    mean, log_variance = posterior
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def _known_mse(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean square of errors where there is a value; 0 where none is known."""
    known = torch.isfinite(wanted)
    errors = (found - torch.where(known, wanted, found.detach())).square()
    return errors.sum() / known.sum().clamp(min=1)
