"""Preparation: nothing dropped in silence, nothing lost, the same result every time."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import CrystalSet, ReduceSettings, load_dataset, prepare, reduce_cif
from flowllm.data.chunks import PreparedChunk
from flowllm.data.energies import fill_e_above_hull
from flowllm.data.hull import FormationEnergyHull
from flowllm.data.prepare import summary_of
from flowllm.errors import InputError
from flowllm.runs.archive import read_archive, write_archive
from flowllm.runs.parts import Parts

pytestmark = pytest.mark.slow

RESULTS = ("train.npz", "val.npz", "test.npz", "rejected.csv")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def own_table(mp20_rows, tmp_path) -> Path:
    """40 real rows, of which the third does not parse and the fifth holds nothing."""
    table = mp20_rows[["material_id", "cif", "formation_energy_per_atom"]].head(40).copy()
    table.loc[2, "cif"] = "data_broken"
    table.loc[4, "cif"] = ""
    table.to_csv(tmp_path / "own.csv", index=False)
    return tmp_path / "own.csv"


def results_of(folder: Path) -> dict[str, bytes]:
    found = {name: (folder / name).read_bytes() for name in RESULTS if (folder / name).exists()}
    summary = json.loads((folder / "summary.json").read_text())
    del summary["seconds"]
    return {**found, "summary": json.dumps(summary).encode()}


def test_every_row_is_kept_or_listed(own_table, mp20_rows, tmp_path):
    seen = []
    sets = prepare(own_table, tmp_path / "out", workers=1, progress=lambda *a: seen.append(a))
    assert list(sets) == ["train"]
    expected = [name for i, name in enumerate(mp20_rows.material_id.head(40)) if i not in (2, 4)]
    assert sets["train"].crystals.ids.tolist() == expected
    with open(tmp_path / "out" / "rejected.csv", newline="") as handle:
        rejected = list(csv.DictReader(handle))
    assert [row["id"] for row in rejected] == mp20_rows.material_id[[2, 4]].tolist()
    assert [row["row"] for row in rejected] == ["2", "4"]
    assert rejected[0]["reason"].startswith("the CIF cannot be parsed")
    assert rejected[1]["reason"] == "no CIF text"
    summary = summary_of(tmp_path / "out")["splits"]["train"]
    assert (summary["read"], summary["kept"], summary["rejected"]) == (40, 38, 2)
    assert sum(summary["reasons"].values()) == 2
    assert seen[0] == (0, 40) and seen[-1] == (40, 40)
    assert not (tmp_path / "out" / "parts").exists()


def test_crystals_are_those_of_reduce_cif_with_their_properties(own_table, mp20_rows, tmp_path):
    found = prepare(own_table, tmp_path / "out", workers=1)["train"]
    row = mp20_rows.iloc[7]
    place = found.crystals.ids.tolist().index(row.material_id)
    expected = reduce_cif(row.cif, row.material_id)
    assert np.array_equal(found.crystals[place].frac_coords, expected.frac_coords)
    energies = dict(zip(mp20_rows.material_id, mp20_rows.formation_energy_per_atom, strict=True))
    wanted = [energies[name] for name in found.crystals.ids]
    assert np.array_equal(found.properties["formation_energy"], wanted, equal_nan=True)
    # the table has no space groups: they are found, and mostly those that the data give
    groups = dict(zip(mp20_rows.material_id, mp20_rows["spacegroup.number"], strict=True))
    same = found.properties["space_group"] == [groups[name] for name in found.crystals.ids]
    assert same.mean() > 0.9


def test_limit_cuts_before_preparation_and_splits_are_named(data_dir, tmp_path):
    sets = prepare("mp_20", tmp_path / "out", limit=5, workers=1)
    assert {name: len(found) for name, found in sets.items()} == {"train": 5, "val": 5, "test": 5}
    summary = summary_of(tmp_path / "out")
    assert summary["splits"]["val"]["read"] == 5
    assert "as it ships" in summary["hull"]
    with pytest.raises(InputError, match=r"limit is 5 there and 6 now.*--overwrite"):
        prepare("mp_20", tmp_path / "out", limit=6, workers=1)
    again = prepare("mp_20", tmp_path / "out", limit=3, workers=1, overwrite=True)
    assert len(again["train"]) == 3


def test_threads_chunks_and_processes_give_the_same_bytes(own_table, tmp_path):
    prepare(own_table, tmp_path / "one", workers=1, chunk_size=7)
    prepare(own_table, tmp_path / "two", workers=2, chunk_size=7)
    with ThreadPoolExecutor(3) as pool:
        prepare(own_table, tmp_path / "three", executor=pool, chunk_size=7)
    prepare(own_table, tmp_path / "four", workers=1, chunk_size=100)
    first = results_of(tmp_path / "one")
    for name in ("two", "three", "four"):
        assert results_of(tmp_path / name) == first


SCRIPT = """
import sys
from flowllm.runs.archive import read_archive, write_archive
from flowllm.data import prepare

