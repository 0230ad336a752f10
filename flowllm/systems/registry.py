"""Priors and refiners by kind, with classes imported on use.

Other packages add kinds by `register_prior` and `register_refiner`, or without being imported by
the entry points "flowllm.priors" and "flowllm.refiners" (name = kind, value = "module:Class").
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from flowllm.errors import InputError
from flowllm.systems.recipes import Recipe
from flowllm.systems.training import Training


@dataclass(frozen=True)
class Kind:
    """A kind of part.

    Attributes:
        about: what it is, in a line.
        part: "module:Class" of the part, or the class itself.
        settings: "module:Class" of its settings, in a module that imports nothing heavy: the
            command line makes its options of them first. None takes the part's own.
        training: "module:function" that trains the part, see `flowllm.systems.training`, or the
            function itself; None for a kind that `flowllm train` cannot train.
        training_settings: "module:Class" of the settings of that training, or the class itself.
    """

    about: str
    part: str | type
    settings: str | type | None = None
    training: str | Training | None = None
    training_settings: str | type | None = None


LM_SETTINGS = "flowllm.methods.language_model.settings:SamplingSettings"
PAIR_SETTINGS = "flowllm.workflows.train.settings:PairSettings"
LM_TRAINING = "flowllm.workflows.train.settings:LanguageModelSettings"
SPECIES_TRAINING = "flowllm.workflows.train.settings:SpeciesSettings"
BASE = "flowllm.methods.base.prior:BasePrior"
BASE_TRAINING = "flowllm.workflows.train.base:train_base"
OPEN = "flowllm.methods.base.open_species:OpenPrior"
OPEN_SETTINGS = "flowllm.methods.base.open_settings:OpenSettings"
OPEN_TRAINING = "flowllm.workflows.train.base:fit_open"
PRIORS: dict[str, Kind] = {
    "language-model": Kind(
        "species and positions written by the language model",
        "flowllm.methods.language_model.prior:LanguageModelPrior",
        LM_SETTINGS,
        "flowllm.workflows.train.language_model:train_prior",
        LM_TRAINING,
    ),
    "types": Kind(
        "species written by the language model, positions from FlowMM's simple base",
        BASE,
        LM_SETTINGS,
        BASE_TRAINING,
        SPECIES_TRAINING,
    ),
    "substitution": Kind(
        "species written by the language model, positions of the nearest training crystal",
        BASE,
        LM_SETTINGS,
        BASE_TRAINING,
        SPECIES_TRAINING,
    ),
    "compositions": Kind(
        "species of a random training crystal, positions from FlowMM's simple base",
        BASE,
        LM_SETTINGS,
        BASE_TRAINING,
    ),
    "flowmm-base": Kind(
        "species left open, positions from FlowMM's simple base",
        OPEN,
        OPEN_SETTINGS,
        OPEN_TRAINING,
    ),
    "diffcsp-base": Kind(
        "species left open, positions and cells as at the end of DiffCSP's diffusion",
        OPEN,
        OPEN_SETTINGS,
        OPEN_TRAINING,
    ),
    "cdvae": Kind(
        "numbers of atoms, cells and species decoded from latent vectors, positions at random",
        "flowllm.methods.cdvae.prior:CDVAEPrior",
        "flowllm.methods.cdvae.settings:CDVAEPriorSettings",
        "flowllm.workflows.train.cdvae:train_prior",
        "flowllm.methods.cdvae.settings:CDVAETrainSettings",
    ),
    "templates": Kind(
        "nearest training crystals with their elements exchanged, without a network",
        "flowllm.methods.templates.prior:TemplatePrior",
        "flowllm.methods.templates.settings:TemplateSettings",
        "flowllm.workflows.train.templates:train_templates",
    ),
    "templates+language-model": Kind(
        "structures of templates and of a language model of symmetric texts, ranked together",
        "flowllm.methods.templates.ranked:RankedPrior",
        "flowllm.methods.templates.settings:RankedSettings",
        "flowllm.workflows.train.templates:train_ranked",
        "flowllm.workflows.train.settings:SymmetricTextSettings",
    ),
}
"""Kind -> prior, in the order of the ablation's table."""
REFINERS: dict[str, Kind] = {
    "flow": Kind(
        "Riemannian flow matching",
        "flowllm.methods.flow.refiner:FlowRefiner",
        "flowllm.methods.flow.settings:RefineSettings",
        "flowllm.workflows.train.flow:train_refiner",
        "flowllm.methods.flow.settings:FlowTrainSettings",
    ),
    "equivariant": Kind(
        "a flow that keeps the symmetry of a crystal",
        "flowllm.methods.equivariant.refiner:EquivariantRefiner",
        "flowllm.methods.equivariant.settings:EquivariantSettings",
        "flowllm.workflows.train.equivariant:train_refiner",
        "flowllm.methods.equivariant.settings:EquivariantTrainSettings",
    ),
    "flowmm": Kind(
        "FlowMM: Riemannian flow matching from a simple base, species drawn or given",
        "flowllm.methods.flowmm.refiner:FlowMMRefiner",
        "flowllm.methods.flowmm.settings:FlowMMSettings",
        "flowllm.workflows.train.flowmm:train_refiner",
        "flowllm.methods.flowmm.settings:FlowMMTrainSettings",
    ),
    "diffcsp": Kind(
        "DiffCSP: diffusion of lattice, coordinates and species, the last drawn or given",
        "flowllm.methods.diffcsp.refiner:DiffCSPRefiner",
        "flowllm.methods.diffcsp.settings:DiffCSPSettings",
        "flowllm.workflows.train.diffcsp:train_refiner",
        "flowllm.methods.diffcsp.settings:DiffCSPTrainSettings",
    ),
    "cdvae": Kind(
        "Langevin dynamics of atoms, conditioned on a latent vector",
        "flowllm.methods.cdvae.refiner:CDVAERefiner",
        "flowllm.methods.cdvae.settings:CDVAESettings",
        "flowllm.workflows.train.cdvae:take_refiner",
    ),
}
"""Kind -> refiner."""


