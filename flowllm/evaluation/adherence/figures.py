"""Requested against obtained: shares and correlations, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.evaluation.adherence.kinds import OF_TYPES
from flowllm.metrics.group_relations import are_supergroups
from flowllm.metrics.statistics import Estimate, bootstrap_interval, estimate
from flowllm.metrics.symmetry import symmetry

SYMPRECS = (0.1, 0.01)  # Å
TYPE_LABELS = (
    "formula as asked", "unit cell as asked", "elements as asked", "number of atoms as asked",
)  # fmt: skip
GROUP, REAL = "space group as asked, symprec", "the real crystals as text"
SUPERGROUP = "supergroup of the one asked, symprec"
ENERGIES = {"formation_energy": "formation energy", "e_above_hull": "E_hull"}


@dataclass(frozen=True)
class Outcome:
    """The properties of P samples; rejected ones have -1, 0, NaN or None.

    Attributes:
        compositions: P {element: atoms in the cell}, None where the sample was rejected.
        formulas: P reduced formulas, "" where it was.
        space_groups: Å of spglib's tolerance -> (P,) international numbers, 0 for none.
        energies: condition -> (P,) eV/atom, NaN where unknown; empty if they were not computed.
    """

    compositions: Sequence[Mapping[str, int] | None]
    formulas: Sequence[str]
    space_groups: Mapping[float, np.ndarray]
    energies: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A figure of one kind of prompt.

    Attributes:
        name: what it is.
        stage: "prior", "refined", "relaxed" or `REAL`; "" where refinement changes nothing.
        value: with its interval; a share where `is_share`.
        is_share: whether it is a share rather than a number.
    """

    name: str
    stage: str
    value: Estimate
    is_share: bool = True

    def text(self) -> str:
        """As a table shows it."""
        if self.value.n and np.isnan(self.value.value):
            return f"too few (n = {self.value.n})"
        return self.value.as_percent() if self.is_share else self.value.as_number(2)


def outcome_of(
    crystals: CrystalBatch,
    positions: np.ndarray,
    total: int,
    groups: Mapping[float, np.ndarray] | None = None,
    energies: Mapping[str, np.ndarray] | None = None,
) -> Outcome:
    """The properties of C crystals, at the positions of their prompts.

    Args:
        crystals: C crystals.
        positions: (C,) the position of the prompt of each.
        total: P prompts.
        groups: Å of spglib's tolerance -> (C,) space groups; looked for where it is None.
        energies: condition -> (C,) eV/atom, where they were computed.
    """
    compositions: list[Mapping[str, int] | None] = [None] * total
    formulas = [""] * total
    written = zip(positions.tolist(), crystals.compositions, crystals.formulas, strict=True)
    for place, composition, formula in written:
        compositions[place], formulas[place] = composition, formula
    if groups is None:
        groups = groups_of(crystals)
    found = {}
    for tolerance, numbers in groups.items():
        found[tolerance] = np.zeros(total, dtype=np.int64)
        found[tolerance][positions] = numbers
    known = {}
    for name, values in (energies or {}).items():
        known[name] = np.full(total, np.nan)
        known[name][positions] = values
    return Outcome(compositions, formulas, found, known)


def groups_of(crystals: CrystalBatch, workers: int | None = 1) -> dict[float, np.ndarray]:
    """Å of spglib's tolerance -> (C,) space groups, 0 for none."""
    return {
        tolerance: symmetry(crystals, tolerance, workers=workers).space_groups
        for tolerance in SYMPRECS
    }


