"""Arrangements of atoms in space groups: textbook cases, real crystals, what can be completed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.symmetry.arrangements import arrangements, can_have
from flowllm.symmetry.filling import can_be_completed, has_sites
from flowllm.symmetry.find import find_symmetry


@pytest.mark.parametrize(
    ("group", "counts", "possible"),
    [
        (225, (1, 1), True),  # rocksalt
        (225, (2, 2), False),  # caesium chloride in a cell of twice the size
        (216, (1, 1), True),  # zincblende
        (221, (1, 1, 3), True),  # perovskite
        (227, (2,), True),  # diamond
        (227, (2, 4), True),  # a Laves phase
        (229, (1,), True),  # iron
        (1, (1,), False),  # one atom has an inversion centre
        (1, (2,), False),  # so have two of one element
        (1, (1, 1), True),
        (189, (2, 2, 2), False),  # all have the mirror plane of 191
        (189, (3, 3, 3), True),  # ZrNiAl
        (225, (4, 4, 8), False),  # no sites
    ],
)
def test_textbook_structures(group, counts, possible):
    assert can_have(group, counts) == possible


def test_real_crystals_have_the_group_that_they_have(mp20_crystals):
    for crystal in mp20_crystals[:80]:
        found = find_symmetry(crystal)
        if found.num_atoms == crystal.num_atoms[0]:
            counts = np.unique(crystal.atomic_numbers, return_counts=True)[1]
            assert can_have(found.number, tuple(sorted(counts.tolist())))


def test_arrangements_are_all_ways_to_occupy_the_positions():
    """Perovskite's group has 1a, 1b, 3c and 3d in this size: two ways for each of both sizes."""
    found = list(arrangements(221, (1, 1, 3)))
    wanted = [
        [(0, a), (1, b), (2, three)] for a, b in itertools.permutations("ab") for three in "cd"
    ]
    assert sorted(found) == sorted(wanted)


@given(
    st.sampled_from([2, 14, 62, 90, 139, 148, 166, 189, 194, 216, 225, 227]),
    st.lists(st.integers(1, 6), max_size=2).map(lambda counts: tuple(sorted(counts))),
    st.sampled_from([None, 1, 2, 3]),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_what_can_be_completed_is_what_some_composition_with_sites_begins_with(
    group, counts, elements, size, other
):
    sizes = range(min(size, other), max(size, other) + 1)
    kinds = range(len(counts), 10) if elements is None else [elements]
    wanted = any(
        has_sites(group, (*counts, *rest))
        for kind in kinds
        if kind >= max(len(counts), 1)
        for rest in itertools.combinations_with_replacement(range(1, 10), kind - len(counts))
        if sum(counts) + sum(rest) in sizes
    )
    assert can_be_completed(group, counts, elements, sizes) == wanted
