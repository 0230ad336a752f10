"""Refining crystals by the equivariant flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters, concatenated_ranges
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError, first_line
from flowllm.methods.equivariant.noise import exponential
from flowllm.methods.equivariant.settings import EquivariantSettings
from flowllm.networks.equivariant.network import ELEMENTS, EquivariantNetwork
from flowllm.networks.equivariant.settings import EquivariantConfig
from flowllm.runs.files import CONFIG, WEIGHTS, load_weights, save_weights
from flowllm.runs.identity import weights_digest
from flowllm.runs.json_object import JsonObject
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.training.device import resolve_device
from flowllm.training.side_by_side import side_by_side

FORMAT = "flowllm-equivariant"
NOT_FINITE = "the flow's moves are not finite: its weights are damaged or were never trained"
MOST_STRAIN = 0.3
"""Of a step; more than any that training shows."""


class EquivariantRefiner:
    """A trained flow that keeps every symmetry operation of a crystal.

    Deterministic: the seeds of the protocol are not used. It moves coordinates and lattice; species
    stay. The network says what is left to go; at time t a step of dt goes dt / (1 - t) of that.

    Args:
        network: the network.
        device: "auto", "cpu", "cuda" or "mps".
    """

    kind = "equivariant"
    label = "equivariant flow"
    Settings = EquivariantSettings
    moves = frozenset({"coords", "lattice"})

    def __init__(self, network: EquivariantNetwork, device: str = "cpu") -> None:
        self.device = resolve_device(device)
        self.network = network.to(self.device).float().eval()

    @property
    def config(self) -> EquivariantConfig:
        """The size of the network."""
        return self.network.config

    def refine(
        self,
        crystals: CrystalBatch,
        settings: EquivariantSettings | None = None,
        seeds: Sequence[int] | None = None,
        watch: Watch = UNWATCHED,
        start: float = 0.0,
    ) -> Trajectory:
        """The trajectories of crystals from t = start (as given) to t = 1, in the given order.

        Args:
            crystals: B crystals in any setting.
            settings: how many steps.
            seeds: unused; part of the refiner protocol.
            watch: its step comes at the start and after each step of each batch, in any order.
            start: the time in [0, 1) at which the crystals enter; the steps divide the rest.

        Raises:
            InputError: a cell spans no volume, a species is open, or the weights are damaged; a
                crystal's id is named.
        """
        settings = settings or EquivariantSettings()
        self._check(crystals)
        frames = settings.frames
        coords = np.zeros((len(frames), len(crystals.frac_coords), 3))
        lengths, angles = (np.zeros((len(frames), len(crystals), 3)) for _ in range(2))
        order = np.argsort(crystals.num_atoms, kind="stable")
        size, steps = settings.batch_size, settings.steps
        batches = [order[first : first + size] for first in range(0, len(order), size)]
        found = side_by_side(
            lambda chosen: self._follow(crystals[chosen], steps, frames, watch, start),
            batches, self.device,
        )  # fmt: skip
        for chosen, parts in zip(batches, found, strict=True):
            atoms = concatenated_ranges(crystals.offsets[chosen], crystals.num_atoms[chosen])
            coords[:, atoms], lengths[:, chosen], angles[:, chosen] = parts
            watch.finished(len(chosen))
        coords[0], lengths[0], angles[0] = crystals.frac_coords, crystals.lengths, crystals.angles
        return Trajectory(
            start + (1 - start) * np.array(frames) / settings.steps, coords, lengths, angles,
            crystals.atomic_numbers, crystals.num_atoms, crystals.ids,
        )  # fmt: skip

    def _check(self, crystals: CrystalBatch) -> None:
        flat = np.flatnonzero(crystals.volumes <= 0)
        if len(flat):
            raise InputError(f"{crystals.ids[flat[0]]}: the cell has zero volume")
        numbers = crystals.atomic_numbers
        foreign = np.flatnonzero((numbers < 1) | (numbers >= ELEMENTS))
        if len(foreign):
            name = crystals.ids[crystals.crystal_of_atom[foreign[0]]]
            raise InputError(f"{name}: the flow does not support the species {numbers[foreign[0]]}")

    @torch.inference_mode()
    def _follow(
        self,
        crystals: CrystalBatch,
        steps: int,
        frames: list[int],
        watch: Watch,
        start: float,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates (T, n, 3), lengths (T, b, 3) and angles (T, b, 3) of one batch."""
        frac, lattices = crystals.frac_coords.copy(), crystals.lattices
        own = crystals.crystal_of_atom
        kept = []
        for step in range(steps + 1):
            if step in frames:
                cells = [cell_parameters(lattice) for lattice in lattices]
                kept.append((frac.copy(), *(np.array([cell[k] for cell in cells]) for k in (0, 1))))
            watch.step()
            if step == steps:
                break
            time = start + (1 - start) * step / steps
            moved, strain = self._moves(crystals, frac, lattices, time)
            share = 1 / (steps - step)
            back = np.linalg.inv(lattices)
            frac = frac + share * np.einsum("ni,nij->nj", moved, back[own])
            lattices = lattices @ exponential(share * strain)
        coords, lengths, angles = zip(*kept, strict=True)
        return np.stack(coords), np.stack(lengths), np.stack(angles)

    def _moves(
        self, crystals: CrystalBatch, frac: np.ndarray, lattices: np.ndarray, time: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The remaining displacements (n, 3) in Å and strains (b, 3, 3)."""

        def tensor(values: np.ndarray, kind: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.as_tensor(values, dtype=kind, device=self.device)

        found = self.network(
            tensor(crystals.atomic_numbers, torch.int64),
            tensor(frac),
            tensor(lattices),
            tensor(crystals.num_atoms, torch.int64),
            tensor(np.full(len(crystals), time)),
        )
        moved, strain = (part.cpu().double().numpy() for part in found)
        if not (np.isfinite(moved).all() and np.isfinite(strain).all()):
            raise InputError(NOT_FINITE)
        size = np.linalg.norm(strain, axis=(1, 2), keepdims=True)
        return moved, strain * np.minimum(1.0, MOST_STRAIN / np.maximum(size, 1e-12))

    # ---- files -----------------------------------------------------------------------------

    def units(self, crystals: CrystalBatch, settings: EquivariantSettings) -> tuple[str, int]:
        """Evaluations of the network for one crystal."""
        return "evaluations", len(crystals) * settings.steps

    def digest(self) -> str:
        """A short hash of the weights and the size of the network."""
        return weights_digest(self.network, repr(self.config.to_dict()))

    def save(self, folder: Path, half: bool = False) -> None:
        """Write config.json (sizes) and model.safetensors.

        Args:
            folder: made if missing.
            half: keep the weights in float16 on disk; they are float32 again when loaded.
        """
        config = {"format": FORMAT, "version": 1, "network": self.config.to_dict()}
        save_weights(folder, self.network.state_dict(), config, half)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> EquivariantRefiner:
        """Read what `save` wrote.

        Raises:
            InputError: names the folder and what is wrong with it.
        """
        weights, config = load_weights(folder)
        try:
            if config.get("format") != FORMAT or config.get("version") != 1:
                raise InputError(f"{CONFIG} does not describe an equivariant flow of FlowLLM")
            sizes = JsonObject(config, CONFIG).record("network").make(EquivariantConfig)
            largest = max((max(w.shape, default=0) for w in weights.values()), default=0)
            if sizes.hidden > largest or sizes.layers > len(weights) or sizes.basis > largest:
                raise InputError(f"{CONFIG} does not fit the weights in {WEIGHTS}")
            broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
            if broken:
                raise InputError(f"{WEIGHTS}: {broken[0]} holds a value that is not finite")
            network = EquivariantNetwork(sizes)
            network.load_state_dict(weights)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{folder}: not a flow of FlowLLM ({first_line(error)})") from error
        return cls(network, device)
