"""The language model within a prior, for likelihoods and infilling."""

from __future__ import annotations

from flowllm.methods.language_model.prior import LanguageModelPrior


def language_model_in(prior: object) -> LanguageModelPrior | None:
    """The prior itself if it is a language model, or the one inside it; None without."""
    if isinstance(prior, LanguageModelPrior):
        return prior
    inner = getattr(prior, "language_model", None)
    return inner if isinstance(inner, LanguageModelPrior) else None
