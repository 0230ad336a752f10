"""Quantities along the path of one crystal, as plain arrays over its T frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from flowllm.crystals.axis import Axis, place
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.distances import safe_lattices, shortest_distances
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.manifolds import DEFAULT_CELL_MAP, CrystalManifold, CrystalState, cell_map
from flowllm.relax import Potential, evaluate

FRAMES_TOGETHER = 4
"""Frames that CHGNet evaluates in one call, between two looks at whether to go on."""


@dataclass(frozen=True)
class TrajectoryCurves:
    """Curves of one crystal with n atoms over T frames.

    Velocities are those of the flow, v = log_x(y) / dt between a frame and the next (FlowLLM,
    section 3.2), less the atoms' mean, as the flow's is; the last frame, which none follows, has
    the value before it. All lengths on the torus are root mean squares over atoms, so that crystals
    of different size compare.

    Attributes:
        times: (T,).
        shortest_distance: (T,) Å, periodic images and an atom's own included; NaN where the cell
            spans no volume.
        volume: (T,) Å^3.
        volume_per_atom: (T,) Å^3.
        atom_speed: (T,) fractional units per unit of t.
        atom_speed_cartesian: (T,) Å per unit of t, in the mean cell of the two frames.
        lattice_speed: (T,) per unit of t, in the flat coordinates of the default cell map
            (log-matrix: the Frobenius norm of the logarithm of the stretch, no unit).
        path_length: (T,) fractional units that the atoms have come along their path.
        geodesic_length: (T,) the same along the shortest way from the first frame; never longer.
        axis: what the frames are counted by, where that is not t.
    """

    times: np.ndarray
    shortest_distance: np.ndarray
    volume: np.ndarray
    volume_per_atom: np.ndarray
    atom_speed: np.ndarray
    atom_speed_cartesian: np.ndarray
    lattice_speed: np.ndarray
    path_length: np.ndarray
    geodesic_length: np.ndarray
    axis: Axis | None = None

    def place(self, frame: int) -> str:
        """The label of a frame in the terms of its system, as in "t = 0.50"."""
        return place(self.times, self.axis, frame)


@dataclass(frozen=True)
class EnergyCurve:
    """Energies of T frames.

    Attributes:
        energies: (T,) eV/atom; NaN where there is a reason, or no value yet.
        reasons: T texts, why a frame could not be evaluated; "" where it could.
    """

    energies: np.ndarray
    reasons: tuple[str, ...]

    @property
    def fault(self) -> str:
        """A line about the frames that could not be evaluated, "" if all could."""
        bad = [index for index, reason in enumerate(self.reasons) if reason]
        if not bad:
            return ""
        which = f"frame {bad[0] + 1}"
        if len(bad) > 1:
            which = f"{len(bad)} frames, the first {bad[0] + 1}"
        return f"no energy for {which}: {self.reasons[bad[0]]}"


def frames_as_batch(trajectory: Trajectory) -> CrystalBatch:
    """The T frames of one crystal as a batch of T crystals; the id is the frame's position.

    Raises:
        InputError: the trajectory holds another number of crystals than one.
    """
    if trajectory.num_crystals != 1:
        raise InputError(f"expected one crystal, but the trajectory has {trajectory.num_crystals}")
    count = len(trajectory)
    return CrystalBatch(
        trajectory.atomic_numbers.reshape(-1),
        trajectory.frac_coords.reshape(-1, 3),
        trajectory.lengths[:, 0],
        trajectory.angles[:, 0],
        np.full(count, trajectory.num_atoms[0]),
        np.arange(count).astype(np.str_),
    )


def make_curves(trajectory: Trajectory) -> TrajectoryCurves:
    """The curves of one crystal's trajectory.

    Raises:
        InputError: the trajectory holds another number of crystals than one, or no atoms.
    """
    frames = frames_as_batch(trajectory)
    atoms = int(trajectory.num_atoms[0])
    if not atoms:
        raise InputError(f"{trajectory.ids[0]}: it has no atoms")
    volumes = frames.volumes
    # no arrangement is denser than fcc, d^3 = sqrt(2) V / n, so no shortest distance is longer
    bound = 1.001 * (np.sqrt(2.0) * volumes.max() / atoms) ** (1 / 3)
    steps = _steps(trajectory)
    # the path with the atoms' mean held still, so that a common translation is no way
    start = torch.tensor(trajectory.frac_coords[:1])
    displacement = torch.cat([torch.zeros_like(start), steps.coords.cumsum(0)])
    start = start.expand_as(displacement)
    manifold = CrystalManifold(torch.ones(displacement.shape[:2], dtype=torch.bool))
    cells = torch.zeros(len(displacement), 6)
    there = CrystalState(start, cells)
    shortest = manifold.proju(
        there, manifold.logmap(there, manifold.expmap(there, CrystalState(displacement, cells)))
    )
    lattices = safe_lattices(frames)[0]
    cartesian = np.einsum("kni,kij->knj", steps.coords, (lattices[:-1] + lattices[1:]) / 2)
    return TrajectoryCurves(
        trajectory.times,
        shortest_distances(frames, bound),
        volumes,
        volumes / atoms,
        _per_time(_rms(steps.coords), trajectory.times),
        _per_time(_rms(cartesian), trajectory.times),
        _per_time(steps.cell.norm(dim=-1).numpy(), trajectory.times),
        np.concatenate([[0.0], np.cumsum(_rms(steps.coords))]),
        _rms(shortest.coords),
        trajectory.axis,
    )


def describe(trajectory: Trajectory, curves: TrajectoryCurves, frame: int) -> str:
    """A line about one frame of one crystal's trajectory; its formula has X for open species."""
    there, atoms = trajectory.frame(frame), int(trajectory.num_atoms[0])
    distance, volume = curves.shortest_distance[frame], curves.volume[frame]
    return " · ".join(
        [
            there.formulas[0] if (there.atomic_numbers > 0).any() else "open types",
            f"{atoms} atom{'s' if atoms > 1 else ''}",
            f"{curves.place(frame)}, frame {frame + 1} of {len(curves.times)}",
            "no volume" if np.isnan(distance) else f"shortest distance {distance:.2f} Å",
            f"volume {volume:.1f} Å³",
        ]
    )


