"""The split that keeps polymorphs together: its rule, the ids that ship, the folder."""

from collections import defaultdict

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.evaluation.polymorph_split import (
    SPLITS,
    part_of,
    shipped_ids,
    split_by_composition,
    write_ids,
    write_polymorph_split,
)

pytestmark = pytest.mark.slow


def copper(count):
    batch = CrystalBatch([29], [[0, 0, 0]], [[2.5] * 3], [[60] * 3], [1], ["mp-1"])
    return CrystalBatch.concatenate([batch.replace(ids=[f"mp-{i}"]) for i in range(count)])


def test_the_rule_is_fixed():
    """Anyone who hashes the same words gets the same split."""
    assert [part_of(f) for f in ("SrTiO3", "TiO2", "SiO2", "C")] == ["train", "train", "val", "val"]
    assert part_of("SrTiO3", seed=1) in SPLITS
    many = [part_of(f"A{i}B") for i in range(5000)]
    shares = [many.count(split) / len(many) for split in SPLITS]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)


def test_all_structures_of_a_formula_stay_together():
    crystals = CrystalSet(
        copper(6), formulas=np.array(["TiO2", "SiO2", "TiO2", "C", "SiO2", "TiO2"])
    )
    parts = split_by_composition(crystals)
    assert sum(len(part) for part in parts.values()) == 6
    where = defaultdict(set)
    for split, part in parts.items():
        for formula in part.reduced_formulas:
            where[formula].add(split)
    assert all(len(splits) == 1 for splits in where.values())


def test_ids_come_back(tmp_path, monkeypatch):
    file = tmp_path / "ids.npz"
    parts = {"train": ["mp-30", "mp-5"], "val": ["mvc-7"], "test": ["mp-1000000", "mp-2"]}
    write_ids(parts, file)
    monkeypatch.setattr("flowllm.evaluation.polymorph_split.FILE", file)
    assert shipped_ids() == {
        "train": ["mp-5", "mp-30"], "val": ["mvc-7"], "test": ["mp-2", "mp-1000000"]
    }  # fmt: skip


def test_the_ids_that_ship_are_each_in_one_split():
    ids = shipped_ids()
    names = [name for part in ids.values() for name in part]
    assert len(names) == len(set(names)) == 44_109
    assert [round(len(ids[split]) / len(names), 2) for split in SPLITS] == [0.6, 0.2, 0.2]


def test_the_ids_that_ship_are_those_of_the_rule():
    ids = {name: split for split, part in shipped_ids().items() for name in part}
    test = load_dataset("mp_20", "test")
    assert [ids[str(name)] for name in test.crystals.ids] == [
        part_of(formula) for formula in test.reduced_formulas
    ]


@pytest.mark.data
def test_the_folder_is_read_as_prepared_data(prepared, tmp_path):
    out = write_polymorph_split(tmp_path / "split", prepared)
    before = CrystalSet.concatenate([load_dataset(prepared, split) for split in SPLITS])
    after = {split: load_dataset(out, split) for split in SPLITS}
    assert sorted(i for part in after.values() for i in part.crystals.ids) == sorted(
        before.crystals.ids
    )
    for split, part in after.items():
        assert {part_of(formula) for formula in part.reduced_formulas} == {split}
    assert set(after["test"].properties) == set(before.properties)
    with pytest.raises(InputError, match="seed is 0 there and 3 now"):
        write_polymorph_split(out, prepared, seed=3)
