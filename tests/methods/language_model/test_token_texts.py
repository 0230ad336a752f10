"""Texts token by token: what is written, and with which probability, against the likelihood."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.shipped import load_shipped
from flowllm.methods.language_model.likelihood import as_crystal_set, score
from flowllm.methods.language_model.token_texts import token_texts
from flowllm.methods.language_model.within import language_model_in
from flowllm.systems.system import FlowLLM
from flowllm.text.prompts import OPENING, REQUEST


@pytest.fixture(scope="module")
def crystals():
    return load_shipped("mp_20", "val").crystals[[3, 40, 41, 300]]


@pytest.fixture(scope="module", params=["mp20-symmetric", "mp20-compact"])
def reader(request):
    return language_model_in(FlowLLM.from_pretrained(request.param, "cpu").prior)


def test_probabilities_multiply_to_the_likelihood(reader, crystals):
    found = token_texts(reader, crystals)
    known = score(
        reader.model, reader.tokenizer, as_crystal_set(crystals), outline=reader.outline,
        text_format=reader.format,
    )  # fmt: skip
    assert sorted(found) == [0, 1, 2, 3]
    for row, text in found.items():
        nats = sum(math.log(p) for _, p in text if p is not None)
        # the likelihood counts the end of the text, too, of which the model is nearly sure
        assert known.total[row] <= nats + 1e-3 and nats - known.total[row] < 1


def test_pieces_are_the_prompt_and_the_crystal(reader, crystals):
    written = list(reader.format.to_text(crystals))
    for row, text in token_texts(reader, crystals).items():
        whole = "".join(piece for piece, _ in text)
        prompt, crystal = whole.split(REQUEST)
        assert prompt.startswith(OPENING.strip()) and "space group" in prompt
        assert crystal.split() == written[row].split()
        assert all(p is None or 0 < p <= 1 for _, p in text)
        assert next(piece for piece, p in text if p is None).startswith(OPENING.strip())


def test_what_has_no_text_is_missing(reader, crystals):
    open_one = crystals[0].replace(atomic_numbers=np.zeros_like(crystals[0].atomic_numbers))
    flat = crystals[1].replace(angles=[(0.0, 90.0, 90.0)])
    places = np.random.default_rng(0).random((200, 3))
    many = CrystalBatch([11] * 200, places, [(30, 31, 32)], [(80, 85, 95)], [200], ["many"])
    given = CrystalBatch.concatenate([open_one, many, crystals[2], flat])
    assert sorted(token_texts(reader, given)) == [2]
    assert token_texts(reader, given[[0, 1]]) == {}


def test_an_element_that_the_model_never_saw_is_no_obstacle(reader):
    flerovium = CrystalBatch([114], [(0, 0, 0)], [(4, 4, 4)], [(90, 90, 90)], [1], ["Fl"])
    for text in token_texts(reader, flerovium).values():
        assert all(p is None or 0 <= p <= 1 for _, p in text)
