"""Crystal structure prediction: several tries for each structure, and METRe.

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

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from flowllm.crystal import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchResult, MatchSettings
from flowllm.metrics.statistics import Estimate, estimate
from flowllm.metrics.validity import structural_validity
from flowllm.parallel import Failure, Progress, map_crystals

NAMED = 3  # culprits that a message names


@dataclass(frozen=True)
class ReferenceResult:
    """What became of T reference structures among all predictions of their compositions.

    Attributes:
        rms: (T,) rms of the best prediction over (V/n)^(1/3); NaN where none matches.
        rms_valid: (T,) the same where only valid structures count, on both sides.
        predictions: how many predictions took part.
        settings: the tolerances.
        failures: pairs on which the matcher itself gave up; they count as not matched.
    """

    rms: np.ndarray
    rms_valid: np.ndarray
    predictions: int
    settings: MatchSettings
    failures: tuple[Failure, ...] = ()

    @property
    def metre(self) -> Estimate:
        """References that a prediction matches, over all references."""
        return estimate(~np.isnan(self.rms))

    @property
    def metre_valid(self) -> Estimate:
        """Valid references that a valid prediction matches, over all references."""
        return estimate(~np.isnan(self.rms_valid))

    @property
    def rmse(self) -> Estimate:
        """Mean rms over the references that are matched."""
        return estimate(self.rms[~np.isnan(self.rms)])

    @property
    def crmse(self) -> Estimate:
        """Mean rms over all references; one that nothing matches enters with `stol`."""
        return estimate(np.where(np.isnan(self.rms), self.settings.stol, self.rms))

    @property
    def crmse_valid(self) -> Estimate:
        """The same where only valid structures count."""
        return estimate(np.where(np.isnan(self.rms_valid), self.settings.stol, self.rms_valid))

    def table(self) -> list[tuple[str, str]]:
        """Rows (name, value) for a printed table."""
        share = self.predictions / len(self.rms) if len(self.rms) else float("nan")
        return [
            ("predictions per reference", f"{share:.2f}"),
            ("METRe", self.metre.as_percent()),
            ("METRe, valid structures only", self.metre_valid.as_percent()),
            ("RMSE of METRe's matches", self.rmse.as_number(4)),
            ("cRMSE", self.crmse.as_number(4)),
            ("cRMSE, valid structures only", self.crmse_valid.as_number(4)),
        ]


@dataclass(frozen=True)
class PredictionResult:
    """What became of P predictions of T test structures.

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
        rms = _best(self.rms, self.target, sound if valid_only else counts, self.structures)
        valid = np.bincount(self.target[sound], minlength=self.structures) > 0
        return MatchResult(rms, valid, self.settings)

    def table(self, k: int | None = None) -> list[tuple[str, str]]:
        """Rows (name, value) for a printed table, for 1 and k tries, by default all there are."""
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
            f"{len(lost)} of {len(names)} predictions belong to no test structure by their ids "
            f"({shown}); call them <id of the structure> or <id>-<number of the try>"
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
    progress: Progress | None = None,
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
    pairs = _match_all(predictions, truth, chosen, executor, workers, progress)
    sound = _validity(predictions, valid, "valid")
    sound_truth = _validity(truth, valid_truth, "valid_truth")
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


