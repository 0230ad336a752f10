"""FlowMMRefiner: from the base to crystals along the learnt flow, species drawn or given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.manifolds import OpenCrystalManifold, OpenCrystalState
from flowllm.manifolds.analog_bits import NUM_BITS, to_species
from flowllm.methods.base.frames import MOST_FRAMES, FrameArrays, kept_steps
from flowllm.methods.base.task_refiner import TaskRefiner
from flowllm.methods.base.tasks import DNG
from flowllm.methods.flow.ode import EVALUATIONS, integrate
from flowllm.methods.flowmm.batches import check_species
from flowllm.methods.flowmm.cells import with_volume
from flowllm.methods.flowmm.files import load_velocity, save_velocity
from flowllm.methods.flowmm.path import anti_annealed
from flowllm.methods.flowmm.settings import FlowMMSettings
from flowllm.methods.flowmm.velocity import OpenCrystalVelocity
from flowllm.seeds import Stream, generator
from flowllm.systems.frames import kept_frames
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.training.settings import Task

NOT_FINITE = "the flow's velocities are not finite: its weights are damaged or were never trained"


class FlowMMRefiner(TaskRefiner[OpenCrystalVelocity]):
    """One or two trained networks: for crystals with given species, and for open ones.

    Open species begin as standard normal bits, which depend on a crystal's seed alone; all else is
    deterministic. At every frame after the first a species is what the signs of its bits say. Bits
    of an index from 100 to 127 stand for no element and leave the species open (0), at the end too:
    such a crystal has no valid composition, and an evaluation counts it as unreadable. Angles that
    span no volume together are moved until they span 0.05 Å^3, which counts as invalid, too.

    Args:
        networks: task -> network with its statistics.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: there is no network.
    """

    kind = "flowmm"
    label = "FlowMM"
    Settings = FlowMMSettings
    load_network = staticmethod(load_velocity)
    save_network = staticmethod(save_velocity)

    @staticmethod
    def about(network: OpenCrystalVelocity) -> Any:
        """Sizes, and statistics."""
        return (network.net.config.to_dict(), network.statistics.to_dict())

    @torch.inference_mode()
    def refine(
        self,
        crystals: CrystalBatch,
        settings: FlowMMSettings | None = None,
        seeds: Sequence[int] | None = None,
        watch: Watch = UNWATCHED,
        start: float = 0.0,
    ) -> Trajectory:
        """The trajectories of crystals from t = start (as given) to t = 1, in the given order.

        Computed in float32, in batches of like size; how the work is cut changes the result by
        rounding only.

        Args:
            crystals: the base's sample; each with all species given, or all open (0).
            settings: how to integrate.
            seeds: B seeds of the bits; default 0, 1, 2, …
            watch: its step comes at the start and after each step of each batch.
            start: the time in [0, 1) at which the crystals enter; the steps divide the rest.

        Raises:
            InputError: a cell spans no volume, or there is no network for a crystal's species.
        """
        settings = settings or FlowMMSettings()
        given = list(range(len(crystals)) if seeds is None else seeds)
        rows = self.checked_rows(crystals)
        if "csp" in rows:
            check_species(crystals[rows["csp"]])
        steps = settings.steps
        frames = _frames(settings.record, steps)
        arrays = FrameArrays(crystals, start + (1 - start) * np.array(frames) / steps)
        for task, members in rows.items():
            for chosen in self.batches(members, crystals.num_atoms, settings.batch_size):
                noise = [given[row] for row in chosen]
                moved = self._integrate(
                    task, crystals[chosen], noise, settings, frames, watch, start
                )
                for frame, batch in enumerate(moved):
                    arrays.put(frame, chosen, batch)
                watch.finished(len(chosen))
        return arrays.trajectory()

    def _integrate(
        self,
        task: Task,
        crystals: CrystalBatch,
        seeds: list[int],
        settings: FlowMMSettings,
        frames: list[int],
        watch: Watch,
        start: float,
    ) -> list[CrystalBatch]:
        """The crystals of one batch at every frame."""
        network = self.networks[task]
        species, coords, mask = (torch.from_numpy(part) for part in crystals.padded())
        lengths, angles = (torch.from_numpy(x) for x in (crystals.lengths, crystals.angles))
        parts = (coords, network.cell_map.to_flat(lengths, angles), _noise(task, mask, seeds))
        state = OpenCrystalState(*(part.float().to(self.device) for part in parts))
        given, on_device = species.to(self.device), mask.to(self.device)

        def velocity(t: float, x: OpenCrystalState) -> OpenCrystalState:
            found = network(given, x, x.cell.new_full((len(x.cell),), t), on_device)
            if not all(bool(torch.isfinite(part).all()) for part in found):
                raise InputError(NOT_FINITE)
            return found

        kept: list[CrystalBatch] = []
        wanted = set(frames)

        def keep(step: int, x: OpenCrystalState) -> None:
            watch.step()
            if step not in wanted:
                return
            cell = [part.numpy() for part in network.cell_map.from_flat(x.cell.cpu().double())]
            numbers = to_species(x.bits.cpu()) if task == DNG else species
            kept.append(
                crystals.replace(
                    atomic_numbers=numbers[mask].numpy(),
                    frac_coords=x.coords.cpu().double()[mask].numpy(),
                    lengths=cell[0],
                    angles=with_volume(*cell),
                )
            )

        try:
            integrate(
                anti_annealed(velocity, settings.annealing(task)),
                state,
                OpenCrystalManifold(on_device),
                settings.steps,
                settings.solver,
                keep,
                start,
            )
        except torch.linalg.LinAlgError as error:  # of a cell that has left all bounds
            raise InputError(NOT_FINITE) from error
        return kept

    def units(self, crystals: CrystalBatch, settings: FlowMMSettings) -> tuple[str, int]:
        """Evaluations of the network for one crystal."""
        return "evaluations", len(crystals) * settings.steps * EVALUATIONS[settings.solver]


def _frames(record: bool | int, steps: int) -> list[int]:
    """The steps after which a frame is kept, from 0 to `steps`; a hundred at most."""
    if record is True:
        return kept_steps(steps)
    return kept_frames(record and min(record, MOST_FRAMES), steps)


def _noise(task: Task, mask: torch.Tensor, seeds: list[int]) -> torch.Tensor:
    """Initial bits (B, S, 7) of each crystal, by its seed; (B, S, 0) for given species."""
    if task != DNG:
        return torch.zeros((*mask.shape, 0))
    bits = torch.zeros((*mask.shape, NUM_BITS), dtype=torch.float64)
    for row, seed in enumerate(seeds):
        size = (int(mask[row].sum()), NUM_BITS)
        drawn = generator(Stream.BITS, seed).standard_normal(size)
        bits[row, : size[0]] = torch.from_numpy(drawn)
    return bits
