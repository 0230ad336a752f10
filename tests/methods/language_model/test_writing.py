"""The decoding loop: what is padded, shared and left idle, against an independent count."""

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.methods.language_model import SamplingSettings
from flowllm.methods.language_model.decoding.batches import in_batches
from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.decoding.loop import write
from flowllm.methods.language_model.rules import expected_atoms
from flowllm.systems.decoding_figures import DecodingFigures, count_decoding
from flowllm.text import build_prompt
from flowllm.text.formats.gruver.state import GruverState
from flowllm.text.formats.gruver.table import GruverTable
from flowllm.text.prompts import read_prompt

SIZES = [3, 1, 6, 2, 6, 3, 4, 6]


@pytest.fixture
def begin(tokenizer):
    """States at the beginning of texts of some sizes."""
    table = GruverTable(tokenizer, 20)
    return lambda sizes: [GruverState(table, CompositionRule(20, num_atoms=n)) for n in sizes]


class Watcher:
    """A model that notes the shape and the mask of each pass."""

    def __init__(self, model):
        self.model, self.passes = model, []
        self.config, self.device, self.eval = model.config, model.device, model.eval

    def __call__(self, *, input_ids, attention_mask, **rest):
        self.passes.append((input_ids.clone(), attention_mask.clone()))
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **rest)


