"""The compact model's sizes, and its cache."""

import pytest
import torch

from flowllm.errors import InputError
from flowllm.methods.language_model import (
    CompactConfig,
    LMTrainSettings,
    SamplingSettings,
    build_compact,
)


def test_sizes_and_special_tokens(tokenizer, tiny_config):
    model = build_compact(tokenizer, tiny_config)
    assert model.get_input_embeddings().weight.shape == (len(tokenizer), 32)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert len(model.model.layers) == 2
    assert (model.config.pad_token_id, model.config.eos_token_id) == (0, 1)
    block = 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32
    assert sum(p.numel() for p in model.parameters()) == len(tokenizer) * 32 + 2 * block + 32


def test_weights_depend_on_the_seed_alone(tokenizer, tiny_config):
    first, same, other = (build_compact(tokenizer, tiny_config, seed) for seed in (3, 3, 4))
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, same.state_dict()[name])
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (CompactConfig, {"hidden": 0}, "hidden"),
        (CompactConfig, {"layers": -1}, "layers"),
        (CompactConfig, {"hidden": 30, "heads": 4}, "4 heads do not divide hidden 30"),
        (CompactConfig, {"hidden": 12, "heads": 4}, "4 heads do not divide hidden 12"),
        (LMTrainSettings, {"epochs": 0}, "epochs"),
        (LMTrainSettings, {"batch_size": 0}, "batch_size"),
        (LMTrainSettings, {"learning_rate": 0.0}, "learning_rate"),
        (LMTrainSettings, {"learning_rate": float("nan")}, "learning_rate"),
        (LMTrainSettings, {"optimizer": "sgd"}, "'sgd'"),
        (SamplingSettings, {"temperature": 0.0}, "temperature"),
        (SamplingSettings, {"temperature": -1.0}, "temperature"),
        (SamplingSettings, {"temperature": float("nan")}, "temperature"),
        (SamplingSettings, {"top_p": 0.0}, "top-p"),
        (SamplingSettings, {"top_p": 1.01}, "top-p"),
        (SamplingSettings, {"top_p": float("nan")}, "top-p"),
        (SamplingSettings, {"noise": -0.1}, "noise"),
        (SamplingSettings, {"noise": float("inf")}, "noise"),
        (SamplingSettings, {"batch_size": 0}, "batch_size"),
        (SamplingSettings, {"max_new_tokens": 0}, "max_new_tokens"),
    ],
)
def test_settings_out_of_range_are_named(kind, values, said):
    with pytest.raises(InputError, match=said):
        kind(**values)
