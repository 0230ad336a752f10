"""How fast CIF files are read."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.inputs.items import Item
from flowllm.inputs.read import Reader

TEXTS = 1_000


@dataclass(frozen=True)
class ReadingBench:
    """The timings of a benchmark.

    Attributes:
        texts: CIF texts that were read, in one process.
        seconds: for all of them.
        per_second: texts over seconds.
    """

    texts: int
    seconds: float
    per_second: float


def bench_reading(crystals: CrystalBatch, texts: int = TEXTS) -> ReadingBench:
    """Time the reading of CIF texts in P 1, in one process.

    Args:
        crystals: what they hold, in turn.
        texts: how many.
    """
    known = [cif_text(crystals[k]) for k in range(min(len(crystals), texts))]
    items = [Item(str(k), str(k), "block", known[k % len(known)]) for k in range(texts)]
    reader = Reader(workers=1)
    reader.parse(items[:1])  # imports
    begun = time.perf_counter()
    reader.parse(items)
    seconds = time.perf_counter() - begun
    return ReadingBench(texts, seconds, texts / seconds)


def cif_text(crystal: CrystalBatch) -> str:
    """A batch of one as a CIF text in P 1, with every atom of the cell, as data sets write it."""
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    values = np.concatenate([crystal.lengths[0], crystal.angles[0]])
    cell = [f"_cell_{name} {value:.6f}" for name, value in zip(names, values, strict=True)]
    atoms = [
        f"{SYMBOLS[number]}{place} {SYMBOLS[number]} {x:.8f} {y:.8f} {z:.8f} 1"
        for place, (number, (x, y, z)) in enumerate(
            zip(crystal.atomic_numbers, crystal.frac_coords, strict=True)
        )
    ]
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")
    return "\n".join(
        [
            "data_x", "_symmetry_space_group_name_H-M 'P 1'", *cell,
            "loop_", "_symmetry_equiv_pos_as_xyz", "'x, y, z'",
            "loop_", *(f"_atom_site_{name}" for name in columns), *atoms, "",
        ]
    )  # fmt: skip
