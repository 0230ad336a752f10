"""Crystals of any program: what is read, from which files, and the row of what cannot be read."""

import gzip
import json
import shutil
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.inputs import Inputs, read_inputs

SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4.1, 4.2)], [(62, 75, 80.5)], [2], ["salt"]
)
IRON = CrystalBatch([26], [(0.25, 0.5, 0.999)], [(2.9, 2.9, 2.9)], [(90, 90, 90)], [1], ["iron"])
LARGE = CrystalBatch(
    [6] * 21, np.arange(63).reshape(21, 3) / 63, [(9, 9, 9)], [(90, 90, 90)], [21], ["large"]
)
THREE = CrystalBatch.concatenate([SALT, IRON, LARGE])


def cif(symbol="Na", *, x="0.5", occupancy="1", angles=(90, 90, 90), group="P 1", ops="x,y,z"):
    """A CIF with one atom at the origin and a chlorine."""
    return f"""data_made
_symmetry_space_group_name_H-M '{group}'
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha {angles[0]}
_cell_angle_beta {angles[1]}
_cell_angle_gamma {angles[2]}
loop_
 _symmetry_equiv_pos_as_xyz
 '{ops}'
loop_
 _atom_site_label
 _atom_site_type_symbol
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
 A1 {symbol} 0 0 0 {occupancy}
 Cl1 Cl {x} 0.5 0.5 1
"""


def same(read: CrystalBatch, expected: CrystalBatch, ids=True, atol=1e-6) -> None:
    """The same cells and atoms in the same order."""
    for name in ("num_atoms", "atomic_numbers"):
        assert getattr(read, name).tolist() == getattr(expected, name).tolist()
    for name in ("lengths", "angles"):
        np.testing.assert_allclose(getattr(read, name), getattr(expected, name), atol=atol)
    away = read.frac_coords - expected.frac_coords
    np.testing.assert_allclose(away - np.round(away), 0, atol=atol)
    if ids:
        assert read.ids.tolist() == expected.ids.tolist()


def consistent(inputs: Inputs) -> None:
    """What holds of every result: rows, crystals and reasons belong together."""
    rows = len(inputs)
    columns = (inputs.ids, inputs.readable, inputs.reasons, inputs.remarks, inputs.position)
    assert {len(c) for c in (*columns, inputs.oversized, inputs.prompts)} == {rows}
    assert len(set(inputs.ids.tolist())) == rows
    assert inputs.readable.sum() == len(inputs.crystals)
    assert ((inputs.reasons == "") == inputs.readable).all()
    assert (inputs.position[~inputs.readable] == -1).all()
    assert inputs.crystals.ids.tolist() == inputs.ids[inputs.readable].tolist()
    places = inputs.position[inputs.readable]
    assert inputs.crystals.ids[places].tolist() == inputs.ids[inputs.readable].tolist()


# ---- folders of CIF ----------------------------------------------------------------------------


