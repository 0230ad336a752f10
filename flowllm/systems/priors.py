"""Priors by name: how each kind is made from a language model and training crystals, and kept."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.base.geometry import SimpleBase, Substitution
from flowllm.methods.base.prior import CompositionSource, TypedPrior, WrittenTypes
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.runs.identity import digest

LANGUAGE_MODEL = "language-model"
KINDS = {
    LANGUAGE_MODEL: "types and places written by the language model",
    "types": "types written by the language model, places from FlowMM's simple base",
    "substitution": "types written by the language model, places of the nearest training crystal",
    "compositions": "types of a random training crystal, places from FlowMM's simple base",
}
"""Name -> what it is, in the order of the ablation's table."""
TRAINING = "training.npz"


def make_prior(
    kind: str, language_model: LanguageModelPrior | None, training: CrystalBatch | None
) -> LanguageModelPrior | TypedPrior:
    """A prior of a kind.

    Args:
        kind: a name in `KINDS`.
        language_model: needed by all but "compositions".
        training: crystals; needed by all but "language-model".

    Raises:
        InputError: no such kind, or a part that it needs is missing.
    """
    if kind not in KINDS:
        raise InputError(f"no prior {kind!r}; there are {', '.join(KINDS)}")
    if kind != "compositions" and language_model is None:
        raise InputError(f"the prior {kind!r} needs a language model")
    if kind == LANGUAGE_MODEL:
        assert language_model is not None
        return language_model
    if training is None:
        raise InputError(f"the prior {kind!r} needs training crystals")
    base = SimpleBase.fit(training)
    if kind == "compositions":
        return TypedPrior(CompositionSource(training), base)
    assert language_model is not None
    places = Substitution(training, base) if kind == "substitution" else base
    return TypedPrior(WrittenTypes(language_model), places)


def kind_of(prior: object) -> str:
    """The name of a prior's kind.

    Raises:
        InputError: it is none of those in `KINDS`.
    """
    if isinstance(prior, LanguageModelPrior):
        return LANGUAGE_MODEL
    if isinstance(prior, TypedPrior) and isinstance(prior.geometry, SimpleBase | Substitution):
        if isinstance(prior.types, CompositionSource) and isinstance(prior.geometry, SimpleBase):
            return "compositions"
        if isinstance(prior.types, WrittenTypes):
            return "types" if isinstance(prior.geometry, SimpleBase) else "substitution"
    raise InputError(f"only priors of a known kind can be saved, not a {type(prior).__name__}")


def prior_digest(prior: object) -> str:
    """A short hash of everything that a prior's crystals depend on."""
    kind = kind_of(prior)
    if isinstance(prior, LanguageModelPrior):
        return prior.digest()
    assert isinstance(prior, TypedPrior)
    parts = [kind]
    if isinstance(prior.types, WrittenTypes):
        parts.append(prior.types.prior.digest())
    training = _training(prior)
    if training is not None:
        parts += [str(training.atomic_numbers.tolist()), str(training.frac_coords.sum())]
    base = prior.geometry.otherwise if isinstance(prior.geometry, Substitution) else prior.geometry
    return digest(*parts, str(base))


def save_prior(prior: object, folder: Path, half: bool) -> dict[str, Any]:
    """Write a prior's parts into a system's folder; what its JSON must hold comes back.

    Raises:
        InputError: it is of no known kind.
    """
    kind = kind_of(prior)
    if isinstance(prior, LanguageModelPrior):
        prior.save_pretrained(folder / "lm", half)
        return {}
    assert isinstance(prior, TypedPrior)
    if isinstance(prior.types, WrittenTypes):
        prior.types.prior.save_pretrained(folder / "lm", half)
    training = _training(prior)
    if training is not None:
        training.save(folder / TRAINING)
    base = prior.geometry.otherwise if isinstance(prior.geometry, Substitution) else prior.geometry
    assert isinstance(base, SimpleBase)
    return {"prior": kind, "base": asdict(base)}


def load_prior(
    folder: Path, system: dict[str, Any], device: str
) -> LanguageModelPrior | TypedPrior:
    """Read what `save_prior` wrote; `system` is the JSON with what it returned.

    Raises:
        InputError: a part is missing or damaged.
    """
    kind = str(system.get("prior", LANGUAGE_MODEL))
    if kind not in KINDS:
        raise InputError(f"{folder}: no prior {kind!r}; there are {', '.join(KINDS)}")
    if kind == LANGUAGE_MODEL:
        return LanguageModelPrior.from_pretrained(folder / "lm", device)
    try:
        mean, std = ([float(x) for x in system["base"][n]] for n in ("log_mean", "log_std"))
        base = SimpleBase((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{folder}: the base of the prior {kind!r} is damaged") from error
    if kind == "compositions":
        return TypedPrior(CompositionSource(CrystalBatch.load(folder / TRAINING)), base)
    types = WrittenTypes(LanguageModelPrior.from_pretrained(folder / "lm", device))
    if kind == "types":
        return TypedPrior(types, base)
    return TypedPrior(types, Substitution(CrystalBatch.load(folder / TRAINING), base))


def _training(prior: TypedPrior) -> CrystalBatch | None:
    """The training crystals that a prior draws from, if it does."""
    if isinstance(prior.geometry, Substitution):
        return prior.geometry.training
    return prior.types.crystals if isinstance(prior.types, CompositionSource) else None
