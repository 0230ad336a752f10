"""Hand-off folders: selection by id and flag, names, resuming, refusal, and faults."""

import csv
import errno
import json

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation.selection import ids_where
from flowllm.export import choose, export_crystals, folder_names
from flowllm.export.espresso import EspressoSettings


def cell(numbers, name, length=4.0, angles=(90, 90, 90)) -> CrystalBatch:
    """A crystal with atoms along the diagonal."""
    count = len(numbers)
    coords = np.arange(count)[:, None] / max(count, 1) * np.ones((1, 3))
    return CrystalBatch(numbers, coords, [(length,) * 3], [angles], [count], [name])


SALT = cell([11, 17], "salt")
IRON = cell([26, 8], "iron")
RARE = cell([60, 8], "rare")
POLONIUM = cell([84, 8], "hot")
FLAT = cell([11, 17], "flat", angles=(60, 60, 120))
LARGE = cell([11, 17] * 12, "large", length=12.0)
ALL = CrystalBatch.concatenate([SALT, IRON, RARE, POLONIUM, FLAT, LARGE])


def contents(folder) -> dict[str, bytes]:
    """Every file below a folder but the lock, by its path."""
    files = (f for f in folder.rglob("*") if f.is_file() and f.name != ".lock")
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


# ---- what is chosen ----------------------------------------------------------------------------


def test_chosen_ids_come_in_their_order_and_once():
    assert choose(ALL, ["rare", "salt", "rare"]).ids.tolist() == ["rare", "salt"]
    with pytest.raises(InputError, match="no crystal has the id nobody, none"):
        choose(ALL, ["salt", "nobody", "none"])


@pytest.fixture
def table(tmp_path):
    rows = [
        ("id", "formula", "sun", "stable", "novel", "unique"),
        ("a", "NaCl", "true", "true", "true", ""),
        ("b", "FeO", "false", "true", "true", ""),
        ("c", "", "", "", "", ""),
        ("d", "NdO", "true", "True", "false", ""),
    ]
    path = tmp_path / "per_crystal.csv"
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return path


def test_flags_of_an_evaluation_select(table):
    assert ids_where(table, "sun") == ["a", "d"]
    assert ids_where(table.parent, "stable, novel") == ["a", "b"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("sum", "no column sum; its columns are id, formula, sun"),
        ("formula", "column formula is not a true/false flag"),
        ("unique", "unique was not computed"),
        ("", "no flag is given"),
    ],
)
def test_flags_that_select_nothing_say_why(table, where, message):
    with pytest.raises(InputError, match=message):
        ids_where(table, where)


def test_no_crystal_with_all_flags_is_said(table):
    table.write_text("id,sun,novel\na,true,false\nb,false,true\n")
    with pytest.raises(InputError, match="no crystal is sun and novel"):
        ids_where(table, "sun,novel")
    with pytest.raises(InputError, match="no such file: .*nowhere.csv"):
        ids_where(table.with_name("nowhere.csv"), "sun")


def test_folder_names_are_safe_and_different():
    ids = ["mp-1", "a/b", "a b", "../x", "Mp-1", "run.json", "pseudo", "...", "Ca(OH)2", "x" * 300]
    names = folder_names(CrystalBatch.concatenate(cell([11], name) for name in ids))
    assert names[:4] == ["mp-1", "a_b", "a_b-2", "_x"]
    assert names[4:9] == ["Mp-1-2", "run.json-2", "pseudo-2", "crystal", "Ca(OH)2"]
    assert len(names[9]) == 100
    assert len({name.lower() for name in names}) == len(ids)


