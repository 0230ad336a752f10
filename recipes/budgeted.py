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
from recipes.paused import load_state, save_state

Batch = dict[str, Tensor]
WARM_UP = 100  # steps
LEAST_RATE = 0.01  # of the peak, at the end
ENDLESS = 10**9  # batches


class Budget:
    """Tells how much of a run is done.

    Args:
        steps: of the run, if there is time for them.
        minutes: that it may take; 0 sets no limit.
        session: minutes after which this process is to pause; 0 sets no limit.

    Attributes:
        step: steps done.
        before: seconds of earlier processes of a run that was paused.
    """

    def __init__(self, steps: int, minutes: float, session: float = 0.0) -> None:
        self.steps, self.seconds = steps, 60 * minutes or math.inf
        self.session = 60 * session or math.inf
        self.began = time.perf_counter()
        self.step, self.before = 0, 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning, without those of pauses."""
        return self.before + time.perf_counter() - self.began

    @property
    def is_paused(self) -> bool:
        """Whether the time of this process is over."""
        return time.perf_counter() - self.began >= self.session

    @property
    def done(self) -> float:
        """The share of the run that is over, in [0, 1]."""
        return min(1.0, max(self.step / self.steps, self.elapsed / self.seconds))

    def rate(self, peak: float) -> float:
        """The learning rate: a linear rise, then a cosine."""
        fall = LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * self.done))
        return peak * fall * min(1.0, (self.step + 1) / min(WARM_UP, max(1, self.steps // 5)))


def on_device(
    data: Dataset[Batch],
    workers: int,
    device: torch.device,
    first: int = 0,
    last: int = ENDLESS,
) -> Iterator[Batch]:
    """Items of a data set as tensors of the device, made by so many further processes.

    Args:
        data: item k is the batch of step k.
        workers: processes; with 0 this one makes them.
        device: where to.
        first: the first item.
        last: the item before which they end.
    """
    loader = DataLoader(
        data, batch_size=None, sampler=range(first, last), num_workers=workers,
        pin_memory=device.type == "cuda", prefetch_factor=4 if workers else None,
    )  # fmt: skip
    for batch in loader:
        yield {name: value.to(device, non_blocking=True) for name, value in batch.items()}


def precision(device: torch.device) -> Any:
    """bfloat16 where it is fast."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def train_within(
    model: torch.nn.Module,
    batches: Iterator[Batch] | Callable[[int], Iterator[Batch]],
    loss: Callable[[Batch], Tensor],
    budget: Budget,
    log: Path,
    *,
    rate: float,
    weight_decay: float,
    optimizer_name: str = "muon",
    ema_decay: float | None = None,
    checks: int = 8,
    check: Callable[[torch.nn.Module], dict[str, float]] | None = None,
    state: Path | None = None,
) -> torch.nn.Module:
    """Train until the budget is used, or the session of this process is over.

    Args:
        model: is trained in place.
        batches: on the device of the model; or what gives those from a step on, for a run that may
            go on.
        loss: of a batch.
        budget: of steps and minutes.
        log: lines of JSON.
        rate: peak of the learning rate.
        weight_decay: decoupled, of the matrices.
        optimizer_name: "muon", or "adamw" for torch's own.
        ema_decay: of a moving average of the weights; None keeps none.
        checks: how often held-out crystals are scored.
        check: scores them.
        state: file in which the run is kept at each check and at its end; one that is there already
            is gone on with.

    Returns:
        The moving average, or the model.
    """
    optimizer: torch.optim.Optimizer
    if optimizer_name == "muon":
        optimizer = MuonAdamW(muon_groups(model, weight_decay), lr=rate, weight_decay=weight_decay)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=weight_decay)
    average = None
    if ema_decay is not None:
        average = torch.optim.swa_utils.AveragedModel(
            model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(ema_decay)
        )
    total = torch.zeros((), device=next(model.parameters()).device)
    counted, checked, resumed = 0, 0, state is not None and state.is_file()
    if state is not None and resumed:
        counts = load_state(state, model, average, optimizer)
        budget.step, budget.before = int(counts["step"]), counts["seconds"]
        checked = int(budget.done * checks)

    def keep() -> None:
        if state is not None:
            counts = {"step": budget.step, "seconds": budget.elapsed}
            save_state(state, model, average, optimizer, counts)

    if callable(batches):
        batches = batches(budget.step)
    with log.open("a" if resumed else "w") as lines:
        while budget.done < 1 and not budget.is_paused:
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
                keep()
    keep()
    return model if average is None else average.module
