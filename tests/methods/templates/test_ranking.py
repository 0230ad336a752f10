"""What the templates say of a composition, and where their similarity of elements comes from."""

import numpy as np
import pytest

from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.methods.templates.dress import dressed
from flowllm.methods.templates.fit import FitSettings, fit_similarity
from flowllm.methods.templates.ranking import TemplateRanking
from flowllm.methods.templates.similarity import Similarity, shipped_similarity
from flowllm.methods.templates.stoichiometry import all_stoichiometries, counts_of, reduced
from flowllm.symmetry.find import find_symmetry


def numbers(**counts):
    return {NUMBER_OF[symbol]: count for symbol, count in counts.items()}


def found_in(ranking, tries):
    table = ranking.table
    places = np.array([ranking.place_of(*table.orbits_of(row)) for row in range(len(table))])
    return np.mean((places >= 0) & (places < tries))


def test_like_elements_are_near():
    near = shipped_similarity().between_elements()
    for one, like, other in (("Na", "K", "Cl"), ("Tm", "Er", "Ti"), ("O", "S", "Fe")):
        one, like, other = (NUMBER_OF[x] for x in (one, like, other))
        assert near[one, like] < near[one, other]
    np.testing.assert_allclose(near, near.T)


def test_candidates_are_the_votes_of_all_templates_counted(table):
    """The shares, written out for a composition of two elements of the same count."""
    ranking = TemplateRanking(table, shipped_similarity())
    asked = numbers(Na=1, Cl=1)
    near = shipped_similarity().between_elements()
    weight = shipped_similarity().weights(np.array([1, 1]))[0]
    votes = {}
    for row in range(len(table)):
        counts = table.counts(row)
        if counts_of(counts) != (1, 1) or reduced(counts) == reduced(asked):
            continue
        a, b = counts
        for roles in ((11, 17), (17, 11)):
            vote = np.exp(-weight * (near[roles[0], a] + near[roles[1], b]))
            votes[row, roles] = vote
    found = ranking.candidates(asked, 100, same_formula=False)
    assert sum(np.exp(c.log_share) for c in found) == pytest.approx(1)
    assert [c.log_share for c in found] == sorted((c.log_share for c in found), reverse=True)
    total = sum(votes.values())
    for candidate in found:
        own = table.crystal(candidate.row)
        mine = sum(
            vote
            for (row, _), vote in votes.items()
            if table.crystal(row).number == own.number
            and sorted(table.crystal(row).positions[0].label) == sorted(own.positions[0].label)
        )
        if own.number == 225:  # rocksalt alone: both ways are one structure
            assert np.exp(candidate.log_share) == pytest.approx(mine / total)
    assert any(table.crystal(c.row).number == 225 for c in found)


def test_templates_of_the_formula_itself_are_left_out_on_request(table):
    ranking = TemplateRanking(table, shipped_similarity())
    row = next(r for r in range(len(table)) if counts_of(table.counts(r)) == (1, 1))
    asked = table.counts(row)
    with_own = ranking.candidates(asked, 1)[0]
    assert with_own.distance == 0 and table.counts(with_own.row) == asked
    others = ranking.candidates(asked, 100, same_formula=False)
    assert others and all(reduced(table.counts(c.row)) != reduced(asked) for c in others)


def test_a_dressed_crystal_has_the_symmetry_of_its_template_and_the_volume_expected(table):
    ranking = TemplateRanking(table, shipped_similarity())
    for row in range(0, len(table), 11):
        for candidate in ranking.candidates(table.counts(row), 2, same_formula=False):
            crystal = dressed(table, candidate)
            cell = crystal.to_primitive()
            assert cell.volumes[0] == pytest.approx(candidate.volume, rel=1e-6)
            kinds, counts = np.unique(cell.atomic_numbers, return_counts=True)
            assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == table.counts(row)
            # tight: the symmetry is exact, and can only be higher where two elements became one
            assert find_symmetry(cell, 0.001).number == crystal.number


def test_volumes_are_foretold_from_other_formulas(table):
    ranking = TemplateRanking(table, shipped_similarity())
    errors, plain = [], []
    for row in range(len(table)):
        own = table.crystal(row)
        for candidate in ranking.candidates(table.counts(row), 1, same_formula=False):
            template = table.crystal(candidate.row)
            if (template.number, template.letters) == (own.number, own.letters):
                errors.append(abs(np.log(candidate.volume / table.volume(row))))
                plain.append(abs(np.log(table.volume(candidate.row) / table.volume(row))))
    assert len(errors) > 100
    assert np.median(errors) < 0.05 < np.median(plain)


def test_another_space_group_or_stoichiometry_leaves_nothing(table):
    ranking = TemplateRanking(table, shipped_similarity())
    assert not ranking.candidates(numbers(Na=7, Cl=9), 5)
    assert not ranking.has(numbers(Na=7, Cl=9))
    held = ranking.candidates(numbers(Na=1, Cl=1), 100, space_group=221)
    assert held and all(table.numbers[c.row] == 221 for c in held)
    assert not ranking.candidates(numbers(Na=1, Cl=1), 100, space_group=3)


def test_a_fit_finds_more_than_equal_elements_do(table):
    known = all_stoichiometries(table)
    losses = []
    fitted = fit_similarity(
        known, FitSettings(epochs=4, size=4), lambda _, loss: losses.append(loss)
    )
    assert losses == sorted(losses, reverse=True)
    blind = Similarity(np.zeros((119, 1)), 1.0, 1.0, np.zeros(119))
    assert found_in(TemplateRanking(table, fitted), 1) > found_in(TemplateRanking(table, blind), 1)
    again = fit_similarity(known, FitSettings(epochs=4, size=4))
    assert again.digest() == fitted.digest()


def test_a_similarity_is_kept_and_a_damaged_one_named(tmp_path):
    shipped_similarity().save(tmp_path / "similarity.npz")
    assert Similarity.load(tmp_path / "similarity.npz").digest() == shipped_similarity().digest()
    np.savez(tmp_path / "broken.npz", points=np.zeros((5, 2)), weights=np.ones(2),
             volumes=np.zeros(119))  # fmt: skip
    with pytest.raises(InputError, match=r"broken\.npz.*points"):
        Similarity.load(tmp_path / "broken.npz")
