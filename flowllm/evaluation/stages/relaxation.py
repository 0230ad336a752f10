"""Relaxation of valid crystals, and how close they were to the state that they relax to."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.evaluation.metric import SHARE, Metric
from flowllm.evaluation.stages.base import StageResult, Work, spent_seconds, spread
from flowllm.relax import Relaxation, closeness, relax
from flowllm.runs.files import atomic_write, write_json
from flowllm.seeds import Stream, generator

RELAXED, RELAXED_XYZ, SECONDS = "relaxed.npz", "relaxed.extxyz", "seconds.json"


def relaxation(work: Work) -> StageResult:
    """Relax valid structures, all or a random sample, and compare before and after."""
    settings, total = work.settings.relaxation, len(work.crystals)
    sample, denominator = sample_of(work)
    places = sample[work.results["validity"].column("valid_structure", bool)[sample]]
    clock = work.folder / SECONDS

    def compute(part: np.ndarray, report) -> Relaxation:  # type: ignore[no-untyped-def]
        started = time.perf_counter()
        done = relax(
            work.crystals[part], settings, executor=work.executor, workers=work.workers,
            progress=report,
        )  # fmt: skip
        before = spent_seconds(clock)
        write_json(clock, {"seconds": before + time.perf_counter() - started})
        return done

    relaxed = Relaxation.concatenate(work.in_parts(places, compute, Relaxation))
    write_relaxed(work, relaxed)
    near = closeness(
        work.crystals[places], relaxed, replace(work.settings.same), executor=work.executor,
        workers=work.workers or 1,
    )  # fmt: skip
    per_volume = near.rms[near.matched]
    metrics = [
        Metric.rate("relaxation converged", relaxed.converged, denominator),
        Metric.rate("matches its relaxed state", near.matched, denominator),
        Metric.of("RMSD to the relaxed state", near.rmsd_angstrom, "Å"),
        Metric.mean("RMSD to the relaxed state, normalised", per_volume,
                    note="over (V/n)^(1/3), as StructureMatcher gives it"),
        Metric.of("energy drop", near.energy_drop, "eV/atom"),
        Metric.of("energy drop, median", near.median_energy_drop, "eV/atom"),
        Metric.of("volume changes by over 5 %", near.volume_change_rate, SHARE),
        Metric.of("volume change, median", near.median_volume_change,
                  note="relaxed over generated volume, less 1"),
        Metric.of("optimiser steps", near.mean_steps),
    ]  # fmt: skip
    columns = {
        "relaxed_energy": spread(places, relaxed.energies, total),
        "energy_drop": spread(places, near.energy_drops, total),
        "volume_change": spread(places, near.volume_changes, total),
        "relax_steps": spread(places, relaxed.steps.tolist(), total),
        "converged": spread(places, relaxed.converged.tolist(), total),
        "relax_match": spread(places, near.matched.tolist(), total),
        "relax_rmsd": spread(places, near.rms_angstrom, total),
    }
    reasons = {
        int(place): f"relaxation: {why}"
        for place, why in zip(places, relaxed.reasons, strict=True)
        if why
    }
    protocol = {
        "relaxer": "CHGNet 0.3.0 (Deng et al., 2023), energies with MP2020 corrections",
        "optimiser": f"{settings.optimizer.upper()}, fmax {settings.fmax:g} eV/Å, at most "
        f"{settings.steps} steps, cell {'free' if settings.relax_cell else 'fixed'}, at most "
        f"{settings.time_limit:g} s a crystal",
        "denominator": f"{denominator} generated crystals"
        + (f", a random sample of {work.total}" if denominator < work.total else "")
        + f"; {len(places)} of them valid and relaxed",
        "warning": "a learned potential flatters: against density functional theory CHGNet "
        "overstates S.U.N. by 2.5 to 4.5 times (WyFormer)",
    }
    return StageResult(columns, metrics, protocol, reasons)


def sample_of(work: Work) -> tuple[np.ndarray, int]:
    """Positions of the crystals to relax, and how many generated ones they represent.

    The sample is drawn among all that was generated, so unreadable inputs and rejected samples are
    in it as often as they occur.
    """
    wanted = work.settings.relax_num
    if not wanted or wanted >= work.total:
        return np.arange(len(work.crystals)), work.total
    drawn = generator(Stream.RELAXED, work.settings.seed).permutation(work.total)[:wanted]
    rows = np.sort(drawn[drawn < len(work.inputs)])
    places = work.inputs.position[rows]
    return places[places >= 0], wanted


def write_relaxed(work: Work, relaxed: Relaxation) -> None:
    """Save the relaxed structures for users and for the stability stage."""
    from ase.io import write

    work.folder.mkdir(parents=True, exist_ok=True)
    relaxed.save(work.folder / RELAXED)
    atoms = relaxed.crystals.to_ase()
    for one, energy, done in zip(atoms, relaxed.energies, relaxed.converged, strict=True):
        one.info.update(energy_per_atom=float(energy), converged=bool(done))
    buffer = io.StringIO()
    if atoms:
        write(buffer, atoms, format="extxyz")
    atomic_write(work.folder / RELAXED_XYZ, buffer.getvalue())


def relaxed_crystals(folder: Path) -> CrystalBatch | None:
    """The relaxed crystals of an evaluation's folder; None if there are none."""
    file = folder / "stages" / "relaxation" / RELAXED
    return Relaxation.load(file).crystals if file.is_file() else None
