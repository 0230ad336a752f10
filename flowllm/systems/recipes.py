"""Systems by name: which prior, which refiner, and what both are trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flowllm.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """The parts of a system.

    Attributes:
        about: what it is, in a line.
        prior: a kind of prior, see `flowllm.systems.registry`.
        refiner: a kind of refiner; None leaves the prior's crystals as they are.
        trained_on: what the refiner learns from: "pairs" of prior samples and crystals, which are
            sampled before, or "crystals" alone.
        start: the time in [0, 1) at which the prior's crystals enter the refiner.
        training: step of training -> "module:Class" of its settings, where the defaults of its kind
            do not suit this system.

    Raises:
        InputError: a start outside [0, 1), or one without a refiner.
    """

    about: str
    prior: str
    refiner: str | None
    trained_on: Literal["pairs", "crystals"] = "pairs"
    start: float = 0.0
    training: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and 0 <= self.start < 1):
            raise InputError(f"start must be in [0, 1), not {self.start}")
        if self.start and self.refiner is None:
            raise InputError("a system without a refiner has no start")

    @property
    def steps(self) -> tuple[str, ...]:
        """The training steps in order: prior, pairs, refiner."""
        if self.refiner is None:
            return ("prior",)
        return ("prior", "pairs", "refiner") if self.trained_on == "pairs" else ("prior", "refiner")


SIMPLE_BASE = {
    "pairs": "flowllm.workflows.train.settings:SimpleBasePairSettings",
    "refiner": "flowllm.methods.flow.settings:SimpleBaseFlowSettings",
}
SYSTEMS: dict[str, Recipe] = {
    "flowllm": Recipe(
        "FlowLLM: a language model's crystals, refined by a flow", "language-model", "flow"
    ),
    "crystalllm": Recipe(
        "CrystalLLM: a language model's crystals", "language-model", None, "crystals"
    ),
    "flowllm-types": Recipe(
        "FlowLLM's ablation: a language model's species in a simple base",
        "types",
        "flow",
        training=SIMPLE_BASE,
    ),
    "flowllm-substitution": Recipe(
        "a language model's species on the positions of the nearest training crystal",
        "substitution",
        "flow",
    ),
    "flowllm-compositions": Recipe(
        "species of a random training crystal in a simple base",
        "compositions",
        "flow",
        training=SIMPLE_BASE,
    ),
    "templates": Recipe(
        "nearest training crystals with their elements exchanged", "templates", None, "crystals"
    ),
    "flowllm-symmetric": Recipe(
        "symmetric crystals of a language model and of templates, ranked together, refined by a "
        "flow that keeps their symmetry",
        "templates+language-model",
        "equivariant",
        "crystals",
    ),
    "flowmm": Recipe(
        "FlowMM: a flow from random positions, cells and species to crystals",
        "flowmm-base",
        "flowmm",
        "crystals",
    ),
    "diffcsp": Recipe(
        "DiffCSP: a diffusion from random cells, positions and species to crystals",
        "diffcsp-base",
        "diffcsp",
        "crystals",
    ),
    "crysllmgen": Recipe(
        "CrysLLMGen: a language model's crystals, which enter DiffCSP's diffusion halfway",
        "language-model",
        "diffcsp",
        "crystals",
        start=0.5,
    ),
    "crysllmgen-symmetric": Recipe(
        "CrysLLMGen with a language model of symmetric texts",
        "language-model",
        "diffcsp",
        "crystals",
        start=0.5,
        training={"prior": "flowllm.workflows.train.settings:SymmetricTextSettings"},
    ),
    "cdvae": Recipe(
        "CDVAE: crystals decoded from latent vectors, their atoms moved by Langevin dynamics",
        "cdvae",
        "cdvae",
        "crystals",
    ),
}
"""Name -> recipe; other packages add theirs."""


def recipe(name: str) -> Recipe:
    """A system's recipe by its name.

    Raises:
        InputError: there is none.
    """
    if name not in SYSTEMS:
        raise InputError(f"unknown system {name!r}; choose from {', '.join(SYSTEMS)}")
    return SYSTEMS[name]


def help_text() -> str:
    """The available systems, for the command line."""
    return "; ".join(f"{name}: {one.about}" for name, one in SYSTEMS.items()) + "."


def name_of(prior: str, refiner: str | None) -> str:
    """The name of the first recipe with these kinds; "" if there is none."""
    made_of = (prior, refiner)
    return next((n for n, r in SYSTEMS.items() if (r.prior, r.refiner) == made_of), "")
