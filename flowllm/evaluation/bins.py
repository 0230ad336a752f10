"""The bins of the charts, in which a data set's own distribution is kept too."""

from __future__ import annotations

import numpy as np

BINS: dict[str, np.ndarray] = {
    "e_above_hull": np.round(np.arange(-0.2, 1.0001, 0.04), 2),
    "n_elements": np.arange(0.5, 9.5, 1.0),
    "density": np.arange(0.0, 26.0, 1.0),
    "num_atoms": np.arange(0.5, 21.5, 1.0),
    "relax_rmsd": np.round(np.arange(0.0, 1.0001, 0.05), 2),
}
"""Column of the table of crystals -> edges; what lies beyond an end counts in its bin."""


def shares(column: str, values: np.ndarray) -> list[float]:
    """Share of (n,) values in each bin of a column; what is not finite is left out."""
    edges = BINS[column]
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf))
    return (np.histogram(inside, edges)[0] / max(1, len(values))).tolist()
