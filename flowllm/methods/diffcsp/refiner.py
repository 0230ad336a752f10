"""DiffCSPRefiner: from noise, or from crystals entering midway, to crystals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from flowllm.crystals.axis import Axis
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.methods.base.frames import MOST_FRAMES, FrameArrays, kept_steps
from flowllm.methods.base.task_refiner import TaskRefiner
from flowllm.methods.base.tasks import CSP, DNG
from flowllm.methods.diffcsp.batches import check_species
from flowllm.methods.diffcsp.cells import written_cells
from flowllm.methods.diffcsp.files import load_network, save_network
from flowllm.methods.diffcsp.sample import CrystalNoise, NoisyCrystals, entered, run_back
from flowllm.methods.diffcsp.schedule import STEPS, entry_step, schedule, visited_steps
from flowllm.methods.diffcsp.settings import DiffCSPSettings
from flowllm.networks.diffcsp import DiffCSPNet
from flowllm.networks.diffcsp_settings import NUM_SPECIES
from flowllm.systems.frames import kept_frames
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.training.settings import Task


class DiffCSPRefiner(TaskRefiner[DiffCSPNet]):
    """One or two trained networks: for crystals with given species, and for open ones.

    A crystal's noise depends on its own seed alone. The time t of a frame is 1 - step / T, so that
    crystals of the prior enter at step T and those of a `start` at τ = round((1 - start) T). At
    every frame after the first, species that were open are the largest entries of their noisy
    one-hot vectors. Cells are matrices on the way; how they are written, flat ones too, stands at
    `cells.written_cells`.

    Args:
        networks: task -> network.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: there is no network.
    """

    kind = "diffcsp"
    label = "DiffCSP"
    Settings = DiffCSPSettings
    load_network = staticmethod(load_network)
    save_network = staticmethod(save_network)

    @staticmethod
    def about(network: DiffCSPNet) -> Any:
        """Sizes."""
        return network.config.to_dict()

    @torch.inference_mode()
    def refine(
        self,
        crystals: CrystalBatch,
        settings: DiffCSPSettings | None = None,
        seeds: Sequence[int] | None = None,
        watch: Watch = UNWATCHED,
        start: float = 0.0,
    ) -> Trajectory:
        """The trajectories of crystals from t = start (as given) to t = 1, in the given order.

        Computed in batches of like size; how the work is cut changes the result by rounding only,
        unless the settings have single precision.

        Args:
            crystals: the prior's sample; each with all species given, or all open (0).
            settings: how to sample.
            seeds: B seeds of the noise; default 0, 1, 2, …
            watch: its step comes at the start and after each step of each batch.
            start: the time in [0, 1) at which the crystals enter, see `DiffCSPSettings.entry`.

        Raises:
            InputError: a cell spans no volume, there is no network for a crystal's species, or the
                weights are damaged.
        """
        settings = settings or DiffCSPSettings()
        given = list(range(len(crystals)) if seeds is None else seeds)
        rows = self.checked_rows(crystals)
        if CSP in rows:
            check_species(crystals[rows[CSP]])
        visited = visited_steps(entry_step(start), settings.steps)
        frames = _frames(settings.record, len(visited) - 1)
        at = np.array(visited)[frames]
        times = 1.0 - at / STEPS
        times[0] = start  # which may lie between two steps
        arrays = FrameArrays(crystals, times, Axis("diffusion step", at))
        for task, members in rows.items():
            for chosen in self.batches(members, crystals.num_atoms, settings.batch_size):
                noise = [given[row] for row in chosen]
                moved = self._sample(
                    task, crystals[chosen], noise, settings, visited, start > 0, watch
                )
                for position, batch in enumerate(moved, 1):
                    if position in frames:
                        arrays.put(frames.index(position), chosen, batch())
                watch.finished(len(chosen))
        return arrays.trajectory()

    def _sample(
        self,
        task: Task,
        crystals: CrystalBatch,
        seeds: list[int],
        settings: DiffCSPSettings,
        visited: list[int],
        on_the_way: bool,
        watch: Watch,
    ) -> Iterator[_Frame]:
        """One batch after each step."""
        # Apple's processors have no double precision
        precision = torch.float32 if self.device.type == "mps" else torch.float64
        computed_in = torch.float32 if settings.single_precision else precision
        network = deepcopy(self.networks[task]).to(computed_in)
        like = torch.zeros((), dtype=precision, device=self.device)
        species, coords, mask = (torch.from_numpy(part) for part in crystals.padded())
        noise = CrystalNoise(crystals.num_atoms.tolist(), seeds, task == DNG, like)
        first, _ = noise.draw()
        state = NoisyCrystals(
            coords.to(like), torch.from_numpy(crystals.lattices).to(like), first.species
        )
        levels = schedule()
        if on_the_way:
            state = entered(state, first, settings.entry, levels, visited[0])
        steps = run_back(
            network, species.to(self.device), state, noise, mask.to(self.device), levels,
            visited, settings.gamma(task), computed_in,
        )  # fmt: skip
        watch.step()
        for one in steps:
            yield _Frame(crystals, one, mask)
            watch.step()

    def units(self, crystals: CrystalBatch, settings: DiffCSPSettings) -> tuple[str, int]:
        """Evaluations of the network for crystals that enter at the start."""
        task: Task = DNG if (crystals.atomic_numbers == 0).any() else CSP
        each = 2 if settings.gamma(task) else 1
        return "evaluations", len(crystals) * settings.steps * each


class _Frame:
    """Crystals after a step, converted when called."""

    def __init__(self, given: CrystalBatch, state: NoisyCrystals, mask: torch.Tensor) -> None:
        self.given, self.state, self.mask = given, state, mask

    def __call__(self) -> CrystalBatch:
        """The crystals, with cells of non-zero volume."""
        numbers = self.given.atomic_numbers
        if self.state.species.shape[-1] == NUM_SPECIES:
            numbers = (self.state.species.cpu().argmax(-1) + 1)[self.mask].numpy()
        lengths, angles = written_cells(self.state.lattices.cpu().double().numpy())
        return self.given.replace(
            atomic_numbers=numbers,
            frac_coords=self.state.coords.cpu().double()[self.mask].numpy(),
            lengths=lengths,
            angles=angles,
        )


def _frames(record: bool | int, steps: int) -> list[int]:
    """Which of the steps 0 … `steps` are kept, a hundred at most."""
    if record is True:
        return kept_steps(steps)
    if record is False:
        return kept_frames(False, steps)
    return kept_steps(steps, min(record, MOST_FRAMES))
