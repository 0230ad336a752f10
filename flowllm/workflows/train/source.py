"""The source of a prior, small enough to send to any process, which then loads it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.base import BasePrior
from flowllm.methods.base.prior import BASE, KINDS
from flowllm.methods.language_model.prior import LanguageModelPrior, load_as_stored
from flowllm.runs.files import read_record
from flowllm.systems.parts import PartRecord, shipped_part
from flowllm.systems.protocols import Prior
from flowllm.systems.registry import part_class, prior_kind
from flowllm.training.device import resolve_device

LANGUAGE_MODEL = LanguageModelPrior.kind


@dataclass(frozen=True)
class PriorSource:
    """A prior by its components; calling it gives the prior, loaded once per process.

    Attributes:
        kind: a kind of prior.
        lm: its folder, or that of the language model that it is made of; on other machines it must
            lie at the same place.
        data: the data set whose training crystals a prior may be made of, too.
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
        """The source of a prior made of these components."""
        folder, data_set = (
            os.path.realpath(p) if os.path.exists(p) else str(p) for p in (lm, data)
        )
        return cls(kind, folder, data_set, device, prior.digest())

    def __call__(self) -> Prior:
        """The prior.

        Raises:
            InputError: it cannot be loaded, or is another one than where the work was planned.
        """
        return _load(self)


def make_prior(
    kind: str,
    language_model: LanguageModelPrior | None,
    training: CrystalBatch | None,
    shipped: PartRecord | None = None,
) -> Prior:
    """A prior of a kind, made of a trained language model and training crystals.

    Args:
        kind: "language-model", or one of `flowllm.methods.base.prior.KINDS`.
        language_model: needed by all but "compositions".
        training: crystals; needed by all but "language-model".
        shipped: where the language model lies, if a prior made of it is to name it, not copy it.

    Raises:
        InputError: no such kind, or a part that it needs is missing.
    """
    if kind != LANGUAGE_MODEL:
        return BasePrior.make(kind, language_model, training, shipped)
    if language_model is None:
        raise InputError(f"the prior {kind!r} needs a language model")
    return language_model


def load_prior(
    kind: str,
    folder: str | Path,
    data: str | Path,
    device: str = "cpu",
    as_stored: bool = False,
    share: bool = False,
) -> Prior:
    """A prior from its folder, or from a language model's folder.

    Args:
        kind: a kind of prior.
        folder: what training wrote.
        data: the data set whose training crystals a prior may be made of, too.
        device: "auto", "cpu", "cuda" or "mps".
        as_stored: keep the type in which the weights of a large model lie on disk.
        share: saved, a prior made of a language model that ships names it instead of copying it.

    Raises:
        InputError: no such kind, or a part is missing or damaged.
    """
    place, path = str(resolve_device(device)), Path(folder)
    of_language_model = kind == LANGUAGE_MODEL or kind in KINDS
    # an adapter's folder holds a file of this name too, which names the model under it
    is_base = (path / BASE).is_file() and "prior" in read_record(path / BASE)
    if not of_language_model or is_base:
        loaded: Prior = part_class(prior_kind(kind)).load(path, place)
        if loaded.kind != kind:
            raise InputError(f"{folder} holds a prior {loaded.kind!r}, not {kind!r}")
        return loaded
    language_model = (
        load_as_stored(folder) if as_stored else LanguageModelPrior.from_pretrained(folder, place)
    )
    training = None if kind == LANGUAGE_MODEL else load_dataset(data, "train").crystals
    shipped = shipped_part(LANGUAGE_MODEL, folder) if share else None
    return make_prior(kind, language_model, training, shipped)


@lru_cache(maxsize=1)
def _load(source: PriorSource) -> Prior:
    prior = load_prior(source.kind, source.lm, source.data, source.device)
    if prior.digest() != source.digest:
        raise InputError(
            f"{source.lm} contains a different model here than where the run was planned"
        )
    return prior
