"""Training a causal language model on crystals as text, by `transformers.Trainer`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import SequentialSampler
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_utils import get_last_checkpoint

from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.lm.examples import CrystalExamples, collate
from flowllm.lm.optimizer import muon_factory


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
    seed: int = 0
    validation_rows: int = 512
    checkpoint_steps: int = 200
    threads: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validation_rows", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise InputError(f"learning_rate must be above 0, not {self.learning_rate}")
        if self.optimizer not in ("muon", "adamw"):
            raise InputError(f"optimizer {self.optimizer!r} is neither muon nor adamw")


class _CrystalTrainer(Trainer):
    """A Trainer that reads the examples in the order in which they were arranged."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class _LossLog(TrainerCallback):
    """Writes every logged figure as a line of JSON, each step once even when a run is resumed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Drop what an interrupted run logged after the checkpoint that this one starts from."""
        if self.path.is_file() and state.is_world_process_zero:
            lines = self.path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if json.loads(line)["step"] <= state.global_step]
            self.path.write_text("".join(kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs and state.is_world_process_zero:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")


def train_lm(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: CrystalSet,
    validation: CrystalSet,
    out: Path,
    settings: LMTrainSettings | None = None,
    *,
    device: str = "cpu",
    progress: bool = True,
) -> dict[str, float]:
    """Train on the answer's tokens only and save the model in `out` by `save_pretrained`.

    An interrupted run, called again with the same arguments, goes on from its last checkpoint and
    ends as an uninterrupted one.

    Returns:
        See `validation_figures`.
    """
    settings = settings or LMTrainSettings()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    examples = CrystalExamples(
        train, tokenizer, settings.epochs, settings.seed, settings.batch_size
    )
    held_out = CrystalExamples(
        validation[: settings.validation_rows], tokenizer, 1, settings.seed, settings.batch_size
    )
    steps = math.ceil(len(examples) / settings.batch_size)
    trainer = _CrystalTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(out / "checkpoints"),
            num_train_epochs=1,  # all epochs are one arranged list
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr_rate": 0.01},
            warmup_steps=min(settings.warmup_steps, steps // 5),
            weight_decay=settings.weight_decay,
            adam_beta2=0.95,
            max_grad_norm=1.0,
            logging_steps=min(20, steps),
            eval_strategy="steps",
            eval_steps=settings.checkpoint_steps,
            save_strategy="steps",
            save_steps=settings.checkpoint_steps,
            save_total_limit=2,
            report_to="none",
            disable_tqdm=not progress,
            use_cpu=device == "cpu",
            seed=settings.seed,
            remove_unused_columns=False,
            dataloader_num_workers=0,
        ),
        train_dataset=examples,
        eval_dataset=held_out,
        data_collator=partial(collate, pad=pad),
        callbacks=[_LossLog(out / "log.jsonl")],
        optimizer_cls_and_kwargs=(
            (muon_factory, {"lr": settings.learning_rate, "weight_decay": settings.weight_decay})
            if settings.optimizer == "muon"
            else None
        ),
    )
    checkpoints = out / "checkpoints"
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return validation_figures(trainer, validation, tokenizer, settings)


def validation_figures(
    trainer: Trainer,
    validation: CrystalSet,
    tokenizer: PreTrainedTokenizerBase,
    settings: LMTrainSettings,
) -> dict[str, float]:
    """The loss on the answers of the whole validation split, without and with the composition.

    Returns:
        For prompts that give nothing and prompts that give the cell's composition: nats per token
        and per crystal, and perplexity (base e).
    """
    figures: dict[str, float] = {}
    for label, fixed in (("unconditional", ()), ("composition", ("composition",))):
        examples = CrystalExamples(
            validation, tokenizer, 1, settings.seed, settings.batch_size, fixed=fixed
        )
        total = tokens = 0.0
        loader = trainer.get_eval_dataloader(examples)
        trainer.model.eval()
        for batch in loader:
            count = float((batch["labels"][:, 1:] >= 0).sum())
            with torch.inference_mode():
                total += float(trainer.model(**batch).loss) * count
            tokens += count
        figures[f"{label}_nats_per_token"] = total / tokens
        figures[f"{label}_nats_per_crystal"] = total / len(validation)
        figures[f"{label}_perplexity"] = math.exp(total / tokens)
    return figures