def test_a_folder_is_read_at_any_depth_in_the_given_cells(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    places = ["a.cif", "b/x.CIF", "b/deep/y.cif"]
    for place, text in zip(places, THREE.to_cif(), strict=True):
        (tmp_path / place).write_text(text)
    (tmp_path / "notes.txt").write_text("not one")
    inputs = read_inputs(tmp_path)
    consistent(inputs)
    assert inputs.ids.tolist() == ["a", "b/deep/y", "b/x"]
    same(inputs.crystals, THREE[[0, 2, 1]], ids=False)
    assert inputs.oversized.tolist() == [False, True, False]
    assert inputs.remarks.tolist() == ["", "21 atoms, more than 20", ""]
    assert inputs.notes == (
        "not read, of other kinds: 1 × .txt",
        "1 crystals have more than 20 atoms",
    )
    assert inputs.origin == str(tmp_path)


FAULTS = {
    "disordered": (cif("Fe", occupancy="0.5"), "partial occupancy"),
    "nan": (cif(x="nan"), "cannot be parsed"),
    "element": (cif("Qq"), "site A1: Qq is not an element"),
    "empty": ("", "no CIF text"),
    "words": ("once upon a time", "cannot be parsed"),
    "no-atoms": (cif().split("loop_\n _atom_site")[0], "cannot be parsed"),
    "negative": (
        cif().replace("length_a 4", "length_a -4"),
        "negative: _cell_length_a is -4",
    ),
}


def test_each_unreadable_file_keeps_its_row_and_says_why(tmp_path):
    for name, (text, _) in FAULTS.items():
        (tmp_path / f"{name}.cif").write_text(text)
    (tmp_path / "sound.cif").write_text(cif())
    inputs = read_inputs(tmp_path)
    consistent(inputs)
    assert len(inputs) == len(FAULTS) + 1
    assert inputs.ids[inputs.readable].tolist() == ["sound"]
    for name, reason in zip(inputs.ids, inputs.reasons, strict=True):
        if name != "sound":
            assert FAULTS[name][1] in reason, name
            assert not reason.startswith(("crystal", ":")) and "\n" not in reason


def test_cells_without_volume_are_readable_and_stay_as_they_are(tmp_path):
    (tmp_path / "flat.cif").write_text(cif(angles=(60, 60, 120)))
    # pymatgen would turn these angles into 30, 30 and 60, which is another crystal
    (tmp_path / "none.cif").write_text(cif(angles=(30, 30, 120)))
    inputs = read_inputs(tmp_path)
    assert inputs.readable.all()
    assert inputs.crystals.angles.tolist() == [[60, 60, 120], [30, 30, 120]]
    np.testing.assert_allclose(inputs.crystals.volumes, 0, atol=1e-5)


def test_symmetry_operations_are_applied(tmp_path):
    (tmp_path / "a.cif").write_text(cif(group="P -1", ops="x,y,z'\n '-x,-y,-z", x="0.3"))
    (tmp_path / "b.cif").write_text(cif("Fe3+"))
    inputs = read_inputs(tmp_path)
    assert sorted(inputs.crystals[0].atomic_numbers.tolist()) == [11, 17, 17]
    assert inputs.crystals[1].atomic_numbers.tolist() == [26, 17]


def test_several_structures_in_a_file_are_several_crystals(tmp_path):
    title = "data_global\n_journal_name 'none'\n"
    (tmp_path / "many.cif").write_text(title + cif("Na") + cif("K") + cif("Qq"))
    (tmp_path / "one.cif").write_text(title + cif("Rb"))
    for source in (tmp_path, tmp_path / "many.cif"):
        inputs = read_inputs(source)
        assert inputs.ids.tolist()[:3] == ["many-made", "many-made-2", "many-made-3"]
        assert inputs.readable.tolist()[:3] == [True, True, False]
    assert read_inputs(tmp_path).crystals.atomic_numbers.tolist() == [11, 17, 19, 17, 37, 17]
    table = pd.DataFrame({"cif": [cif("Na") + cif("K"), cif()]})
    table.to_csv(tmp_path / "t.csv")
    assert read_inputs(tmp_path / "t.csv").reasons.tolist() == [
        "several structures in one CIF text", "",
    ]  # fmt: skip


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")
def test_real_crystals_agree_with_pymatgens_own_reading(mp20_rows, tmp_path):
    from pymatgen.core import Structure

    for name, text in zip(mp20_rows["material_id"][:40], mp20_rows["cif"][:40], strict=True):
        (tmp_path / f"{name}.cif").write_text(text)
    inputs = read_inputs(tmp_path)
    structures = [Structure.from_file(tmp_path / f"{name}.cif") for name in inputs.ids]
    same(inputs.crystals, CrystalBatch.from_pymatgen(structures, inputs.ids.tolist()), atol=2e-4)


def test_processes_give_what_one_gives(tmp_path):
    for row in range(70):
        text = cif("Qq") if row % 10 == 3 else cif(x=str(row / 70))
        (tmp_path / f"{row:02d}.cif").write_text(text)
    seen = []
    alone = read_inputs(tmp_path, workers=1)
    several = read_inputs(tmp_path, workers=2, progress=lambda *at: seen.append(at))
    assert seen[-1] == (70, 70)
    assert several.digest == alone.digest and (~several.readable).sum() == 7
    assert several.reasons.tolist() == alone.reasons.tolist()


# ---- CSV ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_table_keeps_ids_prompts_and_unreadable_rows(tmp_path, suffix):
    path = tmp_path / f"made{suffix}"
    table = pd.DataFrame(
        {
            "CIF": [cif(), "", cif("K")],
            "Material_ID": ["p", "q", "r"],
            "prompt": ["one", "", "three"],
        }
    )
    table.to_csv(path, index=False)
    inputs = read_inputs(path)
    consistent(inputs)
    assert inputs.ids.tolist() == ["p", "q", "r"]
    assert inputs.reasons.tolist() == ["", "no CIF text", ""]
    assert inputs.prompts.tolist() == ["one", "", "three"]


def test_columns_that_are_none_of_ours_do_not_matter(tmp_path):
    table = pd.DataFrame({"cif": [cif()], "space_group": ["P6_3/mmc"], "band_gap": ["wide"]})
    table.to_csv(tmp_path / "a.csv", index=False)
    assert read_inputs(tmp_path / "a.csv").ids.tolist() == ["0"]


# ---- extended XYZ ------------------------------------------------------------------------------


def test_frames_written_by_ase_read_back(tmp_path):
    from ase.io import write

    write(tmp_path / "a.extxyz", THREE.to_ase())
    inputs = read_inputs(tmp_path / "a.extxyz")
    consistent(inputs)
    same(inputs.crystals, THREE)
    packed = tmp_path / "a.xyz.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.extxyz").read_bytes()))
    assert read_inputs(packed).digest == inputs.digest


