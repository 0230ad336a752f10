"""Training a causal language model on crystals as text, by `transformers.Trainer`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, SequentialSampler
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.encoding import padding
from flowllm.methods.language_model.examples import CrystalExamples, collate, whole_batches
from flowllm.methods.language_model.format_file import save_format
from flowllm.methods.language_model.progress import LossLog, last_whole_checkpoint
from flowllm.methods.language_model.settings import LMTrainSettings
from flowllm.text.formats.base import TextFormat
from flowllm.text.formats.registry import make_format
from flowllm.training.muon import muon_factory
from flowllm.training.ranks import from_main, is_main, process_count

__all__ = ["LMTrainSettings", "train_lm", "validation_figures"]


class CrystalTrainer(Trainer):
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
    text_format: TextFormat | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> dict[str, float]:
    """Train on what the model writes (`language_model.examples`); save it by `save_pretrained`.

    An interrupted run, called again with the same arguments, goes on from its last checkpoint and
    ends as an uninterrupted one. Where several processes run this, they share each batch, and an
    incomplete last batch is left out.

    Args:
        model: with any weights; they are trained in place.
        tokenizer: its tokenizer.
        train: crystals to learn from.
        validation: others.
        out: folder of the run.
        settings: of the training.
        text_format: in which crystals are written; by default that of the settings, for cells of
            up to 20 atoms.
        device: where to train.
        progress: show a bar.

    Returns:
        See `validation_figures`.
    """
    settings = settings or LMTrainSettings()
    chosen = text_format or make_format(settings.text_format)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    size, together = settings.batch_size, process_count()
    examples = CrystalExamples(
        train, tokenizer, settings.epochs, settings.seed, size, augmentation=settings.augmentation,
        steps=None if together == 1 else whole_batches(len(train), settings.epochs, size, None),
        text_format=chosen,
    )  # fmt: skip
    held_out = CrystalExamples(
        validation[: settings.validation_rows], tokenizer, 1, settings.seed, size,
        text_format=chosen,
    )  # fmt: skip
    trainer = CrystalTrainer(
        model=model,
        args=training_arguments(
            settings, out, math.ceil(len(examples) / size), shared_batch(size), device, progress
        ),
        train_dataset=examples,
        eval_dataset=held_out,
        data_collator=partial(collate, pad=padding(tokenizer)),
        callbacks=[LossLog(out / "log.jsonl")],
        optimizer_cls_and_kwargs=(
            (muon_factory, {"lr": settings.learning_rate, "weight_decay": settings.weight_decay})
            if settings.optimizer == "muon"
            else None
        ),
    )
    resume(trainer, out)
    if is_main():
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)
        save_format(chosen, out)
    return validation_figures(trainer, validation, tokenizer, settings, chosen)


def shared_batch(size: int, at_once: int | None = None) -> tuple[int, int]:
    """How a batch is split: texts that a process takes at once, and how often before a step.

    Args:
        size: crystals a step.
        at_once: the most that a process may take at once; None takes its whole share.

    Raises:
        InputError: the batch cannot be split evenly.
    """
    share, rest = divmod(size, process_count())
    if rest or not share:
        raise InputError(
            f"a batch of {size} cannot be shared by {process_count()} processes; "
            "choose --batch-size as a multiple of their number"
        )
    at_once = share if at_once is None else at_once
    if at_once < 1 or share % at_once:
        raise InputError(
            f"{at_once} texts at once do not divide the {share} that a process takes of a batch"
        )
    return at_once, share // at_once


def training_arguments(
    settings: LMTrainSettings,
    out: Path,
    steps: int,
    split: tuple[int, int],
    device: str,
    progress: bool,
    **more: Any,
) -> TrainingArguments:
    """What the Trainer is told.

    Args:
        settings: of the training.
        out: folder of the run.
        steps: of the whole run.
        split: of a batch, as `shared_batch` gives it.
        device: where to train.
        progress: show a bar.
        **more: further arguments, or others in place of these.
    """
    every = min(settings.checkpoint_steps, steps)
    return TrainingArguments(
        **{
            "output_dir": str(out / "checkpoints"),
            "num_train_epochs": 1,  # all epochs are one arranged list
            "per_device_train_batch_size": split[0],
            "per_device_eval_batch_size": split[0],
            "gradient_accumulation_steps": split[1],
            "learning_rate": settings.learning_rate,
            "lr_scheduler_type": "cosine_with_min_lr",
            "lr_scheduler_kwargs": {"min_lr_rate": 0.01},
            "warmup_steps": min(settings.warmup_steps, steps // 5),
            "weight_decay": settings.weight_decay,
            "adam_beta2": 0.95,
            "max_grad_norm": 1.0,
            # a divisor of the checkpoints' steps, so that a resumed run logs the same averages
            "logging_steps": min(math.gcd(20, settings.checkpoint_steps), steps),
            "eval_strategy": "steps",
            "eval_steps": every,
            "save_strategy": "steps",
            "save_steps": every,
            "save_total_limit": 2,
            "report_to": "none",
            "disable_tqdm": not progress,
            "use_cpu": device == "cpu",
            "seed": settings.seed,
            "remove_unused_columns": False,
            "dataloader_num_workers": 0,
            **more,
        }
    )


def resume(trainer: Trainer, out: Path) -> None:
    """Train, from the last whole checkpoint of the run if there is one."""
    last = from_main(lambda: last_whole_checkpoint(out / "checkpoints"))
    trainer.train(resume_from_checkpoint=None if last is None else str(last))


def validation_figures(
    trainer: Trainer,
    validation: CrystalSet,
    tokenizer: PreTrainedTokenizerBase,
    settings: LMTrainSettings,
    text_format: TextFormat,
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
            validation, tokenizer, 1, settings.seed, settings.batch_size, text_format.outline,
            given, text_format=text_format,
        )  # fmt: skip
        total = tokens = 0.0
        # not the Trainer's own loader, which gives each of several processes a part
        loader = DataLoader(examples, settings.batch_size, collate_fn=trainer.data_collator)
        trainer.model.eval()
        for loaded in loader:
            batch = {name: tensor.to(trainer.model.device) for name, tensor in loaded.items()}
            count = float((batch["labels"][:, 1:] >= 0).sum())
            with torch.inference_mode():
                total += float(trainer.model(**batch).loss) * count
            tokens += count
        figures[f"{label}_nats_per_token"] = total / tokens
        figures[f"{label}_nats_per_crystal"] = total / len(validation)
        figures[f"{label}_perplexity"] = math.exp(total / tokens)
    return figures
