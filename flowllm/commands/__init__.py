"""The commands: one typed function each, a thin wrapper around the package.

The command line makes its options of their arguments, of the settings classes among these, and of
the docstrings of both. Nothing is imported for that but what the command called needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flowllm.commands.app import app
from flowllm.commands.crystals import generate, refine
from flowllm.commands.data import data
from flowllm.commands.evaluation import adherence, evaluate, export, hull, reference
from flowllm.commands.flatten import Classes, flat
from flowllm.commands.language import infill, score
from flowllm.commands.models import bench, combine
from flowllm.commands.options import given_options, parts_of_model, parts_of_prior, parts_of_system
from flowllm.commands.training import merge_lm, pair, train, train_flow, train_lm
from flowllm.systems.registry import load_class


@dataclass(frozen=True)
class Command:
    """A command and what its options depend on.

    Attributes:
        function: with a settings class as the type of a parameter, perhaps.
        settings: "module:Class" of that class.
        parts: options given, words -> settings of the parts that the command is about.
        presets: whether it has an option `preset`.
        uses: whether it has an option `--for`.
    """

    function: Callable[..., None]
    settings: str = ""
    parts: Callable[[Mapping[str, str], Sequence[str]], Classes] | None = None
    presets: bool = False
    uses: bool = False

    def flat(self, words: Sequence[str] = ()) -> Callable[..., None]:
        """The command with plain options, as determined by the words of a command line.

        Raises:
            InputError: the words name a model or a kind that does not exist.
        """
        given = given_options(words)
        types = {c.__name__: c for c in (load_class(self.settings),)} if self.settings else {}
        classes = self.parts(given, words) if self.parts else {}
        return flat(self.function, classes, given, self.presets, types, self.uses)

    def named(self) -> Callable[..., None]:
        """The command's name and description without its options."""

        def command() -> None: ...

        command.__doc__ = self.function.__doc__
        return command


COMMANDS: dict[str, Command] = {
    "generate": Command(
        generate, "flowllm.workflows.settings:GenerateSettings", parts_of_model, uses=True
    ),
    "refine": Command(refine, parts=parts_of_model),
    "evaluate": Command(evaluate, "flowllm.evaluation.settings:EvaluateSettings"),
    "adherence": Command(
        adherence, "flowllm.evaluation.adherence.settings:AdherenceSettings", parts_of_model
    ),
    "score": Command(score),
    "infill": Command(infill, "flowllm.workflows.settings:InfillSettings", parts_of_model),
    "export": Command(export),
    "app": Command(app),
    "data": Command(data, "flowllm.data.reduce:ReduceSettings"),
    "train": Command(train, parts=parts_of_system, presets=True),
    "train-lm": Command(
        train_lm, "flowllm.workflows.train.settings:LanguageModelSettings", presets=True
    ),
    "merge-lm": Command(merge_lm),
    "pair": Command(
        pair, "flowllm.workflows.train.settings:PairSettings", parts_of_prior, presets=True
    ),
    "train-flow": Command(
        train_flow, "flowllm.methods.flow.settings:FlowTrainSettings", presets=True
    ),
    "combine": Command(combine),
    "bench": Command(bench),
    "reference": Command(reference),
    "hull": Command(hull),
}
"""Name on the command line -> command."""


def commands_for(words: Sequence[str]) -> dict[str, Callable[..., None]]:
    """All commands; the one called has the options that its words determine.

    Args:
        words: those behind "flowllm".

    Raises:
        InputError: the words name a model or a kind that does not exist.
    """
    called = words[0] if words else ""
    return {
        name: command.flat(words[1:]) if name == called else command.named()
        for name, command in COMMANDS.items()
    }
