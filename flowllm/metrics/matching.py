"""Pairwise structure matching, as crystal structure prediction is scored.

`StructureMatcher.get_rms_dist(prediction, truth)[0]` of pymatgen: the root mean square distance
between matched atoms over (V/n)^(1/3), so it has no unit. Settings are those of CDVAE, DiffCSP,
FlowMM and later papers. The papers count differently, so a result gives each rate by its name.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.statistics import Estimate, estimate
from flowllm.metrics.validity import structural_validity
from flowllm.parallel.map import Failure, map_crystals
from flowllm.runs.progress import ItemProgress


@dataclass(frozen=True)
class MatchSettings:
    """Tolerances of pymatgen's StructureMatcher; everything else is its default.

    Attributes:
        stol: largest distance between matched atoms, over (V/n)^(1/3).
        angle_tol: largest difference of cell angles in degrees.
        ltol: largest relative difference of cell lengths.

    Raises:
        InputError: a tolerance is not positive.
    """

    stol: float = 0.5
    angle_tol: float = 10.0
    ltol: float = 0.3

    def __post_init__(self) -> None:
        for name in ("stol", "angle_tol", "ltol"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass(frozen=True)
class MatchResult:
    """The outcome of matching B pairs.

    Attributes:
        rms: (B,) root mean square distance over (V/n)^(1/3); NaN where a pair does not match.
        valid: (B,) bool, both crystals of the pair valid.
        settings: the tolerances.
        failures: pairs on which the matcher itself gave up; they count as not matched.
    """

    rms: np.ndarray
    valid: np.ndarray
    settings: MatchSettings
    failures: tuple[Failure, ...] = ()

    @property
    def matched(self) -> np.ndarray:
        """(B,) bool: which pairs match."""
        return ~np.isnan(self.rms)

    @property
    def match_rate(self) -> Estimate:
        """Matches over all pairs."""
        return estimate(self.matched)

    @property
    def match_rate_valid_pairs(self) -> Estimate:
        """Matches among valid pairs, over the number of valid pairs."""
        return estimate(self.matched[self.valid])

    @property
    def match_rate_invalid_fail(self) -> Estimate:
        """Matches among valid pairs, over all pairs (DiffCSP's code: an invalid pair fails)."""
        return estimate(self.matched & self.valid)

    @property
    def rmse(self) -> Estimate:
        """Mean rms over all matches."""
        return estimate(self.rms[self.matched])

    @property
    def rmse_valid_pairs(self) -> Estimate:
        """Mean rms over the matches among valid pairs."""
        return estimate(self.rms[self.matched & self.valid])

    def _median(self) -> str:
        found = self.rms[self.matched]
        return f"{np.median(found):.4f}" if len(found) else "none (n = 0)"

    def table(self) -> list[tuple[str, str]]:
        """Rows (name, value) for a printed table."""
        s = self.settings
        return [
            ("protocol", f"stol {s.stol:g}, angle_tol {s.angle_tol:g}, ltol {s.ltol:g}"),
            ("match rate, all pairs", self.match_rate.as_percent()),
            ("match rate, valid pairs only", self.match_rate_valid_pairs.as_percent()),
            ("match rate, invalid pairs failed", self.match_rate_invalid_fail.as_percent()),
            ("RMSE, all matches", self.rmse.as_number(4)),
            ("median RMS, all matches", self._median()),
            ("RMSE, valid pairs", self.rmse_valid_pairs.as_number(4)),
        ]


def before_and_after(before: MatchResult, after: MatchResult) -> list[tuple[str, str, str]]:
    """Rows (name, before, after) for the same pairs, with matches gained and lost.

    The mean RMS over all matches rises with each one gained at the edge of the tolerance, though
    nothing got worse; over the pairs that match both times it can be compared.

    Raises:
        InputError: the results are of different pairs.
    """
    if len(before.rms) != len(after.rms):
        raise InputError(f"{len(before.rms)} pairs before and {len(after.rms)} after")
    both = before.matched & after.matched
    lost, gained = before.matched & ~after.matched, after.matched & ~before.matched
    return [
        (
            "RMSE, pairs matched both times",
            estimate(before.rms[both]).as_number(4),
            estimate(after.rms[both]).as_number(4),
        ),
        (
            "matches lost and gained, and their RMSE",
            f"{lost.sum()} ({estimate(before.rms[lost]).value:.2f})" if lost.any() else "0",
            f"{gained.sum()} ({estimate(after.rms[gained]).value:.2f})" if gained.any() else "0",
        ),
    ]


def match(
    predicted: CrystalBatch,
    truth: CrystalBatch,
    settings: MatchSettings | None = None,
    *,
    valid: np.ndarray | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    progress: ItemProgress | None = None,
) -> MatchResult:
    """Match each prediction with the true crystal at its position.

    Args:
        predicted: B crystals; one whose cell spans no volume matches nothing.
        truth: B crystals.
        settings: tolerances; the literature's by default.
        valid: (B,) bool, pairs that count as valid; by default those whose two structures are valid
            (with self-images). DiffCSP's code also asks for valid compositions.
        executor: any `concurrent.futures` executor; by default `workers` processes.
        workers: processes without an executor; 1 runs in this one.
        progress: called as progress(done, total).

    Raises:
        InputError: the two batches have different sizes.
    """
    if len(predicted) != len(truth):
        raise InputError(f"{len(predicted)} predictions for {len(truth)} true crystals")
    chosen = settings or MatchSettings()
    both = CrystalBatch.concatenate([predicted, truth])
    solid = (both.volumes > 0) & (both.num_atoms > 0)
    solid = solid[: len(truth)] & solid[len(truth) :]
    if valid is None:
        sound = structural_validity(both)
        valid = sound[: len(truth)] & sound[len(truth) :]
    rows = np.flatnonzero(solid & _same_composition(predicted, truth))
    outcomes = map_crystals(
        _rms_of_pair,
        [(predicted[int(i)], truth[int(i)], chosen) for i in rows],
        executor,
        workers,
        progress,
        chunk_size=8,
        names=[str(predicted.ids[i]) for i in rows],
    )
    rms = np.full(len(truth), np.nan)
    failures = []
    for row, outcome in zip(rows, outcomes, strict=True):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            rms[row] = outcome
    return MatchResult(rms, np.asarray(valid, dtype=bool), chosen, tuple(failures))


def _rms_of_pair(pair: tuple[CrystalBatch, CrystalBatch, MatchSettings]) -> float:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    predicted, truth, settings = pair
    matcher = StructureMatcher(stol=settings.stol, angle_tol=settings.angle_tol, ltol=settings.ltol)
    found = matcher.get_rms_dist(predicted.to_pymatgen()[0], truth.to_pymatgen()[0])
    return float("nan") if found is None else float(found[0])


def _same_composition(one: CrystalBatch, other: CrystalBatch) -> np.ndarray:
    """(B,) bool: pairs of equal reduced composition; the matcher refuses all others anyway."""

    def reduced(crystals: CrystalBatch) -> list[dict[str, int]]:
        return [
            {s: n // np.gcd.reduce(list(c.values())) for s, n in c.items()}
            for c in crystals.compositions
        ]

    return np.array([a == b for a, b in zip(reduced(one), reduced(other), strict=True)], dtype=bool)
