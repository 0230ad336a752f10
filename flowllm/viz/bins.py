"""Histogram data: bins, titles and axes of each column, and shares in the bins."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.metrics.properties import density, n_elements

BINS: dict[str, np.ndarray] = {
    "e_above_hull": np.round(np.arange(-0.2, 1.0001, 0.04), 2),
    "n_elements": np.arange(0.5, 9.5, 1.0),
    "density": np.arange(0.0, 26.0, 1.0),
    "num_atoms": np.arange(0.5, 21.5, 1.0),
    "relax_rmsd": np.round(np.arange(0.0, 1.0001, 0.05), 2),
}
"""Column -> edges; what lies beyond an end counts in the outermost bin."""
WHOLE = ("n_elements", "num_atoms")
"""Columns of whole numbers, one to a bin."""
TITLES = {
    "validity": "Validity, coverage, stability",
    "e_above_hull": "Energy above the hull",
    "n_elements": "Different elements per crystal",
    "density": "Density",
    "num_atoms": "Atoms per cell",
    "relax_rmsd": "Distance to the relaxed state",
}
"""Heading of a column's chart; "validity" is the chart of rates."""
AXES = {
    "e_above_hull": "eV/atom",
    "n_elements": "elements",
    "density": "g/cm³",
    "num_atoms": "atoms",
    "relax_rmsd": "root mean square distance, Å",
}
STRUCTURAL = ("density", "n_elements", "num_atoms")
"""Columns that follow from a crystal alone."""


def shares(column: str, values: np.ndarray) -> list[float]:
    """Share of (n,) values in each bin of a column; non-finite values are left out."""
    edges = BINS[column]
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf))
    return (np.histogram(inside, edges)[0] / max(1, len(values))).tolist()


def histograms(crystals: CrystalBatch) -> dict[str, list[float]]:
    """Per column of `STRUCTURAL` the share of crystals in each bin, without zero-volume cells.

    The result is plain JSON: kept of a data set, it serves as the report's reference.
    """
    values = (density(crystals), n_elements(crystals), crystals.num_atoms)
    return {name: shares(name, row) for name, row in zip(STRUCTURAL, values, strict=True)}
