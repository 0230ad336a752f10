"""MP-20 as it ships: what the CIFs give, without a network, and energies that leak nothing."""

import time

import numpy as np
import pandas as pd
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import CrystalSet, ReduceSettings, load_dataset, prepare, reduce_cif
from flowllm.data.compact import STEPS, read_split, splits_in, write_splits
from flowllm.data.energies import (
    OLDER_REFERENCES,
    composition_keys,
    energies_above,
    formation_energies,
    hide_held_out,
)
from flowllm.data.hull import FormationEnergyHull
from flowllm.data.hull_entries import (
    HULL_FILE,
    composition_key,
    parse_formula,
    read_formation_energies,
)
from flowllm.data.prepare import summary_of
from flowllm.data.shipped import CRYSTALS, ROOM, in_training
from flowllm.errors import InputError

SIZES = {"train": 26_343, "val": 8_887, "test": 8_879}


@pytest.fixture(scope="module")
def splits():
    """The three splits that ship."""
    return {split: load_dataset("mp_20", split) for split in SIZES}


@pytest.fixture(scope="module")
def entries(data_dir):
    """Formulas and energies of the whole hull."""
    return read_formation_energies(data_dir / HULL_FILE)


@pytest.fixture
def nothing_at_hand(monkeypatch, tmp_path):
    """No data folder, an empty cache."""
    monkeypatch.delenv("FLOWLLM_DATA_DIR", raising=False)
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(tmp_path / "cache"))


def test_all_splits_come_from_the_package_in_seconds(nothing_at_hand, tmp_path):
    started = time.perf_counter()
    found = {split: load_dataset("mp_20", split) for split in SIZES}
    assert time.perf_counter() - started < 20
    assert {split: len(crystals) for split, crystals in found.items()} == SIZES
    assert not (tmp_path / "cache").exists()
    assert len(load_dataset("mp_20", "val", limit=7)) == 7
    assert (ROOM / "mp_20" / CRYSTALS).stat().st_size < 5_000_000
    assert "CC BY 4.0" in (ROOM / "mp_20" / "README.md").read_text()


def test_the_command_prepares_from_the_package_alone(nothing_at_hand, tmp_path, splits):
    sets = prepare("mp_20", tmp_path / "out")
    for split, found in sets.items():
        assert found.crystals.digest() == splits[split].crystals.digest()
    summary = summary_of(tmp_path / "out")
    assert summary["splits"]["train"]["kept"] == SIZES["train"]
    assert summary["splits"]["test"]["e_above_hull"]["unknown"] == 56
    assert "only the other splits have" in summary["hull"]


