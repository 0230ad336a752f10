"""2,000 broken inputs, the same in every run; each is read or refused in one line."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import write_corpus
from tests.fuzz.run import faults_of
from tests.fuzz.targets import TARGETS, Case, run_case

pytestmark = pytest.mark.slow

COUNTS = {
    "readers": 800,
    "archives": 400,
    "formulas": 400,
    "prompts": 200,
    "runs": 100,
    "weights": 100,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Files, runs and weights to break."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    write_corpus(folder)
    return folder


def test_every_target_has_its_share():
    assert COUNTS.keys() == TARGETS.keys() and sum(COUNTS.values()) == 2_000


@pytest.mark.parametrize("target", TARGETS)
def test_broken_inputs_are_read_or_refused_in_one_line(corpus, target):
    found = faults_of(target, range(COUNTS[target]), corpus, workers=2)
    told = "\n\n".join(f"{target} {number}\n{f.what}\n{f.shown}" for number, f in found[:5])
    assert not found, f"{len(found)} of {COUNTS[target]}:\n{told}"


def test_a_fault_is_found(corpus, monkeypatch):
    """The fuzzer itself: a reader that trips over every file is not called sound."""
    monkeypatch.setattr("flowllm.inputs.read_inputs", lambda path, workers: [][0])
    fault = run_case(Case("readers", 0, str(corpus)))
    assert fault is not None and "IndexError" in fault.what
