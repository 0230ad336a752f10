"""Splits of a data set as a few compact arrays in one file: what ships of MP-20, and a reference.

Fractional coordinates are whole steps of 1/65520 in 16 bits. 65520 is divisible by every number
from 2 to 10 and by 12 to 16, so 1/3, 3/8 and the other special positions come back exactly; any
other coordinate is off by at most half a step, 7.7e-6.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.dataset import PROPERTIES, CrystalSet
from flowllm.errors import InputError
from flowllm.runs.archive import Archive, open_archive, write_archive

STEPS = 65_520
DECIMALS = 6  # of a property: 1e-6 eV, as good as a float32 of several eV
_PROPERTY = "property_"


def write_splits(path: str | Path, splits: Mapping[str, CrystalSet]) -> None:
    """Write an .npz of several splits; the same crystals give the same bytes.

    Args:
        path: the file.
        splits: name -> prepared crystals.

    Raises:
        InputError: the operating system refuses.
    """
    whole = CrystalSet.concatenate(list(splits.values()))
    crystals = whole.crystals
    coords = np.rint(crystals.frac_coords * STEPS).astype(np.int64) % STEPS
    arrays = {
        "splits": np.array(list(splits), dtype=np.str_),
        "sizes": np.array([len(part) for part in splits.values()], dtype=np.int64),
        "max_atoms": np.array([whole.max_atoms], dtype=np.int64),
        "ids": crystals.ids,
        "formulas": np.array(whole.reduced_formulas, dtype=np.str_),
        "num_atoms": _smallest(crystals.num_atoms),
        "species": _smallest(crystals.atomic_numbers),
        "coords": coords.astype(np.uint16),
        "cells": np.concatenate([crystals.lengths, crystals.angles], axis=1).astype(np.float32),
    }
    columns = {
        _PROPERTY + name: values.astype(np.float32) for name, values in whole.properties.items()
    }
    write_archive(path, arrays | columns)


def read_split(path: str | Path, split: str) -> CrystalSet:
    """One split of what `write_splits` wrote.

    Raises:
        InputError: no such file, no such archive, or no such split in it.
    """
    with open_archive(path, "is not an archive of splits") as archive:
        names = archive.typed("splits", "U").tolist()
        if split not in names:
            raise InputError(f"no split {split} in it, but {', '.join(names)}")
        whole = _unpacked(archive)
        sizes = archive.typed("sizes", "iu").astype(np.int64)
        if len(sizes) != len(names) or sizes.sum() != len(whole):
            raise InputError("the sizes of its splits do not add up to its crystals")
        place = names.index(split)
        start = int(sizes[:place].sum())
        return whole[start : start + int(sizes[place])]


def splits_in(path: str | Path) -> list[str]:
    """Names of the splits that a file holds.

    Raises:
        InputError: no such file, or no such archive.
    """
    with open_archive(path, "is not an archive of splits") as archive:
        names: list[str] = archive.typed("splits", "U").tolist()
        return names


def _unpacked(archive: Archive) -> CrystalSet:
    """All crystals of a file."""
    cells = archive.typed("cells", "f", 6).astype(np.float64)
    crystals = CrystalBatch(
        archive.typed("species", "u"),
        archive.typed("coords", "u", 3).astype(np.float64) / STEPS,
        cells[:, :3],
        cells[:, 3:],
        archive.typed("num_atoms", "u"),
        archive.typed("ids", "U"),
    )
    columns = {
        name: np.round(archive.typed(_PROPERTY + name, "f").astype(np.float64), DECIMALS)
        for name in PROPERTIES
        if _PROPERTY + name in archive.files
    }
    most = int(archive.typed("max_atoms", "iu")[0])
    return CrystalSet(crystals, columns, archive.typed("formulas", "U"), most)


def _smallest(values: np.ndarray) -> np.ndarray:
    """Whole numbers in the fewest bytes that hold them all."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
