"""Space groups and prototypes of crystals, by spglib, and how their frequencies compare."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.resources import files

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.group_relations import GROUPS
from flowllm.metrics.statistics import Estimate
from flowllm.parallel.map import Failure, map_parts
from flowllm.runs.progress import ItemProgress

SYMPREC = 0.1  # Å, as the space groups of MP-20 were found
FINE_SYMPREC = 0.01  # Å, spglib's usual one for crystals that a program wrote
CHUNK = 100  # crystals that travel to a worker together
RESAMPLES = 1_000


@dataclass(frozen=True)
class Symmetry:
    """Space groups and prototypes of B crystals.

    Attributes:
        space_groups: (B,) int64 from 1 to 230; 0 where spglib finds none.
        prototypes: (B,) str, as in "AB_225_a_b": the anonymous formula, the space group, and for
            each element the letters of its Wyckoff positions with their multiplicity; the elements
            in any order, and among the settings that differ by the choice of the origin the first
            in alphabetical order. Empty where spglib finds no space group. Free parameters are not
            compared, so two crystals of one prototype need not be isostructural.
        symprec: Å, spglib's tolerance.
    """

    space_groups: np.ndarray
    prototypes: np.ndarray
    symprec: float

    def histogram(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """(231,) int64 crystals by space group, 0 being none; of the chosen (B,) bool only."""
        groups = self.space_groups if chosen is None else self.space_groups[chosen]
        return np.bincount(groups, minlength=GROUPS + 1)


@dataclass(frozen=True)
class GroupComparison:
    """The distance between two distributions over the space groups.

    Attributes:
        total_variation: half the summed difference of the shares, 0 to 1.
        jensen_shannon: Jensen-Shannon distance to base 2 (the root of the divergence), 0 to 1.
    """

    total_variation: Estimate
    jensen_shannon: Estimate


def symmetry(
    crystals: CrystalBatch,
    symprec: float = SYMPREC,
    executor: Executor | None = None,
    workers: int | None = 1,
    progress: ItemProgress | None = None,
    seconds: float | None = None,
) -> Symmetry:
    """Space groups and prototypes of B crystals.

    Args:
        crystals: B crystals; one without atoms or volume, or with an open type, has no space group.
        symprec: Å, spglib's tolerance.
        executor: any `concurrent.futures` executor; by default `workers` processes.
        workers: processes without an executor; 1 runs in this one.
        progress: called as progress(done, total) with crystals.
        seconds: the longest that one crystal may take; without an answer it has no space group.

    Raises:
        InputError: symprec is not positive.
    """
    if not symprec > 0:
        raise InputError(f"symprec must be positive, not {symprec}")
    rows: list[tuple[int, str]] = []
    for _, result in map_parts(
        partial(_of_part, symprec=symprec), crystals, CHUNK, executor, workers, progress, seconds
    ):
        rows.extend([(0, "")] if isinstance(result, Failure) else result)
    groups = np.array([group for group, _ in rows], dtype=np.int64)
    return Symmetry(groups, np.array([label for _, label in rows], dtype=np.str_), symprec)


def space_groups(crystals: CrystalBatch, symprec: float = SYMPREC) -> np.ndarray:
    """(B,) int64 space-group numbers; 0 where spglib finds none."""
    return symmetry(crystals, symprec).space_groups


def compare_space_groups(
    generated: np.ndarray, reference: np.ndarray, seed: int = 0
) -> GroupComparison:
    """Compare the space groups of generated crystals with those of a reference.

    The numbers may as well be those of crystal systems.

    Args:
        generated: (G,) space-group numbers, 0 for none.
        reference: (R,) of the reference, taken as exact.
        seed: of the bootstrap.

    Raises:
        InputError: no reference, or a number outside 0 to 230.
    """
    for numbers in (generated, reference):
        if len(numbers) and (np.min(numbers) < 0 or np.max(numbers) > GROUPS):
            raise InputError(f"space-group numbers run from 1 to {GROUPS}, 0 stands for none")
    if not len(reference):
        raise InputError("no reference crystals to compare with")
    theirs = np.bincount(reference, minlength=GROUPS + 1) / len(reference)
    if not len(generated):
        nothing = Estimate(float("nan"), float("nan"), float("nan"), 0)
        return GroupComparison(nothing, nothing)
    counts = np.bincount(generated, minlength=GROUPS + 1)
    # resampling G crystals with replacement is a multinomial draw of their counts
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(generated), counts / len(generated), RESAMPLES)
    return GroupComparison(
        _estimate(_total_variation, counts, drawn, theirs),
        _estimate(_jensen_shannon, counts, drawn, theirs),
    )


def _estimate(
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray],
    counts: np.ndarray,
    drawn: np.ndarray,
    theirs: np.ndarray,
) -> Estimate:
    """The distance and its percentile interval, corrected for the bias of resampling."""
    size = int(counts.sum())
    value = float(distance(counts / size, theirs))
    resampled = distance(drawn / size, theirs)
    low, high = np.quantile(resampled, [0.025, 0.975]) - (resampled.mean() - value)
    return Estimate(value, max(0.0, min(float(low), value)), max(float(high), value), size)


def _total_variation(shares: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.abs(shares - theirs).sum(-1) / 2


def _jensen_shannon(shares: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import jensenshannon

    return jensenshannon(shares, np.broadcast_to(theirs, shares.shape), base=2, axis=-1)


def _of_part(crystals: CrystalBatch, symprec: float) -> list[tuple[int, str]]:
    return [_of_crystal(crystal, symprec) for crystal in crystals]


def _of_crystal(crystal: CrystalBatch, symprec: float) -> tuple[int, str]:
    import spglib

    numbers = crystal.atomic_numbers
    if not len(numbers) or (numbers < 1).any() or crystal.volumes[0] <= 0:
        return 0, ""
    cell = (crystal.lattices[0].tolist(), crystal.frac_coords.tolist(), numbers.tolist())
    try:
        found = spglib.get_symmetry_dataset(cell, symprec=symprec)
    except Exception:  # newer versions of spglib raise where older ones return None
        found = None
    if found is None:
        return 0, ""
    group = int(found.number)
    return group, _prototype(crystal, group, found.wyckoffs, found.crystallographic_orbits)


def _prototype(
    crystal: CrystalBatch, group: int, letters: list[str], orbit_of_atom: np.ndarray
) -> str:
    from pymatgen.core import Composition

    formula = Composition(crystal.compositions[0]).anonymized_formula
    orbits = np.unique(orbit_of_atom)
    elements = crystal.atomic_numbers[orbits]
    per_element = [[letters[i] for i in orbits[elements == e]] for e in np.unique(elements)]
    labels = []
    for table in _relabelings()[group]:
        words = [_word(sorted(letter.translate(table) for letter in own)) for own in per_element]
        labels.append("_".join(sorted(words)))
    return f"{formula}_{group}_{min(labels)}"


@lru_cache(maxsize=1)
def _relabelings() -> dict[int, list[dict[int, str]]]:
    """{space group: translations of its Wyckoff letters by another choice of origin or axes}.

    pymatgen's table (Goodall et al., Sci. Adv. 8, eabn4117 (2022)); read from its file, since
    importing the module around it loads the whole AFLOW library, which takes six seconds.
    """
    file = files("pymatgen.analysis") / "prototypes" / "wyckoff-position-relabelings.json.gz"
    if not file.is_file():
        from pymatgen.analysis.prototypes import WYCKOFF_POSITION_RELAB_DICT as known
    else:
        known = json.loads(gzip.decompress(file.read_bytes()))
    return {
        int(group): [{int(letter): other for letter, other in change.items()} for change in changes]
        for group, changes in known.items()
    }


def _word(letters: list[str]) -> str:
    """The counts of each letter, as in "a2c" for a, c, c."""
    counts = {letter: letters.count(letter) for letter in letters}
    return "".join(letter if n == 1 else f"{n}{letter}" for letter, n in counts.items())
