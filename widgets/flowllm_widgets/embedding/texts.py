"""Texts below the map."""

from __future__ import annotations

import html
from collections import Counter

import numpy as np

from flowllm.metrics.fingerprints import Fingerprints
from flowllm_widgets.embedding.data import Points


def about_points(points: Points, prints: Fingerprints) -> str:
    """How many crystals of each system are shown, and why the others are not, as HTML."""
    lines = []
    for place, name in enumerate(points.names):
        members = points.members(place)
        chosen = prints[members]
        text = f"{name}: {int(chosen.complete.sum()):,} crystals"
        if len(members) < points.sizes[place]:
            text += f", drawn at random from {points.sizes[place]:,}"
        missing = np.flatnonzero(~chosen.complete)
        if len(missing):
            kinds = Counter(kind(chosen.reasons[at]) for at in missing).most_common(3)
            reasons = ", ".join(f"{reason} ({count})" for reason, count in kinds)
            text += f"; {len(missing)} without a fingerprint are left out: {reasons}"
        if points.unreadable[place]:
            text += f"; {points.unreadable[place]} could not be read"
        lines.append(text + ".")
    lines.append(
        "In the list, 1 is the distance between two random crystals of MP-20. Drag in the map to "
        "zoom, double-click to see all; click in the legend to hide a system."
    )
    return f'<div class="flowllm-caption">{"<br>".join(map(html.escape, lines))}</div>'


def kind(reason: str) -> str:
    """A reason without the numbers of one crystal, for counting."""
    if not reason:
        return "no reason given"
    return "atoms too close" if reason.endswith("Å apart") else reason.split(" (")[0]
