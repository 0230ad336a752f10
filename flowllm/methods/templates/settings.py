"""Settings of templates, apart from the code so that the command line loads fast."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from flowllm.errors import InputError
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.settings import setting

Compositions = Literal["exchange", "text"]


@dataclass(frozen=True)
class TemplateSettings:
    """Settings of the template prior.

    Attributes:
        choice: temperature for choosing a structure; 0 takes the likeliest.
        exchange: temperature of element exchange; where the composition is open. 0 takes the most
            similar element.
        confidence: minimum share of the templates' votes; where the composition is open, a
            structure needs it, and other compositions are drawn again. It is about how often the
            structure is right: of validation crystals whose likeliest structure has 30 to 50 % of
            the votes, 51 % match it.
        same_formula: use templates of the requested formula; those of other formulas are always
            used.
        candidates: structures to choose from.

    Raises:
        InputError: a value out of its range.
    """

    choice: float = setting(0.5, low=0.0, high=2.0, step=0.05, label="Choice of structure τ")
    exchange: float = setting(0.3, low=0.0, high=2.0, step=0.05, label="Exchange of elements τ")
    confidence: float = setting(0.3, low=0.0, high=0.95, step=0.05, label="Least share of votes")
    same_formula: bool = setting(True)
    candidates: int = setting(20, form=False)

    def __post_init__(self) -> None:
        check_ranking(self.choice, self.candidates)
        check_exchange(self.exchange, self.confidence)

    @classmethod
    def predict(cls) -> Self:
        """Settings for the likeliest crystal under the conditions."""
        return cls(choice=0.0)


@dataclass(frozen=True)
class RankedSettings(SamplingSettings):
    """Settings of sampling texts, and of choosing among them and the templates.

    Attributes:
        temperature: sampling temperature; above 0. Lower gives likelier crystals.
        top_p: nucleus sampling; tokens are drawn from the smallest set with this probability, in
            (0, 1].
        noise: Gaussian noise on the sampled values; its standard deviation, in each value's own
            unit (fractional, Å, degrees).
        overlap: allow overlapping atoms; otherwise decoding keeps them apart.
        batch_size: texts at a time.
        max_new_tokens: longest text, in tokens; longer ones are cut and rejected. By default as
            many as the largest cell of the model needs in its text format.
        choice: temperature for choosing a structure; 0 takes the likeliest.
        same_formula: use templates of the requested formula; those of other formulas are always
            used.
        candidates: template structures to choose from; the text's own comes on top.
        likelihood: weight of the language-model likelihood; its logarithm is added to that of the
            templates. At 0 it is not computed, and texts are written only where templates have no
            structure.
        compositions: source of open compositions: "exchange" takes a template and exchanges its
            elements, which gives new compounds more often; "text" lets the language model write
            them. It matters where only a number of atoms or a space group is requested.
        exchange: temperature of element exchange; 0 takes the most similar element.
        confidence: minimum share of the templates' votes; a structure of an exchanged composition
            needs it.

    Raises:
        InputError: a value out of its range.
    """

    choice: float = setting(0.5, low=0.0, high=2.0, step=0.05, label="Choice of structure τ")
    same_formula: bool = setting(True)
    candidates: int = setting(6, form=False)
    likelihood: float = setting(0.0, low=0.0, high=2.0, step=0.05, label="Weight of likelihood")
    compositions: Compositions = setting("exchange", form=False)
    exchange: float = setting(0.3, low=0.0, high=2.0, step=0.05, label="Exchange of elements τ")
    confidence: float = setting(0.3, low=0.0, high=0.95, step=0.05, label="Least share of votes")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranking(self.choice, self.candidates)
        if not 0 <= self.likelihood < math.inf:
            raise InputError(f"likelihood must be at least 0 and finite, not {self.likelihood}")
        if self.compositions not in get_args(Compositions):
            known = ", ".join(get_args(Compositions))
            raise InputError(f"unknown compositions {self.compositions!r}; choose from {known}")
        check_exchange(self.exchange, self.confidence)

    @classmethod
    def predict(cls) -> Self:
        """Settings for the likeliest crystal under the conditions."""
        return replace(super().predict(), choice=0.0)


def check_exchange(exchange: float, confidence: float) -> None:
    """Refuse temperatures and shares that are out of range.

    Raises:
        InputError: names it.
    """
    if not 0 <= confidence < 1:
        raise InputError(f"confidence must be in [0, 1), not {confidence}")
    if not 0 <= exchange < math.inf:
        raise InputError(f"exchange must be at least 0 and finite, not {exchange}")


def check_ranking(choice: float, candidates: int) -> None:
    """Refuse a temperature below 0 and an empty choice.

    Raises:
        InputError: names it.
    """
    if not 0 <= choice < math.inf:
        raise InputError(f"choice must be at least 0 and finite, not {choice}")
    if candidates < 1:
        raise InputError(f"candidates must be at least 1, not {candidates}")
