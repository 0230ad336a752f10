"""Exercises of the notebooks: `check("04.1", answer)` says whether an answer is right."""

from __future__ import annotations

from typing import Any

from flowllm.errors import InputError
from flowllm.teaching.exercises.checking import AnswerError, Exercise
from flowllm.teaching.exercises.judging import JUDGING
from flowllm.teaching.exercises.moving import MOVING
from flowllm.teaching.exercises.writing import WRITING

__all__ = ["EXERCISES", "AnswerError", "Exercise", "check"]

EXERCISES: dict[str, Exercise] = {**WRITING, **MOVING, **JUDGING}
"""By number of the notebook and of the exercise in it."""


def check(name: str, yours: Any) -> None:
    """Say whether an answer is right.

    Args:
        name: as in "04.1", the first exercise of notebook 04.
        yours: a number, a text, a list of these, or a function, whatever the exercise asks for.
            None, also as a result of the function, is an answer not yet given.

    Raises:
        AnswerError: the answer is wrong; says what may be the cause.
        InputError: there is no such exercise.
    """
    if name not in EXERCISES:
        raise InputError(f"unknown exercise {name!r}; choose from {', '.join(EXERCISES)}")
    exercise = EXERCISES[name]
    if not exercise.is_given(yours):
        print("Not yet: put your answer in place of None and run the cell again.")
        return
    problem = exercise.problem(yours)
    if problem:
        raise AnswerError(problem)
    print(f"Right. {exercise.because}".strip())
