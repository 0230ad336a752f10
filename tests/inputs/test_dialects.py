"""Files as other programs write them: every crystal is a row, none is dropped in silence."""

import json

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.inputs import read_inputs

SALT = CrystalBatch([11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4, 4)], [(90, 90, 90)], [2], ["a"])
CIF = SALT.to_cif()[0]
STRUCTURE = SALT.to_pymatgen()[0].as_dict()
HEADER = "NaCl\n1.0\n4 0 0\n0 4 0\n0 0 4\nNa Cl\n1 1\n"
FIRST = "Direct configuration=     1\n0 0 0\n.5 .5 .5\n"
SECOND = "Direct configuration=     2\n0 0 0\n.5 .5 .4\n"


def read(folder, name, content):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_inputs(path, workers=1)


@pytest.mark.parametrize("name", ["XDATCAR", "run.vasp"])
@pytest.mark.parametrize("between", ["", HEADER.replace("4", "5")])
def test_every_configuration_of_an_xdatcar_is_a_crystal(tmp_path, name, between):
    inputs = read(tmp_path, name, HEADER + FIRST + between + SECOND)
    assert inputs.readable.tolist() == [True, True]
    assert inputs.crystals.frac_coords[[1, 3], 2].tolist() == [0.5, 0.4]
    assert inputs.crystals.lengths[:, 0].tolist() == [4.0, 5.0 if between else 4.0]


def test_a_single_configuration_keeps_the_name_of_its_file(tmp_path):
    inputs = read(tmp_path, "run.vasp", HEADER + FIRST)
    assert inputs.ids.tolist() == ["run"] and inputs.readable.all()


ROWS = [{"material_id": "mp-1", "structure": STRUCTURE}, {"material_id": "mp-2", "structure": None}]


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        {"data": ROWS, "meta": {"total_doc": 2}},
        {"valid_response": True, "response": ROWS, "version": {"db": "1"}},
        {"mp-1": STRUCTURE, "mp-2": None},
        [STRUCTURE | {"id": "mp-1"}, {"id": "mp-2", "formula": "NaCl"}],
        [{"id": "mp-1", "cif": CIF}, {"id": "mp-2", "cif": "nan"}],
        [{"id": "mp-1", "structure": json.dumps(STRUCTURE)}, {"id": "mp-2", "structure": ""}],
        {"mp-1": CIF, "mp-2": None},
    ],
)
def test_a_row_of_json_without_a_structure_is_an_unreadable_row(tmp_path, value):
    inputs = read(tmp_path, "rows.json", value)
    assert inputs.ids.tolist() == ["mp-1", "mp-2"]
    assert inputs.readable.tolist() == [True, False] and inputs.reasons[1]
    assert np.allclose(inputs.crystals.frac_coords, SALT.frac_coords)
    assert inputs.crystals.atomic_numbers.tolist() == [11, 17]


def test_a_broken_line_of_json_lines_is_an_unreadable_row(tmp_path):
    line = json.dumps(ROWS[0])
    inputs = read(tmp_path, "rows.jsonl", f"{line}\n\n{line[:99]}\n{line}")
    assert inputs.readable.tolist() == [True, False, True]
    assert inputs.reasons[1] == "the JSON cannot be parsed in line 3"


@pytest.mark.parametrize("value", [ROWS[1:], {"data": [{"id": 1}]}, {"structure": None}, [None]])
def test_json_without_any_structure_is_no_file_of_crystals(tmp_path, value):
    with pytest.raises(InputError, match="the JSON contains"):
        read(tmp_path, "rows.json", value)


@pytest.mark.parametrize("name", ["table.txt", "table"])
def test_a_table_is_known_by_its_header_though_its_cells_are_cif(tmp_path, name):
    inputs = read(tmp_path, name, f'id\tcif\nsalt\t"{CIF}"\n')
    assert inputs.ids.tolist() == ["salt"] and inputs.readable.all()


def test_cif_texts_without_quotation_marks_are_named(tmp_path):
    with pytest.raises(InputError, match="CIF texts, .*, are not in quotation marks"):
        read(tmp_path, "table.csv", f"id,cif\nsalt,{CIF}\n")


def test_a_link_to_a_missing_file_is_said(tmp_path):
    (tmp_path / "salt.cif").write_text(CIF)
    (tmp_path / "gone.cif").symlink_to(tmp_path / "nothing")
    inputs = read_inputs(tmp_path, workers=1)
    assert inputs.ids.tolist() == ["salt"]
    assert inputs.notes == ("not read, links to missing files: 1, as gone.cif",)
    with pytest.raises(InputError, match="gone.cif"):
        read_inputs(tmp_path / "gone.cif")