def register_prior(
    kind: str,
    part: str | type,
    about: str = "",
    settings: str | type | None = None,
    training: str | Training | None = None,
    training_settings: str | type | None = None,
) -> None:
    """Register a prior under the name of its kind.

    Args:
        kind: the name, as in "language-model".
        part: the class, or "module:Class".
        about: what it is, in a line.
        settings: see `Kind`, and so for the others.
        training: what trains it.
        training_settings: of that training.

    Raises:
        InputError: another class has the name.
    """
    _register(PRIORS, kind, Kind(about, part, settings, training, training_settings))


def register_refiner(
    kind: str,
    part: str | type,
    about: str = "",
    settings: str | type | None = None,
    training: str | Training | None = None,
    training_settings: str | type | None = None,
) -> None:
    """Register a refiner under the name of its kind, as `register_prior`."""
    _register(REFINERS, kind, Kind(about, part, settings, training, training_settings))


def prior_kind(kind: str) -> Kind:
    """A kind of prior.

    Raises:
        InputError: there is none of this name.
    """
    return _find(PRIORS, "flowllm.priors", "prior", kind)


def refiner_kind(kind: str) -> Kind:
    """A kind of refiner.

    Raises:
        InputError: there is none of this name.
    """
    return _find(REFINERS, "flowllm.refiners", "refiner", kind)


def load_class(place: str | type | Training) -> Any:
    """A class or function, imported by "module:name".

    Raises:
        InputError: the module, or the name in it, is not there.
    """
    if not isinstance(place, str):
        return place
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{place} cannot be imported: {error}") from error


def part_class(kind: Kind) -> Any:
    """The class of a part."""
    return load_class(kind.part)


def settings_class(kind: Kind) -> Any:
    """The class of a part's settings."""
    return load_class(kind.settings) if kind.settings else load_class(kind.part).Settings


def training_settings(system: Recipe, step: str) -> Any:
    """The settings class of a training step of a system; None if it has none.

    Args:
        system: its recipe.
        step: "prior", "pairs" or "refiner".

    Raises:
        InputError: a kind of the system is not registered.
    """
    if step not in system.steps:
        return None
    place: str | type | None = system.training.get(step)
    if place is None and step == "prior":
        place = prior_kind(system.prior).training_settings
    elif place is None and step == "pairs":
        place = PAIR_SETTINGS
    elif place is None and system.refiner is not None:
        place = refiner_kind(system.refiner).training_settings
    return None if place is None else load_class(place)


def _register(known: dict[str, Kind], name: str, kind: Kind) -> None:
    before = known.get(name)
    if before is not None and before.part != kind.part:
        raise InputError(f"the kind {name!r} is already registered")
    known[name] = kind


def _find(known: dict[str, Kind], group: str, role: str, name: str) -> Kind:
    if name not in known:
        for kind, part in _from_elsewhere(group):
            known.setdefault(kind, Kind(f"of {part.partition('.')[0]}", part))
    if name not in known:
        raise InputError(f"unknown {role} {name!r}; choose from {', '.join(known)}")
    return known[name]


@lru_cache
def _from_elsewhere(group: str) -> tuple[tuple[str, str], ...]:
    """(kind, "module:Class") of the parts declared by installed packages."""
    return tuple((point.name, point.value) for point in entry_points(group=group))
