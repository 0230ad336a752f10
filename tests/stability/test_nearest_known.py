"""The nearest known crystal, against crystals whose relatives are known."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.dataset import CrystalSet
from flowllm.data.shipped import load_shipped
from flowllm.errors import InputError
from flowllm.metrics.facts import crystal_facts
from flowllm.stability.nearest_known import KnownCrystals, mendeleev_numbers
from flowllm.stability.neighbours import neighbours_of

SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4, 4)], [(60, 60, 60)], [2], ["NaCl"]
)
CUBIC = CrystalBatch([11, 17], SALT.frac_coords, [(3.4, 3.4, 3.4)], [(90, 90, 90)], [2], ["CsCl"])


def salt_of(cation, anion, name, like=SALT):
    return like.replace(atomic_numbers=[cation, anion], ids=[name])


@pytest.fixture(scope="module")
def few():
    crystals = CrystalBatch.concatenate(
        [SALT, salt_of(19, 35, "KBr"), salt_of(12, 8, "MgO"), salt_of(55, 53, "CsI", CUBIC)]
    )
    return KnownCrystals(CrystalSet(crystals, {"space_group": np.array([225.0, 225, 225, 221])}))


def test_the_same_crystal_in_another_cell_is_found(few):
    moved = CrystalBatch([17, 11], [(0.3, 0.3, 0.3), (0.8, 0.8, 0.8)], [(4.1, 4.1, 4.1)],
                         [(60, 60, 60)], [2], ["x"])  # fmt: skip
    (found,) = few.nearest(moved)
    assert (found.id, found.same, found.space_group) == ("NaCl", True, 225)


def test_another_polymorph_is_of_the_same_kind_only_with_its_group(few):
    (found,) = few.nearest(CUBIC)  # NaCl in the structure of CsCl
    assert (found.id, found.same) == ("CsI", False)


def test_elements_decide_among_crystals_of_one_kind(few):
    potassium, zinc, neither = few.nearest(
        CrystalBatch.concatenate(
            [salt_of(19, 17, "KCl"), salt_of(30, 16, "ZnS"), salt_of(19, 17, "no", CUBIC)]
        ),
        np.array([225, 225, 216]),
    )
    # steps on the Mendeleev scale: K to Na 1, Cl to Br 1; Zn to Mg 3, to Na 65
    assert potassium.id in ("NaCl", "KBr") and not potassium.same
    assert zinc.id == "MgO"
    assert neither is None


def test_the_order_of_elements_does_not_matter(few):
    swapped = CrystalBatch([16, 30], SALT.frac_coords, SALT.lengths, SALT.angles, [2], ["ZnS"])
    assert few.nearest(swapped)[0].id == "MgO"


def test_mendeleev_numbers_are_pettifors():
    scale = mendeleev_numbers()
    # Pettifor (1986), table 1: helium 1, caesium 8, fluorine 102, hydrogen 103
    assert [scale[n] for n in (2, 55, 9, 1)] == [1, 8, 102, 103]
    assert len(set(scale[1:104])) == 103


def test_without_space_groups_there_is_no_kind():
    with pytest.raises(InputError, match="space groups"):
        KnownCrystals(CrystalSet(SALT))


def test_neighbours_of_a_page_come_from_the_shipped_training_split():
    training = load_shipped("mp_20", "train")
    known = training.crystals[np.array([7])]
    odd = SALT.replace(frac_coords=[(0, 0, 0), (0.01, 0, 0)], ids=["clash"])
    crystals = CrystalBatch.concatenate([known.replace(ids=["same"]), odd])
    found = neighbours_of(crystals, crystal_facts(crystals), [0, 1])
    assert list(found) == [0]
    assert found[0].short.startswith("= ") and str(known.ids[0]) in found[0].short
    assert found[0].crystal is not None
    assert neighbours_of(crystals, crystal_facts(crystals), []) == {}
