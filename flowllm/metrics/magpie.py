"""Compositional fingerprints: Magpie statistics of the elements' properties, and their scale.

Ward et al., npj Comput. Mater. 2, 16028 (2016), with matminer's tables ("magpie" preset).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.runs.files import atomic_write
from flowllm.runs.json_object import JsonObject

COMPOSITION_SIZE = 132


def composition_fingerprints(crystals: CrystalBatch) -> np.ndarray:
    """(B, 132) Magpie fingerprints; NaN of crystals with an open type or without atoms.

    For each property the minimum, maximum, range, mean, average deviation and mode (the smallest
    value of the commonest elements), from matminer's table; a property that it lacks for an element
    is the mean of all elements, as by matminer's default. They depend on the fractions only. The
    arithmetic is done for all crystals at once: matminer's own takes 3 ms a composition.
    """
    counts = np.zeros((len(crystals), len(SYMBOLS)))
    np.add.at(counts, (crystals.crystal_of_atom, crystals.atomic_numbers), 1)
    known = (crystals.num_atoms > 0) & (counts[:, 0] == 0)
    result = np.full((len(crystals), COMPOSITION_SIZE), np.nan)
    if known.any():
        result[known] = _statistics(counts[known] / crystals.num_atoms[known, None])
    return result


def _statistics(fractions: np.ndarray) -> np.ndarray:
    """(B, 132) Magpie statistics, property by property, of fractions (B, elements)."""
    table = _magpie_table()
    present = fractions > 0
    commonest = present & np.isclose(fractions, fractions.max(-1, keepdims=True))
    columns = []
    for values in table.T:
        low = np.where(present, values, np.inf).min(-1)
        high = np.where(present, values, -np.inf).max(-1)
        mean = fractions @ values
        spread = (fractions * np.abs(values - mean[:, None])).sum(-1)
        mode = np.where(commonest, values, np.inf).min(-1)
        columns.extend([low, high, high - low, mean, spread, mode])
    return np.stack(columns, axis=-1)


@lru_cache(maxsize=1)
def _magpie_table() -> np.ndarray:
    """(119, 22) the properties of matminer's "magpie" preset by atomic number, in its order."""
    from matminer.featurizers.composition import ElementProperty
    from pymatgen.core import Element

    preset = ElementProperty.from_preset("magpie")
    read = preset.data_source.get_elemental_property
    rows = [[read(Element(s), name) for name in preset.features] for s in SYMBOLS[1:]]
    return np.array([[0.0] * len(preset.features), *rows], dtype=np.float64)


@dataclass(frozen=True)
class CompositionScaler:
    """Standardises Magpie fingerprints by the mean and the standard deviation of a data set.

    CDVAE's code ships two lists of constants for this. Here they are computed from the training
    split of the reference, so they follow the data set and the version of matminer.

    Attributes:
        mean: (132,) per feature.
        std: (132,) per feature, positive; 1 where the feature is constant.

    Raises:
        InputError: another shape, or a standard deviation that is not positive.
    """

    mean: np.ndarray
    std: np.ndarray

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (COMPOSITION_SIZE,) or not np.isfinite(values).all():
                raise InputError(f"{name} of a scaler must be {COMPOSITION_SIZE} finite numbers")
            object.__setattr__(self, name, values)
        if not (self.std > 0).all():
            raise InputError("a scaler's standard deviations must be positive")

    @classmethod
    def fit(cls, compositions: np.ndarray) -> CompositionScaler:
        """From fingerprints (B, 132); rows with NaN are left out.

        Raises:
            InputError: no row is complete.
        """
        rows = compositions[np.isfinite(compositions).all(-1)]
        if not len(rows):
            raise InputError("no compositional fingerprint to scale by")
        mean, std = rows.mean(0), rows.std(0)
        # a constant feature varies by rounding only
        constant = std <= 1e-9 * np.maximum(1.0, np.abs(mean))
        return cls(mean, np.where(constant, 1.0, std))

    def transform(self, compositions: np.ndarray) -> np.ndarray:
        """(B, 132) standardised fingerprints of (B, 132)."""
        return (compositions - self.mean) / self.std

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        values = {"mean": self.mean.tolist(), "std": self.std.tolist()}
        atomic_write(path, json.dumps(values) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> CompositionScaler:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or not such a file.
        """
        values = JsonObject.read(path)
        mean, std = (values.numbers(name, length=COMPOSITION_SIZE) for name in ("mean", "std"))
        try:
            return cls(np.array(mean), np.array(std))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
