"""Prototypes do not depend on how a crystal is written; tables keep crystals as they are."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.templates.prototype import assignments, prototype_of
from flowllm.methods.templates.table import TemplateTable
from flowllm.metrics.matching import match
from flowllm.symmetry.normalizer import canonical_orbits, equivalents
from flowllm.symmetry.space_group import LETTERS


def prototype(crystal):
    letters = [LETTERS.index(letter) for letter in crystal.letters]
    return prototype_of(crystal.number, crystal.elements.tolist(), letters)


def test_a_prototype_is_the_same_in_all_equivalent_descriptions(symmetric):
    several = 0
    for crystal in symmetric[::4]:
        found = [prototype(other) for other in equivalents(crystal)]
        several += len({other.letters for other in equivalents(crystal)}) > 1
        assert len({one[0] for one in found}) == 1
        # roles may be exchanged where the letters do not tell them apart
        first = found[0]
        same = {tuple(first[1][k] for k in exchange) for exchange in first[2]}
        assert all(one[1] in same for one in found)
    assert several > 5  # crystals whose letters depend on the origin


def test_rocksalt_exchanges_its_elements_and_fluorite_does_not():
    rocksalt = prototype_of(225, [11, 17], [0, 1])
    assert rocksalt[0].label == "225: a, b"
    assert rocksalt[1:] == ((11, 17), ((0, 1), (1, 0)))
    fluorite = prototype_of(225, [9, 20], [2, 0])
    assert fluorite[0].counts == (1, 2)
    assert fluorite[1:] == ((20, 9), ((0, 1),))


def test_roles_are_given_to_elements_of_the_same_counts_in_all_ways():
    found = assignments((1, 1, 3), {8: 3, 22: 1, 38: 1})
    assert found == [(22, 38, 8), (38, 22, 8)]


def test_a_table_keeps_crystals(some_crystals, symmetric, table):
    assert len(table) == len(symmetric)
    for row in range(0, len(table), 7):
        kept, crystal = table.crystal(row), symmetric[row]
        assert (kept.number, kept.letters) == (crystal.number, crystal.letters)
        np.testing.assert_array_equal(kept.elements, crystal.elements)
        np.testing.assert_allclose(kept.lengths, crystal.lengths, atol=0.00101)
        np.testing.assert_allclose(kept.angles, crystal.angles, atol=0.00501)
        gaps = kept.coords - crystal.coords
        assert np.abs(gaps - np.round(gaps)).max() < 1e-5
    rows = np.arange(0, len(table), 30)
    made = CrystalBatch.concatenate(table.crystal(row).to_primitive(str(row)) for row in rows)
    assert match(made, some_crystals[rows]).rms.max() < 0.02


def test_a_saved_table_is_the_same_and_a_damaged_one_is_named(table, tmp_path):
    table.save(tmp_path / "templates.npz")
    again = TemplateTable.load(tmp_path / "templates.npz")
    assert again.digest() == table.digest()
    for name, values in again.arrays().items():
        np.testing.assert_array_equal(values, table.arrays()[name])
    for change, said in (
        ({"values": table.values[:-1]}, "incomplete"),
        ({"orbits": table.orbits[:-1]}, "orbits of the templates"),
        ({"letters": np.full_like(table.letters, 26)}, "Wyckoff position"),
        ({"elements": table.elements * 0}, "element"),
    ):
        np.savez(tmp_path / "broken.npz", **{**table.arrays(), **change})
        with pytest.raises(InputError, match=rf"broken\.npz: .*{said}"):
            TemplateTable.load(tmp_path / "broken.npz")


def test_volumes_are_those_of_the_primitive_cells(some_crystals, table):
    found = np.array([table.volume(row) for row in range(len(table))])
    np.testing.assert_allclose(found, some_crystals.volumes, rtol=5e-3)
    compositions = [table.counts(row) for row in range(len(table))]
    numbers = [sum(counts.values()) for counts in compositions]
    np.testing.assert_array_equal(numbers, some_crystals.num_atoms)


def test_the_canonical_orbits_are_those_of_the_canonical_description(symmetric):
    moved = 0
    for crystal in symmetric[::3]:
        wanted = list(zip(crystal.elements.tolist(), crystal.letters, strict=True))
        for other in equivalents(crystal):
            assert canonical_orbits(other) == wanted
            moved += other.letters != crystal.letters
    assert moved > 20
