"""DiffCSP's training loss (arXiv 2309.04475, algorithm 1; equations 6, 12)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from flowllm.manifolds.wrapped_normal import wrapped_score
from flowllm.methods.diffcsp.process import noised, wrapped_noised
from flowllm.methods.diffcsp.schedule import STEPS, schedule
from flowllm.methods.diffcsp.settings import DiffCSPTrainSettings
from flowllm.networks.diffcsp import DiffCSPNet
from flowllm.networks.diffcsp_settings import NUM_SPECIES, DiffCSPConfig


class DiffCSPMatcher(nn.Module):
    """The network of one task together with its loss.

    loss = w_l |ε̂_L - ε_L|² + w_f |ŝ - s / √E s²|² + w_a |ε̂_A - ε_A|², means over all numbers of the
    batch, with w 1, 1 and 20 in DiffCSP; the last only where species are drawn. s is the score of
    the wrapped normal around each atom's own place, so that the middle term is λ_t times the
    squared error of the score.

    Args:
        config: size of the network.
        settings: the weights.
    """

    alpha_bars: Tensor
    sigmas: Tensor
    score_norms: Tensor

    def __init__(self, config: DiffCSPConfig, settings: DiffCSPTrainSettings) -> None:
        super().__init__()
        self.network = DiffCSPNet(config)
        self.coord_weight = settings.coord_weight
        self.lattice_weight = settings.lattice_weight
        self.species_weight = settings.species_weight
        for name in ("alpha_bars", "sigmas", "score_norms"):
            levels = getattr(schedule(), name).float()
            self.register_buffer(name, levels, persistent=False)

    def forward(
        self,
        species: Tensor,
        frac_coords: Tensor,
        lattices: Tensor,
        coord_noise: Tensor,
        lattice_noise: Tensor,
        species_noise: Tensor,
        step: Tensor,
        mask: Tensor,
    ) -> dict[str, Tensor]:
        """Losses of a batch of crystals.

        Args:
            species: (B, S) int64 atomic numbers, 0 on padding.
            frac_coords: (B, S, 3).
            lattices: (B, 3, 3) in Å.
            coord_noise: (B, S, 3) standard normal.
            lattice_noise: (B, 3, 3) standard normal.
            species_noise: (B, S, 100) standard normal, or (B, S, 0) in structure prediction.
            step: (B,) int64, 1 … T.
            mask: (B, S) bool.

        Returns:
            `loss`; `coord_loss`, `lattice_loss` and, where species are drawn, `species_loss`, in
            all of which 1 is the variance of the target.
        """
        alpha_bar = self.alpha_bars[step]
        signal, sigma = alpha_bar[:, None, None], self.sigmas[step][:, None, None]
        noisy_coords = wrapped_noised(frac_coords, coord_noise, sigma)
        noisy_lattices = noised(lattices, lattice_noise, signal)
        draws = species_noise.shape[-1] > 0
        seen = species
        if draws:
            clean = functional.one_hot((species - 1).clamp(min=0), NUM_SPECIES)
            seen = noised(clean.to(species_noise.dtype), species_noise, signal)
        t = step.to(alpha_bar.dtype) / STEPS
        found = self.network(seen, noisy_coords, noisy_lattices, t, alpha_bar, mask)
        target = wrapped_score(sigma * coord_noise, sigma.expand_as(coord_noise))
        target = target / self.score_norms[step][:, None, None]
        coord_loss = (found[0] - target)[mask].square().mean()
        lattice_loss = (found[1] - lattice_noise).square().mean()
        loss = self.coord_weight * coord_loss + self.lattice_weight * lattice_loss
        parts = {"coord_loss": coord_loss.detach(), "lattice_loss": lattice_loss.detach()}
        if draws:
            species_loss = (found[2] - species_noise)[mask].square().mean()
            loss = loss + self.species_weight * species_loss
            parts["species_loss"] = species_loss.detach()
        return {"loss": loss, **parts}