def test_a_broken_frame_costs_no_other(tmp_path):
    cell = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3'
    frames = [
        f"1\n{cell} id=good\nNa 1 1 1",
        f"1\n{cell}\nQq 0 0 0",
        "1\nno cell at all\nNa 0 0 0",
        f"1\n{cell}\nNa nan 0 0",
        f"1\n{cell}\nX 0 0 0",
        "1\n" + cell.replace("0 0 4", "0 4 0") + "\nNa 0 0 0",
        f'\n1\n{cell} name="a name"\nNa 5 0 0',
        f"one\n{cell}\nNa 0 0 0\n1\n{cell}\nNa 0 0 0",
    ]
    (tmp_path / "a.xyz").write_text("\n".join(frames) + "\n")
    inputs = read_inputs(tmp_path / "a.xyz")
    consistent(inputs)
    assert inputs.ids.tolist() == ["good", "1", "2", "3", "4", "5", "a name", "7"]
    assert inputs.readable.tolist() == [True, *[False] * 5, True, False]
    expected = ["", "parse", "no cell", "not finite", "open", "zero volume", "", "parse"]
    for reason, part in zip(inputs.reasons, expected, strict=True):
        assert part in reason
    np.testing.assert_allclose(inputs.crystals.frac_coords, [[0.25] * 3, [0.25, 0, 0]])


# ---- arrays ------------------------------------------------------------------------------------


def arrays(crystals: CrystalBatch = THREE) -> dict[str, np.ndarray]:
    return {f.name: getattr(crystals, f.name) for f in fields(crystals)}


def test_our_own_archives_are_read_exactly(tmp_path):
    THREE.save(tmp_path / "batch.npz")
    CrystalSet(THREE).save(tmp_path / "set.npz")
    frames = Trajectory.from_frames([0, 1], [THREE.replace(lengths=THREE.lengths + 1), THREE])
    frames.save(tmp_path / "path.npz")
    read = [read_inputs(tmp_path / f"{name}.npz") for name in ("batch", "set", "path")]
    for inputs in read:
        consistent(inputs)
        same(inputs.crystals, THREE, atol=0)
        assert inputs.digest == read[0].digest == read_inputs(THREE).digest
    assert "of a trajectory, the last frame" in read[2].notes


def test_arrays_by_other_names_and_of_other_kinds(tmp_path):
    made = arrays()
    diffcsp = {
        "frac_coords": made["frac_coords"].astype(np.float32)[None],
        "atom_types": made["atomic_numbers"][None],
        "lengths": made["lengths"].astype(np.float32)[None],
        "angles": made["angles"].astype(np.float32)[None],
        "num_atoms": made["num_atoms"][None],
    }
    np.savez(tmp_path / "diffcsp.npz", **diffcsp)
    inputs = read_inputs(tmp_path / "diffcsp.npz")
    assert inputs.ids.tolist() == ["0", "1", "2"]
    same(inputs.crystals, THREE, ids=False, atol=1e-5)
    named = {
        "fractional_coordinates": made["frac_coords"],
        "species": np.array(["Na", "Cl", "Fe", *["C"] * 21]),
        "cells": THREE.lattices,
        "natoms": made["num_atoms"].astype(float),
        "material_id": made["ids"].astype(object),
    }
    np.savez(tmp_path / "other.npz", **named)
    inputs = read_inputs(tmp_path / "other.npz")
    same(inputs.crystals, THREE, ids=False)
    assert inputs.notes[0] == "material_id is pickled and was not read; rows are numbered"


