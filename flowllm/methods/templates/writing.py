"""Texts that a language model writes alongside templates, in the requested space groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from flowllm.conditions.conditions import Conditions
from flowllm.methods.language_model.decoding.events import Sentence
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.methods.templates.settings import RankedSettings
from flowllm.seeds import Stream, child_seed
from flowllm.symmetry.exact import TOLERANCE
from flowllm.symmetry.find import dataset_of
from flowllm.systems.events import Drawn, Event
from flowllm.systems.watch import Watch
from flowllm.text.formats.wyckoff import strings

RETRIES = 4
"""How often a text is written again whose crystal has another space group than that asked for."""


@dataclass(frozen=True)
class TextWriter:
    """Writes texts for some of P conditions.

    Attributes:
        language_model: writes in the format `wyckoff`.
        stated: P conditions; None where nothing is to be written.
        settings: how to draw.
        watch: receives tokens and sentences.
    """

    language_model: LanguageModelPrior
    stated: Sequence[Conditions | None]
    settings: RankedSettings
    watch: Watch

    def texts(self, places: Sequence[int], seeds: Sequence[int]) -> dict[int, str]:
        """The texts at these positions, where the language model finishes one."""
        if not places:
            return {}  # a language model on disk stays there

        def noted(event: Event) -> None:
            if not isinstance(event, Drawn) and not _is_undecided(event):
                self.watch.event(replace(event, index=places[event.index]))

        inner = replace(
            self.watch, on_finished=None, on_event=noted if self.watch.on_event else None
        )
        shared = {f.name: getattr(self.settings, f.name) for f in fields(SamplingSettings)}
        given = [conditions for place in places if (conditions := self.stated[place]) is not None]
        written = self.language_model.written(
            given, SamplingSettings(**shared), [seeds[place] for place in places], inner
        )
        return {places[position]: text for position, (text, _) in written.items()}

    def in_their_groups(self, texts: dict[int, str], seeds: Sequence[int]) -> dict[int, str]:
        """The texts, rewritten where the crystal lacks the requested space group.

        Where all draws go astray the first stays. Nobody is told of the others.
        """
        silent = replace(self, watch=Watch(stop=self.watch.stop))
        found = dict(texts)
        astray = [i for i, text in texts.items() if is_astray(text, self.stated[i])]
        for draw in range(RETRIES):
            if not astray:
                break
            streams = [child_seed(Stream.ASTRAY, seed, draw) for seed in seeds]
            again = silent.texts(astray, streams)
            found |= {i: text for i, text in again.items() if not is_astray(text, self.stated[i])}
            astray = [i for i in astray if found[i] == texts[i]]
        return found


def is_astray(text: str, asked: Conditions | None) -> bool:
    """Whether a text's crystal has a space group other than the requested one, if any.

    A text of this group can have a higher one by chance, if its coordinates are special.
    """
    if asked is None or asked.space_group is None:
        return False
    found = dataset_of(strings.read(text).to_primitive(), TOLERANCE)
    return found is not None and found.number != asked.space_group


def _is_undecided(event: Event) -> bool:
    """Whether the space group was the text's own choice, which another structure may lack."""
    return isinstance(event, Sentence) and event.name == "space_group"
