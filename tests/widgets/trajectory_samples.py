"""Small trajectories of known course."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.trajectory import Trajectory
from flowllm.relax import PotentialResult


def straight(
    start, velocity, lengths=(4.0, 5.0, 6.0), angles=(90.0, 90.0, 90.0), *, frames=11, growth=0.0,
    turn=(0.0, 0.0, 0.0), numbers=None, name="c000000",
) -> Trajectory:  # fmt: skip
    """Atoms at constant velocity (fractional), the cell growing by exp(growth t) and turning."""
    times = np.linspace(0, 1, frames)
    coords = np.asarray(start, float) + times[:, None, None] * np.asarray(velocity, float)
    sizes = np.exp(growth * times)[:, None] * np.asarray(lengths, float)
    corners = np.asarray(angles, float) + times[:, None] * np.asarray(turn, float)
    count = coords.shape[1]
    types = [11, 17, 8, 26][:count] if numbers is None else numbers
    return Trajectory(times, coords, sizes[:, None], corners[:, None], types, [count], [name])


def triclinic(frames=12, name="tri") -> Trajectory:
    """Three atoms that cross faces of a triclinic cell, which changes its lengths and angles."""
    return straight(
        [[0.1, 0.1, 0.1], [0.55, 0.5, 0.5], [0.9, 0.2, 0.95]],
        [[0.3, -0.3, 0.2], [0.0, 0.1, 0.0], [0.3, 0.2, -0.2]],
        (4.0, 5.0, 6.0), (75.0, 80.0, 100.0), frames=frames, growth=0.15, turn=(10.0, 15.0, -15.0),
        name=name,
    )  # fmt: skip


def two_crystals(frames=6) -> Trajectory:
    """NaCl and a three-atom crystal beside each other."""
    one = straight([[0, 0, 0], [0.5, 0.5, 0.5]], [[0, 0, 0], [0.1, 0, 0]], frames=frames, name="a")
    return Trajectory.concatenate([one, triclinic(frames, "b")])


class Springs:
    """A stand-in for CHGNet: the energy is the volume in eV; counts its calls."""

    def __init__(self, refuse: str = "") -> None:
        self.calls, self.refuse = [], refuse

    def __call__(self, atomic_numbers, frac_coords, lattices, num_atoms) -> PotentialResult:
        self.calls.append(len(num_atoms))
        if self.refuse == "raise":
            raise RuntimeError("no potential today")
        reasons = [self.refuse] * len(num_atoms)
        energies = np.where([bool(r) for r in reasons], np.nan, np.abs(np.linalg.det(lattices)))
        stresses = np.zeros((len(num_atoms), 3, 3))
        return PotentialResult(
            energies, np.zeros((len(atomic_numbers), 3)), stresses, tuple(reasons)
        )


def changing(frames=6, name="c000000") -> Trajectory:
    """Na, Cl and an open species; halfway sodium becomes potassium and the open species oxygen.

    Na and Cl lie 3 Å from each other and O, too far for the bond Na-O, near enough for K-O.
    """
    half = frames // 2
    numbers = np.array([[11, 17, 0]] * half + [[19, 17, 8]] * (frames - half))
    return straight(
        [[0.25, 0.5, 0.3], [0.25, 0.5, 0.6], [0.55, 0.5, 0.3]], [[0, 0, 0]] * 3, (10.0,) * 3,
        frames=frames, numbers=numbers, name=name,
    )  # fmt: skip
