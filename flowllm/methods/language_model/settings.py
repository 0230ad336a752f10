"""Settings of the language model: its sizes, its training and its sampling.

Kept apart from the code that needs torch, so that the command line knows them without loading it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from flowllm.errors import InputError
from flowllm.settings import LARGEST_TRAINING_SEED, check_seed, check_threads, setting
from flowllm.text.formats.registry import DEFAULT_FORMAT, FORMATS

Optimizer = Literal["muon", "adamw"]
Augmentation = Literal["none", "translation", "normalizer"]
COLDEST = 1e-6  # temperature
LOUDEST = 100.0  # noise
FEWEST_TOKENS = 128  # that a text may take, however small the cells


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of the compact model.

    Attributes:
        hidden: width of the residual stream.
        layers: transformer blocks.
        heads: attention heads; must divide `hidden`.
        feed_forward: width of the feed-forward blocks; these are gated.
        context: longest text and prompt, in tokens.
    """

    hidden: int = 224
    layers: int = 6
    heads: int = 7
    feed_forward: int = 576
    context: int = 512

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "heads", "feed_forward", "context"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise InputError(f"{self.heads} heads do not divide hidden {self.hidden} evenly")


@dataclass(frozen=True)
class LMTrainSettings:
    """Training settings of the language model.

    Attributes:
        epochs: passes over the training split.
        batch_size: crystals per step; of all processes together.
        learning_rate: peak learning rate; linear warm-up, then a cosine to a hundredth of it.
        warmup_steps: warm-up steps.
        weight_decay: decoupled weight decay of matrices; more epochs need more of it.
        dropout: dropout rate; of the outputs of attention and feed-forward blocks.
        optimizer: optimiser: "muon" (AdamW for all but the matrices) or "adamw".
        augmentation: data augmentation: "none", "translation" (crystals moved by random vectors) or
            "normalizer" (a random one of the equivalent descriptions of a crystal, for formats that
            have several).
        text_format: text format of the crystals: gruver (cell and atoms one by one), wyckoff (space
            group and orbits), or a name that was added to `flowllm.text.formats.registry`.
        seed: random seed; sets weights, order and prompts.
        validation_rows: validation crystals to score; at each validation.
        checkpoint_steps: steps between checkpoints; and between validations. An interrupted run
            goes on from the last checkpoint.
        threads: CPU threads; 0 uses all.
        bfloat16: multiply matrices in bfloat16; some processors and GPUs are faster at it. Weights
            and updates stay in float32.

    Raises:
        InputError: a value out of its range.
    """

    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 2.5e-3
    warmup_steps: int = 100
    weight_decay: float = 0.5
    dropout: float = 0.0
    optimizer: Optimizer = "muon"
    augmentation: Augmentation = "none"
    text_format: str = setting(DEFAULT_FORMAT, option="text", also=("text_format",))
    seed: int = 0
    validation_rows: int = 512
    checkpoint_steps: int = 200
    threads: int = 0
    bfloat16: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validation_rows", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate must be above 0, not {self.learning_rate}")
        if self.optimizer not in get_args(Optimizer):
            raise InputError(f"optimizer {self.optimizer!r} is neither muon nor adamw")
        if self.text_format not in FORMATS:
            known = ", ".join(FORMATS)
            raise InputError(f"unknown text format {self.text_format!r}; choose from {known}")
        if self.augmentation not in get_args(Augmentation):
            known = ", ".join(get_args(Augmentation))
            raise InputError(f"unknown augmentation {self.augmentation!r}; choose from {known}")
        if self.warmup_steps < 0 or not 0 <= self.weight_decay < math.inf:
            raise InputError("warmup_steps and weight_decay must be at least 0 and finite")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be in [0, 1), not {self.dropout}")
        check_seed(self.seed, LARGEST_TRAINING_SEED)
        check_threads(self.threads)

    @classmethod
    def paper(cls) -> LMTrainSettings:
        """How FlowLLM fine-tunes LLaMA-2 (section 3.1 and appendix)."""
        return cls(
            epochs=10, batch_size=16, learning_rate=5e-4, weight_decay=0.0, optimizer="adamw"
        )


@dataclass(frozen=True)
class SamplingSettings:
    """Sampling settings of the language model.

    Attributes:
        temperature: sampling temperature; above 0. Lower gives likelier crystals.
        top_p: nucleus sampling; tokens are drawn from the smallest set with this probability, in
            (0, 1].
        noise: Gaussian noise on the sampled values; its standard deviation, in each value's own
            unit (fractional, Å, degrees).
        overlap: allow overlapping atoms; otherwise decoding keeps them apart.
        composition_temperature: temperature for the composition; where the model chooses it. 0
            takes that of the rest. A low one prefers the commonest elements and formulas.
        batch_size: texts at a time.
        max_new_tokens: longest text, in tokens; longer ones are cut and rejected. By default as
            many as the largest cell of the model needs in its text format.

    Raises:
        InputError: a value out of its range.
    """

    temperature: float = setting(
        0.7, low=0.05, high=2.0, step=0.05, label="Temperature τ", short="τ", written=".2f"
    )
    top_p: float = setting(
        0.9, low=0.05, high=1.0, step=0.05, label="Nucleus P", short="P", written=".2f"
    )
    noise: float = setting(0.0, low=0.0, high=0.2, step=0.005, label="Noise σ", short="Noise")
    overlap: bool = setting(False, form=False)
    composition_temperature: float = setting(
        0.0, low=0.0, high=2.0, step=0.05, label="Temperature of the composition",
        short="τ of composition", written=".2f", zero="as τ",
    )  # fmt: skip
    batch_size: int = setting(256, option=False, form=False)
    max_new_tokens: int | None = setting(None, form=False)

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise InputError(f"temperature must be above 0 and finite, not {self.temperature}")
        if self.temperature < COLDEST:  # logits over it would no longer be numbers
            raise InputError(f"temperature must be at least {COLDEST:g}, not {self.temperature}")
        if self.composition_temperature and not (
            COLDEST <= self.composition_temperature < math.inf
        ):
            raise InputError(
                f"composition_temperature must be 0, or finite and at least {COLDEST:g}, "
                f"not {self.composition_temperature}"
            )
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p must be in (0, 1], not {self.top_p}")
        if not 0 <= self.noise < math.inf:
            raise InputError(f"noise must be at least 0 and finite, not {self.noise}")
        if self.noise > LOUDEST:
            raise InputError(f"noise must be at most {LOUDEST:g}, not {self.noise}")
        for name in ("batch_size", "max_new_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}")

    @classmethod
    def predict(cls) -> Self:
        """Settings for the likeliest crystal under the conditions."""
        return cls(temperature=0.3, top_p=1.0)

    def of_composition(self) -> SamplingSettings:
        """Settings for sampling a composition."""
        return replace(self, temperature=self.composition_temperature or self.temperature)
