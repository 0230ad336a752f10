"""Crystal structure prediction: several tries per structure, and METRe.

For each of T test structures a model predicts structures of its composition. The match rate counts
the structures that one of their first k tries matches; the RMSE is that of the best try. Such a
rate pays a model for writing one polymorph of a composition again and again where the test set
holds several. METRe ("match everyone to reference") does not: each reference structure is matched
with its best prediction among all predictions of the same reduced composition, whichever structure
they were made for, and cRMSE is the mean of these, with `stol` for a reference that nothing matches
(Martirossyan et al., "All that structure matches does not glitter", arXiv 2509.12178, section 5;
`metre_rmsds` of OMatG). The paper has as many predictions as references; more tries raise METRe.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.match_everyone import (
    ReferenceResult,
    best_of_each,
    match_all,
    match_everyone,
    validity_of,
)
from flowllm.metrics.matching import MatchResult, MatchSettings
from flowllm.parallel.map import Failure
from flowllm.runs.progress import ItemProgress

__all__ = [
    "PredictionResult",
    "ReferenceResult",
    "match_everyone",
    "score_predictions",
    "targets_from_ids",
]

NAMED = 3  # culprits that a message names


@dataclass(frozen=True)
class PredictionResult:
    """The outcome of P predictions of T test structures.

    Attributes:
        rms: (P,) rms of each prediction against its own structure; NaN where it does not match.
        valid: (P,) bool, prediction and its structure both valid.
        target: (P,) int64, the structure that each prediction was made for.
        attempt: (P,) int64, the place of each among its structure's tries, from 0.
        structures: T.
        first: METRe with the first try of each structure only, as the paper has it.
        everyone: METRe with all predictions.
        settings: the tolerances.
    """

    rms: np.ndarray
    valid: np.ndarray
    target: np.ndarray
    attempt: np.ndarray
    structures: int
    first: ReferenceResult
    everyone: ReferenceResult
    settings: MatchSettings

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Pairs on which the matcher itself gave up, among all that METRe looks at."""
        return self.everyone.failures

    @property
    def tries(self) -> np.ndarray:
        """(T,) int64: predictions made for each structure; 0 counts as not matched."""
        return np.bincount(self.target, minlength=self.structures)

    def best_of(self, k: int, valid_only: bool = False) -> MatchResult:
        """Each structure with the best of its first k tries.

        Args:
            k: tries that count.
            valid_only: leave out tries whose pair is not valid. Then `match_rate_valid_pairs` is
                over structures with a valid try and `match_rate_invalid_fail` over all.

        Returns:
            One pair for each of the T structures; valid where one of its tries is.

        Raises:
            InputError: k below 1.
        """
        if k < 1:
            raise InputError(f"the number of tries must be at least 1, not {k}")
        counts = self.attempt < k
        sound = counts & self.valid
        rms = best_of_each(self.rms, self.target, sound if valid_only else counts, self.structures)
        valid = np.bincount(self.target[sound], minlength=self.structures) > 0
        return MatchResult(rms, valid, self.settings)

    def table(self, k: int | None = None) -> list[tuple[str, str]]:
        """Rows (name, value) for a printed table, for 1 and k tries, by default all."""
        s, tries = self.settings, self.tries
        most = int(self.attempt.max(initial=-1)) + 1
        rows = [
            ("protocol", f"stol {s.stol:g}, angle_tol {s.angle_tol:g}, ltol {s.ltol:g}"),
            ("test structures", str(self.structures)),
            ("predictions", str(len(self.target))),
            ("tries for a structure", f"{tries.min(initial=most)} to {tries.max(initial=0)}"),
        ]
        for count in dict.fromkeys([1, k or max(most, 1)]):
            name = "1 try" if count == 1 else f"{count} tries"
            every, sound = self.best_of(count), self.best_of(count, valid_only=True)
            rows += [
                (f"match rate, {name}, all pairs", every.match_rate.as_percent()),
                (f"match rate, {name}, valid only", sound.match_rate_valid_pairs.as_percent()),
                (f"match rate, {name}, invalid failed", sound.match_rate_invalid_fail.as_percent()),
                (f"RMSE, {name}, all pairs", every.rmse.as_number(4)),
                (f"RMSE, {name}, valid only", sound.rmse_valid_pairs.as_number(4)),
            ]
        rows += [(f"{name}, first tries", value) for name, value in self.first.table()]
        if most > 1:
            rows += [(f"{name}, all tries", value) for name, value in self.everyone.table()]
        return rows


