"""Likelihoods: against a plain computation, additive, blind to padding; and their invariance."""

import numpy as np
import pytest
import torch

from flowllm.conditions.conditions import Conditions
from flowllm.data import CrystalSet
from flowllm.errors import InputError
from flowllm.methods.language_model.invariance import invariance
from flowllm.methods.language_model.likelihood import as_crystal_set, score
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.systems.record import PRETRAINED
from flowllm.text.formats.gruver.strings import parse_text, to_text
from flowllm.text.prompts import OUTLINE, build_prompt


@pytest.fixture(scope="module")
def shipped():
    return LanguageModelPrior.from_pretrained(PRETRAINED / "mp20-compact" / "lm")


@pytest.fixture(scope="module")
def some(sample_crystals):
    return as_crystal_set(sample_crystals[:24])


def plain(prior, prompt: str, text: str) -> np.ndarray:
    """The log-likelihoods of the tokens of one text after one prompt, without batch or padding."""
    before = prior.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = prior.tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[*before, *after, prior.tokenizer.eos_token_id]])
    with torch.inference_mode():
        logs = prior.model(input_ids=ids).logits[0].double().log_softmax(-1)
    return np.array([logs[k - 1, ids[0, k]].item() for k in range(len(before), ids.shape[1])])


def test_a_likelihood_is_that_of_a_plain_computation(shipped, some):
    found = score(shipped.model, shipped.tokenizer, some, given=OUTLINE)
    groups = some.properties["space_group"]
    for row, text in enumerate(to_text(some.crystals)[:8]):
        group = None if np.isnan(groups[row]) else int(groups[row])
        asked = Conditions(composition=some.crystals.compositions[row], space_group=group)
        logs = plain(shipped, build_prompt(asked), text)
        assert found.text[row] == pytest.approx(logs.sum(), abs=1e-3)
        assert found.text_tokens[row] == len(logs)
        assert found.perplexity[row] == pytest.approx(np.exp(-logs.mean()), rel=1e-4)
    assert (found.outline == 0).all() and (found.outline_tokens == 0).all()


def test_the_outline_and_the_text_add_up(shipped, some):
    whole = score(shipped.model, shipped.tokenizer, some)
    given = score(shipped.model, shipped.tokenizer, some, given=OUTLINE)
    np.testing.assert_allclose(whole.text, given.text, atol=1e-3)
    np.testing.assert_allclose(whole.total, whole.outline + given.text, atol=1e-3)
    assert (whole.outline < 0).all()
    expected = whole.total / (whole.outline_tokens + whole.text_tokens)
    np.testing.assert_allclose(whole.per_token, expected)


def test_it_is_the_loss_that_training_validates_with(shipped, some):
    from flowllm.methods.language_model.examples import CrystalExamples, collate

    examples = CrystalExamples(some, shipped.tokenizer, 1, 0, 8, OUTLINE)
    batch = collate([examples[k] for k in range(len(examples))], shipped.tokenizer.pad_token_id)
    with torch.inference_mode():
        loss = float(shipped.model(**batch).loss)
    whole = score(shipped.model, shipped.tokenizer, some)
    tokens = (whole.outline_tokens + whole.text_tokens).sum()
    assert -whole.total.sum() / tokens == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_neither_batches_nor_neighbours_matter(shipped, some, batch_size):
    reference = score(shipped.model, shipped.tokenizer, some)
    backwards = np.arange(len(some))[::-1]
    calls = []
    found = score(
        shipped.model, shipped.tokenizer, some[backwards], batch_size=batch_size,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    np.testing.assert_allclose(found.total[::-1], reference.total, atol=2e-3)
    assert calls[-1] == (len(some), len(some))


def test_a_crystal_with_its_atoms_moved_at_random_is_less_likely(shipped, some):
    generator = np.random.default_rng(0)
    crystals = some.crystals
    moved = crystals.replace(frac_coords=generator.random(crystals.frac_coords.shape))
    true = score(shipped.model, shipped.tokenizer, some, given=OUTLINE).text
    random = score(
        shipped.model, shipped.tokenizer, CrystalSet(moved, some.properties), given=OUTLINE
    ).text
    several = crystals.num_atoms > 2
    assert (random[several] < true[several]).mean() > 0.9


# ---- invariance ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["translation", "permutation"])
def test_the_increase_is_that_of_its_definition_and_the_first_is_the_crystal_itself(
    shipped, some, kind
):
    found = invariance(shipped.model, shipped.tokenizer, some, kind, num=4, seed=1)
    plain = score(shipped.model, shipped.tokenizer, some, given=OUTLINE)
    np.testing.assert_allclose(found.perplexity[:, 0], plain.perplexity, rtol=1e-4)
    assert found.perplexity.shape == found.nats.shape == (len(some), 4)
    expected = np.array([np.mean(row) - min(row) for row in found.perplexity])
    np.testing.assert_allclose(found.ipt, expected)
    assert (found.ipt >= 0).all() and found.ipt.max() > 0
    again = invariance(shipped.model, shipped.tokenizer, some[:5], kind, num=4, seed=1)
    np.testing.assert_allclose(again.nats, found.nats[:5], atol=2e-3)
    assert found.estimates()["IPT"].value == pytest.approx(found.ipt.mean())


def test_a_model_trained_on_one_setting_prefers_it(shipped, some):
    found = invariance(shipped.model, shipped.tokenizer, some, "translation", num=6)
    assert (found.nats.argmin(1) == 0).mean() > 0.7


def test_a_crystal_with_one_atom_of_each_element_cannot_be_permuted(shipped, some):
    single = np.array([max(c.values()) == 1 for c in some.crystals.compositions])
    assert single.any() and not single.all()
    found = invariance(shipped.model, shipped.tokenizer, some, "permutation", num=3)
    np.testing.assert_allclose(found.ipt[single], 0, atol=1e-3)
    assert found.ipt[~single].max() > 0.1


def test_permuted_texts_hold_the_same_atoms(some):
    keys = np.random.default_rng(3).random(len(some.crystals.frac_coords))
    changed = 0
    for plain, mixed in zip(
        to_text(some.crystals), to_text(some.crystals, within_element=keys), strict=True
    ):
        one, other = parse_text(plain), parse_text(mixed)
        np.testing.assert_array_equal(one.atomic_numbers, other.atomic_numbers)
        assert sorted(plain.split("\n")) == sorted(mixed.split("\n"))
        changed += plain != mixed
    assert changed > 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "rotation"}, "unknown transformation 'rotation'"),
        ({"num": 1}, "2 transformations"),
    ],
)
def test_what_makes_no_sense_is_refused(shipped, some, changes, message):
    with pytest.raises(InputError, match=message):
        invariance(shipped.model, shipped.tokenizer, some, **changes)
