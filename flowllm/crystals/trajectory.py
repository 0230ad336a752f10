"""Trajectory: the path of a batch of crystals from the prior's sample to the refined crystal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.crystals.arrays import whole_numbers
from flowllm.crystals.axis import Axis
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import concatenated_ranges, wrap
from flowllm.errors import InputError
from flowllm.runs.archive import open_archive, write_archive

ARRAYS = ("times", "frac_coords", "lengths", "angles", "atomic_numbers", "num_atoms", "ids")
AXIS, AXIS_VALUES = "axis", "axis_values"
"""Name and unit of the axis, and its values, in files of trajectories that have one."""


@dataclass(frozen=True)
class Trajectory:
    """T frames of B crystals with N atoms in all; an atom's species may differ between frames.

    Attributes:
        times: (T,) float64, rising, 0 at the start of the flow and 1 at its end.
        frac_coords: (T, N, 3) float64, in [0, 1); rows are atoms, one crystal's beside each other.
        lengths: (T, B, 3) float64, cell lengths in Å.
        angles: (T, B, 3) float64, cell angles in degrees.
        atomic_numbers: (T, N) int64; 0 marks a species that is open at that frame. The constructor
            also takes (N,), species that stay; those are kept once and cannot be written to.
        num_atoms: (B,) int64; its sum is N.
        ids: (B,) str.
        axis: what the frames are counted by, where that is not t: a diffusion's steps, say.

    Raises:
        InputError: shapes disagree, there is no frame, or a value is not finite.
    """

    times: np.ndarray
    frac_coords: np.ndarray
    lengths: np.ndarray
    angles: np.ndarray
    atomic_numbers: np.ndarray
    num_atoms: np.ndarray
    ids: np.ndarray
    axis: Axis | None = None

    def __post_init__(self) -> None:
        times = np.asarray(self.times, dtype=np.float64).reshape(-1)
        if not len(times):
            raise InputError("a trajectory needs at least one frame")
        numbers = whole_numbers(self.atomic_numbers, "atomic_numbers")
        counts = whole_numbers(self.num_atoms, "num_atoms").reshape(-1)
        if (counts < 0).any():
            raise InputError("num_atoms holds a negative number")
        cast = {
            "times": times,
            "frac_coords": wrap(np.asarray(self.frac_coords, dtype=np.float64)),
            "lengths": np.asarray(self.lengths, dtype=np.float64),
            "angles": np.asarray(self.angles, dtype=np.float64),
            "atomic_numbers": _per_frame(numbers, len(times)),
            "num_atoms": counts,
            "ids": np.asarray(self.ids, dtype=np.str_).reshape(-1),
        }
        for name, value in cast.items():
            object.__setattr__(self, name, value)
        atoms = self.atomic_numbers.shape[1]
        counted = sum(counts.tolist())  # which cannot overflow
        if atoms != counted or len(self.ids) != len(counts):
            raise InputError(
                f"num_atoms counts {counted} atoms of {len(counts)} crystals, but there are "
                f"species of {atoms} atoms and {len(self.ids)} ids"
            )
        if self.axis is not None and len(self.axis.values) != len(times):
            raise InputError(f"the axis has {len(self.axis.values)} values for {len(times)} frames")
        shapes = {"frac_coords": atoms, "lengths": len(counts), "angles": len(counts)}
        for name, rows in shapes.items():
            if cast[name].shape != (len(times), rows, 3):
                raise InputError(
                    f"{name} has shape {cast[name].shape}, not {(len(times), rows, 3)}"
                )
            if not np.isfinite(cast[name]).all():
                raise InputError(f"{name} holds a value that is not finite")

    # ---- frames and crystals ---------------------------------------------------------------

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.times)

    def __iter__(self) -> Iterator[CrystalBatch]:
        return (self.frame(i) for i in range(len(self)))

    def frame(self, index: int) -> CrystalBatch:
        """All crystals at one frame; negative positions count from the end."""
        return CrystalBatch(
            np.array(self.atomic_numbers[index]),  # a copy: those that stay cannot be written to
            self.frac_coords[index],
            self.lengths[index],
            self.angles[index],
            self.num_atoms,
            self.ids,
        )

    @property
    def first(self) -> CrystalBatch:
        """The initial crystals."""
        return self.frame(0)

    @property
    def last(self) -> CrystalBatch:
        """The final crystals."""
        return self.frame(-1)

    @property
    def species_change(self) -> bool:
        """Whether any atom's species differs from its first in some frame."""
        return bool((self.atomic_numbers != self.atomic_numbers[0]).any())

    @property
    def num_crystals(self) -> int:
        """The number of crystals, B."""
        return len(self.num_atoms)

    def crystal(self, index: int) -> Trajectory:
        """The trajectory of one crystal, by its position.

        Raises:
            InputError: there is no such crystal.
        """
        if not -self.num_crystals <= index < self.num_crystals:
            raise InputError(f"no crystal {index}; the trajectory holds {self.num_crystals}")
        return self.select(np.array([index % self.num_crystals]))

    def select(self, positions: np.ndarray) -> Trajectory:
        """The trajectory of some crystals, by positions (C,), in that order."""
        positions = np.asarray(positions, dtype=np.int64)
        starts = np.cumsum(self.num_atoms) - self.num_atoms
        atoms = concatenated_ranges(starts[positions], self.num_atoms[positions])
        return Trajectory(
            self.times,
            self.frac_coords[:, atoms],
            self.lengths[:, positions],
            self.angles[:, positions],
            self.atomic_numbers[:, atoms],
            self.num_atoms[positions],
            self.ids[positions],
            self.axis,
        )

    @classmethod
    def from_frames(cls, times: Iterable[float], frames: Iterable[CrystalBatch]) -> Trajectory:
        """From the same crystals at several times; the species of their atoms may differ.

        Raises:
            InputError: num_atoms or ids differ between frames, or there is none.
        """
        parts = list(frames)
        if not parts:
            raise InputError("a trajectory needs at least one frame")
        head = parts[0]
        for part in parts[1:]:
            for name in ("num_atoms", "ids"):
                if not np.array_equal(getattr(part, name), getattr(head, name)):
                    raise InputError(f"{name} differs between frames")
        names = ("frac_coords", "lengths", "angles", "atomic_numbers")
        moving: dict[str, Any] = {
            name: np.stack([getattr(part, name) for part in parts]) for name in names
        }
        return cls(times=np.array(list(times)), num_atoms=head.num_atoms, ids=head.ids, **moving)

    @classmethod
    def concatenate(cls, trajectories: Iterable[Trajectory]) -> Trajectory:
        """Join the crystals of several trajectories, in order.

        Raises:
            InputError: times or axes differ, or there is no trajectory.
        """
        parts = list(trajectories)
        if not parts:
            raise InputError("no trajectory to concatenate")
        for part in parts[1:]:
            if not np.array_equal(part.times, parts[0].times):
                raise InputError("trajectories of different times cannot stand beside each other")
            if not (part.axis is parts[0].axis or (part.axis and part.axis.same(parts[0].axis))):
                raise InputError("trajectories of different axes cannot stand beside each other")
        along = {
            "frac_coords": 1,
            "lengths": 1,
            "angles": 1,
            "atomic_numbers": 1,
            "num_atoms": 0,
            "ids": 0,
        }
        joined: dict[str, Any] = {
            n: np.concatenate([getattr(p, n) for p in parts], axis) for n, axis in along.items()
        }
        return cls(times=parts[0].times, axis=parts[0].axis, **joined)

    # ---- files -----------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """The seven arrays by name, as in the file: species that stay as (N,), once.

        The axis, where there is one, follows in two more.
        """
        result = {name: getattr(self, name) for name in ARRAYS}
        if not self.species_change:
            result["atomic_numbers"] = self.atomic_numbers[0]
        if self.axis is not None:
            result[AXIS] = np.array([self.axis.name, self.axis.unit])
            result[AXIS_VALUES] = self.axis.values
        return result

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Trajectory:
        """Inverse of `arrays`; other entries are ignored.

        Raises:
            KeyError: one is missing.
            InputError: they do not belong together.
        """
        axis = None
        if AXIS in arrays:
            name, unit = (str(text) for text in arrays[AXIS])
            axis = Axis(name, arrays[AXIS_VALUES], unit)
        found: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
        return cls(axis=axis, **found)

    def save(self, path: str | Path) -> None:
        """Write an .npz that holds the arrays and no pickle."""
        write_archive(path, self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> Trajectory:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or is no such archive.
        """
        with open_archive(path, "is not a trajectory") as archive:
            return cls.from_arrays(archive)

    def to_extxyz(self, path: str | Path) -> None:
        """Write extended XYZ, crystal after crystal, each frame with `id` and time `t`.

        Each frame has its own species; an open one is written as X.

        Raises:
            InputError: a cell spans no volume.
        """
        import ase.io

        frames = [frame.to_ase() for frame in self]
        images = []
        for index in range(self.num_crystals):
            for time, atoms in zip(self.times, frames, strict=True):
                atoms[index].info["t"] = float(time)
                images.append(atoms[index])
        ase.io.write(str(path), images, format="extxyz")


def _per_frame(numbers: np.ndarray, frames: int) -> np.ndarray:
    """Species (T, N) from (T, N) or (N,); constant ones take the memory of one frame.

    Raises:
        InputError: another shape.
    """
    if numbers.ndim == 2 and len(numbers) == frames:
        if frames < 2 or (numbers != numbers[0]).any():
            return numbers
        numbers = numbers[0]
    if numbers.ndim != 1:
        raise InputError(
            f"atomic_numbers has shape {numbers.shape}: one species for each atom, or one for each "
            f"of {frames} frames and each atom"
        )
    return np.broadcast_to(numbers, (frames, len(numbers)))