# ---- what is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vasp", "quantum-espresso"])
def test_one_that_cannot_be_exported_is_named_and_the_rest_goes_on(kind, tmp_path):
    names = {s: f"{s}.upf" for s in ("Na", "Cl", "Fe", "O", "Nd")}
    seen = []
    done = export_crystals(
        kind,
        ALL,
        tmp_path / "out",
        espresso=EspressoSettings(names),
        progress=lambda *at: seen.append(at),
    )
    assert seen[-1] == (6, 6)
    problems = {each.id: each.problem for each in done if each.problem}
    assert sorted(problems) == ["flat", "hot"]
    assert "pseudopotential for Po" in problems["hot"]
    assert problems["flat"] == "the cell has zero volume"
    folders = sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir())
    assert folders == ["iron", "large", "rare", "salt"]
    notes = {each.id: " ".join(each.notes) for each in done}
    assert notes["salt"] == ""
    assert "magnetic" in notes["iron"] and "f elements" in notes["rare"]
    assert "24 atoms, more than 20" in notes["large"]
    assert notes["iron"].split(";")[0] in (tmp_path / "out" / "iron" / "README.txt").read_text()
    with open(tmp_path / "out" / "export.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ALL.ids.tolist()
    assert rows[3] == {
        "id": "hot", "formula": "PoO", "folder": "", "notes": "", "problem": problems["hot"],
    }  # fmt: skip
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (record["status"], record["exported"], record["left_out"]) == ("finished", 4, 2)


def test_an_interrupted_export_goes_on_and_ends_as_an_uninterrupted_one(tmp_path):
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    chosen = ["salt", "iron", "rare"]
    export_crystals("vasp", ALL, tmp_path / "whole", chosen)
    with pytest.raises(KeyboardInterrupt):
        export_crystals("vasp", ALL, tmp_path / "parts", chosen, progress=stop)
    assert not (tmp_path / "parts" / "rare").exists()
    (tmp_path / "parts" / ".rare.partial").mkdir()
    (tmp_path / "parts" / ".rare.partial" / "POSCAR").write_text("half")
    export_crystals("vasp", ALL, tmp_path / "parts", chosen)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert not list((tmp_path / "parts").glob(".*.partial"))


def test_what_a_calculation_left_behind_survives_the_same_export(tmp_path):
    export_crystals("vasp", ALL, tmp_path / "out", ["salt"])
    (tmp_path / "out" / "salt" / "OUTCAR").write_text("hours of work")
    (tmp_path / "out" / "salt" / "INCAR").write_text("my own")
    export_crystals("vasp", ALL, tmp_path / "out", ["salt"])
    assert (tmp_path / "out" / "salt" / "OUTCAR").read_text() == "hours of work"
    assert (tmp_path / "out" / "salt" / "INCAR").read_text() == "my own"
    export_crystals("vasp", ALL, tmp_path / "out", ["iron"], overwrite=True)
    assert not (tmp_path / "out" / "salt").exists()


def test_another_export_and_foreign_folders_are_refused(tmp_path):
    out = tmp_path / "out"
    export_crystals("quantum-espresso", ALL, out, ["salt"])
    before = contents(out)
    with pytest.raises(InputError, match="contains another run .*crystals is"):
        export_crystals("quantum-espresso", ALL, out, ["iron"])
    with pytest.raises(InputError, match="kind is"):
        export_crystals("vasp", ALL, out, ["salt"])
    with pytest.raises(InputError, match="ecutwfc is 90.0 there and 50 now"):
        settings = EspressoSettings(ecutwfc=50)
        export_crystals("quantum-espresso", ALL, out, ["salt"], espresso=settings)
    with pytest.raises(InputError, match=r"pseudopotentials is .pattern .* and .names"):
        named = EspressoSettings({"Na": "mine.upf", "Cl": "mine.upf"})
        export_crystals("quantum-espresso", ALL, out, ["salt"], espresso=named)
    assert contents(out) == before
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("all of it")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="flowllm did not write"):
            export_crystals("vasp", ALL, foreign, ["salt"], overwrite=overwrite)
    with pytest.raises(InputError, match="lies in the output folder"):
        export_crystals("vasp", ALL, tmp_path, ["salt"], inputs=[foreign / "thesis.txt"])


def test_an_export_that_comes_to_nothing_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="nothing can be exported: hot: no Materials Project"):
        export_crystals("vasp", ALL, tmp_path / "a" / "b", ["hot"])
    with pytest.raises(InputError, match="no crystal has the id x"):
        export_crystals("vasp", ALL, tmp_path / "a", ["x"])
    with pytest.raises(InputError, match="no crystals to export"):
        export_crystals("vasp", CrystalBatch.empty(), tmp_path / "a")
    with pytest.raises(
        InputError, match="cannot export to castep; choose from vasp, quantum-espresso"
    ):
        export_crystals("castep", ALL, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_open_types_and_empty_cells_are_left_out(tmp_path):
    none = CrystalBatch([], [], [(4, 4, 4)], [(90, 90, 90)], [0], ["none"])
    batch = CrystalBatch.concatenate([SALT, none, cell([0, 8], "open")])
    done = export_crystals("vasp", batch, tmp_path / "out")
    assert [each.problem for each in done] == ["", "no atoms", "the species of atom 1 is open (X)"]


# ---- ids that are more than names ----------------------------------------------------------------

HOSTILE = "evil\n1.0\n9 0 0\n0 9 0\n0 0 9\nU\n1\ndirect\n0 0 0 U"


@pytest.mark.parametrize("name", [HOSTILE, "\r\n\x0b\x85\u2028 0", "x" * 9000, "\x1b[31m", "!"])
def test_a_poscar_is_the_same_crystal_whatever_its_id(tmp_path, name):
    from pymatgen.io.vasp import Poscar

    salt = SALT.replace(ids=[name])
    export_crystals("vasp", salt, tmp_path / "out")
    (file,) = (tmp_path / "out").glob("*/POSCAR")
    text = file.read_text()
    assert len(text.splitlines()[0]) < 300 and text.splitlines()[0].isprintable()
    found = Poscar.from_file(str(file), check_for_potcar=False).structure
    assert found.matches(salt.to_pymatgen()[0]) and len(found) == 2
    readme = (file.parent / "README.txt").read_text()
    assert all(line.isprintable() for line in readme.splitlines())


def test_an_input_of_pw_is_the_same_crystal_whatever_its_id(tmp_path):
    from ase.io import read

    export_crystals("quantum-espresso", SALT.replace(ids=[HOSTILE]), tmp_path / "out")
    (file,) = (tmp_path / "out").glob("*/pw.in")
    assert read(file, format="espresso-in").get_chemical_formula() == "ClNa"


def test_the_list_of_an_export_holds_no_formula_of_a_spreadsheet(tmp_path):
    export_crystals("vasp", SALT.replace(ids=["=1+1"]), tmp_path / "out")
    assert (tmp_path / "out" / "export.csv").read_text().splitlines()[1].startswith("'=1+1,NaCl,")


def test_a_full_disk_leaves_no_half_folder(tmp_path, monkeypatch):
    def full(path, content):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("flowllm.export.folders.write_new", full)
    with pytest.raises(InputError, match="the disk is full"):
        export_crystals("vasp", SALT, tmp_path / "out")
    assert not list(tmp_path.rglob("*partial*")) and not (tmp_path / "out" / "salt").exists()
