"""Templates as a prior: the composition that is asked for on the sites of a training crystal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.formula import multiples_of
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.errors import InputError
from flowllm.methods.templates.dress import dressed
from flowllm.methods.templates.exchange import Exchange, drawn
from flowllm.methods.templates.ranking import Candidate, TemplateRanking
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
TINY = 1e-12
Composition = dict[int, int]
"""{atomic number: atoms in the cell}."""


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
                reason = "no template that the votes are sure of and that keeps the atoms apart"
                watch.event(Rejected(index, 0, STRUCTURE, reason))
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
        ranked = self._candidates(asked, settings, rng)
        is_open = asked.composition is None and asked.formula is None
        while ranked:
            scores = np.array([candidate.log_share for candidate in ranked])
            chosen = ranked.pop(drawn(scores, settings.choice, rng))
            crystal = dressed(self.table, chosen)
            room = closest(crystal)
            if is_open:  # another composition is better than an unlikely structure
                sure = chosen.log_share >= np.log(max(settings.confidence, TINY))
                return crystal if sure and room >= 1 else None
            if room >= CLOSEST:
                return crystal
        return None

    def _candidates(
        self, asked: Conditions, settings: TemplateSettings, rng: np.random.Generator
    ) -> list[Candidate]:
        cells = cells_of(asked, int(self._sizes.max()))
        if cells is None:
            rows = self._rows(asked)
            row = int(rows[rng.integers(len(rows))])
            cells = [self.exchange.composition(row, settings.exchange, rng)]
        found: list[Candidate] = []
        for cell in cells:
            found += ranked_for(
                self.ranking, cell, asked.space_group, settings.candidates, settings.same_formula
            )
        return found

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


def ranked_for(
    ranking: TemplateRanking,
    cell: Composition,
    space_group: int | None,
    most: int,
    same_formula: bool,
) -> list[Candidate]:
    """Candidates of a composition, of the space group where there are any of it."""
    if space_group is not None:
        held = ranking.candidates(cell, most, same_formula=same_formula, space_group=space_group)
        if held:
            return held
    return ranking.candidates(cell, most, same_formula=same_formula)


def cells_of(asked: Conditions, max_atoms: int) -> list[Composition] | None:
    """The cell compositions that meet what is asked; None where nothing says which.

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
        raise InputError("no composition fits what is asked together")
    return [{NUMBER_OF[s]: n for s, n in cell.items()} for cell in cells]


def written(known: str | Composition) -> str:
    """A formula, or a composition as in "Sr1 Ti1 O3"."""
    if isinstance(known, str):
        return known
    return " ".join(f"{SYMBOLS[z]}{n}" for z, n in known.items())
