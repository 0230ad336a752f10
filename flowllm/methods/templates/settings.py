"""What can be set about templates; apart from the code, so that the command line loads it fast."""

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
    """How crystals are made of templates.

    Attributes:
        choice: temperature at which one of the likely structures is drawn; 0 takes the likeliest.
        exchange: temperature at which elements are exchanged where the composition is open; 0 takes
            the most alike element.
        confidence: share of the templates' votes that a structure must have where the composition
            is open; other compositions are drawn again. It is about how often the structure is
            right: of validation crystals whose likeliest structure has 30 to 50 % of the votes, 51
            % match it.
        same_formula: also use templates of the requested formula, not only of other formulas.
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
        """How the likeliest crystal is drawn of what is asked for."""
        return cls(choice=0.0)


@dataclass(frozen=True)
class RankedSettings(SamplingSettings):
    """How texts are drawn, and how one of them or of the templates is chosen.

    Attributes:
        temperature: logits are divided by it; above 0, and the lower, the likelier the crystals.
        top_p: nucleus, in (0, 1]; tokens are drawn from the likeliest that add up to this
            probability.
        noise: standard deviation of Gaussian noise on the sampled values, in each value's own unit
            (fractional, Å, degrees).
        overlap: allow atoms on top of each other; otherwise decoding keeps them apart.
        batch_size: texts at a time.
        max_new_tokens: a text that has not ended by then is cut and rejected; None gives it as many
            as the largest cell of the model takes in its text format.
        choice: temperature at which one of the likely structures is drawn; 0 takes the likeliest.
        same_formula: also use templates of the requested formula, not only of other formulas.
        candidates: structures of templates to choose from, beside the text's own.
        likelihood: weight of the language model's log-likelihood beside that of the templates; at 0
            it is not computed, and texts are written only where templates have no structure.
        compositions: whose they are where nothing is asked but a number of atoms or a space group:
            "exchange" takes a template and exchanges its elements, which gives new compounds more
            often; "text" lets the language model write them.
        exchange: temperature at which elements are exchanged; 0 takes the most alike element.
        confidence: share of the templates' votes that a structure of an exchanged composition must
            have.

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
            raise InputError(f"no compositions {self.compositions!r}; there are {known}")
        check_exchange(self.exchange, self.confidence)

    @classmethod
    def predict(cls) -> Self:
        """How the likeliest crystal is drawn of what is asked for."""
        return replace(super().predict(), choice=0.0)


def check_exchange(exchange: float, confidence: float) -> None:
    """Refuse what is no temperature and no share.

    Raises:
        InputError: names it.
    """
    if not 0 <= confidence < 1:
        raise InputError(f"confidence must be in [0, 1), not {confidence}")
    if not 0 <= exchange < math.inf:
        raise InputError(f"exchange must be at least 0 and finite, not {exchange}")


def check_ranking(choice: float, candidates: int) -> None:
    """Refuse a temperature below 0, and nothing to choose from.

    Raises:
        InputError: names it.
    """
    if not 0 <= choice < math.inf:
        raise InputError(f"choice must be at least 0 and finite, not {choice}")
    if candidates < 1:
        raise InputError(f"candidates must be at least 1, not {candidates}")
