"""Crystal systems and supergroups against spglib and pymatgen."""

import numpy as np
import pytest
import spglib
from pymatgen.symmetry.groups import SpaceGroup, sg_symbol_from_int_number

from flowllm.metrics.group_relations import (
    CRYSTAL_SYSTEMS,
    LAST_OF_CLASS,
    are_supergroups,
    crystal_systems,
)


def test_crystal_systems_are_pymatgen_s():
    groups = np.arange(1, 231)
    names = [CRYSTAL_SYSTEMS[number - 1] for number in crystal_systems(groups)]
    assert names == [SpaceGroup(sg_symbol_from_int_number(g)).crystal_system for g in groups]
    assert crystal_systems(np.array([0])).tolist() == [0]


def test_crystal_classes_are_spglib_s():
    first_hall = {}
    for hall in range(1, 531):
        found = spglib.get_spacegroup_type(hall)
        first_hall.setdefault(found.number, found.pointgroup_international)
    points = [first_hall[group] for group in range(1, 231)]
    ends = [group for group in range(1, 230) if points[group - 1] != points[group]]
    assert [*ends, 230] == list(LAST_OF_CLASS)


@pytest.mark.parametrize(
    ("found", "asked", "contains"),
    [
        (221, 99, True),  # BaTiO3, cubic instead of tetragonal
        (225, 1, True),
        (225, 216, True),
        (225, 221, False),  # of other translations: a cell four times as large
        (229, 225, False),
        (139, 71, True),
        (166, 160, True),
        (99, 221, False),
        (225, 225, False),  # the very group that was asked for
        (194, 225, False),
        (0, 1, False),
        (225, 0, False),
    ],
)
def test_supergroups(found, asked, contains):
    assert are_supergroups(np.array([found]), np.array([asked])).tolist() == [contains]


def test_containment_follows_chains_of_subgroups():
    chain = np.array([1, 2, 10, 47, 123, 221])
    for place, low in enumerate(chain):
        higher = chain[place + 1 :]
        assert are_supergroups(higher, np.full(len(higher), low)).all()
        assert not are_supergroups(np.full(len(higher), low), higher).any()
    assert are_supergroups(np.arange(2, 231), np.ones(229, int)).all()  # P1 lies in every other
