"""Every kind of file in every command: the same crystals, ids and remarks."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.distances import shortest_distances
from flowllm.data import prepare
from flowllm.data.prepare import summary_of
from flowllm.errors import InputError
from flowllm.evaluation import evaluate
from flowllm.evaluation.reference import Reference
from flowllm.evaluation.selection import select
from flowllm.inputs import read_inputs
from flowllm.workflows.generate import read_crystals
from flowllm.workflows.infill import read_single

# SrTiO3 with an oxygen moved: no two atoms are equal by symmetry, and the cell is oblique
STO = CrystalBatch(
    [38, 22, 8, 8, 8],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.02), (0.5, 0.03, 0.5), (0, 0.5, 0.54)],
    [(3.9, 4.0, 4.1)], [(88, 91, 92)], [5], ["sto"],
)  # fmt: skip


def poscar(crystal: CrystalBatch, version: int = 5) -> str:
    """As VASP writes it, in fractional coordinates."""
    lines = ["Sr Ti O", "1.0"]
    lines += [" ".join(f"{x:.10f}" for x in row) for row in crystal.lattices[0]]
    lines += ["Sr Ti O"] * (version == 5) + ["1 1 3", "Direct"]
    lines += [" ".join(f"{x:.10f}" for x in row) for row in crystal.frac_coords]
    return "\n".join(lines) + "\n"


def contents() -> dict[str, bytes]:
    """Name of a file -> its content, for every kind that holds this crystal."""
    import io

    from ase.io import write
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    structure, atoms, cif = STO.to_pymatgen()[0], STO.to_ase()[0], STO.to_cif()[0]
    atoms.info.clear()
    frames, database = io.StringIO(), io.StringIO()
    write(frames, atoms, format="extxyz")
    write(database, atoms, format="json")
    entry = ComputedStructureEntry(structure, -1.0, entry_id="sto")
    arrays = io.BytesIO()
    np.savez(arrays, **STO.arrays())
    table = pd.DataFrame({"material_id": ["sto"], "cif": [cif], "band_gap": [3.2]})
    as_json = pd.DataFrame({"id": ["sto"], "Structure": [json.dumps(structure.as_dict())]})
    texts = {
        "sto.cif": cif,
        "sto.mcif": cif.replace("\n", "\r\n"),
        "utf16.cif": cif,
        "bom.cif": "\ufeff" + cif,
        "nul.cif": cif + "\0\x1a",
        "POSCAR": poscar(STO),
        "CONTCAR.relaxed": poscar(STO) + "\n" + "0 0 0\n" * 5,
        "old.vasp": poscar(STO, version=4),
        "sto.poscar": poscar(STO),
        "frames.extxyz": frames.getvalue(),
        "frames.xyz": frames.getvalue(),
        "pymatgen.json": json.dumps(structure.as_dict()),
        "list.json": json.dumps([structure.as_dict()]),
        "entry.json": json.dumps(entry.as_dict(), default=str),
        "lines.jsonl": json.dumps(structure.as_dict()) + "\n",
        "ase.json": database.getvalue(),
        "a.csv": table.to_csv(index=False),
        "capital.csv": table.rename(columns=str.upper).to_csv(index=False),
        "a.tsv": table.to_csv(index=False, sep="\t"),
        "semicolon.csv": table.to_csv(index=False, sep=";", decimal=","),
        "structure.csv": as_json.to_csv(index=False),
        "no-suffix": cif,
        "crystal.txt": poscar(STO),
    }
    found = {name: text.encode() for name, text in texts.items()}
    found["utf16.cif"] = cif.encode("utf-16")
    found["sto.npz"] = arrays.getvalue()
    packed = ("sto.cif", "POSCAR", "frames.extxyz", "pymatgen.json", "a.csv", "sto.npz")
    return found | {f"{name}.gz": gzip.compress(found[name]) for name in packed}


CONTENTS = contents()


def same(crystals: CrystalBatch) -> None:
    assert crystals.atomic_numbers.tolist() == STO.atomic_numbers.tolist()
    np.testing.assert_allclose(crystals.lengths, STO.lengths, atol=1e-5)
    np.testing.assert_allclose(crystals.angles, STO.angles, atol=1e-5)
    away = crystals.frac_coords - STO.frac_coords
    np.testing.assert_allclose(away - np.round(away), 0, atol=1e-5)


@pytest.fixture(scope="module")
def reduced():
    from flowllm.data.reduce import reduce_crystal

    return reduce_crystal(STO, "sto")


@pytest.fixture(scope="module")
def reference():
    return Reference.load("mp_20")


@pytest.mark.parametrize("name", CONTENTS)
def test_every_command_reads_every_kind_alike(name, tmp_path, reduced, reference, monkeypatch):
    monkeypatch.delenv("FLOWLLM_DATA_DIR", raising=False)  # no hull, which takes seconds to load
    file = tmp_path / "in" / name
    file.parent.mkdir()
    file.write_bytes(CONTENTS[name])
    inputs = read_inputs(file)
    assert inputs.readable.all(), inputs.reasons
    same(inputs.crystals)
    assert not inputs.notes
    same(select(file).crystals)  # export
    same(read_single(file)[0].crystal)  # infill
    refined = read_crystals([file], 20)  # refine
    assert not refined.refused
    data = prepare(file, tmp_path / "data", workers=1)["train"]
    for crystals in (refined.crystals, data.crystals):
        np.testing.assert_allclose(crystals.lengths, reduced.lengths, atol=1e-4)
        assert crystals.atomic_numbers.tolist() == reduced.atomic_numbers.tolist()
    report = evaluate(file, reference, only=["validity"], workers=1)
    assert report.rows["formula"].tolist() == ["SrTiO3"]
    if "csv" in name and "structure" not in name:
        assert data.properties["band_gap"].tolist() == [3.2]


@pytest.mark.parametrize("name", [n for n in CONTENTS if n not in ("no-suffix", "crystal.txt")])
def test_a_folder_reads_the_same_kinds(name, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / name).write_bytes(CONTENTS[name])
    (tmp_path / "sto.pdf").write_text("x")
    inputs = read_inputs(tmp_path)
    same(inputs.crystals)
    assert inputs.notes == ("not read, of other kinds: 1 × .pdf",)


def test_a_folder_of_all_kinds_tells_them_apart(tmp_path):
    """Two files of one stem keep their whole names; what is about something else is counted."""
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "prices.csv").write_text("shop,price\na,1\n")
    (tmp_path / "settings.json").write_text('{"steps": 3}')
    np.savez(tmp_path / "weights.npz", layer=np.zeros(3))
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nowhere.cif").symlink_to(tmp_path / "gone")
    inputs = read_inputs(tmp_path)
    assert inputs.readable.all()
    assert len(inputs) == len(CONTENTS) - 2  # those whose names tell nothing
    for crystal in inputs.crystals:
        same(crystal)
    assert {"sto.cif", "sto.mcif", "sto.poscar", "POSCAR", "old", "bom"} <= set(inputs.ids)
    assert inputs.notes[0].startswith("not read, of other kinds: ")
    for part in ("1 × .csv", "1 × .json", "1 × .npz", "1 × .txt", "1 × no-suffix"):
        assert part in inputs.notes[0]


def test_a_torn_archive_in_a_folder_keeps_its_row(tmp_path):
    """It is no file of another kind: what it held is counted as unreadable."""
    (tmp_path / "sto.cif").write_bytes(CONTENTS["sto.cif"])
    whole = CONTENTS["sto.npz"]
    (tmp_path / "torn.npz").write_bytes(whole[: len(whole) // 2])
    inputs = read_inputs(tmp_path)
    assert inputs.ids.tolist() == ["sto", "torn"] and inputs.readable.tolist() == [True, False]
    assert "is not an archive of crystals" in inputs.reasons[1] and inputs.notes == ()


def test_data_refuses_a_folder_that_holds_a_run(tmp_path):
    run = tmp_path / "in" / "runs" / "old"
    run.mkdir(parents=True)
    (run / "run.json").write_text(
        json.dumps({"command": "generate", "settings": {}, "status": "finished"})
    )
    (tmp_path / "in" / "a.cif").write_bytes(CONTENTS["sto.cif"])
    for read in (read_inputs, lambda folder: prepare(folder, tmp_path / "out", workers=1)):
        with pytest.raises(InputError, match="holds the run runs/old; give that one"):
            read(tmp_path / "in")


def test_rows_of_one_id_stay_apart_and_remarks_reach_the_data(tmp_path):
    cif = CONTENTS["sto.cif"].decode()
    heavy = cif.replace("  O  ", "  D  ").replace("  O2-  ", "  D  ")
    table = pd.DataFrame({"id": ["a", "a", ""], "cif": [cif, heavy, cif]})
    table.to_csv(tmp_path / "own.csv", index=False)
    data = prepare(tmp_path / "own.csv", tmp_path / "out", workers=1)["train"]
    assert data.crystals.ids.tolist() == ["a", "a-2", "2"]
    said = pd.read_csv(tmp_path / "out" / "remarks.csv", keep_default_na=False)
    assert said["id"].tolist() == ["a-2"]
    assert said["remarks"][0].startswith("the id a is used before; ")
    assert "is deuterium, read as H" in said["remarks"][0]
    counts = summary_of(tmp_path / "out")["splits"]["train"]["remarks"]
    assert counts["the id … is used before"] == 1


def test_atoms_on_each_other_never_become_data(tmp_path):
    near = STO.frac_coords.copy()
    near[4] = near[3] + (0.0501, 0, 0)
    batch = CrystalBatch.concatenate([STO, STO.replace(frac_coords=near, ids=np.array(["near"]))])
    batch.save(tmp_path / "two.npz")
    assert shortest_distances(batch, 1.0)[1] == pytest.approx(0.1954, abs=1e-3)
    prepared = prepare(tmp_path / "two.npz", tmp_path / "out", workers=1)["train"]
    assert prepared.crystals.ids.tolist() == ["sto"]
    split = summary_of(tmp_path / "out")["splits"]["train"]
    assert split["reasons"] == {"atoms closer than 0.4 Å": 1}
    rejected = pd.read_csv(tmp_path / "out" / "rejected.csv")
    assert rejected["reason"].tolist() == ["atoms closer than 0.4 Å (0.20 Å)"]


def test_remarks_stand_in_the_report_and_a_report_prints_its_table(tmp_path, reference):
    cif = CONTENTS["sto.cif"].decode()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.cif").write_text(
        cif.replace("  O  ", "  D  ").replace("  O2-  ", "  D  ")
    )
    report = evaluate(
        tmp_path / "in", reference, tmp_path / "out", only=["validity"], workers=1, name="<b>[x]"
    )
    assert "is deuterium, read as H" in report.rows["remarks"][0]
    assert report.protocol["validity"]["remarks"].startswith("3 × … is deuterium, read as H")
    assert "is deuterium, read as H" in (tmp_path / "out" / "report.html").read_text()
    again = pd.read_csv(tmp_path / "out" / "per_crystal.csv")
    assert again["remarks"].tolist() == report.rows["remarks"].tolist()
    shown = str(report)
    assert "valid structure" in shown and "[x]" in shown and "array(" not in shown
    assert "<td>valid structure</td>" in report._repr_html_()
    assert "&lt;b&gt;[x]" in report._repr_html_() and len(repr(report)) < 100
