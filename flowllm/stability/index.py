"""NoveltyIndex: what is known of the training crystals, without their structures.

An entry holds a training crystal's id, formula, number of atoms and cell of its primitive cell, and
its fingerprint (see `flowllm.stability.fingerprint`). A crystal is known if an entry of its reduced
formula has as many atoms in the primitive cell, a cell that StructureMatcher can map onto the
crystal's (both are necessary for a match), and a fingerprint within a threshold. How far that
agrees with StructureMatcher was measured and is kept in the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.parallel.map import Failure, map_crystals
from flowllm.runs.archive import open_archive, write_archive
from flowllm.runs.json_object import JsonObject
from flowllm.runs.progress import ItemProgress
from flowllm.stability.entries import Entry, can_map, entry_of
from flowllm.stability.grouping import SECONDS
from flowllm.stability.hull_table import REFERENCE_FOLDER
from flowllm.stability.index_about import Agreement, IndexSettings
from flowllm.stability.novelty import Novelty
from flowllm.stability.packing import STORED, pack_entries, unpack_entries
from flowllm.stability.same_formula import (
    ReducedFormula,
    by_formula,
    reduced_formulas,
    unmatchable,
)

INDEX_ARCHIVE = "novelty.npz"
VERSION = 1


@dataclass(frozen=True)
class NoveltyIndex:
    """Entries of training crystals by reduced formula.

    Attributes:
        ids: (E,) str, ids of the training crystals.
        formulas: E reduced formulas.
        entries: E entries.
        settings: what it was made by.
        agreements: with StructureMatcher, measured.
    """

    ids: np.ndarray
    formulas: tuple[ReducedFormula, ...]
    entries: tuple[Entry, ...]
    settings: IndexSettings
    agreements: tuple[Agreement, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.formulas) == len(self.entries):
            raise InputError(
                f"{len(self.ids)} ids, {len(self.formulas)} formulas and {len(self.entries)} "
                "entries of a novelty index"
            )
        object.__setattr__(self, "_rows", by_formula(self.formulas))

    def __len__(self) -> int:
        return len(self.ids)

    # ---- questions -------------------------------------------------------------------------

    def is_novel(self, crystals: CrystalBatch) -> np.ndarray:
        """(B,) bool: no entry is like the crystal; one that cannot be compared is not novel."""
        return self.novelty(crystals).novel

    def novelty(
        self,
        crystals: CrystalBatch,
        *,
        executor: Executor | None = None,
        workers: int | None = 1,
        progress: ItemProgress | None = None,
        seconds: float | None = SECONDS,
    ) -> Novelty:
        """As `flowllm.stability.novelty`, by the index; `matched` is the nearest entry's id."""
        distances, nearest, faults = self.nearest(crystals, executor, workers, progress, seconds)
        known = distances <= self.settings.threshold
        rows = self._rows_of(reduced_formulas(crystals))
        return Novelty(
            np.array([not k and not fault for k, fault in zip(known, faults, strict=True)], bool),
            np.where(known, self.ids[nearest] if len(self) else "", ""),
            np.array([bool(r) for r in rows], dtype=bool),
            tuple(faults),
            self.settings.match,
        )

    def nearest(
        self,
        crystals: CrystalBatch,
        executor: Executor | None = None,
        workers: int | None = 1,
        progress: ItemProgress | None = None,
        seconds: float | None = SECONDS,
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """The entry that each of B crystals is most like.

        Returns:
            (B,) largest difference of the fingerprints, inf where no entry can be the same crystal;
            (B,) int64 the entry (0 where there is none); B reasons why a crystal could not be
            compared, else empty.
        """
        faults = unmatchable(crystals)
        rows = self._rows_of(reduced_formulas(crystals))
        asked = [i for i, found in enumerate(rows) if found and not faults[i]]
        s = self.settings
        outcomes = map_crystals(
            _nearest,
            [(crystals[i], [self.entries[r] for r in rows[i]], s) for i in asked],
            executor,
            workers,
            progress,
            chunk_size=16,
            names=[str(crystals.ids[i]) for i in asked],
            seconds=seconds,
        )
        distances = np.full(len(crystals), np.inf)
        entries = np.zeros(len(crystals), dtype=np.int64)
        for index, outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, Failure):
                faults[index] = f"not compared: {outcome.message}"
            else:
                distances[index], entries[index] = outcome[0], rows[index][outcome[1]]
        return distances, entries, faults

    def agreement(self, crystals: CrystalBatch, exact: Novelty, name: str) -> Agreement:
        """How far the index agrees with an exact comparison of the same crystals.

        Raises:
            InputError: the comparison is of another number of crystals.
        """
        if len(exact.novel) != len(crystals):
            raise InputError(f"{len(exact.novel)} compared crystals for {len(crystals)}")
        ours = self.novelty(crystals)
        sound = np.array(
            [not (a or b) for a, b in zip(ours.faults, exact.faults, strict=True)], bool
        )
        return Agreement(
            name,
            int(sound.sum()),
            int((ours.same_formula & sound).sum()),
            int((ours.novel & ~exact.novel & sound).sum()),
            int((~ours.novel & exact.novel & sound).sum()),
        )

    def with_agreements(self, *agreements: Agreement) -> NoveltyIndex:
        """The same index that tells of these agreements."""
        return replace(self, agreements=agreements)

    def describe(self) -> list[str]:
        """Lines on what the index holds and how far it can be trusted."""
        s = self.settings
        head = f"novelty index of {s.name}: {len(self):,} crystals, {s.source}"
        rule = f"known below a fingerprint distance of {s.threshold:g}"
        chosen = f", chosen on {s.chosen_on}" if s.chosen_on else ""
        return [head, rule + chosen, *map(str, self.agreements)]

    def _rows_of(self, formulas: Sequence[ReducedFormula]) -> list[list[int]]:
        rows: dict[ReducedFormula, list[int]] = self._rows  # type: ignore[attr-defined]
        return [rows.get(formula, []) for formula in formulas]

    # ---- files -----------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write an .npz of plain arrays; fingerprints in steps of cutoff / 255."""
        about = {
            "version": VERSION,
            "settings": asdict(self.settings),
            "agreements": [asdict(a) for a in self.agreements],
        }
        arrays = pack_entries(self.ids, self.formulas, self.entries, self.settings.cutoff)
        text = np.frombuffer(json.dumps(about).encode("utf-8"), dtype=np.uint8)
        write_archive(path, {"about": text, **arrays})

    @classmethod
    def load(cls, path: str | Path) -> NoveltyIndex:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or no such index.
        """
        with open_archive(path, "is no novelty index") as archive:
            content = json.loads(archive.typed("about", "u").tobytes().decode("utf-8"))
            about = JsonObject(content, "its record")
            if about.values.get("version") != VERSION:
                raise InputError("another version of flowllm wrote it")
            settings = about.record("settings").make(IndexSettings)
            agreements = tuple(each.make(Agreement) for each in about.records("agreements"))
            arrays = {n: archive.typed(n, kinds, width) for n, (kinds, width) in STORED.items()}
            unpacked = unpack_entries(arrays, settings.neighbours, settings.cutoff)
            return cls(*unpacked, settings, agreements)


def load_novelty_index(name_or_path: str | Path = "mp_20") -> NoveltyIndex:
    """An index that ships with the package, by its name, or a file.

    Raises:
        InputError: neither a shipped index nor a file.
    """
    shipped = REFERENCE_FOLDER / str(name_or_path) / INDEX_ARCHIVE
    if shipped.is_file():
        return NoveltyIndex.load(shipped)
    if not Path(name_or_path).is_file():
        names = sorted(p.parent.name for p in REFERENCE_FOLDER.glob(f"*/{INDEX_ARCHIVE}"))
        raise InputError(f"no novelty index {name_or_path}: neither a file nor {', '.join(names)}")
    return NoveltyIndex.load(name_or_path)


def _nearest(item: tuple[CrystalBatch, list[Entry], IndexSettings]) -> tuple[float, int]:
    """The smallest distance of a crystal to entries of its formula, and to which."""
    crystal, entries, s = item
    own = entry_of(crystal, s.neighbours, s.cutoff)
    best = (float("inf"), 0)
    for index, entry in enumerate(entries):
        distance = own.distance(entry)
        # the cheap test first: most entries of a formula are of another size or far away
        if distance < best[0] and can_map(entry, own, s.match):
            best = (distance, index)
    return best
