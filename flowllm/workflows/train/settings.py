"""Settings of the stages of training; kept apart from the code that needs torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from flowllm.errors import InputError
from flowllm.methods.language_model.finetune.settings import AdapterSettings, LargeSettings
from flowllm.methods.language_model.settings import (
    CompactConfig,
    LMTrainSettings,
    SamplingSettings,
)
from flowllm.settings import Preset, check_seed, setting

Alignment = Literal["translation", "hungarian", "list"]
Keep = Literal["closest", "all"]


@dataclass(frozen=True)
class LanguageModelSettings:
    """Training settings of a language model: compact from scratch, or pretrained and fine-tuned.

    Attributes:
        model: pretrained language model to fine-tune; a folder, or an id on the hub, as in
            meta-llama/Llama-2-7b-hf. By default a compact model is trained from scratch.
            Fine-tuning is that of the paper: 10 epochs, batches of 16, a rate of 5e-4, no weight
            decay, AdamW.
        sizes: of the compact model.
        training: how either is trained.
        lora: train a LoRA adapter and freeze the model.
        adapter: sizes of the adapter.
        load_in_4bit: load the pretrained model in 4 bits; needs CUDA and bitsandbytes.
        load_in_8bit: load the pretrained model in 8 bits; needs CUDA and bitsandbytes.
        max_steps: stop fine-tuning after this many steps.
        limit: fine-tune on only this many crystals.
        patience: early-stopping patience, in validations; training stops after so many without a
            lower loss. 0 is off.
        at_once: micro-batch size per process; splits a share of a batch that does not fit into
            memory.

    Raises:
        InputError: settings of a compact model for a pretrained one, or the other way round.
    """

    model: str | None = None
    sizes: CompactConfig = field(default_factory=CompactConfig)
    training: LMTrainSettings = field(default_factory=LMTrainSettings)
    lora: bool = False
    adapter: AdapterSettings = field(default_factory=AdapterSettings)
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    max_steps: int | None = None
    limit: int | None = None
    patience: int = 0
    at_once: int | None = None

    def __post_init__(self) -> None:
        if self.model is None:
            own = ("lora", "load_in_4bit", "load_in_8bit", "patience", "max_steps", "limit",
                   "at_once")  # fmt: skip
            if any(getattr(self, name) for name in own):
                raise InputError(
                    "--lora, --load-in-4bit, --load-in-8bit, --patience, --max-steps, --limit and "
                    "--at-once need --model"
                )
            return
        if self.sizes != type(self)().sizes:
            raise InputError(
                "--hidden, --layers, --heads and --feed-forward do not apply to --model, which has "
                "its own"
            )
        if self.load_in_4bit and self.load_in_8bit:
            raise InputError("--load-in-4bit or --load-in-8bit, not both")

    @classmethod
    def paper(cls) -> LanguageModelSettings:
        """The training of the paper."""
        return cls(training=LMTrainSettings.paper())

    @staticmethod
    def usual(given: Collection[str]) -> Preset:
        """The default preset for these options: the paper's for fine-tuning."""
        return "paper" if "model" in given else "compact"

    @property
    def fine_tuning(self) -> LargeSettings | None:
        """Fine-tuning settings of a pretrained model; None if a compact one is trained."""
        if self.model is None:
            return None
        return LargeSettings(
            self.model,
            self.training,
            self.adapter if self.lora else None,
            "4bit" if self.load_in_4bit else "8bit" if self.load_in_8bit else None,
            max_steps=self.max_steps,
            limit=self.limit,
            patience=self.patience,
            at_once=self.at_once,
        )


def _symmetric_sizes() -> CompactConfig:
    return CompactConfig(hidden=192, layers=6, heads=3, feed_forward=512)


def _symmetric_training() -> LMTrainSettings:
    return LMTrainSettings(epochs=18, batch_size=256, dropout=0.1, text_format="wyckoff")


@dataclass(frozen=True)
class SymmetricTextSettings(LanguageModelSettings):
    """The same for symmetric texts, which are short: a smaller model, and more passes.

    Attributes:
        sizes: of the compact model.
        training: how either is trained.
    """

    sizes: CompactConfig = field(default_factory=_symmetric_sizes)
    training: LMTrainSettings = field(default_factory=_symmetric_training)

    @classmethod
    def paper(cls) -> SymmetricTextSettings:
        """The training of the paper, in symmetric texts."""
        return cls(training=replace(LMTrainSettings.paper(), text_format="wyckoff"))


@dataclass(frozen=True)
class SpeciesSettings(LanguageModelSettings):
    """The same for a language model that writes species alone, which another system may have.

    Attributes:
        language_model_of: system whose language model to use; nothing is trained. It is a model
            that ships with the package, by its name, whose language model is then named and not
            copied, or the folder of a system.

    Raises:
        InputError: settings of a training that would not take place.
    """

    language_model_of: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            self.language_model_of is not None
            and replace(self, language_model_of=None) != type(self)()
        ):
            raise InputError(
                f"the language model of {self.language_model_of} is trained; other settings of its "
                "training do not apply"
            )


@dataclass(frozen=True)
class PairSettings:
    """Settings of making pairs of a prior sample and a training crystal.

    Attributes:
        sampling: how the prior draws.
        num_pairs: number of targets drawn; from the training split. Default one for each of its
            crystals.
        samples_per_target: samples drawn for each target.
        keep: samples kept for each target: "closest", the one closest to it, or "all".
        perturbed: number of noisy copies to add as pairs; of a copy and its target. Default
            num_pairs.
        alignment: atom matching with the target: "translation", by element after the best common
            translation; "hungarian", by element; "list", in the order of the text.
        seed: random seed.
        chunk_size: draws that are finished, and kept, together.

    Raises:
        InputError: a value out of its range.
    """

    sampling: Any = setting(factory=SamplingSettings, part="prior")
    num_pairs: int | None = None
    samples_per_target: int = 1
    keep: Keep = "all"
    perturbed: int | None = None
    alignment: Alignment = "translation"
    seed: int = 0
    chunk_size: int = setting(256, option=False)

    def __post_init__(self) -> None:
        for name in ("num_pairs", "samples_per_target", "chunk_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}")
        if self.perturbed is not None and self.perturbed < 0:
            raise InputError(f"perturbed must be at least 0, not {self.perturbed}")
        if self.keep not in get_args(Keep):
            raise InputError(f"keep must be closest or all, not {self.keep!r}")
        if self.alignment not in get_args(Alignment):
            known = ", ".join(get_args(Alignment))
            raise InputError(f"unknown alignment {self.alignment!r}; choose from {known}")
        check_seed(self.seed)

    @classmethod
    def paper(cls) -> PairSettings:
        """FlowLLM's 3.3 million pairs at τ 0.9, P 0.99, atoms paired in the order of the text."""
        return cls(SamplingSettings(0.9, 0.99), 3_300_000, perturbed=0, alignment="list")

    def counted(self, num_targets: int) -> PairSettings:
        """The same with all numbers of pairs filled in for the training split's size."""
        count = num_targets if self.num_pairs is None else self.num_pairs
        noisy = count if self.perturbed is None else self.perturbed
        return replace(self, num_pairs=count, perturbed=noisy)


@dataclass(frozen=True)
class SimpleBasePairSettings(PairSettings):
    """The same for a simple base, whose samples cost next to nothing: several for each crystal.

    Attributes:
        samples_per_target: samples drawn for each target.
        perturbed: number of noisy copies to add as pairs; of a copy and its target. None adds
            num_pairs.
    """

    samples_per_target: int = 4
    perturbed: int | None = 0