def lengths_of(texts, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Tokens of each text, the end's among them."""
    return [len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1 for text in texts]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_figures_are_those_of_an_independent_count(tiny, tokenizer, begin, batch_size):
    prompts = [build_prompt(Conditions(num_atoms=n)) for n in SIZES]
    prompts[1] = build_prompt(Conditions(formula="Si", num_atoms=1, e_above_hull=0.1))
    settings = SamplingSettings(temperature=1.0, batch_size=batch_size)
    watcher = Watcher(tiny)
    with count_decoding() as figures:
        texts = decode(watcher, tokenizer, prompts, settings, range(8), begin(SIZES))
    widths, lengths = lengths_of(prompts, tokenizer), lengths_of(texts, tokenizer)
    widths = [width - 1 for width in widths]  # a prompt has no end
    assert lengths == [10 + 4 * n for n in SIZES]
    first = [(ids, mask) for ids, mask in watcher.passes if ids.shape[1] > 1]
    later = [(ids, mask) for ids, mask in watcher.passes if ids.shape[1] == 1]
    assert figures.texts == 8 and figures.prompt_tokens == sum(widths)
    assert figures.tokens == sum(lengths)
    assert figures.passes == len(watcher.passes)
    assert figures.encoded == sum(mask.numel() for _, mask in first)
    assert figures.padded == sum(int((mask == 0).sum()) for _, mask in first)
    # each token but a text's first takes a row of a later pass
    assert figures.rows == sum(len(ids) for ids, _ in later) == sum(n - 1 for n in lengths)
    # longest first, and a batch goes on as long as its longest text
    ranked = sorted(lengths, reverse=True)
    groups = [ranked[k : k + batch_size] for k in range(0, 8, batch_size)]
    assert figures.slots == sum(len(g) * (g[0] - 1) for g in groups)
    assert figures.idle == pytest.approx(1 - figures.rows / figures.slots)
    assert figures.padding == pytest.approx(figures.padded / (figures.encoded + figures.rows))
    if batch_size == 1:
        assert figures.padded == 0 and figures.idle == 0 and figures.shared == 0
    assert figures.seconds > 0
    assert figures.tokens_per_second == pytest.approx(figures.tokens / figures.seconds)


def test_equal_prompts_are_passed_over_once_and_change_nothing(tiny, tokenizer, begin):
    one, other = (build_prompt(Conditions(num_atoms=n)) for n in (2, 3))
    prompts, sizes = [one, other, one, one, other], [2, 3, 2, 2, 3]
    settings = SamplingSettings(temperature=1.2, top_p=1.0)
    watcher = Watcher(tiny)
    with count_decoding() as figures:
        texts = decode(watcher, tokenizer, prompts, settings, range(5), begin(sizes))
    assert [len(ids) for ids, _ in watcher.passes][:2] == [2, 5]
    assert figures.shared == pytest.approx(3 / 5, abs=0.01)
    assert len(set(texts)) == 5
    for index in range(5):
        alone = decode(tiny, tokenizer, [prompts[index]], settings, [index], begin([sizes[index]]))
        assert alone == [texts[index]]


def test_like_texts_and_equal_prompts_stand_together(tokenizer, begin):
    sizes = [2, 5, 2, 5, 2, 5]
    prompts = [build_prompt(Conditions(num_atoms=n)) for n in sizes]
    settings = SamplingSettings(batch_size=3)
    batches = list(in_batches(tokenizer, prompts, settings, range(6), begin(sizes)))
    assert [batch.positions for batch in batches] == [[1, 3, 5], [0, 2, 4]]
    assert [batch.seeds for batch in batches] == [[1, 3, 5], [0, 2, 4]]
    for batch in batches:
        assert len({tuple(ids) for ids in batch.prompts}) == 1
    # where no state knows the length, the caller may
    free = list(in_batches(tokenizer, prompts, settings, range(6), lengths=[0, 9, 1, 8, 2, 7]))
    assert [batch.positions for batch in free] == [[1, 3, 5], [4, 2, 0]]


def test_a_free_model_s_prompts_say_how_long_the_text_will_be():
    for asked, atoms in (
        (Conditions(composition={"Sr": 1, "Ti": 1, "O": 3}), 5),
        (Conditions(num_atoms=7), 7),
        (Conditions(formula="SrTiO3"), 0),
    ):
        assert expected_atoms(asked) == atoms
    assert expected_atoms(read_prompt("The number of atoms is many. ")) == 0


def test_free_texts_are_sorted_by_it_and_stay_the_same(tiny, tokenizer):
    with torch.no_grad():  # an end that comes soon
        tiny.lm_head.weight[1] += 0.5 * tiny.lm_head.weight.mean(0)
    asked = [Conditions(num_atoms=n) for n in (2, 9, 4, 7)]
    prompts = [build_prompt(conditions) for conditions in asked]
    settings = SamplingSettings(max_new_tokens=30, batch_size=2)
    lengths = [expected_atoms(conditions) for conditions in asked]
    batches = list(in_batches(tokenizer, prompts, settings, range(4), None, lengths))
    assert [batch.positions for batch in batches] == [[1, 3], [2, 0]]
    free = decode(tiny, tokenizer, prompts, settings, [1, 2, 3, 4], lengths=lengths)
    assert free == decode(tiny, tokenizer, prompts, settings, [1, 2, 3, 4])


def test_steps_hold_what_was_drawn(tiny, tokenizer, begin):
    (batch,) = in_batches(
        tokenizer, [build_prompt()] * 3, SamplingSettings(), range(3), begin([1, 3, 2])
    )
    ended, checks = {}, []
    for step in write(tiny, tokenizer, batch, SamplingSettings(), lambda: checks.append(1)):
        assert len(step.rows) == len(step.logits) == len(step.draw.tokens)
        assert set(ended).isdisjoint(step.rows.tolist())
        ended |= step.ended
    assert {place: len(tokens) for place, tokens in ended.items()} == {0: 21, 1: 17, 2: 13}
    assert len(checks) == 22  # before each pass


def test_what_a_check_raises_ends_the_writing(tiny, tokenizer, begin):
    checks = iter([None, None, ZeroDivisionError()])

    def check():
        error = next(checks)
        if error:
            raise error

    (batch,) = in_batches(tokenizer, [build_prompt()], SamplingSettings(), [0], begin([2]))
    with pytest.raises(ZeroDivisionError):
        list(write(tiny, tokenizer, batch, SamplingSettings(), check))


# ---- figures


def test_figures_of_parts_add_up_and_come_back_from_a_record(tiny, tokenizer, begin):
    settings = SamplingSettings(batch_size=2)
    with count_decoding() as whole:
        parts = []
        for size in (1, 4):
            with count_decoding() as part:
                decode(tiny, tokenizer, [build_prompt()] * 3, settings, range(3), begin([size] * 3))
            parts.append(part)
    total = sum(parts, DecodingFigures())
    assert total.seconds == pytest.approx(whole.seconds)
    assert (total.tokens, total.rows, total.slots) == (whole.tokens, whole.rows, whole.slots)
    assert total.tokens == 3 * 14 + 3 * 26
    record = np.array([*vars(total).values()], dtype=np.float64)
    assert DecodingFigures.of(record) == total
    with pytest.raises(ValueError, match="shorter"):
        DecodingFigures.of(record[:-1])
    summary = total.summary()
    assert summary["tokens"] == total.tokens and summary["idle"] == round(total.idle, 4)
    assert f"{total.tokens:,} tokens" in str(total)


def test_nothing_written_is_no_division_by_zero():
    empty = DecodingFigures()
    assert empty.tokens_per_second == empty.padding == empty.idle == 0
    with count_decoding() as outside:
        pass
    assert outside == empty
