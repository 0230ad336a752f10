"""Crystals in 3-D as plotly traces: atoms as spheres, bonds, polyhedra, and the edges of the cell.

`draw` turns a crystal into plain arrays (testable without a browser), `traces` those into plotly.
Covalent radii are ASE's.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.viz.balls import SPHERE, ball_radii, unit_sphere
from flowllm.viz.colours import GREY
from flowllm.viz.drawing import Drawing
from flowllm.viz.element_colours import element_colours
from flowllm.viz.element_colours import jmol_colour as colour
from flowllm.viz.picture import picture_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "CELL_COLOUR", "SPHERE", "Drawing", "ball_radii", "cell_edges", "colour", "draw",
    "element_colours", "traces", "unit_sphere",
]  # fmt: skip

LIGHTING = {"ambient": 0.5, "diffuse": 0.65, "specular": 0.15, "roughness": 0.5, "fresnel": 0.1}
LIGHT = {"x": -4000, "y": 5000, "z": -5000}
"""Under orthographic projection plotly takes this in the view's axes: right, up, away."""
CELL_COLOUR = GREY
FACE_OPACITY = 0.35  # of polyhedra


def draw(crystal: CrystalBatch) -> Drawing:
    """The drawing of a batch of one crystal.

    Raises:
        InputError: the cell has zero volume.
    """
    lattice = crystal.lattices[0]
    picture = picture_of(lattice, crystal.frac_coords, crystal.atomic_numbers)
    numbers = crystal.atomic_numbers[picture.source]
    return Drawing(
        (crystal.frac_coords[picture.source] + picture.shift) @ lattice,
        numbers,
        picture.source,
        picture.bonds,
        cell_edges(lattice),
        picture.triangles,
        picture.middles,
        picture.creases,
        element_colours(numbers),
    )


def cell_edges(lattice: np.ndarray) -> np.ndarray:
    """(12, 2, 3) start and end of the edges of a cell with rows a, b, c, in Å."""
    corners = np.array(list(itertools.product((0, 1), repeat=3)))
    pairs = [
        (one, other)
        for one, other in itertools.combinations(corners, 2)
        if np.abs(one - other).sum() == 1
    ]
    return np.array(pairs) @ lattice


def traces(
    drawing: Drawing,
    scene: str = "scene",
    *,
    colours: Mapping[int, str] | None = None,
    polyhedra: bool = False,
) -> list[go.BaseTraceType]:
    """Plotly traces: the cell, the bonds in the colours of their ends, and a sphere per atom.

    Args:
        drawing: of one crystal.
        scene: the name of plotly's scene.
        colours: {atomic number: colour}, where other crystals are seen beside it.
        polyhedra: whether the coordination polyhedra are drawn too.
    """
    import plotly.graph_objects as go

    colours = colours or drawing.colours
    cell = _lines(drawing.edges)
    result: list[go.BaseTraceType] = [
        go.Scatter3d(
            x=cell[:, 0],
            y=cell[:, 1],
            z=cell[:, 2],
            mode="lines",
            name="cell",
            line={"color": CELL_COLOUR, "width": 2.5},
            hoverinfo="skip",
            scene=scene,
        )
    ]
    for number in np.unique(drawing.numbers[drawing.bonds]):
        ends = _half_bonds(drawing, int(number))
        path = _lines(ends)
        result.append(
            go.Scatter3d(
                x=path[:, 0],
                y=path[:, 1],
                z=path[:, 2],
                mode="lines",
                name=f"bonds {SYMBOLS[number]}",
                line={"color": colours[int(number)], "width": 7},
                hoverinfo="skip",
                scene=scene,
            )
        )
    if polyhedra and len(drawing.triangles):
        result.append(_faces(drawing, colours, scene))
    return result + [
        _spheres(drawing, int(n), scene, colours[int(n)]) for n in np.unique(drawing.numbers)
    ]


def _faces(drawing: Drawing, colours: Mapping[int, str], scene: str) -> go.Mesh3d:
    """One translucent mesh of all polyhedra, in the colours of their cations."""
    import plotly.graph_objects as go

    x, y, z = drawing.positions.astype(np.float32).T
    i, j, k = drawing.triangles.T
    return go.Mesh3d(
        x=x, y=y, z=z, i=i, j=j, k=k,
        facecolor=[colours[int(n)] for n in drawing.numbers[drawing.middles]],
        opacity=FACE_OPACITY, flatshading=True, name="polyhedra", hoverinfo="skip",
        lighting=LIGHTING, lightposition=LIGHT, showlegend=False, scene=scene,
    )  # fmt: skip


def _half_bonds(drawing: Drawing, number: int) -> np.ndarray:
    """(H, 2, 3) Å: from each bonded atom of an element to the middle of its bond."""
    ends = np.concatenate([drawing.bonds, drawing.bonds[:, ::-1]])
    ends = ends[drawing.numbers[ends[:, 0]] == number]
    start, stop = drawing.positions[ends[:, 0]], drawing.positions[ends[:, 1]]
    return np.stack([start, (start + stop) / 2], axis=1)


def _lines(segments: np.ndarray) -> np.ndarray:
    """(3 S, 3) points of S segments (S, 2, 3) with a gap after each, for one line trace."""
    gaps = np.full((len(segments), 1, 3), np.nan)
    return np.concatenate([segments, gaps], axis=1).reshape(-1, 3)


def _spheres(drawing: Drawing, number: int, scene: str, tint: str) -> go.Mesh3d:
    """One mesh with a ball for each drawn atom of an element."""
    import plotly.graph_objects as go

    points, faces = unit_sphere()
    centres = drawing.positions[drawing.numbers == number]
    vertices = centres[:, None] + ball_radii(np.array(number)) * points
    vertices = vertices.reshape(-1, 3).astype(np.float32)
    shifted = np.arange(len(centres))[:, None, None] * len(points) + faces
    triangles = shifted.reshape(-1, 3).astype(np.uint16 if len(vertices) < 65_536 else np.int32)
    return go.Mesh3d(
        x=vertices[:, 0],
        y=vertices[:, 1],
        z=vertices[:, 2],
        i=triangles[:, 0],
        j=triangles[:, 1],
        k=triangles[:, 2],
        color=tint,
        name=SYMBOLS[number],
        hovertemplate=f"{SYMBOLS[number]}<extra></extra>",
        lighting=LIGHTING,
        lightposition=LIGHT,
        flatshading=False,
        showlegend=False,
        scene=scene,
    )
