"""Relaxation paths of crystals, as objects and as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError


@dataclass(frozen=True)
class RelaxationPath:
    """T structures of one crystal, the input first.

    Attributes:
        trajectory: T frames of one crystal; time 0 is the input, 1 the end.
        energies: (T,) eV/atom; NaN for a crystal that could not be evaluated.

    Raises:
        InputError: another number of energies than frames, or a species that changes.
    """

    trajectory: Trajectory
    energies: np.ndarray

    def __post_init__(self) -> None:
        energies = np.asarray(self.energies, dtype=np.float64).reshape(-1)
        object.__setattr__(self, "energies", energies)
        if len(energies) != len(self.trajectory):
            raise InputError(f"{len(energies)} energies for {len(self.trajectory)} frames")
        if self.trajectory.species_change:
            raise InputError(f"{self.trajectory.ids[0]}: a relaxation does not change species")

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.energies)

    @classmethod
    def of(cls, frames: Sequence[CrystalBatch], energies: Sequence[float]) -> RelaxationPath:
        """From structures, batches of one, and their energies in eV/atom."""
        times = np.linspace(0, 1, len(frames))
        return cls(Trajectory.from_frames(times, frames), np.array(energies))


def path_arrays(paths: Sequence[RelaxationPath]) -> dict[str, np.ndarray]:
    """Paths as arrays for an .npz, alongside those of their crystals; empty if none."""
    if not paths:
        return {}
    ways = [path.trajectory for path in paths]
    return {
        "path_frames": np.array([len(way) for way in ways]),
        "path_energies": np.concatenate([path.energies for path in paths]),
        "path_coords": np.concatenate([way.frac_coords.reshape(-1, 3) for way in ways]),
        "path_lengths": np.concatenate([way.lengths[:, 0] for way in ways]),
        "path_angles": np.concatenate([way.angles[:, 0] for way in ways]),
    }


def load_paths(
    archive: Mapping[str, np.ndarray], crystals: CrystalBatch
) -> tuple[RelaxationPath, ...]:
    """Inverse of `path_arrays`; no paths if none were saved."""
    if "path_frames" not in archive:
        return ()
    frames = archive["path_frames"]
    cuts, atom_cuts = np.cumsum(frames)[:-1], np.cumsum(frames * crystals.num_atoms)[:-1]
    energies, lengths, angles = (
        np.split(archive[f"path_{name}"], cuts) for name in ("energies", "lengths", "angles")
    )
    coords = np.split(archive["path_coords"], atom_cuts)
    paths = []
    for index, count in enumerate(frames):
        crystal = crystals[index]
        way = Trajectory(
            np.linspace(0, 1, count),
            coords[index].reshape(count, -1, 3),
            lengths[index][:, None],
            angles[index][:, None],
            crystal.atomic_numbers,
            crystal.num_atoms,
            crystal.ids,
        )
        paths.append(RelaxationPath(way, energies[index]))
    return tuple(paths)
