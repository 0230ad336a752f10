"""Structures proposed by a language model and templates, also for open compositions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.elements import NUMBER_OF
from flowllm.methods.language_model.decoding.events import Sentence
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.structure_likelihood import structure_of
from flowllm.methods.templates.dress import dressed
from flowllm.methods.templates.prior import STRUCTURE, UNSURE, TemplatePrior
from flowllm.methods.templates.proposal import Proposal, composition_of
from flowllm.methods.templates.settings import RankedSettings, TemplateSettings
from flowllm.methods.templates.writing import TextWriter
from flowllm.seeds import Stream, generator
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.systems.events import Rejected
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.contacts import CLOSEST, closest
from flowllm.text.prompts import value_of

UNSEEN = float(np.log(0.02))
"""What the templates say of a structure that none of them has."""


class Proposer:
    """Proposes structures.

    Args:
        language_model: writes in the format `wyckoff`.
        templates: nearest training crystals.
    """

    def __init__(self, language_model: LanguageModelPrior, templates: TemplatePrior) -> None:
        self.language_model, self.templates = language_model, templates

    def propose(
        self,
        asked: Sequence[Conditions],
        settings: RankedSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> list[list[Proposal]]:
        """Distinct structures for P conditions: from templates, and one from a text.

        Where the language model comes to no crystal, there are those of templates of a composition
        that is asked for, else none.
        """
        stated, invented = self._stated(asked, settings, seeds)
        rooms = [CLOSEST if given is own else 1.0 for given, own in zip(stated, asked, strict=True)]
        found: list[dict[str, Proposal]] = []
        for given, crystal, room in zip(stated, invented, rooms, strict=True):
            if crystal is not None and not settings.likelihood:  # drawn by the votes already
                structure = structure_of(crystal)
                found.append({structure: Proposal(crystal, structure, 0.0, False)})
            elif given is not None and given.composition:
                found.append(self._of_templates(given, settings, room))
            else:
                found.append({})
        if watch.on_event is not None:
            for index, (given, own) in enumerate(zip(stated, asked, strict=True)):
                if given is not None and given is not own:
                    prompt = self.language_model.prompt(given)
                    value = value_of(prompt, "composition")
                    watch.event(Sentence(index, "composition", value, prompt))
        places = [index for index, given in enumerate(stated) if given is not None]
        counting = {index for index in places if settings.likelihood or not found[index]}
        if watch.on_event is None:  # else all are written, so that there is a text to look at
            places = [index for index in places if index in counting]
        writer = TextWriter(self.language_model, stated, settings, watch)
        texts = writer.texts(places, seeds)
        texts = {index: text for index, text in texts.items() if index in counting}
        texts = writer.in_their_groups(texts, seeds)
        for index, text in texts.items():
            written = strings.read(text)
            given = stated[index]
            if given is not None and not given.composition:
                given = replace(given, composition=composition_of(written), prompt=None)
                found[index] = self._of_templates(given, settings, rooms[index])
            structure = structure_of(written)
            found[index].setdefault(structure, Proposal(written, structure, UNSEEN, True))
        for index, given in enumerate(stated):
            watch.step()
            if given is None:
                watch.event(Rejected(index, 0, STRUCTURE, UNSURE))
        return [list(own.values()) for own in found]

    def _stated(
        self, asked: Sequence[Conditions], settings: RankedSettings, seeds: Sequence[int]
    ) -> tuple[list[Conditions | None], list[SymmetricCrystal | None]]:
        """The language model's conditions, and crystals whose compositions templates chose.

        Conditions are None where the templates come to no composition that they are sure of.
        """
        shared = {
            f.name: getattr(settings, f.name)
            for f in fields(TemplateSettings)
            if hasattr(settings, f.name)
        }
        of_templates = TemplateSettings(**shared)
        found: list[Conditions | None] = []
        invented: list[SymmetricCrystal | None] = []
        for conditions, seed in zip(asked, seeds, strict=True):
            if settings.compositions == "text" or not self.templates.open.choose(conditions):
                found.append(conditions)
                invented.append(None)
                continue
            rng = generator(Stream.TEMPLATE, seed)
            crystal = self.templates.open.invented(conditions, of_templates, rng)
            invented.append(crystal)
            if crystal is None:  # types for which no template has room are the language model's
                found.append(conditions if conditions.elements or conditions.formula else None)
            else:
                cell = composition_of(crystal)  # a prompt without it would leave it open
                found.append(replace(conditions, composition=cell, prompt=None))
        return found, invented

    def _of_templates(
        self, given: Conditions, settings: RankedSettings, least: float
    ) -> dict[str, Proposal]:
        """The template structures of a composition, in the requested space group if any.

        Atoms are at least `least` of the shortest known contacts apart.
        """
        cell = {NUMBER_OF[symbol]: count for symbol, count in (given.composition or {}).items()}
        found: dict[str, Proposal] = {}
        for candidate in self.templates.ranking.candidates(
            cell, settings.candidates, same_formula=settings.same_formula,
            space_group=given.space_group,
        ):  # fmt: skip
            crystal = dressed(self.templates.table, candidate)
            if settings.overlap or closest(crystal) >= least:
                structure = structure_of(crystal)
                proposal = Proposal(crystal, structure, candidate.log_share, False)
                found.setdefault(structure, proposal)
        return found