def energy_curve(
    trajectory: Trajectory,
    progress: Callable[[EnergyCurve, int], None] | None = None,
    potential: Potential | None = None,
) -> EnergyCurve:
    """Energies per atom of the frames of one crystal, CHGNet's unless another potential is given.

    Args:
        trajectory: of one crystal.
        progress: called with the curve so far and the number of frames done; what it raises ends
            the work.
        potential: anything that evaluates a batch.

    Raises:
        InputError: the trajectory holds another number of crystals than one.
    """
    frames = frames_as_batch(trajectory)
    energies, reasons = np.full(len(frames), np.nan), [""] * len(frames)
    flat = frames.volumes <= 0
    for index in np.flatnonzero(flat):
        reasons[index] = "its cell has zero volume"
    solid = np.flatnonzero(~flat)
    for begin in range(0, len(solid), FRAMES_TOGETHER):
        part = solid[begin : begin + FRAMES_TOGETHER]
        result = evaluate(frames[part], potential)
        energies[part] = result.energies / frames.num_atoms[part]
        for index, reason in zip(part, result.reasons, strict=True):
            reasons[index] = reason
        if progress:
            done = int(flat.sum()) + begin + len(part)
            progress(EnergyCurve(energies.copy(), tuple(reasons)), done)
    return EnergyCurve(energies, tuple(reasons))


def _steps(trajectory: Trajectory) -> CrystalState:
    """Tangents from each frame to the next: (T - 1, n, 3) mean-free, and (T - 1, 6)."""
    coords = torch.tensor(trajectory.frac_coords)
    lengths, angles = (torch.tensor(a[:, 0]) for a in (trajectory.lengths, trajectory.angles))
    states = CrystalState(coords, cell_map(DEFAULT_CELL_MAP).to_flat(lengths, angles))
    here, there = (
        CrystalState(*(part[cut] for part in states)) for cut in (slice(-1), slice(1, None))
    )
    manifold = CrystalManifold(torch.ones(here.coords.shape[:2], dtype=torch.bool))
    return manifold.proju(here, manifold.logmap(here, there))


def _rms(vectors: torch.Tensor | np.ndarray) -> np.ndarray:
    """(K,) root mean squares over the atoms of vectors (K, n, 3)."""
    return np.sqrt((np.asarray(vectors) ** 2).sum(-1).mean(-1))


def _per_time(lengths: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T,) lengths (T - 1,) over the time they took; the last value stands for the last frame."""
    gaps = np.diff(times)
    speeds = np.divide(lengths, gaps, out=np.full(len(gaps), np.nan), where=gaps > 0)
    return np.append(speeds, speeds[-1] if len(speeds) else np.nan)
