"""Memory and time of fine-tuning, as computed, against models that are really trained."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, Qwen2Config

from flowllm.methods.language_model.finetune.adapters import add_adapter
from flowllm.methods.language_model.finetune.settings import AdapterSettings

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parents[3] / "recipes" / "finetune_memory.py"
_spec = importlib.util.spec_from_file_location("finetune_memory", RECIPE)
_recipe = sys.modules["finetune_memory"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_recipe)
LLAMA2_7B, LLAMA2_70B, Plan = _recipe.LLAMA2_7B, _recipe.LLAMA2_70B, _recipe.Plan
activation_memory, count_parameters = _recipe.activation_memory, _recipe.count_parameters
training_flops, training_memory = _recipe.training_flops, _recipe.training_memory

SMALL = LlamaConfig(
    vocab_size=500, hidden_size=128, intermediate_size=352, num_hidden_layers=6,
    num_attention_heads=4, num_key_value_heads=2, use_cache=False,
)  # fmt: skip
WIDE = LlamaConfig(
    vocab_size=300, hidden_size=192, intermediate_size=320, num_hidden_layers=2,
    num_attention_heads=4, use_cache=False,
)  # fmt: skip


def model_of(config, plan):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    if plan.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return (add_adapter(model, plan.adapter) if plan.adapter else model).train()


def some_ids(config, plan):
    return torch.arange(plan.texts * plan.length).reshape(plan.texts, -1) % config.vocab_size


def plan_of(adapter, checkpointing=False):
    return Plan(adapter, None, texts=4, length=96, checkpointing=checkpointing, half=False)


@pytest.mark.parametrize("adapter", [None, AdapterSettings(4)], ids=["whole", "adapter"])
@pytest.mark.parametrize(
    "config",
    [SMALL, GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=90), Qwen2Config(
        vocab_size=90, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2,
    )],
    ids=["llama", "gpt2", "qwen2"],
)  # fmt: skip
def test_weights_gradients_and_moments_are_those_of_a_real_step(config, adapter):
    plan = plan_of(adapter)
    model = model_of(config, plan)
    count, need = count_parameters(config, adapter), training_memory(config, plan)
    assert sum(p.numel() for p in model.parameters()) == count.base + count.adapter
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    ids = torch.arange(80).reshape(2, -1)
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()

    def size(tensors):
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    moments = [t for s in optimizer.state.values() for k, t in s.items() if k != "step"]
    assert size(model.parameters()) == need.weights + need.adapter
    assert size(p.grad for p in trained) == need.gradients
    assert size(moments) == need.optimizer


@pytest.mark.parametrize("config", [SMALL, WIDE], ids=["small", "wide"])
@pytest.mark.parametrize("adapter", [None, AdapterSettings()], ids=["whole", "adapter"])
def test_activations_are_those_that_a_real_backward_pass_finds(config, adapter):
    plan = plan_of(adapter)
    model, ids = model_of(config, plan), some_ids(config, plan)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=ids, labels=ids)
    found = sum(storage.nbytes() for storage in kept.values())
    assert activation_memory(config, plan) == pytest.approx(found, rel=0.1)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_total_is_the_peak_of_a_real_training(checkpointing):
    plan = plan_of(None, checkpointing)
    model, ids = model_of(SMALL, plan), some_ids(SMALL, plan)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    tracker = MemTracker()
    tracker.track_external(model, optimizer, ids)
    with tracker:
        for _ in range(2):  # the moments are made in the first step
            model(input_ids=ids, labels=ids).loss.backward()
            tracker.reset_mod_stats()
            optimizer.step()
            optimizer.zero_grad()
    peak = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]
    assert training_memory(SMALL, plan).total == pytest.approx(peak, rel=0.15)


@pytest.mark.parametrize("config", [SMALL, WIDE], ids=["small", "wide"])
@pytest.mark.parametrize("adapter", [None, AdapterSettings()], ids=["whole", "adapter"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_operations_are_those_that_are_counted(config, adapter, checkpointing):
    plan = plan_of(adapter, checkpointing)
    model, ids = model_of(config, plan), some_ids(config, plan)
    if adapter:
        model.enable_input_require_grads()  # as the Trainer does
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids).loss.backward()
    assert training_flops(config, plan, ids.numel()) == pytest.approx(
        counter.get_total_flops(), rel=0.1
    )


def test_the_models_of_the_paper_have_their_known_sizes():
    assert count_parameters(LLAMA2_7B).base == 6_738_415_616
    assert count_parameters(LLAMA2_70B).base == 68_976_648_192
    # 8 for each input and output of seven matrices a block
    wide = 4 * 2 * 4096 + 3 * (4096 + 11_008)
    assert count_parameters(LLAMA2_7B, AdapterSettings()).adapter == 32 * 8 * wide


def test_four_bits_hold_the_blocks_in_little_more_than_half_a_byte():
    need = training_memory(LLAMA2_70B, Plan(load_in="4bit"))
    count = count_parameters(LLAMA2_70B)
    assert 0.51 < (need.weights - 4 * count.others) / count.blocks < 0.53
    eight = training_memory(LLAMA2_70B, Plan(load_in="8bit"))
    assert eight.weights - 4 * count.others == count.blocks


def test_the_page_on_large_models_says_what_is_computed():
    page = Path(__file__).parents[3] / "docs" / "howto" / "large-model.md"
    assert _recipe.table() in page.read_text(encoding="utf-8")
