"""Training within a number of minutes, from prepared arrays, for one fast device.

The rate follows the larger of two shares: of the steps, and of the minutes. So a run that is too
long for its budget ends in time, with its rate come down as in a run of the right length.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from flowllm.methods.language_model.examples import IGNORED
from flowllm.training.muon import MuonAdamW, muon_groups
from recipes.prepared import PreparedTexts

Batch = dict[str, Tensor]
WARM_UP = 100  # steps
LEAST_RATE = 0.01  # of the peak, at the end
WINDOW = 32  # batches whose texts are sorted by length together
ENDLESS = 10**9  # batches


class Budget:
    """Tells how much of a run is done.

    Args:
        steps: of the run, if there is time for them.
        minutes: that it may take; 0 sets no limit.
    """

    def __init__(self, steps: int, minutes: float) -> None:
        self.steps, self.seconds = steps, 60 * minutes or math.inf
        self.began = time.perf_counter()
        self.step = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    @property
    def done(self) -> float:
        """The share of the run that is over, in [0, 1]."""
        return min(1.0, max(self.step / self.steps, self.elapsed / self.seconds))

    def rate(self, peak: float) -> float:
        """The learning rate: a linear rise, then a cosine."""
        fall = LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * self.done))
        return peak * fall * min(1.0, (self.step + 1) / min(WARM_UP, max(1, self.steps // 5)))


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


def on_device(data: Dataset[Batch], workers: int, device: torch.device) -> Iterator[Batch]:
    """The items of a data set as tensors of the device, made by so many further processes."""
    loader = DataLoader(
        data, batch_size=None, sampler=range(ENDLESS), num_workers=workers,
        pin_memory=device.type == "cuda", prefetch_factor=4 if workers else None,
    )  # fmt: skip
    for batch in loader:
        yield {name: value.to(device, non_blocking=True) for name, value in batch.items()}


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


def precision(device: torch.device) -> Any:
    """bfloat16 where it is fast."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def train_within(
    model: torch.nn.Module,
    batches: Iterator[Batch],
    loss: Callable[[Batch], Tensor],
    budget: Budget,
    log: Path,
    *,
    rate: float,
    weight_decay: float,
    ema_decay: float | None = None,
    checks: int = 8,
    check: Callable[[torch.nn.Module], dict[str, float]] | None = None,
) -> torch.nn.Module:
    """Train until the budget is used.

    Args:
        model: is trained in place.
        batches: on the device of the model.
        loss: of a batch.
        budget: of steps and minutes.
        log: lines of JSON.
        rate: peak of the learning rate.
        weight_decay: decoupled, of the matrices.
        ema_decay: of a moving average of the weights; None keeps none.
        checks: how often held-out crystals are scored.
        check: scores them.

    Returns:
        The moving average, or the model.
    """
    optimizer = MuonAdamW(muon_groups(model, weight_decay), lr=rate, weight_decay=weight_decay)
    average = None
    if ema_decay is not None:
        average = torch.optim.swa_utils.AveragedModel(
            model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(ema_decay)
        )
    total = torch.zeros((), device=next(model.parameters()).device)
    counted, checked = 0, 0
    with log.open("w") as lines:
        while budget.done < 1:
            for group in optimizer.param_groups:
                group["lr"] = budget.rate(rate)
            value = loss(next(batches))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
            optimizer.step()
            if average is not None:
                average.update_parameters(model)
            total += value.detach()
            counted += 1
            budget.step += 1
            if budget.done * checks >= checked + 1 or budget.done >= 1:
                checked = int(budget.done * checks)
                kept = model if average is None else average.module
                line = {"step": budget.step, "seconds": round(budget.elapsed, 1),
                        "loss": float(total) / counted, **(check(kept) if check else {})}  # fmt: skip
                if not math.isfinite(line["loss"]):
                    raise FloatingPointError(f"the loss is not finite at step {budget.step}")
                print(json.dumps(line), file=lines, flush=True)
                print(log.parent.name, json.dumps(line), flush=True)
                total.zero_()
                counted = 0
    return model if average is None else average.module
