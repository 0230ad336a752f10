"""Energies above the hull of the relaxed crystals, and S.U.N.; raw, and shifted by anion."""

from __future__ import annotations

import numpy as np

from flowllm.errors import InputError
from flowllm.evaluation.metric import SHARE, Metric
from flowllm.evaluation.stages.base import StageResult, Work, spent_seconds, spread
from flowllm.evaluation.stages.novelty import compare
from flowllm.evaluation.stages.relaxation import RELAXED, SECONDS, sample_of
from flowllm.metrics.properties import n_elements
from flowllm.stability import HullTable, chgnet_shift, load_hull, sun_rates

METASTABLE = 0.1  # eV/atom; the column "metastable" of the table of crystals


def stability(work: Work) -> StageResult:
    """E_hull, stable and metastable, S.U.N. and M.S.U.N. at each threshold."""
    from flowllm.relax import Relaxation

    beside = work.folder.parent / "relaxation"
    relaxed = Relaxation.load(beside / RELAXED)
    crystals, hull = relaxed.crystals, _hull(work)
    place_of = {str(name): place for place, name in enumerate(work.crystals.ids)}
    places = np.array([place_of[str(name)] for name in crystals.ids], dtype=np.int64)
    _, denominator = sample_of(work)

    formation = hull.references.formation_energy(crystals, relaxed.energies)
    above = hull.e_above_hull(crystals, formation)
    found = compare(work, crystals)
    thresholds = tuple(sorted({*work.settings.thresholds, 0.0, METASTABLE}))
    rates = sun_rates(
        above, found.groups, found.novel, n_elements(crystals), thresholds, denominator
    )
    shift = chgnet_shift()
    shifted = above - shift.of(crystals)
    shifted_rates = sun_rates(
        shifted, found.groups, found.novel, n_elements(crystals), thresholds, denominator
    )
    metrics = [
        Metric.mean("E_hull", above, "eV/atom", note="of all that have an energy"),
        Metric.mean("E_hull, shifted", shifted, "eV/atom", note="by class of anion"),
    ]
    for part, other in zip(rates.below, shifted_rates.below, strict=True):
        stable, sun = _names(part.threshold)
        metrics.append(Metric.of(stable, part.stable_rate, SHARE))
        metrics.append(Metric.of(f"{stable}, shifted", other.stable_rate, SHARE))
        metrics.append(Metric.of(sun, part.sun_rate, SHARE))
        metrics.append(Metric.of(f"{sun}, shifted", other.sun_rate, SHARE))
    metrics += [
        Metric.of("unique after relaxation", rates.unique_rate, SHARE),
        Metric.of("novel after relaxation", rates.novel_rate, SHARE),
    ]
    suns = int(rates.at(0.0).sun.sum())
    spent = spent_seconds(beside / SECONDS)
    metrics.append(
        Metric(
            "seconds of relaxation per S.U.N. crystal",
            spent / suns if suns else float("nan"),
            n=suns,
            unit="s",
            note=f"{spent:.0f} s for {len(crystals)} crystals on this machine; add those of "
            "generation",
        )
    )
    total, low = len(work.crystals), rates.at(METASTABLE)
    columns = {
        "formation_energy": spread(places, formation, total),
        "e_above_hull": spread(places, above, total),
        "e_above_hull_shifted": spread(places, shifted, total),
        "stable": spread(places, rates.at(0.0).stable.tolist(), total),
        "metastable": spread(places, low.stable.tolist(), total),
        "sun": spread(places, rates.at(0.0).sun.tolist(), total),
        "msun": spread(places, low.sun.tolist(), total),
        "unique_relaxed": spread(places, found.unique.tolist(), total),
        "novel_relaxed": spread(places, found.novel.tolist(), total),
    }
    faults = hull.faults(crystals, relaxed.energies)
    reasons = {
        int(place): f"stability: {fault}"
        for place, fault, energy in zip(places, faults, relaxed.energies, strict=True)
        if fault and np.isfinite(energy)  # without an energy the relaxation has said why
    }
    protocol = {
        "hull": hull.describe(),
        "shifted": f"energies of CHGNet minus their {shift.describe()}",
        "stable": "E_hull < 0 and at least two elements; metastable: E_hull < "
        + ", ".join(f"{t:g}" for t in thresholds if t > 0)
        + " eV/atom; re-relaxed known compounds lie near 0, on either side",
        "S.U.N.": "one crystal of each group of equal ones that is stable and novel; unique and "
        "novel by the relaxed structures",
        **found.protocol,
        "denominator": work.results["relaxation"].protocol["denominator"],
    }
    return StageResult(columns, metrics, protocol, reasons)


def _hull(work: Work) -> HullTable:
    if work.settings.hull:
        return load_hull(work.settings.hull)
    hull = work.reference.hull()
    if hull is None:
        raise InputError(
            f"{work.reference.name} has no convex hull: give one with --hull (`flowllm hull "
            "convert` makes one of a phase diagram), or --hull mp_20"
        )
    return hull


def _names(threshold: float) -> tuple[str, str]:
    if threshold <= 0:
        return f"stable (< {threshold:g})", f"S.U.N. (< {threshold:g})"
    return f"metastable (< {threshold:g})", f"M.S.U.N. (< {threshold:g})"
