"""Relaxed crystals, their energies and outcomes; relaxation on all cores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.parallel.map import Failure, map_crystals
from flowllm.relax.batch import Chunk, Row, relax_chunk
from flowllm.relax.potential import ChgnetPotential, Potential
from flowllm.relax.record import RelaxationPath, load_paths, path_arrays
from flowllm.relax.settings import RelaxSettings
from flowllm.runs.archive import open_archive, write_archive
from flowllm.runs.progress import ItemProgress

CHUNK_SIZE = 16
"""Crystals that one process relaxes together; fixed, so that results do not depend on workers."""


@dataclass(frozen=True)
class Relaxation:
    """The outcome for B crystals.

    A crystal that did not converge within the steps or the time keeps its last structure and
    energy, with `converged` False; one that failed keeps the last structure that could be
    evaluated, or the input, and has no energy.

    Attributes:
        crystals: B relaxed crystals, ids and order of the input.
        initial_energies: (B,) eV/atom before, NaN where it could not be evaluated.
        energies: (B,) eV/atom after, NaN where the relaxation failed.
        steps: (B,) int64, steps of the optimiser.
        converged: (B,) bool.
        reasons: (B,) str, why a crystal did not converge; "" where it did.
        seconds: (B,) each crystal's share of the time.
        paths: B recorded paths, or none.

    Raises:
        InputError: arrays of different lengths.
    """

    crystals: CrystalBatch
    initial_energies: np.ndarray
    energies: np.ndarray
    steps: np.ndarray
    converged: np.ndarray
    reasons: np.ndarray
    seconds: np.ndarray
    paths: tuple[RelaxationPath, ...] = ()

    def __post_init__(self) -> None:
        kinds: dict[str, Any] = {
            "initial_energies": np.float64,
            "energies": np.float64,
            "steps": np.int64,
            "converged": np.bool_,
            "reasons": np.str_,
            "seconds": np.float64,
        }
        for name, kind in kinds.items():
            array = np.asarray(getattr(self, name), dtype=kind).reshape(-1)
            object.__setattr__(self, name, array)
            if len(array) != len(self.crystals):
                raise InputError(f"{len(array)} {name} for {len(self.crystals)} crystals")
        if len(self.paths) not in (0, len(self.crystals)):
            raise InputError(f"{len(self.paths)} paths for {len(self.crystals)} crystals")

    def __len__(self) -> int:
        return len(self.crystals)

    @property
    def failed(self) -> np.ndarray:
        """(B,) bool: those without an energy."""
        return np.isnan(self.energies)

    def select(self, positions: np.ndarray) -> Relaxation:
        """Some of the crystals, by positions (C,), in that order."""
        chosen = np.asarray(positions, dtype=np.int64)
        columns = [f.name for f in fields(self) if f.name not in ("crystals", "paths")]
        paths = tuple(self.paths[i] for i in chosen) if self.paths else ()
        arrays = {name: getattr(self, name)[chosen] for name in columns}
        return Relaxation(self.crystals[chosen], **arrays, paths=paths)

    @classmethod
    def concatenate(cls, parts: Iterable[Relaxation]) -> Relaxation:
        """Concatenate relaxations in order; paths only if all parts have them."""
        several = list(parts)
        columns = [f.name for f in fields(cls) if f.name not in ("crystals", "paths")]
        arrays = {
            name: np.concatenate([np.zeros(0), *(getattr(p, name) for p in several)])
            for name in columns
            if name != "reasons"
        }
        reasons = np.array([reason for p in several for reason in p.reasons], dtype=np.str_)
        kept = all(len(p.paths) == len(p) for p in several)
        paths = tuple(path for p in several for path in p.paths) if kept else ()
        crystals = CrystalBatch.concatenate(p.crystals for p in several)
        return cls(crystals, **arrays, reasons=reasons, paths=paths)

    def arrays(self) -> dict[str, np.ndarray]:
        """All data as plain arrays by name."""
        columns = [f.name for f in fields(self) if f.name not in ("crystals", "paths")]
        own = {name: getattr(self, name) for name in columns}
        return self.crystals.arrays() | own | path_arrays(self.paths)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Relaxation:
        """Inverse of `arrays`.

        Raises:
            KeyError: one is missing.
            InputError: they do not belong together.
        """
        crystals = CrystalBatch.from_arrays(arrays)
        columns = [f.name for f in fields(cls) if f.name not in ("crystals", "paths")]
        own = {name: arrays[name] for name in columns}
        return cls(crystals, **own, paths=load_paths(arrays, crystals))

    def save(self, path: str | Path) -> None:
        """Write an .npz of plain arrays, no pickle."""
        write_archive(path, self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> Relaxation:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or not such an archive.
        """
        with open_archive(path, "is not a relaxation") as archive:
            return cls.from_arrays(archive)


