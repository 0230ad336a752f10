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

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from flowllm.training.muon import MuonAdamW, muon_groups

Batch = dict[str, Tensor]
WARM_UP = 100  # steps
LEAST_RATE = 0.01  # of the peak, at the end
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


def on_device(data: Dataset[Batch], workers: int, device: torch.device) -> Iterator[Batch]:
    """The items of a data set as tensors of the device, made by so many further processes."""
    loader = DataLoader(
        data, batch_size=None, sampler=range(ENDLESS), num_workers=workers,
        pin_memory=device.type == "cuda", prefetch_factor=4 if workers else None,
    )  # fmt: skip
    for batch in loader:
        yield {name: value.to(device, non_blocking=True) for name, value in batch.items()}


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
                line = {"step": budget.step, "seconds": round(budget.elapsed, 1)}
                line |= {"loss": float(total) / counted} | (check(kept) if check else {})
                if not math.isfinite(line["loss"]):
                    raise FloatingPointError(f"the loss is not finite at step {budget.step}")
                print(json.dumps(line), file=lines, flush=True)
                print(log.parent.name, json.dumps(line), flush=True)
                total.zero_()
                counted = 0
    return model if average is None else average.module
