"""Space groups as numbers and as symbols."""

import gemmi
import pytest
import spglib
from hypothesis import given
from hypothesis import strategies as st

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.request import Request
from flowllm.conditions.space_groups import read_space_group
from flowllm.errors import InputError
from flowllm.symmetry.symbols import symbol_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (225, 225), ("225", 225), ("#225", 225), ("No. 225", 225),
        ("Fm-3m", 225), ("fm-3m", 225), ("F m -3 m", 225), ("Fm3m", 225), ("F 4/m -3 2/m", 225),
        ("Fm\u22123m", 225), ("Fm3\u0305m", 225), ("Oh^5", 225),
        ("Fd3m", 227), ("Fd-3m:2", 227), ("Fd-3mS", 227), ("Pa3", 205), ("Im3m", 229),
        ("P21/c", 14), ("P 21/c", 14), ("P 1 21/c 1", 14), ("P21/n", 14), ("P2_1/c", 14),
        ("P2₁/c", 14), ("p 21/c", 14),
        ("Cmca", 64), ("Cmce", 64), ("Abm2", 39), ("Aem2", 39), ("Pcmn", 62), ("Pnma", 62),
        ("R-3m", 166), ("R-3m:H", 166), ("R-3mH", 166), ("R3c", 161), ("R-3c", 167),
        ("P63/mmc", 194), ("P6_3/mmc", 194), ("P1", 1), ("P-1", 2),
    ],
)  # fmt: skip
def test_symbols_short_full_lower_case_and_old(text, number):
    assert read_space_group(text) == number


def test_all_groups_by_all_symbols_of_both_tables():
    for number in range(1, 231):
        symbol = symbol_of(number)
        for written in (str(number), symbol, symbol.lower(), f" {symbol} "):
            assert read_space_group(written) == number
    for group in gemmi.spacegroup_table():
        assert read_space_group(group.hm) == group.number
        assert read_space_group(group.hm.upper()) == group.number
    for hall in range(1, 531):
        kind = spglib.get_spacegroup_type(hall)
        assert read_space_group(kind.international_full) == kind.number
        assert read_space_group(kind.schoenflies) == kind.number


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cubic", "a crystal system, not a space group; its groups are 195 to 230"),
        ("Hexagonal", "168 to 194, as in --space-group 194 (P63/mmc)"),
        ("fcc", "225 (Fm-3m)"),
        ("rutile", "136 (P42/mnm)"),
        ("Fm3x", "like it are"),
        ("m-3m", "Pm-3m (221)"),
        ("0", "space group must be from 1 to 230, not 0"),
        ("231", "space group must be from 1 to 230, not 231"),
        ("-5", "space group must be from 1 to 230, not -5"),
        ("", "empty"),
        ("221.0", "unknown space group"),
        ("Pm1", "unknown space group"),
        ("B2", "unknown space group"),  # of P2 and of C2, by the setting
        ("x" * 10**6, "unknown space group"),
        ("\x1b[31m", r"'\x1b[31m'"),
    ],
)
def test_others_are_refused_by_name_with_like_ones(text, said):
    with pytest.raises(InputError) as caught:
        read_space_group(text)
    assert said in str(caught.value) and len(str(caught.value)) < 250


@given(st.text(max_size=30) | st.text("PFIRCABmnabcd-/123456 ", max_size=12))
def test_any_text_is_a_group_or_refused(text):
    try:
        assert 1 <= read_space_group(text) <= 230
    except InputError as error:
        assert "\n" not in str(error)


def test_conditions_and_requests_hold_the_number():
    assert Conditions(space_group="Fm-3m").space_group == 225
    assert Request.read(space_group="P 21/c").space_group == 14
    with pytest.raises(InputError, match="crystal system"):
        Request(space_group="cubic")
