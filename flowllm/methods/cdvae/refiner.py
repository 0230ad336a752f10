"""CDVAE's decoder as a refiner: Langevin dynamics conditioned on a latent vector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowllm.crystals.axis import Axis
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.methods.base.frames import MOST_FRAMES, FrameArrays, kept_steps
from flowllm.methods.cdvae.batches import check_species, tensor
from flowllm.methods.cdvae.langevin import Score, langevin
from flowllm.methods.cdvae.latents import decoded_cell, latent
from flowllm.methods.cdvae.model import CDVAEModel, precision
from flowllm.methods.cdvae.settings import CDVAESettings
from flowllm.networks.cdvae.heads import with_elements
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.training.device import resolve_device

DECIMALS = 5
"""Of latent vectors and of the score times σ: what is beyond may depend on the other crystals."""
SAME_CELL = 1e-3
"""Å and degrees by which the cell of a seed may differ, from rounding."""


class CDVAERefiner:
    """Moves atoms by annealed Langevin dynamics and takes the likeliest species after each step.

    The lattice and the number of atoms stay, as those that the latent vector decodes to.

    Args:
        model: what was trained.
    """

    kind = "cdvae"
    label = "Langevin dynamics"
    Settings = CDVAESettings
    moves = frozenset({"species", "coords"})

    def __init__(self, model: CDVAEModel) -> None:
        self.model = model

    def refine(
        self,
        crystals: CrystalBatch,
        settings: CDVAESettings | None = None,
        seeds: Sequence[int] | None = None,
        watch: Watch = UNWATCHED,
        start: float = 0.0,
    ) -> Trajectory:
        """The trajectories of crystals from t = start (as given) to t = 1, in the given order.

        Args:
            crystals: B crystals of this system's prior, or any whose latent vectors are encoded.
            settings: how many steps, and which latent vectors.
            seeds: B seeds of the prior's crystals, or of the noise; default 0, 1, 2, …
            watch: its step comes before each step of each batch.
            start: the time in [0, 1) at which the crystals enter; the step follows from it.

        Raises:
            InputError: a crystal is not the one that its seed decodes to, has a species that is
                open or unknown, or spans no volume (its id is named); or the weights are damaged.
        """
        settings = settings or CDVAESettings()
        given = list(range(len(crystals))) if seeds is None else list(seeds)
        if settings.latent == "encoded":
            latents = self.model.encoded(crystals)
        else:
            latents = self.latents(crystals, given)
        return self.decode(latents, crystals, settings, given, watch, start)

    def latents(self, crystals: CrystalBatch, seeds: Sequence[int]) -> Tensor:
        """(B, D) latent vectors with which the prior drew B crystals.

        Raises:
            InputError: it did not draw one of them, which is named.
        """
        heads, statistics = self.model.network.heads, self.model.statistics
        found = []
        for row, seed in enumerate(seeds):
            count, name = int(crystals.num_atoms[row]), crystals.ids[row]
            of_prior = 1 <= count <= heads.config.max_atoms
            if of_prior:
                drawn = latent(heads, seed, count)
                _, lengths, angles = decoded_cell(heads, statistics, drawn, count)
                off = [lengths - crystals.lengths[row], angles - crystals.angles[row]]
                of_prior = float(np.abs(off).max()) <= SAME_CELL
                found.append(drawn)
            if not of_prior:
                raise InputError(
                    f"{name}: its cell is not that of its seed's latent vector; "
                    "crystals of another origin need --latent encoded"
                )
        kind = precision(heads)
        none = torch.zeros(0, heads.config.latent, device=self.model.device, dtype=kind)
        return torch.cat([none, *found])

    @torch.inference_mode()
    def decode(
        self,
        latents: Tensor,
        crystals: CrystalBatch,
        settings: CDVAESettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
        start: float = 0.0,
    ) -> Trajectory:
        """As `refine`, for latent vectors (B, D) that are known."""
        check_species(crystals)
        flat = np.flatnonzero(crystals.volumes <= 0)
        if len(flat):
            raise InputError(f"{crystals.ids[flat[0]]}: the cell has zero volume")
        steps = self.model.levels.noise_levels * settings.steps_per_level
        first = int(start * steps)
        kept = _kept(settings, steps - first)
        times = (first + np.array(kept)) / steps
        times[0] = start
        frames = FrameArrays(crystals, times, self._axis(settings, first + np.array(kept)))
        order = np.argsort(crystals.num_atoms, kind="stable")
        for begin in range(0, len(order), settings.batch_size):
            rows = order[begin : begin + settings.batch_size]
            some = crystals[rows]
            known = latents[torch.from_numpy(rows).to(latents.device)].round(decimals=DECIMALS)
            score = self._score(known, some)
            path = langevin(
                score, some, [seeds[row] for row in rows], self.model.levels,
                settings.steps_per_level, settings.step_size, first,
            )  # fmt: skip
            watch.step()
            for done, state in enumerate(path, 1):
                watch.step()
                if done in kept:
                    frames.put(kept.index(done), rows, state)
            watch.finished(len(rows))
        return frames.trajectory()

    def _axis(self, settings: CDVAESettings, steps: np.ndarray) -> Axis:
        """The noise level of the step before each frame; for the first frame, of the next step."""
        before = np.maximum(steps - 1, steps[0])
        levels = self.model.levels
        last = levels.noise_levels - 1
        at = np.array(levels.coords)[np.minimum(before // settings.steps_per_level, last)]
        return Axis("noise level", at, "Å")

    def _score(self, latents: Tensor, crystals: CrystalBatch) -> Score:
        """The decoder's score of some crystals with their latent vectors."""
        model, kind = self.model, precision(self.model.network)
        lattices = tensor(crystals.lattices, kind).to(model.device)
        num_atoms = torch.from_numpy(crystals.num_atoms).to(model.device)

        def score(
            species: np.ndarray, frac_coords: np.ndarray, level: float
        ) -> tuple[np.ndarray, np.ndarray]:
            found, logits = model.network.decoder(
                latents,
                torch.from_numpy(species).to(model.device),
                tensor(frac_coords, kind).to(model.device),
                lattices,
                num_atoms,
                torch.full((len(crystals),), level, device=model.device, dtype=kind),
            )
            likeliest = with_elements(logits, model.statistics.elements).argmax(-1) + 1
            directions = found.cpu().double().numpy().round(DECIMALS)
            return directions / level, likeliest.cpu().numpy()

        return score

    # ---- files -----------------------------------------------------------------------------

    def units(self, crystals: CrystalBatch, settings: CDVAESettings) -> tuple[str, int]:
        """Evaluations of the network for one crystal."""
        steps = self.model.levels.noise_levels * settings.steps_per_level
        return "evaluations", len(crystals) * steps

    def digest(self) -> str:
        """A short hash of everything trained."""
        return self.model.digest()

    def save(self, folder: Path, half: bool = False) -> None:
        """Write config.json and model.safetensors; weights in float16 where `half`."""
        self.model.save(folder, half)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> CDVAERefiner:
        """Read what `save` wrote.

        Raises:
            InputError: names the folder and what is wrong with it.
        """
        return cls(CDVAEModel.load(folder, str(resolve_device(device))))


def _kept(settings: CDVAESettings, steps: int) -> list[int]:
    """The steps after which a frame is kept, from 0 to `steps`."""
    if settings.record is True:
        return kept_steps(steps)
    return kept_steps(steps, 2 if settings.record is False else min(settings.record, MOST_FRAMES))