if __name__ == "__main__":
    prepare(sys.argv[2], sys.argv[1], limit=70, workers=2, chunk_size=10)
"""


def test_a_run_killed_in_the_middle_goes_on_and_ends_the_same(
    data_dir, tmp_path, script_environment
):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out = tmp_path / "killed"
    table = data_dir / "mp_20" / "val.csv.gz"
    process = subprocess.Popen(
        [sys.executable, str(script), str(out), str(table)], env=script_environment
    )
    deadline = time.monotonic() + 300
    while len(list(out.glob("parts/*.npz"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    parts = sorted(out.glob("parts/*.npz"))
    assert parts and not (out / "summary.json").exists()
    stamps = {part.name: part.stat().st_mtime_ns for part in parts}
    seen = []
    options = {"limit": 70, "workers": 1, "chunk_size": 10}

    def look(done: int, total: int) -> None:
        seen.append(done)
        if done < total:  # while parts are there: none was done twice
            now = {name: (out / "parts" / name).stat().st_mtime_ns for name in stamps}
            assert now == stamps

    prepare(table, out, progress=look, **options)
    assert seen[0] == 10 * len(parts) and seen[-1] == 70
    prepare(table, tmp_path / "whole", **options)
    assert results_of(out) == results_of(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["cut", "of other rows"])
def test_a_damaged_part_is_made_again(own_table, tmp_path, monkeypatch, damage):
    """Cut off, or another part's file: its rows are reduced again, and no others."""
    write = Parts.write

    def stop(self, wanted, part):
        if wanted.name == "train-00003":
            raise KeyboardInterrupt
        write(self, wanted, part)

    out, options = tmp_path / "out", {"workers": 1, "chunk_size": 10}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Parts, "write", stop)
        prepare(own_table, out, **options)
    part = out / "parts" / "train-00001.npz"
    whole, other = part.read_bytes(), (out / "parts" / "train-00002.npz").read_bytes()
    part.write_bytes(whole[: len(whole) // 2] if damage == "cut" else other)
    seen = []
    prepare(own_table, out, progress=lambda *a: seen.append(a), **options)
    assert seen == [(20, 40), (30, 40), (40, 40)]
    prepare(own_table, tmp_path / "whole", **options)
    assert results_of(out) == results_of(tmp_path / "whole")


def test_own_data_split_at_random_by_seed(own_table, tmp_path):
    options = {"random_split": True, "workers": 1}
    sets = prepare(own_table, tmp_path / "a", seed=1, **options)
    read = {name: split["read"] for name, split in summary_of(tmp_path / "a")["splits"].items()}
    assert read == {"train": 36, "val": 2, "test": 2}
    ids = [name for found in sets.values() for name in found.crystals.ids.tolist()]
    assert len(set(ids)) == len(ids) == 38
    again = prepare(own_table, tmp_path / "b", seed=1, **options)
    other = prepare(own_table, tmp_path / "c", seed=2, **options)
    assert again["val"].crystals.ids.tolist() == sets["val"].crystals.ids.tolist()
    assert other["val"].crystals.ids.tolist() != sets["val"].crystals.ids.tolist()


def test_bad_input_is_named_and_leaves_nothing(own_table, tmp_path):
    out = tmp_path / "new" / "out"
    for source, options, message in (
        (tmp_path / "none.csv", {}, "no such data set: .*none.csv"),
        (own_table, {"limit": 0}, "limit must be at least 1"),
        (own_table, {"splits": ("val",)}, "one split, train"),
        ("mp_20", {"random_split": True}, "mp_20 has its own splits"),
        (own_table, {"settings": ReduceSettings(max_atoms=1)}, "none of its rows"),
    ):
        with pytest.raises(InputError, match=message):
            prepare(source, out, workers=1, **options)
        assert not out.parent.exists()


def test_load_dataset_prepares_once_and_reads_folders(own_table, tmp_path, monkeypatch):
    first = load_dataset(own_table, workers=1, limit=10)
    assert len(list((tmp_path / "cache" / "prepared").iterdir())) == 1
    module = sys.modules["flowllm.data.prepare"]  # the package has a function of that name too
    monkeypatch.setattr(module, "prepare_chunk", None)  # not needed a second time
    again = load_dataset(own_table, workers=1, limit=10)
    assert again.crystals.ids.tolist() == first.crystals.ids.tolist()
    folder = next((tmp_path / "cache" / "prepared").iterdir())
    assert load_dataset(folder).crystals.ids.tolist() == first.crystals.ids.tolist()
    with pytest.raises(InputError, match=r"has no split val; it has train"):
        load_dataset(folder, "val")
    with pytest.raises(InputError, match=r"mp_20 has no split dev"):
        load_dataset("mp_20", "dev")
    (folder / "train.npz").write_bytes((folder / "train.npz").read_bytes()[:500])
    with pytest.raises(InputError, match=r"train.npz is not an archive of crystals"):
        load_dataset(folder)


def test_a_changed_source_is_another_run(own_table, tmp_path):
    prepare(own_table, tmp_path / "out", workers=1, limit=5)
    own_table.write_text(own_table.read_text() + "\n")
    with pytest.raises(InputError, match=r"contains another run .content is"):
        prepare(own_table, tmp_path / "out", workers=1, limit=5)


# ---- the set and its parts


def small_set() -> CrystalSet:
    crystals = CrystalBatch(
        [11, 17, 11, 11, 17],
        np.zeros((5, 3)),
        [[5] * 3] * 3,
        [[90] * 3] * 3,
        [2, 2, 1],
        list("abc"),
    )
    nan = float("nan")
    return CrystalSet(
        crystals,
        {"formation_energy": np.array([-1.0, 0.5, nan]), "e_above_hull": np.array([nan, nan, 0.2])},
    )


def test_open_energies_are_filled_and_counted():
    hull = FormationEnergyHull(["NaCl"], [-1.5])
    filled, numbers = fill_e_above_hull(small_set(), hull)
    assert filled.properties["e_above_hull"].tolist() == [0.5, 0.5, 0.2]
    assert numbers == {"given": 1, "computed": 2, "unknown": 0}
    same, numbers = fill_e_above_hull(small_set(), None)
    assert np.isnan(same.properties["e_above_hull"]).tolist() == [True, True, False]
    assert numbers == {"given": 1, "computed": 0, "unknown": 2}


def test_a_set_is_indexed_joined_and_saved_with_its_properties(tmp_path):
    whole = small_set()
    assert whole[1:].properties["formation_energy"][0] == 0.5
    other = CrystalSet(whole.crystals, {"band_gap": np.array([1.0, 2.0, 3.0])})
    joined = CrystalSet.concatenate([whole, other])
    assert len(joined) == 6
    assert np.isnan(joined.properties["band_gap"][:3]).all()
    assert joined.properties["band_gap"][3:].tolist() == [1, 2, 3]
    assert joined.reduced_formulas == whole.crystals.formulas * 2
    assert joined[4:].reduced_formulas == whole.crystals.formulas[1:]
    joined.save(tmp_path / "set.npz")
    back = CrystalSet.load(tmp_path / "set.npz")
    assert list(back.properties) == list(joined.properties)
    assert back.reduced_formulas == joined.reduced_formulas
    assert np.array_equal(back.crystals.frac_coords, joined.crystals.frac_coords)


def test_a_set_refuses_what_does_not_fit():
    with pytest.raises(InputError, match=r"unknown property colour"):
        CrystalSet(small_set().crystals, {"colour": np.zeros(3)})
    with pytest.raises(InputError, match=r"2 values of band_gap for 3 crystals"):
        CrystalSet(small_set().crystals, {"band_gap": np.zeros(2)})
    with pytest.raises(InputError, match=r"1 formulas for 3 crystals"):
        CrystalSet(small_set().crystals, formulas=np.array(["NaCl"]))


def test_a_part_comes_back_with_its_rejected_rows(tmp_path):
    for rejected in ([(3, "mp-1", "no CIF text"), (5, "mp-2", "Å")], []):
        write_archive(tmp_path / "part.npz", PreparedChunk(small_set(), rejected).arrays())
        back = PreparedChunk.from_arrays(read_archive(tmp_path / "part.npz", "is not a part"))
        assert back.rejected == rejected
        assert back.kept.crystals.ids.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "must be a JSON object, not a list"),
        ("{}", "splits is missing"),
        ('{"splits": {"train": 3}}', "splits: train must be a JSON object, not 3"),
        (
            '{"splits": {"train": {"kept": "x", "rejected": 0}}}',
            "train: kept must be a whole number, not 'x'",
        ),
        (
            '{"splits": {"train": {"kept": 1, "rejected": 0, "remarks": {"a": null}}}}',
            "a must be a whole number, not null",
        ),
    ],
)
def test_a_damaged_summary_is_named(tmp_path, content, said):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(InputError, match=r"summary\.json") as caught:
        summary_of(tmp_path)
    assert said in str(caught.value)
