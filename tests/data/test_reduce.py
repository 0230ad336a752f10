"""Reduction: the crystal stays what it is, and equal crystals come out equal."""

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import DummySpecies, Lattice, Structure

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.canonical import off_the_fence, text_steps
from flowllm.crystals.cif import parse_cif
from flowllm.crystals.elements import RANK_OF
from flowllm.data.reduce import ReduceSettings, reduce_cif, reduce_structure
from flowllm.errors import InputError

ROCK_SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
PEROVSKITE = Structure.from_spacegroup(
    "Pm-3m", Lattice.cubic(3.905), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]
)
SPINEL = Structure.from_spacegroup(
    "Fd-3m", Lattice.cubic(8.08), ["Mg", "Al", "O"], [[1 / 8] * 3, [1 / 2] * 3, [0.2624] * 3]
)


def text(crystal: CrystalBatch) -> tuple:
    """What the written string would hold."""
    return (
        np.round(crystal.lengths[0], 1).tolist(),
        np.round(crystal.angles[0]).tolist(),
        crystal.atomic_numbers.tolist(),
        text_steps(crystal.frac_coords).tolist(),
    )


def disguised(structure: Structure, rng: np.random.Generator) -> Structure:
    """The same crystal in other axes, from another origin, in other order, in a supercell."""
    change = np.zeros((3, 3))
    while round(np.linalg.det(change)) != 1:
        change = rng.integers(-1, 2, (3, 3))
    order = rng.permutation(len(structure))
    frac = structure.frac_coords @ np.linalg.inv(change) + rng.random(3)
    species = [structure.species[i] for i in order]
    other = Structure(Lattice(change @ structure.lattice.matrix), species, frac[order])
    repeats = rng.permutation([1, 1, 2]).tolist()
    return other.make_supercell(repeats, in_place=False)


def test_rock_salt():
    crystal = reduce_structure(ROCK_SALT, "salt")
    assert crystal.compositions == [{"Na": 1, "Cl": 1}]
    assert np.allclose(crystal.lengths, 5.64 / np.sqrt(2))
    assert np.allclose(crystal.angles, 60)
    gap = crystal.frac_coords[1] - crystal.frac_coords[0]
    assert np.allclose(gap - np.floor(gap), 0.5)


def test_perovskite():
    crystal = reduce_structure(PEROVSKITE.make_supercell(2, in_place=False), "perovskite")
    assert crystal.ids.tolist() == ["perovskite"]
    assert crystal.compositions == [{"Sr": 1, "Ti": 1, "O": 3}]
    assert np.allclose(crystal.lengths, 3.905) and np.allclose(crystal.angles, 90)
    assert sorted(np.round(crystal.frac_coords * 2).astype(int).sum(1)[2:].tolist()) in (
        [1, 1, 1],
        [2, 2, 2],
    )


@pytest.mark.parametrize("structure", [ROCK_SALT, PEROVSKITE, SPINEL], ids=lambda s: s.formula)
def test_prototypes_have_one_text(structure):
    rng = np.random.default_rng(0)
    expected = text(reduce_structure(structure, "x"))
    for _ in range(5):
        assert text(reduce_structure(disguised(structure, rng), "x")) == expected


def test_disguised_real_crystals_come_out_equal(mp20_rows):
    rng = np.random.default_rng(0)
    different = []
    for name, cif in zip(mp20_rows.material_id, mp20_rows.cif, strict=True):
        structure = parse_cif(cif, name)
        if text(reduce_structure(structure, name)) != text(
            reduce_structure(disguised(structure, rng), name)
        ):
            different.append(name)
    # measured: none of 1,500 rows; the margin is for other versions of spglib and BLAS
    assert len(different) <= 0.01 * len(mp20_rows), different


def test_real_crystals_are_unchanged(mp20_rows):
    tight = StructureMatcher(
        ltol=0.002, stol=0.02, angle_tol=0.2, primitive_cell=False, scale=False
    )
    compared = 0
    for name, cif in zip(mp20_rows.material_id[::4], mp20_rows.cif[::4], strict=True):
        before = parse_cif(cif, name)
        crystal = reduce_cif(cif, name)
        assert before.composition.reduced_formula == crystal.formulas[0]
        assert np.isclose(
            before.volume / len(before), crystal.volumes[0] / crystal.num_atoms[0], rtol=1e-6
        )
        if len(before) == crystal.num_atoms[0]:
            assert tight.fit(before, crystal.to_pymatgen()[0]), name
            compared += 1
    assert compared > 45  # nearly all rows are primitive already


