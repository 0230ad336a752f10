"""Templates and a language model together: each proposes structures, both say how likely they are.

Where the composition is open, it is that of a template with elements exchanged, or written by the
language model. Templates propose structures of it, and say how many of the near ones have each. The
language model writes one where they have none, and otherwise where its likelihood of a structure's
space group and orbits counts too; one structure is drawn by the weighted sum. A crystal's cell and
coordinates are those of its template or of its text.
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
        rooms = [CLOSEST if given is own else 1.0 for given, own in zip(stated, asked, strict=True)]
        found = [
            self._of_templates(given, settings, room) if given and given.composition else {}
            for given, room in zip(stated, rooms, strict=True)
        ]
        if watch.on_event is not None:
            for index, (given, own) in enumerate(zip(stated, asked, strict=True)):
                if given is not None and given is not own:
                    prompt = self.prompt(given)
                    value = value_of(prompt, "composition")
                    watch.event(Sentence(index, "composition", value, prompt))
        places = [
            index
            for index, given in enumerate(stated)
            if given is not None and (settings.likelihood or not found[index])
        ]
        for index, text in self._texts(places, stated, settings, seeds, watch).items():
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

    def _texts(
        self,
        places: Sequence[int],
        stated: Sequence[Conditions | None],
        settings: RankedSettings,
        seeds: Sequence[int],
        watch: Watch,
    ) -> dict[int, str]:
        """The texts that the language model writes for these places, where it comes to one."""

        def noted(event: Event) -> None:
            if not isinstance(event, Drawn) and not _is_undecided(event):
                watch.event(replace(event, index=places[event.index]))

        inner = replace(watch, on_finished=None, on_event=noted if watch.on_event else None)
        shared = {f.name: getattr(settings, f.name) for f in fields(SamplingSettings)}
        given = [conditions for place in places if (conditions := stated[place]) is not None]
        written = self.language_model.written(
            given, SamplingSettings(**shared), [seeds[place] for place in places], inner
        )
        return {places[position]: text for position, (text, _) in written.items()}

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
        if not settings.likelihood:
            return [np.array([proposal.log_share for proposal in own]) for own in proposals]
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

    def _of_templates(
        self, given: Conditions, settings: RankedSettings, least: float
    ) -> dict[str, Proposal]:
        """The structures of templates of a composition, of the space group if one is asked for.

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
