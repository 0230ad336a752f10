"""Which conditions are requested together, and their values from real crystals."""

from __future__ import annotations

from dataclasses import dataclass

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.contradictions import check_together
from flowllm.conditions.request import Request
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.evaluation.adherence.settings import names_of
from flowllm.methods.language_model.examples import known_conditions
from flowllm.seeds import Stream, generator

OF_TYPES = ("formula", "composition", "elements", "num_atoms")
"""Conditions on the types alone, which refinement never changes."""


@dataclass(frozen=True)
class Target:
    """The conditions for one crystal: those of a real one, named by its id."""

    source: str
    conditions: Conditions

    @property
    def request(self) -> Request:
        """The request with these conditions."""
        known = self.conditions.known()
        return Request(**{name: getattr(self.conditions, name) for name in known})


def needs_places(kind: str) -> bool:
    """Whether a kind requests more than species, so that refinement matters."""
    return not set(names_of(kind)) <= set(OF_TYPES)


def asked_of(data: CrystalSet, kind: str, num: int, seed: int = 0) -> list[Target]:
    """Conditions of random crystals, each crystal once; at most `num`.

    Crystals of which one of the conditions is unknown are passed over, as are those whose own
    conditions contradict each other: a space group that was found at another tolerance, say.

    Args:
        data: crystals with their properties.
        kind: see `names_of`.
        num: how many are wanted.
        seed: of the choice.

    Raises:
        InputError: no crystal has all of the conditions.
    """
    names = names_of(kind)
    order = generator(Stream.CONDITIONS, seed).permutation(len(data))
    targets: list[Target] = []
    for start in range(0, len(order), max(num, 1)):
        part = order[start : start + num]
        for index, known in zip(part, known_conditions(data[part]), strict=True):
            target = Target(str(data.crystals.ids[index]), known.only(names))
            if len(target.conditions.known()) == len(names) and _is_sound(target, data.max_atoms):
                targets.append(target)
        if len(targets) >= num:
            break
    if not targets:
        raise InputError(f"no crystal of the data has a known {' and '.join(names)}")
    return targets[:num]


def _is_sound(target: Target, max_atoms: int) -> bool:
    try:
        check_together(target.request.conditions, max_atoms)
    except InputError:
        return False
    return True
