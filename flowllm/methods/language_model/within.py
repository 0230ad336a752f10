"""The language model within a prior, for what only a language model can do."""

from __future__ import annotations

from flowllm.methods.language_model.prior import LanguageModelPrior


def language_model_in(prior: object) -> LanguageModelPrior | None:
    """The prior itself, or the language model that it asks beside other sources; None without."""
    if isinstance(prior, LanguageModelPrior):
        return prior
    inner = getattr(prior, "language_model", None)
    return inner if isinstance(inner, LanguageModelPrior) else None
