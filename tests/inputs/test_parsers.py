"""The readers of POSCAR, extended XYZ, JSON and tables: what each takes, and what each refuses."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.inputs import ReadLimits, read_inputs
from flowllm.inputs.items import unique_names
from flowllm.inputs.json_rows import crystal_from_json
from flowllm.inputs.poscar import crystal_from_poscar
from flowllm.inputs.tables import read_table
from flowllm.inputs.xyz import comment_values, crystal_from_xyz

POSCAR = """Sr Ti O
1.0
3.905 0.0 0.0
0.0 3.905 0.0
0.0 0.0 3.905
Sr Ti O
1 1 3
Direct
0 0 0
.5 .5 .5
.5 .5 0
.5 0 .5
0 .5 .5
"""
STRONTIUM_TITANATE = [38, 22, 8, 8, 8]


def changed(text: str, *pairs: str) -> str:
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text
        text = text.replace(old, new, 1)
    return text


# ---- POSCAR ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        (POSCAR, 59.547),
        (changed(POSCAR, "\n1.0\n", "\n2.0\n"), 8 * 59.547),
        (changed(POSCAR, "\n1.0\n", "\n-100\n"), 100),  # the volume
        (changed(POSCAR, "\n1.0\n", "\n1 1 2\n"), 2 * 59.547),
        (changed(POSCAR, "\n1.0\n", "\n1.0D0 ! scale\n"), 59.547),
        (changed(POSCAR, "Sr Ti O\n1 1", "Sr_sv/2c1f3a Ti_pv/9d0e O/77ab\n1 1"), 59.547),
        (changed(POSCAR, "Sr Ti O\n1 1", "Sr_sv Ti_sv_GW O_h\n1 1"), 59.547),
        (changed(POSCAR, "Sr Ti O\n1 1", "1 1"), 59.547),  # VASP 4
        (
            changed(POSCAR, "Direct", "Selective dynamics\nDirect", "0 0 0\n", "0 0 0 T F T\n"),
            59.547,
        ),
        (POSCAR + "\n0 0 0\n" * 5, 59.547),  # velocities
        (POSCAR.replace("\n", " \n"), 59.547),
    ],
)
def test_headers_of_every_version_are_read(text, volume):
    read = crystal_from_poscar(text, 100)
    assert read.crystal.atomic_numbers.tolist() == STRONTIUM_TITANATE
    assert read.crystal.volumes[0] == pytest.approx(volume, rel=1e-4)
    assert read.crystal.frac_coords[2].tolist() == [0.5, 0.5, 0]
    assert read.remarks == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed(POSCAR, "Sr Ti O\n1 1", "1 1", "Sr Ti O", "my best cell"), "VASP 4 without"),
        (changed(POSCAR, "Sr Ti O\n1 1", "1 1", "Sr Ti O", "Sr Ti"), "VASP 4 without elements"),
        (changed(POSCAR, "Sr Ti O\n1 1", "Sr Ti\n1 1"), "2 elements but 3 numbers"),
        (changed(POSCAR, "Sr Ti O\n1 1", "Sr Vac O\n1 1"), "'Vac' is not an element"),
        (
            changed(POSCAR, "Sr Ti O\n1 1", "Sr TI O\n1 1"),
            "'TI' is not an element; did you mean Ti?",
        ),
        (changed(POSCAR, "Direct", "Wherever"), "neither Direct nor Cartesian"),
        (changed(POSCAR, "1 1 3", "1 1 4"), "a coordinate in line 14 of the POSCAR is not 3 num"),
        (changed(POSCAR, "1 1 3", "1 1 1000000000000000000000"), "declares"),
        (changed(POSCAR, "1 1 3", "1 one 3"), "expected numbers of atoms in line"),
        (changed(POSCAR, "\n1.0\n", "\n0\n"), "scale of the POSCAR is not positive"),
        (changed(POSCAR, "\n1.0\n", "\nnan\n"), "the scale in line 2"),
        (changed(POSCAR, "0.0 3.905 0.0", "0.0 3.905"), "a vector of the cell in line 4"),
        (changed(POSCAR, "0.0 3.905 0.0", "3.905 0 0"), "zero volume"),
        (changed(POSCAR, ".5 .5 .5", ".5 .5 inf"), "a coordinate in line 10"),
        ("", "ends before its line 2"),
    ],
)
def test_a_poscar_that_cannot_be_read_names_the_line(text, message):
    with pytest.raises(InputError) as caught:
        crystal_from_poscar(text, 100)
    assert message in str(caught.value) and len(str(caught.value)) < 200


def test_labels_that_contradict_the_header_are_remarked_on():
    rows = ["0 0 0 Sr", ".5 .5 .5 Ti", ".5 .5 0 O", ".5 0 .5 O", "0 .5 .5 O"]
    head = POSCAR.split("0 0 0\n")[0]
    assert crystal_from_poscar(head + "\n".join(rows), 100).remarks == ()
    rows[1] = ".5 .5 .5 Zr"
    said = crystal_from_poscar(head + "\n".join(rows), 100).remarks
    assert said == ("labels of atoms contradict the header: Zr",)


# ---- extended XYZ ------------------------------------------------------------------------------

FRAME = """2
Lattice="4 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3 pbc="T T T"
Na 1 0 0
Cl 2 2.5 3
"""


@pytest.mark.parametrize(
    "text",
    [
        FRAME,
        changed(FRAME, 'Lattice="4 0 0 0 5 0 0 0 6"', "lattice='4 0 0 0 5 0 0 0 6'"),
        changed(FRAME, '"4 0 0 0 5 0 0 0 6"', "[[4, 0, 0], [0, 5, 0], [0, 0, 6]]"),
        changed(FRAME, '"T T T"', "[True, True, True]"),
        changed(FRAME, ' pbc="T T T"', ""),
        changed(FRAME, "Properties=species:S:1:pos:R:3", "energy=-1.5 note='a b=c'"),
        changed(FRAME, "species:S:1", "Z:I:1", "Na 1", "11 1", "Cl 2", "17 2"),
        changed(FRAME, "species:S:1", "id:I:1:species:S:1", "Na 1", "7 Na 1", "Cl 2", "8 Cl 2"),
        "2\n\nNa 1 0 0\nCl 2 2.5 3\nVEC1 4 0 0\nVEC2 0 5 0\nVEC3 0 0 6\n",
    ],
)
def test_comment_lines_of_every_writer_are_read(text):
    crystal = crystal_from_xyz(text, 100).crystal
    assert crystal.atomic_numbers.tolist() == [11, 17]
    np.testing.assert_allclose(crystal.lengths, [[4, 5, 6]])
    np.testing.assert_allclose(crystal.frac_coords, [[0.25, 0, 0], [0.5, 0.5, 0.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed(FRAME, '"T T T"', '"T T F"'), "(pbc T T F); a crystal has pbc T T T"),
        (changed(FRAME, '"T T T"', '"maybe"'), "pbc is 'maybe'"),
        (changed(FRAME, "Lattice", "Cell"), "no cell"),
        (changed(FRAME, "0 0 0 6", "0 0 6"), "Lattice does not hold 9 numbers"),
        (changed(FRAME, "species:S:1", "species:S:-1"), "Properties are not triples"),
        (changed(FRAME, "pos:R:3", "velo:R:3"), "Properties lack species or pos"),
        (changed(FRAME, "Cl 2 2.5 3", "Cl 2 2.5"), "line 4 is too short"),
        (changed(FRAME, "Cl 2", "Vac 2"), "'Vac' is not an element in line 4"),
        (changed(FRAME, "2\n", "²\n"), "its first line is not the number"),
        (changed(FRAME, "2\n", "300\n"), "its first line is not the number of atoms"),
    ],
)
def test_a_frame_that_cannot_be_read_says_where(text, message):
    with pytest.raises(InputError) as caught:
        crystal_from_xyz(text, 100)
    assert message in str(caught.value)


@given(st.text(alphabet="a=\"'[]{} ,.1\t", max_size=40))
def test_any_comment_line_is_taken_apart(comment):
    for key, value in comment_values(comment).items():
        assert key and "=" not in key and value == value.strip()


# ---- all kinds hold the same crystal -----------------------------------------------------------

numbers = st.lists(st.sampled_from([1, 6, 8, 14, 26, 57, 92]), min_size=4, max_size=6)


@settings(max_examples=30)
@given(numbers, st.integers(0, 2**32 - 1))
def test_a_crystal_of_any_cell_comes_back_and_keeps_its_hand(kinds, seed):
    """Also of a left-handed cell: lengths and angles alone would mirror the crystal."""
    import io

    from ase import Atoms
    from ase.io import write
    from pymatgen.core import Lattice, Structure

    random = np.random.default_rng(seed)
    lattice = random.uniform(-1, 1, (3, 3)) + np.diag(random.choice([-4.0, 4.0], 3))
    frac = random.uniform(0, 1, (len(kinds), 3))
    atoms = Atoms(numbers=kinds, scaled_positions=frac, cell=lattice, pbc=True)
    structure = Structure(Lattice(lattice), kinds, frac)
    texts = {}
    for kind in ("vasp", "extxyz", "json"):
        buffer = io.StringIO()
        write(buffer, atoms, format=kind)
        texts[kind] = buffer.getvalue()
    crystals = [
        crystal_from_poscar(texts["vasp"], 10).crystal,
        crystal_from_xyz(texts["extxyz"], 10).crystal,
        crystal_from_json(texts["json"], 10).crystal,
        crystal_from_json(json.dumps(structure.as_dict()), 10).crystal,
        read_inputs([atoms]).crystals,
        read_inputs([structure]).crystals,
    ]
    for crystal in crystals:
        assert sorted(crystal.atomic_numbers) == sorted(kinds)
        places = np.argsort(kinds, kind="stable")
        order = np.argsort(crystal.atomic_numbers, kind="stable")
        np.testing.assert_allclose(crystal.volumes[0], abs(np.linalg.det(lattice)), rtol=1e-5)
        found = crystal.frac_coords[order] @ crystal.lattices[0]
        gaps = (found[1:] - found[0]) @ np.linalg.inv(crystal.lattices[0])
        mine = frac[places][1:] - frac[places][0]
        metric = (gaps - np.round(gaps)) @ crystal.lattices[0]
        given_gaps = (mine - np.round(mine)) @ lattice
        np.testing.assert_allclose(metric @ metric.T, given_gaps @ given_gaps.T, atol=2e-3)
        hand = np.linalg.det(metric[:3]) * np.linalg.det(given_gaps[:3])
        assert hand > 0 or abs(np.linalg.det(given_gaps[:3])) < 1e-2


# ---- JSON --------------------------------------------------------------------------------------


def test_json_of_other_shapes_and_of_none():
    from pymatgen.core import Lattice, Molecule, Structure

    salt = Structure(Lattice.cubic(4), ["Na+", "Cl-"], [[0] * 3, [0.5] * 3]).as_dict()
    entry = {"@class": "ComputedStructureEntry", "entry_id": "mp-1", "structure": salt}
    frame = {"columns": ["structure", "gap"], "index": [0, 1], "data": [[salt, 1.0], [salt, 2.0]]}
    shapes = {"one": salt, "entry": entry, "frame": frame, "named": {"a": salt, "b": salt}}
    found = {}
    from flowllm.inputs.json_rows import structures_in

    for name, value in shapes.items():
        found[name] = [own for own, _ in structures_in(value)]
    assert found == {"one": [""], "entry": ["mp-1"], "frame": ["", ""], "named": ["a", "b"]}
    ordered = json.dumps(salt)
    faults = {
        json.dumps(Molecule(["C"], [[0] * 3]).as_dict()): "Molecule has no cell",
        ordered.replace('"Na"', '"Vac"', 1): "'Vac' is not an element",
        ordered.replace('"occu": 1', '"occu": 0.5', 1): "partial occupancy 0.5 on site Na+",
        ordered.replace('"abc"', '"abd"').replace('"xyz"', '"xyy"'): "incomplete",
        ordered.replace("[true, true, true]", "[true, true, false]"): "pbc T T F",
        '{"steps": 3}': "no structure of pymatgen or ASE; its keys are steps",
        "{'a': 1}": "Python's notation",
        "[" * 100_000: "nested too deeply",
        "{": "cannot be parsed",
        "[1, 2]": "contains 1, not a structure",
    }
    for text, message in faults.items():
        with pytest.raises(InputError) as caught:
            crystal_from_json(text, 100)
        assert message in str(caught.value), text[:80]
    near = ordered.replace('"occu": 1', '"occu": 0.999', 1)
    assert crystal_from_json(near, 9).remarks == ("occupancy taken as 1: 0.999 of Na+",)


# ---- tables ------------------------------------------------------------------------------------


def test_tables_of_every_separator_and_what_is_wrong_with_others(tmp_path):
    from pathlib import Path

    path = Path("own.csv")
    for text in ("id,cif\na,x\n", "id;cif\na;x\n", "ID\tCIF\na\tx\n", "sep=;\nid;cif\na;x\n"):
        assert read_table(text, path).columns == {"id": ["a"], "cif": ["x"]}
    assert read_table('cif;gap\nx;"1,5"\n', path).columns["gap"] == ["1.5"]
    assert read_table("cif,id,\nx,a,\ny,b\n", path).columns["id"] == ["a", "b"]
    assert read_table("cif,id\nx,a,b\n", path).faults == {0: "3 cells in a table of 2 columns"}
    faults = {
        "": "own.csv is empty",
        'cif\n"x\n': "a quotation mark is not closed",
        "cif" + "," * 100_000 + "\n": "more than 10000 columns",
        ",".join(f"c{k}" for k in range(100_001)): "more than 10000 columns",
    }
    for text, message in faults.items():
        with pytest.raises(InputError, match=message):
            read_table(text, path)
    for header in ("cif,CIF,id", "cif,id,ID", "cif,prompt,Prompt"):
        (tmp_path / "own.csv").write_text(f"{header}\nx,y,z\n")
        with pytest.raises(InputError, match=r"has the columns '\w+' and '\w+'; rename one of"):
            read_inputs(tmp_path / "own.csv")


def test_a_cell_that_a_spreadsheet_cut_is_named(tmp_path):
    text = "data_x\n" + "# " + "x" * 40_000
    (tmp_path / "a.csv").write_text(f'id,cif\na,"{text[:32_767]}"\n')
    assert read_inputs(tmp_path / "a.csv").reasons[0].startswith("cut at 32,767 characters")


def test_paths_in_a_table_are_relative_to_it_and_single(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "POSCAR").write_text(POSCAR)
    (tmp_path / "deep" / "two.xyz").write_text(FRAME * 2)
    rows = ["a,deep/POSCAR", "b,deep/none.cif", "c,deep/two.xyz", "d,rocksalt", "e,deep/other.csv"]
    (tmp_path / "a.csv").write_text("\n".join(["id,structure", *rows]))
    inputs = read_inputs(tmp_path / "a.csv")
    assert inputs.crystals.formulas == ["SrTiO3"]
    expected = ["no such file", "holds 2 crystals; a row is one", "no readable crystal",
                "is not a file of a single crystal"]  # fmt: skip
    for reason, part in zip(inputs.reasons[1:], expected, strict=True):
        assert part in reason


# ---- limits ------------------------------------------------------------------------------------


def test_an_item_beyond_a_limit_is_named_and_the_rest_goes_on(tmp_path, monkeypatch):
    import time

    import flowllm.inputs.read as reading

    def slow(text: str, max_atoms: int):
        time.sleep(30 if "slow" in text else 0)
        return crystal_from_poscar(text, max_atoms)

    monkeypatch.setitem(reading._PARSERS, "poscar", slow)
    texts = {
        "a": POSCAR,
        "b": changed(POSCAR, "Sr Ti O", "slow"),
        "c": changed(POSCAR, "1 1 3", "1 1 3000000"),
        "d": POSCAR + " " * 3_000,
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.vasp").write_text(text)
    inputs = read_inputs(tmp_path, workers=1, limits=ReadLimits(seconds=0.5, text_bytes=2_000))
    assert inputs.readable.tolist() == [True, False, False, False]
    assert inputs.reasons[1] == "reading took longer than 0.5 s"
    assert inputs.reasons[2].startswith("the POSCAR declares 3000002 atoms; 1 to 10000 are read")
    assert inputs.reasons[3] == "its text is longer than 2,000 characters"
    with pytest.raises(InputError, match="is larger than 100 bytes"):
        read_inputs(tmp_path / "a.vasp", limits=ReadLimits(file_bytes=100))
    many = CrystalBatch.concatenate([crystal_from_poscar(POSCAR, 9).crystal] * 2)
    assert read_inputs(many, limits=ReadLimits(atoms=4)).reasons[0] == "5 atoms; at most 4 are read"
    with pytest.raises(InputError, match="the limit of seconds must be positive"):
        ReadLimits(seconds=0)


def test_an_unexpected_error_of_a_reader_is_no_message_of_its_own(tmp_path, monkeypatch):
    import flowllm.inputs.read as reading

    def broken(text: str, max_atoms: int):
        raise ZeroDivisionError("integer modulo by zero")

    monkeypatch.setitem(reading._PARSERS, "poscar", broken)
    (tmp_path / "POSCAR").write_text(POSCAR)
    reason = read_inputs(tmp_path, workers=1).reasons[0]
    assert reason == "the text cannot be read (a ZeroDivisionError inside its reader)"


# ---- anything at all ---------------------------------------------------------------------------

SEEDS = {"a.vasp": POSCAR, "a.extxyz": FRAME, "a.csv": f'id,cif\nx,"{POSCAR}"\n',
         "a.json": '{"numbers": [11], "positions": [[0, 0, 0]], "cell": [4, 4, 4]}',
         "a.cif": "data_a\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\nloop_\n"
                  "_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n"
                  "_atom_site_fract_z\nNa 0 0 0\n"}  # fmt: skip


@settings(max_examples=150)
@given(st.sampled_from(list(SEEDS)), st.data())
def test_a_changed_file_gives_rows_or_one_line(tmp_path_factory, name, data):
    """Whatever is cut out, doubled or written over: a row with a reason, or an InputError."""
    content = SEEDS[name].encode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        stop = min(len(content), start + data.draw(st.integers(0, 30)))
        other = st.sampled_from([b"", b"\0", b"1e999", b"\xff", b"-", content[start:stop] * 2])
        new = data.draw(other | st.binary(max_size=6))
        content = content[:start] + new + content[stop:]
    file = tmp_path_factory.mktemp("changed") / name
    file.write_bytes(content)
    try:
        inputs = read_inputs(file, workers=1)
    except InputError as error:
        assert "\n" not in str(error)
        return
    for reason in inputs.reasons:
        assert "\n" not in reason and "inside its reader" not in reason


@given(st.lists(st.sampled_from(["a", "a-2", "a-2-2", "b", " ", "3"]), max_size=12))
def test_unique_names_keep_the_first_of_each(names):
    found, again = unique_names(names)
    assert len(set(found)) == len(names)
    for row, name in enumerate(names):
        assert (row in again) == ((name.strip() or str(row)) in found[:row])
