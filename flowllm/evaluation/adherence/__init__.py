"""Adherence: how well a system follows its conditions.

Conditions of real crystals that the model has not seen are asked for, one sample each, with and
without decoding constraints, and compared with what came out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.lazy import exports

if TYPE_CHECKING:
    from flowllm.evaluation.adherence.figures import Figure, Outcome, figures_of, outcome_of
    from flowllm.evaluation.adherence.kinds import asked_of
    from flowllm.evaluation.adherence.printing import markdown, print_adherence
    from flowllm.evaluation.adherence.run import measure_adherence
    from flowllm.evaluation.adherence.settings import DEFAULT_KINDS, AdherenceSettings, names_of

_MODULES = {
    "DEFAULT_KINDS": ".settings",
    "AdherenceSettings": ".settings",
    "Figure": ".figures",
    "Outcome": ".figures",
    "asked_of": ".kinds",
    "figures_of": ".figures",
    "markdown": ".printing",
    "measure_adherence": ".run",
    "names_of": ".settings",
    "outcome_of": ".figures",
    "print_adherence": ".printing",
}
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

__getattr__, __dir__ = exports(__name__, _MODULES)
