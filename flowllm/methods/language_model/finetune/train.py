"""Fine-tuning a pretrained causal language model, whole or by an adapter (FlowLLM, section 3.1).

The model keeps its own tokenizer and vocabulary, and learns to write crystals behind prompts that
state a random part of what is known of them (Gruver et al., ICLR 2024); only the crystal's text
counts in the loss. Several processes of `accelerate launch` share each batch and train as one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import prepare_model_for_kbit_training
from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.methods.language_model.decoding.encoding import context_of, padding
from flowllm.methods.language_model.examples import (
    IGNORED,
    CrystalExamples,
    collate,
    uniform_part,
    whole_batches,
)
from flowllm.methods.language_model.finetune.adapters import attach_adapter
from flowllm.methods.language_model.finetune.base import (
    ADAPTER_CONFIG,
    BASE,
    base_digest,
    check_quantisation,
    find_base,
    half_type,
    load_base_config,
    load_base_model,
    load_base_tokenizer,
)
from flowllm.methods.language_model.finetune.settings import LargeSettings
from flowllm.methods.language_model.format_file import save_format
from flowllm.methods.language_model.train import lm_arguments
from flowllm.runs.files import friendly_os_errors, read_record, whole_files, write_json
from flowllm.text.formats.base import TextFormat
from flowllm.text.formats.registry import make_format
from flowllm.training.callbacks import EarlyStop
from flowllm.training.device import used_threads
from flowllm.training.ranks import is_main, shared_batch
from flowllm.training.trainer import CrystalTrainer


@dataclass(frozen=True)
class Base:
    """A model to be fine-tuned, not yet loaded.

    Attributes:
        name: as the user gave it.
        folder: where it lies.
        digest: of its weights.
        tokenizer: its own.
        context: the longest text that it reads, in tokens; None without a limit.
        text_format: in which it shall write.
    """

    name: str
    folder: Path
    digest: str
    tokenizer: PreTrainedTokenizerBase
    context: int | None
    text_format: TextFormat

    @classmethod
    def find(
        cls, name: str, load_in: str | None = None, text_format: TextFormat | None = None
    ) -> Base:
        """Check that a model is available and can write crystals; this machine's limits come first.

        Raises:
            InputError: it cannot.
        """
        check_quantisation(load_in)
        folder = find_base(name)
        config = load_base_config(folder, name)
        chosen = text_format or make_format()
        vocabulary = config.get_text_config().vocab_size
        tokenizer = load_base_tokenizer(folder, name, vocabulary, chosen)
        return cls(name, folder, base_digest(folder, name), tokenizer, context_of(config), chosen)


def fine_tune(
    base: Base,
    train: CrystalSet,
    validation: CrystalSet,
    out: Path,
    settings: LargeSettings,
    *,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Fine-tune a pretrained model on crystals; writes adapter or model, and tokenizer, to `out`.

    An adapter is saved in peft's own format, its `adapter_config.json` names the base as the user
    did. An interrupted run, called again with the same arguments, goes on from its last checkpoint.
    The weights of the least validation loss are kept.

    Args:
        base: what is trained.
        train: crystals to learn from.
        validation: others, whose first `validation_rows` are scored.
        out: folder of the run, with checkpoints and `log.jsonl`.
        settings: of the training; those of the run and of the adapter.
        device: where to train: "cpu", "cuda" or "mps".
        progress: called with (steps done, steps in all).

    Returns:
        Nats per token and per crystal, and perplexity, of the crystals' texts, with nothing given
        and with the composition given.

    Raises:
        InputError: too few crystals for a batch, a crystal too long for the model, the batch cannot
            be split, or the model cannot be loaded.
        FloatingPointError: the loss is no longer finite.
    """
    training = settings.training
    train = train if settings.limit is None else train[: settings.limit]
    held_out = validation[: training.validation_rows]
    steps = whole_batches(len(train), training.epochs, training.batch_size, settings.max_steps)
    examples = CrystalExamples(
        train, base.tokenizer, training.epochs, training.seed, training.batch_size,
        given=base.text_format.outline, augmentation=training.augmentation, steps=steps,
        part=uniform_part, text_format=base.text_format,
    )  # fmt: skip
    longest = examples.longest(base.context)
    if base.context is not None and longest > base.context:
        raise InputError(
            f"{base.name} reads at most {base.context} tokens, and a prompt with its crystal has "
            f"up to {longest}; choose a model with a longer context, or smaller cells"
        )
    with friendly_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with used_threads(training.threads):
        # before the model is loaded, since sharded training decides how that is done
        arguments = _arguments(settings, out, steps, device)
        trainer = CrystalTrainer(
            _trainable(base, settings, device),
            arguments,
            out,
            examples,
            partial(collate, pad=padding(base.tokenizer)),
            per_epoch=len(train) / training.batch_size,
            held_out=_scored(base, held_out, settings),
            optimizer=training.optimizer,
            progress=progress,
            compute_metrics=mean_nats,
            preprocess_logits_for_metrics=nats_and_counts,
            callbacks=[EarlyStop(settings.patience)],
        )
        trainer.run()
        figures: dict[str, float] = {}
        for label, given in (("unconditional", ()), ("composition", ("composition",))):
            loader = trainer.get_eval_dataloader(_scored(base, held_out, settings, given))
            found = trainer.evaluation_loop(loader, label, metric_key_prefix=label).metrics
            figures[f"{label}_nats_per_token"] = found[f"{label}_loss"]
            figures[f"{label}_nats_per_crystal"] = found[f"{label}_nats"] / len(held_out)
            figures[f"{label}_perplexity"] = math.exp(found[f"{label}_loss"])
        _save(trainer, base, settings, out)
    return figures


