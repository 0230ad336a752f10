"""The stages that need no energies: validity, distributions, coverage."""

from __future__ import annotations

import importlib.metadata

import numpy as np

from flowllm.evaluation.metric import SHARE, Metric
from flowllm.evaluation.stages.base import StageResult, Work
from flowllm.metrics.composition import compositional_validity
from flowllm.metrics.coverage import COMPOSITION_CUTOFF, STRUCTURE_CUTOFF, coverage
from flowllm.metrics.distributions import PAPERS_SAMPLE, distance_estimate
from flowllm.metrics.diversity import diversity
from flowllm.metrics.fingerprints import Fingerprints, fingerprint_crystals
from flowllm.metrics.properties import density, n_elements
from flowllm.metrics.validity import (
    MIN_DISTANCE,
    MIN_VOLUME,
    structural_faults,
    structural_validity,
)

FINGERPRINTS = "fingerprints.npz"
N_ARY = ("elements", "binaries", "ternaries", "quaternaries", "five elements or more")


def validity(work: Work) -> StageResult:
    """Structures by both conventions, compositions by SMACT."""
    crystals, smact = work.crystals, work.settings.composition
    sound = structural_validity(crystals)
    papers = structural_validity(crystals, self_images=False)
    neutral = compositional_validity(crystals, smact)
    faults = structural_faults(crystals)
    values = density(crystals)
    columns = {
        "valid_structure": sound.tolist(),
        "valid_structure_no_self_image": papers.tolist(),
        "valid_composition": neutral.tolist(),
        "density": values.tolist(),
        "n_elements": n_elements(crystals).tolist(),
        "num_atoms": crystals.num_atoms.tolist(),
    }
    metrics = [
        Metric.rate("readable", work.inputs.readable, work.total),
        Metric.rate("valid structure", sound, work.total),
        Metric.rate("valid structure, no self-images", papers, work.total),
        Metric.rate("valid composition", neutral, work.total),
        Metric.rate("valid structure and composition", sound & neutral, work.total),
        Metric.mean("atoms per cell", crystals.num_atoms),
        Metric.mean("density", values, "g/cm³"),
    ]
    protocol = {
        "structure": f"distances above {MIN_DISTANCE:g} Å, volume above {MIN_VOLUME:g} Å³",
        "self-images": "distances between an atom and its own periodic images count; the papers' "
        "code leaves them out",
        "composition": f"SMACT {importlib.metadata.version('smact')}, oxidation states "
        f"{smact.oxidation_states_set}, Pauling test {_on(smact.use_pauling_test)}, alloys pass "
        f"{_on(smact.include_alloys)}",
        "denominator": _denominator(work),
    }
    reasons = {i: f"structure: {text}" for i, text in enumerate(faults) if text}
    for place in np.flatnonzero(~neutral).tolist():
        reasons[place] = "; ".join(
            text for text in (reasons.get(place), "composition: no charge-neutral states") if text
        )
    work.report(len(crystals), len(crystals))
    return StageResult(columns, metrics, protocol, reasons)


def distributions(work: Work) -> StageResult:
    """Wasserstein distances of density and number of elements to the test split."""
    table = work.results["validity"]
    papers = work.usable & table.column("valid_composition", bool)
    rows = np.flatnonzero(papers)
    drawn = rows
    if len(rows) > PAPERS_SAMPLE:
        drawn = np.random.default_rng(work.settings.seed).choice(rows, PAPERS_SAMPLE, replace=False)
    metrics = []
    for column, name, unit in (("density", "density", "g/cm³"), ("n_elements", "N_el", "")):
        values, theirs = table.column(column), work.reference.values(column)
        for chosen, which in ((drawn, f"{PAPERS_SAMPLE} valid"), (rows, "all valid")):
            metrics.append(
                Metric.of(
                    f"wdist {name}, {which}",
                    distance_estimate(values[chosen], theirs, work.settings.seed),
                    unit,
                )
            )
    usable = table.column("n_elements")[work.usable]
    for count, name in enumerate(N_ARY, start=1):
        several = usable == count if count < len(N_ARY) else usable >= count
        metrics.append(Metric.rate(name, several))
    protocol = {
        "reference": work.reference.describe("test"),
        "valid": "structure (no self-images) and composition, as CDVAE's code has it",
        "sample": f"a random {PAPERS_SAMPLE} of the valid ones as in the papers, and all of them",
        "number of elements": "shares of the valid structures, whatever their composition",
    }
    work.report(len(work.crystals), len(work.crystals))
    return StageResult({}, metrics, protocol)


def coverage_stage(work: Work) -> StageResult:
    """Recall and precision by fingerprints, and diversity, which reads the same ones."""
    prints = _fingerprints(work)
    reference, scaler = work.reference.fingerprints(), work.reference.scaler()
    found = coverage(prints, reference, scaler)
    various = diversity(work.crystals, prints, scaler, work.usable)
    metrics = [
        Metric.of("recall", found.recall, SHARE),
        Metric.rate("precision", found.precise, work.total),
        Metric.of("structural diversity", various.structure),
        Metric.of(
            "compositional diversity",
            various.composition,
        ),
    ]
    columns = {
        "near_reference": found.precise.tolist(),
        "distance_structure": found.precision_structure.tolist(),
        "distance_composition": found.precision_composition.tolist(),
    }
    protocol = {
        "reference": work.reference.describe("test"),
        "structure": f"CrystalNN order parameters, mean over sites; covered within "
        f"{STRUCTURE_CUTOFF:g}",
        "composition": f"Magpie, standardised by the training split; covered within "
        f"{COMPOSITION_CUTOFF:g}",
        "denominator": f"recall {len(reference)} test crystals; precision {_denominator(work)}",
        "diversity": "mean Euclidean distance over all pairs of valid crystals (Gruver et al.)",
    }
    reasons = {
        i: f"fingerprint: {why}" for i, why in enumerate(prints.reasons) if why and work.usable[i]
    }
    return StageResult(columns, metrics, protocol, reasons)


def _fingerprints(work: Work) -> Fingerprints:
    """Of all crystals, kept beside the stage's parts for charts and maps."""
    everything = np.arange(len(work.crystals))
    parts = work.in_parts(
        everything,
        lambda places, report: fingerprint_crystals(
            work.crystals[places], work.executor, work.workers, report, work.settings.seconds
        ),
        Fingerprints,
        size=500,
    )
    prints = Fingerprints.concatenate(parts)
    prints.save(work.folder / FINGERPRINTS)
    return prints


def _denominator(work: Work) -> str:
    text = f"all {work.total} generated: {len(work.crystals)} readable"
    unreadable = len(work.inputs) - len(work.crystals)
    if unreadable:
        text += f", {unreadable} unreadable"
    if work.inputs.rejected:
        text += f", {work.inputs.rejected} rejected by the run itself"
    return text


def _on(value: bool) -> str:
    return "yes" if value else "no"
