"""The paths on which the flow is trained, as a trajectory to look at."""

from __future__ import annotations

import numpy as np
import torch

from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.manifolds import DEFAULT_CELL_MAP, CrystalState, cell_map
from flowllm.methods.flow.couplings.pairs import PairSet, flat_cells
from flowllm.methods.flow.path import GeodesicPath


def conditional_path(
    pairs: PairSet, frames: int = 21, cell_map_name: str = DEFAULT_CELL_MAP
) -> Trajectory:
    """The path of every pair (`methods.flow.path.GeodesicPath`).

    It includes the common translation of all atoms, which the network's target leaves out.

    Args:
        pairs: P aligned pairs.
        frames: how many times from 0 to 1, evenly spread.
        cell_map_name: the parametrisation in which the cell goes straight.

    Returns:
        P crystals; the first frame is c0, the last c1 (cells to the map's rounding).

    Raises:
        InputError: fewer than 2 frames, no pairs, species that differ between sample and target,
            no such map, or a cell spans no volume.
    """
    if frames < 2:
        raise InputError(f"a path needs at least 2 frames, not {frames}")
    if not len(pairs):
        raise InputError("there are no pairs to draw a path of")
    pairs.check_species()
    _, coords0, mask = pairs.c0.padded()
    _, coords1, _ = pairs.c1.padded()
    cells = [torch.from_numpy(flat_cells(c, cell_map_name)) for c in (pairs.c0, pairs.c1)]
    start = CrystalState(torch.from_numpy(coords0), cells[0])
    end = CrystalState(torch.from_numpy(coords1), cells[1])
    path = GeodesicPath(start, end, torch.from_numpy(mask))
    times = np.linspace(0.0, 1.0, frames)
    states = [path.at(float(t)) for t in times]
    flat = [cell_map(cell_map_name).from_flat(state.cell) for state in states]
    return Trajectory(
        times,
        np.stack([state.coords.numpy()[mask] for state in states]),
        np.stack([lengths.numpy() for lengths, _ in flat]),
        np.stack([angles.numpy() for _, angles in flat]),
        pairs.c1.atomic_numbers,
        pairs.c1.num_atoms,
        pairs.c1.ids,
    )
