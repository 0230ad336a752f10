"""The stages of an evaluation, in the order in which they run.

A new stage is a function from `base.Work` to `base.StageResult` in a module of this folder, and an
entry of `REGISTRY`: options and help of the command line, the table of crystals, the page and the
charts follow from the entry. This module imports no stage, so that the command line stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowllm.errors import InputError
from flowllm.evaluation.stages.stage import EvaluationStage

ROOM = "flowllm.evaluation.stages"
REGISTRY: tuple[EvaluationStage, ...] = (
    EvaluationStage(
        "validity", f"{ROOM}.proxies:validity",
        columns=("valid_structure", "valid_structure_no_self_image", "valid_composition",
                 "density", "n_elements", "num_atoms"),
        flags=("valid_structure", "valid_structure_no_self_image", "valid_composition"),
        tiles=("valid structure", "valid composition"),
        rates=("valid structure", "valid composition"),
    ),
    EvaluationStage(
        "contacts", f"{ROOM}.contacts:contacts", needs=("validity",),
        columns=("contact_over_radii", "short_contact", "unusual_contact"),
        flags=("short_contact", "unusual_contact"),
    ),
    EvaluationStage("distributions", f"{ROOM}.proxies:distributions", needs=("validity",)),
    EvaluationStage(
        "coverage", f"{ROOM}.proxies:coverage_stage", needs=("validity",),
        columns=("near_reference", "distance_structure", "distance_composition"),
        flags=("near_reference",),
        tiles=("precision", "recall"),
        rates=("recall", "precision"),
    ),
    EvaluationStage(
        "diversity", f"{ROOM}.diversity:diversity", needs=("validity",),
        columns=("space_group", "space_group_fine", "prototype", "chemical_system"),
        columns_before="coverage",
    ),
    EvaluationStage(
        "novelty", f"{ROOM}.novelty:novelty", needs=("validity",),
        columns=("unique", "novel", "known_as"),
        flags=("unique", "novel"),
        rates=("unique", "novel"),
    ),
    EvaluationStage(
        "relaxation", f"{ROOM}.relaxation:relaxation", needs=("validity",),
        columns=("relaxed_energy", "energy_drop", "volume_change", "relax_steps", "converged",
                 "relax_match", "relax_rmsd"),
        flags=("converged", "relax_match"),
    ),
    EvaluationStage(
        "stability", f"{ROOM}.stability:stability", needs=("relaxation",),
        columns=("formation_energy", "e_above_hull", "e_above_hull_shifted", "stable",
                 "metastable", "sun", "msun", "unique_relaxed", "novel_relaxed"),
        flags=("stable", "metastable", "sun", "msun", "unique_relaxed", "novel_relaxed"),
        tiles=("metastable (< 0.1)", "stable (< 0)", "S.U.N. (< 0)"),
        rates=("metastable (< 0.1)", "stable (< 0)", "S.U.N. (< 0)"),
    ),
    EvaluationStage(
        "prediction", f"{ROOM}.prediction:prediction",
        columns=("matched", "rms"),
        flags=("matched",),
        on_request="needs crystals made for the test compositions, with the ids of the test split",
    ),
    EvaluationStage(
        "adherence", f"{ROOM}.adherence:adherence",
        columns=("as_asked",),
        flags=("as_asked",),
        on_request="needs crystals with the prompts that they were drawn from",
    ),
)  # fmt: skip


def _columns() -> tuple[str, ...]:
    order: list[EvaluationStage] = []
    for stage in REGISTRY:
        before = [place for place, one in enumerate(order) if one.name == stage.columns_before]
        order.insert(before[0] if before else len(order), stage)
    return tuple(column for stage in order for column in stage.columns)


STAGES: tuple[str, ...] = tuple(stage.name for stage in REGISTRY)
"""Names of all stages."""
DEFAULT_STAGES: tuple[str, ...] = tuple(stage.name for stage in REGISTRY if not stage.on_request)
"""Names of those that run unless others are asked for."""
STAGE_OF: dict[str, str] = {column: stage.name for stage in REGISTRY for column in stage.columns}
"""Column of the table of crystals -> the stage that computes it."""
COLUMNS: tuple[str, ...] = _columns()
"""Columns behind id, formula and readable, in their order; those of stages that ran are there."""
FLAGS: tuple[str, ...] = (
    "readable",
    *(column for column in COLUMNS if any(column in stage.flags for stage in REGISTRY)),
)
"""Columns that are true, false, or empty where a stage did not run."""
TILES: tuple[str, ...] = tuple(name for stage in REGISTRY for name in stage.tiles)
"""Figures that stand large at the top of the page, where they were computed."""
RATES: tuple[str, ...] = tuple(name for stage in REGISTRY for name in stage.rates)
"""Rates that stand beside each other in the chart of validity, where they were computed."""


def chosen_stages(only: Sequence[str] | None) -> tuple[str, ...]:
    """The stages to run, prerequisites included, in order.

    Raises:
        InputError: there is no stage of that name.
    """
    wanted = set(DEFAULT_STAGES if only is None else only)
    if not wanted:
        raise InputError(f"no stage is given; choose from {', '.join(STAGES)}")
    for name in sorted(wanted - set(STAGES)):
        raise InputError(f"unknown stage {name!r}; choose from {', '.join(STAGES)}")
    for stage in reversed(REGISTRY):  # the later ones first: what they need may need more
        if stage.name in wanted:
            wanted |= set(stage.needs)
    return tuple(name for name in STAGES if name in wanted)


def help_text() -> str:
    """Help on the available and the default stages."""
    asked = [f"{stage.name}, which {stage.on_request}" for stage in REGISTRY if stage.on_request]
    default = f"all but {' and '.join(asked)}" if asked else "all"
    return f"stages to run, separated by commas: {', '.join(STAGES)}; default {default}."