def _scored(
    base: Base, data: CrystalSet, settings: LargeSettings, given: tuple[str, ...] | None = None
) -> CrystalExamples:
    """Examples that state only certain conditions, or a random subset as in training."""
    training = settings.training
    return CrystalExamples(
        data, base.tokenizer, 1, training.seed, training.batch_size, given,
        base.text_format.outline, part=uniform_part, text_format=base.text_format,
    )  # fmt: skip


def nats_and_counts(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(B, 2) sum of the nats of each text, and its number of tokens.

    Args:
        logits: (B, T, V) of the model.
        labels: (B, T), `IGNORED` where nothing is asked.
    """
    following = labels[:, 1:]
    counted = following != IGNORED
    nats = -logits[:, :-1].float().log_softmax(-1)
    nats = nats.gather(-1, following.clamp(min=0)[..., None])[..., 0]
    return torch.stack([(nats * counted).sum(1), counted.sum(1).float()], 1)


def mean_nats(prediction: EvalPrediction) -> dict[str, float]:
    """The exact mean over all tokens, independent of batches and processes."""
    nats, count = np.asarray(prediction.predictions, dtype=np.float64).sum(0)
    return {"loss": float(nats / count), "nats": float(nats)}


def _arguments(settings: LargeSettings, out: Path, steps: int, device: str) -> TrainingArguments:
    on_gpu = device == "cuda"
    again = settings.checkpointing if settings.checkpointing is not None else on_gpu
    return lm_arguments(
        settings.training, out, steps, shared_batch(settings.training.batch_size, settings.at_once),
        device,
        bf16=settings.training.bfloat16 or (on_gpu and half_type() == torch.bfloat16),
        **(_recomputing() if again else {}),
        ddp_find_unused_parameters=False,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
    )  # fmt: skip


def _recomputing() -> dict[str, Any]:
    """The option for activation checkpointing, which transformers 5 renamed."""
    word = "activation" if hasattr(TrainingArguments, "activation_checkpointing") else "gradient"
    return {
        f"{word}_checkpointing": True,
        f"{word}_checkpointing_kwargs": {"use_reentrant": False},
    }


def _trainable(base: Base, settings: LargeSettings, device: str) -> PreTrainedModel:
    """The model prepared for training: frozen weights in 16 bits on GPUs, others in 32."""
    frozen = settings.adapter is not None
    dtype = half_type() if frozen and device == "cuda" else torch.float32
    model = load_base_model(base.folder, base.name, dtype=dtype, load_in=settings.load_in)
    model.config.use_cache = False
    if settings.adapter is None:
        # matrices that share another's weights lie in no checkpoint, and are not missed there
        model._keys_to_ignore_on_save = set(model.all_tied_weights_keys)
        return model
    if settings.load_in is not None:
        again = settings.checkpointing is not False
        model = prepare_model_for_kbit_training(
            model, again, {"use_reentrant": False} if again else None
        )
    # FSDP gathers the weights of a block together, which must be of one type then
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false") == "true"
    return attach_adapter(model, settings.adapter, settings.training.seed, not sharded)


def _save(trainer: CrystalTrainer, base: Base, settings: LargeSettings, out: Path) -> None:
    """Save the adapter or the model, its tokenizer, and a record of its base."""
    trainer.accelerator.unwrap_model(trainer.model).config.use_cache = True
    if not is_main():
        trainer.save_model(str(out))  # writes nothing, but gives the main process what it holds
        return
    last = "config.json" if settings.adapter is None else ADAPTER_CONFIG
    with whole_files(out, last) as folder:
        trainer.save_model(str(folder))
        (folder / "README.md").unlink(missing_ok=True)  # peft's blank form of a model card
        base.tokenizer.save_pretrained(folder)
        save_format(base.text_format, folder)
        if settings.adapter is not None:
            write_json(folder / BASE, base_record(base, settings.load_in))
            about: dict[str, Any] = read_record(folder / ADAPTER_CONFIG)
            about["base_model_name_or_path"] = base.name
            write_json(folder / ADAPTER_CONFIG, about)


def base_record(base: Base, load_in: str | None) -> dict[str, Any]:
    """The record of an adapter's base."""
    return {"model": base.name, "digest": base.digest, "load_in": load_in}
