"""VASP inputs: read back, against MPRelaxSet's own, and k-points counted by hand."""

import bz2
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import reduce_cif
from flowllm.export.vasp import REMOVED, export_vasp, vasp_files

CASES = Path(__file__).parents[1] / "inputs" / "cases" / "31_vasp_labels"
ROCK_SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4, 4)], [(60, 60, 60)], [2], ["NaCl"]
)
HEMATITE_LIKE = CrystalBatch(
    [8, 26, 8, 26, 8],
    [(0.1, 0.2, 0.3), (0, 0, 0), (0.6, 0.1, 0.7), (0.5, 0.5, 0.5), (0.9, 0.4, 0.1)],
    [(4.1, 5.2, 6.3)],
    [(85.0, 95.5, 102.25)],
    [5],
    ["mp-x"],
)


@pytest.fixture(autouse=True)
def no_pseudopotentials(monkeypatch):
    """As on a machine without VASP's pseudopotentials."""
    from pymatgen.core import SETTINGS

    monkeypatch.delenv("PMG_VASP_PSP_DIR", raising=False)
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", None)


def read_structure(folder):
    from pymatgen.core import Structure

    return Structure.from_file(folder / "POSCAR")


def same_crystal(crystal: CrystalBatch, structure) -> None:
    """Cell and sites equal to a millionth, sites in any order."""
    expected = crystal.to_pymatgen()[0]
    np.testing.assert_allclose(structure.lattice.abc, crystal.lengths[0], rtol=1e-6)
    np.testing.assert_allclose(structure.lattice.angles, crystal.angles[0], rtol=1e-6)
    np.testing.assert_allclose(structure.lattice.matrix, expected.lattice.matrix, atol=1e-6)
    assert structure.composition == expected.composition
    left = list(range(len(expected)))
    for site in structure:
        near = [
            i for i in left
            if expected[i].specie.symbol == site.specie.symbol
            and np.abs((d := site.frac_coords - expected[i].frac_coords) - np.round(d)).max() < 1e-6
        ]  # fmt: skip
        assert near, f"{site} is nowhere in the crystal"
        left.remove(near[0])
    assert not left


@pytest.mark.data
def test_real_crystals_read_back_as_they_were(mp20_crystals, tmp_path):
    chosen = mp20_crystals[::100]
    done = export_vasp(chosen, tmp_path)
    assert [each.id for each in done] == chosen.ids.tolist()
    for crystal, each in zip(chosen, done, strict=True):
        assert not each.problem and each.folder == each.id
        same_crystal(crystal, read_structure(tmp_path / each.folder))


def test_skewed_cell_and_mixed_order_read_back(tmp_path):
    (done,) = export_vasp(HEMATITE_LIKE, tmp_path)
    structure = read_structure(tmp_path / done.folder)
    same_crystal(HEMATITE_LIKE, structure)
    assert [s.specie.symbol for s in structure] == ["Fe", "Fe", "O", "O", "O"]
    lines = (tmp_path / "mp-x" / "POSCAR").read_text().splitlines()
    assert lines[0] == "mp-x Fe2O3" and lines[5:7] == ["Fe O", "2 3"]
    files = {f.name for f in (tmp_path / "mp-x").iterdir()}
    assert files == {"POSCAR", "INCAR", "KPOINTS", "POTCAR.spec", "README.txt"}
    assert (tmp_path / "mp-x" / "POTCAR.spec").read_text().split() == ["Fe_pv", "O"]


@pytest.mark.parametrize("crystal", [ROCK_SALT, HEMATITE_LIKE], ids=["salt", "oxide"])
def test_files_are_those_that_the_set_writes_itself(crystal, tmp_path):
    from pymatgen.io.vasp import Incar, Kpoints
    from pymatgen.io.vasp.sets import MPRelaxSet

    structure = crystal.to_pymatgen()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MPRelaxSet(structure).write_input(str(tmp_path / "own"), potcar_spec=True)
    export_vasp(crystal, tmp_path)
    folder = tmp_path / str(crystal.ids[0])
    assert Incar.from_file(folder / "INCAR") == Incar.from_file(tmp_path / "own" / "INCAR")
    own = Kpoints.from_file(tmp_path / "own" / "KPOINTS")
    assert Kpoints.from_file(folder / "KPOINTS").kpts == own.kpts
    assert Kpoints.from_file(folder / "KPOINTS").style == own.style
    spec = (tmp_path / "own" / "POTCAR.spec").read_text().split()
    assert (folder / "POTCAR.spec").read_text().split() == spec
    assert read_structure(folder) == read_structure(tmp_path / "own")