def figures_of(
    asked: Sequence[Conditions],
    prior: Outcome,
    refined: Outcome,
    relaxed: Mapping[str, np.ndarray] | None = None,
    known_gaps: Mapping[tuple[str, int], float] | None = None,
    as_text: CrystalBatch | None = None,
) -> list[Figure]:
    """The metrics of one kind of prompt: P conditions against the samples.

    A sample that was rejected counts as one that did not keep to anything. Of conditions that were
    not asked for nothing is said.

    Args:
        asked: P conditions, all with the same ones known.
        prior: what the prior wrote.
        refined: what the refiner made of it.
        relaxed: condition -> (P,) eV/atom after relaxation, NaN where none was done.
        known_gaps: (reduced formula, space group) -> band gap in eV of a known crystal.
        as_text: the P crystals that the conditions are of, as texts hold them; how many keep their
            space group through the decimals of a text is the most that a language model can reach.
    """
    names = asked[0].known()
    written = np.array([cell is not None for cell in prior.compositions])
    figures = [Figure("written as a crystal", "", estimate(written))]
    for name, label in zip(OF_TYPES, TYPE_LABELS, strict=True):
        if name in names:
            figures.append(Figure(label, "", estimate(kept(asked, prior, name))))
    both = (("prior", prior), ("refined", refined))
    if "space_group" in names:
        wanted = np.array([conditions.space_group for conditions in asked])
        for tolerance in SYMPRECS:
            for stage, found in both:
                numbers = found.space_groups[tolerance]
                for label, hits in (
                    (GROUP, numbers == wanted),
                    (SUPERGROUP, are_supergroups(numbers, wanted)),
                ):
                    figures.append(Figure(f"{label} {tolerance:g}", stage, estimate(hits)))
            if as_text is not None:
                hits = symmetry(as_text, tolerance).space_groups == wanted
                figures.append(Figure(f"{GROUP} {tolerance:g}", REAL, estimate(hits)))
    for name, label in ENERGIES.items():
        if name not in names:
            continue
        wanted = np.array([getattr(conditions, name) for conditions in asked])
        stages = [(stage, found.energies[name]) for stage, found in both if name in found.energies]
        if relaxed and name in relaxed:
            stages.append(("relaxed", relaxed[name]))
        for stage, values in stages:
            figures += _agreement(label, stage, wanted, values)
    # of a composition that is asked for, the known crystal would be the one that was asked after
    if "band_gap" in names and known_gaps and not {"formula", "composition"} & set(names):
        wanted = np.array([conditions.band_gap for conditions in asked])
        keys = zip(refined.formulas, refined.space_groups[SYMPRECS[0]].tolist(), strict=True)
        values = np.array([known_gaps.get(key, np.nan) for key in keys])
        figures += _agreement("band gap of the known crystal", "refined", wanted, values)
    return figures


def kept(asked: Sequence[Conditions], found: Outcome, name: str) -> np.ndarray:
    """(P,) bool: whether each sample has the requested formula, composition, elements or size."""
    hits = []
    rows = zip(asked, found.compositions, found.formulas, strict=True)
    for conditions, composition, formula in rows:
        if composition is None:
            hits.append(False)
        elif name == "formula":
            hits.append(formula == conditions.formula)
        elif name == "composition":
            hits.append(dict(composition) == dict(conditions.composition or {}))
        elif name == "elements":
            hits.append(set(composition) == set(conditions.elements or ()))
        else:
            hits.append(sum(composition.values()) == conditions.num_atoms)
    return np.array(hits, dtype=bool)


def correlation(x: np.ndarray, y: np.ndarray, ranked: bool = False) -> Estimate:
    """Pearson's correlation of pairs, or Spearman's, with its bootstrap interval over the pairs.

    Args:
        x: (n,) numbers; pairs with a NaN are left out.
        y: (n,) numbers.
        ranked: of the ranks (Spearman).
    """
    sound = np.isfinite(x) & np.isfinite(y)
    x, y = x[sound], y[sound]
    if len(x) < 3:
        return Estimate(float("nan"), float("nan"), float("nan"), len(x))
    value = float(_correlations(x[None], y[None], ranked)[0])
    if not np.isfinite(value):  # of constant numbers
        return Estimate(value, value, value, len(x))

    def of_resamples(places: np.ndarray) -> np.ndarray:
        drawn = _correlations(x[places], y[places], ranked)
        return drawn[np.isfinite(drawn)]

    low, high = bootstrap_interval(np.arange(len(x)), of_resamples)
    return Estimate(value, low, high, len(x))


def _correlations(x: np.ndarray, y: np.ndarray, ranked: bool) -> np.ndarray:
    """(s,) correlations of s samples of n pairs (s, n)."""
    from scipy.stats import rankdata

    if ranked:
        x, y = rankdata(x, axis=-1), rankdata(y, axis=-1)
    x, y = (v - v.mean(-1, keepdims=True) for v in (x, y))
    with np.errstate(invalid="ignore"):  # of constant numbers there is none
        result: np.ndarray = (x * y).sum(-1) / np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return result


def _agreement(label: str, stage: str, wanted: np.ndarray, values: np.ndarray) -> list[Figure]:
    sound = np.isfinite(values) & np.isfinite(wanted)
    gaps = np.abs(values - wanted)[sound]
    median: Callable[[np.ndarray], np.ndarray] = lambda drawn: np.median(drawn, -1)  # noqa: E731
    middle = float(np.median(gaps)) if len(gaps) else float("nan")
    return [
        Figure(f"{label}, Pearson's r", stage, correlation(wanted, values), False),
        Figure(f"{label}, Spearman's ρ", stage, correlation(wanted, values, True), False),
        Figure(
            f"{label}, median deviation",
            stage,
            Estimate(middle, *bootstrap_interval(gaps, median), len(gaps)),
            False,
        ),
    ]
