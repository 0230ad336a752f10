"""The novelty index: planted crystals, agreement with StructureMatcher, files and faults."""

import itertools

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.stability import NoveltyIndex, load_novelty_index, novelty
from flowllm.stability.entries import can_map, entry_of
from flowllm.stability.hull_table import REFERENCE_FOLDER
from flowllm.stability.index_about import Agreement, IndexSettings
from flowllm.stability.index_build import (
    build_and_judge,
    build_novelty_index,
    choose_threshold,
    perturbed,
)
from flowllm.stability.same_formula import SAME, reduced, same


@pytest.fixture(scope="module")
def index(polymorphs):
    """An index of 80 crystals."""
    return build_novelty_index(polymorphs[:80], IndexSettings("polymorphs"), workers=1)


def test_planted_crystals_are_known_and_others_novel(index, polymorphs, again, rewritten):
    planted = index.novelty(again)
    assert not planted.novel.any()
    assert not index.is_novel(rewritten(polymorphs[:20], seed=5, noise=0.05)).any()
    unseen = polymorphs[80:]
    found = index.novelty(unseen)
    assert found.novel.mean() > 0.7
    assert (found.novel | found.same_formula).all()
    exact = novelty(again, polymorphs[:80]).matched
    assert (planted.matched == exact).mean() > 0.9


def test_it_agrees_with_the_matcher_on_real_polymorphs(index, polymorphs):
    asked = CrystalBatch.concatenate([polymorphs[80:], perturbed(polymorphs[:60], seed=1)])
    exact = novelty(asked, polymorphs[:80])
    found = index.agreement(asked, exact, "polymorphs")
    assert found.n == len(asked) and found.same_formula == exact.same_formula.sum() > 60
    assert found.accuracy_same_formula > 0.85
    wrong = (index.is_novel(asked) != exact.novel).sum()
    assert found.false_novel + found.false_known == wrong
    assert found.accuracy == pytest.approx(1 - wrong / len(asked))


def test_what_rules_out_an_entry_rules_out_a_match(polymorphs):
    """Another number of atoms or no cell alike: StructureMatcher never matches those."""
    formulas = np.array(polymorphs.formulas)
    ruled_out = 0
    for formula in np.unique(formulas):
        rows = np.flatnonzero(formulas == formula)
        for one, other in itertools.pairwise(rows):
            a, b = polymorphs[int(one)], polymorphs[int(other)]
            first, second = entry_of(a), entry_of(b)
            if first.num_atoms != second.num_atoms or not can_map(first, second, SAME):
                ruled_out += 1
                assert not same(reduced(a), reduced(b), SAME)
    assert ruled_out > 10


def test_the_shipped_index_knows_the_training_crystals(data_dir, rewritten):
    import csv
    import gzip
    from itertools import islice

    shipped = load_novelty_index()
    assert len(shipped) == 26_343
    assert (REFERENCE_FOLDER / "mp_20" / "novelty.npz").stat().st_size < 2_000_000
    with gzip.open(data_dir / "mp_20" / "train.csv.gz", "rt") as file:
        rows = list(islice(csv.DictReader(file), 0, 3000, 120))
    training = CrystalBatch.from_cif([r["cif"] for r in rows], [r["material_id"] for r in rows])
    found = shipped.novelty(rewritten(training))
    assert not found.novel.any()
    assert (found.matched == training.ids).mean() > 0.9


def test_the_shipped_index_says_how_far_it_agrees():
    text = "\n".join(load_novelty_index().describe())
    assert "26,343 crystals" in text and "CC BY 4.0" in text
    real, generated = load_novelty_index().agreements
    assert "test" in real.crystals and "diffcsp" in generated.crystals
    assert generated.accuracy > 0.99 and generated.accuracy_same_formula > 0.96
    # real crystals of a known formula are other orderings and polymorphs: the hard case
    assert real.accuracy > 0.98 and real.accuracy_same_formula > 0.92
    assert min(a.same_formula for a in (real, generated)) > 300


def test_the_threshold_is_chosen_where_both_agree_best(index, polymorphs):
    crystals = perturbed(polymorphs[:60], seed=2)
    exact = novelty(crystals, polymorphs[:80])
    chosen = choose_threshold(index, crystals, exact, "perturbed ones", workers=1)
    assert chosen.settings.chosen_on == "perturbed ones"
    assert 0.05 < chosen.settings.threshold < 0.6

    distances, _, _ = index.nearest(crystals)

    def right(threshold):
        return ((distances <= threshold) == ~exact.novel).sum()

    best = right(chosen.settings.threshold)
    assert all(best >= right(t) for t in (0.0, 0.05, 0.1, 0.3, 0.5, 0.9))


