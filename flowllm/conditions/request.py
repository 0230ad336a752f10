"""A user's request, turned into one prompt per crystal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import KINDS, Conditions
from flowllm.conditions.formula import (
    multiples_of,
    read_composition,
    read_elements,
    reduced_formula,
    too_large,
    whole_composition,
)
from flowllm.errors import InputError
from flowllm.seeds import Stream, generator
from flowllm.settings import setting
from flowllm.symmetry.filling import cell_sizes, has_sites

if TYPE_CHECKING:
    from flowllm.conditions.ranges import TrainingRanges


@dataclass(frozen=True, kw_only=True)
class Request(Conditions):
    """A request for crystals by any subset of the conditions; empty for unconditional.

    Where the number of atoms is left open and nothing fixes it, it is drawn from how often the
    training data have it, with the space group if one is asked: left to itself at a low
    temperature, a language model prefers the likeliest and so the smallest cells. A formula becomes
    the composition of a whole cell, which the model follows better than a bare formula.

    The conditions are those of `Conditions`; a composition may be any mapping.

    Attributes:
        prompts: whole prompts, used in turn; then nothing else may be asked.

    Raises:
        InputError: unknown elements, or a value out of its range. Whether the conditions can be met
            together is for the system that is asked (`flowllm.conditions.contradictions`).
    """

    prompts: tuple[str, ...] = setting((), option=False)

    def __post_init__(self) -> None:
        asked = self.known()
        if self.prompts and asked:
            raise InputError(f"prompts already state every condition; leave out {', '.join(asked)}")
        if self.elements is not None:
            object.__setattr__(self, "elements", read_elements(",".join(self.elements)))
        if self.composition is not None:
            cell = self.composition
            read = read_composition(cell) if isinstance(cell, str) else whole_composition(cell)
            object.__setattr__(self, "composition", read)
        if self.formula is not None:
            object.__setattr__(self, "formula", reduced_formula(self.formula))
        super().__post_init__()

    @classmethod
    def read(
        cls,
        *,
        composition: str | Mapping[str, int] | None = None,
        elements: str | Sequence[str] | None = None,
        prompts: Sequence[str] = (),
        **conditions: Any,
    ) -> Request:
        """A request as people write it: "Sr1 Ti1 O3" for a composition, "Li,Fe,O" for elements.

        Raises:
            InputError: as of the class.

        Warns:
            RemarkWarning: something is read as something else, as D as H.
        """
        unknown = [name for name in conditions if name not in KINDS]
        if unknown:
            raise TypeError(f"unknown condition {unknown[0]!r}; choose from {', '.join(KINDS)}")
        cell = read_composition(composition) if isinstance(composition, str) else composition
        listed = read_elements(elements) if isinstance(elements, str) else elements
        return cls(
            composition=None if cell is None else dict(cell),
            elements=None if listed is None else tuple(listed),
            prompts=tuple(prompts),
            **conditions,
        )

    @property
    def conditions(self) -> Conditions:
        """All conditions, without whole prompts."""
        return self.only(tuple(KINDS))

    def of_crystal(
        self,
        index: int,
        seed: int,
        histogram: Sequence[float],
        training: TrainingRanges | None = None,
    ) -> Conditions:
        """The conditions of crystal `index`; whole prompts are read elsewhere.

        Args:
            index: its position in the run.
            seed: of the run.
            histogram: weights of 1, 2, … atoms per cell in the training data, up to the largest
                cell of the system.
            training: tells which sizes of cells go with a space group, where known.
        """
        weights, known = self._weights(histogram, training), self.conditions
        if self.composition is None and self.formula is None:
            count = self.num_atoms
            if count is None:
                count = _drawn(weights, index, seed) + 1
            return replace(known, num_atoms=count)
        cells = self._cells(len(histogram))
        if len(cells) > 1:
            shares = np.array([weights[sum(cell.values()) - 1] for cell in cells])
            if shares.sum() == 0:
                shares = np.ones(len(cells))
            cells = (cells[_drawn(shares, index, seed)],)
        cell = cells[0]
        # the cell says it all; its formula, elements and size would only lengthen the prompt
        return replace(known, composition=cell, formula=None, elements=None, num_atoms=None)

    def _weights(self, histogram: Sequence[float], training: TrainingRanges | None) -> np.ndarray:
        """(max_atoms,) weights of 1, 2, … atoms in the cell, 0 where the conditions exclude it."""
        weights, most = np.array(histogram, dtype=float), len(histogram)
        fewest = 1
        if self.composition is None and self.formula is None:
            fewest = len(self.elements or ("any",))
            weights[: fewest - 1] = 0.0
            if self.num_atoms is None and weights.sum() == 0:
                raise InputError(f"the training data have no cell of {fewest} atoms or more")
        if self.space_group is None:
            return weights
        possible = np.zeros(most)
        possible[np.array(cell_sizes(self.space_group, most, fewest), dtype=int) - 1] = 1.0
        seen = np.zeros(most)
        if training is not None:
            seen = training.sizes_of(self.space_group, most)
        tried = (possible * seen, possible * weights, possible)
        for found in tried:
            if found.sum() > 0:
                return found
        raise InputError(too_large(f"space group {self.space_group} has no smaller cells", most))

    def _cells(self, max_atoms: int) -> tuple[dict[str, int], ...]:
        """The compositions that a formula, or the composition itself, leaves.

        With a space group those that can have exactly it, if there are any: those of other
        multiples of a formula would all have a higher symmetry.
        """
        if self.composition is not None:
            return (dict(self.composition),)
        assert self.formula is not None
        cells = multiples_of(self.formula, max_atoms)
        rule = CompositionRule(max_atoms, cells, self.elements, self.num_atoms)
        cells = rule.compositions or ()
        if self.space_group is None:
            return cells
        from flowllm.symmetry.arrangements import can_have  # it needs spglib, the rest does not

        group = self.space_group
        fitting = tuple(cell for cell in cells if has_sites(group, cell.values()))
        exact = tuple(cell for cell in fitting if can_have(group, tuple(sorted(cell.values()))))
        return exact or fitting


def _drawn(weights: np.ndarray, index: int, seed: int) -> int:
    """A position drawn with these weights; crystal `index` of a run always draws the same."""
    uniform = generator(Stream.CELL, seed, index).random()
    cumulative = np.cumsum(weights)
    return int(np.searchsorted(cumulative / cumulative[-1], uniform, "right"))
