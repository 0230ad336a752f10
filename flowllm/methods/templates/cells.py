"""Cell compositions that meet the conditions, and their templates."""

from __future__ import annotations

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.formula import multiples_of
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.errors import InputError
from flowllm.methods.templates.ranking import Candidate, TemplateRanking

Composition = dict[int, int]
"""{atomic number: atoms in the cell}."""


def cells_of(asked: Conditions, max_atoms: int) -> list[Composition] | None:
    """The cell compositions that meet the conditions; None if they leave it open.

    Raises:
        InputError: composition, formula and number of atoms contradict each other.
    """
    if asked.composition is not None:
        cells = [asked.composition]
    elif asked.formula is not None:
        cells = list(multiples_of(asked.formula, max_atoms))
    else:
        return None
    if asked.formula is not None:
        allowed = multiples_of(asked.formula, max(max_atoms, *(sum(c.values()) for c in cells)))
        cells = [cell for cell in cells if cell in allowed]
    if asked.num_atoms is not None:
        cells = [cell for cell in cells if sum(cell.values()) == asked.num_atoms]
    if not cells:
        raise InputError("no composition satisfies all the conditions together")
    return [{NUMBER_OF[s]: n for s, n in cell.items()} for cell in cells]


def ranked_for(
    ranking: TemplateRanking,
    cell: Composition,
    space_group: int | None,
    most: int,
    same_formula: bool,
) -> list[Candidate]:
    """Candidates of a composition, restricted to the space group if there are any."""
    if space_group is not None:
        held = ranking.candidates(cell, most, same_formula=same_formula, space_group=space_group)
        if held:
            return held
    return ranking.candidates(cell, most, same_formula=same_formula)


def written(known: str | Composition) -> str:
    """A formula, or a composition as in "Sr1 Ti1 O3"."""
    if isinstance(known, str):
        return known
    return " ".join(f"{SYMBOLS[z]}{n}" for z, n in known.items())