def test_handedness_is_kept():
    # P3_1 2 1 and its mirror image P3_2 2 1: tellurium's two kinds
    right = Structure.from_spacegroup(
        "P3_121", Lattice.hexagonal(4.46, 5.93), ["Te"], [[0.27, 0, 1 / 3]]
    )
    left = Structure.from_spacegroup(
        "P3_221", Lattice.hexagonal(4.46, 5.93), ["Te"], [[0.27, 0, 2 / 3]]
    )

    def volume_of_helix(structure: Structure) -> str:
        import spglib

        crystal = reduce_structure(structure, "Te")
        cell = (crystal.lattices[0], crystal.frac_coords, crystal.atomic_numbers)
        return spglib.get_symmetry_dataset(cell, symprec=0.01).international

    assert volume_of_helix(right) == "P3_121"
    assert volume_of_helix(left) == "P3_221"


@pytest.mark.parametrize("canonical", [True, False])
def test_cells_are_niggli_reduced_and_atoms_in_order(mp20_rows, canonical):
    settings = ReduceSettings(canonical=canonical)
    for name, cif in zip(mp20_rows.material_id[:60], mp20_rows.cif[:60], strict=True):
        crystal = reduce_cif(cif, name, settings)
        theirs = Lattice(crystal.lattices[0]).get_niggli_reduced_lattice()
        # canonical axes may be longer by what the written cell does not show
        slack = 0.05 if canonical else 1e-3
        assert (np.abs(np.sort(crystal.lengths[0]) - np.sort(theirs.abc)) < slack).all()
        assert np.isclose(crystal.volumes[0], theirs.volume)
        assert (crystal.angles > 59.5).all() and (crystal.angles < 120.5).all()
        ranks = [RANK_OF[s] for s in crystal.to_pymatgen()[0].symbol_set]
        assert len(ranks) == len(crystal.compositions[0])
        keys = [
            (RANK_OF[element], *step)
            for element, step in zip(
                [site.specie.symbol for site in crystal.to_pymatgen()[0]],
                text_steps(crystal.frac_coords).tolist(),
                strict=True,
            )
        ]
        assert keys == sorted(keys)


def test_a_second_reduction_changes_nothing(mp20_rows):
    different = []
    for name, cif in zip(mp20_rows.material_id, mp20_rows.cif, strict=True):
        once = reduce_cif(cif, name)
        if text(reduce_structure(once.to_pymatgen()[0], name)) != text(once):
            different.append(name)
    assert len(different) <= 0.01 * len(mp20_rows), different  # measured: none of them


def test_magnetic_and_other_supercells_are_divided():
    noisy = ROCK_SALT.make_supercell([2, 1, 1], in_place=False).perturb(0.005)
    assert reduce_structure(noisy, "x").num_atoms.tolist() == [2]
    distorted = ROCK_SALT.copy()
    distorted.translate_sites([0], [0.05, 0, 0])  # 0.28 Å: another crystal
    assert reduce_structure(distorted, "x").num_atoms.tolist() == [8]


def test_coordinates_keep_off_rounding_boundaries():
    noise = np.random.default_rng(0).normal(scale=2e-6, size=1000)
    assert set(text_steps(off_the_fence(0.125 + noise)).tolist()) == {13}
    away = np.array([0.0, 0.1234, 0.5, 0.999])
    assert np.array_equal(off_the_fence(away), away)
    pairs = off_the_fence(np.array([0.125 - 1e-6, 0.875 + 1e-6, 0.995 + 1e-6, 0.005 - 1e-6]))
    assert text_steps(pairs).tolist() == [13, 87, 99, 1]
    assert np.allclose(pairs[::2] + pairs[1::2], 1.0, atol=1e-12)


def test_what_cannot_be_reduced_is_refused_by_name():
    with pytest.raises(InputError, match=r"big: 5 atoms in the primitive cell, more than 4"):
        reduce_structure(PEROVSKITE, "big", ReduceSettings(max_atoms=4))
    alloy = Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    with pytest.raises(InputError, match=r"alloy: partial occupancy"):
        reduce_structure(alloy, "alloy")
    vacancy = Structure(Lattice.cubic(3), [DummySpecies("X")], [[0, 0, 0]])
    with pytest.raises(InputError, match=r"hole: X is not an element"):
        reduce_structure(vacancy, "hole")
    flat = Structure(Lattice([[3, 0, 0], [0, 3, 0], [3, 3, 0]]), ["Fe"], [[0, 0, 0]])
    with pytest.raises(InputError, match=r"flat: the cell cannot be reduced"):
        reduce_structure(flat, "flat")
    with pytest.raises(InputError, match=r"bad: the CIF cannot be parsed"):
        reduce_cif("no crystal", "bad")


@pytest.mark.parametrize("wrong", [{"max_atoms": 0}, {"tolerance": 0.0}, {"tolerance": 2.0}])
def test_settings_check_themselves(wrong):
    with pytest.raises(InputError):
        ReduceSettings(**wrong)
