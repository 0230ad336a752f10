"""A language model writes in its own text format, which is stored with it."""

import json

import pytest

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.language_model import (
    CompactConfig,
    LanguageModelPrior,
    LMTrainSettings,
    SamplingSettings,
    build_compact,
    train_lm,
)
from flowllm.methods.language_model.format_file import FILE
from flowllm.methods.language_model.invariance import invariance
from flowllm.methods.language_model.likelihood import score
from flowllm.systems.system import FlowLLM
from flowllm.text import build_tokenizer, make_format
from flowllm.text.formats.registry import FORMATS
from flowllm.text.prompts import OUTLINE, prompt_of
from tests.text.backward import MARKER, BackwardText

SETTINGS = LMTrainSettings(epochs=1, batch_size=16, warmup_steps=1, validation_rows=8, threads=1)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setitem(FORMATS, "backward", BackwardText)


@pytest.fixture
def folder(crystal_set, tmp_path):
    """A tiny model after one pass over crystals in the second format."""
    chosen = make_format("backward")
    tokenizer = build_tokenizer(chosen)
    model = build_compact(tokenizer, CompactConfig(32, 1, 2, 48), seed=1)
    train_lm(
        model, tokenizer, crystal_set[:96], crystal_set[96:], tmp_path / "lm", SETTINGS,
        text_format=chosen,
    )  # fmt: skip
    return tmp_path / "lm"


def test_a_second_format_is_trained_stored_and_sampled(folder, crystal_set, tmp_path):
    assert json.loads((folder / FILE).read_text()) == {"name": "backward", "max_atoms": 20}
    prior = LanguageModelPrior.from_pretrained(folder)
    assert prior.format == make_format("backward") and prior.outline == ("composition",)
    asked = [Conditions(composition={"Sr": 1, "Ti": 1, "O": 3}), Conditions(num_atoms=4)]
    texts = []
    system = FlowLLM(prior, None, [1.0] * 20)
    drawn = prior.sample(asked, SamplingSettings(), [1, 2])
    assert drawn.compositions[0] == asked[0].composition and drawn.num_atoms.tolist() == [5, 4]
    texts = prior.format.to_text(drawn)
    assert all(text.startswith(MARKER) for text in texts)
    # only what the format's outline has is written into the prompt
    (completed,) = prior.complete([prior.read(asked[1])], SamplingSettings(), [2])
    assert "unit cell" in prompt_of(completed) and completed.space_group is None
    # through a system and back from disk
    prior.save(tmp_path / "copy")
    again = LanguageModelPrior.load(tmp_path / "copy")
    assert again.digest() == prior.digest()
    assert again.format.to_text(again.sample(asked, SamplingSettings(), [1, 2])) == texts
    assert len(system.generate(3, elements="Li,O").prior) == 3
    # scored as it was trained
    found = score(prior.model, prior.tokenizer, crystal_set[:4], text_format=prior.format)
    assert (found.text_tokens == 11 + 4 * crystal_set.crystals[:4].num_atoms).all()
    moved = invariance(
        prior.model, prior.tokenizer, crystal_set[:4], "permutation", 2, text_format=prior.format
    )
    assert (moved.ipt >= 0).all()


def test_the_format_is_part_of_what_a_model_is(folder):
    prior = LanguageModelPrior.from_pretrained(folder)
    same = LanguageModelPrior(prior.model, prior.tokenizer, text_format=make_format("backward"))
    assert same.digest() == prior.digest()
    for other in (make_format("gruver"), make_format("backward", 19)):
        changed = LanguageModelPrior(prior.model, prior.tokenizer, text_format=other)
        assert changed.digest() != prior.digest()


def test_without_a_file_it_is_that_of_gruver(tiny, tokenizer, tmp_path):
    prior = LanguageModelPrior(tiny, tokenizer)
    prior.save(tmp_path)
    (tmp_path / FILE).unlink()
    loaded = LanguageModelPrior.load(tmp_path)
    assert loaded.format == make_format("gruver", 20) and loaded.outline == OUTLINE
    assert loaded.digest() == prior.digest()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"name": "runes", "max_atoms": 20}', "unknown text format 'runes'"),
        ('{"name": "gruver"}', "does not name a text format"),
        ("[]", "does not name a text format"),
    ],
)
def test_a_damaged_file_is_named(tiny, tokenizer, tmp_path, content, said):
    LanguageModelPrior(tiny, tokenizer).save(tmp_path)
    (tmp_path / FILE).write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        LanguageModelPrior.load(tmp_path)
    assert FILE in str(caught.value)


def test_settings_name_a_format_that_there_is():
    assert LMTrainSettings(text_format="backward").text_format == "backward"
    with pytest.raises(InputError, match="unknown text format 'runes'"):
        LMTrainSettings(text_format="runes")
