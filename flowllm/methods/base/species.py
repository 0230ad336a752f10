"""Which species a cell holds: written by a language model, or those of a training crystal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.seeds import Stream, generator
from flowllm.systems.parts import PartRecord
from flowllm.systems.watch import Watch

Composition = dict[str, int]
"""{element: atoms in the cell}."""


class SpeciesSource(Protocol):
    """Gives a cell composition for each set of conditions; None if none could be found."""

    @property
    def exact(self) -> frozenset[str]:
        """Names of the conditions that every composition satisfies."""
        ...

    @property
    def heeded(self) -> frozenset[str]:
        """Names of the conditions that it takes into account without a guarantee."""
        ...

    def check(self, asked: Conditions) -> None:
        """Check that there is a composition for these conditions.

        Raises:
            InputError: there is none.
        """
        ...

    def compositions(
        self, asked: Sequence[Conditions], settings: Any, seeds: Sequence[int], watch: Watch
    ) -> list[Composition | None]:
        """P compositions for P conditions and seeds."""
        ...

    def digest(self) -> str:
        """A short hash of everything that the compositions depend on."""
        ...


class WrittenSpecies:
    """The compositions that a language model writes into its prompts.

    With the same conditions, settings and seeds they are those of the crystals that the model would
    write: so the geometry can be compared for the same species.

    Args:
        prior: the language model.
        shipped: where it lies, if it is that of a model which ships with the package and is to be
            named in files, not copied.
    """

    def __init__(self, prior: LanguageModelPrior, shipped: PartRecord | None = None) -> None:
        self.prior, self.shipped = prior, shipped

    @property
    def exact(self) -> frozenset[str]:
        """Those of the language model."""
        return self.prior.exact

    @property
    def heeded(self) -> frozenset[str]:
        """Those of the language model."""
        return self.prior.heeded

    def limited_to(self, elements: Iterable[str]) -> WrittenSpecies:
        """The same from a language model that is limited to some elements."""
        return WrittenSpecies(self.prior.limited_to(elements), self.shipped)

    def check(self, asked: Conditions) -> None:
        """As the language model does."""
        self.prior.check(asked)

    def compositions(
        self, asked: Sequence[Conditions], settings: Any, seeds: Sequence[int], watch: Watch
    ) -> list[Composition | None]:
        """One for each conditions, its own where they state one."""
        return self.prior.compositions(asked, settings, seeds, watch)

    def digest(self) -> str:
        """That of the language model."""
        return self.prior.digest()


class TrainingSpecies:
    """The compositions of training crystals, drawn with replacement.

    Args:
        crystals: the training crystals.

    Raises:
        InputError: there is none.
    """

    exact = frozenset({"composition", "num_atoms"})
    heeded: frozenset[str] = frozenset()

    def __init__(self, crystals: CrystalBatch) -> None:
        if not len(crystals):
            raise InputError("there is no crystal to draw a composition from")
        self.crystals = crystals
        self._known = crystals.compositions
        self._counts = crystals.num_atoms

    def check(self, asked: Conditions) -> None:
        """Refuse a number of atoms that no training crystal has.

        Raises:
            InputError: as said.
        """
        self._rows(asked)

    def compositions(
        self, asked: Sequence[Conditions], settings: Any, seeds: Sequence[int], watch: Watch
    ) -> list[Composition | None]:
        """One for each conditions: its own where they state one, else drawn, of their size.

        Raises:
            InputError: no training crystal has the number of atoms asked for.
        """
        result: list[Composition | None] = []
        for conditions, seed in zip(asked, seeds, strict=True):
            watch.step()
            rows = self._rows(conditions)
            if conditions.composition is not None:
                result.append(conditions.composition)
                continue
            draw = generator(Stream.KNOWN_COMPOSITION, seed).integers(len(rows))
            result.append(self._known[rows[draw]])
        return result

    def digest(self) -> str:
        """Of the training crystals."""
        return self.crystals.digest()

    def _rows(self, asked: Conditions) -> np.ndarray:
        """Positions of the training crystals that may be drawn from."""
        rows = np.arange(len(self._known))
        if asked.num_atoms is not None and asked.composition is None:
            rows = rows[self._counts == asked.num_atoms]
            if not len(rows):
                raise InputError(f"no training crystal has {asked.num_atoms} atoms")
        return rows
