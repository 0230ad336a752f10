"""The training stages on disk: each goes on after a kill and refuses another run."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flowllm.conditions.ranges import TrainingRanges
from flowllm.data import CrystalSet, load_dataset
from flowllm.errors import InputError
from flowllm.methods.flow import FlowTrainSettings, PairSet
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import CompactConfig, LMTrainSettings, SamplingSettings
from flowllm.networks.settings import VelocityConfig
from flowllm.systems.system import FlowLLM
from flowllm.workflows.train import (
    PairSettings,
    combine,
    make_pairs,
    num_atoms_histogram,
    train_compact,
    train_on_pairs,
    training_splits,
)
from flowllm.workflows.train.source import PriorSource, make_prior

pytestmark = pytest.mark.slow

TINY_LM = CompactConfig(16, 1, 2, 24)
LM = LMTrainSettings(epochs=2, batch_size=9, checkpoint_steps=3, validation_rows=3, threads=1)
PAIRS = PairSettings(SamplingSettings(0.9), num_pairs=12, perturbed=0, chunk_size=4)
FLOW = FlowTrainSettings(
    network=VelocityConfig(hidden=16, layers=1, time_dim=8, num_frequencies=3, distance_features=4),
    epochs=3,
    batch_size=4,
    log_steps=2,
    eval_steps=4,
    save_steps=2,
    validation_share=0.2,
    max_distance=0.25,
    max_strain=10.0,
    device="cpu",
    half=False,
)


def train_language_model(prepared, out, settings=LM, **options):
    return train_compact(str(prepared), out, TINY_LM, settings, device="cpu", **options)


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """All stages, uninterrupted: (folder, figures of the language model, summary of the pairs)."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("stages")
    figures = train_language_model(prepared, folder / "lm")
    summary = make_pairs(folder / "lm", prepared, folder / "pairs", PAIRS, device="cpu")
    train_on_pairs(folder / "pairs", folder / "flow", FLOW)
    return folder, figures, summary


def without_speed(summary):
    return {name: value for name, value in summary.items() if name != "speed"}


def same_weights(a: Path, b: Path) -> None:
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


# ---- the stages, one after the other -------------------------------------------------------------


def test_the_language_model_is_trained_and_measured(trained, prepared):
    folder, figures, _ = trained
    assert figures["unconditional_perplexity"] > 1
    nats = figures["composition_nats_per_token"]
    assert figures["composition_perplexity"] == pytest.approx(np.exp(nats))
    record = json.loads((folder / "lm" / "run.json").read_text())
    assert record["training_crystals"] == len(load_dataset(prepared, "train")) == 54
    losses = [json.loads(line) for line in (folder / "lm" / "log.jsonl").read_text().splitlines()]
    assert {line["step"] for line in losses} >= {3, 6, 9, 12}


def test_pairs_hold_the_targets_composition_and_lie_nearer_than_in_list_order(trained, prepared):
    folder, _, summary = trained
    pairs = PairSet.load(folder / "pairs" / "pairs.npz")
    targets = load_dataset(prepared, "train").crystals
    assert len(pairs) == summary["pairs"] == 12
    assert set(pairs.c1.ids) <= set(targets.ids) and len(set(pairs.c1.ids)) == 12
    assert pairs.c0.compositions == pairs.c1.compositions
    listed, aligned = (
        summary[f"mean_squared_torus_distance_{name}"] for name in ("list_order", "aligned")
    )
    assert aligned < listed
    assert pairs.mean_squared_torus_distance == pytest.approx(aligned)


def test_pairs_are_the_same_to_the_bit_on_two_processes(trained, prepared, tmp_path):
    out = tmp_path / "pairs"
    summary = make_pairs(trained[0] / "lm", prepared, out, PAIRS, device="cpu", workers=2)
    assert without_speed(summary) == without_speed(trained[2])
    one, two = (PairSet.load(f / "pairs.npz") for f in (trained[0] / "pairs", out))
    for name, values in one.arrays().items():
        assert np.array_equal(values, two.arrays()[name]), name
    speed, record = summary["speed"], json.loads((out / "run.json").read_text())
    assert record["summary"] == summary
    assert speed["processes"] == 2 and speed["new_pairs"] == 12
    # composition given: each sample is a space group's sentence and a crystal
    assert speed["decoding"]["texts"] == 2 * summary["drawn"]
    assert speed["decoding"]["tokens_per_second"] > 0


