"""Train a compact model of symmetric texts from prepared arrays, within a number of minutes."""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from flowllm.methods.language_model.compact import build_compact
from flowllm.methods.language_model.examples import IGNORED
from flowllm.methods.language_model.format_file import save_format
from flowllm.methods.language_model.regularise import residual_dropout
from flowllm.methods.language_model.settings import CompactConfig
from flowllm.text.formats.registry import make_format
from flowllm.text.tokenizer import load_tokenizer
from recipes import prepared
from recipes.budgeted import ENDLESS, Batch, Budget, on_device, precision, train_within
from recipes.prepared import PreparedTexts

WINDOW = 32  # batches whose texts are sorted by length together


def language_model(args: argparse.Namespace) -> None:
    """Train a compact model of the symmetric text."""
    device = torch.device(args.device)
    torch.backends.cuda.matmul.allow_tf32 = True
    texts = prepared.load_texts(args.folder)
    tokenizer = load_tokenizer(args.folder / prepared.TOKENIZER)
    config = CompactConfig(
        hidden=args.hidden, layers=args.layers, heads=args.heads, feed_forward=args.feed_forward
    )
    model = build_compact(tokenizer, config, args.seed).to(device).train()
    train = texts["train"] if not args.rows else texts["train"].head(args.rows)
    size = min(args.batch, len(train))
    steps = args.steps or args.epochs * (len(train) // size)
    tokens = float(np.mean(train.answers.lengths))

    def loss(batch: Batch) -> torch.Tensor:
        with precision(device):
            return summed_nats(model, batch)[0] / (size * tokens)

    def check(model: torch.nn.Module) -> dict[str, float]:
        return {
            name: round(nats_per_crystal(model, texts[name], device), 4)
            for name in prepared.HELD_OUT
        }

    batches = on_device(TextBatches(train, size, args.seed, args.canonical), args.workers, device)
    with residual_dropout(model, args.dropout):
        train_within(
            model, batches, loss, Budget(steps, args.budget), args.out / "log.jsonl",
            rate=args.rate, weight_decay=args.weight_decay, check=check,
        )  # fmt: skip
    model.half().save_pretrained(args.out, max_shard_size=f"{args.shard_size}MB")
    tokenizer.save_pretrained(args.out)
    save_format(make_format(prepared.FORMAT, prepared.MAX_ATOMS), args.out)


class TextBatches(Dataset[Batch]):
    """Batches of like length without end, in random wordings; item k is that of step k.

    Args:
        texts: of the crystals.
        size: crystals in a batch.
        seed: of order and wordings.
        canonical: take the first text of each crystal only.
    """

    def __init__(self, texts: PreparedTexts, size: int, seed: int, canonical: bool = False) -> None:
        self.texts, self.size, self.seed, self.canonical = texts, size, seed, canonical
        self.per_epoch = len(texts) // size
        self.lengths = texts.lengths()
        self._order = (-1, np.zeros((0, size), dtype=np.int64))

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, step: int) -> Batch:
        epoch, place = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self._batches(np.random.default_rng([self.seed, 0, epoch])))
        rng = np.random.default_rng([self.seed, 1, step])
        ids, labels = self.texts.batch(self._order[1][place], rng, self.canonical)
        return {"input_ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels)}

    def _batches(self, rng: np.random.Generator) -> np.ndarray:
        """(S, B) the crystals of each batch of a pass: shuffled, then by length in windows."""
        order = rng.permutation(len(self.texts))[: self.per_epoch * self.size]
        parts = []
        for start in range(0, len(order), WINDOW * self.size):
            part = order[start : start + WINDOW * self.size]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            parts.append(rng.permutation(part.reshape(-1, self.size)))
        return np.concatenate(parts)


def summed_nats(model: torch.nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """The nats of all labels of a batch, and how many labels there are."""
    labels = batch["labels"][:, 1:]
    # padding stands right of everything, where causal attention does not look
    logits = model(input_ids=batch["input_ids"]).logits[:, :-1]
    nats = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), labels.reshape(-1),
        ignore_index=IGNORED, reduction="sum",
    )  # fmt: skip
    return nats, (labels != IGNORED).sum()


@torch.inference_mode()
def nats_per_crystal(
    model: torch.nn.Module, texts: PreparedTexts, device: torch.device, size: int = 512
) -> float:
    """The mean nats of held-out crystals."""
    model.eval()
    order = np.argsort(texts.lengths(), kind="stable")
    total = 0.0
    for start in range(0, len(order), size):
        ids, labels = texts.batch(order[start : start + size], None)
        batch = {"input_ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels)}
        with precision(device):
            nats = summed_nats(model, {k: v.to(device) for k, v in batch.items()})[0]
        total += float(nats)
    model.train()
    return total / len(texts)
