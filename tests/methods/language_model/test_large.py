"""Models of other families learn to write crystals, by adapters or whole, and sample as priors."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from flowllm.conditions.conditions import Conditions
from flowllm.data import prepare
from flowllm.errors import InputError
from flowllm.methods.language_model import LanguageModelPrior, LMTrainSettings, SamplingSettings
from flowllm.methods.language_model.examples import IGNORED, CrystalExamples, collate, uniform_part
from flowllm.methods.language_model.finetune import load as large_prior
from flowllm.methods.language_model.finetune import train as room
from flowllm.methods.language_model.finetune.base import base_digest
from flowllm.methods.language_model.finetune.load import merge_into
from flowllm.methods.language_model.finetune.settings import AdapterSettings, LargeSettings
from flowllm.methods.language_model.finetune.train import Base, fine_tune
from flowllm.methods.language_model.likelihood import score
from flowllm.methods.language_model.prior import LargePrior, load_large
from flowllm.systems.system import FlowLLM
from flowllm.text import build_prompt, parse_prompt, to_text
from flowllm.text.encoding import beginning, encode_behind, encode_prompts
from flowllm.text.formats.registry import make_format
from flowllm.text.prompts import OUTLINE, read_prompt
from flowllm.training.callbacks import EarlyStop
from flowllm.workflows.train import PairSettings, combine, make_pairs

pytestmark = pytest.mark.slow

KINDS = ("llama", "neox", "gpt2", "qwen2", "slow")
MATRICES = {
    "llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
    "neox": {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"},
    "gpt2": {"c_attn", "c_proj", "c_fc"},
}
MATRICES["qwen2"] = MATRICES["slow"] = MATRICES["llama"]
SHORT = replace(
    LMTrainSettings.paper(), epochs=4, batch_size=4, learning_rate=1e-2, warmup_steps=2,
    validation_rows=8, checkpoint_steps=8, threads=1,
)  # fmt: skip


def settings_of(folder, **changes):
    return LargeSettings(str(folder), replace(SHORT, **changes.pop("training", {})), **changes)


def train(settings, data, validation, out):
    threads = torch.get_num_threads()
    figures = fine_tune(Base.find(settings.model), data, validation, out, settings)
    torch.set_num_threads(threads)
    return figures


def log_of(out, name="loss"):
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return {row["step"]: row[name] for row in rows if name in row}


def logits(model):
    with torch.inference_mode():
        return model(input_ids=torch.arange(3, 90)[None]).logits


@pytest.fixture(scope="module")
def small(crystal_set):
    """The crystals that have 4 atoms or fewer."""
    return crystal_set[np.flatnonzero(crystal_set.crystals.num_atoms <= 4)]


@pytest.fixture(scope="module", params=KINDS)
def adapted(request, base_folders, small, tmp_path_factory):
    """(kind, base's folder, adapter's folder, figures) of 16 steps on 16 crystals."""
    out = tmp_path_factory.mktemp(request.param)
    base = base_folders[request.param]
    data = small[np.resize(np.arange(len(small)), 16)]
    return request.param, base, out, train(settings_of(base), data, small[:6], out)


# ---- prompts and crystals in other tokens


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_is_read_as_it_will_be_written(kind, base_folders, small):
    tokenizer = AutoTokenizer.from_pretrained(base_folders[kind])
    examples = CrystalExamples(
        small, tokenizer, 1, 0, 4, given=OUTLINE, part=uniform_part, fixed=("formula",)
    )
    row = int(examples.order[3])
    prompt = build_prompt(Conditions(formula=small.reduced_formulas[row]))
    example = examples[3]
    asked = encode_prompts(tokenizer, [prompt])[0]
    ids, labels = example["input_ids"], example["labels"]
    assert ids[: len(asked)] == asked and labels[: len(asked)] == [IGNORED] * len(asked)
    answer = ids[len(asked) :]
    assert labels[len(asked) :] == answer and answer[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(answer[:-1]) == to_text(small.crystals)[row]
    first = {"llama": [1]}.get(kind, [])
    assert beginning(tokenizer) == first == ids[: len(first)]
    assert ids.count(tokenizer.eos_token_id) == 1
    if kind != "slow":
        whole = tokenizer(prompt + to_text(small.crystals)[row])["input_ids"]
        assert ids[:-1] == whole  # a text that is cut into two says the same
    batch = collate([example, examples[0]], 0)
    assert batch["attention_mask"].sum(1).tolist() == [len(ids), len(examples[0]["input_ids"])]


@pytest.mark.parametrize("kind", KINDS)
def test_no_crystal_is_longer_than_the_room_for_it(kind, base_folders, crystal_set):
    tokenizer = AutoTokenizer.from_pretrained(base_folders[kind])
    lengths = [len(ids) + 1 for ids in encode_behind(tokenizer, to_text(crystal_set.crystals))]
    assert max(lengths) <= make_format().longest(tokenizer) < 450


def test_prompts_state_any_number_of_what_is_known_equally_often():
    known = Conditions(formula="SrTiO3", num_atoms=5, space_group=221, band_gap=1.8)
    generator = np.random.default_rng(0)
    parts = [uniform_part(known, generator).known() for _ in range(3000)]
    sizes = np.bincount([len(part) for part in parts], minlength=5)
    assert (abs(sizes - 600) < 4 * np.sqrt(600 * 0.8)).all()
    for name in known.known():
        assert abs(np.mean([name in part for part in parts]) - 0.5) < 0.04


# ---- adapters of five kinds of models


def test_the_loss_falls_and_is_that_of_the_crystals_texts(adapted, small):
    kind, base, out, figures = adapted
    losses = list(log_of(out).values())
    assert len(losses) == 4 and losses[-1] < losses[0] - 0.2
    assert losses[0] == pytest.approx(np.log(load_large(base).model.config.vocab_size), abs=0.4)
    prior = load_large(out)
    total = count = 0.0
    for text in to_text(small[:6].crystals):
        ids = prior.tokenizer(build_prompt(), add_special_tokens=True)["input_ids"]
        if kind == "slow":
            ids = ids[:-1]  # the end that it sets behind any text
        answer = [*encode_behind(prior.tokenizer, [text])[0], prior.tokenizer.eos_token_id]
        with torch.inference_mode():
            said = prior.model(input_ids=torch.tensor([ids + answer])).logits[0, len(ids) - 1 : -1]
        total += float(cross_entropy(said, torch.tensor(answer), reduction="sum"))
        count += len(answer)
    assert figures["unconditional_nats_per_token"] == pytest.approx(total / count, rel=1e-4)
    assert figures["unconditional_nats_per_crystal"] == pytest.approx(total / 6, rel=1e-4)
    assert figures["unconditional_perplexity"] == pytest.approx(np.exp(total / count), rel=1e-3)


def test_the_adapter_lies_beside_every_matrix_of_the_blocks_in_pefts_format(adapted):
    kind, base, out, _ = adapted
    plain = AutoModelForCausalLM.from_pretrained(base)
    before = base_digest(base, "base")
    model = PeftModel.from_pretrained(plain, out)  # peft alone, without this package
    names = {name for name, _ in model.named_modules() if name.endswith("lora_A.default")}
    assert {name.split(".")[-3] for name in names} == MATRICES[kind]
    assert len(names) == 2 * {"neox": 4, "gpt2": 4}.get(kind, 7)
    about = json.loads((out / "adapter_config.json").read_text())
    assert about["base_model_name_or_path"] == str(base)
    assert (about["r"], about["lora_alpha"]) == (8, 32.0)
    assert json.loads((out / "base.json").read_text())["digest"] == before
    assert not any((out / n).exists() for n in ("model.safetensors", "training_args.bin"))
    assert torch.equal(logits(model.eval()), logits(load_large(out).model))


def test_crystals_are_scored_as_they_were_trained(adapted, small):
    _, _, out, figures = adapted
    prior = load_large(out)
    assert prior.outline == ()
    found = score(prior.model, prior.tokenizer, small[:6], outline=prior.outline)
    assert not found.outline_tokens.any()
    mean = -found.total.sum() / found.text_tokens.sum()
    assert mean == pytest.approx(figures["unconditional_nats_per_token"], rel=1e-4)


def test_merged_it_says_the_same_as_with_its_adapter(adapted, tmp_path):
    _, base, out, _ = adapted
    merge_into(out, tmp_path / "merged")
    merged, prior = LanguageModelPrior.from_pretrained(tmp_path / "merged"), load_large(out)
    assert isinstance(merged, LargePrior) and not isinstance(merged.model, PeftModel)
    assert torch.allclose(logits(merged.model), logits(prior.model), atol=1e-4)
    assert not torch.allclose(logits(load_large(base).model), logits(prior.model), atol=1e-2)
    for text in (build_prompt(), to_text_of_one()):
        assert merged.tokenizer(text)["input_ids"] == prior.tokenizer(text)["input_ids"]


def to_text_of_one():
    return "3.9 3.9 3.9\n90 90 90\nPo\n0.00 0.00 0.00"


# ---- a model that has learnt two crystals by heart


@pytest.fixture(scope="module")
def two(small):
    """Two short crystals of different elements."""
    order = np.argsort([len(text) for text in to_text(small.crystals)], kind="stable")
    return small[order[:2]]


@pytest.fixture(scope="module")
def taught(base_folders, small, two, tmp_path_factory):
    """(whole model, adapter of it): it learns the form, its adapter two crystals by heart."""
    root = tmp_path_factory.mktemp("taught")
    rows = {"epochs": 120, "learning_rate": 1e-2, "checkpoint_steps": 1000, "validation_rows": 2}
    whole = settings_of(
        base_folders["llama"], adapter=None, training={**rows, "batch_size": 8, "epochs": 40}
    )
    train(whole, small[:16], two, root / "whole")
    again = settings_of(
        root / "whole", adapter=AdapterSettings(16), training={**rows, "batch_size": 2}
    )
    train(again, two, two, root / "adapter")
    return root / "whole", root / "adapter"


@pytest.fixture(scope="module")
def sure(taught):
    return LanguageModelPrior.from_pretrained(taught[1])


def test_what_it_learnt_it_writes(sure, two):
    assert not sure.constrained and isinstance(sure.model, PeftModel)
    crystals = sure.sample([Conditions()] * 12, SamplingSettings(), range(12))
    assert len(crystals) >= 10
    assert set(crystals.formulas) == set(two.crystals.formulas)
    for formula, text in zip(two.crystals.formulas, to_text(two.crystals), strict=True):
        asked = [build_prompt(Conditions(formula=formula))] * 3
        assert (
            to_text(sure.sample([read_prompt(p) for p in asked], SamplingSettings(0.05), range(3)))
            == [text] * 3
        )


def test_all_weights_can_be_trained_too(taught, base_folders):
    whole = load_large(taught[0])
    assert not isinstance(whole.model, PeftModel)
    start = load_large(base_folders["llama"]).model.state_dict()
    for name, weight in whole.model.state_dict().items():
        assert not torch.equal(weight, start[name])


def test_it_is_a_prior_of_a_system_that_is_saved_and_loaded(sure, system, tmp_path):
    whole = FlowLLM(sure, system.refiner, [0, 1])
    generated = whole.generate(4, seed=3)
    assert len(generated.refined) == 4
    assert generated.refined.formulas == generated.prior.formulas
    whole.save_pretrained(tmp_path, half=True)
    assert not (tmp_path / "prior" / "model.safetensors").exists()  # the adapter alone
    loaded = FlowLLM.from_pretrained(tmp_path, "cpu")
    assert to_text(loaded.generate(4, seed=3).prior) == to_text(generated.prior)
    assert loaded.prior.digest() == sure.digest()


def test_what_is_no_crystal_is_rejected_and_counted(sure, system):
    warm = SamplingSettings(temperature=0.8, top_p=1.0)
    drawn = FlowLLM(sure, system.refiner, [0, 1]).generate(12, sampling=warm)
    assert len(drawn.prior) == 12 and drawn.stages[0].rejected > 0


def test_its_folder_goes_through_pairs_and_combination(taught, two, system_folder, tmp_path):
    (tmp_path / "cifs").mkdir()
    for name, text in zip(two.crystals.ids, two.crystals.to_cif(), strict=True):
        (tmp_path / "cifs" / f"{name}.cif").write_text(text)
    data, adapter = tmp_path / "data", taught[1]
    prepare(tmp_path / "cifs", data, workers=1)
    settings = PairSettings(SamplingSettings(0.5), num_pairs=4, perturbed=0)
    summary = make_pairs(adapter, data, tmp_path / "pairs", settings, device="cpu")
    assert summary["pairs"] >= 3
    combine(adapter, system_folder / "refiner", data, tmp_path / "system")
    whole = FlowLLM.from_pretrained(tmp_path / "system", "cpu")
    assert isinstance(whole.prior, LargePrior)
    with pytest.raises(InputError, match="compact"):
        combine(
            adapter, system_folder / "refiner", data, tmp_path / "typed", prior_kind="types"
        ).generate(1)


def test_as_many_texts_at_a_time_as_the_cache_has_room_for(sure, monkeypatch):
    # 2 layers, 2 heads of keys and of values, 16 numbers of 4 bytes each
    prompts, token = [build_prompt()] * 2, 2 * 2 * 2 * 16 * 4
    longest = sure.fit(prompts, SamplingSettings()).max_new_tokens
    length = longest + len(sure.tokenizer(prompts[0])["input_ids"])
    assert sure.fit(prompts, SamplingSettings()).batch_size == 256
    monkeypatch.setattr(large_prior, "CACHE_BYTES", 7.5 * token * length)
    assert sure.fit(prompts, SamplingSettings()).batch_size == 7
    monkeypatch.setattr(large_prior, "CACHE_BYTES", 1)
    assert sure.fit(prompts, SamplingSettings()).batch_size == 1


def test_half_precision_stays_what_it_is_where_a_model_is_passed_on(taught, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(taught[0], dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "bf16")
    AutoTokenizer.from_pretrained(taught[0]).save_pretrained(tmp_path / "bf16")
    stored = load_large(tmp_path / "bf16", as_stored=True)
    stored.save_pretrained(tmp_path / "copy", half=True)
    assert base_digest(tmp_path / "copy", "copy") == base_digest(tmp_path / "bf16", "bf16")
    assert load_large(tmp_path / "copy").model.dtype == torch.float32
    load_large(taught[0]).save_pretrained(tmp_path / "half", half=True)
    assert load_large(tmp_path / "half", as_stored=True).model.dtype == torch.float16


# ---- how training goes


def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    base_folders, small, tmp_path, monkeypatch
):
    settings = settings_of(
        base_folders["neox"], max_steps=7, limit=20, training={"epochs": 9, "checkpoint_steps": 3}
    )
    train(settings, small, small[:6], tmp_path / "whole")
    assert list(log_of(tmp_path / "whole")) == list(range(1, 8))
    assert log_of(tmp_path / "whole", "eval_loss").keys() == {3, 6, 7}

    def dying(*parts, **options):
        if (tmp_path / "cut/checkpoints/checkpoint-3/trainer_state.json").exists():
            raise KeyboardInterrupt
        return collate(*parts, **options)

    with monkeypatch.context() as patch:
        patch.setattr(room, "collate", dying)
        with pytest.raises(KeyboardInterrupt):
            train(settings, small, small[:6], tmp_path / "cut")
    assert not (tmp_path / "cut/adapter_model.safetensors").exists()
    train(settings, small, small[:6], tmp_path / "cut")
    first, second = (tmp_path / n / "adapter_model.safetensors" for n in ("whole", "cut"))
    assert first.read_bytes() == second.read_bytes()
    for name in ("loss", "eval_loss"):
        assert log_of(tmp_path / "whole", name) == log_of(tmp_path / "cut", name)


def test_training_stops_early_and_keeps_the_best_adapter(base_folders, crystal_set, two, tmp_path):
    settings = settings_of(
        base_folders["gpt2"], patience=2,
        training={"epochs": 200, "batch_size": 2, "checkpoint_steps": 2, "learning_rate": 0.1},
    )  # fmt: skip
    train(settings, two, crystal_set[:8], tmp_path)  # by heart: others become unlikely
    scored = log_of(tmp_path, "eval_loss")
    best = min(scored, key=scored.get)
    assert max(scored) < 200 and list(scored)[-3] == best
    kept = tmp_path / "checkpoints" / f"checkpoint-{best}" / "adapter_model.safetensors"
    assert (tmp_path / "adapter_model.safetensors").read_bytes() == kept.read_bytes()


def test_patience_counts_from_the_last_least_loss():
    stop = EarlyStop(2)
    rows = [{"eval_loss": value} for value in (3.0, 2.0, 2.5, 1.5, 1.6)]
    assert not stop.is_over([*rows, {"loss": 1.0}])
    assert stop.is_over([*rows, {"eval_loss": 1.5}])
    assert not EarlyStop(0).is_over([*rows, *rows, *rows])


def test_small_portions_and_recomputed_activations_change_nothing(base_folders, small, tmp_path):
    runs = {
        "plain": {},
        "portions": {"at_once": 2},
        "again": {"checkpointing": True},
    }
    for name, changes in runs.items():
        settings = settings_of(base_folders["qwen2"], max_steps=3, **changes)
        train(settings, small, small[:6], tmp_path / name)
    plain = log_of(tmp_path / "plain")
    for name in ("portions", "again"):
        assert log_of(tmp_path / name) == pytest.approx(plain, rel=1e-5)
        assert log_of(tmp_path / name, "eval_loss") == pytest.approx(
            log_of(tmp_path / "plain", "eval_loss"), rel=1e-5
        )


def test_the_defaults_are_the_papers():
    settings = LargeSettings("meta-llama/Llama-2-7b-hf")
    assert settings.adapter == AdapterSettings(8, 32.0, 0.0)
    assert (settings.training.epochs, settings.training.batch_size) == (10, 16)
    assert settings.training.learning_rate == 5e-4
    assert parse_prompt(build_prompt()) == Conditions()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"load_in": "2bit"}, "2bit"),
        ({"load_in": "4bit", "adapter": None}, "--lora"),
        ({"max_steps": 0}, "max_steps"),
        ({"limit": 0}, "limit"),
        ({"patience": -1}, "patience"),
        ({"training": {"optimizer": "muon"}}, "adamw"),
    ],
)
def test_settings_that_make_no_sense_are_named(wrong, said):
    with pytest.raises(InputError, match=said):
        settings_of("x", **wrong)
