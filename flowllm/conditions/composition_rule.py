"""The compositions that a text may have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from flowllm.conditions.formula import too_large
from flowllm.crystals.elements import RANK_OF
from flowllm.errors import InputError


@dataclass(frozen=True)
class CompositionRule:
    """The compositions that a text may have.

    Attributes:
        max_atoms: the most atoms that a cell may have.
        compositions: the text has exactly one of these {element: atoms}; None leaves it open.
        elements: the text has exactly these elements; None leaves it open.
        num_atoms: the text has exactly this many atoms; None allows up to `max_atoms`.
        pool: elements to choose from where neither compositions nor elements are given; None allows
            all.
        space_group: one that must have sites for the composition, where it has them for any that
            the rule allows; None allows compositions of any.

    Raises:
        InputError: no composition satisfies the rule.
    """

    max_atoms: int
    compositions: tuple[dict[str, int], ...] | None = None
    elements: tuple[str, ...] | None = None
    num_atoms: int | None = None
    pool: tuple[str, ...] | None = None
    space_group: int | None = None

    def __post_init__(self) -> None:
        if self.elements is not None:
            if not self.elements:
                raise InputError("the list of elements is empty")
            object.__setattr__(self, "elements", tuple(dict.fromkeys(self.elements)))
        if self.pool is not None and not self.pool:
            raise InputError("there is no element to choose from")
        most = self.num_atoms or self.max_atoms
        if most > self.max_atoms:
            raise InputError(too_large(f"number of atoms {most}", self.max_atoms))
        if self.compositions is not None:
            kept = tuple(c for c in self.compositions if self.allows(c))
            if not kept:
                raise InputError("no composition satisfies all the conditions together")
            object.__setattr__(self, "compositions", kept)
        elif self.elements is not None and len(self.elements) > most:
            raise InputError(f"{len(self.elements)} elements do not fit in {most} atoms")

    def allows(self, composition: dict[str, int]) -> bool:
        """Whether a composition has the requested elements and number of atoms."""
        count = sum(composition.values())
        return (
            0 < count <= self.max_atoms
            and self.num_atoms in (None, count)
            and (self.elements is None or set(self.elements) == set(composition))
            and (
                self.pool is None
                or self.elements is not None
                or self.compositions is not None
                or set(composition) <= set(self.pool)
            )
        )

    def any_size(self) -> CompositionRule:
        """The same with up to the requested number of atoms."""
        if self.num_atoms is None or self.compositions is not None:
            return self
        return replace(self, max_atoms=self.num_atoms, num_atoms=None)

    @property
    def sizes(self) -> range:
        """Numbers of atoms that an open composition may have."""
        return range(self.num_atoms or 1, self.largest + 1)

    @property
    def largest(self) -> int:
        """The most atoms that a text under this rule can have."""
        if self.compositions is not None:
            return max(sum(c.values()) for c in self.compositions)
        return self.num_atoms or self.max_atoms

    @cached_property
    def paths(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The compositions as ((rank, atoms), …) in the order of the text."""
        return tuple(
            tuple(sorted((RANK_OF[s], n) for s, n in c.items())) for c in self.compositions or ()
        )

    @cached_property
    def ranks(self) -> tuple[int, ...] | None:
        """The requested elements, in the order of the text."""
        return None if self.elements is None else tuple(sorted(RANK_OF[s] for s in self.elements))

    @cached_property
    def open_ranks(self) -> tuple[int, ...]:
        """The elements allowed where none are requested, in the order of the text."""
        return tuple(sorted(RANK_OF[s] for s in self.pool or RANK_OF))
