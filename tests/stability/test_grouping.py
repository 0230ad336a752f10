"""Groups of equal crystals: as pymatgen groups them, and with planted duplicates and faults."""

import itertools
import time

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.metrics.matching import MatchSettings
from flowllm.stability import group_crystals
from flowllm.stability import grouping as module
from flowllm.stability.grouping import first_of_each
from flowllm.stability.same_formula import reduced, same, unmatchable


def pymatgens_groups(crystals):
    """Group numbers by StructureMatcher.group_structures, in the order in which groups begin."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    structures = crystals.to_pymatgen()
    place = {id(structure): index for index, structure in enumerate(structures)}
    groups = StructureMatcher().group_structures(structures)
    members = sorted(sorted(place[id(s)] for s in group) for group in groups)
    numbers = np.empty(len(crystals), dtype=int)
    for number, rows in enumerate(members):
        numbers[rows] = number
    return numbers


def test_real_crystals_with_planted_duplicates_group_as_by_pymatgen(polymorphs, again, rewritten):
    moved = rewritten(polymorphs[30:50], seed=1, noise=0.05)
    everything = CrystalBatch.concatenate([polymorphs, again, moved])
    shuffled = everything[np.random.default_rng(2).permutation(len(everything))]
    found = group_crystals(shuffled)
    assert found.faults == ("",) * len(shuffled)
    assert np.array_equal(found.numbers, pymatgens_groups(shuffled))
    assert 0 < len(found) == found.unique.sum() <= len(polymorphs)


def test_each_planted_duplicate_is_in_the_group_of_its_original(polymorphs, again):
    everything = CrystalBatch.concatenate([polymorphs, again])
    found = group_crystals(everything)
    count = len(polymorphs)
    assert np.array_equal(found.numbers[count:], found.numbers[: len(again)])
    assert not found.unique[count:].any()
    # the polymorphs themselves stay apart where pymatgen keeps them apart
    assert np.array_equal(found.numbers[:count], group_crystals(polymorphs).numbers)


def test_the_first_crystal_stands_for_its_group(polymorphs):
    twice = CrystalBatch.concatenate([polymorphs[:5], polymorphs[:5]])
    found = group_crystals(twice)
    assert found.unique[:5].sum() == len(found)
    assert not found.unique[5:].any()
    flags = first_of_each(found.numbers, np.arange(10) >= 5)
    assert flags[5:].sum() == len(found) and not flags[:5].any()


def test_reduced_crystals_compare_as_whole_ones(polymorphs):
    """One reduction each, and no look at cells of another size, change no answer."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    formulas = np.array(polymorphs.formulas)
    matcher, seen = StructureMatcher(), []
    for formula in np.unique(formulas):
        rows = np.flatnonzero(formulas == formula)
        for one, other in itertools.pairwise(rows):
            a, b = polymorphs[int(one)], polymorphs[int(other)]
            expected = matcher.fit(a.to_pymatgen()[0], b.to_pymatgen()[0])
            assert same(reduced(a), reduced(b), group_crystals(a).settings) == expected
            seen.append((expected, len(reduced(a)) == len(reduced(b))))
    assert {size for _, size in seen} == {True, False}  # both kinds of pairs came up


def test_tolerances_decide(polymorphs, rewritten):
    wide = rewritten(polymorphs[:8], seed=3, noise=0.3)
    both = CrystalBatch.concatenate([polymorphs[:8], wide])
    strict = group_crystals(both, MatchSettings(stol=0.01, angle_tol=0.1, ltol=0.01))
    assert len(group_crystals(both)) < len(strict)


def test_two_processes_give_the_same_groups(polymorphs, again):
    everything = CrystalBatch.concatenate([polymorphs[:40], again])
    calls = []
    parallel = group_crystals(
        everything, workers=2, progress=lambda done, total: calls.append((done, total))
    )
    assert np.array_equal(parallel.numbers, group_crystals(everything).numbers)
    assert calls[-1][0] == calls[-1][1] > 20  # compositions that several crystals share


# ---- faults ------------------------------------------------------------------------------------


def test_what_cannot_be_compared_is_named_and_stops_nobody(polymorphs, again, faulty):
    bad = faulty(polymorphs[0])
    nothing = CrystalBatch([], np.zeros((0, 3)), [[4] * 3], [[90] * 3], [0], ["nothing"])
    batch = CrystalBatch.concatenate([bad, nothing, polymorphs[:3], again[:3]])
    found = group_crystals(batch)
    assert found.numbers.tolist() == [-1] * 5 + [0, 1, 2, 0, 1, 2]
    assert found.faults[:5] == (
        "the cell has zero volume",
        "volume 0.008 Å^3",
        "the cell is too long for its volume",
        "an atom's type is open",
        "no atoms",
    )
    assert found.unique.tolist() == [False] * 5 + [True] * 3 + [False] * 3


def test_a_crystal_that_takes_too_long_is_left_out_and_named(polymorphs, monkeypatch):
    three = CrystalBatch.concatenate([polymorphs[:1]] * 3).replace(ids=["a", "b", "c"])
    usual, slow = module.reduced, []

    def sometimes_slow(crystal):
        if crystal.ids[0] == "b":
            slow.append(crystal)
            time.sleep(30)
        return usual(crystal)

    monkeypatch.setattr(module, "reduced", sometimes_slow)
    found = group_crystals(three, seconds=0.5)
    assert len(slow) == 1
    assert found.numbers.tolist() == [0, -1, 0]
    assert found.faults == ("", "not compared: took longer than 0.5 s", "")


def test_a_crystal_that_the_matcher_fails_on_is_left_out_and_named(polymorphs, monkeypatch):
    twice = CrystalBatch.concatenate([polymorphs[:1]] * 2)

    def failing(*_):
        raise ArithmeticError("no lattice")

    monkeypatch.setattr(module, "same", failing)
    found = group_crystals(twice)
    assert found.numbers.tolist() == [0, -1]
    assert found.faults == ("", "not compared: no lattice")


def test_no_crystals_are_no_groups():
    found = group_crystals(CrystalBatch.empty())
    assert len(found) == 0 and found.numbers.shape == (0,) and found.unique.shape == (0,)
    assert unmatchable(CrystalBatch.empty()) == []


def test_elements_are_compared_as_they_are():
    """The same geometry of other elements is another crystal; reduced formulas may be equal."""
    cell = ([[0, 0, 0], [0.5, 0.5, 0.5]], [[3.0] * 3], [[90.0] * 3])
    salt = CrystalBatch([11, 17], cell[0], cell[1], cell[2], [2], ["NaCl"])
    other = CrystalBatch([19, 17], cell[0], cell[1], cell[2], [2], ["KCl"])
    larger = salt.replace(lengths=1.1 * salt.lengths, ids=["larger"])
    found = group_crystals(CrystalBatch.concatenate([salt, other, larger]))
    assert found.numbers.tolist() == [0, 1, 0]  # volumes are scaled to each other


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_time_that_is_not_positive_is_refused(polymorphs, seconds):
    from flowllm.errors import InputError

    with pytest.raises(InputError, match=r"seconds must be positive"):
        group_crystals(polymorphs[:2], seconds=seconds)
