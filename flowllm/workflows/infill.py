"""A run of infilling on disk: masked sites or missing atoms, filled by the model, refined."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.reduce import ReduceSettings, reduce_structure
from flowllm.errors import InputError
from flowllm.inputs.items import ReadCrystal
from flowllm.inputs.read import read_item
from flowllm.inputs.remarks import joined_remarks
from flowllm.inputs.sources import list_source
from flowllm.methods.language_model.completion import (
    complete_crystal,
    complete_orbits,
    first_atoms,
)
from flowllm.methods.language_model.infill import (
    Proposals,
    masked_sites,
    propose_elements,
)
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.within import language_model_in
from flowllm.runs.files import atomic_write, friendly_os_errors
from flowllm.runs.identity import flat_settings, open_run
from flowllm.runs.texts import frame_csv
from flowllm.systems.checks import completed
from flowllm.systems.generation import Generation, Stage
from flowllm.systems.sampling import crystal_id, crystal_seed
from flowllm.systems.system import FlowLLM
from flowllm.text.formats.base import HasOrbits
from flowllm.text.prompts import build_prompt, without_frame
from flowllm.workflows.results import write_results
from flowllm.workflows.settings import InfillSettings

if TYPE_CHECKING:
    from pymatgen.core import Structure

PROPOSALS = "proposals.csv"


def infill_run(
    model: FlowLLM, file: Path, settings: InfillSettings, out: Path, *, overwrite: bool = False
) -> Generation:
    """Fill in a structure, refine it, and write the usual files with `proposals.csv`.

    Raises:
        InputError: the file cannot be read, the mask is outside it, the model is none that can
            infill, or the folder holds another run.
    """
    prior = language_model_in(model.prior)
    if prior is None:
        raise InputError("infilling needs a language model")
    settings = completed(settings, model.prior, model.refiner)
    given, content = read_single(file)
    structure = given.crystal.to_pymatgen()[0]
    identity = flat_settings(settings, model=model.digest(), file=f"{file} ({content})")
    with open_run(out, "infill", identity, overwrite, inputs=[file]) as run:
        began = time.perf_counter()
        if settings.keep is None:
            atoms = [site.atoms for site in given.sites]
            masked = masked_sites(structure, settings.sites, settings.element, atoms)
            proposals = propose_elements(
                prior, structure, masked, settings.candidates, settings.allow_present
            )
            with friendly_os_errors(run.path):
                atomic_write(run.path / PROPOSALS, proposals_csv(proposals))
            chosen = proposals.first(settings.num)
            crystals = chosen.crystals
            where = described_mask(given, settings.sites, masked)
            prompts = [f"{e} on {where} of {file.name}" for e in chosen.elements]
        else:
            crystals, prompts = _completed(prior, structure, settings, file.name)
        crystals = crystals.replace(ids=np.array([crystal_id(k) for k in range(len(crystals))]))
        filled = time.perf_counter()
        trajectory = model.refine(crystals, settings.refinement)
        missing = settings.num - len(crystals) if settings.keep is not None else 0
        stages = [
            Stage(prior.label, len(crystals), missing, filled - began),
        ]
        if model.refiner is not None:
            seconds = time.perf_counter() - filled
            stages.append(Stage(model.refiner.label, len(crystals), 0, seconds))
        generation = Generation(prompts, crystals, trajectory, stages)
        remarks = [joined_remarks(given.remarks)] * len(crystals)
        write_results(run.path, generation, identity, remarks=remarks)
        run.finish()
    return generation


def read_single(file: Path) -> tuple[ReadCrystal, str]:
    """The only crystal of a file with the sites of that file, and a hash of the content.

    Raises:
        InputError: the file cannot be read, or holds several crystals.
    """
    found = list_source(file)
    if len(found.items) != 1:
        shown = ", ".join(item.name or str(row) for row, item in enumerate(found.items[:6]))
        raise InputError(
            f"{file} holds {len(found.items)} crystals ({shown}); infilling takes a file of one"
        )
    item = found.items[0]
    try:
        read = read_item(item)
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error
    return replace(read, remarks=(*item.remarks, *read.remarks)), found.digest


def described_mask(given: ReadCrystal, sites: Sequence[int] | None, masked: Sequence[int]) -> str:
    """The masked sites in words: their numbers, and how many atoms each stands for."""
    if sites is None or not any(len(site.atoms) > 1 for site in given.sites):
        return f"sites {', '.join(str(place + 1) for place in masked)}"
    chosen = {number: given.sites[number - 1] for number in sorted(set(sites))}
    texts = [
        f"{number} ({site.label}, {len(site.atoms)} atom{'s' * (len(site.atoms) > 1)} of the cell)"
        for number, site in chosen.items()
    ]
    return f"sites {', '.join(texts)}"


def _completed(
    prior: LanguageModelPrior, structure: Structure, settings: InfillSettings, name: str
) -> tuple[CrystalBatch, list[str]]:
    assert settings.keep is not None
    limit = ReduceSettings(max_atoms=prior.format.max_atoms)
    reduced = reduce_structure(structure, name, limit)
    seeds = [crystal_seed(settings.seed, index, 0) for index in range(settings.num)]
    if isinstance(prior.format, HasOrbits):
        found = complete_orbits(
            prior, reduced, settings.keep, settings.conditions, settings=settings.sampling,
            seeds=seeds,
        )  # fmt: skip
    else:
        partial = first_atoms(prior, reduced, settings.keep)
        found = complete_crystal(
            prior, partial, settings.conditions, settings=settings.sampling, seeds=seeds
        )
    if not len(found):
        raise InputError(f"{name}: no completion finished")
    asked = without_frame(build_prompt(settings.conditions)) or "nothing asked"
    return found, [f"the first {settings.keep} atoms of {name}; {asked}"] * len(found)


def proposals_csv(proposals: Proposals) -> str:
    """All candidates as CSV: rank, element, formula, probability, nats."""
    import pandas as pd

    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(proposals) + 1),
            "element": proposals.elements,
            "formula": proposals.crystals.formulas,
            "probability": proposals.shares,
            "nats": proposals.nats,
        }
    )
    return frame_csv(table)
