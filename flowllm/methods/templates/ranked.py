"""Templates and a language model combined: both propose structures and score them.

Where the composition is open, it is that of a template with elements exchanged, or written by the
language model. Templates propose structures of it, and say how many of the near ones have each. The
language model writes one where they have none, and otherwise where its likelihood of a structure's
space group and orbits counts too; one structure is drawn by the weighted sum. A crystal's cell and
coordinates are those of its template or of its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model.prior import LanguageModelPrior, perturb
from flowllm.methods.language_model.stored import load_stored
from flowllm.methods.language_model.structure_likelihood import (
    structure_log_likelihoods,
)
from flowllm.methods.templates.exchange import drawn
from flowllm.methods.templates.prior import TemplatePrior
from flowllm.methods.templates.proposal import Proposal, composition_of
from flowllm.methods.templates.proposing import Proposer
from flowllm.methods.templates.settings import RankedSettings
from flowllm.runs.identity import digest
from flowllm.seeds import Stream, generator
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.normalizer import canonical
from flowllm.systems.events import Drawn
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.text_format import WyckoffText

LM, TEMPLATES = "lm", "templates"
WRITTEN, OF_TEMPLATE = "the text", "a template"


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
            raise InputError("ranking templates needs a compact model with the text format wyckoff")
        self.language_model, self.templates = language_model, templates
        self.proposer = Proposer(language_model, templates)

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

    def chooses_size(self, asked: Conditions) -> bool:
        """Whether templates choose the number of atoms, with the composition."""
        known = asked.elements is not None or asked.formula is not None
        return known and self.templates.open.choose(asked)

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
        proposals = self.proposer.propose(asked, settings, seeds, watch)
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
        """Up to a number of crystals of one composition, likeliest first, with distinct structures.

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
        proposals = self.proposer.propose(asked, chosen, [seed])
        order = np.argsort(-self.scores(asked, proposals, chosen)[0], kind="stable")
        return [canonical(proposals[0][k].crystal) for k in order[:tries].tolist()]

    def scores(
        self,
        asked: Sequence[Conditions],
        proposals: Sequence[Sequence[Proposal]],
        settings: RankedSettings,
        watch: Watch = UNWATCHED,
    ) -> list[np.ndarray]:
        """The scores of the proposals for each set of conditions; higher is likelier."""
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
        return cls(load_stored(folder / LM, device), TemplatePrior.load(folder / TEMPLATES))

    def digest(self) -> str:
        """Of both parts."""
        return digest(self.kind, self.language_model.digest(), self.templates.digest())
