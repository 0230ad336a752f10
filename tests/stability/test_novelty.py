"""Novelty: planted training crystals are found, others are not, and faults are named."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings
from flowllm.stability import novelty


def plain(crystals, training):
    """(B,) novel and matched ids, by StructureMatcher's own fit of every pair."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher, references = StructureMatcher(), training.to_pymatgen()
    formulas, matched = np.array(training.formulas), []
    for formula, structure in zip(crystals.formulas, crystals.to_pymatgen(), strict=True):
        rows = np.flatnonzero(formulas == formula)
        hits = [row for row in rows if matcher.fit(references[row], structure)]
        matched.append(str(training.ids[hits[0]]) if hits else "")
    return np.array([not name for name in matched]), matched


def test_planted_training_crystals_are_found_and_no_others(polymorphs, again):
    training = polymorphs[:70]
    unseen = polymorphs[70:]
    asked = CrystalBatch.concatenate([again, unseen])
    found = novelty(asked, training)
    expected, matched = plain(asked, training)
    assert np.array_equal(found.novel, expected)
    assert found.matched.tolist() == matched
    assert not found.novel[: len(again)].any()
    assert found.novel[len(again) :].mean() > 0.7
    assert found.same_formula[len(again) :].any()
    # a polymorph of a known formula can be novel
    assert (found.novel & found.same_formula).any()
    assert not (~found.novel & ~found.same_formula).any()


def test_slightly_moved_training_crystals_are_known(polymorphs, rewritten):
    moved = rewritten(polymorphs[:20], seed=5, noise=0.05)
    assert not novelty(moved, polymorphs).novel.any()
    strict = MatchSettings(stol=0.001, angle_tol=0.01, ltol=0.001)
    assert novelty(moved, polymorphs, strict).novel.any()


def test_a_prepared_set_serves_as_well_and_two_sets_can_be_joined(polymorphs):
    train = CrystalSet(polymorphs[:10])
    val = polymorphs[10:20]
    asked = polymorphs[5:25]
    by_train, by_val = novelty(asked, train), novelty(asked, val)
    both = by_train.join(by_val)
    whole = novelty(asked, polymorphs[:20])
    assert np.array_equal(both.novel, whole.novel)
    assert not both.novel[:15].any() and by_train.novel.sum() > both.novel.sum()
    assert both.matched[:5].tolist() == asked.ids[:5].tolist()
    with pytest.raises(InputError, match=r"cannot be joined"):
        by_train.join(novelty(asked[:3], val))


def test_any_executor_gives_the_same(polymorphs, again):
    one = novelty(again, polymorphs[:60])
    with ThreadPoolExecutor(2) as executor:
        two = novelty(again, polymorphs[:60], executor=executor)
    assert np.array_equal(one.novel, two.novel)
    assert np.array_equal(one.matched, two.matched)


def test_a_crystal_that_cannot_be_compared_is_not_novel(polymorphs, faulty):
    found = novelty(faulty(polymorphs[0]), polymorphs)
    assert not found.novel.any()
    assert all(found.faults)
    assert found.same_formula.tolist() == [True, True, True, False]


def test_a_training_crystal_that_cannot_be_compared_is_told_of(polymorphs, faulty):
    broken = faulty(polymorphs[0])[:1]
    found = novelty(polymorphs[:2], broken)
    assert found.novel.tolist() == [True, True]
    assert found.faults == ("not compared with flat: the cell has zero volume", "")
    # a match with another one settles the question
    known = novelty(polymorphs[:1], CrystalBatch.concatenate([broken, polymorphs[:1]]))
    assert not known.novel[0] and known.faults == ("",)


def test_against_nothing_all_is_novel(polymorphs):
    found = novelty(polymorphs[:3], CrystalBatch.empty())
    assert found.novel.all() and found.matched.tolist() == [""] * 3
    assert novelty(CrystalBatch.empty(), polymorphs).novel.shape == (0,)


def test_a_time_that_is_not_positive_is_refused(polymorphs):
    with pytest.raises(InputError, match=r"seconds must be positive, not 0"):
        novelty(polymorphs[:1], polymorphs, seconds=0.0)


@pytest.fixture(scope="module")
def training():
    """The training split that ships."""
    return load_dataset("mp_20", "train")


def test_training_crystals_that_ship_are_known_however_they_are_written(training, rewritten):
    """In a supercell, with another origin and order, each atom moved by up to 0.05 Å."""
    some = training.crystals[training.crystals.num_atoms <= 12][::900]
    assert len(some) > 15
    for asked in (some, rewritten(some, seed=3), rewritten(some, seed=4, noise=0.05)):
        found = novelty(asked, training)
        assert found.same_formula.all()
        assert not found.novel.any()


def test_a_new_composition_and_a_new_structure_of_a_known_one_are_novel(training):
    rock_salt = [[0, 0, 0], [0.5, 0.5, 0.5]]

    def primitive(numbers, length):
        return CrystalBatch(numbers, rock_salt, [[length] * 3], [[60] * 3], [2], ["asked"])

    formulas = set(training.reduced_formulas)
    assert "NaF" in formulas and "CsRb" not in formulas
    salt, unknown = primitive([11, 9], 4.63 / np.sqrt(2)), primitive([37, 55], 6.0)
    # sodium fluoride in the structure of zinc blende
    blende = CrystalBatch([11, 9], [[0, 0, 0], [0.25] * 3], [[3.6] * 3], [[60] * 3], [2], ["asked"])
    found = novelty(CrystalBatch.concatenate([salt, unknown, blende]), training)
    assert found.novel.tolist() == [False, True, True]
    assert found.same_formula.tolist() == [True, False, True]
    assert found.matched[0] == "mp-682"


def test_what_validation_holds_is_novel_to_training_alone(training):
    validation = load_dataset("mp_20", "val")
    new = ~np.isin(validation.reduced_formulas, training.reduced_formulas)
    asked = validation.crystals[np.flatnonzero(new)[::600]]
    by_training = novelty(asked, training)
    assert by_training.novel.all() and len(asked) > 5
    assert not by_training.join(novelty(asked, validation)).novel.any()
