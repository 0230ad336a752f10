"""Templates made of validation crystals of MP-20, and a random language model beside them."""

from __future__ import annotations

import pytest

from flowllm.methods.templates.build import build_table, described
from flowllm.methods.templates.prior import TemplatePrior
from flowllm.methods.templates.similarity import shipped_similarity


@pytest.fixture(scope="session")
def some_crystals(mp20_crystals):
    """300 crystals of up to six atoms: many share their stoichiometry."""
    return mp20_crystals[mp20_crystals.num_atoms <= 6][:300]


@pytest.fixture(scope="session")
def symmetric(some_crystals):
    return [described(crystal) for crystal in some_crystals]


@pytest.fixture(scope="session")
def table(some_crystals):
    return build_table(some_crystals, workers=1)


@pytest.fixture(scope="session")
def templates(table):
    return TemplatePrior(table, shipped_similarity())


@pytest.fixture(scope="session")
def symmetric_model():
    """A language model of symmetric texts with a few thousand random weights."""
    from flowllm.methods.language_model.compact import build_compact
    from flowllm.methods.language_model.prior import LanguageModelPrior
    from flowllm.methods.language_model.settings import CompactConfig
    from flowllm.text.formats.registry import make_format
    from flowllm.text.tokenizer import build_tokenizer

    text_format = make_format("wyckoff", 20)
    tokenizer = build_tokenizer(text_format)
    model = build_compact(tokenizer, CompactConfig(16, 1, 2, 24), seed=0)
    return LanguageModelPrior(model.eval(), tokenizer, text_format=text_format)
