"""A table of crystals for a page, sorted, filtered and paged in it; a click draws the crystal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.viz.page import fill, script_json
from flowllm.viz.structure3d import (
    CELL_COLOUR,
    LIGHT,
    LIGHTING,
    ball_radii,
    colour,
    draw,
    unit_sphere,
)

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 2000  # crystals in the table: the page stays under 15 MB
DRAWN_ATOMS = 60  # a larger cell is listed and not drawn
STYLE, SCRIPT = "crystal_table.css", "crystal_table.js"
"""What the page needs, see `flowllm.viz.page.render`."""


def crystal_table(rows: pd.DataFrame, crystals: CrystalBatch) -> Markup:
    """The section of a page.

    Args:
        rows: R rows with at least a column id; columns without any value are left out.
        crystals: those that are drawn, found by their ids.
    """
    shown = rows.head(SHOWN)
    columns = [c for c in shown.columns if shown[c].notna().any()]
    place = {str(name): index for index, name in enumerate(crystals.ids)}
    points, faces = unit_sphere()
    content = {
        "columns": columns,
        "values": {c: [_plain(value) for value in shown[c]] for c in columns},
        "drawings": _drawings(crystals, [place.get(str(name)) for name in shown["id"]]),
        "sphere": [np.round(points, 3).tolist(), faces.tolist()],
        "elements": _elements(crystals),
        "cell": CELL_COLOUR,
        "lighting": LIGHTING,
        "light": LIGHT,
    }
    cut = "" if len(rows) <= SHOWN else f"The first {SHOWN} of {len(rows)}. "
    return fill("crystal_table.html", cut=cut, json=script_json(content))


def _drawings(crystals: CrystalBatch, shown: Sequence[int | None]) -> list[Any]:
    """Per row what is drawn of its crystal: positions, numbers, bonds, edges; null for none."""
    result: list[Any] = []
    volumes = crystals.volumes
    for index in shown:
        if index is None or volumes[index] <= 0 or crystals.num_atoms[index] > DRAWN_ATOMS:
            result.append(None)
            continue
        drawing = draw(crystals[index])
        result.append(
            [
                np.round(drawing.positions, 2).tolist(),
                drawing.numbers.tolist(),
                drawing.bonds.tolist(),
                np.round(drawing.edges.reshape(-1, 6), 2).tolist(),
            ]
        )
    return result


def _elements(crystals: CrystalBatch) -> dict[int, list[Any]]:
    """Atomic number -> symbol, colour, and radius of its ball in Å."""
    return {
        int(n): [SYMBOLS[n], colour(int(n)), round(float(ball_radii(n)), 3)]
        for n in np.unique(crystals.atomic_numbers)
    }


def _plain(value: Any) -> Any:
    """What JSON can hold, numbers with four digits after the point."""
    import pandas as pd

    if value is None or pd.isna(value):
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return str(value)
