"""Paths of crystals through systems without a common time, made comparable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.crystals.axis import Axis
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.contacts import shortest_contacts
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.relax import Potential, evaluate
from flowllm.stability.reference_energies import ElementalReferences


@dataclass(frozen=True)
class MeasuredWay:
    """Measurements along the path of one crystal, at K frames.

    Attributes:
        shares: (K,) of the way that has been gone, 0 to 1.
        volume_per_atom: (K,) Å^3.
        contact: (K,) the shortest contact over the sum of the covalent radii of its atoms; about 1
            in a crystal. NaN where the cell has zero volume.
        energy: (K,) eV/atom; NaN where the potential refuses the frame, or none was asked.
    """

    shares: np.ndarray
    volume_per_atom: np.ndarray
    contact: np.ndarray
    energy: np.ndarray


def even_frames(trajectory: Trajectory, count: int) -> np.ndarray:
    """(count,) positions of the frames nearest to even fractions of the path; may repeat.

    Raises:
        InputError: fewer than 2 frames are wanted.
    """
    if count < 2:
        raise InputError(f"a path needs at least 2 frames, not {count}")
    times = trajectory.times
    wanted = np.linspace(times[0], times[-1], count)
    return np.abs(times[None] - wanted[:, None]).argmin(1)


def stretched(trajectory: Trajectory, count: int) -> Trajectory:
    """The path resampled to `count` even frames, so that paths of several systems play together.

    Raises:
        InputError: fewer than 2 frames are wanted.
    """
    chosen = even_frames(trajectory, count)
    axis = trajectory.axis
    return Trajectory(
        np.linspace(0.0, 1.0, count),
        trajectory.frac_coords[chosen],
        trajectory.lengths[chosen],
        trajectory.angles[chosen],
        trajectory.atomic_numbers[chosen],
        trajectory.num_atoms,
        trajectory.ids,
        None if axis is None else Axis(axis.name, axis.values[chosen], axis.unit),
    )


def measure_way(
    trajectory: Trajectory,
    count: int = 25,
    energies: bool = False,
    potential: Potential | None = None,
) -> MeasuredWay:
    """Measure the path of one crystal at `count` even fractions, or at all frames if fewer.

    Args:
        trajectory: of one crystal.
        count: of frames, at least 2.
        energies: whether to evaluate the potential, which takes most of the time.
        potential: CHGNet if None.

    Raises:
        InputError: the trajectory holds another number of crystals than one, or `count` is below 2.
    """
    if trajectory.num_crystals != 1:
        raise InputError(f"expected one crystal, but the trajectory has {trajectory.num_crystals}")
    chosen = np.unique(even_frames(trajectory, count))
    frames = CrystalBatch.concatenate(
        trajectory.frame(int(k)).replace(ids=[str(k)]) for k in chosen
    )
    gone = trajectory.times[chosen] - trajectory.times[0]
    span = trajectory.times[-1] - trajectory.times[0]
    energy = np.full(len(frames), np.nan)
    solid = np.flatnonzero(frames.volumes > 0)
    if energies and len(solid):
        energy[solid] = evaluate(frames[solid], potential).energies / frames.num_atoms[solid]
    contact = shortest_contacts(frames).shortest_ratio
    return MeasuredWay(gone / (span or 1.0), frames.volumes / frames.num_atoms, contact, energy)


def formation_energies(
    crystals: CrystalBatch, references: ElementalReferences, potential: Potential | None = None
) -> np.ndarray:
    """(B,) formation energies in eV/atom of crystals as they are, not relaxed.

    Args:
        crystals: B crystals.
        references: of the elements, such as those of `flowllm.stability.load_hull`.
        potential: CHGNet if None.

    Returns:
        NaN where the potential refuses a crystal, or an element has no reference.
    """
    totals = np.full(len(crystals), np.nan)
    solid = np.flatnonzero(crystals.volumes > 0)
    if len(solid):
        found = evaluate(crystals[solid], potential)
        totals[solid] = found.energies / crystals.num_atoms[solid]
    energies: np.ndarray = references.formation_energy(crystals, totals)
    return energies
