"""Work on a user's crystal, as plain data without widgets."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.data.reduce import ReduceSettings, reduce_crystal
from flowllm.errors import InputError
from flowllm.inputs import read_inputs
from flowllm.methods.language_model.within import language_model_in
from flowllm.metrics.facts import crystal_facts
from flowllm.stability.nearest_known import KnownCrystal
from flowllm.stability.neighbours import training_split
from flowllm.systems.system import FlowLLM
from flowllm.systems.watch import Stopped, Watch
from flowllm.workflows.score import rank_by_likelihood
from flowllm_widgets.shared.background import Cancelled, Stop

if TYPE_CHECKING:
    import pandas as pd

NEIGHBOURS = 8
HEADINGS = {"nats_per_token": "nats per token", "perplexity": "perplexity"}


def refine(system: FlowLLM, crystal: CrystalBatch, stop: Stop) -> Trajectory:
    """The trajectory of a crystal through a system's refiner, from its primitive Niggli cell.

    It enters at the time at which the crystals of the system's own prior do.

    Args:
        system: with a refiner.
        crystal: a batch of one, in any cell.
        stop: asked at every step.

    Raises:
        InputError: the system has no refiner, or the crystal too many atoms.
        Cancelled: a stop was wanted.
    """
    if system.refiner is None:
        raise InputError(f"{system.name} has no refiner")
    limit = ReduceSettings(max_atoms=system.max_atoms)
    reduced = reduce_crystal(crystal, str(crystal.ids[0]), limit)
    kind = system.refiner.Settings
    recorded = any(one.name == "record" for one in fields(kind))
    settings = kind(record=True) if recorded else kind()
    try:
        return system.refine(
            reduced, settings, watch=Watch(stop=lambda: stop.wanted), start=system.start
        )
    except Stopped:
        raise Cancelled from None


def score(system: FlowLLM, crystals: Mapping[str, CrystalBatch]) -> pd.DataFrame:
    """Crystals by their likelihood under a system's language model, likeliest first.

    Args:
        system: whose prior is or asks a language model.
        crystals: {name: batch of one}.

    Returns:
        The table of `flowllm.workflows.score.rank_by_likelihood`, ids are the names.

    Raises:
        InputError: there is no language model in the system.
    """
    prior = language_model_in(system.prior)
    if prior is None:
        raise InputError(f"{system.name} has no language model to score with")
    batch = CrystalBatch.concatenate(list(crystals.values()))
    return rank_by_likelihood(prior, read_inputs(batch, ids=list(crystals), large=None))


def score_table(table: pd.DataFrame) -> str:
    """The scores as an HTML table, with a reason for crystals without one."""
    rows = []
    for row in table.to_dict("records"):
        if np.isfinite(row["nats_per_token"]):
            cells = "".join(f"<td>{row[name]:.3f}</td>" for name in HEADINGS)
        else:
            cells = f'<td colspan="{len(HEADINGS)}">{html.escape(str(row["reason"]))}</td>'
        rows.append(f"<tr><th scope='row'>{html.escape(str(row['id']))}</th>{cells}</tr>")
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("crystal", *HEADINGS.values()))
    return (
        f'<div class="flowllm-table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<div class="flowllm-caption">The nearer to zero, the more likely the language '
        "model finds the crystal; the perplexity is that of its text.</div>"
    )


def neighbours(crystal: CrystalBatch) -> list[tuple[KnownCrystal, CrystalBatch]]:
    """The crystals of MP-20's training split that are nearest to one, the nearest first.

    Args:
        crystal: a batch of one.
    """
    (facts,) = crystal_facts(crystal)
    if facts.fault or not facts.formula:
        raise InputError(f"no neighbours can be found: {facts.fault or 'a species is open'}")
    known = training_split()
    found = known.alike(crystal, NEIGHBOURS, facts.space_group)
    return [(one, known.known.crystals[one.place]) for one in found]
