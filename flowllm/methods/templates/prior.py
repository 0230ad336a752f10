"""Templates as a prior: the requested composition on the sites of a training crystal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.methods.templates.cells import cells_of, ranked_for, written
from flowllm.methods.templates.dress import dressed
from flowllm.methods.templates.exchange import Exchange, drawn
from flowllm.methods.templates.open_compositions import OpenCompositions
from flowllm.methods.templates.ranking import TemplateRanking
from flowllm.methods.templates.settings import TemplateSettings
from flowllm.methods.templates.similarity import Similarity
from flowllm.methods.templates.table import TemplateTable
from flowllm.runs.identity import digest
from flowllm.seeds import Stream, generator
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.normalizer import canonical
from flowllm.systems.events import Drawn, Rejected
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.contacts import CLOSEST, closest

TABLE, SIMILARITY = "templates.npz", "similarity.npz"
STRUCTURE = "template"
UNSURE = "no template has enough votes and atoms far enough apart"


class TemplatePrior:
    """A prior without a network: nearest training crystals with their elements exchanged.

    For a composition the structure is drawn that most of the near templates have. Where the
    composition is open, it is that of a random template with elements exchanged. Crystals have the
    symmetry of their templates exactly.

    Args:
        table: the templates.
        similarity: how alike elements are.

    Raises:
        InputError: there is no template.
    """

    kind = "templates"
    label = "templates"
    Settings = TemplateSettings
    exact = frozenset({"composition", "formula", "num_atoms"})
    heeded = frozenset({"space_group"})

    def __init__(self, table: TemplateTable, similarity: Similarity) -> None:
        if not len(table):
            raise InputError("there are no templates")
        self.table, self.similarity = table, similarity
        self.ranking = TemplateRanking(table, similarity)
        self.open = OpenCompositions(self.ranking, Exchange(table, similarity))

    def limited_to(self, elements: Iterable[str]) -> Self:
        """The same: it draws no elements but those of its templates."""
        return self

    def check(self, asked: Conditions) -> None:
        """Check that there are templates for these conditions.

        Raises:
            InputError: there are none of the stoichiometry or of the number of atoms.
        """
        cells = cells_of(asked, self.open.largest)
        if cells is None:
            self.open.rows(asked)
        elif not any(self.ranking.has(cell) for cell in cells):
            known = asked.formula or cells[0]
            raise InputError(f"no training crystal has the stoichiometry of {written(known)}")

    def sample(
        self,
        asked: Sequence[Conditions],
        settings: TemplateSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> CrystalBatch:
        """At most one crystal for each of P conditions; an id is their position."""
        crystals = []
        for index, (conditions, seed) in enumerate(zip(asked, seeds, strict=True)):
            watch.step()
            rng = generator(Stream.TEMPLATE, seed)
            found = self._draw(conditions, settings, rng)
            if found is None:
                watch.event(Rejected(index, 0, STRUCTURE, UNSURE))
            else:
                crystals.append(found.to_primitive(str(index)))
                text = strings.write(canonical(found)) if watch.on_event else ""
                watch.event(Drawn(index, 0, text, crystals[-1]))
            watch.finished()
        return CrystalBatch.concatenate(crystals)

    def candidates(
        self, composition: dict[str, int], most: int = 1, same_formula: bool = True
    ) -> list[SymmetricCrystal]:
        """The likeliest crystals of a composition, whose prototypes or roles differ.

        In canonical description; none where no template has the stoichiometry.
        """
        cell = {NUMBER_OF[symbol]: count for symbol, count in composition.items()}
        ranked = self.ranking.candidates(cell, most, same_formula=same_formula)
        return [canonical(dressed(self.table, candidate)) for candidate in ranked]

    def _draw(
        self, asked: Conditions, settings: TemplateSettings, rng: np.random.Generator
    ) -> SymmetricCrystal | None:
        cells = cells_of(asked, self.open.largest)
        if cells is None:
            return self.open.invented(asked, settings, rng)
        ranked = [
            candidate
            for cell in cells
            for candidate in ranked_for(
                self.ranking, cell, asked.space_group, settings.candidates, settings.same_formula
            )
        ]
        while ranked:
            scores = np.array([candidate.log_share for candidate in ranked])
            crystal = dressed(self.table, ranked.pop(drawn(scores, settings.choice, rng)))
            if closest(crystal) >= CLOSEST:
                return crystal
        return None

    # ---- files -----------------------------------------------------------------------------

    def save(self, folder: Path, half: bool = False) -> None:
        """Write templates and similarity."""
        folder.mkdir(parents=True, exist_ok=True)
        self.table.save(folder / TABLE)
        self.similarity.save(folder / SIMILARITY)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: a file is missing or damaged.
        """
        return cls(TemplateTable.load(folder / TABLE), Similarity.load(folder / SIMILARITY))

    def digest(self) -> str:
        """Of the templates and of the similarity."""
        return digest(self.kind, self.table.digest(), self.similarity.digest())
