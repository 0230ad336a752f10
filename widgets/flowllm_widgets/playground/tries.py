"""Tries: settings and their results sample by sample, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, dataclass, field
from typing import Any

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.decoding.events import Sentence, Token
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.metrics.facts import CrystalFacts, crystal_facts
from flowllm.settings import shown_fields
from flowllm.systems.events import Asked, Drawn, Event, Refined, Refining, Rejected
from flowllm.text.prompts import without_frame

RUNNING, FINISHED, CANCELLED, FAILED = "running", "finished", "cancelled", "failed"


@dataclass(frozen=True)
class Settings:
    """The settings of one try.

    Attributes:
        prompt: the text.
        sampling: how the prior draws, an instance of its `Settings`.
        refinement: how the refiner works, an instance of its `Settings`; None where there is none.
        num: crystals.
        seed: the same seed gives the same crystals.
    """

    prompt: str
    sampling: Any = SamplingSettings()  # noqa: RUF009 - frozen
    refinement: Any = RefineSettings(record=True)  # noqa: RUF009 - frozen
    num: int = 4
    seed: int = 0


@dataclass
class Sample:
    """One crystal of a try, in its current state.

    Attributes:
        prompt: with the sentences that the model added.
        tokens: of the last attempt, in order; none where the model tells no tokens.
        attempt: the try at this crystal that the tokens belong to.
        rejected: reasons of earlier attempts and draws.
        redrawn: how often tokens were taken back.
        source: where the prior took its crystal from, if it has several sources.
        prior: a batch of one, as the prior drew it.
        refined: a batch of one, the result.
        trajectory: from the one to the other.
        facts: of `prior` and of `refined`.
    """

    prompt: str = ""
    tokens: list[Token] = field(default_factory=list)
    attempt: int = 0
    rejected: list[str] = field(default_factory=list)
    redrawn: int = 0
    source: str = ""
    prior: CrystalBatch | None = None
    refined: CrystalBatch | None = None
    trajectory: Trajectory | None = None
    facts: list[CrystalFacts | None] = field(default_factory=lambda: [None, None])

    def take(self, event: Event) -> None:
        """Record an event."""
        if isinstance(event, Asked | Sentence):
            self.prompt = event.prompt
        elif isinstance(event, Token):
            if self.tokens and event.attempt != self.attempt:
                self.tokens.clear()
            for place, token in enumerate(self.tokens):
                if token.part == event.part and token.draw != event.draw:
                    self.tokens = self.tokens[:place]  # what stood behind it is drawn again, too
                    self.redrawn += 1
                    break
            self.tokens.append(event)
            self.attempt = event.attempt
        elif isinstance(event, Rejected):
            self.rejected.append(event.reason)
        elif isinstance(event, Drawn):
            self.prior, self.source = event.crystal, event.source
            self.facts[0] = crystal_facts(event.crystal)[0]
        elif isinstance(event, Refined):
            self.finish(event.prior, event.trajectory.last, event.trajectory)

    def finish(
        self, prior: CrystalBatch | None, refined: CrystalBatch, way: Trajectory | None
    ) -> None:
        """Record the result."""
        self.prior, self.refined, self.trajectory = prior, refined, way
        before = self.facts[0] or (crystal_facts(prior)[0] if prior is not None else None)
        self.facts = [before, crystal_facts(refined)[0]]

    @property
    def best(self) -> CrystalFacts | None:
        """Facts of the refined crystal, or of the prior's until there is one."""
        return self.facts[1] or self.facts[0]


@dataclass
class Try:
    """One press of Generate.

    Attributes:
        number: from 1.
        settings: what it was made with.
        samples: one for each crystal asked for.
        state: "running", "finished", "cancelled" or "failed".
        first_token: seconds from the press to the first token; None before.
        seconds: from the press to the end.
    """

    number: int
    settings: Settings
    samples: list[Sample] = field(default_factory=list)
    state: str = RUNNING
    first_token: float | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if not self.samples:
            self.samples = [Sample(self.settings.prompt) for _ in range(self.settings.num)]

    def take(self, event: Event | Refining) -> None:
        """Record an event of one sample."""
        index = getattr(event, "index", None)
        if index is not None:
            self.samples[index].take(event)

    @property
    def order(self) -> list[int]:
        """Positions of the samples; after the run, finished ones come first."""
        places = range(len(self.samples))
        if self.state == RUNNING:
            return list(places)
        return sorted(places, key=lambda place: self.samples[place].refined is None)

    @property
    def refined(self) -> CrystalBatch:
        """The refined crystals so far."""
        return CrystalBatch.concatenate(s.refined for s in self.samples if s.refined is not None)

    @property
    def trajectory(self) -> Trajectory | None:
        """The joined trajectories of all refined crystals; None if there are none."""
        ways = [s.trajectory for s in self.samples if s.trajectory is not None]
        return Trajectory.concatenate(ways) if ways else None

    def counts(self) -> tuple[int, int, int]:
        """Crystals so far, how many are valid, how many formulas they have."""
        known = [s.best for s in self.samples if s.best is not None]
        return len(known), sum(f.valid for f in known), len({f.formula for f in known})


def columns(*settings: type[Any] | None) -> tuple[str, ...]:
    """Headings of the table of tries whose parts have these classes of settings."""
    named = [
        one.metadata.get("short") or in_words(one)
        for part in settings
        if part is not None
        for one, _ in shown_fields(part)
    ]
    return ("Try", "Asked for", *named, "Seed", "Valid", "Formulas", "State")


def in_words(one: Field[Any]) -> str:
    """The default name of a field in a form or a table."""
    name = one.name.replace("_", " ")
    return name[0].upper() + name[1:]


def table(tries: Sequence[Try]) -> list[list[str]]:
    """A row of text for each try, in the order of `columns` of its settings."""
    rows = []
    for one in tries:
        s = one.settings
        made, valid, formulas = one.counts()
        values = [
            _written(field, getattr(part, field.name))
            for part in (s.sampling, s.refinement)
            if part is not None
            for field, _ in shown_fields(type(part))
        ]
        rows.append([
            str(one.number), without_frame(s.prompt) or "anything", *values, str(s.seed),
            _share(valid, made, s.num), str(formulas), one.state,
        ])  # fmt: skip
    return rows


def _written(one: Field[Any], value: Any) -> str:
    """A setting as shown in the table."""
    about = one.metadata
    if about.get("zero") and not value:
        return str(about["zero"])
    if about.get("written"):
        return format(value, about["written"])
    return f"{value:g}" if isinstance(value, float) else str(value)


def _share(valid: int, made: int, asked: int) -> str:
    """The share of valid crystals, with the number requested."""
    if not made:
        return f"none of {asked}"
    return f"{valid}/{made}" + (f" of {asked}" if made < asked else "")
