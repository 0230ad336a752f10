"""Where torch computes: the device, and the number of CPU threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from flowllm.errors import InputError
from flowllm.settings import check_threads


def _one_thread() -> None:
    """Use one thread in a forked process, where torch would wait for lost threads.

    This package starts processes by spawning only; others, as an executor that a person gives, may
    fork.
    """
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_one_thread)


def resolve_device(name: str) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "mps" stands for.

    Raises:
        InputError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind = name.split(":")[0]
    usable = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if kind not in usable:
        raise InputError(f"unknown device {name!r}; choose from auto, cpu, cuda and mps")
    if not usable[kind]:
        raise InputError(f"this machine or this build of torch has no {kind}; use --device cpu")
    return torch.device(name)


@contextmanager
def used_threads(threads: int) -> Iterator[None]:
    """A number of CPU threads within the context; 0 leaves torch's choice.

    Raises:
        InputError: a number that no machine has.
    """
    check_threads(threads)
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
