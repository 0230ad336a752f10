"""Adherence: how well a system keeps to what is asked of it.

Conditions of real crystals that the model has not seen are asked for, one sample each, with and
without decoding constraints, and compared with what came out.
"""

from __future__ import annotations

from flowllm.evaluation.adherence.figures import Figure, Outcome, figures_of, outcome_of
from flowllm.evaluation.adherence.kinds import DEFAULT_KINDS, asked_of, names_of
from flowllm.evaluation.adherence.printing import markdown, print_adherence
from flowllm.evaluation.adherence.run import measure_adherence
from flowllm.evaluation.adherence.settings import AdherenceSettings

__all__ = [
    "DEFAULT_KINDS",
    "AdherenceSettings",
    "Figure",
    "Outcome",
    "asked_of",
    "figures_of",
    "markdown",
    "measure_adherence",
    "names_of",
    "outcome_of",
    "print_adherence",
]
