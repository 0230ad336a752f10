"""Unphysically short contacts between atoms."""

from __future__ import annotations

import numpy as np

from flowllm.crystals.contacts import FEWEST, QUANTILE, SHORT, shortest_contacts
from flowllm.evaluation.metric import Metric
from flowllm.evaluation.stages.base import StageResult, Work


def contacts(work: Work) -> StageResult:
    """The shortest contact of each crystal over radii, and against those of known crystals."""
    found = shortest_contacts(work.crystals)
    ratio, margin = found.shortest_ratio, found.margin
    # without a volume there are no distances to compare: such a cell is not a sound one
    below, unusual = ~(ratio >= SHORT), ~(margin >= 0)
    metrics = [
        Metric.rate(f"contact below {SHORT:g} of the covalent radii", below),
        Metric.rate("contact shorter than in known crystals", unusual),
    ]
    columns = {
        "contact_over_radii": np.where(np.isfinite(ratio), ratio, np.nan).tolist(),
        "short_contact": below.tolist(),
        "unusual_contact": unusual.tolist(),
    }
    protocol = {
        "contacts": "of all pairs of atoms, periodic images of the same atom included; shares of "
        "the readable crystals, cells without volume counted as too short",
        "radii": "covalent, Cordero et al. (2008)",
        "known crystals": f"below the {QUANTILE:.1%} quantile of the shortest contacts of a pair "
        f"of elements in MP-20 train; pairs of fewer than {FEWEST} crystals are pooled, over radii",
    }
    work.report(len(ratio), len(ratio))
    return StageResult(columns, metrics, protocol)
