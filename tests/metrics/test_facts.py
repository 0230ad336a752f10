"""What is said of a crystal: known crystals, and crystals that are none."""

import math

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.metrics.facts import crystal_facts

SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(3.988, 3.988, 3.988)], [(60, 60, 60)], [2], ["salt"]
)


def test_rock_salt():
    (facts,) = crystal_facts(SALT)
    assert (facts.formula, facts.space_group, facts.symbol) == ("NaCl", 225, "Fm-3m")
    # a = 5.640 Å: 4 formula units of 58.44 u in 179.4 Å^3, density 2.16 g/cm^3 (CRC Handbook: 2.17)
    assert facts.density == pytest.approx(2.16, abs=0.01)
    assert facts.volume_per_atom == pytest.approx(5.640**3 / 8, rel=1e-3)
    assert facts.contact == pytest.approx(2.820 / (1.66 + 1.02), abs=1e-3)
    assert facts.valid and facts.believable and not facts.fault


def test_fluorine_molecules_are_valid_but_not_believed():
    """F-F of 1.39 Å passes 0.7 of the radii, and yet no ionic crystal of MP-20 has it."""
    crystal = CrystalBatch(
        [12, 9, 9], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5 + 1.39 / 5)],
        [(5, 5, 5)], [(90, 90, 90)], [3], ["f"],
    )  # fmt: skip
    (facts,) = crystal_facts(crystal)
    assert facts.contact > 0.7 and not facts.fault
    assert facts.unusual and not facts.believable


def test_open_species_flat_cells_and_clashes_are_said_and_believed_in_none():
    opened = SALT.replace(atomic_numbers=[0, 17], ids=["open"])
    flat = SALT.replace(angles=[(60, 60, 120)], ids=["flat"])
    clash = SALT.replace(frac_coords=[(0, 0, 0), (0.01, 0, 0)], ids=["clash"])
    first, second, third = crystal_facts(CrystalBatch.concatenate([opened, flat, clash]))
    assert (first.formula, first.charge_balanced) == ("", False)
    assert second.fault and second.space_group == 0 and second.symbol == ""
    assert math.isnan(second.contact)
    assert "Å" in third.fault and third.contact < 0.1
    assert not any(one.believable for one in (second, third))


def test_a_batch_has_the_facts_of_its_crystals():
    other = SALT.replace(lengths=[(4.5, 4.5, 4.5)], ids=["wide"])
    together = crystal_facts(CrystalBatch.concatenate([SALT, other]))
    assert together == [crystal_facts(SALT)[0], crystal_facts(other)[0]]
    assert crystal_facts(CrystalBatch.empty()) == []
    assert np.isfinite([one.density for one in together]).all()
