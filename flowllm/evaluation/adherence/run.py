"""Adherence measured into a folder: resumable parts, then metrics and a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.data import load_dataset
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.evaluation.adherence.energies import PROTOCOL
from flowllm.evaluation.adherence.figures import Figure, figures_of
from flowllm.evaluation.adherence.kinds import asked_of
from flowllm.evaluation.adherence.printing import markdown, table_of
from flowllm.evaluation.adherence.samples import Samples
from flowllm.evaluation.adherence.settings import SPLITS, AdherenceSettings
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.runs.files import atomic_write, read_json, write_json
from flowllm.runs.identity import flat_settings, open_run
from flowllm.runs.progress import Progress
from flowllm.runs.texts import frame_csv
from flowllm.settings import check_workers
from flowllm.stability import HullTable, load_hull
from flowllm.systems.checks import completed
from flowllm.systems.protocols import Prior
from flowllm.systems.record import find_model
from flowllm.systems.system import FlowLLM


def measure_adherence(
    settings: AdherenceSettings,
    out: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Request, sample, refine and compare; everything is stored in `out`.

    Every prompt gets one sample; one that is rejected is not drawn again and keeps to nothing.
    Without constraints the model writes freely: no outline, and nothing holds it to what is asked.

    Returns:
        What `summary.json` holds: settings, protocol, and rows of (kind, mode, figure, stage,
        value, low, high, n).

    Raises:
        InputError: no such model or data, a kind that no crystal has, or the folder holds another
            run.
    """
    check_workers(workers)
    find_model(settings.model)  # before the data, which may have to be prepared
    data = load_dataset(settings.data, settings.split, workers=workers)
    targets = {k: asked_of(data, k, settings.num, settings.seed) for k in settings.kinds}
    system = FlowLLM.from_pretrained(settings.model, device)
    settings = completed(settings, system.prior, system.refiner)
    identity = flat_settings(settings, weights=system.digest(), crystals=data.crystals.digest())
    inputs = [settings.model, settings.data]
    with open_run(out, "adherence", identity, overwrite, inputs=inputs) as run:
        file = run.path / "summary.json"
        if run.finished and (summary := _finished(file)) is not None:
            return summary
        hull, gaps = load_hull(), known_gaps(settings.data)
        place_of = {str(name): place for place, name in enumerate(data.crystals.ids)}
        rows: list[dict[str, Any]] = []
        crystals: list[dict[str, Any]] = []
        for kind, asked in targets.items():
            real = data.crystals[[place_of[target.source] for target in asked]]
            for mode, prior in priors_of(system, settings.modes):
                made = Samples(
                    kind, mode, asked, settings, run.path / "parts", run.digest, workers, progress
                )
                prior_found, refined_found, relaxed = made.measure(system, prior, hull)
                conditions = [target.conditions for target in asked]
                text = prior.rounded(real) if isinstance(prior, LanguageModelPrior) else None
                figures = figures_of(conditions, prior_found, refined_found, relaxed, gaps, text)
                rows += [_row(kind, mode, figure) for figure in figures]
                prompts = made.prompts(system)
                crystals += table_of(
                    kind, mode, asked, prompts, prior_found, refined_found, relaxed or {}
                )
        summary = {"settings": identity, "protocol": _protocol(hull), "figures": rows}
        _write_table(run.path / "per_crystal.csv", crystals)
        atomic_write(run.path / "table.md", markdown(rows))
        write_json(file, summary)
        run.finish()
    return summary


def _finished(file: Path) -> dict[str, Any] | None:
    """The summary of a finished run; None if it is missing or damaged."""
    try:
        found = read_json(file)
        rows = found["figures"]
        sound = all({"kind", "constraints", "figure", "stage", "text"} <= set(row) for row in rows)
        return found if isinstance(found, dict) and sound else None
    except (InputError, KeyError, TypeError):
        return None


def priors_of(system: FlowLLM, modes: tuple[str, ...]) -> Iterator[tuple[str, Prior]]:
    """The priors to measure, by mode; one that cannot be constrained is measured as it is.

    Raises:
        InputError: constraints are asked for and the prior knows none.
    """
    prior = system.prior
    free = not getattr(prior, "constrained", True)
    if free and "without" not in modes:
        raise InputError(f"{system.name} has no decoding constraints; measure it without")
    for mode in modes:
        if (mode == "without") == free:
            yield mode, prior
        elif mode == "without" and isinstance(prior, LanguageModelPrior):
            yield mode, prior.unconstrained()


def known_gaps(data: str) -> dict[tuple[str, int], float]:
    """(reduced formula, space group) -> mean band gap in eV, over all available splits."""
    found: dict[tuple[str, int], list[float]] = {}
    for split in SPLITS:
        try:
            part: CrystalSet = load_dataset(data, split)
        except InputError:
            continue
        if not {"band_gap", "space_group"} <= set(part.properties):
            continue
        columns = part.properties["space_group"], part.properties["band_gap"]
        for formula, group, gap in zip(part.reduced_formulas, *columns, strict=True):
            if np.isfinite(group) and np.isfinite(gap):
                found.setdefault((formula, int(group)), []).append(float(gap))
    return {key: float(np.mean(values)) for key, values in found.items()}


def _row(kind: str, mode: str, figure: Figure) -> dict[str, Any]:
    about = {"kind": kind, "constraints": mode, "figure": figure.name, "stage": figure.stage}
    numbers = {k: None if np.isnan(v) else v for k, v in asdict(figure.value).items()}
    return {**about, **numbers, "text": figure.text()}  # JSON knows no NaN


def _protocol(hull: HullTable) -> dict[str, str]:
    return {
        "prompts": "conditions of real crystals of the split, one sample each; a rejected one "
        "keeps to nothing",
        "space groups": "spglib; those asked for are the data's own",
        "formation energy": PROTOCOL,
        "E_hull": hull.describe(),
        "band gap": "of the data's crystals of the same formula and space group (symprec 0.1), "
        "where there are any; nothing here computes a band gap",
        "intervals": "bootstrap, 95 %",
    }


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    import pandas as pd

    atomic_write(path, frame_csv(pd.DataFrame(rows), None))
