"""Structural and compositional fingerprints of crystals, as CDVAE's evaluation defines them.

Structure: CrystalNN's order parameters ("ops" of matminer's CrystalNNFingerprint), the mean over
all sites. Composition: matminer's Magpie statistics of the elements' properties. Coverage and
diversity (Xie et al., ICLR 2022; Gruver et al., ICLR 2024) are computed from the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.crystal_nn import SIZE as STRUCTURE_SIZE
from flowllm.metrics.crystal_nn import site_fingerprints
from flowllm.metrics.magpie import COMPOSITION_SIZE, composition_fingerprints
from flowllm.metrics.validity import structural_faults
from flowllm.parallel.map import Failure, map_parts
from flowllm.parallel.time_limit import TimeLimitError
from flowllm.runs.archive import open_archive, write_archive
from flowllm.runs.progress import ItemProgress

CHUNK = 50  # crystals that are computed together
_ARRAYS = ("structure", "composition", "reasons", "ids")


@dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of B crystals.

    Attributes:
        structure: (B, 61) float64, means over the sites; NaN where there is none.
        composition: (B, 132) float64, Magpie's statistics in their own units; NaN where there are
            none.
        reasons: per crystal why a fingerprint is missing; empty where none is.
        ids: (B,) str.

    Raises:
        InputError: shapes disagree.
    """

    structure: np.ndarray
    composition: np.ndarray
    reasons: list[str]
    ids: np.ndarray

    def __post_init__(self) -> None:
        ids = np.asarray(self.ids, dtype=np.str_).reshape(-1)
        size = len(ids)
        widths = {"structure": STRUCTURE_SIZE, "composition": COMPOSITION_SIZE}
        for name, width in widths.items():
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (size, width):
                raise InputError(f"{name} of {size} fingerprints has the shape {values.shape}")
            object.__setattr__(self, name, values)
        if len(self.reasons) != size:
            raise InputError(f"{len(self.reasons)} reasons for {size} fingerprints")
        object.__setattr__(self, "reasons", [str(reason) for reason in self.reasons])
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: slice | np.ndarray | list[int]) -> Fingerprints:
        """Part of them, by slice, positions or boolean mask."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        reasons = [self.reasons[i] for i in chosen]
        return Fingerprints(
            self.structure[chosen], self.composition[chosen], reasons, self.ids[chosen]
        )

    @property
    def complete(self) -> np.ndarray:
        """(B,) bool: both fingerprints are present."""
        structure, composition = np.isfinite(self.structure), np.isfinite(self.composition)
        return structure.all(-1) & composition.all(-1)

    @classmethod
    def concatenate(cls, parts: Iterable[Fingerprints]) -> Fingerprints:
        """Concatenate in order; none give the empty one."""
        parts = list(parts)
        if not parts:
            nothing = np.zeros((0, STRUCTURE_SIZE)), np.zeros((0, COMPOSITION_SIZE))
            return cls(*nothing, [], np.zeros(0, dtype=np.str_))
        return cls(
            np.concatenate([part.structure for part in parts]),
            np.concatenate([part.composition for part in parts]),
            [reason for part in parts for reason in part.reasons],
            np.concatenate([part.ids for part in parts]),
        )

    def save(
        self, path: str | Path, dtype: Literal["float64", "float32", "float16"] = "float64"
    ) -> None:
        """Write an .npz without a pickle.

        Args:
            path: the file.
            dtype: float16 takes a quarter of the room and moves distances by about 0.001, which
                matters for crystals that lie as near as that to a cutoff of coverage.
        """
        write_archive(path, self.arrays(dtype))

    def arrays(
        self, dtype: Literal["float64", "float32", "float16"] = "float64"
    ) -> dict[str, np.ndarray]:
        """The four arrays by name, as in a file."""
        return {
            "structure": self.structure.astype(dtype),
            "composition": self.composition.astype(dtype),
            "reasons": np.array(self.reasons, dtype=np.str_),
            "ids": self.ids,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Fingerprints:
        """Inverse of `arrays`.

        Raises:
            KeyError: one is missing.
            InputError: they do not belong together.
        """
        structure, composition, reasons, ids = (arrays[name] for name in _ARRAYS)
        return cls(structure, composition, reasons.tolist(), ids)

    @classmethod
    def load(cls, path: str | Path) -> Fingerprints:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or not such an archive.
        """
        with open_archive(path, "is not an archive of fingerprints") as archive:
            return cls.from_arrays(archive)


def fingerprint_crystals(
    crystals: CrystalBatch,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: ItemProgress | None = None,
    seconds: float | None = None,
) -> Fingerprints:
    """Both fingerprints of B crystals.

    A crystal whose structure is invalid (self-images counted) has no structural fingerprint here.
    CDVAE's code computes one unless matminer fails; neither is covered in practice.

    Args:
        crystals: B crystals.
        executor: any `concurrent.futures` executor; by default `workers` processes.
        workers: processes without an executor; default all cores, 1 runs in this one.
        progress: called as progress(done, total) with crystals.
        seconds: the longest that one crystal may take; None for as long as it likes.

    Raises:
        InputError: the same error for each of several crystals. It is then one of the program or of
            its environment, and figures would say that no crystal covers anything.
    """
    found = map_parts(_fingerprint, crystals, CHUNK, executor, workers, progress, seconds)
    _check_some_succeeded([result for _, result in found])
    done = [
        _without(part, f"{result.kind}: {result.message}")
        if isinstance(result, Failure)
        else result
        for part, result in found
    ]
    return Fingerprints.concatenate(done)


def _check_some_succeeded(results: list[object]) -> None:
    reasons = {(r.kind, r.message) for r in results if isinstance(r, Failure)}
    failed = sum(isinstance(r, Failure) for r in results)
    if failed < len(results) or failed < 2 or len(reasons) > 1:
        return
    kind, message = reasons.pop()
    if kind != TimeLimitError.__name__:
        raise InputError(f"none of {failed} crystals has fingerprints: {kind}: {message}")


def _fingerprint(crystals: CrystalBatch) -> Fingerprints:
    reasons = structural_faults(crystals)
    structure = np.full((len(crystals), STRUCTURE_SIZE), np.nan)
    composition = composition_fingerprints(crystals)
    sound = np.flatnonzero([not reason for reason in reasons])
    chosen = crystals[sound]
    sites, failed = site_fingerprints(chosen)
    for place, reason, start, count in zip(
        sound, failed, chosen.offsets, chosen.num_atoms, strict=True
    ):
        reasons[place] = reason
        structure[place] = sites[start : start + count].mean(0)
    return Fingerprints(structure, composition, reasons, crystals.ids)


def _without(crystals: CrystalBatch, reason: str) -> Fingerprints:
    size = len(crystals)
    return Fingerprints(
        np.full((size, STRUCTURE_SIZE), np.nan),
        np.full((size, COMPOSITION_SIZE), np.nan),
        [reason] * size,
        crystals.ids,
    )