def match_everyone(
    predictions: CrystalBatch,
    truth: CrystalBatch,
    settings: MatchSettings | None = None,
    *,
    valid: np.ndarray | None = None,
    valid_truth: np.ndarray | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> ReferenceResult:
    """METRe and cRMSE alone, which need to know of no prediction what it was made for.

    Arguments are those of `score_predictions`.

    Raises:
        InputError: arrays have the wrong size.
    """
    chosen = settings or MatchSettings()
    sound = _validity(predictions, valid, "valid")
    sound_truth = _validity(truth, valid_truth, "valid_truth")
    pairs = _match_all(predictions, truth, chosen, executor, workers, progress)
    every = np.ones(len(pairs.rms), dtype=bool)
    return pairs.everyone(every, len(predictions), sound, sound_truth)


@dataclass(frozen=True)
class _Pairs:
    """All pairs of equal reduced composition: (M,) places and rms, NaN without a match."""

    prediction: np.ndarray
    truth: np.ndarray
    rms: np.ndarray
    structures: int
    settings: MatchSettings
    failures: tuple[Failure, ...]

    def everyone(
        self, chosen: np.ndarray, predictions: int, sound: np.ndarray, sound_truth: np.ndarray
    ) -> ReferenceResult:
        """The best of the chosen pairs for each reference."""
        valid = chosen & sound[self.prediction] & sound_truth[self.truth]
        rms, rms_valid = (
            _best(self.rms, self.truth, which, self.structures) for which in (chosen, valid)
        )
        return ReferenceResult(rms, rms_valid, predictions, self.settings, self.failures)


def _match_all(
    predictions: CrystalBatch,
    truth: CrystalBatch,
    settings: MatchSettings,
    executor: Executor | None,
    workers: int,
    progress: Progress | None,
) -> _Pairs:
    """Each structure against all predictions of its reduced composition."""
    of_composition: dict[frozenset, list[int]] = defaultdict(list)
    for index, key in enumerate(_reduced_compositions(predictions)):
        if key is not None:
            of_composition[key].append(index)
    keys = enumerate(_reduced_compositions(truth))
    found = {i: of_composition[key] for i, key in keys if key is not None and key in of_composition}
    rows, members = list(found), list(found.values())
    outcomes = map_crystals(
        _rms_of_references,
        [(predictions[m], truth[i], settings) for i, m in zip(rows, members, strict=True)],
        executor,
        workers,
        progress,
        names=[str(truth.ids[i]) for i in rows],
    )
    values, failures = [], []
    for outcome, member in zip(outcomes, members, strict=True):
        if isinstance(outcome, Failure):
            values.append(np.full(len(member), np.nan))
            failures.append(outcome)
        else:
            values.append(outcome[0])
            failures.extend(outcome[1])
    return _Pairs(
        np.array([p for member in members for p in member], dtype=np.int64),
        np.repeat(np.array(rows, dtype=np.int64), [len(member) for member in members]),
        np.concatenate(values) if values else np.zeros(0),
        len(truth),
        settings,
        tuple(failures),
    )


def _rms_of_references(
    item: tuple[CrystalBatch, CrystalBatch, MatchSettings],
) -> tuple[np.ndarray, list[Failure]]:
    """(m,) rms of m predictions against one structure, and the pairs that could not be compared."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    predictions, truth, settings = item
    matcher = StructureMatcher(stol=settings.stol, angle_tol=settings.angle_tol, ltol=settings.ltol)
    reference = truth.to_pymatgen()[0]
    rms = np.full(len(predictions), np.nan)
    failures = []
    for place, prediction in enumerate(predictions):
        try:
            found = matcher.get_rms_dist(prediction.to_pymatgen()[0], reference)
        except Exception as error:  # one pair must not cost the others their result
            name = f"{prediction.ids[0]} against {truth.ids[0]}"
            failures.append(Failure(name, type(error).__name__, str(error)))
        else:
            rms[place] = np.nan if found is None else found[0]
    return rms, failures


def _best(rms: np.ndarray, group: np.ndarray, chosen: np.ndarray, size: int) -> np.ndarray:
    """(size,) the smallest rms of the chosen in each group; NaN where there is none."""
    best = np.full(size, np.inf)
    which = chosen & ~np.isnan(rms)
    np.minimum.at(best, group[which], rms[which])
    return np.where(np.isinf(best), np.nan, best)


def _reduced_compositions(crystals: CrystalBatch) -> list[frozenset | None]:
    """Per crystal what only those of equal reduced composition share; None if it can't be matched.

    Open types, cells without volume and crystals without atoms match nothing.
    """
    solid = (crystals.volumes > 0) & (crystals.num_atoms > 0)
    solid[crystals.crystal_of_atom[crystals.atomic_numbers < 1]] = False
    return [
        frozenset((s, n // np.gcd.reduce(list(c.values()))) for s, n in c.items()) if good else None
        for c, good in zip(crystals.compositions, solid, strict=True)
    ]


def _attempts(target: np.ndarray, number: np.ndarray) -> np.ndarray:
    """(P,) the place of each prediction among those of its target, by number."""
    order = np.lexsort((number, target))
    starts = np.cumsum(np.bincount(target)) - np.bincount(target)
    attempt = np.zeros(len(target), dtype=np.int64)
    attempt[order] = np.arange(len(target)) - starts[target[order]]
    return attempt


def _places(values: np.ndarray, name: str, size: int, below: int | None = None) -> np.ndarray:
    """(size,) int64 of whole numbers from 0 on."""
    given = np.asarray(values)
    if given.shape != (size,) or given.dtype.kind not in "iu":
        raise InputError(f"{name} must be {size} whole numbers, one a prediction")
    if size and (given.min() < 0 or (below is not None and given.max() >= below)):
        raise InputError(f"{name} must lie in 0 to {'…' if below is None else below - 1}")
    return given.astype(np.int64)


def _validity(crystals: CrystalBatch, given: np.ndarray | None, name: str) -> np.ndarray:
    if given is None:
        return structural_validity(crystals)
    valid = np.asarray(given, dtype=bool)
    if valid.shape != (len(crystals),):
        raise InputError(f"{name} must hold {len(crystals)} values, not {valid.size}")
    return valid


def _repeated(names: list[str]) -> str:
    return next(name for row, name in enumerate(names) if name in names[:row])
