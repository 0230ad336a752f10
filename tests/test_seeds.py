from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import flowllm
from flowllm.seeds import COUNTER, LENGTH, Stream, child_seed, generator, key

BY_NUMBERS = [stream for stream in Stream if not stream.is_of_seeds]
BY_SEEDS = [stream for stream in Stream if stream.is_of_seeds]


def can_share_a_key(one: Stream, other: Stream) -> bool:
    """Whether some counters give two streams of one owner the same padded key."""
    padded = [(*s.places, *[0] * (LENGTH - 1 - len(s.places))) for s in (one, other)]
    equal = all(a == b or COUNTER in (a, b) for a, b in zip(*padded, strict=True))
    return one.owner == other.owner and equal


@pytest.mark.parametrize("streams", [BY_NUMBERS, BY_SEEDS])
def test_no_two_streams_share_a_key(streams):
    shared = [pair for pair in itertools.combinations(streams, 2) if can_share_a_key(*pair)]
    assert shared == []


def test_keys_that_seeds_share_with_numbers_are_those_of_the_shipped_weights():
    """Another name here is a new stream with a bad number."""
    shared = {(a, b) for a in BY_SEEDS for b in BY_NUMBERS if can_share_a_key(a, b)}
    assert shared == {
        (Stream.CANDIDATE, Stream.CANDIDATE_CHOICE),
        (Stream.CRYSTAL, Stream.CELL),
        (Stream.CRYSTAL, Stream.MATCHED),
        (Stream.CRYSTAL, Stream.CONDITIONS),
        (Stream.SAMPLE, Stream.TARGETS),
        (Stream.SAMPLE, Stream.PERTURBED),
    }


def test_a_clash_would_be_found():
    assert can_share_a_key(Stream.CRYSTAL, Stream.MATCHED)
    assert not can_share_a_key(Stream.SPACE_GROUP, Stream.CANDIDATE)
    assert not can_share_a_key(Stream.NOISE, Stream.EXAMPLE_CONDITIONS)  # other owners


def test_padding_keeps_the_draws_of_numpy():
    def first(numbers):
        return np.random.default_rng(numbers).random(3).tolist()

    assert first([12, 3]) == first([12, 3, 0]) == first([12, 3, 0, 0])
    for seed in (0, 12, 2**32 - 1, 2**32, 2**63 - 1):
        assert first(key(Stream.TEXT, seed)) == first(seed)
        assert first(key(Stream.NOISE, seed)) == first([seed, 1])
        assert first(key(Stream.COMPOSITION, seed, 4)) == first([seed, 2, 4])
    assert first(key(Stream.SAMPLE, 2**40, 1, 2, 3)) == first([2**40, 1, 2, 3])


@pytest.mark.parametrize(
    ("stream", "counters", "old"),
    [
        (Stream.TEXT, (), [12]),
        (Stream.NOISE, (), [12, 1]),
        (Stream.COMPOSITION, (9,), [12, 2, 9]),
        (Stream.SPACE_GROUP, (0,), [12, 3, 0]),
        (Stream.CANDIDATE, (23,), [12, 4, 23]),
        (Stream.CANDIDATE_CHOICE, (), [12, 4]),
        (Stream.CRYSTAL, (7, 1), [12, 7, 1]),
        (Stream.CELL, (7,), [12, 7, 2]),
        (Stream.MATCHED, (), [12, 3]),
        (Stream.CONDITIONS, (), [12, 5]),
        (Stream.SAMPLE, (5, 6, 1), [12, 5, 6, 1]),
        (Stream.TARGETS, (2,), [12, 7, 2]),
        (Stream.PERTURBED, (8,), [12, 19, 8]),
        (Stream.EXAMPLE_ORDER, (), [12, 0]),
        (Stream.EXAMPLE_CONDITIONS, (3,), [12, 1, 3]),
        (Stream.EXAMPLE_SHIFT, (3,), [12, 2, 3]),
        (Stream.BATCH, (3,), [12, 11, 3]),
        (Stream.BATCH_ORDER, (3,), [12, 13, 3]),
        (Stream.HELD_OUT, (), [12, 17]),
        (Stream.TRANSFORMATION, (1, 4), [12, 1, 4]),
        (Stream.RELAXED, (), [12, 7]),
    ],
)
def test_streams_of_figures_and_weights_keep_their_numbers(stream, counters, old):
    assert key(stream, 12, *counters) == old + [0] * (LENGTH - len(old))


def test_draws_are_those_of_old():
    """Numbers of numpy at commit 49d4de8, before the streams had names."""
    assert generator(Stream.NOISE, 12).random() == 0.628829198410258
    assert generator(Stream.TARGETS, 0, 1).permutation(8).tolist() == [1, 7, 0, 6, 5, 3, 2, 4]
    assert generator(Stream.CELL, 12, 3).random() == 0.5011481754033744
    assert child_seed(Stream.CRYSTAL, 12, 3, 0) == 1061182003
    assert child_seed(Stream.CANDIDATE, 12, 5) == 853525377
    assert child_seed(Stream.SAMPLE, 0, 1, 2, 3, bits=63) == 6463705122041852897


def test_the_streams_of_typed_priors_are_no_longer_those_of_the_language_model():
    assert key(Stream.GEOMETRY, 12) != key(Stream.SPACE_GROUP, 12, 0)
    assert key(Stream.KNOWN_COMPOSITION, 12) != key(Stream.CANDIDATE_CHOICE, 12)


def test_a_wrong_use_is_refused():
    with pytest.raises(ValueError, match="COMPOSITION does not take 0 counters"):
        key(Stream.COMPOSITION, 1)
    with pytest.raises(ValueError, match="NOISE does not take 1 counters"):
        key(Stream.NOISE, 1, 2)
    with pytest.raises(ValueError, match="not -1"):
        key(Stream.NOISE, -1)
    with pytest.raises(ValueError, match="CRYSTAL is a stream of seeds"):
        generator(Stream.CRYSTAL, 1, 2, 3)
    with pytest.raises(ValueError, match="NOISE is a stream of numbers"):
        child_seed(Stream.NOISE, 1)


def test_no_module_makes_keys_of_its_own():
    root = Path(flowllm.__file__).parent
    made = re.compile(r"SeedSequence\(|default_rng\(\s*[\[(]")
    found = {path.name for path in root.rglob("*.py") if made.search(path.read_text("utf-8"))}
    assert found == {"seeds.py"}
