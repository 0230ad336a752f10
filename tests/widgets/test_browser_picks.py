from __future__ import annotations

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.inputs import read_inputs
from flowllm.metrics.symmetry import space_groups
from flowllm_widgets.browser.catalogue import read_catalogue
from flowllm_widgets.browser.picks import FORMATS, as_download, export_picks
from tests.widgets.reports import textbook

WRITTEN = {"cif": "", "extxyz": "picks.extxyz", "csv": "picks.csv"}


@pytest.fixture(scope="module")
def found():
    return read_catalogue(textbook(5))


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_is_written_reads_back(found, tmp_path, kind):
    chosen = [4, 1, 2]
    said = export_picks(kind, found.crystals[chosen], found.rows.iloc[chosen], tmp_path / "out")
    assert said == f"3 crystals written to {tmp_path / 'out'}"
    back = read_inputs(tmp_path / "out" / WRITTEN[kind])
    order = {name.split("_")[0]: at for at, name in enumerate(back.ids)}
    if kind != "extxyz":
        assert set(order) == {"c000004", "c000001", "c000002"}
    if kind == "cif":  # file names say what is in them
        assert set(back.ids) == {"c000004_Rb2O2", "c000001_MgO", "c000002_KTiO3"}
    for number, row in enumerate(chosen):
        at = order.get(f"c{row:06d}", number)
        assert back.crystals[at].formulas == found.crystals[row].formulas
        one, other = back.crystals[at], found.crystals[row]
        each = one.volumes / one.num_atoms  # of a CIF by symmetry in the conventional cell
        assert each == pytest.approx(other.volumes / other.num_atoms, rel=1e-5)


def test_a_cif_holds_the_symmetry_that_the_browser_shows(found, tmp_path):
    export_picks("cif", found.crystals, found.rows, tmp_path / "out")
    numbers = space_groups(found.crystals)
    for path, number in zip(sorted((tmp_path / "out").glob("*.cif")), numbers, strict=True):
        assert f"_space_group_IT_number {number}\n" in path.read_text()


def test_picks_are_offered_as_one_file(found, tmp_path):
    import io
    import zipfile

    export_picks("cif", found.crystals, found.rows, tmp_path / "mine")
    name, content, kind = as_download(tmp_path / "mine")
    assert (name, kind) == ("mine.zip", "application/zip")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert "mine/c000001_MgO.cif" in archive.namelist() and len(archive.namelist()) == 5
    export_picks("csv", found.crystals, found.rows, tmp_path / "table")
    name, content, _ = as_download(tmp_path / "table")
    assert name == "picks.csv" and content == (tmp_path / "table" / "picks.csv").read_bytes()


def test_the_table_keeps_what_is_known_of_the_crystals(found, tmp_path):
    import pandas as pd

    export_picks("csv", found.crystals[[0]], found.rows.iloc[[0]], tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "picks.csv")
    assert table["density"][0] == pytest.approx(found.rows["density"][0], rel=1e-5)
    assert {"id", "formula", "cif"} <= set(table)
    number = space_groups(found.crystals[[0]])[0]
    assert f"_space_group_IT_number {number}\n" in table["cif"][0]


def test_inputs_of_density_functional_theory_are_written(found, tmp_path):
    said = export_picks("vasp", found.crystals[:2], found.rows.head(2), tmp_path / "dft")
    assert said.startswith("2 crystals written")
    assert (tmp_path / "dft" / "c000001" / "POSCAR").is_file()


def test_a_folder_that_holds_something_is_left_alone(found, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        export_picks("cif", found.crystals, found.rows, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="not empty"):
        export_picks("cif", found.crystals, found.rows, tmp_path / "mine.txt")


def test_an_empty_folder_is_filled(found, tmp_path):
    (tmp_path / "out").mkdir()
    export_picks("cif", found.crystals, found.rows, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.cif"))) == 5


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_write_that_fails_leaves_nothing_behind(found, tmp_path, kind):
    flat = found.crystals[:2].replace(angles=np.array([(90.0, 90, 90), (150, 150, 150)]))
    with pytest.raises(InputError, match="zero volume"):
        export_picks(kind, flat, found.rows.head(2), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_named(found, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        export_picks("cif", found.crystals, found.rows, tmp_path / "file" / "out")


def test_nothing_to_write_or_nowhere_or_in_no_known_way_is_refused(found, tmp_path):
    with pytest.raises(InputError, match="nothing is picked"):
        export_picks("cif", CrystalBatch.empty(), found.rows.head(0), tmp_path / "out")
    with pytest.raises(InputError, match="name a folder"):
        export_picks("cif", found.crystals, found.rows, "  ")
    with pytest.raises(InputError, match="cannot export as pdf"):
        export_picks("pdf", found.crystals, found.rows, tmp_path / "out")
    assert set(WRITTEN) < set(FORMATS.values())


def test_ids_that_are_no_file_names_are_still_told_apart(tmp_path):
    crystals = textbook(2).replace(ids=np.array(["a/b", "a b"]))
    found = read_catalogue(crystals)
    export_picks("cif", found.crystals, found.rows, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.cif"))) == 2
