"""Build a novelty index, and choose its threshold on crystals that it is not judged by."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.parallel.map import Failure, map_crystals
from flowllm.runs.progress import ItemProgress
from flowllm.stability.entries import entry_of
from flowllm.stability.grouping import SECONDS
from flowllm.stability.index import NoveltyIndex
from flowllm.stability.index_about import IndexSettings
from flowllm.stability.novelty import Novelty, novelty
from flowllm.stability.same_formula import by_formula, reduced_formulas, unmatchable

NOISE = (0.05, 0.1, 0.2, 0.3, 0.4)  # Å
STRAIN = 0.03
TILT = 1.0  # degrees

MP_20_SETTINGS = IndexSettings(
    name="MP-20 training split (recovered, 26,343 of 27,136)",
    source="Materials Project by way of MP-20 (Xie et al., ICLR 2022), CC BY 4.0",
)


def build_and_judge(
    training: CrystalBatch,
    validation: CrystalBatch,
    judged: Mapping[str, CrystalBatch],
    settings: IndexSettings = MP_20_SETTINGS,
    *,
    perturb: int = 1500,
    workers: int | None = None,
) -> NoveltyIndex:
    """The index as it ships: its threshold chosen on some crystals, its agreement told of others.

    The threshold is chosen on the validation split and on perturbed training crystals that share
    their formula with another, as far as StructureMatcher knows their answer.

    Args:
        training: the training crystals.
        validation: crystals to choose the threshold on.
        judged: name -> crystals to measure the agreement on.
        settings: what is said of the training set.
        perturb: how many training crystals are perturbed.
        workers: processes; None takes all cores.
    """
    index = build_novelty_index(training, settings, workers=workers)
    families = by_formula(reduced_formulas(training)).values()
    shared = np.array(sorted(i for rows in families if len(rows) > 1 for i in rows), dtype=int)
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(shared, min(perturb, len(shared)), replace=False))
    crystals = CrystalBatch.concatenate([validation, perturbed(training[drawn])])
    chosen_on = f"the validation split and {len(drawn):,} perturbed training crystals"
    exact = novelty(crystals, training, settings.match, workers=workers)
    index = choose_threshold(index, crystals, exact, chosen_on, workers=workers)
    return index.with_agreements(
        *(
            index.agreement(batch, novelty(batch, training, settings.match, workers=workers), name)
            for name, batch in judged.items()
        )
    )


def build_novelty_index(
    training: CrystalBatch,
    settings: IndexSettings,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: ItemProgress | None = None,
    seconds: float | None = SECONDS,
) -> NoveltyIndex:
    """The index of B training crystals; one that cannot be reduced has no entry.

    Args:
        training: the training crystals.
        settings: fingerprint, threshold and what is said of the set.
        executor: any `concurrent.futures` executor; by default `workers` processes.
        workers: processes without an executor; 1 runs in this one, None takes all cores.
        progress: called as progress(done, total).
        seconds: the longest that one crystal may take; None for no limit.
    """
    sound = training[[i for i, fault in enumerate(unmatchable(training)) if not fault]]
    outcomes = map_crystals(
        _entry,
        [(crystal, settings.neighbours, settings.cutoff) for crystal in sound],
        executor,
        workers,
        progress,
        chunk_size=32,
        names=[str(name) for name in sound.ids],
        seconds=seconds,
    )
    kept = [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Failure)]
    formulas = reduced_formulas(sound)
    return NoveltyIndex(
        sound.ids[kept],
        tuple(formulas[i] for i in kept),
        tuple(outcomes[i] for i in kept),
        settings,
    )


def choose_threshold(
    index: NoveltyIndex,
    crystals: CrystalBatch,
    exact: Novelty,
    chosen_on: str,
    *,
    workers: int | None = None,
) -> NoveltyIndex:
    """The index with the threshold that agrees best with an exact comparison.

    Of equally good thresholds the middle one. Only crystals whose formula is known count.

    Args:
        index: any threshold.
        crystals: B crystals, not those by which the index will be judged.
        exact: the comparison by StructureMatcher with the same training crystals.
        chosen_on: what these crystals are, in words.
        workers: processes; None takes all cores.
    """
    distances, _, faults = index.nearest(crystals, workers=workers)
    compared = exact.same_formula & np.array(
        [not (a or b) for a, b in zip(faults, exact.faults, strict=True)], dtype=bool
    )
    near, known = distances[compared], ~exact.novel[compared]
    grid = np.round(np.arange(0.0, 1.0, 0.005), 3)
    right = np.array([((near <= t) == known).sum() for t in grid])
    best = np.flatnonzero(right == right.max())
    threshold = float(grid[best[len(best) // 2]])
    return replace(
        index, settings=replace(index.settings, threshold=threshold, chosen_on=chosen_on)
    )


def perturbed(crystals: CrystalBatch, seed: int = 0) -> CrystalBatch:
    """Crystals strained by 3 %, tilted by 1° and with atoms moved by normal noise of 0.05 to 0.4 Å.

    Between a relaxed structure and a generated one, so that some still match and some don't.
    """
    rng = np.random.default_rng(seed)
    noise = np.repeat(rng.choice(NOISE, len(crystals)), crystals.num_atoms)
    lengths = np.repeat(crystals.lengths, crystals.num_atoms, axis=0)
    moves = rng.normal(size=crystals.frac_coords.shape) * noise[:, None] / lengths
    changed = crystals.replace(
        frac_coords=crystals.frac_coords + moves,
        lengths=crystals.lengths * rng.normal(1, STRAIN, crystals.lengths.shape),
        angles=crystals.angles + rng.normal(0, TILT, crystals.angles.shape),
    )
    return changed[changed.volumes > 0]


def _entry(item: tuple[CrystalBatch, int, float]) -> object:
    return entry_of(*item)
