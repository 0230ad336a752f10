"""A run of infilling on disk: masked sites or missing atoms, filled by the model, refined."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cif import parse_cif
from flowllm.data.reduce import ReduceSettings, reduce_structure
from flowllm.errors import InputError
from flowllm.methods.language_model.completion import complete_crystal, first_atoms
from flowllm.methods.language_model.infill import (
    Proposals,
    masked_sites,
    propose_elements,
)
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.runs.files import atomic_write, friendly_os_errors
from flowllm.runs.identity import digest, flat_settings, open_run
from flowllm.runs.texts import frame_csv
from flowllm.systems.generation import Generation, Stage
from flowllm.systems.sampling import crystal_id, crystal_seed
from flowllm.systems.system import FlowLLM
from flowllm.text.prompts import build_prompt, without_frame
from flowllm.workflows.results import write_results
from flowllm.workflows.settings import InfillSettings

if TYPE_CHECKING:
    from pymatgen.core import Structure

PROPOSALS = "proposals.csv"


def infill_run(
    model: FlowLLM, file: Path, settings: InfillSettings, out: Path, *, overwrite: bool = False
) -> Generation:
    """Fill in a structure, refine, and write what every run leaves, with `proposals.csv`.

    Raises:
        InputError: the file cannot be read, the mask is outside it, the model is none that can
            infill, or the folder holds another run.
    """
    if not isinstance(model.prior, LanguageModelPrior):
        raise InputError("infilling needs a language model")
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    structure = parse_cif(text, file.name)
    identity = flat_settings(settings, model=model.digest(), file=f"{file} ({digest(text)})")
    with open_run(out, "infill", identity, overwrite, inputs=[file]) as run:
        began = time.perf_counter()
        if settings.keep is None:
            masked = masked_sites(structure, settings.sites, settings.element)
            proposals = propose_elements(
                model.prior, structure, masked, settings.candidates, settings.allow_present
            )
            with friendly_os_errors(run.path):
                atomic_write(run.path / PROPOSALS, proposals_csv(proposals))
            chosen = proposals.first(settings.num)
            crystals = chosen.crystals
            numbers = ", ".join(str(place + 1) for place in masked)
            prompts = [f"{e} on sites {numbers} of {file.name}" for e in chosen.elements]
        else:
            crystals, prompts = _completed(model.prior, structure, settings, file.name)
        crystals = crystals.replace(ids=np.array([crystal_id(k) for k in range(len(crystals))]))
        filled = time.perf_counter()
        trajectory = model.refine(crystals, settings.refinement)
        missing = settings.num - len(crystals) if settings.keep is not None else 0
        stages = [
            Stage(model.prior.label, len(crystals), missing, filled - began),
        ]
        if model.refiner is not None:
            seconds = time.perf_counter() - filled
            stages.append(Stage(model.refiner.label, len(crystals), 0, seconds))
        generation = Generation(prompts, crystals, trajectory, stages)
        write_results(run.path, generation, identity)
        run.finish()
    return generation


def _completed(
    prior: LanguageModelPrior, structure: Structure, settings: InfillSettings, name: str
) -> tuple[CrystalBatch, list[str]]:
    assert settings.keep is not None
    limit = ReduceSettings(max_atoms=prior.format.max_atoms)
    partial = first_atoms(prior, reduce_structure(structure, name, limit), settings.keep)
    seeds = [crystal_seed(settings.seed, index, 0) for index in range(settings.num)]
    found = complete_crystal(
        prior, partial, settings.conditions, settings=settings.sampling, seeds=seeds
    )
    if not len(found):
        raise InputError(f"{name}: no completion came to its end")
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