def test_noisy_copies_stand_behind_the_pairs(trained, prepared, tmp_path):
    settings = PairSettings(**{**vars(PAIRS), "perturbed": 5})
    out = tmp_path / "pairs"
    summary = make_pairs(trained[0] / "lm", prepared, out, settings, device="cpu")
    pairs, plain = (PairSet.load(f / "pairs.npz") for f in (out, trained[0] / "pairs"))
    assert len(pairs) == summary["pairs"] + 5 == 17
    assert np.array_equal(pairs[:12].c0.frac_coords, plain.c0.frac_coords)
    assert pairs[12:].mean_squared_torus_distance < plain.mean_squared_torus_distance
    assert not list((out / "chunks").glob("noisy-*"))


def test_a_worker_that_finds_another_model_refuses(trained, prepared, system_folder):
    prior = LanguageModelPrior.from_pretrained(trained[0] / "lm")
    source = PriorSource.of(prior, "language-model", trained[0] / "lm", prepared, "cpu")
    assert source() is source()  # loaded once
    moved = replace(source, lm=str(system_folder / "prior"))
    with pytest.raises(InputError, match="a different model here than where the run was planned"):
        moved()
    types = make_prior("types", prior, load_dataset(prepared, "train").crystals)
    other = PriorSource.of(types, "types", trained[0] / "lm", prepared, "cpu")
    assert other().digest() == types.digest()


def test_both_parts_join_into_a_system_that_generates(trained, prepared, tmp_path):
    folder, out = trained[0], tmp_path / "system"
    combine(folder / "lm", folder / "flow", prepared, out, half=False)
    same_weights(out / "prior", folder / "lm")
    same_weights(out / "refiner", folder / "flow" / "model")
    for name, of in (("prior", "lm"), ("refiner", "flow")):  # the loss curves travel with them
        assert (out / name / "log.jsonl").read_bytes() == (folder / of / "log.jsonl").read_bytes()
    system = FlowLLM.from_pretrained(out, "cpu")
    training = load_dataset(prepared, "train")
    assert system.num_atoms_histogram == num_atoms_histogram(training)
    assert system.training == TrainingRanges.of(training)
    assert system.generate(2, formula="NaCl").refined.formulas == ["NaCl"] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["system"]


def test_a_system_is_replaced_only_on_request_and_its_card_stays(trained, prepared, tmp_path):
    parts = trained[0] / "lm", trained[0] / "flow", prepared
    combine(*parts, tmp_path / "system")
    (tmp_path / "system" / "README.md").write_text("card")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "system").rglob("*")}
    again = combine(*parts, tmp_path / "system")  # the same: it is done
    assert again.training == FlowLLM.from_pretrained(tmp_path / "system", "cpu").training
    with pytest.raises(InputError, match="contains another system; use --overwrite"):
        combine(*parts, tmp_path / "system", half=False)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "system").rglob("*")} == before
    combine(*parts, tmp_path / "system", half=False, overwrite=True)
    assert (tmp_path / "system" / "README.md").read_text() == "card"
    stored = load_file(tmp_path / "system" / "prior" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float32}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("")
    for name, message in (("other", "not part of a system"), ("file", "is a file")):
        with pytest.raises(InputError, match=message):
            combine(*parts, tmp_path / name, overwrite=True)
    assert (tmp_path / "other" / "thesis.tex").read_text() == "years of work"


def test_the_histogram_counts_every_size(sample_crystals):
    counts = num_atoms_histogram(CrystalSet(sample_crystals))
    assert len(counts) == 20 and sum(counts) == len(sample_crystals)
    assert counts[1] == int((sample_crystals.num_atoms == 2).sum())


def test_data_without_a_validation_split_give_some_for_it(tmp_path, monkeypatch, sample_crystals):
    train = CrystalSet(sample_crystals[:41])
    monkeypatch.setattr("flowllm.workflows.train.splits.load_dataset", lambda data, split: train)
    kept, held_out = training_splits(tmp_path)
    assert len(held_out) == 2 and len(kept) == 39
    assert not set(kept.crystals.ids) & set(held_out.crystals.ids)
    monkeypatch.setattr(
        "flowllm.workflows.train.splits.load_dataset", lambda data, split: train[:1]
    )
    with pytest.raises(InputError, match="at least 2"):
        training_splits(tmp_path)


# ---- killed and started again --------------------------------------------------------------------

