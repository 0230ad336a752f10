"""Entries of a novelty index as a few compact arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowllm.errors import InputError
from flowllm.stability.entries import Entry
from flowllm.stability.same_formula import ReducedFormula

STORED = dict.fromkeys(("n_elements", "kinds", "counts", "num_atoms"), ("iu", None)) | {
    "ids": ("u", None), "cells": ("f", 6), "fingerprints": ("u", None),
}  # fmt: skip
"""Arrays of an index, with the kinds of their values and their columns."""
STEPS = 255  # of a fingerprint's values, from 0 to the cutoff


def pack_entries(
    ids: np.ndarray, formulas: Sequence[ReducedFormula], entries: Sequence[Entry], cutoff: float
) -> dict[str, np.ndarray]:
    """Arrays of E entries, in the order of their formulas, which compresses best.

    Returns:
        ids: (bytes) uint8, separated by line breaks; n_elements (E,) uint8; kinds and counts (all
        elements of all formulas) uint8 and uint16; num_atoms (E,) uint16; cells (E, 6) float16;
        fingerprints (all values) uint8, in steps of cutoff / 255.
    """
    order = sorted(range(len(entries)), key=lambda i: (formulas[i], str(ids[i])))
    pairs = [pair for i in order for pair in formulas[i]]
    values = [entries[i].fingerprint.ravel() for i in order]
    scaled = np.concatenate([np.zeros(0), *values]) * (STEPS / cutoff)
    text = "\n".join(str(ids[i]) for i in order)
    return {
        "ids": np.frombuffer(text.encode("utf-8"), dtype=np.uint8),
        "n_elements": np.array([len(formulas[i]) for i in order], dtype=np.uint8),
        "kinds": np.array([kind for kind, _ in pairs], dtype=np.uint8),
        "counts": np.array([count for _, count in pairs], dtype=np.uint16),
        "num_atoms": np.array([entries[i].num_atoms for i in order], dtype=np.uint16),
        "cells": np.array([entries[i].cell for i in order], dtype=np.float16).reshape(-1, 6),
        "fingerprints": np.clip(np.rint(scaled), 0, STEPS).astype(np.uint8),
    }


def unpack_entries(
    arrays: Mapping[str, np.ndarray], neighbours: int, cutoff: float
) -> tuple[np.ndarray, tuple[ReducedFormula, ...], tuple[Entry, ...]]:
    """Ids (E,), E formulas and E entries of what `pack_entries` made.

    Raises:
        InputError: the arrays do not belong together.
    """
    sizes = arrays["n_elements"].astype(np.int64)
    text = arrays["ids"].tobytes().decode("utf-8")
    ids = np.array(text.split("\n") if text else [], dtype=np.str_)
    kinds, counts = arrays["kinds"].tolist(), arrays["counts"].tolist()
    values = arrays["fingerprints"].astype(np.float32) * np.float32(cutoff / STEPS)
    cells, atoms = arrays["cells"].astype(np.float64), arrays["num_atoms"].tolist()
    widths = sizes**2 * neighbours
    if not (
        len(ids) == len(sizes) == len(cells) == len(atoms)
        and len(kinds) == len(counts) == sizes.sum()
        and len(values) == widths.sum()
    ):
        raise InputError("arrays of a novelty index that do not belong together")
    formulas, entries = [], []
    pair, value = 0, 0  # where the next entry begins
    for index in range(len(ids)):
        size, width = int(sizes[index]), int(widths[index])
        element = slice(pair, pair + size)
        formulas.append(tuple(zip(kinds[element], counts[element], strict=True)))
        fingerprint = values[value : value + width].reshape(-1, neighbours)
        entries.append(Entry(atoms[index], cells[index], fingerprint))
        pair, value = pair + size, value + width
    return ids, tuple(formulas), tuple(entries)
