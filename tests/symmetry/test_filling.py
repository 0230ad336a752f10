"""Sites of space groups: known crystals fit, orbits made by symmetry operations fit, others not."""

from functools import cache

import gemmi
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowllm.symmetry.filling import cell_sizes, has_sites
from flowllm.teaching.textbook import textbook_structures


@cache
def operations(group: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Rotations, translations and lattice points of a conventional cell, by gemmi."""
    setting = next(s for s in gemmi.spacegroup_table() if s.number == group)
    every = list(setting.operations())
    turns, shifts = (np.array([getattr(o, n) for o in every]) / 24 for n in ("rot", "tran"))
    return turns, shifts, len(list(setting.operations().cen_ops))


def orbit(group: int, point: np.ndarray) -> np.ndarray:
    """All images of a point in the conventional cell, as whole 1,000ths."""
    turns, shifts, _ = operations(group)
    images = np.round((turns @ point + shifts) * 1000).astype(int) % 1000
    return np.unique(images, axis=0)


COORDINATE = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 0.137, 0.291, 0.414])
POINTS = st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE), min_size=1, max_size=3)


@given(st.integers(1, 230), POINTS)
def test_orbits_that_symmetry_operations_make_have_sites(group, points):
    orbits = [orbit(group, np.array(point)) for point in points]
    taken = {tuple(row) for rows in orbits for row in rows.tolist()}
    assume(len(taken) == sum(map(len, orbits)))  # else two atoms lie on one place
    counts = [len(rows) / operations(group)[2] for rows in orbits]
    assert all(count.is_integer() for count in counts)
    assume(sum(counts) <= 20)
    assert has_sites(group, map(int, counts))
    assert int(sum(counts)) in cell_sizes(group, 20, len(counts))


def test_all_textbook_crystals_have_the_sites_of_their_space_group():
    known = textbook_structures()
    groups = known.properties["space_group"].astype(int)
    for name, group, cell in zip(
        known.crystals.ids, groups, known.crystals.compositions, strict=True
    ):
        assert has_sites(int(group), cell.values()), name
        assert sum(cell.values()) in cell_sizes(int(group), 20, len(cell)), name


@pytest.mark.parametrize(
    ("group", "counts", "fits"),
    [
        (225, [1, 1], True),  # rock salt
        (225, [2, 1], True),  # fluorite
        (225, [1, 1, 1], False),  # only two places of one atom
        (221, [1, 1, 3], True),  # perovskite
        (229, [1], True),  # bcc
        (229, [2], False),  # a second place of one atom there is not
        (227, [3], False),  # diamond's places hold two atoms or more
        (227, [2, 4, 8], True),  # spinel
        (216, [1, 1, 1, 1], True),  # four places of one atom
        (216, [1, 1, 1, 1, 1], False),
        (1, [7, 5, 3, 1], True),  # anything
        (19, [4, 8], True),
        (19, [2, 4], False),  # no special position: all in fours
    ],
)
def test_known_cells(group, counts, fits):
    assert has_sites(group, counts) is fits
    assert has_sites(group, reversed(counts)) is fits


def test_sizes_of_cells():
    assert cell_sizes(1, 20) == tuple(range(1, 21))
    assert cell_sizes(19, 20) == (4, 8, 12, 16, 20)
    assert cell_sizes(19, 20, 3) == (12, 16, 20)
    assert set(range(1, 21)) - set(cell_sizes(229, 20)) == {2}
    assert 3 not in cell_sizes(225, 20, 3) and 4 in cell_sizes(
        225, 20, 3
    )  # a, b and c hold 1, 1 and 2
    assert cell_sizes(230, 20, 20) == ()
    assert cell_sizes(19, 52) == tuple(range(4, 53, 4)) and cell_sizes(1, 3) == (1, 2, 3)


@pytest.mark.parametrize("group", [2, 47, 123, 166, 194, 225, 227])
def test_sizes_and_sites_agree(group):
    for size in range(1, 21):
        assert (size in cell_sizes(group, 20)) is has_sites(group, [size])
        pairs = any(has_sites(group, [k, size - k]) for k in range(1, size))
        assert (size in cell_sizes(group, 20, 2)) is pairs


def test_the_real_crystals_fit_their_own_space_groups(mp20_rows, mp20_crystals):
    groups = dict(zip(mp20_rows["material_id"], mp20_rows["spacegroup.number"], strict=True))
    seen = 0
    for name, cell in zip(mp20_crystals.ids, mp20_crystals.compositions, strict=True):
        if name in groups:
            assert has_sites(int(groups[name]), cell.values())
            seen += 1
    assert seen > 10