KILL_TRAINING = """
import os, signal
from pathlib import Path
from transformers import Trainer
from flowllm.workflows.train import *

step_of = Trainer.training_step
def step(self, *arguments, **options):
    if self.state.global_step == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return step_of(self, *arguments, **options)
Trainer.training_step = step
"""
KILL_LM = KILL_TRAINING + ("train_compact(data, out, sizes, settings, device='cpu')\n")
KILL_FLOW = KILL_TRAINING + "train_on_pairs(pairs, out, settings)\n"
KILL_PAIRS = """
import os, signal
from flowllm.workflows.train import make_pairs

replace = os.replace
def kill(source, target):  # the third chunk is written, but has not got its name
    if str(target).endswith("chunk-00002.npz"):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = kill
make_pairs(lm, data, out, settings, device="cpu")
"""


def test_a_killed_training_of_the_language_model_ends_as_one_that_was_not(
    trained, prepared, in_process, tmp_path
):
    out = tmp_path / "lm"
    names = {"data": str(prepared), "out": out, "sizes": TINY_LM, "settings": LM, "last": 8}
    assert in_process(KILL_LM, **names) == -signal.SIGKILL
    kept = out / "checkpoints" / "checkpoint-6"
    before = (kept / "model.safetensors").stat().st_mtime_ns
    assert train_language_model(prepared, out) == trained[1]
    same_weights(out, trained[0] / "lm")
    steps = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert steps == ["checkpoint-12", "checkpoint-9"]
    assert before < (out / "checkpoints" / "checkpoint-9" / "model.safetensors").stat().st_mtime_ns
    logs = [
        [json.loads(line)["step"] for line in (f / "log.jsonl").read_text().splitlines()]
        for f in (out, trained[0] / "lm")
    ]
    assert logs[0] == logs[1]


def test_killed_pairing_keeps_its_chunks_and_ends_as_one_that_was_not(
    trained, prepared, in_process, tmp_path
):
    out = tmp_path / "pairs"
    names = {"lm": trained[0] / "lm", "data": prepared, "out": out, "settings": PAIRS}
    assert in_process(KILL_PAIRS, **names) == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in sorted((out / "chunks").glob("chunk-*"))}
    assert [path.name for path in kept] == ["chunk-00000.npz", "chunk-00001.npz"]
    with pytest.raises(InputError, match="when it is finished"):
        train_on_pairs(out, tmp_path / "flow", FLOW)
    assert not (tmp_path / "flow").exists()
    summary = make_pairs(trained[0] / "lm", prepared, out, PAIRS, device="cpu")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert without_speed(summary) == without_speed(trained[2])
    whole, resumed = (PairSet.load(f / "pairs.npz") for f in (trained[0] / "pairs", out))
    for name, values in whole.arrays().items():
        assert np.array_equal(values, resumed.arrays()[name]), name


def test_a_killed_training_of_the_flow_ends_as_one_that_was_not(trained, in_process, tmp_path):
    out = tmp_path / "flow"
    names = {"pairs": trained[0] / "pairs", "out": out, "settings": FLOW, "last": 5}
    assert in_process(KILL_FLOW, **names) == -signal.SIGKILL
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == [
        "checkpoint-2",
        "checkpoint-4",
    ]
    seen = []
    train_on_pairs(trained[0] / "pairs", out, FLOW, progress=lambda *step: seen.append(step))
    assert seen[0][0] == 5 and seen[-1][0] == seen[-1][1]
    same_weights(out / "model", trained[0] / "flow" / "model")


# ---- finished, another run, overwrite ------------------------------------------------------------


def test_finished_stages_are_not_done_again(trained, prepared, monkeypatch):
    folder, figures, summary = trained
    for name in ("language_model.train_lm", "pairs.sample_pairs", "flow.train_flow"):
        monkeypatch.setattr(f"flowllm.workflows.train.{name}", None)
    assert train_language_model(prepared, folder / "lm") == figures
    more_threads = LMTrainSettings(**{**vars(LM), "threads": 2})  # how fast, not what
    assert train_language_model(prepared, folder / "lm", more_threads) == figures
    assert make_pairs(folder / "lm", prepared, folder / "pairs", PAIRS, device="cpu") == summary
    refiner = train_on_pairs(folder / "pairs", folder / "flow", FLOW)
    assert refiner.config == FLOW.network


