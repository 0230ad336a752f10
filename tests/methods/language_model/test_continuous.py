"""Continuous batching by transformers writes the texts of our own loop, each by its own seed."""

import numpy as np
import pytest
import torch
from transformers import ContinuousBatchingConfig

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.language_model import LanguageModelPrior, SamplingSettings
from flowllm.methods.language_model.decoding import continuous as engine
from flowllm.methods.language_model.decoding.continuous import decode_continuously
from flowllm.methods.language_model.decoding.decode import decode
from flowllm.systems.decoding_figures import count_decoding
from flowllm.text import build_prompt

SETTINGS = SamplingSettings(temperature=1.0, top_p=0.95, max_new_tokens=60, batch_size=3)
PROMPTS = [build_prompt(Conditions(num_atoms=n)) for n in (2, 3, 4, 5)] * 3
SEEDS = list(range(100, 112))


@pytest.fixture
def free(tiny):
    """A tiny model that ends soon, often but not always within 60 tokens."""
    with torch.no_grad():
        tiny.lm_head.weight[1] *= 6
    return tiny


def small():
    """Few pages, so that texts have to wait for each other."""
    return ContinuousBatchingConfig(
        num_blocks=32, max_batch_tokens=64, page_size=16, max_requests_per_batch=3
    )


def test_it_writes_what_our_own_loop_writes(free, tokenizer):
    done, state = [], torch.random.get_rng_state()
    with count_decoding() as figures:
        found = decode_continuously(free, tokenizer, PROMPTS, SETTINGS, SEEDS, done.append, small())
    expected = decode(free, tokenizer, PROMPTS, SETTINGS, SEEDS)
    assert found == expected
    ended = [text for text in expected if text is not None]
    assert 3 < len(ended) < 12 and len(set(ended)) > 3  # some end, some are cut
    assert done == [1] * len(ended)
    assert figures.texts == 12 and figures.tokens > 12 and figures.seconds > 0
    # the model and torch's generator are left as they were
    assert free.config._attn_implementation == "sdpa"
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_text_depends_on_its_seed_and_not_on_its_neighbours(free, tokenizer):
    whole = decode_continuously(free, tokenizer, PROMPTS, SETTINGS, SEEDS, batching=small())
    order = [7, 0, 11, 4]
    some = decode_continuously(
        free, tokenizer, [PROMPTS[i] for i in order], SETTINGS, [SEEDS[i] for i in order]
    )
    assert some == [whole[i] for i in order]
    other = decode_continuously(free, tokenizer, PROMPTS[:4], SETTINGS, [1, 2, 3, 4])
    assert other != whole[:4]


def test_there_may_be_nothing_to_write_but_no_empty_prompt(free, tokenizer):
    assert decode_continuously(free, tokenizer, [], SETTINGS, []) == []
    with pytest.raises(InputError, match="'' is empty"):
        decode_continuously(free, tokenizer, [""], SETTINGS, [0])


def test_the_prior_takes_it_when_told_and_goes_on_without_where_it_fails(
    free, tokenizer, monkeypatch
):
    prior = LanguageModelPrior(free, tokenizer, constrained=False)
    calls = []

    def watched(*arguments):
        calls.append(1)
        return decode_continuously(*arguments)

    monkeypatch.setattr(engine, "decode_continuously", watched)
    own = prior._write_freely(PROMPTS, SETTINGS, SEEDS, None)
    assert not calls  # on a processor our own loop is faster
    told = SamplingSettings(**{**vars(SETTINGS), "continuous": True})
    assert prior._write_freely(PROMPTS, told, SEEDS, None) == own
    assert calls == [1]

    def broken(*_):
        raise ValueError("no such attention")

    monkeypatch.setattr(engine, "decode_continuously", broken)
    with pytest.raises(ValueError, match="no such attention"):
        prior._write_freely(PROMPTS, told, SEEDS, None)
    monkeypatch.setattr(type(free), "device", torch.device("cuda"))
    monkeypatch.setattr("flowllm.methods.language_model.prior.decode", lambda *_: ["our own"])
    with pytest.warns(UserWarning, match="no continuous batching of this model"):
        assert prior._write_freely(PROMPTS, SETTINGS, SEEDS, None) == ["our own"]
    never = SamplingSettings(**{**vars(SETTINGS), "continuous": False})
    assert prior._write_freely(PROMPTS, never, SEEDS, None) == ["our own"]


def test_a_generation_that_breaks_off_is_told(free, tokenizer, monkeypatch):
    def refuse(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine.SeededDraw, "__call__", refuse)
    with pytest.raises(InputError, match=r"broke off|out of memory"):
        decode_continuously(free, tokenizer, PROMPTS[:2], SETTINGS, [0, 1], batching=small())
    monkeypatch.undo()
    again = decode_continuously(free, tokenizer, PROMPTS[:2], SETTINGS, [0, 1], batching=small())
    assert again == decode(free, tokenizer, PROMPTS[:2], SETTINGS, [0, 1])


def test_the_draw_leaves_one_token_and_takes_the_number_of_its_place():
    rng = np.random.default_rng(0)
    numbers = {"a": rng.random(5, dtype=np.float32), "b": rng.random(5, dtype=np.float32)}
    chooser = engine.SeededDraw(SamplingSettings(1.0, 1.0), {"a": 10, "b": 20}, numbers)

    class Request:
        def __init__(self, name, offset):
            self.state = self
            self.request_id, self.position_offset = name, offset

    requests = [Request("a", 13), Request("warm up", 3), Request("b", 20)]
    argument = chooser.prepare_tensor_args(requests)
    found = argument.view(torch.float32).tolist()
    assert found == [numbers["a"][3], 0.0, numbers["b"][0]]
    scores = torch.from_numpy(rng.normal(size=(3, 9)).astype(np.float32))
    left = chooser(scores, argument)
    assert (left == 0).sum(-1).tolist() == [1, 1, 1]
    assert torch.isinf(left).sum(-1).tolist() == [8, 8, 8]
    ranked = scores.softmax(-1).sort(-1, descending=True)
    for row, number in enumerate(found):
        place = int((ranked.values[row].cumsum(0) <= number).sum())
        assert left[row, ranked.indices[row, place]] == 0