def test_settings_are_the_materials_projects():
    from pymatgen.io.vasp import Incar

    files, notes = vasp_files(HEMATITE_LIKE)
    incar = Incar.from_str(files["INCAR"])
    assert (incar["ENCUT"], incar["ISPIN"], incar["ISIF"], incar["NSW"]) == (520, 2, 3, 99)
    assert incar["LDAUU"] == [5.3, 0]
    assert incar["MAGMOM"] == [5, 5, 0.6, 0.6, 0.6]
    assert incar["EDIFF"] == pytest.approx(5 * 5e-5)
    assert notes == [
        "magnetic: 2 of 5 atoms start ferromagnetic with high spin; try other orders",
        "PBE+U: Fe 5.3 eV",
    ]


def test_k_points_have_the_density_of_the_set():
    # 64 points per 1/Å^3 of the reciprocal cell, shared out in inverse proportion to a, b and c
    files, _ = vasp_files(HEMATITE_LIKE)
    a, b, c = HEMATITE_LIKE.lengths[0]
    points = 64 * (2 * math.pi) ** 3 / HEMATITE_LIKE.volumes[0]
    expected = [math.floor((points * a * b * c) ** (1 / 3) / x) for x in (a, b, c)]
    assert [int(n) for n in files["KPOINTS"].splitlines()[3].split()] == expected == [6, 4, 4]


def test_f_elements_say_where_their_f_electrons_are():
    lanthanides = CrystalBatch(
        [60, 58, 57, 8],
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0, 0), (0, 0.5, 0.5)],
        [(5, 5, 5)],
        [(90, 90, 90)],
        [4],
        ["f"],
    )
    _, notes = vasp_files(lanthanides)
    assert "f elements: f electrons frozen in the core (Nd_3)" in notes
    assert "f elements: f electrons are valence, without U (Ce)" in notes
    metal = lanthanides.replace(atomic_numbers=np.array([70, 70, 70, 70]))
    _, notes = vasp_files(metal)
    assert any("Yb_2 is known to often give bad results" in note for note in notes)
    assert any("ISMEAR for metals" in note for note in notes)


def test_labels_that_newer_sets_lack_are_named():
    from pymatgen.io.vasp import sets
    from pymatgen.io.vasp.sets import MPRelaxSet

    file = Path(sets.__file__).parent / "potcar-summary-stats.json.bz2"
    known = json.loads(bz2.decompress(file.read_bytes()))
    own = set(MPRelaxSet.CONFIG["POTCAR"].values())
    for functional in ("PBE_54", "PBE_64"):
        there = {one["symbol"] for kind in known[functional].values() for one in kind}
        assert own - there == set(REMOVED) and set(REMOVED.values()) <= there
    for name, said in (("wc", "W_pv is in VASP's sets PBE and PBE_52 only"), ("ybo", "Yb_2 is")):
        crystal = reduce_cif((CASES / f"{name}.cif").read_text(), name)
        assert sum(said in note for note in vasp_files(crystal)[1]) == 1


def test_the_readme_says_what_is_missing(tmp_path):
    export_vasp(ROCK_SALT, tmp_path)
    text = (tmp_path / "README.txt").read_text()
    assert "POTCAR is missing" in text and "64 k-points" in text and "PBE" in text
    assert not list(tmp_path.rglob("POTCAR"))


def test_conventional_cells_on_request(tmp_path):
    """Rock salt has four formula units there; what has no symmetry stays as it is."""
    from flowllm.export import export_crystals

    salt = CrystalBatch(
        [11, 17],
        [(0, 0, 0), (0.5, 0.5, 0.5)],
        [(3.99, 3.99, 3.99)],
        [(60.0, 60, 60)],
        [2],
        ["salt"],
    )
    both = CrystalBatch.concatenate([salt, HEMATITE_LIKE])
    export_crystals("vasp", both, tmp_path / "conventional", conventional=True)
    export_crystals("vasp", both, tmp_path / "primitive")
    cell = read_structure(tmp_path / "conventional" / "salt")
    assert len(cell) == 8 and cell.lattice.angles == pytest.approx((90, 90, 90))
    assert cell.lattice.a == pytest.approx(3.99 * 2**0.5)
    assert cell.matches(read_structure(tmp_path / "primitive" / "salt"))
    for kind in ("conventional", "primitive"):
        same_crystal(HEMATITE_LIKE, read_structure(tmp_path / kind / "mp-x"))