@pytest.mark.data
def test_diffcsps_own_archive(data_dir):
    path = data_dir / "peers" / "diffcsp_mp20_10000.npz"
    inputs = read_inputs(path)
    consistent(inputs)
    assert inputs.readable.sum() == len(inputs) == 10_000
    with np.load(path) as archive:
        np.testing.assert_array_equal(inputs.crystals.atomic_numbers, archive["atom_types"])
        np.testing.assert_array_equal(inputs.crystals.lengths, archive["lengths"])


def test_a_bad_crystal_among_arrays_keeps_its_row(tmp_path):
    batch = CrystalBatch.concatenate([SALT] * 8)
    made = arrays(batch) | {"ids": np.array(list("abcdefgh"))}
    made = {name: values.copy() for name, values in made.items()}
    made["frac_coords"][2, 1] = np.nan  # b
    made["angles"][2, 0] = np.inf  # c
    made["lengths"][3, 2] = -1  # d
    made["atomic_numbers"][8] = 0  # e
    made["atomic_numbers"][11] = 119  # f
    made["angles"][6] = (60, 60, 120)  # g: without volume, but that is for validity to say
    np.savez(tmp_path / "a.npz", **made)
    inputs = read_inputs(tmp_path / "a.npz")
    consistent(inputs)
    assert inputs.ids[inputs.readable].tolist() == ["a", "g", "h"]
    assert inputs.reasons.tolist()[1:6] == [
        "a coordinate is not finite",
        "the cell is not finite",
        "a cell length is negative",
        "an atom's type is open or unknown",
        "an atom's type is open or unknown",
    ]
    same(inputs.crystals[2], SALT, ids=False, atol=0)


def test_a_crystal_without_atoms_is_unreadable():
    none = CrystalBatch([], [], [(4, 4, 4)], [(90, 90, 90)], [0], ["none"])
    inputs = read_inputs(CrystalBatch.concatenate([SALT, none, IRON]))
    assert inputs.reasons.tolist() == ["", "no atoms", ""]
    same(inputs.crystals, CrystalBatch.concatenate([SALT, IRON]), atol=0)


# ---- Python ------------------------------------------------------------------------------------


def test_structures_and_atoms_in_memory():
    from ase import Atoms
    from pymatgen.core import Lattice, Structure

    salt, iron, _ = THREE.to_pymatgen()
    mixed = Structure(Lattice.cubic(4), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    molecule = Atoms("CO", [(0, 0, 0), (0, 0, 1.1)])
    source = [salt, *LARGE.to_ase(), mixed, molecule, "NaCl", Structure(Lattice.cubic(4), [], [])]
    inputs = read_inputs(source)
    consistent(inputs)
    assert inputs.ids.tolist() == ["0", "large", "2", "3", "4", "5"]
    same(inputs.crystals, CrystalBatch.concatenate([SALT, LARGE]), ids=False)
    assert "partial occupancy" in inputs.reasons[2] and "no cell" in inputs.reasons[3]
    assert inputs.reasons.tolist()[4:] == ["str is not a crystal", "no atoms"]
    assert read_inputs([iron], ids=["mine"]).ids.tolist() == ["mine"]
    assert len(read_inputs(salt)) == 1
    with pytest.raises(InputError, match="2 ids for 1 crystals"):
        read_inputs([iron], ids=["a", "b"])


# ---- ids and digest ----------------------------------------------------------------------------


def test_repeated_ids_become_unique_and_are_noted():
    batch = CrystalBatch.concatenate([IRON] * 6)
    inputs = read_inputs(batch, ids=["a", "b", "a", "a-2", "a", ""])
    assert inputs.ids.tolist() == ["a", "b", "a-3", "a-2", "a-4", "5"]
    assert inputs.remarks.tolist() == ["", "", *["the id a is used before", ""] * 2]
    assert inputs.notes == ("2 inputs share their id with an earlier one, as a: renamed",)


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["a", "a-2", "a-2-2", "b", " ", "3"]), min_size=1, max_size=12))
def test_ids_are_always_unique_and_first_ones_keep_theirs(names):
    inputs = read_inputs(CrystalBatch.concatenate([IRON] * len(names)), ids=names)
    consistent(inputs)
    for row, name in enumerate(names):
        if name.strip() and name not in names[:row] and str(name) not in inputs.ids[:row].tolist():
            assert inputs.ids[row] == name


