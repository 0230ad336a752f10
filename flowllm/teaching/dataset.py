"""A part of MP-20 with a description, for notebooks."""

from __future__ import annotations

from flowllm.data import load_dataset
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError


def mp20_sample(split: str = "train", limit: int | None = None) -> tuple[CrystalSet, str]:
    """The first crystals of a split of MP-20, and a sentence that describes them.

    Args:
        split: "train", "val" or "test".
        limit: how many; None for all.

    Raises:
        InputError: no such split, or a limit below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    crystals = load_dataset("mp_20", split, limit=limit)
    which = "the first " if limit else ""
    return crystals, f"MP-20: {which}{len(crystals):,} crystals of its {split} split."
