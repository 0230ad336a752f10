"""Where rows come from: named data sets, own tables and folders, and what is wrong with them."""

import gzip

import numpy as np
import pytest

from flowllm.data.sources import load_rows, source_digest
from flowllm.errors import InputError


def test_mp20_comes_from_the_data_folder(data_dir, mp20_rows):
    rows = load_rows("mp_20", "val")
    assert len(rows) == 8887
    assert rows.ids[0] == mp20_rows.material_id[0]
    assert rows.items[0].text.strip() == mp20_rows.cif[0].strip()
    assert rows.properties["space_group"][0] == mp20_rows["spacegroup.number"][0]
    assert int((rows.properties["exact"] == 1).sum()) == 7441
    assert int(np.isnan(rows.properties["e_above_hull"]).sum()) == 1446


def test_the_other_named_sets(data_dir):
    rows = load_rows("mpts_52", "val")
    assert len(rows) == 5000
    assert not np.isnan(rows.properties["e_above_hull"]).any()
    assert len(load_rows("perov_5", "val")) == 3787
    with pytest.raises(InputError, match=r"mpts_52 has no split train"):
        load_rows("mpts_52", "train")


def test_a_named_set_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWLLM_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"no such file: .*perov_5/val.csv.gz"):
        load_rows("perov_5", "val")
    monkeypatch.setenv("FLOWLLM_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"FLOWLLM_DATA_DIR is .*nowhere, which is not a folder"):
        load_rows("perov_5", "val")
    monkeypatch.delenv("FLOWLLM_DATA_DIR")
    with pytest.raises(InputError, match=r"set FLOWLLM_DATA_DIR"):
        load_rows("perov_5", "val")


TABLE = "id,cif,band_gap,spacegroup.number,e_above_hull\na,text1,1.5,225,\nb,text2,,,0.1\n"


@pytest.mark.parametrize("name", ["own.csv", "own.csv.gz"])
def test_an_own_table(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(gzip.compress(TABLE.encode()) if name.endswith("gz") else TABLE.encode())
    rows = load_rows(file)
    assert rows.ids == ["a", "b"] and [item.text for item in rows.items] == ["text1", "text2"]
    assert np.array_equal(rows.properties["band_gap"], [1.5, np.nan], equal_nan=True)
    assert rows.properties["space_group"].tolist() == [225, 0]
    assert np.array_equal(rows.properties["e_above_hull"], [np.nan, 0.1], equal_nan=True)
    assert "formation_energy" not in rows.properties


def test_rows_without_ids_are_numbered(tmp_path):
    (tmp_path / "own.csv").write_text("cif\nx\ny\n")
    assert load_rows(tmp_path / "own.csv").ids == ["0", "1"]


def test_a_folder_of_cifs(tmp_path):
    (tmp_path / "deep").mkdir()
    for place, name in (("b.cif", "b"), ("deep/a.CIF", "a")):
        (tmp_path / place).write_text(f"data_{name}\n_cell_length_a 4\n")
    (tmp_path / "notes.txt").write_text("no crystal")
    rows = load_rows(tmp_path)
    assert rows.ids == ["b", "deep/a"]
    assert [item.text.split()[0] for item in rows.items] == ["data_b", "data_a"]
    assert rows.notes == ("not read, of other kinds: 1 × .txt",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "own.csv is empty"),
        ("cif\n", "own.csv contains no rows"),
        ("id,formula\na,b\n", "has no column cif or structure; its columns are id, formula"),
        ("cif,band_gap\nx,wide\n", "column band_gap holds 'wide' in row 1, not a number"),
        ("cif,spacegroup.number\nx,231\n", "231 in row 1 is not a space group number"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path, content, message):
    (tmp_path / "own.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        load_rows(tmp_path / "own.csv")


def test_a_broken_archive_a_missing_file_and_an_empty_folder_are_named(tmp_path):
    (tmp_path / "own.csv.gz").write_bytes(b"not gzip at all")
    with pytest.raises(InputError, match=r"own.csv.gz cannot be read: it is not a gzip file"):
        load_rows(tmp_path / "own.csv.gz")
    with pytest.raises(InputError, match=r"no such data set: .*none.csv"):
        load_rows(tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty contains no crystals"):
        load_rows(tmp_path / "empty")


def test_the_digest_follows_the_content(tmp_path):
    file = tmp_path / "own.csv"
    file.write_text(TABLE)
    first = source_digest(file)
    assert source_digest(file) == first
    file.write_text(TABLE.replace("text1", "text9"))
    assert source_digest(file) != first
