"""A proposed structure for a composition."""

from __future__ import annotations

from dataclasses import dataclass

from flowllm.crystals.elements import SYMBOLS
from flowllm.symmetry.crystal import SymmetricCrystal


@dataclass(frozen=True)
class Proposal:
    """A structure for a composition.

    Attributes:
        crystal: in any description.
        structure: space group and orbits in canonical description.
        log_share: logarithm of its share of the templates' votes.
        written: whether the language model wrote it.
    """

    crystal: SymmetricCrystal
    structure: str
    log_share: float
    written: bool


def composition_of(crystal: SymmetricCrystal) -> dict[str, int]:
    """{element: atoms in the primitive cell}."""
    found: dict[str, int] = {}
    for z, position in zip(crystal.elements.tolist(), crystal.positions, strict=True):
        found[SYMBOLS[z]] = found.get(SYMBOLS[z], 0) + position.atoms
    return found
