"""Textbook crystals: their symmetry, distances and splits; and the part of MP-20 for notebooks."""

import numpy as np
import pytest

from flowllm.crystals.distances import shortest_distances
from flowllm.errors import InputError
from flowllm.metrics.symmetry import space_groups
from flowllm.metrics.validity import structural_validity
from flowllm.teaching.dataset import mp20_sample
from flowllm.teaching.textbook import build, textbook_structures


@pytest.fixture(scope="module")
def known():
    return textbook_structures()


def find(known, name):
    return known[np.flatnonzero(known.crystals.ids == name)]


def test_there_are_a_few_hundred_small_crystals_of_many_types(known):
    types = {name.rsplit(" ", 1)[0] for name in known.crystals.ids}
    assert len(known) > 500 and len(types) > 85
    assert known.crystals.num_atoms.max() == 20


def test_no_formula_comes_twice_in_one_structure_type(known):
    assert len(set(known.crystals.ids)) == len(known)


@pytest.mark.parametrize("symprec", [0.01, 0.1])
def test_spglib_finds_the_space_group_of_the_table(known, symprec):
    found = space_groups(known.crystals, symprec)
    wrong = found != known.properties["space_group"]
    assert not wrong.any(), known.crystals.ids[wrong].tolist()


def test_every_structure_is_valid_and_its_atoms_are_a_bond_apart(known):
    assert structural_validity(known.crystals).all()
    with_hydrogen = np.array([1 in c.atomic_numbers for c in known.crystals])
    distances = shortest_distances(known.crystals, 5.0)
    assert distances[~with_hydrogen].min() > 1.15  # C2 in CaC2
    per_atom = known.crystals.volumes / known.crystals.num_atoms
    assert per_atom.min() > 5 and per_atom.max() < 80  # diamond, potassium


@pytest.mark.parametrize(
    ("name", "atoms", "volume", "distance"),
    [  # of the primitive cell, from the lattice constant by hand
        ("rock salt NaCl", 2, 5.640**3 / 4, 5.640 / 2),
        ("diamond Si", 2, 5.431**3 / 4, 5.431 * np.sqrt(3) / 4),
        ("bcc Fe", 1, 2.867**3 / 2, 2.867 * np.sqrt(3) / 2),
        ("hcp Mg", 2, 3.209**2 * 5.211 * np.sqrt(3) / 2, 3.19708),
        ("perovskite SrTiO3", 5, 3.905**3, 3.905 / 2),
        ("fluorite CaF2", 3, 5.463**3 / 4, 5.463 * np.sqrt(3) / 4),
        ("Laves C15 MgCu2", 6, 7.034**3 / 4, 7.034 * np.sqrt(2) / 4),
        ("spinel MgAl2O4", 14, 8.083**3 / 4, (0.387 - 0.25) * np.sqrt(3) * 8.083),
        ("rutile TiO2", 6, 4.594**2 * 2.959, 1.947),  # Ti-O of rutile is 1.95 and 1.98
        ("quartz SiO2", 9, 4.913**2 * 5.405 * np.sqrt(3) / 2, 1.605),  # Si-O is 1.605 and 1.614
    ],
)
def test_well_known_crystals_have_their_cells_and_bonds(known, name, atoms, volume, distance):
    crystal = find(known, name).crystals
    assert crystal.num_atoms.tolist() == [atoms]
    assert crystal.volumes[0] == pytest.approx(volume, rel=1e-4)
    assert shortest_distances(crystal, 5.0)[0] == pytest.approx(distance, abs=4e-3)


def test_orbits_are_those_of_pymatgen(known):
    """Once, as pymatgen takes seconds for a space group: corundum, with rhombohedral centring."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Lattice, Structure

    theirs = Structure.from_spacegroup(
        167, Lattice.hexagonal(4.759, 12.991), ["Al", "O"], [[0, 0, 0.352], [0.306, 0, 0.25]]
    )
    ours = find(known, "corundum Al2O3").crystals.to_pymatgen()[0]
    assert StructureMatcher(scale=False, stol=0.01).fit(ours, theirs)


def test_a_row_that_does_not_fit_its_structure_type_is_refused():
    rutile = {"prototype": "rutile", "space_group": "136", "sites": "A 0 0 0; B x x 0"}
    row = {"prototype": "rutile", "elements": "Ti O", "a": "4.594", "b": "", "c": "2.959"}
    assert len(build(rutile, row | {"free": "x=0.305"})) == 6
    with pytest.raises(InputError, match="the coordinate x is missing"):
        build(rutile, row | {"free": ""})
    with pytest.raises(InputError, match="rutile is not a structure type of 1 elements"):
        build(rutile, row | {"free": "x=0.305", "elements": "Ti"})


def test_splits_part_the_whole_and_share_no_formula(known):
    splits = {name: textbook_structures(name) for name in ("train", "val", "test")}
    ids = [set(part.crystals.ids) for part in splits.values()]
    assert set.union(*ids) == set(known.crystals.ids) and sum(map(len, ids)) == len(known)
    formulas = [set(part.reduced_formulas) for part in splits.values()]
    assert not (formulas[0] & formulas[1] or formulas[0] & formulas[2] or formulas[1] & formulas[2])
    assert min(len(part) for part in splits.values()) > 30
    with pytest.raises(InputError, match="unknown split valid"):
        textbook_structures("valid")


def test_the_first_few_are_of_many_types():
    first = textbook_structures("train")[:40]
    assert len({name.rsplit(" ", 1)[0] for name in first.crystals.ids}) > 20


# ---- a part of MP-20 -----------------------------------------------------------------------------


def test_a_part_of_mp20_comes_without_network_data_folder_and_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("FLOWLLM_DATA_DIR", raising=False)
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(tmp_path / "cache"))
    crystals, which = mp20_sample("val", limit=20)
    assert len(crystals) == 20 and which == "MP-20: the first 20 crystals of its val split."
    whole, which = mp20_sample("val")
    assert which == "MP-20: 8,887 crystals of its val split."
    assert whole[:20].crystals.digest() == crystals.crystals.digest()
    assert not (tmp_path / "cache").exists()


def test_a_wrong_split_or_limit_is_refused():
    with pytest.raises(InputError, match="no split valid; it has train, val, test"):
        mp20_sample("valid")
    with pytest.raises(InputError, match="limit must be at least 1, not 0"):
        mp20_sample("train", limit=0)
