"""Frames of crystals that are refined in batches, put together into one trajectory."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.axis import Axis
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import concatenated_ranges
from flowllm.crystals.trajectory import Trajectory

MOST_FRAMES = 100


def kept_steps(steps: int, frames: int = MOST_FRAMES) -> list[int]:
    """Which of the steps 0 … `steps` are kept: evenly spaced, first and last included.

    Args:
        steps: of the work.
        frames: at most so many, at least 2.
    """
    return np.unique(np.linspace(0, steps, min(frames, steps + 1)).round().astype(int)).tolist()


class FrameArrays:
    """T frames of B crystals, filled batch by batch; the first holds the crystals as given.

    Args:
        crystals: B crystals.
        times: (T,) times of the frames, rising.
        axis: what the frames are counted by; None for the times.
    """

    def __init__(self, crystals: CrystalBatch, times: np.ndarray, axis: Axis | None = None) -> None:
        self.crystals, self.times, self.axis = crystals, times, axis
        self._coords, self._lengths, self._angles, self._numbers = (
            np.repeat(np.asarray(part)[None], len(times), axis=0)
            for part in (
                crystals.frac_coords, crystals.lengths, crystals.angles, crystals.atomic_numbers
            )
        )  # fmt: skip

    def put(self, frame: int, rows: np.ndarray, crystals: CrystalBatch) -> None:
        """Fill one frame of some crystals.

        Args:
            frame: 1 … T - 1; the first is kept as given.
            rows: (b,) positions of the crystals.
            crystals: b crystals, with the numbers of atoms of those at `rows`.
        """
        if not frame:
            return
        given = self.crystals
        atoms = concatenated_ranges(given.offsets[rows], given.num_atoms[rows])
        self._coords[frame, atoms] = crystals.frac_coords
        self._numbers[frame, atoms] = crystals.atomic_numbers
        self._lengths[frame, rows] = crystals.lengths
        self._angles[frame, rows] = crystals.angles

    def trajectory(self) -> Trajectory:
        """All frames."""
        given = self.crystals
        return Trajectory(
            self.times, self._coords, self._lengths, self._angles, self._numbers,
            given.num_atoms, given.ids, self.axis,
        )  # fmt: skip
