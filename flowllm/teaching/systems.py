"""The systems of the literature side by side: loaded on use, given the same request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from flowllm.conditions.conditions import KINDS, Conditions
from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.systems.generation import Generation
from flowllm.systems.recipes import SYSTEMS
from flowllm.systems.record import shipped_models
from flowllm.systems.sampling import check_num
from flowllm.systems.system import FlowLLM
from flowllm.systems.watch import Watch

ORDER = (
    "flowllm", "crystalllm", "flowllm-types", "flowmm", "diffcsp", "crysllmgen", "cdvae",
    "flowllm-symmetric",
)  # fmt: skip
"""Recipes in the order of the papers' table; the workbench's own stands last."""


def shipped_systems() -> tuple[str, ...]:
    """The recipes of `ORDER` for which a model ships with the package."""
    made_by = set(shipped_models().values())
    return tuple(name for name in ORDER if name in made_by)


class Systems(Mapping[str, FlowLLM]):
    """Systems by recipe name; each is loaded on first use and cached.

    Args:
        names: of the systems; default all that ship.
        load: loads a system by its name.

    Raises:
        InputError: no system, or a name for which no model ships.
    """

    def __init__(
        self,
        names: Iterable[str] | None = None,
        load: Callable[[str], FlowLLM] | None = None,
    ) -> None:
        shipped = shipped_systems()
        self.names = shipped if names is None else tuple(dict.fromkeys(names))
        missing = [name for name in self.names if load is None and name not in shipped]
        if missing:
            there = ", ".join(shipped) or "none"
            raise InputError(
                f"no model of {missing[0]!r} ships with the package; choose from {there}"
            )
        if not self.names:
            raise InputError("name at least one system")
        self._load = load or (lambda name: FlowLLM.from_pretrained(name, "cpu"))
        self._loaded: dict[str, FlowLLM] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> FlowLLM:
        if name not in self.names:
            raise KeyError(name)
        with self._lock:  # widgets ask from several threads
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def loaded(self, name: str) -> bool:
        """Whether a system is loaded already."""
        return name in self._loaded

    @staticmethod
    def about(name: str) -> str:
        """A one-line description of a system."""
        return SYSTEMS[name].about if name in SYSTEMS else name


def reads_prompts(system: Any) -> bool:
    """Whether a system takes a whole prompt; others take conditions alone.

    A language model reads a prompt, and templates find the formula in it. A base distribution and a
    latent vector know nothing of formulas.
    """
    prior = getattr(system, "prior", None)
    return prior is None or "formula" in prior.exact | prior.heeded


def heeded_names(system: Any) -> tuple[str, ...]:
    """The conditions that a system supports, in the order of a prompt's sentences.

    A formula can be asked of every system that takes a composition: the cell is drawn by the rules
    of `Request`.
    """
    prior = getattr(system, "prior", None)
    if prior is None:
        return tuple(KINDS)
    known = prior.exact | prior.heeded
    if "composition" in known:
        known |= {"formula"}
    return tuple(name for name in KINDS if name in known)


def heeded(system: Any, asked: Conditions) -> tuple[Conditions, tuple[str, ...]]:
    """The conditions that a system supports, and the names of the rest.

    Of a composition that it cannot keep to, a system is asked for the number of atoms.
    """
    names = heeded_names(system)
    kept = asked.only(names)
    left_out = tuple(name for name in asked.known() if name not in names)
    cell = asked.composition
    if cell is not None and "composition" in left_out and "num_atoms" in names:
        kept = replace(kept, num_atoms=sum(cell.values()))
    return kept, left_out


def refinement(system: Any, **wanted: Any) -> Any:
    """Settings of a system's refiner, with the requested values that it supports.

    Args:
        system: whose refiner; None is returned where it has none.
        **wanted: as in `steps=50` or `record=True`.
    """
    if system.refiner is None:
        return None
    usual = system.refiner.Settings()
    known = {field.name for field in fields(usual)}
    return replace(usual, **{name: value for name, value in wanted.items() if name in known})


@dataclass(frozen=True)
class Answer:
    """The answer of one system to a request.

    Attributes:
        name: of the system.
        generation: its crystals, and their ways.
        left_out: names of the conditions that it cannot heed.
    """

    name: str
    generation: Generation
    left_out: tuple[str, ...]

    @property
    def crystals(self) -> CrystalBatch:
        """The refined crystals."""
        return self.generation.refined

    @property
    def seconds(self) -> float:
        """The total time of all stages."""
        return sum(stage.seconds for stage in self.generation.stages)


def answer(
    name: str,
    system: FlowLLM,
    asked: Conditions,
    num: int = 1,
    seed: int = 0,
    watch: Watch | None = None,
    **refining: Any,
) -> Answer:
    """The answer of one system, to the conditions that it supports.

    Args:
        name: of the system.
        system: that is asked.
        asked: the request.
        num: crystals.
        seed: of the run.
        watch: receives events, and is asked whether to stop.
        **refining: settings of the refiner, see `refinement`.

    Raises:
        InputError: the system cannot meet what is asked.
        Stopped: of the watch.
    """
    part, left_out = heeded(system, asked)
    request = Request.read(**{kind: getattr(part, kind) for kind in part.known()})
    check_num(num, seed)
    system.check(request, seed, stacklevel=2)
    how = refinement(system, **refining)
    made = system.generate_range(range(num), request, seed, refinement=how, watch=watch)
    return Answer(name, made, left_out)


def ask(
    systems: Mapping[str, FlowLLM],
    asked: Conditions,
    num: int = 1,
    seed: int = 0,
    **refining: Any,
) -> Iterator[Answer]:
    """One request to several systems, one after the other; see `answer`.

    Yields:
        The answers as they come.

    Raises:
        InputError: a system cannot meet what is asked.
    """
    for name in systems:
        yield answer(name, systems[name], asked, num, seed, **refining)
