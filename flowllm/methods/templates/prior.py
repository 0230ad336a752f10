"""Templates as a prior: the composition that is asked for on the sites of a training crystal."""

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
UNSURE = "no template that the votes are sure of and that keeps the atoms apart"
TINY = 1e-12
EXCHANGES = 20
"""How often the elements of a template are exchanged, until its votes are sure of the result.
Another template at once would be one of those whose votes are sure more often: of intermetallic
compounds rather than of oxides."""
FARTHEST = 2.0
"""How far the template of a structure may be from an open composition. Of 510 new compositions,
relaxed, 6 % below a distance of 2 and 25 % beyond changed their volume by over 5 %."""
TEMPLATES = 5
"""How many templates are tried, one after the other, where no exchange is."""


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
            raise InputError("there is no template")
        self.table, self.similarity = table, similarity
        self.ranking = TemplateRanking(table, similarity)
        self.exchange = Exchange(table, similarity)
        self._sizes = np.add.reduceat(table.atoms, table.first_orbit[:-1])

    def limited_to(self, elements: Iterable[str]) -> Self:
        """The same: it draws no elements but those of its templates."""
        return self

    def check(self, asked: Conditions) -> None:
        """See whether there are templates for these conditions.

        Raises:
            InputError: there are none of the stoichiometry or of the number of atoms.
        """
        cells = cells_of(asked, int(self._sizes.max()))
        if cells is None:
            self._rows(asked)
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

    def invented(
        self, asked: Conditions, settings: TemplateSettings, rng: np.random.Generator
    ) -> SymmetricCrystal | None:
        """A crystal of a composition that a template comes to when its elements are exchanged.

        Args:
            asked: number of atoms and space group are heeded.
            settings: of exchange, choice and confidence.
            rng: where the numbers come from.

        Returns:
            None where the votes are sure of none, or atoms would be too close.

        Raises:
            InputError: no template has the number of atoms.
        """
        rows = self._rows(asked)
        least = np.log(max(settings.confidence, TINY))
        only_new = False
        for row in self.exchange.in_turn(rows, TEMPLATES, rng):
            for _ in range(EXCHANGES):
                cell = self.exchange.composition(row, settings.exchange, rng)
                ranked = ranked_for(
                    self.ranking, cell, asked.space_group, settings.candidates,
                    settings.same_formula,
                )  # fmt: skip
                new = all(candidate.distance for candidate in ranked)
                if ranked and (new or not only_new):
                    scores = np.array([candidate.log_share for candidate in ranked])
                    chosen = ranked[drawn(scores, settings.choice, rng)]
                    crystal = dressed(self.table, chosen)
                    sure = chosen.log_share >= least and chosen.distance <= FARTHEST
                    if sure and closest(crystal) >= 1:
                        return crystal
                    only_new |= new  # known ones, which the votes are sure of, would take over
        return None

    def _draw(
        self, asked: Conditions, settings: TemplateSettings, rng: np.random.Generator
    ) -> SymmetricCrystal | None:
        cells = cells_of(asked, int(self._sizes.max()))
        if cells is None:
            return self.invented(asked, settings, rng)
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

    def _rows(self, asked: Conditions) -> np.ndarray:
        """Templates of the number of atoms, and where there are any of the space group."""
        rows = np.arange(len(self.table))
        if asked.num_atoms is not None:
            rows = rows[self._sizes == asked.num_atoms]
            if not len(rows):
                raise InputError(f"no training crystal has {asked.num_atoms} atoms")
        if asked.space_group is not None:
            own = rows[self.table.numbers[rows] == asked.space_group]
            rows = own if len(own) else rows
        return rows

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
