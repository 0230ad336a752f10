"""Exercises on crystals as text, and on pairs: notebooks 00 to 03."""

from __future__ import annotations

import numpy as np

from flowllm.teaching.exercises.checking import Exercise


def rounded(f: float) -> float:
    """A fractional coordinate as written in the text: two decimals, 0.00 next to 0.99."""
    return round(f, 2) % 1


def log(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The shortest path from x to y on a circle of length 1, in (-1/2, 1/2]."""
    return 0.5 - (0.5 - (np.asarray(y) - np.asarray(x))) % 1


def common_step(start: np.ndarray, end: np.ndarray) -> float:
    """The mean over the atoms of the shortest paths from `start` to `end`."""
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
            (-4, "The charges must add up to zero, so titanium must be positive."),
            (6, "Strontium already contributes two of the six."),
            (2, "With +2 for both strontium and titanium, two of the six are missing."),
        ),
        "2 + q + 3 × (-2) = 0.",
        "+4 is a known oxidation state of titanium, so SMACT's test passes.",
    ),
    "00.2": Exercise(
        11.909,
        (
            (59.547, "That is the volume of the cell; five atoms share it."),
            (0.781, "That is a fifth of the edge; the volume is the edge cubed."),
            (19.849, "The formula has three elements but five atoms."),
        ),
        "The cell is a cube of 3.905 Å, and five atoms share its volume.",
        "Oxides have 10 to 15 Å³ per atom; twice as much would suggest a void.",
        tolerance=0.06,
    ),
    "01.1": Exercise(
        rounded,
        (
            (lambda f: round(f, 2), "What does 0.996 become? There is no coordinate 1.00."),
            (lambda f: int(100 * f) / 100, "This truncates instead of rounding: try 0.338."),
            (lambda f: f % 1, "This wraps but does not round."),
        ),
        "Round to two decimals, then handle values that become 1.00.",
        "Wrapping comes after rounding: 0.996 is already in [0, 1), yet becomes 0.00.",
        cases=((0.996,), (0.338,), (0.5,), (0.004,)),
    ),
    "01.2": Exercise(
        [6, 3],
        (
            ([2, 3], "Two lines name elements, but 2a stands for two atoms and 4f for four."),
            ([6, 1], "The tetragonal cell has two free numbers as well: a and c."),
            ([6, 4], "The atom on 2a has no free coordinate."),
            ([3, 6], "Give the number of atoms first, then that of free numbers."),
        ),
        "The multiplicities precede the letters; then count the numbers in the last two lines.",
        "Writing out the cell and every atom would take 6 + 18 numbers.",
    ),
    "02.1": Exercise(
        4,
        (
            (
                64,
                "That is one over the probability of the whole text; average per token.",
            ),
            (24 / 7, "That is one over the mean probability. Average the logarithms instead."),
            (np.log(4), "That is the mean in nats; the perplexity is its exponential."),
            (2, "That is the mean in bits; the perplexity is 2 to this power."),
        ),
        "Take the mean of -log p over the three tokens, and its exponential.",
        "On average, the model chooses among four equally likely tokens.",
        tolerance=0.01,
    ),
    "02.2": Exercise(
        6400,
        (
            (129024, "That is the frozen matrix W itself."),
            (8 * 224 * 576, "B A has the shape of W; count the weights of B and of A."),
            (1792, "That is A alone."),
            (4608, "That is B alone."),
            (25600, "α is a fixed factor and adds no weights."),
        ),
        "A has r × d_in numbers, B has d_out × r.",
        "One new weight for every twenty of W.",
    ),
    "03.1": Exercise(
        0.00205,
        (
            (0.18265, "That is list order; the other order gives a smaller distance."),
            (0.46205, "From 0.98 to 0.02 there is a shorter path, through the face."),
            (0.0041, "That is the sum; the distance is per atom."),
            (0.0453, "Square the distances before taking the mean."),
        ),
        "Pair 0.98 with 0.02 and 0.40 with 0.45, wrap, square, and take the mean.",
        "In list order it is ninety times as much.",
        tolerance=2e-5,
    ),
    "03.2": Exercise(
        common_step,
        (
            (_plain_mean, "Wrap the differences: from 0.90 to 0.10 it is +0.20."),
            (_mean_then_wrap, "Wrap each difference first, then take the mean."),
            (lambda a, b: abs(common_step(a, b)), "The direction counts too: mind the sign."),
        ),
        "Wrap each difference into (-1/2, 1/2], then take the mean.",
        "A wrapped mean is not the same as a mean of wrapped differences.",
        cases=STEP_CASES,
    ),
}
