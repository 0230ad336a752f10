"""Where a prior comes from, small enough to be sent to any process, which then loads it itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.base.prior import TypedPrior
from flowllm.methods.flow.velocity import resolve_device
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.systems.priors import LANGUAGE_MODEL, make_prior, prior_digest


@dataclass(frozen=True)
class PriorSource:
    """A prior by what it is made of; called, it gives the prior, loaded once in each process.

    Attributes:
        kind: a name in `flowllm.systems.priors.KINDS`.
        lm: folder of the language model; on other machines it must lie at the same place.
        data: the data set whose training crystals other kinds need.
        device: where the model computes; "auto" is resolved where it is loaded.
        digest: of the prior where the work was planned, as `prior_digest` gives it.
    """

    kind: str
    lm: str
    data: str
    device: str
    digest: str

    @classmethod
    def of(
        cls, prior: object, kind: str, lm: str | Path, data: str | Path, device: str
    ) -> PriorSource:
        """The source of a prior that has been made of these."""
        folder, data_set = (str(Path(p).resolve() if Path(p).exists() else p) for p in (lm, data))
        return cls(kind, folder, data_set, device, prior_digest(prior))

    def __call__(self) -> LanguageModelPrior | TypedPrior:
        """The prior.

        Raises:
            InputError: it cannot be loaded, or is another one than where the work was planned.
        """
        return _load(self)


@lru_cache(maxsize=1)
def _load(source: PriorSource) -> LanguageModelPrior | TypedPrior:
    language_model = LanguageModelPrior.from_pretrained(
        source.lm, str(resolve_device(source.device))
    )
    training = None
    if source.kind != LANGUAGE_MODEL:
        training = load_dataset(source.data, "train").crystals
    prior = make_prior(source.kind, language_model, training)
    if prior_digest(prior) != source.digest:
        raise InputError(f"{source.lm} holds another model here than where the work was planned")
    return prior