def targets_from_ids(
    ids: Sequence[str] | np.ndarray, truth_ids: Sequence[str] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The structure that each prediction belongs to, by its id.

    An id is that of a test structure, or that with a dash and the number of the try behind it:
    `mp-30`, `mp-30-1`, `mp-30-2`. One that is itself a structure's id is taken as such.

    Returns:
        target (P,) int64 places among the truth, and attempt (P,) int64: the place of each among
        the tries for its structure, from 0, by number, the plain id first.

    Raises:
        InputError: an id belongs to no structure or occurs twice, or two structures share an id.
    """
    names, known = [str(i) for i in ids], [str(i) for i in truth_ids]
    place = {name: index for index, name in enumerate(known)}
    if len(place) < len(known):
        raise InputError(f"two test structures have the id {_repeated(known)}")
    if len(set(names)) < len(names):
        raise InputError(f"two predictions have the id {_repeated(names)}")
    target, number, lost = np.zeros(len(names), np.int64), np.full(len(names), -1), []
    for row, name in enumerate(names):
        stem, _, last = name.rpartition("-")
        if name in place:
            target[row] = place[name]
        elif last.isascii() and last.isdigit() and stem in place:
            target[row], number[row] = place[stem], int(last)
        else:
            lost.append(name)
    if lost:
        shown = ", ".join(lost[:NAMED]) + (", …" if len(lost) > NAMED else "")
        raise InputError(
            f"{len(lost)} of {len(names)} predictions have ids that match no test structure "
            f"({shown}); name them <id of the structure> or <id>-<number of the try>"
        )
    return target, _attempts(target, number)


def score_predictions(
    predictions: CrystalBatch,
    truth: CrystalBatch,
    target: np.ndarray | None = None,
    settings: MatchSettings | None = None,
    *,
    attempt: np.ndarray | None = None,
    valid: np.ndarray | None = None,
    valid_truth: np.ndarray | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    progress: ItemProgress | None = None,
) -> PredictionResult:
    """Score P predictions of T test structures: match rates for 1 and k tries, METRe and cRMSE.

    Args:
        predictions: P crystals; one whose cell spans no volume matches nothing.
        truth: T test structures.
        target: (P,) the place in `truth` of the structure that each prediction was made for, tries
            in their order; by default told from the ids (`targets_from_ids`).
        settings: tolerances; the literature's by default.
        attempt: (P,) beside `target`, the place of each among its structure's tries, from 0; a
            place that none has is a try that failed, as one whose file could not be read.
        valid: (P,) bool, predictions that count as valid; by default by their structures, periodic
            images of the same atom counted. DiffCSP's code also asks for valid compositions.
        valid_truth: (T,) bool, the same of the test structures.
        executor: any `concurrent.futures` executor; by default `workers` processes.
        workers: processes without an executor; 1 runs in this one.
        progress: called as progress(done, total), by test structures.

    Raises:
        InputError: a prediction belongs to no structure, or arrays have the wrong size.
    """
    size = len(predictions)
    if target is None:
        target, counted = targets_from_ids(predictions.ids, truth.ids)
    else:
        target = _places(target, "target", size, len(truth))
        counted = _attempts(target, np.arange(size))
    if attempt is not None:
        counted = _places(attempt, "attempt", size)
    chosen = settings or MatchSettings()
    pairs = match_all(predictions, truth, chosen, executor, workers, progress)
    sound = validity_of(predictions, valid, "valid")
    sound_truth = validity_of(truth, valid_truth, "valid_truth")
    own = pairs.truth == target[pairs.prediction]
    rms = np.full(len(predictions), np.nan)
    rms[pairs.prediction[own]] = pairs.rms[own]
    early = counted[pairs.prediction] == 0
    return PredictionResult(
        rms,
        sound & sound_truth[target],
        target,
        counted,
        len(truth),
        pairs.everyone(early, int((counted == 0).sum()), sound, sound_truth),
        pairs.everyone(np.ones_like(early), size, sound, sound_truth),
        chosen,
    )


def _attempts(target: np.ndarray, number: np.ndarray) -> np.ndarray:
    """(P,) the rank of each prediction among those of its target, by number."""
    order = np.lexsort((number, target))
    starts = np.cumsum(np.bincount(target)) - np.bincount(target)
    attempt = np.zeros(len(target), dtype=np.int64)
    attempt[order] = np.arange(len(target)) - starts[target[order]]
    return attempt


def _places(values: np.ndarray, name: str, size: int, below: int | None = None) -> np.ndarray:
    """(size,) int64 of whole numbers from 0 on."""
    given = np.asarray(values)
    if given.shape != (size,) or given.dtype.kind not in "iu":
        raise InputError(f"{name} must be {size} whole numbers, one per prediction")
    if size and (given.min() < 0 or (below is not None and given.max() >= below)):
        raise InputError(f"{name} must lie in 0 to {'…' if below is None else below - 1}")
    return given.astype(np.int64)


def _repeated(names: list[str]) -> str:
    return next(name for row, name in enumerate(names) if name in names[:row])
