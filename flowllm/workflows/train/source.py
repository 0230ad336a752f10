"""Where a prior comes from, small enough to be sent to any process, which then loads it itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.base import BasePrior
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.systems.protocols import Prior
from flowllm.training.device import resolve_device

LANGUAGE_MODEL = LanguageModelPrior.kind


@dataclass(frozen=True)
class PriorSource:
    """A prior by what it is made of; called, it gives the prior, loaded once in each process.

    Attributes:
        kind: a kind of prior.
        lm: folder of the language model; on other machines it must lie at the same place.
        data: the data set whose training crystals other kinds need.
        device: where the model computes; "auto" is resolved where it is loaded.
        digest: of the prior where the work was planned.
    """

    kind: str
    lm: str
    data: str
    device: str
    digest: str

    @classmethod
    def of(
        cls, prior: Prior, kind: str, lm: str | Path, data: str | Path, device: str
    ) -> PriorSource:
        """The source of a prior that has been made of these."""
        folder, data_set = (str(Path(p).resolve() if Path(p).exists() else p) for p in (lm, data))
        return cls(kind, folder, data_set, device, prior.digest())

    def __call__(self) -> Prior:
        """The prior.

        Raises:
            InputError: it cannot be loaded, or is another one than where the work was planned.
        """
        return _load(self)


def make_prior(
    kind: str, language_model: LanguageModelPrior | None, training: CrystalBatch | None
) -> Prior:
    """A prior of a kind, made of a trained language model and training crystals.

    Args:
        kind: "language-model", or one of `flowllm.methods.base.prior.KINDS`.
        language_model: needed by all but "compositions".
        training: crystals; needed by all but "language-model".

    Raises:
        InputError: no such kind, or a part that it needs is missing.
    """
    if kind != LANGUAGE_MODEL:
        return BasePrior.make(kind, language_model, training)
    if language_model is None:
        raise InputError(f"the prior {kind!r} needs a language model")
    return language_model


@lru_cache(maxsize=1)
def _load(source: PriorSource) -> Prior:
    language_model = LanguageModelPrior.from_pretrained(
        source.lm, str(resolve_device(source.device))
    )
    training = None
    if source.kind != LANGUAGE_MODEL:
        training = load_dataset(source.data, "train").crystals
    prior = make_prior(source.kind, language_model, training)
    if prior.digest() != source.digest:
        raise InputError(f"{source.lm} holds another model here than where the work was planned")
    return prior
