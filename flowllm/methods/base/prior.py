"""Priors in two parts: where the types come from, and where their atoms are put."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.base.geometry import Geometry
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.seeds import Stream, generator
from flowllm.text.prompts import parse_prompt


class Types(Protocol):
    """Gives a cell composition for each prompt; None where none could be found."""

    def compositions(
        self, prompts: Sequence[str], settings: SamplingSettings, seeds: Sequence[int]
    ) -> list[dict[str, int] | None]:
        """P compositions {element: atoms in the cell}."""
        ...


class TypedPrior:
    """A prior that draws types from one source and places the atoms by another.

    With `WrittenTypes` and `SimpleBase` it is FlowLLM-Types of the paper's ablation (section 4).

    Args:
        types: of what the atoms are.
        geometry: where they are.
    """

    def __init__(self, types: Types, geometry: Geometry) -> None:
        self.types, self.geometry = types, geometry

    def sample(
        self,
        prompts: Sequence[str],
        settings: SamplingSettings,
        seeds: Sequence[int],
        progress: Callable[[int], None] | None = None,
    ) -> CrystalBatch:
        """At most one crystal for each prompt; an id is the position of its prompt."""
        crystals = []
        found = self.types.compositions(prompts, settings, seeds)
        for index, (composition, seed) in enumerate(zip(found, seeds, strict=True)):
            if composition is not None:
                crystals.append(self.geometry.place(composition, seed).replace(ids=[str(index)]))
            if progress is not None:
                progress(1)
        return CrystalBatch.concatenate(crystals)


class WrittenTypes:
    """The compositions that a language model writes into the prompts, as it does for itself.

    With the same prompts, settings and seeds they are those of the crystals that the model would
    write: so the geometry can be compared for the same types.

    Args:
        prior: the language model.
    """

    def __init__(self, prior: LanguageModelPrior) -> None:
        self.prior = prior

    def compositions(
        self, prompts: Sequence[str], settings: SamplingSettings, seeds: Sequence[int]
    ) -> list[dict[str, int] | None]:
        """One for each prompt, its own where it states one."""
        completed = self.prior.complete(prompts, settings, seeds, ("composition",))
        return [parse_prompt(prompt).composition for prompt in completed]


class CompositionSource:
    """The compositions of training crystals, drawn with replacement.

    Args:
        crystals: the training crystals.

    Raises:
        InputError: there is none.
    """

    def __init__(self, crystals: CrystalBatch) -> None:
        if not len(crystals):
            raise InputError("there is no crystal whose composition could be drawn")
        self.crystals = crystals
        self._known = crystals.compositions
        self._counts = crystals.num_atoms

    def compositions(
        self, prompts: Sequence[str], settings: SamplingSettings, seeds: Sequence[int]
    ) -> list[dict[str, int] | None]:
        """One for each prompt: its own where it states one, else drawn, of its number of atoms.

        Raises:
            InputError: no training crystal has the number of atoms that a prompt asks for, or it
                asks for something else that this source does not know.
        """
        result: list[dict[str, int] | None] = []
        for prompt, seed in zip(prompts, seeds, strict=True):
            asked = parse_prompt(prompt)
            foreign = [n for n in asked.known() if n not in ("composition", "num_atoms")]
            if foreign:
                raise InputError(f"drawn compositions know no {foreign[0]}")
            if asked.composition is not None:
                result.append(asked.composition)
                continue
            rows = np.arange(len(self._known))
            if asked.num_atoms is not None:
                rows = rows[self._counts == asked.num_atoms]
                if not len(rows):
                    raise InputError(f"no training crystal has {asked.num_atoms} atoms")
            draw = generator(Stream.KNOWN_COMPOSITION, seed).integers(len(rows))
            result.append(self._known[rows[draw]])
        return result
