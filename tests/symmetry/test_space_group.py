"""Operations and Wyckoff positions of the 230 groups against gemmi's and pymatgen's tables."""

import gzip
import json
from fractions import Fraction
from importlib.resources import files

import gemmi
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.errors import InputError
from flowllm.symmetry.space_group import LETTERS, space_group
from flowllm.symmetry.triplets import parse_triplet

NUMBERS = range(1, 231)
POINT = np.array([0.1373, 0.2291, 0.3187])


def setting_of(number: int) -> gemmi.SpaceGroup:
    """gemmi's entry of the setting that International Tables call standard."""
    found = [s for s in gemmi.spacegroup_table() if s.number == number]
    for ext in ("2", "H"):
        chosen = [s for s in found if s.ext == ext]
        if chosen:
            return chosen[0]
    return next(s for s in found if s.is_reference_setting())


def by_gemmi(number: int) -> set[tuple[int, ...]]:
    """Operations: nine entries of the rotation and three of the translation in 24ths."""
    return {
        (*np.ravel(o.rot).astype(int) // o.DEN, *np.array(o.tran) % o.DEN)
        for o in setting_of(number).operations()
    }


def by_pymatgen(name: str) -> dict[str, dict]:
    """A table of AFLOW's prototypes: number -> letter -> value."""
    # read as a file: the module itself parses hundreds of crystals when it is imported
    file = files("pymatgen.analysis") / "prototypes" / f"wyckoff-position-{name}.json.gz"
    return json.loads(gzip.decompress(file.read_bytes()))


@pytest.mark.parametrize("number", NUMBERS)
def test_the_operations_are_those_of_gemmi(number):
    group = space_group(number)
    rotations = group.rotations.astype(int).reshape(-1, 9)
    shifts = np.round(group.translations * 24).astype(int) % 24
    np.testing.assert_allclose(
        group.translations * 24, np.round(group.translations * 24), atol=1e-6
    )
    found = set(map(tuple, np.concatenate([rotations, shifts], 1).tolist()))
    assert found == by_gemmi(number) and len(found) == len(group.rotations)
    setting = setting_of(number)
    assert group.centring == ("R" if setting.hm.startswith("R") else setting.hm[0])
    assert group.points == len(list(setting.operations().cen_ops)) == len(group.centring_vectors)
    assert (group.centring_vectors[0] == 0).all()


def test_there_are_1731_positions_and_each_is_an_orbit_of_its_group():
    count = 0
    for number in NUMBERS:
        group, operations = space_group(number), list(setting_of(number).operations())
        assert list(group.positions) == list(LETTERS[: len(group.positions)])
        for position in group.positions.values():
            count += 1
            point = position.matrix @ POINT + position.constant
            images = np.array([o.apply_to_xyz(point.tolist()) for o in operations])
            steps = np.round((images - np.floor(images)) * 10_000).astype(int) % 10_000
            distinct = np.unique(steps, axis=0)
            assert len(distinct) == position.multiplicity, (number, position.label)
            # the atoms of one primitive cell and the centring give the same orbit, each atom once
            own = group.rotations[position.images] @ point + group.translations[position.images]
            whole = (own[:, None] + group.centring_vectors[None]).reshape(-1, 3)
            steps = np.round((whole - np.floor(whole)) * 10_000).astype(int) % 10_000
            assert len(whole) == position.multiplicity
            np.testing.assert_array_equal(np.unique(steps, axis=0), distinct)
            assert position.images[0] == 0 and position.atoms * group.points == len(whole)
            # what each coordinate is called, it is: a free one stands alone on its axis
            values, misfits = position.fits(point[None])
            np.testing.assert_allclose(misfits, 0, atol=1e-12)
            gap = position.place(values)[0] - point
            np.testing.assert_allclose(gap, np.round(gap), atol=1e-9)
        multiplicities = [p.multiplicity for p in group.positions.values()]
        assert multiplicities == sorted(multiplicities) and multiplicities[-1] == len(operations)
    assert count == 1731


def test_multiplicities_and_free_coordinates_are_those_of_pymatgen():
    multiplicities, params = by_pymatgen("multiplicities"), by_pymatgen("params")
    for number in NUMBERS:
        group = space_group(number)
        own = {("α" if k == "A" else k): p for k, p in group.positions.items()}
        theirs = {("α" if k in ("A", "alpha") else k): v
                  for k, v in multiplicities[str(number)].items()}  # fmt: skip
        # primitive or conventional cells: what is counted must be one of both for all letters
        ratios = {theirs[k] / p.multiplicity for k, p in own.items()}
        assert set(theirs) == set(own) and ratios in ({1.0}, {1 / group.points}), number
        free = {("α" if k in ("A", "alpha") else k): v for k, v in params[str(number)].items()}
        assert free == {k: len(p.free) for k, p in own.items()}, number


def test_site_symmetries_have_the_order_that_multiplicities_leave():
    """|site symmetry| = operations / multiplicity; of symbols as in "m.mm" by the class's order."""
    orders = {}
    for number in NUMBERS:
        group = space_group(number)
        for position in group.positions.values():
            order = len(group.rotations) // position.multiplicity
            symbol = position.site_symmetry.replace(".", "")
            assert orders.setdefault(position.site_symmetry, order) == order, (number, symbol)
    assert orders["1"] == 1 and orders["m-3m"] == 48 and orders["-43m"] == 24
    assert orders["mmm"] == 8 and orders["m.."] == 2 and orders["-3m"] == 12


def test_known_positions():
    group = space_group(136)  # rutile
    assert [group.positions[x].label for x in "af"] == ["2a", "4f"]
    assert group.positions["a"].site_symmetry == "m.mm"
    assert group.positions["f"].site_symmetry == "m.2m"
    assert group.positions["f"].free == (0,) and group.family == "tetragonal"
    np.testing.assert_allclose(group.positions["f"].place(np.array([0.3])), [0.3, 0.3, 0])
    assert space_group(47).positions["A"].label == "8A"
    assert space_group(227).positions["a"].constant.tolist() == [0.125] * 3  # origin choice 2
    assert space_group(166).positions["c"].label == "6c"  # hexagonal axes
    assert space_group(227).positions["a"].atoms == 2


def test_polar_axes():
    polar = {n: space_group(n).polar.tolist() for n in (1, 2, 4, 8, 33, 75, 160, 186, 225)}
    assert polar[1] == [True] * 3 and polar[2] == polar[225] == [False] * 3
    assert polar[4] == [False, True, False] and polar[8] == [True, False, True]
    assert polar[33] == polar[75] == polar[160] == polar[186] == [False, False, True]


@pytest.mark.parametrize("number", [0, 231, -1, 1000])
def test_no_such_group(number):
    with pytest.raises(InputError, match=f"space group must be from 1 to 230, not {number}"):
        space_group(number)


# ---- the normaliser --------------------------------------------------------------------------


@pytest.mark.parametrize("number", NUMBERS)
def test_cosets_of_the_normaliser_leave_the_group_as_it_is(number):
    group = space_group(number)
    known = by_gemmi(number)
    turns, shifts = group.normalizer
    assert any((t == np.eye(3)).all() and not s.any() for t, s in zip(turns, shifts, strict=True))
    for turn, shift in zip(turns, shifts, strict=True):
        assert np.linalg.det(turn) == pytest.approx(1)  # none makes a mirror image
        back = np.linalg.inv(turn)
        rotations = turn @ group.rotations @ back
        moved = turn @ group.translations[..., None]
        translations = moved[..., 0] + shift - rotations @ shift
        rows = np.concatenate(
            [np.round(rotations).reshape(-1, 9), np.round(translations * 24) % 24], 1
        )
        assert set(map(tuple, rows.astype(int).tolist())) == known


@pytest.mark.parametrize(
    ("number", "index"),
    [
        (225, 2), (221, 2), (227, 2), (229, 1), (194, 2), (191, 2), (62, 8), (139, 2), (2, 8),
        (216, 8),  # the quarter turn among them, which is the inversion of an achiral crystal
        (198, 4),  # of 8, half of which make a mirror image
        (19, 48), (47, 48),  # six orders of the axes
    ],
)  # fmt: skip
def test_known_numbers_of_cosets(number, index):
    """The index in the Euclidean normaliser, International Tables A, tables 3.5.2.3 to 3.5.2.5."""
    assert len(space_group(number).normalizer[0]) == index


# ---- triplets ----------------------------------------------------------------------------------

COEFFICIENT = st.integers(-2, 2)
CONSTANT = st.fractions(-1, 1, max_denominator=24)


def written(row: tuple[tuple[int, int, int], Fraction]) -> str:
    """One part of a triplet, as in "x-y+1/2"."""
    coefficients, constant = row
    terms = [
        ("-" if k < 0 else "+") + (str(abs(k)) if abs(k) > 1 else "") + axis
        for k, axis in zip(coefficients, "xyz", strict=True)
        if k
    ]
    if constant or not terms:
        terms.append(("-" if constant < 0 else "+") + str(abs(constant)))
    return "".join(terms).removeprefix("+")


@given(st.tuples(*[st.tuples(st.tuples(*[COEFFICIENT] * 3), CONSTANT)] * 3))
def test_triplets_are_read_as_written(rows):
    matrix, constant = parse_triplet(", ".join(map(written, rows)))
    assert matrix.tolist() == [[float(k) for k in row[0]] for row in rows]
    assert constant.tolist() == [float(row[1]) for row in rows]


@pytest.mark.parametrize(
    "text", ["", "x,y", "x,y,z,x", "x,,z", "x,y,w", "x,y,z+", "x,y,1/", "x y", "x,y,1/0"]
)
def test_what_is_no_triplet(text):
    with pytest.raises(ValueError, match="is not a coordinate triplet"):
        parse_triplet(text)


@given(st.text("xyz+-1/2*0,. ", max_size=20))
def test_any_text_is_a_triplet_or_a_value_error(text):
    try:
        matrix, constant = parse_triplet(text)
    except ValueError as error:
        assert "is not a coordinate triplet" in str(error)
    else:
        assert matrix.shape == (3, 3) and constant.shape == (3,)
