"""The random streams of the package by name, and the keys that numpy derives their draws from.

A key is the seed followed by the numbers of a stream, written as 32-bit words and padded with
zeros to one length. numpy's `SeedSequence` pads shorter keys with the same zeros, so a padded key
gives the same draws as an unpadded one, and two streams differ only if their padded keys do.
"""

from __future__ import annotations

from enum import Enum, unique

import numpy as np

LENGTH = 4  # 32-bit words of a key: the pool of numpy's SeedSequence, beyond which zeros count
COUNTER = None  # the place of a number that is given with each draw


@unique
class Stream(Enum):
    """The random streams, with the owner of their seed and the layout of their keys.

    Seeds of different owners never meet in one run, so only streams of one owner need different
    keys. Streams of child seeds may share a key with one that numbers are drawn from: the former
    hash the first bits of the state again, the latter draw from all of it. The shipped weights and
    the published figures depend on the numbers: add streams, do not change the existing ones.
    """

    TEXT = ("crystal",)
    NOISE = ("crystal", 1)
    COMPOSITION = ("crystal", 2, COUNTER)  # draw
    SPACE_GROUP = ("crystal", 3, COUNTER)  # draw
    CANDIDATE = ("crystal", 4, COUNTER)  # candidate
    CANDIDATE_CHOICE = ("crystal", 4)
    GEOMETRY = ("crystal", 5)
    KNOWN_COMPOSITION = ("crystal", 6)
    REDRAW = ("crystal", 7, COUNTER)  # draw
    REGROUP = ("crystal", 8, COUNTER)  # draw
    TEMPLATE = ("crystal", 10)
    RANKED = ("crystal", 9)
    DIFFUSION = ("crystal", 12)
    ASTRAY = ("crystal", 11, COUNTER)  # draw
    BITS = ("crystal", 13)
    LATENT = ("crystal", 20)
    DECODED = ("crystal", 21)
    LANGEVIN = ("crystal", 22)

    CRYSTAL = ("generation", COUNTER, COUNTER)  # crystal, attempt
    CELL = ("generation", COUNTER, 2)  # crystal
    MATCHED = ("generation", 3)
    CONDITIONS = ("generation", 5)

    SAMPLE = ("pairs", COUNTER, COUNTER, COUNTER)  # draw, sample, attempt
    TARGETS = ("pairs", 7, COUNTER)  # pass over the targets
    PERTURBED = ("pairs", 19, COUNTER)  # pair

    EXAMPLE_ORDER = ("language model", 0)
    EXAMPLE_CONDITIONS = ("language model", 1, COUNTER)  # example
    EXAMPLE_SHIFT = ("language model", 2, COUNTER)  # example
    EMBEDDING = ("language model", 3)

    BATCH = ("flow", 11, COUNTER)  # step
    BATCH_ORDER = ("flow", 13, COUNTER)  # epoch
    HELD_OUT = ("flow", 17)
    PAIRED = ("flow", 23, COUNTER)  # step

    TRANSFORMATION = ("score", COUNTER, COUNTER)  # transformation, crystal
    RELAXED = ("evaluation", 7)

    @property
    def is_of_seeds(self) -> bool:
        """Whether new seeds come from it (`child_seed`), not random numbers (`generator`)."""
        return self in (
            Stream.CANDIDATE, Stream.CRYSTAL, Stream.REGROUP, Stream.SAMPLE, Stream.ASTRAY,
        )  # fmt: skip

    @property
    def owner(self) -> str:
        """The owner of the seed that comes first in the keys."""
        return str(self.value[0])

    @property
    def places(self) -> tuple[int | None, ...]:
        """The key after the seed: fixed numbers, and `COUNTER` for one given with each draw."""
        return self.value[1:]


def key(stream: Stream, seed: int, *counters: int) -> list[int]:
    """The key of a stream: at least `LENGTH` 32-bit words, low words first.

    Args:
        stream: what is drawn.
        seed: of the stream's owner; one of 64 bits takes two words.
        counters: one for each `COUNTER` of the stream.

    Raises:
        ValueError: another number of counters, or a negative number.
    """
    given = list(counters)
    if len(given) != stream.places.count(COUNTER):
        raise ValueError(f"{stream.name} does not take {len(given)} counters")
    numbers = [seed, *(given.pop(0) if place is COUNTER else place for place in stream.places)]
    words = [word for number in numbers for word in _words(int(number))]
    return words + [0] * (LENGTH - len(words))


def generator(stream: Stream, seed: int, *counters: int) -> np.random.Generator:
    """A new generator at the beginning of a stream of numbers.

    Args:
        stream: what is drawn.
        seed: of the stream's owner.
        counters: one for each `COUNTER` of the stream.

    Raises:
        ValueError: a stream of seeds, another number of counters, or a negative number.
    """
    if stream.is_of_seeds:
        raise ValueError(f"{stream.name} is a stream of seeds, not of numbers")
    return np.random.default_rng(key(stream, seed, *counters))


def child_seed(stream: Stream, seed: int, *counters: int, bits: int = 32) -> int:
    """A seed derived from the key of a stream of seeds.

    Args:
        stream: what the seed is for.
        seed: of the stream's owner.
        counters: one for each `COUNTER` of the stream.
        bits: the seed lies below 2 to this power, at most 64.

    Raises:
        ValueError: a stream of numbers, another number of counters, or a negative number.
    """
    if not stream.is_of_seeds:
        raise ValueError(f"{stream.name} is a stream of numbers, not of seeds")
    sequence = np.random.SeedSequence(key(stream, seed, *counters))
    if bits <= 32:
        return int(sequence.generate_state(1, np.uint32)[0]) >> (32 - bits)
    return int(sequence.generate_state(1, np.uint64)[0]) >> (64 - bits)


def _words(number: int) -> list[int]:
    """A number as 32-bit words, low ones first, as numpy splits it."""
    if number < 0:
        raise ValueError(f"a seed or counter must be at least 0, not {number}")
    words = [number & 0xFFFFFFFF]
    while number := number >> 32:
        words.append(number & 0xFFFFFFFF)
    return words
