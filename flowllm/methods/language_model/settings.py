"""What can be set about the language model: its sizes, its training and how texts are drawn.

Kept apart from the code that needs torch, so that the command line knows them without loading it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flowllm.errors import InputError


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of the compact model.

    Attributes:
        hidden: width of the residual stream.
        layers: transformer blocks.
        heads: attention heads; must divide `hidden`.
        feed_forward: width inside the gated feed-forward blocks.
        context: the longest prompt and crystal together, in tokens.
    """

    hidden: int = 256
    layers: int = 6
    heads: int = 8
    feed_forward: int = 704
    context: int = 512

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "heads", "feed_forward", "context"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise InputError(f"{self.heads} heads do not divide hidden {self.hidden} evenly")


@dataclass(frozen=True)
class LMTrainSettings:
    """How the language model is trained.

    Attributes:
        epochs: passes over the training split.
        batch_size: crystals a step.
        learning_rate: peak; linear warm-up, then a cosine to a hundredth of it.
        warmup_steps: steps of warm-up.
        weight_decay: decoupled, on matrices.
        optimizer: "muon" (matrices by Muon, the rest by AdamW) or "adamw".
        augmentation: "none", or "translation": crystals moved by random vectors.
        seed: of weights, order and prompts.
        validation_rows: crystals of the validation split that are scored on the way.
        checkpoint_steps: steps between checkpoints, from which an interrupted run goes on.
        threads: processor threads; 0 leaves torch's choice.
    """

    epochs: int = 14
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    optimizer: str = "muon"
    augmentation: str = "none"
    seed: int = 0
    validation_rows: int = 512
    checkpoint_steps: int = 200
    threads: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validation_rows", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate must be above 0, not {self.learning_rate}")
        if self.optimizer not in ("muon", "adamw"):
            raise InputError(f"optimizer {self.optimizer!r} is neither muon nor adamw")
        if self.augmentation not in ("none", "translation"):
            raise InputError(f"augmentation {self.augmentation!r} is neither none nor translation")


@dataclass(frozen=True)
class SamplingSettings:
    """How texts are drawn.

    Attributes:
        temperature: logits are divided by it; below 1 the likely becomes likelier.
        top_p: nucleus; only the likeliest tokens that add up to this probability are drawn.
        noise: standard deviation of Gaussian noise on the sampled values, in each value's own unit
            (fractional, Å, degrees).
        overlap: let atoms be written on top of each other; else decoding keeps them apart.
        batch_size: texts at a time.
        max_new_tokens: a text that has not ended by then is cut and rejected.

    Raises:
        InputError: a value out of its range.
    """

    temperature: float = 0.7
    top_p: float = 0.9
    noise: float = 0.0
    overlap: bool = False
    batch_size: int = 256
    max_new_tokens: int = 128

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise InputError(f"temperature must be above 0 and finite, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p must be in (0, 1], not {self.top_p}")
        if not 0 <= self.noise < math.inf:
            raise InputError(f"noise must be at least 0 and finite, not {self.noise}")
        for name in ("batch_size", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
