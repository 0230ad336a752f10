"""Training a causal language model on crystals as text, by `transformers.Trainer`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import SequentialSampler
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from flowllm.data.dataset import CrystalSet
from flowllm.lm.examples import CrystalExamples, collate
from flowllm.lm.progress import LossLog, last_whole_checkpoint
from flowllm.lm.settings import LMTrainSettings
from flowllm.optimizer import muon_factory
from flowllm.text.prompts import OUTLINE

__all__ = ["LMTrainSettings", "train_lm", "validation_figures"]


class _CrystalTrainer(Trainer):
    """A Trainer that reads the examples in the order in which they were arranged."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


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
    """Train on what the model writes (`flowllm.lm.examples`); save it by `save_pretrained`.

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
        train, tokenizer, settings.epochs, settings.seed, settings.batch_size,
        augmentation=settings.augmentation,
    )  # fmt: skip
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
            # a divisor of the checkpoints' steps, so that a resumed run logs the same averages
            logging_steps=min(math.gcd(20, settings.checkpoint_steps), steps),
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
        callbacks=[LossLog(out / "log.jsonl")],
        optimizer_cls_and_kwargs=(
            (muon_factory, {"lr": settings.learning_rate, "weight_decay": settings.weight_decay})
            if settings.optimizer == "muon"
            else None
        ),
    )
    last = last_whole_checkpoint(out / "checkpoints")
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return validation_figures(trainer, validation, tokenizer, settings)


def validation_figures(
    trainer: Trainer,
    validation: CrystalSet,
    tokenizer: PreTrainedTokenizerBase,
    settings: LMTrainSettings,
) -> dict[str, float]:
    """The loss on the whole validation split, with nothing given and with the composition given.

    What is not given is written by the model: with nothing given composition, space group and the
    crystal's text, else space group and text.

    Returns:
        Nats per token and per crystal, and perplexity (base e), of all tokens that it writes.
    """
    figures: dict[str, float] = {}
    for label, given in (("unconditional", ()), ("composition", ("composition",))):
        examples = CrystalExamples(
            validation, tokenizer, 1, settings.seed, settings.batch_size, OUTLINE, given
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
