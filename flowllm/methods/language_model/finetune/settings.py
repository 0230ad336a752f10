"""Settings of fine-tuning a pretrained language model; kept apart from what needs torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowllm.errors import InputError
from flowllm.methods.language_model.settings import LMTrainSettings

QUANTISATIONS = ("4bit", "8bit")


@dataclass(frozen=True)
class AdapterSettings:
    """Sizes of an adapter.

    Attributes:
        rank: rank of the adapter; columns of B and rows of A.
        alpha: scale of the adapter; B A is multiplied by alpha / rank.
        dropout: dropout rate of the adapter's inputs.

    Raises:
        InputError: a value out of its range.
    """

    rank: int = 8
    alpha: float = 32.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(f"rank must be at least 1, not {self.rank}")
        if not 0 < self.alpha < float("inf"):
            raise InputError(f"alpha must be above 0 and finite, not {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be in [0, 1), not {self.dropout}")


@dataclass(frozen=True)
class LargeSettings:
    """Settings of fine-tuning a pretrained language model.

    Attributes:
        model: a local folder, or an id on the hub.
        training: as in the paper unless said otherwise; a batch is that of all processes together.
        adapter: sizes of a LoRA adapter; None trains all weights.
        load_in: "4bit" or "8bit" quantises the frozen weights; None keeps 16 or 32 bits.
        max_steps: stop after this many steps; None goes on to the end of the epochs.
        limit: use only this many crystals of the training split; None uses all.
        patience: validations without a lower loss after which training stops; 0 is off.
        at_once: micro-batch size per process, a divisor of its share of the batch; None takes the
            whole share.
        checkpointing: compute activations a second time instead of keeping them; None on GPUs only.

    Raises:
        InputError: a value out of its range, or a combination that makes no sense.
    """

    model: str
    training: LMTrainSettings = field(default_factory=LMTrainSettings.paper)
    adapter: AdapterSettings | None = field(default_factory=AdapterSettings)
    load_in: str | None = None
    max_steps: int | None = None
    limit: int | None = None
    patience: int = 0
    at_once: int | None = None
    checkpointing: bool | None = None

    def __post_init__(self) -> None:
        if self.load_in is not None and self.load_in not in QUANTISATIONS:
            raise InputError(f"unknown quantisation {self.load_in!r}; choose from 4bit and 8bit")
        if self.load_in is not None and self.adapter is None:
            raise InputError("quantised weights cannot be trained directly; add --lora")
        for name in ("max_steps", "limit", "at_once"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.patience < 0:
            raise InputError(f"patience must be at least 0, not {self.patience}")
        if self.training.optimizer != "adamw":
            raise InputError("pretrained models are fine-tuned with adamw only")
