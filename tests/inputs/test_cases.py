"""Files of the kinds that people have, read as every command reads them."""

from pathlib import Path

import numpy as np
import pytest

from flowllm.crystals.distances import shortest_distances
from flowllm.errors import InputError
from flowllm.inputs import read_inputs

CASES = Path(__file__).parent / "cases"
SALT, SYLVITE, STO = ("NaCl", 8, 2.82), ("KCl", 8, 3.145), ("SrTiO3", 5, 1.9525)
PRIMITIVE = {"NaCl": ("NaCl", 2, 2.82), "KCl": ("KCl", 2, 3.145), "MgO": ("MgO", 2, 2.105)}
OWN = {f"own-00{n}": PRIMITIVE[f] for n, f in enumerate(("NaCl", "KCl", "MgO"), 1)}

RIGHT = {  # source -> id -> (formula, atoms, shortest distance in Å), or a part of the reason
    "09_blocks": {
        "duplicate_tag": SALT,
        "no_header": "no data_ block",
        "same_name-image0": SALT,
        "same_name-image0-2": SYLVITE,
        "two-first": SALT,
        "two-second": SYLVITE,
    },
    "09_blocks/two.cif": {"two-first": SALT, "two-second": SYLVITE},
    "10_encodings": {"ctrl_z": SALT, "a": SALT, "utf16": SALT},
    "10_encodings/own_utf16.csv": {"a": SALT},
    "15_mcif": {"mnf2": ("MnF2", 6, 2.063)},
    "15_mcif/mnf2.mcif": {"mnf2": ("MnF2", 6, 2.063)},
    "17_extxyz_pbc": {
        "frames-0": SALT,
        "frames-1": SALT,
        "frames-2": "not periodic in all directions (pbc F F F)",
        "frames-3": "not periodic in all directions (pbc T T F)",
        "frames-4": "no cell",
        "frames-5": SALT,
        "frames-6": SALT,
        "molecule": "no cell: its comment line contains no Lattice",
    },
    "18_poscar": dict.fromkeys(
        ["CONTCAR", "POSCAR", "hash/POSCAR", "sto.json", "sto.poscar", "vasp4/POSCAR", "volume"],
        STO,
    ),
    "18_poscar/POSCAR": {"POSCAR": STO},
    "18_poscar/sto.json": {"sto": STO},
    "19_own_csv/capital.csv": OWN,
    "19_own_csv/json.csv": OWN,
    "19_own_csv/json_in_cif.csv": OWN,
    "19_own_csv/semicolon.csv": OWN,
    "19_own_csv/tab.tsv": OWN,
    "19_own_csv/paths.csv": {k: OWN[k] for k in ("own-001", "own-002")},
    "19_own_csv/excel_cut.csv": {
        "cut": "wrong number of values); is the cell of the table cut?",
        "own-002": PRIMITIVE["KCl"],
    },
    "19_own_csv/ids.csv": dict.fromkeys(
        ["007", "7", "2", "a/b", "a b", "own-001", "own-001-2"], PRIMITIVE["NaCl"]
    ),
}


@pytest.mark.parametrize("source", RIGHT)
def test_each_file_gives_the_right_crystals_or_says_why_not(source):
    inputs = read_inputs(CASES / source)
    assert inputs.ids.tolist() == list(RIGHT[source])
    formulas = inputs.crystals.formulas
    nearest = shortest_distances(inputs.crystals, 4.0)
    for row, right in enumerate(RIGHT[source].values()):
        if isinstance(right, str):
            assert right in inputs.reasons[row]
            continue
        assert inputs.readable[row], inputs.reasons[row]
        place = inputs.position[row]
        assert (formulas[place], inputs.crystals.num_atoms[place]) == right[:2]
        assert nearest[place] == pytest.approx(right[2], abs=2e-3)


def test_what_is_remarked_and_what_a_folder_holds_beside():
    inputs = read_inputs(CASES / "09_blocks")
    remarks = dict(zip(inputs.ids, inputs.remarks, strict=True))
    assert remarks["duplicate_tag"] == "_cell_length_a is given twice"
    assert remarks["same_name-image0-2"] == "the id same_name-image0 is used before"
    assert inputs.notes[0] == "not read, of other kinds: 1 × README"
    assert inputs.remark_summary.startswith("2 remarks: 1 × _cell_length_a is given twice, ")
    assert inputs.places[-1] == f"{CASES / '09_blocks' / 'two.cif'}, block second"


def test_a_table_and_the_files_that_it_names_are_counted_once():
    """paths.csv names two CIFs of the folder: they are its rows, no crystals of their own."""
    inputs = read_inputs(CASES / "19_own_csv")
    assert inputs.readable.sum() == len(inputs) - 1  # all but the cell that was cut
    assert not any("nacl" in str(name) for name in inputs.ids)


def test_a_folder_without_crystals_says_what_it_holds_and_what_is_read():
    held = r"contains no crystals \(it holds 1 × README, 1 × .py\); supported are CIF"
    with pytest.raises(InputError, match=held):
        read_inputs(CASES / "46_python_objects")


def test_python_objects_of_every_kind():
    """The objects of 46_python_objects: each is read rightly or named, and none is changed."""
    from ase import Atoms
    from pymatgen.core import Lattice, Molecule, Structure

    sound = Structure(
        Lattice.cubic(4.2), ["Mg2+", "O2-"], [[0, 0, 0], [0.5, 0.5, 0.5]],
        site_properties={"magmom": [0, 1]},
    )  # fmt: skip
    mixed = Structure(Lattice.cubic(4.2), [{"Mg": 0.5, "Fe": 0.5}, "O"], [[0] * 3, [0.5] * 3])
    slab = Atoms("NaCl", positions=np.float32([[0] * 3, [2.0] * 3]), cell=[4.0] * 3, pbc=[1, 1, 0])
    molecules = [Molecule(["C", "O"], [[0, 0, 0], [0, 0, 1.13]]), Atoms("NaCl", [[0] * 3, [1] * 3])]
    before = sound.copy()
    inputs = read_inputs([sound, mixed, slab, *molecules, "text", sound.as_dict()])
    assert inputs.readable.tolist() == [True, *[False] * 5, True]
    assert inputs.crystals.formulas == ["MgO", "MgO"]
    assert sound == before
    expected = ["partial occupancy on site", "pbc T T F",
                "Molecule is not a crystal: it has no cell", "no cell",
                "str is not a crystal"]  # fmt: skip
    for reason, part in zip(inputs.reasons[1:6], expected, strict=True):
        assert part in reason
    for thing, message in (
        (None, "None is neither a crystal"),
        (5, "5 of type int is neither a crystal"),
        ({"a": 1}, "dict is neither a crystal"),
        (molecules[0], "Molecule is not a crystal: it has no cell"),
        ([], "no crystals in it"),
    ):
        with pytest.raises(InputError, match=message):
            read_inputs(thing)