def test_every_stage_refuses_a_folder_with_another_run(trained, prepared):
    folder = trained[0]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    with pytest.raises(InputError, match="epochs is 2 there and 3 now.*--overwrite"):
        settings = LMTrainSettings(**{**vars(LM), "epochs": 3})
        train_language_model(prepared, folder / "lm", settings)
    with pytest.raises(InputError, match=r"temperature is 0\.9 there and 0\.7 now.*--overwrite"):
        settings = PairSettings(**{**vars(PAIRS), "sampling": SamplingSettings()})
        make_pairs(folder / "lm", prepared, folder / "pairs", settings, device="cpu")
    with pytest.raises(InputError, match="hidden is 16 there and 18 now.*--overwrite"):
        network = VelocityConfig(**{**vars(FLOW.network), "hidden": 18})
        settings = FlowTrainSettings(**{**vars(FLOW), "network": network})
        train_on_pairs(folder / "pairs", folder / "flow", settings)
    with pytest.raises(InputError, match="of the command train-lm, not train-flow"):
        train_on_pairs(folder / "pairs", folder / "lm", FLOW)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_every_stage_overwrites_on_request(prepared, system_folder, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(
        "flowllm.workflows.train.language_model.train_lm",
        lambda *a, **o: ran.append("lm") or {"x": 1.0},
    )
    train_language_model(prepared, tmp_path / "lm")
    other = LMTrainSettings(**{**vars(LM), "seed": 1})
    assert train_language_model(prepared, tmp_path / "lm", other, overwrite=True) == {"x": 1.0}
    fewer = PairSettings(**{**vars(PAIRS), "num_pairs": 4})
    for settings in (PAIRS, fewer):
        summary = make_pairs(
            system_folder / "prior", prepared, tmp_path / "pairs", settings,
            device="cpu", overwrite=settings is fewer,
        )  # fmt: skip
    assert summary["pairs"] == 4
    monkeypatch.setattr("flowllm.workflows.train.flow.train_flow", lambda *a: ran.append("flow"))
    for settings in (FLOW, FlowTrainSettings(**{**vars(FLOW), "seed": 1})):
        train_on_pairs(
            tmp_path / "pairs", tmp_path / "flow", settings, overwrite=settings is not FLOW
        )
    assert ran == ["lm", "lm", "flow", "flow"]


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"num_pairs": 0},
        {"samples_per_target": 0},
        {"chunk_size": 0},
        {"keep": "worst"},
        {"alignment": "none"},
        {"seed": -1},
    ],
)
def test_settings_of_pairs_check_themselves(change):
    with pytest.raises(InputError, match=next(iter(change))):
        PairSettings(**change)


def test_errors_found_before_work_leave_no_folder(trained, prepared, tmp_path):
    out = tmp_path / "new" / "out"
    with pytest.raises(InputError, match="nowhere"):
        train_language_model(tmp_path / "nowhere", out)
    with pytest.raises(InputError, match="is not a language model"):
        make_pairs(tmp_path, prepared, out, PAIRS, device="cpu")
    with pytest.raises(InputError, match="nowhere"):
        make_pairs(trained[0] / "lm", tmp_path / "nowhere", out, PAIRS, device="cpu")
    with pytest.raises(InputError, match=r"contains no pairs\.npz"):
        train_on_pairs(tmp_path, out, FLOW)
    with pytest.raises(InputError, match="unknown device 'tpu'"):
        make_pairs(trained[0] / "lm", prepared, out, PAIRS, device="tpu")
    with pytest.raises(InputError, match="no weights folder"):
        combine(trained[0] / "lm", tmp_path / "nowhere", prepared, out)
    (tmp_path / "pairs.npz").write_bytes(b"PK no archive")
    with pytest.raises(InputError, match="contains no pairs"):
        train_on_pairs(tmp_path, out, FLOW)
    PairSet.load(trained[0] / "pairs" / "pairs.npz")[:1].save(tmp_path / "pairs.npz")
    with pytest.raises(InputError, match="at least 2"):
        train_on_pairs(tmp_path, out, FLOW)
    assert not out.parent.exists()


def test_a_loss_that_is_not_finite_is_said_in_a_line(trained, tmp_path, monkeypatch):
    def diverge(*arguments):
        raise FloatingPointError("the loss is not finite at step 3; lower learning_rate")

    monkeypatch.setattr("flowllm.workflows.train.flow.train_flow", diverge)
    with pytest.raises(InputError, match="lower learning_rate"):
        train_on_pairs(trained[0] / "pairs", tmp_path / "flow", FLOW)


def test_inputs_in_the_output_folder_are_safe(trained, prepared):
    folder = trained[0]
    with pytest.raises(InputError, match="lies in the output folder"):
        make_pairs(folder / "lm", prepared, folder, PAIRS, device="cpu", overwrite=True)
    with pytest.raises(InputError, match="lies in the output folder"):
        train_on_pairs(folder / "pairs", folder / "pairs", FLOW, overwrite=True)
    assert (folder / "lm" / "model.safetensors").is_file()
