"""Symbols of space groups: known ones, and each is read back as its number."""

import gemmi
import pytest

from flowllm.conditions.space_groups import read_space_group
from flowllm.symmetry.symbols import symbol_of, typeset_symbol


@pytest.mark.parametrize(
    ("number", "plain", "typeset"),
    [
        (1, "P1", "P1"),
        (14, "P21/c", "P2₁/c"),
        (92, "P41212", "P4₁2₁2"),
        (151, "P3112", "P3₁12"),
        (152, "P3121", "P3₁21"),
        (194, "P63/mmc", "P6₃/mmc"),
        (225, "Fm-3m", "Fm-3m"),
    ],
)
def test_known_symbols(number, plain, typeset):
    assert symbol_of(number) == plain and typeset_symbol(number) == typeset


def test_screw_axes_are_those_of_gemmi():
    """In gemmi's table the axes of a symbol stand apart: "P 63/m m c"."""
    lowered = str.maketrans("₁₂₃₄₅", "12345")
    for number in range(1, 231):
        axes = gemmi.find_spacegroup_by_number(number).hm.split(":")[0].split()[1:]
        screws = sum(len(axis.split("/")[0]) == 2 and axis[:2].isdigit() for axis in axes)
        symbol = typeset_symbol(number)
        assert sum(letter in "₁₂₃₄₅" for letter in symbol) == screws, (number, symbol)
        assert symbol.translate(lowered) == symbol_of(number)


def test_each_is_read_back():
    assert [read_space_group(typeset_symbol(n)) for n in range(1, 231)] == list(range(1, 231))
    assert typeset_symbol(0) == ""
