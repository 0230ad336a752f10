"""Ranges of training: counted right, kept on disk, and what lies outside is told with them."""

import json

import numpy as np
import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.ranges import TrainingRanges
from flowllm.crystals.batch import CrystalBatch
from flowllm.data import CrystalSet
from flowllm.errors import InputError


def cells(*kinds: str) -> CrystalBatch:
    """Crystals whose text is a list of elements, as in "Na Cl"."""
    parts = []
    for index, kind in enumerate(kinds):
        from flowllm.crystals.elements import NUMBER_OF

        numbers = [NUMBER_OF[s] for s in kind.split()]
        coords = np.linspace(0, 0.9, len(numbers))[:, None].repeat(3, 1)
        parts.append(
            CrystalBatch(numbers, coords, [[4.0] * 3], [[90.0] * 3], [len(numbers)], [str(index)])
        )
    return CrystalBatch.concatenate(parts)


@pytest.fixture(scope="module")
def training() -> CrystalSet:
    """110 crystals: a hundred of salt, ten others."""
    crystals = cells(*["Na Cl"] * 100, *["Na Na Cl Cl"] * 9, "Fe")
    return CrystalSet(
        crystals,
        {
            "space_group": np.array([225.0] * 105 + [62.0] * 4 + [np.nan]),
            "formation_energy": np.array([*np.linspace(-3, -1, 101), *[np.nan] * 9]),
            "band_gap": np.full(110, np.nan),
        },
    )


def test_what_was_seen_is_counted(training):
    found = TrainingRanges.of(training)
    assert found.crystals == 110
    assert set(found.ranges) == {"num_atoms", "formation_energy"}  # no band gap is known
    energies = found.ranges["formation_energy"]
    assert (energies.known, energies.min, energies.max) == (101, -3.0, -1.0)
    assert (energies.q01, energies.q99) == pytest.approx((-2.98, -1.02))
    assert found.elements == {"Na": 109, "Cl": 109, "Fe": 1}
    assert found.space_groups == {62: {4: 4}, 225: {2: 100, 4: 5}}
    assert found.sizes_of(225, 20).tolist() == [0, 100, 0, 5] + [0] * 16
    assert found.sizes_of(1, 20).sum() == 0


def test_they_survive_the_disk(training):
    found = TrainingRanges.of(training)
    assert TrainingRanges.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v.pop("ranges"),
        lambda v: v.update(ranges={"band_gap": {"min": 0}}),
        lambda v: v.update(elements={"Qq": 3}),
        lambda v: v.update(space_groups={"cubic": {}}),
        lambda v: v.update(space_groups=[]),
        lambda v: v.update(crystals="many"),
    ],
)
def test_damaged_ones_are_refused(training, spoil):
    value = json.loads(json.dumps(TrainingRanges.of(training).to_json()))
    spoil(value)
    with pytest.raises(InputError, match="^the ranges of the training data: "):
        TrainingRanges.from_json(value)


@pytest.mark.parametrize(
    ("asked", "name", "said"),
    [
        ({"formation_energy": -3.2}, "formation_energy",
         ["-3.20 eV/atom is outside the range", "-3.00 to -1.00 eV/atom", "-2.98 to -1.02"]),
        ({"formation_energy": -0.9}, "formation_energy", ["outside the range"]),
        ({"formation_energy": -1.005}, "formation_energy", ["rare", "-2.98 to -1.02 eV/atom"]),
        ({"num_atoms": 9}, "num_atoms", ["number of atoms 9 is outside", "1 to 4"]),
        ({"elements": ("Na", "K")}, "elements", ["contains K", "3 elements, Na to Fe without Mg"]),
        ({"formula": "Fe2O3"}, "formula", ["contains O"]),
        ({"composition": {"Fe": 1}}, "composition", ["few of 110", "Fe (1)"]),
        ({"space_group": 1}, "space_group",
         ["space group 1: none of 110", "2 space groups, 62 to 225"]),
        ({"space_group": 62}, "space_group", ["4 of 110 training crystals have it"]),
    ],
)  # fmt: skip
def test_what_lies_outside_is_told_with_the_range(training, asked, name, said):
    found = TrainingRanges.of(training).outside(Conditions(**asked))
    assert set(found) == {name}
    for words in said:
        assert words in found[name]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"formation_energy": -1.02, "space_group": 225, "formula": "NaCl", "num_atoms": 2},
        {"formation_energy": -2.985},  # prompts have two decimals, as -2.98
        {"band_gap": 99.0},  # nothing is known of band gaps
    ],
)
def test_of_the_rest_nothing_is_said(training, asked):
    assert TrainingRanges.of(training).outside(Conditions(**asked)) == {}