def test_the_digest_changes_with_anything_that_counts(tmp_path):
    batch = CrystalBatch.concatenate([SALT, IRON])
    coords = batch.frac_coords.copy()
    coords[0, 0] += 1e-9
    others = [
        batch[[1, 0]],
        batch.replace(frac_coords=coords),
        batch.replace(ids=np.array(["salt", "steel"])),
        batch[[0]],
        CrystalBatch.concatenate([batch, IRON]),
    ]
    digests = {read_inputs(other).digest for other in others}
    assert len(digests) == len(others)
    assert read_inputs(batch).digest not in digests
    assert read_inputs(batch).digest == read_inputs(batch[[0, 1]]).digest


# ---- runs of ours ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(system, tmp_path_factory):
    """A folder with a run of generate, and one of refine that left one file out."""
    from flowllm.conditions.request import Request
    from flowllm.methods.flow.settings import RefineSettings
    from flowllm.workflows.generate import GenerateSettings, generate_run, refine_run

    folder = tmp_path_factory.mktemp("runs")
    steps = RefineSettings(steps=1)
    request = Request(elements=("Na", "Cl"), num_atoms=3)
    files = [folder / "sound.cif", folder / "disordered.cif"]
    files[0].write_text(cif())
    files[1].write_text(cif("Fe", occupancy="0.5"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
        )
        wanted = GenerateSettings(5, request, refinement=steps, part_size=2)
        made = generate_run(system, wanted, folder / "made")
        refine_run(system, files, steps, folder / "refined")
    return folder, made


def test_a_finished_run_gives_its_exact_crystals_and_prompts(runs):
    folder, made = runs
    inputs = read_inputs(folder / "made")
    consistent(inputs)
    same(inputs.crystals, made.refined, atol=0)
    assert inputs.prompts.tolist() == [prompt.strip() for prompt in made.prompts]
    assert inputs.rejected == sum(stage.rejected for stage in made.stages)
    assert inputs.notes == (
        (f"{inputs.rejected} samples were rejected before and have no row",)
        if inputs.rejected
        else ()
    )


def test_rejected_inputs_of_a_run_are_counted(runs):
    inputs = read_inputs(runs[0] / "refined")
    assert len(inputs) == 1 and inputs.rejected == 1
    assert inputs.prompts[0].startswith("refined from ") and "sound.cif" in inputs.prompts[0]
    assert inputs.notes == ("1 samples were rejected before and have no row",)


def test_an_unfinished_run_gives_what_is_there_and_says_so(runs, tmp_path):
    folder, made = runs
    out = tmp_path / "half"
    shutil.copytree(folder / "made", out)
    record = json.loads((out / "run.json").read_text()) | {"status": "running"}
    (out / "run.json").write_text(json.dumps(record))
    (out / "parts" / "000004.npz").unlink()
    inputs = read_inputs(out)
    same(inputs.crystals, made.refined[:4], atol=0)
    assert inputs.prompts.tolist() == [prompt.strip() for prompt in made.prompts[:4]]
    assert "the run is not finished: 4 crystals of 5" in inputs.notes
    shutil.rmtree(out / "parts")
    shutil.rmtree(out / "crystals")
    with pytest.raises(InputError, match="has not finished any crystals yet"):
        read_inputs(out)


def test_a_run_of_which_only_the_cif_files_are_left(runs, tmp_path):
    folder, made = runs
    out = tmp_path / "bare"
    shutil.copytree(folder / "made", out)
    shutil.rmtree(out / "parts")
    (out / "trajectories.npz").unlink()
    inputs = read_inputs(out)
    same(inputs.crystals, made.refined, atol=1e-5)
    assert inputs.prompts.tolist() == [prompt.strip() for prompt in made.prompts]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "summary.json must be a JSON object, not a list"),
        ('{"stages": 3}', "stages must be a list, not 3"),
        ('{"stages": [{"rejected": Infinity}]}', "rejected must be a whole number, not inf"),
    ],
)
def test_a_damaged_summary_of_a_run_is_named(runs, tmp_path, content, said):
    out = tmp_path / "damaged"
    shutil.copytree(runs[0] / "made", out)
    (out / "summary.json").write_text(content)
    with pytest.raises(InputError, match=r"summary\.json") as caught:
        read_inputs(out)
    assert said in str(caught.value)


