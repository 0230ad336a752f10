"""The same drawing for nglview's own widget and its Python commands, moved by the kernel.

`PlayerView` draws by itself; this is for those who know nglview and want its representations,
selections and pictures. nglview cannot move a unit cell, and its adaptor for ASE misplaces atoms in
skewed cells, because it writes the cell into the PDB text. Here neither atoms nor cell pass through
a cell: text and coordinates come from one array, without a CRYST1 line, and cell and bonds are
pseudo-atoms joined by CONECT records.
"""

from __future__ import annotations

from collections.abc import Sequence

import nglview
import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.viz.structure3d import CELL_COLOUR
from flowllm_widgets.structure.drawing import MovingDrawing, draw_moving, draw_still

APART = 40.0  # Å between pseudo-atoms in the PDB text: NGL joins by itself what lies near


class Points(nglview.Structure, nglview.Trajectory):
    """Points that move, for nglview.

    Args:
        coordinates: (T, P, 3) Å.
        symbols: (P,) element symbols.
        names: (P,) at most four letters each.
        joined: (K, 2) pairs to join, or None; NGL then joins no others.
    """

    def __init__(
        self,
        coordinates: np.ndarray,
        symbols: Sequence[str],
        names: Sequence[str],
        joined: np.ndarray | None = None,
    ) -> None:
        nglview.Structure.__init__(self)
        nglview.Trajectory.__init__(self)
        self.coordinates = np.ascontiguousarray(coordinates, dtype=np.float32)
        self.symbols, self.names, self.joined = list(symbols), list(names), joined

    @property
    def n_frames(self) -> int:
        """T."""
        return len(self.coordinates)

    def get_coordinates(self, index: int) -> np.ndarray:
        """(P, 3) Å at a frame."""
        return self.coordinates[index]

    def get_structure_string(self) -> str:
        """PDB text, each point a residue of its own."""
        places = self.coordinates[0]
        if self.joined is not None:  # told apart here; the first frame puts them where they belong
            places = np.stack(np.unravel_index(np.arange(len(places)), (20, 20, 20)), -1) * APART
        rows = [
            f"HETATM{k % 100_000:5d} {name[:4]:<4s} {'XTL':3s} A{k % 10_000:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}{1:6.2f}{0:6.2f}          {symbol:>2s}"
            for k, (name, symbol, (x, y, z)) in enumerate(
                zip(self.names, self.symbols, places, strict=True), start=1
            )
        ]
        pairs = () if self.joined is None else self.joined + 1
        return "\n".join([*rows, *(f"CONECT{a:5d}{b:5d}" for a, b in pairs), "END"])


def adaptors(drawing: MovingDrawing) -> dict[str, Points]:
    """Atoms, cell and bonds of a drawing, in the crystal's own coordinates (Å).

    A bond is a pair of pseudo-atoms of its ends' elements; while a frame lacks the bond, both lie
    in the first.

    Raises:
        InputError: a species changes between frames; nglview takes each atom's element once.
    """
    if drawing.species_change:
        raise InputError(
            "nglview's own widget takes each atom's element once, but species change in this "
            "trajectory; show it with PlayerView, or one of its frames here"
        )
    symbols = [SYMBOLS[n] for n in drawing.numbers[0]]
    corners = drawing.corners.shape[1]
    ends = drawing.bonds.ravel()
    parts = {
        "atoms": Points(drawing.positions, symbols, drawing.labels()),
        "cell": Points(drawing.corners, ["C"] * corners, ["CELL"] * corners, drawing.edges),
    }
    if len(ends):
        parts["bonds"] = Points(
            drawing.bond_ends().reshape(len(drawing), -1, 3),
            [symbols[k] for k in ends],
            ["BOND"] * len(ends),
            np.arange(len(ends)).reshape(-1, 2),
        )
    return parts


def nglview_widget(
    what: Trajectory | CrystalBatch, supercell: Sequence[int] = (1, 1, 1)
) -> nglview.NGLWidget:
    """A trajectory, or a still crystal, in nglview's own widget, with its player and commands.

    Components 0, 1 and 2 are atoms, cell and bonds.

    Raises:
        InputError: as `draw_moving` and `adaptors`.
    """
    if isinstance(what, CrystalBatch):
        drawing = draw_still(what, supercell)
    else:
        drawing = draw_moving(what, supercell)
    view = nglview.NGLWidget()
    for place, (part, points) in enumerate(adaptors(drawing).items()):
        view.add_trajectory(points, default=False)
        if part == "atoms":
            view.add_representation(
                "spacefill", component=place, radius_type="covalent", radius_scale=0.42
            )
        else:
            tint = {"color": CELL_COLOUR} if part == "cell" else {"color_scheme": "element"}
            thickness = 0.04 if part == "cell" else 0.11
            view.add_representation("licorice", component=place, radius=thickness, **tint)
    view.center()
    view.frame = 0
    view._set_coordinates(0)
    return view
