"""Crystals for a page's script: atoms as repetitions of a few, frames as coordinates.

A crystal is its atoms, which of them are drawn where (an atom and a whole shift), bonds between
drawn atoms, and its frames: fractional coordinates and cells, so that a page can play a refinement
and enlarge its displacements. Numbers of frames travel as 16-bit integers in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from flowllm.crystals.axis import place
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.structure3d import (
    CELL_COLOUR,
    LIGHT,
    LIGHTING,
    ball_radii,
    colour,
    draw,
    element_colours,
    unit_sphere,
)

COORD_STEP = 1e-4
"""Of a fractional coordinate: 0.002 Å in a cell of 20 Å."""
REACH = 32767 * COORD_STEP  # a coordinate further from 0 is not told apart from it
DRAWN_ATOMS = 120  # a larger cell is listed and not drawn
MOST_FRAMES = 41  # of one crystal


def page_crystal(frames: CrystalBatch, names: Sequence[str] | None = None) -> dict[str, Any] | None:
    """One crystal for a page's script, as plain JSON; None if it cannot be drawn.

    Args:
        frames: T crystals of the same atoms in the same order, the last one the result. Bonds are
            those of the last.
        names: T names of the frames, as in "t = 0.5"; without them frames have numbers.
    """
    last = frames[len(frames) - 1]
    if not len(last.atomic_numbers) or len(last.atomic_numbers) > DRAWN_ATOMS:
        return None
    if not (frames.volumes > 0).all():
        frames, names = last, None
    if not last.volumes[0] > 0:
        return None
    drawing = draw(last)
    inside = drawing.positions @ np.linalg.inv(last.lattices[0])
    coords = unwrapped(frames)
    if np.abs(coords).max() >= REACH:
        frames, names, coords = last, None, last.frac_coords[None]
    species = frames.atomic_numbers.reshape(len(frames), -1)
    return {
        "numbers": last.atomic_numbers.tolist(),
        "species": species.tolist() if (species != species[-1]).any() else None,
        "source": drawing.source.tolist(),
        "shift": np.rint(inside - last.frac_coords[drawing.source]).astype(int).tolist(),
        "bonds": drawing.bonds.tolist(),
        "triangles": drawing.triangles.tolist(),
        "middles": drawing.middles.tolist(),
        "tints": _tints(species),
        "coords": _packed(coords),
        "cells": np.round(frames.lattices, 4).reshape(len(frames), 9).tolist(),
        "names": list(names) if names is not None else [],
    }


def trajectory_crystal(trajectory: Trajectory, most: int = MOST_FRAMES) -> dict[str, Any] | None:
    """The trajectory of one crystal for a page, in a limited number of frames."""
    chosen = np.unique(np.linspace(0, len(trajectory) - 1, min(most, len(trajectory))).astype(int))
    frames = CrystalBatch.concatenate([trajectory.frame(int(index)) for index in chosen])
    names = [place(trajectory.times, trajectory.axis, int(index)) for index in chosen]
    return page_crystal(frames, names)


def unwrapped(frames: CrystalBatch) -> np.ndarray:
    """(T, N, 3) fractional coordinates of T frames in which no atom jumps through a face.

    The last frame's are as they are; each earlier one is the nearest image to the next.
    """
    coords = frames.frac_coords.reshape(len(frames), -1, 3)
    steps = np.diff(coords, axis=0)
    steps -= np.round(steps)
    back = np.cumsum(steps[::-1], axis=0)[::-1]
    return np.concatenate([coords[-1:] - back, coords[-1:]])


def page_elements(crystals: Iterable[CrystalBatch]) -> dict[int, list[Any]]:
    """Atomic number -> symbol, colour, and radius of its ball in Å, of all crystals of a page."""
    found = [np.unique(batch.atomic_numbers) for batch in crystals]
    numbers = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=int)
    return {
        int(n): [SYMBOLS[n] if n else "X", colour(int(n)), round(float(ball_radii(n)), 3)]
        for n in numbers
    }


def page_drawing() -> dict[str, Any]:
    """Drawing data shared by all crystals of a page: a sphere, the cell colour, the light."""
    points, faces = unit_sphere()
    return {
        "sphere": [np.round(points, 3).tolist(), faces.tolist()],
        "cell": CELL_COLOUR,
        "lighting": LIGHTING,
        "light": LIGHT,
        "step": COORD_STEP,
    }


def _tints(species: np.ndarray) -> dict[int, str]:
    """Colours of elements that are moved apart in this crystal: {atomic number: colour}."""
    colours = element_colours(np.unique(species))
    return {n: tint for n, tint in colours.items() if tint != colour(n)}


def _packed(coords: np.ndarray) -> str:
    """Base64 of little-endian 16-bit integers, in steps of `COORD_STEP`."""
    return base64.b64encode(np.rint(coords / COORD_STEP).astype("<i2").tobytes()).decode("ascii")
