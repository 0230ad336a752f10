"""Exercises on flows, diffusions and their steps: notebooks 04, 05 and 08."""

from __future__ import annotations

import numpy as np

from flowllm.teaching.exercises.checking import Exercise
from flowllm.teaching.exercises.writing import log


def euler(x: float, v: float, dt: float) -> float:
    """One step of Euler's rule on a circle of length 1."""
    return (x + dt * v) % 1


def entropy(scores: np.ndarray, temperature: float) -> float:
    """Entropy of a language model's probabilities at a temperature, in nats."""
    weights = np.exp(np.asarray(scores) / temperature)
    p = weights / weights.sum()
    return float(-(p * np.log(p)).sum())


LOG_CASES = ((0.95, 0.05), (0.05, 0.95), (0.3, 0.5), (0.9, 0.7))
EULER_CASES = ((0.95, 0.4, 0.25), (0.1, -0.8, 0.25), (0.5, 0.2, 0.1))
SCORES = (np.array([2.0, 0.0]), np.array([1.0, 0.0, -1.0]))
ENTROPY_CASES = ((SCORES[0], 0.5), (SCORES[0], 2.0), (SCORES[1], 0.7))

MOVING: dict[str, Exercise] = {
    "04.1": Exercise(
        log,
        (
            (lambda x, y: y - x, "From 0.95 to 0.05, the shortest path leads through the face."),
            (
                lambda x, y: (y - x) % 1,
                "This always moves forward; from 0.05 to 0.95, backward is shorter.",
            ),
            (lambda x, y: abs(log(x, y)), "The length is right; the direction is missing."),
            (lambda x, y: log(y, x), "This leads from y to x."),
            (lambda x, y: 2 * np.pi * log(x, y), "That is the angle ω; divide by 2π."),
        ),
        "Wrap the difference into (-1/2, 1/2]; or use sine and cosine as in the equation.",
        "With the exponential, this is all the geometry that a flow on a torus needs.",
        cases=LOG_CASES,
    ),
    "04.2": Exercise(
        "C",
        (
            ("A", "The logarithm is the shortest path on the torus from f0 to f1: that is right."),
            ("B", "A fraction t of the shortest path, wrapped: that is right."),
            ("D", "The mean over the atoms, the common translation, is removed: that is right."),
            ("E", "A mean of squares: that is right."),
        ),
        "Answer with one letter. Which line can miss the true velocity of an atom?",
        "f1 - f_t ignores the torus; log_{f_t}(f1) / (1 - t) is the constant velocity.",
    ),
    "05.1": Exercise(
        entropy,
        (
            (lambda z, t: entropy(z, 1 / t), "Scores are divided by the temperature."),
            (lambda z, t: entropy(z, 1.0), "The temperature has no effect here."),
            (
                lambda z, t: entropy(z, t) / np.log(2),
                "That is in bits, not in nats.",
            ),
            (lambda z, t: -entropy(z, t), "An entropy is not negative: mind the sign."),
        ),
        "Divide the scores by the temperature, take the softmax p, and then -Σ p ln p.",
        "For two tokens it approaches ln 2 at high temperatures and 0 at low ones.",
        cases=ENTROPY_CASES,
    ),
    "05.2": Exercise(
        euler,
        (
            (lambda x, v, dt: x + dt * v, "The coordinate has left the cell: wrap it."),
            (
                lambda x, v, dt: (x + v) % 1,
                "This moves as far as in a time of 1; the step is dt.",
            ),
            (lambda x, v, dt: min(max(x + dt * v, 0.0), 1.0), "An atom passes through the face."),
            (lambda x, v, dt: (x - dt * v) % 1, "This moves against the velocity."),
        ),
        "Move by dt times v from x, then wrap.",
        "This is `euler_step` on one coordinate.",
        cases=EULER_CASES,
    ),
    "08.1": Exercise(
        "O",
        (
            ("N", "The digits 0000111 are the atomic number minus one."),
            ("F", "0000111 is seven; add one, not two."),
            ("H", "The most significant digit comes first."),
        ),
        "The digits 0000111 are a number; add one and look up the element.",
        "Z = 1 + 4 + 2 + 1 = 8.",
    ),
    "08.2": Exercise(
        200,
        (
            (100, "Each step of DiffCSP evaluates its network twice."),
            (400, "The crystal enters halfway: half of the steps are left."),
            (1000, "The 200 steps skip most of the thousand levels."),
        ),
        "Half of the steps are left, and each evaluates the network twice.",
        "One hundred steps, with a corrector and a predictor each.",
    ),
    "08.3": Exercise(
        -0.0904,
        (
            (0.0904, "Mind the sign: the density falls with x there."),
            (-1.0, "That is the score without the images."),
        ),
        "Call wrapped_score with a tensor of 0.25 and with 0.5.",
        "About a tenth of the score of the plain normal distribution.",
        tolerance=0.006,
    ),
}
