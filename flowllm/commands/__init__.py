"""The commands: one typed function each, a thin call into the package.

The command line makes its options of their arguments, of the settings classes among these, and of
the docstrings of both, so nothing heavy is imported before a command runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flowllm.commands.crystals import generate, refine
from flowllm.commands.data import data
from flowllm.commands.evaluation import adherence, evaluate, export, hull, reference
from flowllm.commands.flatten import Classes, flat
from flowllm.commands.language import infill, score
from flowllm.commands.models import bench, combine, measure
from flowllm.commands.options import SHIPPED, given_options, parts_of_model, parts_of_prior
from flowllm.commands.training import merge_lm, pair, train_flow, train_lm


@dataclass(frozen=True)
class Command:
    """A command, and what its options depend on.

    Attributes:
        function: with settings classes as types of its parameters.
        parts: options given, words -> settings of the parts that the command is about.
        presets: whether it has an option `preset`.
    """

    function: Callable[..., None]
    parts: Callable[[Mapping[str, str], Sequence[str]], Classes] | None = None
    presets: bool = False

    def flat(self, words: Sequence[str] = ()) -> Callable[..., None]:
        """The command with plain options, those that fit the words of a command line.

        Raises:
            InputError: the words name a model or a kind that there is not.
        """
        given = given_options(words)
        classes = SHIPPED if self.parts is None else self.parts(given, words)
        return flat(self.function, classes, given, self.presets)


DECLARED: dict[str, Command] = {
    "generate": Command(generate, parts_of_model),
    "refine": Command(refine, parts_of_model),
    "evaluate": Command(evaluate),
    "adherence": Command(adherence, parts_of_model),
    "score": Command(score),
    "infill": Command(infill, parts_of_model),
    "export": Command(export),
    "data": Command(data),
    "train-lm": Command(train_lm, presets=True),
    "merge-lm": Command(merge_lm),
    "pair": Command(pair, parts_of_prior, presets=True),
    "train-flow": Command(train_flow, presets=True),
    "combine": Command(combine),
    "measure": Command(measure, parts_of_model),
    "bench": Command(bench),
    "reference": Command(reference),
    "hull": Command(hull),
}
"""Name on the command line -> command."""
COMMANDS: dict[str, Callable[..., None]] = {
    name: command.flat() for name, command in DECLARED.items()
}
"""Name -> function of options, those of the shipped models."""


def commands_for(words: Sequence[str]) -> dict[str, Callable[..., None]]:
    """All commands; the one that is called has the options that fit its words.

    Args:
        words: those behind "flowllm".

    Raises:
        InputError: the words name a model or a kind that there is not.
    """
    if not words or words[0] not in DECLARED:
        return COMMANDS
    return {**COMMANDS, words[0]: DECLARED[words[0]].flat(words[1:])}
