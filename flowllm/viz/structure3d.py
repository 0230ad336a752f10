"""Crystals in 3-D as plotly traces: atoms as spheres, bonds, and the cell as twelve edges.

`draw` turns a crystal into plain arrays (testable without a browser), `traces` those into plotly.
Colours (Jmol) and covalent radii are ASE's.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.distances import cell_heights
from flowllm.crystals.elements import SYMBOLS
from flowllm.viz.colours import GREY

if TYPE_CHECKING:
    import plotly.graph_objects as go

BOUNDARY = 0.3  # Å; an atom this near to a face is drawn on the opposite face too
BOND_FACTOR = 1.12  # bonds reach this many times the sum of the covalent radii
SHORTEST_BOND = 0.5  # Å; atoms nearer than this lie in each other
SPHERE = 0.42  # radius of a drawn atom over its covalent radius
OPEN_RADIUS = 1.0  # Å; in place of the covalent radius of an atom whose species is open
HALVINGS = 2  # of the icosahedron's edges: 162 points a ball
LIGHTING = {"ambient": 0.5, "diffuse": 0.65, "specular": 0.15, "roughness": 0.5, "fresnel": 0.1}
LIGHT = {"x": -4000, "y": 5000, "z": -5000}
"""Under orthographic projection plotly takes this in the view's axes: right, up, away."""
CELL_COLOUR = GREY
NEUTRAL = "#b8bec9"


@dataclass(frozen=True)
class Drawing:
    """What is drawn of one crystal.

    Attributes:
        positions: (M, 3) Å, atoms of the cell and their repetitions on faces, edges and corners.
        numbers: (M,) int64 atomic numbers.
        source: (M,) int64, the atom of the crystal that each one is or repeats.
        bonds: (K, 2) int64, pairs of drawn atoms.
        edges: (12, 2, 3) Å, the edges of the cell.
    """

    positions: np.ndarray
    numbers: np.ndarray
    source: np.ndarray
    bonds: np.ndarray
    edges: np.ndarray


def draw(crystal: CrystalBatch) -> Drawing:
    """The drawing of a batch of one crystal.

    Raises:
        InputError: the cell spans no volume.
    """
    lattice = crystal.lattices[0]
    near = boundary(lattice[None])[0]
    coords, source = [], []
    for index, frac in enumerate(crystal.frac_coords):
        # an atom at 0.99 lies on the face at 0 as well as one at 0.01 lies on the face at 1
        steps = [
            (0, 1) if x < gap else (0, -1) if x > 1 - gap else (0,)
            for x, gap in zip(frac, near, strict=True)
        ]
        for shift in itertools.product(*steps):
            coords.append(frac + shift)
            source.append(index)
    chosen = np.array(source, dtype=np.int64)
    numbers = crystal.atomic_numbers[chosen]
    positions = np.array(coords).reshape(-1, 3) @ lattice
    return Drawing(positions, numbers, chosen, _bonds(positions, numbers), cell_edges(lattice))


def boundary(lattices: np.ndarray) -> np.ndarray:
    """(B, 3) fractions of cells (B, 3, 3) within which an atom lies on a face."""
    return np.minimum(BOUNDARY / cell_heights(lattices), 0.15)


def cell_edges(lattice: np.ndarray) -> np.ndarray:
    """(12, 2, 3) start and end of the edges of a cell with rows a, b, c, in Å."""
    corners = np.array(list(itertools.product((0, 1), repeat=3)))
    pairs = [
        (one, other)
        for one, other in itertools.combinations(corners, 2)
        if np.abs(one - other).sum() == 1
    ]
    return np.array(pairs) @ lattice


def _bonds(positions: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """(K, 2) pairs within reach."""
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    close = (distances < bond_reach(numbers)) & (distances > SHORTEST_BOND)
    return np.argwhere(np.triu(close, 1))


def bond_reach(numbers: np.ndarray) -> np.ndarray:
    """(M, M) Å below which two atoms of numbers (M,) are bonded; 0 for those that never are.

    Where there are nonmetals, metals are not bonded to metals. An atom whose species is open has no
    bonds.
    """
    from ase.data import covalent_radii

    radii = covalent_radii[numbers]
    reach = BOND_FACTOR * (radii[:, None] + radii)
    metal = np.array([_is_metal(int(n)) for n in numbers], dtype=bool)
    known = numbers > 0
    if not metal[known].all():
        reach[metal[:, None] & metal] = 0.0
    reach[~(known[:, None] & known)] = 0.0
    return reach


@lru_cache(maxsize=200)
def _is_metal(number: int) -> bool:
    from pymatgen.core import Element

    return number > 0 and Element.from_Z(number).is_metal


def ball_radii(numbers: np.ndarray) -> np.ndarray:
    """Å, radii of the drawn balls of atomic numbers, in their shape."""
    from ase.data import covalent_radii

    return SPHERE * np.where(numbers > 0, covalent_radii[numbers], OPEN_RADIUS)


def colour(number: int) -> str:
    """An element's Jmol colour, as in "#ff0d0d"; grey for an open species, 0."""
    from ase.data.colors import jmol_colors

    if not 0 < number < len(jmol_colors):
        return NEUTRAL
    return "#" + "".join(f"{round(255 * x):02x}" for x in jmol_colors[number])


def traces(drawing: Drawing, scene: str = "scene") -> list[go.BaseTraceType]:
    """Plotly traces: the cell, the bonds in the colours of their ends, and a sphere per atom."""
    import plotly.graph_objects as go

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
                line={"color": colour(int(number)), "width": 7},
                hoverinfo="skip",
                scene=scene,
            )
        )
    return result + [_spheres(drawing, int(n), scene) for n in np.unique(drawing.numbers)]


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


def _spheres(drawing: Drawing, number: int, scene: str) -> go.Mesh3d:
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
        color=colour(number),
        name=SYMBOLS[number],
        hovertemplate=f"{SYMBOLS[number]}<extra></extra>",
        lighting=LIGHTING,
        lightposition=LIGHT,
        flatshading=False,
        showlegend=False,
        scene=scene,
    )


@lru_cache(maxsize=1)
def unit_sphere() -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 3) on the unit sphere, a subdivided icosahedron, and faces (F, 3).

    Faces run counter-clockwise as seen from outside.
    """
    golden = (1 + 5**0.5) / 2
    ring = [(0.0, s, t * golden) for s in (-1, 1) for t in (-1, 1)]
    points = [np.roll(p, k) / np.hypot(1, golden) for k in range(3) for p in ring]
    gaps = np.linalg.norm(np.array(points)[:, None] - points, axis=-1)
    near = gaps < 1.1 * gaps[gaps > 0].min()
    faces = []
    for a, b, c in itertools.combinations(range(len(points)), 3):
        if near[a, b] and near[b, c] and near[c, a]:
            outward = np.linalg.det([points[a], points[b], points[c]]) > 0
            faces.append((a, b, c) if outward else (a, c, b))
    for _ in range(HALVINGS):
        middles: dict[tuple[int, int], int] = {}
        smaller = []
        for face in faces:
            inner = []
            for one, other in zip(face, (*face[1:], face[0]), strict=True):
                edge = (min(one, other), max(one, other))
                if edge not in middles:
                    middle = points[one] + points[other]
                    middles[edge] = len(points)
                    points.append(middle / np.linalg.norm(middle))
                inner.append(middles[edge])
            ab, bc, ca = inner
            a, b, c = face
            smaller += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = smaller
    return np.array(points), np.array(faces)
