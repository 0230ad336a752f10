"""CrystalBatch: a collection of crystals and its conversions."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pymatgen.core import Lattice, Structure

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import wrap
from flowllm.crystals.cif import parse_cif
from flowllm.errors import InputError

CELLS = {
    "triclinic": ((4.1, 5.3, 6.7), (71.0, 83.5, 99.2)),
    "hexagonal": ((3.2, 3.2, 5.1), (90.0, 90.0, 120.0)),
    "rhombohedral": ((5.8, 5.8, 5.8), (60.0, 60.0, 60.0)),
    "cubic": ((4.0, 4.0, 4.0), (90.0, 90.0, 90.0)),
}


def batch_of(counts: list[int], seed: int = 0) -> CrystalBatch:
    rng = np.random.default_rng(seed)
    size, atoms = len(counts), sum(counts)
    return CrystalBatch(
        rng.integers(1, 100, atoms),
        rng.random((atoms, 3)),
        3 + 5 * rng.random((size, 3)),
        75 + 30 * rng.random((size, 3)),
        np.array(counts, dtype=int),
        np.array([f"c{i}" for i in range(size)]),
    )


batches = st.builds(
    batch_of, st.lists(st.integers(1, 6), min_size=0, max_size=6), st.integers(0, 2**16)
)


def assert_equal(a: CrystalBatch, b: CrystalBatch, tolerance: float = 0.0) -> None:
    assert a.ids.tolist() == b.ids.tolist()
    assert a.num_atoms.tolist() == b.num_atoms.tolist()
    assert a.atomic_numbers.tolist() == b.atomic_numbers.tolist()
    gaps = a.frac_coords - b.frac_coords
    assert np.abs(gaps - np.round(gaps)).max(initial=0) <= tolerance
    assert np.abs(a.lengths - b.lengths).max(initial=0) <= tolerance
    assert np.abs(a.angles - b.angles).max(initial=0) <= 10 * tolerance


# ---- a collection


@given(batches, st.data())
def test_indexing_is_that_of_a_list_of_crystals(batch, data):
    singles = list(batch)
    assert len(singles) == len(batch)
    chosen = data.draw(
        st.lists(st.integers(0, max(len(batch) - 1, 0)), max_size=8 if len(batch) else 0)
    )
    picked = batch[np.array(chosen, dtype=int)]
    assert_equal(picked, CrystalBatch.concatenate(singles[i] for i in chosen))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(batch), max_size=len(batch))))
    kept = [crystal for crystal, keep in zip(singles, mask, strict=True) if keep]
    assert_equal(batch[mask.astype(bool)], CrystalBatch.concatenate(kept))
    assert_equal(batch[::-1], CrystalBatch.concatenate(reversed(singles)))


@given(st.lists(batches, max_size=4))
def test_concatenation_keeps_every_crystal_in_order(parts):
    whole = CrystalBatch.concatenate(parts)
    assert len(whole) == sum(map(len, parts))
    start = 0
    for part in parts:
        assert_equal(whole[start : start + len(part)], part)
        start += len(part)


@given(batches)
@settings(max_examples=20)
def test_save_and_load_give_the_same_arrays(tmp_path_factory, batch):
    path = tmp_path_factory.mktemp("npz") / "crystals.npz"
    batch.save(path)
    assert_equal(CrystalBatch.load(path), batch)


@given(hnp.arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)))
def test_wrap_lands_in_the_cell_and_moves_by_whole_cells(frac):
    wrapped = wrap(frac)
    assert ((wrapped >= 0) & (wrapped < 1)).all()
    moved = frac - wrapped
    assert np.abs(moved - np.round(moved)).max() < 1e-9


def test_wrap_of_a_tiny_negative_number_is_zero():
    assert wrap(np.array([-1e-18, 1.0, 0.25])).tolist() == [0.0, 0.0, 0.25]


def test_padding_holds_the_atoms_and_zeros():
    batch = batch_of([2, 4])
    types, coords, mask = batch.padded(5)
    assert types.shape == (2, 5) and coords.shape == (2, 5, 3)
    assert mask.sum(1).tolist() == [2, 4]
    assert types[mask].tolist() == batch.atomic_numbers.tolist()
    assert (types[~mask] == 0).all() and (coords[~mask] == 0).all()
    assert np.array_equal(coords[mask], batch.frac_coords)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": np.ones((1, 3))}, "rows of lengths"),
        ({"atomic_numbers": np.ones(3)}, "num_atoms adds up to 5"),
        ({"angles": np.full((2, 3), np.nan)}, "angles holds a value that is not finite"),
    ],
)
def test_arrays_that_disagree_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        batch_of([2, 3]).replace(**change)


def test_loading_what_is_not_there_or_no_archive_names_the_file(tmp_path):
    with pytest.raises(InputError, match=r"no such file: .*none.npz"):
        CrystalBatch.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(InputError, match=r"text.npz is not an archive of crystals"):
        CrystalBatch.load(tmp_path / "text.npz")


def test_a_digest_tells_crystals_apart_and_stays_what_it_was():
    """Runs on disk record it, so it must not change."""
    batch = CrystalBatch(
        [11, 17, 14], [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0, 0]], [[4, 4, 4], [3, 3, 3]],
        [[90, 90, 90], [60, 60, 60]], [2, 1], ["rock salt", "Si"],
    )  # fmt: skip
    assert batch.digest() == "980727a99657"
    moved = batch.frac_coords + 0.01
    others = [
        batch.replace(ids=["rock salt", "Ge"]), batch.replace(frac_coords=moved),
        batch.replace(atomic_numbers=[11, 17, 32]), batch.replace(num_atoms=[1, 2]), batch[::-1],
        batch.replace(lengths=[[4, 4, 4], [3, 3, 4]]),
        batch.replace(angles=[[90, 90, 90], [60, 60, 90]]),
    ]  # fmt: skip
    assert len({batch.digest(), *(other.digest() for other in others)}) == 8
    wider = np.array([*batch.ids, "a much longer id"])[:2]
    assert batch.replace(ids=wider).digest() == batch.digest()


# ---- geometry and conversions


@pytest.fixture(params=CELLS, ids=str)
def crystal(request) -> CrystalBatch:
    lengths, angles = CELLS[request.param]
    rng = np.random.default_rng(1)
    numbers = np.array([38, 22, 8, 8])
    return CrystalBatch(numbers, rng.random((4, 3)), [lengths], [angles], [4], [request.param])


def test_lattice_matrix_and_volume_are_pymatgens(crystal):
    theirs = Lattice.from_parameters(*crystal.lengths[0], *crystal.angles[0])
    assert np.allclose(crystal.lattices[0], theirs.matrix, atol=1e-10)
    assert np.isclose(crystal.volumes[0], theirs.volume)


def test_a_cell_without_volume_has_volume_zero_and_no_structure(crystal):
    flat = crystal.replace(angles=[[60.0, 60.0, 120.0]])
    assert flat.volumes[0] == pytest.approx(0.0, abs=1e-5)
    impossible = crystal.replace(angles=[[60.0, 60.0, 150.0]])
    assert impossible.volumes[0] == 0.0
    with pytest.raises(InputError, match=r"zero volume"):
        impossible.to_pymatgen()


def test_round_trip_through_pymatgen(crystal):
    back = CrystalBatch.from_pymatgen(crystal.to_pymatgen(), crystal.ids)
    assert_equal(back, crystal, 1e-9)


def test_round_trip_through_ase(crystal):
    atoms = crystal.to_ase()
    assert atoms[0].info["id"] == crystal.ids[0]
    assert np.allclose(atoms[0].get_volume(), crystal.volumes)
    assert_equal(CrystalBatch.from_ase(atoms, crystal.ids), crystal, 1e-9)


def test_round_trip_through_pyg(crystal):
    graphs = crystal.to_pyg()
    assert graphs[0].edge_index.shape == (2, 16)
    assert_equal(CrystalBatch.from_pyg(graphs), crystal)


def test_round_trip_through_cif(crystal):
    back = CrystalBatch.from_cif(crystal.to_cif(), crystal.ids)
    assert_equal(back, crystal, 1e-6)


def test_interatomic_distances_survive_every_conversion(crystal):
    here = crystal.to_pymatgen()[0].distance_matrix
    there = crystal.to_ase()[0].get_all_distances(mic=True)
    assert np.allclose(here, there, atol=1e-8)


def test_an_open_type_has_no_structure(crystal):
    with pytest.raises(InputError, match="species of atom 1 is open"):
        crystal.replace(atomic_numbers=[0, 22, 8, 8]).to_pymatgen()


def test_compositions_and_formulas():
    batch = CrystalBatch(
        [38, 22, 8, 8, 8, 11, 17],
        np.zeros((7, 3)),
        np.ones((2, 3)),
        [[90] * 3] * 2,
        [5, 2],
        ["a", "b"],
    )
    assert batch.compositions == [{"Sr": 1, "Ti": 1, "O": 3}, {"Na": 1, "Cl": 1}]
    assert batch.formulas == ["SrTiO3", "NaCl"]


# ---- CIF text


def test_cifs_are_read_as_pymatgens_own_parser_reads_them(mp20_rows):
    for name, text in zip(mp20_rows.material_id, mp20_rows.cif, strict=True):
        theirs = Structure.from_str(text, fmt="cif")
        ours = CrystalBatch.from_pymatgen([parse_cif(text, name)], [name])
        assert_equal(ours, CrystalBatch.from_pymatgen([theirs], [name]), 1e-4)
        assert_equal(CrystalBatch.from_cif([text], [name]), ours, 1e-9)
    assert len(mp20_rows) == 200


def test_a_cif_with_symmetry_operations_is_expanded():
    rock_salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    from pymatgen.io.cif import CifWriter

    text = str(CifWriter(rock_salt, symprec=0.01))
    assert "x+1/2" in text
    batch = CrystalBatch.from_cif([text], ["salt"])
    assert batch.compositions == [{"Na": 4, "Cl": 4}]


HEAD = """data_x
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_type_symbol
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


def test_partial_occupancy_is_refused_by_name():
    with pytest.raises(InputError, match=r"alloy: partial occupancy"):
        parse_cif(HEAD + "Fe Fe1 0 0 0 0.5\nNi Ni1 0 0 0 0.5\n", "alloy")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the CIF cannot be parsed (no data_ block)"),
        ("hello", "the CIF cannot be parsed (no data_ block)"),
        (HEAD, "the CIF cannot be parsed (no atom sites)"),
        (HEAD[:45], "_cell_length_c is missing"),
        ("data_x\nloop_\n_a _b\n1 2 3\n", "line 2: the loop of _a has a wrong number of values"),
    ],
)
def test_a_corrupt_cif_is_refused_by_name_in_one_line(text, reason):
    with pytest.raises(InputError, match=f"^broken: .*{re.escape(reason)}") as caught:
        parse_cif(text, "broken")
    assert "\n" not in str(caught.value)
