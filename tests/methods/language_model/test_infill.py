"""Infilling and completion: known crystals, the definition of the shares, masks that do not fit."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model.completion import complete_crystal, first_atoms
from flowllm.methods.language_model.infill import (
    TRAINED_ON,
    masked_sites,
    propose_elements,
)
from flowllm.methods.language_model.likelihood import as_crystal_set, score
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.systems.record import PRETRAINED


@pytest.fixture(scope="module")
def shipped():
    return LanguageModelPrior.from_pretrained(PRETRAINED / "mp20-compact" / "lm")


@pytest.fixture(scope="module")
def perovskite():
    return Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.905), ["Sr", "Ti", "O"], [(0, 0, 0), (0.5,) * 3, (0.5, 0.5, 0)]
    )


# ---- the mask ------------------------------------------------------------------------------------


def test_sites_are_counted_from_one(perovskite):
    assert masked_sites(perovskite, sites=[1, 5]) == [0, 4]
    assert masked_sites(perovskite, element="O") == [2, 3, 4]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"sites": [0]}, "site 0 is outside the structure; its sites are 1 to 5"),
        ({"sites": [6]}, "site 6 is outside"),
        ({"sites": []}, "empty"),
        ({"element": "S"}, "contains no S; it has Sr, Ti, O"),
        ({}, "either sites or an element"),
        ({"sites": [1], "element": "O"}, "either sites or an element"),
    ],
)
def test_a_mask_that_does_not_fit_is_explained(perovskite, mask, message):
    with pytest.raises(InputError, match=message):
        masked_sites(perovskite, **mask)


def test_an_element_is_a_whole_symbol():
    structure = Structure(Lattice.cubic(5), ["Ca", "C"], [(0, 0, 0), (0.5,) * 3])
    assert masked_sites(structure, element="C") == [1]


# ---- proposals -----------------------------------------------------------------------------------


def test_the_anion_of_a_perovskite_is_found(shipped, perovskite):
    found = propose_elements(shipped, perovskite, masked_sites(perovskite, element="O"))
    assert found.elements[0] == "O"
    assert found.shares[0] > 0.5
    assert set(found.elements) == set(TRAINED_ON) - {"Sr", "Ti"}


def test_shares_are_those_of_the_whole_crystals_likelihoods(shipped, perovskite):
    candidates = ("O", "S", "F", "N")
    masked = masked_sites(perovskite, element="O")
    found = propose_elements(shipped, perovskite, masked, candidates)
    assert found.shares.sum() == pytest.approx(1)
    assert (np.diff(found.nats) <= 0).all()
    for element, nats, crystal in zip(found.elements, found.nats, found.crystals, strict=True):
        assert crystal.compositions == [{"Sr": 1, "Ti": 1, element: 3}]
        alone = score(shipped.model, shipped.tokenizer, as_crystal_set(crystal)).total[0]
        assert nats == pytest.approx(alone, abs=1e-3)
    np.testing.assert_allclose(
        found.shares, np.exp(found.nats) / np.exp(found.nats).sum(), rtol=1e-9
    )


def test_what_stands_on_the_mask_plays_no_part(shipped, perovskite):
    other = perovskite.copy()
    other.replace(1, "Pu")
    one, two = (propose_elements(shipped, s, [1], ("Ti", "Zr", "Na")) for s in (perovskite, other))
    assert one.elements == two.elements
    np.testing.assert_allclose(one.nats, two.nats, atol=1e-4)


def test_present_elements_are_proposed_only_on_request(shipped, perovskite):
    masked = masked_sites(perovskite, element="Ti")
    assert "O" not in propose_elements(shipped, perovskite, masked).elements
    allowed = propose_elements(shipped, perovskite, masked, ("O", "Zr"), allow_present=True)
    assert set(allowed.elements) == {"O", "Zr"}
    with pytest.raises(InputError, match="no candidate is left"):
        propose_elements(shipped, perovskite, masked, ("O", "Sr"))
    with pytest.raises(InputError, match="unknown element 'Xx'"):
        propose_elements(shipped, perovskite, masked, ("Xx",))


def test_test_crystals_are_infilled(shipped, sample_crystals):
    generator, hits = np.random.default_rng(0), 0
    crystals = sample_crystals[40:52]
    for crystal, structure in zip(crystals, crystals.to_pymatgen(), strict=True):
        element = str(generator.choice(list(crystal.compositions[0])))
        masked = masked_sites(structure, element=element)
        hits += element in propose_elements(shipped, structure, masked).elements[:5]
    assert hits >= 6  # of 12; the nearest covalent radii name none


# ---- completion ----------------------------------------------------------------------------------


def test_a_completed_crystal_begins_with_what_was_given(shipped, sample_crystals):
    several = [c for c in sample_crystals[:30] if c.num_atoms[0] >= 4][:4]
    for crystal in several:
        given = first_atoms(shipped, crystal, int(crystal.num_atoms[0]) // 2)
        found = complete_crystal(shipped, given, seeds=range(4))
        assert len(found) == 4
        for completed in found:
            count = len(given.frac_coords)
            np.testing.assert_allclose(completed.frac_coords[:count], given.frac_coords)
            np.testing.assert_array_equal(completed.atomic_numbers[:count], given.atomic_numbers)
            np.testing.assert_allclose(completed.lengths, given.lengths)


def test_a_composition_is_kept_to(shipped, sample_crystals):
    crystal = next(c for c in sample_crystals if c.num_atoms[0] >= 6)
    asked = Conditions(composition=crystal.compositions[0])
    found = complete_crystal(shipped, first_atoms(shipped, crystal, 2), asked, seeds=range(3))
    assert found.compositions == [crystal.compositions[0]] * 3
    again = complete_crystal(shipped, first_atoms(shipped, crystal, 2), asked, seeds=range(3))
    np.testing.assert_array_equal(found.frac_coords, again.frac_coords)


def test_what_cannot_be_completed_is_explained(shipped, sample_crystals):
    crystal = sample_crystals[[0]]
    with pytest.raises(InputError, match="choose 1 to"):
        first_atoms(shipped, crystal, 99)
    salt = CrystalBatch([11], [(0, 0, 0)], [[4.0] * 3], [[60.0] * 3], [1], ["salt"])
    with pytest.raises(InputError, match="salt: atom 1 .* contradicts the conditions"):
        complete_crystal(shipped, salt, Conditions(elements=("K", "Cl")))
    flat = salt.replace(angles=[[20.0, 20.0, 20.0]])
    with pytest.raises(InputError, match="the cell is outside the model's range"):
        complete_crystal(shipped, flat)
    free = shipped.unconstrained()
    with pytest.raises(InputError, match="compact model"):
        complete_crystal(free, salt)
