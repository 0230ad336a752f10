"""PairSet: samples of the prior aligned with the targets of the flow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds import DEFAULT_CELL_MAP, cell_map
from flowllm.methods.flow.couplings.alignment import mean_squared_torus_distance, torus_log
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.runs.archive import open_archive, write_archive

SMALLEST_STD = 1e-6


@dataclass(frozen=True)
class PairSet:
    """P pairs of crystals; atom k of a sample corresponds to atom k of its target.

    Attributes:
        c0: the prior's samples, aligned (`flowllm.methods.flow.couplings.alignment`).
        c1: the targets; sizes and ids equal those of c0.
        same_species: whether each atom has the same species in both, which is checked; False for a
            model that learns species as well.

    Raises:
        InputError: the two do not correspond.
    """

    c0: CrystalBatch
    c1: CrystalBatch
    same_species: bool = True

    def __post_init__(self) -> None:
        species = ("atomic_numbers",) if self.same_species else ()
        for name in ("num_atoms", *species, "ids"):
            if not np.array_equal(getattr(self.c0, name), getattr(self.c1, name)):
                raise InputError(
                    f"samples and targets of a pair set differ in {name}; align them first"
                )

    def __len__(self) -> int:
        return len(self.c1)

    def __getitem__(self, index: int | slice | np.ndarray) -> PairSet:
        return PairSet(self.c0[index], self.c1[index], self.same_species)

    @classmethod
    def concatenate(cls, parts: Iterable[PairSet]) -> PairSet:
        """Concatenate sets in order; species may differ if they may in one of them."""
        parts = list(parts)
        return cls(
            CrystalBatch.concatenate(p.c0 for p in parts),
            CrystalBatch.concatenate(p.c1 for p in parts),
            all(p.same_species for p in parts),
        )

    def check_species(self) -> None:
        """Refuse pairs whose species differ, for flows of coordinates and cell only.

        Raises:
            InputError: names the first crystal whose target has another species.
        """
        other = np.flatnonzero(self.c0.atomic_numbers != self.c1.atomic_numbers)
        if len(other):
            name = self.c1.ids[self.c1.crystal_of_atom[other[0]]]
            raise InputError(
                f"{name}: sample and target differ in species, which this flow does not change"
            )

    @property
    def mean_squared_torus_distance(self) -> float:
        """Per atom; uniform noise in list order has 0.25."""
        return mean_squared_torus_distance(self.c0, self.c1)

    def statistics(self, cell_map_name: str = DEFAULT_CELL_MAP) -> FlowStatistics:
        """The statistics that standardise a network trained on these pairs.

        Args:
            cell_map_name: the parametrisation of the cell.

        Raises:
            InputError: the set is empty.
        """
        if not len(self):
            raise InputError("a pair set without pairs has no statistics")
        flat0, flat1 = (flat_cells(c, cell_map_name) for c in (self.c0, self.c1))
        ends = np.concatenate([flat0, flat1])
        velocity = flat1 - flat0
        return FlowStatistics(
            tuple(ends.mean(0)),
            tuple(np.maximum(ends.std(0), SMALLEST_STD)),
            tuple(velocity.mean(0)),
            tuple(np.maximum(velocity.std(0), SMALLEST_STD)),
            max(float(np.sqrt((self.coord_velocities() ** 2).mean())), SMALLEST_STD),
        )

    def coord_velocities(self) -> np.ndarray:
        """(N, 3) targets of the coordinates: log_f0(f1) less its mean over the crystal's atoms."""
        log = torus_log(self.c0.frac_coords, self.c1.frac_coords)
        crystal = self.c1.crystal_of_atom
        sums = np.stack(
            [np.bincount(crystal, weights=log[:, k], minlength=len(self)) for k in range(3)], -1
        )
        return log - (sums / np.maximum(self.c1.num_atoms, 1)[:, None])[crystal]

    # ---- files -----------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write an .npz of both batches that contains no pickle."""
        write_archive(path, self.arrays())

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of both sides, named as in the file, and a mark if species may differ."""
        sides = {"c0": self.c0, "c1": self.c1}
        arrays = {
            f"{s}_{f.name}": getattr(c, f.name)
            for s, c in sides.items()
            for f in fields(CrystalBatch)
        }
        return arrays if self.same_species else arrays | {"same_species": np.array([False])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PairSet:
        """Inverse of `arrays`; other entries are ignored.

        Raises:
            KeyError: one is missing.
            InputError: they are not pairs.
        """
        c0, c1 = (
            CrystalBatch(*(arrays[f"{side}_{f.name}"] for f in fields(CrystalBatch)))
            for side in ("c0", "c1")
        )
        return cls(c0, c1, bool(np.all(arrays.get("same_species", True))))

    @classmethod
    def load(cls, path: str | Path) -> PairSet:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or contains no pairs.
        """
        with open_archive(path, "contains no pairs") as archive:
            return cls.from_arrays(archive)


def flat_cells(crystals: CrystalBatch, cell_map_name: str) -> np.ndarray:
    """(B, 6) float64 flat coordinates of the cells.

    Raises:
        InputError: a cell spans no volume; its id is named.
    """
    flat = np.flatnonzero(crystals.volumes <= 0)
    if len(flat):
        raise InputError(f"{crystals.ids[flat[0]]}: the cell has zero volume")
    parametrisation = cell_map(cell_map_name)
    lengths, angles = torch.from_numpy(crystals.lengths), torch.from_numpy(crystals.angles)
    return parametrisation.to_flat(lengths, angles).numpy()
