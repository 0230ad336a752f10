"""What a person asks for, turned into one prompt for each crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowllm.crystal import MAX_ATOMS
from flowllm.errors import InputError
from flowllm.text.composition_rule import CompositionRule
from flowllm.text.formula import multiples_of, read_elements, read_formula
from flowllm.text.prompts import OPENING, REQUEST, Conditions, build_prompt


@dataclass(frozen=True)
class Request:
    """What crystals are wanted; empty, any.

    Where the number of atoms is left open and no formula fixes it, it is drawn from how often the
    training data have it: left to itself at a low temperature, a language model prefers the
    likeliest and so the smallest cells.

    Attributes:
        formula: reduced formula; any number of formula units that fit.
        elements: exactly these elements.
        num_atoms: atoms in the primitive cell.
        prompts: whole prompts, used in turn; then nothing else may be asked.

    Raises:
        InputError: unknown elements, or wishes that contradict each other.
    """

    formula: str | None = None
    elements: tuple[str, ...] | None = None
    num_atoms: int | None = None
    prompts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.prompts and (self.formula or self.elements or self.num_atoms is not None):
            raise InputError(
                "prompts say all that is asked; leave out formula, elements and num_atoms"
            )
        if self.elements is not None:
            object.__setattr__(self, "elements", read_elements(",".join(self.elements)))
        Conditions(elements=self.elements, num_atoms=self.num_atoms)
        if self.formula is not None:
            object.__setattr__(self, "formula", reduced_formula(self.formula))
        compositions = None if self.formula is None else multiples_of(self.formula)
        try:
            CompositionRule(compositions, self.elements, self.num_atoms)
        except InputError as error:
            asked = {
                "formula": self.formula,
                "elements": self.elements and ",".join(self.elements),
                "num_atoms": self.num_atoms,
            }
            named = ", ".join(f"{k} {v}" for k, v in asked.items() if v is not None)
            raise InputError(f"{named}: {error}") from None

    def prompt(self, index: int, seed: int, histogram: Sequence[float]) -> str:
        """The prompt of crystal `index`.

        Args:
            index: its position in the run.
            seed: of the run.
            histogram: weights of 1, 2, … atoms per cell in the training data.
        """
        if self.prompts:
            return self.prompts[index % len(self.prompts)]
        weights = np.zeros(MAX_ATOMS)
        weights[: len(histogram)] = histogram[:MAX_ATOMS]
        if self.formula is not None:
            return self._prompt_of_formula(index, seed, weights)
        count = self.num_atoms
        if count is None:
            fewest = len(self.elements or ("any",))
            weights[: fewest - 1] = 0.0
            if weights.sum() == 0:
                raise InputError(f"the training data have no cell of {fewest} atoms or more")
            count = _drawn(weights, index, seed) + 1
        return build_prompt(Conditions(elements=self.elements, num_atoms=count))

    def _prompt_of_formula(self, index: int, seed: int, weights: np.ndarray) -> str:
        """A prompt with the whole cell, which the model follows better than a bare formula.

        How many formula units it holds is drawn by how often the data have cells of that size.
        """
        assert self.formula is not None
        rule = CompositionRule(multiples_of(self.formula), self.elements, self.num_atoms)
        cells = rule.compositions or ()
        shares = np.array([weights[sum(cell.values()) - 1] for cell in cells])
        if shares.sum() == 0:
            shares = np.ones(len(cells))
        return build_prompt(Conditions(composition=cells[_drawn(shares, index, seed)]))


def _drawn(weights: np.ndarray, index: int, seed: int) -> int:
    """A position drawn with these weights; crystal `index` of a run always draws the same."""
    uniform = np.random.default_rng([seed, index, 2]).random()
    cumulative = np.cumsum(weights)
    return int(np.searchsorted(cumulative / cumulative[-1], uniform, "right"))


def reduced_formula(formula: str) -> str:
    """A formula by pymatgen's convention, as the prompts of the training data have it."""
    from pymatgen.core.composition import Composition

    return str(Composition(read_formula(formula)).reduced_formula)


def read_prompts(path: str | Path) -> tuple[str, ...]:
    """The prompts of a file, one a line; a line of bare condition sentences gets its frame.

    Raises:
        InputError: no such file, or no prompt in it.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    prompts = []
    for line in (line.strip() for line in lines):
        if not line:
            continue
        if line.startswith(OPENING.strip()):
            prompts.append(line + ("\n" if line.endswith(REQUEST.strip()) else " " + REQUEST))
        else:
            prompts.append(OPENING + line + " " + REQUEST)
    if not prompts:
        raise InputError(f"{path} holds no prompt")
    return tuple(prompts)
