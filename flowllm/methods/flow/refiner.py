"""FlowRefiner: move the prior's crystals along the learnt flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import concatenated_ranges
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError, first_line
from flowllm.manifolds import CrystalManifold, CrystalState, SymmetricManifold
from flowllm.methods.flow.ode import EVALUATIONS, anti_annealed, integrate
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.flow.sizes import check_sizes
from flowllm.methods.flow.space_group import operations_of
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.methods.flow.velocity import CrystalVelocity
from flowllm.networks.settings import VelocityConfig
from flowllm.runs.files import CONFIG, WEIGHTS, load_weights, save_weights
from flowllm.runs.identity import weights_digest
from flowllm.runs.json_object import JsonObject
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.training.device import resolve_device

FORMAT = "flowllm-flow"
NOT_FINITE = "the flow's velocities are not finite: its weights are damaged or were never trained"
BATCH_ON_CPU, BATCH_ON_ACCELERATOR = 64, 1024


class FlowRefiner:
    """A trained flow. Deterministic: the seeds of the protocol are not used.

    It moves coordinates and lattice; species stay.

    Args:
        velocity: the network with its statistics.
        device: "auto", "cpu", "cuda" or "mps".
    """

    kind = "flow"
    label = "Riemannian flow"
    Settings = RefineSettings
    moves = frozenset({"coords", "lattice"})

    def __init__(self, velocity: CrystalVelocity, device: str = "cpu") -> None:
        self.device = resolve_device(device)
        self.velocity = velocity.to(self.device).float().eval()

    @property
    def config(self) -> VelocityConfig:
        """The size of the network."""
        return self.velocity.net.config

    @torch.inference_mode()
    def refine(
        self,
        crystals: CrystalBatch,
        settings: RefineSettings | None = None,
        seeds: Sequence[int] | None = None,
        watch: Watch = UNWATCHED,
        start: float = 0.0,
    ) -> Trajectory:
        """The trajectories of crystals from t = start (as given) to t = 1, in the given order.

        Types and ids stay as they are. Computed in float32, in batches of like size; how the work
        is cut changes the result by rounding only.

        Args:
            crystals: the prior's sample.
            settings: how to integrate.
            seeds: unused; part of the refiner protocol.
            watch: its step comes at the start and after each step of each batch.
            start: the time in [0, 1) at which the crystals enter; the steps divide the rest.

        Raises:
            InputError: a cell spans no volume or a type is unknown to the network; the id is named.
        """
        settings = settings or RefineSettings()
        self._check(crystals)
        frames = settings.frames
        shape = (len(frames), len(crystals), 3)
        coords = np.zeros((len(frames), len(crystals.frac_coords), 3))
        lengths, angles = np.zeros(shape), np.zeros(shape)
        for chosen in self._batches(crystals.num_atoms, settings.batch_size):
            atoms = concatenated_ranges(crystals.offsets[chosen], crystals.num_atoms[chosen])
            parts = self._integrate(crystals[chosen], settings, frames, watch, start)
            coords[:, atoms], lengths[:, chosen], angles[:, chosen] = parts
            watch.finished(len(chosen))
        coords[0], lengths[0], angles[0] = crystals.frac_coords, crystals.lengths, crystals.angles
        times = start + (1 - start) * np.array(frames) / settings.steps
        return Trajectory(
            times,
            coords,
            lengths,
            angles,
            crystals.atomic_numbers,
            crystals.num_atoms,
            crystals.ids,
        )

    def _check(self, crystals: CrystalBatch) -> None:
        flat = np.flatnonzero(crystals.volumes <= 0)
        if len(flat):
            raise InputError(f"{crystals.ids[flat[0]]}: the cell has zero volume")
        numbers = crystals.atomic_numbers
        foreign = np.flatnonzero((numbers < 0) | (numbers >= self.config.num_types))
        if len(foreign):
            name = crystals.ids[crystals.crystal_of_atom[foreign[0]]]
            raise InputError(f"{name}: the network does not support the type {numbers[foreign[0]]}")

    def _batches(self, num_atoms: np.ndarray, batch_size: int | None) -> Iterator[np.ndarray]:
        """Positions of crystals, bucketed by size to reduce padding."""
        preset = BATCH_ON_CPU if self.device.type == "cpu" else BATCH_ON_ACCELERATOR
        size = batch_size or preset
        order = np.argsort(num_atoms, kind="stable")
        return (order[start : start + size] for start in range(0, len(order), size))

    def _integrate(
        self,
        crystals: CrystalBatch,
        settings: RefineSettings,
        frames: list[int],
        watch: Watch,
        start: float,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates (T, n, 3), lengths (T, b, 3) and angles (T, b, 3) of one batch."""
        types, coords, mask = (torch.from_numpy(part) for part in crystals.padded())
        cells = self.velocity.cell_map.to_flat(
            torch.from_numpy(crystals.lengths), torch.from_numpy(crystals.angles)
        )
        state = CrystalState(*(part.float().to(self.device) for part in (coords, cells)))
        types, on_device = types.to(self.device), mask.to(self.device)

        def velocity(t: float, x: CrystalState) -> CrystalState:
            times = x.cell.new_full((len(x.cell),), t)
            found = self.velocity(types, x, times, on_device)
            if not bool(torch.isfinite(found.cell).all() & torch.isfinite(found.coords).all()):
                raise InputError(NOT_FINITE)
            return found

        kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        wanted = set(frames)

        def keep(step: int, x: CrystalState) -> None:
            watch.step()
            if step in wanted:
                cell = self.velocity.cell_map.from_flat(x.cell.cpu().double())
                kept.append(
                    (x.coords.cpu().double()[mask].numpy(), cell[0].numpy(), cell[1].numpy())
                )

        try:
            integrate(
                anti_annealed(velocity, settings.anti_annealing),
                state,
                self._manifold(crystals, on_device, settings.symprec),
                settings.steps,
                settings.solver,
                keep,
                start,
            )
        except torch.linalg.LinAlgError as error:  # of a cell that has left all bounds
            raise InputError(NOT_FINITE) from error
        coords_kept, lengths, angles = zip(*kept, strict=True)
        return np.stack(coords_kept), np.stack(lengths), np.stack(angles)

    def _manifold(
        self, crystals: CrystalBatch, mask: torch.Tensor, symprec: float
    ) -> CrystalManifold:
        if not symprec:
            return CrystalManifold(mask)
        like = mask.new_empty(0, dtype=torch.float32)
        group = operations_of(crystals, symprec).to(like)
        return SymmetricManifold(mask, group, self.velocity.cell_map)

    # ---- files -----------------------------------------------------------------------------

    def units(self, crystals: CrystalBatch, settings: RefineSettings) -> tuple[str, int]:
        """Evaluations of the network for one crystal."""
        return "evaluations", len(crystals) * settings.steps * EVALUATIONS[settings.solver]

    def digest(self) -> str:
        """A short hash of the weights, the size of the network and the statistics."""
        about = repr((self.config.to_dict(), self.velocity.statistics.to_dict()))
        return weights_digest(self.velocity, about)

    def save(self, folder: Path, half: bool = False) -> None:
        """As `save_pretrained`."""
        self.save_pretrained(folder, half)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> FlowRefiner:
        """As `from_pretrained`."""
        return cls.from_pretrained(folder, device)

    def save_pretrained(self, folder: str | Path, half: bool = True) -> None:
        """Write config.json (sizes and statistics) and model.safetensors.

        Args:
            folder: made if missing.
            half: keep the weights in float16 on disk; they are float32 again when loaded.
        """
        config = {
            "format": FORMAT,
            "version": 1,
            "network": self.config.to_dict(),
            "statistics": self.velocity.statistics.to_dict(),
        }
        save_weights(folder, self.velocity.net.state_dict(), config, half)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "auto") -> FlowRefiner:
        """Read what `save_pretrained` wrote.

        Raises:
            InputError: names the folder and what is wrong with it.
        """
        weights, config = load_weights(folder)
        try:
            if config.get("format") != FORMAT:
                raise InputError(f"{CONFIG} does not describe a flow of FlowLLM")
            if config.get("version") != 1:
                raise InputError(
                    f"{CONFIG} has version {config.get('version')!r}; this program reads 1"
                )
            network = JsonObject(config, CONFIG).record("network").make(VelocityConfig)
            statistics = FlowStatistics.from_dict(config.get("statistics"))
            check_sizes(network, {name: tuple(value.shape) for name, value in weights.items()})
            velocity = CrystalVelocity(network, statistics)
            broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
            if broken:
                raise InputError(f"{WEIGHTS}: {broken[0]} holds a value that is not finite")
            velocity.net.load_state_dict(weights)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{folder}: not a flow of FlowLLM ({first_line(error)})") from error
        return cls(velocity, device)
