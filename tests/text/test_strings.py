"""Crystals as text and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import RANK_OF, SYMBOLS
from flowllm.errors import InputError
from flowllm.text import TextError, parse_text, to_text

STO = "3.9 4.0 3.9\n90 90 90\nSr\n0.00 0.00 0.00\nTi\n0.50 0.50 0.50\n" + (
    "O\n0.00 0.50 0.50\nO\n0.50 0.00 0.50\nO\n0.50 0.50 0.00"
)


def random_crystals(seed: int, sizes: list[int]) -> CrystalBatch:
    rng = np.random.default_rng(seed)
    atoms, size = sum(sizes), len(sizes)
    return CrystalBatch(
        rng.integers(1, 119, atoms),
        rng.random((atoms, 3)),
        rng.uniform(1.0, 60.0, (size, 3)),
        rng.uniform(62.0, 118.0, (size, 3)),
        np.array(sizes),
        np.array([str(i) for i in range(size)]),
    )


def torus_gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    gap = a - b
    return np.abs(gap - np.round(gap))


def test_a_known_crystal_gives_its_known_text(strontium_titanate):
    # 89.99 is 90 and not 89, 0.996 is 0.00 and not 1.00, elements and atoms in their order
    assert to_text(strontium_titanate) == [STO]


def test_the_text_does_not_depend_on_the_order_of_atoms(strontium_titanate):
    order = np.array([3, 0, 4, 2, 1])
    other = strontium_titanate.replace(
        atomic_numbers=strontium_titanate.atomic_numbers[order],
        frac_coords=strontium_titanate.frac_coords[order],
    )
    assert to_text(other) == [STO]


@given(st.integers(0, 2**32), st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_round_trip_within_rounding(seed, sizes):
    crystals = random_crystals(seed, sizes)
    for text, crystal in zip(to_text(crystals), crystals, strict=True):
        try:
            back = parse_text(text, "x")
        except (
            TextError
        ) as error:  # three random angles may span no volume, which is all it may say
            assert "zero volume" in str(error)
            continue
        assert np.abs(back.lengths - crystal.lengths).max() <= 0.05 + 1e-9
        assert np.abs(back.angles - crystal.angles).max() <= 0.5 + 1e-9
        assert to_text(back) == [text]
        ranks = [RANK_OF[SYMBOLS[n]] for n in back.atomic_numbers]
        assert ranks == sorted(ranks)
        assert sorted(back.atomic_numbers) == sorted(crystal.atomic_numbers)
        for number in set(crystal.atomic_numbers.tolist()):
            written = back.frac_coords[back.atomic_numbers == number]
            true = crystal.frac_coords[crystal.atomic_numbers == number]
            nearest = torus_gap(written[:, None], true[None]).max(-1).min(0)
            assert nearest.max() <= 0.005 + 1e-9


def test_prepared_crystals_already_stand_in_the_order_of_the_text(reduced):
    for text, crystal in zip(to_text(reduced), reduced, strict=True):
        back = parse_text(text)
        assert back.atomic_numbers.tolist() == crystal.atomic_numbers.tolist()
        assert torus_gap(back.frac_coords, crystal.frac_coords).max() <= 0.005 + 1e-6


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (STO, "", ["empty"]),
        (STO, "3.9 4.0 3.9\n90 90 90\nSr", ["3 lines"]),
        ("\n0.50 0.50 0.00", "", ["last atom has no coordinates"]),
        ("3.9 4.0 3.9", "3.9 4.0", ["line 1", "2 numbers instead of 3"]),
        ("3.9 4.0 3.9", "3.9 4,0 3.9", ["line 1", "'4,0' is not a number"]),
        ("3.9 4.0 3.9", "3.9 ٤.0 3.9", ["line 1", "is not a number"]),
        ("3.9 4.0 3.9", "3.9 0.0 3.9", ["line 1", "3.9 0.0 3.9", "0.5 to 100"]),
        ("90 90 90", "90 180 90", ["line 2", "90 180 90", "180"]),
        ("90 90 90", "60 60 121", ["line 2", "60 60 121", "zero volume"]),
        ("Ti", "Tx", ["line 5", "'Tx' is not an element"]),
        ("Ti", "X", ["line 5", "'X' is not an element"]),
        ("0.50 0.50 0.50", "0.50 0.50", ["line 6", "coordinates", "2 numbers"]),
        ("0.50 0.50 0.50", "0.50 nan 0.50", ["line 6", "'nan' is not a number"]),
        ("0.50 0.50 0.50", f"0.50 {'9' * 400} 0.50", ["line 6", "is not a number"]),
    ],
)
def test_errors_name_line_and_word(old, new, said):
    with pytest.raises(TextError) as caught:
        parse_text(STO.replace(old, new, 1), "my text")
    for part in ("my text", *said):
        assert part in str(caught.value)


def test_blank_lines_around_a_text_do_no_harm():
    assert to_text(parse_text(f"\n{STO}\n \n")) == [STO]


def test_an_open_type_has_no_text(strontium_titanate):
    numbers = strontium_titanate.atomic_numbers.copy()
    numbers[0] = 0
    with pytest.raises(InputError, match="open type"):
        to_text(strontium_titanate.replace(atomic_numbers=numbers))
    assert to_text(CrystalBatch.empty()) == []