def test_an_index_is_built_and_judged_on_other_crystals(polymorphs):
    index = build_and_judge(
        polymorphs[:50],
        polymorphs[50:60],
        {"the rest": polymorphs[60:90], "themselves": polymorphs[:20]},
        IndexSettings("fifty"),
        perturb=20,
        workers=1,
    )
    assert [a.crystals for a in index.agreements] == ["the rest", "themselves"]
    assert [a.n for a in index.agreements] == [30, 20]
    assert index.agreements[1].same_formula == 20 and index.agreements[1].false_novel == 0
    assert index.settings.chosen_on == "the validation split and 20 perturbed training crystals"


# ---- files -------------------------------------------------------------------------------------


def test_an_index_comes_back_and_answers_the_same(index, polymorphs, again, tmp_path):
    told = index.with_agreements(Agreement("some", 100, 40, 1, 2))
    told.save(tmp_path / "index.npz")
    back = load_novelty_index(tmp_path / "index.npz")
    assert back.settings == told.settings and back.agreements == told.agreements
    assert sorted(back.ids) == sorted(index.ids)
    asked = CrystalBatch.concatenate([again[:10], polymorphs[80:]])
    before, after = index.nearest(asked)[0], back.nearest(asked)[0]
    # fingerprints are kept in steps of 4 / 255: half a step at most is lost
    near = np.isfinite(before)
    assert np.array_equal(near, np.isfinite(after))
    assert np.abs(before[near] - after[near]).max() < 0.51 * 4 / 255
    back.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "index.npz").read_bytes()


def test_it_holds_no_structures(index, tmp_path):
    index.save(tmp_path / "index.npz")
    with np.load(tmp_path / "index.npz") as archive:
        assert set(archive.files) == {
            "about", "ids", "n_elements", "kinds", "counts", "num_atoms", "cells", "fingerprints"
        }  # fmt: skip
        assert archive["fingerprints"].dtype == np.uint8


def test_files_that_cannot_be_used_are_named(index, tmp_path):
    with pytest.raises(InputError, match=r"no novelty index elsewhere: neither a file nor mp_20"):
        load_novelty_index("elsewhere")
    with pytest.raises(InputError, match=r"no such file: .*none.npz"):
        NoveltyIndex.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("formulas")
    with pytest.raises(InputError, match=r"text.npz is no novelty index"):
        NoveltyIndex.load(tmp_path / "text.npz")
    index.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        arrays = dict(archive)
    np.savez(tmp_path / "part.npz", **{**arrays, "num_atoms": arrays["num_atoms"][:-1]})
    with pytest.raises(InputError, match=r"arrays of a novelty index that do not belong together"):
        NoveltyIndex.load(tmp_path / "part.npz")
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cut.npz is no novelty index"):
        NoveltyIndex.load(tmp_path / "cut.npz")


# ---- faults ------------------------------------------------------------------------------------


def test_what_cannot_be_compared_is_named_and_not_novel(index, polymorphs, faulty):
    found = index.novelty(CrystalBatch.concatenate([faulty(polymorphs[0]), polymorphs[:1]]))
    assert not found.novel.any()
    assert all(found.faults[:4]) and found.faults[4] == ""
    assert found.matched[4] == polymorphs.ids[0]


def test_a_training_crystal_that_cannot_be_compared_has_no_entry(polymorphs, faulty):
    batch = CrystalBatch.concatenate([faulty(polymorphs[0]), polymorphs[:2]])
    built = build_novelty_index(batch, IndexSettings(), workers=1)
    assert built.ids.tolist() == polymorphs.ids[:2].tolist()


def test_an_index_of_nothing_knows_nothing(polymorphs, tmp_path):
    empty = build_novelty_index(CrystalBatch.empty(), IndexSettings(), workers=1)
    empty.save(tmp_path / "empty.npz")
    back = NoveltyIndex.load(tmp_path / "empty.npz")
    assert len(back) == 0 and back.is_novel(polymorphs[:2]).all()


def test_an_agreement_of_other_crystals_is_refused(index, polymorphs):
    exact = novelty(polymorphs[:2], polymorphs[:1])
    with pytest.raises(InputError, match=r"2 compared crystals for 3"):
        index.agreement(polymorphs[:3], exact, "three")


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"threshold must be at least 0"):
        IndexSettings(threshold=float("nan"))
    with pytest.raises(InputError, match=r"needs a neighbour"):
        IndexSettings(neighbours=0)
