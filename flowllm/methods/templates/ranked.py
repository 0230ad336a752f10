"""Templates and a language model together: each proposes structures, both say how likely they are.

Where the composition is open, it is that of a template with elements exchanged, or written by the
language model. The language model writes one whole crystal of it; templates give further
structures. Of each structure the templates say how many of the near
ones have it, and the language model how likely its space group and orbits are; one is drawn by the
weighted sum. A crystal's cell and coordinates are those of its template or of its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.events import Sentence
from flowllm.methods.language_model.prior import LanguageModelPrior, perturb
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.methods.language_model.structure_likelihood import (
    structure_log_likelihoods,
    structure_of,
)
from flowllm.methods.templates.cells import ranked_for
from flowllm.methods.templates.dress import dressed
from flowllm.methods.templates.exchange import drawn
from flowllm.methods.templates.prior import STRUCTURE, UNSURE, TemplatePrior
from flowllm.methods.templates.proposal import Proposal, composition_of
from flowllm.methods.templates.settings import RankedSettings, TemplateSettings
from flowllm.runs.identity import digest
from flowllm.seeds import Stream, generator
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.normalizer import canonical
from flowllm.systems.events import Drawn, Event, Rejected
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.contacts import CLOSEST, closest
from flowllm.text.formats.wyckoff.text_format import WyckoffText
from flowllm.text.prompts import value_of

LM, TEMPLATES = "lm", "templates"
WRITTEN, OF_TEMPLATE = "the text", "a template"
HEEDED = {"num_atoms", "space_group"}
"""What may be asked where the templates choose the composition."""
UNSEEN = float(np.log(0.02))
"""What the templates say of a structure that none of them has."""


class RankedPrior:
    """A prior of a language model that writes symmetric texts, and of templates.

    Args:
        language_model: writes in the format `wyckoff`, constrained.
        templates: nearest training crystals.

    Raises:
        InputError: a language model that writes otherwise.
    """

    kind = "templates+language-model"
    label = "language model and templates"
    Settings = RankedSettings

    def __init__(self, language_model: LanguageModelPrior, templates: TemplatePrior) -> None:
        if not isinstance(language_model.format, WyckoffText) or not language_model.constrained:
            raise InputError("templates are ranked by a compact model of the text format wyckoff")
        self.language_model, self.templates = language_model, templates

    @property
    def exact(self) -> frozenset[str]:
        """Those of the language model."""
        return self.language_model.exact

    @property
    def heeded(self) -> frozenset[str]:
        """Those of the language model."""
        return self.language_model.heeded

    def limited_to(self, elements: Iterable[str]) -> RankedPrior:
        """The same with a language model that is limited to some elements."""
        return RankedPrior(self.language_model.limited_to(elements), self.templates)

    def check(self, asked: Conditions) -> None:
        """As the language model does."""
        self.language_model.check(asked)

    def prompt(self, asked: Conditions) -> str:
        """That of the language model."""
        return self.language_model.prompt(asked)

    # ---- sampling --------------------------------------------------------------------------

    def sample(
        self,
        asked: Sequence[Conditions],
        settings: RankedSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> CrystalBatch:
        """At most one crystal for each of P conditions; an id is their position."""
        proposals = self.propose(asked, settings, seeds, watch)
        scores = self.scores(asked, proposals, settings, watch)
        crystals = []
        for index, (own, weights, seed) in enumerate(zip(proposals, scores, seeds, strict=True)):
            if own:
                chosen = drawn(weights, settings.choice, generator(Stream.RANKED, seed))
                crystal = own[chosen].crystal
                cell = crystal.to_primitive(str(index))
                crystals.append(perturb(cell, settings.noise, seed))
                text = strings.write(canonical(crystal)) if watch.on_event else ""
                source = WRITTEN if own[chosen].written else OF_TEMPLATE
                watch.event(Drawn(index, 0, text, crystals[-1], source))
            watch.finished()
        return CrystalBatch.concatenate(crystals)

    def ranked(
        self,
        composition: dict[str, int],
        tries: int,
        settings: RankedSettings | None = None,
        seed: int = 0,
    ) -> list[SymmetricCrystal]:
        """Up to so many crystals of one composition, the likeliest first, of distinct structures.

        In canonical description.

        Args:
            composition: {element: atoms in the primitive cell}.
            tries: the most crystals.
            settings: how to draw and rank; at least so many candidates are taken as there are
                tries.
            seed: of the texts.
        """
        chosen = settings or RankedSettings()
        chosen = replace(chosen, candidates=max(chosen.candidates, tries))
        asked = [Conditions(composition=composition)]
        proposals = self.propose(asked, chosen, [seed])
        order = np.argsort(-self.scores(asked, proposals, chosen)[0], kind="stable")
        return [canonical(proposals[0][k].crystal) for k in order[:tries].tolist()]

    def propose(
        self,
        asked: Sequence[Conditions],
        settings: RankedSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> list[list[Proposal]]:
        """Structures for P conditions, each once: of the templates, and one of a text.

        Where the language model comes to no crystal, there are those of templates of a composition
        that is asked for, else none.
        """
        stated = self._stated(asked, settings, seeds)
        places = [index for index, conditions in enumerate(stated) if conditions is not None]

        def noted(event: Event) -> None:
            if not isinstance(event, Drawn) and not _is_undecided(event):
                watch.event(replace(event, index=places[event.index]))

        inner = replace(watch, on_finished=None, on_event=noted if watch.on_event else None)
        for place, given in enumerate(stated):
            if watch.on_event is not None and given is not None and given is not asked[place]:
                prompt = self.prompt(given)
                watch.event(Sentence(place, "composition", value_of(prompt, "composition"), prompt))
        shared = {f.name: getattr(settings, f.name) for f in fields(SamplingSettings)}
        texts_of = [conditions for conditions in stated if conditions is not None]
        written_ones = self.language_model.written(
            texts_of, SamplingSettings(**shared), [seeds[place] for place in places], inner
        )
        texts = {places[position]: text for position, (text, _) in written_ones.items()}
        found: list[list[Proposal]] = []
        for index, conditions in enumerate(stated):
            watch.step()
            if conditions is None:
                watch.event(Rejected(index, 0, STRUCTURE, UNSURE))
                found.append([])
                continue
            written = strings.read(texts[index]) if index in texts else None
            cell = conditions.composition if written is None else composition_of(written)
            least = CLOSEST if conditions is asked[index] else 1.0
            found.append(
                self._structures(cell or {}, written, conditions.space_group, settings, least)
            )
        return found

    def _stated(
        self, asked: Sequence[Conditions], settings: RankedSettings, seeds: Sequence[int]
    ) -> list[Conditions | None]:
        """What the language model is asked, compositions of templates included.

        None where the templates come to no composition that they are sure of.
        """
        shared = {
            f.name: getattr(settings, f.name)
            for f in fields(TemplateSettings)
            if hasattr(settings, f.name)
        }
        of_templates = TemplateSettings(**shared)
        found: list[Conditions | None] = []
        for conditions, seed in zip(asked, seeds, strict=True):
            if settings.compositions == "text" or set(conditions.known()) - HEEDED:
                found.append(conditions)
                continue
            rng = generator(Stream.TEMPLATE, seed)
            crystal = self.templates.invented(conditions, of_templates, rng)
            if crystal is None:
                found.append(None)
            else:
                cell = composition_of(crystal)  # a prompt without it would leave it open
                found.append(replace(conditions, composition=cell, prompt=None))
        return found

    def scores(
        self,
        asked: Sequence[Conditions],
        proposals: Sequence[Sequence[Proposal]],
        settings: RankedSettings,
        watch: Watch = UNWATCHED,
    ) -> list[np.ndarray]:
        """For each conditions, the scores of its proposals: the higher the likelier."""
        flat = [proposal for own in proposals for proposal in own]
        stated = [
            replace(conditions, composition=composition_of(proposal.crystal), prompt=None)
            for conditions, own in zip(asked, proposals, strict=True)
            for proposal in own
        ]
        nats = structure_log_likelihoods(
            self.language_model, stated, [proposal.crystal for proposal in flat], watch
        )
        shares = np.array([proposal.log_share for proposal in flat])
        total = shares + settings.likelihood * nats
        return np.split(total, np.cumsum([len(own) for own in proposals])[:-1])

    def _structures(
        self,
        composition: dict[str, int],
        written: SymmetricCrystal | None,
        space_group: int | None,
        settings: RankedSettings,
        least: float,
    ) -> list[Proposal]:
        """The structures of templates, and that of a text where there is one and it is another.

        Atoms of templates are at least `least` of the shortest known contacts apart.
        """
        cell = {NUMBER_OF[symbol]: count for symbol, count in composition.items()}
        ranked = ranked_for(
            self.templates.ranking, cell, space_group, settings.candidates, settings.same_formula
        )
        found: dict[str, Proposal] = {}
        for candidate in ranked:
            crystal = dressed(self.templates.table, candidate)
            if settings.overlap or closest(crystal) >= least:
                structure = structure_of(crystal)
                proposal = Proposal(crystal, structure, candidate.log_share, False)
                found.setdefault(structure, proposal)
        if written is not None:
            structure = structure_of(written)
            found.setdefault(structure, Proposal(written, structure, UNSEEN, True))
        return list(found.values())

    # ---- files -----------------------------------------------------------------------------

    def save(self, folder: Path, half: bool = False) -> None:
        """Write lm/ and templates/."""
        self.language_model.save(folder / LM, half)
        self.templates.save(folder / TEMPLATES)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> RankedPrior:
        """Read what `save` wrote.

        Raises:
            InputError: a part is missing or damaged.
        """
        return cls(
            LanguageModelPrior.load(folder / LM, device), TemplatePrior.load(folder / TEMPLATES)
        )

    def digest(self) -> str:
        """Of both parts."""
        return digest(self.kind, self.language_model.digest(), self.templates.digest())


def _is_undecided(event: Event) -> bool:
    """Whether it is the text's space group, which another structure of the composition may lack."""
    return isinstance(event, Sentence) and event.name == "space_group"
