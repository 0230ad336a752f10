"""Own data with cells of up to 52 atoms, from the CSV file to an evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.data import CrystalSet, ReduceSettings, load_dataset, prepare
from flowllm.data.prepare import prepare_folder
from flowllm.errors import InputError
from flowllm.evaluation import evaluate
from flowllm.evaluation.build import build_reference
from flowllm.methods.flow import FlowTrainSettings
from flowllm.methods.flow.refiner import RefineSettings
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import CompactConfig, LMTrainSettings, SamplingSettings
from flowllm.networks.cspnet import VelocityConfig
from flowllm.systems.system import FlowLLM
from flowllm.workflows.generate import GenerateSettings, generate_run
from flowllm.workflows.train import (
    PairSettings,
    combine,
    make_pairs,
    num_atoms_histogram,
    train_compact,
    train_on_pairs,
)

pytestmark = pytest.mark.slow

LIMIT = 52
LM = LMTrainSettings(epochs=1, batch_size=20, checkpoint_steps=20, validation_rows=4, threads=1)
FLOW = FlowTrainSettings(
    network=VelocityConfig(hidden=16, layers=1, time_dim=8, num_frequencies=3, distance_features=4),
    epochs=1,
    batch_size=4,
    validation_share=0.2,
    device="cpu",
    half=False,
)


@pytest.fixture(scope="module")
def table(data_dir, tmp_path_factory) -> Path:
    """200 rows of MPTS-52 as one's own CSV file."""
    rows = pd.read_csv(data_dir / "mpts_52" / "val.csv.gz").iloc[::25]
    assert len(rows) == 200
    path = tmp_path_factory.mktemp("mpts") / "mine.csv"
    rows.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def large(table) -> Path:
    """What `flowllm data --max-atoms 52 --random-split` makes of it."""
    folder = table.parent / "data"
    settings = ReduceSettings(max_atoms=LIMIT)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FLOWLLM_DATA_DIR", raising=False)  # the hull has nothing to do with it
        prepare(table, folder, settings=settings, random_split=True, workers=1)
    return folder


@pytest.fixture(scope="module")
def whole(large) -> FlowLLM:
    """A system trained on it in a few steps."""
    folder = large.parent
    train_compact(str(large), folder / "lm", CompactConfig(32, 1, 2, 48), LM, device="cpu")
    pairs = PairSettings(SamplingSettings(), num_pairs=8, samples_per_target=1, chunk_size=8)
    make_pairs(folder / "lm", large, folder / "pairs", pairs, device="cpu")
    train_on_pairs(folder / "pairs", folder / "flow", FLOW)
    combine(folder / "lm", folder / "flow", large, folder / "system")
    return FlowLLM.from_pretrained(folder / "system", "cpu")


def test_a_data_set_knows_its_largest_cell(large, table):
    parts = [load_dataset(large, split) for split in ("train", "val", "test")]
    assert {part.max_atoms for part in parts} == {LIMIT} == {parts[0][:3].max_atoms}
    assert max(part.crystals.num_atoms.max() for part in parts) > 45
    assert sum(map(len, parts)) > 190
    small = prepare_folder(table, table.parent / "small", limit=40, workers=1)
    assert load_dataset(small, "train").max_atoms == 20
    rejected = pd.read_csv(small / "rejected.csv")["reason"]
    assert rejected.str.contains(r"more than 20 \(--max-atoms").sum() > 10
    # files of before it was kept are taken by what they hold
    arrays = parts[0].arrays()
    del arrays["max_atoms"]
    np.savez(table.parent / "old.npz", **arrays)
    old = CrystalSet.load(table.parent / "old.npz")
    assert old.max_atoms == parts[0].crystals.num_atoms.max()
    with pytest.raises(InputError, match="in a data set of at most 20 atoms"):
        CrystalSet(parts[0].crystals, max_atoms=20)


def test_cells_of_up_to_52_atoms_are_trained_generated_and_evaluated(whole, large, tmp_path):
    assert whole.max_atoms == LIMIT == whole.prior.format.max_atoms
    sizes = num_atoms_histogram(load_dataset(large, "train"))
    assert whole.num_atoms_histogram == sizes and sum(sizes[20:]) > 50
    settings = GenerateSettings(4, Request(num_atoms=45), refinement=RefineSettings(steps=2))
    made = generate_run(whole, settings, tmp_path / "made")
    assert made.refined.num_atoms.tolist() == [45] * 4
    asked = whole.generate(
        2, composition="Ba4 Ti12 O36", refinement=RefineSettings(steps=1)
    ).refined
    assert asked.compositions == [{"Ba": 4, "Ti": 12, "O": 36}] * 2
    free = whole.generate(12, seed=3, refinement=RefineSettings(steps=1)).refined
    assert free.num_atoms.max() > 20
    reference = build_reference(large, tmp_path / "reference", "mine", workers=1)
    report = evaluate(
        tmp_path / "made", reference, tmp_path / "figures", only=("validity",), workers=1
    )
    assert len(report.rows) == 4
    summary = json.loads((tmp_path / "figures" / "summary.json").read_text())
    assert summary["metrics"]["validity"]


def test_what_a_model_is_asked_is_checked_against_its_own_limit(whole, system):
    with pytest.raises(InputError, match=r"number of atoms 53; .* at most 52 .*--max-atoms"):
        whole.generate(1, num_atoms=53)
    with pytest.raises(InputError, match=r"24 atoms; .* at most 20 .*--max-atoms"):
        system.generate(1, formula="Li7La3Zr2O12")
    assert whole.asked(Request(formula="Li7La3Zr2O12"), 0, 0).composition["O"] in (12, 24)


def test_a_model_and_a_data_set_of_other_sizes_are_not_joined(whole, large, system, tmp_path):
    flow = large.parent / "flow"
    system.prior.save(tmp_path / "small")
    with pytest.raises(InputError, match="up to 20 atoms, and the data set .* up to 52"):
        combine(tmp_path / "small", flow, large, tmp_path / "joined")


def test_the_context_follows_from_the_format_and_the_cells(large, tmp_path):
    prior = LanguageModelPrior.from_pretrained(large.parent / "lm")
    assert prior.model.config.max_position_embeddings == 512  # room for 52 atoms as it is
    assert prior.fit(["x"], SamplingSettings()).max_new_tokens == 9 + 4 * LIMIT + 1
    crystals = load_dataset(large, "train").crystals[:24]
    wide = CrystalSet(crystals, max_atoms=150)
    wide.save(tmp_path / "train.npz")
    for name in ("val.npz", "run.json"):
        (tmp_path / name).write_bytes((large / name).read_bytes())
    settings = replace(LM, batch_size=8)
    train_compact(str(tmp_path), tmp_path / "lm", CompactConfig(16, 1, 2, 24), settings)
    longer = LanguageModelPrior.from_pretrained(tmp_path / "lm")
    assert longer.format.max_atoms == 150
    assert longer.model.config.max_position_embeddings >= 9 + 4 * 150 + 1 + 2
    assert longer.tokenizer.model_max_length == longer.model.config.max_position_embeddings


def test_other_crystals_know_nothing_of_a_limit():
    atoms = np.full(30, 14)
    places = np.random.default_rng(0).random((30, 3))
    cell = CrystalBatch(atoms, places, [[9.0] * 3], [[90.0] * 3], [30], ["x"])
    assert CrystalSet(cell).max_atoms == 30 and CrystalSet(cell[:0]).max_atoms == 20
