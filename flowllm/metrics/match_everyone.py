"""METRe and cRMSE: each reference structure against its best prediction of equal composition.

"Match everyone to reference" (Martirossyan et al., "All that structure matches does not glitter",
arXiv 2509.12178, section 5; `metre_rmsds` of OMatG): see `flowllm.metrics.prediction` for why.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings
from flowllm.metrics.statistics import Estimate, estimate
from flowllm.metrics.validity import structural_validity
from flowllm.parallel.map import Failure, map_crystals
from flowllm.runs.progress import ItemProgress


@dataclass(frozen=True)
class ReferenceResult:
    """The matches of T reference structures among all predictions of their compositions.

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
        """Mean rms over all references; unmatched ones count as `stol`."""
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


def match_everyone(
    predictions: CrystalBatch,
    truth: CrystalBatch,
    settings: MatchSettings | None = None,
    *,
    valid: np.ndarray | None = None,
    valid_truth: np.ndarray | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    progress: ItemProgress | None = None,
) -> ReferenceResult:
    """METRe and cRMSE alone, which need no assignment of predictions to targets.

    Arguments are those of `score_predictions`.

    Raises:
        InputError: arrays have the wrong size.
    """
    chosen = settings or MatchSettings()
    sound = validity_of(predictions, valid, "valid")
    sound_truth = validity_of(truth, valid_truth, "valid_truth")
    pairs = match_all(predictions, truth, chosen, executor, workers, progress)
    every = np.ones(len(pairs.rms), dtype=bool)
    return pairs.everyone(every, len(predictions), sound, sound_truth)


@dataclass(frozen=True)
class Pairs:
    """All pairs of equal reduced composition: (M,) positions and rms, NaN without a match."""

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
            best_of_each(self.rms, self.truth, which, self.structures) for which in (chosen, valid)
        )
        return ReferenceResult(rms, rms_valid, predictions, self.settings, self.failures)


def match_all(
    predictions: CrystalBatch,
    truth: CrystalBatch,
    settings: MatchSettings,
    executor: Executor | None,
    workers: int,
    progress: ItemProgress | None,
) -> Pairs:
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
    return Pairs(
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


def best_of_each(rms: np.ndarray, group: np.ndarray, chosen: np.ndarray, size: int) -> np.ndarray:
    """(size,) the smallest chosen rms in each group; NaN if there is none."""
    best = np.full(size, np.inf)
    which = chosen & ~np.isnan(rms)
    np.minimum.at(best, group[which], rms[which])
    return np.where(np.isinf(best), np.nan, best)


def _reduced_compositions(crystals: CrystalBatch) -> list[frozenset | None]:
    """Per crystal a key shared by equal reduced compositions; None if it cannot be matched.

    Open types, cells without volume and crystals without atoms match nothing.
    """
    solid = (crystals.volumes > 0) & (crystals.num_atoms > 0)
    solid[crystals.crystal_of_atom[crystals.atomic_numbers < 1]] = False
    return [
        frozenset((s, n // np.gcd.reduce(list(c.values()))) for s, n in c.items()) if good else None
        for c, good in zip(crystals.compositions, solid, strict=True)
    ]


def validity_of(crystals: CrystalBatch, given: np.ndarray | None, name: str) -> np.ndarray:
    """(B,) bool: the given validity, or that of the structures.

    Raises:
        InputError: it has another size.
    """
    if given is None:
        return structural_validity(crystals)
    valid = np.asarray(given, dtype=bool)
    if valid.shape != (len(crystals),):
        raise InputError(f"{name} must hold {len(crystals)} values, not {valid.size}")
    return valid