@pytest.mark.parametrize("split", SIZES)
def test_the_arrays_are_what_the_cifs_give(data_dir, splits, split):
    table = pd.read_csv(data_dir / "mp_20" / f"{split}.csv.gz")
    shipped = splits[split]
    assert shipped.crystals.ids.tolist() == table.material_id.tolist()
    for row in range(3, len(table), len(table) // 25):
        fresh = reduce_cif(table.cif[row], table.material_id[row])
        ours = shipped.crystals[row]
        assert np.array_equal(ours.atomic_numbers, fresh.atomic_numbers)
        assert np.allclose(ours.lengths, fresh.lengths, rtol=1e-7)
        assert np.allclose(ours.angles, fresh.angles, rtol=1e-7)
        off = ours.frac_coords - fresh.frac_coords
        assert np.abs(off - np.round(off)).max() <= 0.5001 / STEPS
        assert shipped.reduced_formulas[row] == fresh.formulas[0]
    own = shipped.properties
    for name, column, digits in (
        ("formation_energy", "formation_energy_per_atom", 6),
        ("band_gap", "band_gap", 6),
        ("space_group", "spacegroup.number", 0),
    ):
        wanted = pd.to_numeric(table[column]).to_numpy().round(digits)
        assert np.allclose(own[name], wanted, rtol=0, atol=1.1e-6, equal_nan=True)
    assert np.array_equal(own["exact"], table.structure_exact.to_numpy(dtype=float))


def test_special_positions_come_back_exactly(tmp_path):
    exact = [0, 1 / 8, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 3 / 8, 5 / 12, 1 / 2, 2 / 3, 5 / 6, 1 - 1e-9]
    coords = np.array(exact).reshape(4, 3)
    crystal = CrystalBatch([5] * 4, coords, [[4.1, 4.1, 7.3]], [[90, 90, 120]], [4], ["a"])
    write_splits(tmp_path / "one.npz", {"train": CrystalSet(crystal)})
    back = read_split(tmp_path / "one.npz", "train").crystals
    assert back.frac_coords.ravel().tolist() == [*exact[:-1], 0.0]
    assert back.angles.tolist() == crystal.angles.tolist()


def test_splits_of_ones_own_come_back_and_damaged_files_are_named(splits, tmp_path):
    parts = {"train": splits["train"][:5], "odd name": splits["test"][:3]}
    write_splits(tmp_path / "a.npz", parts)
    assert splits_in(tmp_path / "a.npz") == ["train", "odd name"]
    for split, part in parts.items():
        back = read_split(tmp_path / "a.npz", split)
        assert back.crystals.digest() == part.crystals.digest()
        assert np.array_equal(
            back.properties["band_gap"], part.properties["band_gap"], equal_nan=True
        )
    write_splits(tmp_path / "b.npz", parts)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with pytest.raises(InputError, match="no split val in it, but train, odd name"):
        read_split(tmp_path / "a.npz", "val")
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut.npz is not an archive of splits"):
        read_split(tmp_path / "cut.npz", "train")
    arrays = dict(np.load(tmp_path / "a.npz"))
    np.savez(tmp_path / "sizes.npz", **{**arrays, "sizes": np.array([5, 9])})
    with pytest.raises(InputError, match="do not add up"):
        read_split(tmp_path / "sizes.npz", "train")


def test_other_settings_prepare_from_cif_with_the_energies_that_ship(data_dir, splits, tmp_path):
    small = prepare(
        "mp_20", tmp_path / "out", settings=ReduceSettings(max_atoms=6), limit=30, workers=1
    )
    found, shipped = small["train"], splits["train"][:30]
    assert 0 < len(found) < 30 and found.max_atoms == 6
    place = {name: row for row, name in enumerate(shipped.crystals.ids.tolist())}
    rows = [place[name] for name in found.crystals.ids.tolist()]
    wanted = shipped.properties["e_above_hull"][rows]
    assert np.array_equal(found.properties["e_above_hull"], wanted, equal_nan=True)


def test_held_out_crystals_that_training_holds_are_marked(splits):
    """A sample of both answers, each pair by StructureMatcher's own fit."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher, train = StructureMatcher(), splits["train"]
    places: dict[str, list[int]] = {}
    for place, formula in enumerate(train.reduced_formulas):
        places.setdefault(formula, []).append(place)
    for split, count in (("val", 330), ("test", 324)):
        found = in_training(splits[split], "mp_20", split)
        assert found.sum() == count
        shared = np.array([formula in places for formula in splits[split].reduced_formulas])
        assert not (found & ~shared).any()
        sample = [*np.flatnonzero(found)[::30], *np.flatnonzero(shared & ~found)[::200]]
        for row in sample:
            asked = splits[split].crystals[int(row)].to_pymatgen()[0]
            rivals = train.crystals[places[splits[split].reduced_formulas[row]]].to_pymatgen()
            assert any(matcher.fit(rival, asked) for rival in rivals) == found[row]


# ---- energies above the hull ---------------------------------------------------------------------


def test_the_hull_of_training_energies_holds_no_composition_of_held_out_crystals(splits, entries):
    train, held_out = splits["train"], [splits["val"], splits["test"]]
    own = formation_energies(train)
    formulas, energies = hide_held_out(*entries, train, own, held_out)
    kept = [composition_key(parse_formula(formula)) for formula in formulas]
    hidden = {key for part in held_out for key in composition_keys(part)}
    known = set(composition_keys(train))
    assert not (hidden - known) & set(kept)
    assert len(hidden - known) > 10_000 and 85_000 < len(kept) < 88_000
    # where both have the composition, the energy is the lowest of training
    lowest: dict = {}
    for key, energy in zip(composition_keys(train), own, strict=True):
        if np.isfinite(energy):
            lowest[key] = min(energy, lowest.get(key, np.inf))
    shared = [(key, e) for key, e in zip(kept, energies, strict=True) if key in hidden]
    assert len(shared) > 1_000
    assert all(lowest[key] == energy for key, energy in shared)
    # the shipped energies of training crystals are by that hull, at 0 as often as the card says
    above = train.properties["e_above_hull"]
    some = np.arange(0, len(train), 131)
    fresh = energies_above(train[some], own[some], FormationEnergyHull(formulas, energies))
    assert np.allclose(above[some], fresh, atol=1.1e-6, equal_nan=True)
    assert (np.isfinite(above).sum(), (above == 0).sum(), (above < 1e-4).sum()) == (
        25_867, 12_274, 12_841,
    )  # fmt: skip


def test_held_out_crystals_are_measured_by_the_whole_hull(splits, entries):
    test = splits["test"][::97]
    fresh = energies_above(test, formation_energies(test), FormationEnergyHull(*entries))
    assert np.allclose(test.properties["e_above_hull"], fresh, atol=1.1e-6, equal_nan=True)


@pytest.mark.parametrize("element", OLDER_REFERENCES)
def test_formation_energies_of_mp20_are_moved_to_the_references_of_the_hull(
    splits, entries, element
):
    of_hull = {
        composition_key(parse_formula(formula)): energy
        for formula, energy in zip(*entries, strict=True)
        if element in formula
    }
    ratios, left = [], []
    for part in splits.values():
        before, after = part.properties["formation_energy"], formation_energies(part)
        for row, key in enumerate(composition_keys(part)):
            shares = dict(key)
            if key in of_hull and element in shares and len(set(shares) & {*OLDER_REFERENCES}) == 1:
                ratios.append((before[row] - of_hull[key]) / shares[element])
                left.append(after[row] - of_hull[key])
    assert np.nanmedian(ratios) == pytest.approx(OLDER_REFERENCES[element], abs=1.5e-3)
    assert abs(np.nanmedian(left)) < 5e-4


def test_hiding_by_hand():
    def of(numbers, formation):
        batch = CrystalBatch(
            np.concatenate(numbers), np.zeros((sum(map(len, numbers)), 3)),
            [[5] * 3] * len(numbers), [[90] * 3] * len(numbers), [len(n) for n in numbers],
            [str(i) for i in range(len(numbers))],
        )  # fmt: skip
        return CrystalSet(batch, {"formation_energy": np.array(formation)})

    train = of([[11, 17], [11, 17, 11, 17], [11, 9]], [-1.0, -1.5, -2.0])
    held_out = of([[11, 17], [12, 8]], [-3.0, -3.0])
    formulas, energies = hide_held_out(
        ["NaCl", "MgO", "NaF", "KF"], np.array([-3.0, -3.0, -2.5, -2.0]),
        train, train.properties["formation_energy"], [held_out],
    )  # fmt: skip
    assert dict(zip(formulas, energies, strict=True)) == {"NaF": -2.5, "KF": -2.0, "NaCl": -1.5}