def relax(
    crystals: CrystalBatch,
    settings: RelaxSettings | None = None,
    potential: Potential | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: ItemProgress | None = None,
) -> Relaxation:
    """Relax crystals, by default with CHGNet and FIRE; failures do not stop the others.

    Work is cut into chunks of crystals of similar size, the same however many workers there are.

    Args:
        crystals: B crystals from anywhere.
        settings: the protocol; the literature's by default.
        potential: anything that evaluates a batch; CHGNet 0.3.0 by default.
        executor: any `concurrent.futures` executor; by default `workers` spawned processes.
        workers: processes without an executor; default all cores; 1 runs in this one.
        progress: called as progress(done, total) in crystals.

    Raises:
        InputError: workers below 1.
        RuntimeError: the given executor broke.
    """
    chosen, model = settings or RelaxSettings(), potential or ChgnetPotential()
    order = np.argsort(-crystals.num_atoms, kind="stable")  # the longest first: none is left over
    chunks = [order[s : s + CHUNK_SIZE] for s in range(0, len(order), CHUNK_SIZE)]

    def report(done: int, total: int) -> None:
        if progress:
            progress(min(done * CHUNK_SIZE, len(crystals)), len(crystals))

    items = [(crystals[chunk], chosen, model) for chunk in chunks]
    rows: list[Row] = []
    for outcome in _outcomes(items, executor, workers, report):
        rows += outcome
    result = Relaxation(
        CrystalBatch.concatenate(row.sound for row in rows),
        np.array([row.initial for row in rows]),
        np.array([row.energy for row in rows]),
        np.array([row.steps for row in rows]),
        np.array([row.converged for row in rows]),
        np.array([row.reason for row in rows], dtype=np.str_),
        np.array([row.seconds for row in rows]),
        tuple(map(path_of, rows)) if chosen.record else (),
    )
    return result.select(np.argsort(order))


def _outcomes(
    items: list[Chunk],
    executor: Executor | None,
    workers: int | None,
    report: ItemProgress | None = None,
) -> list[list[Row]]:
    """Rows of each chunk; if its process was lost, its crystals are retried one by one."""
    outcomes = map_crystals(relax_chunk, items, executor, workers, report)
    for index, (part, settings, potential) in enumerate(items):
        outcome = outcomes[index]
        if not isinstance(outcome, Failure):
            continue
        if len(part) == 1:
            reason = outcome.message or outcome.kind
            outcomes[index] = [Row(part, None, part, reason=reason)]
        else:
            singles = [(one, settings, potential) for one in part]
            alone = _outcomes(singles, executor, workers)
            outcomes[index] = [row for rows in alone for row in rows]
    return outcomes


def path_of(row: Row) -> RelaxationPath:
    """The recorded path; for a crystal that could not be evaluated, the input alone."""
    if not row.frames:
        return RelaxationPath.of([row.crystal], [float("nan")])
    return RelaxationPath.of(row.frames, row.frame_energies)
