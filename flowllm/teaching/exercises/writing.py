"""Exercises on crystals as text, and on pairs: notebooks 00 to 03."""

from __future__ import annotations

import numpy as np

from flowllm.teaching.exercises.checking import Exercise


def rounded(f: float) -> float:
    """A fractional coordinate as the text has it: two decimals, 0.00 beside 0.99."""
    return round(f, 2) % 1


def log(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The shortest way from x to y on a circle of length 1, in (-1/2, 1/2]."""
    return 0.5 - (0.5 - (np.asarray(y) - np.asarray(x))) % 1


def common_step(start: np.ndarray, end: np.ndarray) -> float:
    """The mean over the atoms of the shortest ways from `start` to `end`."""
    return float(log(start, end).mean())


def _plain_mean(start: np.ndarray, end: np.ndarray) -> float:
    return float((np.asarray(end) - np.asarray(start)).mean())


def _mean_then_wrap(start: np.ndarray, end: np.ndarray) -> float:
    return float(log(np.zeros(1), _plain_mean(start, end) * np.ones(1))[0])


STEP_CASES = (
    (np.array([0.90, 0.95, 0.50]), np.array([0.10, 0.05, 0.60])),
    (np.array([0.02, 0.40]), np.array([0.97, 0.35])),
)

WRITING: dict[str, Exercise] = {
    "00.1": Exercise(
        4,
        (
            (0, "There are three oxygen atoms, each with -2."),
            (-4, "The sum has to be zero: titanium makes up for what oxygen takes."),
            (6, "Strontium gives two of the six already."),
            (2, "With +2 for strontium and for titanium two of the six are missing."),
        ),
        "2 + q + 3 × (-2) = 0.",
        "Titanium is known with +4, so SMACT's test passes.",
    ),
    "00.2": Exercise(
        11.909,
        (
            (59.547, "That is the volume of the cell; five atoms share it."),
            (0.781, "That is a fifth of the edge. The volume is its third power."),
            (19.849, "The formula has three kinds of atoms and five atoms."),
        ),
        "The cell is a cube of 3.905 Å, and five atoms share its volume.",
        "Oxides have 10 to 15 Å³ for an atom; twice as much would be a hint at a hole.",
        tolerance=0.06,
    ),
    "01.1": Exercise(
        rounded,
        (
            (lambda f: round(f, 2), "What does 0.996 become? There is no coordinate 1.00."),
            (lambda f: int(100 * f) / 100, "Decimals are cut off here, not rounded: try 0.338."),
            (lambda f: f % 1, "The wrap is there, the rounding is not."),
        ),
        "Round to two decimals, and then take care of what lies next to 1.",
        "Wrapping comes after rounding: 0.996 is wrapped already, and still becomes 0.00.",
        cases=((0.996,), (0.338,), (0.5,), (0.004,)),
    ),
    "01.2": Exercise(
        [6, 3],
        (
            ([2, 3], "Two lines name elements, but 2a stands for two atoms and 4f for four."),
            ([6, 1], "The cell is free as well: a and c of a tetragonal one."),
            ([6, 4], "No number stands for the atom on 2a: its place has no freedom."),
            ([3, 6], "The first is the number of atoms, the second that of free numbers."),
        ),
        "Multiplicities stand before the letters; then count the numbers of the last two lines.",
        "Cell by cell and atom by atom it would be 6 + 18 numbers.",
    ),
    "02.1": Exercise(
        4,
        (
            (
                64,
                "That is one over the probability of all; a mean per token is asked for.",
            ),
            (24 / 7, "That is one over the mean probability. Logarithms are averaged."),
            (np.log(4), "That is the mean in nats; the perplexity is its exponential."),
            (2, "That is the mean in bits; the perplexity is 2 to this power."),
        ),
        "Take the mean of -log p over the three tokens, and its exponential.",
        "On average it hesitates among four equally likely tokens.",
        tolerance=0.01,
    ),
    "02.2": Exercise(
        6400,
        (
            (129024, "That is the frozen matrix W itself."),
            (8 * 224 * 576, "B A has the shape of W; the weights are those of B and of A."),
            (1792, "That is A alone."),
            (4608, "That is B alone."),
            (25600, "α is a factor and adds no weights."),
        ),
        "A has r × d_in numbers, B has d_out × r.",
        "One new weight for every twenty of W.",
    ),
    "03.1": Exercise(
        0.00205,
        (
            (0.18265, "That is the order of the list; the other order is nearer."),
            (0.46205, "From 0.98 to 0.02 there is a shorter way, through the face."),
            (0.0041, "That is the sum; the distance is per atom."),
            (0.0453, "The ways are squared before their mean is taken."),
        ),
        "Pair 0.98 with 0.02 and 0.40 with 0.45, wrap, square, and take the mean.",
        "In list order it is ninety times as much.",
        tolerance=2e-5,
    ),
    "03.2": Exercise(
        common_step,
        (
            (_plain_mean, "Differences need the wrap: from 0.90 to 0.10 it is +0.20."),
            (_mean_then_wrap, "Each difference is wrapped first, then the mean is taken."),
            (lambda a, b: abs(common_step(a, b)), "The direction counts too: mind the sign."),
        ),
        "Wrap each difference into (-1/2, 1/2], then take the mean.",
        "A wrapped mean is another number than a mean of wrapped differences.",
        cases=STEP_CASES,
    ),
}
