"""Independent pieces of one computation in parallel, one CPU core each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from flowllm.training.device import used_threads

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], items: Sequence[T], device: torch.device) -> Iterator[R]:
    """Results of independent pieces of work, in their order.

    On a processor as many are computed at a time as torch may use cores, each by one core: so
    results are the same, to the last bit, whatever the number of cores, and cores do not wait for
    each other at every operation. Other devices get one piece after the other.

    Args:
        work: from an item to its result, by operations of torch, which leave other threads room.
        items: what it is called with, perhaps in several threads at a time.
        device: where it computes.
    """
    if device.type != "cpu":
        yield from map(work, items)
        return
    cores = min(torch.get_num_threads(), len(items))
    with used_threads(1):
        if cores < 2:
            yield from map(work, items)
            return
        pool = ThreadPoolExecutor(cores)  # its threads take over that each uses one core
        try:
            yield from pool.map(work, items)
        finally:  # what has not begun when one fails, or Ctrl-C comes, is not wanted any more
            pool.shutdown(cancel_futures=True)
