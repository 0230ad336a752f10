"""Training a causal language model on crystals as text."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from flowllm.data.dataset import CrystalSet
from flowllm.methods.language_model.decoding.encoding import padding
from flowllm.methods.language_model.examples import IGNORED, CrystalExamples, collate, whole_batches
from flowllm.methods.language_model.format_file import save_format
from flowllm.methods.language_model.regularise import residual_dropout
from flowllm.methods.language_model.settings import LMTrainSettings
from flowllm.runs.files import whole_files
from flowllm.text.formats.base import TextFormat
from flowllm.text.formats.registry import make_format
from flowllm.training.device import used_threads
from flowllm.training.ranks import is_main, process_count, shared_batch
from flowllm.training.trainer import CrystalTrainer, training_arguments

__all__ = ["LMTrainSettings", "train_lm", "validation_figures"]

LOG_STEPS = 20
"""Steps between lines of the log, at most."""
COUNTED = 256
"""Examples whose tokens are counted, for the mean of all."""


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
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Train on what the model writes (`language_model.examples`); save it by `save_pretrained`.

    An interrupted run, called again with the same arguments, goes on from its last checkpoint and
    ends as an uninterrupted one. Where several processes run this, they share each batch, and an
    incomplete last batch is left out.

    Args:
        model: is trained in place.
        tokenizer: its own.
        train: crystals to learn from.
        validation: other crystals; the first `validation_rows` of them are scored on the way.
        out: folder for the model and its tokenizer, `checkpoints/` and `log.jsonl`.
        settings: of the training.
        text_format: in which crystals are written; by default that of the settings, for cells of
            up to 20 atoms.
        device: where to train.
        progress: called with (steps done, steps in all).

    Returns:
        See `validation_figures`.

    Raises:
        InputError: the batch cannot be shared by the processes.
        FloatingPointError: the loss is no longer finite.
    """
    settings = settings or LMTrainSettings()
    chosen = text_format or make_format(settings.text_format)
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
    steps = math.ceil(len(examples) / size)
    with used_threads(settings.threads), residual_dropout(model, settings.dropout):
        trainer = LanguageModelTrainer(
            model,
            lm_arguments(settings, out, steps, shared_batch(size), device, bf16=settings.bfloat16),
            out,
            examples,
            partial(collate, pad=padding(tokenizer)),
            per_epoch=len(train) / size,
            held_out=held_out,
            optimizer=settings.optimizer,
            progress=progress,
        )
        trainer.tokens_per_crystal = _labels_per_crystal(examples)
        trainer.run()
        if is_main():
            with whole_files(out) as folder:
                model.save_pretrained(folder)
                tokenizer.save_pretrained(folder)
                save_format(chosen, folder)
        return validation_figures(trainer, validation, tokenizer, settings, chosen)


class LanguageModelTrainer(CrystalTrainer):
    """Trains on the nats per crystal, independent of its number of tokens.

    Batches hold texts of like length. The mean over a batch's tokens would count a token of a short
    text, that is of a small or symmetric crystal, for more than one of a long text.

    Attributes:
        tokens_per_crystal: by which the nats of a crystal are divided, a constant.
    """

    tokens_per_crystal: float = 1.0

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The nats of all crystals in a step, divided by the tokens of average crystals."""
        parts = self.args.gradient_accumulation_steps * self.args.world_size
        rows = len(inputs["labels"]) * parts
        count = torch.tensor(rows * self.tokens_per_crystal, device=inputs["labels"].device)
        return super().compute_loss(model, inputs, return_outputs, count)


def _labels_per_crystal(examples: CrystalExamples) -> float:
    """Tokens that count, as the mean over some of the examples."""
    chosen = np.linspace(0, len(examples) - 1, min(len(examples), COUNTED)).astype(int)
    labels = [examples[index]["labels"] for index in chosen.tolist()]
    return float(np.mean([sum(label != IGNORED for label in row) for row in labels]))


def lm_arguments(
    settings: LMTrainSettings,
    out: Path,
    steps: int,
    split: tuple[int, int],
    device: str,
    **more: Any,
) -> TrainingArguments:
    """The Trainer's arguments for a language model.

    Args:
        settings: of the training.
        out: folder of the run.
        steps: of the whole run.
        split: of a batch, as `shared_batch` gives it.
        device: where to train.
        **more: further arguments, or others in place of these.
    """
    return training_arguments(
        out,
        device,
        log_steps=LOG_STEPS,
        eval_steps=settings.checkpoint_steps,
        save_steps=settings.checkpoint_steps,
        per_device_train_batch_size=split[0],
        per_device_eval_batch_size=split[0],
        gradient_accumulation_steps=split[1],
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.01},
        warmup_steps=min(settings.warmup_steps, steps // 5),
        weight_decay=settings.weight_decay,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        seed=settings.seed,
        **more,
    )


def validation_figures(
    trainer: CrystalTrainer,
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