def test_a_run_whose_table_lacks_the_prompts_is_read(runs, tmp_path):
    out = tmp_path / "untold"
    shutil.copytree(runs[0] / "made", out)
    (out / "crystals.csv").write_text("id\na\nb\n")
    inputs = read_inputs(out)
    assert len(inputs) == 5 and set(inputs.prompts) == {""}


def test_folders_that_hold_runs_are_not_taken_for_crystals(runs, tmp_path):
    folder, _ = runs
    with pytest.raises(InputError, match="holds the run made; give that one"):
        read_inputs(folder)
    (tmp_path / "run.json").write_text(
        json.dumps({"command": "measure", "settings": {}, "status": "finished"})
    )
    with pytest.raises(InputError, match="contains a run of `flowllm measure`; give"):
        read_inputs(tmp_path)
    (tmp_path / "a.cif").write_text(cif())
    (tmp_path / "run.json").write_text('{"program": "another"}')
    assert read_inputs(tmp_path).ids.tolist() == ["a"]


# ---- sources that are none ---------------------------------------------------------------------


def test_sources_without_crystals_are_one_clear_message(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.csv").write_text("id,formula\n1,NaCl\n")
    (tmp_path / "none.csv").write_text("cif\n")
    (tmp_path / "nothing.csv").write_text("")
    (tmp_path / "ragged.csv").write_text('cif\na,b,c\n"')
    (tmp_path / "blank.xyz").write_text("\n")
    (tmp_path / "a.pdf").write_text("x")
    (tmp_path / "short.csv.gz").write_bytes(gzip.compress(b"cif\n" * 1000)[:-9])
    faults = {
        "empty": "contains no crystals",
        "nowhere": "no such file or folder",
        "no.csv": "has no column cif or structure; its columns are id, formula",
        "none.csv": "no crystals in it",
        "nothing.csv": "is empty",
        "ragged.csv": "is not a readable CSV file",
        "blank.xyz": "no crystals in it",
        "a.pdf": r"is not of a supported kind; supported are CIF \(.cif",
        "short.csv.gz": "cannot be read",
    }
    for name, message in faults.items():
        with pytest.raises(InputError, match=message) as caught:
            read_inputs(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)
    with pytest.raises(InputError, match="no crystals in it"):
        read_inputs([])


def test_damaged_and_foreign_archives_are_one_clear_message(tmp_path):
    made = arrays()
    np.savez(tmp_path / "good.npz", **made)
    content = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "words.npz").write_text("once upon a time")
    np.save(tmp_path / "single.npy", made["lengths"])
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    np.savez(tmp_path / "less.npz", **{k: v for k, v in made.items() if k != "angles"})
    np.savez(tmp_path / "sum.npz", **made | {"num_atoms": made["num_atoms"] + 1})
    np.savez(tmp_path / "cells.npz", **made | {"lengths": made["lengths"][1:]})
    np.savez(tmp_path / "ids.npz", **made | {"ids": made["ids"][1:]})
    np.savez(tmp_path / "radians.npz", **made | {"angles": np.radians(made["angles"])})
    np.savez(tmp_path / "pickle.npz", **made | {"lengths": made["lengths"].astype(object)})
    np.savez(tmp_path / "shape.npz", **made | {"frac_coords": made["frac_coords"][:, :2]})
    np.savez(tmp_path / "half.npz", **made | {"num_atoms": made["num_atoms"] + 0.5})
    faults = {
        "cut": "is not an archive",
        "words": "is not an archive",
        "single": "is not an archive",
        "less": "contains no angles",
        "sum": "num_atoms adds up to 27, but there are 24 types and 24 coordinates",
        "cells": "3 crystals, but 2 cells",
        "ids": "3 crystals, but 2 ids",
        "radians": "look like radians",
        "pickle": "is not an archive",
        "shape": "16 coordinates|reshape",
        "half": "not a whole number",
    }
    for name, message in faults.items():
        with pytest.raises(InputError, match=message) as caught:
            read_inputs(tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value) and f"{name}.npz" in str(caught.value)
    assert len(read_inputs(tmp_path / "good.npz")) == 3
